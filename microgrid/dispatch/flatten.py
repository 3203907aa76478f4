"""Rows and money as sparse arrays, gathered as the rules are read.

A rule that was read on many positions at once becomes rows in one stroke. Rows stand rule after rule, and within a rule
in the order of its index, whichever way it was read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from microgrid.formulation.answers import Answer
from microgrid.formulation.vector import Row, Term, Truth, as_term, sum_terms

NEVER = -1.0
"""Upper bound of a row without columns that cannot hold."""


@dataclass(frozen=True)
class RowBlock:
    """Rows of one rule: the place of each in the index, its bounds, and `lengths` entries of columns, coefficients."""

    places: np.ndarray
    lengths: np.ndarray
    columns: np.ndarray
    coefficients: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


@dataclass
class FlatRows:
    """Rows and money of a model while it is written; `width` counts the columns declared so far."""

    width: int = 0
    count: int = 0
    _blocks: list[RowBlock] = field(default_factory=list)
    _priced: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    _constants: list[np.ndarray] = field(default_factory=list)

    def declare(self, size: int) -> np.ndarray:
        """Columns of the next `size` variables."""
        self.width += size
        return np.arange(self.width - size, self.width)

    def add_rows(self, answers: Sequence[Answer]) -> np.ndarray:
        """Append the rows of a rule; return the places that have one.

        A relation says nothing where it is None, or a comparison of numbers that holds.
        """
        blocks = [_block(answer) for answer in answers]
        block = blocks[0] if len(blocks) == 1 else _in_order(blocks)
        self._blocks.append(block)
        self.count += block.places.size
        return block.places

    def add_money(self, answers: Sequence[Answer], sign: float) -> None:
        """Add terms to the objective."""
        for answer in answers:
            if answer.each is None:
                self._add_priced(as_term(answer.whole), answer.places.size, sign)
            else:
                self._add_priced(sum_terms(answer.each), 1, sign)

    def _add_priced(self, term: Term, size: int, sign: float) -> None:
        columns, coefficients = _table(term.columns, size, np.int64), _table(term.coefficients, size, float)
        self._priced.append((columns.ravel(), sign * coefficients.ravel()))
        self._constants.append(sign * np.broadcast_to(np.asarray(term.constant, dtype=float), size))

    @property
    def lower(self) -> np.ndarray:
        """Lower bounds of the rows, shape (rows,)."""
        return np.concatenate([np.zeros(0), *(block.lower for block in self._blocks)])

    @property
    def upper(self) -> np.ndarray:
        """Upper bounds of the rows, shape (rows,)."""
        return np.concatenate([np.zeros(0), *(block.upper for block in self._blocks)])

    def matrix(self) -> sp.csr_array:
        """Coefficients, shape (rows, columns), duplicates summed and zeros dropped."""
        none = np.zeros(0, dtype=np.int32)
        columns = np.concatenate([none, *(block.columns for block in self._blocks)])
        lengths = np.concatenate([none, *(block.lengths for block in self._blocks)])
        coefficients = np.concatenate([np.zeros(0), *(block.coefficients for block in self._blocks)])
        starts = np.concatenate([none, [0], np.cumsum(lengths)]).astype(np.int32)
        matrix = sp.csr_array((coefficients, columns, starts), shape=(self.count, self.width))
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        return matrix

    def cost(self) -> np.ndarray:
        """Objective coefficients, shape (columns,)."""
        columns = np.concatenate([np.zeros(0, dtype=np.int64), *(columns for columns, _ in self._priced)])
        coefficients = np.concatenate([np.zeros(0), *(coefficients for _, coefficients in self._priced)])
        return np.bincount(columns, coefficients, self.width).astype(float)

    @property
    def offset(self) -> float:
        """Constant of the objective."""
        return math.fsum(np.concatenate([np.zeros(0), *self._constants]).tolist())


def _block(answer: Answer) -> RowBlock:
    return _block_of_whole(answer.places, answer.whole) if answer.each is None else _block_of_each(answer)


def _block_of_whole(places: np.ndarray, relation: Any) -> RowBlock:
    """Rows of one relation at many positions."""
    if not isinstance(relation, Row):
        holds = np.broadcast_to(_holds(relation), places.size)
        return _impossible(places[~holds])
    size, term = places.size, relation.body
    columns, coefficients = _table(term.columns, size, np.int32), _table(term.coefficients, size, float)
    upper = -np.broadcast_to(np.asarray(term.constant, dtype=float), size)
    lower = upper if relation.equal else np.full(size, -np.inf)
    lengths = np.full(size, len(term.columns), dtype=np.int32)
    decides = (coefficients != 0.0).any(axis=1)
    if decides.all():
        return RowBlock(places, lengths, columns.ravel(), coefficients.ravel(), lower, upper)
    # Where every coefficient is zero the row is a comparison of numbers: it says nothing, or it cannot hold.
    fails = ~decides & ~((upper == 0.0) if relation.equal else (upper >= 0.0))
    kept = decides | fails
    lower, upper = np.where(fails, -np.inf, lower), np.where(fails, NEVER, upper)
    return RowBlock(
        places[kept], lengths[kept], columns[kept].ravel(), coefficients[kept].ravel(), lower[kept], upper[kept]
    )


def _block_of_each(answer: Answer) -> RowBlock:
    """Rows of relations one by one."""
    blocks = [(place, relation) for place, relation in zip(answer.places.tolist(), answer.each or (), strict=True)]
    rows = [(place, found) for place, relation in blocks if (found := _one(relation)) is not None]
    columns = [column for _, (columns, _, _, _) in rows for column in columns]
    coefficients = [coefficient for _, (_, coefficients, _, _) in rows for coefficient in coefficients]
    return RowBlock(
        np.array([place for place, _ in rows], dtype=np.int64),
        np.array([len(columns) for _, (columns, _, _, _) in rows], dtype=np.int32),
        np.array(columns, dtype=np.int32),
        np.array(coefficients, dtype=float),
        np.array([lower for _, (_, _, lower, _) in rows], dtype=float),
        np.array([upper for _, (_, _, _, upper) in rows], dtype=float),
    )


def _one(relation: Any) -> tuple[tuple[Any, ...], tuple[Any, ...], float, float] | None:
    """Columns, coefficients and bounds of one row; None where the relation says nothing."""
    if not isinstance(relation, Row):
        return None if _holds(relation) else ((), (), -np.inf, NEVER)
    body = relation.body
    upper = -body.constant
    if not any(body.coefficients):
        holds = upper == 0.0 if relation.equal else upper >= 0.0
        return None if holds else ((), (), -np.inf, NEVER)
    return body.columns, body.coefficients, upper if relation.equal else -np.inf, upper


def _holds(relation: Any) -> Any:
    """Truth of a relation without decisions."""
    if relation is None:
        return True
    if isinstance(relation, Truth):
        return relation.here
    if not isinstance(relation, (bool, np.bool_)):
        raise TypeError(f"a rule is not a plain equation or inequality: {relation!r}")
    return bool(relation)


def _impossible(places: np.ndarray) -> RowBlock:
    """Rows without columns that cannot hold."""
    size, none = places.size, np.zeros(0)
    return RowBlock(
        places, np.zeros(size, np.int32), none.astype(np.int32), none, np.full(size, -np.inf), np.full(size, NEVER)
    )


def _in_order(blocks: Sequence[RowBlock]) -> RowBlock:
    """One block of several, in the order of places."""
    places = np.concatenate([block.places for block in blocks])
    lengths = np.concatenate([block.lengths for block in blocks])
    order = np.argsort(places, kind="stable")
    ends = np.cumsum(lengths)
    moved = lengths[order]
    entries = np.repeat(ends[order] - np.cumsum(moved), moved) + np.arange(moved.sum())
    return RowBlock(
        places[order],
        moved,
        np.concatenate([block.columns for block in blocks])[entries],
        np.concatenate([block.coefficients for block in blocks])[entries],
        np.concatenate([block.lower for block in blocks])[order],
        np.concatenate([block.upper for block in blocks])[order],
    )


def _table(entries: tuple[Any, ...], size: int, kind: Any) -> np.ndarray:
    """Entries side by side, shape (positions, entries)."""
    table = np.empty((size, len(entries)), dtype=kind)
    for place, entry in enumerate(entries):
        table[:, place] = entry
    return table


__all__ = ["FlatRows", "RowBlock"]
