"""What the AC power flow models of pandapower; every other element, option or controller in service is told by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from microgrid.errors import Problem

MODELLED = frozenset(
    {
        "bus", "load", "sgen", "storage", "gen", "ext_grid", "shunt", "line", "trafo", "trafo3w", "impedance", "dcline",
        "ward", "xward", "motor", "asymmetric_load", "asymmetric_sgen", "switch",
    }
)  # fmt: skip
NOT_A_COMPONENT = frozenset({"measurement", "bus_geodata", "line_geodata", "controller", "group"})
CONNECTS = ("bus", "from_bus", "hv_bus", "bus_dc", "from_bus_dc", "vn_kv")
TAP_CONTROLLER = "DiscreteTapControl"


def element_problems(net: Any) -> Iterator[Problem]:
    """Elements in service, and options, that the power flow would have to ignore."""
    for name, rows in _unmodelled_tables(net):
        if len(rows):
            yield Problem(
                field=f"{name} {', '.join(map(str, rows.index))}",
                rule="the AC power flow does not model this element",
                remedy="replace it by an equivalent of supported elements, or take it out of service",
            )
    options = getattr(net, "user_pf_options", {}) or {}
    for name in ("tdpf", "distributed_slack"):
        if options.get(name):
            rule = "is not modelled by the AC power flow"
            yield Problem(field=f"user_pf_options: {name}", rule=rule, remedy="remove the option")


def controller_problems(net: Any) -> Iterator[Problem]:
    """Controllers in service that the power flow would have to ignore."""
    for index, row in live_controllers(net).iterrows():
        kind = type(row.object).__name__
        if kind != TAP_CONTROLLER:
            remedy = f"use {TAP_CONTROLLER}, give a series as profile, or declare a plant under net['controls']"
            rule = "the AC power flow does not model this controller"
            yield Problem(field=f"net.controller {index}: {kind}", rule=rule, remedy=remedy)


def live_controllers(net: Any) -> pd.DataFrame:
    """Controllers in service."""
    table: pd.DataFrame = net.controller
    return table[table.in_service.astype(bool)] if len(table) else table


def _unmodelled_tables(net: Any) -> list[tuple[str, pd.DataFrame]]:
    found = []
    for name, table in net.items():
        if not isinstance(table, pd.DataFrame) or name.startswith(("res_", "_")) or name in MODELLED | NOT_A_COMPONENT:
            continue
        if not len(table) or not any(column in table.columns for column in CONNECTS):
            continue
        found.append((name, table[table["in_service"].astype(bool)] if "in_service" in table.columns else table))
    return found


__all__ = ["MODELLED", "TAP_CONTROLLER", "controller_problems", "element_problems", "live_controllers"]
