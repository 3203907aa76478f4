"""Branching on monthly decisions beside hourly integers: bounds that hold, and the optimum of a general search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from microgrid.assets.bitcoin_mining import BitcoinMining
from microgrid.assets.engines import Engines
from microgrid.assets.programs.interruptible import Interruptible
from microgrid.dispatch.bound import dual_bound
from microgrid.dispatch.by_months import few_to_settle, points, priced_months
from microgrid.dispatch.compile import ColumnGroup, linear_program
from microgrid.dispatch.few_by_month import settle_by_month
from microgrid.dispatch.few_integers import MOST, branch_few, few_integers
from microgrid.dispatch.highs import Highs
from microgrid.formulation.evaluate import Declaration
from microgrid.formulation.horizon import Index


@pytest.fixture(scope="module")
def months(bench: Callable[..., Any]) -> Any:
    """Three months of steps of eight hours; whether a month's import lies above the firm level is a decision."""
    return campus(bench, 3)


def campus(bench: Callable[..., Any], steps_a_day: int) -> Any:
    """Sixty-one days of a mine, engines and a firm service level."""
    mine = BitcoinMining(
        bus="M", hashprice_usd_per_ph_day=48.0, pool_fee=0.0, cooling={"pue_base": 1.0},
        tiers={"a": {"efficiency_j_per_th": 20.0, "power_mw": 10.0}},
    )  # fmt: skip
    gas = Engines(
        bus="G", units=3, unit_power_mw=3.0, min_load_mw=2.0, variable_om_usd_per_mwh=85.0, start_cost_usd=150.0
    )
    contract = Interruptible(
        poi="grid", contract_mw=10.0, firm_service_level_mw=3.0, credit_usd_per_kw_month=4.0, providers=("mine",)
    )
    prices = np.random.default_rng(11).uniform(60.0, 160.0, steps_a_day * 61).tolist()
    parts = {"mine": mine, "gas": gas, "dr": contract}
    step_min = 24 * 60 // steps_a_day
    return bench(parts, prices, step_min=step_min, start="2025-01-30T06:00Z", import_limit_mw=10.0)


def test_bounds_rise_and_hold(months: Any) -> None:
    program = months.program()
    optimum = Highs(program, options={"mip_rel_gap": 1e-9}).run().objective
    solver = Highs(program, relax=True, options={"presolve": "off"})
    relaxed = solver.run()
    few = few_integers(program, {})
    assert few.size == 3  # one a month; running engines are not among them
    root = dual_bound(program, relaxed.row_duals)
    found = list(branch_few(program, solver, few, (root, relaxed.point), {}))
    bounds = np.array([bound for bound, _ in found])
    points = [outcome.objective for _, outcome in found if outcome is not None]
    assert (np.diff(bounds[np.isfinite(bounds)]) >= -1e-6).all()
    assert bounds[np.isfinite(bounds)].max() <= optimum + 1e-4
    assert optimum - bounds[np.isfinite(bounds)].max() < 0.1 * (optimum - root)
    assert min(points) >= optimum - 1e-4
    assert solver.run().objective == pytest.approx(relaxed.objective)  # its bounds are as they were


@pytest.mark.parametrize(("count", "few"), [(12, 12), (MOST, MOST), (MOST + 1, 0)])
def test_what_is_counted_often_is_not_few(count: int, few: int) -> None:
    """Whether energy of an interval is above a tariff's band, say: branching on hundreds of these does not end."""
    empty, zero = sp.csr_array((0, count)), np.zeros(count)
    bought = ColumnGroup(Declaration("above", Index("interval", count), "1", "above", integer=True), 0)
    program = replace(linear_program(empty, (zero[:0], zero[:0]), (zero, zero + 1.0), zero), columns=(bought,))
    assert few_integers(program, {}).size == few


def test_the_gap_is_proven_without_a_general_search(months: Any) -> None:
    solution = months.solve(gap=1e-3).solution
    stages = [stage.name for stage in solution.stages]
    assert "few integers" in stages
    assert "branch and bound" not in stages
    assert solution.objective == pytest.approx(Highs(months.program()).run().objective, rel=1e-3)


def test_months_settle_their_decisions_by_themselves(bench: Callable[..., Any]) -> None:
    """Each month one way and the other, at prices of what months share: a bound above the relaxation's, and a point."""
    program = campus(bench, 4).program()
    optimum = Highs(program, options={"mip_rel_gap": 1e-6}).run().objective
    apart = priced_months(program, 1e-3, threads=1)
    assert apart is not None
    few = few_to_settle(apart)
    assert few.size == 3
    bound, decided = settle_by_month(apart.months, apart.found, few, threads=1)
    assert sorted(decided) == few.tolist()
    assert optimum - bound < 0.1 * (optimum - apart.found.bound)
    assert bound <= optimum + 1e-4
    found = list(points(replace(apart, decided=decided)))
    assert optimum - 1e-4 <= min(outcome.objective for outcome in found) <= optimum + 1e-3 * abs(optimum)
