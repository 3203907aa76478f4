"""Start a year's relaxation from the bases of its months.

The simplex method needs far more than twelve times the work of a month for a year. Months are nearly independent:
they meet in stored energy, commitment and a few yearly rows. So each month is solved by itself, and the year starts
from their bases put side by side, with the rows between months basic. The optimum is the year's own either way; only
the way there is shorter (measured in `tests/benchmarks/bench_solve.py`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import highspy
import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.compile import Program
from microgrid.dispatch.highs import Highs, Status

FEWEST_STEPS = 2000
"""Below this many steps the relaxation is solved at once: the months save nothing."""
LOWER, BASIC = highspy.HighsBasisStatus.kLower, highspy.HighsBasisStatus.kBasic
NOWHERE = -1


@dataclass(frozen=True)
class _Month:
    """Columns and rows of one month, and their basis statuses."""

    columns: np.ndarray
    rows: np.ndarray
    column_status: list[highspy.HighsBasisStatus]
    row_status: list[highspy.HighsBasisStatus]


def start_from_months(program: Program, solver: Highs, threads: int = 2) -> None:
    """Give `solver`, which holds the relaxation of `program`, a starting basis; do nothing where it would not help."""
    count = int(program.months.max(initial=0)) + 1
    if program.months.size < FEWEST_STEPS or count < 3:
        return
    column_month = _months_of_columns(program)
    first, last = _months_of_rows(program, column_month)
    with ThreadPoolExecutor(threads) as pool:  # HiGHS releases the interpreter lock while it runs
        months = list(pool.map(lambda month: _solve_month(program, column_month, first, last, month), range(count)))
    if any(month is None for month in months):
        return  # a month that fails by itself says nothing about the year
    height, width = program.matrix.shape
    columns, rows = [LOWER] * width, [BASIC] * height
    for month in months:
        assert month is not None  # noqa: S101 - checked above
        for place, status in zip(month.columns.tolist(), month.column_status, strict=True):
            columns[place] = status
        for place, status in zip(month.rows.tolist(), month.row_status, strict=True):
            rows[place] = status
    basis = highspy.HighsBasis()
    basis.col_status, basis.row_status, basis.valid, basis.alien = columns, rows, True, True
    solver.solver.setBasis(basis)


def _months_of_columns(program: Program) -> np.ndarray:
    """Month of every column: by its step where it has one, else by most of the rows it stands in."""
    month = np.full(program.cost.size, NOWHERE)
    edges = np.append(program.months, program.months[-1])
    for group in program.columns:
        if group.declaration.index.name in {"time", "edge"}:
            month[group.span] = edges[: group.declaration.index.size]
    by_column = program.matrix.tocsc()
    first, last = _months_of_rows(program, month)
    for column in np.flatnonzero(month == NOWHERE):
        rows = by_column.indices[by_column.indptr[column] : by_column.indptr[column + 1]]
        inside = first[rows][(first[rows] == last[rows]) & (first[rows] >= 0)]
        if inside.size:
            month[column] = np.bincount(inside).argmax()
    return month


def _months_of_rows(program: Program, column_month: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Earliest and latest month among the columns of every row (columns without a month do not count)."""
    matrix = program.matrix
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    month = column_month[matrix.indices]
    known = month >= 0
    first = np.full(matrix.shape[0], np.iinfo(np.int64).max)
    last = np.full(matrix.shape[0], NOWHERE)
    np.minimum.at(first, row[known], month[known])
    np.maximum.at(last, row[known], month[known])
    return np.where(last < 0, NOWHERE, first), last


def _solve_month(
    program: Program, column_month: np.ndarray, first: np.ndarray, last: np.ndarray, month: int
) -> _Month | None:
    columns = np.flatnonzero(column_month == month)
    rows = np.flatnonzero((first == month) & (last == month))
    part = replace(
        program,
        matrix=sp.csr_array(program.matrix[rows][:, columns]),
        row_lower=program.row_lower[rows], row_upper=program.row_upper[rows],
        lower=program.lower[columns], upper=program.upper[columns], cost=program.cost[columns],
        integer=np.zeros(columns.size, bool), columns=(), rows=(), pairs=(), counts=(),
    )  # fmt: skip
    solver = Highs(part, options={"presolve": "off"})
    if solver.run().status is not Status.OPTIMAL:
        return None
    basis = solver.solver.getBasis()
    return _Month(columns, rows, list(basis.col_status), list(basis.row_status))


__all__ = ["start_from_months"]
