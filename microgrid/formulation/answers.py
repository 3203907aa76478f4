"""Read a rule on many positions at once, and position by position only where it cannot be read so."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from microgrid.formulation.by_position import WIDEST, Terms, side_by_side
from microgrid.formulation.vector import Positions, Row, Term, Truth, Uneven, as_term, sum_terms

FEWEST = 64
"""Positions below which one call each costs no more than arrays do."""
FEWEST_APART = 16
"""The same for the positions on one side of a branch."""
MOST_SIDES = 24
"""Calls on arrays after which a rule that keeps branching is read position by position."""
SAME = 1e-12
_UNREADABLE = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)

Rule = Callable[[int], Any]


@dataclass(frozen=True)
class Answer:
    """What a rule said at `places` of its index: one answer for all of them (`whole`), or one `each`."""

    places: np.ndarray
    whole: Any = None
    each: list[Any] | None = None


def ask(rule: Rule, positions: np.ndarray, fewest: float = FEWEST) -> list[Answer]:
    """Answers of `rule` at `positions` (int64); together their places are 0 … positions.size - 1, each once.

    A branch splits the positions. Every answer on arrays is compared with the rule's own answer at three positions.
    """
    everywhere = np.arange(positions.size)
    if positions.size < fewest:
        return [_one_by_one(rule, positions, everywhere)]
    waiting, found, calls = [everywhere], list[Answer](), 0
    while waiting:
        places = waiting.pop()
        calls += 1
        if calls > MOST_SIDES or places.size < min(FEWEST_APART, fewest):
            found.append(_one_by_one(rule, positions, places))
            continue
        try:
            many = cast("int", Positions(positions[places]))  # what a rule is typed for; see vector.py
            answer = Answer(places, rule(many))
            found.append(answer if _agrees(rule, positions, answer) else _one_by_one(rule, positions, places))
        except Uneven as branch:
            sides = [places[branch.here], places[~branch.here]] if branch.here.shape == places.shape else []
            waiting += sides
            if not sides:
                found.append(_one_by_one(rule, positions, places))
        except _UNREADABLE:
            found.append(_one_by_one(rule, positions, places))
    return found


def one_by_one(answers: Sequence[Answer], fewest: int = FEWEST) -> bool:
    """Whether so many positions were asked that arrays would have paid, and a good part was read one by one."""
    asked = sum(answer.places.size for answer in answers)
    single = sum(answer.places.size for answer in answers if answer.each is not None)
    return asked >= fewest and single > 0.1 * asked


def _one_by_one(rule: Rule, positions: np.ndarray, places: np.ndarray) -> Answer:
    return Answer(places, each=[rule(position) for position in positions[places].tolist()])


def _agrees(rule: Rule, positions: np.ndarray, answer: Answer) -> bool:
    """Whether the rule, asked at one position, says the same as on arrays.

    What could differ is a rule that asks for the type of its position, or catches the refusals of arrays.
    """
    last = answer.places.size - 1
    for k in {0, last // 2, last}:
        position = int(positions[answer.places[k]])
        first = rule(position)
        if not _same(_plain(answer.whole, k), _plain(first)):
            if not _same(_plain(first), _plain(rule(position))):
                name = getattr(rule, "__name__", "a rule")
                raise RuntimeError(
                    f"{name} says one thing and then another at position {position}; "
                    "a rule must depend on its position alone"
                )
            return False
    return True


def _plain(answer: Any, k: int | None = None) -> tuple[str, dict[int, float], float]:
    """Kind, coefficients by column, and constant of an answer, at entry `k` of its arrays."""
    if answer is None:
        return "nothing", {}, 0.0
    if isinstance(answer, (bool, np.bool_, Truth)):
        here = np.asarray(answer.here if isinstance(answer, Truth) else answer)
        return "truth", {}, float(here if here.ndim == 0 else here[k])
    kind = ("equal" if answer.equal else "at most") if isinstance(answer, Row) else "term"
    term = as_term(answer.body if isinstance(answer, Row) else answer)
    coefficients: dict[int, float] = {}
    for column, coefficient in zip(term.columns, term.coefficients, strict=True):
        place = int(_entry(column, k))
        coefficients[place] = coefficients.get(place, 0.0) + float(_entry(coefficient, k))
    return kind, coefficients, float(_entry(term.constant, k))


def _entry(number: Any, k: int | None) -> Any:
    return number[k] if isinstance(number, np.ndarray) else number


def _same(one: tuple[str, dict[int, float], float], two: tuple[str, dict[int, float], float]) -> bool:
    """Whether two answers are the same within rounding."""
    columns = one[1].keys() | two[1].keys()
    pairs = [(one[1].get(column, 0.0), two[1].get(column, 0.0)) for column in columns]
    return one[0] == two[0] and all(
        a == b or math.isclose(a, b, rel_tol=SAME, abs_tol=SAME) or (math.isnan(a) and math.isnan(b))
        for a, b in [*pairs, (one[2], two[2])]
    )


def terms_of(answers: Sequence[Answer], size: int) -> Terms:
    """The terms of all answers in order of position."""
    if len(answers) == 1 and answers[0].each is None:
        return Terms(as_term(answers[0].whole), size)
    if len(answers) == 1:
        return Terms(None, size, answers[0].each)
    pieces = [(answer.places, [as_term(term) for term in _given(answer)]) for answer in answers]
    if all(len(term.columns) <= WIDEST for _, terms in pieces for term in terms):
        return Terms(side_by_side(pieces, size), size)
    listed: list[Any] = [0.0] * size
    for places, terms in pieces:
        given = terms if len(terms) == places.size else Terms(terms[0], places.size)
        for place, entry in zip(places.tolist(), given, strict=True):
            listed[place] = entry
    return Terms(None, size, listed)


def _given(answer: Answer) -> list[Any]:
    return [answer.whole] if answer.each is None else answer.each


def total_of(answers: Sequence[Answer]) -> Any:
    """Sum of all answers, as one term at one position."""
    found: list[Any] = []
    for answer in answers:
        if answer.each is not None:
            found += answer.each
            continue
        size, term = answer.places.size, as_term(answer.whole)
        for column, coefficient in zip(term.columns, term.coefficients, strict=True):
            columns = np.broadcast_to(column, size).tolist()
            found.append(Term(tuple(columns), tuple(np.broadcast_to(coefficient, size).tolist()), 0.0))
        found.append(math.fsum(np.broadcast_to(term.constant, size).tolist()))
    summed = sum_terms(found)
    return summed if summed.columns else summed.constant


__all__ = ["FEWEST", "Answer", "ask", "one_by_one", "terms_of", "total_of"]
