"""Tariffs that reward what an LP only bounds from below: without the binaries that hold it, the LP would cheat."""

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
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.part import TariffPart
from microgrid.tariffs.reading import MeterData

TIMES = pd.date_range("2025-05-20", periods=24 * 30, freq="60min")
RNG = np.random.default_rng(8)
KW = RNG.uniform(1000.0, 9000.0, TIMES.size)
LOAD = MeterData(TIMES, 60, KW, np.zeros(TIMES.size))
PK = {"pk": {"kind": "demand"}}
RATCHET = {"kind": "max_of", "of": [{"ref": "pk"}, {"ref": "pk", "lookback": 1, "pct": 0.9}, {"const": 500}]}
RISING = [
    {"upto": {"kwh_per_kw": 40}, "price": 0.05},
    {"upto": {"kwh_per_kw": 120}, "price": 0.09},
    {"upto": {}, "price": 0.2},
]

REWARDING: dict[str, dict[str, Any]] = {
    "a negative demand price": {
        "determinants": PK,
        "charges": [{"id": "d", "kind": "demand", "of": "pk", "price": -2.0}],
    },
    "a negative price on a ratchet": {
        "determinants": {**PK, "bd": RATCHET},
        "charges": [{"id": "d", "kind": "demand", "of": "bd", "price": -2.0}],
    },
    "rising hours-use blocks": {
        "determinants": PK,
        "charges": [{"id": "e", "kind": "energy", "kw": "pk", "tiers": RISING}],
    },
    "rising hours-use blocks on a contract floor": {
        "determinants": {**PK, "bd": {"kind": "max_of", "of": [{"ref": "pk"}, {"const": 9500}]}},
        "charges": [{"id": "e", "kind": "energy", "kw": "bd", "tiers": RISING}],
    },
    "a discount larger than the demand price": {
        "determinants": PK,
        "charges": [
            {"id": "d", "kind": "demand", "of": "pk", "price": 3.0},
            {"id": "discount", "kind": "percent", "pct": -1.5, "of": ["d"]},
        ],
    },
    "a sum of peaks": {
        "determinants": {**PK, "mix": {"kind": "sum", "of": {"pk": 2.0}}},
        "charges": [{"id": "d", "kind": "demand", "of": "mix", "price": -1.0}],
    },
    "a least of peak and cap": {
        "determinants": {**PK, "firm": {"kind": "min_of", "of": [{"ref": "pk"}, {"const": 9900}]}},
        "charges": [{"id": "d", "kind": "demand", "of": "firm", "price": -1.0}],
    },
    "an excess": {
        "determinants": {**PK, "over": {"kind": "excess", "ref": "pk", "over": 4000}},
        "charges": [{"id": "d", "kind": "demand", "of": "over", "price": -1.0}],
    },
    "slab prices that fall at once": {
        "determinants": PK,
        "charges": [
            {
                "id": "d", "kind": "demand", "of": "pk", "tier_mode": "slab",
                "tiers": [{"upto": 5000, "price": 9.0}, {"upto": {}, "price": 2.0}],
            }
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", REWARDING)
def test_the_rewarded_quantity_is_held(name: str) -> None:
    tariff = Tariff.model_validate({"id": "t", **REWARDING[name]})
    cost, billed = residual(tariff, LOAD, history="first_year")
    assert cost == pytest.approx(billed, abs=0.01)


def test_ordinary_tariffs_need_no_binary() -> None:
    tariff = Tariff.model_validate(
        {
            "id": "t",
            "contract": {"k": 5000},
            "determinants": {
                **PK,
                "bd": {
                    "kind": "max_of",
                    "of": [{"ref": "pk"}, {"ref": "pk", "lookback": 1, "pct": 0.8}, {"contract": "k"}],
                },
                "over": {"kind": "excess", "ref": "pk", "over": "k"},
                "top": {"kind": "demand", "stat": "avg_top_n", "n": 3, "distinct_days": True},
            },
            "charges": [
                {
                    "id": "e",
                    "kind": "energy",
                    "tiers": [{"upto": {"kwh": 1e5}, "price": 0.04}, {"upto": {}, "price": 0.06}],
                },
                {"id": "band", "kind": "energy", "band": {"above": "k"}, "price": 0.1},
                {"id": "d", "kind": "demand", "of": "bd", "price": 9.0},
                {"id": "o", "kind": "demand", "of": "over", "price": 9.0},
                {"id": "t", "kind": "demand", "of": "top", "price": 2.0},
                {"id": "interim", "kind": "demand", "of": "pk", "price": -1.0, "note": "less than others add"},
                {"id": "base", "kind": "demand", "of": "pk", "price": 2.0},
                {"id": "rider", "kind": "percent", "pct": 0.1, "of": ["e", "d"]},
                {"id": "min", "kind": "min_bill", "of": ["e", "d"], "amount": 1e5},
            ],
        }
    )
    block = page_of(tariff, LOAD, history="first_year")
    assert not any(block.program.integer)


def test_binaries_ask_for_the_import_limit() -> None:
    tariff = Tariff.model_validate({"id": "t", **REWARDING["rising hours-use blocks"]})
    with pytest.raises(InvalidInput, match="largest import"):
        page_of(tariff, LOAD, without_limits=True)
    stated = page_of(tariff, LOAD).program.solve()[0]
    published = page_of(tariff, LOAD, without_limits=True, published_limit_mw=12.0).program.solve()[0]
    assert published == pytest.approx(stated)


def test_prices_that_mix_tier_and_period_are_refused_with_a_remedy() -> None:
    tariff = Tariff.model_validate(
        {
            "id": "t",
            "calendars": {"E": {"rules": [{"hours": [[12, 18]], "period": "on"}], "default": "off"}},
            "charges": [
                {
                    "id": "e", "kind": "energy", "calendar": "E",
                    "tiers": [
                        {"upto": {"kwh": 1e5}, "price": {"on": 0.2, "off": 0.1}},
                        {"upto": {}, "price": {"on": 0.1, "off": 0.08}},
                    ],
                }
            ],
        }
    )  # fmt: skip
    with pytest.raises(InvalidInput, match="per_period"):
        page_of(tariff, LOAD)


def test_a_foreign_tariff_needs_a_rate_and_is_converted() -> None:
    tariff = Tariff.model_validate(
        {"id": "t", "currency": "CAD", "charges": [{"id": "e", "kind": "energy", "price": 0.1}]}
    )
    with pytest.raises(InvalidInput, match="usd_per_currency"):
        page_of(tariff, LOAD)
    cost, billed = residual(tariff, LOAD, usd_per_currency=0.73)
    assert cost == pytest.approx(0.73 * billed)


def test_an_earlier_peak_of_the_cycle_is_not_paid_twice() -> None:
    tariff = Tariff.model_validate(
        {"id": "t", "determinants": PK, "charges": [{"id": "d", "kind": "demand", "of": "pk", "price": 10.0}]}
    )
    cost = page_of(tariff, LOAD, carried={"tariff.pk.peak_mw.2025-05": 12.0}).program.solve()[0]
    june = KW[TIMES.month == 6].max()
    assert cost == pytest.approx(10.0 * (12_000.0 + june))


def test_missing_history_stops_the_optimiser_too() -> None:
    part = {"kind": "max_of", "of": [{"ref": "pk"}, {"ref": "pk", "lookback": 2, "pct": 0.5}]}
    tariff = Tariff.model_validate(
        {
            "id": "t",
            "determinants": {**PK, "bd": part},
            "charges": [{"id": "d", "kind": "demand", "of": "bd", "price": 1.0}],
        }
    )
    with pytest.raises(InvalidInput, match="looks back on `pk`"):
        page_of(tariff, LOAD)
    assert TariffPart(tariff=tariff, poi="grid").history is None
