"""The parts of the network contract that ask for data: names, limits and short-circuit columns of every element."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from microgrid.errors import Problem

NAMED_TABLES = (
    "bus", "line", "trafo", "trafo3w", "ext_grid", "load", "sgen", "gen", "storage", "shunt", "switch", "impedance",
    "motor", "ward", "xward", "dcline",
)  # fmt: skip

LIMIT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "bus": ("min_vm_pu", "max_vm_pu", "min_vm_emergency_pu", "max_vm_emergency_pu"),
    "line": ("max_i_ka", "df", "max_loading_percent", "emergency_loading_percent"),
    "trafo": ("sn_mva", "df", "max_loading_percent", "emergency_loading_percent"),
    "trafo3w": ("sn_hv_mva", "sn_mv_mva", "sn_lv_mva", "max_loading_percent", "emergency_loading_percent"),
}

SHORT_CIRCUIT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "ext_grid": (
        "s_sc_max_mva", "s_sc_min_mva", "rx_max", "rx_min", "x0x_max", "x0x_min", "r0x0_max", "r0x0_min",
    ),
    "line": ("r0_ohm_per_km", "x0_ohm_per_km", "c0_nf_per_km", "endtemp_degree"),
    "trafo": ("vk0_percent", "vkr0_percent", "mag0_percent", "mag0_rx", "si0_hv_partial"),
    "trafo3w": (
        "vk0_hv_percent", "vk0_mv_percent", "vk0_lv_percent", "vkr0_hv_percent", "vkr0_mv_percent", "vkr0_lv_percent",
    ),
    "gen": ("sn_mva", "vn_kv", "xdss_pu", "rdss_ohm", "cos_phi"),
    "sgen": ("sn_mva", "k"),
}  # fmt: skip
POSITIVE_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "bus": ("vn_kv",),
    "ext_grid": ("vm_pu",),
    "line": ("length_km", "x_ohm_per_km", "parallel"),
    "trafo": ("vn_hv_kv", "vn_lv_kv", "vk_percent", "parallel"),
    "trafo3w": ("vn_hv_kv", "vn_mv_kv", "vn_lv_kv", "vk_hv_percent", "vk_mv_percent", "vk_lv_percent"),
}
OTHER_ELECTRICAL_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "line": ("r_ohm_per_km", "c_nf_per_km"),
    "trafo": ("vkr_percent", "pfe_kw", "i0_percent", "shift_degree"),
    "trafo3w": ("vkr_hv_percent", "vkr_mv_percent", "vkr_lv_percent", "pfe_kw", "i0_percent"),
}
POWER_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "load": ("p_mw", "q_mvar"),
    "sgen": ("p_mw", "q_mvar"),
    "storage": ("p_mw", "q_mvar"),
    "gen": ("p_mw", "vm_pu"),
    "shunt": ("p_mw", "q_mvar"),
    "dcline": ("p_mw", "loss_percent", "loss_mw", "vm_from_pu", "vm_to_pu"),
}
BUS_COLUMNS = ("bus", "from_bus", "to_bus", "hv_bus", "mv_bus", "lv_bus")
UNGROUNDED_GROUPS = {"yy", "yd", "dy", "dd"}
"""Vector groups that pass no zero-sequence current, so that pandapower reads no zero-sequence data of them."""


def name_problems(net: Any) -> Iterator[Problem]:
    """Every element has a name of its own within its table."""
    for table in NAMED_TABLES:
        names = net[table]["name"]
        for index, name in names.items():
            if not isinstance(name, str) or not name:
                yield Problem("every element has a name", "set its name column", table, f"index {index}")
        for name in sorted({str(name) for name in names[names.duplicated() & names.notna()]}):
            yield Problem("two elements of one table share a name", "rename one of them", table, name)


def reference_problems(net: Any) -> Iterator[Problem]:
    """Elements stand on buses, and switches on elements, that exist."""
    remedy = "use an index of net.bus, as pandapower.create_bus returns it"
    for table in NAMED_TABLES[1:]:
        frame = net[table]
        for column in set(BUS_COLUMNS) & set(frame.columns):
            for index in frame.index[~frame[column].isin(net.bus.index)]:
                yield Problem(f"{column} is no bus", remedy, _label(frame, table, index), f"{frame.loc[index, column]}")
    switched = {"b": "bus", "l": "line", "t": "trafo", "t3": "trafo3w"}
    for index, row in net.switch.iterrows():
        table = switched.get(str(row.et), "bus")
        if row.element not in net[table].index:
            rule = f"the switched element is no {table}"
            yield Problem(rule, f"use an index of net.{table}", _label(net.switch, "switch", index), f"{row.element}")


def electrical_problems(net: Any) -> Iterator[Problem]:
    """Impedances and rated voltages are numbers that a power flow can use."""
    for table, columns in POSITIVE_COLUMNS.items():
        for column in columns:
            yield from _missing(net, table, column, "electrical figure", positive=True)
    for table, columns in OTHER_ELECTRICAL_COLUMNS.items():
        for column in columns:
            yield from _missing(net, table, column, "electrical figure")
    yield from _crossed(net, "trafo", "vkr_percent", "vk_percent", "a resistance cannot exceed the impedance: mend one")


def power_problems(net: Any) -> Iterator[Problem]:
    """Powers and set points of what the network itself carries are numbers."""
    for table, columns in POWER_COLUMNS.items():
        for column in columns:
            yield from _missing(net, table, column, "power or set point")


def limit_problems(net: Any) -> Iterator[Problem]:
    """Normal and emergency limits on every bus and branch, the emergency ones no tighter."""
    for table, columns in LIMIT_COLUMNS.items():
        for column in columns:
            yield from _missing(net, table, column, "limit", positive=True)
    yield from _crossed(net, "bus", "min_vm_pu", "max_vm_pu")
    yield from _crossed(net, "bus", "min_vm_emergency_pu", "min_vm_pu")
    yield from _crossed(net, "bus", "max_vm_pu", "max_vm_emergency_pu")
    for table in ("line", "trafo", "trafo3w"):
        yield from _crossed(net, table, "max_loading_percent", "emergency_loading_percent")


def short_circuit_problems(net: Any) -> Iterator[Problem]:
    """Data that IEC 60909 three-phase and single-phase faults, maximum and minimum, read in pandapower."""
    for table, columns in SHORT_CIRCUIT_COLUMNS.items():
        for column in columns:
            yield from _missing(net, table, column, "short-circuit figure")
    for table in ("trafo", "trafo3w"):
        frame = net[table]
        groups = frame["vector_group"] if "vector_group" in frame else pd.Series(None, index=frame.index, dtype=object)
        for index in groups.index[[not isinstance(group, str) or not group for group in groups]]:
            remedy = "state it as in Dyn, YNd or YNyn; the clock number goes to shift_degree"
            yield Problem("the transformer has no vector group", remedy, _label(frame, table, index), "vector_group")


def _missing(net: Any, table: str, column: str, kind: str, *, positive: bool = False) -> Iterator[Problem]:
    """Rows whose `column` is absent, not a number, or not above zero where it must be."""
    frame = net[table]
    if frame.empty:
        return
    if column not in frame:
        yield Problem(f"{kind} missing for all of table {table}", f"add column {column}", f"{table} *", column)
        return
    values = pd.to_numeric(frame[column], errors="coerce")
    if table == "trafo" and column.startswith(("vk0", "vkr0", "mag0", "si0")):
        values = values.mask(_ungrounded(frame), 1.0)
    for index in frame.index[values.isna()]:
        yield Problem(f"{kind} missing", f"set {column}", _label(frame, table, index), column)
    if positive:
        for index in frame.index[values <= 0]:
            rule = f"{column} must be above zero"
            yield Problem(rule, f"set {column}", _label(frame, table, index), f"{values[index]:g}")


def _crossed(net: Any, table: str, lower: str, upper: str, remedy: str = "swap or widen them") -> Iterator[Problem]:
    """Rows where `lower` exceeds `upper`."""
    frame = net[table]
    if lower not in frame or upper not in frame:
        return
    low, high = (pd.to_numeric(frame[column], errors="coerce") for column in (lower, upper))
    for index in frame.index[low > high]:
        value = f"{low[index]:g} > {high[index]:g}"
        yield Problem(f"{lower} exceeds {upper}", remedy, _label(frame, table, index), value)


def _ungrounded(frame: pd.DataFrame) -> pd.Series:
    """Mask of transformers without a zero-sequence path."""
    if "vector_group" not in frame:
        return pd.Series(data=False, index=frame.index)
    return frame["vector_group"].astype(str).str.lower().isin(UNGROUNDED_GROUPS)


def _label(frame: pd.DataFrame, table: str, index: Any) -> str:
    """Element in the reader's words, by name where it has one."""
    name = frame.loc[index, "name"]
    return f"{table} {name}" if isinstance(name, str) and name else f"{table} index {index}"


__all__ = [
    "electrical_problems",
    "limit_problems",
    "name_problems",
    "power_problems",
    "reference_problems",
    "short_circuit_problems",
]
