"""A year's program taken apart into months: what lies inside one, and the rows and columns in which they meet.

Months meet in two ways. *Neighbours* share the state at midnight of the first: stored energy, running units, ramps, a
week of work; a step before or after there is a row of the same rule inside a month. *All* share what is counted over
the year: run hours, throughput, a ratchet's highest peak, capacity that stays. Prices for the former are read from the
steps beside them, for the latter they are sought (`shared_prices`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import highspy
import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.compile import Program, linear_program
from microgrid.dispatch.highs import Basis, Highs, Outcome, Status

LOOSE = -1
STEPWISE = 200
"""A quantity with as many positions runs along the steps; one with fewer is counted by month, cycle or year."""
MANY = 24
"""A quantity that stands in so many rows of a month, none of them an equation, is a peak."""
ABOVE = 1.05
"""Peaks are held a little above those of the month before: too high costs fewer pivots than too low."""
BASIC = highspy.HighsBasisStatus.kBasic
Vector = np.ndarray


@dataclass
class Month:
    """Columns and rows of one month by their places in the year, and the solver that holds them.

    The solver may hold more after these: the month's part of the counted rows, of which a ration gives it `share`.
    `limits` are the bounds of its columns. Peaks stand at the places `peaks` of its columns, one of each of `kinds`
    (places of declared quantities), and are `reached` (kind to value) by its last answer, which took so many `pivots`.
    """

    columns: Vector
    rows: Vector
    solver: Highs
    share: Vector
    limits: tuple[Vector, Vector]
    peaks: Vector
    kinds: Vector
    reached: dict[int, float] = field(default_factory=dict)
    pivots: int = 0

    def run(self, before: Month | None) -> Outcome:
        """Solve; the first time with the peaks held near those of the month before, then free.

        While a peak is basic, a pivot touches every step that is at the peak; most of the way goes without.
        """
        known = before.reached if before is not None and not self.reached else {}
        guess = np.array([known.get(kind, np.nan) for kind in self.kinds.tolist()])
        near, self.pivots = self.peaks[~np.isnan(guess)], 0
        if near.size:
            lower, upper = (side[near] for side in self.limits)
            held = np.clip(ABOVE * guess[~np.isnan(guess)], lower, upper)
            self.solver.bounds(near, held, held)
            self.solver.run()
            self.pivots += self.solver.pivots
            self.solver.bounds(near, lower, upper)
        outcome = self.solver.run()
        self.pivots += self.solver.pivots
        if outcome.point is not None:
            self.reached = dict(zip(self.kinds.tolist(), outcome.point[self.peaks].tolist(), strict=True))
        return outcome

    def start_from_basis(self, columns: Vector, rows: Vector) -> None:
        """Start from statuses of its own columns and rows, the counted rows basic."""
        self.solver.start_from_basis(columns, np.append(rows, np.full(self.share.size, BASIC, dtype=object)))

    def basis(self) -> Basis:
        """Statuses of its own columns and rows."""
        columns, rows = self.solver.basis()
        return columns[: self.columns.size], rows[: self.rows.size]

    def hold(self, counted: tuple[Vector, Vector], lower: Vector, upper: Vector) -> None:
        """Set the limits of the counted rows and the bounds of the columns."""
        self.limits = lower, upper
        self.solver.limits(self.rows.size + np.arange(self.share.size), *counted)
        self.solver.bounds(np.arange(self.columns.size), lower, upper)


@dataclass(frozen=True)
class Answer:
    """What the months do at some prices: a point of the year, the pivots it took, and duals.

    `duals` has one of every row, of a meeting row its price; `counted` those of the counted rows, shape (rows, months).
    """

    point: Vector
    pivots: int
    duals: Vector
    counted: Vector


@dataclass(frozen=True)
class Months:
    """A program in months: `meeting` rows join several or hold a loose column, `loose` columns belong to none.

    `joint` are the meeting rows of the matrix. Of them `shared` marks what more than neighbours share, and of these
    `counted` sums of steps. `beside` are the rows inside months before and after each by the same rule, shape
    (2, meeting), -1 where there is none.
    """

    program: Program
    parts: tuple[Month, ...]
    meeting: Vector
    joint: sp.csr_array
    shared: Vector
    counted: Vector
    beside: Vector
    loose: Vector

    def solve(self, prices: Vector, threads: int) -> Answer | None:
        """Solve every month with the meeting rows priced instead of held; None when one fails by itself.

        `prices` are duals of the meeting rows: a month pays ``(c - A^T prices) x``.
        """
        cost = self.reduced_cost(prices)

        def some(places: Vector) -> list[Outcome]:
            outcomes: list[Outcome] = []
            for place in places:
                month = self.parts[place]
                month.solver.minimise(cost[month.columns], 0.0)  # from the old optimum, whose basis HiGHS keeps
                outcomes.append(month.run(self.parts[place - 1] if outcomes else None))
            return outcomes

        spans = np.array_split(np.arange(len(self.parts)), threads)
        with ThreadPoolExecutor(threads) as pool:  # HiGHS releases the interpreter lock while it runs
            found = [outcome for outcomes in pool.map(some, spans) for outcome in outcomes]
        point, duals = np.zeros(cost.size), np.zeros(self.program.matrix.shape[0])
        point[self.loose], duals[self.meeting] = self.resting(cost), prices
        counted = np.zeros((int(self.counted.sum()), len(self.parts)))
        for place, (month, outcome) in enumerate(zip(self.parts, found, strict=True)):
            if outcome.status is not Status.OPTIMAL or outcome.point is None or outcome.row_duals is None:
                return None  # a month that fails by itself says nothing about the year
            point[month.columns] = outcome.point
            duals[month.rows], counted[:, place] = np.split(outcome.row_duals, [month.rows.size])
        return Answer(point, sum(month.pivots for month in self.parts), duals, counted)

    def ration(self, prices: Vector, held: Vector, values: Vector, threads: int) -> Answer | None:
        """Solve with each month's share of what is counted, and with columns `held` at `values`.

        Afterwards nothing is rationed or held.
        """
        program, rows = self.program, self.meeting[self.counted]
        lower, upper = program.lower.copy(), program.upper.copy()
        lower[held] = upper[held] = values
        free = np.full(rows.size, np.inf)
        for month in self.parts:
            part = month.share > 0.0
            least, most = -free, free.copy()
            least[part], most[part] = (
                month.share[part] * side[rows[part]] for side in (program.row_lower, program.row_upper)
            )
            month.hold((least, most), lower[month.columns], upper[month.columns])
        answer = self.solve(prices, threads)
        for month in self.parts:
            month.hold((-free, free), program.lower[month.columns], program.upper[month.columns])
        return answer

    def reduced_cost(self, prices: Vector) -> Vector:
        """Cost of every column when the meeting rows are paid for."""
        return np.asarray(self.program.cost - self.joint.T @ prices)

    def use(self, point: Vector) -> Vector:
        """What each month takes of the meeting rows at a point of the year, shape (meeting, months)."""
        return np.column_stack([self.joint[:, month.columns] @ point[month.columns] for month in self.parts])

    def resting(self, cost: Vector) -> Vector:
        """Value at which every loose column rests at this cost: its cheaper bound, or the finite one."""
        lower, upper = self.program.lower[self.loose], self.program.upper[self.loose]
        own = np.abs(self.program.cost[self.loose])
        rises = (cost[self.loose] < -1e-7 * (1.0 + own)) & np.isfinite(upper)
        return np.where(rises, upper, np.where(np.isfinite(lower), lower, np.where(np.isfinite(upper), upper, 0.0)))


def take_apart(program: Program, options: Mapping[str, object], until: float = math.inf) -> Months:
    """Split a program by the months of its steps; every month's solver has these options and ends at `until`."""
    month = _months_of_columns(program)
    first, last = _months_of_rows(program, month)
    meets = (first != last) | (last < 0)
    row = np.repeat(np.arange(program.matrix.shape[0]), np.diff(program.matrix.indptr))
    meets[row[month[program.matrix.indices] == LOOSE]] = True
    meeting = np.flatnonzero(meets)
    joint = sp.csr_array(program.matrix[meeting])
    joint.eliminate_zeros()
    beside = _beside(program, meets)
    shared, shares = _shared(program, joint, month, np.asarray((beside >= 0).any(axis=0)))
    counted = np.asarray(shares.any(axis=1))
    added, free = meeting[counted], np.full(int(counted.sum()), np.inf)
    parts = []
    for place in range(int(program.months.max()) + 1):
        columns, rows = np.flatnonzero(month == place), np.flatnonzero(~meets & (first == place))
        part = linear_program(
            sp.csr_array(program.matrix[np.append(rows, added)][:, columns]),
            (np.append(program.row_lower[rows], -free), np.append(program.row_upper[rows], free)),
            (program.lower[columns], program.upper[columns]),
            program.cost[columns],
        )
        solver = Highs(part, relax=True, options={"presolve": "off", **options}, until=until)
        peaks, kinds = _peaks(program, columns, rows)
        parts.append(Month(columns, rows, solver, shares[counted, place], (part.lower, part.upper), peaks, kinds))
    return Months(program, tuple(parts), meeting, joint, shared, counted, beside, np.flatnonzero(month == LOOSE))


def _peaks(program: Program, columns: Vector, rows: Vector) -> tuple[Vector, Vector]:
    """Places of a month's peaks among its columns, and the declared quantities they are of."""
    starts = np.array([group.start for group in program.columns])
    kinds = np.searchsorted(starts, columns, side="right") - 1
    sizes = np.array([group.declaration.index.size for group in program.columns])
    places = np.flatnonzero(sizes[kinds] < STEPWISE)
    part = program.matrix[rows][:, columns[places]].tocsc()
    equal = (program.row_lower == program.row_upper)[rows]
    found = [span.size >= MANY and not equal[span].any() for span in np.split(part.indices, part.indptr[1:-1])]
    peaks = places[np.flatnonzero(found)]
    return peaks, kinds[peaks]


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


def _beside(program: Program, meets: Vector) -> Vector:
    """Nearest rows of the same rule inside a month, before and after each row that meets, shape (2, meeting), or -1."""
    height = meets.size
    start, stop = np.full(height, height), np.zeros(height, int)
    for group in program.rows:
        start[group.span], stop[group.span] = group.span.start, group.span.stop
    places = np.arange(height)
    before = np.maximum.accumulate(np.where(meets, -1, places))
    after = np.minimum.accumulate(np.where(meets, height, places)[::-1])[::-1]
    return np.stack([np.where(before >= start, before, -1), np.where(after < stop, after, -1)])[:, meets]


def _shared(program: Program, joint: sp.csr_array, month: Vector, has_beside: Vector) -> tuple[Vector, Vector]:
    """Meeting rows that more than neighbours share, and each month's share of those that are sums of steps.

    A sum over two neighbours that no row beside it can price is taken for shared. Shares, shape (meeting, months), go
    by the size of the entries and are zero in rows that are no sums.
    """
    stepwise, count = np.zeros(month.size, bool), int(program.months.max()) + 1
    for group in program.columns:
        stepwise[group.span] = group.declaration.index.size >= STEPWISE
    shared, shares = np.zeros(joint.shape[0], bool), np.zeros((joint.shape[0], count))
    for row in range(joint.shape[0]):
        span = slice(joint.indptr[row], joint.indptr[row + 1])
        columns, factors = joint.indices[span], joint.data[span]
        months = np.unique(month[columns][month[columns] >= 0])
        near = months.size < 2 or (months.size == 2 and months[1] - months[0] in {1, count - 1})
        adds_up = months.size > 1 and stepwise[columns].all() and np.ptp(np.sign(factors)) == 0
        shared[row] = not (near and stepwise[columns].any()) or (adds_up and not has_beside[row])
        if shared[row] and adds_up:
            shares[row] = np.bincount(month[columns], np.abs(factors), count) / np.abs(factors).sum()
    return shared, shares


__all__ = ["LOOSE", "STEPWISE", "Answer", "Month", "Months", "take_apart"]
