"""Solve a program to a proven gap: by months, else relaxation, repair, few integers, neighbourhood, branch and bound.

The relaxation's optimum, or of a large year the prices of its months, is the bound that certifies every later point.
Most campuses end at the months or the repair; only when the gap misses the target are integers searched: those counted
by month or year, those the relaxation left fractional, all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from microgrid.dispatch.bound import dual_bound
from microgrid.dispatch.by_months import few_to_settle, has_many_rows, points, priced_months
from microgrid.dispatch.compile import Program
from microgrid.dispatch.crash import start
from microgrid.dispatch.exclusive import add_binaries, decided_sides, netted, overlaps
from microgrid.dispatch.few_by_month import settle_by_month
from microgrid.dispatch.few_integers import branch_few, few_integers
from microgrid.dispatch.highs import LEAST_SECONDS, Highs, Outcome, Status, give_back_memory
from microgrid.dispatch.ranges import with_ranges
from microgrid.dispatch.repair import fractional, may_pick_again, pick_again, repair
from microgrid.errors import MicrogridError, SolverLimit

CENT_FRACTION_USD = 1e-6
BELOW = 1e-5  # relative
MONTHS = "months"
RELAXATION = "LP relaxation"
RANGES = "ranges of choices"
FEW = "few integers"
MONTHS_SHARE = 0.6  # of the time left
RANGES_SHARE = 0.5  # of the time left
FEW_SHARE = 0.5  # of the time left
NEIGHBOURHOOD_SHARE = 0.4  # of the time limit, so that branch and bound keeps the larger part


@dataclass(frozen=True)
class Stage:
    """One step of the solve: its name, wall seconds, best objective and bound after it (USD)."""

    name: str
    seconds: float
    objective: float
    bound: float


@dataclass(frozen=True)
class Solution:
    """An integral point with its certificate.

    `program` is the program solved, including binaries added for exclusive pairs; `gap` is
    ``(objective - bound) / max(1, |objective|)``; `row_duals` are those of the program with integers fixed, and
    `bound_prices` those of its relaxation, from which `microgrid.dispatch.bound` adds up the bound again. A year solved
    by its months has the row duals of `in_sequence`, and what its months share is priced as in the bound.
    """

    program: Program
    point: np.ndarray
    objective: float
    bound: float
    stages: tuple[Stage, ...]
    row_duals: np.ndarray | None = None
    bound_prices: np.ndarray | None = None

    @property
    def gap(self) -> float:
        """Proven relative distance from the optimum."""
        return relative_gap(self.objective, self.bound)


class InfeasibleProgram(MicrogridError):
    """No point satisfies the rows; caught by the caller, which explains it in the field's terms."""

    exit_code = 3


Progress = Callable[[str], None]


@dataclass
class _Search:
    """State of one solve."""

    gap: float
    deadline: float
    progress: Progress
    stages: list[Stage] = field(default_factory=list)
    best: Outcome | None = None
    bound: float = float("-inf")
    prices: np.ndarray | None = None
    at_once: bool = False  # months were not enough, nor will they be with more binaries

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce a step and keep its time and result."""
        self.progress(name)
        began = time.perf_counter()
        yield
        objective = self.best.objective if self.best else float("inf")
        self.stages.append(Stage(name, time.perf_counter() - began, objective, self.bound))

    def offer(self, outcome: Outcome | None) -> None:
        """Keep the better point."""
        if outcome is None or outcome.point is None:
            return
        if self.best is None or outcome.objective < self.best.objective:
            self.best = outcome

    @property
    def done(self) -> bool:
        """True when the best point is within the asked gap, and not below its bound by more than rounding explains."""
        if self.best is None or self.bound - self.best.objective > BELOW * max(1.0, abs(self.best.objective)):
            return False
        close = abs(self.best.objective - self.bound) <= CENT_FRACTION_USD  # there the solver's own arithmetic decides
        return close or relative_gap(self.best.objective, self.bound) <= self.gap

    @property
    def seconds_left(self) -> float:
        return max(LEAST_SECONDS, self.deadline - time.perf_counter())


def relative_gap(objective: float, bound: float) -> float:
    """Distance of an objective from a bound, relative to the objective (at least 1 USD); infinite without a bound."""
    if not math.isfinite(bound):
        return math.inf
    return max(0.0, objective - bound) / max(1.0, abs(objective))


def solve(
    program: Program,
    *,
    gap: float = 1e-3,
    time_limit_s: float = 1800.0,
    progress: Progress = lambda _: None,
) -> Solution:
    """Return a point within `gap` of the optimum, with its bound.

    Raises:
        InfeasibleProgram: no point satisfies the rows (confirmed without presolve).
        SolverLimit: the time limit came first.
    """
    began = time.perf_counter()
    search = _Search(gap, began + time_limit_s, progress)
    while True:  # every round settles at least one more step of a pair, so the rounds end
        search.best, search.bound = None, float("-inf")
        shown = _by_months(program, search)
        if shown:
            program = add_binaries(program, shown)
            continue
        if not search.done:
            search.at_once = True
            solver, relaxed = _relax(program, search)
            shown = overlaps(program, _point(relaxed))
            if shown:  # what the relaxation shows, a search among integers would mostly show again
                program = add_binaries(program, shown)
                continue
            _integers(program, solver, relaxed, search)
        if search.best is None or search.best.point is None:
            raise SolverLimit(f"no feasible commitment found within {time_limit_s:g} s")
        if program.integer.any() and search.best.row_duals is None:
            with search.stage("prices"):
                search.best = _with_prices(program, search.best, search)
        search.best = _netted(program, search.best)
        fresh = overlaps(program, _point(search.best))
        if not fresh:
            break
        program = add_binaries(program, fresh)
    best = search.best
    if best is None or best.point is None or not search.done:
        reached = relative_gap(best.objective, search.bound) if best else float("inf")
        spent = time.perf_counter() - began
        why = "" if spent >= time_limit_s else ": the solver's tolerances prove no smaller one, ask for a larger gap"
        raise SolverLimit(f"gap {reached:.3%} after {spent:,.0f} s; {gap:.3%} was asked{why}")
    point = best.point.copy()
    point[program.integer] = np.round(point[program.integer])
    return Solution(program, point, best.objective, search.bound, tuple(search.stages), best.row_duals, search.prices)


def _by_months(program: Program, search: _Search) -> dict[str, np.ndarray]:
    """Bound and points of a large year from its months alone; where that is not enough it is solved at once.

    Steps of pairs at which the months show both sides are returned before any point is sought.
    """
    if search.at_once or not has_many_rows(program):
        return {}
    with search.stage(MONTHS):
        apart = priced_months(program, search.gap, time.perf_counter() + MONTHS_SHARE * search.seconds_left)
        if apart is None:
            return {}
        search.bound, search.prices = apart.found.bound, apart.found.answer.duals
    shown = overlaps(program, netted(program, apart.found.answer.point))
    if shown:
        return shown
    few = few_to_settle(apart)
    if few.size:
        with search.stage(FEW):
            search.bound, decided = settle_by_month(apart.months, apart.found, few)
            apart = replace(apart, decided=decided)
    _offer_all(search, "months in sequence", points(apart), program.matrix.shape[0])
    del apart
    give_back_memory()
    return {}


def _relax(program: Program, search: _Search) -> tuple[Highs, Outcome]:
    """Solve the LP relaxation; its optimum is the bound."""
    with search.stage(RELAXATION):
        solver = Highs(program, relax=True, options={"presolve": "off", "time_limit": search.seconds_left})
        start(program, solver, search.deadline)
        relaxed = solver.run()
        if relaxed.status is Status.INFEASIBLE:
            raise InfeasibleProgram("no dispatch satisfies the limits")
        if relaxed.status is Status.UNBOUNDED:
            raise MicrogridError("the objective is unbounded: a price rewards an unlimited quantity")
        if relaxed.status is Status.LIMIT and search.best is not None:
            reached = relative_gap(search.best.objective, search.bound)
            raise SolverLimit(f"gap {reached:.3%} by months when the time limit came; {search.gap:.3%} was asked")
        if relaxed.status is Status.LIMIT:
            raise SolverLimit("the time limit came before the LP relaxation was solved")
        if relaxed.status is not Status.OPTIMAL:
            raise MicrogridError(f"HiGHS ended the relaxation with {relaxed.status.value}")
        assert relaxed.row_duals is not None  # noqa: S101 - an optimal outcome has prices
        search.prices = relaxed.row_duals
        search.bound = max(search.bound, min(relaxed.objective, dual_bound(program, search.prices)))
    return solver, _netted(program, relaxed)


def _integers(program: Program, solver: Highs, relaxed: Outcome, search: _Search) -> None:
    """Find an integral point within the gap, with as little search as it takes."""
    point, rows = _point(relaxed), program.matrix.shape[0]
    if fractional(program, point).size == 0:
        search.offer(relaxed)
        return
    _offer_all(search, "repair", repair(program, solver, point, decided_sides(program, point)), rows)
    if program.alternatives and not search.done:
        program, solver, point = _tighten(program, solver, point, search)
        _offer_all(search, "repair", repair(program, solver, point, decided_sides(program, point)), rows)
    _branch_few(program, solver, point, search, rows)
    if may_pick_again(program) and not search.done:
        _offer_all(search, "re-solve", pick_again(program, solver, point, decided_sides(program, point)), rows)
    if search.done:
        return
    with search.stage("neighbourhood"):
        near = _free_only(program, point, fractional(program, point))
        found = _branch(near, search, search.seconds_left * NEIGHBOURHOOD_SHARE)
        search.offer(found)
    if search.done:
        return
    with search.stage("branch and bound"):
        found = _branch(program, search, search.seconds_left)
        if found.status is Status.INFEASIBLE and search.best is None:
            _require_infeasible(program, search)
        if found.status in {Status.OPTIMAL, Status.LIMIT} and math.isfinite(found.bound):
            search.bound = max(search.bound, found.bound)
        search.offer(found)


def _branch_few(program: Program, solver: Highs, point: np.ndarray, search: _Search, rows: int) -> None:
    """Branch on what is counted by month or year, for a part of the time; the hourly integers are repaired."""
    decided = decided_sides(program, point)
    few = few_integers(program, decided)
    if search.done or np.intersect1d(few, fractional(program, point)).size == 0:
        return
    until = time.perf_counter() + FEW_SHARE * search.seconds_left
    with search.stage(FEW):
        for bound, outcome in branch_few(program, solver, few, (search.bound, point), decided):
            if math.isfinite(bound):
                search.bound = max(search.bound, bound)
            search.offer(None if outcome is None else _with_own_prices(outcome, rows))
            if search.done or time.perf_counter() > until:
                return


def _offer_all(search: _Search, stage: str, outcomes: Iterator[Outcome], rows: int) -> None:
    """Offer points until the gap is met."""
    with search.stage(stage):
        for outcome in outcomes:
            search.offer(_with_own_prices(outcome, rows))
            if search.done or search.seconds_left <= LEAST_SECONDS:
                return


def _with_own_prices(outcome: Outcome, rows: int) -> Outcome:
    """The outcome without prices where rows were added: theirs do not belong to the program's own."""
    own = outcome.row_duals is not None and outcome.row_duals.size == rows
    return outcome if own else replace(outcome, row_duals=None)


def _tighten(program: Program, solver: Highs, point: np.ndarray, search: _Search) -> tuple[Program, Highs, np.ndarray]:
    """Relaxation with the ranges of the alternatives, and the bound that it proves."""
    with search.stage(RANGES):
        tight = with_ranges(program, solver, search.seconds_left * RANGES_SHARE)
        held = Highs(tight, relax=True, options={"presolve": "off", "time_limit": search.seconds_left})
        again = held.run()
        if again.status is not Status.OPTIMAL or again.row_duals is None:
            return program, solver, point
        search.bound = max(search.bound, min(again.objective, dual_bound(tight, again.row_duals)))
    return tight, held, _point(again)


def _netted(program: Program, outcome: Outcome) -> Outcome:
    point = netted(program, _point(outcome))
    return replace(outcome, point=point, objective=float(program.cost @ point + program.offset))


def _point(outcome: Outcome) -> np.ndarray:
    assert outcome.point is not None  # noqa: S101 - an optimal outcome has a point
    return outcome.point


def _free_only(program: Program, point: np.ndarray, loose: np.ndarray) -> Program:
    """The program with every integer fixed at its rounded value, except the loose ones, free between their integers."""
    lower, upper = program.lower.copy(), program.upper.copy()
    columns = np.flatnonzero(program.integer)
    lower[columns] = upper[columns] = np.round(point[columns])
    lower[loose], upper[loose] = np.floor(point[loose]), np.ceil(point[loose])
    return replace(program, lower=lower, upper=upper)


def _require_infeasible(program: Program, search: _Search) -> None:
    """Raise InfeasibleProgram when branch and bound finds no point without presolve either."""
    again = Highs(program, options={"presolve": "off", "time_limit": search.seconds_left}).run()
    if again.status is Status.INFEASIBLE:
        raise InfeasibleProgram("no whole number of running units satisfies the limits")
    search.offer(again)


def _with_prices(program: Program, best: Outcome, search: _Search) -> Outcome:
    """Re-solve with the integers held at their values: the continuous optimum beside them, and the prices of rows."""
    assert best.point is not None  # noqa: S101 - only points are offered
    lower, upper = program.lower.copy(), program.upper.copy()
    lower[program.integer] = upper[program.integer] = np.round(best.point[program.integer])
    options = {"presolve": "off", "time_limit": search.seconds_left}
    held = Highs(replace(program, lower=lower, upper=upper), relax=True, options=options).run()
    no_worse = held.objective <= best.objective + 1e-6 * abs(best.objective)
    return held if held.status is Status.OPTIMAL and no_worse else best


def _branch(program: Program, search: _Search, seconds: float) -> Outcome:
    """Branch and bound, stopped as soon as the asked gap to the bound of the whole program is reached.

    HiGHS 1.16 can take a start through its presolve for better than it is, and then ends, as optimal or at the target,
    with a point that is neither: without presolve it does not.
    """
    target = good_enough(search.bound, search.gap)
    options = {"mip_rel_gap": 0.5 * search.gap, "time_limit": float(seconds), "objective_target": target}
    for presolve in ("choose", "off"):
        solver = Highs(program, options={**options, "presolve": presolve})
        if search.best is not None and search.best.point is not None:
            solver.start_from(search.best.point)
        found = solver.run()
        ended = found.status in {Status.OPTIMAL, Status.FAILED}
        if not ended or found.objective <= target or relative_gap(found.objective, found.bound) <= search.gap:
            break
    return found


def good_enough(bound: float, gap: float) -> float:
    """Largest objective whose relative gap to `bound` is at most `gap` (slightly less, for rounding).

    The gap is relative to the objective, so a negative objective may lie less far above its bound than a positive one.
    """
    inside = 0.999 * gap
    if abs(bound) <= 1.0:
        return bound + inside * (1.0 - gap)
    return bound / (1.0 + inside) if bound < 0 else bound / (1.0 - inside)


__all__ = ["MONTHS", "RELAXATION", "InfeasibleProgram", "Solution", "Stage", "good_enough", "relative_gap", "solve"]
