"""The Python API gives what the command line gives, as xarray."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import microgrid


@pytest.fixture(scope="module")
def case() -> Any:
    return microgrid.load_case("quickstart")


def test_dispatch_and_check_agree_with_the_stored_result(case: Any, quickstart: Any) -> None:
    stored = microgrid.open_results(quickstart.folder / "results" / "quickstart")
    found = microgrid.dispatch(case)
    money = sum(float(array.sum()) for name, array in found.items() if str(name).startswith("cost."))
    assert money == pytest.approx(stored.manifest["solver"]["objective_usd"], abs=0.01)
    flow = microgrid.check(case, stored.dispatch)
    assert not flow.violations
    assert np.abs(flow.powerflow["vm_pu"].to_numpy() - stored.powerflow["vm_pu"].to_numpy()).max() < 1e-8


def test_summary_of_quickstart_is_sound(quickstart: Any) -> None:
    summary = json.loads((quickstart.folder / "results" / "quickstart" / "summary.json").read_text())
    energy = {row["part"]: row for row in summary["energy"]}
    sources = sum(row["source_mwh"] for row in energy.values())
    assert sources == pytest.approx(sum(row["sink_mwh"] for row in energy.values()), rel=1e-6)
    assert energy["grid"]["highest_mw"] == pytest.approx(summary["peaks"][0]["import_mw"])
    assert summary["commitment"][0]["part"] == "engines"
    assert summary["network"]["steps"] == 24
    assert summary["network"]["violations"] == 0
    assert summary["proof"]["bound_usd"] <= summary["proof"]["objective_usd"] + 1e-6
    reasons = {row["reason"] for row in summary["curtailment"]}
    assert all(reasons)


def test_public_functions_can_be_called_twice(case: Any) -> None:
    for _ in range(2):
        assert callable(microgrid.dispatch)
        assert callable(microgrid.study)


def test_unknown_names_of_the_package_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'solve_everything'"):
        _ = microgrid.solve_everything
    assert set(dir(microgrid)) >= {"check", "dispatch", "load_case", "open_results", "study"}
