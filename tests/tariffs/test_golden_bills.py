"""Golden bills of every shipped tariff: a fixed load, so that a typo in a price fails; some are redone by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microgrid.tariffs.bill import bill
from microgrid.tariffs.library import find_tariff, tariff_files
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.reading import MeterData

GOLDEN = json.loads((Path(__file__).parent / "golden_bills.json").read_text(encoding="utf-8"))
"""Money by charge, by tariff and by size of the load in kW; made by the biller once, then read against the sheets."""


def load_of(tariff: Tariff, size_kw: float) -> MeterData:
    """2025 by hours: `size_kw`, half as much again from 12 to 20, and 2 % more each month; events every 101st hour."""
    zone = "UTC" if tariff.timezone == "naive" else tariff.timezone
    begin, end = (pd.Timestamp(f"{year}-01-01", tz=zone).tz_convert("UTC") for year in (2025, 2026))
    times = pd.date_range(begin, end, freq="60min", inclusive="left")
    local = times.tz_convert(zone)
    kw = size_kw * (1.0 + 0.5 * ((local.hour >= 12) & (local.hour < 20)) + 0.02 * local.month).to_numpy()
    events = {key: (np.arange(times.size) % 101 == 0).astype(float) for key in tariff.series}
    return MeterData(times, 60, kw, np.zeros(times.size), series=events).at_power_factor(0.8)


def charged(name: str, size_kw: float) -> dict[str, float]:
    tariff = find_tariff(name, allow_secondary=True)
    made = bill(tariff, load_of(tariff, size_kw), history="steady_state", allow_other_year=True)
    return {charge: round(amount, 2) for charge, amount in made.by_charge.items()}


@pytest.mark.parametrize("name", sorted(tariff_files()))
def test_the_bill_is_what_it_was(name: str) -> None:
    assert set(GOLDEN[name]) == {"300", "3000", "60000"}
    for size, amounts in GOLDEN[name].items():
        assert charged(name, float(size)) == pytest.approx(amounts, abs=0.011), size


ENERGY_KWH = 72_000.0 * (365 * 7 / 6 + 0.02 * 2382) + 3000.0 * 0.16
"""Energy of the 3000 kW load: 24 h a day at 7/6 of the size, 2 % a month more (days times month sum to 2382), an hour
less in March (106 %) and one more in November (122 %)."""


@pytest.mark.parametrize(
    ("name", "size", "by_hand"),
    [
        # Peaks are 150 % of the size and 2 % a month more: (12 x 1.5 + 0.02 x 78) sizes a year.
        (
            "fpl-gsld-1-2025",
            "3000",
            {"base": 12 * 88.67, "energy": ENERGY_KWH * 0.01958, "demand": 3000 * 19.56 * 13.59, "minimum": 0.0},
        ),
        (
            "tva-dsd-2003",
            "60000",
            {"demand": 60_000 * 19.56 * 12.75, "overrun": 60_000 * 7.56 * 12.75, "energy": 20 * ENERGY_KWH * 0.02293},
        ),
        # Demand is priced by 30 days, so days times peaks: 365 x 1.5 + 0.02 x 2382 sizes; 210 MWh a month are dearer.
        (
            "hydro-quebec-cb-medium-2024",
            "3000",
            {
                "demand": 3000 * (365 * 1.5 + 0.02 * 2382) / 30 * 16.962,
                "energy": ENERGY_KWH * 0.04339 + 12 * 210_000 * (0.05851 - 0.04339),
            },
        ),
        # At a power factor of 0.8, 95 % of kVA is 1.1875 times kW: above 5,000 kW in every month.
        (
            "hydro-quebec-lg-2017",
            "3000",
            {"demand": 3562.5 * (365 * 1.5 + 0.02 * 2382) / 30 * 13.11, "energy": ENERGY_KWH * 0.0342},
        ),
        # The sheet states the least demand charge in dollars; June to September sum to 6.6 sizes, the rest to 12.96.
        ("columbia-mo-industrial", "300", {"demand": 4 * 14_887.50 + 8 * 11_910.00}),
        ("columbia-mo-industrial", "3000", {"demand": 3000 * (6.6 * 19.85 + 12.96 * 15.88)}),
        ("bc-hydro-1823a", "3000", {"demand": 3750 * 19.56 * 8.812, "energy": ENERGY_KWH * 0.05165}),
        (
            "sioux-falls-cip-2023",
            "3000",
            {"fixed": 207.48, "demand": 3000 * 19.56 * 17.29, "energy": ENERGY_KWH * 0.0443},
        ),
        (
            "batavia-lgs-2015",
            "3000",
            {"customer": 1200.0, "demand": 3000 * 19.56 * 17.25, "energy": ENERGY_KWH * 0.04362, "minimum": 0.0},
        ),
        (
            "sepb-gsa3-2022",
            "3000",
            {"customer": 3600.0, "demand": 12_000 * 15.38 + 46_680 * 16.66, "energy": ENERGY_KWH * 0.08388},
        ),
        # The load is highest from 12 to 20 h on every day: peak on weekdays, off-peak on Sundays.
        (
            "seattle-high-demand",
            "60000",
            {"base": 365 * 123.59, "peak_demand": 60_000 * 19.56 * 4.88, "off_peak_demand": 60_000 * 19.56 * 0.31},
        ),
    ],
)
def test_bills_by_hand(name: str, size: str, by_hand: dict[str, float]) -> None:
    assert {charge: GOLDEN[name][size][charge] for charge in by_hand} == pytest.approx(by_hand, abs=0.011)
