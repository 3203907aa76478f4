"""One campus bus behind the utility's Thevenin equivalent; the smallest network there is.

    GRID ──THEVENIN── POI ──MAIN_BREAKER── CAMPUS          138 kV, 60 Hz
     ∞    2,500 MVA                          every asset

Use it to study dispatch and tariff where no network inside the fence matters. All assets connect to ``CAMPUS``.

Source data: the fault level, X/R and zero sequence are typical of a 138 kV load bus some line sections away from a
345/138 kV station (5 to 15 kA at 138 kV); replace them by the figures of the utility's short-circuit letter. The
voltage bands are those of ERCOT Planning Guide 4.1.1.4 (0.95 to 1.05 pu normal, 0.90 to 1.05 pu after a contingency).
"""

from __future__ import annotations

import pandapower
from pandapower.auxiliary import pandapowerNet

from microgrid.network.source import add_source, from_fault_level

VN_KV = 138.0


def build() -> pandapowerNet:
    """Build the network; assets are attached later, by the case."""
    net = pandapower.create_empty_network(name="single_bus", f_hz=60.0, sn_mva=100.0)
    for name in ("POI", "CAMPUS"):
        pandapower.create_bus(
            net,
            VN_KV,
            name=name,
            min_vm_pu=0.95,
            max_vm_pu=1.05,
            min_vm_emergency_pu=0.90,
            max_vm_emergency_pu=1.05,
        )
    poi, campus = net.bus.index
    pandapower.create_switch(net, poi, campus, et="b", closed=True, type="CB", name="MAIN_BREAKER")
    source = from_fault_level(VN_KV, 2500.0, x_over_r=10.0, vm_pu=1.02, rating_ka=1.2, weakest_fault_level_mva=1500.0)
    add_source(net, "POI", source)
    return net
