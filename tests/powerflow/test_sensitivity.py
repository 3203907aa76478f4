"""Sensitivities against finite differences of the power flow itself, and violations against counting by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from microgrid.network.profiles import Profiles
from microgrid.powerflow.controls import Controls
from microgrid.powerflow.extract import extract
from microgrid.powerflow.flows import Tapped, terminal_currents
from microgrid.powerflow.injections import injections
from microgrid.powerflow.online import Online
from microgrid.powerflow.points import Overlay, Points
from microgrid.powerflow.run import run_power_flow
from microgrid.powerflow.sensitivity import sensitivity, source_power
from microgrid.powerflow.settle import Batch, regulated, settle
from microgrid.powerflow.shared_slack import SharedSlack
from microgrid.powerflow.solve import Model, drawn_power, points_of, solve_points
from microgrid.powerflow.violations import find_violations

NUDGE_MW = 1e-3


def solved_points(net: Any, profiles: Profiles) -> tuple[Model, Points, np.ndarray]:
    model = Model(extract(net))
    given = injections(model.grid, profiles, 0, profiles.steps)
    holds = np.ones(given.vm_pu.shape, bool)
    points = points_of(model.grid, given, model.grid.start[:, None], holds, Overlay.join([]))
    solved = solve_points(model, points)
    assert solved.ok.all()
    return model, points, solved.voltage


def moved(model: Model, points: Points, row: int, power_mva: complex) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voltages, from-end currents and source power after an injection at one bus row."""
    power = points.power.copy()
    power[row] += power_mva / model.grid.base_mva
    nudged = replace(points, power=power)
    voltage = solve_points(model, nudged).voltage
    current = terminal_currents(model.grid.branches, voltage)[0]
    return voltage, current, source_power(model, nudged, power, voltage)


@pytest.mark.parametrize("dependent", [False, True], ids=["constant", "voltage-dependent"])
@pytest.mark.parametrize("plain", [False, True], ids=["dense", "sparse"])
def test_sensitivities_match_central_differences(
    dependent: bool, plain: bool, ring_network: Any, make_profiles: Any, monkeypatch: Any
) -> None:
    net = ring_network(generator=True)
    if dependent:
        for name in ("const_z_p_percent", "const_i_p_percent", "const_z_q_percent"):
            net.load[name] = 40.0
    if plain:
        monkeypatch.setattr("microgrid.powerflow.sensitivity.DENSE_ROWS", 1)
    model, points, voltage = solved_points(net, make_profiles(net, 3))
    inputs = np.arange(model.grid.buses)
    found = sensitivity(model, points, voltage, inputs)
    branch, column = np.arange(7), np.zeros(7, int)
    current_p, current_q = found.current(model.grid.branches, Tapped.none(3), branch, column, np.ones(7, bool))
    for row in inputs:
        for unit, by_voltage, by_source, by_current in (
            (1.0, found.voltage_p, found.source_p, current_p),
            (1j, found.voltage_q, found.source_q, current_q),
        ):
            up, down = (moved(model, points, int(row), sign * unit * NUDGE_MW) for sign in (1.0, -1.0))
            slope = [(a - b) / (2.0 * NUDGE_MW) for a, b in zip(up, down, strict=True)]
            np.testing.assert_allclose(by_voltage[:, :, row], slope[0].T, atol=1e-8)
            np.testing.assert_allclose(by_current[:, row], slope[1][branch, 0], atol=1e-7)
            np.testing.assert_allclose(by_source[:, row], slope[2], atol=1e-6)


def test_magnitude_slope_is_real_part_along_the_voltage(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    model, points, voltage = solved_points(net, make_profiles(net, 2))
    row = model.grid.row(6)
    found = sensitivity(model, points, voltage, np.array([row]))
    by_p, by_q = found.magnitude(np.array([row]), np.array([1]))
    up, down = (np.abs(moved(model, points, row, sign * NUDGE_MW)[0][row, 1]) for sign in (1.0, -1.0))
    assert by_p[0, 0] == pytest.approx((up - down) / (2.0 * NUDGE_MW), abs=1e-8)
    assert by_q[0, 0] > 0.0


def test_violations_are_those_counted_by_hand(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = 0.985, 1.01
    net.line["max_i_ka"] = 0.09
    net.line["max_loading_percent"] = 90.0
    profiles = make_profiles(net, 20, low=0.2, high=2.0)
    result = run_power_flow(net, profiles, Controls())
    found = find_violations(net, result)
    for kind, name, broken in (
        ("voltage low", "vm_pu", result["vm_pu"] < 0.985),
        ("voltage high", "vm_pu", result["vm_pu"] > 1.01),
        ("current", "loading_percent", result["loading_percent"] > 90.0),
    ):
        count = int(broken.sum())
        if kind == "current":
            count = int((broken & (result["branch_table"] == "line")).sum())
        mine = [violation for violation in found if violation.kind == kind]
        assert len(mine) == count > 0
        worst = max(mine, key=lambda violation: violation.excess)
        axis = "branch" if kind == "current" else "bus"
        assert float(result[name].sel({axis: worst.element})[worst.step]) == worst.value


def test_a_step_without_solution_is_a_violation(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network()
    profiles = make_profiles(net, 4)
    profiles.p_mw["load"][:, 2] = 400.0
    found = find_violations(net, run_power_flow(net, profiles))
    assert [(violation.kind, violation.step) for violation in found] == [("divergent", 2)]
    assert found[0].excess == float("inf")


def test_sensitivities_of_an_island_share_the_unbalance(ring_network: Any, make_profiles: Any) -> None:
    """Three columns: both generators run, one at half its units, and the reference's plant stopped."""
    net = ring_network(generator=True)
    net.ext_grid["in_service"] = False
    net.gen[["min_q_mvar", "max_q_mvar"]] = [-9.0, 9.0]
    net.gen.loc[0, "slack_weight"] = 1.0
    pp.create_gen(net, 1, 1.5, vm_pu=1.01, slack=True, slack_weight=2.0, name="lead")
    net.load[["const_z_p_percent", "const_i_q_percent"]] = 30.0
    online = np.array([[1.0, 0.5, 1.0], [1.0, 1.0, 0.0]])
    profiles = replace(make_profiles(net, 3), online={"gen": online})
    system = regulated(net, Controls(distributed_slack=True))
    grid = system.model.grid
    given = injections(grid, profiles, 0, 3)

    def settled(row: int = 0, power_mva: complex = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Voltages, and active power of all sources together in MW."""
        power = given.power.copy()
        power[row] += power_mva / grid.base_mva
        batch = Batch(np.arange(3), replace(given, power=power), grid.start[:, None], np.zeros((0, 3), np.int64))
        found = settle(system, profiles, batch)
        assert found.solved.ok.all()
        drawn = drawn_power(system.model, found.points, found.solved.voltage, np.arange(grid.buses))
        depends = replace(given, power=power).at(found.solved.voltage)
        return found.solved.voltage, (drawn - depends).real.sum(axis=0) * grid.base_mva

    batch = Batch(np.arange(3), given, grid.start[:, None], np.zeros((0, 3), np.int64))
    found = settle(system, profiles, batch)
    shared = SharedSlack.at(system, Online.at(grid, profiles, np.arange(3)))
    assert shared is not None
    assert shared.idle.tolist() == [False, False, True]
    slopes = sensitivity(system.model, found.points, found.solved.voltage, np.arange(grid.buses), shared)
    for row in range(grid.buses):
        for unit, by_voltage, by_source in (
            (1.0, slopes.voltage_p, slopes.source_p), (1j, slopes.voltage_q, slopes.source_q)
        ):  # fmt: skip
            up, down = (settled(row, sign * unit * 0.01) for sign in (1.0, -1.0))
            np.testing.assert_allclose(by_voltage[:, :, row], (up[0] - down[0]).T / 0.02, atol=1e-6)
            np.testing.assert_allclose(by_source[:, row].real, (up[1] - down[1]) / 0.02, atol=1e-5)
    alone = sensitivity(system.model, found.points, found.solved.voltage, np.arange(grid.buses))
    assert np.abs(alone.voltage_p - slopes.voltage_p).max() > 1e-4
