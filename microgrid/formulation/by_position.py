"""Sequences that answer at one position as a list does, and at many positions at once.

`Numbers` hold data, `Terms` linear terms. Both keep a list's meaning of a position: a negative one counts from the end,
one outside raises IndexError, alone or among many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, overload

import numpy as np

from microgrid.formulation.vector import Positions, Term, as_term

N = TypeVar("N", float, int)
_MUTATORS = (
    "__delitem__", "__iadd__", "__imul__", "__setitem__", "append", "clear", "extend", "insert", "pop", "remove",
    "reverse", "sort",
)  # fmt: skip


class Numbers(list[N]):
    """A list of numbers by position; whole numbers at many positions are positions again (the month of a step)."""

    _array: np.ndarray | None = None

    def __getitem__(self, place: Any) -> Any:
        """Number at one position, a list for a slice, or the numbers at many positions."""
        if place.__class__ is not Positions:
            return super().__getitem__(place)
        if self._array is None:
            self._array = np.array(self)
        found = self._array[place.at]
        if found.dtype.kind in "iu":
            return Positions(found)
        if found.dtype.kind != "f":
            raise TypeError("only plain numbers are read at many positions")
        return Term((), (), found)


def _forgetting(name: str) -> Callable[..., Any]:
    change = getattr(list, name)

    def changed(self: Numbers[Any], *arguments: Any, **options: Any) -> Any:
        self._array = None
        return change(self, *arguments, **options)

    return changed


for _name in _MUTATORS:  # a list may change after it was read
    setattr(Numbers, _name, _forgetting(_name))


SELDOM = 16
"""Calls for one position after which `Terms` keep all of them."""


WIDEST = 24
"""Columns a term may have where terms of many positions are put side by side."""

Piece = tuple[np.ndarray, list[Term]]
"""Places with one term of arrays for all of them, or with as many terms of numbers."""


class Terms(Sequence[Any]):
    """Linear terms by position: one `Term` over all of them. Terms without a decision are given out as numbers.

    They may come as a list of terms and numbers, which are put side by side once many positions are asked for.
    """

    def __init__(self, term: Term | None, size: int, each: list[Any] | None = None) -> None:
        """Keep a term whose arrays have `size` entries, or a list of `size` terms and numbers, or both."""
        self.size = size
        self._term = term
        self._each = each
        self._asked = 0

    @property
    def term(self) -> Term:
        """One term over all positions; TypeError where a listed term has too many columns for that."""
        if self._term is None:
            self._term = side_by_side(
                [(np.arange(self.size), [as_term(entry) for entry in self._each or ()])], self.size
            )
        return self._term

    def __len__(self) -> int:
        """Return the number of positions."""
        return self.size

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...
    def __getitem__(self, place: Any) -> Any:
        """Term at one position, a list for a slice, or the term at many positions."""
        if self._each is not None and place.__class__ is int:
            return self._each[place]
        if place.__class__ is Positions:
            at = _inside(place.at, self.size)
            return self._made([_at(entry, at) for entry in self._parts()])
        if self._each is None and self._asked >= SELDOM:  # soon all will be asked for: a list gives them faster
            self._each = list(self)
        if self._each is not None:
            return self._each[place]
        if isinstance(place, slice):
            return [self[k] for k in range(*place.indices(self.size))]
        self._asked += 1
        k = range(self.size)[place]  # the list's own rules for what is a position
        term = self._made([entry[k].item() if entry.__class__ is np.ndarray else entry for entry in self._parts()])
        return term if term.columns else term.constant

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the terms one by one."""
        if self._each is not None:
            yield from self._each
            return
        width = len(self.term.columns)
        columns = (entry.tolist() if entry.__class__ is np.ndarray else [entry] * self.size for entry in self._parts())
        for entries in zip(*columns, strict=True):
            yield Term(entries[:width], entries[width:-1], entries[-1]) if width else entries[-1]

    def _parts(self) -> tuple[Any, ...]:
        return (*self.term.columns, *self.term.coefficients, self.term.constant)

    def _made(self, parts: list[Any]) -> Term:
        width = len(self.term.columns)
        return Term(tuple(parts[:width]), tuple(parts[width:-1]), parts[-1])


def side_by_side(pieces: Sequence[Piece], size: int) -> Term:
    """One term over all positions, each of which is in one piece; zeros where a term has fewer columns than others."""
    width = max((len(term.columns) for _, terms in pieces for term in terms), default=0)
    if width > WIDEST:
        raise TypeError(f"terms of {width} columns are too wide to be read at many positions")
    columns = np.zeros((width, size), dtype=np.int64)
    coefficients, constant = np.zeros((width, size)), np.zeros(size)
    for places, terms in pieces:
        constant[places] = [term.constant for term in terms]
        for row in range(width):
            columns[row, places] = [term.columns[row] if row < len(term.columns) else 0 for term in terms]
            coefficients[row, places] = [term.coefficients[row] if row < len(term.columns) else 0.0 for term in terms]
    return Term(tuple(columns), tuple(coefficients), constant)


def _inside(at: np.ndarray, size: int) -> np.ndarray:
    """Return the positions as they are; IndexError where one lies outside, also for terms that have no array."""
    if at.size and (at.min() < -size or at.max() >= size):
        raise IndexError("position out of range")
    return at


def _at(entry: Any, at: np.ndarray) -> Any:
    return entry[at] if entry.__class__ is np.ndarray else entry


def columns_of(terms: Sequence[Any]) -> np.ndarray:
    """Columns of variables by position, shape (positions,); TypeError where a term is no plain variable."""
    found = [terms.term] if isinstance(terms, Terms) else list(terms)
    if any(len(term.columns) != 1 or term.coefficients != (1.0,) or term.constant != 0.0 for term in found):
        raise TypeError("variables are expected here, not sums or multiples of them")
    columns = [term.columns[0] for term in found]
    return np.asarray(columns[0] if isinstance(terms, Terms) else columns, dtype=np.int64)


__all__ = ["WIDEST", "N", "Numbers", "Terms", "columns_of", "side_by_side"]
