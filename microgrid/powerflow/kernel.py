"""Newton's method on many columns at once, compiled by numba.

One column is one operating point of the same network. All columns of a chunk share the elimination plan and run through
it together, so that every inner loop is a plain vector operation over columns. Unknowns are angle and logarithm of the
magnitude (W. F. Tinney and C. E. Hart, IEEE Trans. PAS-86(11), 1967, doi:10.1109/TPAS.1967.291823); the angle step is
applied as a rotation by atan(step), which is bounded, and the magnitude step is clipped, so a wild column stays finite.

Fast-math is granted without the flags that assume away NaN and infinity: a column that breaks down must be seen.
"""
# mypy: disable-error-code="untyped-decorator"
# Deep plain loops are what numba compiles well; splitting them further would hide the arithmetic.

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from microgrid.powerflow.columns import (
    HOPELESS_PU,
    LOOSE_TOLERANCE_PU,
    SMALL_STEP,
    TIGHT_TOLERANCE_PU,
    Columns,
    Equations,
)
from microgrid.powerflow.symbolic import Elimination

FAST = {"contract", "reassoc", "arcp", "nsz", "afn"}


class Work(NamedTuple):
    """Working arrays of one chunk: voltages (buses, width); powers and right-hand side by row; Jacobian blocks."""

    v_real: np.ndarray
    v_imag: np.ndarray
    p_calc: np.ndarray
    q_calc: np.ndarray
    p_set: np.ndarray
    q_set: np.ndarray
    x: np.ndarray
    blocks: np.ndarray
    error: np.ndarray
    step: np.ndarray


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _balance(equations: Equations, plan: Elimination, work: Work) -> None:
    """Fill the Jacobian blocks and the calculated injections, S_i = sum_j V_i conj(Y_ij V_j), of one chunk."""
    for row in range(equations.bus.shape[0]):
        bus = equations.bus[row]
        vr, vi, ps, qs = work.v_real[bus], work.v_imag[bus], work.p_calc[row], work.q_calc[row]
        gs, bs = equations.g_self[row], equations.b_self[row]
        own = work.blocks[plan.diagonal[row]]
        own_p, own_q = own[1], own[0]
        for c in range(vr.shape[0]):
            square = vr[c] * vr[c] + vi[c] * vi[c]
            own_p[c] = gs * square
            own_q[c] = -bs * square
            ps[c] = own_p[c]
            qs[c] = own_q[c]
        for entry in range(equations.row_start[row], equations.row_start[row + 1]):
            other = equations.column_bus[entry]
            ur, ui, g, b = work.v_real[other], work.v_imag[other], equations.g[entry], equations.b[entry]
            number = equations.block[entry]
            if number < 0:
                for c in range(vr.shape[0]):
                    ir = g * ur[c] - b * ui[c]
                    ii = g * ui[c] + b * ur[c]
                    ps[c] += vr[c] * ir + vi[c] * ii
                    qs[c] += vi[c] * ir - vr[c] * ii
                continue
            target = work.blocks[number]
            t0, t1, t2, t3 = target[0], target[1], target[2], target[3]
            for c in range(vr.shape[0]):
                ir = g * ur[c] - b * ui[c]
                ii = g * ui[c] + b * ur[c]
                p = vr[c] * ir + vi[c] * ii
                q = vi[c] * ir - vr[c] * ii
                ps[c] += p
                qs[c] += q
                t0[c] = q
                t1[c] = p
                t2[c] = -p
                t3[c] = q


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _overlay(equations: Equations, plan: Elimination, columns: Columns, work: Work, first: int, count: int) -> None:
    """Add the admittances that differ by column (taps, shunt steps, outages) to balance and Jacobian."""
    v_real, v_imag, blocks = work.v_real, work.v_imag, work.blocks
    for c in range(count):
        for item in range(columns.overlay_start[first + c], columns.overlay_start[first + c + 1]):
            row, other, number = columns.overlay_row[item], columns.overlay_bus[item], columns.overlay_block[item]
            bus = equations.bus[row]
            ir = columns.overlay_g[item] * v_real[other, c] - columns.overlay_b[item] * v_imag[other, c]
            ii = columns.overlay_g[item] * v_imag[other, c] + columns.overlay_b[item] * v_real[other, c]
            p = v_real[bus, c] * ir + v_imag[bus, c] * ii
            q = v_imag[bus, c] * ir - v_real[bus, c] * ii
            work.p_calc[row, c] += p
            work.q_calc[row, c] += q
            if number == -2:
                own = plan.diagonal[row]
                blocks[own, 1, c] += p
                blocks[own, 0, c] += q
            elif number >= 0:
                blocks[number, 0, c] += q
                blocks[number, 1, c] += p
                blocks[number, 2, c] -= p
                blocks[number, 3, c] += q


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _mismatch(equations: Equations, plan: Elimination, work: Work) -> None:
    """Complete the diagonal blocks and write the mismatch into the right-hand side."""
    for row in range(equations.bus.shape[0]):
        own = work.blocks[plan.diagonal[row]]
        d0, d1, d2, d3, ps, qs = own[0], own[1], own[2], own[3], work.p_calc[row], work.q_calc[row]
        x0, x1, s0, s1 = work.x[row, 0], work.x[row, 1], work.p_set[row], work.q_set[row]
        for c in range(x0.shape[0]):
            q, p = d0[c], d1[c]
            d0[c] = q - qs[c]
            d1[c] = p + ps[c]
            d2[c] = ps[c] - p
            d3[c] = q + qs[c]
            x0[c] = s0[c] - ps[c]
            x1[c] = s1[c] - qs[c]


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _voltage_dependence(
    equations: Equations, plan: Elimination, columns: Columns, work: Work, first: int, count: int
) -> None:
    """Add injections proportional to |V| and |V|^2 to mismatch and diagonal blocks."""
    for row in range(equations.bus.shape[0]):
        bus = equations.bus[row]
        own = work.blocks[plan.diagonal[row]]
        for c in range(count):
            square = work.v_real[bus, c] ** 2 + work.v_imag[bus, c] ** 2
            size = np.sqrt(square)
            ip, iq = columns.current_p[bus, first + c] * size, columns.current_q[bus, first + c] * size
            zp, zq = columns.impedance_p[bus, first + c] * square, columns.impedance_q[bus, first + c] * square
            work.x[row, 0, c] += ip + zp
            work.x[row, 1, c] += iq + zq
            own[1, c] -= ip + 2.0 * zp
            own[3, c] -= iq + 2.0 * zq


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _hold(
    equations: Equations, plan: Elimination, columns: Columns, work: Work, part: int, first: int, count: int
) -> None:
    """Replace the P row (part 0) or Q row (part 1) by "no step" in columns where the mask is 0.0."""
    mask, mask_row = (columns.free_q, equations.magnitude_row) if part else (columns.free_p, equations.frozen_row)
    if mask.shape[0] == 0:
        return
    x, blocks = work.x, work.blocks
    for row in range(equations.bus.shape[0]):
        held = mask_row[row]
        if held < 0:
            continue
        own = blocks[plan.diagonal[row]]
        for c in range(x.shape[2]):
            if mask[held, first + min(c, count - 1)] == 0.0:
                x[row, part, c] = 0.0
                own[2 * part, c] = 1.0 - part
                own[2 * part + 1, c] = 1.0 * part
        for entry in range(equations.row_start[row], equations.row_start[row + 1]):
            number = equations.block[entry]
            if number >= 0:
                for c in range(x.shape[2]):
                    free = mask[held, first + min(c, count - 1)]
                    blocks[number, 2 * part, c] *= free
                    blocks[number, 2 * part + 1, c] *= free


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def fill_jacobian(
    equations: Equations, plan: Elimination, columns: Columns, work: Work, first: int, count: int
) -> None:
    """Fill Jacobian and mismatch of one chunk at its voltages."""
    work.blocks[plan.first_fill :] = 0.0
    _balance(equations, plan, work)
    if columns.overlay_row.shape[0] > 0:
        _overlay(equations, plan, columns, work, first, count)
    _mismatch(equations, plan, work)
    if columns.current_p.shape[0] > 0:
        _voltage_dependence(equations, plan, columns, work, first, count)
    _hold(equations, plan, columns, work, 1, first, count)
    _hold(equations, plan, columns, work, 0, first, count)


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def factorise(plan: Elimination, work: Work) -> None:
    """Factorise the blocks in place, replaying the plan, and carry the right-hand side along."""
    blocks, x = work.blocks, work.x
    for place in range(plan.order.shape[0]):
        pivot = plan.order[place]
        own = blocks[plan.diagonal[pivot]]
        a0, a1, a2, a3 = own[0], own[1], own[2], own[3]
        for c in range(a0.shape[0]):
            inverse = 1.0 / (a0[c] * a3[c] - a1[c] * a2[c])
            keep = a0[c]
            a0[c] = a3[c] * inverse
            a3[c] = keep * inverse
            a1[c] = -a1[c] * inverse
            a2[c] = -a2[c] * inverse
        begin, end = plan.start[place], plan.start[place + 1]
        x0, x1 = x[pivot, 0], x[pivot, 1]
        for u in range(begin, end):
            low = blocks[plan.lower[u]]
            l0, l1, l2, l3 = low[0], low[1], low[2], low[3]
            y0, y1 = x[plan.neighbour[u], 0], x[plan.neighbour[u], 1]
            for c in range(a0.shape[0]):
                m0 = l0[c] * a0[c] + l1[c] * a2[c]
                m1 = l0[c] * a1[c] + l1[c] * a3[c]
                m2 = l2[c] * a0[c] + l3[c] * a2[c]
                m3 = l2[c] * a1[c] + l3[c] * a3[c]
                l0[c] = m0
                l1[c] = m1
                l2[c] = m2
                l3[c] = m3
                y0[c] -= m0 * x0[c] + m1 * x1[c]
                y1[c] -= m2 * x0[c] + m3 * x1[c]
            base = plan.target_start[place] + (u - begin) * (end - begin)
            for v in range(begin, end):
                up = blocks[plan.upper[v]]
                into = blocks[plan.target[base + v - begin]]
                r0, r1, r2, r3 = up[0], up[1], up[2], up[3]
                z0, z1, z2, z3 = into[0], into[1], into[2], into[3]
                for c in range(a0.shape[0]):
                    z0[c] -= l0[c] * r0[c] + l1[c] * r2[c]
                    z1[c] -= l0[c] * r1[c] + l1[c] * r3[c]
                    z2[c] -= l2[c] * r0[c] + l3[c] * r2[c]
                    z3[c] -= l2[c] * r1[c] + l3[c] * r3[c]


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _substitute(plan: Elimination, work: Work) -> None:
    """Back-substitute: the right-hand side becomes the Newton step."""
    blocks, x = work.blocks, work.x
    for place in range(plan.order.shape[0] - 1, -1, -1):
        pivot = plan.order[place]
        x0, x1 = x[pivot, 0], x[pivot, 1]
        for u in range(plan.start[place], plan.start[place + 1]):
            up = blocks[plan.upper[u]]
            r0, r1, r2, r3 = up[0], up[1], up[2], up[3]
            y0, y1 = x[plan.neighbour[u], 0], x[plan.neighbour[u], 1]
            for c in range(x0.shape[0]):
                x0[c] -= r0[c] * y0[c] + r1[c] * y1[c]
                x1[c] -= r2[c] * y0[c] + r3[c] * y1[c]
        own = blocks[plan.diagonal[pivot]]
        a0, a1, a2, a3 = own[0], own[1], own[2], own[3]
        for c in range(x0.shape[0]):
            t0 = a0[c] * x0[c] + a1[c] * x1[c]
            x1[c] = a2[c] * x0[c] + a3[c] * x1[c]
            x0[c] = t0


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _largest(x: np.ndarray, largest: np.ndarray) -> None:
    """Largest |x| of every column; NaN stays NaN, which `max` would drop."""
    largest[:] = 0.0
    for row in range(x.shape[0]):
        for part in range(2):
            values = x[row, part]
            for c in range(values.shape[0]):
                size = abs(values[c])
                before = largest[c]
                largest[c] = before if size <= before or before != before else size  # noqa: PLR0124 -- NaN stays


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _advance(equations: Equations, work: Work) -> None:
    """Turn every voltage by atan(dtheta) and scale it by 1 + dlnV, clipped to ±50 %."""
    for row in range(equations.bus.shape[0]):
        vr, vi = work.v_real[equations.bus[row]], work.v_imag[equations.bus[row]]
        turn, grow = work.x[row, 0], work.x[row, 1]
        for c in range(vr.shape[0]):
            angle = turn[c]
            scale = (1.0 + min(0.5, max(-0.5, grow[c]))) / np.sqrt(1.0 + angle * angle)
            keep = (vr[c] - angle * vi[c]) * scale
            vi[c] = (vi[c] + angle * vr[c]) * scale
            vr[c] = keep


@numba.njit(fastmath=FAST, error_model="numpy", nogil=True)
def _finished(columns: Columns, work: Work, first: int, count: int, done: int) -> bool:
    """Note the iteration at which columns converged; True when none is left that could still converge."""
    waiting = 0
    for c in range(count):
        near = work.error[c] <= LOOSE_TOLERANCE_PU and work.step[c] <= SMALL_STEP
        if near or work.error[c] <= TIGHT_TOLERANCE_PU:
            if columns.iterations[first + c] < 0:
                columns.iterations[first + c] = done
        elif work.error[c] < HOPELESS_PU:
            waiting += 1
    return waiting == 0


@numba.njit(nogil=True)
def work_space(buses: int, rows: int, blocks: int, width: int) -> Work:
    """Arrays for one chunk of `width` columns."""
    return Work(
        np.empty((buses, width)),
        np.empty((buses, width)),
        np.empty((rows, width)),
        np.empty((rows, width)),
        np.empty((rows, width)),
        np.empty((rows, width)),
        np.zeros((rows, 2, width)),
        np.zeros((blocks, 4, width)),
        np.empty(width),
        np.empty(width),
    )


@numba.njit(nogil=True)
def load(equations: Equations, columns: Columns, work: Work, first: int, count: int) -> None:
    """Copy one chunk in; a short last chunk is filled up with its last column."""
    for c in range(work.v_real.shape[1]):
        column = first + min(c, count - 1)
        for bus in range(work.v_real.shape[0]):
            work.v_real[bus, c] = columns.v_real[bus, column]
            work.v_imag[bus, c] = columns.v_imag[bus, column]
        for row in range(equations.bus.shape[0]):
            work.p_set[row, c] = columns.p[equations.bus[row], column]
            work.q_set[row, c] = columns.q[equations.bus[row], column]
    work.step[:] = np.inf


@numba.njit(nogil=True)
def _store(columns: Columns, work: Work, first: int, count: int) -> None:
    """Copy one chunk out."""
    for bus in range(work.v_real.shape[0]):
        for c in range(count):
            columns.v_real[bus, first + c] = work.v_real[bus, c]
            columns.v_imag[bus, first + c] = work.v_imag[bus, c]
    for c in range(count):
        columns.error[first + c] = work.error[c]
        columns.step[first + c] = work.step[c]
        if not work.error[c] <= LOOSE_TOLERANCE_PU:
            columns.iterations[first + c] = -1


@numba.njit(nogil=True, cache=True)
def solve_columns(
    equations: Equations, plan: Elimination, columns: Columns, begin: int, end: int, width: int, max_iterations: int
) -> None:
    """Solve columns `begin` … `end` in chunks of `width`, in place; `iterations` stays -1 where a column failed."""
    buses, rows = columns.v_real.shape[0], equations.bus.shape[0]
    work = work_space(buses, rows, plan.blocks, width)
    for first in range(begin, end, width):
        count = min(width, end - first)
        load(equations, columns, work, first, count)
        for done in range(max_iterations + 1):
            fill_jacobian(equations, plan, columns, work, first, count)
            _largest(work.x, work.error)
            if _finished(columns, work, first, count, done) or done == max_iterations:
                break
            factorise(plan, work)
            _substitute(plan, work)
            _largest(work.x, work.step)
            _advance(equations, work)
        _store(columns, work, first, count)


__all__ = ["FAST", "factorise", "fill_jacobian", "load", "solve_columns", "work_space"]
