"""AC power flow of every step of a dispatch on the case's network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandapower
import xarray as xr

from microgrid.case.model import Case
from microgrid.errors import Residual
from microgrid.formulation.connection import Connection
from microgrid.network.attach import attach
from microgrid.network.island import form_island
from microgrid.network.lookup import bus_index_of
from microgrid.network.profiles import Profiles
from microgrid.network.source_branches import meter_buses, source_branches, utility_buses
from microgrid.powerflow.controls import Controls, read_controls
from microgrid.powerflow.extract import extract
from microgrid.powerflow.grid import Grid
from microgrid.powerflow.injections import element_power
from microgrid.powerflow.reference import Comparison, compare_with_pandapower
from microgrid.powerflow.run import run_power_flow
from microgrid.powerflow.settle import Regulated, regulate
from microgrid.powerflow.solve import Model, Status
from microgrid.powerflow.violations import Violation, find_violations
from microgrid.study.room import Room

KCL_TOLERANCE_PU = 1e-7
REFERENCE_TOLERANCE_PU = 1e-6
RUNNING_MW = 1e-6
NOTHING_ONLINE = 1e-4
NOTHING_TO_COMPARE = "nothing to compare: no step was solved and came to rest"
Injections = dict[tuple[str, str], np.ndarray]


@dataclass(frozen=True)
class Operation:
    """What is attached and how it runs: MW by (part, bus), shares of units by part, each (steps,).

    `running` tells of every generator, `online` of those that hold a voltage; `rooms` is empty where nobody asked.
    """

    connections: tuple[Connection, ...]
    powers: Injections
    running: Mapping[str, np.ndarray]
    online: Mapping[str, np.ndarray]
    rooms: Mapping[str, Room]


@dataclass(frozen=True)
class NetworkCheck:
    """Every step in AC: the flows, what breaks a limit, and the certificates.

    `net` is the network by itself, `attached` the same with all parts, `profiles` their powers, `controls` what
    regulated it, `grid` its per-unit form, `operation` what was attached.
    """

    powerflow: xr.Dataset
    violations: tuple[Violation, ...]
    residuals: tuple[Residual, ...]
    net: Any
    attached: Any
    profiles: Profiles
    controls: Controls
    grid: Grid
    operation: Operation

    @cached_property
    def system(self) -> Regulated:
        """The attached network with its controls resolved, ready to be linearised or to lose an element."""
        return regulate(self.attached, Model(self.grid), self.controls)

    @cached_property
    def _metered(self) -> tuple[tuple[int, str], ...]:
        """Branch rows that reach the meter from beyond it, each with its end at the meter."""
        branches = self.grid.branches
        return tuple(
            (int(row), branch.campus_end)
            for branch in source_branches(self.attached)
            for row in branches.rows(branch.table, branch.index)
            if branches.part[row] == branch.part
        )

    @cached_property
    def beyond_meter(self) -> tuple[int, ...]:
        """Indices of the buses beyond the meter; none in an island."""
        return tuple(sorted(utility_buses(self.attached)))

    @cached_property
    def bus_rows(self) -> dict[str, int]:
        """Bus row of the grid by bus name, -1 of a dead bus."""
        return {name: self.grid.row(index) for name, index in bus_index_of(self.attached).items()}

    @cached_property
    def boundary_buses(self) -> frozenset[int]:
        """Indices of the buses beyond the meter and of the meter itself."""
        return frozenset(self.beyond_meter) | meter_buses(self.attached)

    @cached_property
    def poi_branches(self) -> tuple[int, ...]:
        """Branch rows beyond the meter, those that reach it included, drawn either way; none in an island."""
        branches, metered = self.grid.branches, [row for row, _ in self._metered]
        rows = {self.grid.row(bus) for bus in self.beyond_meter} - {-1}
        elements = {(branches.table[row], int(branches.element[row])) for row in metered}
        return tuple(
            row
            for row, ends in enumerate(zip(branches.from_bus.tolist(), branches.to_bus.tolist(), strict=True))
            if rows.intersection(ends) or (branches.table[row], int(branches.element[row])) in elements
        )

    @property
    def poi_import_mw(self) -> np.ndarray:
        """Power that enters the campus at the meter, MW by step: zero in an island, NaN without a solution."""
        flow = self.powerflow
        metered = [flow[f"p_{end}_mw"].to_numpy()[row] for row, end in self._metered]
        return np.asarray(-sum(metered, np.zeros(flow.sizes["time"])))

    @property
    def poi_import_mvar(self) -> np.ndarray:
        """Reactive power that enters the campus at the meter, Mvar by step, lagging positive."""
        flow = self.powerflow
        metered = [flow[f"q_{end}_mvar"].to_numpy()[row] for row, end in self._metered]
        return np.asarray(-sum(metered, np.zeros(flow.sizes["time"])))

    @property
    def utility_buses(self) -> list[str]:
        """Names of the buses beyond the meter and of those at which sources stand, as the power flow names them."""
        beyond = {*self.beyond_meter, *self.attached.ext_grid.bus}
        return [self.grid.bus_names[place] for place in np.flatnonzero(np.isin(self.grid.bus_index, list(beyond)))]

    @property
    def poi_lines(self) -> tuple[tuple[str, int], ...]:
        """The same branches as (table, index) of the net, each once."""
        branches = self.grid.branches
        return tuple(dict.fromkeys((branches.table[row], int(branches.element[row])) for row in self.poi_branches))

    @property
    def losses_mw(self) -> np.ndarray:
        """What the campus takes beyond its parts (`beyond_parts_mw`), MW (steps,); 0 where there is no solution."""
        return np.asarray(np.maximum(np.nan_to_num(self.beyond_parts_mw(self.operation.powers)), 0.0))

    @cached_property
    def own_mw(self) -> np.ndarray:
        """Injection of what the network itself carries, at rated voltage, MW by step: constant where no part is."""
        total = np.full(self.profiles.steps, self.grid.constant_power.real.sum() * self.grid.base_mva)
        for name, table in self.grid.tables.items():
            own = np.isin(table.index, self.net[name].index)
            total += element_power(self.grid, self.profiles, name, np.arange(self.profiles.steps))[own].real.sum(axis=0)
        return total

    def beyond_parts_mw(self, powers: Injections) -> np.ndarray:
        """Losses, and loads of the network itself less its generation, MW (steps,), NaN without a solution.

        All injections of the parts, plus what enters at the meter or what the generators of an island give beyond
        their schedule.
        """
        given = sum(powers.values(), np.zeros(self.powerflow.sizes["time"]))
        if self._metered:
            return np.asarray(self.poi_import_mw + given)
        flow, table = self.powerflow, self.grid.tables["gen"]
        scheduled = element_power(self.grid, self.profiles, "gen", np.arange(self.profiles.steps)).real
        unsolved = flow["status"].to_numpy() == Status.DIVERGENT
        extra = (flow["generator_p_mw"].to_numpy() - scheduled)[table.bus >= 0].sum(axis=0)
        return np.where(unsolved, np.nan, extra + given)

    def campus_losses_mw(self, case: Case, injections: Injections) -> np.ndarray:
        """Losses behind the meter at every step, loads of the network itself included, shape (steps,)."""
        return self.beyond_parts_mw(at_buses(case.connections(), injections))

    def write_network(self, path: Path) -> None:
        """Write the network without the parts, so that the result can be verified by itself."""
        pandapower.to_json(self.net, str(path))


def check_network(
    case: Case,
    injections: Injections,
    net: Any = None,
    *,
    running: Mapping[str, np.ndarray] | None = None,
    rooms: Mapping[str, Room] | None = None,
    compare: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> NetworkCheck:
    """Attach the case's parts to its network and solve every step.

    Args:
        case: a case that names a network.
        injections: MW by (part, bus); an empty bus means the part's own buses in their shares.
        net: the network; the case's own when None.
        running: share of its units that run by part and step, 0 to 1 (`<part>.running` of the dispatch over the part's
            units). A generator not named runs where it injects: without it, stopped engines would hold the voltage.
        rooms: how far parts could move (`microgrid.study.room`), for outages after which the campus is on its own.
        compare: whether pandapower re-solves the worst and some random steps as reference.
        progress: called with (steps done, all steps).
    """
    if net is None:
        net = case.network()
    connections = case.connections()
    powers = at_buses(connections, injections)
    shares = running_generators(connections, powers, running or {})
    holding = {link.part for link in connections if link.vm_pu is not None}
    online = {part: share for part, share in shares.items() if part in holding}
    operation = Operation(tuple(connections), powers, shares, online, rooms or {})
    attached, profiles = attach(net, connections, powers, online=online)
    island = not any(link.behaviour == "grid" for link in connections)
    attached = form_island(attached) if island else attached
    controls = replace(read_controls(attached), distributed_slack=island)
    flow = run_power_flow(attached, profiles, controls, case.horizon.times.tz_localize(None), progress=progress)
    violations = tuple(find_violations(attached, flow))
    residuals = _certificates(flow, compare_with_pandapower(attached, profiles, flow) if compare else None)
    return NetworkCheck(flow, violations, residuals, net, attached, profiles, controls, extract(attached), operation)


def running_generators(
    connections: list[Connection], powers: Injections, running: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Share of units that run by part and step, of all generators: where nothing is stated, those that inject.

    A solver's integers are off by its tolerance: shares are clipped to 0 … 1, and what is nearly nothing is stopped.
    """
    generators = [link for link in connections if link.behaviour == "generator"]
    shares = {}
    for name in dict.fromkeys(link.part for link in generators):
        buses = [powers[link.part, link.bus] for link in generators if link.part == name]
        injects = (np.stack(buses) > RUNNING_MW).any(axis=0)
        share = np.clip(np.asarray(running.get(name, injects), dtype=float), 0.0, 1.0)
        shares[name] = np.where(share > NOTHING_ONLINE, share, 0.0)
    return shares


def certified(check: NetworkCheck) -> NetworkCheck:
    """The check with pandapower's reference added."""
    reference = compare_with_pandapower(check.attached, check.profiles, check.powerflow)
    return replace(check, residuals=_certificates(check.powerflow, reference))


def _certificates(flow: xr.Dataset, reference: Comparison | None) -> tuple[Residual, ...]:
    status, residual = flow["status"].to_numpy(), flow["residual_pu"].to_numpy()
    solved = residual[status != Status.DIVERGENT]  # a step without a solution is a violation, not a wrong solution
    where = f"{status.size} steps" if solved.size == status.size else f"{solved.size} of {status.size} steps"
    own = Residual("power flow", float(solved.max(initial=0.0)), KCL_TOLERANCE_PU, "pu", where, not solved.size)
    if reference is None:
        return (own,)
    count, gap = len(reference.steps), reference.max_vm_difference_pu
    compared = f"{count} worst and random steps re-solved by pandapower" if count else NOTHING_TO_COMPARE
    return own, Residual("pandapower", gap, REFERENCE_TOLERANCE_PU, "pu", compared, not count)


def at_buses(connections: list[Connection], injections: Injections) -> Injections:
    """Injection of every (part, bus) that the network sees; grid connections carry none."""
    found = {}
    for link in connections:
        if link.behaviour == "grid":
            continue
        direct = injections.get((link.part, link.bus))
        found[link.part, link.bus] = direct if direct is not None else link.share * injections[link.part, ""]
    return found


__all__ = ["NetworkCheck", "Operation", "at_buses", "certified", "check_network", "running_generators"]
