"""pandapower as last resort: it may only find what the engine itself proves, under the same controls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp
import pytest

from microgrid.network.profiles import Profiles
from microgrid.powerflow import run
from microgrid.powerflow.controls import Controls
from microgrid.powerflow.reference import compare_with_pandapower
from microgrid.powerflow.run import run_power_flow
from microgrid.powerflow.solve import Status
from microgrid.powerflow.violations import find_violations


def weak_feeder() -> Any:
    net = pp.create_empty_network(sn_mva=100.0)
    for name in "AB":
        pp.create_bus(net, 34.5, name=name, min_vm_pu=0.95, max_vm_pu=1.05)
    pp.create_ext_grid(net, 0, vm_pu=1.0)
    pp.create_line_from_parameters(net, 0, 1, 20.0, 0.1, 0.4, 10.0, 3.0, name="L", max_loading_percent=100.0)
    pp.create_gen(net, 1, 5.0, vm_pu=1.0, name="g", min_q_mvar=-5.0, max_q_mvar=5.0)
    pp.create_load(net, 1, 20.0, 6.0, name="load")
    return net


def island(limit_mvar: float) -> Any:
    net = pp.create_empty_network(sn_mva=100.0)
    for name in "AB":
        pp.create_bus(net, 13.8, name=name)
    pp.create_line_from_parameters(net, 0, 1, 1.0, 0.1, 0.3, 10.0, 1.0, name="L")
    pp.create_gen(net, 0, 5.0, vm_pu=1.0, slack=True, slack_weight=1.0, name="lead")
    pp.create_gen(net, 1, 5.0, slack_weight=3.0, name="g", min_q_mvar=-limit_mvar, max_q_mvar=limit_mvar)
    pp.create_load(net, 1, 20.0, 6.0, name="load")
    return net


def test_steps_that_only_unlimited_generators_could_serve_are_divergent() -> None:
    """At 60 MW and more no voltage carries the load with 5 Mvar; without the limit there is one at 1.0 pu."""
    net, power = weak_feeder(), np.array([[20.0, 60.0, 100.0]])
    profiles = Profiles(
        3, {"load": power, "gen": np.full((1, 3), 5.0)}, {"load": 0.3 * power}, {"gen": np.ones((1, 3))}
    )
    result = run_power_flow(net, profiles)
    assert result["status"].values.tolist() == [Status.SOLVED, Status.DIVERGENT, Status.DIVERGENT]
    assert np.isnan(result["vm_pu"].values[:, 1:]).all()
    assert [(found.kind, found.step) for found in find_violations(net, result)] == [("divergent", 1), ("divergent", 2)]
    free = run_power_flow(net, profiles, Controls(reactive_limits=False))
    assert (free["status"] == Status.SOLVED).all()  # the limit is what forbids it


@pytest.mark.parametrize("limit_mvar", [1.0, np.nan])
def test_what_pandapower_finds_is_settled_and_proven_by_the_engine(limit_mvar: float, monkeypatch: Any) -> None:
    net, steps = island(limit_mvar), 2
    online = {"gen": np.array([[1.0, 1.0], [1.0, 0.5]])}
    powers = {"load": np.full((1, steps), 20.0), "gen": np.full((2, steps), 5.0)}
    profiles = Profiles(steps, powers, {"load": np.full((1, steps), 6.0)}, {"gen": np.ones((2, steps))}, online)
    controls = Controls(distributed_slack=True)
    wanted, real = run_power_flow(net, profiles, controls), run.settle

    def failing(*given: Any) -> Any:
        settled = real(*given)
        settled.solved.status[:] = Status.DIVERGENT
        return settled

    monkeypatch.setattr(run, "settle", failing)
    found = run_power_flow(net, profiles, controls)
    assert (found["status"] == Status.PANDAPOWER).all()
    assert float(found["residual_pu"].max()) <= 1e-7
    for name in ("vm_pu", "generator_p_mw", "generator_q_mvar", "generator_at_limit", "source_q_mvar", "losses_mw"):
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-7)
    assert compare_with_pandapower(net, profiles, found).steps == ()
