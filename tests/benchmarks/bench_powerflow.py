"""Speed of the batched AC power flow against pandapower, lightsim2grid and power-grid-model, in the same run.

Run by hand: ``OPENBLAS_NUM_THREADS=1 PYTHONPATH=. python tests/benchmarks/bench_powerflow.py``. Prints best-of-runs
wall and processor time, ratios, and the largest voltage difference, for 35,040 quarter hours of a 40-bus campus:
plain, and with tap changers and reactive limits. power-grid-model is left out where it is not installed.

Goals: 0.2 s; 1,500 times `run_timeseries`; ahead of both other engines; at most 40 us per step with taps and limits,
same taps as pandapower's controller in at least 99 % of the steps.
"""

from __future__ import annotations

import copy
import importlib.util
import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pandapower.networks as shipped
import pandas as pd
from pandapower.control import ConstControl
from pandapower.timeseries import DFData, OutputWriter, run_timeseries

from microgrid.network.profiles import Profiles
from microgrid.powerflow.controls import Controls, read_controls
from microgrid.powerflow.extract import extract, pandapower_options
from microgrid.powerflow.injections import injections
from microgrid.powerflow.points import Overlay
from microgrid.powerflow.reference import apply_step
from microgrid.powerflow.run import run_power_flow
from microgrid.powerflow.solve import Model, points_of, warm_start

STEPS = 35_040
SAMPLE = 60
ROOT = Path(__file__).parents[2]


def beside(name: str) -> Any:
    """Module from a file of this checkout, which need not be installed."""
    path = ROOT / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def campus(*, generators: bool) -> Any:
    """The shipped two-feeder campus with its design load; engines hold a voltage or inject constantly."""
    net = beside("networks/two_feeder_campus.py").build()
    at = {str(name): index for index, name in net.bus.name.items()}
    loads = {
        "MINE_1_HV": 15.0, "MINE_2_HV": 15.0, "MINE_3_HV": 15.0, "MINE_4_HV": 15.0, "AI_TRAIN_A": 15.0, "AI_A": 5.0,
        "AI_B": 15.0, "AI_INFER_A": 6.0, "COOLING_A": 3.0, "FACILITY": 3.0,
    }  # fmt: skip
    for bus, mw in loads.items():
        pp.create_load(net, at[bus], mw, 0.25 * mw, name=bus)
    pp.create_storage(net, at["BESS"], 5.0, 100.0, q_mvar=0.0, name="BESS")
    pp.create_sgen(net, at["PV"], 20.0, 0.0, name="PV")
    if generators:
        pp.create_gen(net, at["ENGINES"], 25.0, vm_pu=1.015, name="ENGINES")
    else:
        pp.create_sgen(net, at["ENGINES"], 25.0, 3.0, name="ENGINES")
    return net


def year(net: Any, steps: int = STEPS) -> Profiles:
    """Independent random walks around each element's value."""
    random = np.random.default_rng(0)
    p, q = {}, {}
    for table in ("load", "sgen", "storage", "gen"):
        count = len(net[table])
        if not count:
            continue
        factor = 0.75 + 0.3 * np.sin(np.arange(steps) / 96.0 * 2.0 * np.pi + random.uniform(0.0, 6.0, (count, 1)))
        factor += random.normal(0.0, 0.05, (count, steps))
        p[table] = net[table].p_mw.to_numpy()[:, None] * factor
        if table != "gen":
            q[table] = net[table].q_mvar.to_numpy()[:, None] * factor
    return Profiles(steps, p, q)


def best(call: Callable[[], Any], runs: int = 3) -> tuple[float, float, Any]:
    """Best wall and processor time of several runs, and the last answer."""
    wall, cpu, answer = np.inf, np.inf, None
    for _ in range(runs):
        began, used = time.perf_counter(), time.process_time()
        answer = call()
        wall, cpu = min(wall, time.perf_counter() - began), min(cpu, time.process_time() - used)
    return wall, cpu, answer


def pandapower_series(net: Any, profiles: Profiles) -> float:
    """Processor seconds per step of pandapower's run_timeseries on the first steps, its own recycling on."""
    work = copy.deepcopy(net)
    for quantity, series in (("p_mw", profiles.p_mw), ("q_mvar", profiles.q_mvar)):
        for table, values in series.items():
            source = DFData(pd.DataFrame(values[:, :SAMPLE].T))
            index = list(work[table].index)
            ConstControl(work, table, quantity, index, list(range(len(index))), source)
    writer = OutputWriter(work, range(SAMPLE), output_path=None)
    writer.log_variable("res_bus", "vm_pu")
    writer.log_variable("res_line", "loading_percent")
    run_timeseries(work, range(2), verbose=False, numba=True)  # compiles
    began = time.process_time()
    run_timeseries(work, range(SAMPLE), verbose=False, numba=True)
    return (time.process_time() - began) / SAMPLE


def plain() -> None:
    """35,040 steps without controls, all engines."""
    net = campus(generators=False)
    net.controller = net.controller.iloc[:0]
    profiles = year(net)
    run_power_flow(net, profiles)
    wall, cpu, result = best(lambda: run_power_flow(net, profiles))
    print(f"campus, {len(net.bus)} buses, {STEPS} steps, all outputs: {wall:.3f} s wall, {cpu:.3f} s cpu")
    model = Model(extract(net))
    given = injections(model.grid, profiles, 0, STEPS)
    points = points_of(model.grid, given, warm_start(model, given), np.ones(given.vm_pu.shape, bool), Overlay.join([]))
    solve, alone, solution = best(lambda: model.network.solve(points), 5)
    counts = np.bincount(solution.iterations)
    print(f"  kernel alone: {solve:.3f} s wall, {1e6 * alone / STEPS:.2f} us/step cpu, iterations {counts}")
    step = pandapower_series(net, profiles)
    print(f"  run_timeseries: {1e3 * step:.1f} ms/step cpu = {step * STEPS:.0f} s; cpu ratio {step * STEPS / cpu:,.0f}")
    rivals = beside("tests/benchmarks/powerflow_rivals.py")
    grid = model.grid
    load = -given.power * grid.base_mva
    run, _ = rivals.lightsim_series(net, load, np.zeros((1, STEPS)), np.full(grid.buses, 1.0) * grid.start)
    _, ls, voltage = best(run, 2)
    gap = np.abs(np.abs(voltage.T[: grid.buses]) - np.abs(solution.voltage)).max()
    print(
        f"  lightsim2grid TimeSeriesCPP: {ls:.3f} s cpu; ratio {ls / cpu:.1f} (kernel {ls / alone:.1f}); |dV| {gap:.1e}"
    )
    if importlib.util.find_spec("power_grid_model"):
        batch = rivals.power_grid_model_batch(net, given.power, grid.reference, grid.reference_voltage)
        _, pgm, vm_pu = best(batch, 2)
        gap = np.abs(vm_pu - np.abs(solution.voltage)).max()
        print(f"  power-grid-model: {pgm:.3f} s cpu; ratio {pgm / cpu:.1f} (kernel {pgm / alone:.1f}); |dV| {gap:.1e}")
    assert (result["status"] == 0).all()


def regulated() -> None:
    """Tap changers and reactive limits, against pandapower's controller on a sample."""
    net = campus(generators=True)
    profiles = year(net)
    controls = Controls(read_controls(net).tap_changers)
    free = run_power_flow(net, profiles, controls)["generator_q_mvar"].to_numpy()[0]
    net.gen["min_q_mvar"], net.gen["max_q_mvar"] = np.quantile(free, (0.1, 0.85))  # limits that bind in a quarter
    wall, cpu, result = best(lambda: run_power_flow(net, profiles, controls), 2)
    limit = float((result["generator_at_limit"] != 0).mean())
    spent = f"{1e6 * wall / STEPS:.1f} us/step wall, {1e6 * cpu / STEPS:.1f} cpu"
    print(f"taps and reactive limits: {spent}; at limit {limit:.0%}")
    same, gaps, seconds = 0, [], 0.0
    base = net.trafo.tap_pos.copy()
    sample = np.random.default_rng(1).choice(STEPS, 100, replace=False)
    taps = result["tap_position"].to_numpy()
    for step in sample.tolist():
        apply_step(net, profiles, step)
        net.trafo["tap_pos"] = base
        began = time.process_time()
        pp.runpp(net, run_control=True, enforce_q_lims=True, **pandapower_options(net))
        seconds += time.process_time() - began
        theirs = net.trafo.tap_pos.loc[result["tap_element"].to_numpy()].to_numpy()
        equal = bool((theirs == taps[:, step]).all())
        same += equal
        if equal:
            gaps.append(np.nanmax(np.abs(net.res_bus.vm_pu.to_numpy() - result["vm_pu"].to_numpy()[:, step])))
    each = seconds / len(sample)
    print(f"  pandapower controller: {1e3 * each:.0f} ms/step cpu; cpu ratio {each * STEPS / cpu:,.0f}")
    print(f"  same taps in {same} of {len(sample)} steps, |dV| {max(gaps):.1e}; taps used {np.unique(taps)}")


def sizes() -> None:
    """Kernel time per solve on networks as pandapower ships them."""
    for name, steps in (("case39", 2000), ("case118", 2000), ("case1354pegase", 200)):
        net = getattr(shipped, name)()
        random = np.random.default_rng(0)
        factor = random.uniform(0.9, 1.02, (len(net.load), steps))
        p, q = net.load.p_mw.to_numpy()[:, None] * factor, net.load.q_mvar.to_numpy()[:, None] * factor
        model = Model(extract(net))
        given = injections(model.grid, Profiles(steps, {"load": p}, {"load": q}), 0, steps)
        holds = np.ones(given.vm_pu.shape, bool)
        points = points_of(model.grid, given, warm_start(model, given), holds, Overlay.join([]))
        wall, cpu, solution = best(lambda m=model, p=points: m.network.solve(p))
        done = int(solution.converged.sum())
        print(f"{name}: {1e6 * wall / steps:.1f} us/step wall, {1e6 * cpu / steps:.1f} cpu, {done} of {steps} solved")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    plain()
    regulated()
    sizes()
