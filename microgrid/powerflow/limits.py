"""Normal and emergency limits of buses and branches, as the net's tables state them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from microgrid.powerflow.grid import Grid


@dataclass(frozen=True)
class Limits:
    """Limits in force: voltages (pandapower buses,) in pu, loading (branches,) in percent of the rating; NaN = none."""

    vm_low_pu: np.ndarray
    vm_high_pu: np.ndarray
    loading_percent: np.ndarray


def normal_limits(net: Any, grid: Grid) -> Limits:
    """Limits with the network intact.

    Columns ``min_vm_pu``, ``max_vm_pu`` of buses (none when missing) and ``max_loading_percent`` of lines and
    transformers (100 when missing).
    """
    low, high = _column(net.bus, "min_vm_pu", np.nan), _column(net.bus, "max_vm_pu", np.nan)
    return Limits(low, high, _branch_column(net, grid, ("max_loading_percent",), 100.0))


def emergency_limits(net: Any, grid: Grid) -> Limits:
    """Limits after an outage.

    Columns ``min_vm_emergency_pu``, ``max_vm_emergency_pu``, ``emergency_loading_percent``; the normal limit holds
    where one is missing.
    """
    normal = normal_limits(net, grid)
    low = _column(net.bus, "min_vm_emergency_pu", np.nan)
    high = _column(net.bus, "max_vm_emergency_pu", np.nan)
    return Limits(
        np.where(np.isnan(low), normal.vm_low_pu, low),
        np.where(np.isnan(high), normal.vm_high_pu, high),
        _branch_column(net, grid, ("emergency_loading_percent", "max_loading_percent"), 100.0),
    )


def _column(table: Any, name: str, missing: float) -> np.ndarray:
    values = table[name].to_numpy(float) if name in table.columns else np.full(len(table), np.nan)
    return np.where(np.isnan(values), missing, values)


def _branch_column(net: Any, grid: Grid, names: tuple[str, ...], missing: float) -> np.ndarray:
    """First of the columns that states a number, per branch row."""
    out = np.full(len(grid.branches.label), np.nan)
    for table in ("line", "trafo", "trafo3w"):
        rows = np.flatnonzero(np.array(grid.branches.table) == table)
        if not len(rows):
            continue
        for name in names:
            stated = _column(net[table], name, np.nan)[net[table].index.get_indexer(grid.branches.element[rows])]
            out[rows] = np.where(np.isnan(out[rows]), stated, out[rows])
        out[rows] = np.where(np.isnan(out[rows]), missing, out[rows])
    return out


__all__ = ["Limits", "emergency_limits", "normal_limits"]
