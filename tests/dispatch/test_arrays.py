"""Rules read on arrays of positions: the same model as one by one and as Pyomo's, and nothing taken wrongly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from microgrid.case.load import load_case
from microgrid.dispatch.build import DispatchModel, build
from microgrid.dispatch.compile import Program, compile_program
from microgrid.formulation.answers import ask, one_by_one, terms_of, total_of
from microgrid.formulation.by_position import Numbers, Terms
from microgrid.formulation.horizon import Horizon
from microgrid.formulation.vector import Positions, Row, Term, sum_terms

COUNT = 200
CASES = {
    "quickstart": [],
    "ercot_hybrid_campus": ["time.end=2025-01-08"],
    "ercot_flexible_campus": ["time.end=2025-01-08"],
    "pjm_ai_campus": ["time.end=2025-01-08", "time.ends=fixed"],
    "island_week": ["time.ends=wrap"],
}


def assert_same(one: Program, two: Program) -> None:
    """Same matrix, bounds, money and names, numbers within rounding."""
    assert one.rows == two.rows
    assert one.columns == two.columns
    assert (one.matrix.indptr == two.matrix.indptr).all()
    assert (one.matrix.indices == two.matrix.indices).all()
    for field in ("row_lower", "row_upper", "lower", "upper", "cost", "integer"):
        np.testing.assert_allclose(getattr(one, field), getattr(two, field), rtol=1e-13, atol=1e-11, err_msg=field)
    np.testing.assert_allclose(one.matrix.data, two.matrix.data, rtol=1e-13)
    assert one.offset == pytest.approx(two.offset, rel=1e-14)
    for first, second in zip(one.pairs, two.pairs, strict=True):
        assert (first.first == second.first).all()
        assert (first.second == second.second).all()


@pytest.mark.parametrize("name", CASES)
def test_shipped_cases_are_the_same_read_at_once_and_one_by_one(name: str) -> None:
    case = load_case(name, CASES[name])
    whole, single = (build(case.parts, case.horizon, case.inputs, fewest=fewest) for fewest in (2, math.inf))
    assert whole.one_by_one == [], "a built-in rule is read one by one, which makes a year slow to build"
    assert_same(compile_program(whole), compile_program(single))


@pytest.mark.parametrize("name", ["quickstart", "island_week"])
def test_the_pyomo_model_is_the_same_to_pyomos_own_compiler(name: str) -> None:
    case = load_case(name, ["time.end=2025-08-06"] if name == "island_week" else [])
    model = build(case.parts, case.horizon, case.inputs)
    program, other = compile_program(model), model.pyomo
    form = LinearStandardFormCompiler().write(other.pyomo, mixed_form=True)
    place = {id(variable): column for column, variable in enumerate(other.variables)}
    columns = np.array([place[id(variable)] for variable in form.columns])
    theirs = form.A.tocsr()
    rows = sorted(  # of kind 1 are upper bounds, of -1 lower bounds, of 0 equations
        _row(columns[theirs.indices[a:b]], theirs.data[a:b] * (kind or 1), bound * (kind or 1), kind == 0)
        for a, b, bound, (_, kind) in zip(theirs.indptr, theirs.indptr[1:], form.rhs, form.rows, strict=False)
    )
    ours = program.matrix
    assert rows == sorted(
        _row(ours.indices[a:b], ours.data[a:b], high, bool(low == high))
        for a, b, low, high in zip(ours.indptr, ours.indptr[1:], program.row_lower, program.row_upper, strict=False)
    )
    cost = np.zeros(program.cost.size)
    cost[columns] = form.c.toarray()[0]
    np.testing.assert_allclose(cost, program.cost, rtol=1e-12, atol=1e-12)
    assert [variable.lb if variable.has_lb() else -np.inf for variable in other.variables] == program.lower.tolist()
    assert [variable.ub if variable.has_ub() else np.inf for variable in other.variables] == program.upper.tolist()


def _row(columns: np.ndarray, coefficients: np.ndarray, bound: float, equal: bool) -> tuple[Any, ...]:
    pairs = sorted(zip(columns.tolist(), coefficients.tolist(), strict=True))
    sign = -1.0 if equal and pairs[0][1] < 0 else 1.0  # an equation may be written from either side
    terms = tuple((column, float(f"{sign * number:.10e}")) for column, number in pairs if number)
    return terms, float(f"{sign * bound:.9e}") + 0.0, equal


# -- traps ------------------------------------------------------------------------------------------------------


def variable(first: int = 0, size: int = COUNT) -> Terms:
    return Terms(Term((np.arange(first, first + size),), (1.0,), 0.0), size)


PRICE = Numbers([float(t * 37 % 11) - 5.0 for t in range(COUNT)])
LIST = list(PRICE)
X, Y = variable(), variable(COUNT)
FIXED = Horizon(pd.Timestamp("2025-01-01T00:00Z"), 60, COUNT, "UTC")
WRAPPED = Horizon(FIXED.start, 60, COUNT, "UTC", wraps=True)
STATES: dict[int, float] = dict.fromkeys(range(COUNT), 2.0)


def slow_or_absent(t: int) -> Any:
    if t == 7:
        return None
    return X[t] <= 5.0 if PRICE[t] > 0 else Y[t] >= -PRICE[t]


RULES: dict[str, Callable[[int], Any]] = {
    "a branch on data": lambda t: (X[t] if PRICE[t] > 1.0 else 2.0 * Y[t]) <= 3.0,
    "a branch on the position": lambda t: X[t] - (X[t - 1] if t else 4.0) <= PRICE[t],
    "a list counted from its end": lambda t: X[t] - X[t - 1] <= PRICE[t - 1],
    "none for some steps": slow_or_absent,
    "the smaller of two": lambda t: X[t] <= min(PRICE[t], 2.0),
    "the larger of two": lambda t: max(PRICE[t], PRICE[t - 1]) * X[t] <= 1.0,
    "truth as data": lambda t: X[t] <= (1.0 if PRICE[t] else 2.0),
    "a list of the rule's own": lambda t: LIST[t] * X[t] <= 1.0,
    "an array of the rule's own": lambda t: np.asarray(LIST)[t] * X[t] <= np.max([LIST[t], 0.0]),
    "int()": lambda t: X[t] <= int(PRICE[t]),
    "round()": lambda t: X[t] <= round(PRICE[t]),
    "a dictionary": lambda t: STATES[t] * X[t] <= 1.0,
    "a text": lambda t: X[t] <= (3.0 if str(t) in {"3", "77"} else 4.0),
    "a format": lambda t: X[t] <= (3.0 if f"{t}" in {"3", "77"} else 4.0),
    "the type of the position": lambda t: X[t] <= (3.0 if isinstance(t, int) else 4.0),
    "a slice": lambda t: sum(X[max(0, t - 2) : t + 1]) <= 1.0,
    "a range": lambda t: sum(X[k] for k in range(max(0, t - 3), t + 1)) <= 1.0,
    "a window": lambda t: sum(X[k] for k in FIXED.recent(t, 5.0)) <= PRICE[t],
    "a window that wraps": lambda t: sum(X[k] for k in WRAPPED.recent(t, 5.0)) <= PRICE[t],
    "a window longer than the horizon": lambda t: sum(X[k] for k in FIXED.recent(t, 3.0 * COUNT)) <= PRICE[t],
    "the step before": lambda t: None if FIXED.previous(t) is None else X[t] <= X[FIXED.previous(t)],
    "the step before that wraps": lambda t: X[t] <= X[WRAPPED.previous(t)],
    "a place out of another": lambda t: X[t] <= Y[Numbers([k // 9 for k in range(COUNT)])[t]],
    "a remainder": lambda t: X[t] <= PRICE[t % 24] + t // 24,
    "the position as a number": lambda t: t * X[t] <= 0.5 * t + (3 - t) / 7,
    "one decision for all": lambda t: X[t] <= PRICE[t] * Y[3],
    "a chain of questions": lambda t: X[t] <= (1.0 if -2 < PRICE[t] <= 3 and t != 9 else 8.0),
    "a caught refusal": lambda t: X[t] <= _number_or_zero(PRICE[t]),
    "nothing but numbers": lambda t: PRICE[t] <= 3.0,
    "always": lambda _: True,
}


def _number_or_zero(number: Any) -> float:
    try:
        return float(number)
    except TypeError:
        return 0.0


def plain_rows(rule: Callable[[int], Any], positions: np.ndarray, fewest: float) -> list[Any]:
    """Rows as columns with coefficients, bound and kind, in order of position."""
    model = DispatchModel(None)  # type: ignore[arg-type] - the pages take no part
    model.flat.declare(2 * COUNT)
    places = model.flat.add_rows(ask(rule, positions, fewest))
    matrix, low, high = model.flat.matrix(), model.flat.lower, model.flat.upper
    return [places.tolist(), matrix.toarray().tolist(), low.tolist(), high.tolist()]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_the_same_at_once_and_one_by_one(name: str) -> None:
    positions = np.arange(COUNT)
    assert plain_rows(RULES[name], positions, 64) == plain_rows(RULES[name], positions, math.inf)
    backwards = positions[::-1].copy()
    assert plain_rows(RULES[name], backwards, 2) == plain_rows(RULES[name], backwards, math.inf)


@pytest.mark.parametrize(
    ("name", "at_once"),
    [("a branch on data", True), ("the smaller of two", True), ("a window", True), ("none for some steps", True),
     ("a list of the rule's own", False), ("an array of the rule's own", False), ("int()", False),
     ("a format", False), ("the type of the position", False), ("a caught refusal", False)],
)  # fmt: skip
def test_branches_are_read_at_once_and_what_arrays_cannot_say_one_by_one(name: str, at_once: bool) -> None:
    assert one_by_one(ask(RULES[name], np.arange(COUNT))) is not at_once


@pytest.mark.parametrize("rule", [lambda t: X[t + 1], lambda t: PRICE[t - COUNT - 1] * X[t], lambda t: X[t] / PRICE[t]])
def test_an_error_of_a_rule_stays_its_own(rule: Callable[[int], Any]) -> None:
    with pytest.raises((IndexError, ZeroDivisionError)):
        ask(rule, np.arange(COUNT))


def test_a_rule_that_changes_its_mind_is_refused() -> None:
    numbers = iter(range(10 * COUNT))
    with pytest.raises(RuntimeError, match="its position alone"):
        ask(lambda t: next(numbers) * X[t], np.arange(COUNT))


def test_terms_terms_of_and_their_sum_are_those_one_by_one() -> None:
    def rule(t: int) -> Any:
        return PRICE[t] * X[t] + (Y[t] - 3.0 if PRICE[t] > 0 else 2.0 * (X[t - 1] + Y[0] + 1.0))

    for fewest in (64, math.inf):
        answers = ask(rule, np.arange(COUNT), fewest)
        terms = terms_of(answers, COUNT)
        assert [plain(term) for term in terms] == [plain(rule(t)) for t in range(COUNT)]
        assert plain(terms[-1]) == plain(rule(COUNT - 1))
        assert plain(total_of(answers)) == pytest.approx(plain(sum_terms([rule(t) for t in range(COUNT)])))


def plain(term: Any) -> dict[int, float]:
    """Coefficients by column, the constant at -1; zeros left out."""
    found = {-1: 0.0}
    whole = sum_terms([term])
    for column, coefficient in zip((*whole.columns, -1), (*whole.coefficients, whole.constant), strict=True):
        found[column] = found.get(column, 0.0) + coefficient
    return {column: number for column, number in found.items() if number}


def test_sequences_keep_the_ways_of_a_list() -> None:
    numbers, many = Numbers([1.0, 2.0, 3.0]), Positions(np.array([-1, 0]))
    assert numbers[many].constant.tolist() == [3.0, 1.0]
    numbers[2] = 9.0
    assert numbers[many].constant.tolist() == [9.0, 1.0], "a list may change after it was read"
    assert (numbers[-1], numbers[:2], [*numbers, 4.0], sum(numbers)) == (9.0, [1.0, 2.0], [1.0, 2.0, 9.0, 4.0], 12.0)
    terms: Sequence[Any] = variable(size=3)
    assert terms[many].columns[0].tolist() == [2, 0]
    assert [term.columns for term in terms[1:]] == [(1,), (2,)]
    assert len(terms) == len(list(terms)) == 3
    for sequence in (numbers, terms):
        for place in (3, -4):
            with pytest.raises(IndexError):
                sequence[place]
            with pytest.raises(IndexError):
                sequence[Positions(np.array([0, place]))]
    assert isinstance(terms[many] <= 1.0, Row)


def test_listed_terms_are_put_side_by_side_when_asked_for_and_wide_ones_are_not() -> None:
    every = Positions(np.arange(COUNT))
    listed = terms_of(ask(lambda t: LIST[t] * X[t] + (Y[t] if LIST[t] > 0 else 1.0), np.arange(COUNT)), COUNT)
    assert [plain(listed[t]) for t in range(COUNT)] == [plain(term) for term in Terms(listed[every], COUNT)]
    wide = terms_of(ask(lambda t: sum(LIST[t] * X[k] for k in range(30)), np.arange(COUNT)), COUNT)
    assert len(wide[3].columns) == 30
    with pytest.raises(TypeError, match="too wide"):
        wide[every]
    said = ask(lambda t: wide[t] + X[t], np.arange(COUNT))
    assert one_by_one(said), "a rule on what is too wide is read one by one"
