"""What a rule may be written with: linear terms and relations, whoever evaluates them.

`Linear` is satisfied by Pyomo variables and expressions when a model is built, and by `Value` when the same rule
is evaluated on a finished result. A rule is therefore written once, solved by the optimiser and recomputed by
the audit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self, cast


class Relation(Protocol):
    """A row: linear term against linear term."""


class Linear(Protocol):  # noqa: PLW1641 - `==` writes a row here; terms are never keys
    """A linear term in the decision variables."""

    def __add__(self, other: Linear | float, /) -> Linear: ...
    def __radd__(self, other: Linear | float, /) -> Linear: ...
    def __sub__(self, other: Linear | float, /) -> Linear: ...
    def __rsub__(self, other: Linear | float, /) -> Linear: ...
    def __mul__(self, other: float, /) -> Linear: ...
    def __rmul__(self, other: float, /) -> Linear: ...
    def __truediv__(self, other: float, /) -> Linear: ...
    def __neg__(self) -> Linear: ...
    def __le__(self, other: Linear | float, /) -> Relation: ...
    def __ge__(self, other: Linear | float, /) -> Relation: ...
    def __eq__(self, other: object, /) -> Relation: ...  # type: ignore[override]


@dataclass(frozen=True, slots=True)
class Slack:
    """A relation evaluated on numbers: by how much it is missed (0 when it holds) and its size."""

    miss: float
    size: float


class Value:
    """A number that behaves like a linear term, so that a rule evaluates to its residual."""

    __slots__ = ("number",)
    __array_ufunc__ = None

    def __init__(self, number: float) -> None:
        """Wrap a plain number."""
        self.number = float(number)

    def __add__(self, other: Value | float) -> Value:
        return Value(self.number + number(other))

    __radd__ = __add__

    def __sub__(self, other: Value | float) -> Value:
        return Value(self.number - number(other))

    def __rsub__(self, other: Value | float) -> Value:
        return Value(number(other) - self.number)

    def __mul__(self, other: float) -> Value:
        return Value(self.number * other)

    __rmul__ = __mul__

    def __truediv__(self, other: float) -> Value:
        return Value(self.number / other)

    def __neg__(self) -> Self:
        return type(self)(-self.number)

    def __le__(self, other: Value | float) -> Slack:
        right = number(other)
        return Slack(_excess(self.number - right), max(abs(self.number), abs(right)))

    def __ge__(self, other: Value | float) -> Slack:
        right = number(other)
        return Slack(_excess(right - self.number), max(abs(self.number), abs(right)))

    def __eq__(self, other: object) -> Slack:  # type: ignore[override]
        right = number(cast("Value | float", other))
        miss = abs(self.number - right)
        return Slack(math.inf if math.isnan(miss) else miss, max(abs(self.number), abs(right)))

    __hash__ = None  # type: ignore[assignment]


def _excess(amount: float) -> float:
    """Positive part; what is no number misses every limit."""
    return math.inf if math.isnan(amount) else max(0.0, amount)


def number(term: Any) -> float:
    """Return the number behind a `Value` or a plain number."""
    return term.number if isinstance(term, Value) else float(term)


Adder = Callable[[list[Any]], Any]
_ADDERS: dict[type, Adder] = {Value: lambda terms: Value(sum(map(number, terms)))}


def add_with(adder: Adder, *kinds: type) -> None:
    """Let `total` sum terms of these kinds at once with `adder`, instead of one after the other."""
    _ADDERS.update(dict.fromkeys(kinds, adder))


def total(terms: Iterable[Linear | float]) -> Linear:
    """Sum of linear terms (zero for none), typed as a linear term."""
    gathered: list[Any] = list(terms)
    for term in gathered:
        if term.__class__ is not float:
            return cast("Linear", _ADDERS.get(term.__class__, sum)(gathered))
    return cast("Linear", sum(gathered))


__all__ = ["Linear", "Relation", "Slack", "Value", "add_with", "number", "total"]
