"""Campus of the 100 to 150 MW class on two 138 kV feeders and two main transformers.

    GRID ──THEVENIN── POI                                                        138 kV, 60 Hz
     ∞    3,500 MVA   │ ├─SERVICE_A── SUB_A ──T1── MAIN_A ─┬─ BESS_HV ──16x── BESS
                      │ │              :                   ├─ MINE_1_HV ─ MINE_2_HV ··TIE_MINE··┐
                      │ │        TIE_SUB (open)            ├─ AI_A_HV ── AI_A (13.8) ─┬─ AI_TRAIN_A
                      │ │              :                   │                          ├─ AI_INFER_A ─ UPS_A
                      │ │              :                   │       TIE_AI (open)      └─ COOLING_A
                      │ │              :                   ├─ FACILITY_HV ── FACILITY
                      │ │              :                   ├─ SPARE_HV
                      │ │              :                   ╪ CAP_A 2x8 Mvar
                      │ │              :               TIE_MAIN (closed)
                      │ │              :                   ╪ CAP_B 2x8 Mvar
                      │ └─SERVICE_B── SUB_B ──T2── MAIN_B ─┼─ ENGINES_HV ──2xGSU── ENGINES (13.8), ENGINE_AUX
                      │                                    ├─ PV_HV ──15x── PV
                                                           ├─ MINE_3_HV ─ MINE_4_HV ············┘ (open)
                                                           └─ AI_B_HV ── AI_B (13.8): as feed A

Design load: 4 x 15 MW mining, 30 MW training, 15 MW inference, 6 MW cooling, 4 MW facility, 115 MW in all; behind it
50 MW of engines, 50 MVA of batteries and 50 MVA of solar inverters. T1 and T2 (48/64/80 MVA) carry the design load
together without local generation; alone, one of them does not: losing T1 needs engines, batteries or curtailment.
Each AI feed carries both halls (2N); T1 and T2 hold MAIN_A and MAIN_B by on-load tap changers with one common band,
and the closed TIE_MAIN keeps them in step.

Buses with ``lumped_units`` > 1 stand for that many equal low-voltage boards; a fault current computed there is not
that of one board.

Source data: `data/README.md`; fault level and zero sequence are typical of a 138 kV switching station near a 345 kV
source. Voltage bands: ERCOT Planning Guide 4.1.1.4 at 138 kV, ANSI C84.1 ranges A and B below 1 kV.
"""

from __future__ import annotations

from pathlib import Path

from pandapower.auxiliary import pandapowerNet

from microgrid.network.source import add_source, from_fault_level
from microgrid.network.tables import add_tap_control, read_network

DATA = Path(__file__).parent / "data"


def build() -> pandapowerNet:
    """Build the network; assets are attached later, by the case."""
    net = read_network(DATA / "two_feeder_campus", DATA)
    source = from_fault_level(138.0, 3500.0, x_over_r=12.0, vm_pu=1.02, rating_ka=1.2, weakest_fault_level_mva=2100.0)
    add_source(net, "POI", source)
    for trafo in ("T1", "T2"):
        add_tap_control(net, trafo, target_pu=1.02, half_band_pu=0.0075)
    return net
