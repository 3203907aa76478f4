"""Order of elimination and fill of a block-sparse matrix, found once per network pattern.

The Jacobian of a power flow has one 2x2 block per admittance entry. Its pattern does not change between time steps, so
the order of elimination (minimum degree, W. F. Tinney and J. W. Walker, Proc. IEEE 55(11), 1967,
doi:10.1109/PROC.1967.6011) and the place of every fill block are decided once and replayed for all columns.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp


class Elimination(NamedTuple):
    """Replayable elimination of `n` block rows; a NamedTuple because numba reads those.

    `order` (n,): pivots. For the pivot at place q, `neighbour[start[q]:start[q+1]]` are the m rows it updates, `lower`
    and `upper` the blocks (row, pivot) and (pivot, row), and `target[target_start[q] + u*m + v]` block (row u, row v).
    `diagonal` (n,): diagonal blocks. Blocks from `first_fill` to `blocks` exist only through elimination.
    """

    order: np.ndarray
    start: np.ndarray
    neighbour: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    target_start: np.ndarray
    target: np.ndarray
    diagonal: np.ndarray
    first_fill: int
    blocks: int


def minimum_degree(pattern: sp.csr_matrix) -> tuple[list[int], list[list[int]]]:
    """Pivot order, and for each pivot the rows still alive that it couples, for a symmetric pattern (n, n)."""
    size = pattern.shape[0]
    adjacent = [
        set(pattern.indices[pattern.indptr[row] : pattern.indptr[row + 1]].tolist()) - {row} for row in range(size)
    ]
    heap = [(len(links), row) for row, links in enumerate(adjacent)]
    heapq.heapify(heap)
    alive = np.ones(size, bool)
    order: list[int] = []
    coupled: list[list[int]] = []
    while heap:
        degree, pivot = heapq.heappop(heap)
        if not alive[pivot] or degree != len(adjacent[pivot]):
            continue
        alive[pivot] = False
        links = adjacent[pivot]
        for row in links:
            adjacent[row] |= links
            adjacent[row] -= {row, pivot}
            heapq.heappush(heap, (len(adjacent[row]), row))
        order.append(pivot)
        coupled.append(sorted(links))
    return order, coupled


class BlockNumbers:
    """Numbers the blocks of a matrix in the order in which they are first asked for."""

    def __init__(self) -> None:
        """Start with no blocks."""
        self.of: dict[tuple[int, int], int] = {}

    def __call__(self, row: int, column: int) -> int:
        """Return the number of block (row, column)."""
        return self.of.setdefault((row, column), len(self.of))


def plan_elimination(pattern: sp.csr_matrix) -> tuple[Elimination, dict[tuple[int, int], int]]:
    """Plan the elimination of a structurally symmetric pattern (n, n).

    Also returns the block number of every (row, column).
    """
    coo = pattern.tocoo()
    number = BlockNumbers()
    for row, column in zip(coo.row.tolist(), coo.col.tolist(), strict=True):
        number(row, column)
    diagonal = [number(row, row) for row in range(pattern.shape[0])]
    first_fill = len(number.of)
    order, coupled = minimum_degree(pattern)
    neighbour: list[int] = []
    lower: list[int] = []
    upper: list[int] = []
    target: list[int] = []
    for pivot, rows in zip(order, coupled, strict=True):
        neighbour += rows
        lower += [number(row, pivot) for row in rows]
        upper += [number(pivot, row) for row in rows]
        target += [number(row, column) for row in rows for column in rows]
    counts = np.array([len(rows) for rows in coupled], np.int64)
    plan = Elimination(
        order=np.array(order, np.int64),
        start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        neighbour=np.array(neighbour, np.int64),
        lower=np.array(lower, np.int64),
        upper=np.array(upper, np.int64),
        target_start=np.concatenate([[0], np.cumsum(counts**2)]).astype(np.int64),
        target=np.array(target, np.int64),
        diagonal=np.array(diagonal, np.int64),
        first_fill=first_fill,
        blocks=len(number.of),
    )
    return plan, number.of


__all__ = ["Elimination", "minimum_degree", "plan_elimination"]
