"""Prices of the rows that all months share, so that months solved by themselves do what the year would have them do.

A run hour, a MWh of throughput or a MW of billed peak has one price for the whole year. Each trial of prices gives
every month's best answer; a small program weighs the answers tried so far and names the prices at which they would fit
together (Dantzig and Wolfe 1960), kept within a box around the best prices known (du Merle et al. 1999), since far from
its answers the small program knows nothing. It begins at the prices of `first_prices`. Rows that only neighbours share
are priced like the rows beside them. Any prices give a bound, so no accuracy is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.bound import dual_bound
from microgrid.dispatch.compile import linear_program
from microgrid.dispatch.first_prices import first_prices
from microgrid.dispatch.highs import Highs, Status
from microgrid.dispatch.months import Answer, Months

Vector = np.ndarray
ROUNDS = 12
WIDER, NARROWER = 3.0, 0.5
PIVOTS_SHARE = 3.0
"""Trials end at so many times the pivots of the first answer: beyond, the year mends the rest sooner."""


@dataclass(frozen=True)
class SharedPrices:
    """The months' answer at the best prices, the bound it proves, and how answers would fit together.

    `use` is what each month would take of every meeting row, shape (meeting, months), and `loose` the values of the
    columns that belong to no month, so that their sums keep the shared rows.
    """

    answer: Answer
    bound: float
    use: Vector
    loose: Vector


@dataclass
class _Answers:
    """Cost of every month's answers and use of the meeting rows, one of each a trial."""

    cost: list[Vector] = field(default_factory=list)
    use: list[Vector] = field(default_factory=list)


@dataclass(frozen=True)
class _Weighed:
    """Prices at which the answers fit together, what that would cost, and the weighed answers."""

    prices: Vector
    promise: float
    use: Vector
    loose: Vector


def find_prices(months: Months, threads: int, close: float) -> SharedPrices | None:
    """Prices whose bound lies within a relative `close` of what the answers promise, or the best after some trials.

    None when a month fails by itself. The months are left solved near these prices.
    """
    first, shared, answers = first_prices(months, threads), months.shared, _Answers()
    prices, room = first.prices, first.room[shared]
    if first.answer is not None:
        _keep(months, answers, first.answer.point)
        prices = _beside(months, prices, first.answer.duals)
    best = months.solve(prices, threads)
    if best is None:
        return None
    answer, bound = best, dual_bound(months.program, best.duals)
    allowed = PIVOTS_SHARE * (best.pivots + (first.answer.pivots if first.answer else 0))
    for _ in range(ROUNDS):
        _keep(months, answers, answer.point)
        prices = _beside(months, best.duals[months.meeting], best.duals)
        weighed = _weigh(months, answers, prices, room)
        if weighed is None or weighed.promise - bound <= close * abs(weighed.promise) or allowed < 0:
            break
        prices[shared] = weighed.prices
        trial = months.solve(prices, threads)
        if trial is None:
            break
        answer, reached = trial, dual_bound(months.program, trial.duals)
        allowed -= trial.pivots
        room *= WIDER if reached > bound else NARROWER
        if reached > bound:
            best, bound = trial, reached
    prices = _beside(months, best.duals[months.meeting], best.duals)
    weighed = _weigh(months, answers, prices, np.full(room.size, _most(months)))  # so wide that all fits where it can
    if weighed is None:
        return None
    return SharedPrices(best, bound, weighed.use, weighed.loose)


def _beside(months: Months, prices: Vector, duals: Vector) -> Vector:
    """Prices, those of neighbours' rows replaced by the mean of the rows beside them, of the sign the limit allows."""
    program, there = months.program, months.beside >= 0
    mean = np.where(there, duals[months.beside], 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    mean = np.where(np.isfinite(program.row_lower[months.meeting]), mean, np.minimum(mean, 0.0))
    mean = np.where(np.isfinite(program.row_upper[months.meeting]), mean, np.maximum(mean, 0.0))
    return np.where(months.shared, prices, mean)


def _most(months: Months) -> float:
    return 1e3 * max(1.0, float(np.abs(months.program.cost).max(initial=0.0)))


def _keep(months: Months, answers: _Answers, point: Vector) -> None:
    cost = months.program.cost
    answers.cost.append(np.array([cost[month.columns] @ point[month.columns] for month in months.parts]))
    answers.use.append(months.use(point))


def _weigh(months: Months, answers: _Answers, prices: Vector, room: Vector) -> _Weighed | None:
    """Weigh the answers: what neighbours share is paid for at `prices`, the shared rows are held.

    Columns are the weights of answers, the loose columns, and for every shared row a surplus and a lack that cost the
    edges of the box around its price: their costs are what keeps the prices inside it.
    """
    program, loose, shared = months.program, months.loose, months.shared
    parts, trials, rows, held = len(months.parts), len(answers.cost), int(shared.sum()), months.meeting[shared]
    center, near = prices[shared], np.where(shared, 0.0, prices)
    costs = [cost - near @ use for cost, use in zip(answers.cost, answers.use, strict=True)]
    one_of_each = np.tile(np.eye(parts), trials)
    own = sp.csr_array(months.joint[shared][:, loose]).toarray()
    used = np.hstack([use[shared] for use in answers.use])
    beside = np.zeros((parts, loose.size + 2 * rows))
    matrix = np.block([[used, own, np.eye(rows), -np.eye(rows)], [one_of_each, beside]])
    weights, none = np.zeros(parts * trials), np.zeros(2 * rows)
    small = linear_program(
        sp.csr_array(matrix),
        (np.append(program.row_lower[held], np.ones(parts)), np.append(program.row_upper[held], np.ones(parts))),
        (
            np.concatenate([weights, program.lower[loose], none]),
            np.concatenate([weights + np.inf, program.upper[loose], none + np.inf]),
        ),
        np.concatenate([*costs, months.reduced_cost(near)[loose], center + room, room - center]),
        program.offset + _paid(months, near),
    )
    outcome = Highs(small, relax=True).run()
    if outcome.status is not Status.OPTIMAL or outcome.row_duals is None or outcome.point is None:
        return None
    weight = outcome.point[: weights.size].reshape(trials, parts)
    use = np.sum([use * weight[trial] for trial, use in enumerate(answers.use)], axis=0)
    return _Weighed(outcome.row_duals[:rows], outcome.objective, use, outcome.point[weights.size :][: loose.size])


def _paid(months: Months, prices: Vector) -> float:
    """What the prices say of the limits of their rows."""
    lower, upper = months.program.row_lower[months.meeting], months.program.row_upper[months.meeting]
    limit = np.where(prices > 0, lower, np.where(prices < 0, upper, 0.0))
    return float(prices @ limit)


__all__ = ["SharedPrices", "find_prices"]
