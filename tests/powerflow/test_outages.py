"""Outages against pandapower with the element taken out, and the ledger of statuses."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pandapower as pp
import pytest
from pandapower import topology
from pandapower.control import DiscreteTapControl

from microgrid.errors import InvalidInput
from microgrid.network.profiles import Profiles
from microgrid.powerflow.actions import Actions, DroopUnit, LoadTrip, share_by_droop
from microgrid.powerflow.controls import (
    Controls,
    Device,
    PlantControl,
    VoltageBand,
    read_controls,
)
from microgrid.powerflow.extract import pandapower_options
from microgrid.powerflow.outage_cases import Outage, double_outage, resolve_outages, single_outages
from microgrid.powerflow.outages import OutageStatus, outage_violations, run_outages
from microgrid.powerflow.reference import apply_controls, apply_step
from microgrid.powerflow.run import run_power_flow
from microgrid.powerflow.screening import Screening
from microgrid.powerflow.settle import regulated

ALL = ("line", "trafo", "gen", "sgen", "storage", "load", "bus")


def campus(ring_network: Any) -> Any:
    """The ring with two transformers, an engine, limits and a weak ring line."""
    net = ring_network(generator=True)
    pp.create_transformer_from_parameters(
        net, 0, 4, sn_mva=16.0, vn_hv_kv=110.0, vn_lv_kv=20.0, vkr_percent=0.5, vk_percent=10.0, pfe_kw=10.0,
        i0_percent=0.07, shift_degree=150.0, tap_side="hv", tap_neutral=0, tap_min=-9, tap_max=9,
        tap_step_percent=1.5, tap_pos=-1, tap_changer_type="Ratio", name="T2",
    )  # fmt: skip
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = 0.97, 1.05
    net.bus["min_vm_emergency_pu"] = 0.94
    net.line["max_loading_percent"], net.line["emergency_loading_percent"] = 100.0, 115.0
    net.line["max_i_ka"] = 0.13
    net.gen["min_q_mvar"], net.gen["max_q_mvar"] = -1.5, 1.5
    return net


def taken_out(net: Any, outage: Outage) -> Any:
    """pandapower net with the elements of an outage out of service; a bus takes its branches with it."""
    out = copy.deepcopy(net)
    for table, index in outage.elements:
        out[table].loc[index, "in_service"] = False
        if table == "bus":
            out.line.loc[(out.line.from_bus == index) | (out.line.to_bus == index), "in_service"] = False
            out.trafo.loc[(out.trafo.hv_bus == index) | (out.trafo.lv_bus == index), "in_service"] = False
    return out


@pytest.mark.parametrize("regulated_by", ["nothing", "taps", "plant"])
def test_every_single_outage_matches_pandapower(regulated_by: str, ring_network: Any, make_profiles: Any) -> None:
    net = campus(ring_network)
    if regulated_by == "taps":
        DiscreteTapControl(net, 0, 0.99, 1.01)
        DiscreteTapControl(net, 1, 0.99, 1.01)
    profiles = make_profiles(net, 2, low=0.7, high=1.9, seed=0)
    devices = Device("sgen", 0, -1.0, 1.0), Device("storage", 0, -1.0, 1.0)
    plants = (PlantControl("plant", devices, VoltageBand(3, 1.0, 1.0)),) if regulated_by == "plant" else ()
    controls = replace(read_controls(net), plants=plants)
    intact = run_power_flow(net, profiles, controls)
    outages = [item for item in single_outages(net, ALL) if item.label != "bus b0"]  # pandapower refuses no source
    result = run_outages(net, profiles, outages, controls=controls)
    assert result.attrs["ledger_total"] == len(outages) * 2 == result["status"].size
    for number, outage in enumerate(outages):
        check_one(net, profiles, intact, result, (number, outage, number % 2))
    found = set(np.unique(result["status"]))
    assert {OutageStatus.SECURE, OutageStatus.ISLANDED, OutageStatus.OVERLOAD} <= found


def check_one(net: Any, profiles: Profiles, intact: Any, result: Any, case: tuple[int, Outage, int]) -> None:
    number, outage, step = case
    trial = copy.deepcopy(net)
    apply_step(trial, profiles, step)
    apply_controls(trial, intact, step)
    fed = trial.bus.index.difference(list(topology.unsupplied_buses(taken_out(trial, outage))))
    trial = taken_out(trial, outage)
    pp.runpp(trial, enforce_q_lims=True, tolerance_mva=1e-10, init="dc", **pandapower_options(net))
    one = result.isel(outage=number, time=step)
    vm_pu = trial.res_bus.vm_pu.loc[fed]
    alive = vm_pu[vm_pu.notna()]
    assert float(one["low_margin_pu"]) == pytest.approx(float((alive - 0.94).min()), abs=1e-6)
    assert float(one["high_margin_pu"]) == pytest.approx(float((1.05 - alive).min()), abs=1e-6)
    before = intact["vm_pu"].to_numpy()[alive.index, step]
    assert float(one["voltage_change_pu"]) == pytest.approx(float(np.abs(alive - before).max()), abs=1e-6)
    loading = max((trial.res_line.loading_percent / 115.0).max(), (trial.res_trafo.loading_percent / 100.0).max())
    assert float(one["loading"]) == pytest.approx(loading, abs=1e-5)
    dead = sorted(set(trial.bus.index) - set(alive.index))
    assert str(one["buses_lost"].values) == ", ".join(net.bus.name[dead])
    at_dead = trial.load.bus.isin(dead) | ~trial.load.in_service
    assert float(one["lost_mw"]) == pytest.approx(float(trial.load.p_mw[at_dead].sum()), abs=1e-5)
    broken_v = (alive < 0.94).any() or (alive > 1.05).any()
    wanted = OutageStatus.OVERLOAD if loading > 1.0 else OutageStatus.VOLTAGE if broken_v else None
    wanted = wanted or (OutageStatus.ISLANDED if dead else OutageStatus.SECURE)
    assert int(one["status"]) == wanted


def test_double_outage_and_loss_of_the_grid(ring_network: Any, make_profiles: Any) -> None:
    net = campus(ring_network)
    profiles = make_profiles(net, 3)
    lines = {outage.label: outage for outage in single_outages(net)}
    outages = (
        double_outage(lines["trafo T1"], lines["trafo T2"]),
        double_outage(lines["line L12"], lines["line L34"]),
        Outage("grid lost", (("ext_grid", 0),)),
    )
    result = run_outages(net, profiles, outages)
    total = profiles.p_mw["load"].sum(axis=0)
    assert (result["status"].to_numpy()[[0, 2]] == OutageStatus.ISLANDED).all()
    np.testing.assert_allclose(result["lost_mw"].to_numpy()[[0, 2]], [total, total], rtol=1e-6)
    assert str(result["buses_lost"].values[1]) == "b2, b3"


def test_a_divergent_outage_is_told(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    net.line.loc[:, "length_km"] *= 8.0
    profiles = make_profiles(net, 1, low=1.0, high=1.0)
    profiles.p_mw["load"][:] *= 1.9
    outages = single_outages(net, ("line",))
    result = run_outages(net, profiles, outages)
    assert OutageStatus.DIVERGENT in result["status"].to_numpy()
    violations = outage_violations(result)
    labels = {violation.outage for violation in violations if violation.kind == "divergent"}
    assert labels == set(result["outage"].to_numpy()[result["status"].to_numpy()[:, 0] == OutageStatus.DIVERGENT])
    assert result.attrs["ledger_divergent"] == len(labels)


def test_steps_without_an_intact_solution_are_not_possible(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    profiles = make_profiles(net, 3)
    profiles.p_mw["load"][:, 1] = 400.0
    result = run_outages(net, profiles)
    status = result["status"].to_numpy()
    assert (status[:, 1] == OutageStatus.NOT_POSSIBLE).all()
    assert (status[:, [0, 2]] != OutageStatus.NOT_POSSIBLE).all()
    assert result.attrs["ledger_total"] == status.size


def test_chosen_steps_are_the_same_steps(ring_network: Any, make_profiles: Any) -> None:
    net = campus(ring_network)
    profiles = make_profiles(net, 30)
    everything = run_outages(net, profiles)
    some = run_outages(net, profiles, steps=np.array([3, 17]))
    np.testing.assert_array_equal(some["step"], [3, 17])
    np.testing.assert_allclose(some["loading"], everything["loading"][:, [3, 17]], atol=1e-6)


def test_numpy_path_gives_the_same_statuses(ring_network: Any, make_profiles: Any, monkeypatch: Any) -> None:
    net = campus(ring_network)
    profiles = make_profiles(net, 4, low=0.7, high=1.9)
    outages = single_outages(net, ALL)
    compiled = run_outages(net, profiles, outages)
    monkeypatch.setenv("MICROGRID_NUMBA", "0")
    plain = run_outages(net, profiles, outages)
    for name in compiled.data_vars:
        if name not in {"low_bus", "high_bus"}:  # ties between fused limits may name another bus
            np.testing.assert_allclose(plain[name], compiled[name], atol=1e-6)


def test_droop_units_take_over_in_proportion_to_their_share() -> None:
    taken = share_by_droop(np.array([3.0, 9.0, 20.0]), np.array([2.0, 1.0]), np.array([[4.0] * 3, [6.0] * 3]))
    np.testing.assert_allclose(taken, [[2.0, 4.0, 4.0], [1.0, 5.0, 6.0]])


def test_droop_response_relieves_the_source(ring_network: Any, make_profiles: Any) -> None:
    net = campus(ring_network)
    profiles = make_profiles(net, 2)
    outage = single_outages(net, ("gen",))
    actions = Actions(droop=(DroopUnit("sgen", 0, 1.0, 2.0), DroopUnit("storage", 0, 1.0, 1.0)))
    result = run_outages(net, profiles, outage, actions=actions)
    lost = profiles.p_mw["gen"][0]
    room = 2.0 - profiles.p_mw["sgen"][0] + 1.0 + profiles.p_mw["storage"][0]
    np.testing.assert_allclose(result["redispatched_mw"][0], np.minimum(lost, room), rtol=1e-6)
    for step in range(2):
        trial = copy.deepcopy(net)
        apply_step(trial, profiles, step)
        share = share_by_droop(
            lost[[step]], np.ones(2), np.array([[2.0 - trial.sgen.p_mw[0]], [1.0 + trial.storage.p_mw[0]]])
        )
        trial.gen["in_service"] = False
        trial.sgen["p_mw"] += share[0, 0]
        trial.storage["p_mw"] -= share[1, 0]
        pp.runpp(trial, tolerance_mva=1e-10, **pandapower_options(net))
        low = float((trial.res_bus.vm_pu - 0.94).min())
        assert float(result["low_margin_pu"][0, step]) == pytest.approx(low, abs=1e-6)


def test_loads_are_tripped_stage_by_stage_until_the_limits_hold(ring_network: Any, make_profiles: Any) -> None:
    net = campus(ring_network)
    profiles = make_profiles(net, 12, low=0.7, high=1.9)
    label = "line L41"
    outages = [outage for outage in single_outages(net) if outage.label == label]
    plain = run_outages(net, profiles, outages)
    stages = (LoadTrip((1,)), LoadTrip((0,)))
    acted = run_outages(net, profiles, outages, actions=Actions(trips=stages))
    broken = np.isin(plain["status"].to_numpy()[0], [OutageStatus.OVERLOAD, OutageStatus.VOLTAGE])
    tripped = acted["tripped_mw"].to_numpy()[0]
    load = profiles.p_mw["load"]
    assert broken.any()
    assert not broken.all()
    np.testing.assert_allclose(tripped[~broken], 0.0)
    options = np.stack([load[1], load[1] + load[0]])[:, broken]
    assert (np.abs(options - tripped[broken]).min(axis=0) < 1e-5).all()
    assert (acted["loading"].to_numpy()[0, broken] < plain["loading"].to_numpy()[0, broken]).all()
    assert (acted["status"].to_numpy()[0] != OutageStatus.OVERLOAD).sum() > (~broken).sum()
    other = run_outages(net, profiles, single_outages(net)[:1], actions=Actions(trips=(LoadTrip((1,), when="always"),)))
    np.testing.assert_allclose(other["tripped_mw"].to_numpy()[0], load[1], rtol=1e-6)


def test_screening_reports_its_recall(ring_network: Any, make_profiles: Any) -> None:
    net = campus(ring_network)
    net.bus["min_vm_emergency_pu"] = 0.5  # no voltage limit: the screen sees loadings only
    net.bus["max_vm_pu"] = 1.4
    profiles = make_profiles(net, 200, low=0.3, high=1.9)
    outages = single_outages(net, ("line", "trafo"))
    full = run_outages(net, profiles, outages)["status"].to_numpy()
    screened = run_outages(net, profiles, outages, screening=Screening(0.8, sample=100_000))
    tight = run_outages(net, profiles, outages, screening=Screening(1.15, sample=200))
    assert screened.attrs["screening_recall"] == 1.0
    np.testing.assert_array_equal(screened["status"], full)  # the sample covers everything passed over
    passed = tight["status"].to_numpy() == OutageStatus.SCREENED
    missed = (passed & np.isin(full, [2, 3, 4])).sum() + tight.attrs["screening_missed_in_sample"]
    truth = 1.0 - missed / np.isin(full, [2, 3, 4]).sum()
    assert 0.0 < truth < 1.0
    assert tight.attrs["screening_recall"] == pytest.approx(truth, abs=0.1)


@pytest.mark.parametrize(
    ("outages", "message"),
    [
        ((Outage("x", (("line", 99),)),), "line 99"),
        ((Outage("x", (("gen", 4),)),), "gen 4"),
        ((Outage("x", (("line", 0),)), Outage("x", (("line", 1),))), "two outages"),
    ],
)
def test_outages_that_do_not_exist_are_refused(outages: Any, message: str, ring_network: Any) -> None:
    system = regulated(campus(ring_network), Controls())
    with pytest.raises(InvalidInput, match=message):
        resolve_outages(system.model.grid, outages)


def test_losing_one_of_two_sources_is_refused_with_its_remedy(ring_network: Any) -> None:
    net = campus(ring_network)
    pp.create_ext_grid(net, 6, vm_pu=1.0, va_degree=-150.0)
    with pytest.raises(InvalidInput, match="one of several sources"):
        resolve_outages(regulated(net, Controls()).model.grid, (Outage("second", (("ext_grid", 1),)),))


@pytest.mark.parametrize(
    "actions",
    [
        Actions(droop=(DroopUnit("gen", 9, 1.0, 1.0),)),
        Actions(droop=(DroopUnit("gen", 0, 0.0, 1.0),)),
        Actions(trips=(LoadTrip((99,)),)),
        Actions(trips=(LoadTrip((0,)), LoadTrip((0,)))),
        Actions(trips=(LoadTrip((0,), ("no such outage",)),)),
    ],
)
def test_actions_that_cannot_work_are_refused(actions: Actions, ring_network: Any, make_profiles: Any) -> None:
    net = campus(ring_network)
    with pytest.raises(InvalidInput):
        run_outages(net, make_profiles(net, 1), actions=actions)
