"""Campus of the 200 to 250 MW class on a six-breaker 138 kV ring bus with three main transformers.

    GRID ──THEVENIN── POI                                                        138 kV, 60 Hz
     ∞    6,000 MVA   │ │
             SERVICE_1 │ │ SERVICE_2                    breakers CB_12, CB_23, CB_34, CB_45, CB_56, CB_61, all closed
                       │ └──────────────┐
                    RING_1 ─ RING_2 ─ RING_3            RING_4 takes SERVICE_2
                       │       │T1      │T2
                    RING_6 ─ RING_5 ─ RING_4
                       │GSU    │T3
                    ENGINES (13.8), ENGINE_AUX

    T1 ── MAIN_1 ─┬─ MINE_1_HV ── MINE_1      T2 ── MAIN_2 ─┬─ AI_A_HV ── AI_TRAIN_A, AI_INFER_A, COOLING_A
                  ├─ MINE_2_HV ── MINE_2                    ├─ MINE_4_HV ── MINE_4
                  ├─ PV_HV ── PV                            ├─ FACILITY_HV ── FACILITY
                  ╪ CAP_1 2x10 Mvar                         ╪ CAP_2 2x10 Mvar
    T3 ── MAIN_3 ─┬─ AI_B_HV ── AI_TRAIN_B, AI_INFER_B, COOLING_B
                  ├─ MINE_3_HV ── MINE_3
                  ├─ BESS_HV ── BESS                        TIE_12 and TIE_23 join the 34.5 kV buses, normally open
                  ╪ CAP_3 2x10 Mvar

Design load: 4 x 30 MW mining, 50 MW training, 20 MW inference, 7 MW cooling, 3 MW facility, 200 MW in all; behind it
60 MW of engines at 138 kV, 60 MVA of batteries and 60 MVA of solar inverters. A ring position may be isolated by its
two breakers without interrupting another. Losing a main transformer darkens its 34.5 kV bus until a tie closes; each
AI feed carries both halls (2N). T1, T2 and T3 (60/80/100 MVA) hold their buses by on-load tap changers.

Buses with ``lumped_units`` > 1 stand for that many equal low-voltage boards; a fault current computed there is not
that of one board.

Source data: `data/README.md`; fault level and zero sequence are typical of a 138 kV bus next to a 345/138 kV station.
Voltage bands: ERCOT Planning Guide 4.1.1.4 at 138 kV, ANSI C84.1 ranges A and B below.
"""

from __future__ import annotations

from pathlib import Path

from pandapower.auxiliary import pandapowerNet

from microgrid.network.source import add_source, from_fault_level
from microgrid.network.tables import add_tap_control, read_network

DATA = Path(__file__).parent / "data"


def build() -> pandapowerNet:
    """Build the network; assets are attached later, by the case."""
    net = read_network(DATA / "ring_bus_138kv", DATA)
    source = from_fault_level(138.0, 6000.0, x_over_r=15.0, vm_pu=1.02, rating_ka=1.6, weakest_fault_level_mva=4000.0)
    add_source(net, "POI", source)
    for trafo in ("T1", "T2", "T3"):
        add_tap_control(net, trafo, target_pu=1.02, half_band_pu=0.0075)
    return net
