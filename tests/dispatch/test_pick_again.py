"""Choices of one among several: rounding a relaxation may fail where another start does not, and prices pick anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from microgrid.dispatch.compile import AlternativeColumns, Program
from microgrid.dispatch.highs import Highs
from microgrid.dispatch.ranges import with_ranges
from microgrid.dispatch.repair import pick_again


def _program() -> Program:
    """Choice A of three ranges for an output of at least 4.5, and choice B of three fees; x is the output.

    Only the last range of A reaches 4.5, but the relaxation takes less than half of it; B is cheapest at its first fee.
    """
    lows, highs = (0.0, 1.0, 4.0), (1.0, 4.0, 10.0)
    rows = np.zeros((9, 9))
    rows[0, 0:3] = rows[1, 3:6] = 1.0
    for k in range(3):
        rows[2 + k, [6 + k, k]] = 1.0, -highs[k]
        rows[5 + k, [6 + k, k]] = 1.0, -lows[k]
    rows[8, 6:9] = 1.0
    lower = np.array([1.0, 1.0, *[-np.inf] * 3, *[0.0] * 3, 4.5])
    upper = np.array([1.0, 1.0, *[0.0] * 3, *[np.inf] * 4])
    cost = np.array([0.0, 0.1, 0.2, 3.0, 5.0, 9.0, 1.0, 1.0, 1.0])
    integer = np.array([True] * 6 + [False] * 3)
    return Program(sp.csr_array(rows), lower, upper, np.zeros(9), np.full(9, 20.0), cost, 0.0, integer, (), ())


def test_another_start_is_feasible_and_prices_pick_the_rest() -> None:
    program = _program()
    solver = Highs(program, relax=True)
    relaxed = solver.run()
    assert relaxed.point is not None
    assert relaxed.point[2] < 0.5
    found = [outcome.objective for outcome in pick_again(program, solver, relaxed.point, {})]
    assert found[0] == pytest.approx(0.2 + 9.0 + 4.5)
    assert found[-1] == pytest.approx(0.2 + 3.0 + 4.5)


def test_ranges_cut_off_mixtures_and_no_point() -> None:
    """The output is at least 4.5, so no alternative may carry less: the relaxation becomes exact."""
    choice = AlternativeColumns(np.arange(3), (np.arange(6, 9),))
    program = replace(_program(), alternatives=(choice,))
    solver = Highs(program, relax=True)
    before = solver.run().objective
    tight = with_ranges(program, solver, 60.0)
    best = Highs(tight).run()
    assert before < 0.2 + 3.0 + 4.5 - 0.05
    assert best.objective == pytest.approx(0.2 + 3.0 + 4.5)
    assert Highs(tight, relax=True).run().objective == pytest.approx(best.objective, abs=1e-5)
    assert solver.run().objective == pytest.approx(before)
    assert with_ranges(program, solver, 0.0).matrix.shape == program.matrix.shape
