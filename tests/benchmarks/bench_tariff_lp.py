"""Year LP with 24 peaks and ratchets against the energy-only LP, through the product's own dispatch.

Run by hand: ``PYTHONPATH=. python tests/benchmarks/bench_tariff_lp.py [step_min [repeats]]``. A campus with solar, a
battery and a load of some 50 MW. All are run in turn; the least CPU seconds of the repeats count. Prints the
ratio of the LP stage, of the dispatch in all (build, hand-off, LP, audit) and of a fresh process that does nothing
else, which is what a user waits for. Goal at 60 min: 1.3. Beside these the LP is set against HiGHS alone, and against
an energy-only year whose import may not exceed the peaks of the optimum: who knew the peaks would still need so long.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from microgrid.assets.battery import Battery
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.poi import Poi
from microgrid.assets.solar import Solar
from microgrid.dispatch.build import build
from microgrid.dispatch.compile import Program, compile_program
from microgrid.dispatch.highs import Highs
from microgrid.dispatch.run import SolveSettings, dispatch
from microgrid.dispatch.solve import solve
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


YEARS: dict[str, dict[str, Any]] = {"energy only": {"charges": ENERGY}, "24 peaks and ratchets": RATCHETS}
FRESH = "--fresh"
LIMIT_S = 600.0
SLACK_MW = 1e-7
OURS, DEFAULTS, OFF = "LP stage", "HiGHS alone", "HiGHS alone, presolve off"


def campus(tariff: dict[str, Any], step_min: int) -> tuple[dict[str, Any], Horizon, dict[str, np.ndarray]]:
    """Parts, horizon and series of a year under a tariff."""
    horizon = Horizon(pd.Timestamp("2025-01-01 06:00", tz="UTC"), step_min, 8760 * 60 // step_min, "America/Chicago")
    named = {"id": "benchmark", "timezone": "America/Chicago", "calendars": TOU}
    body = {**named, "series": {"da": {"unit": "$/MWh"}}, **tariff}
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
    return parts, horizon, inputs


def cpu(run: Callable[[], object]) -> float:
    """CPU seconds of a run, its threads included."""
    began = time.process_time()
    run()
    return time.process_time() - began


def fresh(name: str, step_min: int) -> float:
    """CPU seconds of a process that imports, dispatches the year and ends."""
    before = os.times()
    subprocess.run([sys.executable, __file__, FRESH, name, str(step_min)], check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def with_known_peaks(plain: Program, peaks: Program) -> Program:
    """The energy-only year with the peaks of the other's optimum as limits of the import, where rows stood."""
    values = solve(peaks, time_limit_s=LIMIT_S).point
    spans = {group.declaration.name: group.span for group in peaks.columns}
    import_, upper = spans["grid.import_mw"], plain.upper.copy()
    peak = np.zeros(values.size)
    for name in ("tariff.pk.peak_mw", "tariff.on.peak_mw"):
        peak[spans[name]] = values[spans[name]]
    for rows in (group.span for group in peaks.rows if group.name.endswith(".peak_covers")):
        covered = peaks.matrix[rows][:, import_].tocoo()
        np.minimum.at(upper, import_.start + covered.col, np.abs(peaks.matrix[rows] @ peak)[covered.row] + SLACK_MW)
    return replace(plain, upper=upper)


def alone(program: Program, **options: object) -> None:
    """HiGHS alone, from the slack basis."""
    Highs(program, relax=True, options=dict(options)).run()


def measure(name: str, step_min: int) -> dict[str, float]:
    """CPU seconds by what was run; checks the bill."""
    given = campus(YEARS[name], step_min)
    program = compile_program(build(*given))
    settings = SolveSettings(time_limit_s=LIMIT_S)
    made = []
    seconds = {
        OURS: cpu(lambda: solve(program, time_limit_s=LIMIT_S)),
        "dispatch in all": cpu(lambda: made.append(dispatch(*given, settings=settings))),
        "fresh process": fresh(name, step_min),
        DEFAULTS: cpu(lambda: alone(program)),
        OFF: cpu(lambda: alone(program, presolve="off")),
    }
    parts, horizon, inputs = given
    arrays = (made[0].dataset[f"grid.{side}_mw"].to_numpy() for side in ("import", "export"))
    billed = rebill(parts["tariff"], "tariff", horizon, *arrays, made[0].audit.reading.costs, inputs=inputs)
    told = ", ".join(f"{what} {spent:.2f} s" for what, spent in seconds.items())
    print(f"{name}: {told}; bill {billed.bill.total:,.0f} $, residual {billed.residual_usd:.6f} $", flush=True)
    return seconds


def main() -> None:
    """Print every run, and the ratios of the least seconds."""
    if sys.argv[1:2] == [FRESH]:
        dispatch(*campus(YEARS[sys.argv[2]], int(sys.argv[3])), settings=SolveSettings(time_limit_s=LIMIT_S))
        return
    step_min, repeats = (int(given) for given in [*sys.argv[1:], "60", "5"][:1] + [*sys.argv[2:], "5"][:1])
    runs = [{name: measure(name, step_min) for name in YEARS} for _ in range(repeats)]
    plain, peaks = ({what: min(run[name][what] for run in runs) for what in runs[0][name]} for name in YEARS)
    for what in plain:
        ratio = peaks[what] / plain[what]
        print(
            f"{what}: {plain[what]:.2f} s, {peaks[what]:.2f} s of CPU, ratio {ratio:.2f} at {step_min} min (goal 1.3)"
        )
    highs = min(plain[DEFAULTS], plain[OFF])
    print(f"{OURS} with peaks / HiGHS alone at energy prices: {peaks[OURS] / highs:.2f} (goal 1.3)")
    known = with_known_peaks(*(compile_program(build(*campus(year, step_min))) for year in YEARS.values()))
    spent = min(cpu(lambda: solve(known, time_limit_s=LIMIT_S)) for _ in range(repeats))
    print(f"{OURS} with the peaks known: {spent:.2f} s, {spent / plain[OURS]:.2f} times energy only")
    print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
