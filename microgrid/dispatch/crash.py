"""Start a year's relaxation from its widest columns, or from the bases of its months.

A small year starts at once (`first_basis`). For a large one the simplex method needs far more than twelve times the
work of a month. Months are nearly independent: they meet in stored energy, commitment and a few rows counted over the
year. So each month is solved by itself, at prices of what they share (`shared_prices`), and the year starts from their
bases put side by side, with the rows in which they meet basic. Such a start breaks no price, only the limits of those
rows, which few pivots of the dual simplex mend. The optimum is the year's own either way; only the way there is shorter
(`tests/benchmarks/bench_solve.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import highspy
import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.compile import Program, linear_program
from microgrid.dispatch.first_basis import widest_basis
from microgrid.dispatch.highs import Basis, Highs, Status, give_back_memory
from microgrid.dispatch.months import Months, take_apart
from microgrid.dispatch.shared_prices import find_prices

FEWEST_STEPS = 2000
"""Below this many steps the relaxation is solved at once: the months save nothing."""
BASIS = highspy.HighsBasisStatus
CLOSE = 3e-5
"""Relative distance of the months' bound from what their answers promise, at which the rest is left to the year."""
FEW_ROWS = 30_000
"""Up to this many rows the year is solved at once: a year with a battery and 24 peaks takes 0.6 s, by months 0.9; half
a year with engines (43,000 rows) takes 5.8 s at once, by months 3.1."""
DEVEX = {"simplex_dual_edge_weight_strategy": 1}
"""Edge weights that begin at one: exact ones would have to be found for every row of a basis that is not slack."""


def start(program: Program, solver: Highs, until: float = math.inf, threads: int = 2) -> None:
    """Give `solver`, which holds the relaxation of `program`, a starting basis; do nothing where it would not help.

    No run ends later than `until` of `time.perf_counter`.
    """
    count = int(program.months.max(initial=0)) + 1
    if program.months.size < FEWEST_STEPS:
        return
    if program.matrix.shape[0] <= FEW_ROWS or count < 3:
        solver.set(DEVEX)
        solver.start_from_basis(*_first(program))
        return
    months = take_apart(program, DEVEX, until)
    first_bases(program, months)
    found = find_prices(months, threads, CLOSE)
    if found is None:
        return
    prices = found.answer.duals[months.meeting]
    if months.solve(prices, threads) is None:  # the last trial need not be the best
        return
    if not prices.any():
        solver.start_from_basis(*_side_by_side(months, prices))
        return
    priced = _priced(months, prices)
    year = Highs(priced.program, relax=True, options={"presolve": "off"}, until=until)
    columns, rows = _side_by_side(months, prices)
    at_limit = _statuses(prices[priced.ranged] > 0, BASIS.kLower, BASIS.kUpper)
    year.start_from_basis(np.append(columns, at_limit), rows)
    del months
    give_back_memory()
    if year.run().status is Status.OPTIMAL:
        solver.start_from_basis(*_without_ranges(priced, *year.basis()))


def first_bases(program: Program, months: Months) -> None:
    """Let every month start from its widest columns."""
    columns, rows = _first(program)
    for month in months.parts:
        month.start_from_basis(columns[month.columns], rows[month.rows])


def _first(program: Program) -> Basis:
    """Statuses of the widest basis; HiGHS itself moves columns with two limits to the cheaper one."""
    basic, active = widest_basis(program)
    return _statuses(basic, BASIS.kBasic, BASIS.kLower), _statuses(active, BASIS.kLower, BASIS.kBasic)


def _statuses(where: np.ndarray, there: highspy.HighsBasisStatus, elsewhere: highspy.HighsBasisStatus) -> np.ndarray:
    found = np.full(where.shape, elsewhere, dtype=object)
    found[where] = there
    return found


@dataclass(frozen=True)
class _Priced:
    """The year with priced rows: columns beyond those of the year hold the value of `ranged` meeting rows."""

    program: Program
    ranged: np.ndarray
    held: np.ndarray


def _priced(months: Months, prices: np.ndarray) -> _Priced:
    r"""The year with ``\pi^T`` of its priced rows taken out of the cost: the same optimum, and prices start at zero.

    An equality only shifts the cost by a constant. An inequality becomes ``a x - s = 0`` with s in its range at cost
    \pi, so that what its limit leaves unused is still paid for.
    """
    program = months.program
    height = program.matrix.shape[0]
    lower, upper = program.row_lower[months.meeting], program.row_upper[months.meeting]
    fixed = lower == upper
    ranged = np.flatnonzero((prices != 0) & ~fixed)
    held = months.meeting[ranged]
    beside = sp.csr_array((-np.ones(ranged.size), (held, np.arange(ranged.size))), shape=(height, ranged.size))
    matrix = sp.csr_array(sp.hstack([program.matrix, beside]))
    row_lower, row_upper = program.row_lower.copy(), program.row_upper.copy()
    row_lower[held] = row_upper[held] = 0.0
    made = linear_program(
        matrix,
        (row_lower, row_upper),
        (np.append(program.lower, lower[ranged]), np.append(program.upper, upper[ranged])),
        np.append(months.reduced_cost(prices), prices[ranged]),
        program.offset + float(prices[fixed] @ lower[fixed]),
    )
    return _Priced(made, ranged, held)


def _side_by_side(months: Months, prices: np.ndarray) -> Basis:
    """Bases of the months, meeting rows basic, loose columns at the bound where they rest."""
    program, loose = months.program, months.loose
    height, width = program.matrix.shape
    columns, rows = np.full(width, BASIS.kLower, dtype=object), np.full(height, BASIS.kBasic, dtype=object)
    rest = months.resting(months.reduced_cost(prices))
    columns[loose] = _statuses(rest == program.upper[loose], BASIS.kUpper, BASIS.kZero)
    columns[loose[rest == program.lower[loose]]] = BASIS.kLower
    for month in months.parts:
        columns[month.columns], rows[month.rows] = month.basis()
    return columns, rows


def _without_ranges(priced: _Priced, columns: np.ndarray, rows: np.ndarray) -> Basis:
    """The basis of the year itself: a row takes the status of the column that held its value."""
    width = columns.size - priced.ranged.size
    active = rows[priced.held] != BASIS.kBasic
    rows[priced.held[active]] = columns[width:][active]
    return columns[:width], rows


__all__ = ["DEVEX", "first_bases", "start"]
