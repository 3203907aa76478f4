"""Every modelled pandapower feature on a small ring, three steps each, against `runpp`; the rest is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp
import pytest

from microgrid.errors import InvalidInput
from microgrid.powerflow.controls import Controls
from microgrid.powerflow.extract import pandapower_options
from microgrid.powerflow.reference import apply_step, compare_with_pandapower
from microgrid.powerflow.run import run_power_flow


def nothing(net: Any) -> None:
    pass


def tap(net: Any) -> None:
    net.trafo["tap_pos"] = -3


def tap_with_neutral(net: Any) -> None:
    net.trafo["tap_neutral"], net.trafo["tap_pos"], net.trafo["tap_max"] = 10, 12, 20


def tap_on_lv_side(net: Any) -> None:
    net.trafo["tap_side"], net.trafo["tap_pos"] = "lv", 2


def rated_voltage_off_bus(net: Any) -> None:
    net.trafo["vn_lv_kv"], net.trafo["vn_hv_kv"] = 21.0, 115.0


def ideal_phase_shifter(net: Any) -> None:
    net.trafo["tap_changer_type"], net.trafo["tap_step_percent"] = "Ideal", np.nan
    net.trafo["tap_step_degree"], net.trafo["tap_pos"] = 2.0, 3


def iron_losses(net: Any) -> None:
    net.trafo["pfe_kw"], net.trafo["i0_percent"] = 300.0, 3.0


def pi_model(net: Any) -> None:
    net.user_pf_options = {"trafo_model": "pi"}


def parallel(net: Any) -> None:
    net.trafo["parallel"] = 2
    net.line.loc[0, "parallel"] = 2


def line_conductance(net: Any) -> None:
    net.line["g_us_per_km"] = 50.0


def three_windings(net: Any) -> None:
    mid, low = pp.create_bus(net, 20.0), pp.create_bus(net, 10.0)
    pp.create_transformer3w_from_parameters(
        net, 0, mid, low, 110.0, 20.0, 10.0, 40.0, 25.0, 15.0, 10.4, 10.4, 10.4, 0.28, 0.32, 0.35, 35.0, 0.89,
        tap_pos=2, tap_neutral=0, tap_side="hv", tap_step_percent=1.25, tap_min=-8, tap_max=8, tap_changer_type="Ratio",
    )  # fmt: skip
    pp.create_load(net, mid, 5.0, 1.0)
    pp.create_load(net, low, 3.0, 1.0)


def open_switches(net: Any) -> None:
    pp.create_switch(net, 3, 2, et="l", closed=False)
    pp.create_switch(net, 5, 2, et="b", closed=False)


def fused_buses(net: Any) -> None:
    extra = pp.create_bus(net, 20.0)
    pp.create_switch(net, 6, extra, et="b", closed=True)
    pp.create_load(net, extra, 1.0, 0.2)


def switch_with_impedance(net: Any) -> None:
    extra = pp.create_bus(net, 20.0)
    pp.create_switch(net, 6, extra, et="b", closed=True, z_ohm=0.5)
    pp.create_load(net, extra, 1.0, 0.2)


def thevenin_impedance(net: Any) -> None:
    extra = pp.create_bus(net, 110.0)
    net.ext_grid["bus"] = extra
    pp.create_impedance(net, extra, 0, 0.01, 0.1, 10.0)


def slack_angle(net: Any) -> None:
    net.ext_grid["va_degree"] = 20.0


def two_sources(net: Any) -> None:
    pp.create_ext_grid(net, 6, vm_pu=1.0, va_degree=-150.0)


def slack_generator(net: Any) -> None:
    net.ext_grid = net.ext_grid.iloc[:0]
    pp.create_gen(net, 0, 0.0, vm_pu=1.02, slack=True, name="island")


def two_generators_at_one_bus(net: Any) -> None:
    pp.create_gen(net, 5, 1.0, vm_pu=1.0)
    pp.create_gen(net, 5, 0.5, vm_pu=1.0)


def scaling(net: Any) -> None:
    net.load.loc[0, "scaling"], net.sgen["scaling"], net.storage["scaling"] = 0.5, 0.7, 1.3


def dead_bus_and_elements(net: Any) -> None:
    net.load.loc[1, "in_service"] = False
    lonely = pp.create_bus(net, 20.0)
    pp.create_load(net, lonely, 1.0, 0.5)
    net.bus.loc[pp.create_bus(net, 20.0), "in_service"] = False


def shunt_steps(net: Any) -> None:
    net.shunt["max_step"], net.shunt["step"], net.shunt["vn_kv"] = 4, 3, 21.0


def dc_line(net: Any) -> None:
    pp.create_dcline(net, 2, 6, p_mw=1.0, loss_percent=1.0, loss_mw=0.05, vm_from_pu=1.0, vm_to_pu=0.99)


def wards_motor_asymmetric(net: Any) -> None:
    pp.create_ward(net, 3, 0.3, 0.1, 0.2, 0.1)
    pp.create_xward(net, 4, 0.2, 0.1, 0.1, 0.1, 0.5, 2.0, 1.0)
    pp.create_motor(net, 6, 0.4, 0.9, efficiency_percent=95.0, loading_percent=80.0)
    pp.create_asymmetric_load(net, 2, p_a_mw=0.1, p_b_mw=0.2, p_c_mw=0.1)


def voltage_dependent_loads(net: Any) -> None:
    net.sgen["bus"] = 1  # pandapower would scale generation at the bus of such a load as well
    net.storage["bus"] = 4
    for quantity, z, i in (("p", 40.0, 30.0), ("q", 50.0, 10.0)):
        net.load[f"const_z_{quantity}_percent"] = z
        net.load[f"const_i_{quantity}_percent"] = i


FEATURES = [
    value for value in list(globals().values()) if getattr(value, "__module__", "") == __name__ and callable(value)
]


@pytest.mark.parametrize("generator", [False, True], ids=["plain", "generator"])
@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.__name__)
def test_feature_agrees_with_pandapower(feature: Any, generator: Any, ring_network: Any, make_profiles: Any) -> None:
    net = ring_network(generator=generator)
    feature(net)
    profiles = make_profiles(net, 2, seed=5)
    result = run_power_flow(net, profiles, Controls(reactive_limits=False))
    assert (result["status"] == 0).all()
    for step in (1,):
        apply_step(net, profiles, step)
        pp.runpp(net, tolerance_mva=1e-10, init="dc", **pandapower_options(net))
        np.testing.assert_allclose(result["vm_pu"].to_numpy()[:, step], net.res_bus.vm_pu, atol=1e-8)
        np.testing.assert_allclose(result["va_degree"].to_numpy()[:, step], net.res_bus.va_degree, atol=1e-6)
        for table in ("line", "trafo"):
            rows = result["branch_table"].to_numpy() == table
            elements = result["branch_element"].to_numpy()[rows]
            theirs = net[f"res_{table}"].loading_percent.loc[elements]
            np.testing.assert_allclose(result["loading_percent"].to_numpy()[rows, step], theirs, atol=1e-6)
        if len(net.trafo3w):
            rows = result["branch_table"].to_numpy() == "trafo3w"
            worst = result["loading_percent"].to_numpy()[rows, step].max()
            assert worst == pytest.approx(float(net.res_trafo3w.loading_percent.iloc[0]), abs=1e-6)
        if len(net.ext_grid):
            np.testing.assert_allclose(result["source_p_mw"].to_numpy()[:, step], net.res_ext_grid.p_mw, atol=1e-6)
            np.testing.assert_allclose(result["source_q_mvar"].to_numpy()[:, step], net.res_ext_grid.q_mvar, atol=1e-6)
        assert result["generator_p_mw"].to_numpy()[:, step].sum() == pytest.approx(net.res_gen.p_mw.sum(), abs=1e-6)
        assert result["generator_q_mvar"].to_numpy()[:, step].sum() == pytest.approx(net.res_gen.q_mvar.sum(), abs=1e-6)


def static_var_compensator(net: Any) -> None:
    pp.create_svc(net, 3, 1.0, -5.0, 1.0, 90.0)


def series_compensator(net: Any) -> None:
    pp.create_tcsc(net, 5, 6, 1.0, -5.0, -0.5, 90.0)


def direct_current_bus(net: Any) -> None:
    pp.create_bus_dc(net, 10.0)


@pytest.mark.parametrize(
    ("build", "name"), [(static_var_compensator, "svc"), (series_compensator, "tcsc"), (direct_current_bus, "bus_dc")]
)
def test_unmodelled_elements_are_refused_by_name(build: Any, name: Any, ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    build(net)
    with pytest.raises(InvalidInput, match=f"{name} 0.*does not model"):
        run_power_flow(net, make_profiles(net, 1))


def test_a_network_without_a_source_is_refused(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    net.ext_grid["in_service"] = False
    with pytest.raises(InvalidInput, match="reference bus"):
        run_power_flow(net, make_profiles(net, 1))


def test_loads_of_different_kind_at_one_bus_are_each_their_own(ring_network: Any, make_profiles: Any) -> None:
    """Pandapower 3.5.6 averages the shares of the loads at a bus without weights; here each load keeps its own.

    The hand check: at the solved voltage the constant-power, -current and -impedance loads draw P, P V and P V^2.
    """
    net = ring_network()
    pp.create_load(net, 6, 1.0, 0.0, name="current", const_i_p_percent=100.0, const_i_q_percent=100.0)
    pp.create_load(net, 6, 0.5, 0.0, name="impedance", const_z_p_percent=100.0, const_z_q_percent=100.0)
    result = run_power_flow(net, make_profiles(net, 4))
    profiles = make_profiles(net, 4)
    v = result["vm_pu"].sel(bus="b6").to_numpy()
    load, solar = profiles.p_mw["load"], profiles.p_mw["sgen"][0]
    drawn = load[3] + load[4] * v + load[5] * v**2 - solar
    np.testing.assert_allclose(result["p_to_mw"].sel(branch="line L56"), -drawn, atol=1e-8)
    assert compare_with_pandapower(net, profiles, result, random_steps=4).holds
