"""Short-circuit data of attached parts, which a dispatch does not know and a fault study needs.

Every figure is a stated, typical one that a study may replace; none enters a power flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import pandapower

from microgrid.formulation.connection import Connection


@dataclass(frozen=True)
class FaultData:
    """Typical fault behaviour of machines and inverters, used where a part states nothing better.

    `subtransient_reactance_pu`: saturated Xd'' on the machine's rating, 0.12 to 0.20 for salient-pole sets of 5 to
    20 MVA (IEEE Std 141-1993, table 4A-1). `resistance_ratio` and `low_voltage_resistance_ratio`: R/Xd'' of machines
    below 100 MVA, above and below 1 kV (IEC 60909-0:2016, 6.6.1). `inverter_current_pu`: fault current of a
    grid-following inverter over its rated current, 1.1 to 1.5 (IEEE 1547-2018 equipment, manufacturers' data).
    """

    subtransient_reactance_pu: float = 0.18
    resistance_ratio: float = 0.07
    low_voltage_resistance_ratio: float = 0.15
    rated_power_factor: float = 0.8
    inverter_current_pu: float = 1.2


def machine_columns(connection: Connection, rating_mva: float, vn_kv: float, data: FaultData) -> dict[str, float]:
    """Columns of pandapower's ``gen`` table for IEC 60909: rating, rated voltage, Xd'', R and power factor."""
    ratio = data.resistance_ratio if vn_kv > 1.0 else data.low_voltage_resistance_ratio
    reactance_ohm = data.subtransient_reactance_pu * vn_kv**2 / rating_mva
    stated = connection.power_factor < 1.0
    return {
        "sn_mva": rating_mva,
        "vn_kv": vn_kv,
        "xdss_pu": data.subtransient_reactance_pu,
        "rdss_ohm": ratio * reactance_ohm,
        "cos_phi": connection.power_factor if stated else data.rated_power_factor,
    }


def current_source_columns(connection: Connection, rating_mva: float, data: FaultData) -> dict[str, float | bool]:
    """Columns of ``sgen`` for IEC 60909: a current source of `k` times rated current.

    A machine without voltage control is told as the current it feeds into a terminal fault, 1/Xd'': pandapower 3.5.6
    overwrites the grid's own admittance where an asynchronous ``sgen`` stands, so that form is not used.
    """
    machine = connection.behaviour == "generator"
    ratio = 1 / data.subtransient_reactance_pu if machine else data.inverter_current_pu
    return {"sn_mva": rating_mva, "k": ratio, "current_source": True}


def add_storage_fault_sources(net: Any, data: FaultData | None = None) -> None:
    """Give every ``storage`` of `net` the fault current of its inverter, for a short-circuit study.

    pandapower lets ``storage`` contribute nothing. A static generator of zero power, called after it with ``fault
    current``, stands beside each; do this on a copy made for the study, after the profiles of a power flow were taken.
    """
    ratio = (data or FaultData()).inverter_current_pu
    for row in net.storage[net.storage.in_service].itertuples():
        pandapower.create_sgen(
            net,
            int(row.bus),
            0.0,
            sn_mva=float(row.sn_mva),
            k=ratio,
            current_source=True,
            name=f"{row.name} fault current",
        )


def rating_mva_of(connection: Connection, largest_mw: float) -> float:
    """Rating of a part: as stated, else the largest power it ever carries over its power factor, never zero."""
    return connection.rating_mva or max(largest_mw / connection.power_factor, 1e-6)


def reactive_capability_mvar(rating_mva: float, power_factor: float) -> float:
    """Reactive power at rated power and rated power factor, S·sin φ."""
    return rating_mva * sqrt(max(0.0, 1 - power_factor**2))


__all__ = [
    "FaultData",
    "add_storage_fault_sources",
    "current_source_columns",
    "machine_columns",
    "rating_mva_of",
    "reactive_capability_mvar",
]
