"""Sequences that answer at one position as a list does, and at many positions at once.

`Numbers` hold data, `Terms` linear terms. Both keep a list's meaning of a position: a negative one counts from the end,
one outside raises IndexError, alone or among many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, overload

import numpy as np

from microgrid.formulation.vector import Positions, Term

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


class Terms(Sequence[Any]):
    """Linear terms by position: one `Term` over all of them. Terms without a decision are given out as numbers."""

    def __init__(self, term: Term, size: int) -> None:
        """Keep a term whose arrays have `size` entries."""
        self.term = term
        self.size = size
        self._each: list[Any] | None = None
        self._asked = 0

    def __len__(self) -> int:
        """Return the number of positions."""
        return self.size

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...
    def __getitem__(self, place: Any) -> Any:
        """Term at one position, a list for a slice, or the term at many positions."""
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
        width = len(self.term.columns)
        columns = (entry.tolist() if entry.__class__ is np.ndarray else [entry] * self.size for entry in self._parts())
        for entries in zip(*columns, strict=True):
            yield Term(entries[:width], entries[width:-1], entries[-1]) if width else entries[-1]

    def _parts(self) -> tuple[Any, ...]:
        return (*self.term.columns, *self.term.coefficients, self.term.constant)

    def _made(self, parts: list[Any]) -> Term:
        width = len(self.term.columns)
        return Term(tuple(parts[:width]), tuple(parts[width:-1]), parts[-1])


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


__all__ = ["N", "Numbers", "Terms", "columns_of"]
