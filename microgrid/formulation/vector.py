"""Linear terms at many positions at once, so that a rule is written for one step and read for a whole year.

A rule `rule(t)` is typed for an `int` and is called with one in the audit. When a model is built it is first called
with `Positions`, an array of many t: variables and numbers of the block answer with a `Term` that holds one column and
one coefficient a position, and a comparison gives a `Row` a position. Nothing else accepts `Positions` (no list, array,
dictionary, `range`, `int()` or format string), and a branch on what differs between positions raises `Uneven`, which
names the positions on either side, so that the rule is read again on each side by itself. What cannot be read so is
read position by position. A rule must therefore be a function of its position alone; it may be called more than once.

A `Term` of plain numbers is the same term at one position.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from microgrid.formulation.algebra import add_with

Number = float | np.ndarray
_PLAIN: frozenset[type] = frozenset({float, int, bool, np.float64, np.int64})


class Uneven(Exception):
    """A rule branches on what holds at some of its positions only: `here`, one truth value a position."""

    def __init__(self, here: np.ndarray) -> None:
        """Tell where it holds."""
        super().__init__("a branch differs between positions")
        self.here = here


class Truth:
    """A comparison of numbers at many positions; asking for its truth value is a branch."""

    __slots__ = ("here",)

    def __init__(self, here: Any) -> None:
        """Keep one truth value a position, or one for all."""
        self.here = np.asarray(here, dtype=bool)

    def __bool__(self) -> bool:
        """Return the answer of all positions; Uneven where they differ."""
        if self.here.all():
            return True
        if self.here.any():
            raise Uneven(self.here)
        return False


class Positions:
    """Many positions of an index, in place of one t."""

    __slots__ = ("at",)
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, at: np.ndarray) -> None:
        """Keep the positions, int64, shape (positions,)."""
        self.at = at

    def __add__(self, other: Any) -> Any:
        return Positions(self.at + _whole(other)) if _is_whole(other) else _constant(self) + other

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return Positions(self.at - _whole(other)) if _is_whole(other) else _constant(self) - other

    def __rsub__(self, other: Any) -> Any:
        return Positions(_whole(other) - self.at) if _is_whole(other) else other - _constant(self)

    def __mul__(self, other: Any) -> Any:
        return Positions(self.at * _whole(other)) if _is_whole(other) else _constant(self) * other

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Positions:
        return Positions(self.at // _divisor(_whole(other)))

    def __mod__(self, other: Any) -> Positions:
        return Positions(self.at % _divisor(_whole(other)))

    def __truediv__(self, other: Any) -> Any:
        return _constant(self) / other

    def __rtruediv__(self, other: Any) -> Any:
        return other / _constant(self)

    def __neg__(self) -> Positions:
        return Positions(-self.at)

    def __lt__(self, other: Any) -> Truth:
        return Truth(self.at < _number(other))

    def __le__(self, other: Any) -> Truth:
        return Truth(self.at <= _number(other))

    def __gt__(self, other: Any) -> Truth:
        return Truth(self.at > _number(other))

    def __ge__(self, other: Any) -> Truth:
        return Truth(self.at >= _number(other))

    def __eq__(self, other: object) -> Truth:  # type: ignore[override]
        return Truth(self.at == _number(other))

    def __ne__(self, other: object) -> Truth:  # type: ignore[override]
        return Truth(self.at != _number(other))

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("many positions are no array")

    def __str__(self) -> str:
        raise TypeError("many positions have no text")

    def __format__(self, _: str) -> str:
        return str(self)


class Term:
    """A linear term ``sum_j coefficients[j] * x[columns[j]] + constant``, at one position or at many.

    Columns, coefficients and constant are numbers, or arrays with one entry a position.
    """

    __slots__ = ("coefficients", "columns", "constant")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, columns: tuple[Any, ...], coefficients: tuple[Any, ...], constant: Any) -> None:
        """Keep as many coefficients as columns."""
        self.columns = columns
        self.coefficients = coefficients
        self.constant = constant

    def __add__(self, other: Any) -> Term:
        if other.__class__ is Term:
            return Term(
                self.columns + other.columns, self.coefficients + other.coefficients, self.constant + other.constant
            )
        return Term(self.columns, self.coefficients, self.constant + _number(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Term:
        if other.__class__ is Term:
            return self + -other
        return Term(self.columns, self.coefficients, self.constant - _number(other))

    def __rsub__(self, other: Any) -> Term:
        difference: Term = -self + other
        return difference

    def __mul__(self, other: Any) -> Term:
        if other.__class__ is float:  # most often, at one position
            return self._scaled(other)
        decided: Term = other if other.__class__ is Term and other.columns else self
        return decided._scaled(_number(self if decided is other else other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Term:
        divisor = _divisor(_number(other))
        return Term(self.columns, tuple([entry / divisor for entry in self.coefficients]), self.constant / divisor)

    def __rtruediv__(self, other: Any) -> Term:
        return Term((), (), _number(other) / _divisor(_factor(self)))

    def __neg__(self) -> Term:
        return Term(self.columns, tuple([-entry for entry in self.coefficients]), -self.constant)

    def __pos__(self) -> Term:
        return self

    def __le__(self, other: Any) -> Row | Truth:
        other = as_term(other)
        if self.columns or other.columns:
            return Row(self - other, equal=False)
        return Truth(self.constant <= other.constant)

    def __ge__(self, other: Any) -> Row | Truth:
        return as_term(other) <= self

    def __eq__(self, other: object) -> Row | Truth:  # type: ignore[override]
        other = as_term(other)
        if self.columns or other.columns:
            return Row(self - other, equal=True)
        return Truth(self.constant == other.constant)

    def __ne__(self, other: object) -> Truth:  # type: ignore[override]
        return Truth(_factor(self) != _factor(as_term(other)))

    def __lt__(self, other: Any) -> Truth:
        return Truth(_factor(self) < _factor(as_term(other)))

    def __gt__(self, other: Any) -> Truth:
        return Truth(_factor(self) > _factor(as_term(other)))

    def __bool__(self) -> bool:
        return bool(self != 0.0)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a linear term is no array")

    def _scaled(self, factor: Number) -> Term:
        return Term(self.columns, tuple([entry * factor for entry in self.coefficients]), self.constant * factor)


class Row:
    """A relation ``body <= 0`` or ``body == 0`` that holds a decision, at one position or at many."""

    __slots__ = ("body", "equal")

    def __init__(self, body: Term, *, equal: bool) -> None:
        """Keep the difference of both sides."""
        self.body = body
        self.equal = equal

    def __bool__(self) -> NoReturn:
        """Refuse: nothing is decided while the model is written."""
        raise TypeError("a comparison of decisions is a row of the model, neither true nor false")


def sum_terms(terms: list[Any]) -> Term:
    """Sum of terms and numbers, each copied once."""
    columns: list[Any] = []
    coefficients: list[Any] = []
    constant: Any = 0.0
    for term in terms:
        if term.__class__ is Term:
            columns += term.columns
            coefficients += term.coefficients
            constant = constant + term.constant
        else:
            constant = constant + _number(term)
    return Term(tuple(columns), tuple(coefficients), constant)


add_with(sum_terms, Term)


def _number(operand: Any) -> Number:
    """Return the number behind an operand; TypeError for what is none."""
    kind = operand.__class__
    if kind in _PLAIN:
        return operand  # type: ignore[no-any-return]
    if kind is Term:
        return _factor(operand)
    if kind is Positions:
        return operand.at.astype(float)  # type: ignore[no-any-return]
    if isinstance(operand, (int, float, np.number, np.bool_)) or (kind is np.ndarray and operand.ndim == 0):
        return float(operand)
    raise TypeError(f"a rule uses {kind.__name__}, which is neither a number nor a linear term")


def as_term(operand: Any) -> Term:
    """Return a term, also for a number."""
    return operand if operand.__class__ is Term else Term((), (), _number(operand))


def _constant(positions: Positions) -> Term:
    return Term((), (), positions.at.astype(float))


def _factor(term: Term) -> Number:
    """Return the number that a term without decisions is; a strict comparison or a product of decisions has none."""
    if term.columns:
        raise TypeError("a rule is not linear in the decisions, or compares them strictly")
    return term.constant  # type: ignore[no-any-return]


def _divisor(number: Any) -> Any:
    """Return a divisor; Python's own error where it is zero anywhere."""
    if not (number.all() if number.__class__ is np.ndarray else number):
        raise ZeroDivisionError("division by zero")
    return number


def _is_whole(operand: Any) -> bool:
    return isinstance(operand, (int, np.integer, Positions))


def _whole(operand: Any) -> Any:
    """Return a whole number or the positions themselves; TypeError for anything else."""
    if operand.__class__ is Positions:
        return operand.at
    if isinstance(operand, (int, np.integer)):
        return operand
    raise TypeError(f"positions are counted by whole numbers, not by {type(operand).__name__}")


__all__ = ["Positions", "Row", "Term", "Truth", "Uneven", "as_term", "sum_terms"]
