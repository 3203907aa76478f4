r"""A lower bound on the cost, recomputed from the prices of rows alone.

For any prices y of the rows, with y_i >= 0 where only a lower and y_i <= 0 where only an upper limit exists, weak
duality gives

    \min c x \;\ge\; \sum_i \max(y_i, 0) b_i^{lo} + \min(y_i, 0) b_i^{up}
        + \sum_j \max(d_j, 0) l_j + \min(d_j, 0) u_j, \qquad d = c - A^T y.

No solver needs to be trusted for it: whoever has the program and the prices can add it up again. (Vanderbei, *Linear
Programming*, chapter 5; the form with ranges as in Neumaier and Shcherbina, doi:10.1007/s10107-003-0433-3.)
"""

from __future__ import annotations

import numpy as np

from microgrid.dispatch.compile import Program

NEGLIGIBLE = 1e-7
"""Reduced cost that counts as none in a column without the limit it would push to: HiGHS's own dual tolerance."""


def dual_bound(program: Program, prices: np.ndarray) -> float:
    """Lower bound (USD, with offset) on the relaxation, and so on the program, from row `prices`, shape (rows,).

    Minus infinity when the prices leave a reduced cost above `NEGLIGIBLE` at a column without a limit on that side.
    """
    upward = np.where(np.isfinite(program.row_lower), np.maximum(prices, 0.0), 0.0)
    downward = np.where(np.isfinite(program.row_upper), np.minimum(prices, 0.0), 0.0)
    reduced = program.cost - program.matrix.T @ (upward + downward)
    rows = _reached(upward, program.row_lower) + _reached(downward, program.row_upper)
    return (
        program.offset
        + rows
        + _reached(_kept(reduced, program.lower, 1.0), program.lower)
        + _reached(_kept(reduced, program.upper, -1.0), program.upper)
    )


def _kept(reduced: np.ndarray, limit: np.ndarray, sign: float) -> np.ndarray:
    """Reduced costs of one sign; negligible ones are left out where there is no limit."""
    wanted = np.where(sign * reduced > 0.0, reduced, 0.0)
    return np.where(~np.isfinite(limit) & (np.abs(wanted) <= NEGLIGIBLE), 0.0, wanted)


def _reached(price: np.ndarray, limit: np.ndarray) -> float:
    """Sum of price times limit, where a price of zero counts as zero even at an infinite limit."""
    priced = price != 0.0
    return float(price[priced] @ limit[priced])


__all__ = ["dual_bound"]
