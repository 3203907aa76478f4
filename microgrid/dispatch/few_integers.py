"""Branching on integers that a program has few of, such as one a month, by warm linear programs.

A relaxation mixes the two sides of a monthly decision and overstates every month by a little, which adds up in a year.
A general search turns to the many hourly integers first, which repair rounds at hardly any loss. Here only the few are
branched on, the node with the lowest bound first: the lowest bound of all open nodes holds for the program, and a node
whose few integers are integral is repaired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from math import inf

import numpy as np

from microgrid.dispatch.bound import dual_bound
from microgrid.dispatch.compile import Program
from microgrid.dispatch.highs import Highs, Outcome, Status
from microgrid.dispatch.repair import choices, fractional, repair

STEPS = ("time", "edge")
"""Indexes that run along the steps; what is counted by month or year has another."""
MOST = 60
"""A quantity with more positions is not counted by month or year (intervals of a tariff's band), nor are they few."""
Limits = dict[int, tuple[float, float]]


@dataclass(order=True)
class _Node:
    """Limits of the few integers on this branch, with the point and the bound of its relaxation."""

    bound: float
    number: int
    limits: Limits = field(compare=False)
    point: np.ndarray = field(compare=False)


def few_integers(program: Program, decided: Mapping[int, float]) -> np.ndarray:
    """Integer columns that do not run along the steps, and that nothing else decides (pairs, tiers)."""
    groups = [group for group in program.columns if group.declaration.integer]
    found = {
        column
        for group in groups
        if group.declaration.index.name not in STEPS and group.declaration.index.size <= MOST
        for column in range(group.span.start, group.span.stop)
    }
    tiers = {int(column) for members in choices(program) for column in members}
    return np.array(sorted(found - tiers - set(decided)), dtype=int)


def branch_few(
    program: Program, solver: Highs, few: np.ndarray, root: tuple[float, np.ndarray], decided: Mapping[int, float]
) -> Iterator[tuple[float, Outcome | None]]:
    """Yield bounds of the program, none lower than the one before, and integral outcomes as they are found.

    `solver` holds the relaxation and its basis, `root` its bound and point; its column bounds are restored at the end.
    A node that the solver leaves unsolved ends the search, since nothing is known of it.
    """
    nodes, closed, count = [_Node(root[0], 0, {}, root[1])], inf, 0
    try:
        while nodes:
            node = heappop(nodes)
            loose = np.intersect1d(few, fractional(program, node.point))
            for limits in _halves(node, loose) if loose.size else ():
                bound, point = _relaxed(program, solver, few, limits)
                if point is not None:
                    count += 1
                    heappush(nodes, _Node(bound, count, limits, point))
                elif bound < inf:
                    return
            closed = closed if loose.size else min(closed, node.bound)
            lowest = min([closed, *(other.bound for other in nodes)])
            yield lowest, None
            if not loose.size:
                held = {int(column): float(np.round(node.point[column])) for column in few}
                yield from ((lowest, found) for found in repair(program, solver, node.point, dict(decided) | held))
    finally:
        solver.bounds(few, program.lower[few], program.upper[few])


def _halves(node: _Node, loose: np.ndarray) -> list[Limits]:
    """The two branches of the integer farthest from integral."""
    parts = node.point[loose] - np.floor(node.point[loose])
    column = int(loose[np.argmax(np.minimum(parts, 1.0 - parts))])
    low, high = node.limits.get(column, (-inf, inf))
    value = float(np.floor(node.point[column]))
    return [node.limits | {column: (low, value)}, node.limits | {column: (value + 1.0, high)}]


def _relaxed(program: Program, solver: Highs, few: np.ndarray, limits: Limits) -> tuple[float, np.ndarray | None]:
    """Bound and point of the relaxation within `limits`: infinite where it has none, minus infinite where unsolved."""
    lower, upper = program.lower.copy(), program.upper.copy()
    for column, (low, high) in limits.items():
        lower[column], upper[column] = max(lower[column], low), min(upper[column], high)
    solver.bounds(few, lower[few], upper[few])
    outcome = solver.run()
    if outcome.status is not Status.OPTIMAL or outcome.row_duals is None:
        return (inf if outcome.status is Status.INFEASIBLE else -inf), None
    proven = dual_bound(replace(program, lower=lower, upper=upper), outcome.row_duals)
    return min(outcome.objective, proven), outcome.point


__all__ = ["branch_few", "few_integers"]
