"""Run a network without the grid: the source is switched off and the generators hold voltage and frequency.

One generator carries the reference angle; the unbalance (losses) is shared by all voltage-controlled generators in
proportion to their ratings, as droop-controlled units of equal droop do.
"""

from __future__ import annotations

import copy
from typing import Any

from microgrid.errors import InvalidInput, Problem


def form_island(net: Any) -> Any:
    """Return a copy of an attached network that runs on its own generators.

    Raises:
        InvalidInput: no generator controls voltage.
    """
    island = copy.deepcopy(net)
    if island.gen.empty:
        raise InvalidInput(
            Problem(
                "an island needs a generator that holds the voltage",
                "add engines with voltage_target_pu, or a point of interconnection", "network",
            )
        )  # fmt: skip
    grid_buses = set(island.ext_grid.bus)
    island.ext_grid["in_service"] = False
    for table, ends in (("line", ("from_bus", "to_bus")), ("impedance", ("from_bus", "to_bus"))):
        if len(island[table]):
            tied = island[table][list(ends)].isin(grid_buses).any(axis=1)
            island[table].loc[tied, "in_service"] = False
    largest = island.gen["sn_mva"].astype(float).idxmax()
    island.gen["slack"] = island.gen.index == largest
    island.gen["slack_weight"] = island.gen["sn_mva"].astype(float)
    return island


__all__ = ["form_island"]
