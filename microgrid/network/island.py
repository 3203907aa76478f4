"""Run a network without the grid: the source is switched off and the generators hold voltage and frequency.

One generator carries the reference angle; the unbalance (losses) is shared by all voltage-controlled generators in
proportion to their ratings, as droop-controlled units of equal droop do.
"""

from __future__ import annotations

import copy
from typing import Any

from microgrid.errors import InvalidInput, Problem
from microgrid.network.source_branches import open_source_branches


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
    open_source_branches(island)
    island.ext_grid["in_service"] = False
    largest = island.gen["sn_mva"].astype(float).idxmax()
    island.gen["slack"] = island.gen.index == largest
    island.gen["slack_weight"] = island.gen["sn_mva"].astype(float)
    return island


__all__ = ["form_island"]
