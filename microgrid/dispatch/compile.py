"""The compiled program: sparse arrays for HiGHS, with the names by which its rows and columns are read back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from microgrid.formulation.evaluate import Declaration

if TYPE_CHECKING:
    from microgrid.dispatch.build import DispatchModel


@dataclass(frozen=True)
class ColumnGroup:
    """Columns `start` … `start + size` hold one declared variable."""

    declaration: Declaration
    start: int

    @property
    def span(self) -> slice:
        """Where the variable stands in a column vector."""
        return slice(self.start, self.start + self.declaration.index.size)


@dataclass(frozen=True)
class RowGroup:
    """Rows `start` … hold one named rule; `positions` are the index positions it was written for."""

    name: str
    equation: str
    start: int
    positions: Sequence[int]

    @property
    def span(self) -> slice:
        """Where the rule stands in a row vector."""
        return slice(self.start, self.start + len(self.positions))


@dataclass(frozen=True)
class ColumnPair:
    """Columns of two quantities that must not both be positive, with their upper bounds."""

    name: str
    first: np.ndarray
    second: np.ndarray
    first_max: np.ndarray
    second_max: np.ndarray


@dataclass(frozen=True)
class CountColumns:
    """Columns of one commitment: running, started and stopped units by step."""

    running: np.ndarray
    started: np.ndarray
    stopped: np.ndarray


@dataclass(frozen=True)
class AlternativeColumns:
    """Binaries of which one is chosen, and quantities split over them, one column each in each of `copies`."""

    chosen: np.ndarray
    copies: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Program:
    """A mixed-integer linear program ``min c x + offset, row_lower <= A x <= row_upper, lower <= x <= upper``.

    `months` holds the local month of every step (0, 1, …) and `wraps` whether the last step precedes the first.
    """

    matrix: sp.csr_array
    row_lower: np.ndarray
    row_upper: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    cost: np.ndarray
    offset: float
    integer: np.ndarray
    columns: tuple[ColumnGroup, ...]
    rows: tuple[RowGroup, ...]
    pairs: tuple[ColumnPair, ...] = ()
    counts: tuple[CountColumns, ...] = ()
    alternatives: tuple[AlternativeColumns, ...] = ()
    months: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    wraps: bool = False

    def values(self, solution: np.ndarray) -> dict[str, np.ndarray]:
        """Split a column vector into declared variables by name."""
        return {group.declaration.name: solution[group.span] for group in self.columns}


def compile_program(model: DispatchModel) -> Program:
    """Gather the arrays of `model`; columns and rows stand in the order in which they were declared."""
    flat = model.flat
    sizes = [columns.declaration.index.size for columns in model.columns]
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=int)]).tolist()
    groups = [ColumnGroup(columns.declaration, start) for columns, start in zip(model.columns, starts, strict=False)]
    lower = np.concatenate([np.zeros(0), *(columns.lower for columns in model.columns)])
    upper = np.concatenate([np.zeros(0), *(columns.upper for columns in model.columns)])
    integer = np.repeat([group.declaration.integer for group in groups], sizes).astype(bool)
    return Program(
        flat.matrix(), flat.lower, flat.upper, lower, upper, flat.cost(), flat.offset, integer,
        tuple(groups), tuple(model.rows), tuple(model.pairs), tuple(model.counts), tuple(model.alternatives),
        months=np.asarray(model.horizon.month_of), wraps=model.horizon.wraps,
    )  # fmt: skip


def linear_program(
    matrix: sp.csr_array,
    rows: tuple[np.ndarray, np.ndarray],
    columns: tuple[np.ndarray, np.ndarray],
    cost: np.ndarray,
    offset: float = 0.0,
) -> Program:
    """A continuous program without names, from lower and upper limits of its rows and columns."""
    return Program(matrix, *rows, *columns, cost, offset, np.zeros(cost.size, bool), (), ())


def pair_name(part: str, taken: Iterable[str]) -> str:
    """Name of the next exclusive pair of a part: the part's own, then numbered."""
    earlier = sum(name == part or name.startswith(f"{part}.pair_") for name in taken)
    return f"{part}.pair_{earlier + 1}" if earlier else part


__all__ = [
    "AlternativeColumns",
    "ColumnGroup",
    "ColumnPair",
    "CountColumns",
    "Program",
    "RowGroup",
    "compile_program",
    "linear_program",
    "pair_name",
]
