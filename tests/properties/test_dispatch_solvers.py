"""The same optimum by other roads: SciPy's MILP, Pyomo's own HiGHS interface, and PyPSA's model of the same campus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from microgrid.assets.battery import Battery
from microgrid.assets.engines import Engines
from microgrid.assets.facility_load import FacilityLoad

GAP = 1e-7
Bench = Callable[..., Any]


@settings(settings.get_profile("dispatch"))
@given(data=st.data())
def test_scipy_reaches_the_same_optimum(bench: Bench, campuses: Any, data: st.DataObject) -> None:
    # prices of zero and more, selling below buying: no exclusive pair binds, so the compiled program is the whole
    campus = data.draw(campuses(), label="campus")
    made = bench(campus.assets(), **campus.arguments())
    program, found = made.program(), made.solve(gap=GAP)
    rows = LinearConstraint(program.matrix, program.row_lower, program.row_upper)
    other = milp(
        program.cost,
        constraints=rows,
        integrality=program.integer.astype(int),
        bounds=Bounds(program.lower, program.upper),
        options={"mip_rel_gap": 1e-9},
    )
    assert other.success
    assert found.solution.objective == pytest.approx(other.fun + program.offset, rel=1e-6, abs=1e-3)


@settings(settings.get_profile("dispatch"))
@given(data=st.data())
def test_no_relaxation_costs_more(bench: Bench, campuses: Any, data: st.DataObject) -> None:
    campus = data.draw(campuses(lowest_price=-40.0), label="campus")
    made = bench(campus.assets(), **campus.arguments())
    program, found = made.program(), made.solve(gap=1e-3)
    equal = program.row_lower == program.row_upper
    relaxed = linprog(
        program.cost, A_ub=program.matrix[~equal], b_ub=program.row_upper[~equal], A_eq=program.matrix[equal],
        b_eq=program.row_upper[equal], bounds=np.column_stack([program.lower, program.upper]),
    )  # fmt: skip
    assert relaxed.fun + program.offset <= found.solution.objective + 1e-6
    assert found.solution.bound <= found.solution.objective + 1e-6
    assert found.solution.bound >= relaxed.fun + program.offset - 1e-4, "the bound is worse than the relaxation"


@settings(settings.get_profile("dispatch"), max_examples=6)
@given(data=st.data())
def test_pyomos_own_interface_reaches_the_same_optimum(bench: Bench, campuses: Any, data: st.DataObject) -> None:
    campus = data.draw(campuses(lowest_price=-40.0), label="campus")
    made = bench(campus.assets(), **campus.arguments())
    mine, other = made.solve(gap=GAP).solution, made.solve(gap=GAP, solver="appsi_highs").solution
    assert other.objective == pytest.approx(mine.objective, rel=1e-6, abs=1e-3)
    assert other.bound <= other.objective + 1e-6


DAY = {
    "price": [22, 19, 17, 16, 18, 24, 35, 48, 52, 44, 38, 33, 30, 28, 31, 40, 62, 95, 120, 88, 60, 45, 33, 26],
    "load": [6, 6, 5, 5, 6, 7, 9, 12, 14, 15, 15, 15, 14, 14, 15, 16, 17, 18, 18, 16, 13, 10, 8, 7],
}


def test_pypsa_solves_the_same_day_at_the_same_cost(bench: Bench) -> None:
    """Battery, two committed units and a limited grid over 24 h, modelled once here and once in PyPSA."""
    pypsa = pytest.importorskip("pypsa")
    battery = Battery(
        bus="B",
        power_mw=5.0,
        energy_mwh=20.0,
        soc_min=0.0,
        soc_max=1.0,
        charge_efficiency=0.94,
        discharge_efficiency=0.93,
        self_discharge_per_hour=0.002,
        wear_usd_per_mwh=3.0,
        initial_energy_mwh=8.0,
    )
    shape: dict[str, Any] = {"min_up_h": 4.0, "min_down_h": 3.0, "start_cost_usd": 180.0, "hours_in_state": 100.0}
    units = {
        "first": Engines(bus="B", units=1, unit_power_mw=6.0, min_load_mw=3.0, variable_om_usd_per_mwh=41.0, **shape),
        "second": Engines(bus="B", units=1, unit_power_mw=4.0, min_load_mw=1.0, variable_om_usd_per_mwh=55.0, **shape),
    }
    load = FacilityLoad(bus="B", power_mw=0.0)
    made = bench(
        {"battery": battery, **units, "load": load},
        DAY["price"],
        import_limit_mw=9.0,
        series={"load.power_mw": DAY["load"]},
    )
    mine = made.solve(gap=1e-6).solution.objective
    theirs = _pypsa_cost(pypsa)
    assert mine == pytest.approx(theirs, rel=2e-6)


def _pypsa_cost(pypsa: Any) -> float:
    hours = pd.RangeIndex(24)
    net = pypsa.Network(snapshots=hours)
    net.add("Bus", "B")
    net.add("Load", "load", bus="B", p_set=pd.Series(DAY["load"], hours, dtype=float))
    net.add("Generator", "grid", bus="B", p_nom=9.0, marginal_cost=pd.Series(DAY["price"], hours, dtype=float))
    for name, p_nom, least, cost in (("first", 6.0, 0.5, 41.0), ("second", 4.0, 0.25, 55.0)):
        net.add(
            "Generator",
            name,
            bus="B",
            p_nom=p_nom,
            p_min_pu=least,
            marginal_cost=cost,
            committable=True,
            start_up_cost=180.0,
            min_up_time=4,
            min_down_time=3,
            up_time_before=0,
            down_time_before=100,
        )
    net.add("Bus", "cells")
    # PyPSA takes no standing loss off the initial energy: the first hour's loss is taken here
    net.add("Store", "cells", bus="cells", e_nom=20.0, e_initial=8.0 * 0.998, standing_loss=0.002)
    net.add("Link", "charge", bus0="B", bus1="cells", p_nom=5.0, efficiency=0.94)
    net.add("Link", "discharge", bus0="cells", bus1="B", p_nom=5.0 / 0.93, efficiency=0.93, marginal_cost=3.0 * 0.93)
    minimum = pd.Series([0.0] * 23 + [8.0 / 20.0], hours)
    net.stores_t.e_min_pu["cells"] = minimum
    status, condition = net.optimize(solver_name="highs", solver_options={"mip_rel_gap": 1e-7, "output_flag": False})
    assert (status, condition) == ("ok", "optimal")
    return float(net.objective)
