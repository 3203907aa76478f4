"""Campus of the 35 to 45 MW class on a closed 34.5 kV loop, fed by the utility at 34.5 kV.

    GRID ──THEVENIN── POI                                                        34.5 kV, 60 Hz
     ∞     900 MVA    │ │
             SERVICE_A │ │ SERVICE_B
                   MAIN_A ══TIE_MAIN══ MAIN_B          MAIN_A: CAP_A 2x4 Mvar
                     │                    │
      SEGMENT_1 ─ LOOP_1 ── ENGINES    LOOP_6 ── BESS, PV ─ SEGMENT_7
                     │ SEGMENT_2          │ SEGMENT_6
                  LOOP_2 ── MINE_1     LOOP_5 ── MINE_2, FACILITY
                     │ SEGMENT_3          │ SEGMENT_5
                  LOOP_3 ──SEGMENT_4── LOOP_4
                     │                    │
      AI_TRAIN_A, AI_INFER_A, COOLING   AI_TRAIN_B, AI_INFER_B

Design load: 2 x 8 MW mining, 12 MW training, 5 MW inference, 1 MW cooling, 2 MW facility, 36 MW in all; behind it
20 MW of engines, 20 MVA of batteries and 20 MVA of solar inverters. Any one segment may be out: the other end of the
loop then carries the campus within its emergency rating. The utility holds the voltage; the campus has no on-load tap
changer.

Buses with ``lumped_units`` > 1 stand for that many equal low-voltage boards; a fault current computed there is not
that of one board.

Source data: `data/README.md`; a fault level of 900 MVA (15 kA) is typical of a 34.5 kV bus behind two 138/34.5 kV
transformers. Voltage bands: ANSI C84.1 ranges A and B.
"""

from __future__ import annotations

from pathlib import Path

from pandapower.auxiliary import pandapowerNet

from microgrid.network.source import add_source, from_fault_level
from microgrid.network.tables import read_network

DATA = Path(__file__).parent / "data"


def build() -> pandapowerNet:
    """Build the network; assets are attached later, by the case."""
    net = read_network(DATA / "looped_campus_34kv", DATA)
    source = from_fault_level(34.5, 900.0, x_over_r=14.0, vm_pu=1.02, rating_ka=0.9, weakest_fault_level_mva=550.0)
    add_source(net, "POI", source)
    return net
