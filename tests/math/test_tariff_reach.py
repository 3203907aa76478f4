"""What determinants can reach at a meter that also sells: a choice between tiers must not forbid what can happen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tariffs"))
from pinning import page_of, residual

from microgrid.errors import InvalidInput
from microgrid.tariffs.bill import bill
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.reading import MeterData

TIMES = pd.date_range("2025-06-01", "2025-07-31 23:00", freq="60min")
HOUR = np.arange(TIMES.size) % 24
LOAD = MeterData(TIMES, 60, np.where(HOUR < 12, 3000.0 + HOUR, 0.0), np.where(HOUR < 12, 0.0, 2000.0 + HOUR))
FALLING = [{"upto": 1000, "price": 3.0}, {"upto": ".inf", "price": 1.0}]
SOLD = {"kind": "demand", "channel": "export"}
PEAK = {"kind": "demand"}
BOUGHT_KWH, SOLD_KWH = ({"kind": "energy", "channel": channel} for channel in ("import", "export"))


def priced(determinants: dict[str, Any], **charge: Any) -> Tariff:
    """A tariff with one charge on the last of the determinants."""
    of = list(determinants)[-1]
    listed = [{"id": "charge", "kind": "per_unit", "of": of, **(charge or {"tiers": FALLING})}]
    return Tariff.model_validate({"id": "t", "determinants": determinants, "charges": listed})


TARIFFS = {
    "falling tiers of sold demand": priced({"sold": SOLD}),
    "falling tiers of sold energy": priced({"sold": SOLD_KWH}),
    "falling tiers of net energy": priced({"net": {"kind": "energy", "channel": "net"}}),
    "falling tiers of energy less sold energy": priced(
        {"kwh": BOUGHT_KWH, "sold": SOLD_KWH, "less": {"kind": "sum", "of": {"kwh": -0.5, "sold": 1.0}}}
    ),
    "the lesser of bought and sold demand": priced(
        {"pk": PEAK, "sold": SOLD, "least": {"kind": "min_of", "of": [{"ref": "pk"}, {"ref": "sold"}]}}, price=2.0
    ),
    "a credit for sold energy above bought": priced(
        {"kwh": BOUGHT_KWH, "sold": SOLD_KWH, "over": {"kind": "excess", "ref": "sold", "over": "kwh", "pct": 0.5}},
        price=-2.0,
    ),
    "a credit for bought energy above sold": priced(
        {"sold": SOLD_KWH, "kwh": BOUGHT_KWH, "over": {"kind": "excess", "ref": "kwh", "over": "sold", "pct": 1.2}},
        price=-2.0,
    ),
}


@pytest.mark.parametrize("name", TARIFFS)
def test_the_pinned_cost_is_the_bill(name: str) -> None:
    cost, billed = residual(TARIFFS[name], LOAD)
    assert billed == pytest.approx(cost, abs=1e-4)
    assert abs(billed) > 100.0


def test_by_hand() -> None:
    """Two months with a sold peak of 2,023 kW: 1,000 at 3 $ and 1,023 at 1 $."""
    assert bill(TARIFFS["falling tiers of sold demand"], LOAD).total == pytest.approx(2 * (3000.0 + 1023.0))


def test_the_limit_of_export_is_asked_for_where_it_is_needed() -> None:
    with pytest.raises(InvalidInput, match="largest export"):
        page_of(TARIFFS["falling tiers of sold demand"], LOAD, without_limits=True, published_limit_mw=5.0)


OFF_PEAK_OVERRUN = {
    "determinants": {
        "on": {"kind": "demand", "calendar": "E", "periods": ["on"]},
        "off": {"kind": "demand", "calendar": "E", "periods": ["off"]},
        "over": {"kind": "excess", "ref": "off", "over": "on"},
    },
    "calendars": {"E": {"rules": [{"hours": [[0, 12]], "period": "off"}], "default": "on"}},
}


@pytest.mark.parametrize(("price", "bill_usd"), [(2.0, 2 * (5000.0 + 2 * 2011.0)), (10.0, 2 * (5000.0 + 10 * 2011.0))])
def test_a_limit_that_is_a_peak_is_not_raised_to_lower_the_overrun(price: float, bill_usd: float) -> None:
    """On-peak 1,000 kW at 5 $; off-peak demand of 3,011 kW pays for 2,011 kW above it, also at more than 5 $."""
    load = MeterData(TIMES, 60, np.where(HOUR < 12, 3000.0 + HOUR, 1000.0), np.zeros(TIMES.size))
    charges = [
        {"id": "on", "kind": "demand", "of": "on", "price": 5.0},
        {"id": "overrun", "kind": "demand", "of": "over", "price": price},
    ]
    cost, billed = residual(Tariff.model_validate({"id": "t", **OFF_PEAK_OVERRUN, "charges": charges}), load)
    assert billed == pytest.approx(bill_usd)
    assert cost == pytest.approx(bill_usd)
