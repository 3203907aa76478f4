"""What lies beyond the meter: the utility's buses, and the branches by which they reach the campus.

The meter stands at the POI. Beyond it lies all that the source reaches without passing the POI: the Thevenin line of
the networks here, or a utility modelled at length with lines, transformers, impedances and switches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import networkx as nx
import pandapower.topology

Table = Literal["line", "impedance", "trafo", "trafo3w", "switch"]
ENDS: dict[Table, tuple[str, str]] = {
    "line": ("from_bus", "to_bus"),
    "impedance": ("from_bus", "to_bus"),
    "trafo": ("hv_bus", "lv_bus"),
    "switch": ("bus", "element"),
}
INJECTING_TABLES = ("load", "sgen", "gen", "storage")


@dataclass(frozen=True)
class SourceBranch:
    """A branch with one end beyond the meter; the meter is at its `campus_end`.

    `part` is the winding of a three-winding transformer, whose rows run from hv to the star point and from there on.
    """

    table: Table
    index: int
    campus_end: Literal["from", "to"]
    part: Literal["", "hv", "mv", "lv"] = ""


def fused_buses(net: Any, buses: set[int]) -> set[int]:
    """Buses joined to any of `buses` by closed bus-to-bus switches without impedance."""
    joined: nx.Graph[int] = nx.Graph()
    joined.add_nodes_from(buses)
    if len(net.switch):
        closed = net.switch[(net.switch.et == "b") & net.switch.closed & (net.switch.z_ohm.fillna(0) == 0)]
        joined.add_edges_from(zip(closed.bus.astype(int), closed.element.astype(int), strict=True))
    return {int(node) for bus in buses for node in nx.node_connected_component(joined, bus)}


def utility_buses(net: Any) -> set[int]:
    """Buses beyond the meter: those the sources in service reach without passing the POI; none in an island.

    Where the utility reaches the parts of the campus beside the POI, only the buses of the sources themselves count.
    """
    own = fused_buses(net, {int(bus) for bus in net.ext_grid.bus[net.ext_grid.in_service.astype(bool)]})
    meter = meter_buses(net)
    if not own or own & meter or not meter:
        return own - meter
    graph = pandapower.topology.create_nxgraph(net, nogobuses=meter, multi=False)
    reached = own | {int(bus) for start in own & set(graph) for bus in nx.node_connected_component(graph, start)}
    beside = any(set(net[table].bus) & reached for table in INJECTING_TABLES)
    return own if beside else reached


def meter_buses(net: Any) -> set[int]:
    """Bus of the POI with all that closed switches join to it; none where the net names no POI."""
    return fused_buses(net, {int(bus) for bus in net.bus.index[net.bus["name"] == net.get("poi")]})


def source_branches(net: Any) -> tuple[SourceBranch, ...]:
    """Branches in service from buses beyond the meter to others; none in an island."""
    beyond = utility_buses(net)
    found = [branch for table in ENDS for branch in _two_ended(net, table, beyond)]
    return (*found, *_three_winding(net, beyond))


def _two_ended(net: Any, table: Table, beyond: set[int]) -> Iterator[SourceBranch]:
    first, second = ENDS[table]
    frame = net[table]
    if table == "switch":
        live = frame[(frame.et == "b") & frame.closed.astype(bool) & (frame.z_ohm.fillna(0) > 0)]
    else:
        live = frame[frame.in_service.astype(bool)]
    for index, one, other in zip(live.index, live[first], live[second], strict=True):
        if (one in beyond) != (other in beyond):
            yield SourceBranch(table, int(index), "to" if one in beyond else "from")


def _three_winding(net: Any, beyond: set[int]) -> Iterator[SourceBranch]:
    live = net.trafo3w[net.trafo3w.in_service.astype(bool)]
    windings: tuple[Literal["hv", "mv", "lv"], ...] = ("hv", "mv", "lv")
    for index, row in live.iterrows():
        inside = [part for part in windings if row[f"{part}_bus"] not in beyond]
        if 0 < len(inside) < len(windings):
            for part in inside:
                yield SourceBranch("trafo3w", int(index), "from" if part == "hv" else "to", part)


def open_source_branches(net: Any) -> None:
    """Open every branch between the utility and the campus, in place."""
    for branch in source_branches(net):
        column, value = ("closed", False) if branch.table == "switch" else ("in_service", False)
        net[branch.table].loc[branch.index, column] = value


__all__ = [
    "SourceBranch",
    "fused_buses",
    "meter_buses",
    "open_source_branches",
    "source_branches",
    "utility_buses",
]
