"""The first basis: a hand-solved battery, the cut of its chain, and the same optimum in fewer pivots."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from microgrid.dispatch import crash
from microgrid.dispatch.compile import ColumnGroup, Program, RowGroup
from microgrid.dispatch.first_basis import LONGEST_CHAIN, widest_basis
from microgrid.dispatch.highs import Highs
from microgrid.formulation.evaluate import Declaration
from microgrid.formulation.horizon import Index


def battery(steps: int, price: np.ndarray, load: np.ndarray) -> Program:
    """Import up to 80 MW, a battery of 20 MW and 60 MWh that begins empty, and a load."""
    eye, none = sp.eye_array(steps), sp.csr_array((steps, steps))
    names = ("import_mw", "charge_mw", "discharge_mw", "energy_mwh")
    ahead = sp.eye_array(steps, steps + 1, k=1) - sp.eye_array(steps, steps + 1)
    matrix = sp.vstack([
        sp.hstack([eye, -eye, eye, sp.csr_array((steps, steps + 1))]),
        sp.hstack([none, -0.9 * eye, eye / 0.9, ahead]),
    ])  # fmt: skip
    columns = tuple(
        ColumnGroup(Declaration(name, Index("edge" if k == 3 else "time", steps + (k == 3)), "", name), k * steps)
        for k, name in enumerate(names)
    )
    rows = tuple(RowGroup(name, "", k * steps, range(steps)) for k, name in enumerate(("balance", "energy_balance")))
    limit, zero = np.append(load, np.zeros(steps)), np.zeros(4 * steps + 1)
    upper = np.repeat([80.0, 20.0, 20.0, 60.0], [steps, steps, steps, steps + 1])
    upper[3 * steps] = 0.0
    cost = np.concatenate([price, np.full(2 * steps, 0.1), np.zeros(steps + 1)])
    return Program(
        sp.csr_array(matrix), limit, limit, zero, upper, cost, 0.0, zero.astype(bool), columns, rows,
        months=np.arange(steps) * 12 // steps,
    )  # fmt: skip


def test_balances_are_solved_for_import_and_recursions_for_energy() -> None:
    basic, active = widest_basis(battery(3, np.ones(3), np.full(3, 50.0)))
    # import, charge, discharge, energy; the first recursion is a cut, so it is solved for the discharge, d / 0.9
    assert basic.tolist() == [*[True] * 3, *[False] * 3, True, False, False, False, False, True, True]
    assert active.all()


def test_a_chain_of_states_is_cut() -> None:
    steps = 2 * LONGEST_CHAIN + 1
    basic, _ = widest_basis(battery(steps, np.ones(steps), np.full(steps, 50.0)))
    assert np.flatnonzero(basic[2 * steps : 3 * steps]).tolist() == [0, LONGEST_CHAIN, 2 * LONGEST_CHAIN]
    assert basic.sum() == 2 * steps


@pytest.mark.parametrize("seed", range(4))
def test_the_optimum_is_the_same_in_fewer_pivots(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(crash, "FEWEST_STEPS", 100)
    rng = np.random.default_rng(seed)
    program = battery(240, rng.uniform(20, 60, 240), rng.uniform(30, 75, 240))
    cold, started = (Highs(program, relax=True, options={"presolve": "off"}) for _ in range(2))
    crash.start(program, started)
    assert started.run().objective == pytest.approx(cold.run().objective, rel=1e-9)
    assert started.pivots < 0.5 * cold.pivots
