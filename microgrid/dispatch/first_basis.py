"""A first basis for the simplex method: every equation is solved for its widest column.

A balance is solved for the import, a store's recursion for its energy: what has most room is least often at a limit in
the optimum (Bixby 1992, doi:10.1287/ijoc.4.3.267). From the slack basis each of them costs a pivot. Recursions are cut
at every `LONGEST_CHAIN`-th row, since a change would run through a whole chain of basic states and make the pivots
slow. HiGHS completes such a basis where it is singular, and any start leads to the same optimum.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.compile import Program

LONGEST_CHAIN = 12
"""Rows of a recursion between cuts: pivots of a year with one battery take 170 µs without cuts, 40 with."""
ROUNDS = 4
"""Equations that lose their column to another try the next one so many times."""


def widest_basis(program: Program) -> tuple[np.ndarray, np.ndarray]:
    """Columns that begin basic, shape (columns,), and rows whose limit begins active, shape (rows,), as booleans."""
    lengths = np.diff(program.matrix.indptr)
    equations = np.flatnonzero((program.row_lower == program.row_upper) & (lengths > 0))
    basic, active = (np.zeros(size, bool) for size in reversed(program.matrix.shape))
    if not equations.size:
        return basic, active
    part = sp.csr_array(program.matrix[equations])
    starts, columns = part.indptr[:-1], part.indices
    width = np.abs(part.data) * (program.upper - program.lower)[columns]
    row = np.repeat(np.arange(equations.size), lengths[equations])
    width[_cut(program, columns, row, _place(program)[equations])] = 0.0
    entry = np.arange(width.size)
    for _ in range(ROUNDS):
        widest = np.maximum.reduceat(width, starts)
        last = np.maximum.reduceat(np.where(width == widest[row], entry, -1), starts)
        solved = np.flatnonzero(widest > 0.0)
        chosen, first = np.unique(columns[last[solved]], return_index=True)
        basic[chosen] = active[equations[solved[first]]] = True
        width[basic[columns] | active[equations][row]] = 0.0
    return basic, active


def _place(program: Program) -> np.ndarray:
    """Place of every row within its rule, shape (rows,)."""
    place = np.zeros(program.matrix.shape[0], int)
    for group in program.rows:
        place[group.span] = np.arange(len(group.positions))
    return place


def _cut(program: Program, columns: np.ndarray, row: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Entries of states carried from step to step, in the rows at which their chain is cut.

    A carried state stands twice in a row: its entries are neighbours there, and of one group.
    """
    group = np.full(program.cost.size, -1)
    for number, declared in enumerate(program.columns):
        group[declared.span] = number
    twin = (np.diff(group[columns]) == 0) & (np.diff(row) == 0) & (group[columns[1:]] >= 0)
    carried = np.append(twin, False) | np.insert(twin, 0, False)
    return np.asarray(carried & (place[row] % LONGEST_CHAIN == 0))


__all__ = ["widest_basis"]
