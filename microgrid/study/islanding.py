"""Outages that leave a part of the campus without the grid, or an island without a source: does it carry on by itself?

The power-flow engine calls such buses lost. Here the running sources that can form a grid try to carry what they feed:
the power is balanced by the stated actions (`microgrid.study.island_balance`), and every step is solved in AC as an
island, with taps where they stood. Of several pieces, the one with the largest rating of forming sources carries on.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx
import numpy as np
import pandapower.topology

from microgrid.formulation.connection import Connection
from microgrid.network.source_branches import open_source_branches
from microgrid.powerflow.outage_cases import Outage, OutageCase
from microgrid.study.altered import Altered
from microgrid.study.island_balance import Balanced, Member, balance_island
from microgrid.study.network_check import NetworkCheck, Operation
from microgrid.study.own_elements import OwnLoads, fixed_draw_mw, own_loads
from microgrid.study.room import Room

INVERTER_REACTIVE = 0.3287
"""Reactive reach of a grid-forming inverter over its rating, both ways (IEEE Std 2800-2022, 5.1)."""


@dataclass(frozen=True)
class UnitOutage:
    """One of the identical units of a part."""

    label: str
    part: str


@dataclass(frozen=True)
class Survival:
    """An outage to solve as an altered operation, how its power balances, and the buses and MW of load that go dark."""

    altered: Altered
    balanced: Balanced
    dark_mw: np.ndarray
    dark_buses: tuple[str, ...] = ()


def grid_outage(check: NetworkCheck) -> tuple[Outage, ...]:
    """Loss of the grid connection; none in an island."""
    net = check.attached
    sources = tuple(("ext_grid", int(index)) for index in net.ext_grid.index[net.ext_grid.in_service.astype(bool)])
    return (Outage("grid connection", sources),) if sources else ()


def unit_outages(check: NetworkCheck) -> tuple[UnitOutage, ...]:
    """One unit of every part that counts several."""
    counted = {link.part: link.units for link in check.operation.connections if link.units > 1}
    return tuple(UnitOutage(f"one of {units} units of {part}", part) for part, units in counted.items())


def concerned(check: NetworkCheck, case: OutageCase) -> bool:
    """True where the engine cannot answer: a source that forms a grid would go dark, or an island loses power."""
    island = not check.poi_branches
    buses = {link.bus for link in check.operation.connections if island or forms_grid(link)}
    dark = any(case.dead[row] for bus in buses if (row := check.bus_rows.get(bus, -1)) >= 0)
    return dark or (island and bool(case.injections))


def forms_grid(link: Connection) -> bool:
    """True for machines, and for inverters that are stated to be grid-forming."""
    return link.behaviour == "generator" or link.grid_forming


def survive(check: NetworkCheck, case: OutageCase) -> Survival | None:
    """The piece that may carry on after an outage; None where no source that forms a grid is left."""
    operation = check.operation
    lost = _lost_parts(check, case)
    links = [link for link in operation.connections if link.behaviour != "grid" and (link.part, link.bus) not in lost]
    net = _without(check, case)
    piece = _piece(check, case, net, links)
    if piece is None:
        return None
    inside = [link for link in links if link.bus in piece]
    own = own_loads(check, piece, without=case.injections)
    if not own.index and not any(link.behaviour == "load" for link in inside):
        return None  # machines that feed nobody are stopped
    dark = [link for link in operation.connections if link.behaviour == "load" and link not in inside]
    touched = [link for link in dark if (link.part, link.bus) in lost or _dead(check, case, link.bus)]
    drawn = fixed_draw_mw(check, piece, case)
    found = _survival(operation, net, inside, own, drawn, {})
    dark_mw = sum((-operation.powers[link.part, link.bus] for link in touched), _own_dark_mw(check, case, piece))
    return replace(found, dark_mw=np.maximum(dark_mw, 0.0), dark_buses=_dark_buses(check, case, piece))


def lose_unit(check: NetworkCheck, outage: UnitOutage) -> Survival | Altered:
    """The campus with one unit of a part fewer: with the grid it is solved as it is, an island must balance."""
    operation = check.operation
    links = [link for link in operation.connections if link.behaviour != "grid"]
    units = next(link.units for link in links if link.part == outage.part)
    running = operation.running[outage.part]
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(running > 0.0, np.clip(1.0 - 1.0 / (units * running), 0.0, 1.0), 1.0)
    if not check.poi_branches:
        buses = set(check.bus_rows)
        drawn = fixed_draw_mw(check, buses)
        return _survival(operation, check.net, links, own_loads(check, buses), drawn, {outage.part: left})
    powers = {key: power * (left if key[0] == outage.part else 1.0) for key, power in operation.powers.items()}
    online = {part: share * (left if part == outage.part else 1.0) for part, share in operation.online.items()}
    return Altered(check.net, links, powers, online, island=False)


def _survival(
    operation: Operation,
    net: Any,
    inside: Sequence[Connection],
    own: OwnLoads,
    drawn_mw: np.ndarray,
    left: Mapping[str, np.ndarray],
) -> Survival:
    members = [_member(operation, link, left.get(link.part)) for link in inside]
    balanced = balance_island([*members, *own.members()], drawn_mw)
    powers = {(link.part, link.bus): row for link, row in zip(inside, balanced.injection_mw, strict=False)}
    kept = {
        index: (after != 0.0).astype(float)
        for index, after in zip(own.index, balanced.injection_mw[len(inside) :], strict=True)
    }
    machines = [_machine(link) for link in inside]
    online = {
        link.part: operation.running.get(link.part, np.ones(len(drawn_mw))) * left.get(link.part, 1.0)
        for link in machines
        if link.behaviour == "generator"
    }
    altered = Altered(net, machines, powers, online, island=True, own=kept)
    return Survival(altered, balanced, np.zeros(len(drawn_mw)))


def _own_dark_mw(check: NetworkCheck, case: OutageCase, piece: frozenset[str]) -> np.ndarray:
    """Loads of the network itself that are the outage, or stand at buses that go dark."""
    names = set(check.bus_rows)
    dark = {name for name in names - piece if _dead(check, case, name)}
    gone = own_loads(check, names - dark, only=case.injections).injection_mw.sum(axis=0)
    return np.asarray(-own_loads(check, dark).injection_mw.sum(axis=0) - gone)


def _member(operation: Operation, link: Connection, left: np.ndarray | None) -> Member:
    injection, steps = operation.powers[link.part, link.bus], len(operation.powers[link.part, link.bus])
    source = link.behaviour != "load"
    default = Room(np.zeros(steps), np.maximum(injection, 0.0) if source else np.zeros(steps))
    room, share = operation.rooms.get(link.part), link.share
    up, down = (default.up_mw, default.down_mw) if room is None else (share * room.up_mw, share * room.down_mw)
    running = operation.running.get(link.part, np.ones(steps))
    factor = np.ones(steps) if left is None else left
    return Member(
        link.part, link.bus, injection * factor, up * factor, down * factor, link.rating_mva, source,
        (running * factor > 0.0) & forms_grid(link), backs="" if room is None else room.backs,
    )  # fmt: skip


def _machine(link: Connection) -> Connection:
    """The connection as it behaves in an island: what forms a grid holds its voltage."""
    if not forms_grid(link):
        return link
    reach = INVERTER_REACTIVE * link.rating_mva if link.behaviour == "storage" else None
    return replace(
        link,
        behaviour="generator",
        vm_pu=1.0 if link.vm_pu is None else link.vm_pu,
        q_min_mvar=link.q_min_mvar if reach is None else -reach,
        q_max_mvar=link.q_max_mvar if reach is None else reach,
    )


def _lost_parts(check: NetworkCheck, case: OutageCase) -> set[tuple[str, str]]:
    """(part, bus) that the outage itself takes."""
    names = {f"{link.part}@{link.bus}": (link.part, link.bus) for link in check.operation.connections}
    found = {check.grid.tables[table].names[place] for table, place in case.injections}
    return {names[name] for name in found if name in names}


def _without(check: NetworkCheck, case: OutageCase) -> Any:
    """The network without parts and without the elements of the outage."""
    net = copy.deepcopy(check.net)
    for table, index in case.outage.elements:
        own = table != "ext_grid" and index in net[table].index  # sources are opened with the meter
        if own:
            net[table].loc[index, "in_service"] = False
    return net


def _piece(check: NetworkCheck, case: OutageCase, net: Any, links: Sequence[Connection]) -> frozenset[str] | None:
    """Buses of the piece without the grid that has the largest rating of sources that form one."""
    work = copy.deepcopy(net)
    open_source_branches(work)
    names = work.bus["name"].astype(str)
    rating = {bus: sum(link.rating_mva for link in links if link.bus == bus and forms_grid(link)) for bus in names}
    forming = {link.bus for link in links if forms_grid(link)}
    best: frozenset[str] | None = None
    for found in nx.connected_components(pandapower.topology.create_nxgraph(work)):
        buses = frozenset(names.at[bus] for bus in found)
        if not buses & forming or not any(_dead(check, case, bus) for bus in buses & forming):
            continue
        if best is None or sum(map(rating.__getitem__, buses)) > sum(map(rating.__getitem__, best)):
            best = buses
    return best


def _dark_buses(check: NetworkCheck, case: OutageCase, piece: frozenset[str]) -> tuple[str, ...]:
    """Campus buses that had supply, have lost it and are not in the piece that carries on."""
    beyond = {str(check.attached.bus.name.at[index]) for index in check.boundary_buses}
    live = [name for name, row in check.bus_rows.items() if row >= 0 and name not in beyond]
    return tuple(name for name in live if name not in piece and _dead(check, case, name))


def _dead(check: NetworkCheck, case: OutageCase, bus: str) -> bool:
    """True where the bus has lost its supply; in an island every bus must be supplied anew."""
    row = check.bus_rows.get(bus, -1)
    return not check.poi_branches or (row >= 0 and bool(case.dead[row]))


__all__ = ["Survival", "UnitOutage", "concerned", "forms_grid", "grid_outage", "lose_unit", "survive", "unit_outages"]
