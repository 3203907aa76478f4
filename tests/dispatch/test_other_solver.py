"""Another solver's answer is certified and cleaned by our own means: its bound, its integers, its exclusive pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyomo.environ as pyo
import pytest

from microgrid.assets.battery import Battery
from microgrid.assets.engines import Engines
from microgrid.assets.facility_load import FacilityLoad
from microgrid.dispatch import other_solver
from microgrid.dispatch.highs import Highs
from microgrid.errors import SolverLimit

LOAD = [6.0, 9.0, 12.5, 8.0]


class Peculiar:
    """HiGHS through Pyomo as a solver that states no bound, or misses whole numbers by its tolerance."""

    def __init__(self, bound: float | None, miss: float) -> None:
        self.honest, self.bound, self.miss = pyo.SolverFactory("appsi_highs"), bound, miss
        self.options = self.honest.options
        self.options["threads"] = 1
        self.model: Any = None

    def available(self, **_: object) -> bool:
        return True

    def solve(self, model: Any, **options: Any) -> Any:
        self.model = model
        results = self.honest.solve(model, **options)
        results.problem.lower_bound = self.bound
        return results

    def load_vars(self) -> None:
        self.honest.load_vars()
        for variable in self.model.component_data_objects(pyo.Var):
            if variable.is_integer() and variable.value is not None:
                variable.set_value(variable.value - self.miss, skip_validation=True)


@pytest.fixture
def peculiar(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let every solver name mean the peculiar one."""

    def use(bound: float | None = None, miss: float = 0.0) -> None:
        made = Peculiar(bound, miss)
        monkeypatch.setattr(other_solver.pyo, "SolverFactory", lambda _: made)

    return use


@pytest.fixture
def island(bench: Callable[..., Any]) -> Any:
    """Three units of 5 MW that idle at some cost: the relaxation is cheaper than any whole number of them."""
    units = Engines(
        bus="B", units=3, unit_power_mw=5.0, min_load_mw=1.0, variable_om_usd_per_mwh=40.0,
        no_load_fuel_mmbtu_per_h=4.0, fuel_price_usd_per_mmbtu=5.0,
    )  # fmt: skip
    return bench(
        {"engines": units, "load": FacilityLoad(bus="B", power_mw=1.0)}, count=4, series={"load.power_mw": LOAD}
    )


@pytest.mark.parametrize("stated", [None, float("-inf")])
def test_a_solver_without_a_bound_gets_that_of_the_relaxation(
    island: Any, peculiar: Callable[..., None], stated: float | None
) -> None:
    peculiar(stated)
    solution = island.solve(gap=0.5, solver="shy").solution
    relaxed = Highs(island.program(), relax=True).run().objective
    assert solution.bound == pytest.approx(relaxed, rel=1e-9)
    assert solution.bound < solution.objective - 1.0, "the objective is no bound"
    with pytest.raises(SolverLimit, match="shy proved a gap"):
        island.solve(gap=1e-6, solver="shy")


def test_a_linear_program_is_certified_by_its_own_optimum(
    bench: Callable[..., Any], peculiar: Callable[..., None]
) -> None:
    peculiar()
    made = bench({"load": FacilityLoad(bus="B", power_mw=2.0)}, [10.0, 20.0])
    solution = made.solve(gap=1e-9, solver="shy").solution
    assert solution.objective == pytest.approx(60.0)
    assert solution.bound == pytest.approx(60.0)


def test_integers_missed_by_tolerance_come_back_whole(island: Any, peculiar: Callable[..., None]) -> None:
    honest = island.solve(gap=1e-9).solution
    peculiar(honest.bound, miss=4e-6)
    solution = island.solve(gap=1e-6, solver="rough").solution  # the audit inside asks for whole numbers
    whole = solution.point[solution.program.integer]
    assert (whole == whole.round()).all()
    assert solution.objective == pytest.approx(honest.objective, rel=1e-6)


def test_sides_of_a_pair_make_the_program_mixed(bench: Callable[..., Any], peculiar: Callable[..., None]) -> None:
    battery = Battery(bus="B", power_mw=5.0, energy_mwh=20.0, charge_efficiency=0.8)
    made = bench({"battery": battery}, [-50.0] * 4, import_limit_mw=20.0)
    ours = made.solve(gap=1e-6).solution
    peculiar(miss=4e-6)
    solution = made.solve(gap=0.9, solver="shy").solution
    assert solution.program.integer.any(), "burning energy in the battery pays, so binaries were added"
    assert solution.objective == pytest.approx(ours.objective, rel=1e-6)
    assert solution.bound <= ours.objective + 1e-6


def test_our_own_runs_work_after_those_of_highs_through_pyomo(island: Any) -> None:
    theirs = island.solve(gap=1e-6, solver="appsi_highs").solution
    assert island.solve(gap=1e-6).solution.objective == pytest.approx(theirs.objective, rel=1e-6)
