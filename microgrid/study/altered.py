"""AC power flow of an altered operation after an outage: other injections, perhaps an island, taps where they stood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from microgrid.formulation.connection import Connection
from microgrid.network.attach import attach
from microgrid.network.island import form_island
from microgrid.network.profiles import Profiles
from microgrid.powerflow.extract import extract
from microgrid.powerflow.injections import injections
from microgrid.powerflow.judge import Judged, RowLimits, Verdict, judge
from microgrid.powerflow.limits import emergency_limits
from microgrid.powerflow.outages import row_names
from microgrid.powerflow.settle import Batch, Regulated, regulate, settle
from microgrid.powerflow.solve import Model
from microgrid.study.network_check import Injections, NetworkCheck

CHUNK = 4096


@dataclass(frozen=True)
class Altered:
    """An operation to solve: the network without parts, what connects to it with MW by (part, bus), who runs.

    `online` are shares of units by part; `island` says that the network runs without the grid; `own` are shares, 0 to 1
    (steps,), of loads of the network itself that are kept, by index.
    """

    net: Any
    connections: Sequence[Connection]
    powers: Injections
    online: Mapping[str, np.ndarray]
    island: bool
    own: Mapping[int, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Columns:
    """Steps `begin` … of an altered operation: proven or not, verdict, and names of its branches and bus rows."""

    begin: int
    ok: np.ndarray
    verdict: Verdict
    branch_names: tuple[str, ...]
    row_names: tuple[str, ...]


def solve_altered(check: NetworkCheck, altered: Altered) -> Iterator[Columns]:
    """Solve every step of the operation in chunks, with the taps and banks at which `check` came to rest."""
    net, profiles = attach(altered.net, altered.connections, altered.powers, online=altered.online)
    profiles = _own_loads_kept(net, profiles, altered.own)
    net = form_island(net) if altered.island else net
    system = _held(check, net, island=altered.island)
    grid = system.model.grid
    limits = RowLimits.of(grid, emergency_limits(net, grid))
    position, before = _positions(check, system), _voltages_before(check, system)
    names = tuple(row_names(system))
    for begin in range(0, profiles.steps, CHUNK):
        end = min(begin + CHUNK, profiles.steps)
        given = injections(grid, profiles, begin, end)
        batch = Batch(np.arange(begin, end), given, grid.start[:, None], position[:, begin:end])
        settled = settle(system, profiles, batch)
        voltage = settled.solved.voltage
        was = np.where(np.isnan(before[:, begin:end]), np.abs(voltage), before[:, begin:end]).astype(complex)
        none = np.zeros((1, grid.buses), bool), np.zeros((1, len(grid.branches.label)), bool)
        first = np.zeros(end - begin, np.int64)
        judged = Judged(settled.points, voltage, was, settled.tapped, first, none[1], none[0])
        verdict = judge(system.model, limits, judged)
        yield Columns(begin, settled.solved.ok & verdict.sane, verdict, grid.branches.label, names)


def _own_loads_kept(net: Any, profiles: Profiles, own: Mapping[int, np.ndarray]) -> Profiles:
    if not own:
        return profiles
    kept = np.ones_like(profiles.p_mw["load"])
    for index, share in own.items():
        kept[net.load.index.get_loc(index)] = share
    p_mw, q_mvar = ({**rows, "load": rows["load"] * kept} for rows in (profiles.p_mw, profiles.q_mvar))
    return replace(profiles, p_mw=p_mw, q_mvar=q_mvar)


def _held(check: NetworkCheck, net: Any, *, island: bool) -> Regulated:
    """The altered network with its steps where they stand: no band is so narrow that they would move."""
    model = Model(extract(net))
    controls = replace(check.controls, distributed_slack=island, plants=())
    system = regulate(net, model, controls)
    locked = tuple(replace(item, low_pu=-np.inf, high_pu=np.inf) for item in system.stepped)
    return replace(system, stepped=locked)


def _positions(check: NetworkCheck, system: Regulated) -> np.ndarray:
    """Positions (stepped elements, steps) at rest before the outage."""
    flow, rows = check.powerflow, []
    for item in system.stepped:
        kind, variable = ("bank", "shunt_step") if item.table == "shunt" else ("tap", "tap_position")
        same = (flow[f"{kind}_table"] == item.table) & (flow[f"{kind}_element"] == item.element)
        rows.append(flow[variable].to_numpy()[np.flatnonzero(same.to_numpy())[0]])
    return np.array(rows, np.int64).reshape(len(rows), flow.sizes["time"])


def _voltages_before(check: NetworkCheck, system: Regulated) -> np.ndarray:
    """Magnitudes (bus rows, steps) before the outage; NaN at rows without a bus of the net."""
    grid, flow = system.model.grid, check.powerflow
    out = np.full((grid.buses, flow.sizes["time"]), np.nan)
    live = np.flatnonzero(grid.bus_row >= 0)
    out[grid.bus_row[live]] = flow["vm_pu"].sel(bus=[grid.bus_names[place] for place in live]).to_numpy()
    return out


__all__ = ["Altered", "Columns", "solve_altered"]
