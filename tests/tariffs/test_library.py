"""Shipped tariffs: sourced, dated, billable, optimisable, and refused where prices were not read at the source."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pinning import residual

from microgrid.errors import InvalidInput
from microgrid.tariffs.bill import bill
from microgrid.tariffs.cautions import warnings
from microgrid.tariffs.drawing import draw
from microgrid.tariffs.explain import explain
from microgrid.tariffs.library import find_tariff, list_tariffs, tariff_files
from microgrid.tariffs.model import Tariff, charge_kinds
from microgrid.tariffs.picture import bill_table, picture_bill, picture_calendar
from microgrid.tariffs.reading import MeterData

NAMES = tuple(tariff_files())


def _load(tariff: Tariff, days: int = 365) -> MeterData:
    zone = "UTC" if tariff.timezone == "naive" else tariff.timezone
    start = pd.Timestamp("2026-01-01", tz=zone).tz_convert("UTC")
    times = pd.date_range(start, periods=24 * days, freq="60min")
    rng = np.random.default_rng(4)
    kw = 45_000.0 + 8_000.0 * np.sin(np.arange(times.size) / 24 * 6.283) + rng.uniform(0, 5_000, times.size)
    events = {key: (np.arange(times.size) % 101 == 0).astype(float) for key in tariff.series}
    return MeterData(times, 60, kw, np.zeros(times.size), series=events).at_power_factor(0.95)


def test_there_are_at_least_twenty_real_ones() -> None:
    sources = [source for name in NAMES if (source := find_tariff(name, allow_secondary=True).source) is not None]
    real = [s for s in sources if not s.placeholders and s.quality not in {"proposal", "test-fixture", "invented"}]
    assert len(real) >= 20
    assert len({source.doc + str(source.sheet) for source in real}) >= 20
    assert set(list_tariffs()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_sourced_and_bills_and_prices_the_same(name: str) -> None:
    tariff = find_tariff(name, allow_secondary=True)
    assert tariff.id == name
    assert tariff.source is not None
    assert tariff.source.sheet
    assert tariff.source.retrieved
    placeholders = set(tariff.source.placeholders)
    assert placeholders <= {charge.id for charge in tariff.charges}
    load = _load(tariff, 120)
    options = {"usd_per_currency": 1.0} if tariff.currency != "USD" else {}
    cost, billed = residual(tariff, load, history="steady_state", allow_other_year=True, **options)
    assert billed > 0.0
    assert cost == pytest.approx(billed, abs=0.01)
    assert explain(tariff).count("\n") > 4
    assert not [
        text for text in map(str, warnings(tariff)) if "gap" in text or "hidden" in text or "used by nothing" in text
    ]


def test_doubtful_prices_are_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="allow-secondary") as caught:
        find_tariff("aep-ohio-dct-2025")
    assert "made-up price: delivery" in str(caught.value)
    assert find_tariff("aep-ohio-dct-2025", allow_secondary=True).id == "aep-ohio-dct-2025"
    assert find_tariff("sce-tou-8-d-2024").utility == "Southern California Edison"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("grant-17b-evolving-industry", "proposal"),
        ("smud-ci-tod4-2025", "urdb-unapproved"),
        ("anderson-lp", "undated"),
    ],
)
def test_proposals_unapproved_records_and_undated_prices_are_refused(name: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        find_tariff(name)
    assert why in list_tariffs()[name]


@pytest.mark.parametrize(
    ("dates", "rule", "note"),
    [
        ({"effective": "2024-01-08"}, None, "70.0% of the load is before"),
        ({"effective": "2023-12-31", "expires": "2024-01-07"}, None, "30.0% of the load is after the prices expired"),
        ({"effective": "2024-01-04"}, None, "30.0% of the load is before"),
        ({"effective": "2021-01-01"}, "more than 3 years", None),
        ({"effective": "2021-01-02"}, None, None),
        ({"effective": "2019", "expires": "2024"}, None, None),
        ({"expires": "2024-01-03"}, "70% of the load", "70.0% of the load is after"),
    ],
)
def test_prices_hold_for_most_of_the_load(dates: dict[str, str], rule: str | None, note: str | None) -> None:
    times = pd.date_range("2024-01-01", periods=240, freq="60min")
    load = MeterData(times, 60, np.ones(240), np.zeros(240))
    tariff = Tariff.model_validate({"id": "t", "source": {"doc": "mine", **dates}})
    refused = rule or ("70% of the load" if note and note.startswith("70") else None)
    if refused:
        with pytest.raises(InvalidInput, match=refused):
            bill(tariff, load)
    notes = bill(tariff, load, allow_other_year=True).notes
    assert any(note in text for text in notes) if note else not any("of the load is" in text for text in notes)


def test_unknown_names_are_guessed_at() -> None:
    with pytest.raises(InvalidInput, match="did you mean sce-tou-8-d-2024"):
        find_tariff("sce-tou8-d-2024")


def test_paths_are_read_relative_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("id: own\nsource: {doc: mine, quality: secondary}\n")
    assert find_tariff("own.yaml", folder=tmp_path).id == "own"


def test_contract_values_and_series_can_be_the_customers_own() -> None:
    tariff = find_tariff("tva-dsd-2003").adapted({"contract_kw": 10_000.0})
    with pytest.raises(InvalidInput, match="more than 3 years after prices whose end is not known"):
        bill(tariff, _load(tariff, 31))
    made = bill(tariff, _load(tariff, 31), allow_other_year=True)
    assert made.by_charge["overrun"] > 0.0
    with pytest.raises(ValueError, match="contract_kv"):
        tariff.adapted({"contract_kv": 1.0})


def test_all_charge_kinds_are_catalogued() -> None:
    assert set(charge_kinds()) == {
        "fixed", "energy", "demand", "per_unit", "percent", "min_bill", "annual_min", "net_metered_energy",
    }  # fmt: skip


def test_pictures_and_table(tmp_path: Path) -> None:
    tariff = find_tariff("sce-tou-8-d-2024")
    made = bill(tariff, _load(tariff))
    assert bill_table(made).loc["total", "total"] == pytest.approx(made.total)
    for path in (picture_bill(made, tmp_path / "bill.png"), picture_calendar(draw(tariff)[0], tmp_path / "c.svg")):
        assert path.stat().st_size > 5_000


def test_the_drawing_shows_half_hours_and_gaps() -> None:
    tariff = Tariff.model_validate(
        {"id": "t", "calendars": {"E": {"rules": [{"days": "weekday", "hours": [[8.5, 24]], "period": "on"}]}}}
    )
    text = draw(tariff)[0].text()
    january = next(line for line in text.splitlines() if line.startswith("Jan"))
    assert january.endswith("?" * 17 + "." * 31)
    assert any("gap" in str(warning) for warning in warnings(tariff))


def test_overlaps_are_warned_of_only_where_rules_cut_across() -> None:
    def rules(*spans: tuple[list[int], str]) -> list[str]:
        listed = [{"hours": [hours], "period": name} for hours, name in spans]
        tariff = Tariff.model_validate({"id": "t", "calendars": {"E": {"rules": listed, "default": "off"}}})
        return [str(warning) for warning in warnings(tariff)]

    assert any("rules 1 (a) and 2 (b) overlap" in text for text in rules(([12, 18], "a"), ([16, 21], "b")))
    assert not any("overlap" in text for text in rules(([16, 18], "a"), ([12, 21], "b")))
    assert any("hidden" in text for text in rules(([12, 21], "a"), ([16, 18], "b")))
    assert rules(([8.25, 8.5], "a")) == rules(([8, 9], "a")), "a quarter of an hour is a time of the year"


def test_a_gap_of_a_quarter_hour_is_seen_with_its_share() -> None:
    rules = [{"hours": [[0, 20], [20.25, 24]], "period": "all"}]
    tariff = Tariff.model_validate({"id": "t", "calendars": {"E": {"rules": rules}}})
    (gap,) = [text for text in map(str, warnings(tariff)) if "gap" in text]
    assert "1.0% of the year" in gap, "15 of 1440 minutes"
    assert "20:00" in gap


@pytest.mark.parametrize("name", NAMES)
def test_each_survives_json(name: str) -> None:
    tariff = find_tariff(name, allow_secondary=True)
    assert Tariff.model_validate_json(tariff.model_dump_json(exclude_unset=True)) == tariff
