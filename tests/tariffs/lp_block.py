"""A page that becomes a small MILP by plain coefficient arithmetic: the second reader of tariff pages.

It shares nothing with the product's assembly (Pyomo) and solves with scipy's `milp`, so that a mistake in one reader
does not hide in the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from microgrid.formulation.block import Block, Bound, Campus, RowRule, Rule, Signal
from microgrid.formulation.horizon import Horizon, Index
from microgrid.schema.quantity import Declared


class Sum:
    """A constant plus coefficients by column."""

    __slots__ = ("columns", "constant")
    __array_ufunc__ = None

    def __init__(self, constant: float = 0.0, columns: Mapping[int, float] | None = None) -> None:
        self.constant, self.columns = float(constant), dict(columns or {})

    def plus(self, other: Sum | float, scale: float) -> Sum:
        right = other if isinstance(other, Sum) else Sum(float(other))
        made = Sum(self.constant + scale * right.constant, self.columns)
        for column, value in right.columns.items():
            made.columns[column] = made.columns.get(column, 0.0) + scale * value
        return made

    def __add__(self, other: Sum | float) -> Sum:
        return self.plus(other, 1.0)

    __radd__ = __add__

    def __sub__(self, other: Sum | float) -> Sum:
        return self.plus(other, -1.0)

    def __rsub__(self, other: Sum | float) -> Sum:
        return (-1.0 * self).plus(other, 1.0)

    def __mul__(self, factor: float) -> Sum:
        return Sum(self.constant * factor, {column: value * factor for column, value in self.columns.items()})

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Sum:
        return self * (1.0 / divisor)

    def __neg__(self) -> Sum:
        return self * -1.0

    def __le__(self, other: Sum | float) -> tuple[Sum, float, float]:
        return self - other, -np.inf, 0.0

    def __ge__(self, other: Sum | float) -> tuple[Sum, float, float]:
        return self - other, 0.0, np.inf

    def __eq__(self, other: object) -> tuple[Sum, float, float]:  # type: ignore[override]
        return self - other, 0.0, 0.0  # type: ignore[operator]

    __hash__ = None  # type: ignore[assignment]


@dataclass
class Program:
    """Columns, rows and money of a MILP."""

    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    integer: list[int] = field(default_factory=list)
    names: dict[str, range] = field(default_factory=dict)
    rows: list[tuple[Sum, float, float]] = field(default_factory=list)
    costs: dict[str, list[Sum]] = field(default_factory=dict)

    def column(self, lower: float, upper: float, *, integer: bool) -> Sum:
        self.lower.append(lower)
        self.upper.append(upper)
        self.integer.append(int(integer))
        return Sum(0.0, {len(self.lower) - 1: 1.0})

    def solve(self) -> tuple[float, np.ndarray]:
        """Least cost, and the columns."""
        money = sum((term for terms in self.costs.values() for term in terms), Sum())
        if not self.lower:
            return money.constant, np.zeros(0)
        cost = np.zeros(len(self.lower))
        for column, value in money.columns.items():
            cost[column] = value
        rows, columns, values = [], [], []
        for place, (row, _, _) in enumerate(self.rows):
            for column, value in row.columns.items():
                rows.append(place)
                columns.append(column)
                values.append(value)
        matrix = sp.csr_array((values, (rows, columns)), shape=(len(self.rows), len(self.lower)))
        low = [lower - row.constant for row, lower, _ in self.rows]
        high = [upper - row.constant for row, _, upper in self.rows]
        found = milp(
            cost,
            integrality=np.array(self.integer),
            bounds=Bounds(np.array(self.lower), np.array(self.upper)),
            constraints=LinearConstraint(matrix, low, high) if self.rows else (),
            options={"mip_rel_gap": 0.0},
        )
        assert found.success, found.message
        return float(found.fun) + money.constant, np.asarray(found.x)

    def paid(self, point: np.ndarray) -> dict[str, np.ndarray]:
        """Money by item at a point."""
        return {name: np.array([value_of(term, point) for term in terms]) for name, terms in self.costs.items()}


def value_of(term: Sum | float, point: np.ndarray) -> float:
    if not isinstance(term, Sum):
        return float(term)
    return term.constant + sum(value * point[column] for column, value in term.columns.items())


class LpBlock(Block):
    """A page over a `Program`."""

    program: Program

    def variable(
        self,
        name: str,
        index: Index,
        unit: str,  # noqa: ARG002 - the page's own signature
        meaning: str,  # noqa: ARG002
        *,
        lower: Bound = 0.0,
        upper: Bound = None,
        integer: bool = False,
        of: str = "",
    ) -> Sequence[Any]:
        lows, highs = _spread(lower, index.size, -np.inf), _spread(upper, index.size, np.inf)
        full = self.full(name, of)
        assert full not in self.program.names, f"{full} is declared twice"
        first = len(self.program.lower)
        self.program.names[full] = range(first, first + index.size)
        return [self.program.column(low, high, integer=integer) for low, high in zip(lows, highs, strict=True)]

    def constraint(self, index: Iterable[int], *, of: str = "") -> Callable[[RowRule], RowRule]:  # noqa: ARG002
        def add(rule: RowRule) -> RowRule:
            for place in index:
                relation: Any = rule(place)
                if isinstance(relation, (bool, np.bool_)):
                    assert relation, f"{rule.__name__}[{place}] is false in plain numbers"
                elif relation is not None:
                    self.program.rows.append(relation)
            return rule

        return add

    def cost(self, index: Index, *, of: str = "") -> Callable[[Rule], Rule]:
        return self._money(index, of, 1.0)

    def revenue(self, index: Index, *, of: str = "") -> Callable[[Rule], Rule]:
        return self._money(index, of, -1.0)

    def _money(self, index: Index, of: str, sign: float) -> Callable[[Rule], Rule]:
        def add(rule: Rule) -> Rule:
            assert rule.__doc__, f"{rule.__name__} has no equation"
            name = self.full(rule.__name__, of)
            assert name not in self.program.costs, f"{name} is declared twice"
            self.program.costs[name] = [sign * (Sum() + rule(place)) for place in index]
            return rule

        return add

    def report(  # the page's own signature
        self,
        name: str,  # noqa: ARG002
        rule: Rule,
        unit: str,  # noqa: ARG002
        meaning: str,  # noqa: ARG002
        *,
        index: Index | None = None,
        of: str = "",  # noqa: ARG002
    ) -> None:
        for place in index or self.horizon.steps:
            rule(place)

    def exclusive(self, first: Sequence[Any], second: Sequence[Any], first_max: Bound, second_max: Bound) -> None:
        highs = zip(_spread(first_max, len(first), 0.0), _spread(second_max, len(second), 0.0), strict=True)
        for one, two, (high, other) in zip(first, second, highs, strict=True):
            side = self.program.column(0.0, 1.0, integer=True)
            self.program.rows += [one <= high * side, two <= other * (1.0 - side)]

    def _linear(self, term: Any) -> Any:
        return Sum() + term


def _spread(bound: Any, size: int, missing: float) -> list[float]:
    if bound is None:
        return [missing] * size
    return [float(bound)] * size if np.isscalar(bound) else [float(value) for value in bound]


def pinned(
    part: Declared,
    times: pd.DatetimeIndex,
    step_min: int,
    signals: Mapping[str, np.ndarray],
    series: Mapping[str, np.ndarray] | None = None,
    *,
    wraps: bool = False,
    carried: Mapping[str, float] | None = None,
) -> LpBlock:
    """Write the part's page over a meter whose signals are given numbers (MW by step)."""
    named = getattr(part, "tariff").timezone  # noqa: B009 - the part is any declared record
    zone = str(times.tz) if times.tz is not None else "UTC" if named == "naive" else named
    start = times[0] if times.tz is not None else times[0].tz_localize(zone)
    horizon = Horizon(start.tz_convert("UTC"), step_min, len(times), zone, wraps=wraps)
    campus = Campus()
    for name, values in signals.items():
        terms = values.tolist() if name.endswith("_right_mw") else [Sum(value) for value in values.tolist()]
        campus.signals[f"grid.{name}"] = Signal(f"grid.{name}", terms, "MW", "pinned")
    inputs = {f"tariff.series.{key}": values for key, values in (series or {}).items()}
    block = LpBlock("tariff", part, horizon, inputs, campus, carried)
    block.program = Program()
    part.formulate(block)  # type: ignore[attr-defined]
    return block
