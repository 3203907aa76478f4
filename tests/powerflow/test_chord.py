"""Columns that share a Jacobian give the answers of Newton's method, whatever differs between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from microgrid.powerflow import judge_kernel
from microgrid.powerflow.extract import extract
from microgrid.powerflow.flows import Tapped
from microgrid.powerflow.injections import injections
from microgrid.powerflow.judge import Judged, RowLimits, _judge_numpy
from microgrid.powerflow.newton import Network
from microgrid.powerflow.points import Overlay, Points
from microgrid.powerflow.solve import Model, points_of, prove, residual, warm_start

pytest.importorskip("numba")
COLUMNS = 192


def mixed_points(net: Any, profiles: Any) -> tuple[Model, Points]:
    """A third intact with taps that differ, a third without a ring line, a third without the spur."""
    model = Model(extract(net))
    grid, given = model.grid, injections(model.grid, profiles, 0, COLUMNS)
    kin = np.repeat([0, 1, 2], COLUMNS // 3)
    holds = np.tile([[True, True, False]], COLUMNS // 3)
    spur = [grid.row(5), grid.row(6)]
    frozen = np.zeros((grid.buses, COLUMNS), bool)
    frozen[np.ix_(spur, kin == 2)] = True
    parts = [lost(grid, "L23", np.flatnonzero(kin == 1)), lost(grid, "L45", np.flatnonzero(kin == 2))]
    taps, trafo = np.flatnonzero(kin == 0), grid.branches.rows("trafo", 0)[0]
    at = np.full(len(taps), grid.branches.to_bus[trafo])
    parts.append(Overlay(taps, at, at, 0.02j * grid.branches.y_tt[trafo].imag * (taps % 3)))
    points = points_of(grid, given, warm_start(model, given), holds, Overlay.join(parts))
    dead = Points(points.power, points.start, holds, points.current, points.impedance, frozen, points.overlay, kin)
    return model, dead


def lost(grid: Any, name: str, columns: np.ndarray) -> Overlay:
    branches = grid.branches
    row = [label.endswith(name) for label in branches.label].index(True)
    f, t = branches.from_bus[row], branches.to_bus[row]
    y = np.array([part[row] for part in branch_y(branches)])
    many = len(columns)
    ends = np.tile([[f, f], [f, t], [t, f], [t, t]], (many, 1))
    return Overlay(np.repeat(columns, 4), ends[:, 0], ends[:, 1], np.tile(-y, many))


def test_mixed_columns_agree_with_newton(ring_network: Any, make_profiles: Any, monkeypatch: Any) -> None:
    net = ring_network(generator=True)
    net.load["const_z_p_percent"], net.load["const_i_q_percent"] = 30.0, 20.0
    model, points = mixed_points(net, make_profiles(net, COLUMNS))
    assert points.current is not None
    newton = model.network.solve(points, chord=False)
    monkeypatch.setattr(Network, "_newton", lambda *_: pytest.fail("a column was left to Newton"))
    shared = model.network.solve(points)
    assert shared.converged.all()
    assert newton.converged.all()
    np.testing.assert_allclose(shared.voltage, newton.voltage, atol=2e-9)
    assert residual(model, points, shared.voltage).max() <= 1e-7
    monkeypatch.setenv("MICROGRID_THREADS", "3")
    assert (model.network.solve(points).voltage == shared.voltage).all()
    np.testing.assert_allclose(shared.voltage[points.frozen], points.start[points.frozen], rtol=1e-13)


def test_compiled_proof_and_judgement_say_what_numpy_says(ring_network: Any, make_profiles: Any) -> None:
    net = ring_network(generator=True)
    net.load["const_z_p_percent"] = 30.0
    model, points = mixed_points(net, make_profiles(net, COLUMNS))
    solved, grid = model.network.solve(points).voltage, model.grid
    random = np.random.default_rng(3)
    voltage = solved * (1.0 + 0.01 * random.normal(size=solved.shape))  # off the solution, so that there is a residual
    voltage[4, 7] *= 2.0
    points.power[2, 9] = np.nan
    compiled, sane = prove(model, points, voltage)
    np.testing.assert_allclose(compiled, residual(model, points, voltage), rtol=1e-12)
    assert np.isnan(compiled[9])
    assert np.flatnonzero(~sane).tolist() == [7]
    assert points.kin is not None
    assert points.frozen is not None
    out = np.zeros((3, len(grid.branches.label)), bool)
    out[1, 2], out[2, 4] = True, True
    dead = np.stack([points.frozen[:, points.kin == number][:, 0] for number in range(3)])
    tap = np.exp(0.02 * random.normal(size=COLUMNS))
    tapped = Tapped(np.array([1]), np.stack([y[1] * tap[None] for y in branch_y(grid.branches)]))
    limits = RowLimits(np.full(grid.buses, 0.95), np.full(grid.buses, 1.05), np.full(len(out[0]), 90.0))
    case = np.column_stack([points.kin, points.kin])[:, 0]  # strided, as np.nonzero gives it
    judged = Judged(points, voltage, solved, tapped, case, out, dead)
    mine, theirs = judge_kernel.judge(model, limits, judged), _judge_numpy(model, limits, judged)
    for name, values in theirs._asdict().items():
        np.testing.assert_allclose(getattr(mine, name), values, rtol=1e-9, atol=1e-12, err_msg=name)


def branch_y(branches: Any) -> tuple[np.ndarray, ...]:
    return branches.y_ff, branches.y_ft, branches.y_tf, branches.y_tt


def test_a_wild_column_is_left_to_newton(ring_network: Any, make_profiles: Any) -> None:
    """One column far from the mean and one that is not a number disturb nobody."""
    net = ring_network(generator=True)
    model, points = mixed_points(net, make_profiles(net, COLUMNS))
    quiet = model.network.solve(points)
    points.power[:, 5] *= 3.0
    points.power[1, 40] = np.nan
    disturbed, alone = model.network.solve(points), model.network.solve(points, chord=False)
    others = np.setdiff1d(np.arange(COLUMNS), [5, 40])
    np.testing.assert_allclose(disturbed.voltage[:, others], quiet.voltage[:, others], atol=2e-9)
    np.testing.assert_allclose(disturbed.voltage[:, 5], alone.voltage[:, 5], atol=2e-9)
    assert disturbed.converged[5]
    assert not disturbed.converged[40]
