"""A year under falling hours-use blocks (four a month, 48 choices) to the proven gap of 0.1 %, through the product.

Run by hand: ``PYTHONPATH=. python tests/benchmarks/bench_hours_use.py [step_min]``. Without ranges of choices, branch
and bound ended at a gap of 7.5 % after 300 s. Goal at 60 min: 60 s.
"""

from __future__ import annotations

import sys

from bench_tariff_lp import run

BLOCKS = {
    "determinants": {"pk": {"kind": "demand"}},
    "charges": [
        {
            "id": "energy",
            "kind": "energy",
            "kw": "pk",
            "tiers": [
                {"upto": {"kwh_per_kw": 200}, "price": 0.1327},
                {"upto": {"kwh_per_kw": 400}, "price": 0.0791},
                {"upto": {"kwh_per_kw": 600}, "price": 0.0136},
                {"upto": {}, "price": 0.0077},
            ],
        },
        {"id": "index", "kind": "energy", "series": "da", "mult": 0.3},
        {"id": "sell", "kind": "energy", "channel": "export", "price": 0.005},
        {"id": "demand", "kind": "demand", "of": "pk", "price": 4.0},
    ],
}


if __name__ == "__main__":
    run("falling hours-use blocks", BLOCKS, int(sys.argv[1]) if len(sys.argv) > 1 else 60)
