"""Say why no dispatch exists, in MW, hours and the names of limits.

Two relaxations are tried. First only the power balance may be missed, at the least total energy: the answer is how many
MW are short (or in surplus), in which hours, and which limits would shorten the shortage (those with a price in that
relaxation, which is a Farkas certificate of the conflict). When the conflict lies elsewhere, every rule may be missed
instead, and the rules that must give way are named. HiGHS's irreducible infeasible subset of the worst step names the
smallest set of limits that contradict each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.balance import CAMPUS
from microgrid.dispatch.compile import Program, RowGroup
from microgrid.dispatch.highs import Highs, Status
from microgrid.errors import Conflict, Infeasible
from microgrid.formulation.connection import NetworkCut
from microgrid.formulation.evaluate import Declaration
from microgrid.formulation.horizon import Horizon

TOLERANCE_MW = 1e-4
TIMED = ("time", "edge")
UNDECIDED = "no decision enters it there, and the fixed supply and demand are not equal"
IIS_FROM_LP = 2 | 4  # by an elastic relaxation, made irreducible; HiGHS sees single rows alone by default
IIS_SECONDS = 20.0
NAMED = 8  # conflicts told; more than these hide the cause


@dataclass(frozen=True)
class _Slacks:
    """Outcome of an elastic relaxation: signed miss of every elastic row, prices of rows and columns."""

    rows: np.ndarray
    miss: np.ndarray
    row_price: np.ndarray
    column_price: np.ndarray


def explain(program: Program, horizon: Horizon, cuts: Sequence[NetworkCut] = ()) -> Infeasible:
    """Return the error that tells why `program` has no point; `cuts` name what the network's rows protect."""
    relaxed = replace(program, integer=np.zeros_like(program.integer))
    balance = [group for group in program.rows if group.name.startswith(f"{CAMPUS}.balance")]
    slacks = _elastic(relaxed, balance)
    if slacks is not None and np.abs(slacks.miss).max(initial=0.0) > TOLERANCE_MW:
        return _shortage(relaxed, horizon, slacks, cuts)
    slacks = _elastic(relaxed, program.rows)
    if slacks is not None and np.abs(slacks.miss).max(initial=0.0) > TOLERANCE_MW:
        return _conflicting_rules(relaxed, horizon, slacks, cuts)
    return Infeasible("no integral commitment satisfies the limits, although a fractional one does", [])


def _elastic(program: Program, groups: Sequence[RowGroup]) -> _Slacks | None:
    """Least total miss of the rows of `groups`; None when even that has no point."""
    rows = np.concatenate([np.arange(group.span.start, group.span.stop) for group in groups])
    count, (height, width) = rows.size, program.matrix.shape
    place = np.arange(count)
    up = sp.csr_array((np.ones(count), (rows, place)), shape=(height, count))
    matrix = sp.csr_array(sp.hstack([program.matrix, up, -up], format="csr"))
    none, endless = np.zeros(2 * count), np.full(2 * count, np.inf)
    relaxed = replace(
        program,
        matrix=matrix,
        lower=np.concatenate([program.lower, none]),
        upper=np.concatenate([program.upper, endless]),
        cost=np.concatenate([np.zeros(width), np.ones(2 * count)]),
        offset=0.0,
        integer=np.zeros(width + 2 * count, bool),
    )
    solver = Highs(relaxed)
    outcome = solver.run()
    if outcome.status is not Status.OPTIMAL or outcome.point is None:
        return None
    solution = solver.solver.getSolution()
    miss = outcome.point[width : width + count] - outcome.point[width + count :]
    return _Slacks(rows, miss, np.array(solution.row_dual), np.array(solution.col_dual)[:width])


def _shortage(program: Program, horizon: Horizon, slacks: _Slacks, cuts: Sequence[NetworkCut]) -> Infeasible:
    """Positive miss: power is short; negative: power has nowhere to go."""
    steps = np.concatenate(
        [np.asarray(group.positions) for group in program.rows if group.name.startswith(f"{CAMPUS}.balance")]
    )
    fixed = np.diff(program.matrix.indptr)[slacks.rows] == 0
    conflicts = _misses(horizon, steps, np.where(fixed, 0.0, slacks.miss))
    if fixed.any():
        conflicts.append(_over_time("the power balance", steps[fixed].tolist(), horizon, UNDECIDED))
    head = conflicts[0]
    message = f"{head.limit}: {head.shortfall_mw:,.3f} MW at the worst step ({head.worst}), in {head.hours:,.2f} h"
    if not head.shortfall_mw:
        message = f"{head.limit} does not close from {head.worst}, in {head.hours:,.2f} h: {head.detail}"
    worst_step = int(steps[np.argmax(np.abs(slacks.miss))])
    day = [step for step in range(horizon.count) if horizon.local[step].date() == horizon.local[worst_step].date()]
    subset = irreducible_subset(program, [worst_step]) or irreducible_subset(program, day)
    if subset:
        message += f"; these contradict each other there: {', '.join(subset)}"
    limits = [*_network_limits(program, horizon, slacks, cuts), *_priced_limits(program, horizon, slacks)]
    return Infeasible(message, [*conflicts, *limits][:NAMED])


def _misses(horizon: Horizon, steps: np.ndarray, miss: np.ndarray) -> list[Conflict]:
    """Shortage and surplus, each with its worst step, hours and energy."""
    conflicts = []
    for sign, text in ((1.0, "power is short"), (-1.0, "surplus power has nowhere to go")):
        amount = sign * miss
        hit = np.flatnonzero(amount > TOLERANCE_MW)
        if hit.size:
            worst = int(np.argmax(amount))
            hours = np.asarray(horizon.hours)[steps[hit]]
            energy = f"{float(amount[hit] @ hours):,.1f} MWh in all"
            place = horizon.label(int(steps[worst]))
            conflicts.append(Conflict(text, float(amount[worst]), float(hours.sum()), place, energy))
    return conflicts


def _network_limits(program: Program, horizon: Horizon, slacks: _Slacks, cuts: Sequence[NetworkCut]) -> list[Conflict]:
    """Elements of the network whose limits would shorten the shortage, most hours first."""
    hit: dict[tuple[str, str, str], set[int]] = {}
    for rows in program.rows:
        if rows.name != f"{CAMPUS}.network_cut":
            continue
        for place in np.flatnonzero(np.abs(slacks.row_price[rows.span]) > 1e-6).tolist():
            cut = cuts[rows.positions[place]]
            if cut.quantity != "loss":
                hit.setdefault((cut.element, cut.quantity, cut.outage), set()).add(cut.step)
    found = []
    for (element, quantity, outage), steps in hit.items():
        after = f" after {outage}" if outage else ""
        hours = float(sum(horizon.hours[step] for step in steps))
        found.append(
            Conflict(
                f"{quantity} limit of {element}{after}", 0.0, hours, horizon.label(min(steps)), "would have to give way"
            )
        )
    return sorted(found, key=lambda conflict: -conflict.hours)


def _priced_limits(program: Program, horizon: Horizon, slacks: _Slacks) -> list[Conflict]:
    """Limits whose relaxation would shorten the shortage, by variable and rule, most hours first."""
    found: list[Conflict] = []
    for group in program.columns:
        price = slacks.column_price[group.span]
        for sign, limits, word in ((-1.0, program.upper, "upper"), (1.0, program.lower, "lower")):
            hit = np.flatnonzero(sign * price > 1e-6)
            bounds = limits[group.span]
            if hit.size and not (word == "lower" and np.allclose(bounds[hit], 0.0)):
                found.append(_limit(group.declaration, word, bounds[hit], hit, horizon))
    for rows in program.rows:
        if rows.name.startswith(f"{CAMPUS}."):
            continue
        hit = np.flatnonzero(np.abs(slacks.row_price[rows.span]) > 1e-6)
        if hit.size and np.ptp(program.row_upper[rows.span]) + abs(program.row_upper[rows.span]).max() > 0:
            found.append(_rule(program, rows, hit, horizon))
    return sorted(found, key=lambda conflict: -conflict.hours)


def _limit(declaration: Declaration, word: str, bounds: np.ndarray, hit: np.ndarray, horizon: Horizon) -> Conflict:
    span = f"{bounds.min():,.3g}" if np.ptp(bounds) < 1e-9 else f"{bounds.min():,.3g} … {bounds.max():,.3g}"
    limit, told = f"{declaration.name} {word} limit {span} {declaration.unit}", "would have to give way"
    if declaration.index.name in TIMED:
        return _over_time(limit, hit.tolist(), horizon, told)
    labels = [declaration.index.labels[place] for place in hit.tolist()] if declaration.index.labels else []
    return Conflict(limit, 0.0, 0.0, "", f"{told} ({_listed(labels)})" if labels else told)


def _rule(program: Program, rows: RowGroup, hit: np.ndarray, horizon: Horizon) -> Conflict:
    if _of_steps(program, rows):
        return _over_time(f"rule {rows.name}", [int(rows.positions[place]) for place in hit], horizon, rows.equation)
    return Conflict(f"rule {rows.name}", 0.0, 0.0, "", f"{hit.size} of {len(rows.positions)} rows: {rows.equation}")


def _over_time(limit: str, positions: Sequence[int], horizon: Horizon, detail: str) -> Conflict:
    """A limit of steps or edges; the last edge ends the window and has no hours of its own."""
    inside = [step for step in positions if step < horizon.count]
    hours = float(sum(horizon.hours[step] for step in inside))
    return Conflict(limit, 0.0, hours, horizon.label(inside[0]) if inside else "", detail)


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")


def _of_steps(program: Program, rows: RowGroup) -> bool:
    """True when the rule's positions are steps or edges: every row holds a variable of its own step or edge.

    A row of a day, a month or a contract holds those of other steps, whatever its number.
    """
    if len(rows.positions) < 2:
        return False
    step_of = np.full(program.matrix.shape[1], -1)
    for group in program.columns:
        if group.declaration.index.name in TIMED:
            step_of[group.span] = np.arange(group.declaration.index.size)
    starts = program.matrix.indptr
    for row, position in zip(range(rows.span.start, rows.span.stop), rows.positions, strict=True):
        if position not in step_of[program.matrix.indices[starts[row] : starts[row + 1]]]:
            return False
    return True


def _conflicting_rules(program: Program, horizon: Horizon, slacks: _Slacks, cuts: Sequence[NetworkCut]) -> Infeasible:
    """Rules that must give way when every rule may; the network's rows are told by element."""
    miss = dict(zip(slacks.rows.tolist(), slacks.miss.tolist(), strict=True))
    conflicts: list[Conflict] = []
    for rows in program.rows:
        amounts = np.abs([miss.get(row, 0.0) for row in range(rows.span.start, rows.span.stop)])
        hit = np.flatnonzero(amounts > TOLERANCE_MW)
        if not hit.size:
            continue
        if rows.name == f"{CAMPUS}.network_cut":
            conflicts += _broken_elements(horizon, [cuts[place] for place in rows.positions], amounts, hit)
        else:
            conflicts.append(replace(_rule(program, rows, hit, horizon), shortfall_mw=float(amounts.max())))
    conflicts.sort(key=lambda conflict: -conflict.shortfall_mw)
    names = ", ".join(f"{conflict.limit} ({conflict.shortfall_mw:,.3f} MW)" for conflict in conflicts[:3])
    message = f"these limits contradict each other, whatever the dispatch: {names}"
    return Infeasible(message, conflicts[:NAMED])


def _broken_elements(
    horizon: Horizon, cuts: Sequence[NetworkCut], amounts: np.ndarray, hit: np.ndarray
) -> list[Conflict]:
    """Elements that no dispatch can keep, with the MW that would have to leave where they matter most.

    `cuts` are those of the rows, in their order.
    """
    found: dict[tuple[str, str, str], list[tuple[float, float, int]]] = {}
    for place in hit.tolist():
        cut = cuts[place]
        strongest = max((abs(value) for _, value in cut.coefficients), default=1.0)
        key = (cut.element, cut.quantity, cut.outage)
        found.setdefault(key, []).append((amounts[place] / strongest, amounts[place], cut.step))
    conflicts = []
    for (element, quantity, outage), misses in found.items():
        power, percent, step = max(misses)
        hours = float(sum(horizon.hours[each] for each in {miss[2] for miss in misses}))
        after = f" after {outage}" if outage else ""
        detail = f"{percent:,.2f} percentage points beyond the limit at the least"
        conflicts.append(Conflict(f"{quantity} limit of {element}{after}", power, hours, horizon.label(step), detail))
    return conflicts


def irreducible_subset(program: Program, steps: Sequence[int]) -> list[str]:
    """Names of limits in HiGHS's irreducible infeasible subset of some steps (empty when those alone are feasible).

    Rows and columns of other steps are left free, so the answer is about these steps only.
    """
    lower, upper = program.lower.copy(), program.upper.copy()
    row_lower, row_upper = program.row_lower.copy(), program.row_upper.copy()
    for group in program.columns:
        if group.declaration.index.name in TIMED:
            other = ~np.isin(np.arange(group.declaration.index.size), steps)
            lower[group.span] = np.where(other, -np.inf, lower[group.span])
            upper[group.span] = np.where(other, np.inf, upper[group.span])
    for rows in program.rows:
        if not _of_steps(program, rows):
            continue  # the free columns of other steps leave its rows without a say, but where it binds these
        other = ~np.isin(rows.positions, steps)
        row_lower[rows.span] = np.where(other, -np.inf, row_lower[rows.span])
        row_upper[rows.span] = np.where(other, np.inf, row_upper[rows.span])
    alone = replace(
        program,
        lower=lower,
        upper=upper,
        row_lower=row_lower,
        row_upper=row_upper,
        integer=np.zeros_like(program.integer),
    )
    solver = Highs(alone, options={"presolve": "off", "iis_strategy": IIS_FROM_LP, "iis_time_limit": IIS_SECONDS})
    if solver.run().status is not Status.INFEASIBLE:
        return []
    _, iis = solver.solver.getIis()
    names = {_row_name(program, int(row)) for row in iis.row_index_}
    return sorted(names | {_column_name(program, int(column)) for column in iis.col_index_})


def _row_name(program: Program, row: int) -> str:
    return next(f"rule {rows.name}" for rows in program.rows if rows.span.start <= row < rows.span.stop)


def _column_name(program: Program, column: int) -> str:
    group = next(group for group in program.columns if group.span.start <= column < group.span.stop)
    low, high = program.lower[column], program.upper[column]
    return f"{group.declaration.name} within {low:g} … {high:g} {group.declaration.unit}"


__all__ = ["explain", "irreducible_subset"]
