"""Controls that a network declares reach the case, its result and whoever checks it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandapower
import pytest

from microgrid.case.load import load_case
from microgrid.errors import InvalidInput
from microgrid.network.contract import check_contract
from microgrid.network.load import load_network
from microgrid.powerflow.controls import read_controls
from microgrid.results.files import open_results
from microgrid.study.recheck import network_of
from microgrid.study.solve import save, solve_case
from microgrid.study.verify import verify_result

CASE = """
name: held
time: {start: 2025-01-01, end: 2025-01-01T03:00, step_min: 60, zone: America/Chicago}
network: net.json
assets:
  grid: {kind: poi, bus: POI, import_limit_mw: 200}
  sun: {kind: solar, bus: CAMPUS, power_mw: 12, capacity_factor: 0.5}
  store: {kind: battery, bus: CAMPUS, power_mw: 10, energy_mwh: 40}
  office: {kind: facility_load, bus: CAMPUS, power_mw: 40, power_factor: 0.9}
tariffs:
  retail:
    poi: grid
    tariff: {id: flat, timezone: America/Chicago, charges: [{id: energy, kind: energy, price: 0.05}]}
"""
DEVICES = [
    {"element": "sun@CAMPUS", "q_min_mvar": -10.0, "q_max_mvar": 10.0, "rating_mva": 12.0},
    {"element": "store@CAMPUS", "q_min_mvar": -10.0, "q_max_mvar": 10.0},
]
POWER_FACTOR = {"name": "poi", "devices": DEVICES, "power_factor": {"lagging": 0.98, "leading": 0.98}}
VOLTAGE = {"name": "poi", "devices": DEVICES, "voltage": {"low_pu": 1.017, "high_pu": 1.017}}


@pytest.fixture
def case(tmp_path: Path) -> Callable[[Any], Any]:
    """The case on a network that declares the given controls."""

    def build(controls: Any) -> Any:
        net = load_network("single_bus")
        if controls is not None:
            net["controls"] = controls
        pandapower.to_json(net, str(tmp_path / "net.json"))
        (tmp_path / "case.yaml").write_text(CASE, encoding="utf-8")
        return load_case(tmp_path / "case.yaml")

    return build


def power_factor(check: Any) -> np.ndarray:
    p, q = check.poi_import_mw, check.poi_import_mvar
    return np.asarray(p / np.hypot(p, q))


def test_a_plant_holds_the_power_factor_at_the_poi_through_to_the_result(case: Any, tmp_path: Path) -> None:
    free = solve_case(case(None)).check
    assert (power_factor(free) < 0.95).all()
    assert (free.poi_import_mvar > 0.0).all()
    solved = solve_case(case({"tap_memory": True, "plants": [POWER_FACTOR]}))
    assert solved.check.controls.tap_memory
    np.testing.assert_allclose(power_factor(solved.check), 0.98, atol=1e-6)
    assert (solved.check.poi_import_mvar > 0.0).all()  # lagging still: the nearer edge of the band
    assert all(residual.holds for residual in solved.check.residuals)
    save(solved, tmp_path / "result")
    assert all(residual.holds for residual in verify_result(open_results(tmp_path / "result")))
    _, again = network_of(str(tmp_path / "result"), (), lambda _: None)
    assert again.controls == solved.check.controls
    np.testing.assert_allclose(again.poi_import_mvar, solved.check.poi_import_mvar, atol=1e-6)


def test_a_plant_holds_the_voltage_at_the_poi(case: Any) -> None:
    free, held = (solve_case(case(controls)).check.powerflow for controls in (None, {"plants": [VOLTAGE]}))
    assert (free["vm_pu"].sel(bus="POI") < 1.016).all()
    np.testing.assert_allclose(held["vm_pu"].sel(bus="POI"), 1.017, atol=1e-6)


@pytest.mark.parametrize(
    ("controls", "field", "rule"),
    [
        ({"tap_memry": True}, "controls.tap_memry", "Extra inputs"),
        ([1], "controls", "dictionary"),
        ({"plants": [VOLTAGE | POWER_FACTOR]}, "controls.plants.0", "either power_factor or voltage"),
        ({"plants": [POWER_FACTOR | {"devices": []}]}, "controls.plants.0.devices", "at least 1 item"),
        ({"plants": [POWER_FACTOR | {"power_factor": {"lagging": 1.2}}]}, "power_factor.lagging", "less than or equal"),
        ({"plants": [VOLTAGE | {"voltage": {"low_pu": 1.1, "high_pu": 1.0}}]}, "voltage", "low_pu exceeds high_pu"),
    ],
)
def test_a_declaration_that_cannot_be_is_told_by_the_contract(controls: Any, field: str, rule: str) -> None:
    net = load_network("single_bus")
    net["controls"] = controls
    (problem,) = check_contract(net)
    assert problem.field.endswith(field)
    assert rule in problem.rule
    with pytest.raises(InvalidInput, match="controls"):
        read_controls(net)


@pytest.mark.parametrize(
    ("plant", "remedy"),
    [
        (VOLTAGE | {"devices": [DEVICES[0] | {"element": "sum@CAMPUS"}]}, "did you mean sun@CAMPUS"),
        (VOLTAGE | {"voltage": {"low_pu": 1.0, "high_pu": 1.0, "bus": "CAMPU"}}, "did you mean CAMPUS"),
    ],
)
def test_names_that_the_case_does_not_have_are_told(case: Any, plant: Any, remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        solve_case(case({"plants": [plant]}))
