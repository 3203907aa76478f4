"""Bills worked by other programs, published tables or short arithmetic, each within its own tolerance."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from conformance import CASES, load_case

from microgrid.tariffs.bill import Bill, bill


@pytest.mark.parametrize("name", CASES)
def test_bill_reaches_the_known_answer(name: str, shared: Callable[[str], Path]) -> None:
    case = load_case(shared(f"conformance/tariff/{name}"))
    checked = 0
    for run, load in case.runs.items():
        made = bill(case.tariff, load, history=case.history)
        expected = case.expected
        if "oracle" in expected:
            expected = {"oracle_rows": expected["expected"][run]}
        for kind, value in expected.items():
            if kind in CHECKS:
                CHECKS[kind](made, value, case.expected.get("tol", 0.001))
                checked += 1
    assert checked, "the case states nothing that was compared"


def _annual(made: Bill, value: dict[str, Any], _: float) -> None:
    assert made.total == pytest.approx(value["value"], abs=value["tol"])


def _month(made: Bill, value: dict[str, Any], _: float) -> None:
    assert made.by_cycle[value["month"] - 1] == pytest.approx(value["value"], abs=value["tol"])


def _lines(made: Bill, value: dict[str, float], tol: float) -> None:
    for names, amount in value.items():
        assert sum(made.by_charge[name] for name in names.split("+")) == pytest.approx(amount, abs=tol)


def _monthly(made: Bill, value: dict[str, list[float]], tol: float) -> None:
    for name, amounts in value.items():
        assert made.amounts[name] == pytest.approx(amounts, abs=tol)


def _determinant(made: Bill, value: dict[str, Any], _: float) -> None:
    place = [label.endswith(f"-{value['month']:02d}") for label in made.cycles].index(True)
    assert made.determinants[value["name"]][place] == pytest.approx(value["value"], abs=value["tol"])


def _determinants(made: Bill, value: dict[str, Any], _: float) -> None:
    assert made.determinants[value["name"]] == pytest.approx(value["values"], abs=value["tol"])


def _tiers(made: Bill, value: dict[str, Any], _: float) -> None:
    lines = made.lines
    chosen = lines[(lines["charge"] == value["charge"]) & (lines["cycle"] == made.cycles[value["month"] - 1])]
    found = np.zeros(len(value["values"]))
    np.add.at(found, chosen["tier"].to_numpy() - 1, chosen["quantity"].to_numpy())
    assert found == pytest.approx(value["values"], abs=value["tol"])


def _oracle(made: Bill, rows: dict[str, list[float]], _: float) -> None:
    assert made.by_cycle == pytest.approx(rows["bill"], abs=0.01)
    kinds = {"energy", "net_metered_energy"}
    lines = made.lines
    energy = lines[lines["kind"].isin(kinds)].groupby("cycle")["amount"].sum().reindex(made.cycles, fill_value=0.0)
    assert energy.to_numpy() == pytest.approx(np.subtract(rows["energy"], rows.get("true_up", 0.0)), abs=0.01)
    for name in ("bd", "pk_on"):
        if name in made.determinants and "billing_demand" in rows and name == "bd":
            assert made.determinants[name] == pytest.approx(rows["billing_demand"], abs=0.01)


CHECKS: dict[str, Callable[[Bill, Any, float], None]] = {
    "annual_total": _annual,
    "month_total": _month,
    "line_totals": _lines,
    "monthly_lines": _monthly,
    "determinant": _determinant,
    "determinant_table": _determinants,
    "tier_kwh": _tiers,
    "oracle_rows": _oracle,
}
