"""Rows that rounded columns cannot keep are seen before the linear program is asked."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from microgrid.dispatch.compile import Program
from microgrid.dispatch.repair import out_of_reach

COUNTS = np.array([0, 1])


def program(row_lower: float, row_upper: float, *, free: float = 0.0) -> Program:
    """``row_lower <= n_0 + n_1 - q <= row_upper`` with ``0 <= q <= free``."""
    zeros = np.zeros(3)
    return Program(
        sp.csr_array(np.array([[1.0, 1.0, -1.0]])), np.array([row_lower]), np.array([row_upper]),
        zeros, np.array([2.0, 2.0, free]), zeros, 0.0, np.array([True, True, False]), (), (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "bounds", "free", "missed"),
    [
        ([1.0, 1.0], (-np.inf, 1.5), 0.0, True),  # two hours run, one and a half are allowed
        ([1.0, 0.0], (-np.inf, 1.5), 0.0, False),
        ([1.0, 1.0], (-np.inf, 1.5), 0.5, False),  # the continuous column can make up for it
        ([1.0, 1.0], (-np.inf, 1.5), np.inf, False),
        ([0.0, 1.0], (2.0, np.inf), 0.5, True),  # too few, whatever the continuous column does
        ([0.0, 2.0], (2.0, 2.0), 0.5, False),
        ([1.0, 1.0], (-np.inf, 2.0 - 1e-9), 0.0, False),  # within tolerance: the solver decides
    ],
)
def test_a_row_out_of_reach_is_seen(
    counts: list[float], bounds: tuple[float, float], free: float, missed: bool
) -> None:
    values = np.array(counts)
    assert out_of_reach(program(*bounds, free=free), COUNTS, values, values) is missed
