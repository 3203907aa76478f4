"""Cuts: what they predict, and a dispatch that one or two rounds of them cure, intact and after outages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import linprog

from microgrid.formulation.connection import NetworkCut
from microgrid.network.profiles import Profiles
from microgrid.powerflow.actions import Actions
from microgrid.powerflow.cuts import (
    CutOptions,
    Decision,
    build_cuts,
    build_loss_cuts,
    intact_snapshot,
    outage_snapshot,
)
from microgrid.powerflow.judge import RowLimits
from microgrid.powerflow.limits import emergency_limits, normal_limits
from microgrid.powerflow.outage_cases import resolve_outages, single_outages
from microgrid.powerflow.outage_columns import Intact, solve_outages
from microgrid.powerflow.outage_rows import build_outage_rows
from microgrid.powerflow.outages import intact_network
from microgrid.powerflow.settle import regulated

STEPS = 24
MINES = (1, 3)  # loads at b3 and b6 become mines whose power the dispatch decides
TANGENT = np.tan(np.arccos(0.95))
MOST_MW = 5.5


def site(ring_network: Any) -> Any:
    net = ring_network()
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = 0.97, 1.05
    net.bus["min_vm_emergency_pu"] = 0.93
    net.line["max_i_ka"], net.line["max_loading_percent"], net.line["emergency_loading_percent"] = 0.22, 100.0, 110.0
    return net


def profiles_of(net: Any, mine_mw: np.ndarray) -> Profiles:
    """Constant base load, solar by day, mines as decided (mines, steps)."""
    steps = mine_mw.shape[1]
    p = np.repeat(net.load.p_mw.to_numpy()[:, None], steps, axis=1)
    q = np.repeat(net.load.q_mvar.to_numpy()[:, None], steps, axis=1)
    p[list(MINES)], q[list(MINES)] = mine_mw, TANGENT * mine_mw
    sun = 1.2 * np.clip(np.sin(np.pi * (np.arange(steps) % 24 - 6) / 12.0), 0.0, None)[None]
    return Profiles(steps, {"load": p, "sgen": sun}, {"load": q, "sgen": 0.0 * sun})


def decisions_of(net: Any, system: Any, mine_mw: np.ndarray) -> tuple[Decision, ...]:
    buses = [net.load.bus[load] for load in MINES]
    return tuple(
        Decision(f"mine{n}", net.bus.name[bus], system.model.grid.row(bus), -mine_mw[n], q_per_mw=TANGENT)
        for n, bus in enumerate(buses)
    )


def dispatch(price: np.ndarray, cuts: list[NetworkCut]) -> np.ndarray:
    """Most valuable mining subject to the cuts, losses paid: an LP over (mines, steps) and losses (steps)."""
    steps = len(price)
    count = len(MINES) * steps
    cost = np.concatenate([np.tile(price - 95.0, len(MINES)), price])
    rows, bounds = np.zeros((len(cuts), count + steps)), np.zeros(len(cuts))
    for number, cut in enumerate(cuts):
        for (part, _), value in cut.coefficients:
            rows[number, int(part[4:]) * steps + cut.step] = -value  # the mine draws what it does not inject
        rows[number, count + cut.step] = cut.loss_coefficient
        bounds[number] = cut.bound
    limit = [(0.0, MOST_MW)] * count + [(0.0, None)] * steps
    found = linprog(cost, A_ub=rows if cuts else None, b_ub=bounds if cuts else None, bounds=limit, method="highs")
    assert found.status == 0
    return np.asarray(found.x[:count].reshape(len(MINES), steps))


def check(net: Any, mine_mw: np.ndarray, *, secure: bool) -> tuple[int, list[NetworkCut]]:
    """Broken limits of a dispatch, and the cuts that answer them."""
    system = regulated(net)
    intact = intact_network(system, profiles_of(net, mine_mw), np.arange(mine_mw.shape[1]))
    decisions = decisions_of(net, system, mine_mw)
    normal = RowLimits.of(system.model.grid, normal_limits(net, system.model.grid))
    snapshot = intact_snapshot(intact)
    cuts = build_cuts(snapshot, decisions, normal) + build_loss_cuts(snapshot, decisions)
    broken = count_broken(intact, normal)
    if secure:
        cases = resolve_outages(system.model.grid, single_outages(net, ("line",)))
        emergency = RowLimits.of(system.model.grid, emergency_limits(net, system.model.grid))
        pairs = np.divmod(np.arange(len(cases) * len(intact.steps)), len(intact.steps))
        columns = solve_outages(intact, cases, pairs, emergency, Actions())
        cuts += build_cuts(outage_snapshot(intact, cases, columns), decisions, emergency)
        broken += int(columns.broken.sum())
    return broken, cuts


def count_broken(intact: Intact, limits: RowLimits) -> int:
    snapshot = intact_snapshot(intact)
    vm_pu = np.abs(snapshot.voltage)
    outside = (vm_pu < limits.low_pu[:, None] - 1e-5) | (vm_pu > limits.high_pu[:, None] + 1e-5)
    columns = solve_outages(
        intact, (nothing(intact),), (np.zeros(len(intact.steps), int), np.arange(len(intact.steps))), limits, Actions()
    )
    assert (columns.broken == (outside.any(axis=0) | (columns.verdict.loading > 1.0 + 1e-5))).all()
    return int(columns.broken.sum())


def nothing(intact: Intact) -> Any:
    """An outage of nothing, to judge the intact network by the same code."""
    grid = intact.system.model.grid
    case = resolve_outages(grid, single_outages_of_one(grid))[0]
    return replace(case, branch_rows=case.branch_rows[:0], dead=np.zeros(grid.buses, bool), buses_lost=())


def single_outages_of_one(grid: Any) -> Any:
    from microgrid.powerflow.outage_cases import Outage

    return (Outage("none", ((grid.branches.table[0], int(grid.branches.element[0])),)),)


def price_of(steps: int) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0.0, 5.0, steps)
    return np.maximum(5.0, 60.0 + 50.0 * np.sin(2.0 * np.pi * np.arange(steps) / 24.0) + noise)


def loop(net: Any, steps: int, *, secure: bool, first: list[NetworkCut] | None = None) -> list[int]:
    """Broken limits before cuts and after each round; cuts are accumulated."""
    price, cuts, history = price_of(steps), list(first or []), []
    for _ in range(5):
        mine_mw = dispatch(price, cuts)
        broken, fresh = check(net, mine_mw, secure=secure)
        history.append(broken)
        if broken == 0:
            break
        cuts += fresh
    return history


def test_a_day_is_cured_in_one_round(ring_network: Any) -> None:
    history = loop(site(ring_network), STEPS, secure=False)
    assert history[0] > 5
    assert history[-1] == 0
    assert len(history) <= 2


def test_a_week_is_cured_in_one_round(ring_network: Any) -> None:
    history = loop(site(ring_network), 168, secure=False)
    assert history[0] > 50
    assert history[-1] == 0
    assert len(history) <= 2


def test_a_day_secure_against_every_line_outage(ring_network: Any) -> None:
    net = site(ring_network)
    net.line["max_i_ka"] = 0.3
    history = loop(net, STEPS, secure=True)
    assert history[0] > 5
    assert history[-1] == 0
    assert len(history) <= 4


def test_rows_estimated_before_any_outage_save_rounds(ring_network: Any) -> None:
    """Warm start: rows from a middling dispatch; the first dispatch already respects most outages."""
    net = site(ring_network)
    net.line["max_i_ka"] = 0.3
    middling = np.full((len(MINES), STEPS), 3.0)
    system = regulated(net)
    intact = intact_network(system, profiles_of(net, middling), np.arange(STEPS))
    cases = resolve_outages(system.model.grid, single_outages(net, ("line",)))
    emergency = RowLimits.of(system.model.grid, emergency_limits(net, system.model.grid))
    first = build_outage_rows(intact_snapshot(intact), decisions_of(net, system, middling), cases, emergency)
    assert {cut.outage for cut in first} <= {case.outage.label for case in cases}
    cold, warm = loop(net, STEPS, secure=True), loop(net, STEPS, secure=True, first=first)
    assert warm[-1] == 0
    assert warm[0] < 0.7 * cold[0]
    assert len(warm) <= len(cold)


def test_cuts_predict_the_network_to_first_order(ring_network: Any) -> None:
    """After a small move every cut's slack equals the true distance to its limit up to second order."""
    net, move = site(ring_network), 0.05
    base = np.full((len(MINES), 1), 5.0)
    for number in range(len(MINES)):
        moved = base.copy()
        moved[number] += move
        slack, truth = slacks(net, base, moved)
        np.testing.assert_allclose(slack, truth, atol=2e-5)


def slacks(net: Any, base: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slack of voltage rows and middle faces at `moved`, as cut at `base` and as solved."""
    options = CutOptions(near_voltage_pu=1.0, near_loading=0.0)

    def cuts(mine_mw: np.ndarray) -> list[NetworkCut]:
        system = regulated(net)
        intact = intact_network(system, profiles_of(net, mine_mw), np.array([0]))
        limits = RowLimits.of(system.model.grid, normal_limits(net, system.model.grid))
        decisions = decisions_of(net, system, mine_mw)
        snapshot = intact_snapshot(intact)
        every = build_cuts(snapshot, decisions, limits, options)
        voltage = [cut for cut in every if cut.quantity != "current"]
        faces = [cut for cut in every if cut.quantity == "current"][3::7]
        return voltage + faces + build_loss_cuts(snapshot, decisions, options)

    def slack(cut: NetworkCut, mine_mw: np.ndarray) -> float:
        return cut.bound - sum(value * -mine_mw[int(part[4:]), 0] for (part, _), value in cut.coefficients)

    old, new = cuts(base), cuts(moved)
    assert [cut.element for cut in old] == [cut.element for cut in new]
    return np.array([slack(cut, moved) for cut in old]), np.array([slack(cut, moved) for cut in new])


def test_loss_tangents_lie_below_the_losses(ring_network: Any) -> None:
    net = site(ring_network)
    random = np.random.default_rng(2)
    points = random.uniform(0.0, 6.0, (len(MINES), 40))
    system = regulated(net)
    intact = intact_network(system, profiles_of(net, points), np.arange(40))
    cuts = build_loss_cuts(intact_snapshot(intact), decisions_of(net, system, points))
    slope = np.array([[value for _, value in cut.coefficients] for cut in cuts])
    at_own = np.einsum("cd,dc->c", slope, -points) - np.array([cut.bound for cut in cuts])
    sun = profiles_of(net, points).p_mw["sgen"][0]
    for column in range(40):
        same_sun = np.flatnonzero(np.abs(sun - sun[column]) < 1e-9)  # tangents hold for the hour they were cut at
        tangent = slope[same_sun] @ -points[:, column] - np.array([cuts[place].bound for place in same_sun])
        assert (tangent <= at_own[column] + 1e-6).all()
    assert (at_own > 0.0).all()


def test_losses_beyond_the_meter_are_left_out(ring_network: Any) -> None:
    net = site(ring_network)
    mine_mw = np.full((len(MINES), 3), 4.0)
    system = regulated(net)
    intact = intact_network(system, profiles_of(net, mine_mw), np.arange(3))
    snapshot, decisions = intact_snapshot(intact), decisions_of(net, system, mine_mw)

    def losses(options: CutOptions) -> np.ndarray:
        cuts = build_loss_cuts(snapshot, decisions, options)
        return np.array([sum(v * -4.0 for _, v in cut.coefficients) - cut.bound for cut in cuts])

    grid = system.model.grid
    row = grid.branches.rows("trafo", 0)[0]
    inside = losses(CutOptions(outside=(("trafo", 0),)))
    v = snapshot.voltage[[grid.branches.from_bus[row], grid.branches.to_bus[row]]]
    i_from = grid.branches.y_ff[row] * v[0] + grid.branches.y_ft[row] * v[1]
    i_to = grid.branches.y_tf[row] * v[0] + grid.branches.y_tt[row] * v[1]
    beyond = (v[0] * np.conj(i_from) + v[1] * np.conj(i_to)).real * grid.base_mva
    np.testing.assert_allclose(losses(CutOptions()) - inside, beyond, atol=1e-9)
    assert beyond.min() > 0.0


def test_a_decision_at_a_dead_bus_has_no_coefficient(ring_network: Any) -> None:
    net = site(ring_network)
    mine_mw = np.full((len(MINES), 1), 9.0)
    system = regulated(net)
    intact = intact_network(system, profiles_of(net, mine_mw), np.array([0]))
    limits = RowLimits.of(system.model.grid, normal_limits(net, system.model.grid))
    first, second = decisions_of(net, system, mine_mw)
    cuts = build_cuts(intact_snapshot(intact), (replace(first, row=-1), second), limits)
    assert cuts
    assert {part for cut in cuts for (part, _), _ in cut.coefficients} == {"mine1"}
