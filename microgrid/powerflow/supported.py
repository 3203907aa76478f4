"""Which pandapower elements the batched power flow models; every other one in service is refused by its name."""

from __future__ import annotations

from typing import Any

import pandas as pd

from microgrid.errors import InvalidInput, Problem

MODELLED = frozenset(
    {
        "bus", "load", "sgen", "storage", "gen", "ext_grid", "shunt", "line", "trafo", "trafo3w", "impedance", "dcline",
        "ward", "xward", "motor", "asymmetric_load", "asymmetric_sgen", "switch",
    }
)  # fmt: skip
NOT_A_COMPONENT = frozenset({"measurement", "bus_geodata", "line_geodata", "controller", "group"})
CONNECTS = ("bus", "from_bus", "hv_bus", "bus_dc", "from_bus_dc", "vn_kv")


def check_supported(net: Any) -> None:
    """Raise InvalidInput that names every element in service which the power flow would have to ignore."""
    problems = [
        Problem(
            field=f"{name} {', '.join(map(str, rows.index))}",
            rule="the AC power flow does not model this element",
            remedy="replace it by an equivalent of supported elements, or take it out of service",
        )
        for name, rows in _unmodelled_tables(net)
        if len(rows)
    ]
    options = getattr(net, "user_pf_options", {}) or {}
    problems += [
        Problem(
            field=f"user_pf_options: {name}", rule="is not modelled by the AC power flow", remedy="remove the option"
        )
        for name in ("tdpf", "distributed_slack")
        if options.get(name)
    ]
    if problems:
        raise InvalidInput(problems)


def _unmodelled_tables(net: Any) -> list[tuple[str, pd.DataFrame]]:
    found = []
    for name, table in net.items():
        if not isinstance(table, pd.DataFrame) or name.startswith(("res_", "_")) or name in MODELLED | NOT_A_COMPONENT:
            continue
        if not len(table) or not any(column in table.columns for column in CONNECTS):
            continue
        found.append((name, table[table["in_service"].astype(bool)] if "in_service" in table.columns else table))
    return found


def model_options(net: Any) -> dict[str, Any]:
    """Modelling options of the user's `user_pf_options` that change the equations; the rest only changes the solver."""
    options = getattr(net, "user_pf_options", {}) or {}
    wanted = (
        "trafo_model",
        "trafo3w_losses",
        "switch_rx_ratio",
        "neglect_open_switch_branches",
        "consider_line_temperature",
    )
    return {name: options[name] for name in wanted if name in options}


__all__ = ["MODELLED", "check_supported", "model_options"]
