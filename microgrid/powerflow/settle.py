"""Batched outer loops: solve, let the controls respond, solve the columns that changed, until all are at rest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.network.profiles import Profiles
from microgrid.powerflow.controls import Controls, read_controls
from microgrid.powerflow.extract import extract
from microgrid.powerflow.flows import Tapped
from microgrid.powerflow.grid import Grid
from microgrid.powerflow.injections import Injections, element_power
from microgrid.powerflow.loops import IdleReferenceLoop, Loop, ReactiveLimitLoop, SlackLoop, StepLoop, View
from microgrid.powerflow.online import Online
from microgrid.powerflow.plant import PlantLoop, plant_loops
from microgrid.powerflow.points import Overlay, Points
from microgrid.powerflow.solve import Model, Solved, Status, points_of, solve_points
from microgrid.powerflow.stepped import Stepped, stepped_elements, tapped_branches

MOST_ROUNDS = 60
NO_WEIGHT = 1e-12  # of the unbalance: an island where nothing runs


@dataclass(frozen=True)
class Regulated:
    """A model with its controls resolved against the net.

    Weights of the unbalance with everything online: `slack_weight` (generators,) of those off the reference,
    `own_weight` of the reference, of which `reference_weight` (generators,) is that of generators at it.
    """

    model: Model
    controls: Controls
    stepped: tuple[Stepped, ...]
    slack_weight: np.ndarray
    own_weight: float
    reference_weight: np.ndarray

    @property
    def base_position(self) -> np.ndarray:
        """Positions (elements,) of the net itself."""
        return np.array([item.base for item in self.stepped], np.int64)


@dataclass(frozen=True)
class Batch:
    """Steps to settle: which ones, their injections, starting voltages (buses, 1 or steps), starting positions.

    `position` is (stepped elements, steps).
    """

    steps: np.ndarray
    given: Injections
    start: np.ndarray
    position: np.ndarray


@dataclass(frozen=True)
class Settled:
    """Columns of one chunk with all controls at rest.

    `points` are the operating points that were solved in the end; `position` (stepped elements, columns);
    `at_limit` (controlled buses, columns) is +1, -1 or 0; `shared` (generators, columns) is each one's part of the
    unbalance, in pu, but for those at the reference;
    `devices` lists (table, element, reactive injection in pu by column) of plant devices.
    """

    solved: Solved
    points: Points
    given: Injections
    position: np.ndarray
    at_limit: np.ndarray
    shared: np.ndarray
    devices: tuple[tuple[str, int, np.ndarray], ...]
    tapped: Tapped


def regulated(net: Any, controls: Controls | None = None) -> Regulated:
    """Extract a net and resolve its controls (its own when None) in one call."""
    model = Model(extract(net))
    return regulate(net, model, read_controls(net) if controls is None else controls)


def regulate(net: Any, model: Model, controls: Controls) -> Regulated:
    """Resolve controls against the net; raises InvalidInput for what does not exist or cannot work."""
    none = np.zeros(len(net.gen))
    weights = _slack_weights(net, model.grid) if controls.distributed_slack else (none, 1.0, none)
    return Regulated(model, controls, stepped_elements(net, model.grid, controls), *weights)


def _slack_weights(net: Any, grid: Grid) -> tuple[np.ndarray, float, np.ndarray]:
    """Weights of generators off the reference, of the reference, and of generators at it; the first two sum to 1."""
    table = grid.tables["gen"]
    given = net.gen["slack_weight"].to_numpy(float) if "slack_weight" in net.gen.columns else np.zeros(len(net.gen))
    live = np.where(table.bus >= 0, np.nan_to_num(given), 0.0)
    grids = net.ext_grid[net.ext_grid.in_service.astype(bool)]
    own = float(np.nan_to_num(grids["slack_weight"].to_numpy(float)).sum()) if "slack_weight" in grids.columns else 0.0
    at_reference = np.isin(table.bus, grid.reference)
    own += live[at_reference].sum()
    total = own + live[~at_reference].sum()
    if len(grid.reference) != 1 or total <= 0.0:
        rule = "the distributed slack needs one reference bus and a positive sum of slack_weight"
        raise InvalidInput(Problem(field="net.gen.slack_weight", value=str(total), rule=rule))
    return np.where(at_reference, 0.0, live) / total, own / total, np.where(at_reference, live, 0.0) / total


def settle(system: Regulated, profiles: Profiles, batch: Batch) -> Settled:
    """Solve a batch of steps of the profiles with all controls."""
    grid, given, count = system.model.grid, batch.given, len(batch.steps)
    online = Online.at(grid, profiles, batch.steps)
    limits = ReactiveLimitLoop.start(grid, given.vm_pu, online)
    stepping = StepLoop(system.stepped, batch.position.copy())
    weight, own, lost = weights_online(system, online)
    live = np.flatnonzero(system.slack_weight)
    slack = SlackLoop(grid.tables["gen"].bus[live], weight[live], own, np.zeros(count))
    idle = online.idle_references() & ~lost
    reference = IdleReferenceLoop(idle, np.repeat(grid.reference_voltage[:, None], count, axis=1))
    plants = _plants(system, profiles, batch.steps)
    loops: list[Loop] = [*plants]
    loops += [limits] if system.controls.reactive_limits and _limited(grid) else []
    loops += [slack] if system.controls.distributed_slack else []
    loops += [reference] if idle.any() else []
    loops += [stepping] if system.stepped else []
    run = Run(system.model, given, loops, limits.holds, stepping, reference=reference.voltage)
    solved, points = run.to_rest(batch.start)
    solved.status[lost] = Status.DIVERGENT
    devices = tuple(
        (device.table, device.element, row)
        for plant in plants
        for device, row in zip(plant.control.devices, plant.reactive(np.arange(count)), strict=True)
    )
    tapped = tapped_branches(system.stepped, stepping.position)
    shared = weight * slack.total
    return Settled(solved, points, given, stepping.position, limits.side, shared, devices, tapped)


def weights_online(system: Regulated, online: Online) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights of generators (generators, columns) and of the reference (columns,), and columns without any source."""
    weight = system.slack_weight[:, None] * online.share
    firm = system.own_weight - system.reference_weight.sum()
    own = np.maximum(firm + system.reference_weight @ online.share, 0.0)
    total = own + weight.sum(axis=0)
    lost = total < NO_WEIGHT
    if not system.controls.distributed_slack:
        lost |= online.idle_references().any(axis=0)
    total = np.where(lost, 1.0, total)
    return np.where(lost, 0.0, weight / total), np.where(lost, 1.0, own / total), lost


def _limited(grid: Grid) -> bool:
    return bool(np.isfinite(grid.controlled_q_mvar).any())


def _plants(system: Regulated, profiles: Profiles, steps: np.ndarray) -> list[PlantLoop]:
    if not system.controls.plants:
        return []
    grid = system.model.grid
    power = {name: element_power(grid, profiles, name, steps) for name in ("sgen", "storage")}
    real = {name: values.real for name, values in power.items()}
    return plant_loops(grid, system.controls.plants, real, {name: values.imag for name, values in power.items()})


@dataclass
class Run:
    """Working state while columns come to rest.

    `frozen`, `overlay`, `kin` and `tapped` are what an outage has fixed beforehand: dead buses, admittance changes, the
    number of the outage, and the branches whose taps stand elsewhere than in the net. `reference` are the phasors
    (reference buses, columns) of the sources, those of the net when None.
    """

    model: Model
    given: Injections
    loops: list[Loop]
    holds: np.ndarray
    steps: StepLoop
    frozen: np.ndarray | None = None
    overlay: Overlay = field(default_factory=lambda: Overlay.join([]))
    kin: np.ndarray | None = None
    tapped: Tapped | None = None
    reference: np.ndarray | None = None

    def view(self, points: Points, voltage: np.ndarray) -> View:
        """All columns, free to move."""
        columns = np.arange(voltage.shape[1])
        tapped = Tapped.none(len(columns)) if self.tapped is None else self.tapped
        return View(self.model, columns, points, self.given, voltage, np.ones(len(columns), bool), tapped)

    def to_rest(self, start: np.ndarray) -> tuple[Solved, Points]:
        """Iterate; columns that still move after all rounds are marked unsettled."""
        count = self.given.power.shape[1]
        everything = np.arange(count)
        points = self._points(everything, start)
        solved = solve_points(self.model, points)
        active = self._respond(everything, points, solved) if self.loops else everything[:0]
        rounds = 0
        while len(active) and rounds < MOST_ROUNDS:
            part = self._points(active, solved.voltage[:, active])
            again = solve_points(self.model, part)
            _merge(solved, active, again)
            active = active[self._respond(active, part, again)]
            rounds += 1
        if len(active):
            solved.status[active] = np.where(solved.ok[active], Status.UNSETTLED, solved.status[active])
        if rounds:
            points = self._points(everything, solved.voltage)
        return solved, points

    def _points(self, columns: np.ndarray, voltage: np.ndarray) -> Points:
        every = len(columns) == self.given.power.shape[1]
        given = self.given if every else self.given.pick(columns)
        if self.loops:
            power = given.power.copy()
            for loop in self.loops:
                loop.inject(power, columns)
            given = Injections(power, given.current, given.impedance, given.vm_pu)
        fixed = self.overlay if every else self.overlay.pick(columns, self.given.power.shape[1])
        overlay = Overlay.join([fixed, *(part for loop in self.loops for part in loop.overlay(columns))])
        points = points_of(self.model.grid, given, voltage, self.holds[:, columns], overlay)
        if self.reference is not None:
            points.start[self.model.grid.reference] = self.reference[:, columns]
        frozen = None if self.frozen is None else self.frozen[:, columns]
        return replace(points, frozen=frozen, kin=None if self.kin is None else self.kin[columns])

    def _respond(self, columns: np.ndarray, points: Points, solved: Solved) -> np.ndarray:
        """Places (in `columns`) of the columns that some loop changed; discrete loops act where the others rest."""
        moved = tapped_branches(self.steps.elements, self.steps.position[:, columns])
        tapped = moved if self.tapped is None else self.tapped.pick(columns)
        given = self.given.pick(columns)
        changed = np.zeros(len(columns), bool)
        for discrete in (False, True):
            free = solved.ok & ~changed
            view = View(self.model, columns, points, given, solved.voltage, free, tapped)
            for loop in self.loops:
                if loop.discrete == discrete:
                    changed |= loop.respond(view)
        return np.flatnonzero(changed)


def _merge(solved: Solved, columns: np.ndarray, again: Solved) -> None:
    """Write the columns solved again into `solved`, in place."""
    solved.voltage[:, columns] = again.voltage
    solved.status[columns] = again.status
    solved.iterations[columns] += np.maximum(again.iterations, 0)
    solved.residual[columns] = again.residual


def settle_in_order(system: Regulated, profiles: Profiles, batch: Batch) -> Settled:
    """Like `settle`, but every step starts from the positions at which the step before came to rest.

    The first column of `batch.position` holds before the first step. All steps are solved at once from a guess of where
    the step before ends; those that guessed wrong are solved again. The answer is exactly the sequential one, because
    the first step never depends on a guess; a deadband forgets its start within a few steps, so few rounds are needed.
    """
    first, began = batch.position[:, :1], batch.position.copy()
    settled = settle(system, profiles, batch)
    while True:
        wanted = np.concatenate([first, settled.position[:, :-1]], axis=1)
        late = np.flatnonzero((wanted != began).any(axis=0))
        if not len(late):
            return settled
        began[:, late] = wanted[:, late]
        start = settled.solved.voltage[:, late]
        part = settle(system, profiles, Batch(batch.steps[late], batch.given.pick(late), start, began[:, late]))
        settled = _replace_columns(system, settled, late, part)


def _replace_columns(system: Regulated, settled: Settled, late: np.ndarray, part: Settled) -> Settled:
    """`settled` with the columns `late` taken from `part`; arrays are changed in place."""
    pairs: list[tuple[np.ndarray, np.ndarray]] = [
        (settled.solved.voltage, part.solved.voltage),
        (settled.solved.status, part.solved.status),
        (settled.solved.iterations, part.solved.iterations),
        (settled.solved.residual, part.solved.residual),
        (settled.points.power, part.points.power),
        (settled.points.holds, part.points.holds),
        (settled.position, part.position),
        (settled.at_limit, part.at_limit),
        (settled.shared, part.shared),
        *((old[2], new[2]) for old, new in zip(settled.devices, part.devices, strict=True)),
    ]
    for whole, fresh in pairs:
        whole[..., late] = fresh
    overlay = Overlay.join([item.overlay(settled.position[place]) for place, item in enumerate(system.stepped)])
    points = replace(settled.points, overlay=overlay)
    return replace(settled, points=points, tapped=tapped_branches(system.stepped, settled.position))


__all__ = [
    "Batch",
    "Regulated",
    "Run",
    "Settled",
    "regulate",
    "regulated",
    "settle",
    "settle_in_order",
    "weights_online",
]
