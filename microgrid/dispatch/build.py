"""Assemble one model from the pages of all parts.

The assembly knows no part by name: each writes on its own `PyomoBlock`, and the only rows added here are the power
balances of the bus groups. Rules are written in Pyomo expressions and flattened as they are evaluated. Row and column
groups are kept in order, so that a solver's answer can be read back by name without touching Pyomo objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
import pyomo.environ as pyo
from pyomo.common.gc_manager import PauseGC

from microgrid.dispatch import flatten
from microgrid.dispatch.balance import CAMPUS, formulate_balance
from microgrid.dispatch.flatten import EXPRESSIONS, FlatRows, add_terms
from microgrid.formulation.algebra import Linear, add_with
from microgrid.formulation.block import Block, Bound, Campus, RowRule, Rule
from microgrid.formulation.connection import NetworkCut
from microgrid.formulation.evaluate import Declaration, equation, spread
from microgrid.formulation.horizon import Horizon, Index
from microgrid.schema.quantity import Declared


@dataclass(frozen=True)
class Rows:
    """One named rule: the row of its first position, the positions it was written for, and where it stands in Pyomo."""

    name: str
    equation: str
    start: int
    positions: Sequence[int]
    rule: RowRule
    block: pyo.Block
    component: str


@dataclass(frozen=True)
class Columns:
    """One declared variable: its Pyomo data and its bounds in order of position, infinite where there is none."""

    declaration: Declaration
    variables: Sequence[Any]
    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True)
class Pair:
    """Two quantities that must not both be positive at a step, with their upper bounds."""

    name: str
    part: str
    first: Sequence[Any]
    second: Sequence[Any]
    first_max: np.ndarray
    second_max: np.ndarray


@dataclass(frozen=True)
class Counts:
    """Pyomo variables of one commitment, step by step."""

    running: Sequence[Any]
    started: Sequence[Any]
    stopped: Sequence[Any]


@dataclass(frozen=True)
class Alternatives:
    """Pyomo binaries of which one is chosen, and copies of quantities, one an alternative."""

    chosen: Sequence[Any]
    copies: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Money:
    """Terms of one item of cost (sign 1) or revenue (sign -1), USD a position."""

    sign: float
    index: Index
    rule: Rule


@dataclass
class DispatchModel:
    """A model with its groups of columns and rows, its money by item, and the campus it describes.

    `variables` is the Pyomo model with its variables alone; `flat` holds the rows written on them. HiGHS needs no more;
    `pyomo`, the whole model, is completed from the same rules when another solver asks for it.
    """

    variables: pyo.ConcreteModel
    horizon: Horizon
    columns: list[Columns] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)
    money: dict[str, Money] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)
    counts: list[Counts] = field(default_factory=list)
    alternatives: list[Alternatives] = field(default_factory=list)
    campus: Campus = field(default_factory=Campus)
    flat: FlatRows = field(default_factory=FlatRows)
    positions: dict[int, pyo.Set] = field(default_factory=dict)

    @cached_property
    def pyomo(self) -> pyo.ConcreteModel:
        """The whole Pyomo model: variables, constraints and objective."""
        for rows in self.rows:
            constraint = pyo.Constraint(list(rows.positions), rule=_constraint(rows.rule))
            rows.block.add_component(rows.component, constraint)
        items = [item.sign * add_terms([item.rule(place) for place in item.index]) for item in self.money.values()]
        self.variables.objective = pyo.Objective(expr=add_terms(items))
        return self.variables

    def places(self, size: int) -> pyo.Set:
        """Pyomo set of the positions 0 … size-1, shared by all components of that size."""
        if size not in self.positions:
            self.positions[size] = pyo.Set(initialize=range(size), dimen=1)
            self.variables.add_component(f"positions_{size}", self.positions[size])
        return self.positions[size]


class PyomoBlock(Block):
    """A page that becomes a Pyomo block: its rules are rows at once, and Pyomo constraints on demand."""

    model: DispatchModel
    pyomo: pyo.Block

    def open(self, model: DispatchModel) -> PyomoBlock:
        """Attach the page to the model being built."""
        self.model = model
        self.pyomo = model.variables.parts[self.name]
        return self

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
        """Add a Pyomo variable; the returned list is indexed by position."""
        low, high = _limits(lower, index.size, -np.inf), _limits(upper, index.size, np.inf)
        variable = flatten.Columns(
            self.model.places(index.size),
            domain=pyo.Integers if integer else pyo.Reals,
            bounds=(_shared(low), _shared(high)),
        )
        self.pyomo.add_component(_component(name, of), variable)
        data = list(variable.values())
        for side, limits in (("lower", low), ("upper", high)):
            if _shared(limits) is None:
                for entry, limit in zip(data, limits.tolist(), strict=True):
                    setattr(entry, side, limit)
        declaration = Declaration(self.full(name, of), index, unit, meaning, integer)
        self.model.columns.append(Columns(declaration, data, low, high))
        self.model.flat.declare(data)
        return data

    def constraint(self, index: Iterable[int], *, of: str = "") -> Callable[[RowRule], RowRule]:
        """Add the rows of the decorated rule."""

        def add(rule: RowRule) -> RowRule:
            name, add_row, start = rule.__name__, self.model.flat.add_row, self.model.flat.count
            written = [place for place in index if add_row(rule(place))]
            self.model.rows.append(
                Rows(self.full(name, of), equation(rule), start, written, rule, self.pyomo, _component(name, of))
            )
            return rule

        return add

    def cost(self, index: Index, *, of: str = "") -> Callable[[Rule], Rule]:
        """Add money paid to the objective."""
        return self._money(index, of, 1.0)

    def revenue(self, index: Index, *, of: str = "") -> Callable[[Rule], Rule]:
        """Add money received to the objective."""
        return self._money(index, of, -1.0)

    def _money(self, index: Index, of: str, sign: float) -> Callable[[Rule], Rule]:
        def add(rule: Rule) -> Rule:
            self.model.money[self.full(rule.__name__, of)] = Money(sign, index, rule)
            self.model.flat.add_money(map(rule, index), sign)
            return rule

        return add

    def report(
        self, name: str, rule: Rule, unit: str, meaning: str, *, index: Index | None = None, of: str = ""
    ) -> None:
        """Skip: derived quantities are evaluated on the result, not built."""

    def exclusive(self, first: Sequence[Linear], second: Sequence[Linear], first_max: Bound, second_max: Bound) -> None:
        """Keep the pair for the solve, which adds a binary only where a relaxation shows both."""
        size = self.horizon.count
        limits = _limits(first_max, size, np.inf), _limits(second_max, size, np.inf)
        earlier = sum(pair.part == self.name for pair in self.model.pairs)
        name = f"{self.name}.pair_{earlier + 1}" if earlier else self.name
        self.model.pairs.append(Pair(name, self.name, first, second, *limits))

    def counted(self, running: Sequence[Linear], started: Sequence[Linear], stopped: Sequence[Linear]) -> None:
        """Keep the commitment for the repair of the relaxation."""
        self.model.counts.append(Counts(running, started, stopped))

    def alternatives(self, chosen: Sequence[Linear], copies: Sequence[Sequence[Linear]]) -> None:
        """Keep the choice, whose quantities the solve may bound."""
        self.model.alternatives.append(Alternatives(chosen, copies))

    def _terms(self, rule: Rule) -> Sequence[Linear]:
        return cast("list[Linear]", [rule(t) for t in self.horizon.steps])

    def _linear(self, term: Linear | float) -> Linear:
        return cast("Linear", term)


def build(
    parts: Mapping[str, Declared],
    horizon: Horizon,
    inputs: Mapping[str, np.ndarray],
    *,
    groups: Mapping[str, str] | None = None,
    cuts: Sequence[NetworkCut] = (),
    carried: Mapping[str, float] | None = None,
) -> DispatchModel:
    """Build the model of all `parts` (name → declared record), in the order given.

    `groups` maps buses to balance groups (electrically connected areas); one group when absent. With `cuts`, losses
    enter the balance and the network's rows are added.
    """
    with PauseGC():
        model = DispatchModel(pyo.ConcreteModel(), horizon)
        model.variables.parts = pyo.Block([*parts, CAMPUS])
        for name, part in parts.items():
            block = PyomoBlock(name, part, horizon, inputs, model.campus, carried).open(model)
            part.formulate(block)  # type: ignore[attr-defined]
        campus = PyomoBlock(CAMPUS, Declared(), horizon, inputs, model.campus).open(model)
        formulate_balance(campus, parts, groups or {}, cuts)
    return model


add_with(add_terms, *EXPRESSIONS)


def _constraint(rule: RowRule) -> Callable[[object, int], object]:
    """Pyomo's form of a rule; a comparison of numbers that fails makes the model infeasible, as it should."""

    def row(_: object, place: int) -> object:
        relation = rule(place)
        return relation if not isinstance(relation, (bool, np.bool_)) else pyo.Constraint.Infeasible

    return row


def _component(name: str, of: str) -> str:
    return f"{of}.{name}" if of else name


def _limits(bound: Bound, size: int, absent: float) -> np.ndarray:
    """One bound a position; `absent` where there is none."""
    limits = np.array(spread(bound, size), dtype=float)
    return np.where(np.isnan(limits), absent, limits)


def _shared(limits: np.ndarray) -> float | None:
    """The bound of all positions, None when they differ."""
    return float(limits[0]) if limits.size and (limits == limits[0]).all() else None


__all__ = ["Columns", "Counts", "DispatchModel", "Money", "Pair", "PyomoBlock", "Rows", "build"]
