"""Assemble one Pyomo model from the pages of all parts.

The assembly knows no part by name: each writes on its own `PyomoBlock`, and the only rows added here are the power
balances of the bus groups. Row and column groups are kept in order, so that a solver's answer can be read back by
name without touching Pyomo objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pyomo.environ as pyo
from pyomo.common.gc_manager import PauseGC

from microgrid.dispatch.balance import CAMPUS, formulate_balance
from microgrid.formulation.algebra import Linear
from microgrid.formulation.block import Block, Bound, Campus, RowRule, Rule
from microgrid.formulation.connection import NetworkCut
from microgrid.formulation.evaluate import Declaration, equation, spread
from microgrid.formulation.horizon import Horizon, Index
from microgrid.schema.quantity import Declared


@dataclass(frozen=True)
class Rows:
    """One named rule: its constraints in order and the position each belongs to."""

    name: str
    equation: str
    constraints: Sequence[Any]
    positions: Sequence[int]


@dataclass(frozen=True)
class Columns:
    """One declared variable: its Pyomo data in order of position."""

    declaration: Declaration
    variables: Sequence[Any]


@dataclass(frozen=True)
class Pair:
    """Two quantities that must not both be positive at a step, with their upper bounds."""

    name: str
    first: Sequence[Any]
    second: Sequence[Any]
    first_max: Sequence[float]
    second_max: Sequence[float]


@dataclass(frozen=True)
class Counts:
    """Pyomo variables of one commitment, step by step."""

    running: Sequence[Any]
    started: Sequence[Any]
    stopped: Sequence[Any]


@dataclass
class DispatchModel:
    """A Pyomo model with its groups of columns and rows, its money by item, and the campus it describes."""

    pyomo: pyo.ConcreteModel
    horizon: Horizon
    columns: list[Columns] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)
    costs: dict[str, list[Any]] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)
    counts: list[Counts] = field(default_factory=list)
    campus: Campus = field(default_factory=Campus)


class PyomoBlock(Block):
    """A page that becomes a Pyomo block."""

    model: DispatchModel
    pyomo: pyo.Block

    def open(self, model: DispatchModel) -> PyomoBlock:
        """Attach the page to the model being built."""
        self.model = model
        self.pyomo = model.pyomo.parts[self.name]
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
        low, high = _plain(lower, index.size), _plain(upper, index.size)
        variable = pyo.Var(
            range(index.size),
            domain=pyo.Integers if integer else pyo.Reals,
            bounds=lambda _, place: (low[place], high[place]),
        )
        self.pyomo.add_component(_component(name, of), variable)
        data = list(variable.values())
        self.model.columns.append(Columns(Declaration(self.full(name, of), index, unit, meaning, integer), data))
        return data

    def constraint(self, index: Iterable[int], *, of: str = "") -> Callable[[RowRule], RowRule]:
        """Add the decorated rule as a Pyomo constraint."""

        def add(rule: RowRule) -> RowRule:
            def row(_: object, place: int) -> object:
                relation = rule(place)
                return pyo.Constraint.Skip if relation is None or relation is True else relation

            constraint = pyo.Constraint(list(index), rule=row)
            self.pyomo.add_component(_component(rule.__name__, of), constraint)
            self.model.rows.append(
                Rows(self.full(rule.__name__, of), equation(rule), list(constraint.values()), list(constraint.keys()))
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
            terms = [rule(place) for place in index]
            self.model.costs[self.full(rule.__name__, of)] = terms if sign > 0 else [-term for term in terms]
            return rule

        return add

    def report(
        self, name: str, rule: Rule, unit: str, meaning: str, *, index: Index | None = None, of: str = ""
    ) -> None:
        """Skip: derived quantities are evaluated on the result, not built."""

    def exclusive(self, first: Sequence[Linear], second: Sequence[Linear], first_max: Bound, second_max: Bound) -> None:
        """Keep the pair for the solve, which adds a binary only where a relaxation shows both."""
        size = self.horizon.count
        self.model.pairs.append(Pair(self.name, first, second, _plain(first_max, size), _plain(second_max, size)))

    def counted(self, running: Sequence[Linear], started: Sequence[Linear], stopped: Sequence[Linear]) -> None:
        """Keep the commitment for the repair of the relaxation."""
        self.model.counts.append(Counts(running, started, stopped))

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
        model.pyomo.parts = pyo.Block([*parts, CAMPUS])
        for name, part in parts.items():
            block = PyomoBlock(name, part, horizon, inputs, model.campus, carried).open(model)
            part.formulate(block)  # type: ignore[attr-defined]
        campus = PyomoBlock(CAMPUS, Declared(), horizon, inputs, model.campus).open(model)
        formulate_balance(campus, parts, groups or {}, cuts)
        model.pyomo.objective = pyo.Objective(expr=pyo.quicksum(term for item in model.costs.values() for term in item))
    return model


def _component(name: str, of: str) -> str:
    return f"{of}.{name}" if of else name


def _plain(bound: Bound, size: int) -> list[float]:
    return [None if entry is None else float(cast("float", entry)) for entry in spread(bound, size)]  # type: ignore[misc]


__all__ = ["Columns", "Counts", "DispatchModel", "Pair", "PyomoBlock", "Rows", "build"]
