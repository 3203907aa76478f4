"""Tap changers, reactive limits, capacitor banks, plant controllers and distributed slack, each against pandapower."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp
import pytest
from pandapower.control import ContinuousTapControl, DiscreteTapControl

from microgrid.errors import InvalidInput
from microgrid.network.profiles import Profiles
from microgrid.powerflow.controls import (
    CapacitorBank,
    Controls,
    Device,
    PlantControl,
    PowerFactorBand,
    ReactiveBand,
    TapChanger,
    VoltageBand,
    read_controls,
)
from microgrid.powerflow.extract import pandapower_options
from microgrid.powerflow.reference import apply_step, compare_with_pandapower
from microgrid.powerflow.run import run_power_flow

STEPS = 14


def stressed(make_profiles: Any, net: Any, steps: int = STEPS, seed: int = 3) -> Profiles:
    return make_profiles(net, steps, seed=seed, low=0.1, high=2.2)


def test_taps_match_pandapowers_controller_step_by_step(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    net.trafo["sn_mva"] = 9.0  # a weak transformer, so that taps travel
    DiscreteTapControl(net, 0, 0.985, 1.005, side="lv")
    profiles = stressed(make_profiles, net)
    result = run_power_flow(net, profiles)
    taps = result["tap_position"].to_numpy()[0]
    assert len(np.unique(taps)) >= 3
    for step in range(0, STEPS, 3):
        apply_step(net, profiles, step)
        net.trafo["tap_pos"] = 0
        pp.runpp(net, run_control=True, tolerance_mva=1e-10, **pandapower_options(net))
        assert net.trafo.tap_pos[0] == taps[step]
        np.testing.assert_allclose(result["vm_pu"].to_numpy()[:, step], net.res_bus.vm_pu, atol=1e-8)
        assert result["loading_percent"].sel(branch="trafo T1").to_numpy()[step] == pytest.approx(
            net.res_trafo.loading_percent[0], abs=1e-6
        )


def test_tap_memory_is_the_sequential_run(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    net.trafo["sn_mva"] = 9.0
    DiscreteTapControl(net, 0, 0.98, 1.01, side="lv")
    profiles = stressed(make_profiles, net, 20)
    controls = Controls(read_controls(net).tap_changers, tap_memory=True)
    remembered = run_power_flow(net, profiles, controls, chunk=8)["tap_position"].to_numpy()[0]
    forgotten = run_power_flow(net, profiles)["tap_position"].to_numpy()[0]
    theirs = []
    for step in range(20):
        apply_step(net, profiles, step)
        pp.runpp(net, run_control=True, tolerance_mva=1e-10, **pandapower_options(net))
        theirs.append(int(net.trafo.tap_pos[0]))
    np.testing.assert_array_equal(remembered, theirs)
    assert (remembered != forgotten).any()  # otherwise this test would not see the memory


def test_tap_of_a_three_winding_transformer(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    mid, low = pp.create_bus(net, 20.0), pp.create_bus(net, 10.0)
    pp.create_transformer3w_from_parameters(
        net, 0, mid, low, 110.0, 20.0, 10.0, 40.0, 25.0, 15.0, 10.4, 10.4, 10.4, 0.28, 0.32, 0.35, 35.0, 0.89,
        tap_pos=0, tap_neutral=0, tap_side="hv", tap_step_percent=1.25, tap_min=-8, tap_max=8, tap_changer_type="Ratio",
    )  # fmt: skip
    pp.create_load(net, mid, 12.0, 6.0)
    pp.create_load(net, low, 3.0, 1.0)
    DiscreteTapControl(net, 0, 0.995, 1.012, side="mv", element="trafo3w")
    profiles = stressed(make_profiles, net, 8)
    result = run_power_flow(net, profiles)
    for step in range(0, 8, 3):
        apply_step(net, profiles, step)
        net.trafo3w["tap_pos"] = 0
        pp.runpp(net, run_control=True, tolerance_mva=1e-10, **pandapower_options(net))
        assert net.trafo3w.tap_pos[0] == result["tap_position"].to_numpy()[0, step]
        np.testing.assert_allclose(result["vm_pu"].to_numpy()[:, step], net.res_bus.vm_pu, atol=1e-8)


def test_reactive_limits_match_pandapower(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network(generator=True)
    net.gen["min_q_mvar"], net.gen["max_q_mvar"], net.gen["vm_pu"] = -0.6, 0.5, 1.005
    profiles = stressed(make_profiles, net)
    result = run_power_flow(net, profiles)
    limit = result["generator_at_limit"].to_numpy()[0]
    assert set(np.unique(limit)) == {-1, 0, 1}
    for step in range(0, STEPS, 3):
        apply_step(net, profiles, step)
        pp.runpp(net, enforce_q_lims=True, tolerance_mva=1e-10, **pandapower_options(net))
        np.testing.assert_allclose(result["vm_pu"].to_numpy()[:, step], net.res_bus.vm_pu, atol=1e-8)
        assert result["generator_q_mvar"].to_numpy()[0, step] == pytest.approx(net.res_gen.q_mvar[0], abs=1e-6)
    assert compare_with_pandapower(net, profiles, result, random_steps=5).holds


def test_a_generator_at_its_limit_returns_to_voltage_control(ring_network: Any, make_profiles: Any) -> None:
    """The tap changer raises the voltage after the generator hit its upper limit: it must let go again.

    Complementarity is the check: at the upper limit the voltage is at most the set point, at the lower at least.
    """
    net = ring_network(generator=True)
    net.gen["min_q_mvar"], net.gen["max_q_mvar"], net.gen["vm_pu"] = -0.6, 0.5, 1.0
    DiscreteTapControl(net, 0, 0.995, 1.02, side="lv")
    profiles = stressed(make_profiles, net, 200)
    result = run_power_flow(net, profiles)
    limit, vm_pu = result["generator_at_limit"].to_numpy()[0], result["vm_pu"].sel(bus="b5").to_numpy()
    reactive = result["generator_q_mvar"].to_numpy()[0]
    assert (vm_pu[limit == 1] <= 1.0 + 1e-8).all()
    assert (vm_pu[limit == -1] >= 1.0 - 1e-8).all()
    np.testing.assert_allclose(vm_pu[limit == 0], 1.0, atol=1e-9)
    assert (reactive[limit == 0] <= 0.5 + 1e-6).all()
    assert (reactive[limit == 0] >= -0.6 - 1e-6).all()
    np.testing.assert_allclose(reactive[limit == 1], 0.5, atol=1e-7)
    assert set(np.unique(limit)) == {-1, 0, 1}
    assert set(np.unique(result["status"])) == {0}


def test_taps_and_reactive_limits_together(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network(generator=True)
    net.gen["min_q_mvar"], net.gen["max_q_mvar"], net.gen["vm_pu"] = -0.6, 0.5, 1.0
    DiscreteTapControl(net, 0, 0.985, 1.01, side="lv")
    profiles = stressed(make_profiles, net)
    result = run_power_flow(net, profiles)
    same = 0
    for step in range(0, STEPS, 3):
        apply_step(net, profiles, step)
        net.trafo["tap_pos"] = 0
        pp.runpp(net, run_control=True, enforce_q_lims=True, tolerance_mva=1e-10, **pandapower_options(net))
        same += int(net.trafo.tap_pos[0] == result["tap_position"].to_numpy()[0, step])
    assert same == len(range(0, STEPS, 3))
    assert compare_with_pandapower(net, profiles, result, random_steps=5).holds


def test_capacitor_bank_from_columns_of_the_net(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    net.shunt["max_step"], net.shunt["step"] = 4, 1
    net.shunt["control_vm_lower_pu"], net.shunt["control_vm_upper_pu"] = 0.99, 1.02
    assert read_controls(net).capacitor_banks == (CapacitorBank(0, 0.99, 1.02),)
    profiles = stressed(make_profiles, net, 60)
    result = run_power_flow(net, profiles)
    steps, vm_pu = result["shunt_step"].to_numpy()[0], result["vm_pu"].sel(bus="b2").to_numpy()
    assert len(np.unique(steps)) >= 3
    assert ((vm_pu >= 0.99) | (steps == 4)).all()
    assert ((vm_pu <= 1.02) | (steps == 0)).all()
    for step in range(0, 60, 6):
        apply_step(net, profiles, step)
        net.shunt["step"] = steps[step]
        pp.runpp(net, tolerance_mva=1e-10, **pandapower_options(net))
        np.testing.assert_allclose(vm_pu[step], net.res_bus.vm_pu[2], atol=1e-8)


def plant(band: Any, rating: float | None = None) -> Controls:
    devices = (Device("sgen", 0, -4.0, 4.0, rating), Device("storage", 0, -2.0, 2.0))
    return Controls(plants=(PlantControl("site", devices, band),))


def test_plant_controller_keeps_the_power_factor_at_the_poi(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    profiles = stressed(make_profiles, net, 60)
    band = PowerFactorBand(("trafo", 0), "from", lagging=0.99, leading=0.99)
    free = run_power_flow(net, profiles, Controls())
    result = run_power_flow(net, profiles, plant(band))
    p, q = (result[name].sel(branch="trafo T1").to_numpy() for name in ("p_from_mw", "q_from_mvar"))
    before = np.abs(free["q_from_mvar"].sel(branch="trafo T1").to_numpy())
    reach = np.tan(np.arccos(0.99)) * np.abs(p)
    orders = result["device_q_mvar"].to_numpy()
    full = (orders[0] > 4.0 - 1e-6) | (orders[0] < -4.0 + 1e-6)
    assert (before > reach + 1e-3).sum() > 10  # the band binds
    assert ((np.abs(q) <= reach + 2e-6) | full).all()
    moved = np.abs(orders[0] - profiles.q_mvar["sgen"][0]) > 1e-6
    np.testing.assert_allclose((orders[0][moved] + 4.0) / 8.0, (orders[1][moved] + 2.0) / 4.0, atol=1e-9)
    assert compare_with_pandapower(net, profiles, result, random_steps=5).holds


def test_plant_controller_holds_a_voltage_within_its_rating(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    profiles = stressed(make_profiles, net, 40)
    result = run_power_flow(net, profiles, plant(VoltageBand(6, 1.0, 1.0), rating=3.0))
    vm_pu, orders = result["vm_pu"].sel(bus="b6").to_numpy(), result["device_q_mvar"].to_numpy()
    room = np.sqrt(9.0 - profiles.p_mw["sgen"][0] ** 2)
    assert (np.abs(orders[0]) <= np.minimum(room, 4.0) + 1e-9).all()
    inside = np.abs(orders[0]) < np.minimum(room, 4.0) - 1e-6
    assert inside.any()
    np.testing.assert_allclose(vm_pu[inside], 1.0, atol=2e-7)


def test_plant_controller_keeps_reactive_import_in_a_band(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    profiles = stressed(make_profiles, net, 30)
    result = run_power_flow(net, profiles, plant(ReactiveBand(("trafo", 0), "from", -0.2, 0.3)))
    q, orders = result["q_from_mvar"].sel(branch="trafo T1").to_numpy(), result["device_q_mvar"].to_numpy()
    inside = np.abs(orders[0]) < 4.0 - 1e-6
    assert (q[inside] <= 0.3 + 2e-6).all()
    assert (q[inside] >= -0.2 - 2e-6).all()


def test_distributed_slack_matches_pandapower(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network(generator=True)
    net.ext_grid["in_service"] = False
    pp.create_gen(net, 1, 1.5, vm_pu=1.01, slack=True, slack_weight=2.0, name="lead")
    net.gen.loc[0, "slack_weight"] = 1.0
    profiles = make_profiles(net, 6, low=0.8, high=1.2)
    result = run_power_flow(net, profiles, Controls(distributed_slack=True, reactive_limits=False))
    for step in range(6):
        apply_step(net, profiles, step)
        pp.runpp(net, distributed_slack=True, tolerance_mva=1e-10, **pandapower_options(net))
        np.testing.assert_allclose(result["vm_pu"].to_numpy()[:, step], net.res_bus.vm_pu, atol=1e-8)
        np.testing.assert_allclose(result["generator_p_mw"].to_numpy()[:, step], net.res_gen.p_mw, atol=1e-6)
    assert compare_with_pandapower(net, profiles, result, random_steps=6).holds


def test_controllers_that_are_not_modelled_are_refused(ring_network: Any) -> None:
    net = ring_network()
    ContinuousTapControl(net, 0, 1.0)
    with pytest.raises(InvalidInput, match="ContinuousTapControl"):
        read_controls(net)


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        (Controls((TapChanger("trafo", 7, 0.98, 1.02),)), "no such transformer"),
        (Controls((TapChanger("trafo", 0, 1.02, 0.98),)), "the band is empty"),
        (Controls((), (CapacitorBank(4, 0.98, 1.02),)), "no such shunt"),
        (plant(VoltageBand(99, 1.0, 1.0)), "bus 99"),
        (plant(ReactiveBand(("line", 77))), "line"),
        (Controls(plants=(PlantControl("p", (Device("sgen", 9, 0.0, 1.0),), VoltageBand(1, 1.0, 1.0)),)), "sgen 9"),
        (Controls(distributed_slack=True), "slack_weight"),
    ],
)
def test_controls_that_cannot_work_are_refused(
    controls: Controls, message: str, ring_network: Any, make_profiles: Any
) -> None:
    net = ring_network()
    net.ext_grid["slack_weight"] = 0.0
    with pytest.raises(InvalidInput, match=message):
        run_power_flow(net, make_profiles(net, 1), controls)


def test_a_hunting_tap_stays_where_it_is(ring_network: Any, make_profiles: Any) -> None:
    """A band narrower than a tap step has no position inside it; the changer must stop, not circle."""
    net = ring_network()
    controls = Controls((TapChanger("trafo", 0, 1.0, 1.001),))
    result = run_power_flow(net, stressed(make_profiles, net, 30), controls)
    assert set(np.unique(result["status"])) == {0}
    assert (np.abs(result["vm_pu"].sel(bus="b1").to_numpy() - 1.0005) < 0.016).all()
