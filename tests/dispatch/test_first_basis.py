"""The first basis: a hand-solved battery, the cut of its chain, and the same optimum in fewer pivots."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from small_years import battery

from microgrid.dispatch import crash
from microgrid.dispatch.first_basis import LONGEST_CHAIN, widest_basis
from microgrid.dispatch.highs import Highs


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
