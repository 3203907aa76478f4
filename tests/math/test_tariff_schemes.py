"""Export schemes, supply blocks and programs: short arithmetic, and the pinned cost equal to the bill."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "tariffs"))
from pinning import page_of, residual

from microgrid.errors import InvalidInput
from microgrid.tariffs.bill import bill
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.reading import MeterData

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
TOU = {"E": {"rules": [{"hours": [[12, 19]], "period": "on"}], "default": "off"}}
ENERGY = {"id": "energy", "kind": "energy", "calendar": "E", "price": {"on": 0.12, "off": 0.06}}
SELL = {"id": "sell", "kind": "energy", "channel": "export", "price": 0.05}
DEMAND = {"id": "demand", "kind": "demand", "of": "pk", "price": 5.0}
NET = {"id": "net", "kind": "net_metered_energy", "calendar": "E", "price": {"on": 0.12, "off": 0.06}}


def _tariff(charges: list[dict[str, Any]], **more: Any) -> Tariff:
    return Tariff.model_validate(
        {"id": "t", "calendars": TOU, "determinants": {"pk": {"kind": "demand"}}, "charges": charges, **more}
    )


def _monthly(net_kw: list[float], step_min: int = 60) -> MeterData:
    """Constant net import of each month of 2025."""
    times = pd.date_range("2025-01-01", periods=8760 * 60 // step_min, freq=f"{step_min}min")
    net = np.array(net_kw, dtype=float)[times.month - 1]
    load, made = np.maximum(net, 0.0) + 50.0, np.maximum(-net, 0.0) + 50.0
    return MeterData(times, step_min, np.maximum(net, 0.0), np.maximum(-net, 0.0), load, made)


SEASON = [100, 50, -80, -120, 30, 90, 60, -40, -10, 20, 80, 120]
HOURS = [744, 672, 744, 720, 744, 720, 744, 744, 720, 744, 720, 744]


def test_kwh_bank_by_hand() -> None:
    tariff = _tariff(
        [{"id": "net", "kind": "net_metered_energy", "price": 0.10}],
        export={"scheme": "net_metering_kwh", "true_up_month": 5, "true_up_price": 0.03},
    )
    made = bill(tariff, _monthly(SEASON))
    bank, paid = 0.0, []
    for month, (kw, hours) in enumerate(zip(SEASON, HOURS, strict=True), start=1):
        level = kw * hours - bank
        bank = max(-level, 0.0)
        paid.append(0.10 * max(level, 0.0) - (0.03 * bank if month == 5 else 0.0))
        bank = 0.0 if month == 5 else bank
    assert made.by_cycle == pytest.approx(paid, abs=1e-6)


def test_expiring_credit_keeps_nothing() -> None:
    tariff = _tariff(
        [{"id": "net", "kind": "net_metered_energy", "price": 0.10}],
        export={"scheme": "net_metering_kwh", "carry": "expire"},
    )
    made = bill(tariff, _monthly(SEASON))
    paid = [0.10 * max(kw, 0) * hours for kw, hours in zip(SEASON, HOURS, strict=True)]
    assert made.by_cycle == pytest.approx(paid, abs=1e-6)


def test_dollar_bank_by_hand() -> None:
    tariff = _tariff(
        [{"id": "energy", "kind": "energy", "price": 0.10}, SELL], export={"scheme": "net_billing_dollar_carry"}
    )
    made = bill(tariff, _monthly(SEASON))
    bank, paid = 0.0, []
    for kw, hours in zip(SEASON, HOURS, strict=True):
        charge, credit = 0.10 * max(kw, 0) * hours, 0.05 * max(-kw, 0) * hours
        used = min(bank, charge)
        bank += credit - used
        paid.append(charge - used)
    assert made.by_cycle == pytest.approx(paid, abs=1e-6)


def test_hourly_netting_by_hand() -> None:
    times = pd.date_range("2025-03-01", periods=8, freq="15min")
    load = MeterData(times, 15, np.array([100, 0, 0, 0, 0, 0, 40, 0.0]), np.array([0, 60, 0, 0, 100, 0, 0, 0.0]))
    tariff = _tariff(
        [{"id": "energy", "kind": "energy", "price": 0.10}, SELL], export={"scheme": "net_billing", "netting": "hour"}
    )
    made = bill(tariff, load)
    assert made.by_charge == pytest.approx({"energy": 0.10 * 40 / 4, "sell": -0.05 * 60 / 4})


def test_buy_all_sell_all_meters_both_whole() -> None:
    tariff = _tariff([{"id": "energy", "kind": "energy", "price": 0.10}, SELL], export={"scheme": "buy_all_sell_all"})
    made = bill(tariff, _monthly(SEASON))
    load = sum((max(kw, 0) + 50) * hours for kw, hours in zip(SEASON, HOURS, strict=True))
    generation = sum((max(-kw, 0) + 50) * hours for kw, hours in zip(SEASON, HOURS, strict=True))
    assert made.by_charge == pytest.approx({"energy": 0.10 * load, "sell": -0.05 * generation})


def test_credit_limits_and_nonbypassable_by_hand() -> None:
    times = pd.date_range("2025-03-01", periods=4, freq="60min")
    load = MeterData(times, 60, np.array([100.0, 0, 0, 0]), np.array([0, 300.0, 50.0, 0]))
    charges = [{"id": "energy", "kind": "energy", "price": 0.10}, SELL]
    capped = bill(_tariff(charges, export={"scheme": "net_billing", "cap_kw": 200, "nonbypassable": 0.02}), load)
    assert capped.by_charge == pytest.approx({"energy": 10.0, "sell": -0.05 * 250, "nonbypassable": 2.0})
    shared = bill(_tariff(charges, export={"scheme": "net_billing", "cap_pct_of_import": 0.5}), load)
    assert shared.by_charge["sell"] == pytest.approx(-0.05 * 50)


def test_supply_block_by_hand() -> None:
    times = pd.date_range("2025-03-01", periods=4, freq="60min")
    series = {"da": np.array([20.0, 100.0, 50.0, -10.0])}
    load = MeterData(times, 60, np.array([3000.0, 500, 1000, 0]), np.zeros(4), series=series)
    index = {"id": "index", "kind": "energy", "series": "da", "tags": ["supply"]}
    wires = {"id": "wires", "kind": "energy", "price": 0.01, "tags": ["delivery"]}
    block = {"id": "ppa", "mw": 1.0, "price": 0.04}
    common: dict[str, Any] = {"series": {"da": {"unit": "$/MWh"}}}
    sold = {**block, "settle": "sell_back_at_index", "index": "da", "sell_back_mult": 0.9}
    made = bill(_tariff([index, wires], supply=[sold], **common), load)
    assert made.by_charge == pytest.approx({"ppa": 160 - 0.9 * (0.5 * 100 - 1 * 10), "index": 40.0, "wires": 45.0})
    taken = bill(_tariff([index, wires], supply=[{**block, "min_take_pct": 0.8}], **common), load)
    assert taken.by_charge["ppa"] == pytest.approx(max(0.04 * 2500, 0.8 * 160))
    cfd = bill(_tariff([index], supply=[{**block, "settle": "cfd", "index": "da"}], **common), load)
    assert cfd.by_charge == pytest.approx({"ppa": 160 - 160, "index": 60.0 + 50 + 50})


def test_programs_by_hand() -> None:
    times = pd.date_range("2025-07-01", periods=48, freq="60min")
    kw = np.where(np.arange(48) == 15, 900.0, 600.0)
    event = np.isin(np.arange(48), [14, 15, 16, 39]).astype(float)
    load = MeterData(times, 60, kw, np.zeros(48), series={"called": event})
    common = {"series": {"called": {"unit": "0/1"}}}
    credit = {
        "id": "p",
        "kind": "capacity_credit",
        "price": 2.0,
        "unit": "$/kW-month",
        "of": "pk",
        "firm_level_kw": 500,
    }
    assert bill(_tariff([], programs=[credit], **common), load).total == pytest.approx(-2.0 * 400)
    hours = {
        "id": "p",
        "kind": "event_energy",
        "price": 0.05,
        "unit": "$/kW-event-hour",
        "of": "pk",
        "events": "called",
    }
    assert bill(_tariff([], programs=[hours], **common), load).total == pytest.approx(0.0), "the peak fell in an event"
    limited = {**hours, "max_hours_per_year": 3, "firm_level_kw": 500, "penalty_price": 1.0}
    assert bill(_tariff([], programs=[limited], **common), load).total == pytest.approx(100 + 400 + 100)
    penalty = {"id": "p", "kind": "penalty", "price": 0.5, "unit": "$/kWh", "events": "called", "firm_level_kw": 550}
    assert bill(_tariff([], programs=[penalty], **common), load).total == pytest.approx(0.5 * (3 * 50 + 350))


def _called(times: pd.DatetimeIndex, *spans: tuple[str, int], kw_in_events: float = 200.0) -> MeterData:
    """Load of 1000 kW that falls in events, each a begin and a number of hours."""
    event = np.zeros(times.size)
    for begin, hours in spans:
        first = int(times.get_indexer([pd.Timestamp(begin)])[0])
        event[first : first + hours] = 1.0
    kw = np.where(event > 0, kw_in_events, 1000.0)
    return MeterData(times, 60, kw, np.zeros(times.size), series={"called": event})


EVENT_CREDIT: dict[str, Any] = {
    "id": "p", "kind": "event_energy", "price": 0.5, "unit": "$/kW-event-hour", "of": "pk", "events": "called",
}  # fmt: skip
CAPACITY: dict[str, Any] = {
    "id": "p", "kind": "capacity_credit", "price": 2.0, "unit": "$/kW-month", "of": "pk", "events": "called",
}  # fmt: skip
SERIES: dict[str, Any] = {"series": {"called": {"unit": "0/1"}}}


def test_credits_are_earned_in_events() -> None:
    times = pd.date_range("2025-07-01", periods=72, freq="60min")
    load = _called(times, ("2025-07-01 14:00", 2), ("2025-07-02 14:00", 1))
    one_miss = load.with_values(import_kw=np.where(np.arange(72) == 15, 700.0, load.import_kw))
    firm = {"firm_level_kw": 500}
    for data, reduced in ((load, 800.0), (one_miss, 300.0)):
        assert bill(_tariff([], programs=[EVENT_CREDIT], **SERIES), data).total == pytest.approx(-0.5 * reduced * 3)
        assert bill(_tariff([], programs=[CAPACITY], **SERIES), data).total == pytest.approx(-2.0 * reduced)
        least = min(reduced, 500.0)
        assert bill(_tariff([], programs=[{**CAPACITY, **firm}], **SERIES), data).total == pytest.approx(-2.0 * least)
    settled = {**CAPACITY, **firm, "penalty_price": 3.0}
    assert bill(_tariff([], programs=[settled], **SERIES), one_miss).total == pytest.approx(-2.0 * 500 + 3.0 * 200)


def test_caps_on_events_hold_by_event_and_by_year() -> None:
    times = pd.date_range("2025-12-29", periods=24 * 7, freq="60min")
    load = _called(
        times, ("2025-12-29 10:00", 4), ("2025-12-30 10:00", 2), ("2026-01-01 10:00", 3), ("2026-01-02 10:00", 1)
    )
    for caps, hours in (
        ({}, (6, 4)),
        ({"max_hours_per_event": 2}, (4, 3)),
        ({"max_events": 1}, (4, 3)),
        ({"max_hours_per_year": 5}, (5, 4)),
        ({"max_hours_per_year": 3}, (3, 3)),
        ({"max_hours_per_event": 3, "max_events": 1, "max_hours_per_year": 2}, (2, 2)),
        ({"max_events": 0}, (0, 0)),
    ):
        made = bill(_tariff([], programs=[{**EVENT_CREDIT, **caps}], **SERIES), load)
        assert made.by_cycle == pytest.approx([-0.5 * 800 * count for count in hours]), caps


@pytest.mark.parametrize("program", [EVENT_CREDIT, CAPACITY, {**CAPACITY, "firm_level_kw": 500}])
def test_an_earned_credit_costs_the_optimiser_what_the_bill_says(program: dict[str, Any]) -> None:
    times = pd.date_range("2025-06-29", periods=24 * 4, freq="60min")
    load = _called(times, ("2025-06-29 14:00", 2), ("2025-07-01 14:00", 2))
    mixed = load.with_values(import_kw=np.where(np.arange(96) == 15, 700.0, load.import_kw))
    failed = load.with_values(import_kw=np.where(np.arange(96) == 15, 1200.0, load.import_kw))
    tariff = _tariff([DEMAND], programs=[program], **SERIES)
    for data in (load, mixed, failed):
        cost, billed = residual(tariff, data, allow_tariff_programs=True)
        assert cost == pytest.approx(billed, abs=0.01)


def test_a_tariff_does_not_sell_past_the_ledger_of_headroom() -> None:
    times = pd.date_range("2025-07-01", periods=24, freq="60min")
    load = _called(times, ("2025-07-01 14:00", 2))
    ancillary = {"id": "reserve", "kind": "ancillary", "price": 5.0, "unit": "$/MW-h", "of": "pk"}
    for program, instead in ((CAPACITY, "interruptible"), (ancillary, "ancillary_services")):
        with pytest.raises(InvalidInput, match=f"`{instead}` under `programs:`"):
            page_of(_tariff([DEMAND], programs=[program], **SERIES), load)
        page_of(_tariff([DEMAND], programs=[program], **SERIES), load, allow_tariff_programs=True)


EXPORTS: list[dict[str, Any]] = [
    {"scheme": "net_metering_kwh"},
    {"scheme": "net_metering_kwh", "true_up_month": 6, "true_up_price": 0.03},
    {"scheme": "net_metering_kwh", "true_up_month": 6, "true_up_price": 0.2, "true_up_on": "banks"},
    {"scheme": "net_metering_kwh", "carry": "expire", "nonbypassable": 0.01},
    {"scheme": "net_metering_dollar"},
    {
        "scheme": "net_metering_dollar",
        "credit_price": 0.04,
        "apply_in_current_month": True,
        "offsets": ["energy", "demand"],
    },
    {"scheme": "net_billing"},
    {"scheme": "net_billing", "netting": "hour", "cap_kw": 3000},
    {"scheme": "net_billing_dollar_carry", "true_up_month": 6, "true_up_price": 0.5},
    {"scheme": "net_billing_dollar_carry", "carry": "expire", "offsets": ["fixed", "energy", "demand"]},
    {"scheme": "feed_in"},
    {"scheme": "buy_all_sell_all"},
]


@st.composite
def prosumers(draw: st.DrawFn) -> MeterData:
    """Ten to eighty days from mid-May with load and generation apart."""
    step = draw(st.sampled_from([30, 60]))
    count = draw(st.integers(10, 80)) * 24 * 60 // step
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    times = pd.date_range("2025-05-15", periods=count, freq=f"{step}min")
    bias = draw(st.floats(-3000, 3000))
    net = rng.uniform(-4000, 4000, count) + bias * np.where(times.month == 6, -1.0, 1.0)
    made = np.maximum(-net, 0.0) + 100.0
    return MeterData(times, step, np.maximum(net, 0.0), np.maximum(-net, 0.0), made + net, made)


@pytest.mark.parametrize("export", EXPORTS, ids=lambda value: "-".join(str(part) for part in value.values()))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(load=prosumers())
def test_pinned_cost_is_the_bill_under_every_scheme(export: dict[str, Any], load: MeterData) -> None:
    energy = NET if "metering" in export["scheme"] else ENERGY
    sold = [] if "metering" in export["scheme"] else [SELL]
    fixed = {"id": "customer", "kind": "fixed", "amount": 900}
    tariff = _tariff([fixed, energy, *sold, DEMAND], export=export)
    cost, billed = residual(tariff, load)
    assert cost == pytest.approx(billed, abs=0.01)


@QUICK
@given(prosumers(), st.sampled_from(["physical", "sell_back_at_index", "cfd"]), st.floats(0, 1), st.booleans())
def test_pinned_cost_is_the_bill_with_supply(load: MeterData, settle: str, share: float, take: bool) -> None:
    rng = np.random.default_rng(len(load.times))
    priced = MeterData(
        load.times, load.step_min, load.import_kw, load.export_kw, series={"da": rng.normal(30, 60, len(load.times))}
    )
    block = {"id": "ppa", "mw": 1.5, "calendar": "E", "periods": ["on"], "price": 0.05, "settle": settle, "index": "da"}
    index = {"id": "index", "kind": "energy", "series": "da", "tags": ["supply"]}
    tariff = _tariff(
        [index, {**ENERGY, "tags": ["delivery"]}],
        series={"da": {"unit": "$/MWh"}},
        supply=[{**block, "min_take_pct": share, "take_or_pay": take}],
    )
    cost, billed = residual(tariff, priced)
    assert cost == pytest.approx(billed, abs=0.01)


def _exporter(price: np.ndarray) -> MeterData:
    times = pd.date_range("2025-07-01", periods=price.size, freq="60min")
    sold = np.tile([0.0, 1500.0, 4000.0, 2500.0], price.size // 4)
    return MeterData(times, 60, np.where(sold > 0, 0.0, 2000.0), sold, series={"da": price})


def test_a_capped_export_pays_negative_prices_in_full() -> None:
    price = np.where(np.arange(48) < 24, -20.0, 30.0)
    load = _exporter(price)
    sell = {"id": "sell", "kind": "energy", "channel": "export", "series": "da"}
    series = {"da": {"unit": "$/MWh"}}
    tariff = _tariff([ENERGY, sell], export={"scheme": "net_billing", "cap_kw": 2000}, series=series)
    block = page_of(tariff, load)
    cost, billed = block.program.solve()[0], bill(tariff, load)
    assert billed.by_charge["sell"] == pytest.approx(-6 * 5.5 * (30.0 - 20.0))
    assert cost == pytest.approx(billed.total)
    assert sum(block.program.integer) == 24
    paid = MeterData(load.times, 60, load.import_kw, load.export_kw, series={"da": np.abs(price)})
    assert not any(page_of(tariff, paid).program.integer)


def test_a_dollar_bank_on_negative_charges_is_refused() -> None:
    load = _exporter(np.where(np.arange(48) < 24, -20.0, 30.0))
    index = {"id": "index", "kind": "energy", "series": "da"}
    scheme = {"scheme": "net_billing_dollar_carry", "offsets": ["energy", "fixed"]}
    series = {"da": {"unit": "$/MWh"}}
    with pytest.raises(InvalidInput, match="negative price"):
        page_of(_tariff([index, SELL], export=scheme, series=series), load)
    page_of(_tariff([{**index, "adder": 0.03}, SELL], export=scheme, series=series), load)
    rebate = {"id": "rebate", "kind": "fixed", "amount": -5}
    with pytest.raises(InvalidInput, match="rebate"):
        page_of(_tariff([ENERGY, rebate, SELL], export=scheme), load)
