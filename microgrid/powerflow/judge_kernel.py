"""`judge.judge` compiled by numba: one pass over the voltages of each column."""
# ruff: noqa: PLR0917
# mypy: disable-error-code="untyped-decorator"
# Deep plain loops are what numba compiles well; splitting them further would hide the arithmetic.

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from microgrid.powerflow.flow_kernel import Admittances, admittances
from microgrid.powerflow.judge import Judged, RowLimits, Verdict
from microgrid.powerflow.kernel import FAST
from microgrid.powerflow.newton import in_ranges
from microgrid.powerflow.proof_kernel import (
    RESIDUAL,
    SANE,
    SIZE,
    V_IMAG,
    V_REAL,
    WIDTH,
    Demand,
    demand,
    prove_chunk,
    take_voltages,
)
from microgrid.powerflow.solve import Model

# Lanes of the extremes of columns (4 * WIDTH,), and in a second array of their places.
LOADING, LOW, HIGH, CHANGE = (lane * WIDTH for lane in range(4))


class Chunk(NamedTuple):
    """Columns `first` … `first + size` of one case."""

    case: int
    first: int
    size: int


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
    case = np.ascontiguousarray(columns.case)
    bounds = Bounds(limits.low_pu, limits.high_pu, limits.loading_percent, columns.out, columns.dead, case)
    wanted, branches = demand(model, columns.points), admittances(model.grid, columns.tapped)
    voltage, before = np.ascontiguousarray(columns.voltage), np.ascontiguousarray(columns.before)
    in_ranges(judge_columns, count, lambda begin, end: (wanted, branches, bounds, voltage, before, begin, end, verdict))
    return verdict


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _watch_buses(
    bounds: Bounds, desk: np.ndarray, before: np.ndarray, chunk: Chunk, worst: np.ndarray, at: np.ndarray
) -> None:
    """Voltage extremes of one chunk."""
    case, first, count = chunk
    worst[LOW : LOW + WIDTH] = np.inf
    worst[HIGH : HIGH + WIDTH] = np.inf
    worst[CHANGE : CHANGE + WIDTH] = -1.0
    at[LOW:] = 0
    for bus in range(desk.shape[0]):
        if bounds.dead[case, bus]:
            continue
        own, old, low_pu, high_pu = desk[bus], before[bus], bounds.low_pu[bus], bounds.high_pu[bus]
        for c in range(WIDTH):
            low, high = own[SIZE + c] - low_pu, high_pu - own[SIZE + c]
            at[LOW + c] = bus if low < worst[LOW + c] else at[LOW + c]
            worst[LOW + c] = min(low, worst[LOW + c])
            at[HIGH + c] = bus if high < worst[HIGH + c] else at[HIGH + c]
            worst[HIGH + c] = min(high, worst[HIGH + c])
        for c in range(count):
            v = old[first + c]
            change = abs(own[SIZE + c] - np.sqrt(v.real * v.real + v.imag * v.imag))
            at[CHANGE + c] = bus if change > worst[CHANGE + c] else at[CHANGE + c]
            worst[CHANGE + c] = max(change, worst[CHANGE + c])


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _watch_branches(
    branches: Admittances, bounds: Bounds, desk: np.ndarray, chunk: Chunk, worst: np.ndarray, at: np.ndarray
) -> None:
    """Largest squared loading over limit of one chunk."""
    case, first, count = chunk
    worst[LOADING : LOADING + WIDTH] = 0.0
    at[LOADING : LOADING + WIDTH] = 0
    for branch in range(branches.from_bus.shape[0]):
        limit, place = bounds.loading_percent[branch], branches.tapped[branch]
        scale_from, scale_to = (branches.scale[2, branch] / limit) ** 2, (branches.scale[3, branch] / limit) ** 2
        scale_from = scale_from if scale_from > 0.0 else 0.0  # noqa: FURB136 -- NaN, no rating, counts as no load
        scale_to = scale_to if scale_to > 0.0 else 0.0  # noqa: FURB136
        if bounds.out[case, branch] or (scale_from == 0.0 and scale_to == 0.0):
            continue
        f, t, y = desk[branches.from_bus[branch]], desk[branches.to_bus[branch]], branches.y
        y_ff, y_ft, y_tf, y_tt = y[0, branch], y[1, branch], y[2, branch], y[3, branch]
        if place >= 0:
            for c in range(count):
                tap = branches.y_tapped[:, place, first + c]
                v_from, v_to = complex(f[V_REAL + c], f[V_IMAG + c]), complex(t[V_REAL + c], t[V_IMAG + c])
                into_from, into_to = tap[0] * v_from + tap[1] * v_to, tap[2] * v_from + tap[3] * v_to
                square = (into_from.real**2 + into_from.imag**2) * scale_from
                square = max(square, (into_to.real**2 + into_to.imag**2) * scale_to)
                at[LOADING + c] = branch if square > worst[LOADING + c] else at[LOADING + c]
                worst[LOADING + c] = max(square, worst[LOADING + c])
            continue
        for c in range(WIDTH):
            fr, fi, tr, ti = f[V_REAL + c], f[V_IMAG + c], t[V_REAL + c], t[V_IMAG + c]
            real = y_ff.real * fr - y_ff.imag * fi + y_ft.real * tr - y_ft.imag * ti
            imag = y_ff.real * fi + y_ff.imag * fr + y_ft.real * ti + y_ft.imag * tr
            square = (real * real + imag * imag) * scale_from
            real = y_tf.real * fr - y_tf.imag * fi + y_tt.real * tr - y_tt.imag * ti
            imag = y_tf.real * fi + y_tf.imag * fr + y_tt.real * ti + y_tt.imag * tr
            square = max(square, (real * real + imag * imag) * scale_to)
            at[LOADING + c] = branch if square > worst[LOADING + c] else at[LOADING + c]
            worst[LOADING + c] = max(square, worst[LOADING + c])


@numba.njit(nogil=True)
def _write(verdict: Verdict, first: int, count: int, note: np.ndarray, worst: np.ndarray, at: np.ndarray) -> None:
    for c in range(count):
        column = first + c
        verdict.residual[column], verdict.sane[column] = note[RESIDUAL + c], note[SANE + c] == 1.0
        verdict.loading[column], verdict.loading_branch[column] = np.sqrt(worst[LOADING + c]), at[LOADING + c]
        verdict.low_margin[column], verdict.low_bus[column] = worst[LOW + c], at[LOW + c]
        verdict.high_margin[column], verdict.high_bus[column] = worst[HIGH + c], at[HIGH + c]
        verdict.change[column], verdict.change_bus[column] = max(worst[CHANGE + c], 0.0), at[CHANGE + c]


@numba.njit(nogil=True, cache=True)
def judge_columns(
    wanted: Demand,
    branches: Admittances,
    bounds: Bounds,
    voltage: np.ndarray,
    before: np.ndarray,
    begin: int,
    end: int,
    verdict: Verdict,
) -> None:
    """Fill the verdict for columns `begin` … `end`, in chunks of one case."""
    desk, note = np.ones((voltage.shape[0], 5 * WIDTH)), np.zeros(2 * WIDTH)
    worst, at = np.zeros(4 * WIDTH), np.zeros(4 * WIDTH, np.int64)
    first = begin
    while first < end:
        case, count = bounds.case[first], 1
        while count < WIDTH and first + count < end and bounds.case[first + count] == case:
            count += 1
        take_voltages(voltage, desk, first, count)
        prove_chunk(wanted, desk, note, first, count)
        _watch_branches(branches, bounds, desk, Chunk(case, first, count), worst, at)
        _watch_buses(bounds, desk, before, Chunk(case, first, count), worst, at)
        _write(verdict, first, count, note, worst, at)
        first += count


__all__ = ["judge"]
