"""Flattened rows against Pyomo's own compiler, and the relations that are no rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from microgrid.dispatch.flatten import Columns, FlatRows, add_terms

WIDTH = 4
NUMBERS = st.integers(-4, 4).map(float)


def variables() -> tuple[pyo.ConcreteModel, FlatRows, list[Any]]:
    model, flat = pyo.ConcreteModel(), FlatRows()
    model.x = Columns(range(WIDTH), domain=pyo.Reals)
    columns = list(model.x.values())
    flat.declare(columns)
    return model, flat, columns


def expressions(columns: list[Any]) -> st.SearchStrategy[Any]:
    leaves = st.sampled_from(columns)
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
            st.tuples(inner, inner).map(lambda pair: pair[0] - 2.0 * pair[1]),
            st.tuples(NUMBERS, inner).map(lambda pair: pair[0] * pair[1]),
            st.tuples(inner, NUMBERS).map(lambda pair: pair[0] - pair[1]),
            st.tuples(NUMBERS, inner).map(lambda pair: pair[0] - pair[1] / 4.0),
            st.lists(inner, min_size=1, max_size=4).map(lambda terms: add_terms([*terms, 0.0, 1.5])),
        ),
        max_leaves=8,
    )


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_row_is_the_one_of_pyomos_compiler(data: st.DataObject) -> None:
    model, flat, columns = variables()
    left, right = data.draw(expressions(columns)), data.draw(expressions(columns))
    anchored = left + add_terms([100.0 * column for column in columns])  # no row without variables
    relation = anchored == right if data.draw(st.booleans()) else anchored <= right
    flat.add_row(relation)
    model.objective = pyo.Objective(expr=columns[0])
    model.row = pyo.Constraint(expr=relation)
    form = LinearStandardFormCompiler().write(model, mixed_form=True)
    expected = np.zeros(WIDTH)
    expected[[column.place for column in form.columns]] = form.A.toarray()[0]
    assert flat.matrix().toarray()[0] == pytest.approx(expected, abs=1e-9)
    assert flat.upper[0] == pytest.approx(form.rhs[0], abs=1e-9)
    assert np.isfinite(flat.lower[0]) == (form.rows[0].bound_type == 0)


def test_money_of_revenue_counts_against_cost() -> None:
    _, flat, (first, second, *_) = variables()
    flat.add_money([2.0 * first + 3.0, 4.0 * second], 1.0)
    flat.add_money([5.0 * (first + second) + 1.0], -1.0)
    assert flat.cost().tolist() == [-3.0, -1.0, 0.0, 0.0]
    assert flat.offset == 2.0


@pytest.mark.parametrize("nothing", [None, True, np.True_])
def test_a_relation_that_always_holds_is_no_row(nothing: object) -> None:
    _, flat, _ = variables()
    assert not flat.add_row(nothing)
    assert flat.count == 0


def test_a_relation_of_numbers_that_fails_cannot_hold() -> None:
    _, flat, _ = variables()
    assert flat.add_row(False)
    assert flat.matrix().nnz == 0
    assert flat.upper[0] < 0.0


def test_what_is_not_linear_is_refused() -> None:
    _, flat, (first, second, *_) = variables()
    with pytest.raises(TypeError, match="not linear"):
        flat.add_row(first * second <= 1.0)
    with pytest.raises(TypeError, match="plain equation or inequality"):
        flat.add_row(first < 1.0)
    with pytest.raises(TypeError, match="plain equation or inequality"):
        flat.add_row(pyo.inequality(0.0, first, 1.0))
