"""A plant with few of its units on reaches as far as these units, from the dispatch to the AC power flow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microgrid.case.load import load_case
from microgrid.case.model import Case
from microgrid.results.files import open_results
from microgrid.study.api import check
from microgrid.study.recheck import network_of
from microgrid.study.secure import solve_secure
from microgrid.study.solve import save, settings_of, solve_case
from microgrid.study.verify import verify_result

pytestmark = pytest.mark.filterwarnings("ignore")
CASE = """
name: hall
time: {start: 2025-01-01, end: 2025-01-01T02:00, step_min: 60, zone: America/Chicago}
network: single_bus
assets:
  grid: {kind: poi, bus: POI, import_limit_mw: 60, export_limit_mw: 0}
  load: {kind: facility_load, bus: CAMPUS, power_mw: 40}
  hall: {kind: engines, bus: CAMPUS, units: 6, available_units: 2, unit_power_mw: 2, min_load_mw: 1,
         heat_rate_mmbtu_per_mwh: 8, fuel_price_usd_per_mmbtu: 1, voltage_target_pu: 1.1}
tariffs:
  retail:
    poi: grid
    tariff: {id: flat, timezone: America/Chicago, charges: [{id: energy, kind: energy, price: 0.05}]}
"""
REACH_MVAR = 2 * 2.0 / 0.8 * 0.6  # two units of 2 MW at 0.8: sin of the rated power factor is 0.6


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    path = tmp_path_factory.mktemp("hall") / "case.yaml"
    path.write_text(CASE, encoding="utf-8")
    return load_case(path)


def test_two_of_six_engines_give_the_reactive_power_of_two(case: Case, tmp_path: Path) -> None:
    solved = solve_case(case)
    assert solved.check is not None
    np.testing.assert_allclose(solved.data["hall.running"], 2.0)
    secured = solve_secure(case, settings_of(case), "n0", lambda _: None)
    folder = save(solved, tmp_path / "result")
    stored = network_of(str(folder), (), lambda _: None)[1]
    for found in (solved.check, secured.check, stored, check(case, solved.data)):
        np.testing.assert_allclose(found.powerflow["generator_q_mvar"], REACH_MVAR, rtol=1e-9)
    assert all(residual.holds for residual in verify_result(open_results(folder)))
