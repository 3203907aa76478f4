"""Prices of the rows that all months share, so that months solved by themselves do what the year would have them do.

A run hour, a MWh of throughput or a MW of billed peak has one price for the whole year. Each trial of prices gives
every month's best answer; a small program weighs the answers tried so far and names the prices at which they would fit
together (Dantzig and Wolfe 1960), kept within a box around the best prices known (du Merle et al. 1999), since far from
its answers the small program knows nothing. Any prices give a bound, and the year only starts from them, so no accuracy
is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.compile import linear_program
from microgrid.dispatch.highs import Highs, Status
from microgrid.dispatch.months import Months

Vector = np.ndarray
ROUNDS = 12
CLOSE = 3e-5
"""Relative distance of the bound from what the answers promise, at which the rest is left to the year."""
FIRST_STEP, FIRST_STEP_OWN = 0.02, 0.25
"""First half-widths of the box, in what a unit of a row is worth: a limit may just bind, a cost is to be shared out."""
WIDER, NARROWER = 3.0, 0.5
PIVOTS_SHARE = 3.0
"""Trials end at so many times the pivots of the first: 200 s of CPU for four months of every program, 227 s with 1."""


@dataclass
class _Answers:
    """Cost and use of the shared rows of every month's answers, one of each a trial."""

    cost: list[Vector] = field(default_factory=list)
    use: list[Vector] = field(default_factory=list)


def find_prices(months: Months, threads: int) -> Vector | None:
    """Prices of the meeting rows, zero where only neighbours meet; None when a month fails by itself.

    The months are left solved at these prices.
    """
    prices = _own_worth(months)
    solved = months.solve(prices, threads)
    if solved is None:
        return None
    if not months.shared.any():
        return prices
    point, first_pivots = solved
    answers, shared = _Answers(), np.flatnonzero(months.shared)
    best, best_prices, bound = True, prices.copy(), _bound(months, prices, point)
    step = (_scale(months) * np.where(prices != 0, FIRST_STEP_OWN, FIRST_STEP))[shared]
    spent = 0
    for _ in range(ROUNDS):
        _keep(months, answers, point)
        trial, promise, fits = _weigh(months, answers, best_prices[shared], step)
        if trial is None or (fits and promise - bound <= CLOSE * abs(bound)) or spent > PIVOTS_SHARE * first_pivots:
            break
        prices = best_prices.copy()
        prices[shared] = trial
        solved = months.solve(prices, threads)
        if solved is None:
            break
        point, pivots = solved
        spent += pivots
        reached = _bound(months, prices, point)
        best = reached > bound
        step *= WIDER if best else NARROWER
        if best:
            bound, best_prices = reached, prices
    if not best and months.solve(best_prices, threads) is None:
        return None
    return best_prices


def _own_worth(months: Months) -> Vector:
    """First prices: the cost of a loose column, shared evenly by the rows it stands in.

    Left out is what asks less of it than another row does while months are equal: a ratchet of 80 % of last month's
    peak beside this month's own.
    """
    prices, by_column = np.zeros(months.meeting.size), months.joint.tocsc()
    inside = np.ones(months.program.cost.size)
    inside[months.loose] = 0.0
    asked = -(months.joint @ inside)
    for column in months.loose[months.program.cost[months.loose] > 0]:
        span = slice(by_column.indptr[column], by_column.indptr[column + 1])
        here = months.shared[by_column.indices[span]]
        rows, factors = by_column.indices[span][here], by_column.data[span][here]
        if rows.size:
            wanted = asked[rows] / factors
            kept = (wanted <= 0.0) | np.isclose(wanted, wanted.max())
            prices[rows[kept]] += months.program.cost[column] / kept.sum() / factors[kept]
    return prices


def _scale(months: Months) -> Vector:
    """What a unit of a row is worth by the costs of its columns; the program's usual cost where they have none."""
    cost, joint = months.program.cost, months.joint
    usual = np.median(np.abs(cost[cost != 0])) if cost.any() else 1.0
    scale = np.full(months.meeting.size, usual)
    for row in np.flatnonzero(months.shared):
        span = slice(joint.indptr[row], joint.indptr[row + 1])
        worth = np.abs(cost[joint.indices[span]] / joint.data[span])
        if worth.any():
            scale[row] = np.median(worth[worth > 0])
    return scale


def _bound(months: Months, prices: Vector, point: Vector) -> float:
    """Lower bound of the year: what the months cost at these prices, and what the prices say of the rows' limits."""
    program = months.program
    lower, upper = program.row_lower[months.meeting], program.row_upper[months.meeting]
    limit = np.where(prices > 0, np.where(np.isfinite(lower), lower, 0.0), np.where(np.isfinite(upper), upper, 0.0))
    return float(months.reduced_cost(prices) @ point + prices @ limit + program.offset)


def _keep(months: Months, answers: _Answers, point: Vector) -> None:
    joint, cost = months.joint[months.shared], months.program.cost
    owner = np.full(cost.size, len(months.parts))
    for place, month in enumerate(months.parts):
        owner[month.columns] = place
    count = len(months.parts) + 1
    paid = np.bincount(owner, weights=cost * point, minlength=count)
    row = np.repeat(np.arange(joint.shape[0]), np.diff(joint.indptr))
    place = row * count + owner[joint.indices]
    use = np.bincount(place, weights=joint.data * point[joint.indices], minlength=joint.shape[0] * count)
    answers.cost.append(paid[:-1])
    answers.use.append(use.reshape(joint.shape[0], count)[:, :-1])


def _weigh(months: Months, answers: _Answers, center: Vector, step: Vector) -> tuple[Vector | None, float, bool]:
    """Prices at which the answers fit together, what the year would then cost, and whether they truly fit.

    Columns are the weights of answers, the loose columns, and for every row a surplus and a lack that cost the edge of
    the box: their costs are what keeps the prices inside it.
    """
    program, loose, rows = months.program, months.loose, int(months.shared.sum())
    parts, trials = len(months.parts), len(answers.cost)
    one_of_each = np.tile(np.eye(parts), trials)
    own = sp.csr_array(months.joint[months.shared][:, loose]).toarray()
    beside = np.zeros((parts, loose.size + 2 * rows))
    matrix = np.block([[np.hstack(answers.use), own, np.eye(rows), -np.eye(rows)], [one_of_each, beside]])
    free, none = np.full(parts * trials, np.inf), np.zeros(2 * rows)
    held = months.meeting[months.shared]
    lowest = np.concatenate([np.zeros(free.size), program.lower[loose], none])
    highest = np.concatenate([free, program.upper[loose], np.full(2 * rows, np.inf)])
    small = linear_program(
        sp.csr_array(matrix),
        (np.append(program.row_lower[held], np.ones(parts)), np.append(program.row_upper[held], np.ones(parts))),
        (lowest, highest),
        np.concatenate([*answers.cost, program.cost[loose], center + step, step - center]),
        program.offset,
    )
    outcome = Highs(small, relax=True).run()
    if outcome.status is not Status.OPTIMAL or outcome.row_duals is None or outcome.point is None:
        return None, 0.0, False
    off = outcome.point[-2 * rows :]
    return outcome.row_duals[:rows], outcome.objective, bool(off @ np.tile(step, 2) <= CLOSE * abs(outcome.objective))


__all__ = ["find_prices"]
