"""A window takes over the peak and tiered energy before it; bills over years follow their trends."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pinning import page_of

from microgrid.errors import InvalidInput
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.reading import MeterData
from microgrid.tariffs.years import bill_years, with_rates


@pytest.mark.parametrize(("alloc", "counter"), [("pro_rata", "e"), ("per_period", "e.off")])
def test_a_window_takes_over_peak_and_tiered_energy(alloc: str, counter: str) -> None:
    """30 MWh and a peak of 3 MW before it; a day at 1 MW fills the first tier's last 10 MWh and 14 of the second."""
    tiers = [{"upto": {"kwh": 40_000}, "price": 0.1}, {"upto": {}, "price": 0.04}]
    tariff = Tariff.model_validate(
        {
            "id": "t",
            "calendars": {"E": {"rules": [], "default": "off"}},
            "determinants": {"pk": {"kind": "demand"}},
            "charges": [
                {"id": "e", "kind": "energy", "calendar": "E", "tier_alloc": alloc, "tiers": tiers},
                {"id": "d", "kind": "demand", "of": "pk", "price": 10.0},
            ],
        }
    )
    times = pd.date_range("2025-05-30", periods=24, freq="60min", tz="UTC")
    load = MeterData(times, 60, np.full(24, 1000.0), np.zeros(24))
    before = {f"tariff.{counter}.energy_mwh.2025-05": 30.0, "tariff.pk.peak_mw.2025-05": 3.0}
    cost, _ = page_of(tariff, load, carried=before).program.solve()
    assert cost == pytest.approx(40_000 * 0.1 + 14_000 * 0.04 + 3_000 * 10.0)


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


def _two_prices(**node: object) -> Tariff:
    return Tariff.model_validate(
        {
            "id": "t",
            "determinants": {"d": node},
            "charges": [{"id": "c", "kind": "per_unit", "of": "d", "price": 5.0}],
        }
    )


def test_each_year_bills_the_coincident_peaks_of_the_one_before() -> None:
    """Growth of a tenth: year 2 bills year 1's 10 kW, year 3 its 11; a stated peak of another year stays as it is."""
    load = _year([10.0] * 12)
    node = {"kind": "coincident", "intervals": ["2025-07-04 00:00"], "billed": "next_year", "window_min": None}
    unknown = bill_years(_two_prices(**node), load, 3, load_growth=0.1)
    assert [made.total for made in unknown] == pytest.approx([600.0, 600.0, 660.0])
    known = bill_years(_two_prices(**node, prior_kw=7.0), load, 3, load_growth=0.1)
    assert [made.total for made in known] == pytest.approx([420.0, 600.0, 660.0])
    elsewhere = bill_years(_two_prices(**{**node, "intervals": ["2024-07-04 00:00"]}, prior_kw=7.0), load, 2)
    assert [made.total for made in elsewhere] == pytest.approx([420.0, 420.0])


def test_reactive_power_grows_with_the_import() -> None:
    year = _year([100.0] * 12)
    kvar = MeterData(year.times, 1440, year.import_kw, year.export_kw, kvar=np.full(year.times.size, 50.0))
    totals = [made.total for made in bill_years(_two_prices(kind="kvar"), kvar, 2, load_growth=0.1)]
    assert totals == pytest.approx([12 * 5 * 50.0, 12 * 5 * 55.0])


@pytest.mark.parametrize(("first_kw", "kva"), [(1000.0, 100.0), (1900.0, 1090.0 / 0.9)])
def test_import_that_begins_in_a_later_year_has_the_power_factor_of_the_rest(first_kw: float, kva: float) -> None:
    """A load of 1,000 kW behind as much generation imports 100 kW a year later; the peak is January's where it imports.

    With 1,900 kW in January the first year imports 900 kW there at 0.9, and the next 1,090 kW; other months 100 / 0.9.
    """
    times = pd.date_range("2025-01-01", "2026-01-01", freq="24h", inclusive="left")
    load = np.where(times.month == 1, first_kw, 1000.0)
    metered = MeterData.from_load(times, 1440, load, generation_kw=np.full(times.size, 1000.0), power_factor=0.9)
    later = bill_years(_two_prices(kind="demand", quantity="kva"), metered, 2, load_growth=0.1)[1]
    others = 100.0 if first_kw == 1000.0 else 100.0 / 0.9
    assert later.total == pytest.approx(5.0 * (kva + 11 * others))
    assert any("no power factor" in note for note in later.notes) == (first_kw == 1000.0)
