"""The bound from prices: by hand, against HiGHS, and below the optimum whatever the prices are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from microgrid.dispatch.bound import dual_bound
from microgrid.dispatch.compile import Program
from microgrid.dispatch.highs import Highs, Status

INF = math.inf


def program(matrix: Any, rows: tuple[Any, Any], columns: tuple[Any, Any], cost: Any, offset: float = 0.0) -> Program:
    arrays = (np.asarray(side, float) for side in (*rows, *columns, cost))
    return Program(sp.csr_array(np.asarray(matrix, float)), *arrays, offset, np.zeros(len(cost), bool), (), ())


def test_by_hand() -> None:
    """Engine at 50 $/MWh up to 6 MW, grid at 80 $/MWh, load of 10 MW: 620 $, with 80 $/MWh as the price of load."""
    campus = program([[1, 1]], ([10], [10]), ([0, 0], [6, INF]), [50, 80], offset=7.0)
    assert dual_bound(campus, np.array([80.0])) == pytest.approx(7 + 800 + (50 - 80) * 6)
    assert dual_bound(campus, np.array([50.0])) == pytest.approx(7 + 500)
    assert dual_bound(campus, np.array([81.0])) == -INF, "the grid would be paid for an unlimited import"


def test_a_price_on_the_side_without_a_limit_counts_for_nothing() -> None:
    floor = program([[1.0]], ([2.0], [INF]), ([0], [INF]), [3.0])
    assert dual_bound(floor, np.array([-5.0])) == 0.0
    assert dual_bound(floor, np.array([3.0])) == 6.0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_optimal_prices_give_the_optimum_and_others_no_more(seed: int) -> None:
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 8), random.integers(1, 8)
    matrix = random.integers(-3, 4, (height, width)) * (random.random((height, width)) < 0.7)
    lower, upper = random.integers(-5, 1, width), random.integers(1, 6, width)
    middle = matrix @ random.uniform(lower, upper)
    low = np.where(random.random(height) < 0.3, -INF, middle - random.random(height))
    high = np.where(random.random(height) < 0.3, INF, middle + random.random(height))
    made = program(matrix, (low, high), (lower, upper), random.integers(-4, 5, width), offset=1.5)
    found = Highs(made).run()
    assert found.status is Status.OPTIMAL
    assert found.row_duals is not None
    assert dual_bound(made, found.row_duals) == pytest.approx(found.objective, abs=1e-6)
    assert dual_bound(made, found.row_duals + random.normal(size=height)) <= found.objective + 1e-6
