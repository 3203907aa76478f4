"""Every broken rule is told with file, line, column, the rule and a remedy, all at once."""

# ruff: noqa: E501 - one broken tariff a line reads best

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microgrid import tariffs
from microgrid.errors import InvalidInput, Problem
from microgrid.tariffs.bill import bill
from microgrid.tariffs.read import parse_tariff, read_tariff
from microgrid.tariffs.reading import MeterData
from microgrid.tariffs.wording import rule_and_remedy

HEAD = "id: t\ncalendars: {E: {rules: [{hours: [[12, 18]], period: on}], default: off}}\n"


def _problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InvalidInput) as caught:
        parse_tariff(text, "tariff.yaml")
    return caught.value.problems


PK = "id: t\ndeterminants: {pk: {kind: demand}}\ncharges:\n"
NET = "charges: [{id: n, kind: net_metered_energy, calendar: E, price: {on: .2, off: .1}}]\n"
RULES = [
    (HEAD + "charges:\n- {id: e, kind: energy, calendar: E, price: {onn: .1, off: .2}}\n", 4, "unknown period", "did you mean on"),
    (HEAD + "charges:\n- {id: e, kind: energy, calendar: E, price: {on: .1}}\n", 4, "no price for period `off`", "every period"),
    (HEAD + "charges:\n- {id: e, kind: energy, calendar: F, price: .1}\n", 4, "unknown calendar", "known: E"),
    ("id: t\ncharges:\n- {id: d, kind: demand, of: pk, price: 1}\n", 3, "unknown determinant", "known: none"),
    (PK + "- {id: d, kind: demand, of: pk, tiers: [{upto: 9, price: 1}, {upto: 5, price: 2}, {price: 3, upto: {}}]}\n", 4, "must ascend", "sort"),
    (PK + "- {id: d, kind: demand, of: pk, tiers: [{upto: 90, price: 1}, {upto: 95, price: 2}]}\n", 4, "last tier must be open", ".inf"),
    ("id: t\ndeterminants:\n  pk: {kind: demand, window_min: -15}\n", 3, "greater than 0", ""),
    ("id: t\ndeterminants:\n  pk: {kind: demand}\n  bd:\n    kind: max_of\n    of: [{ref: pk, lookback: 0}]\n", 6, "at least one cycle", ""),
    ("id: t\ncurrency: CAD\nseries:\n  da: {unit: USD/MWh}\n", 4, "the tariff is in CAD", "convert"),
    ("id: t\ndeterminants:\n  bd: {kind: max_of, of: [{contract: k}]}\n", 3, "unknown contract value", ""),
    ("id: t\ncharges:\n- {id: e, kind: energy, tiers: [{upto: {kwh_per_kw: 9}, price: 1}, {upto: {}, price: 2}]}\n", 3, "hours-use", "kw:"),
    ("id: t\ncharges:\n- {id: r, kind: percent, pct: .1, of: [e]}\n- {id: e, kind: energy, price: .1}\n", 3, "listed before", ""),
    ("id: t\ncharges:\n- {id: e, kind: energy, price: .1}\n- {id: e, kind: fixed, amount: 1}\n", 4, "two charges", "rename"),
    ("id: t\nchargs: []\n", 2, "unknown field", "did you mean charges"),
    ("id: t\ntimezone: America/Chicgo\n", 2, "unknown zone", "America/Chicago"),
    ("id: t\ncalendars:\n  E: {rules: [{hours: [[22, 6]], period: n}]}\n", 3, "must ascend", ""),
    ("id: t\nholidays: {calendar: US, include: [Labour Day]}\n", 2, "no such holiday", ""),
    ("id: t\ndeterminants: {pk: {kind: demand}}\nhistory: {pkk: [1, 2]}\n", 3, "unknown determinant", "did you mean pk"),
    ("id: t\nbilling: {cycle: read_dates}\n", 2, "no dates", "reads"),
    ("id: t\nbilling: {cycle: read_dates, reads: [2025-02-01, 2025-01-01]}\n", 2, "must ascend", ""),
    ("id: t\ncharges:\n- {id: n, kind: net_metered_energy, price: .1}\n", 3, "needs `export`", "scheme"),
    ("id: t\ncharges:\n- {id: e, kind: energi, price: .1}\n", 3, "energi", ""),
    ("id: t\ndeterminants:\n  pk: {kind: demand}\n  bd: {kind: max_of, of: [{ref: pk, pct: {13: .5}}]}\n", 4, "at most 12", ""),
    ("id: t\ndeterminants:\n  pk: {kind: demand}\n  bd: {kind: min_of, of: [{ref: pk, months: [6, 7]}, {const: 9, pct: {1: 1}}]}\n", 4, "no term of min_of", "add a term"),
    (HEAD + "supply:\n- {id: s, mw: 5, calendar: E, price: {onn: .05, off: .03}}\n", 4, "unknown period", "did you mean on"),
    (HEAD + "supply:\n- {id: s, mw: 5, calendar: E, price: {off: .03}}\n", 4, "no price for period `on`", "every period"),
    ("id: t\nsupply:\n- {id: s, mw: 5, price: {off: .03}}\n", 3, "need a calendar", "calendar:"),
    (HEAD + NET + "export: {scheme: net_metering_dollar, credit_price: {onn: .05, off: .1}}\n", 4, "unknown period", "did you mean on"),
    (HEAD + NET + "export: {scheme: net_metering_dollar, credit_price: {on: .05}}\n", 4, "no price for period `off`", "every period"),
    ("id: t\nexport: {scheme: net_billing, credit_price: {onn: .05}}\n", 2, "credits nothing", "channel: export"),
    (PK + "- {id: d, kind: demand, of: pk, tiers: [{upto: .inf, price: {on: 3}}]}\n", 4, "need a calendar", "charge of its own"),
    (PK + "- {id: d, kind: demand, of: pk, price: {by_month: [1, 2]}}\n", 4, "twelve numbers", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "rule", "remedy"), RULES)
def test_a_broken_rule_is_located(text: str, line: int, rule: str, remedy: str) -> None:
    problems = _problems(text)
    found = [problem for problem in problems if rule.lower() in str(problem).lower()]
    assert found, [str(problem) for problem in problems]
    assert found[0].line == line, str(found[0])
    assert found[0].column > 0
    assert found[0].file == "tariff.yaml"
    assert remedy.lower() in str(found[0]).lower()
    assert all(problem.rule and problem.remedy for problem in problems)


E_CHARGE = "id: t\ncharges:\n- {id: e, kind: energy, "
ONE_LINE = [
    (HEAD + "charges:\n- {id: e, kind: energy, calendar: E, price: {on: .nan, off: .1}}\n", "4:50: charges.0.price.on: nan: must be a finite number: write the number"),
    (E_CHARGE + "price: .inf}\n", "3:32: charges.0.price: inf: must be a finite number: write the number"),
    (E_CHARGE + "price: [1, 2]}\n", "3:32: charges.0.price: must be a number: write"),
    (E_CHARGE + "tiers: [{upto: -5, price: 3}, {upto: .inf, price: 1}]}\n", "3:40: charges.0.tiers.0.upto: -5: must be at least 0: write 0 or more"),
    (E_CHARGE + "price: .1, chanel: export}\n", "3:44: charges.0.chanel: export: unknown field: did you mean channel?"),
    (E_CHARGE + "channel: exprt, price: .1}\n", "3:34: charges.0.channel: exprt: must be one of import, export, gross_load: did you mean export?"),
    (E_CHARGE[:-2] + "}\n", "3:3: charges.0: an energy charge has no price: state `price`, `tiers` or `series`"),
    ("id: t\ncharges:\n- {id: e, price: .1}\n", "3:3: charges.0.kind: kind is missing: add `kind"),
    ("id: t\ncharges:\n- {id: d, kind: deman, of: pk, price: .1}\n", "3:17: charges.0.kind: deman: unknown kind: did you mean demand?"),
    ("id: t\ncalendars: {E: {rules: [{hours: [[20, 8]], period: n}]}}\n", "2:33: calendars.E.rules.0.hours: hours [20, 8] must ascend: write [20, 24] and [0, 8]"),
    ("id: t\nsupply: [{id: s, mw: 5, calendar: 3, price: .1}]\n", "2:35: supply.0.calendar: 3: must be text: put it in quotes"),
    ("id: t\ndeterminants: {pk: {kind: demand, window_min: -15}}\n", "2:47: determinants.pk.window_min: -15: must be greater than 0: write a number above 0"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), ONE_LINE)
def test_one_wrong_value_is_one_line_with_rule_and_remedy(text: str, told: str) -> None:
    (problem,) = _problems(text)
    assert str(problem).startswith(f"tariff.yaml:{told}")
    assert problem.remedy


def test_all_problems_are_told_at_once() -> None:
    text = (
        HEAD
        + "charges:\n- {id: e, kind: energy, calendar: E, price: {onn: .1}}\n- {id: d, kind: demand, of: pk, price: 1}\n"
    )
    assert {problem.line for problem in _problems(text)} == {4, 5}


def test_yaml_itself_is_located() -> None:
    problem = _problems("id: t\ncharges: [\n")[0]
    assert problem.line >= 2


def test_missing_file() -> None:
    with pytest.raises(InvalidInput, match="no such tariff file"):
        read_tariff(Path("nowhere.yaml"))


def test_yaml_on_and_off_are_names() -> None:
    tariff = parse_tariff(HEAD + "charges:\n- {id: e, kind: energy, calendar: E, price: {on: -.0012, off: .2}}\n")
    assert tariff.calendars["E"].periods == ("on", "off")


# -- problems that show with the load ---------------------------------------------------------------------------

TIMES = pd.date_range("2025-01-01", periods=24 * 40, freq="60min")
LOAD = MeterData(TIMES, 60, np.full(TIMES.size, 100.0), np.zeros(TIMES.size))
RATCHET = (
    "id: t\ndeterminants:\n  pk: {kind: demand}\n  bd: {kind: max_of, of: [{ref: pk}, {ref: pk, lookback: 11, pct: .8}]}\n"
    "charges: [{id: d, kind: demand, of: bd, price: 10}]\n"
)


def test_missing_history_is_an_error_with_three_remedies() -> None:
    tariff = parse_tariff(RATCHET)
    with pytest.raises(InvalidInput, match="11 cycles before the load") as caught:
        bill(tariff, LOAD)
    assert all(word in str(caught.value) for word in ("history: {pk", "first_year", "steady_state"))
    with pytest.raises(InvalidInput, match="looks back on `pk`"):
        bill(tariff, LOAD, history={"pk": [500.0] * 5})
    assert bill(tariff, LOAD, history={"pk": [500.0] * 11}).total == pytest.approx(2 * 400 * 10)
    assert bill(tariff, LOAD, history="first_year").total == pytest.approx(2 * 100 * 10)


def test_history_may_stand_in_the_tariff() -> None:
    assert bill(parse_tariff(RATCHET + "history: steady_state\n"), LOAD).total == pytest.approx(2000.0)


def test_a_calendar_gap_names_the_first_interval() -> None:
    tariff = parse_tariff("id: t\ncalendars: {E: {rules: [{hours: [[0, 18]], period: on}]}}\n")
    with pytest.raises(InvalidInput, match="gap") as caught:
        bill(tariff, LOAD)
    assert "2025-01-01 18:00" in str(caught.value)


def test_a_tariff_of_another_year_is_refused() -> None:
    tariff = parse_tariff(
        "id: t\nsource: {doc: d, effective: 2026-01-01}\ncharges: [{id: f, kind: fixed, amount: 1}]\n"
    )
    with pytest.raises(InvalidInput, match="before the tariff takes effect"):
        bill(tariff, LOAD)
    assert bill(tariff, LOAD, allow_other_year=True).total == pytest.approx(2.0)
    expired = parse_tariff("id: t\nsource: {doc: d, effective: 2019, expires: '2024-06'}\n")
    with pytest.raises(InvalidInput, match="expired"):
        bill(expired, LOAD)


def test_bad_arrays_are_named() -> None:
    tariff = parse_tariff("id: t\n")
    holes = LOAD.import_kw.copy()
    holes[7] = np.nan
    with pytest.raises(InvalidInput, match="row 8 is missing"):
        bill(tariff, MeterData(TIMES, 60, holes, LOAD.export_kw))
    with pytest.raises(InvalidInput, match="row 1 is negative"):
        bill(tariff, MeterData(TIMES, 60, -LOAD.import_kw, LOAD.export_kw))
    with pytest.raises(InvalidInput, match="3 values for 960"):
        bill(tariff, MeterData(TIMES, 60, LOAD.import_kw[:3], LOAD.export_kw))


def test_what_the_load_lacks_is_named() -> None:
    kva = parse_tariff("id: t\ndeterminants: {k: {kind: demand, quantity: kva}}\n")
    with pytest.raises(InvalidInput, match="power factor"):
        bill(kva, LOAD)
    index = parse_tariff("id: t\nseries: {da: {unit: $/MWh}}\ncharges: [{id: e, kind: energy, series: da}]\n")
    with pytest.raises(InvalidInput, match="series `da`"):
        bill(index, LOAD)


def test_a_window_that_does_not_fit_is_refused() -> None:
    tariff = parse_tariff("id: t\ndeterminants: {pk: {kind: demand, window_min: 90}}\n")
    with pytest.raises(InvalidInput, match="no multiple"):
        bill(tariff, LOAD)


def test_coincident_peak_outside_the_load_is_refused() -> None:
    tariff = parse_tariff("id: t\ndeterminants: {cp: {kind: coincident, intervals: ['2024-07-01 17:00']}}\n")
    with pytest.raises(InvalidInput, match="no such interval"):
        bill(tariff, LOAD)


def _raised_texts() -> list[tuple[str, str]]:
    """Place and text of every ValueError of the tariff records, with `x` for what is filled in."""
    found = []
    for path in sorted(Path(tariffs.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ValueError":
                (text,) = node.args
                parts = getattr(text, "values", [text])  # of an f-string
                told = "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts)
                found.append((f"{path.name}:{node.lineno}", told))
    return found


@pytest.mark.parametrize(("place", "text"), _raised_texts())
def test_every_refused_value_names_its_remedy(place: str, text: str) -> None:
    rule, remedy = rule_and_remedy({"type": "value_error", "loc": (), "msg": text, "input": None})
    assert rule, place
    assert remedy != "mend the fields that the rule names", f"{place}: {text}"
