"""How much of the mean import a billing demand is sure to reach: a load factor cannot exceed one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from microgrid.tariffs.axis import Axis
from microgrid.tariffs.determinants.billing_demand import MaxOf
from microgrid.tariffs.determinants.demand import Demand

HOUR_MIN = 60.0


def least_share_of_mean(name: str, nodes: Mapping[str, object], axis: Axis, weight: np.ndarray) -> np.ndarray:
    """Largest known s with ``D_c >= s x weighted mean import of the cycle``, shape (cycles,); 0 where none is known.

    A plain peak of all hours is at least the mean (s = 1), since windows inside an hour do not cross a cycle's edge;
    a greatest of terms is at least each of its terms on the present cycle. `weight` counts each interval; it must be
    the same all through every demand window, or load may stand in the counted part of a window alone and average less
    over the whole of it.
    """
    node, nothing = nodes[name], np.zeros(axis.cycles.count)
    if isinstance(node, Demand):
        plain = node.stat == "max" and node.channel == "import" and node.calendar is None
        short = axis.step_min <= HOUR_MIN and (node.window_min or 0.0) <= HOUR_MIN and node.window == "block"
        return nothing + float(plain and short and _counts_whole(weight, axis.blocks(node.window_min)))
    if not isinstance(node, MaxOf):
        return nothing
    best = nothing
    for term in node.of:
        if term.ref is None or not (term.lookback is None or term.include_current):
            continue
        shares = np.array([term.share(int(month)) or 0.0 for month in axis.cycles.month])
        best = np.maximum(best, shares * least_share_of_mean(term.ref, nodes, axis, weight))
    return np.asarray(best)


def _counts_whole(weight: np.ndarray, window: np.ndarray | None) -> bool:
    """Whether no demand window is counted in part."""
    if window is None:
        return True
    inside = window[1:] == window[:-1]
    return bool((np.diff(weight)[inside] == 0.0).all())


__all__ = ["least_share_of_mean"]
