"""Rolling windows hand over peaks and tiers; bills over years follow their trends."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pinning import page_of

from microgrid.errors import InvalidInput
from microgrid.formulation.horizon import Horizon
from microgrid.tariffs.bill import bill
from microgrid.tariffs.carry import carried_state, history_after
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.part import TariffPart
from microgrid.tariffs.reading import MeterData
from microgrid.tariffs.years import bill_years, with_rates

TARIFF = Tariff.model_validate(
    {
        "id": "t",
        "determinants": {
            "pk": {"kind": "demand"},
            "bd": {"kind": "max_of", "of": [{"ref": "pk"}, {"ref": "pk", "lookback": 1, "pct": 0.9}]},
        },
        "charges": [
            {"id": "e", "kind": "energy", "tiers": [{"upto": {"kwh": 2e6}, "price": 0.1}, {"upto": {}, "price": 0.04}]},
            {"id": "d", "kind": "demand", "of": "bd", "price": 10.0},
        ],
    }
)
TIMES = pd.date_range("2025-05-01", periods=24 * 61, freq="60min", tz="UTC")
KW = np.random.default_rng(1).uniform(1000.0, 9000.0, TIMES.size)


def _part(rows: slice) -> MeterData:
    return MeterData(TIMES[rows], 60, KW[rows], np.zeros(KW[rows].size))


def test_the_last_window_of_a_cycle_pays_the_whole_cycle() -> None:
    first, second = slice(0, 24 * 20), slice(24 * 20, 24 * 31)
    part = TariffPart(tariff=TARIFF, poi="grid", history="first_year", largest_import_mw=10.0)
    horizon = Horizon(TIMES[0], 60, 24 * 20, "UTC")
    state = carried_state(part, "tariff", horizon, _part(first))
    block = page_of(TARIFF, _part(second), history="first_year", carried=state)
    whole = bill(TARIFF, _part(slice(0, 24 * 31)), history="first_year")
    assert block.program.solve()[0] == pytest.approx(whole.total)


def test_closed_cycles_become_history() -> None:
    may, june = slice(0, 24 * 31), slice(24 * 31, None)
    part = TariffPart(tariff=TARIFF, poi="grid", history={"pk": (20_000.0,)}, largest_import_mw=10.0)
    state = carried_state(part, "tariff", Horizon(TIMES[0], 60, 24 * 31, "UTC"), _part(may))
    history = history_after(part, state, "tariff", "2025-06")
    assert history["pk"] == (20_000.0, KW[may].max())
    both = bill(TARIFF, _part(slice(None)), history={"pk": [20_000.0]})
    assert bill(TARIFF, _part(june), history=history).total == pytest.approx(both.by_cycle[1])


def test_years_grow_fade_and_escalate() -> None:
    tariff = Tariff.model_validate(
        {
            "id": "t",
            "charges": [
                {"id": "e", "kind": "energy", "price": 0.1},
                {"id": "s", "kind": "energy", "channel": "export", "price": 0.1},
            ],
            "escalation": {"inflation": 0.03},
            "load_growth": 0.05,
            "gen_degradation": 0.01,
        }
    )
    times = pd.date_range("2025-01-01", periods=48, freq="60min")
    load = MeterData.from_load(times, 60, np.full(48, 100.0), generation_kw=np.where(np.arange(48) < 24, 60.0, 0.0))
    years = bill_years(tariff, load, 3)
    for year, made in enumerate(years):
        net = 48 * 100 * 1.05**year - 24 * 60 * 0.99**year
        assert made.total == pytest.approx(0.1 * 1.03**year * net)


def _year(peaks_kw: list[float]) -> MeterData:
    """A year at noon of every day: twelve cycles with one level each."""
    times = pd.date_range("2025-01-01", "2026-01-01", freq="24h", inclusive="left")
    level = np.array(peaks_kw)[times.month - 1]
    return MeterData(times, 1440, level, np.zeros(times.size))


def test_components_escalate_apart_and_ratchets_look_back_on_the_year_before() -> None:
    tariff = Tariff.model_validate(
        {
            "id": "t",
            "determinants": {
                "pk": {"kind": "demand"},
                "bd": {"kind": "max_of", "of": [{"ref": "pk"}, {"ref": "pk", "lookback": 11, "pct": 0.5}]},
                "cp": {
                    "kind": "coincident",
                    "intervals": ["2025-07-04 00:00"],
                    "billed": "next_year",
                    "prior_kw": 30.0,
                },
            },
            "charges": [
                {"id": "demand", "kind": "demand", "of": "bd", "price": 10.0, "tags": ["delivery"]},
                {"id": "wires", "kind": "per_unit", "of": "cp", "price": 1.0, "escalation": "grid"},
                {"id": "fixed", "kind": "fixed", "amount": 100.0},
            ],
            "escalation": {"inflation": 0.02, "real": {"delivery": 0.01}, "path": {"grid": [1.0, 1.5]}},
        }
    )
    load = _year([10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 80.0, 10.0, 10.0, 10.0, 10.0, 10.0])
    first, second, third = bill_years(tariff, load, 3, history="first_year")
    # year 1: six months at 10, July at 80, five months at half of July; later years: half of last July before it
    assert first.by_charge["demand"] == pytest.approx(10.0 * (6 * 10 + 80 + 5 * 40))
    assert second.by_charge["demand"] == pytest.approx(10.0 * (6 * 40 + 80 + 5 * 40) * 1.02 * 1.01)
    assert third.by_charge["demand"] == pytest.approx(10.0 * (6 * 40 + 80 + 5 * 40) * (1.02 * 1.01) ** 2)
    assert [made.by_charge["wires"] for made in (first, second, third)] == pytest.approx([360, 1.5 * 960, 1.5 * 960])
    assert third.by_charge["fixed"] == pytest.approx(1200.0 * 1.02**2)


def test_rates_may_be_stated_for_known_components_only() -> None:
    tariff = Tariff.model_validate(
        {"id": "t", "charges": [{"id": "f", "kind": "fixed", "amount": 1.0, "tags": ["delivery"]}]}
    )
    made = bill_years(with_rates(tariff, {"delivery": 0.1, "inflation": 0.5}), _year([1.0] * 12), 2)
    assert made[1].total == pytest.approx(12 * 1.5 * 1.1)
    with pytest.raises(InvalidInput, match="did you mean `delivery`"):
        with_rates(tariff, {"delivry": 0.1})
