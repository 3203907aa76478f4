"""Voltage and loading limits of a network as one labelled dataset, normal and emergency side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

BUS_LIMITS = {
    "vm_min_pu": "min_vm_pu",
    "vm_max_pu": "max_vm_pu",
    "vm_min_emergency_pu": "min_vm_emergency_pu",
    "vm_max_emergency_pu": "max_vm_emergency_pu",
}
BRANCH_TABLES = ("line", "trafo", "trafo3w")


def read_limits(net: Any) -> xr.Dataset:
    """Limits of every bus and branch of a net that fulfils the contract, in table order.

    Dimension ``bus`` (labels: bus names) holds ``vm_*_pu`` and ``vn_kv``. Dimension ``branch`` (labels: table and
    name, ``line F1``) holds ``rating_ka`` and ``rating_mva`` at 100 % (on the from or high-voltage side, parallel units
    together), ``loading_normal_percent`` and ``loading_emergency_percent``; three-winding transformers are rated by
    their largest winding. ``branch_table`` and ``branch_index`` lead back to pandapower.
    """
    buses = {name: ("bus", _column(net.bus, column), {"units": "1"}) for name, column in BUS_LIMITS.items()}
    rows = [row for table in BRANCH_TABLES for row in _branch_rows(net, table)]
    ratings_mva = np.array([row[2] for row in rows], dtype=float)
    voltages_kv = np.array([row[3] for row in rows], dtype=float)
    percents = np.array([row[4:6] for row in rows], dtype=float).reshape(-1, 2)
    return xr.Dataset(
        {
            **buses,
            "vn_kv": ("bus", _column(net.bus, "vn_kv"), {"units": "kV"}),
            "rating_mva": ("branch", ratings_mva, {"units": "MVA"}),
            "rating_ka": ("branch", ratings_mva / (np.sqrt(3) * voltages_kv), {"units": "kA"}),
            "loading_normal_percent": ("branch", percents[:, 0], {"units": "percent"}),
            "loading_emergency_percent": ("branch", percents[:, 1], {"units": "percent"}),
        },
        coords={
            "bus": ("bus", net.bus["name"].astype(str).to_numpy()),
            "bus_index": ("bus", net.bus.index.to_numpy()),
            "branch": ("branch", [f"{row[0]} {row[6]}" for row in rows]),
            "branch_table": ("branch", [row[0] for row in rows]),
            "branch_index": ("branch", np.array([row[1] for row in rows], dtype=int)),
        },
        attrs={"network": str(net.name), "poi": str(net.poi)},
    )


_BranchRow = tuple[str, int, float, float, float, float, str]
"""Table, index, rating in MVA, rated voltage in kV, normal percent, emergency percent, name."""


def _branch_rows(net: Any, table: str) -> list[_BranchRow]:
    frame = net[table]
    if frame.empty:
        return []
    if table == "line":
        voltages_kv = net.bus.vn_kv.loc[frame.from_bus].to_numpy()
        ratings_mva = np.sqrt(3) * voltages_kv * _column(frame, "max_i_ka") * frame.df * frame.parallel
    elif table == "trafo":
        voltages_kv = _column(frame, "vn_hv_kv")
        ratings_mva = _column(frame, "sn_mva") * frame.df * frame.parallel
    else:
        voltages_kv = _column(frame, "vn_hv_kv")
        ratings_mva = frame[["sn_hv_mva", "sn_mv_mva", "sn_lv_mva"]].max(axis=1)
    normal = _column(frame, "max_loading_percent")
    emergency = _column(frame, "emergency_loading_percent")
    columns = (np.asarray(ratings_mva, dtype=float), voltages_kv, normal, emergency)
    return [
        (table, int(index), float(mva), float(kv), float(low), float(high), str(name))
        for index, mva, kv, low, high, name in zip(frame.index, *columns, frame["name"], strict=True)
    ]


def _column(frame: Any, column: str) -> np.ndarray:
    return np.asarray(frame[column], dtype=float)


__all__ = ["read_limits"]
