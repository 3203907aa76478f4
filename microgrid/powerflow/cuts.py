"""Cuts: affine rows that keep the dispatch where the AC network obeys its limits, from sensitivities at solved points.

Voltages give one row each, with a margin of 0.001 pu. A current gives a polygon of seven faces around its present
phase, on the worse end: Re(exp(-j(phi + d)) I(x)) <= I_max for d = 0, ±0.4, ±0.8, ±1.2 rad. The faces touch the circle
|I| = I_max; between two of them a corner reaches 2 % beyond it, and the next round mends what is left. Losses give a
tangent, which a convex function never falls below: tangents are accumulated. Rows for elements near their limit are
written too; without them the optimum jumps from one broken limit to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from microgrid.formulation.connection import NetworkCut
from microgrid.powerflow.flows import Tapped, branch_quantities, terminal_currents
from microgrid.powerflow.judge import RowLimits
from microgrid.powerflow.online import Online
from microgrid.powerflow.outage_cases import OutageCase
from microgrid.powerflow.outage_columns import Intact, OutageColumns
from microgrid.powerflow.outages import row_names
from microgrid.powerflow.points import Points
from microgrid.powerflow.sensitivity import Sensitivity, sensitivity
from microgrid.powerflow.settle import Regulated
from microgrid.powerflow.shared_slack import SharedSlack
from microgrid.powerflow.solve import drawn_power

Quantity = Literal["voltage low", "voltage high", "current"]
FACES_RAD = np.array([-1.2, -0.8, -0.4, 0.0, 0.4, 0.8, 1.2])


@dataclass(frozen=True)
class Decision:
    """One injection the dispatch decides: `injection_mw` (steps of the profiles,) of `part` at `bus`.

    `row` is its bus row, -1 where the bus is dead. Of each MW decided, `share` enters here, with `q_per_mw` Mvar per MW
    that enters (injection positive): the dispatch decides no reactive power of its own.
    """

    part: str
    bus: str
    row: int
    injection_mw: np.ndarray
    share: float = 1.0
    q_per_mw: float = 0.0


@dataclass(frozen=True)
class CutOptions:
    """Margins inside the limits, and how near a limit an element must be to get a row although it holds."""

    voltage_margin_pu: float = 0.001
    current_margin: float = 0.003
    near_voltage_pu: float = 0.01
    near_loading: float = 0.9
    outside: tuple[tuple[str, int], ...] = ()
    """Branches (table, index) beyond the meter, such as the Thevenin line, whose losses the dispatch does not pay."""
    own_mw: np.ndarray | None = None
    """Injection of what the network itself carries (steps of the profiles,), which the dispatch pays like losses."""


@dataclass(frozen=True)
class Snapshot:
    """Solved columns to cut at: `steps` (columns,) in the profiles, `outage` (columns,) labels, "" when intact.

    `out` (branches, columns) and `dead` (bus rows, columns) are what an outage has taken; `shared` is how an island
    shares its unbalance, None where the reference carries it.
    """

    system: Regulated
    points: Points
    voltage: np.ndarray
    tapped: Tapped
    steps: np.ndarray
    outage: tuple[str, ...]
    out: np.ndarray
    dead: np.ndarray
    shared: SharedSlack | None = None

    def pick(self, columns: np.ndarray) -> Snapshot:
        """The chosen columns."""
        return Snapshot(
            self.system,
            self.points.pick(columns),
            self.voltage[:, columns],
            self.tapped.pick(columns),
            self.steps[columns],
            tuple(self.outage[column] for column in columns),
            self.out[:, columns],
            self.dead[:, columns],
            None if self.shared is None else self.shared.pick(columns),
        )


def intact_snapshot(intact: Intact, steps: np.ndarray | None = None) -> Snapshot:
    """Solved columns of the intact network; `steps` are their positions in the profiles when not all were solved."""
    settled, grid = intact.settled, intact.system.model.grid
    ok = np.flatnonzero(settled.solved.ok)
    count = len(intact.steps)
    whole = Snapshot(
        system=intact.system,
        points=settled.points,
        voltage=settled.solved.voltage,
        tapped=settled.tapped,
        steps=np.arange(count) if steps is None else np.asarray(steps, np.int64),
        outage=("",) * count,
        out=np.zeros((len(grid.branches.label), count), bool),
        dead=np.zeros((grid.buses, count), bool),
        shared=SharedSlack.at(intact.system, Online.at(grid, intact.profiles, intact.steps)),
    )
    return whole if len(ok) == count else whole.pick(ok)


def outage_snapshot(
    intact: Intact, cases: tuple[OutageCase, ...], columns: OutageColumns, steps: np.ndarray | None = None
) -> Snapshot:
    """Solved columns after outages; those without a solution are left out, for they have no tangent."""
    place = np.arange(len(intact.steps)) if steps is None else np.asarray(steps, np.int64)
    branches = intact.system.model.grid.branches
    out = np.zeros((len(cases), len(branches.label)), bool)
    for number, case in enumerate(cases):
        out[number, case.branch_rows] = True
    whole = Snapshot(
        system=intact.system,
        points=columns.points,
        voltage=columns.voltage,
        tapped=columns.tapped,
        steps=place[columns.column],
        outage=tuple(cases[number].outage.label for number in columns.case),
        out=out[columns.case].T,
        dead=np.stack([case.dead for case in cases])[columns.case].T,
        shared=columns.shared,
    )
    return whole.pick(np.flatnonzero(columns.ok))


def build_cuts(
    snapshot: Snapshot, decisions: tuple[Decision, ...], limits: RowLimits, options: CutOptions | None = None
) -> list[NetworkCut]:
    """Voltage and current cuts of all columns, for elements that break a limit or are near one.

    `limits` are the normal ones for the intact network and the emergency ones after outages.
    """
    chosen = options or CutOptions()
    low, high = _voltage_pairs(snapshot, limits, chosen)
    branch, column = _current_pairs(snapshot, limits, chosen)
    due = np.unique(np.concatenate([low[1], high[1], column]))
    if not len(due):
        return []
    part = snapshot.pick(due)
    place = np.full(len(snapshot.steps), -1)
    place[due] = np.arange(len(due))
    tangent = Tangent.at(part, decisions)
    cuts = tangent.voltage_cuts("voltage low", low[0], place[low[1]], limits, chosen)
    cuts += tangent.voltage_cuts("voltage high", high[0], place[high[1]], limits, chosen)
    return cuts + tangent.current_cuts(branch, place[column], limits, chosen)


def build_loss_cuts(
    snapshot: Snapshot, decisions: tuple[Decision, ...], options: CutOptions | None = None
) -> list[NetworkCut]:
    """One loss tangent per column of the intact network: loss >= loss at the point + slope times the move."""
    if not len(snapshot.steps):
        return []
    return Tangent.at(snapshot, decisions).loss_cuts(options or CutOptions())


def _voltage_pairs(
    snapshot: Snapshot, limits: RowLimits, options: CutOptions
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """(bus row, column) pairs due for a lower and an upper row; held and fixed voltages cannot be moved by a row."""
    grid, vm_pu = snapshot.system.model.grid, np.abs(snapshot.voltage)
    free = ~snapshot.dead
    free[grid.reference] = False
    free[grid.controlled] &= ~snapshot.points.holds
    low = free & (vm_pu < limits.low_pu[:, None] + options.near_voltage_pu)
    high = free & (vm_pu > limits.high_pu[:, None] - options.near_voltage_pu)
    return np.nonzero(low), np.nonzero(high)


def _current_pairs(snapshot: Snapshot, limits: RowLimits, options: CutOptions) -> tuple[np.ndarray, np.ndarray]:
    quantities = branch_quantities(snapshot.system.model.grid, snapshot.voltage, snapshot.tapped)
    with np.errstate(invalid="ignore"):
        near = quantities["loading_percent"] / limits.loading_percent[:, None] > options.near_loading
    branch, column = np.nonzero(near & ~snapshot.out)
    return branch, column


@dataclass(frozen=True)
class Tangent:
    """Columns with sensitivities folded onto the decisions: weights (inputs, decisions) of P and Q at bus rows."""

    snapshot: Snapshot
    keys: tuple[tuple[str, str], ...]
    slopes: Sensitivity
    fold_p: np.ndarray
    fold_q: np.ndarray
    injection_mw: np.ndarray

    @classmethod
    def at(cls, snapshot: Snapshot, decisions: tuple[Decision, ...]) -> Tangent:
        """Linearise the columns for the decisions at live buses."""
        live = tuple(decision for decision in decisions if decision.row >= 0)
        rows, place = np.unique(np.array([decision.row for decision in live], np.int64), return_inverse=True)
        model, points = snapshot.system.model, snapshot.points
        slopes = sensitivity(model, points, snapshot.voltage, rows, snapshot.shared)
        fold_p = np.zeros((len(rows), len(live)))
        fold_p[place, np.arange(len(live))] = [decision.share for decision in live]
        fold_q = fold_p * np.array([decision.q_per_mw for decision in live])
        injection = np.stack([decision.injection_mw[snapshot.steps] for decision in live])
        keys = tuple((decision.part, decision.bus) for decision in live)
        return cls(snapshot, keys, slopes, fold_p, fold_q, injection)

    def cut(
        self, column: int, slope: np.ndarray, room: float, element: str, outage: str = "", kind: Quantity = "current"
    ) -> NetworkCut:
        """Row slope · x <= slope · x0 + room, where `room` is what is left to the limit at the point."""
        return NetworkCut(
            step=int(self.snapshot.steps[column]),
            coefficients=self._coefficients(slope),
            bound=float(slope @ self.injection_mw[:, column]) + room,
            element=element,
            quantity=kind,
            outage=outage or self.snapshot.outage[column],
        )

    def active_flow(self, row: int) -> np.ndarray:
        """Slope of the active power into a branch at its from end, pu per MW decided, (columns, decisions)."""
        snapshot, grid = self.snapshot, self.snapshot.system.model.grid
        every = np.arange(len(snapshot.steps))
        from_end = np.ones(len(every), bool)
        bus = grid.branches.from_bus[row]
        v = snapshot.voltage[bus]
        i = terminal_currents(grid.branches, snapshot.voltage, snapshot.tapped)[0][row]
        i_p, i_q = self.slopes.current(grid.branches, snapshot.tapped, np.full(len(every), row), every, from_end)
        by_p, by_q = (
            (v[:, None] * np.conj(di) + dv[:, bus] * np.conj(i)[:, None]).real
            for di, dv in ((i_p, self.slopes.voltage_p), (i_q, self.slopes.voltage_q))
        )
        return np.asarray(by_p @ self.fold_p + by_q @ self.fold_q)

    def _coefficients(self, slope: np.ndarray) -> tuple[tuple[tuple[str, str], float], ...]:
        return tuple((key, float(value)) for key, value in zip(self.keys, slope, strict=True) if value != 0.0)

    def voltage_cuts(
        self,
        kind: Literal["voltage low", "voltage high"],
        bus: np.ndarray,
        column: np.ndarray,
        limits: RowLimits,
        options: CutOptions,
    ) -> list[NetworkCut]:
        """Rows |V| + slope · dx >= low + margin, or <= high - margin."""
        by_p, by_q = self.slopes.magnitude(bus, column)
        slope = by_p @ self.fold_p + by_q @ self.fold_q
        vm_pu = np.abs(self.snapshot.voltage[bus, column])
        names = row_names(self.snapshot.system)
        sign, bound = (-1.0, limits.low_pu) if kind == "voltage low" else (1.0, limits.high_pu)
        room = sign * (bound[bus] - vm_pu) - options.voltage_margin_pu
        return [
            self.cut(int(column[n]), sign * slope[n], float(room[n]), f"bus {names[bus[n]]}", kind=kind)
            for n in range(len(bus))
        ]

    def current_cuts(
        self, branch: np.ndarray, column: np.ndarray, limits: RowLimits, options: CutOptions
    ) -> list[NetworkCut]:
        """Seven faces around the present phase of the current at the worse end, per unit of that end's limit."""
        snapshot, branches = self.snapshot, self.snapshot.system.model.grid.branches
        currents = [part[branch, column] for part in terminal_currents(branches, snapshot.voltage, snapshot.tapped)]
        most = [
            rating[branch] / base[branch] * limits.loading_percent[branch] / 100.0
            for rating, base in (
                (branches.rating_from_ka, branches.ampere_base_from),
                (branches.rating_to_ka, branches.ampere_base_to),
            )
        ]
        load = [np.nan_to_num(np.abs(current) / limit, nan=-1.0) for current, limit in zip(currents, most, strict=True)]
        at_from = load[0] >= load[1]
        current, limit = np.where(at_from, currents[0], currents[1]), np.where(at_from, most[0], most[1])
        by_p, by_q = self.slopes.current(branches, snapshot.tapped, branch, column, at_from)
        slope = (by_p @ self.fold_p + by_q @ self.fold_q) / limit[:, None]
        out = []
        for n in range(len(branch)):
            for face in FACES_RAD:
                turn = np.exp(-1j * (np.angle(current[n]) + face))
                room = 1.0 - options.current_margin - float((turn * current[n]).real / limit[n])
                name = branches.label[branch[n]]
                out.append(self.cut(int(column[n]), (turn * slope[n]).real, room, name))
        return out

    def loss_cuts(self, options: CutOptions) -> list[NetworkCut]:
        """Tangents of the losses inside the meter.

        The balance of the dispatch counts loads at rated voltage, so what a voltage-dependent load draws beyond that
        is part of its loss; and it counts parts only, so what the network itself draws is another part.
        """
        snapshot = self.snapshot
        everything = np.arange(snapshot.system.model.grid.buses)
        drawn = drawn_power(snapshot.system.model, snapshot.points, snapshot.voltage, everything)
        extra = np.zeros(drawn.shape)
        points, vm_pu = snapshot.points, np.abs(snapshot.voltage)
        if points.current is not None and points.impedance is not None:
            extra = points.current.real * (vm_pu - 1.0) + points.impedance.real * (vm_pu**2 - 1.0)
        losses = (drawn.real - extra).sum(axis=0) * snapshot.system.model.grid.base_mva
        losses = losses if options.own_mw is None else losses - options.own_mw[snapshot.steps]
        slope = (self.slopes.source_p.real + 1.0) @ self.fold_p + self.slopes.source_q.real @ self.fold_q
        branches = snapshot.system.model.grid.branches
        for row in (int(row) for element in options.outside for row in branches.rows(*element)):
            value, change = self._branch_loss(row)
            losses, slope = losses - value, slope - change
        return [
            NetworkCut(
                step=int(snapshot.steps[column]),
                coefficients=self._coefficients(slope[column]),
                bound=float(slope[column] @ self.injection_mw[:, column] - losses[column]),
                element="network",
                quantity="loss",
                outage=snapshot.outage[column],
                loss_coefficient=-1.0,
            )
            for column in range(len(losses))
        ]

    def _branch_loss(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Loss of one branch in MW (columns,) and its slope (columns, decisions)."""
        snapshot, grid = self.snapshot, self.snapshot.system.model.grid
        every = np.arange(len(snapshot.steps))
        rows = np.full(len(every), row)
        loss, slope = np.zeros(len(every)), np.zeros((len(every), len(self.keys)))
        currents = terminal_currents(grid.branches, snapshot.voltage, snapshot.tapped)
        ends = (grid.branches.from_bus[row], grid.branches.to_bus[row])
        for bus, current, at_from in zip(ends, currents, (True, False), strict=True):
            v, i = snapshot.voltage[bus], current[row]
            i_p, i_q = self.slopes.current(grid.branches, snapshot.tapped, rows, every, np.full(len(every), at_from))
            change = [
                v[:, None] * np.conj(di) + dv[:, bus] * np.conj(i)[:, None]
                for di, dv in ((i_p, self.slopes.voltage_p), (i_q, self.slopes.voltage_q))
            ]
            loss += (v * np.conj(i)).real * grid.base_mva
            slope += (change[0].real @ self.fold_p + change[1].real @ self.fold_q) * grid.base_mva
        return loss, slope


__all__ = [
    "CutOptions",
    "Decision",
    "Snapshot",
    "Tangent",
    "build_cuts",
    "build_loss_cuts",
    "intact_snapshot",
    "outage_snapshot",
]
