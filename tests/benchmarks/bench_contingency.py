"""Speed of the outage engine: 8,760 hours times every single branch outage, against lightsim2grid in the same run.

Run by hand: ``OPENBLAS_NUM_THREADS=1 PYTHONPATH=. python tests/benchmarks/bench_contingency.py [hours]``. Goals for
8,760 hours: campus within 1.5 s, IEEE 118 within 25 s on two idle cores, both ahead of lightsim2grid's
ContingencyAnalysisCPP, which is timed on a few snapshots. Processor time is what compares on a shared machine.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandapower.networks as shipped

from microgrid.network.profiles import Profiles
from microgrid.powerflow.controls import Controls
from microgrid.powerflow.extract import extract
from microgrid.powerflow.injections import injections
from microgrid.powerflow.outage_cases import single_outages
from microgrid.powerflow.outages import run_outages
from microgrid.powerflow.points import Overlay
from microgrid.powerflow.solve import Model, points_of, solve_points

SNAPSHOTS = 12


def beside(name: str) -> Any:
    """Module from a file of this folder."""
    path = Path(__file__).parent / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compare(name: str, net: Any, profiles: Profiles) -> None:
    """Time all branch outages at all steps, then lightsim2grid on some of them."""
    outages = single_outages(net, ("line", "trafo", "trafo3w"))
    controls = Controls(reactive_limits=False)
    run_outages(net, profiles, outages, controls=controls, steps=np.arange(600))
    wall, cpu, result = np.inf, np.inf, None
    for _ in range(2):
        began, used = time.perf_counter(), time.process_time()
        result = run_outages(net, profiles, outages, controls=controls)
        wall, cpu = min(wall, time.perf_counter() - began), min(cpu, time.process_time() - used)
    assert result is not None
    states = result["status"].size
    ledger = {key[7:]: value for key, value in result.attrs.items() if key.startswith("ledger_") and value}
    print(f"{name}: {len(outages)} outages x {profiles.steps} = {states} states: {wall:.2f} s wall, {cpu:.2f} s cpu")
    print(f"  {1e6 * cpu / states:.2f} us/state cpu; {ledger}")
    other = lightsim(net, profiles)
    print(f"  lightsim2grid ContingencyAnalysisCPP: {1e6 * other:.2f} us/state cpu; ratio {other * states / cpu:.1f}")


def lightsim(net: Any, profiles: Profiles) -> float:
    """Processor seconds per state of lightsim2grid on a few snapshots, all branches."""
    from lightsim2grid.lightsim2grid_cpp import AlgorithmType, ContingencyAnalysisCPP

    model = Model(extract(net))
    given = injections(model.grid, profiles, 0, SNAPSHOTS)
    holds = np.ones(given.vm_pu.shape, bool)
    voltage = solve_points(
        model, points_of(model.grid, given, model.grid.start[:, None], holds, Overlay.join([]))
    ).voltage
    grid = beside("powerflow_rivals.py").lightsim_grid(net)
    analysis = ContingencyAnalysisCPP(grid)
    analysis.change_algorithm(AlgorithmType.NR_KLU)
    analysis.handle_disconnected_grid = True
    analysis.add_all_n1()
    used = time.process_time()
    for column in range(SNAPSHOTS):
        analysis.clear_results_only()
        analysis.compute(np.ascontiguousarray(voltage[:, column]), 15, 1e-8)
    return (time.process_time() - used) / (SNAPSHOTS * len(model.grid.branches.label))


def smooth_year(net: Any, hours: int) -> Profiles:
    """Loads around the case's own values, generation as shipped."""
    random = np.random.default_rng(0)
    day = 0.9 + 0.08 * np.sin(2.0 * np.pi * np.arange(hours) / 24.0)
    factor = day * random.uniform(0.95, 1.05, (len(net.load), hours))
    p, q = net.load.p_mw.to_numpy()[:, None] * factor, net.load.q_mvar.to_numpy()[:, None] * factor
    return Profiles(hours, {"load": p}, {"load": q})


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    asked = int(sys.argv[1]) if len(sys.argv) > 1 else 8760
    powerflow = beside("bench_powerflow.py")
    site = powerflow.campus(generators=False)
    site.controller = site.controller.iloc[:0]
    compare("campus", site, powerflow.year(site, asked))
    compare("IEEE 118", shipped.case118(), smooth_year(shipped.case118(), asked))
