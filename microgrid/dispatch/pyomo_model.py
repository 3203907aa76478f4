"""The same pages as a Pyomo model, one Pyomo block a part, for whoever owns another solver.

It is a reading of its own: rules are called position by position on Pyomo variables, so that Pyomo's compiler gives an
independent check of the arrays that `build` gathers (`tests/dispatch/test_arrays.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pyomo.environ as pyo
from pyomo.common.gc_manager import PauseGC
from pyomo.core.base.var import ScalarVar, VarData
from pyomo.core.expr.numeric_expr import (
    DivisionExpression,
    LinearExpression,
    MonomialTermExpression,
    NegationExpression,
    ProductExpression,
    SumExpression,
)

from microgrid.dispatch.balance import CAMPUS
from microgrid.dispatch.compile import pair_name
from microgrid.dispatch.pages import Pages
from microgrid.formulation.algebra import Linear, add_with
from microgrid.formulation.block import Block, Bound, Campus, RowRule, Rule
from microgrid.formulation.evaluate import exclusive_limits, limits
from microgrid.formulation.horizon import Index


@dataclass(frozen=True)
class PyomoPair:
    """Two quantities that must not both be positive at a step, with their upper bounds."""

    name: str
    part: str
    first: Sequence[Any]
    second: Sequence[Any]
    first_max: np.ndarray
    second_max: np.ndarray


@dataclass
class PyomoModel:
    """A Pyomo model, its variables in the order of the program's columns, its exclusive pairs and its money."""

    pyomo: pyo.ConcreteModel
    variables: list[Any] = field(default_factory=list)
    pairs: list[PyomoPair] = field(default_factory=list)
    money: list[Any] = field(default_factory=list)


class PyomoBlock(Block):
    """A page that becomes a Pyomo block."""

    model: PyomoModel
    pyomo: pyo.Block

    def open(self, model: PyomoModel) -> PyomoBlock:
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
        del unit, meaning
        low, high = limits(lower, index.size, -np.inf).tolist(), limits(upper, index.size, np.inf).tolist()
        domain = pyo.Integers if integer else pyo.Reals
        variable = pyo.Var(range(index.size), domain=domain, bounds=lambda _, place: (low[place], high[place]))
        self.pyomo.add_component(_component(name, of), variable)
        data = list(variable.values())
        self.model.variables += data
        return data

    def constraint(self, index: Iterable[int], *, of: str = "") -> Callable[[RowRule], RowRule]:
        """Add the rows of the decorated rule."""

        def add(rule: RowRule) -> RowRule:
            constraint = pyo.Constraint(list(index), rule=_constraint(rule))
            self.pyomo.add_component(_component(rule.__name__, of), constraint)
            return rule

        return add

    def cost(self, index: Index, *, of: str = "") -> Callable[[Rule], Rule]:
        """Add money paid to the objective."""
        del of
        return self._money(index, 1.0)

    def revenue(self, index: Index, *, of: str = "") -> Callable[[Rule], Rule]:
        """Add money received to the objective."""
        del of
        return self._money(index, -1.0)

    def _money(self, index: Index, sign: float) -> Callable[[Rule], Rule]:
        def add(rule: Rule) -> Rule:
            self.model.money.append(sign * add_terms([rule(place) for place in index]))
            return rule

        return add

    def report(
        self, name: str, rule: Rule, unit: str, meaning: str, *, index: Index | None = None, of: str = ""
    ) -> None:
        """Skip: derived quantities are evaluated on the result, not built."""

    def exclusive(self, first: Sequence[Linear], second: Sequence[Linear], first_max: Bound, second_max: Bound) -> None:
        """Keep the pair for the solve, which adds a binary only where a solved point shows both."""
        size, name = len(first), pair_name(self.name, (pair.name for pair in self.model.pairs))
        both = exclusive_limits(self.name, first_max, second_max, size)
        self.model.pairs.append(PyomoPair(name, self.name, first, second, *both))

    def _linear(self, term: Linear | float) -> Linear:
        return cast("Linear", term)


def write_pyomo(pages: Pages) -> PyomoModel:
    """Read all pages into a Pyomo model: `parts[name]` holds the variables and constraints of a part."""
    with PauseGC():
        model, campus = PyomoModel(pyo.ConcreteModel()), Campus()
        model.pyomo.parts = pyo.Block([*pages.parts, CAMPUS])
        pages.write(
            lambda name, part: PyomoBlock(
                name, part, pages.horizon, pages.inputs, campus, None if name == CAMPUS else pages.carried
            ).open(model)
        )
        model.pyomo.objective = pyo.Objective(expr=add_terms(model.money))
    return model


def add_terms(terms: list[Any]) -> Any:
    """Sum of Pyomo terms as one node, where adding one after the other would make as many nodes as terms."""
    kept = [term for term in terms if term.__class__ is not float or term]
    return SumExpression(kept) if len(kept) > 1 else (kept or [0.0])[0]


add_with(
    add_terms, VarData, ScalarVar, MonomialTermExpression, LinearExpression, SumExpression, ProductExpression,
    NegationExpression, DivisionExpression,
)  # fmt: skip


def _constraint(rule: RowRule) -> Callable[[object, int], object]:
    """Pyomo's form of a rule; a comparison of numbers that fails makes the model infeasible, as it should."""

    def row(_: object, place: int) -> object:
        relation = rule(place)
        if relation is None or (isinstance(relation, (bool, np.bool_)) and relation):
            return pyo.Constraint.Skip
        return relation if not isinstance(relation, (bool, np.bool_)) else pyo.Constraint.Infeasible

    return row


def _component(name: str, of: str) -> str:
    return f"{of}.{name}" if of else name


__all__ = ["PyomoBlock", "PyomoModel", "PyomoPair", "add_terms", "write_pyomo"]
