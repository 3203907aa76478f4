"""Points of the year from its months in sequence: each takes over what earlier months left, and its share of the rest.

A month holds the rows that it shares with its neighbours. Columns of earlier months are at their values there; those of
later months are free, at what they cost at the prices of the year, so that a month leaves at midnight what the next one
pays for. Of the rows that all months share it holds what the answers of the others, or what these did, leave over. So
the last month completes a point of the year, if every month finds one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import highspy
import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.compile import linear_program
from microgrid.dispatch.highs import Highs, Outcome, Status
from microgrid.dispatch.months import BASIC, Month, Months
from microgrid.dispatch.shared_prices import SharedPrices

Vector = np.ndarray
BASIS = highspy.HighsBasisStatus
SLACK = 1e-10
"""Relative; sums over a year are taken in another order than the solver's."""
KEPT = 1e-6
"""A point that misses a row by more, relative to its size, is none; the audit allows twice as much."""


@dataclass(frozen=True)
class Link:
    """A month in the sequence: its solver's columns are those of the month, then those of later months that it meets.

    Its rows are those inside the month, then of the meeting rows (by place) those of neighbours, then the shared ones.
    """

    month: Month
    columns: Vector
    near: Vector
    shared: Vector


def chain(months: Months, found: SharedPrices, options: Mapping[str, object]) -> tuple[Link, ...]:
    """Give every month the rows that it shares, its basis and prices; the months hold these solvers from now on.

    They end when those of the months would have.
    """
    program = months.program
    reduced = program.cost - program.matrix.T @ found.answer.duals
    settled = np.zeros(program.cost.size, bool)
    settled[months.loose] = True
    links = []
    for month in months.parts:
        links.append(_link(months, month, settled, (reduced, found.answer.duals), options))
        settled[month.columns] = True
    return tuple(links)


def _link(
    months: Months, month: Month, settled: Vector, prices: tuple[Vector, Vector], options: Mapping[str, object]
) -> Link:
    """A month with what it shares; `prices` are reduced costs of the columns and duals of the rows."""
    program, joint, (reduced, duals) = months.program, months.joint, prices
    own = np.zeros(program.cost.size, bool)
    own[month.columns] = True
    touched = np.diff(sp.csr_array(joint[:, month.columns]).indptr) > 0
    near, shared = np.flatnonzero(touched & ~months.shared), np.flatnonzero(touched & months.shared)
    met = np.unique(joint[near].indices)
    later = met[~own[met] & ~settled[met]]
    columns = np.concatenate([month.columns, later])
    none = sp.csr_array((shared.size, later.size))
    parts = [
        program.matrix[month.rows][:, columns],
        joint[near][:, columns],
        sp.hstack([joint[shared][:, month.columns], none]),
    ]
    free = np.full(near.size + shared.size, np.inf)
    held_here = joint[near][:, later].T @ duals[months.meeting[near]]  # these rows are held, so they are not paid for
    made = linear_program(
        sp.csr_array(sp.vstack(parts)),
        (np.append(program.row_lower[month.rows], -free), np.append(program.row_upper[month.rows], free)),
        (program.lower[columns], program.upper[columns]),
        np.append(program.cost[month.columns], reduced[later] + held_here),
    )
    solver = Highs(made, relax=True, options={"presolve": "off", **options}, until=month.solver.until)
    statuses, active = month.basis()
    rest = np.full(later.size, BASIS.kZero, dtype=object)
    rest[np.isfinite(program.upper[later])] = BASIS.kUpper
    rest[np.isfinite(program.lower[later])] = BASIS.kLower
    solver.start_from_basis(np.append(statuses, rest), np.append(active, np.full(free.size, BASIC, dtype=object)))
    month.solver = solver
    return Link(month, columns, near, shared)


def in_sequence(
    months: Months, links: Sequence[Link], found: SharedPrices, bounds: tuple[Vector, Vector], use: Vector
) -> Outcome | None:
    """A point within `bounds` of the columns that keeps every row; None when a month has none.

    `use` is what each month may take of every meeting row, shape (meeting, months), while it has not taken its own.
    Prices of rows inside months and between neighbours are those of the month that held them last; those of shared rows
    are the prices of the year, none where the point leaves the row slack.
    """
    program, joint, (lower, upper) = months.program, months.joint, bounds
    low, high = program.row_lower[months.meeting], program.row_upper[months.meeting]
    point, duals, use = np.zeros(program.cost.size), found.answer.duals.copy(), use.copy()
    point[months.loose] = np.clip(found.loose, lower[months.loose], upper[months.loose])
    loosely = joint[:, months.loose] @ point[months.loose]
    for place, link in enumerate(links):
        others = np.delete(use[link.shared], place, axis=1).sum(axis=1)
        taken = np.concatenate([joint[link.near] @ point, loosely[link.shared] + others])
        held = np.concatenate([link.near, link.shared])
        slack, inside = SLACK * np.maximum(1.0, np.abs(taken)), link.month.rows.size
        solver, own = link.month.solver, link.month.columns
        limits = low[held] - taken - slack, high[held] - taken + slack
        solver.limits(inside + np.arange(taken.size), *limits)
        solver.bounds(np.arange(link.columns.size), lower[link.columns], upper[link.columns])
        outcome = solver.run()
        if outcome.status is not Status.OPTIMAL or outcome.point is None or outcome.row_duals is None:
            return None
        point[own] = outcome.point[: own.size]
        use[:, place] = joint[:, own] @ point[own]
        duals[link.month.rows] = outcome.row_duals[:inside]
        duals[months.meeting[link.near]] = outcome.row_duals[inside:][: link.near.size]
    point[months.loose] = _settle_loose(months, use.sum(axis=1), point, bounds)
    activity = program.matrix @ point
    size = KEPT * np.maximum(1.0, np.abs(activity))
    if (program.row_lower - activity > size).any() or (activity - program.row_upper > size).any():
        return None  # rows of loose columns alone are held by no month
    slack = (activity - program.row_lower > size) & (program.row_upper - activity > size)
    duals[months.meeting[months.shared & slack[months.meeting]]] = 0.0
    return Outcome(Status.OPTIMAL, point, float(program.cost @ point + program.offset), -np.inf, duals)


def _settle_loose(months: Months, used: Vector, point: Vector, bounds: tuple[Vector, Vector]) -> Vector:
    """Cheapest values of the loose columns beside what the months use of the meeting rows."""
    program, loose = months.program, months.loose
    part = sp.csr_array(months.joint[:, loose])
    rows = np.flatnonzero(np.diff(part.indptr))
    slack = SLACK * np.maximum(1.0, np.abs(used[rows]))
    limits = (
        program.row_lower[months.meeting[rows]] - used[rows] - slack,
        program.row_upper[months.meeting[rows]] - used[rows] + slack,
    )
    held = bounds[0][loose], bounds[1][loose]
    outcome = Highs(linear_program(sp.csr_array(part[rows]), limits, held, program.cost[loose]), relax=True).run()
    return point[loose] if outcome.point is None else outcome.point


__all__ = ["Link", "chain", "in_sequence"]
