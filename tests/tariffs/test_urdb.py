"""URDB in and out: what is taken over bills the same, what is not is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from microgrid.errors import InvalidInput
from microgrid.tariffs.bill import bill
from microgrid.tariffs.library import find_tariff
from microgrid.tariffs.read import parse_tariff
from microgrid.tariffs.reading import MeterData
from microgrid.tariffs.urdb import import_urdb, read_urdb
from microgrid.tariffs.urdb_export import export_urdb

SUMMER = [1 if month in {6, 7, 8, 9} else 0 for month in range(1, 13)]
RECORD: dict[str, Any] = {
    "label": "5abc",
    "utility": "Test Power",
    "name": "Large General",
    "startdate": 1_704_067_200,
    "fixedchargefirstmeter": 100.0,
    "fixedchargeunits": "$/month",
    "energyratestructure": [[{"rate": 0.05, "adj": 0.01}], [{"rate": 0.10, "adj": 0.01}]],
    "energyweekdayschedule": [[0] * 12 + [s] * 6 + [0] * 6 for s in SUMMER],
    "energyweekendschedule": [[0] * 24] * 12,
    "flatdemandstructure": [[{"rate": 8.0}], [{"rate": 12.0}]],
    "flatdemandmonths": SUMMER,
    "demandwindow": 60,
}


def _load(days: int = 365) -> MeterData:
    times = pd.date_range("2025-01-01", periods=24 * days, freq="60min")
    rng = np.random.default_rng(2)
    return MeterData(times, 60, rng.uniform(500, 1500, times.size), np.zeros(times.size))


def test_a_record_bills_as_it_reads() -> None:
    made = import_urdb(RECORD)
    load = _load()
    frame = pd.DataFrame({"kw": load.import_kw}, index=load.times)
    summer = frame.index.month.isin([6, 7, 8, 9])
    on = summer & (frame.index.dayofweek < 5) & (frame.index.hour >= 12) & (frame.index.hour < 18)
    energy = 0.06 * frame["kw"][~on].sum() + 0.11 * frame["kw"][on].sum()
    peaks = frame["kw"].groupby(frame.index.month).max()
    demand = sum(peak * (12.0 if month in {6, 7, 8, 9} else 8.0) for month, peak in peaks.items())
    assert bill(made.tariff, load).total == pytest.approx(1200 + energy + demand)
    assert made.tariff.source is not None
    assert made.tariff.source.effective == "2024-01-01"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "time zone"),
        ({}, "holidays"),
        ({"coincidentratestructure": [[{"rate": 5}]]}, "coincident"),
        ({"demandratchetpercentage": [0.5] * 12}, "look-back"),
        ({"lookbackpercent": 0.8, "lookbackrange": 11}, "history"),
        ({"lookbackpercent": 80, "lookbackrange": 11}, "80 is read as 0.8"),
        ({"energyratestructure": [[{"rate": 0.1, "max": 9, "sell": 0.05}, {"rate": 0.2, "sell": 0.02}]] * 2}, "beyond"),
        ({"voltageminimum": 12000, "voltagemaximum": 69000}, "12,000 to 69,000 V"),
        ({"servicetype": "Delivery"}, "generation"),
        ({"approved": False}, "approved"),
        ({"energyattrs": [{"rider": "PCA varies monthly"}]}, "riders"),
        ({"demandcomments": "Power factor below 85 %"}, "prose"),
        ({"mincharge": 3.0, "minchargeunits": "$/day"}, "minimum"),
        ({"fixedchargeeaaddl": 5.0}, "additional meter"),
        ({"dgrules": "Net Metering"}, "surplus"),
        (
            {
                "energyratestructure": [
                    [{"rate": 0.1, "max": 9, "unit": "kWh/kW daily"}, {"rate": 0.2}],
                    [{"rate": 0.3}],
                ]
            },
            "kwh/kw daily",
        ),
    ],
)
def test_what_urdb_cannot_say_is_named(change: dict[str, Any], word: str) -> None:
    made = import_urdb({**RECORD, **change})
    assert any(word in warning for warning in made.warnings), made.warnings


SEVERAL_PEAKS = """\
id: several-peaks
timezone: America/Los_Angeles
calendars:
  D:
    rules:
      - {months: [5, 6, 7, 8, 9, 10], days: weekday, hours: [[12, 18]], period: peak}
      - {days: weekday, hours: [[8, 22]], period: part}
    default: off
determinants:
  pk: {kind: demand}
  pk_peak: {kind: demand, calendar: D, periods: [peak]}
  pk_part: {kind: demand, calendar: D, periods: [part]}
  bd: {kind: max_of, of: [{ref: pk}, {ref: pk, lookback: 11, pct: 0.9}]}
charges:
  - {id: energy, kind: energy, price: 0.05}
  - {id: all_hours, kind: demand, of: bd, price: 12.0}
  - {id: peak, kind: demand, of: pk_peak, price: 19.65}
  - {id: part, kind: demand, of: pk_part, price: 5.4}
"""
"""All-hours demand with a ratchet beside two TOU peaks in hours of their own, as a large Californian customer has."""


def test_tiers_keep_their_ends_and_units() -> None:
    tiers = [{"rate": 0.10, "max": 200, "unit": "kWh/kW"}, {"rate": 0.04, "unit": "kWh/kW"}]
    made = import_urdb({**RECORD, "energyratestructure": [tiers, tiers]})
    load = _load(31)
    kwh, peak = load.import_kw.sum(), load.import_kw.max()
    energy = 0.10 * min(kwh, 200 * peak) + 0.04 * max(kwh - 200 * peak, 0)
    assert bill(made.tariff, load).by_charge["energy"] == pytest.approx(energy)


def test_net_metering_becomes_a_kwh_bank() -> None:
    made = import_urdb({**RECORD, "dgrules": "Net Metering"})
    assert made.tariff.export is not None
    assert made.tariff.export.scheme == "net_metering_kwh"
    assert made.tariff.charges[-1].kind == "net_metered_energy"


def test_broken_records_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rate.json"
    path.write_text("[]")
    with pytest.raises(InvalidInput, match="no rate record"):
        read_urdb(path)
    path.write_text(json.dumps({"items": [{**RECORD, "energyweekdayschedule": [[0] * 23] * 12}]}))
    with pytest.raises(InvalidInput, match="12 months of 24 hours"):
        read_urdb(path)


@pytest.mark.parametrize(
    "name", ["pge-like", "smud-ci-tod4-2025", "fpl-gsld-1-2025", "south-central-ppd-lp1-2012", "tva-gsa3-mayfield-2023"]
)
def test_what_urdb_can_hold_survives_the_round_trip(name: str) -> None:
    tariff = find_tariff(name, allow_secondary=True) if name != "pge-like" else parse_tariff(SEVERAL_PEAKS)
    made = export_urdb(tariff)
    back = import_urdb(made.record)
    load = _load()
    first, second = (bill(one, load, allow_other_year=True, history="first_year") for one in (tariff, back.tariff))
    assert second.total == pytest.approx(first.total, abs=0.05)
    assert any("time zone" in text for text in made.lost)


def test_export_names_what_is_lost() -> None:
    lost = " ".join(export_urdb(find_tariff("sce-tou-8-d-2024")).lost)
    assert "holidays" in lost
    assert "demand schedule" not in lost
    lost = " ".join(export_urdb(parse_tariff(SEVERAL_PEAKS.replace("periods: [part]", "periods: [part, peak]"))).lost)
    assert "one TOU demand schedule" in lost
    lost = " ".join(export_urdb(find_tariff("idaho-power-20-2026", allow_secondary=True)).lost)
    assert "program interruption" in lost
