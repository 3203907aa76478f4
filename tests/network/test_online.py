"""Which engines run, from the dispatch to the network: by the units online, or by what is injected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from microgrid.case.load import load_case
from microgrid.errors import InvalidInput
from microgrid.formulation.connection import Connection
from microgrid.network.attach import attach
from microgrid.powerflow.run import run_power_flow
from microgrid.powerflow.solve import Status
from microgrid.study.network_check import check_network

pytestmark = pytest.mark.filterwarnings("ignore")
ENGINES = Connection(
    "engines", "CAMPUS", "generator", vm_pu=1.01, rating_mva=50.0, q_min_mvar=-20.0, q_max_mvar=40.0
)  # fmt: skip
LOAD = Connection("load", "CAMPUS", "load", power_factor=0.95)


def powers(*engines_mw: float) -> dict[tuple[str, str], np.ndarray]:
    return {("engines", "CAMPUS"): np.array(engines_mw), ("load", "CAMPUS"): np.full(len(engines_mw), -60.0)}


def test_a_stopped_plant_leaves_the_bus_to_the_utility(network: Callable[[str], Any]) -> None:
    share = np.array([1.0, 0.0, 0.5])
    net, profiles = attach(network("single_bus"), [ENGINES, LOAD], powers(30.0, 0.0, 15.0), online={"engines": share})
    np.testing.assert_array_equal(profiles.online["gen"], share[None])
    flow = run_power_flow(net, profiles)
    alone, load = attach(network("single_bus"), [LOAD], {("load", "CAMPUS"): np.full(1, -60.0)})
    plain = run_power_flow(alone, load)
    bus = flow["vm_pu"].sel(bus="CAMPUS").to_numpy()
    assert bus[1] == pytest.approx(float(plain["vm_pu"].sel(bus="CAMPUS")[0]), abs=1e-9)
    assert flow["generator_q_mvar"].to_numpy()[0, 1] == pytest.approx(0.0, abs=1e-9)
    assert flow["generator_q_mvar"].to_numpy()[0, 2] >= -10.0 - 1e-9


def test_everything_runs_where_nothing_is_said(network: Callable[[str], Any]) -> None:
    assert not attach(network("single_bus"), [ENGINES, LOAD], powers(30.0, 0.0))[1].online


@pytest.mark.parametrize("share", [np.array([1.0]), np.array([1.0, 2.0]), np.array([np.nan, 1.0])])
def test_shares_that_cannot_be_are_refused(network: Callable[[str], Any], share: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="share of units online"):
        attach(network("single_bus"), [ENGINES, LOAD], powers(30.0, 0.0), online={"engines": share})


def test_an_island_check_sees_stopped_engines_and_units_stated_as_running() -> None:
    case = load_case("island_week", ["time.start=2025-08-04T00:00", "time.end=2025-08-04T01:00"])
    steps = len(case.horizon.hours)
    engines = np.array([4.0, 4.0, 0.0, 0.0])[:steps]
    injections = {(link.part, ""): np.zeros(steps) for link in case.connections()}
    injections |= {("engines", ""): engines, ("facility", ""): -engines}
    by_power = check_network(case, injections, compare=True)
    assert (by_power.powerflow["status"].to_numpy() == Status.DIVERGENT).tolist() == [False, False, True, True]
    assert {violation.step for violation in by_power.violations if violation.kind == "divergent"} == {2, 3}
    assert all(residual.holds for residual in by_power.residuals)
    stated = check_network(case, injections, running={"engines": np.array([0.25, 0.5, 0.25, 1e-7])})
    assert (stated.powerflow["status"].to_numpy() == Status.DIVERGENT).tolist() == [False, False, False, True]
    np.testing.assert_allclose(stated.profiles.online["gen"], [[0.25, 0.5, 0.25, 0.0]])
