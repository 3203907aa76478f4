"""The outer loops of the batched power flow: each watches solved columns and changes what the next solve gets.

A loop keeps arrays over all columns of a chunk. `inject` adds its powers to those of the profiles, `respond` looks at a
solved set of columns and says which of them changed; only these are solved again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from microgrid.powerflow.flows import Tapped
from microgrid.powerflow.grid import Grid
from microgrid.powerflow.injections import Injections
from microgrid.powerflow.online import Online
from microgrid.powerflow.points import Overlay, Points
from microgrid.powerflow.solve import Model, drawn_power
from microgrid.powerflow.stepped import Stepped

SETTLED_PU = 1e-9
IDLE_PU = 1e-8
MOST_MOVE_PU = 0.05
MOST_RELEASES = 3
MOST_REVERSALS = 2


@dataclass(frozen=True)
class View:
    """Solved columns shown to the loops: `columns` are places in the chunk, `free` marks those a loop may still move.

    `given` are the injections of the profiles at these columns, without what the loops added; `tapped` the branches
    whose taps differ by column.
    """

    model: Model
    columns: np.ndarray
    points: Points
    given: Injections
    voltage: np.ndarray
    free: np.ndarray
    tapped: Tapped

    def surplus(self, rows: np.ndarray) -> np.ndarray:
        """Power that sources and loops put in at bus `rows`: what the network draws less what the profiles inject."""
        drawn = drawn_power(self.model, self.points, self.voltage, rows)
        return np.asarray(drawn - self.given.at(self.voltage)[rows])


class Loop(Protocol):
    """One control of the network."""

    discrete: bool

    def inject(self, power: np.ndarray, columns: np.ndarray) -> None:
        """Add this loop's injections to `power` (buses, columns) in place."""

    def overlay(self, columns: np.ndarray) -> list[Overlay]:
        """Admittance changes of this loop at the columns."""

    def respond(self, view: View) -> np.ndarray:
        """Adjust to the solved columns; True (columns,) where something changed."""


@dataclass
class ReactiveLimitLoop:
    """Generators that reach a reactive limit inject it, and hold their voltage again when it lets them.

    A generator at its upper limit whose voltage lies above the set point could produce less, so it returns to voltage
    control; likewise at the lower limit below the set point. All arrays are (controlled buses, columns).
    """

    rows: np.ndarray
    q_min: np.ndarray
    q_max: np.ndarray
    vm_pu: np.ndarray
    holds: np.ndarray
    side: np.ndarray
    releases: np.ndarray
    discrete: bool = False

    @classmethod
    def start(cls, grid: Grid, vm_pu: np.ndarray, online: Online) -> ReactiveLimitLoop:
        """All generators that run hold their voltage."""
        low, high = online.bus_limits_mvar() / grid.base_mva
        none = np.zeros(vm_pu.shape, np.int8)
        return cls(grid.controlled, low, high, vm_pu, online.holds(), none, none.copy())

    def inject(self, power: np.ndarray, columns: np.ndarray) -> None:
        """Add the limit where it is injected."""
        side = self.side[:, columns]
        limit = np.where(side > 0, self.q_max[:, columns], self.q_min[:, columns])
        power[self.rows] += 1j * np.where(side == 0, 0.0, limit)

    def overlay(self, columns: np.ndarray) -> list[Overlay]:  # noqa: ARG002 -- part of `Loop`
        """Change no admittance."""
        return []

    def respond(self, view: View) -> np.ndarray:
        """Clamp generators beyond a limit and release those whose voltage allows it."""
        if not len(self.rows):
            return np.zeros(len(view.columns), bool)
        reactive, vm_pu = view.surplus(self.rows).imag, np.abs(view.voltage[self.rows])
        holds, side, releases = self.holds[:, view.columns], self.side[:, view.columns], self.releases[:, view.columns]
        wanted = self.vm_pu[:, view.columns]
        over = holds & view.free & (reactive > self.q_max[:, view.columns] + SETTLED_PU)
        under = holds & view.free & (reactive < self.q_min[:, view.columns] - SETTLED_PU)
        slack = ((side > 0) & (vm_pu > wanted + SETTLED_PU)) | ((side < 0) & (vm_pu < wanted - SETTLED_PU))
        back = slack & view.free & (releases < MOST_RELEASES)
        self.side[:, view.columns] = np.where(over, 1, np.where(under, -1, np.where(back, 0, side)))
        self.holds[:, view.columns] = (holds & ~over & ~under) | back
        self.releases[:, view.columns] = releases + back
        return np.asarray((over | under | back).any(axis=0))


@dataclass
class SlackLoop:
    """The unbalance of an island is shared among generators by weight instead of falling on one.

    `weight` (generators, columns) sums to one with `own` (columns,), the weight of the reference itself; `total`
    (columns,) is the unbalance in pu.
    """

    rows: np.ndarray
    weight: np.ndarray
    own: np.ndarray
    total: np.ndarray
    discrete: bool = False

    def inject(self, power: np.ndarray, columns: np.ndarray) -> None:
        """Add each generator's share."""
        np.add.at(power, self.rows, self.weight[:, columns] * self.total[columns])

    def overlay(self, columns: np.ndarray) -> list[Overlay]:  # noqa: ARG002 -- part of `Loop`
        """Change no admittance."""
        return []

    def respond(self, view: View) -> np.ndarray:
        """Take the unbalance seen now as the total to share."""
        here = view.surplus(view.model.grid.reference).real.sum(axis=0)
        before = self.total[view.columns]
        now = here + (1.0 - self.own[view.columns]) * before
        moved = view.free & (np.abs(now - before) > SETTLED_PU)
        self.total[view.columns] = np.where(moved, now, before)
        return np.asarray(moved)


@dataclass
class IdleReferenceLoop:
    """The reference of an island whose own plant is stopped: it keeps the angle and gives no reactive power.

    `idle` and the phasors `voltage` are (reference buses, columns); a secant moves the magnitudes. That it gives no
    active power either is the work of `SlackLoop`, which leaves it no weight.
    """

    idle: np.ndarray
    voltage: np.ndarray
    reactive: np.ndarray = field(init=False)
    moved: np.ndarray = field(init=False)
    discrete: bool = False

    def __post_init__(self) -> None:
        """Nothing has moved yet."""
        self.reactive, self.moved = np.zeros(self.idle.shape), np.zeros(self.idle.shape)

    def inject(self, power: np.ndarray, columns: np.ndarray) -> None:
        """Inject nothing."""

    def overlay(self, columns: np.ndarray) -> list[Overlay]:  # noqa: ARG002 -- part of `Loop`
        """Change no admittance."""
        return []

    def respond(self, view: View) -> np.ndarray:
        """Move the magnitude towards no reactive power; the first guess of dQ/d|V| is that of stiff neighbours."""
        columns, grid = view.columns, view.model.grid
        reactive = view.surplus(grid.reference).imag
        stiff = -grid.y_bus.diagonal()[grid.reference].imag[:, None]
        moved = self.moved[:, columns]
        seen = (reactive - self.reactive[:, columns]) / np.where(moved == 0.0, np.nan, moved)
        step = np.clip(-reactive / np.where(seen > 0.0, seen, stiff), -MOST_MOVE_PU, MOST_MOVE_PU)
        act = self.idle[:, columns] & view.free & (np.abs(reactive) > IDLE_PU)
        self.reactive[:, columns] = np.where(act, reactive, self.reactive[:, columns])
        self.moved[:, columns] = np.where(act, step, moved)
        phasor = self.voltage[:, columns]
        self.voltage[:, columns] = np.where(act, phasor * (1.0 + step / np.abs(phasor)), phasor)
        return np.asarray(act.any(axis=0))


@dataclass
class StepLoop:
    """Tap changers and switched shunts: one step at a time while the watched voltage is outside its band.

    `position` (elements, columns). An element that has turned round twice is hunting and stays where it is.
    """

    elements: tuple[Stepped, ...]
    position: np.ndarray
    last_move: np.ndarray = field(init=False)
    reversals: np.ndarray = field(init=False)
    discrete: bool = True

    def __post_init__(self) -> None:
        """Nothing has moved yet."""
        self.last_move = np.zeros(self.position.shape, np.int8)
        self.reversals = np.zeros(self.position.shape, np.int8)

    def inject(self, power: np.ndarray, columns: np.ndarray) -> None:
        """Inject nothing."""

    def overlay(self, columns: np.ndarray) -> list[Overlay]:
        """Admittances of the present positions."""
        return [item.overlay(self.position[place, columns]) for place, item in enumerate(self.elements)]

    def respond(self, view: View) -> np.ndarray:
        """Step every element whose voltage is out of its band, all at once, as independent regulators do."""
        changed = np.zeros(len(view.columns), bool)
        for place, item in enumerate(self.elements):
            vm_pu = np.abs(view.voltage[item.bus])
            step = item.upward * ((vm_pu < item.low_pu).astype(int) - (vm_pu > item.high_pu))
            before = self.position[place, view.columns]
            after = np.clip(before + step, item.lowest, item.highest)
            reversals, last = self.reversals[place, view.columns], self.last_move[place, view.columns]
            move = np.where(view.free & (reversals < MOST_REVERSALS), after - before, 0)
            self.reversals[place, view.columns] = reversals + (move * last < 0)
            self.last_move[place, view.columns] = np.where(move != 0, move, last)
            self.position[place, view.columns] = before + move
            changed |= move != 0
        return changed


__all__ = ["IdleReferenceLoop", "Loop", "ReactiveLimitLoop", "SlackLoop", "StepLoop", "View"]
