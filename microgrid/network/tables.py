"""A network from CSV tables: one row an element, types looked up in a shared library of conductors and transformers.

A folder holds ``bus.csv``, ``line.csv``, ``trafo.csv`` and, where there are any, ``switch.csv`` and ``shunt.csv``. The
library folder holds ``conductors.csv`` and ``transformers.csv`` with their sources. Buses are referred to by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandapower
import pandas as pd
from pandapower.control import DiscreteTapControl

from microgrid.errors import InvalidInput, Problem

CONDUCTOR_COLUMNS = (
    "r_ohm_per_km", "x_ohm_per_km", "c_nf_per_km", "r0_ohm_per_km", "x0_ohm_per_km", "c0_nf_per_km", "max_i_ka",
    "emergency_loading_percent",
)  # fmt: skip
TRANSFORMER_COLUMNS = (
    "sn_mva", "vn_hv_kv", "vn_lv_kv", "vk_percent", "vkr_percent", "pfe_kw", "i0_percent", "vector_group",
    "shift_degree", "vk0_percent", "vkr0_percent", "mag0_percent", "mag0_rx", "si0_hv_partial", "tap_side",
    "tap_neutral", "tap_min", "tap_max", "tap_step_percent", "emergency_loading_percent",
)  # fmt: skip
IEC_TEMPERATURE_COEFFICIENT = 0.004
"""Per kelvin from 20 °C; pandapower and IEC 60909-0 use it for any conductor in the minimum fault current."""


def read_network(folder: Path, library: Path) -> Any:
    """Build the pandapower net of the tables in `folder`; the source is added by the caller (`source.add_source`)."""
    net = pandapower.create_empty_network(name=folder.name, f_hz=60.0, sn_mva=100.0)
    buses = _read(folder / "bus.csv")
    for row in buses.to_dict("records"):
        pandapower.create_bus(net, **{str(key): value for key, value in row.items()})
    _add_lines(net, folder / "line.csv", library / "conductors.csv")
    _add_transformers(net, folder / "trafo.csv", library / "transformers.csv")
    if (folder / "switch.csv").exists():
        _add_switches(net, folder / "switch.csv")
    if (folder / "shunt.csv").exists():
        _add_shunts(net, folder / "shunt.csv")
    return net


def add_tap_control(net: Any, trafo: str, target_pu: float, half_band_pu: float) -> None:
    """Let the on-load tap changer of `trafo` hold its low-voltage bus within `target_pu` ± `half_band_pu`.

    The whole band must exceed one tap step, or the control hunts.
    """
    index = int(net.trafo.index[net.trafo["name"] == trafo][0])
    step_pu = float(net.trafo.loc[index, "tap_step_percent"]) / 100
    if 2 * half_band_pu <= step_pu:
        raise InvalidInput(
            Problem(
                f"the voltage band of an on-load tap changer must exceed its step of {step_pu:g} pu",
                "widen the band to about twice the step",
                f"trafo {trafo}",
                f"±{half_band_pu:g} pu",
            )
        )
    net.trafo.loc[index, "oltc"] = True
    DiscreteTapControl(net, index, target_pu - half_band_pu, target_pu + half_band_pu, side="lv")


def _read(path: Path) -> pd.DataFrame:
    """Read one table, leaving comment lines out."""
    return pd.read_csv(path, comment="#", skipinitialspace=True)


def _bus(net: Any, name: str, path: Path) -> int:
    """Index of the bus called `name`."""
    found = net.bus.index[net.bus["name"] == name]
    if len(found) == 0:
        raise InvalidInput(Problem("there is no such bus", "name a bus of bus.csv", "bus", name, str(path)))
    return int(found[0])


def _type_row(library: pd.DataFrame, name: str, path: Path) -> dict[str, Any]:
    """Row of the library for one type."""
    if name not in library.index:
        raise InvalidInput(Problem("the library has no such type", f"add it to {path}", "type", name, str(path)))
    return {str(key): value for key, value in library.loc[name].items()}


def _equivalent_end_temperature(operating_degree: float, fault_degree: float) -> float:
    """End temperature that makes pandapower's factor from 20 °C equal to R(fault) / R(operating).

    The library states R at operating temperature, which a power flow needs; pandapower multiplies that R by
    1 + 0.004·(T - 20) for the minimum fault current (IEC 60909-0, 4.4).
    """
    factor = 1 + IEC_TEMPERATURE_COEFFICIENT * (fault_degree - 20)
    factor /= 1 + IEC_TEMPERATURE_COEFFICIENT * (operating_degree - 20)
    return 20 + (factor - 1) / IEC_TEMPERATURE_COEFFICIENT


def _add_lines(net: Any, path: Path, library_path: Path) -> None:
    library = _read(library_path).set_index("type")
    for row in _read(path).to_dict("records"):
        conductor = _type_row(library, row["type"], library_path)
        pandapower.create_line_from_parameters(
            net,
            _bus(net, row["from_bus"], path),
            _bus(net, row["to_bus"], path),
            length_km=row["length_km"],
            name=row["name"],
            parallel=int(row["parallel"]),
            max_loading_percent=100.0,
            endtemp_degree=_equivalent_end_temperature(conductor["operating_degree"], conductor["fault_degree"]),
            type=conductor["laid"],
            **{column: conductor[column] for column in CONDUCTOR_COLUMNS},
        )


def _add_transformers(net: Any, path: Path, library_path: Path) -> None:
    library = _read(library_path).set_index("type")
    for row in _read(path).to_dict("records"):
        kind = _type_row(library, row["type"], library_path)
        pandapower.create_transformer_from_parameters(
            net,
            _bus(net, row["hv_bus"], path),
            _bus(net, row["lv_bus"], path),
            name=row["name"],
            parallel=int(row["parallel"]),
            tap_pos=int(row["tap_pos"]),
            tap_step_degree=0.0,
            tap_changer_type="Ratio",
            max_loading_percent=100.0,
            power_station_unit=False,
            **{column: kind[column] for column in TRANSFORMER_COLUMNS},
        )


def _add_switches(net: Any, path: Path) -> None:
    """Add circuit breakers between two buses, or between a bus and one end of a line."""
    for row in _read(path).to_dict("records"):
        to_line = row["element_type"] == "line"
        lines = net.line.index[net.line["name"] == row["element"]]
        pandapower.create_switch(
            net,
            _bus(net, row["bus"], path),
            int(lines[0]) if to_line else _bus(net, row["element"], path),
            et="l" if to_line else "b",
            closed=bool(row["closed"]),
            type="CB",
            name=row["name"],
        )


def _add_shunts(net: Any, path: Path) -> None:
    """Add capacitor banks; `q_mvar` is Mvar supplied per step at rated voltage."""
    for row in _read(path).to_dict("records"):
        pandapower.create_shunt(
            net,
            _bus(net, row["bus"], path),
            q_mvar=-row["q_mvar"],
            step=int(row["step"]),
            max_step=int(row["max_step"]),
            name=row["name"],
        )


__all__ = ["add_tap_control", "read_network"]
