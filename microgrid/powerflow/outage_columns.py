"""Operating points after outages: one column is one outage at one step, with the taps where they stood before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from microgrid.network.profiles import Profiles
from microgrid.powerflow.actions import Actions, LoadTrip, share_by_droop
from microgrid.powerflow.flows import Tapped
from microgrid.powerflow.grid import Grid
from microgrid.powerflow.injections import Injections, element_parts, element_power
from microgrid.powerflow.judge import Judged, RowLimits, Verdict, judge
from microgrid.powerflow.loops import IdleReferenceLoop, Loop, ReactiveLimitLoop, SlackLoop, StepLoop
from microgrid.powerflow.online import Online
from microgrid.powerflow.outage_cases import OutageCase
from microgrid.powerflow.points import Overlay, Points
from microgrid.powerflow.sensitivity import branch_admittances
from microgrid.powerflow.settle import Regulated, Run, Settled
from microgrid.powerflow.shared_slack import SharedSlack
from microgrid.powerflow.solve import RESIDUAL_TOLERANCE_PU

EXCESS = 1e-5  # relative overload, or voltage in pu, beyond which a limit counts as broken


@dataclass(frozen=True)
class Intact:
    """The network before any outage, at some steps: controls at rest."""

    system: Regulated
    profiles: Profiles
    steps: np.ndarray
    settled: Settled


@dataclass(frozen=True)
class OutageColumns:
    """Solved columns: outage number `case` and place `column` in `Intact.steps` of each, and what came of it.

    `redispatched_mw` and `tripped_mw` (columns,) are what the automatic actions moved; `shared` is how an island shares
    its unbalance, None where the reference carries it.
    """

    case: np.ndarray
    column: np.ndarray
    points: Points
    voltage: np.ndarray
    tapped: Tapped
    verdict: Verdict
    converged: np.ndarray
    redispatched_mw: np.ndarray
    tripped_mw: np.ndarray
    shared: SharedSlack | None = None

    @property
    def ok(self) -> np.ndarray:
        """True where a proven solution exists."""
        return np.asarray(self.converged & self.verdict.sane & (self.verdict.residual <= RESIDUAL_TOLERANCE_PU))

    @property
    def broken(self) -> np.ndarray:
        """True where a limit is broken or there is no solution."""
        verdict = self.verdict
        limit = (verdict.loading > 1.0 + EXCESS) | (verdict.low_margin < -EXCESS) | (verdict.high_margin < -EXCESS)
        return np.asarray(limit | ~self.ok)


@dataclass
class _Build:
    """Columns being put together: everything that differs from the intact network."""

    intact: Intact
    cases: tuple[OutageCase, ...]
    case: np.ndarray
    column: np.ndarray
    given: Injections
    limits: ReactiveLimitLoop
    frozen: np.ndarray | None
    overlay: Overlay
    tapped: Tapped
    redispatched_mw: np.ndarray
    tripped_mw: np.ndarray
    shared: SharedSlack | None = None
    total: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def points(self, voltage: np.ndarray) -> Points:
        """Points that start at `voltage`, whose held buses already carry their set points."""
        power = self.given.power
        if self.limits.side.any() or self.shared is not None:
            power = power.copy()
            self.limits.inject(power, np.arange(power.shape[1]))
        if self.shared is not None:
            np.add.at(power, self.shared.rows, self.shared.weight * self.total)
        given = self.given
        parts = (given.current, given.impedance, self.frozen, self.overlay, self.case)
        return Points(power, voltage, self.limits.holds, *parts)


def solve_outages(
    intact: Intact,
    cases: tuple[OutageCase, ...],
    pairs: tuple[np.ndarray, np.ndarray],
    limits: RowLimits,
    actions: Actions,
) -> OutageColumns:
    """Solve pairs (outage number, place in `intact.steps`): network response, droop, reactive limits, load trips."""
    build = _build(intact, cases, *pairs, actions)
    columns = _solve(build, limits)
    for stage in actions.trips:
        struck = _struck(build, columns, stage)
        if len(struck):
            _trip(build, stage, struck)
            columns = _solve(build, limits)
    return columns


def _build(
    intact: Intact, cases: tuple[OutageCase, ...], case: np.ndarray, column: np.ndarray, actions: Actions
) -> _Build:
    settled, grid = intact.settled, intact.system.model.grid
    total = len(intact.steps)
    every = len(column) == total and bool((column == np.arange(total)).all())
    given = _without_limits(intact)
    given = given if every else given.pick(column)
    online = Online.at(grid, intact.profiles, intact.steps[column])
    limits = ReactiveLimitLoop.start(grid, given.vm_pu, online)
    limits.side, limits.holds = np.take(settled.at_limit, column, axis=1), np.take(settled.points.holds, column, axis=1)
    overlay = settled.points.overlay if every else settled.points.overlay.pick(column, total)
    tapped = settled.tapped if every else settled.tapped.pick(column)
    zeros = np.zeros(len(column))
    dead = np.stack([item.dead for item in cases])
    frozen = dead[case].T if dead[np.unique(case)].any() else None
    build = _Build(intact, cases, case, column, given, limits, frozen, overlay, tapped, zeros, zeros.copy())
    build.overlay = Overlay.join([overlay, *_removals(grid, cases, case, tapped)])
    build.shared, build.total = _shared_after(intact, cases, case, online), zeros.copy()
    if any(cases[number].injections for number in np.unique(case)):
        _lose_injections(build, actions)
    if frozen is not None:
        _release_dead(build, frozen)
    return build


def _without_limits(intact: Intact) -> Injections:
    """Injections of the settled points less what generators at a limit inject, which the outage may change."""
    settled, grid = intact.settled, intact.system.model.grid
    points = settled.points
    power = points.power
    if settled.shared.any():  # the outage shares the unbalance anew
        power = power.copy()
        np.subtract.at(power, grid.tables["gen"].bus, settled.shared)
    if settled.at_limit.any():
        side = settled.at_limit
        low, high = Online.at(grid, intact.profiles, intact.steps).bus_limits_mvar() / grid.base_mva
        power = power.copy()
        power[grid.controlled] -= 1j * np.where(side > 0, high, np.where(side < 0, low, 0.0))
    return Injections(power, points.current, points.impedance, settled.given.vm_pu)


def _shared_after(
    intact: Intact, cases: tuple[OutageCase, ...], case: np.ndarray, online: Online
) -> SharedSlack | None:
    """How an island shares its unbalance after the outages: generators that are lost or dead take no part."""
    bus, share = online.grid.tables["gen"].bus, online.share.copy()
    for number in np.unique(case):
        gone = (bus >= 0) & cases[number].dead[bus]
        gone[[place for table, place in cases[number].injections if table == "gen"]] = True
        share[np.ix_(gone, case == number)] = 0.0
    return SharedSlack.at(intact.system, replace(online, share=share))


def _removals(grid: Grid, cases: tuple[OutageCase, ...], case: np.ndarray, tapped: Tapped) -> list[Overlay]:
    """Overlay that takes the lost branches out, at the tap where each column stands."""
    branches, out = grid.branches, []
    for number in np.unique(case):
        columns, rows = np.flatnonzero(case == number), cases[number].branch_rows
        if not len(rows):
            continue
        f, t = branches.from_bus[rows], branches.to_bus[rows]
        pairs = np.repeat(rows, len(columns)), np.tile(columns, len(rows))
        y = branch_admittances(branches, tapped, *pairs).reshape(4 * len(rows), len(columns))
        row_bus, column_bus = (np.tile(ends, len(columns)) for ends in (np.r_[f, f, t, t], np.r_[f, t, f, t]))
        out.append(Overlay(np.repeat(columns, len(y)), row_bus, column_bus, -y.T.ravel()))
    return out


def _lose_injections(build: _Build, actions: Actions) -> None:
    """Take lost injections out, stop lost generators from holding voltage, and let droop units take over."""
    given = build.given
    power = given.power.copy()
    current = None if given.current is None else given.current.copy()
    impedance = None if given.impedance is None else given.impedance.copy()
    build.given = Injections(power, current, impedance, given.vm_pu)
    for number in np.unique(build.case):
        columns = np.flatnonzero(build.case == number)
        lost = build.cases[number].injections
        lost_mw = np.zeros(len(columns))
        for element in lost:
            lost_mw += _remove(build, element, columns)
            if element[0] == "gen":
                _stop_holding(build, element[1], lost, columns)
        if actions.droop:
            _respond_by_droop(build, actions, number, columns, lost_mw)


def _ordered(build: _Build, element: tuple[str, int], columns: np.ndarray, stated: np.ndarray) -> np.ndarray:
    """Reactive injection that a plant controller ordered beyond what is `stated`, pu at the columns."""
    index = build.intact.system.model.grid.tables[element[0]].index[element[1]]
    for table, device, ordered in build.intact.settled.devices:
        if (table, device) == (element[0], index):
            return np.asarray(ordered[build.column[columns]] - stated)
    return np.zeros(len(columns))


def _remove(build: _Build, element: tuple[str, int], columns: np.ndarray) -> np.ndarray:
    """Take one element out of the given injections at the columns; returns the MW it injected."""
    grid = build.intact.system.model.grid
    row = grid.tables[element[0]].bus[element[1]]
    steps = build.intact.steps[build.column[columns]]
    power, current, impedance = element_parts(grid, build.intact.profiles, element, steps)
    power = power + 1j * _ordered(build, element, columns, power.imag)
    build.given.power[row, columns] -= power
    if build.given.current is not None and build.given.impedance is not None:
        build.given.current[row, columns] -= current
        build.given.impedance[row, columns] -= impedance
    return np.asarray((power + current + impedance).real * grid.base_mva)


def _stop_holding(build: _Build, generator: int, lost: tuple[tuple[str, int], ...], columns: np.ndarray) -> None:
    grid, limits = build.intact.system.model.grid, build.limits
    gen = grid.tables["gen"]
    place = np.flatnonzero(grid.controlled == gen.bus[generator])
    others = [g for g in np.flatnonzero(gen.bus == gen.bus[generator]) if ("gen", int(g)) not in lost]
    if not len(place):
        return
    online = Online.at(grid, build.intact.profiles, build.intact.steps[build.column[columns]])
    low, high = online.reactive_limits(np.array(others, np.int64)).sum(axis=1) / grid.base_mva
    limits.q_min[place[0], columns], limits.q_max[place[0], columns] = low, high
    alone = columns[~(online.share[others] > 0.0).any(axis=0)]
    limits.holds[place[0], alone] = False
    limits.side[place[0], alone] = 0


def _respond_by_droop(build: _Build, actions: Actions, number: int, columns: np.ndarray, lost_mw: np.ndarray) -> None:
    grid = build.intact.system.model.grid
    case = build.cases[number]
    steps = build.intact.steps[build.column[columns]]
    rows, shares, headroom = [], [], []
    for unit in actions.droop:
        table = grid.tables[unit.table]
        place = int(np.flatnonzero(table.index == unit.element)[0])
        row = table.bus[place]
        if row < 0 or case.dead[row] or (unit.table, place) in case.injections:
            continue
        now = element_power(grid, build.intact.profiles, unit.table, steps)[place].real
        rows.append(row)
        shares.append(unit.share)
        headroom.append(unit.p_max_mw - now)
    if not rows:
        return
    taken = share_by_droop(np.maximum(lost_mw, 0.0), np.array(shares), np.stack(headroom))
    for row, more in zip(rows, taken, strict=True):
        build.given.power[row, columns] += more / grid.base_mva
    build.redispatched_mw[columns] = taken.sum(axis=0)


def _release_dead(build: _Build, frozen: np.ndarray) -> None:
    """Dead generators keep their state: no limit can be reached where there is no voltage."""
    grid, limits = build.intact.system.model.grid, build.limits
    dead = frozen[grid.controlled]
    limits.q_min[dead], limits.q_max[dead] = -np.inf, np.inf
    limits.side[dead] = 0


def _solve(build: _Build, limits: RowLimits) -> OutageColumns:
    """Solve all columns at once; those that fail or meet a reactive limit go through the outer loop by themselves."""
    system, settled = build.intact.system, build.intact.settled
    total = len(build.intact.steps)
    every = len(build.column) == total and bool((build.column == np.arange(total)).all())
    before = settled.solved.voltage if every else np.take(settled.solved.voltage, build.column, axis=1)
    points = build.points(before)
    solution = system.model.network.solve(points)
    voltage, converged = solution.voltage, solution.converged.copy()
    late = ~converged | _wants_limits(build, points, voltage) | (build.shared is not None)
    if late.any():
        _settle_late(build, np.flatnonzero(late), before, voltage, converged)
        points = build.points(voltage)
    if build.shared is not None:  # where nothing runs there is no solution, unless nothing is left to supply
        dark = np.zeros(len(late), bool) if build.frozen is None else build.frozen.all(axis=0)
        converged &= ~build.shared.lost | dark
    verdict = _judge(build, limits, points, voltage, before)
    return OutageColumns(
        case=build.case,
        column=build.column,
        points=points,
        voltage=voltage,
        tapped=build.tapped,
        verdict=verdict,
        converged=converged,
        redispatched_mw=build.redispatched_mw,
        tripped_mw=build.tripped_mw,
        shared=build.shared,
    )


def _judge(build: _Build, limits: RowLimits, points: Points, voltage: np.ndarray, before: np.ndarray) -> Verdict:
    grid = build.intact.system.model.grid
    out = np.zeros((len(build.cases), len(grid.branches.label)), bool)
    for number, item in enumerate(build.cases):
        out[number, item.branch_rows] = True
    dead = np.stack([item.dead for item in build.cases])
    judged = Judged(points, voltage, before, build.tapped, build.case, out, dead)
    return judge(build.intact.system.model, limits, judged)


def _wants_limits(build: _Build, points: Points, voltage: np.ndarray) -> np.ndarray:
    """Columns in which a generator would cross its reactive limit, or leave it."""
    grid = build.intact.system.model.grid
    if not build.intact.system.controls.reactive_limits or not np.isfinite(grid.controlled_q_mvar).any():
        return np.zeros(voltage.shape[1], bool)
    trial = replace(
        build.limits,
        holds=build.limits.holds.copy(),
        side=build.limits.side.copy(),
        releases=build.limits.releases.copy(),
    )
    return trial.respond(_run(build, [], np.arange(voltage.shape[1])).view(points, voltage))


def _run(build: _Build, loops: list[Loop], columns: np.ndarray) -> Run:
    """Outer loop over some of the columns."""
    frozen = None if build.frozen is None else build.frozen[:, columns]
    overlay = build.overlay.pick(columns, len(build.case))
    given, holds = build.given.pick(columns), build.limits.holds[:, columns]
    locked = StepLoop((), np.zeros((0, len(columns)), np.int64))
    return Run(
        build.intact.system.model,
        given,
        loops,
        holds,
        locked,
        frozen,
        overlay,
        build.case[columns],
        build.tapped.pick(columns),
    )


def _settle_late(
    build: _Build, late: np.ndarray, before: np.ndarray, voltage: np.ndarray, converged: np.ndarray
) -> None:
    limits = build.limits
    part = ReactiveLimitLoop(
        limits.rows,
        limits.q_min[:, late],
        limits.q_max[:, late],
        limits.vm_pu[:, late],
        limits.holds[:, late],
        limits.side[:, late],
        limits.releases[:, late],
    )
    reference = before[build.intact.system.model.grid.reference][:, late]
    loops: list[Loop] = [part]
    if build.shared is not None:
        shared = build.shared.pick(late)
        slack = SlackLoop(shared.rows, shared.weight, shared.own, build.total[late])
        loops += [slack, IdleReferenceLoop(shared.idle[None], reference)]
    run = replace(_run(build, loops, late), holds=part.holds, reference=reference)
    solved, _ = run.to_rest(before[:, late])
    if build.shared is not None:
        build.total[late] = slack.total
    voltage[:, late], converged[late] = solved.voltage, solved.ok
    limits.holds[:, late], limits.side[:, late] = part.holds, part.side


def _struck(build: _Build, columns: OutageColumns, stage: LoadTrip) -> np.ndarray:
    """Columns in which the stage acts."""
    labels = np.array([item.outage.label for item in build.cases])[build.case]
    armed = np.isin(labels, stage.outages) if stage.outages else np.ones(len(labels), bool)
    return np.flatnonzero(armed if stage.when == "always" else armed & columns.broken)


def _trip(build: _Build, stage: LoadTrip, struck: np.ndarray) -> None:
    """Take the stage's loads out in the struck columns, unless they are dead or out already."""
    grid, given = build.intact.system.model.grid, build.given
    current = None if given.current is None else given.current.copy()
    impedance = None if given.impedance is None else given.impedance.copy()
    build.given = Injections(given.power.copy(), current, impedance, given.vm_pu)
    for load in stage.loads:
        place = int(np.flatnonzero(grid.tables["load"].index == load)[0])
        row = grid.tables["load"].bus[place]
        out = np.array([("load", place) in item.injections or bool(item.dead[row]) for item in build.cases])
        alive = struck[~out[build.case[struck]]]
        if row >= 0 and len(alive):
            build.tripped_mw[alive] -= _remove(build, ("load", place), alive)


__all__ = ["Intact", "OutageColumns", "solve_outages"]
