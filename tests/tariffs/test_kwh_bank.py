"""Net metering with a kWh bank against the rows of oracle-04, whose own load file is not at hand.

The oracle states money by month, not energy by period, so its load cannot be rebuilt. But every load with these peaks
and with energies that lead to its rows by hand has its bill: here a draw in January and February, a surplus from March
to August (May takes some of it back), closed and cashed at the end of August, a surplus in September and October, and
in November and December what that does not cover. The split between the periods is free, so it is varied.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pinning import residual

from microgrid.tariffs.bill import Bill, bill
from microgrid.tariffs.read import read_tariff
from microgrid.tariffs.reading import MeterData

CASE = "conformance/tariff/oracle-04-net-metering-kwh-bank"
TIMES = pd.date_range("2018-01-01", periods=8760, freq="60min")
ON = (TIMES.weekday < 5) & (TIMES.hour >= 12) & (TIMES.hour < 19)
OFF, ON_PEAK = 0, 1
PRICES = np.array([0.071, 0.128])  # $/kWh off and on peak, as in the case
CASHED = 0.035  # $/kWh
MARCH, MAY, AUGUST, SEPTEMBER, NOVEMBER = 2, 4, 7, 8, 10
TAKEN_BACK = 80_000.0  # kWh
Rows = dict[str, Any]


@pytest.fixture
def folder(shared: Callable[[str], Path]) -> Path:
    return shared(CASE)


def energies(rows: Rows, share: float) -> np.ndarray:
    """Net energy by month and period, kWh, import positive; `share` of money and of surplus is on peak."""
    parts = np.array([1.0 - share, share])
    energy = np.asarray(rows["energy"])[:, None] * parts / PRICES
    surplus = rows["true_up"][AUGUST] / CASHED * parts
    energy[MARCH:AUGUST] = -surplus / 6.0
    energy[MAY] = TAKEN_BACK * parts
    energy[AUGUST] = -surplus - energy[MARCH:AUGUST].sum(axis=0)
    energy[SEPTEMBER:NOVEMBER] = -TAKEN_BACK / 2.0 * parts
    energy[NOVEMBER] += TAKEN_BACK * parts
    return energy


def year(energy: np.ndarray, peaks_kw: np.ndarray) -> np.ndarray:
    """Net import by hour, kW: one hour at the peak of each month, the others of a period alike."""
    net = np.zeros(TIMES.size)
    for month in range(12):
        for period in (OFF, ON_PEAK):
            hours = np.flatnonzero((TIMES.month == month + 1) & (bool(period) == ON))
            first = peaks_kw[month] if period == OFF else energy[month, period] / hours.size
            net[hours] = (energy[month, period] - first) / (hours.size - 1)
            net[hours[0]] = first
    return net


def meter(net: np.ndarray) -> MeterData:
    return MeterData(TIMES, 60, np.maximum(net, 0.0), np.maximum(-net, 0.0))


def billed(folder: Path, net: np.ndarray) -> Bill:
    return bill(read_tariff(folder / "tariff.yaml"), meter(net))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 1.0])
def test_the_bank_leads_to_the_oracles_rows(folder: Path, share: float) -> None:
    rows = json.loads((folder / "expected.json").read_text())["expected"]["net_of_gen"]
    net = year(energies(rows, share), np.asarray(rows["billing_demand"]))
    made = billed(folder, net)
    assert made.determinants["pk"] == pytest.approx(rows["billing_demand"], abs=1e-6)
    assert made.amounts["energy"] == pytest.approx(np.subtract(rows["energy"], rows["true_up"]), abs=0.001)
    assert made.by_cycle == pytest.approx(rows["bill"], abs=0.001)
    assert made.total == pytest.approx(rows["annual_bill"], abs=0.01)
    cost, _ = residual(read_tariff(folder / "tariff.yaml"), meter(net))
    assert cost == pytest.approx(rows["annual_bill"], abs=0.01)


def test_load_alone_has_the_oracles_bill(folder: Path) -> None:
    rows = json.loads((folder / "expected.json").read_text())["expected"]["load_only"]
    price, net = PRICES[ON.astype(int)], np.zeros(TIMES.size)
    for month in range(12):
        hours = np.flatnonzero(TIMES.month == month + 1)
        peak = rows["billing_demand"][month]
        net[hours] = (rows["energy"][month] - peak * price[hours[0]]) / price[hours[1:]].sum()
        net[hours[0]] = peak
    assert billed(folder, net).by_cycle == pytest.approx(rows["bill"], abs=0.001)
