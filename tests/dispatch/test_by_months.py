"""A year by its months alone: bounds hold, points keep every row, hand-solved plans and shares have their prices."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).parent))
from small_years import HOURS, MONTHS, STEPS, battery, optimum, run_hours, year

import microgrid
from microgrid.assets.battery import Battery
from microgrid.assets.bitcoin_mining import BitcoinMining
from microgrid.assets.engines import Engines
from microgrid.dispatch import by_months, solve
from microgrid.dispatch.bound import dual_bound
from microgrid.dispatch.build import build
from microgrid.dispatch.compile import Program, compile_program
from microgrid.dispatch.first_prices import first_prices
from microgrid.dispatch.highs import Highs, Outcome, Status
from microgrid.dispatch.months import take_apart
from microgrid.errors import SolverLimit

TOLERANCE = 1e-6


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program counts as large."""
    monkeypatch.setattr(by_months, "MANY_ROWS", 0)


def misses(program: Program, point: np.ndarray) -> float:
    """Largest violation of a row, relative to it, or of a bound."""
    activity = program.matrix @ point
    rows = np.maximum(program.row_lower - activity, activity - program.row_upper) / np.maximum(1.0, np.abs(activity))
    return float(max(rows.max(), (program.lower - point).max(), (point - program.upper).max()))


def hall(value: list[float], build_usd: float) -> Program:
    """A hall of 10 MW may grow by 2 MW in each of three months; a MW earns `value` $/h in each, and stays."""
    capacity = np.zeros((3, STEPS + 6))
    capacity[np.arange(3), STEPS + np.arange(3)] = 1.0
    capacity[np.arange(1, 3), STEPS + np.arange(2)] = -1.0
    capacity[np.arange(3), STEPS + 3 + np.arange(3)] = -1.0
    covers = sp.lil_array((STEPS, STEPS + 6))
    covers[np.arange(STEPS), np.arange(STEPS)] = 1.0
    covers[np.arange(STEPS), STEPS + MONTHS] = -1.0
    cost = np.concatenate([-np.asarray(value)[MONTHS], np.zeros(3), np.full(3, build_usd)])
    lower, upper = np.append([10.0, 0.0, 0.0], np.full(STEPS, -np.inf)), np.append([10.0, 0.0, 0.0], np.zeros(STEPS))
    top = np.concatenate([np.full(STEPS + 3, 100.0), np.full(3, 2.0)])
    groups = {"used": STEPS, "capacity": 3, "built": 3}
    return year(groups, cost, sp.vstack([sp.csr_array(capacity), covers]), lower, upper, top)


def test_a_share_of_run_hours_is_priced_by_its_mean() -> None:
    """100 of 240 hours of each month save 10, 20 and 30 $: the next would too."""
    first = first_prices(take_apart(run_hours(300.0), {}), threads=1)
    assert first.prices == pytest.approx([-20.0])
    assert first.room == pytest.approx([10.0])
    assert first.answer is not None
    assert first.answer.point.reshape(3, HOURS).sum(axis=1) == pytest.approx([100.0] * 3)


def test_a_plan_is_priced_by_what_it_gains_in_later_months() -> None:
    """Dear to build, the plan stays at 10 MW; one more from the start earns in all three months, and so on."""
    first = first_prices(take_apart(hall([1.0, 2.0, 3.0], 1e6), {}), threads=1)
    assert first.prices == pytest.approx([-6.0 * HOURS, -5.0 * HOURS, -3.0 * HOURS])
    assert first.answer is not None
    assert first.answer.point[STEPS:] == pytest.approx([10.0] * 3 + [0.0] * 3)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("build_usd", [1e6, 4.5 * HOURS, 0.5 * HOURS])
def test_a_hall_grows_while_a_megawatt_earns_its_cost(build_usd: float) -> None:
    """A MW built in the three months earns 6, 5 and 3 $/h from then on."""
    program = hall([1.0, 2.0, 3.0], build_usd)
    built = [2.0 if build_usd < earned * HOURS else 0.0 for earned in (6.0, 5.0, 3.0)]
    found = solve.solve(program)
    assert found.point[-3:] == pytest.approx(built)
    assert found.stages[-1].name == "months in sequence"


def plant(limit_mw: float, integer: bool) -> Program:
    """Hours that save 1, 2 and 3 $ need a plant of a hundredth MW each, which costs 0.5 $/MW and has a limit alone."""
    rows = np.zeros((2, STEPS + 1))
    rows[0, :STEPS], rows[0, STEPS], rows[1, STEPS] = 1.0, -100.0, 0.001
    cost = np.append(-np.array([1.0, 2.0, 3.0])[MONTHS], 0.5)
    upper = np.append(np.ones(STEPS), 10.0)
    made = year({"used": STEPS, "plant": 1}, cost, rows, [-np.inf, -np.inf], [0.0, 0.001 * limit_mw], upper)
    return replace(made, integer=np.arange(STEPS + 1) == (STEPS if integer else -1))


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("integer", "best"), [(False, -150 * 3.0 + 0.75), (True, -100 * 3.0 + 0.5)])
def test_what_no_month_holds_is_held_too(integer: bool, best: float) -> None:
    """The limit of the plant stands in a row of its own, 1.5 MW; no month sees it."""
    program = plant(1.5, integer)
    found = solve.solve(program, gap=0.05)
    assert misses(program, found.point) <= TOLERANCE
    assert best - TOLERANCE <= found.objective <= best * 0.95
    assert found.bound <= best + TOLERANCE


@pytest.mark.parametrize("bound", [np.nan, np.inf, -np.inf])
def test_no_bound_certifies_nothing(bound: float) -> None:
    assert solve.relative_gap(5.0, bound) == np.inf


@pytest.mark.usefixtures("alone")
def test_a_point_below_its_bound_is_not_taken_for_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a point offered that breaks a row, the year would still be solved at once."""
    program = run_hours(100.0)
    impossible = Outcome(Status.OPTIMAL, np.ones(STEPS), float(program.cost.sum()), -np.inf)
    monkeypatch.setattr(solve, "points", lambda *_: iter([impossible]))
    with pytest.raises(SolverLimit):
        solve.solve(program)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("seed", range(4))
def test_random_campuses_are_enclosed(bench: Callable[..., Any], seed: int) -> None:
    """Engines with minimum times and a permit, a battery and a mine over five months in steps of eight hours."""
    rng = np.random.default_rng(seed)
    gas = Engines(
        bus="G", units=3, unit_power_mw=4.0, min_load_mw=2.0, variable_om_usd_per_mwh=float(rng.uniform(50, 90)),
        start_cost_usd=200.0, min_up_h=16.0, min_down_h=16.0, run_hours_per_year=float(rng.uniform(1000, 6000)),
    )  # fmt: skip
    store = Battery(bus="B", power_mw=2.0, energy_mwh=24.0, wear_usd_per_mwh=float(rng.uniform(0, 5)))
    mine = BitcoinMining(
        bus="M", hashprice_usd_per_ph_day=48.0, pool_fee=0.0, cooling={"pue_base": 1.0},
        tiers={"a": {"efficiency_j_per_th": 20.0, "power_mw": 10.0}},
    )  # fmt: skip
    prices = rng.uniform(40.0, 160.0, 3 * 100).tolist()
    parts = {"gas": gas, "store": store, "mine": mine}
    program = bench(parts, prices, step_min=480, start="2025-01-30T06:00Z", import_limit_mw=8.0).program()
    best = Highs(program, options={"mip_rel_gap": 5e-3}).run()
    found = solve.solve(program, gap=0.01)
    assert "months in sequence" in [stage.name for stage in found.stages]
    assert found.bound <= best.objective + TOLERANCE
    assert found.objective >= best.bound - TOLERANCE
    assert misses(found.program, found.point) <= TOLERANCE


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("limit", [STEPS + 1.0, 400.0, 100.0])
def test_the_bound_and_the_point_enclose_the_optimum(limit: float) -> None:
    program = run_hours(limit)
    found = solve.solve(program)
    assert found.stages[-1].name == "months in sequence"
    assert found.bound <= optimum(program) + TOLERANCE
    assert found.objective >= optimum(program) - TOLERANCE
    assert misses(program, found.point) <= TOLERANCE


@pytest.mark.parametrize("seed", range(4))
def test_a_battery_carries_over_midnight(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Twelve midnights in 240 steps: prices beside them and what is left at them are nearly the year's own."""
    monkeypatch.setattr(by_months, "MANY_ROWS", 0)
    rng = np.random.default_rng(seed)
    program = battery(240, rng.uniform(20, 60, 240), rng.uniform(30, 75, 240))
    apart = by_months.priced_months(program, 1e-3, threads=1)
    assert apart is not None
    best = optimum(program)
    assert best * (1 - 0.01) <= apart.found.bound <= best + TOLERANCE
    (outcome,) = by_months.points(apart)
    assert outcome.point is not None
    assert best - TOLERANCE <= outcome.objective <= best * 1.005
    assert misses(program, outcome.point) <= TOLERANCE
    energy = outcome.point[720:]
    assert (energy[20:-1:20] > 1.0).any(), "something is kept for the next month"


@pytest.mark.usefixtures("alone")
def test_a_campus_is_proven_by_its_months() -> None:
    """A February of the hybrid campus and five days of the months beside it; the permit of run hours binds."""
    changed = ["time.start=2025-01-27", "time.end=2025-03-06", "assets.engines.run_hours_per_year=4000"]
    case = microgrid.load_case("ercot_hybrid_campus", changed)
    program = compile_program(build(case.parts, case.horizon, case.inputs))
    found = solve.solve(program)
    assert [stage.name for stage in found.stages] == ["months", "months in sequence"]
    assert misses(program, found.point) <= TOLERANCE
    assert found.bound_prices is not None
    assert dual_bound(program, found.bound_prices) == pytest.approx(found.bound, rel=1e-12)
    hours = dict(zip((group.name for group in program.rows), program.rows, strict=True))["engines.run_hours"]
    assert found.bound_prices[hours.span] < 0.0


@pytest.mark.usefixtures("alone")
def test_where_months_find_no_point_the_year_is_solved_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve, "points", lambda *_: iter(()))
    program = run_hours(400.0)
    found = solve.solve(program)
    assert [stage.name for stage in found.stages][:3] == ["months", "months in sequence", "LP relaxation"]
    assert found.objective == pytest.approx(optimum(program))
