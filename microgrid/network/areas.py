"""Areas of a network that closed switches and branches hold together."""

from __future__ import annotations

from typing import Any

import networkx
from pandapower.topology import create_nxgraph


def bus_areas(net: Any) -> dict[str, int]:
    """Number of the area in which every bus lies, by bus name; buses of one area are electrically connected."""
    graph = create_nxgraph(net, respect_switches=True)
    return {
        str(net.bus.name.at[bus]): area
        for area, members in enumerate(networkx.connected_components(graph))
        for bus in members
    }


__all__ = ["bus_areas"]
