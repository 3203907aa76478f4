"""Decisions made by month, settled month by month at the prices of what months share.

A relaxation mixes the sides of a monthly decision, and its bound overstates every month a little. At given prices the
months are independent, so each is solved with its decisions one way and the other (at most the integer below, at least
that above), and the cheaper counts: what the months' cheaper sides cost in sum is a bound too (Geoffrion 1974: the
Lagrangian bound of a program whose months keep their integers), and these sides are where to look for a point.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import numpy as np

from microgrid.dispatch.bound import dual_bound
from microgrid.dispatch.highs import Status
from microgrid.dispatch.months import Month, Months
from microgrid.dispatch.repair import fractional
from microgrid.dispatch.shared_prices import SharedPrices

TOGETHER = 3
"""So many decisions of a month are looked at together, in 2^3 programs; of others the relaxation holds."""
Vector = np.ndarray
Sides = tuple[float, dict[int, float]]
"""A bound of the year when one month decides, and its decisions (column to value)."""


def settle_by_month(months: Months, found: SharedPrices, few: Vector, threads: int = 2) -> Sides:
    """Bound of the year when every month decides for itself, and the decisions; `few` are integer columns.

    A month of which the solver leaves a side unsolved, or that it finds impossible either way, decides nothing.
    """
    answer = months.solve(found.answer.duals[months.meeting], threads)  # the last trial need not be the best
    if answer is None or not np.isfinite(found.bound):
        return found.bound, {}
    loose = np.intersect1d(few, fractional(months.program, answer.point))

    def one(month: Month) -> Sides:
        columns = np.intersect1d(loose, month.columns)[:TOGETHER]
        if not columns.size:
            return found.bound, {}
        between = answer.point[columns]
        sides = [_side(months, found, month, (columns, between), chosen) for chosen in _halves(between)]
        best = min(sides, key=lambda side: side[0])
        return best if best[1] and np.isfinite(best[0]) else (found.bound, {})

    with ThreadPoolExecutor(threads) as pool:
        settled = list(pool.map(one, months.parts))
    decisions = {column: value for _, decided in settled for column, value in decided.items()}
    return found.bound + sum(max(0.0, bound - found.bound) for bound, _ in settled), decisions


def _halves(values: Vector) -> Iterator[Vector]:
    """Every way of taking the integer below or above each value."""
    for ways in product((0.0, 1.0), repeat=values.size):
        yield np.floor(values) + np.array(ways)


def _side(months: Months, found: SharedPrices, month: Month, between: tuple[Vector, Vector], chosen: Vector) -> Sides:
    """The month with decisions (columns, values) on one side: at most the integer below, or at least that above."""
    program, solver, (columns, values) = months.program, month.solver, between
    above = chosen > values
    lower, upper = program.lower.copy(), program.upper.copy()
    lower[columns], upper[columns] = np.where(above, chosen, lower[columns]), np.where(above, upper[columns], chosen)
    places = np.searchsorted(month.columns, columns)
    solver.bounds(places, lower[columns], upper[columns])
    outcome = solver.run()
    solver.bounds(places, program.lower[columns], program.upper[columns])
    if outcome.status is Status.INFEASIBLE:
        return np.inf, {}
    if outcome.status is not Status.OPTIMAL or outcome.row_duals is None:
        return found.bound, {}
    duals = found.answer.duals.copy()
    duals[month.rows] = outcome.row_duals[: month.rows.size]
    bound = dual_bound(replace(program, lower=lower, upper=upper), duals)
    return bound, dict(zip(columns.tolist(), chosen.tolist(), strict=True))


__all__ = ["settle_by_month"]
