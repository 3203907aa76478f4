"""Assemble one model from the pages of all parts.

The assembly knows no part by name: each writes on its own `ArrayBlock`, and the only rows added here are the power
balances of the bus groups. Rules are read on arrays of positions (`formulation.answers`) and stand in the matrix as
they are written. Row and column groups are kept in order, so that a solver's answer can be read back by name.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from microgrid.dispatch.compile import AlternativeColumns, ColumnPair, CountColumns, RowGroup, pair_name
from microgrid.dispatch.flatten import FlatRows
from microgrid.dispatch.pages import Pages
from microgrid.formulation.answers import FEWEST, Answer, ask, one_by_one, terms_of, total_of
from microgrid.formulation.block import Block, Bound, Campus, RowRule, Rule
from microgrid.formulation.by_position import N, Numbers, Terms, columns_of
from microgrid.formulation.evaluate import Declaration, equation, exclusive_limits, limits
from microgrid.formulation.vector import Term

if TYPE_CHECKING:
    from microgrid.dispatch.pyomo_model import PyomoModel
    from microgrid.formulation.algebra import Linear
    from microgrid.formulation.connection import NetworkCut
    from microgrid.formulation.horizon import Horizon, Index
    from microgrid.schema.quantity import Declared


@dataclass(frozen=True)
class Columns:
    """One declared variable: its columns and its bounds in order of position, infinite where there is none."""

    declaration: Declaration
    lower: np.ndarray
    upper: np.ndarray


@dataclass
class DispatchModel:
    """A model with its groups of columns and rows, and the campus it describes.

    `flat` holds rows and money; HiGHS needs no more. `pyomo` is the whole model in Pyomo, read from the same `pages`
    when another solver asks for it. `one_by_one` names what was read position by position though it is long.
    """

    pages: Pages
    fewest: float = FEWEST
    columns: list[Columns] = field(default_factory=list)
    rows: list[RowGroup] = field(default_factory=list)
    pairs: list[ColumnPair] = field(default_factory=list)
    counts: list[CountColumns] = field(default_factory=list)
    alternatives: list[AlternativeColumns] = field(default_factory=list)
    campus: Campus = field(default_factory=Campus)
    flat: FlatRows = field(default_factory=FlatRows)
    one_by_one: list[str] = field(default_factory=list)

    @property
    def horizon(self) -> Horizon:
        """The steps."""
        return self.pages.horizon

    @cached_property
    def pyomo(self) -> PyomoModel:
        """The whole Pyomo model: variables, constraints and objective."""
        from microgrid.dispatch.pyomo_model import write_pyomo  # noqa: PLC0415 - HiGHS needs no Pyomo

        return write_pyomo(self.pages)


class ArrayBlock(Block):
    """A page that becomes rows and columns at once."""

    model: DispatchModel

    def open(self, model: DispatchModel) -> ArrayBlock:
        """Attach the page to the model being built."""
        self.model = model
        return self

    def profile(self, path: str) -> list[float]:
        """Value of a `Profile` field at every step, which rules may read at many steps at once."""
        return Numbers(super().profile(path))

    def numbers(self, values: Iterable[N]) -> list[N]:
        """Numbers by position that rules read, also at many positions at once."""
        return Numbers(values)

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
        """Declare the next columns."""
        low, high = limits(lower, index.size, -np.inf), limits(upper, index.size, np.inf)
        declaration = Declaration(self.full(name, of), index, unit, meaning, integer)
        self.model.columns.append(Columns(declaration, low, high))
        return Terms(Term((self.model.flat.declare(index.size),), (1.0,), 0.0), index.size)

    def constraint(self, index: Iterable[int], *, of: str = "") -> Callable[[RowRule], RowRule]:
        """Add the rows of the decorated rule."""

        def add(rule: RowRule) -> RowRule:
            name, start, positions = self.full(rule.__name__, of), self.model.flat.count, _positions(index)
            written = positions[self.model.flat.add_rows(self._ask(name, rule, positions))]
            self.model.rows.append(RowGroup(name, equation(rule), start, written.tolist()))
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
            answers = self._ask(self.full(rule.__name__, of), rule, _positions(index))
            self.model.flat.add_money(answers, sign)
            return rule

        return add

    def report(
        self, name: str, rule: Rule, unit: str, meaning: str, *, index: Index | None = None, of: str = ""
    ) -> None:
        """Skip: derived quantities are evaluated on the result, not built."""

    def exclusive(self, first: Sequence[Linear], second: Sequence[Linear], first_max: Bound, second_max: Bound) -> None:
        """Keep the pair for the solve, which adds a binary only where a relaxation shows both."""
        one, two = columns_of(first), columns_of(second)
        name = pair_name(self.name, (pair.name for pair in self.model.pairs))
        both = exclusive_limits(self.name, first_max, second_max, one.size)
        self.model.pairs.append(ColumnPair(name, one, two, *both))

    def counted(self, running: Sequence[Linear], started: Sequence[Linear], stopped: Sequence[Linear]) -> None:
        """Keep the commitment for the repair of the relaxation."""
        self.model.counts.append(CountColumns(columns_of(running), columns_of(started), columns_of(stopped)))

    def terms(self, rule: Rule, index: Index | None = None) -> Sequence[Linear]:
        """Linear terms by position, which rules may read at many positions at once."""
        positions = _positions(self.horizon.steps if index is None else index)
        return terms_of(self._ask(f"{self.name}: terms", rule, positions), positions.size)

    def total(self, index: Iterable[int], rule: Rule) -> Linear:
        """Sum of `rule` over `index`."""
        return cast("Linear", total_of(self._ask(f"{self.name}: total", rule, _positions(index))))

    def _ask(self, name: str, rule: Callable[[int], Any], positions: np.ndarray) -> list[Answer]:
        answers = ask(rule, positions, self.model.fewest)
        if one_by_one(answers):
            self.model.one_by_one.append(name)
        return answers

    def alternatives(self, chosen: Sequence[Linear], copies: Sequence[Sequence[Linear]]) -> None:
        """Keep the choice, whose quantities the solve may bound."""
        self.model.alternatives.append(AlternativeColumns(columns_of(chosen), tuple(map(columns_of, copies))))

    def _terms(self, rule: Rule) -> Sequence[Linear]:
        return self.terms(rule)

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
    fewest: float = FEWEST,
) -> DispatchModel:
    """Build the model of all `parts` (name → declared record), in the order given.

    `groups` maps buses to balance groups (electrically connected areas); one group when absent. With `cuts`, losses
    enter the balance and the network's rows are added. Rules with `fewest` positions or more are read on arrays; with
    ``math.inf`` all are read position by position, which gives the same model.
    """
    model = DispatchModel(Pages(parts, horizon, inputs, groups or {}, cuts, carried), fewest)
    on_arrays = _on_arrays(horizon)
    with _no_collection():
        model.pages.write(
            lambda name, part: ArrayBlock(name, part, on_arrays, inputs, model.campus, carried).open(model)
        )
    return model


@contextmanager
def _no_collection() -> Iterator[None]:
    """Let no garbage collection look through the many terms of a rule read position by position."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _on_arrays(horizon: Horizon) -> Horizon:
    """Return the same horizon, with lists that may be read at many steps at once."""
    twin = replace(horizon)
    vars(twin).update(
        times=horizon.times, local=horizon.local, months=horizon.months,
        hours=Numbers(horizon.hours), month_of=Numbers(horizon.month_of),
    )  # fmt: skip
    return twin


def _positions(index: Iterable[int]) -> np.ndarray:
    return np.fromiter(index, dtype=np.int64)


__all__ = ["ArrayBlock", "Columns", "DispatchModel", "build"]
