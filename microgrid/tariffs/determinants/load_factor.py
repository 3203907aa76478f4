"""How much of the mean import a billing demand is sure to reach: a load factor cannot exceed one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from microgrid.tariffs.axis import Axis
from microgrid.tariffs.determinants.billing_demand import MaxOf
from microgrid.tariffs.determinants.demand import Demand

HOUR_MIN = 60.0


def least_share_of_mean(name: str, nodes: Mapping[str, object], axis: Axis) -> np.ndarray:
    """Largest known s with ``D_c >= s x mean import of the cycle``, shape (cycles,); 0 where nothing is known.

    A plain peak of all hours is at least the mean (s = 1), since windows inside an hour do not cross a cycle's edge;
    a greatest of terms is at least each of its terms on the present cycle.
    """
    node, nothing = nodes[name], np.zeros(axis.cycles.count)
    if isinstance(node, Demand):
        plain = node.stat == "max" and node.channel == "import" and node.calendar is None
        short = axis.step_min <= HOUR_MIN and (node.window_min or 0.0) <= HOUR_MIN and node.window == "block"
        return nothing + float(plain and short)
    if not isinstance(node, MaxOf):
        return nothing
    best = nothing
    for term in node.of:
        if term.ref is None or not (term.lookback is None or term.include_current):
            continue
        shares = np.array([term.share(int(month)) or 0.0 for month in axis.cycles.month])
        best = np.maximum(best, shares * least_share_of_mean(term.ref, nodes, axis))
    return np.asarray(best)


__all__ = ["least_share_of_mean"]
