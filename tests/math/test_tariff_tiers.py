"""Tiers: how they fill and are shared, by hand, and in the optimiser."""

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

TOU = {"E": {"rules": [{"hours": [[12, 24]], "period": "on"}], "default": "off"}}
TIMES = pd.date_range("2025-05-30", periods=4, freq="12h")
DAYS = MeterData(TIMES, 720, np.array([10.0, 30.0, 10.0, 0.0]), np.zeros(4))
"""120 kWh off-peak, 360 on, 120 off, none on: all in May."""


def _tariff(tiers: list[dict[str, Any]], **more: Any) -> Tariff:
    charge = {"id": "e", "kind": "energy", "calendar": "E", "tiers": tiers, **more}
    return Tariff.model_validate({"id": "t", "calendars": TOU, "charges": [charge]})


MIXED = [
    {"upto": {"kwh": 240}, "price": {"on": 0.2, "off": 0.1}},
    {"upto": {}, "price": {"on": 0.5, "off": 0.3}},
]


@pytest.mark.parametrize(
    ("alloc", "expected"),
    [
        # 600 kWh: 240 in the first tier, shared 360:240 between on and off
        ("pro_rata", 0.4 * (0.2 * 360 + 0.1 * 240) + 0.6 * (0.5 * 360 + 0.3 * 240)),
        # off 120, on 120 fill the first tier; then on 240 and off 120 in the second
        ("chronological", 0.1 * 120 + 0.2 * 120 + 0.5 * 240 + 0.3 * 120),
        # each period has 240 kWh of its own
        ("per_period", 0.2 * 240 + 0.5 * 120 + 0.1 * 240),
    ],
)
def test_three_ways_to_share(alloc: str, expected: float) -> None:
    assert bill(_tariff(MIXED, tier_alloc=alloc), DAYS).total == pytest.approx(expected)


def test_a_slab_prices_every_unit_at_the_tier_reached() -> None:
    flat = [{"upto": {"kwh": 600}, "price": 0.1}, {"upto": {}, "price": 0.05}]
    assert bill(_tariff(flat, tier_mode="slab"), DAYS).total == pytest.approx(60.0)
    more = MeterData(TIMES, 720, DAYS.import_kw * 1.01, np.zeros(4))
    assert bill(_tariff(flat, tier_mode="slab"), more).total == pytest.approx(606 * 0.05)


def test_daily_tiers_scale_with_the_whole_cycle() -> None:
    daily = [{"upto": {"kwh_per_day": 10}, "price": 0.1}, {"upto": {}, "price": 0.3}]
    assert bill(_tariff(daily), DAYS).total == pytest.approx(0.1 * 310 + 0.3 * 290)


def test_tier_lines_name_period_and_tier() -> None:
    lines = bill(_tariff(MIXED, tier_alloc="chronological"), DAYS).lines
    found = {(row.period, row.tier): row.quantity for row in lines.itertuples()}
    assert found == {("off", 1): 120.0, ("on", 1): 120.0, ("off", 2): 120.0, ("on", 2): 240.0}


LONG = pd.date_range("2025-05-10", periods=24 * 50, freq="60min")
LOAD = MeterData(LONG, 60, np.random.default_rng(6).uniform(0, 5000, LONG.size), np.zeros(LONG.size))
SEPARABLE = [
    {"upto": {"kwh": 500_000}, "price": {"on": 0.15, "off": 0.10}},
    {"upto": {"kwh": 900_000}, "price": {"on": 0.11, "off": 0.06}},
    {"upto": {}, "price": {"on": 0.25, "off": 0.20}},
]


@pytest.mark.parametrize("alloc", ["pro_rata", "chronological", "per_period"])
def test_separable_prices_are_exact_under_every_sharing(alloc: str) -> None:
    cost, billed = residual(_tariff(SEPARABLE, tier_alloc=alloc), LOAD)
    assert cost == pytest.approx(billed, abs=0.01)


def test_a_counter_for_each_period_is_exact_whatever_the_prices() -> None:
    cost, billed = residual(_tariff(MIXED, tier_alloc="per_period"), LOAD)
    assert cost == pytest.approx(billed, abs=0.01)


@pytest.mark.parametrize(
    ("alloc", "why"), [("pro_rata", "quotient of unknowns"), ("chronological", "depends on all before it")]
)
def test_sharing_that_no_program_can_state_is_refused_with_its_reason(alloc: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as caught:
        page_of(_tariff(MIXED, tier_alloc=alloc), LOAD)
    assert all(word in str(caught.value) for word in ("per_period", "share_tiers_freely", "charge of its own"))


def test_tiers_by_month_of_a_demand_charge() -> None:
    low = [{"upto": 2000, "price": 4.0}, {"upto": {}, "price": 9.0}]
    high = [{"upto": 3000, "price": 9.0}, {"upto": {}, "price": 2.0}]
    tariff = Tariff.model_validate(
        {
            "id": "t",
            "determinants": {"pk": {"kind": "demand"}},
            "charges": [{"id": "d", "kind": "demand", "of": "pk", "tiers": {"by_month": [low] * 5 + [high] * 7}}],
        }
    )
    peaks = [LOAD.import_kw[LONG.month == month].max() for month in (5, 6)]
    expected = 4.0 * 2000 + 9.0 * (peaks[0] - 2000) + 9.0 * 3000 + 2.0 * (peaks[1] - 3000)
    cost, billed = residual(tariff, LOAD)
    assert billed == pytest.approx(expected)
    assert cost == pytest.approx(billed, abs=0.01)


def test_free_sharing_is_a_named_lower_bound() -> None:
    rising = [
        {"upto": {"kwh": 500_000}, "price": {"on": 0.15, "off": 0.10}},
        {"upto": {}, "price": {"on": 0.35, "off": 0.20}},
    ]
    tariff = _tariff(rising)
    with pytest.raises(InvalidInput, match="share_tiers_freely"):
        page_of(tariff, LOAD)
    cost, billed = residual(tariff, LOAD, share_tiers_freely=True)
    assert 0.8 * billed < cost < billed - 100.0
    with pytest.raises(InvalidInput, match="only rising"):
        page_of(_tariff([*rising[:1], {"upto": {}, "price": {"on": 0.1, "off": 0.08}}]), LOAD, share_tiers_freely=True)


DECLINING = [{"upto": {"kwh_per_kw": 5}, "price": 0.10}, {"upto": {}, "price": 0.05}]
MONTH = pd.date_range("2025-01-01", "2025-02-01", freq="30min", inclusive="left")


def _hours_use(series: dict[str, Any] | None = None, **charge: Any) -> Tariff:
    edges = {"H": {"rules": [{"hours": [[8.5, 9]], "period": "a"}], "default": "b"}}
    return Tariff.model_validate(
        {
            "id": "t",
            "calendars": edges,
            "series": series or {},
            "determinants": {"pk": {"kind": "demand", "window_min": 60}},
            "charges": [{"id": "e", "kind": "energy", "kw": "pk", "tiers": DECLINING, **charge}],
        }
    )


@pytest.mark.parametrize(
    "tariff",
    [
        _hours_use(calendar="H", tier_alloc="per_period"),
        _hours_use({"called": {"unit": "0/1"}}, when="called"),
    ],
    ids=["half-hour counter", "called half hours"],
)
def test_a_counter_of_half_a_demand_window_may_pass_a_load_factor_of_one(tariff: Tariff) -> None:
    """31 half hours of 10 MW, each a 5 MW hour: 155 MWh are 31 hours of the 5 MW peak, though 15.5 hours count."""
    kw = np.where((MONTH.hour == 8) & (MONTH.minute == 30), 10_000.0, 0.0)
    load = MeterData(MONTH, 30, kw, np.zeros(kw.size), series={"called": (kw > 0.0).astype(float)})
    cost, billed = residual(tariff, load)
    assert billed == pytest.approx(25_000 * 0.10 + 130_000 * 0.05)
    assert cost == pytest.approx(billed)


def test_gross_load_may_pass_the_import_and_its_limit() -> None:
    """A load of 10 MW and 9 MW of generation: 7,440 MWh are 7,440 hours of a 1 MW peak."""
    load = MeterData.from_load(MONTH, 30, np.full(MONTH.size, 10_000.0), generation_kw=np.full(MONTH.size, 9_000.0))
    tariff = _hours_use(channel="gross_load")
    cost, billed = residual(tariff, load)
    assert billed == pytest.approx(5_000 * 0.10 + 7_435_000 * 0.05)
    assert cost == pytest.approx(billed)
    falling = [{"upto": {"kwh": 2e6}, "price": 0.10}, {"upto": {}, "price": 0.05}]
    plain = Tariff.model_validate(
        {"id": "t", "charges": [{"id": "e", "kind": "energy", "channel": "gross_load", "tiers": falling}]}
    )
    page = page_of(plain, load, without_limits=True, published_limit_mw=1.5)
    assert page.program.solve()[0] == pytest.approx(2e6 * 0.10 + 5.44e6 * 0.05)


def test_a_billing_demand_of_gross_load_may_pass_the_import_limit() -> None:
    """10 MW of load behind 9 MW of generation and a right of 1.05 MW: 50 MWh at the first price."""
    load = MeterData.from_load(MONTH, 30, np.full(MONTH.size, 10_000.0), generation_kw=np.full(MONTH.size, 9_000.0))
    charge = {"id": "e", "kind": "energy", "kw": "pk", "tiers": DECLINING}
    gross = {"pk": {"kind": "demand", "channel": "gross_load"}}
    tariff = Tariff.model_validate({"id": "t", "determinants": gross, "charges": [charge]})
    page = page_of(tariff, load, without_limits=True, published_limit_mw=1.05)
    assert page.program.solve()[0] == pytest.approx(50_000 * 0.10 + 694_000 * 0.05)


def test_the_largest_gross_load_must_be_stated_where_its_tiers_fall() -> None:
    load = MeterData.from_load(MONTH, 30, np.full(MONTH.size, 10_000.0), generation_kw=np.zeros(MONTH.size))
    with pytest.raises(InvalidInput, match="largest load behind the meter"):
        page_of(_hours_use(channel="gross_load"), load, largest_gross_load_mw=None)
