"""A network told in plain data: what there is at each voltage, the transformers, and the utility's strength."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from microgrid.network.load import packaged_networks
from microgrid.network.source import read_source

COUNTED_TABLES = ("bus", "line", "trafo", "trafo3w", "switch", "shunt", "load", "gen", "sgen", "storage")


@dataclass(frozen=True)
class VoltageLevel:
    """Buses of one rated voltage."""

    vn_kv: float
    buses: tuple[str, ...]


@dataclass(frozen=True)
class TransformerLine:
    """One two-winding transformer, equal units told together; `tap_control` is empty where the tap is fixed."""

    name: str
    hv_bus: str
    lv_bus: str
    hv_kv: float
    lv_kv: float
    units: int
    rating_mva: float
    vk_percent: float
    vector_group: str
    tap_control: str = ""


@dataclass(frozen=True)
class SourceStrength:
    """Fault levels at the POI from the Thevenin source alone, at 1.0 pu voltage (no IEC 60909 voltage factor)."""

    fault_level_mva: float
    three_phase_ka: float
    single_phase_ka: float
    x_over_r: float
    weakest_fault_level_mva: float
    service_rating_mva: float


@dataclass(frozen=True)
class NetworkDescription:
    """Everything a reader asks of a network first; `source` is None where the utility is modelled at length."""

    name: str
    poi: str
    poi_kv: float
    frequency_hz: float
    counts: tuple[tuple[str, int], ...]
    voltage_levels: tuple[VoltageLevel, ...]
    transformers: tuple[TransformerLine, ...]
    capacitor_mvar: float
    source: SourceStrength | None


def describe_network(net: Any) -> NetworkDescription:
    """Describe a net that fulfils the contract."""
    poi_kv = float(net.bus.vn_kv[net.bus["name"] == net.poi].iloc[0])
    levels = [
        VoltageLevel(float(vn_kv), tuple(net.bus["name"][net.bus.vn_kv == vn_kv].astype(str)))
        for vn_kv in sorted(net.bus.vn_kv.unique(), reverse=True)
    ]
    return NetworkDescription(
        name=str(net.name),
        poi=str(net.poi),
        poi_kv=poi_kv,
        frequency_hz=float(net.f_hz),
        counts=tuple((table, len(net[table])) for table in COUNTED_TABLES if len(net[table])),
        voltage_levels=tuple(levels),
        transformers=tuple(_transformers(net)),
        capacitor_mvar=float(-(net.shunt.q_mvar * net.shunt.max_step).clip(upper=0).sum()),
        source=_strength(net),
    )


def one_line_diagram(name_or_path: str | Path) -> str:
    """Docstring of a network file, whose first lines are its one-line diagram; the file is not run.

    Empty for JSON files, plug-ins and unknown names.
    """
    path = packaged_networks().get(str(name_or_path), Path(name_or_path))
    if path.suffix != ".py" or not path.is_file():
        return ""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _strength(net: Any) -> SourceStrength | None:
    source = read_source(net)
    if source is None:
        return None
    return SourceStrength(
        fault_level_mva=source.fault_level_mva,
        three_phase_ka=source.fault_level_mva / (sqrt(3) * source.vn_kv),
        single_phase_ka=source.single_phase_fault_ka,
        x_over_r=source.x_over_r,
        weakest_fault_level_mva=source.weakest_fault_level_mva,
        service_rating_mva=sqrt(3) * source.vn_kv * source.rating_ka,
    )


def _transformers(net: Any) -> list[TransformerLine]:
    names = net.bus["name"].astype(str)
    controls = _tap_controls(net)
    return [
        TransformerLine(
            name=str(row.name_),
            hv_bus=names[row.hv_bus],
            lv_bus=names[row.lv_bus],
            hv_kv=float(row.vn_hv_kv),
            lv_kv=float(row.vn_lv_kv),
            units=int(row.parallel),
            rating_mva=float(row.sn_mva * row.df * row.parallel),
            vk_percent=float(row.vk_percent),
            vector_group=f"{row.vector_group}{round(row.shift_degree / 30) % 12 or ''}",
            tap_control=controls.get(int(row.Index), ""),
        )
        for row in net.trafo.rename(columns={"name": "name_"}).itertuples()
    ]


def _tap_controls(net: Any) -> dict[int, str]:
    """Voltage band of the tap controllers, by transformer index."""
    told: dict[int, str] = {}
    for controller in net.controller.object if len(net.controller) else ():
        low = getattr(controller, "vm_lower_pu", None)
        if low is not None and getattr(controller, "element", "") == "trafo":
            index = int(controller.element_index)
            told[index] = f"{controller.side} bus {low:.4f} to {controller.vm_upper_pu:.4f} pu"
    return told


__all__ = [
    "NetworkDescription",
    "SourceStrength",
    "TransformerLine",
    "VoltageLevel",
    "describe_network",
    "one_line_diagram",
]
