"""Read a part's page with numbers in place of variables: the audit and `describe` both do.

Rows become residuals, costs become dollars, declared variables and rule docstrings are kept. Nothing of Pyomo or of
a solver takes part, so a result that was written to disk is checked from its own numbers.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Slack, Value, number
from microgrid.formulation.block import Block, Bound, RowRule, Rule
from microgrid.formulation.horizon import Index


@dataclass(frozen=True)
class Declaration:
    """A variable or reported quantity as its part declared it."""

    name: str
    index: Index
    unit: str
    meaning: str
    integer: bool = False


@dataclass(frozen=True)
class RowResidual:
    """Worst miss of one named rule, absolute and relative to the size of its terms, and where it is."""

    name: str
    equation: str
    rows: int
    miss: float
    relative: float
    position: int


@dataclass
class Reading:
    """What a page said: declarations, rules with residuals, money by item, overlaps of exclusive pairs."""

    variables: dict[str, Declaration] = field(default_factory=dict)
    reports: dict[str, Declaration] = field(default_factory=dict)
    reported: dict[str, np.ndarray] = field(default_factory=dict)
    rows: list[RowResidual] = field(default_factory=list)
    costs: dict[str, np.ndarray] = field(default_factory=dict)
    cost_equations: dict[str, str] = field(default_factory=dict)
    cost_indexes: dict[str, Index] = field(default_factory=dict)
    overlaps: dict[str, float] = field(default_factory=dict)
    bound_miss: float = 0.0
    integer_miss: float = 0.0
    worst_bound: str = ""


class ValueBlock(Block):
    """A block whose variables are the numbers of a result (zero where `values` lacks them)."""

    values: Mapping[str, np.ndarray]
    reading: Reading

    def read(self, values: Mapping[str, np.ndarray], reading: Reading) -> Reading:
        """Let the part write its page over `values` (full variable name → array) into `reading`."""
        self.values = values
        self.reading = reading
        self.part.formulate(self)  # type: ignore[attr-defined]
        return reading

    def variable(
        self,
        name: str,
        index: Index,
        unit: str,
        meaning: str,
        *,
        lower: Bound = 0.0,
        upper: Bound = None,
        integer: bool = False,
        of: str = "",
    ) -> Sequence[Linear]:
        """Take the numbers of the variable from the result and check its bounds and integrality."""
        full = self.full(name, of)
        self.reading.variables[full] = Declaration(full, index, unit, meaning, integer)
        numbers = np.asarray(self.values.get(full, np.zeros(index.size)), dtype=float)
        self._check_bounds(full, numbers, lower, upper)
        if integer:
            self.reading.integer_miss = max(self.reading.integer_miss, _largest(np.abs(numbers - np.round(numbers))))
        return [cast("Linear", Value(entry)) for entry in numbers.tolist()]

    def _check_bounds(self, full: str, numbers: np.ndarray, lower: Bound, upper: Bound) -> None:
        for bound, sign in ((lower, -1.0), (upper, 1.0)):
            if bound is None:
                continue
            limit = np.array([number(entry) for entry in spread(bound, numbers.size)])
            bounded = ~np.isinf(limit)
            beyond = sign * (numbers - limit)[bounded] / np.maximum(1.0, np.abs(limit[bounded]))
            miss = _largest(beyond)
            if miss > self.reading.bound_miss:
                self.reading.bound_miss, self.reading.worst_bound = miss, full

    def constraint(self, index: Iterable[int], *, of: str = "") -> Callable[[RowRule], RowRule]:
        """Evaluate the rule everywhere and keep its worst residual."""

        def keep(rule: RowRule) -> RowRule:
            worst, relative, position, rows = 0.0, 0.0, -1, 0
            for place in index:
                relation = rule(place)
                if relation is None:
                    continue
                rows += 1
                slack = _slack(relation)
                share = slack.miss / max(1.0, slack.size) if math.isfinite(slack.miss) else math.inf
                if share > relative or position < 0:
                    worst, relative, position = slack.miss, share, place
            name = self.full(rule.__name__, of)
            self.reading.rows.append(RowResidual(name, equation(rule), rows, worst, relative, position))
            return rule

        return keep

    def cost(self, index: Index, *, of: str = "") -> Callable[[Rule], Rule]:
        """Evaluate money paid."""
        return self._money(index, of, 1.0)

    def revenue(self, index: Index, *, of: str = "") -> Callable[[Rule], Rule]:
        """Evaluate money received, kept as a negative cost."""
        return self._money(index, of, -1.0)

    def _money(self, index: Index, of: str, sign: float) -> Callable[[Rule], Rule]:
        def keep(rule: Rule) -> Rule:
            name = self.full(rule.__name__, of)
            self.reading.costs[name] = np.array([sign * number(rule(place)) for place in index])
            self.reading.cost_equations[name] = equation(rule)
            self.reading.cost_indexes[name] = index
            return rule

        return keep

    def report(
        self, name: str, rule: Rule, unit: str, meaning: str, *, index: Index | None = None, of: str = ""
    ) -> None:
        """Evaluate a derived quantity."""
        full = self.full(name, of)
        places = index or self.horizon.steps
        self.reading.reports[full] = Declaration(full, places, unit, meaning)
        self.reading.reported[full] = np.array([number(rule(place)) for place in places])

    def exclusive(self, first: Sequence[Linear], second: Sequence[Linear], first_max: Bound, second_max: Bound) -> None:
        """Keep the largest simultaneous amount of the pair."""
        overlap = [min(number(one), number(two)) for one, two in zip(first, second, strict=True)]
        self.reading.overlaps[self.name] = max([self.reading.overlaps.get(self.name, 0.0), *overlap])

    def _linear(self, term: Linear | float) -> Linear:
        return cast("Linear", term if isinstance(term, Value) else Value(float(cast("float", term))))


def equation(rule: Callable[[int], object]) -> str:
    """Docstring of a rule, which is its equation."""
    return inspect.getdoc(rule) or ""


def spread(bound: Bound, size: int) -> list[Linear | float]:
    """One bound a position, from a number or a sequence."""
    if isinstance(bound, (int, float, np.floating)) or not isinstance(bound, (Sequence, np.ndarray)):
        return [cast("Linear | float", bound)] * size
    return list(cast("Sequence[float]", bound))


def limits(bound: Bound, size: int, absent: float) -> np.ndarray:
    """One bound a position, shape (size,); `absent` where there is none."""
    found = np.array(spread(bound, size), dtype=float)
    return np.where(np.isnan(found), absent, found)


def exclusive_limits(part: str, first: Bound, second: Bound, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Upper bounds of an exclusive pair of `part`, each of shape (size,); InvalidInput where one is not finite."""
    found = limits(first, size, np.inf), limits(second, size, np.inf)
    if not all(np.isfinite(side).all() for side in found):
        rule = "at most one of two quantities may flow at a time, and one of them has no upper bound"
        raise InvalidInput(Problem(rule, "give both a finite limit: `block.exclusive` multiplies it by a binary", part))
    return found


def _slack(relation: object) -> Slack:
    if isinstance(relation, Slack):
        return relation
    return Slack(0.0 if relation else float("inf"), 0.0)


def _largest(numbers: np.ndarray) -> float:
    """Largest entry, infinite when any is NaN, zero for none."""
    if numbers.size == 0:
        return 0.0
    return float("inf") if np.isnan(numbers).any() else float(numbers.max())


__all__ = ["Declaration", "Reading", "RowResidual", "ValueBlock", "equation", "exclusive_limits", "limits", "spread"]
