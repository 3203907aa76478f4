"""Flatten a Pyomo model into sparse arrays for HiGHS.

Pyomo's `LinearStandardFormCompiler` visits every node through a general dispatcher; the expressions of this project are
sums of products of numbers and variables only, so one short walk reads them some five times faster (measured in
`tests/benchmarks/bench_handoff.py`). An expression of any other kind is refused, never approximated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from pyomo.core.base.var import VarData
from pyomo.core.expr.numeric_expr import (
    DivisionExpression,
    MonomialTermExpression,
    NegationExpression,
    ProductExpression,
    SumExpressionBase,
)
from pyomo.core.expr.relational_expr import EqualityExpression, InequalityExpression

from microgrid.dispatch.build import DispatchModel
from microgrid.formulation.evaluate import Declaration


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
    months: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    wraps: bool = False

    def values(self, solution: np.ndarray) -> dict[str, np.ndarray]:
        """Split a column vector into declared variables by name."""
        return {group.declaration.name: solution[group.span] for group in self.columns}


class _Walk:
    """Reads linear expressions into (column, coefficient) lists."""

    def __init__(self, column: dict[int, int]) -> None:
        self.column = column
        self.indices: list[int] = []
        self.coefficients: list[float] = []

    def read(self, expression: Any, sign: float) -> float:
        """Append the terms of `sign * expression`; return its constant."""
        column, indices, coefficients = self.column, self.indices, self.coefficients
        constant = 0.0
        stack = [(expression, sign)]
        while stack:
            node, factor = stack.pop()
            kind = node.__class__
            if kind is MonomialTermExpression:
                scale, variable = node._args_
                indices.append(column[id(variable)])
                coefficients.append(factor * scale)
            elif kind in _NUMBERS:
                constant += factor * node
            elif isinstance(node, VarData):
                indices.append(column[id(node)])
                coefficients.append(factor)
            elif isinstance(node, SumExpressionBase):
                stack.extend([(argument, factor) for argument in node.args])
            else:
                stack.append(_scaled(node, factor))
        return constant


_NUMBERS = frozenset({float, int, np.float64, np.int64, bool})


def _scaled(node: Any, factor: float) -> tuple[Any, float]:
    """One argument of a product, quotient or negation, with its factor."""
    if isinstance(node, NegationExpression):
        return node.args[0], -factor
    if isinstance(node, (ProductExpression, DivisionExpression)):
        left, right = node.args
        if right.__class__ in _NUMBERS:
            return left, factor / right if isinstance(node, DivisionExpression) else factor * right
        if left.__class__ in _NUMBERS and isinstance(node, ProductExpression):
            return right, factor * left
    raise TypeError(f"a rule is not linear in the decisions: {node}")


def compile_program(model: DispatchModel) -> Program:
    """Flatten `model`; columns and rows stand in the order in which they were declared."""
    column: dict[int, int] = {}
    groups: list[ColumnGroup] = []
    for columns in model.columns:
        groups.append(ColumnGroup(columns.declaration, len(column)))
        column.update(
            zip(map(id, columns.variables), range(len(column), len(column) + len(columns.variables)), strict=True)
        )
    lower, upper = _bounds(model)
    matrix, row_lower, row_upper, rows = _rows(model, column)
    walk = _Walk(column)
    offset = sum(walk.read(term, 1.0) for item in model.costs.values() for term in item)
    cost = np.bincount(walk.indices, walk.coefficients, len(column)) if walk.indices else np.zeros(len(column))
    integer = np.repeat(
        [group.declaration.integer for group in groups], [group.declaration.index.size for group in groups]
    ).astype(bool)
    return Program(
        matrix, row_lower, row_upper, lower, upper, cost, offset, integer, tuple(groups), tuple(rows),
        pairs=_pairs(model, column), counts=_counts(model, column),
        months=np.asarray(model.horizon.month_of), wraps=model.horizon.wraps,
    )  # fmt: skip


def _pairs(model: DispatchModel, column: dict[int, int]) -> tuple[ColumnPair, ...]:
    return tuple(
        ColumnPair(
            pair.name, _columns_of(pair.first, column), _columns_of(pair.second, column),
            np.asarray(pair.first_max, float), np.asarray(pair.second_max, float),
        )
        for pair in model.pairs
    )  # fmt: skip


def _counts(model: DispatchModel, column: dict[int, int]) -> tuple[CountColumns, ...]:
    return tuple(
        CountColumns(*(_columns_of(side, column) for side in (counts.running, counts.started, counts.stopped)))
        for counts in model.counts
    )


def _columns_of(variables: Sequence[Any], column: dict[int, int]) -> np.ndarray:
    return np.array([column[id(variable)] for variable in variables], dtype=np.int64)


def _bounds(model: DispatchModel) -> tuple[np.ndarray, np.ndarray]:
    lower, upper = [], []
    for columns in model.columns:
        for variable in columns.variables:
            low, high = variable.bounds
            lower.append(-np.inf if low is None else low)
            upper.append(np.inf if high is None else high)
    return np.array(lower, float), np.array(upper, float)


def _rows(model: DispatchModel, column: dict[int, int]) -> tuple[sp.csr_array, np.ndarray, np.ndarray, list[RowGroup]]:
    walk = _Walk(column)
    starts, lower, upper, groups = [0], [], [], []
    for rows in model.rows:
        groups.append(RowGroup(rows.name, rows.equation, len(lower), rows.positions))
        for constraint in rows.constraints:
            relation = constraint.expr
            left, right = relation.args
            constant = walk.read(left, 1.0) + walk.read(right, -1.0)
            starts.append(len(walk.indices))
            upper.append(-constant)
            lower.append(-constant if isinstance(relation, EqualityExpression) else -np.inf)
            if not isinstance(relation, (EqualityExpression, InequalityExpression)):
                raise TypeError(f"{rows.name} is not a plain equation or inequality")
    matrix = sp.csr_array(
        (np.array(walk.coefficients), np.array(walk.indices, dtype=np.int32), np.array(starts, dtype=np.int32)),
        shape=(len(lower), len(column)),
    )
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix, np.array(lower, float), np.array(upper, float), groups


__all__ = ["ColumnGroup", "ColumnPair", "CountColumns", "Program", "RowGroup", "compile_program"]
