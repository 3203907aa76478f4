"""Stopped generators hold no voltage, give no reactive power and carry no share of an island's unbalance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from microgrid.errors import InvalidInput
from microgrid.network.profiles import Profiles
from microgrid.powerflow.controls import Controls
from microgrid.powerflow.extract import pandapower_options
from microgrid.powerflow.outage_cases import Outage, single_outages
from microgrid.powerflow.outages import OutageStatus, run_outages
from microgrid.powerflow.reference import apply_step, compare_with_pandapower
from microgrid.powerflow.run import run_power_flow
from microgrid.powerflow.solve import Status

DIVERGENT, SOLVED = int(Status.DIVERGENT), int(Status.SOLVED)


def with_online(profiles: Profiles, *shares: list[float]) -> Profiles:
    """Profiles whose generators run as stated, one list a generator; stopped ones have no power."""
    online = np.array(shares)
    return replace(profiles, online={"gen": online}, p_mw=profiles.p_mw | {"gen": profiles.p_mw["gen"] * (online > 0)})


def without_generator(net: Any, profiles: Profiles, step: int, *stopped: int) -> Any:
    """The net of one step with the stopped generators simply not there, solved by pandapower."""
    apply_step(net, profiles, step)
    net.gen.loc[list(stopped), "in_service"] = False
    pp.runpp(net, tolerance_mva=1e-10, **pandapower_options(net))
    net.gen["in_service"] = True
    return net.res_bus.vm_pu.to_numpy().copy()


def test_a_stopped_generator_is_not_there(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network(generator=True)
    profiles = with_online(make_profiles(net, 3), [1.0, 0.0, 1.0])
    result = run_power_flow(net, profiles)
    np.testing.assert_allclose(
        result["vm_pu"].to_numpy()[:, 1], without_generator(net, profiles, 1, 0), rtol=0, atol=1e-8
    )
    assert result["generator_q_mvar"].to_numpy()[0, 1] == pytest.approx(0.0, abs=1e-9)
    held = result["vm_pu"].sel(bus="b5").to_numpy()
    assert held[[0, 2]] == pytest.approx(1.0, abs=1e-9)
    assert abs(held[1] - 1.0) > 1e-3
    assert compare_with_pandapower(net, profiles, result, random_steps=3).holds


def test_reactive_reach_scales_with_the_units_online(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network(generator=True)
    net.gen["vm_pu"] = 1.04  # beyond what 3 Mvar can hold
    profiles = with_online(make_profiles(net, 3), [1.0, 0.5, 0.25])
    result = run_power_flow(net, profiles)
    np.testing.assert_allclose(result["generator_q_mvar"].to_numpy()[0], [3.0, 1.5, 0.75], atol=1e-9)
    assert compare_with_pandapower(net, profiles, result, random_steps=3).holds


def test_of_two_generators_at_a_bus_the_running_one_gives_the_reactive_power(
    ring_network: Any, make_profiles: Any
) -> None:
    net = ring_network(generator=True)
    pp.create_gen(net, 5, 1.0, vm_pu=1.0, min_q_mvar=-2.0, max_q_mvar=2.0, name="second")
    profiles = with_online(make_profiles(net, 2), [0.0, 1.0], [1.0, 1.0])
    result = run_power_flow(net, profiles)
    reactive = result["generator_q_mvar"].to_numpy()
    assert reactive[0, 0] == pytest.approx(0.0, abs=1e-12)
    assert abs(reactive[1, 0]) > 1e-3
    assert reactive[0, 1] == pytest.approx(reactive[1, 1] * 1.5)
    np.testing.assert_allclose(
        result["vm_pu"].to_numpy()[:, 0], without_generator(net, profiles, 0, 0), rtol=0, atol=1e-8
    )
    assert compare_with_pandapower(net, profiles, result).holds


def island(ring_network: Any) -> Any:
    """The ring on its own: "lead" is the reference and twice the size of "engine"."""
    net = ring_network(generator=True)
    net.ext_grid["in_service"] = False
    net.gen[["min_q_mvar", "max_q_mvar"]] = [-9.0, 9.0]
    pp.create_gen(net, 1, 1.5, vm_pu=1.01, slack=True, slack_weight=2.0, name="lead")
    net.gen.loc[0, "slack_weight"] = 1.0
    return net


def test_an_island_runs_on_what_is_online(ring_network: Any, make_profiles: Any) -> None:
    net = island(ring_network)
    profiles = with_online(make_profiles(net, 4), [1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0])
    result = run_power_flow(net, profiles, Controls(distributed_slack=True))
    assert result["status"].to_numpy()[3] == DIVERGENT
    assert (result["status"].to_numpy()[:3] == SOLVED).all()
    p_mw, q_mvar = (result[f"generator_{name}"].to_numpy() for name in ("p_mw", "q_mvar"))
    moved = p_mw - profiles.p_mw["gen"]
    assert moved[1, 0] == pytest.approx(2.0 * moved[0, 0], abs=1e-6)  # both online: by weight
    np.testing.assert_allclose([moved[0, 1], q_mvar[0, 1]], 0.0, atol=1e-7)  # engine stopped: lead carries all
    np.testing.assert_allclose([p_mw[1, 2], q_mvar[1, 2]], 0.0, atol=1e-6)  # lead stopped: engine carries all
    assert result["vm_pu"].sel(bus="b5").to_numpy()[2] == pytest.approx(1.0, abs=1e-9)
    assert abs(result["vm_pu"].sel(bus="b1").to_numpy()[2] - 1.01) > 1e-3
    net.gen["slack"] = [True, False]
    np.testing.assert_allclose(
        result["vm_pu"].to_numpy()[:, 2], without_generator(net, profiles, 2, 1), rtol=0, atol=1e-7
    )
    assert compare_with_pandapower(island(ring_network), profiles, result).holds


def test_an_island_whose_only_source_stops_has_no_solution(ring_network: Any, make_profiles: Any) -> None:
    net = island(ring_network)
    profiles = with_online(make_profiles(net, 2), [1.0, 1.0], [1.0, 0.0])
    assert run_power_flow(net, profiles)["status"].to_numpy().tolist() == [SOLVED, DIVERGENT]


def test_outages_start_from_what_is_online(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network(generator=True)
    net.gen["vm_pu"] = 1.04
    profiles = with_online(make_profiles(net, 3), [1.0, 0.5, 0.0])
    outages = (Outage("line L23", (("line", 1),)), Outage("engine", (("gen", 0),)))
    found = run_outages(net, profiles, outages)
    net.line.loc[1, "in_service"] = False
    after = run_power_flow(net, profiles)
    loading = found["loading"].to_numpy()[0]
    np.testing.assert_allclose(loading, after["loading_percent"].max("branch").to_numpy() / 100.0, rtol=1e-5)
    assert found["voltage_change_pu"].to_numpy()[1, 2] == pytest.approx(0.0, abs=1e-7)  # it was not running
    assert found["voltage_change_pu"].to_numpy()[1, 0] > 1e-3


@pytest.mark.parametrize(
    ("online", "message"),
    [
        ({"load": np.ones((4, 2))}, "no such profile"),
        ({"gen": np.ones((1, 3))}, "shape"),
        ({"gen": np.array([[1.0, 1.5]])}, "0 to 1"),
        ({"gen": np.array([[1.0, np.nan]])}, "not a number"),
    ],
)
def test_shares_that_cannot_be_are_refused(
    online: dict[str, Any], message: str, ring_network: Any, make_profiles: Any
) -> None:
    net = ring_network(generator=True)
    with pytest.raises(InvalidInput, match=message):
        run_power_flow(net, replace(make_profiles(net, 2), online=online))


def test_after_an_outage_an_island_shares_its_unbalance_anew(ring_network: Any, make_profiles: Any) -> None:
    net = island(ring_network)
    net.gen[["min_q_mvar", "max_q_mvar"]] = [-90.0, 90.0]
    steps = [(1.0, 1.0), (0.5, 1.0), (1.0, 0.0)]
    profiles = with_online(make_profiles(net, 3), *zip(*steps, strict=True))
    singles = {outage.label: outage for outage in single_outages(net, ("line", "sgen", "gen"))}
    chosen = [singles[name] for name in ("line L23", "sgen solar", "gen engine")]
    result = run_outages(net, profiles, chosen, controls=Controls(distributed_slack=True))
    assert result["status"].to_numpy()[2].tolist() == [OutageStatus.SECURE] * 2 + [OutageStatus.DIVERGENT]
    for place, (table, index) in enumerate((("line", 1), ("sgen", 0), ("gen", 0))):
        for step, online in enumerate(steps):
            work = island(ring_network)
            apply_step(work, profiles, step)
            work.gen["slack_weight"] = np.array([1.0, 2.0]) * online
            if online[1] == 0.0:
                work.gen.loc[1, "in_service"], work.gen.loc[0, "slack"] = False, True
            if table == "gen" and online[1] == 0.0:
                continue  # nothing is left to run on
            work[table].loc[index, "in_service"] = False
            pp.runpp(work, distributed_slack=True, tolerance_mva=1e-10, **pandapower_options(work))
            wanted = np.nanmax(work.res_line.loading_percent) / 100.0
            assert result["loading"].to_numpy()[place, step] == pytest.approx(wanted, abs=1e-6), (table, step)
