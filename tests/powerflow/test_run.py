"""The batched power flow against a hand-solved case and against pandapower's own Newton."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp
import pandapower.networks as shipped
import pandas as pd
import pytest

from microgrid.errors import InvalidInput
from microgrid.network.profiles import Profiles
from microgrid.powerflow import newton
from microgrid.powerflow.controls import Controls
from microgrid.powerflow.extract import pandapower_options
from microgrid.powerflow.reference import apply_step, compare_with_pandapower
from microgrid.powerflow.run import run_power_flow


def two_bus(x_ohm: float = 1.0) -> Any:
    net = pp.create_empty_network(sn_mva=1.0)
    pp.create_bus(net, 10.0)
    pp.create_bus(net, 10.0)
    pp.create_ext_grid(net, 0, vm_pu=1.0)
    pp.create_line_from_parameters(net, 0, 1, 1.0, 0.0, x_ohm, 0.0, 1.0)
    pp.create_load(net, 1, 0.0, 0.0)
    return net


def test_two_bus_matches_closed_form() -> None:
    """Lossless line, load P at unity power factor: V2^2 solves V^4 - V^2 + (P X)^2 = 0 and sin(delta) = -P X / V2."""
    net, power = two_bus(), np.linspace(0.0, 40.0, 9)
    result = run_power_flow(net, Profiles(9, {"load": power[None, :]}, {}))
    x = 1.0 / 100.0  # 1 ohm on 10 kV and 1 MVA
    v2 = np.sqrt((1.0 + np.sqrt(1.0 - 4.0 * (power * x) ** 2)) / 2.0)
    np.testing.assert_allclose(result["vm_pu"].sel(bus="1"), v2, atol=1e-12)
    np.testing.assert_allclose(np.sin(np.deg2rad(result["va_degree"].sel(bus="1"))), -power * x / v2, atol=1e-12)
    np.testing.assert_allclose(result["source_p_mw"][0], power, atol=1e-9)
    current = power / (np.sqrt(3.0) * 10.0 * v2)
    np.testing.assert_allclose(result["i_to_ka"][0], current, atol=1e-12)
    np.testing.assert_allclose(result["loading_percent"][0], 100.0 * current, atol=1e-9)
    np.testing.assert_allclose(result["source_q_mvar"][0], (power / v2) ** 2 * x, atol=1e-9)


def test_beyond_the_nose_is_divergent_and_neighbours_stand() -> None:
    """The two-bus line carries at most 1/(2X) = 50 MW; more has no solution and must not disturb other steps."""
    power = np.full(40, 10.0)
    power[5::7] = 60.0
    result = run_power_flow(two_bus(), Profiles(40, {"load": power[None, :]}, {}))
    assert set(np.unique(result["status"][power > 50])) == {4}
    assert set(np.unique(result["status"][power < 50])) == {0}
    assert np.isnan(result["vm_pu"].to_numpy()[1, 5])
    assert np.ptp(result["vm_pu"].to_numpy()[1, power < 50]) < 1e-12


@pytest.mark.parametrize("name", ["cigre_mv", "case39", "case118", "case1354pegase"])
def test_agrees_with_pandapower_on_shipped_networks(name: Any, make_profiles: Any) -> None:
    net = shipped.create_cigre_network_mv(with_der="pv_wind") if name == "cigre_mv" else getattr(shipped, name)()
    profiles = make_profiles(net, 24, low=0.9, high=1.05)  # enough to share a Jacobian
    result = run_power_flow(net, profiles, Controls(reactive_limits=False))
    for step in range(3):
        apply_step(net, profiles, step)
        pp.runpp(net, tolerance_mva=1e-10 * net.sn_mva, init="dc", max_iteration=30, **pandapower_options(net))
        assert np.abs(result["vm_pu"].to_numpy()[:, step] - net.res_bus.vm_pu.to_numpy()).max() <= 1e-8
        line = result["branch_table"].to_numpy() == "line"
        np.testing.assert_allclose(result["p_from_mw"].to_numpy()[line, step], net.res_line.p_from_mw, atol=1e-5)
        np.testing.assert_allclose(
            result["loading_percent"].to_numpy()[line, step], net.res_line.loading_percent, atol=1e-5
        )
        trafo = result["branch_table"].to_numpy() == "trafo"
        np.testing.assert_allclose(
            result["loading_percent"].to_numpy()[trafo, step], net.res_trafo.loading_percent, atol=1e-5
        )
        np.testing.assert_allclose(result["source_p_mw"].to_numpy()[:, step], net.res_ext_grid.p_mw, atol=1e-5)
        losses = net.res_line.pl_mw.sum() + net.res_trafo.pl_mw.sum()
        assert float(result["losses_mw"][step]) == pytest.approx(losses, abs=1e-4)


@pytest.mark.parametrize("name", ["cigre_mv", "case118"])
def test_numpy_path_gives_the_same_answers(name: Any, make_profiles: Any, monkeypatch: Any) -> None:
    net = shipped.create_cigre_network_mv(with_der="pv_wind") if name == "cigre_mv" else shipped.case118()
    profiles = make_profiles(net, 20, low=0.8, high=1.05)
    compiled = run_power_flow(net, profiles)
    monkeypatch.setenv("MICROGRID_NUMBA", "0")
    plain = run_power_flow(net, profiles)
    np.testing.assert_allclose(plain["vm_pu"], compiled["vm_pu"], atol=1e-10)
    np.testing.assert_array_equal(plain["status"], compiled["status"])


def test_a_small_problem_does_not_start_a_compilation(monkeypatch: Any) -> None:
    monkeypatch.delenv("MICROGRID_NUMBA")
    monkeypatch.setattr(newton, "compiled", lambda: False)
    assert not newton.numba_pays(24 * 40)
    assert newton.numba_pays(8760 * 40)
    monkeypatch.setattr(newton, "compiled", lambda: True)
    assert newton.numba_pays(24 * 40)


def test_chunks_do_not_change_the_answer(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network(generator=True)
    profiles = make_profiles(net, 50)
    calls = []
    small = run_power_flow(net, profiles, chunk=7, progress=lambda done, total: calls.append((done, total)))
    np.testing.assert_allclose(small["vm_pu"], run_power_flow(net, profiles)["vm_pu"], atol=1e-11)
    assert calls[-1] == (50, 50)
    assert len(calls) == 8


def test_kept_variables_and_precision(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    times = pd.date_range("2025-01-01", periods=4, freq="h", tz="UTC")
    result = run_power_flow(net, make_profiles(net, 4), times=times, keep=["vm_pu", "loading_percent"], dtype="float32")
    assert "p_from_mw" not in result
    assert result["vm_pu"].dtype == np.float32
    assert result.indexes["time"][3] == times[3]
    with pytest.raises(InvalidInput, match="no such variable"):
        run_power_flow(net, make_profiles(net, 4), keep=["voltage"])


def test_worst_and_random_steps_compare_with_pandapower(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network(generator=True)
    profiles = make_profiles(net, 60)
    result = run_power_flow(net, profiles)
    comparison = compare_with_pandapower(net, profiles, result, random_steps=5)
    assert comparison.holds
    assert int(np.argmin(result["vm_pu"].min("bus").to_numpy())) in comparison.steps
    wrong = result.assign(vm_pu=result["vm_pu"] + 1e-5)
    assert not compare_with_pandapower(net, profiles, wrong, random_steps=0).holds


@pytest.mark.parametrize(
    ("p_mw", "message"),
    [
        ({"load": np.ones((2, 3))}, "shape"),
        ({"heat_pump": np.ones((2, 3))}, "no such profile"),
        ({"load": np.full((4, 3), np.nan)}, "not a number at step 0 of element load2"),
    ],
)
def test_profiles_that_do_not_fit_are_refused(ring_network: Any, p_mw: Any, message: Any) -> None:
    with pytest.raises(InvalidInput, match=message):
        run_power_flow(ring_network(), Profiles(3, p_mw, {}))
