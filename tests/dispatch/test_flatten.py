"""Rows of terms against Pyomo's own compiler, at one position and at many; relations that are no rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from microgrid.dispatch.flatten import FlatRows
from microgrid.formulation.algebra import total
from microgrid.formulation.answers import Answer, ask
from microgrid.formulation.by_position import Numbers, Terms
from microgrid.formulation.vector import Term

WIDTH, PLACES = 4, 3
NUMBERS = st.integers(-4, 4).map(float)
Expression = Callable[[Any, Any], Any]
"""From a variable and a number by position, at one t, to a term."""


def _leaf(k: int) -> Expression:
    return lambda x, _: x(k)


def expressions() -> st.SearchStrategy[Expression]:
    """Terms written as rules write them."""
    leaves = st.integers(0, WIDTH - 1).map(_leaf)
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda f: lambda x, c: f[0](x, c) + f[1](x, c)),
            st.tuples(inner, inner).map(lambda f: lambda x, c: f[0](x, c) - 2.0 * f[1](x, c)),
            st.tuples(NUMBERS, inner).map(lambda f: lambda x, c: f[0] * f[1](x, c)),
            st.tuples(inner, NUMBERS).map(lambda f: lambda x, c: f[0](x, c) - f[1]),
            inner.map(lambda f: lambda x, c: c * f(x, c) + c),
            inner.map(lambda f: lambda x, c: c - (-f(x, c)) / 4.0),
            st.lists(inner, min_size=1, max_size=4).map(
                lambda fs: lambda x, c: total([*(f(x, c) for f in fs), 0.0, 1.5])
            ),
        ),
        max_leaves=8,
    )


@settings(max_examples=60, deadline=None)
@given(left=expressions(), right=expressions(), relation=st.sampled_from(["<=", ">=", "=="]), data=st.data())
def test_a_row_is_the_one_of_pyomos_compiler(left: Expression, right: Expression, relation: str, data: Any) -> None:
    numbers = [data.draw(NUMBERS) for _ in range(PLACES)]
    flat, model = FlatRows(), pyo.ConcreteModel()
    model.x = pyo.Var(range(WIDTH * PLACES))
    columns = [Terms(Term((flat.declare(PLACES),), (1.0,), 0.0), PLACES) for _ in range(WIDTH)]

    def rule(t: int, of: Any, c: Any) -> Any:
        anchor = reduce(add, (100.0 * of(k, t) for k in range(WIDTH)))  # no row without variables
        one, two = left(lambda k: of(k, t), c[t]) + anchor, right(lambda k: of(k, t), c[t])
        return one <= two if relation == "<=" else one >= two if relation == ">=" else one == two

    answers = ask(lambda t: rule(t, lambda k, s: columns[k][s], Numbers(numbers)), np.arange(PLACES), fewest=1)
    assert answers[0].each is None, "was read on arrays"
    flat.add_rows(answers)
    flat.add_rows(ask(lambda t: rule(t, lambda k, s: columns[k][s], numbers), np.arange(PLACES)))
    model.objective = pyo.Objective(expr=model.x[0])
    model.row = pyo.Constraint(range(PLACES), rule=lambda m, t: rule(t, lambda k, s: m.x[k * PLACES + s], numbers))
    form = LinearStandardFormCompiler().write(model, mixed_form=True)
    expected = np.zeros((PLACES, WIDTH * PLACES))
    expected[:, [column.index() for column in form.columns]] = form.A.toarray()
    kinds = np.array([kind for _, kind in form.rows])  # 1 for upper bounds, -1 for lower bounds, 0 for equations
    for half in (slice(0, PLACES), slice(PLACES, 2 * PLACES)):
        matrix = flat.matrix().toarray()[half]
        turned = np.where(kinds == 0, np.sign((matrix * expected).sum(axis=1)), kinds)  # either side of an equation
        assert turned[:, None] * matrix == pytest.approx(expected, abs=1e-9)
        assert turned * flat.upper[half] == pytest.approx(np.array(form.rhs), abs=1e-9)
        assert (np.isfinite(flat.lower[half]) == (kinds == 0)).all()


def one(relation: Any) -> list[Answer]:
    return [Answer(np.arange(1), each=[relation])]


def variables() -> tuple[FlatRows, Terms]:
    flat = FlatRows()
    return flat, Terms(Term((flat.declare(WIDTH),), (1.0,), 0.0), WIDTH)


def test_money_of_revenue_counts_against_cost() -> None:
    flat, x = variables()
    flat.add_money([Answer(np.arange(2), each=[2.0 * x[0] + 3.0, 4.0 * x[1]])], 1.0)
    flat.add_money(one(5.0 * (x[0] + x[1]) + 1.0), -1.0)
    assert flat.cost().tolist() == [-3.0, -1.0, 0.0, 0.0]
    assert flat.offset == 2.0


@pytest.mark.parametrize("nothing", [None, True, np.True_])
def test_a_relation_that_always_holds_is_no_row(nothing: object) -> None:
    flat, x = variables()
    assert flat.add_rows(one(nothing)).size == 0
    assert flat.add_rows([Answer(np.arange(2), nothing)]).size == 0
    assert flat.add_rows(one(0.0 * x[0] <= 1.0)).size == 0
    assert flat.count == 0


@pytest.mark.parametrize("cannot", [lambda _: False, lambda x: 0.0 * x[0] >= 1.0, lambda x: 0.0 * x[0] == 1.0])
def test_a_relation_of_numbers_that_fails_cannot_hold(cannot: Callable[[Terms], Any]) -> None:
    flat, x = variables()
    assert flat.add_rows(one(cannot(x))).tolist() == [0]
    assert flat.matrix().nnz == 0
    assert flat.upper[0] < 0.0


@pytest.mark.parametrize("size", [3, 100])
def test_rows_of_numbers_are_the_same_one_by_one_and_at_once(size: int) -> None:
    flat = FlatRows()
    x = Terms(Term((flat.declare(size),), (1.0,), 0.0), size)
    weight, limit = Numbers([float(t % 3) for t in range(size)]), Numbers([float(t % 2) - 0.5 for t in range(size)])
    for fewest in (1, np.inf):
        answers = ask(lambda t: weight[t] * x[t] <= limit[t], np.arange(size), fewest)
        places = flat.add_rows(answers)
        assert places.tolist() == [t for t in range(size) if t % 3 or not t % 2]
    half = flat.count // 2
    assert (flat.matrix()[:half] != flat.matrix()[half:]).nnz == 0
    assert flat.upper[:half].tolist() == flat.upper[half:].tolist()


def test_what_is_not_linear_is_refused() -> None:
    flat, x = variables()
    with pytest.raises(TypeError, match="not linear"):
        x[0] * x[1]
    with pytest.raises(TypeError, match="strictly"):
        assert x[0] < 1.0
    with pytest.raises(TypeError, match="neither true nor false"):
        assert 0.0 <= x[0] <= 1.0
    with pytest.raises(TypeError, match="plain equation or inequality"):
        flat.add_rows(one("x < 1"))
    with pytest.raises(ZeroDivisionError):
        x[0] / 0.0
