"""Build and hand-off of the year case against the same model written in vectorised linopy.

Run by hand: ``PYTHONPATH=. python tests/benchmarks/bench_handoff.py``. Both start from the loaded case and end with a
HiGHS instance that holds the model; the best of several alternating runs is compared. That both are the same model is
asserted by their LP-relaxation optima (relative 1e-9) and their sizes. Goal: ours at most 1.3 times linopy.
"""

from __future__ import annotations

import gc
import os
import time
from dataclasses import dataclass
from itertools import pairwise

import highspy
import linopy
import numpy as np
import pandas as pd
import xarray as xr

import microgrid
from microgrid.assets.cooling import Cooling, find_cooling
from microgrid.case.model import Case
from microgrid.dispatch.build import build
from microgrid.dispatch.compile import compile_program
from microgrid.dispatch.highs import Highs

REPEATS = 5
SAME = 1e-9
HOURS_PER_YEAR = 8766.0
KWH_PER_MWH = 1000.0
JOULE_PER_TH_TO_PH_PER_MW = 1000.0


class Watch:
    """Seconds of the stages of one run: CPU time, which a busy machine spoils less, and wall time."""

    def __init__(self) -> None:
        """Start."""
        self.stages: dict[str, tuple[float, float]] = {}
        self.last = (time.process_time(), time.perf_counter())

    def mark(self, stage: str) -> None:
        """End a stage."""
        now = (time.process_time(), time.perf_counter())
        self.stages[stage] = (now[0] - self.last[0], now[1] - self.last[1])
        self.last = now

    @property
    def cpu(self) -> float:
        """CPU seconds of all stages."""
        return sum(cpu for cpu, _ in self.stages.values())

    @property
    def wall(self) -> float:
        """Wall seconds of all stages."""
        return sum(wall for _, wall in self.stages.values())

    def __str__(self) -> str:
        """One line."""
        stages = "  ".join(f"{name} {cpu:.2f} ({wall:.2f})" for name, (cpu, wall) in self.stages.items())
        return f"{stages}  sum {self.cpu:.2f} ({self.wall:.2f})"


@dataclass
class Campus:
    """The linopy model being written, its time axis, the case, and what it has to pay and to balance."""

    model: linopy.Model
    case: Case
    time: pd.RangeIndex
    injections: list[linopy.LinearExpression | linopy.Variable | np.ndarray]
    costs: list[linopy.LinearExpression]
    offset_usd: float = 0.0

    def array(self, values: np.ndarray) -> xr.DataArray:
        """Values by step."""
        return xr.DataArray(values, coords={"time": self.time}, dims="time")

    def variable(self, name: str, upper: float | np.ndarray, lower: float = 0.0) -> linopy.Variable:
        """A variable by step."""
        limit = self.array(upper) if isinstance(upper, np.ndarray) else upper
        return self.model.add_variables(lower, limit, coords=[self.time], name=name)


def linopy_model(case: Case) -> Campus:
    """Write `ercot_hybrid_campus` as one would by hand, with arrays."""
    time_axis = pd.RangeIndex(case.horizon.count, name="time")
    campus = Campus(linopy.Model(), case, time_axis, [], [])
    add_meter(campus)
    add_engines(campus)
    add_battery(campus)
    add_solar(campus)
    campus.injections.append(campus.array(-case.inputs["facility.power_mw"]))
    add_mining(campus)
    add_training(campus)
    add_inference(campus)
    terms = [item for item in campus.injections if not isinstance(item, xr.DataArray)]
    fixed = sum(item for item in campus.injections if isinstance(item, xr.DataArray))
    campus.model.add_constraints(linopy.merge([1.0 * term for term in terms]) == -fixed, name="balance")
    campus.model.add_objective(linopy.merge([item.sum() for item in campus.costs], dim="_term"))
    return campus


def add_meter(campus: Campus) -> None:
    """Import, export, index energy and the monthly demand charge."""
    case, grid = campus.case, campus.case.parts["grid"]
    bought, sold = campus.variable("import", grid.import_limit_mw), campus.variable("export", grid.export_limit_mw)
    price = case.inputs["retail.series.rt"] * case.parts["retail"].tariff.series["rt"].scale
    campus.costs.append(bought * campus.array(KWH_PER_MWH * (price + 0.0045)))
    campus.costs.append(sold * campus.array(-KWH_PER_MWH * (price - 0.001)))
    month = campus.array(np.asarray(case.horizon.month_of))
    peak = campus.model.add_variables(0.0, coords=[pd.RangeIndex(case.horizon.months.size, name="month")], name="peak")
    campus.model.add_constraints(bought - peak.sel(month=month) <= 0.0, name="peak_covers")
    campus.costs.append(5.5 * KWH_PER_MWH * peak)
    campus.injections += [bought, -1.0 * sold]


def add_engines(campus: Campus) -> None:
    """Commitment, output, fuel and run hours of the engines."""
    unit, model = campus.case.parts["engines"], campus.model
    running = model.add_variables(0, unit.units, coords=[campus.time], name="running", integer=True)
    started, stopped = campus.variable("started", unit.units), campus.variable("stopped", unit.units)
    power, fuel = campus.variable("power", unit.units * unit.unit_power_mw), campus.variable("fuel", np.inf)
    model.add_constraints(running - running.roll(time=1) - started + stopped == 0.0, name="logic")
    up = sum(started.roll(time=lag) for lag in range(1, int(unit.min_up_h))) + started
    down = sum(stopped.roll(time=lag) for lag in range(1, int(unit.min_down_h))) + stopped
    model.add_constraints(up - running <= 0.0, name="min_up")
    model.add_constraints(down + running <= unit.units, name="min_down")
    model.add_constraints(power - unit.unit_power_mw * running <= 0.0, name="max_output")
    model.add_constraints(power - unit.min_load_mw * running >= 0.0, name="min_output")
    for place, (no_load, slope) in enumerate(unit.fuel_lines()):
        model.add_constraints(fuel - no_load * running - slope * power >= 0.0, name=f"fuel_{place}")
    allowed = unit.units * unit.run_hours_per_year * campus.case.horizon.count / HOURS_PER_YEAR
    model.add_constraints(running.sum() <= allowed, name="run_hours")
    price = unit.fuel_price_usd_per_mmbtu
    campus.costs += [
        price * fuel,
        (unit.start_cost_usd + price * unit.start_fuel_mmbtu) * started,
        unit.variable_om_usd_per_mwh * power,
    ]
    campus.injections.append(power)


def add_battery(campus: Campus) -> None:
    """Charge, discharge and stored energy at the instants between steps."""
    unit, model = campus.case.parts["battery"], campus.model
    charge, discharge = campus.variable("charge", unit.power_mw), campus.variable("discharge", unit.power_mw)
    edges = pd.RangeIndex(len(campus.time) + 1, name="edge")
    low, high = unit.soc_min * unit.energy_mwh, unit.soc_max * unit.energy_mwh
    energy = model.add_variables(low, high, coords=[edges], name="energy")
    before = energy.isel(edge=slice(None, -1)).rename(edge="time").assign_coords(time=campus.time)
    after = energy.isel(edge=slice(1, None)).rename(edge="time").assign_coords(time=campus.time)
    kept = 1.0 - unit.self_discharge_per_hour
    moved = unit.charge_efficiency * charge - (1.0 / unit.discharge_efficiency) * discharge
    model.add_constraints(after - kept * before - moved == 0.0, name="energy_balance")
    model.add_constraints(energy.isel(edge=-1, drop=True) - energy.isel(edge=0, drop=True) == 0.0, name="wrap")
    campus.costs.append(unit.wear_usd_per_mwh * discharge)
    campus.injections += [discharge, -1.0 * charge]


def add_solar(campus: Campus) -> None:
    """Curtailable output."""
    unit = campus.case.parts["solar"]
    campus.injections.append(campus.variable("solar", unit.power_mw * campus.case.inputs["solar.capacity_factor"]))


def add_mining(campus: Campus) -> None:
    """Tiers that switch freely; heat, outage and cooling by temperature."""
    fleet, inputs = campus.case.parts["mining"], campus.case.inputs
    ambient, price = inputs["mining.ambient_c"], inputs["mining.hashprice_usd_per_ph_day"]
    for name, tier in fleet.tiers.items():
        plant = tier.plant(fleet.cooling)
        depth = (ambient - plant.derate_from_c) / (plant.derate_full_c - plant.derate_from_c)
        clock = 1.0 - (1.0 - plant.derate_full_share) * np.clip(depth, 0.0, 1.0)
        clock = np.where(ambient > plant.shutdown_c, 0.0, clock)
        leakage = 1.0 + plant.leakage_per_kelvin * np.maximum(ambient - plant.leakage_from_c, 0.0)
        power = campus.variable(f"mining_{name}", tier.power_mw * tier.availability * clock * leakage)
        hashrate = JOULE_PER_TH_TO_PH_PER_MW / tier.joule_per_th / leakage
        campus.costs.append(power * campus.array(-price * (1.0 - fleet.pool_fee) / 24.0 * hashrate))
        campus.injections.append(power * campus.array(-pue(plant, ambient)))


def add_training(campus: Campus) -> None:
    """One elastic job that owes work every week."""
    part, model = campus.case.parts["training"], campus.model
    job = part.jobs["pretraining"]
    hull = job.hull()
    windows = job.windows(campus.case.horizon)
    week = np.repeat(np.arange(len(windows)), [window.last - window.first for window in windows])
    owed = np.array([window.work_mwh for window in windows])
    weeks = pd.RangeIndex(len(windows), name="week")
    missing = model.add_variables(0.0, xr.DataArray(owed, coords={"week": weeks}), name="unfinished")
    parts = [
        (campus.variable(f"segment{place}", after[0] - before[0]), (after[1] - before[1]) / (after[0] - before[0]))
        for place, (before, after) in enumerate(pairwise(hull))
    ]
    work = linopy.merge([slope * segment for segment, slope in parts])
    done = work.groupby(xr.DataArray(week, coords={"time": campus.time}, name="week")).sum()
    always = hull[0][1] * np.bincount(week)
    model.add_constraints(done + missing >= xr.DataArray(owed - always, coords={"week": weeks}), name="complete")
    campus.costs.append((job.value_usd_per_mwh + job.unfinished_usd_per_mwh) * missing)
    campus.offset_usd -= job.value_usd_per_mwh * owed.sum()
    ratio = room_pue(campus, "training")
    campus.injections += [segment * campus.array(-ratio) for segment, _ in parts]
    campus.injections.append(campus.array(-hull[0][0] * ratio))


def add_inference(campus: Campus) -> None:
    """Classes of requests, two of which may be shed."""
    hall, inputs = campus.case.parts["inference"], campus.case.inputs
    ratio = room_pue(campus, "inference")
    idle = hall.replica.idle_share
    fixed = -ratio * idle * hall.replica.installed_mw
    for name, entry in hall.classes.items():
        served = hall.replica.tokens_per_s * entry.utilisation
        per_request = hall.tokens_per_request / served * hall.replica.power_kw / 1000.0
        need = inputs["inference.requests_per_s"] * entry.share * per_request
        million = entry.tokens_per_mwh(hall.replica) / 1e6
        campus.offset_usd -= entry.value_usd_per_million_tokens * million * need.sum()
        fixed = fixed - ratio * (1.0 - idle) * need
        if entry.sheddable_share:
            shed = campus.variable(f"shed_{name}", entry.sheddable_share * need)
            lost = (entry.value_usd_per_million_tokens + entry.shed_cost_usd_per_million_tokens) * million
            campus.costs.append(lost * shed)
            campus.injections.append(shed * campus.array(ratio * (1.0 - idle)))
    campus.injections.append(campus.array(fixed))


def room_pue(campus: Campus, part: str) -> np.ndarray:
    """Facility power per IT power of a part's room, power chain included."""
    room = campus.case.parts[part].room
    return pue(find_cooling(room.cooling), campus.case.inputs[f"{part}.room.ambient_c"]) / room.chain_efficiency


def pue(plant: Cooling, ambient_c: np.ndarray) -> np.ndarray:
    """Facility power per IT power."""
    warmer = np.maximum(ambient_c - plant.pue_from_c, 0.0)
    return np.minimum(plant.pue_max, plant.pue_base + plant.pue_per_kelvin * warmer)


def ours(case: Case) -> tuple[Watch, Highs]:
    """Our build, compilation and hand-off."""
    watch = Watch()
    model = build(case.parts, case.horizon, case.inputs)
    watch.mark("build")
    program = compile_program(model)
    watch.mark("compile")
    solver = Highs(program)
    watch.mark("pass to HiGHS")
    return watch, solver


def theirs(case: Case) -> tuple[Watch, highspy.Highs, float]:
    """Build and hand-off in linopy, the solver, and the constant of the objective."""
    watch = Watch()
    campus = linopy_model(case)
    watch.mark("build")
    solver = linopy.io.to_highspy(campus.model)
    watch.mark("pass to HiGHS")
    return watch, solver, campus.offset_usd


def relaxed_optimum(solver: highspy.Highs) -> tuple[float, int, int, int]:
    """Optimum of the LP relaxation and the model's size."""
    lp = solver.getLp()
    size = (lp.num_row_, lp.num_col_, int(lp.a_matrix_.start_[-1]))
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("solve_relaxation", True)
    solver.run()
    return float(solver.getInfo().objective_function_value), *size


def main() -> None:
    """Time both, prove them the same, print."""
    case = microgrid.load_case("ercot_hybrid_campus")
    ours(case), theirs(case)  # imports, caches
    runs: dict[str, list[Watch]] = {"ours": [], "linopy": []}
    for _ in range(REPEATS):
        for name, write in (("linopy", theirs), ("ours", ours)):
            gc.collect()
            runs[name].append(write(case)[0])
    print(f"load average {os.getloadavg()[0]:.1f}; best of {REPEATS} alternating runs, CPU seconds (wall in brackets)")
    best = {name: min(watches, key=lambda watch: watch.cpu) for name, watches in runs.items()}
    for name, watch in best.items():
        print(f"{name:7s}{watch}")
    wall = min(watch.wall for watch in runs["ours"]) / min(watch.wall for watch in runs["linopy"])
    print(f"ratio  {best['ours'].cpu / best['linopy'].cpu:.2f} of CPU, {wall:.2f} of wall (goal 1.3)", flush=True)
    _, solver = ours(case)
    _, linopy_solver, offset = theirs(case)
    one, *one_size = relaxed_optimum(solver.solver)
    two, *two_size = relaxed_optimum(linopy_solver)
    difference = abs(one - two - offset) / abs(one)
    print(f"rows, columns, non-zeros: ours {one_size}, linopy {two_size}")
    print(f"LP optimum: ours {one:.6f}, linopy {two + offset:.6f}, relative difference {difference:.1e}")
    assert difference < SAME, "the two models differ"
    assert one_size == two_size, "the two models differ in size"


if __name__ == "__main__":
    main()
