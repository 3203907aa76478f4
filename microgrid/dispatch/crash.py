"""Start a year's relaxation from the bases of its months.

The simplex method needs far more than twelve times the work of a month for a year. Months are nearly independent:
they meet in stored energy, commitment and a few rows counted over the year. So each month is solved by itself, at
prices of what they share (`shared_prices`), and the year starts from their bases put side by side, with the rows in
which they meet basic. Such a start breaks no price, only the limits of those rows, which few pivots of the dual simplex
mend. The optimum is the year's own either way; only the way there is shorter (`tests/benchmarks/bench_solve.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.compile import Program, linear_program
from microgrid.dispatch.highs import Highs, Status
from microgrid.dispatch.months import Months, take_apart
from microgrid.dispatch.shared_prices import find_prices

FEWEST_STEPS = 2000
"""Below this many steps the relaxation is solved at once: the months save nothing."""
BASIS = highspy.HighsBasisStatus
Basis = tuple[list[highspy.HighsBasisStatus], list[highspy.HighsBasisStatus]]


def start_from_months(program: Program, solver: Highs, seconds: float = float("inf"), threads: int = 2) -> None:
    """Give `solver`, which holds the relaxation of `program`, a starting basis; do nothing where it would not help."""
    count = int(program.months.max(initial=0)) + 1
    if program.months.size < FEWEST_STEPS or count < 3:
        return
    months = take_apart(program, {"time_limit": seconds})
    prices = find_prices(months, threads)
    if prices is None:
        return
    if not prices.any():
        solver.start_from_basis(*_side_by_side(months, prices))
        return
    priced = _priced(months, prices)
    year = Highs(priced.program, relax=True, options={"presolve": "off", "time_limit": seconds})
    columns, rows = _side_by_side(months, prices)
    at_limit = [BASIS.kLower if prices[place] > 0 else BASIS.kUpper for place in priced.ranged]
    year.start_from_basis(columns + at_limit, rows)
    del months
    if year.run().status is Status.OPTIMAL:
        solver.start_from_basis(*_without_ranges(priced, *year.basis()))


@dataclass(frozen=True)
class _Priced:
    """The year with priced rows: columns beyond those of the year hold the value of `ranged` meeting rows."""

    program: Program
    ranged: list[int]
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
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    row_lower, row_upper = program.row_lower.copy(), program.row_upper.copy()
    row_lower[held] = row_upper[held] = 0.0
    made = linear_program(
        matrix,
        (row_lower, row_upper),
        (np.append(program.lower, lower[ranged]), np.append(program.upper, upper[ranged])),
        np.append(months.reduced_cost(prices), prices[ranged]),
        program.offset + float(prices[fixed] @ lower[fixed]),
    )
    return _Priced(made, ranged.tolist(), held)


def _side_by_side(months: Months, prices: np.ndarray) -> Basis:
    """Bases of the months, meeting rows basic, loose columns at the bound where they rest."""
    program = months.program
    height, width = program.matrix.shape
    columns, rows = [BASIS.kLower] * width, [BASIS.kBasic] * height
    rest = months.resting(months.reduced_cost(prices))
    for column, value in zip(months.loose.tolist(), rest.tolist(), strict=True):
        if value == program.lower[column]:
            continue
        columns[column] = BASIS.kUpper if value == program.upper[column] else BASIS.kZero
    for month in months.parts:
        column_status, row_status = month.solver.basis()
        for place, status in zip(month.columns.tolist(), column_status, strict=True):
            columns[place] = status
        for place, status in zip(month.rows.tolist(), row_status, strict=True):
            rows[place] = status
    return columns, rows


def _without_ranges(
    priced: _Priced, columns: list[highspy.HighsBasisStatus], rows: list[highspy.HighsBasisStatus]
) -> Basis:
    """The basis of the year itself: a row takes the status of the column that held its value."""
    width = len(columns) - len(priced.ranged)
    for place, row in enumerate(priced.held.tolist()):
        if rows[row] != BASIS.kBasic:
            rows[row] = columns[width + place]
    return columns[:width], rows


__all__ = ["start_from_months"]
