"""`judge.judge` compiled by numba: one pass over the voltages of each column."""
# ruff: noqa: C901, PLR0917
# mypy: disable-error-code="untyped-decorator"
# A compiled pass over plain arrays takes them all as arguments.

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np

from microgrid.powerflow.flow_kernel import Admittances, admittances
from microgrid.powerflow.judge import Judged, RowLimits, Verdict
from microgrid.powerflow.newton import thread_count
from microgrid.powerflow.solve import SANE_VM_PU, Model

WIDTH = 128


class Demand(NamedTuple):
    """What the columns had to satisfy: Y in compressed rows, overlay sorted by column, injections, held and fixed rows.

    `hold_row` (bus rows,) is the row in `holds` or -1; `reference` (bus rows,) marks fixed phasors.
    """

    y_start: np.ndarray
    y_bus: np.ndarray
    y: np.ndarray
    overlay_start: np.ndarray
    overlay_row: np.ndarray
    overlay_bus: np.ndarray
    overlay_delta: np.ndarray
    power: np.ndarray
    current: np.ndarray
    impedance: np.ndarray
    hold_row: np.ndarray
    holds: np.ndarray
    reference: np.ndarray


class Answer(NamedTuple):
    """Arrays of a `Verdict`, to be filled."""

    residual: np.ndarray
    sane: np.ndarray
    loading: np.ndarray
    loading_branch: np.ndarray
    low_margin: np.ndarray
    low_bus: np.ndarray
    high_margin: np.ndarray
    high_bus: np.ndarray
    change: np.ndarray
    change_bus: np.ndarray


class Bounds(NamedTuple):
    """Limits by bus row and branch row, and which are out or dead in each case."""

    low_pu: np.ndarray
    high_pu: np.ndarray
    loading_percent: np.ndarray
    out: np.ndarray
    dead: np.ndarray
    case: np.ndarray


def judge(model: Model, limits: RowLimits, columns: Judged) -> Verdict:
    """Judge all columns, in threads."""
    count = columns.voltage.shape[1]
    verdict = Verdict.blank(count)
    answer = Answer(*(getattr(verdict, name) for name in Answer._fields))
    bounds = Bounds(limits.low_pu, limits.high_pu, limits.loading_percent, columns.out, columns.dead, columns.case)
    demand, branches = _demand(model, columns), admittances(model.grid, columns.tapped)
    threads = thread_count() if count > 512 and judge_columns.signatures else 1
    share = max(1, -(-count // threads))

    def run(begin: int) -> None:
        end = min(count, begin + share)
        judge_columns(demand, branches, bounds, columns.voltage, columns.before, begin, end, answer)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(0, count, share)))
    return verdict


def _demand(model: Model, columns: Judged) -> Demand:
    points, grid = columns.points, model.grid
    count = columns.voltage.shape[1]
    overlay = points.overlay
    order = np.argsort(overlay.column, kind="stable")
    start = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(overlay.column, minlength=count), out=start[1:])
    hold_row = np.full(grid.buses, -1)
    hold_row[grid.controlled] = np.arange(len(grid.controlled))
    reference = np.zeros(grid.buses, bool)
    reference[grid.reference] = True
    empty = np.zeros((0, 0), complex)
    dependent = points.current is not None and points.impedance is not None
    return Demand(
        y_start=grid.y_bus.indptr.astype(np.int64),
        y_bus=grid.y_bus.indices.astype(np.int64),
        y=grid.y_bus.data,
        overlay_start=start,
        overlay_row=overlay.row_bus[order].astype(np.int64),
        overlay_bus=overlay.column_bus[order].astype(np.int64),
        overlay_delta=overlay.delta[order].astype(complex),
        power=np.ascontiguousarray(points.power),
        current=np.ascontiguousarray(points.current) if dependent else empty,
        impedance=np.ascontiguousarray(points.impedance) if dependent else empty,
        hold_row=hold_row,
        holds=np.ascontiguousarray(points.holds),
        reference=reference,
    )


@numba.njit(nogil=True)
def _prove(
    demand: Demand, bounds: Bounds, voltage: np.ndarray, first: int, count: int, drawn: np.ndarray, answer: Answer
) -> None:
    """Largest unbalance of each column, from Y and V alone."""
    for bus in range(voltage.shape[0]):
        for c in range(count):
            drawn[bus, c] = 0.0
        for entry in range(demand.y_start[bus], demand.y_start[bus + 1]):
            other, y = demand.y_bus[entry], demand.y[entry]
            for c in range(count):
                drawn[bus, c] += y * voltage[other, first + c]
    for c in range(count):
        for item in range(demand.overlay_start[first + c], demand.overlay_start[first + c + 1]):
            change = demand.overlay_delta[item] * voltage[demand.overlay_bus[item], first + c]
            drawn[demand.overlay_row[item], c] += change
        answer.residual[first + c] = 0.0
    for bus in range(voltage.shape[0]):
        if demand.reference[bus]:
            continue
        hold = demand.hold_row[bus]
        for c in range(count):
            column = first + c
            if bounds.dead[bounds.case[column], bus]:
                continue
            gap = voltage[bus, column] * np.conj(drawn[bus, c]) - demand.power[bus, column]
            if demand.current.shape[0] > 0:
                size = abs(voltage[bus, column])
                gap -= demand.current[bus, column] * size + demand.impedance[bus, column] * size * size
            error = abs(gap.real) if hold >= 0 and demand.holds[hold, column] else np.sqrt(gap.real**2 + gap.imag**2)
            if not error <= answer.residual[column]:
                answer.residual[column] = error


@numba.njit(nogil=True)
def _watch_buses(bounds: Bounds, voltage: np.ndarray, before: np.ndarray, column: int, answer: Answer) -> None:
    """Voltage extremes of one column."""
    low = high = np.inf
    change, sane, case = -1.0, True, bounds.case[column]
    for bus in range(voltage.shape[0]):
        if bounds.dead[case, bus]:
            continue
        value = voltage[bus, column]
        vm_pu = np.sqrt(value.real**2 + value.imag**2)
        sane = sane and vm_pu > SANE_VM_PU[0] and vm_pu < SANE_VM_PU[1]
        if vm_pu - bounds.low_pu[bus] < low:
            low = vm_pu - bounds.low_pu[bus]
            answer.low_bus[column] = bus
        if bounds.high_pu[bus] - vm_pu < high:
            high = bounds.high_pu[bus] - vm_pu
            answer.high_bus[column] = bus
        old = before[bus, column]
        move = abs(vm_pu - np.sqrt(old.real**2 + old.imag**2))
        if move > change:
            change = move
            answer.change_bus[column] = bus
    answer.sane[column] = sane
    answer.low_margin[column] = low
    answer.high_margin[column] = high
    answer.change[column] = max(change, 0.0)


@numba.njit(nogil=True)
def _watch_branches(
    branches: Admittances, bounds: Bounds, voltage: np.ndarray, first: int, count: int, answer: Answer
) -> None:
    """Worst loading over limit of each column."""
    for c in range(count):
        answer.loading[first + c] = 0.0
        answer.loading_branch[first + c] = 0
    for branch in range(branches.from_bus.shape[0]):
        from_bus, to_bus, place = branches.from_bus[branch], branches.to_bus[branch], branches.tapped[branch]
        y_ff, y_ft, y_tf, y_tt = (
            branches.y[0, branch],
            branches.y[1, branch],
            branches.y[2, branch],
            branches.y[3, branch],
        )
        limit = bounds.loading_percent[branch]
        scale_from = (branches.scale[2, branch] / limit) ** 2
        scale_to = (branches.scale[3, branch] / limit) ** 2
        scale_from = 0.0 if np.isnan(scale_from) else scale_from
        scale_to = 0.0 if np.isnan(scale_to) else scale_to
        if scale_from == 0.0 and scale_to == 0.0:
            continue
        for c in range(count):
            column = first + c
            if bounds.out[bounds.case[column], branch]:
                continue
            if place >= 0:
                y_ff, y_ft = branches.y_tapped[0, place, column], branches.y_tapped[1, place, column]
                y_tf, y_tt = branches.y_tapped[2, place, column], branches.y_tapped[3, place, column]
            v_from, v_to = voltage[from_bus, column], voltage[to_bus, column]
            into_from, into_to = y_ff * v_from + y_ft * v_to, y_tf * v_from + y_tt * v_to
            square = (into_from.real**2 + into_from.imag**2) * scale_from
            other = (into_to.real**2 + into_to.imag**2) * scale_to
            square = max(square, other)
            if square > answer.loading[column]:
                answer.loading[column] = square
                answer.loading_branch[column] = branch
    for c in range(count):
        answer.loading[first + c] = np.sqrt(answer.loading[first + c])


@numba.njit(nogil=True, cache=True)
def judge_columns(
    demand: Demand,
    branches: Admittances,
    bounds: Bounds,
    voltage: np.ndarray,
    before: np.ndarray,
    begin: int,
    end: int,
    answer: Answer,
) -> None:
    """Fill the answer for columns `begin` … `end`."""
    drawn = np.zeros((voltage.shape[0], WIDTH), np.complex128)
    for first in range(begin, end, WIDTH):
        count = min(WIDTH, end - first)
        _prove(demand, bounds, voltage, first, count, drawn, answer)
        _watch_branches(branches, bounds, voltage, first, count, answer)
        for column in range(first, first + count):
            _watch_buses(bounds, voltage, before, column, answer)


__all__ = ["judge"]
