"""The file that ``microgrid new network NAME`` writes: a small network that works, with every choice explained."""

from __future__ import annotations

_TEXT = '''"""@NAME@: a campus behind one 138/34.5 kV transformer.

    GRID ──THEVENIN── POI ──T1── MAIN ──FEEDER_1── CAMPUS        60 Hz

Change it freely. A case uses it by path, `network: @NAME@.py`; on every load it is held to the contract of networks and
all that is missing is told at once. Assets are not part of the network; the case puts them on buses by name.
"""

import pandapower
from microgrid.network.source import add_source, from_fault_level
from microgrid.network.tables import add_tap_control

# Normal band, and the wider one allowed after an outage, in per unit of the bus's rated voltage.
BAND = {
    "min_vm_pu": 0.95,
    "max_vm_pu": 1.05,
    "min_vm_emergency_pu": 0.90,
    "max_vm_emergency_pu": 1.06,
}


def build():
    """Return the pandapower net; this function is all that the program calls."""
    net = pandapower.create_empty_network(name="@NAME@", f_hz=60.0, sn_mva=100.0)

    # Buses. Names are what a case refers to; each must be unique.
    poi = pandapower.create_bus(net, 138.0, name="POI", **BAND)
    main = pandapower.create_bus(net, 34.5, name="MAIN", **BAND)
    campus = pandapower.create_bus(net, 34.5, name="CAMPUS", **BAND)

    # Main transformer. Impedances are in percent on sn_mva; the vk0 … si0 figures are its zero sequence.
    pandapower.create_transformer_from_parameters(
        net,
        hv_bus=poi,
        lv_bus=main,
        name="T1",
        sn_mva=80.0,
        vn_hv_kv=138.0,
        vn_lv_kv=34.5,
        vk_percent=15.0,
        vkr_percent=0.42,
        pfe_kw=42.0,
        i0_percent=0.08,
        vector_group="Dyn",
        shift_degree=30.0,
        vk0_percent=13.5,
        vkr0_percent=0.42,
        mag0_percent=100.0,
        mag0_rx=0.0,
        si0_hv_partial=0.9,
        tap_side="lv",
        tap_neutral=0,
        tap_min=-16,
        tap_max=16,
        tap_pos=0,
        tap_step_percent=0.625,
        tap_changer_type="Ratio",
        max_loading_percent=100.0,
        emergency_loading_percent=125.0,
    )
    # Its on-load tap changer holds bus MAIN within 1.0125 … 1.0275 pu.
    add_tap_control(net, "T1", target_pu=1.02, half_band_pu=0.0075)

    # Two 1000 kcmil aluminium cables in parallel. R at operating temperature; endtemp_degree serves the minimum fault
    # current: pandapower multiplies R by 1 + 0.004·(endtemp_degree - 20).
    pandapower.create_line_from_parameters(
        net,
        main,
        campus,
        name="FEEDER_1",
        length_km=0.8,
        parallel=2,
        r_ohm_per_km=0.0750,
        x_ohm_per_km=0.128,
        c_nf_per_km=241.0,
        r0_ohm_per_km=0.265,
        x0_ohm_per_km=0.070,
        c0_nf_per_km=241.0,
        max_i_ka=0.640,
        endtemp_degree=145.0,
        max_loading_percent=100.0,
        emergency_loading_percent=115.0,
    )

    # The utility: fault level and X/R from its short-circuit letter, at 1.0 pu voltage. This adds bus GRID, the source
    # and the line THEVENIN, and names the POI.
    source = from_fault_level(
        138.0,
        3000.0,
        x_over_r=12.0,
        vm_pu=1.02,
        rating_ka=0.6,
        weakest_fault_level_mva=1800.0,
    )
    add_source(net, "POI", source)
    return net
'''


def new_network_text(name: str) -> str:
    """Text of a commented network file called `name` that loads and fulfils the contract as it stands."""
    return _TEXT.replace("@NAME@", name)


__all__ = ["new_network_text"]
