"""Solving: the bound certifies, limits are honoured, and what cannot be solved is said in the field's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from microgrid.assets.battery import Battery
from microgrid.assets.engines import Engines
from microgrid.assets.facility_load import FacilityLoad
from microgrid.dispatch import highs
from microgrid.dispatch.highs import Highs, Status, check_version
from microgrid.dispatch.infeasible import irreducible_subset
from microgrid.dispatch.run import SolveSettings, dispatch
from microgrid.dispatch.solve import good_enough, relative_gap
from microgrid.errors import Infeasible, InvalidInput, MicrogridError, SolverLimit
from microgrid.formulation.block import Block
from microgrid.schema.quantity import Declared


def engines(**fields: Any) -> Engines:
    given = {
        "bus": "B",
        "units": 5,
        "unit_power_mw": 4.0,
        "min_load_mw": 3.0,
        "variable_om_usd_per_mwh": 40.0,
        "no_load_fuel_mmbtu_per_h": 4.0,
        "fuel_price_usd_per_mmbtu": 5.0,
        "start_cost_usd": 300.0,
        "min_up_h": 4.0,
        "min_down_h": 3.0,
    }
    return Engines(**{**given, **fields})


def unlike_units(bench: Callable[..., Any], hours: int) -> Any:
    """Six units of unlike size and a meter; neither relaxation nor repair ends the search at a tight gap."""
    random = np.random.default_rng(7)
    load = 12 + 8 * np.sin(np.arange(hours) / 3.7) + random.uniform(-2, 2, hours)
    fleet: dict[str, Declared] = {
        f"engines{place}": engines(
            units=1,
            unit_power_mw=3.1 + 0.7 * place,
            min_load_mw=2.0 + 0.5 * place,
            start_cost_usd=150.0 + 70 * place,
        )
        for place in range(6)
    }
    prices = random.uniform(20, 160, hours).tolist()
    series = {"load.power_mw": load}
    return bench({**fleet, "load": FacilityLoad(bus="B", power_mw=1.0)}, prices, import_limit_mw=6.0, series=series)


@pytest.fixture(scope="module")
def hard(bench: Callable[..., Any]) -> Any:
    """A day of unlike units."""
    return unlike_units(bench, 24)


def test_gap_and_bound_are_those_asked(hard: Any) -> None:
    loose, tight = hard.solve(gap=0.05).solution, hard.solve(gap=1e-4).solution
    for solution, gap in ((loose, 0.05), (tight, 1e-4)):
        assert solution.gap <= gap
        assert solution.bound <= solution.objective + 1e-6
    assert loose.bound <= tight.objective + 1e-6, "a bound holds for every point"
    assert tight.bound <= loose.objective + 1e-6
    assert len(tight.stages) > 2


def test_a_time_limit_without_the_gap_is_a_solver_limit(bench: Callable[..., Any]) -> None:
    hard = unlike_units(bench, 96)  # the last stage has a second at least, so the day would be solved
    settings = SolveSettings(gap=1e-12, time_limit_s=1e-3)
    with pytest.raises(SolverLimit, match=r"gap|no feasible commitment|time limit"):
        dispatch(hard.parts, hard.horizon, hard.inputs, settings=settings)


def test_stages_are_announced_in_order(hard: Any) -> None:
    told: list[str] = []
    dispatch(hard.parts, hard.horizon, hard.inputs, settings=SolveSettings(gap=0.05), progress=told.append)
    assert told[0] == "build"
    assert "LP relaxation" in told
    assert told[-1] == "audit"


def test_prices_are_the_value_of_a_mwh(bench: Callable[..., Any]) -> None:
    # import at 20 up to 5 MW, then the engine at 40: one MWh more costs 20 at 4 MW of load, 40 at 8 MW
    unit = Engines(bus="B", units=1, unit_power_mw=9.0, variable_om_usd_per_mwh=40.0)
    made = bench(
        {"engine": unit, "load": FacilityLoad(bus="B", power_mw=1.0)}, [20, 20], import_limit_mw=5.0, step_min=30,
        series={"load.power_mw": [4, 8]},
    )  # fmt: skip
    value = made.solve().dataset["campus.energy_value"].to_numpy()
    assert np.abs(value) == pytest.approx([20, 40])


def test_conflicting_rules_are_named_when_power_is_not_short(bench: Callable[..., Any]) -> None:
    # sold out: the battery must end full, no matter how little it may charge in the time
    asset = Battery(bus="B", power_mw=1.0, energy_mwh=100.0, initial_energy_mwh=5.0, self_discharge_per_hour=0.9)
    with pytest.raises(Infeasible) as told:
        bench({"battery": asset}, [10, 10]).solve()
    names = " ".join([str(told.value), *(conflict.limit for conflict in told.value.conflicts)])
    assert "battery." in names


def test_an_integral_conflict_is_told_as_such(bench: Callable[..., Any]) -> None:
    # 2 MW of load, units of 3 to 4 MW, no meter: half a unit would do, a whole one cannot
    with pytest.raises(Infeasible, match="no integral commitment"):
        bench(
            {"engines": engines(units=1, min_up_h=0.0, min_down_h=0.0), "load": FacilityLoad(bus="B", power_mw=2.0)},
            count=3,
        ).solve()


def test_irreducible_subset_names_load_and_limit(bench: Callable[..., Any]) -> None:
    made = bench({"load": FacilityLoad(bus="B", power_mw=9.0)}, [10, 10], import_limit_mw=8.0)
    named = irreducible_subset(made.program(), [1])
    assert named == ["grid.import_mw within 0 … 8 MW", "rule campus.balance"] or {"rule campus.balance"} < set(named)
    assert (
        irreducible_subset(
            bench({"load": FacilityLoad(bus="B", power_mw=7.0)}, [10, 10], import_limit_mw=8.0).program(), [1]
        )
        == []
    )


class Gift(Declared):
    """Pays for an unlimited quantity."""

    def formulate(self, block: Block) -> None:
        x = block.variable("x", block.horizon.steps, "MW", "x")

        @block.revenue(block.horizon.steps)
        def gift(t: int) -> Any:
            r"""x_t"""
            return 1.0 * x[t]

        block.injects(lambda t: 0.0 * x[t])


def test_an_unbounded_objective_is_a_defect_told_as_such(bench: Callable[..., Any]) -> None:
    with pytest.raises(MicrogridError, match="unbounded"):
        bench({"gift": Gift(), "load": FacilityLoad(bus="B", power_mw=1.0)}, [10]).solve()


def test_an_unknown_solver_is_bad_input(bench: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInput, match="Pyomo cannot reach this solver"):
        bench({"load": FacilityLoad(bus="B", power_mw=1.0)}, [10]).solve(solver="nothing_such")


def test_another_solver_tells_infeasibility_the_same_way(bench: Callable[..., Any]) -> None:
    made = bench({"load": FacilityLoad(bus="B", power_mw=9.0)}, [10, 10], import_limit_mw=8.0)
    with pytest.raises(Infeasible, match=r"power is short: 1\.000 MW"):
        made.solve(solver="appsi_highs")


def test_another_solver_keeps_directions_apart(bench: Callable[..., Any]) -> None:
    made = bench(
        {"load": FacilityLoad(bus="B", power_mw=4.0)}, [10], sell=[20], import_limit_mw=10.0, export_limit_mw=10.0
    )
    assert made.solve(solver="appsi_highs").solution.objective == pytest.approx(40)


def test_highs_is_new_enough_and_reads_the_program(hard: Any) -> None:
    check_version()
    program = hard.program()
    relaxed = Highs(program, relax=True).run()
    assert relaxed.status is Status.OPTIMAL
    assert relaxed.point is not None
    activity = program.matrix @ relaxed.point
    assert (activity <= program.row_upper + 1e-6).all()
    assert (activity >= program.row_lower - 1e-6).all()
    assert program.cost @ relaxed.point + program.offset == pytest.approx(relaxed.objective)


def test_an_old_highs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highs, "version_text", lambda: "1.14.0")
    with pytest.raises(MicrogridError, match=r"HiGHS 1\.14\.0 is too old"):
        check_version()


@pytest.mark.parametrize("bound", [-1e6, -3.0, -0.5, 0.0, 0.4, 2.0, 1e6])
@pytest.mark.parametrize("gap", [1e-4, 1e-3, 0.05, 0.2])
def test_the_target_of_branch_and_bound_keeps_the_gap(bound: float, gap: float) -> None:
    target = good_enough(bound, gap)
    assert target >= bound
    assert relative_gap(target, bound) <= gap
    assert relative_gap(target, bound) >= 0.7 * gap or abs(bound) <= 1.0


def test_the_objective_is_that_of_the_point_returned(bench: Callable[..., Any]) -> None:
    # HiGHS 1.16 may call a run optimal and return the MIP start beside another point's objective
    found = unlike_units(bench, 24).solve(gap=1e-3).solution
    program = found.program
    assert found.objective == pytest.approx(float(program.cost @ found.point + program.offset), abs=1e-6)
