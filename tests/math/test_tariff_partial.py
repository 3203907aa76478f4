"""Cycles covered in part: billed in full, by the part covered, dropped or asked for; the optimiser does the same."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tariffs"))
from pinning import residual

from microgrid.errors import InvalidInput
from microgrid.tariffs.bill import bill
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.reading import MeterData

TARIFF = Tariff.model_validate(
    {
        "id": "t",
        "determinants": {"pk": {"kind": "demand"}},
        "charges": [
            {"id": "customer", "kind": "fixed", "amount": 300},
            {"id": "energy", "kind": "energy", "price": 0.05},
            {"id": "demand", "kind": "demand", "of": "pk", "price": 9.0},
            {"id": "minimum", "kind": "min_bill", "of": ["energy"], "amount": 30_000},
        ],
    }
)
TIMES = pd.date_range("2025-05-22", "2025-06-30 23:00", freq="60min")
LOAD = MeterData(TIMES, 60, np.where(TIMES.month == 5, 1000.0, 500.0), np.zeros(TIMES.size))


def test_monthly_amounts_by_the_part_covered() -> None:
    full, part = bill(TARIFF, LOAD), bill(TARIFF, LOAD, partial="prorate")
    assert full.amounts["demand"] == pytest.approx([9000, 4500])
    assert part.amounts["demand"] == pytest.approx([9000 * 10 / 31, 4500])
    assert part.amounts["customer"] == pytest.approx([300 * 10 / 31, 300])
    assert part.amounts["minimum"] == pytest.approx([0, 30_000 - 18_000])
    assert full.amounts["minimum"] == pytest.approx([30_000 - 12_000, 30_000 - 18_000])
    assert any("by the part covered" in note for note in part.notes)


def test_partial_cycles_are_dropped_or_asked_for() -> None:
    assert bill(TARIFF, LOAD, partial="drop").cycles == ("2025-06",)
    with pytest.raises(InvalidInput, match=r"10\.00 of 31 days of cycle 2025-05"):
        bill(TARIFF, LOAD, partial="ask")


@pytest.mark.parametrize("partial", ["bill", "prorate"])
def test_the_optimiser_prorates_as_the_bill_does(partial: str) -> None:
    cost, billed = residual(TARIFF, LOAD, partial=partial)
    assert cost == pytest.approx(billed)
