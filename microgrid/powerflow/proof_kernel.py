"""Power balance of every column recomputed from Y and V alone, compiled by numba; `solve.residual` says the same."""
# mypy: disable-error-code="untyped-decorator"
# Deep plain loops are what numba compiles well; splitting them further would hide the arithmetic.

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from microgrid.powerflow.kernel import FAST
from microgrid.powerflow.newton import in_ranges
from microgrid.powerflow.points import Points
from microgrid.powerflow.solve import SANE_VM_PU, Model

WIDTH = 64  # columns side by side
# Lanes of a bus in the working array (buses, 5 * WIDTH), and of the notes about columns.
V_REAL, V_IMAG, SIZE, I_REAL, I_IMAG = (lane * WIDTH for lane in range(5))
RESIDUAL, SANE = (lane * WIDTH for lane in range(2))


class Demand(NamedTuple):
    """What the columns had to satisfy: Y in compressed rows, overlay sorted by column, injections, held and fixed rows.

    `hold_row` (bus rows,) is the row in `holds` or -1; `reference` (bus rows,) marks fixed phasors, `frozen` (bus rows,
    columns) dead buses. Arrays of what is nowhere are empty.
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
    frozen: np.ndarray


def demand(model: Model, points: Points) -> Demand:
    """Arrays for `prove_chunk`."""
    grid, overlay = model.grid, points.overlay.by_column()
    start = np.zeros(points.columns + 1, np.int64)
    np.cumsum(np.bincount(overlay.column, minlength=points.columns), out=start[1:])
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
        overlay_row=overlay.row_bus.astype(np.int64, copy=False),
        overlay_bus=overlay.column_bus.astype(np.int64, copy=False),
        overlay_delta=overlay.delta.astype(complex, copy=False),
        power=np.ascontiguousarray(points.power),
        current=np.ascontiguousarray(points.current) if dependent else empty,
        impedance=np.ascontiguousarray(points.impedance) if dependent else empty,
        hold_row=hold_row,
        holds=np.ascontiguousarray(points.holds),
        reference=reference,
        frozen=np.zeros((0, 0), bool) if points.frozen is None else np.ascontiguousarray(points.frozen),
    )


def proof(model: Model, points: Points, voltage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest unbalance (pu) of each column, and whether all its live voltages are sane; in threads."""
    count = voltage.shape[1]
    residual, sane = np.empty(count), np.empty(count, bool)
    wanted, values = demand(model, points), np.ascontiguousarray(voltage)
    in_ranges(prove_columns, count, lambda begin, end: (wanted, values, begin, end, residual, sane))
    return residual, sane


@numba.njit(nogil=True)
def take_voltages(voltage: np.ndarray, desk: np.ndarray, first: int, count: int) -> None:
    """Copy the voltages of one chunk in, with their magnitudes; lanes beyond a short last chunk stay as they are."""
    for bus in range(voltage.shape[0]):
        own, values = desk[bus], voltage[bus]
        for c in range(count):
            own[V_REAL + c] = values[first + c].real
            own[V_IMAG + c] = values[first + c].imag
        for c in range(WIDTH):
            own[SIZE + c] = np.sqrt(own[V_REAL + c] * own[V_REAL + c] + own[V_IMAG + c] * own[V_IMAG + c])


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _currents(wanted: Demand, desk: np.ndarray, first: int, count: int) -> None:
    """Currents I = Y V of one chunk."""
    for bus in range(desk.shape[0]):
        own = desk[bus]
        for c in range(WIDTH):
            own[I_REAL + c] = 0.0
            own[I_IMAG + c] = 0.0
        for entry in range(wanted.y_start[bus], wanted.y_start[bus + 1]):
            other, g, b = desk[wanted.y_bus[entry]], wanted.y[entry].real, wanted.y[entry].imag
            for c in range(WIDTH):
                own[I_REAL + c] += g * other[V_REAL + c] - b * other[V_IMAG + c]
                own[I_IMAG + c] += g * other[V_IMAG + c] + b * other[V_REAL + c]
    for c in range(count):
        for item in range(wanted.overlay_start[first + c], wanted.overlay_start[first + c + 1]):
            own, other, y = desk[wanted.overlay_row[item]], desk[wanted.overlay_bus[item]], wanted.overlay_delta[item]
            own[I_REAL + c] += y.real * other[V_REAL + c] - y.imag * other[V_IMAG + c]
            own[I_IMAG + c] += y.real * other[V_IMAG + c] + y.imag * other[V_REAL + c]


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def prove_chunk(wanted: Demand, desk: np.ndarray, note: np.ndarray, first: int, count: int) -> None:
    """Note the largest |V conj(YV) - S| of each column over the balances that must hold, and sanity, from the desk."""
    _currents(wanted, desk, first, count)
    note[RESIDUAL : RESIDUAL + WIDTH] = 0.0
    note[SANE : SANE + WIDTH] = 1.0
    for bus in range(desk.shape[0]):
        own, power, hold = desk[bus], wanted.power[bus], wanted.hold_row[bus]
        for c in range(count):
            live = 1.0
            if wanted.frozen.shape[0] > 0 and wanted.frozen[bus, first + c]:
                live = 0.0
            size = own[SIZE + c]
            inside = (size > SANE_VM_PU[0] and size < SANE_VM_PU[1]) or live == 0.0
            note[SANE + c] = note[SANE + c] if inside else 0.0
            s = power[first + c]
            if wanted.current.shape[0] > 0:
                s += wanted.current[bus, first + c] * size + wanted.impedance[bus, first + c] * size * size
            p = own[V_REAL + c] * own[I_REAL + c] + own[V_IMAG + c] * own[I_IMAG + c] - s.real
            q = own[V_IMAG + c] * own[I_REAL + c] - own[V_REAL + c] * own[I_IMAG + c] - s.imag
            if hold >= 0 and wanted.holds[hold, first + c]:
                q = 0.0
            gap, before = (p * p + q * q) * live, note[RESIDUAL + c]
            if not wanted.reference[bus] and not (gap <= before or before != before):  # noqa: PLR0124 -- NaN stays
                note[RESIDUAL + c] = gap
    for c in range(WIDTH):
        note[RESIDUAL + c] = np.sqrt(note[RESIDUAL + c])


@numba.njit(nogil=True, cache=True)
def prove_columns(
    wanted: Demand, voltage: np.ndarray, begin: int, end: int, residual: np.ndarray, sane: np.ndarray
) -> None:
    """Fill `residual` and `sane` for columns `begin` … `end`."""
    desk, note = np.ones((voltage.shape[0], 5 * WIDTH)), np.zeros(2 * WIDTH)
    for first in range(begin, end, WIDTH):
        count = min(WIDTH, end - first)
        take_voltages(voltage, desk, first, count)
        prove_chunk(wanted, desk, note, first, count)
        for c in range(count):
            residual[first + c] = note[RESIDUAL + c]
            sane[first + c] = note[SANE + c] == 1.0


__all__ = ["SIZE", "V_IMAG", "V_REAL", "WIDTH", "Demand", "demand", "proof", "prove_chunk", "take_voltages"]
