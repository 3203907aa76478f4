"""Each network that ships: converges, holds its limits at design load, and has the fault level it states."""

from __future__ import annotations

import io
from math import hypot, sqrt

import numpy as np
import pandapower
import pandapower.shortcircuit
import pytest

from microgrid.network.contract import check_contract
from microgrid.network.source import STIFF_MVA, read_source

NAMES = ("single_bus", "two_feeder_campus", "looped_campus_34kv", "ring_bus_138kv")
IEC_C_MAX, IEC_C_MIN = 1.1, 1.0
pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_list_of_networks_is_tested_in_full(built, design_loads):
    assert set(built) == set(NAMES) == set(design_loads)


@pytest.mark.parametrize("name", NAMES)
def test_fulfils_the_contract_and_has_no_assets(built, name):
    net = built[name]
    assert check_contract(net) == []
    assert net.name == name
    assert net.poi == "POI"
    assert [len(net[table]) for table in ("load", "gen", "sgen", "storage")] == [0, 0, 0, 0]
    assert all(bus == bus.upper() for bus in net.bus["name"])


@pytest.mark.parametrize("name", NAMES)
def test_no_load_voltages_stay_in_the_normal_band(network, solve, name):
    net = solve(network(name), run_control=True)
    assert (net.res_bus.vm_pu <= net.bus.max_vm_pu).all()
    assert (net.res_bus.vm_pu >= net.bus.min_vm_pu).all()
    assert net.res_line.pl_mw.sum() + net.res_trafo.pl_mw.sum() == pytest.approx(net.res_ext_grid.p_mw.sum(), abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_design_load_is_served_within_limits(at_design_load, design_loads, solve, name):
    net = solve(at_design_load(name), run_control=True)
    served_mw = sum(power for power, _ in design_loads[name].values())
    losses_mw = net.res_line.pl_mw.sum() + net.res_trafo.pl_mw.sum()
    assert net.res_ext_grid.p_mw.sum() == pytest.approx(served_mw + losses_mw, abs=1e-6)
    assert 0 < losses_mw < 0.03 * served_mw
    assert net.res_bus.vm_pu.between(net.bus.min_vm_pu, net.bus.max_vm_pu).all()
    assert (net.res_line.loading_percent < net.line.max_loading_percent).all()
    largest = net.res_line.loading_percent.max()
    if len(net.trafo):
        assert (net.res_trafo.loading_percent < net.trafo.max_loading_percent).all()
        largest = max(largest, net.res_trafo.loading_percent.max())
    assert largest > 50, "a network far too large for its load tests nothing"


@pytest.mark.parametrize(("name", "trafos"), [("two_feeder_campus", 2), ("ring_bus_138kv", 3)])
def test_tap_changers_answer_the_source_voltage(network, solve, name, trafos):
    taps = {}
    for source_pu in (0.96, 1.02, 1.05):
        net = network(name)
        net.ext_grid["vm_pu"] = source_pu
        solve(net, run_control=True)
        held = net.res_bus.vm_pu[net.trafo.lv_bus[:trafos]]
        assert held.between(1.0125, 1.0275).all()
        taps[source_pu] = net.trafo.tap_pos[:trafos].to_numpy()
    # The tap is on the low-voltage winding: more turns there raise its voltage.
    assert (taps[0.96] > taps[1.02]).all()
    assert (taps[1.02] > taps[1.05]).all()
    assert len(set(taps[0.96])) == 1, "transformers in one state must step together"


def test_one_main_transformer_alone_is_overloaded_beyond_its_emergency_rating(at_design_load, solve):
    net = at_design_load("two_feeder_campus")
    net.trafo.loc[net.trafo["name"] == "T1", "in_service"] = False
    solve(net, run_control=True)
    remaining = net.res_trafo.loading_percent[net.trafo["name"] == "T2"].iloc[0]
    assert remaining > net.trafo.emergency_loading_percent[net.trafo["name"] == "T2"].iloc[0]


def test_any_open_segment_of_the_loop_keeps_emergency_limits(at_design_load, solve):
    net = at_design_load("looped_campus_34kv")
    for segment in net.line.index[net.line["name"].str.startswith("SEGMENT")]:
        net.line.loc[segment, "in_service"] = False
        solve(net)
        assert (net.res_line.loading_percent.fillna(0) <= net.line.emergency_loading_percent).all()
        assert net.res_bus.vm_pu.between(net.bus.min_vm_emergency_pu, net.bus.max_vm_emergency_pu).all()
        net.line.loc[segment, "in_service"] = True


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_fault_runs_on_every_bus(network, name):
    net = network(name)
    for fault in ("3ph", "1ph"):
        for case in ("max", "min"):
            pandapower.shortcircuit.calc_sc(net, fault=fault, case=case)
            currents = net.res_bus_sc.ikss_ka
            assert np.isfinite(currents).all(), (fault, case)
            if fault == "3ph":
                assert (currents > 1).all()


def test_isolating_one_ring_position_darkens_that_position_only(at_design_load, solve):
    net = at_design_load("ring_bus_138kv")
    net.switch.loc[net.switch["name"].isin(["CB_61", "CB_12"]), "closed"] = False
    solve(net, run_control=True)
    dark = set(net.bus["name"][net.res_bus.vm_pu.isna()])
    assert dark == set()  # RING_1 itself is still fed by its service line
    current = net.res_line.loading_percent[net.line["name"] == "SERVICE_1"].iloc[0]
    assert current < 1, "the isolated service line carries its charging only"


@pytest.mark.parametrize("name", NAMES)
def test_poi_fault_level_is_the_thevenin_by_hand(network, name):
    net = network(name)
    line = net.line[net.line["name"] == "THEVENIN"].iloc[0]
    grid = net.ext_grid.iloc[0]
    vn_kv = net.bus.vn_kv[net.bus["name"] == "POI"].iloc[0]
    line_ohm = hypot(line.r_ohm_per_km, line.x_ohm_per_km) * line.length_km
    poi = int(net.bus.index[net.bus["name"] == "POI"][0])
    for case, factor, behind_mva in (("max", IEC_C_MAX, STIFF_MVA), ("min", IEC_C_MIN, grid.s_sc_min_mva)):
        pandapower.shortcircuit.calc_sc(net, fault="3ph", case=case)
        # IEC 60909: Ik'' = c·U / (√3·Z); the source behind the line is c·U²/S, of the same X/R.
        expected_ka = factor * vn_kv / (sqrt(3) * (line_ohm + factor * vn_kv**2 / behind_mva))
        assert net.res_bus_sc.ikss_ka[poi] == pytest.approx(expected_ka, rel=1e-4), case
    source = read_source(net)
    stated = {"single_bus": 2500, "two_feeder_campus": 3500, "looped_campus_34kv": 900, "ring_bus_138kv": 6000}
    weakest = {"single_bus": 1500, "two_feeder_campus": 2100, "looped_campus_34kv": 550, "ring_bus_138kv": 4000}
    assert source.fault_level_mva == pytest.approx(stated[name], rel=1e-9)
    assert source.weakest_fault_level_mva == pytest.approx(weakest[name], rel=1e-9)
    assert net.res_bus_sc.ikss_ka[poi] * sqrt(3) * vn_kv == pytest.approx(weakest[name], rel=1e-4)


@pytest.mark.parametrize("name", ["single_bus", "two_feeder_campus"])
def test_single_phase_fault_at_the_poi_by_hand(network, name):
    """The campus offers no zero-sequence path at 138 kV here: its transformers are delta on that side."""
    net = network(name)
    pandapower.shortcircuit.calc_sc(net, fault="1ph", case="max")
    poi = int(net.bus.index[net.bus["name"] == "POI"][0])
    assert net.res_bus_sc.ikss_ka[poi] == pytest.approx(IEC_C_MAX * read_source(net).single_phase_fault_ka, rel=1e-3)


def test_grounded_step_up_transformer_adds_ground_current_at_the_ring(network):
    net = network("ring_bus_138kv")
    pandapower.shortcircuit.calc_sc(net, fault="1ph", case="max")
    poi = int(net.bus.index[net.bus["name"] == "POI"][0])
    assert net.res_bus_sc.ikss_ka[poi] > 1.01 * IEC_C_MAX * read_source(net).single_phase_fault_ka


def test_fault_behind_a_main_transformer_by_hand(network):
    """MAIN_1 of the ring: source, two service lines in parallel, T1 with IEC 60909's correction factor K_T."""
    net = network("ring_bus_138kv")
    pandapower.shortcircuit.calc_sc(net, fault="3ph", case="max")
    source = read_source(net)
    service_ohm = complex(0.0863, 0.474) * 3.5 / 2
    resistance, impedance = 0.0040, 0.15
    reactance = sqrt(impedance**2 - resistance**2)
    correction = 0.95 * IEC_C_MAX / (1 + 0.6 * reactance)
    upstream_ohm = complex(source.r_ohm, source.x_ohm) + service_ohm
    trafo_ohm = correction * complex(resistance, reactance) * 34.5**2 / 100
    total_ohm = upstream_ohm * (34.5 / 138) ** 2 + trafo_ohm
    main = int(net.bus.index[net.bus["name"] == "MAIN_1"][0])
    # pandapower's tap is at neutral; the stiff source adds 0.06 %.
    assert net.res_bus_sc.ikss_ka[main] == pytest.approx(IEC_C_MAX * 34.5 / (sqrt(3) * abs(total_ohm)), rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_json_round_trip_keeps_the_network(network, solve, name):
    net = network(name)
    again = pandapower.from_json(io.StringIO(pandapower.to_json(net)))
    assert again.poi == net.poi
    assert check_contract(again) == []
    first, second = solve(net, run_control=True), solve(again, run_control=True)
    np.testing.assert_allclose(first.res_bus.vm_pu, second.res_bus.vm_pu, atol=1e-9)
    if len(net.trafo):
        assert (first.trafo.tap_pos == second.trafo.tap_pos).all()
        assert first.trafo.emergency_loading_percent.equals(second.trafo.emergency_loading_percent)
