"""From the point of a relaxation to an integral point nearby, by linear programs alone.

Commitment counts are rounded up (enough units run for what the relaxation generates) by raising their lower bounds and
re-solving warm: minimum up and down times then pull neighbouring steps to integers by themselves, because the
commitment rows are totally unimodular. Choices of one among several (``sum y = 1``) take their largest member, and
exclusive pairs the larger side. Whatever is still fractional after a few rounds is left to branch and bound.
"""

from __future__ import annotations

import numpy as np

from microgrid.dispatch.compile import Program
from microgrid.dispatch.highs import Highs, Outcome, Status

INTEGRAL = 1e-6
ROUNDS = 6


def fractional(program: Program, point: np.ndarray) -> np.ndarray:
    """Integer columns whose value is not integral."""
    columns = np.flatnonzero(program.integer)
    return columns[np.abs(point[columns] - np.round(point[columns])) > INTEGRAL]


def choices(program: Program) -> list[np.ndarray]:
    """Column sets of rows that say ``sum y = 1`` over integer columns."""
    matrix = program.matrix
    found = []
    equal_one = np.flatnonzero((program.row_lower == 1.0) & (program.row_upper == 1.0))
    for row in equal_one:
        span = slice(matrix.indptr[row], matrix.indptr[row + 1])
        columns = matrix.indices[span]
        if columns.size and program.integer[columns].all() and (matrix.data[span] == 1.0).all():
            found.append(columns)
    return found


def repair(program: Program, solver: Highs, point: np.ndarray, fixed: dict[int, float]) -> Outcome | None:
    """Return an integral outcome near `point`, or None.

    `solver` holds the relaxation of `program` and its basis; its column bounds are restored before returning. `fixed`
    sets columns whose value is already decided (exclusive pairs).
    """
    columns = np.flatnonzero(program.integer)
    lower, upper = program.lower[columns].copy(), program.upper[columns].copy()
    place = {int(column): position for position, column in enumerate(columns)}
    decided = dict(fixed)
    for members in choices(program):
        winner = int(members[np.argmax(point[members])])
        decided.update({int(member): float(member == winner) for member in members})
    outcome: Outcome | None = None
    current = point
    for _ in range(ROUNDS):
        lower = np.clip(np.ceil(current[columns] - INTEGRAL), lower, upper)
        for column, value in decided.items():
            lower[place[column]] = upper[place[column]] = value
        solver.bounds(columns, lower, upper)
        outcome = solver.run()
        if outcome.status is not Status.OPTIMAL or outcome.point is None:
            outcome = None
            break
        current = outcome.point
        if fractional(program, current).size == 0:
            break
    solver.bounds(columns, program.lower[columns], program.upper[columns])
    return outcome if outcome is not None and fractional(program, current).size == 0 else None


__all__ = ["choices", "fractional", "repair"]
