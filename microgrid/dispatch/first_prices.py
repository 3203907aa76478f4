"""First prices of the rows that months share, from months that each hold a part of them.

*Counted* rows (run hours, throughput) are split by the steps of the months: what one more would save differs little
from month to month, so its mean is the first price and its spread the room that the price has at first. *Planned*
quantities are of whole months and pass from one to the next (capacity of a hall): they are held at the cheapest plan,
and what a little more of them gains in every month prices the rows of the plan. The *cost of other loose columns* (a
billed peak) is shared by the rows they stand in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.compile import Program, linear_program
from microgrid.dispatch.highs import Highs
from microgrid.dispatch.months import STEPWISE, Answer, Months

Vector = np.ndarray
ROOM, ROOM_OWN, ROOM_PLAN = 0.02, 0.25, 0.3
"""First half-widths of the box, in what a unit of a row is worth: a limit may just bind, a cost is to be shared out, a
plan may be another."""
LEAST_ROOM = 0.01
"""The least of these for a counted row, of the usual one, where months agree on its price."""
REWARD = 1e-3
"""What more of a planned quantity without a cost is worth, of the usual cost: a plan holds as much as is free."""


@dataclass(frozen=True)
class FirstPrices:
    """Prices of the meeting rows, room for each to move, and the months' answer in parts, which fits together."""

    prices: Vector
    room: Vector
    answer: Answer | None


@dataclass(frozen=True)
class _Plan:
    """Meeting rows (by place) that hold planned quantities alone, these columns, and all their rows as a program."""

    rows: Vector
    columns: Vector
    program: Program

    def solve(self, cost: Vector) -> tuple[Vector, Vector] | None:
        """The cheapest plan when columns of the year have this cost, and prices of `rows`; None where there is none."""
        if not self.columns.size:
            return np.zeros(0), np.zeros(0)
        outcome = Highs(replace(self.program, cost=cost[self.columns]), relax=True).run()
        if outcome.point is None or outcome.row_duals is None:
            return None
        return outcome.point, outcome.row_duals[: self.rows.size]


def first_prices(months: Months, threads: int) -> FirstPrices:
    """Solve the months once in parts; only costs are shared out, without an answer, where a month has no such part."""
    program, plan = months.program, _plan(months)
    prices, usual = _own_worth(months, plan.columns), _usual(program.cost)
    room = _scale(months, usual) * np.where(prices != 0, ROOM_OWN, ROOM)
    begun = plan.solve(np.where(program.cost == 0.0, -REWARD * usual, program.cost))
    answer = None if begun is None else months.ration(prices, plan.columns, begun[0], threads)
    if answer is None:
        return FirstPrices(prices, room, None)
    counted, shares = np.flatnonzero(months.counted), np.column_stack([month.share for month in months.parts])
    prices[counted] = (shares * answer.counted).sum(axis=1)
    spread = np.where(shares > 0, np.abs(answer.counted - prices[counted][:, None]), 0.0).max(axis=1, initial=0.0)
    room[counted] = np.maximum(spread, LEAST_ROOM * room[counted])
    gains = plan.solve(program.cost - program.matrix.T @ answer.duals)
    if gains is not None:
        prices[plan.rows] = gains[1]
        room[plan.rows] = np.maximum(ROOM_PLAN * np.abs(prices[plan.rows]).max(initial=0.0), ROOM * usual)
    return FirstPrices(prices, room, answer)


def _plan(months: Months) -> _Plan:
    """Quantities of whole months that an equation between months holds, and the rows that hold nothing else."""
    program, matrix = months.program, months.program.matrix
    whole, planned = np.zeros(program.cost.size, bool), np.zeros(program.cost.size, bool)
    for group in program.columns:
        whole[group.span] = group.declaration.index.size < STEPWISE
    equations = months.meeting[months.shared]
    equations = equations[program.row_lower[equations] == program.row_upper[equations]]
    planned[matrix[equations[_only(matrix, whole)[equations]]].indices] = True
    rows = np.flatnonzero(_only(matrix, planned))
    meeting = np.isin(rows, months.meeting)
    rows = np.concatenate([rows[meeting], rows[~meeting]])  # the priced ones first
    columns = np.flatnonzero(planned)
    held = linear_program(
        sp.csr_array(matrix[rows][:, columns]),
        (program.row_lower[rows], program.row_upper[rows]),
        (program.lower[columns], program.upper[columns]),
        program.cost[columns],
    )
    return _Plan(np.searchsorted(months.meeting, rows[: int(meeting.sum())]), columns, held)


def _only(matrix: sp.csr_array, chosen: Vector) -> Vector:
    """Rows that hold chosen columns and nothing else."""
    lengths = np.diff(matrix.indptr)
    row = np.repeat(np.arange(lengths.size), lengths)
    found = np.bincount(row, chosen[matrix.indices], lengths.size)
    return np.asarray((found == lengths) & (lengths > 0))


def _own_worth(months: Months, planned: Vector) -> Vector:
    """The cost of a loose column that is not planned, shared evenly by the rows it stands in.

    Left out is what asks less of it than another row does while months are equal: a ratchet of 80 % of last month's
    peak beside this month's own.
    """
    prices, by_column = np.zeros(months.meeting.size), months.joint.tocsc()
    inside = np.ones(months.program.cost.size)
    inside[months.loose] = 0.0
    asked = -(months.joint @ inside)
    for column in np.setdiff1d(months.loose[months.program.cost[months.loose] > 0], planned):
        span = slice(by_column.indptr[column], by_column.indptr[column + 1])
        here = months.shared[by_column.indices[span]]
        rows, factors = by_column.indices[span][here], by_column.data[span][here]
        if rows.size:
            wanted = asked[rows] / factors
            kept = (wanted <= 0.0) | np.isclose(wanted, wanted.max())
            prices[rows[kept]] += months.program.cost[column] / kept.sum() / factors[kept]
    return prices


def _usual(cost: Vector) -> float:
    return float(np.median(np.abs(cost[cost != 0]))) if cost.any() else 1.0


def _scale(months: Months, usual: float) -> Vector:
    """What a unit of a row is worth by the costs of its columns; the program's usual cost where they have none."""
    cost, joint = months.program.cost, months.joint
    scale = np.full(months.meeting.size, usual)
    for row in np.flatnonzero(months.shared):
        span = slice(joint.indptr[row], joint.indptr[row + 1])
        worth = np.abs(cost[joint.indices[span]] / joint.data[span])
        if worth.any():
            scale[row] = np.median(worth[worth > 0])
    return scale


__all__ = ["FirstPrices", "first_prices"]
