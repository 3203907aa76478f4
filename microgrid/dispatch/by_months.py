"""Solve a large year by its months alone: a bound from prices, points from months in sequence.

The simplex method takes a year at once longer than its twelve months, with every program many times longer, also from
their bases. But that is not needed: prices of what months share prove a bound (`shared_prices`, weak duality), and
months in sequence give points (`sequence`), first of the relaxation, then with integers rounded. Where their gap is
small enough nothing else is needed either; if not, the year is solved at once after all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.compile import Program
from microgrid.dispatch.crash import DEVEX, first_bases
from microgrid.dispatch.exclusive import decided_sides
from microgrid.dispatch.few_integers import few_integers
from microgrid.dispatch.highs import Outcome, give_back_memory
from microgrid.dispatch.months import Months, take_apart
from microgrid.dispatch.repair import INTEGRAL, THRESHOLDS, decide, fractional, out_of_reach
from microgrid.dispatch.sequence import Link, chain, in_sequence
from microgrid.dispatch.shared_prices import SharedPrices, find_prices

MANY_ROWS = 50_000
"""From so many rows on a year is solved by its months; decision 0008 has the times."""
MOST_LOOSE = 200
"""Rows between neighbours with a column that belongs to no month (a yearly peak over every hour) are not priced well:
with more of them the months say little."""
CLOSE_SHARE = 0.3
"""Part of the gap asked that the prices may leave: sequence and rounding take about as much."""


@dataclass(frozen=True)
class Apart:
    """A year in months at prices that prove a bound, with what months have `decided` (column to value)."""

    months: Months
    found: SharedPrices
    decided: dict[int, float] = field(default_factory=dict)


def has_many_rows(program: Program) -> bool:
    """Whether the program is to be solved by its months, of which it has at least three."""
    return program.matrix.shape[0] >= MANY_ROWS and int(program.months.max(initial=0)) >= 2


def priced_months(program: Program, gap: float, until: float = math.inf, threads: int = 2) -> Apart | None:
    """Months at prices close enough for `gap`, with no run later than `until`.

    None when months say little or one fails by itself.
    """
    months = take_apart(program, DEVEX, until)
    unpriced = months.joint[~months.shared][:, months.loose]
    if np.count_nonzero(np.diff(sp.csr_array(unpriced).indptr)) > MOST_LOOSE:
        return None
    first_bases(program, months)
    found = find_prices(months, threads, CLOSE_SHARE * gap)
    return None if found is None else Apart(months, found)


def few_to_settle(apart: Apart) -> np.ndarray:
    """Decisions by month that the months' answer mixes."""
    program, point = apart.months.program, apart.found.answer.point
    return np.intersect1d(few_integers(program, decided_sides(program, point)), fractional(program, point))


def points(apart: Apart) -> Iterator[Outcome]:
    """Yield integral points: the relaxation's where it is one, else one for every threshold that leads to one."""
    program, months = apart.months.program, apart.months
    links = chain(months, apart.found, DEVEX)
    give_back_memory()  # of the months' own solvers
    lower, upper = program.lower.copy(), program.upper.copy()
    for column, value in apart.decided.items():
        lower[column] = upper[column] = value
    relaxed = in_sequence(months, links, apart.found, (lower, upper), apart.found.use)
    if relaxed is None or relaxed.point is None:
        return
    if fractional(program, relaxed.point).size == 0:
        yield relaxed
        return
    for threshold in THRESHOLDS:
        outcome = _rounded(apart, links, relaxed.point, threshold)
        if outcome is not None:
            yield outcome


def _rounded(apart: Apart, links: tuple[Link, ...], point: np.ndarray, threshold: float) -> Outcome | None:
    """The months in sequence with commitments rounded by one threshold and other integers up."""
    program, months = apart.months.program, apart.months
    decided = decide(program, point, threshold) | decided_sides(program, point) | apart.decided
    columns = np.flatnonzero(program.integer)
    up = np.clip(np.ceil(point[columns] - INTEGRAL), program.lower[columns], program.upper[columns])
    whole = np.array([decided.get(int(column), value) for column, value in zip(columns, up, strict=True)])
    if out_of_reach(program, columns, whole, whole):
        return None
    lower, upper, near = program.lower.copy(), program.upper.copy(), point.copy()
    lower[columns] = upper[columns] = near[columns] = whole
    return in_sequence(months, links, apart.found, (lower, upper), months.use(near))


__all__ = ["Apart", "few_to_settle", "has_many_rows", "points", "priced_months"]
