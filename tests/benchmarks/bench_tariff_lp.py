"""Year LP with 24 peaks and ratchets against the energy-only LP, through the product's own dispatch.

Run by hand: ``PYTHONPATH=. python tests/benchmarks/bench_tariff_lp.py [step_min]``. A campus with solar, a battery and
an interruptible load of 45 MW; prints build, hand-off and solve times of both, and the ratio of the totals. Goal at
60 min: 1.3.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd

from microgrid.assets.battery import Battery
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.poi import Poi
from microgrid.assets.solar import Solar
from microgrid.dispatch.run import SolveSettings, dispatch
from microgrid.formulation.horizon import Horizon
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.part import TariffPart
from microgrid.tariffs.rebill import rebill

TOU = {"E": {"rules": [{"days": "weekday", "hours": [[13, 19]], "period": "on"}], "default": "off"}}
ENERGY = [
    {"id": "energy", "kind": "energy", "calendar": "E", "price": {"on": 0.09, "off": 0.035}},
    {"id": "index", "kind": "energy", "series": "da", "mult": 0.3},
    {"id": "sell", "kind": "energy", "channel": "export", "price": 0.02},
]
RATCHETS = {
    "determinants": {
        "pk": {"kind": "demand"},
        "on": {"kind": "demand", "calendar": "E", "periods": ["on"]},
        "bd": {"kind": "max_of", "of": [{"ref": "pk"}, {"ref": "pk", "lookback": 11, "pct": 0.8}]},
    },
    "charges": [
        *ENERGY,
        {"id": "demand", "kind": "demand", "of": "bd", "price": 9.0},
        {"id": "on_peak", "kind": "demand", "of": "on", "price": 7.0},
    ],
}


def run(name: str, tariff: dict[str, object], step_min: int) -> float:
    """Dispatch a year, print the stages, check the bill; return seconds in all."""
    horizon = Horizon(pd.Timestamp("2025-01-01 06:00", tz="UTC"), step_min, 8760 * 60 // step_min, "America/Chicago")
    body = {"id": name, "timezone": "America/Chicago", "calendars": TOU, "series": {"da": {"unit": "$/MWh"}}, **tariff}
    part = TariffPart(tariff=Tariff.model_validate(body), poi="grid", history="first_year")
    parts = {
        "grid": Poi(bus="B", import_limit_mw=80.0, export_limit_mw=40.0),
        "load": FacilityLoad(bus="B", power_mw=1.0),
        "solar": Solar(bus="B", power_mw=40.0, capacity_factor=0.0),
        "battery": Battery(bus="B", power_mw=20.0, energy_mwh=80.0, wear_usd_per_mwh=2.0),
        "tariff": part,
    }
    rng = np.random.default_rng(3)
    hour = np.arange(horizon.count) * step_min / 60.0 % 24
    sun = (
        np.clip(np.sin((hour - 6) / 12 * np.pi), 0.0, 1.0)
        * np.repeat(rng.uniform(0.2, 1, 366), 1440 // step_min)[: hour.size]
    )
    inputs = {
        "load.power_mw": 45.0 + 6.0 * np.sin(hour / 24 * 2 * np.pi) + rng.uniform(0, 6, hour.size),
        "solar.capacity_factor": sun,
        "tariff.series.da": 35.0 + 20.0 * np.sin((hour - 9) / 24 * 2 * np.pi) + rng.normal(0, 8, hour.size),
    }
    began = time.perf_counter()
    made = dispatch(parts, horizon, inputs, settings=SolveSettings(time_limit_s=600.0))
    seconds = time.perf_counter() - began
    arrays = (made.dataset[f"grid.{side}_mw"].to_numpy() for side in ("import", "export"))
    billed = rebill(part, "tariff", horizon, *arrays, made.audit.reading.costs, inputs=inputs)
    stages = ", ".join(f"{stage.name} {stage.seconds:.2f} s" for stage in made.stages)
    print(f"{name}: {seconds:.2f} s ({stages}); bill {billed.bill.total:,.0f} $, residual {billed.residual_usd:.6f} $")
    return seconds


def main() -> None:
    """Print both runs and their ratio."""
    step_min = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    plain = run("energy only", {"charges": ENERGY}, step_min)
    peaks = run("24 peaks and ratchets", RATCHETS, step_min)
    print(f"ratio {peaks / plain:.2f} at {step_min} min")


if __name__ == "__main__":
    main()
