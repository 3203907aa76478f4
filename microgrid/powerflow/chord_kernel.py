"""Newton's method with one Jacobian for many columns, compiled by numba: the chord method, or "dishonest Newton".

Operating points of one network differ little in their Jacobian, so that of their mean serves them all. It is factorised
once; an iteration is then a mismatch and a substitution whose coefficients are the same numbers for every column, about
a seventh of the work of a Newton iteration. The mismatch is exact, so the answer is; only the way there changes: errors
shrink by a factor (commonly 0.03 to 0.1) instead of being squared. Columns that do not shrink are left to `kernel`.

The P and Q mismatch of a bus is scaled by |V0|²/|V|², because a Jacobian row grows with the magnitude of its bus.
"""
# mypy: disable-error-code="untyped-decorator"
# Deep plain loops are what numba compiles well; splitting them further would hide the arithmetic.

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from microgrid.powerflow.columns import LOOSE_TOLERANCE_PU, TIGHT_TOLERANCE_PU, Columns, Equations
from microgrid.powerflow.kernel import FAST, factorise, fill_jacobian, load, work_space
from microgrid.powerflow.symbolic import Elimination

WIDTH = 64  # columns side by side: their voltages and mismatches stay in the nearest caches
REMAINING = 5e-10  # of the state: what the steps yet to come may add up to, as they shrink
SHRINKS, SHRINKS_AT_MOST = 0.5, 0.02  # a step over the one before; the lower end keeps a lucky step from promising more
MOST_ITERATIONS = 14


class Kin(NamedTuple):
    """Columns that share a Jacobian: `place` (k,) are their numbers in arrays over all columns.

    `start` (buses, columns or 1), `power`, `current`, `impedance` (buses, columns; the last two empty where nothing
    depends on voltage) and the result `voltage` are complex pu. Voltages start at `start` times `shift` (buses,).
    `p_held` and `q_held` (rows,) mark equations that are replaced by "no step"; `square` (rows,) is |V0|². Overlay
    entries are as in `Columns`. `iterations` (columns,) is the second result, -1 where a column did not converge.
    """

    place: np.ndarray
    start: np.ndarray
    shift: np.ndarray
    power: np.ndarray
    current: np.ndarray
    impedance: np.ndarray
    p_held: np.ndarray
    q_held: np.ndarray
    square: np.ndarray
    overlay_start: np.ndarray
    overlay_row: np.ndarray
    overlay_bus: np.ndarray
    overlay_delta: np.ndarray
    voltage: np.ndarray
    iterations: np.ndarray


# Lanes of a bus in the working array (buses, 6 * WIDTH), all at fixed distances: the compiler then knows them apart.
V_REAL, V_IMAG, P_SET, Q_SET, P_GAP, Q_GAP = (lane * WIDTH for lane in range(6))
ERROR, STEP, LAST = (lane * WIDTH for lane in range(3))  # lanes of the notes (3 * WIDTH,) about columns


@numba.njit(nogil=True, cache=True)
def factors_at(equations: Equations, plan: Elimination, mean: Columns) -> np.ndarray:
    """Factorised Jacobian (blocks, 4) at the first column of `mean`."""
    work = work_space(mean.v_real.shape[0], equations.bus.shape[0], plan.blocks, 1)
    load(equations, mean, work, 0, 1)
    fill_jacobian(equations, plan, mean, work, 0, 1)
    factorise(plan, work)
    return np.ascontiguousarray(work.blocks[:, :, 0])


@numba.njit(nogil=True)
def _take(kin: Kin, desk: np.ndarray, note: np.ndarray, first: int, count: int) -> None:
    """Copy one chunk in; a short last chunk is filled up with its last column."""
    one = kin.start.shape[1] == 1
    for bus in range(kin.start.shape[0]):
        own, start, power = desk[bus], kin.start[bus], kin.power[bus]
        sr, si = kin.shift[bus].real, kin.shift[bus].imag
        for c in range(WIDTH):
            column = kin.place[first + min(c, count - 1)]
            v, s = start[0 if one else column], power[column]
            own[V_REAL + c] = v.real * sr - v.imag * si
            own[V_IMAG + c] = v.real * si + v.imag * sr
            own[P_SET + c] = s.real
            own[Q_SET + c] = s.imag
    note[:] = np.inf


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _currents(equations: Equations, desk: np.ndarray) -> None:
    """Currents into the network, I = Y V, in the place of the mismatch."""
    for row in range(equations.bus.shape[0]):
        own, gs, bs = desk[equations.bus[row]], equations.g_self[row], equations.b_self[row]
        for c in range(WIDTH):
            own[P_GAP + c] = gs * own[V_REAL + c] - bs * own[V_IMAG + c]
            own[Q_GAP + c] = gs * own[V_IMAG + c] + bs * own[V_REAL + c]
        for entry in range(equations.row_start[row], equations.row_start[row + 1]):
            other, g, b = desk[equations.column_bus[entry]], equations.g[entry], equations.b[entry]
            for c in range(WIDTH):
                own[P_GAP + c] += g * other[V_REAL + c] - b * other[V_IMAG + c]
                own[Q_GAP + c] += g * other[V_IMAG + c] + b * other[V_REAL + c]


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _overlaid(equations: Equations, kin: Kin, desk: np.ndarray, first: int, count: int) -> None:
    """Add the currents through admittances that differ by column."""
    for c in range(count):
        column = kin.place[first + c]
        for item in range(kin.overlay_start[column], kin.overlay_start[column + 1]):
            own, other = desk[equations.bus[kin.overlay_row[item]]], desk[kin.overlay_bus[item]]
            y = kin.overlay_delta[item]
            own[P_GAP + c] += y.real * other[V_REAL + c] - y.imag * other[V_IMAG + c]
            own[Q_GAP + c] += y.real * other[V_IMAG + c] + y.imag * other[V_REAL + c]


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _mismatch(equations: Equations, kin: Kin, desk: np.ndarray, note: np.ndarray, first: int, count: int) -> None:
    """Turn currents into the mismatch S - V conj(I), note its size, and scale it for the substitution."""
    for c in range(WIDTH):
        note[ERROR + c] = 0.0
    for row in range(equations.bus.shape[0]):
        bus = equations.bus[row]
        own = desk[bus]
        p_free, q_free = 0.0 if kin.p_held[row] else 1.0, 0.0 if kin.q_held[row] else 1.0
        for c in range(WIDTH):
            vr, vi, ir, ii = own[V_REAL + c], own[V_IMAG + c], own[P_GAP + c], own[Q_GAP + c]
            own[P_GAP + c] = (own[P_SET + c] - vr * ir - vi * ii) * p_free
            own[Q_GAP + c] = (own[Q_SET + c] - vi * ir + vr * ii) * q_free
        if kin.current.shape[0] > 0:
            for c in range(WIDTH):
                column = kin.place[first + min(c, count - 1)]
                square = own[V_REAL + c] * own[V_REAL + c] + own[V_IMAG + c] * own[V_IMAG + c]
                s = kin.current[bus, column] * np.sqrt(square) + kin.impedance[bus, column] * square
                own[P_GAP + c] += s.real * p_free
                own[Q_GAP + c] += s.imag * q_free
        inverse = 1.0 / kin.square[row]
        for c in range(WIDTH):
            p, q = own[P_GAP + c], own[Q_GAP + c]
            size, before = abs(p) + abs(q), note[ERROR + c]  # no less than either part, and NaN if one is
            note[ERROR + c] = before if size <= before or before != before else size  # noqa: PLR0124 -- NaN stays
            ratio = (own[V_REAL + c] * own[V_REAL + c] + own[V_IMAG + c] * own[V_IMAG + c]) * inverse
            scale = 3.0 - 3.0 * ratio + ratio * ratio  # 1/ratio near one
            own[P_GAP + c] = p * scale
            own[Q_GAP + c] = q * scale


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _substitute(equations: Equations, plan: Elimination, factors: np.ndarray, desk: np.ndarray) -> None:
    """The mismatch becomes the step (angle, ln|V|)."""
    bus = equations.bus
    for place in range(plan.order.shape[0]):
        own = desk[bus[plan.order[place]]]
        for u in range(plan.start[place], plan.start[place + 1]):
            m, other = factors[plan.lower[u]], desk[bus[plan.neighbour[u]]]
            m0, m1, m2, m3 = m[0], m[1], m[2], m[3]
            for c in range(WIDTH):
                other[P_GAP + c] -= m0 * own[P_GAP + c] + m1 * own[Q_GAP + c]
                other[Q_GAP + c] -= m2 * own[P_GAP + c] + m3 * own[Q_GAP + c]
    for place in range(plan.order.shape[0] - 1, -1, -1):
        pivot = plan.order[place]
        own = desk[bus[pivot]]
        for u in range(plan.start[place], plan.start[place + 1]):
            r, other = factors[plan.upper[u]], desk[bus[plan.neighbour[u]]]
            r0, r1, r2, r3 = r[0], r[1], r[2], r[3]
            for c in range(WIDTH):
                own[P_GAP + c] -= r0 * other[P_GAP + c] + r1 * other[Q_GAP + c]
                own[Q_GAP + c] -= r2 * other[P_GAP + c] + r3 * other[Q_GAP + c]
        a = factors[plan.diagonal[pivot]]
        a0, a1, a2, a3 = a[0], a[1], a[2], a[3]
        for c in range(WIDTH):
            p, q = own[P_GAP + c], own[Q_GAP + c]
            own[P_GAP + c] = a0 * p + a1 * q
            own[Q_GAP + c] = a2 * p + a3 * q


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _advance(equations: Equations, desk: np.ndarray, note: np.ndarray) -> None:
    """Turn every voltage by atan(dtheta), scale it by 1 + dlnV, clipped to ±50 %, and note the largest step."""
    for c in range(WIDTH):
        note[LAST + c] = note[STEP + c]
        note[STEP + c] = 0.0
    for row in range(equations.bus.shape[0]):
        own = desk[equations.bus[row]]
        for c in range(WIDTH):
            angle, growth = own[P_GAP + c], own[Q_GAP + c]
            size, before = abs(angle) + abs(growth), note[STEP + c]
            note[STEP + c] = before if size <= before or before != before else size  # noqa: PLR0124 -- NaN stays
            scale = (1.0 + min(0.5, max(-0.5, growth))) / np.sqrt(1.0 + angle * angle)
            vr, vi = own[V_REAL + c], own[V_IMAG + c]
            own[V_REAL + c] = (vr - angle * vi) * scale
            own[V_IMAG + c] = (vi + angle * vr) * scale


@numba.njit(error_model="numpy", nogil=True)
def _converged(note: np.ndarray, c: int) -> bool:
    """True where the mismatch is small and so is the rest of the geometric series that the steps form."""
    error, step = note[ERROR + c], note[STEP + c]
    shrinks = max(step / note[LAST + c], SHRINKS_AT_MOST)
    rest = shrinks <= SHRINKS and step * shrinks <= REMAINING * (1.0 - shrinks)
    return bool(error <= TIGHT_TOLERANCE_PU or (error <= LOOSE_TOLERANCE_PU and rest))


@numba.njit(nogil=True)
def _waits(note: np.ndarray, count: int) -> bool:
    """True while some column has not converged but still gets better."""
    for c in range(count):  # noqa: SIM110 -- numba does not compile `any`
        if not _converged(note, c) and note[STEP + c] <= SHRINKS * note[LAST + c]:
            return True
    return False


@numba.njit(nogil=True, cache=True)
def solve_kin(equations: Equations, plan: Elimination, factors: np.ndarray, kin: Kin, begin: int, end: int) -> None:
    """Solve the columns `kin.place[begin:end]` with the Jacobian `factors`."""
    buses = kin.start.shape[0]
    desk, note = np.zeros((buses, 6 * WIDTH)), np.empty(3 * WIDTH)
    for first in range(begin, end, WIDTH):
        count = min(WIDTH, end - first)
        _take(kin, desk, note, first, count)
        done = 0
        while True:
            _currents(equations, desk)
            if kin.overlay_row.shape[0] > 0:
                _overlaid(equations, kin, desk, first, count)
            _mismatch(equations, kin, desk, note, first, count)
            if done == MOST_ITERATIONS or not _waits(note, count):
                break
            _substitute(equations, plan, factors, desk)
            _advance(equations, desk, note)
            done += 1
        for c in range(count):
            kin.iterations[kin.place[first + c]] = done if _converged(note, c) else -1
        for bus in range(buses):
            own, out = desk[bus], kin.voltage[bus]
            for c in range(count):
                out[kin.place[first + c]] = complex(own[V_REAL + c], own[V_IMAG + c])


__all__ = ["Kin", "factors_at", "solve_kin"]
