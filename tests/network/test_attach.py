"""Parts on buses: signs, reactive power, voltage control and shares, each against a hand-solved circuit."""

from __future__ import annotations

import copy
from math import acos, sqrt, tan

import numpy as np
import pandapower
import pandapower.shortcircuit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microgrid.errors import InvalidInput
from microgrid.formulation.connection import Connection
from microgrid.network.attach import attach, table_of
from microgrid.network.short_circuit import FaultData, add_storage_fault_sources
from microgrid.network.source import read_source

pytestmark = pytest.mark.filterwarnings("ignore")


def receiving_end_kv(source_kv: float, r_ohm: float, x_ohm: float, p_mw: float, q_mvar: float) -> float:
    """Voltage behind R + jX that draws P + jQ: the larger root of U⁴ + (2(RP+XQ) - E²)U² + Z²S² = 0."""
    half = r_ohm * p_mw + x_ohm * q_mvar - source_kv**2 / 2
    product = (r_ohm**2 + x_ohm**2) * (p_mw**2 + q_mvar**2)
    return sqrt(-half + sqrt(half**2 - product))


CASES = [
    ("load", Connection("x", "CAMPUS", "load", power_factor=0.95), -120.0, (120.0, 120.0 * tan(acos(0.95)))),
    ("leading load", Connection("x", "CAMPUS", "load", power_factor=0.95, leading=True), -120.0, (120, -39.4421)),
    ("inverter", Connection("x", "CAMPUS", "inverter"), 80.0, (-80.0, 0.0)),
    ("lagging inverter", Connection("x", "CAMPUS", "inverter", power_factor=0.9), 80.0, (-80.0, -38.7458)),
    ("charging", Connection("x", "CAMPUS", "storage"), -50.0, (50.0, 0.0)),
    ("discharging", Connection("x", "CAMPUS", "storage"), 50.0, (-50.0, 0.0)),
    ("engine", Connection("x", "CAMPUS", "generator", power_factor=0.8), 60.0, (-60.0, -45.0)),
]


@pytest.mark.parametrize(("connection", "injection_mw", "drawn"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_voltage_and_import_behind_the_source_by_hand(network, solve, connection, injection_mw, drawn):
    net = network("single_bus")
    source = read_source(net)
    source_kv = 1.02 * 138.0
    attached, profiles = attach(net, [connection], {("x", "CAMPUS"): np.array([injection_mw, 0.0])})
    solve(attached)
    p_mw, q_mvar = drawn
    campus_kv = receiving_end_kv(source_kv, source.r_ohm, source.x_ohm, p_mw, q_mvar)
    campus = attached.bus.index[attached.bus["name"] == "CAMPUS"][0]
    assert attached.res_bus.vm_pu[campus] * 138.0 == pytest.approx(campus_kv, rel=1e-6)
    lost_mw = source.r_ohm * (p_mw**2 + q_mvar**2) / campus_kv**2
    assert attached.res_ext_grid.p_mw.iloc[0] == pytest.approx(p_mw + lost_mw, abs=1e-5)
    at_poi_mw = -attached.res_line.p_to_mw[attached.line["name"] == "THEVENIN"].iloc[0]
    assert at_poi_mw == pytest.approx(p_mw, abs=1e-5)
    idle_pu = 1.02
    moved = attached.res_bus.vm_pu[campus] - idle_pu
    assert np.sign(moved) == -np.sign(source.r_ohm * p_mw + source.x_ohm * q_mvar)
    assert profiles.steps == 2


def test_each_behaviour_takes_its_table_and_sign(network):
    connections = [
        Connection("mine", "CAMPUS", "load", power_factor=0.97),
        Connection("bess", "CAMPUS", "storage"),
        Connection("pv", "CAMPUS", "inverter"),
        Connection("engine", "CAMPUS", "generator", vm_pu=1.0),
        Connection("old_engine", "CAMPUS", "generator"),
        Connection("grid", "POI", "grid"),
    ]
    power_mw = {"mine": -30.0, "bess": 10.0, "pv": 20.0, "engine": 15.0, "old_engine": 5.0}
    injections = {(part, "CAMPUS"): np.array([value, 2 * value]) for part, value in power_mw.items()}
    net, profiles = attach(network("single_bus"), connections, injections)
    assert [table_of(connection) for connection in connections] == [
        "load", "storage", "sgen", "gen", "sgen", "ext_grid",
    ]  # fmt: skip
    assert net.load["name"].tolist() == ["mine@CAMPUS"]
    assert net.sgen["name"].tolist() == ["pv@CAMPUS", "old_engine@CAMPUS"]
    np.testing.assert_array_equal(profiles.p_mw["load"], [[30.0, 60.0]])
    np.testing.assert_array_equal(profiles.p_mw["storage"], [[-10.0, -20.0]])
    np.testing.assert_array_equal(profiles.p_mw["sgen"], [[20.0, 40.0], [5.0, 10.0]])
    np.testing.assert_array_equal(profiles.p_mw["gen"], [[15.0, 30.0]])
    np.testing.assert_array_equal(profiles.vm_pu["gen"], [[1.0, 1.0]])
    np.testing.assert_allclose(profiles.q_mvar["load"], profiles.p_mw["load"] * tan(acos(0.97)))
    assert "gen" not in profiles.q_mvar
    assert all(array.flags.c_contiguous for array in profiles.p_mw.values())
    # The net itself holds the first step.
    assert net.load.p_mw.tolist() == [30.0]
    assert net.storage.p_mw.tolist() == [-10.0]
    assert len(net.ext_grid) == 1


def test_elements_the_net_already_had_keep_their_power(network):
    net = network("two_feeder_campus")
    main = net.bus.index[net.bus["name"] == "MAIN_A"][0]
    pandapower.create_load(net, main, 1.5, 0.5, name="STATION_SERVICE")
    before = copy.deepcopy(net)
    attached, profiles = attach(net, [Connection("f", "FACILITY", "load")], {("f", "FACILITY"): np.array([-1, -2, -3])})
    np.testing.assert_array_equal(profiles.p_mw["load"], [[1.5, 1.5, 1.5], [1, 2, 3]])
    np.testing.assert_array_equal(profiles.q_mvar["load"], [[0.5, 0.5, 0.5], [0, 0, 0]])
    assert attached.load["name"].tolist() == ["STATION_SERVICE", "f@FACILITY"]
    assert net.load.equals(before.load), "the given net must stay as it is"


def test_shares_of_a_load_follow_the_voltage(network, solve):
    connection = Connection("x", "CAMPUS", "load", power_factor=0.9, current_share=0.3, impedance_share=0.5)
    net, _ = attach(network("single_bus"), [connection], {("x", "CAMPUS"): np.array([-100.0])})
    net.ext_grid["vm_pu"] = 0.95
    solve(net)
    vm_pu = net.res_bus.vm_pu[net.bus["name"] == "CAMPUS"].iloc[0]
    factor = 0.2 + 0.3 * vm_pu + 0.5 * vm_pu**2
    assert vm_pu < 0.95
    assert net.res_load.p_mw.iloc[0] == pytest.approx(100.0 * factor, rel=1e-6)
    assert net.res_load.q_mvar.iloc[0] == pytest.approx(100.0 * tan(acos(0.9)) * factor, rel=1e-6)


def test_generator_holds_its_voltage_until_its_reactive_limit(network, solve):
    free = Connection("g", "CAMPUS", "generator", rating_mva=50, vm_pu=1.03, q_min_mvar=-200, q_max_mvar=200)
    tight = Connection("g", "CAMPUS", "generator", rating_mva=50, vm_pu=1.03, q_min_mvar=-5, q_max_mvar=5)
    injections = {("g", "CAMPUS"): np.array([20.0])}
    held, _ = attach(network("single_bus"), [free], injections)
    limited, _ = attach(network("single_bus"), [tight], injections)
    solve(held, enforce_q_lims=True)
    solve(limited, enforce_q_lims=True)
    campus = held.bus.index[held.bus["name"] == "CAMPUS"][0]
    assert held.res_bus.vm_pu[campus] == pytest.approx(1.03, abs=1e-9)
    assert held.res_gen.q_mvar.iloc[0] > 5
    assert limited.res_gen.q_mvar.iloc[0] == pytest.approx(5.0, abs=1e-6)
    assert limited.res_bus.vm_pu[campus] < 1.03


def test_generator_without_stated_limits_has_those_of_its_rated_power_factor(network):
    connection = Connection("g", "CAMPUS", "generator", rating_mva=50, vm_pu=1.0, power_factor=0.85)
    net, _ = attach(network("single_bus"), [connection], {("g", "CAMPUS"): np.array([20.0])})
    assert net.gen.max_q_mvar.iloc[0] == pytest.approx(50 * sqrt(1 - 0.85**2))
    assert net.gen.min_q_mvar.iloc[0] == -net.gen.max_q_mvar.iloc[0]


def test_machine_and_inverter_add_fault_current_by_hand(network):
    """IEC 60909: the machine is K_G·Xd'' in parallel with the source; the inverter adds k·Ir where it stands."""
    machine = Connection("g", "CAMPUS", "generator", rating_mva=60, vm_pu=1.0)
    inverter = Connection("pv", "CAMPUS", "inverter", rating_mva=40)
    data = FaultData(resistance_ratio=1e-9)
    powers = {("g", "CAMPUS"): np.array([0.0]), ("pv", "CAMPUS"): np.array([0.0])}
    net, _ = attach(network("single_bus"), [machine, inverter], powers, data)
    pandapower.shortcircuit.calc_sc(net, fault="3ph", case="max")
    source = read_source(net)
    factor = 1.1
    correction = factor / (1 + data.subtransient_reactance_pu * sqrt(1 - data.rated_power_factor**2))
    machine_ohm = 1j * correction * data.subtransient_reactance_pu * 138**2 / 60
    source_ohm = complex(source.r_ohm, source.x_ohm) * (1 + factor * source.fault_level_mva / 1e7)
    total_ohm = 1 / (1 / machine_ohm + 1 / source_ohm)
    inverter_ka = data.inverter_current_pu * 40 / (sqrt(3) * 138)
    expected_ka = factor * 138 / (sqrt(3) * abs(total_ohm)) + inverter_ka
    campus = net.bus.index[net.bus["name"] == "CAMPUS"][0]
    assert net.res_bus_sc.ikss_ka[campus] == pytest.approx(expected_ka, rel=1e-4)


def test_battery_inverter_adds_its_rated_fault_current(network):
    battery = Connection("bess", "CAMPUS", "storage", rating_mva=100)
    net, _ = attach(network("single_bus"), [battery], {("bess", "CAMPUS"): np.array([0.0])})
    campus = net.bus.index[net.bus["name"] == "CAMPUS"][0]
    pandapower.shortcircuit.calc_sc(net, fault="3ph", case="max")
    without_ka = float(net.res_bus_sc.ikss_ka[campus])
    add_storage_fault_sources(net)
    pandapower.shortcircuit.calc_sc(net, fault="3ph", case="max")
    assert net.res_bus_sc.ikss_ka[campus] - without_ka == pytest.approx(1.2 * 100 / (sqrt(3) * 138), rel=1e-6)


def test_faults_run_with_every_behaviour_attached(network):
    connections = [
        Connection("engine", "ENGINES", "generator", rating_mva=55, vm_pu=1.0),
        Connection("spare_engine", "ENGINES", "generator", rating_mva=10),
        Connection("bess", "BESS", "storage", rating_mva=50),
        Connection("pv", "PV", "inverter"),
        Connection("mine", "MINE_1", "load"),
    ]
    injections = {(entry.part, entry.bus): np.zeros(2) for entry in connections}
    net, _ = attach(network("two_feeder_campus"), connections, injections)
    for fault in ("3ph", "1ph"):
        for case in ("max", "min"):
            pandapower.shortcircuit.calc_sc(net, fault=fault, case=case)
            assert np.isfinite(net.res_bus_sc.ikss_ka).all(), (fault, case)


BUSES = ("ENGINES", "BESS", "PV", "MINE_1", "MINE_2", "FACILITY", "AI_TRAIN_A")
parts = st.tuples(
    st.sampled_from(BUSES), st.sampled_from(("load", "generator", "inverter", "storage")), st.floats(-50, 50),
    st.floats(0.8, 1.0), st.booleans(), st.sampled_from((None, 1.0)),
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(parts, min_size=1, max_size=8))
def test_no_power_is_gained_or_lost_and_table_order_is_kept(built, drawn):
    connections = [
        Connection(f"part{k}", bus, behaviour, power_factor=factor, leading=leading, vm_pu=vm_pu)
        for k, (bus, behaviour, _, factor, leading, vm_pu) in enumerate(drawn)
    ]
    injections = {
        (entry.part, entry.bus): np.array([row[2], -row[2]]) for entry, row in zip(connections, drawn, strict=True)
    }
    net, profiles = attach(built["two_feeder_campus"], connections, injections)
    sign = {"load": -1.0, "storage": -1.0, "sgen": 1.0, "gen": 1.0}
    for table, array in profiles.p_mw.items():
        assert array.shape == (len(net[table]), 2)
        for name, row in zip(net[table]["name"], array, strict=True):
            part, bus = name.split("@")
            np.testing.assert_allclose(sign[table] * row, injections[part, bus])
    total = sum(sign[table] * array.sum(axis=0) for table, array in profiles.p_mw.items())
    np.testing.assert_allclose(total, sum(injections.values()), atol=1e-9)


@pytest.mark.parametrize(
    ("connections", "injections", "rule", "remedy"),
    [
        ([Connection("m", "MINE1", "load")], {("m", "MINE1"): np.zeros(2)}, "no such bus", "MINE_1"),
        ([Connection("m", "mine_1", "load")], {("m", "mine_1"): np.zeros(2)}, "no such bus", "MINE_1"),
        ([Connection("m", "PV", "load")] * 2, {("m", "PV"): np.zeros(2)}, "twice", "once"),
        ([Connection("m", "PV", "load")], {}, "no injection", ""),
        ([Connection("g", "PV", "grid")], {}, "point of interconnection", "POI"),
        ([Connection("m", "PV", "load")], {("m", "PV"): np.array([0, np.nan])}, "not a number at step 1", ""),
        ([Connection("m", "PV", "load")], {("m", "PV"): np.zeros((2, 2))}, "shape", ""),
        (
            [Connection("a", "PV", "load"), Connection("b", "PV", "load"), Connection("c", "PV", "load")],
            {("a", "PV"): np.zeros(3), ("b", "PV"): np.zeros(3), ("c", "PV"): np.zeros(2)},
            "injections have shape (3,), this one (2,)",
            "",
        ),
    ],
)
def test_what_cannot_be_attached_is_refused(built, connections, injections, rule, remedy):
    with pytest.raises(InvalidInput) as caught:
        attach(built["two_feeder_campus"], connections, injections)
    assert any(rule in problem.rule and remedy in problem.remedy for problem in caught.value.problems)
