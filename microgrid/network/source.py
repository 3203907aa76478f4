"""The utility system seen from the point of interconnection: an explicit Thevenin equivalent.

pandapower's ``ext_grid`` is an ideal source in a power flow; its short-circuit power only enters short-circuit
calculations. So that both see the same system, the impedance is an explicit line ``THEVENIN`` from bus ``GRID`` to the
POI, and the ``ext_grid`` behind it is stiff. The weakest system is told to the minimum short-circuit calculation by
`s_sc_min_mva` of the ``ext_grid``: its impedance adds to the line's.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, inf
from typing import Any

import pandapower

from microgrid.errors import InvalidInput, Problem

STIFF_MVA = 1e7
"""Short-circuit power of the ideal source behind the Thevenin line; adds less than 0.1 % to any real impedance."""

GRID_BUS = "GRID"
THEVENIN_LINE = "THEVENIN"


@dataclass(frozen=True)
class Source:
    """Thevenin equivalent of the utility at the POI, as a utility states it: sequence impedances at 1.0 pu voltage.

    `weakest_fault_level_mva` is the three-phase level with the strongest utility element out of service; 0 means that
    the utility states none, and the minimum equals the maximum. `rating_ka` is the service rating at the POI.
    """

    vn_kv: float
    r_ohm: float
    x_ohm: float
    r0_ohm: float
    x0_ohm: float
    vm_pu: float = 1.0
    rating_ka: float = 2.0
    emergency_percent: float = 100.0
    weakest_fault_level_mva: float = 0.0

    @property
    def fault_level_mva(self) -> float:
        """Three-phase fault level at 1.0 pu pre-fault voltage, U²/|Z1| (no IEC 60909 voltage factor)."""
        impedance_ohm = hypot(self.r_ohm, self.x_ohm)
        return self.vn_kv**2 / impedance_ohm if impedance_ohm else inf

    @property
    def x_over_r(self) -> float:
        """X/R of the positive sequence."""
        return self.x_ohm / self.r_ohm if self.r_ohm else inf

    @property
    def single_phase_fault_ka(self) -> float:
        """Bolted phase-to-ground current at 1.0 pu, 3·U/√3 / |2·Z1 + Z0|."""
        impedance = complex(2 * self.r_ohm + self.r0_ohm, 2 * self.x_ohm + self.x0_ohm)
        return float(3**0.5 * self.vn_kv / abs(impedance))


def from_fault_level(vn_kv: float, fault_level_mva: float, x_over_r: float, **more: float) -> Source:
    """Thevenin source from a three-phase fault level at 1.0 pu and its X/R.

    `x0_over_x1` and `r0_over_r1` (default 1.5 and 2.0, typical of a solidly grounded transmission bus) give the zero
    sequence; everything else in `more` is a field of `Source`.
    """
    x0_over_x1 = more.pop("x0_over_x1", 1.5)
    r0_over_r1 = more.pop("r0_over_r1", 2.0)
    impedance_ohm = vn_kv**2 / fault_level_mva
    r_ohm = impedance_ohm / hypot(1.0, x_over_r)
    x_ohm = r_ohm * x_over_r
    return Source(vn_kv, r_ohm, x_ohm, r_ohm * r0_over_r1, x_ohm * x0_over_x1, **more)


def add_source(net: Any, poi: str, source: Source) -> None:
    """Add bus ``GRID``, a stiff ``ext_grid`` and the line ``THEVENIN`` to bus `poi`, and name the POI in ``net.poi``.

    The line runs from ``GRID`` to the POI, so the import metered at the POI is ``-res_line.p_to_mw`` of ``THEVENIN``.
    """
    poi_index = int(net.bus.index[net.bus["name"] == poi][0])
    limits = net.bus.loc[poi_index]
    grid_index = pandapower.create_bus(
        net,
        source.vn_kv,
        name=GRID_BUS,
        min_vm_pu=limits.min_vm_pu,
        max_vm_pu=limits.max_vm_pu,
        min_vm_emergency_pu=limits.min_vm_emergency_pu,
        max_vm_emergency_pu=limits.max_vm_emergency_pu,
    )
    ratio = source.r_ohm / source.x_ohm
    zero_ratio = source.r0_ohm / source.x0_ohm
    pandapower.create_ext_grid(
        net,
        grid_index,
        vm_pu=source.vm_pu,
        name=GRID_BUS,
        s_sc_max_mva=STIFF_MVA,
        s_sc_min_mva=_remaining_fault_level_mva(source),
        rx_max=ratio,
        rx_min=ratio,
        x0x_max=source.x0_ohm / source.x_ohm,
        x0x_min=source.x0_ohm / source.x_ohm,
        r0x0_max=zero_ratio,
        r0x0_min=zero_ratio,
    )
    _add_line(net, grid_index, poi_index, source)
    net["poi"] = poi


def _add_line(net: Any, grid_index: int, poi_index: int, source: Source) -> None:
    """Add the Thevenin impedance as a line of 1 km."""
    pandapower.create_line_from_parameters(
        net,
        grid_index,
        poi_index,
        length_km=1.0,
        r_ohm_per_km=source.r_ohm,
        x_ohm_per_km=source.x_ohm,
        c_nf_per_km=0.0,
        r0_ohm_per_km=source.r0_ohm,
        x0_ohm_per_km=source.x0_ohm,
        c0_nf_per_km=0.0,
        max_i_ka=source.rating_ka,
        max_loading_percent=100.0,
        emergency_loading_percent=source.emergency_percent,
        endtemp_degree=20.0,  # an equivalent does not heat: pandapower's factor from 20 °C stays 1
        name=THEVENIN_LINE,
    )


def _remaining_fault_level_mva(source: Source) -> float:
    """Short-circuit power of the ideal source that, in series with the line, leaves the weakest fault level."""
    if not source.weakest_fault_level_mva:
        return STIFF_MVA
    if source.weakest_fault_level_mva > source.fault_level_mva * (1 + 1e-9):
        raise InvalidInput(
            Problem(
                f"the weakest fault level exceeds the intact one, {source.fault_level_mva:.0f} MVA",
                "state the level with the strongest utility element out of service",
                "weakest_fault_level_mva",
                f"{source.weakest_fault_level_mva:g}",
            )
        )
    missing_per_mva = 1 / source.weakest_fault_level_mva - 1 / source.fault_level_mva
    return 1 / max(missing_per_mva, 1 / STIFF_MVA)


def read_source(net: Any) -> Source | None:
    """Thevenin source of a built network; None where the utility is more than parallel lines from source to POI."""
    grid_index = int(net.ext_grid.bus.iloc[0])
    poi_index = int(net.bus.index[net.bus["name"] == net.poi][0])
    ends = {grid_index, poi_index}
    joins = [{int(a), int(b)} == ends for a, b in zip(net.line.from_bus, net.line.to_bus, strict=True)]
    lines = net.line[joins]
    lines = lines[lines.in_service]
    if lines.empty:
        return None
    positive = _parallel(lines, "r_ohm_per_km", "x_ohm_per_km")
    zero = _parallel(lines, "r0_ohm_per_km", "x0_ohm_per_km")
    vn_kv = float(net.bus.vn_kv.at[poi_index])
    weakest_per_mva = abs(positive) / vn_kv**2 + 1 / float(net.ext_grid.s_sc_min_mva.iloc[0])
    return Source(
        vn_kv=vn_kv,
        r_ohm=positive.real,
        x_ohm=positive.imag,
        r0_ohm=zero.real,
        x0_ohm=zero.imag,
        vm_pu=float(net.ext_grid.vm_pu.iloc[0]),
        rating_ka=float((lines.max_i_ka * lines.df * lines.parallel).sum()),
        emergency_percent=float(lines.emergency_loading_percent.min()),
        weakest_fault_level_mva=1 / weakest_per_mva,
    )


def _parallel(lines: Any, resistance: str, reactance: str) -> complex:
    """Impedance in ohm of lines in parallel."""
    ohm = (lines[resistance] + 1j * lines[reactance]) * lines.length_km / lines.parallel
    return complex(1 / (1 / ohm).sum()) if (ohm != 0).all() else 0j


__all__ = ["GRID_BUS", "STIFF_MVA", "THEVENIN_LINE", "Source", "add_source", "from_fault_level", "read_source"]
