"""Least and greatest value that every determinant can take at a meter, which bounds what a choice of tier must allow.

Determinants are measured twice, at a quiet meter (no import, all export) and at a busy one (all import, no export).
They rise from the one to the other; one that falls with another is measured on the other end of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from microgrid.tariffs.axis import Axis
from microgrid.tariffs.bill import read_meter
from microgrid.tariffs.determinants import Determinant, Excess, SumOf
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.page import Reach
from microgrid.tariffs.reading import History, MeterData


def sells(node: Determinant) -> bool:
    """Whether export moves the determinant by itself."""
    return getattr(node, "channel", "") in {"export", "net"}


def find_reach(tariff: Tariff, quiet: MeterData, busy: MeterData, history: History | None, axis: Axis) -> Reach:
    """Range of every determinant between two meters, kW and kWh by cycle."""
    at_quiet, at_busy = (read_meter(tariff, load, history=history, axis=axis) for load in (quiet, busy))
    lowest: dict[str, np.ndarray] = {}
    highest: dict[str, np.ndarray] = {}
    for name, node in tariff.nodes().items():
        low, high = (at_busy, at_quiet) if getattr(node, "channel", "") == "export" else (at_quiet, at_busy)
        falls = _falls_with(node)
        least = replace(low, determinants=_swapped(lowest, highest, falls))
        most = replace(high, determinants=_swapped(highest, lowest, falls))
        lowest[name], highest[name] = node.measure(least), node.measure(most)
    return Reach(lowest, highest)


def _falls_with(node: Determinant) -> set[str]:
    """Determinants that lower this one as they rise."""
    if isinstance(node, SumOf):
        return {ref for ref, weight in node.of.items() if weight < 0.0}
    return {node.over} if isinstance(node, Excess) and isinstance(node.over, str) else set()


def _swapped(own: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], falls: set[str]) -> dict[str, np.ndarray]:
    return {name: other[name] if name in falls else values for name, values in own.items()}


__all__ = ["find_reach", "sells"]
