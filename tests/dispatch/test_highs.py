"""What HiGHS is given: arrays of any layout, and the columns that are whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from microgrid.dispatch.compile import Program, linear_program
from microgrid.dispatch.highs import Highs


def knapsack() -> Program:
    """At least 5 from pieces of 2 at 3 $ and of 3 at 4 $, beside 1 $: 7.67 $ in parts, 8 $ in whole pieces."""
    matrix = sp.csr_array(np.array([[2.0, 3.0]]))
    rows = np.array([5.0]), np.array([np.inf])
    return linear_program(matrix, rows, (np.zeros(2), np.full(2, 9.0)), np.array([3.0, 4.0]), 1.0)


def strided(vector: np.ndarray) -> np.ndarray:
    """The same numbers with others between them in memory."""
    return np.column_stack([vector, np.full(vector.size, 77, vector.dtype)])[:, 0]


def test_arrays_of_any_layout_are_the_same_program() -> None:
    program = knapsack()
    vectors = {name: strided(getattr(program, name)) for name in ("cost", "lower", "upper", "row_lower", "row_upper")}
    long = sp.csr_array(
        (program.matrix.data, program.matrix.indices.astype(np.int64), program.matrix.indptr.astype(np.int64)),
        shape=program.matrix.shape,
    )
    assert not vectors["cost"].flags["C_CONTIGUOUS"]
    outcome = Highs(replace(program, matrix=long, **vectors)).run()
    assert outcome.objective == pytest.approx(1.0 + 5.0 / 3.0 * 4.0)
    assert outcome.row_duals == pytest.approx([4.0 / 3.0])


def test_whole_columns_are_whole_unless_relaxed() -> None:
    program = replace(knapsack(), integer=np.array([True, True]))
    assert Highs(program).run().objective == pytest.approx(8.0)
    assert Highs(program, relax=True).run().row_duals == pytest.approx([4.0 / 3.0])


@pytest.mark.parametrize(("whole", "cost"), [((False, True), 8.0), ((True, False), 1.0 + 20.0 / 3.0)])
def test_only_marked_columns_are_whole(whole: tuple[bool, bool], cost: float) -> None:
    program = replace(knapsack(), integer=np.array(whole))
    assert Highs(program).run().objective == pytest.approx(cost)
