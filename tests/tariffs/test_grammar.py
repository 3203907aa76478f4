"""Everything the grammar must express, one line each: written as a tariff file, billed by hand, and pinned.

The load, in steps of six hours, is 1000 kW through June and July 2025, but 5000 kW in one step of Tuesday 10 June and
3000 kW in one step of Saturday 5 July: 744 MWh in June, 756 MWh in July. The solar load buys nothing in the first 96
hours of June and sells 8000 kW: 624 and 744 MWh are bought, 768 MWh sold.
"""

# ruff: noqa: E501 - one tariff a line reads best

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pinning import residual

from microgrid.tariffs.read import parse_tariff
from microgrid.tariffs.reading import MeterData

TIMES = pd.date_range("2025-06-01", "2025-08-01", freq="6h", inclusive="left")


def _load() -> MeterData:
    kw = np.full(TIMES.size, 1000.0)
    kw[TIMES == "2025-06-10 12:00"], kw[TIMES == "2025-07-05 12:00"] = 5000.0, 3000.0
    series = {"da": np.full(TIMES.size, 50.0), "gen": np.full(TIMES.size, 0.5), "event": (kw > 1000.0).astype(float)}
    return MeterData(TIMES, 360, kw, np.zeros(TIMES.size), series=series).at_power_factor(0.8)


def _solar() -> MeterData:
    made = np.where(np.arange(TIMES.size) < 16, 9000.0, 0.0)
    return MeterData.from_load(TIMES, 360, np.full(TIMES.size, 1000.0), generation_kw=made)


SERIES = "series: {da: {unit: $/MWh}, gen: {unit: MW}, event: {unit: 0/1}}\n"
PK = "determinants: {pk: {kind: demand}}\n"
REST = "charges: [{id: rest, kind: energy, price: 0.1, tags: [supply]}]\n"
WEEK = "calendars: {W: {rules: [{months: [6], days: weekday, hours: [[12, 18]], period: peak}], default: rest}}\n"
TOU = "charges: [{id: e, kind: energy, calendar: W, price: {peak: 0.2, rest: 0.1}}]\n"
ONE = "charges: [{id: d, kind: demand, of: bd, price: 1.0}]\n"
NET = "charges: [{id: n, kind: net_metered_energy, price: 0.1}]\n"
SELL = "charges: [{id: e, kind: energy, price: 0.1}, {id: s, kind: energy, channel: export, price: 0.03}]\n"
MILD = "{id: e, kind: energy, price: 0.001}"

BY_HAND: dict[str, tuple[str, float]] = {
    "TOU by season, weekday and hour": (WEEK + TOU, 0.1 * 1_500_000 + 0.1 * (21 * 6000 + 24_000)),
    "a holiday counts as a weekend": ("holidays: {calendar: US, include: [Juneteenth]}\n" + WEEK + TOU, 150_000 + 0.1 * (20 * 6000 + 24_000)),
    "blocks by kWh": ("charges: [{id: e, kind: energy, tiers: [{upto: {kwh: 700000}, price: 0.1}, {upto: {}, price: 0.05}]}]\n", 140_000 + 0.05 * 100_000),
    "blocks by kWh a kW": (PK + "charges: [{id: e, kind: energy, kw: pk, tiers: [{upto: {kwh_per_kw: 100}, price: 0.1}, {upto: {}, price: 0.02}]}]\n", 0.1 * 800_000 + 0.02 * 700_000),
    "blocks by kWh a day": ("charges: [{id: e, kind: energy, tiers: [{upto: {kwh_per_day: 20000}, price: 0.1}, {upto: {}, price: 0.2}]}]\n", 0.1 * 1_220_000 + 0.2 * 280_000),
    "flat demand in tiers": (PK + "charges: [{id: d, kind: demand, of: pk, tiers: [{upto: 2000, price: 5}, {upto: {}, price: 10}]}]\n", 20_000 + 10 * 4000),
    "TOU demand": ("calendars: {W: {rules: [{days: weekday, period: on}], default: rest}}\ndeterminants: {pk: {kind: demand, calendar: W, periods: [on]}}\ncharges: [{id: d, kind: demand, of: pk, price: 2}]\n", 2 * 6000),
    "a rolling window": ("determinants: {bd: {kind: demand, window_min: 720, window: rolling}}\n" + ONE, 3000 + 2000),
    "the mean of the three highest days": ("determinants: {bd: {kind: demand, stat: avg_top_n, n: 3, distinct_days: true}}\n" + ONE, (7000 + 5000) / 3),
    "a ratchet on given history": (PK[:-2] + ", bd: {kind: max_of, of: [{ref: pk}, {ref: pk, lookback: 11, pct: 0.8}]}}\nhistory: {pk: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8000]}\n" + ONE, 2 * 6400),
    "a ratchet looks back on eleven cycles and no further": (PK[:-2] + ", bd: {kind: max_of, of: [{ref: pk}, {ref: pk, lookback: 11, pct: 0.8}]}}\nhistory: {pk: [9000, 8000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]}\n" + ONE, 6400 + 4000),
    "a ratchet in a steady state": (PK[:-2] + ", bd: {kind: max_of, of: [{ref: pk}, {ref: pk, lookback: 1, pct: 0.9, wrap: true}]}}\n" + ONE, 5000 + 4500),
    "contract minimum and floor": ("contract: {k: 6000}\n" + PK[:-2] + ", bd: {kind: max_of, of: [{ref: pk}, {contract: k, pct: 0.6}, {const: 500}]}}\n" + ONE, 5000 + 3600),
    "contract overrun": ("contract: {k: 2500}\n" + PK[:-2] + ", bd: {kind: excess, ref: pk, over: k, pct: 1.1}}\n" + ONE, 2250 + 250),
    "firm part of a demand": (PK[:-2] + ", bd: {kind: min_of, of: [{ref: pk}, {const: 4000}]}}\n" + ONE, 4000 + 3000),
    "shares of contract and constant by month": ("contract: {k: 8000}\n" + PK[:-2] + ", bd: {kind: max_of, of: [{ref: pk}, {contract: k, pct: {6: 0.75, 1: 1.0}}, {const: 4000, pct: {7: 0.9}}]}}\n" + ONE, 6000 + 3600),
    "the least with shares and months": (PK[:-2] + ", bd: {kind: min_of, of: [{ref: pk}, {ref: pk, pct: {6: 0.6}}, {const: 2500, months: [7]}]}}\n" + ONE, 3000 + 2500),
    "coincident peaks, this year": ("determinants: {bd: {kind: coincident, intervals: ['2025-06-10 14:00', '2025-07-05 14:00'], window_min: 60}}\n" + ONE, 2 * 4000),
    "coincident peaks of the year before": ("determinants: {bd: {kind: coincident, intervals: ['2025-06-10 14:00'], window_min: 60, prior_kw: 700}}\n" + ONE, 2 * 700),
    "coincident peaks of each month": ("determinants: {bd: {kind: coincident, intervals: ['2025-06-10 14:00', '2025-07-05 14:00'], window_min: 60, billed: same_month}}\n" + ONE, 5000 + 3000),
    "kVA": ("determinants: {bd: {kind: demand, quantity: kva}}\n" + ONE, 6250 + 3750),
    "power-factor penalty": ("determinants: {bd: {kind: ratio_pf, ref_pf: 0.9}}\n" + ONE, 0.9 * 10_000),
    "kvar": ("determinants: {bd: {kind: kvar}}\n" + ONE, 0.6 * 10_000),
    "index with adder and losses": (SERIES + "charges: [{id: e, kind: energy, series: da, mult: 1.02, adder: 0.004, loss_factor: 1.01}]\n", 1_500_000 * 1.01 * 0.055),
    "index with a cap": (SERIES + "charges: [{id: e, kind: energy, series: da, cap: 0.03}]\n", 1_500_000 * 0.03),
    "a supply block": ("supply: [{id: b, mw: 0.6, price: 0.04}]\n" + REST, 878_400 * 0.04 + 621_600 * 0.1),
    "a block that is taken or paid": ("supply: [{id: b, mw: 2, price: 0.04}]\n" + REST, 2_928_000 * 0.04 + 24_000 * 0.1),
    "a block taken to four fifths": ("supply: [{id: b, mw: 2, price: 0.04, min_take_pct: 0.8}]\n" + REST, 2_928_000 * 0.04 * 0.8 + 24_000 * 0.1),
    "a block that sells back": (SERIES + "supply: [{id: b, mw: 2, price: 0.04, settle: sell_back_at_index, index: da, sell_back_mult: 0.9}]\n" + REST, 2_928_000 * 0.04 - 1_452_000 * 0.045 + 2400),
    "supply as generated": (SERIES + "supply: [{id: b, mw: gen, price: 0.04}]\n" + REST, 732_000 * 0.04 + 768_000 * 0.1),
    "contract for differences": (SERIES + "supply: [{id: b, mw: 1, price: 0.04, settle: cfd, index: da}]\n" + REST, -1_464_000 * 0.01 + 150_000),
    "standby reservation": ("contract: {standby: 2000}\ndeterminants: {bd: {kind: const, of: standby}}\n" + ONE, 2 * 2000),
    "fixed by month, day and year": ("charges: [{id: a, kind: fixed, amount: 100, per: month}, {id: b, kind: fixed, amount: 0.5, per: day}, {id: c, kind: fixed, amount: 120, per: year}]\n", 200 + 30.5 + 20),
    "minimum bill": (f"charges: [{MILD}, {{id: m, kind: min_bill, amount: 750, of: [e]}}]\n", 750 + 756),
    "minimum bill by demand": (PK + f"charges: [{MILD}, {{id: m, kind: min_bill, per: {{pk: 0.2}}, plus: 10, of: [e]}}]\n", 1010 + 756),
    "a rider before a minimum bill": (f"charges: [{MILD}, {{id: p, kind: percent, pct: 0.1, of: [e]}}, {{id: m, kind: min_bill, amount: 825, of: [e, p]}}]\n", 825 + 831.6),
    "a rider after a minimum bill": (f"charges: [{MILD}, {{id: m, kind: min_bill, amount: 750, of: [e]}}, {{id: p, kind: percent, pct: 0.1, of: [e, m]}}]\n", 825 + 831.6),
    "a minimum of the energy alone": (f"charges: [{MILD}, {{id: p, kind: percent, pct: 0.1, of: [e]}}, {{id: m, kind: min_bill, amount: 825, of: [e]}}]\n", 825 + 74.4 + 825 + 75.6),
    "minimum of a year": (f"charges: [{MILD}, {{id: m, kind: annual_min, amount: 2000, of: [e]}}]\n", 2000),
    "riders in $/kWh and in percent": ("charges: [{id: e, kind: energy, price: 0.1}, {id: r, kind: energy, price: 0.01, tags: [rider]}, {id: p, kind: percent, pct: 0.05, of: [e]}]\n", 150_000 * 1.05 + 15_000),
    "energy in power bands": ("charges: [{id: a, kind: energy, price: 0.5, band: {above: 2000}}, {id: b, kind: energy, price: 0.1, band: {below: 2000}}]\n", 0.5 * 24_000 + 0.1 * 1_476_000),
    "a penalty while called": (SERIES + "charges: [{id: a, kind: energy, price: 0.5, band: {above: 2500}, when: event}]\n", 0.5 * 6 * (2500 + 500)),
    "interruption credit": (PK + f"charges: [{MILD}]\nprograms: [{{id: c, kind: capacity_credit, price: 2, unit: $/kW-month, of: pk, firm_level_kw: 1000}}]\n", 1500 - 2 * (4000 + 2000)),
    "cycles by read date": ("billing: {cycle: read_dates, reads: [2025-06-01, 2025-06-15, 2025-07-01, 2025-08-01]}\n" + PK + "charges: [{id: f, kind: fixed, amount: 100, per: month}, {id: d, kind: demand, of: pk, price: 1}]\n", 300 + 5000 + 1000 + 3000),
    "prices by a normal month of 30 days": (PK + "charges: [{id: d, kind: demand, of: pk, price: 10, norm_days: 30}]\n", 50_000 + 30_000 * 31 / 30),
    "prices by month": ("charges: [{id: e, kind: energy, price: {by_month: [0, 0, 0, 0, 0, 0.1, 0.2, 0, 0, 0, 0, 0]}}]\n", 74_400 + 151_200),
}  # fmt: skip

SOLAR: dict[str, tuple[str, float]] = {
    "net metering, kWh bank": ("export: {scheme: net_metering_kwh}\n" + NET, 0.1 * (744_000 - 144_000)),
    "net metering, kWh lost at the true-up": ("export: {scheme: net_metering_kwh, true_up_month: 6, true_up_price: 0.02}\n" + NET, 0.1 * 744_000 - 0.02 * 144_000),
    "net metering, money bank": ("export: {scheme: net_metering_dollar}\n" + NET, 74_400 - 14_400),
    "net billing": ("export: {scheme: net_billing}\n" + SELL, 136_800 - 23_040),
    "net billing, credit carried": ("export: {scheme: net_billing_dollar_carry}\n" + SELL, 136_800 - 23_040),
    "feed-in": ("export: {scheme: feed_in}\n" + SELL, 136_800 - 23_040),
    "buy all, sell all": ("export: {scheme: buy_all_sell_all}\n" + SELL, 146_400 - 25_920),
    "non-bypassable charge on all import": ("export: {scheme: net_metering_kwh, nonbypassable: 0.01}\n" + NET, 60_000 + 0.01 * 1_368_000),
    "credited export up to a size": ("export: {scheme: net_billing, cap_kw: 5000}\n" + SELL, 136_800 - 14_400),
    "charge on the load behind the meter": ("charges: [{id: e, kind: energy, channel: gross_load, price: 0.01}]\n", 14_640),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_each_word_of_the_grammar(name: str) -> None:
    text, by_hand = BY_HAND[name]
    load = _load()
    cost, billed = residual(parse_tariff(f"id: t\n{text}"), load, allow_tariff_programs=True, weigh_next_year=False)
    assert billed == pytest.approx(by_hand, abs=0.005)
    assert cost == pytest.approx(billed, abs=0.01)


@pytest.mark.parametrize("name", SOLAR)
def test_each_word_of_the_export_grammar(name: str) -> None:
    text, by_hand = SOLAR[name]
    cost, billed = residual(parse_tariff(f"id: t\n{text}"), _solar())
    assert billed == pytest.approx(by_hand, abs=0.005)
    assert cost == pytest.approx(billed, abs=0.01)
