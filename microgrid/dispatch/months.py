"""A year's program taken apart into months: what lies inside one, and the rows and columns in which they meet.

Months meet in two ways. *Neighbours* share the state at midnight of the first: stored energy, running units, ramps, a
week of work. *All* share what is counted over the year: run hours, throughput, a ratchet's highest peak, capacity that
stays. Only the latter are worth a price (`shared_prices`); the former are few and settled last.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.compile import Program, linear_program
from microgrid.dispatch.highs import Highs, Status

LOOSE = -1
STEPWISE = 200
"""A quantity with as many positions runs along the steps; one with fewer is counted by month, cycle or year."""
Vector = np.ndarray


@dataclass
class Month:
    """Columns and rows of one month by their places in the year, and the solver that holds them."""

    columns: Vector
    rows: Vector
    solver: Highs


@dataclass(frozen=True)
class Months:
    """A program in months: `meeting` rows join several or hold a loose column, `loose` columns belong to none.

    `shared` marks the meeting rows in which all months take part; `joint` are the meeting rows of the matrix.
    """

    program: Program
    parts: tuple[Month, ...]
    meeting: Vector
    shared: Vector
    joint: sp.csr_array
    loose: Vector

    def solve(self, prices: Vector, threads: int) -> tuple[Vector, int] | None:
        """Solve every month with the meeting rows priced instead of held; the point and the pivots, None on failure.

        `prices` are duals of the meeting rows: a month pays ``(c - A^T prices) x``.
        """
        cost = self.reduced_cost(prices)

        def one(month: Month) -> tuple[Vector, int] | None:
            month.solver.minimise(cost[month.columns], 0.0)  # from the old optimum, whose basis HiGHS keeps
            outcome = month.solver.run()
            if outcome.status is not Status.OPTIMAL or outcome.point is None:
                return None
            return outcome.point, month.solver.pivots

        with ThreadPoolExecutor(threads) as pool:  # HiGHS releases the interpreter lock while it runs
            found = list(pool.map(one, self.parts))
        point, pivots = np.zeros(cost.size), 0
        point[self.loose] = self.resting(cost)
        for month, result in zip(self.parts, found, strict=True):
            if result is None:
                return None  # a month that fails by itself says nothing about the year
            point[month.columns] = result[0]
            pivots += result[1]
        return point, pivots

    def reduced_cost(self, prices: Vector) -> Vector:
        """Cost of every column when the meeting rows are paid for."""
        return np.asarray(self.program.cost - self.joint.T @ prices)

    def resting(self, cost: Vector) -> Vector:
        """Value at which every loose column rests at this cost: its cheaper bound, or the finite one."""
        lower, upper = self.program.lower[self.loose], self.program.upper[self.loose]
        own = np.abs(self.program.cost[self.loose])
        rises = (cost[self.loose] < -1e-7 * (1.0 + own)) & np.isfinite(upper)
        return np.where(rises, upper, np.where(np.isfinite(lower), lower, np.where(np.isfinite(upper), upper, 0.0)))


def take_apart(program: Program, options: dict[str, object]) -> Months:
    """Split a program by the months of its steps; `options` are those of every month's solver."""
    month = _months_of_columns(program)
    first, last = _months_of_rows(program, month)
    meets = (first != last) | (last < 0)
    row = np.repeat(np.arange(program.matrix.shape[0]), np.diff(program.matrix.indptr))
    meets[row[month[program.matrix.indices] == LOOSE]] = True
    meeting = np.flatnonzero(meets)
    joint = sp.csr_array(program.matrix[meeting])
    parts = []
    for place in range(int(program.months.max()) + 1):
        columns, rows = np.flatnonzero(month == place), np.flatnonzero(~meets & (first == place))
        part = linear_program(
            sp.csr_array(program.matrix[rows][:, columns]),
            (program.row_lower[rows], program.row_upper[rows]),
            (program.lower[columns], program.upper[columns]),
            program.cost[columns],
        )
        parts.append(Month(columns, rows, Highs(part, relax=True, options={"presolve": "off", **options})))
    shared = _shared(program, joint, month)
    return Months(program, tuple(parts), meeting, shared, joint, np.flatnonzero(month == LOOSE))


def _months_of_columns(program: Program) -> Vector:
    """Month of every column: by its step where it has one, else by the month that holds most of its rows.

    A column whose rows do not lie mostly in one month (a billed peak that all months may set) is loose.
    """
    month = np.full(program.cost.size, LOOSE)
    edges = np.append(program.months, program.months[-1])
    for group in program.columns:
        if group.declaration.index.name in {"time", "edge"}:
            month[group.span] = edges[: group.declaration.index.size]
    by_column = program.matrix.tocsc()
    first, last = _months_of_rows(program, month)
    for column in np.flatnonzero(month == LOOSE):
        rows = by_column.indices[by_column.indptr[column] : by_column.indptr[column + 1]]
        inside = first[rows][(first[rows] == last[rows]) & (first[rows] >= 0)]
        if inside.size and np.bincount(inside).max() >= 0.5 * rows.size:
            month[column] = np.bincount(inside).argmax()
    return month


def _months_of_rows(program: Program, column_month: Vector) -> tuple[Vector, Vector]:
    """Earliest and latest month among the columns of every row (loose columns do not count)."""
    matrix = program.matrix
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    month = column_month[matrix.indices]
    known = month >= 0
    first = np.full(matrix.shape[0], np.iinfo(np.int64).max)
    last = np.full(matrix.shape[0], LOOSE)
    np.minimum.at(first, row[known], month[known])
    np.maximum.at(last, row[known], month[known])
    return np.where(last < 0, LOOSE, first), last


def _shared(program: Program, joint: sp.csr_array, month: Vector) -> Vector:
    """Meeting rows in which more than two neighbours take part, or that hold only what is counted by month or year."""
    stepwise, count = np.zeros(month.size, bool), int(program.months.max()) + 1
    for group in program.columns:
        stepwise[group.span] = group.declaration.index.size >= STEPWISE
    found = np.zeros(joint.shape[0], bool)
    for row in range(joint.shape[0]):
        columns = joint.indices[joint.indptr[row] : joint.indptr[row + 1]]
        months = np.unique(month[columns][month[columns] >= 0])
        near = months.size < 2 or (months.size == 2 and months[1] - months[0] in {1, count - 1})
        found[row] = not (near and stepwise[columns].any())
    return found


__all__ = ["LOOSE", "Month", "Months", "take_apart"]
