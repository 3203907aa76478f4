"""The same Newton iteration as `kernel`, in NumPy and SciPy, for machines without numba: same answers, slower.

Small networks stack dense Jacobians of many columns for LAPACK; large ones factorise column by column (SuperLU).
"""

from __future__ import annotations

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


def solve_columns(equations: Equations, columns: Columns, begin: int, end: int, max_iterations: int) -> None:
    """Solve columns `begin` … `end` in place; `iterations` stays -1 where a column failed."""
    for first in range(begin, end, STACK):
        _solve_stack(equations, columns, np.arange(first, min(end, first + STACK)), max_iterations)


def _solve_stack(equations: Equations, columns: Columns, place: np.ndarray, max_iterations: int) -> None:
    voltage = columns.v_real[:, place] + 1j * columns.v_imag[:, place]
    admittance = _admittances(equations, columns, place)
    step = np.full(len(place), np.inf)
    error = np.full(len(place), np.inf)
    active = np.arange(len(place))
    for done in range(max_iterations + 1):
        with np.errstate(all="ignore"):
            mismatch, slope = _mismatch(equations, columns, place[active], voltage[:, active], admittance[:, active])
            error[active] = np.abs(mismatch).max(axis=(0, 1), initial=0.0)
        near = (error[active] <= LOOSE_TOLERANCE_PU) & (step[active] <= SMALL_STEP)
        near |= error[active] <= TIGHT_TOLERANCE_PU
        columns.iterations[place[active[near]]] = done
        going = ~near & (error[active] < HOPELESS_PU)
        if done == max_iterations or not going.any():
            break
        active, mismatch, slope = active[going], mismatch[:, :, going], slope[:, :, going]
        with np.errstate(all="ignore"):
            change = _newton_step(
                equations, columns, place[active], voltage[:, active], admittance[:, active], mismatch, slope
            )
            step[active] = np.abs(change).max(axis=(0, 1), initial=0.0)
            scale = (1.0 + np.clip(change[:, 1], -0.5, 0.5)) / np.sqrt(1.0 + change[:, 0] ** 2)
            rows = np.ix_(equations.bus, active)
            voltage[rows] *= (1.0 + 1j * change[:, 0]) * scale
    columns.error[place], columns.step[place] = error, step
    columns.v_real[:, place], columns.v_imag[:, place] = voltage.real, voltage.imag


def _admittances(equations: Equations, columns: Columns, place: np.ndarray) -> np.ndarray:
    """Admittance of every entry for every column: diagonals first (n), then the off-diagonal entries; complex."""
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


def _terms(
    equations: Equations, voltage: np.ndarray, admittance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Terms V_i conj(Y_ij V_j) of diagonals and entries, and their row sums; complex, columns last."""
    rows = len(equations.bus)
    row_of = np.repeat(np.arange(rows), np.diff(equations.row_start))
    own = voltage[equations.bus] * np.conj(admittance[:rows] * voltage[equations.bus])
    other = voltage[equations.bus[row_of]] * np.conj(admittance[rows:] * voltage[equations.column_bus])
    gather = sp.csr_matrix((np.ones(len(row_of)), (row_of, np.arange(len(row_of)))), shape=(rows, len(row_of)))
    return own, other, own + gather @ other


def _mismatch(
    equations: Equations, columns: Columns, place: np.ndarray, voltage: np.ndarray, admittance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mismatch and derivative of the specified injections to ln|V|, each (rows, 2, columns)."""
    _, _, total = _terms(equations, voltage, admittance)
    pick = np.ix_(equations.bus, place)
    wanted = columns.p[pick] + 1j * columns.q[pick]
    slope = np.zeros_like(wanted)
    if columns.current_p.size:
        size = np.abs(voltage[equations.bus])
        current = (columns.current_p[pick] + 1j * columns.current_q[pick]) * size
        impedance = (columns.impedance_p[pick] + 1j * columns.impedance_q[pick]) * size**2
        wanted, slope = wanted + current + impedance, current + 2.0 * impedance
    mismatch = np.stack([(wanted - total).real, (wanted - total).imag], axis=1)
    for part, mask, rows in ((0, columns.free_p, equations.frozen_row), (1, columns.free_q, equations.magnitude_row)):
        held = np.flatnonzero(rows >= 0)
        mismatch[held, part] = np.where(mask[np.ix_(rows[held], place)] == 0.0, 0.0, mismatch[held, part])
    return mismatch, np.stack([slope.real, slope.imag], axis=1)


def _newton_step(
    equations: Equations,
    columns: Columns,
    place: np.ndarray,
    voltage: np.ndarray,
    admittance: np.ndarray,
    mismatch: np.ndarray,
    slope: np.ndarray,
) -> np.ndarray:
    """Solve the Jacobian system of every column; (rows, 2, columns)."""
    row, column, value = _jacobian_entries(equations, columns, place, voltage, admittance, slope)
    size = 2 * len(equations.bus)
    right = mismatch.transpose(2, 0, 1).reshape(len(place), size)
    if size <= 2 * DENSE_ROWS:
        dense = np.zeros((len(place), size, size))
        np.add.at(dense, (slice(None), row, column), value.T)
        out = _solve_dense(dense, right)
    else:
        out = np.empty_like(right)
        for position in range(len(place)):
            matrix = sp.csc_matrix((value[:, position], (row, column)), shape=(size, size))
            out[position] = _solve_sparse(matrix, right[position])
    return out.reshape(len(place), -1, 2).transpose(1, 2, 0)


def _solve_dense(dense: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve stacked systems; a singular one becomes NaN instead of stopping its neighbours."""
    try:
        return np.linalg.solve(dense, right[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        out = np.full_like(right, np.nan)
        for position, matrix in enumerate(dense):
            if np.linalg.cond(matrix) < 1e15:
                out[position] = np.linalg.solve(matrix, right[position])
        return out


def _solve_sparse(matrix: sp.csc_matrix, right: np.ndarray) -> np.ndarray:
    try:
        return spla.splu(matrix).solve(right)
    except RuntimeError:  # exactly singular
        return np.full_like(right, np.nan)


def _jacobian_entries(
    equations: Equations,
    columns: Columns,
    place: np.ndarray,
    voltage: np.ndarray,
    admittance: np.ndarray,
    slope: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and values (entries, columns) of the interleaved (P, Q) x (angle, ln|V|) Jacobian."""
    rows = np.arange(len(equations.bus))
    row_of = np.repeat(rows, np.diff(equations.row_start))
    own, other, total = _terms(equations, voltage, admittance)
    inner = np.flatnonzero(equations.block >= 0)
    position = np.full(voltage.shape[0], -1)
    position[equations.bus] = rows
    r, k, t = row_of[inner], position[equations.column_bus[inner]], other[inner]
    row = [2 * r, 2 * r, 2 * r + 1, 2 * r + 1, 2 * rows, 2 * rows, 2 * rows + 1, 2 * rows + 1]
    column = [2 * k, 2 * k + 1, 2 * k, 2 * k + 1, 2 * rows, 2 * rows + 1, 2 * rows, 2 * rows + 1]
    diagonal = [own.imag - total.imag, total.real + own.real - slope[:, 0], total.real - own.real]
    diagonal.append(total.imag + own.imag - slope[:, 1])
    value = np.concatenate([t.imag, t.real, -t.real, t.imag, *diagonal])
    row_all, column_all = np.concatenate(row), np.concatenate(column)
    for part, mask, held_row in (
        (0, columns.free_p, equations.frozen_row),
        (1, columns.free_q, equations.magnitude_row),
    ):
        for held in np.flatnonzero(held_row >= 0):
            hit = np.flatnonzero(row_all == 2 * held + part)
            fixed = mask[held_row[held], place] == 0.0
            unit = (column_all[hit] == 2 * held + part)[:, None].astype(float)
            value[hit] = np.where(fixed[None, :], unit, value[hit])
    return row_all, column_all, value


__all__ = ["solve_columns"]
