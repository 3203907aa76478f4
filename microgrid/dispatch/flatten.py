"""Flatten Pyomo expressions into sparse arrays, row by row, as the rules are written.

Pyomo's `LinearStandardFormCompiler` visits every node through a general dispatcher after the whole model is built. The
expressions of this project are sums of products of numbers and variables only, so one short walk reads them, while they
are still in the processor's cache; then they are dropped, and a year's model never stands in memory as a tree
(measured in `tests/benchmarks/bench_handoff.py`). An expression of any other kind is refused, never approximated.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from pyomo.core.base.var import IndexedVar, VarData
from pyomo.core.expr.numeric_expr import (
    DivisionExpression,
    LinearExpression,
    MonomialTermExpression,
    NegationExpression,
    ProductExpression,
    SumExpression,
)
from pyomo.core.expr.relational_expr import EqualityExpression, InequalityExpression

_NUMBERS: frozenset[Any] = frozenset({float, int, np.float64, np.int64, bool})
_SUMS: frozenset[Any] = frozenset({LinearExpression, SumExpression})


class Column(VarData):
    """A Pyomo variable that knows its place among the columns."""

    __slots__ = ("place",)


class Columns(IndexedVar):
    """An indexed Pyomo variable made of `Column`s."""

    _ComponentDataClass = Column


EXPRESSIONS = (
    Column, MonomialTermExpression, LinearExpression, SumExpression, ProductExpression, NegationExpression,
    DivisionExpression,
)  # fmt: skip
"""Kinds of nodes that a linear rule is made of, beside numbers."""


class Terms:
    """(Column, coefficient) pairs of the expressions read so far."""

    def __init__(self) -> None:
        """Open empty."""
        self.indices = array("i")
        self.coefficients = array("d")

    def read(self, expression: Any, sign: float) -> float:
        """Append the terms of `sign * expression`; return its constant."""
        add_index, add_coefficient = self.indices.append, self.coefficients.append
        if expression.__class__ in _NUMBERS:  # most right-hand sides
            return float(sign * expression)
        constant = 0.0
        stack = [(expression, sign)]
        while stack:
            node, factor = stack.pop()
            # Sums hold nearly all terms, so their members are read here and not through the stack.
            for term in node._args_[: node._nargs] if node.__class__ in _SUMS else (node,):  # noqa: SLF001 - no copy
                kind = term.__class__
                if kind is MonomialTermExpression:
                    scale, variable = term._args_
                    add_index(variable.place)
                    add_coefficient(factor * scale)
                elif kind is Column:
                    add_index(term.place)
                    add_coefficient(factor)
                elif kind in _NUMBERS:
                    constant += factor * term
                else:
                    stack.append((term, factor) if kind in _SUMS else _scaled(term, factor))
        return constant


def _scaled(node: Any, factor: float) -> tuple[Any, float]:
    """One argument of a product, quotient or negation, with its factor."""
    arguments: Any = node.args
    if isinstance(node, NegationExpression):
        return arguments[0], -factor
    if isinstance(node, (ProductExpression, DivisionExpression)):
        left, right = arguments
        if right.__class__ in _NUMBERS:
            return left, factor / right if isinstance(node, DivisionExpression) else factor * right
        if left.__class__ in _NUMBERS and isinstance(node, ProductExpression):
            return right, factor * left
    raise TypeError(f"a rule is not linear in the decisions: {node}")


def add_terms(terms: list[Any]) -> Any:
    """Sum of Pyomo terms as one node, where adding one after the other would make as many nodes as terms."""
    kept = [term for term in terms if term.__class__ is not float or term]
    return SumExpression(kept) if len(kept) > 1 else (kept or [0.0])[0]


@dataclass
class FlatRows:
    """Rows and money of a model as arrays that grow while it is written.

    A variable must be declared before it stands in a row; `width` counts those declared.
    """

    width: int = 0
    starts: array[int] = field(default_factory=lambda: array("i", [0]))
    lower: array[float] = field(default_factory=lambda: array("d"))
    upper: array[float] = field(default_factory=lambda: array("d"))
    offset: float = 0.0

    def __post_init__(self) -> None:
        """Open the readers of rows and of money."""
        self._rows, self._money = Terms(), Terms()

    def declare(self, variables: Sequence[Column]) -> None:
        """Give the next columns to `variables`."""
        for place, variable in enumerate(variables, start=self.width):
            variable.place = place
        self.width += len(variables)

    def add_row(self, relation: Any) -> bool:
        """Append a row; False when the relation says nothing (None, or a comparison of numbers that holds)."""
        kind = relation.__class__
        if kind is InequalityExpression and not relation.strict:
            low = -np.inf
        elif kind is EqualityExpression:
            low = 0.0
        else:
            return self._add_plain(relation)
        left, right = relation._args_
        read = self._rows.read
        constant = read(left, 1.0) + read(right, -1.0)
        self.starts.append(len(self._rows.indices))
        self.upper.append(-constant)
        self.lower.append(low - constant)
        return True

    def _add_plain(self, relation: Any) -> bool:
        """Handle a relation without variables: nothing where it holds, a row that cannot hold where it does not."""
        if relation is None or (isinstance(relation, (bool, np.bool_)) and relation):
            return False
        if not isinstance(relation, (bool, np.bool_)):
            raise TypeError(f"a rule is not a plain equation or inequality: {relation}")
        self.starts.append(len(self._rows.indices))
        self.upper.append(-1.0)
        self.lower.append(-np.inf)
        return True

    def add_money(self, terms: Iterable[Any], sign: float) -> None:
        """Add terms to the objective."""
        read = self._money.read
        self.offset += sum(read(term, sign) for term in terms)

    @property
    def count(self) -> int:
        """Rows written so far."""
        return len(self.upper)

    def matrix(self) -> sp.csr_array:
        """Coefficients, shape (rows, columns), duplicates summed and zeros dropped."""
        matrix = sp.csr_array(
            (np.array(self._rows.coefficients), np.array(self._rows.indices), np.array(self.starts)),
            shape=(self.count, self.width),
        )
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        return matrix

    def cost(self) -> np.ndarray:
        """Objective coefficients, shape (columns,)."""
        indices = np.array(self._money.indices, dtype=np.int64)
        return np.bincount(indices, np.array(self._money.coefficients), self.width).astype(float)


__all__ = ["EXPRESSIONS", "Column", "Columns", "FlatRows", "add_terms"]
