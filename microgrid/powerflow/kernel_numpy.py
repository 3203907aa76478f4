"""The same Newton iteration as `kernel`, in NumPy and SciPy, for machines without numba: same answers, slower.

Small networks stack dense Jacobians of many columns for LAPACK; large ones factorise column by column (SuperLU).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from microgrid.powerflow.columns import (
    HOPELESS_PU,
    LOOSE_TOLERANCE_PU,
    SMALL_STEP,
    TIGHT_TOLERANCE_PU,
    Columns,
    Equations,
)

DENSE_ROWS = 90  # above this many rows a sparse factorisation per column is faster than dense stacks
STACK = 64


@dataclass(frozen=True)
class Stack:
    """Some columns at once: `place` (columns,) in the batch, voltages (buses, columns), admittances (entries, columns).

    Entries are the diagonals of all rows first, then the off-diagonal entries of `Equations`.
    """

    equations: Equations
    columns: Columns
    place: np.ndarray
    voltage: np.ndarray
    admittance: np.ndarray

    def pick(self, active: np.ndarray) -> Stack:
        """The chosen columns of this stack."""
        voltage, admittance = self.voltage[:, active], self.admittance[:, active]
        return replace(self, place=self.place[active], voltage=voltage, admittance=admittance)

    def terms(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Terms V_i conj(Y_ij V_j) of diagonals and entries, and their row sums; complex, columns last."""
        equations, rows = self.equations, len(self.equations.bus)
        row_of = np.repeat(np.arange(rows), np.diff(equations.row_start))
        voltage, own_voltage = self.voltage, self.voltage[equations.bus]
        own = own_voltage * np.conj(self.admittance[:rows] * own_voltage)
        other = own_voltage[row_of] * np.conj(self.admittance[rows:] * voltage[equations.column_bus])
        gather = sp.csr_matrix((np.ones(len(row_of)), (row_of, np.arange(len(row_of)))), shape=(rows, len(row_of)))
        return own, other, own + gather @ other

    def held(self) -> list[tuple[int, int, np.ndarray]]:
        """Row, part (0 active, 1 reactive) and mask (columns,) of every equation that may be replaced by a hold."""
        out = []
        for part, mask, rows in (
            (0, self.columns.free_p, self.equations.frozen_row),
            (1, self.columns.free_q, self.equations.magnitude_row),
        ):
            out += [(int(row), part, mask[rows[row], self.place] == 0.0) for row in np.flatnonzero(rows >= 0)]
        return out


def solve_columns(equations: Equations, columns: Columns, begin: int, end: int, max_iterations: int) -> None:
    """Solve columns `begin` … `end` in place; `iterations` stays -1 where a column failed."""
    for first in range(begin, end, STACK):
        place = np.arange(first, min(end, first + STACK))
        _solve_stack(stack_of(equations, columns, place), max_iterations)


def stack_of(equations: Equations, columns: Columns, place: np.ndarray) -> Stack:
    """Stack of the chosen columns at the voltages they hold now."""
    voltage = columns.v_real[:, place] + 1j * columns.v_imag[:, place]
    return Stack(equations, columns, place, voltage, _admittances(equations, columns, place))


def jacobian(stack: Stack) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and values (entries, columns) of the Jacobian at the stack's voltages.

    Rows are (P, Q) and columns (angle, ln|V|) of every equation row, interleaved; a held magnitude or a frozen bus has
    a unit row. Voltage-dependent injections are part of it.
    """
    return _jacobian_entries(stack, _mismatch(stack)[1])


def _solve_stack(stack: Stack, max_iterations: int) -> None:
    columns, place, voltage = stack.columns, stack.place, stack.voltage
    step, error = np.full(len(place), np.inf), np.full(len(place), np.inf)
    active = np.arange(len(place))
    for done in range(max_iterations + 1):
        now = stack.pick(active)
        with np.errstate(all="ignore"):
            mismatch, slope = _mismatch(now)
            error[active] = np.abs(mismatch).max(axis=(0, 1), initial=0.0)
        near = (error[active] <= LOOSE_TOLERANCE_PU) & (step[active] <= SMALL_STEP)
        near |= error[active] <= TIGHT_TOLERANCE_PU
        columns.iterations[place[active[near]]] = done
        going = ~near & (error[active] < HOPELESS_PU)
        if done == max_iterations or not going.any():
            break
        active = active[going]
        with np.errstate(all="ignore"):
            change = _newton_step(now.pick(going), mismatch[:, :, going], slope[:, :, going])
            step[active] = np.abs(change).max(axis=(0, 1), initial=0.0)
            scale = (1.0 + np.clip(change[:, 1], -0.5, 0.5)) / np.sqrt(1.0 + change[:, 0] ** 2)
            voltage[np.ix_(stack.equations.bus, active)] *= (1.0 + 1j * change[:, 0]) * scale
    columns.error[place], columns.step[place] = error, step
    columns.v_real[:, place], columns.v_imag[:, place] = voltage.real, voltage.imag


def _admittances(equations: Equations, columns: Columns, place: np.ndarray) -> np.ndarray:
    rows = len(equations.bus)
    values = np.concatenate([equations.g_self + 1j * equations.b_self, equations.g + 1j * equations.b])
    out = np.repeat(values[:, None], len(place), axis=1)
    entry_of = {
        (row, int(equations.column_bus[entry])): rows + entry
        for row in range(rows)
        for entry in range(equations.row_start[row], equations.row_start[row + 1])
    }
    for position, column in enumerate(place):
        for item in range(columns.overlay_start[column], columns.overlay_start[column + 1]):
            row, other = int(columns.overlay_row[item]), int(columns.overlay_bus[item])
            entry = row if columns.overlay_block[item] == -2 else entry_of[row, other]
            out[entry, position] += columns.overlay_g[item] + 1j * columns.overlay_b[item]
    return out


def _mismatch(stack: Stack) -> tuple[np.ndarray, np.ndarray]:
    """Mismatch and derivative of the specified injections to ln|V|, each (rows, 2, columns)."""
    columns, pick = stack.columns, np.ix_(stack.equations.bus, stack.place)
    wanted = columns.p[pick] + 1j * columns.q[pick]
    slope = np.zeros_like(wanted)
    if columns.current_p.size:
        size = np.abs(stack.voltage[stack.equations.bus])
        current = (columns.current_p[pick] + 1j * columns.current_q[pick]) * size
        impedance = (columns.impedance_p[pick] + 1j * columns.impedance_q[pick]) * size**2
        wanted, slope = wanted + current + impedance, current + 2.0 * impedance
    gap = wanted - stack.terms()[2]
    mismatch = np.stack([gap.real, gap.imag], axis=1)
    for row, part, fixed in stack.held():
        mismatch[row, part, fixed] = 0.0
    return mismatch, np.stack([slope.real, slope.imag], axis=1)


def _newton_step(stack: Stack, mismatch: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Solve the Jacobian system of every column; (rows, 2, columns)."""
    row, column, value = _jacobian_entries(stack, slope)
    count, size = len(stack.place), 2 * len(stack.equations.bus)
    right = mismatch.transpose(2, 0, 1).reshape(count, size)
    if size <= 2 * DENSE_ROWS:
        dense = np.zeros((count, size, size))
        every = np.arange(count)[:, None]
        np.add.at(dense, (every, row[None, :], column[None, :]), value.T)
        out = _solve_dense(dense, right)
    else:
        out = np.empty_like(right)
        for position in range(count):
            matrix = sp.csc_matrix((value[:, position], (row, column)), shape=(size, size))
            out[position] = _solve_sparse(matrix, right[position])
    return out.reshape(count, -1, 2).transpose(1, 2, 0)


def _solve_dense(dense: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve stacked systems; a singular one becomes NaN instead of stopping its neighbours."""
    try:
        return np.asarray(np.linalg.solve(dense, right[:, :, None])[:, :, 0])
    except np.linalg.LinAlgError:
        out = np.full_like(right, np.nan)
        for position, matrix in enumerate(dense):
            if np.isfinite(matrix).all() and np.linalg.cond(matrix) < 1e15:
                out[position] = np.linalg.solve(matrix, right[position])
        return out


def _solve_sparse(matrix: sp.csc_matrix, right: np.ndarray) -> np.ndarray:
    try:
        return np.asarray(spla.splu(matrix).solve(right))
    except RuntimeError:  # exactly singular
        return np.full_like(right, np.nan)


def _jacobian_entries(stack: Stack, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and values (entries, columns) of the interleaved (P, Q) x (angle, ln|V|) Jacobian."""
    equations = stack.equations
    rows = np.arange(len(equations.bus))
    row_of = np.repeat(rows, np.diff(equations.row_start))
    own, other, total = stack.terms()
    inner = np.flatnonzero(equations.block >= 0)
    position = np.full(stack.voltage.shape[0], -1)
    position[equations.bus] = rows
    r, k, t = row_of[inner], position[equations.column_bus[inner]], other[inner]
    row = np.concatenate([2 * r, 2 * r, 2 * r + 1, 2 * r + 1, 2 * rows, 2 * rows, 2 * rows + 1, 2 * rows + 1])
    column = np.concatenate([2 * k, 2 * k + 1, 2 * k, 2 * k + 1, 2 * rows, 2 * rows + 1, 2 * rows, 2 * rows + 1])
    diagonal = [own.imag - total.imag, total.real + own.real - slope[:, 0], total.real - own.real]
    diagonal.append(total.imag + own.imag - slope[:, 1])
    value = np.concatenate([t.imag, t.real, -t.real, t.imag, *diagonal])
    for held, part, fixed in stack.held():
        hit = np.flatnonzero(row == 2 * held + part)
        unit = (column[hit] == 2 * held + part)[:, None].astype(float)
        value[hit] = np.where(fixed[None, :], unit, value[hit])
    return row, column, value


__all__ = ["Stack", "jacobian", "solve_columns", "stack_of"]
