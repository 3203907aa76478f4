"""From the point of a relaxation to an integral point nearby, by linear programs alone.

*Commitments* are rounded by one threshold. With cumulated starts V and stops W, every commitment row has the form
``x_i - x_j <= c`` with integer c, and ``floor(x + theta)`` with one theta for all keeps every such row; over theta in
[0, 1) the rounded counts average to the relaxation's own. So each theta gives a feasible commitment, and none needs
search (Rajan and Takriti 2005 for the rows; Shapley-Folkman for why the loss is small). *Choices* of one among several
(``sum y = 1``) take their largest member, exclusive pairs the larger side; where that is not enough, every choice
starts at its first, second, … member in turn, and members are picked anew by what they cost at the prices of the point
found (majorise and minimise: for tiers of a falling price, the re-solve heuristic). *Other* integers are rounded up, by
raising their lower bounds and re-solving warm, a few times. What is still fractional is left to branch and bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from microgrid.dispatch.compile import CountColumns, Program
from microgrid.dispatch.highs import Highs, Outcome, Status

INTEGRAL = 1e-6
ROUNDS = 6
STARTS = 8  # members that all choices start from
MOST_CHOICES = 200  # beyond this many choices, picking all of them at once is no longer near anything
CLOSE = 1e-9
THRESHOLDS = (0.5, 0.35, 0.65, 0.2, 0.8)
SETTLED = 1e-7
ROW_MARGIN = 1e-6  # relative; a row closer than this to its limit is left to the solver


def fractional(program: Program, point: np.ndarray) -> np.ndarray:
    """Integer columns whose value is not integral."""
    columns = np.flatnonzero(program.integer)
    return np.asarray(columns[np.abs(point[columns] - np.round(point[columns])) > INTEGRAL])


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


def round_commitment(counts: CountColumns, point: np.ndarray, threshold: float, *, wraps: bool) -> np.ndarray:
    """Running units at every step, integral, by the threshold `threshold` on cumulated starts and stops.

    A horizon that wraps is cut where the relaxation is integral and nothing starts or stops, so that no minimum time
    reaches across the cut.
    """
    running, started, stopped = point[counts.running], point[counts.started], point[counts.stopped]
    cut = 0
    if wraps:
        still = (np.abs(running - np.round(running)) < SETTLED) & (started < SETTLED) & (stopped < SETTLED)
        cut = int(np.argmax(_run_lengths(still))) if still.any() else 0
    before = running[cut] - started[cut] + stopped[cut]
    starts, stops = (np.cumsum(np.roll(side, -cut)) for side in (started, stopped))
    rounded = np.floor(starts + threshold + SETTLED) - np.floor(stops - before + threshold + SETTLED)
    return np.asarray(np.roll(rounded, cut))


def repair(program: Program, solver: Highs, point: np.ndarray, fixed: Mapping[int, float]) -> Iterator[Outcome]:
    """Yield integral outcomes near `point`, one for every threshold that leads to one.

    `solver` holds the relaxation of `program` and its basis; its column bounds are restored before returning. `fixed`
    sets columns whose value is already decided (exclusive pairs).
    """
    columns = np.flatnonzero(program.integer)
    try:
        for threshold in THRESHOLDS if program.counts else ():
            outcome = _round_up_others(program, solver, point, decide(program, point, threshold) | dict(fixed))
            if outcome is not None:
                yield outcome
        # An island needs the capacity: all counts rounded up, where minimum times allow.
        outcome = _round_up_others(program, solver, point, _choose(program, point) | dict(fixed))
        if outcome is not None:
            yield outcome
    finally:
        solver.bounds(columns, program.lower[columns], program.upper[columns])


def decide(program: Program, point: np.ndarray, threshold: float) -> dict[int, float]:
    """Values of all columns that need no search at this threshold."""
    decided = _choose(program, point)
    for counts in program.counts:
        rounded = round_commitment(counts, point, threshold, wraps=program.wraps)
        rounded = np.clip(rounded, program.lower[counts.running], program.upper[counts.running])
        decided.update(zip(counts.running.tolist(), rounded.tolist(), strict=True))
    return decided


def _choose(program: Program, point: np.ndarray) -> dict[int, float]:
    """Values of choices of one among several: the largest member is taken."""
    decided: dict[int, float] = {}
    for members in choices(program):
        winner = int(members[np.argmax(point[members])])
        decided.update({int(member): float(member == winner) for member in members})
    return decided


def may_pick_again(program: Program) -> bool:
    """Whether the program has choices, and few enough to pick all of them at once."""
    return 0 < len(choices(program)) <= MOST_CHOICES


def pick_again(program: Program, solver: Highs, point: np.ndarray, fixed: Mapping[int, float]) -> Iterator[Outcome]:
    """Yield points from several starts of the choices, each improved by picking members anew at the point's prices.

    From each start, members of less reduced cost are taken until the objective stops falling.
    """
    columns = np.flatnonzero(program.integer)
    try:
        yield from _picked(program, solver, point, fixed)
    finally:
        solver.bounds(columns, program.lower[columns], program.upper[columns])


def _picked(program: Program, solver: Highs, point: np.ndarray, fixed: Mapping[int, float]) -> Iterator[Outcome]:
    groups = choices(program)
    decided = decide(program, point, THRESHOLDS[0]) | dict(fixed)
    tried: dict[tuple[int, ...], Outcome | None] = {}

    def solve(picked: tuple[int, ...]) -> Outcome | None:
        held = {int(column): float(column in picked) for members in groups for column in members}
        if picked not in tried:
            tried[picked] = _round_up_others(program, solver, point, decided | held)
        return tried[picked]

    for start in range(min(STARTS, max(map(len, groups)))):
        picked = tuple(int(members[min(start, members.size - 1)]) for members in groups)
        outcome = solve(picked)
        while outcome is not None:
            yield outcome
            better = ((nearby, solve(nearby)) for nearby in _cheaper(program, groups, picked, outcome))
            limit = outcome.objective - CLOSE * abs(outcome.objective)
            picked, outcome = next(((pick, found) for pick, found in better if _below(found, limit)), (picked, None))


def _below(outcome: Outcome | None, limit: float) -> bool:
    return outcome is not None and outcome.objective < limit


def _cheaper(
    program: Program, groups: Sequence[np.ndarray], picked: tuple[int, ...], outcome: Outcome
) -> Iterator[tuple[int, ...]]:
    """Yield picks with members of less reduced cost: in all choices, in the half that gains most, and in one.

    The reduced cost of a member held at zero is what choosing it would change, to first order.
    """
    if outcome.row_duals is None:
        return
    reduced = program.cost - program.matrix.T @ outcome.row_duals
    best = [int(members[np.argmin(reduced[members])]) for members in groups]
    gain = np.array([reduced[old] - reduced[new] for old, new in zip(picked, best, strict=True)])
    worth = np.flatnonzero(gain > CLOSE * np.maximum(1.0, np.abs(reduced[list(picked)])))
    worth = worth[np.argsort(-gain[worth])]
    for count in dict.fromkeys((worth.size, worth.size // 2, 1)):
        moved = set(worth[:count].tolist())
        if moved:
            yield tuple(best[place] if place in moved else old for place, old in enumerate(picked))


def _round_up_others(
    program: Program, solver: Highs, point: np.ndarray, decided: Mapping[int, float]
) -> Outcome | None:
    """Hold the decided columns, raise the others' lower bounds to the next integer, re-solve until all are integral."""
    columns = np.flatnonzero(program.integer)
    held = np.array([decided.get(int(column), np.nan) for column in columns])
    free = np.isnan(held)
    lower, upper = np.where(free, program.lower[columns], held), np.where(free, program.upper[columns], held)
    current = point
    for _ in range(ROUNDS):
        lower[free] = np.clip(np.ceil(current[columns[free]] - INTEGRAL), lower[free], upper[free])
        if out_of_reach(program, columns, lower, upper):
            return None
        solver.bounds(columns, lower, upper)
        outcome = solver.run()
        if outcome.status is not Status.OPTIMAL or outcome.point is None:
            return None
        current = outcome.point
        if fractional(program, current).size == 0:
            return outcome
    return None


def out_of_reach(program: Program, columns: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> bool:
    """True when a row cannot hold by itself with these bounds of `columns`, which takes one pass and no simplex.

    A yearly limit of run hours that the rounded counts exceed is such a row.
    """
    low, high = program.lower.copy(), program.upper.copy()
    low[columns], high[columns] = lower, upper
    matrix = program.matrix
    rising = matrix.data > 0
    least = matrix.data * np.where(rising, low[matrix.indices], high[matrix.indices])
    most = matrix.data * np.where(rising, high[matrix.indices], low[matrix.indices])
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    least, most = (np.bincount(row, side, matrix.shape[0]) for side in (least, most))
    above = least - ROW_MARGIN * np.maximum(1.0, np.abs(least)) > program.row_upper
    below = most + ROW_MARGIN * np.maximum(1.0, np.abs(most)) < program.row_lower
    return bool((above | below).any())


def _run_lengths(flags: np.ndarray) -> np.ndarray:
    """At every true place, the number of true places around it on the shorter side; 0 elsewhere."""

    def ahead(values: np.ndarray) -> np.ndarray:
        count, lengths = 0, np.zeros(values.size, int)
        for place in range(values.size):
            count = count + 1 if values[place] else 0
            lengths[place] = count
        return lengths

    return np.asarray(np.minimum(ahead(flags), ahead(flags[::-1])[::-1]))


__all__ = [
    "choices",
    "decide",
    "fractional",
    "may_pick_again",
    "out_of_reach",
    "pick_again",
    "repair",
    "round_commitment",
]
