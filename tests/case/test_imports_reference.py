"""Wrong time is seen against a reference: hour-ending read as beginning, zones, half-year shifts, smeared values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microgrid.case.imports import CleanSeries, ImportOptions, compare_in_time, import_series
from microgrid.case.imports.reference import refuse_shift
from microgrid.errors import InvalidInput

CHICAGO = "America/Chicago"


def persistent(count: int, seed: int) -> np.ndarray:
    """Hourly series with daily shape and persistence, as prices have."""
    noise = np.random.default_rng(seed).normal(size=count)
    level = np.zeros(count)
    for place in range(1, count):
        level[place] = 0.8 * level[place - 1] + noise[place]
    return level + 1.5 * np.cos(2 * np.pi * np.arange(count) / 24)


@pytest.fixture(scope="module")
def truth() -> CleanSeries:
    times = pd.date_range("2025-01-01", periods=8760, freq="h", tz="UTC")
    return CleanSeries(times, {"price": persistent(8760, 1)}, {"price": "$/MWh"}, 60)


@pytest.fixture(scope="module")
def neighbour(truth: CleanSeries) -> CleanSeries:
    """Another node of the same market: related, not equal."""
    noise = 0.7 * np.random.default_rng(2).normal(size=8760)
    return replace(truth, columns={"price": 2 * truth.columns["price"] + noise + 30})


def moved(series: CleanSeries, hours: float) -> CleanSeries:
    return replace(series, times=series.times + pd.Timedelta(hours=hours))


def told(series: CleanSeries, reference: CleanSeries) -> str:
    with pytest.raises(InvalidInput) as raised:
        refuse_shift(series, reference, "file.csv")
    return str(raised.value)


def test_series_that_run_together_pass(truth: CleanSeries, neighbour: CleanSeries) -> None:
    notes = refuse_shift(neighbour, truth, "file.csv")
    assert len(notes) == 5  # the year and its quarters
    assert "checked against the reference, all: best agreement at" in notes[0]


def test_hour_ending_read_as_beginning_is_refused(truth: CleanSeries, neighbour: CleanSeries) -> None:
    check = compare_in_time(moved(neighbour, 1), truth)[0]
    assert check.shift_min == pytest.approx(60, abs=10)
    assert "--stamp ending" in told(moved(neighbour, 1), truth)


def test_hour_beginning_read_as_ending_is_refused(truth: CleanSeries, neighbour: CleanSeries) -> None:
    assert compare_in_time(moved(neighbour, -1), truth)[0].shift_min == pytest.approx(-60, abs=10)
    assert "--stamp beginning" in told(moved(neighbour, -1), truth)


@pytest.mark.parametrize("hours", [-6, -5, 5, 8])
def test_a_wrong_zone_is_refused(truth: CleanSeries, neighbour: CleanSeries, hours: int) -> None:
    assert compare_in_time(moved(neighbour, hours), truth)[0].shift_min == pytest.approx(60 * hours, abs=10)
    assert "--zone" in told(moved(neighbour, hours), truth)


@pytest.mark.parametrize("side", [1, -1])
def test_values_averaged_over_two_hours_are_refused(truth: CleanSeries, neighbour: CleanSeries, side: int) -> None:
    values = neighbour.columns["price"]
    smeared = replace(neighbour, columns={"price": 0.5 * (values + np.roll(values, side))})
    assert compare_in_time(smeared, truth)[0].shift_min == pytest.approx(30 * side, abs=8)
    assert "averaged over neighbouring intervals" in told(smeared, truth)


def test_a_shift_in_summer_alone_is_seen(truth: CleanSeries, neighbour: CleanSeries) -> None:
    # Standard time taken for local time: summer hours land one hour off, winter ones are right.
    values, times = neighbour.columns["price"].copy(), neighbour.times
    summer = np.flatnonzero((times >= "2025-03-09T08:00Z") & (times < "2025-11-02T07:00Z"))
    values[summer] = np.roll(values, 1)[summer]
    checks = compare_in_time(replace(neighbour, columns={"price": values}), truth)
    wrong = [check.span for check in checks if not check.agrees]
    assert {"2025Q2", "2025Q3"} <= set(wrong)
    assert "2025Q1" not in wrong


def test_a_finer_series_is_compared_on_the_steps_of_the_coarser(truth: CleanSeries) -> None:
    fine = CleanSeries(
        pd.date_range("2025-01-01", periods=35_040, freq="15min", tz="UTC"),
        {"price": np.repeat(truth.columns["price"], 4)}, {"price": "$/MWh"}, 15,
    )  # fmt: skip
    check = compare_in_time(fine, truth)[0]
    assert (check.step_min, check.shift_min) == (60, pytest.approx(0, abs=1))
    assert check.correlation == pytest.approx(1)


def test_unrelated_series_are_not_judged(truth: CleanSeries) -> None:
    stranger = replace(truth, columns={"price": np.random.default_rng(9).normal(size=8760)})
    assert "too unlike" in refuse_shift(stranger, truth, "file.csv")[0]


def test_too_little_common_time_is_said(truth: CleanSeries) -> None:
    with pytest.raises(InvalidInput, match="share 0 steps"):
        compare_in_time(moved(truth, 24 * 400), truth)


def real(shared: Callable[[str], Path], file: str, **options: object) -> CleanSeries:
    return import_series("prices", shared(f"data/inputs/{file}"), "csv", ImportOptions(**options))


def test_real_ercot_hubs_run_together_and_an_hour_is_seen(shared: Callable[[str], Path]) -> None:
    hub = real(shared, "ercot_hb_hubavg_rt15_da60_2024_2025.csv", column="rt_spp_usd_mwh")
    west = real(shared, "ercot_hb_west_rt_hourly_midland_2023_2026.csv", column="hb_west_rt_lmp_usd_mwh")
    assert all(check.agrees for check in compare_in_time(west, hub))
    assert "--stamp ending" in told(moved(west, 1), hub)
    day_ahead = real(shared, "ercot_hb_hubavg_dam_hourly_2020_2024.csv")
    assert all(check.agrees for check in compare_in_time(day_ahead, hub))
    assert "--stamp ending" in told(moved(day_ahead, 1), hub)


def test_a_real_smoothed_file_is_right_only_when_said_to_be_smoothed(shared: Callable[[str], Path]) -> None:
    file = "ercot_hb_south_15min_da_rt_temp_202406_202503.csv"
    stated = {"column": "HB_SOUTH_RTM", "zone": CHICAGO, "stamp": "beginning", "unit": "$/MWh"}
    with pytest.raises(InvalidInput, match="skips this time"):
        real(shared, file, **stated)
    hub = real(shared, "ercot_hb_hubavg_rt15_da60_2024_2025.csv", column="rt_spp_usd_mwh")
    assert all(check.agrees for check in compare_in_time(real(shared, file, **stated, clock="smoothed"), hub))
    standard = compare_in_time(real(shared, file, **stated, clock="standard"), hub)
    assert {check.span for check in standard if not check.agrees} >= {"2024Q3"}


def test_real_files_of_every_kind_are_read(shared: Callable[[str], Path]) -> None:
    folder = shared("data/inputs")
    epw = import_series("weather", folder / "USA_TX_Dallas-Fort.Worth_TMYx.epw", "epw", ImportOptions(year=2025))
    assert epw.columns["temperature_c"].mean() == pytest.approx(19.81, abs=0.01)
    assert epw.columns["ghi_w_per_m2"].sum() / 1000 == pytest.approx(1770, abs=1)
    sunny = pd.Series(epw.columns["ghi_w_per_m2"], index=epw.times.tz_convert("Etc/GMT+6"))
    assert sunny.groupby(sunny.index.hour).mean().idxmax() in {11, 12, 13}
    air = import_series("weather", folder / "weather_dallas_tx_openmeteo_2023_2024.csv", "csv")
    assert set(air.columns) == {"temperature_c", "wind_speed_m_per_s", "relative_humidity_percent", "wet_bulb_c"}
    wet, dew = epw.columns["wet_bulb_c"], epw.columns["dew_point_c"]
    assert (wet < dew - 1.0).sum() == 13  # the fit is good to a kelvin; in 13 hours the file contradicts itself
    assert (wet <= epw.columns["temperature_c"]).all()
    pjm = real(shared, "pjm_dom_rt_hourly_2023_2024.csv", fill="hold", longest_gap_h=24)
    assert any("24 rows from 2023-12-31T05:00Z" in note for note in pjm.notes)
    coin = import_series(
        "btc", folder / "btc_daily_price_difficulty_2021_2026.csv", "csv", ImportOptions(column="btc_close_usd")
    )
    assert coin.columns["hashprice_usd_per_ph_day"][-1] == pytest.approx(39.5, abs=2)
    meter = import_series(
        "load", folder / "dc_virginia_10MW_hourly.csv", "energyplus", ImportOptions(year=2025, zone="America/New_York")
    )
    assert meter.columns["load_mw"].max() == pytest.approx(10.727, abs=0.001)
