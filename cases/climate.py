"""Seeded weather of a site: temperature, solar and wind output as hourly or sub-hourly series.

Temperature follows published monthly means, daily ranges and day-to-day anomalies. Solar output is a clear-sky sun on
a single-axis tracker under a persistent cloud state. Wind is a Weibull speed with published persistence through a
turbine's power curve. Everything is drawn from one frozen random stream, so a seed means the same bytes everywhere.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtr

Values = NDArray[np.float64]

SOLAR_CONSTANT_W_PER_M2 = 1361.0
DC_AC_RATIO = 1.3
DC_LOSSES = 0.14  # PVWatts default (Dobos 2014, NREL/TP-6A20-62641)
INVERTER_EFFICIENCY = 0.96
POWER_LOSS_PER_K = 0.0037
TRACKER_LIMIT_DEG = 60.0
WEIBULL_SHAPE = 2.1
WEIBULL_SCALE_M_PER_S = 8.3
WIND_LOSSES = 0.12
POWER_CURVE_M_PER_S = (3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 25.0, 25.01)
POWER_CURVE_OUTPUT = (0.0, 0.03, 0.08, 0.16, 0.27, 0.42, 0.59, 0.76, 0.89, 0.97, 1.0, 1.0, 0.0)


@dataclass(frozen=True)
class Site:
    """Place of a case: coordinates, zone and the climate table it uses."""

    climate: str
    latitude_deg: float
    longitude_deg: float
    zone: str
    clearness: float
    """Mean of the cloud state before clipping; set so that yearly plane-of-array energy meets published output."""


DALLAS = Site("dallas", 32.9, -97.0, "America/Chicago", clearness=0.74)
NORTHERN_VIRGINIA = Site("philadelphia", 39.0, -77.5, "America/New_York", clearness=0.66)
"""Northern Virginia with the nearest climate table carried, Philadelphia (150 miles north-east)."""


@dataclass(frozen=True)
class Weather:
    """Series over `times` (UTC, interval-beginning); `wind_score` is the wind's standard normal state."""

    times: pd.DatetimeIndex
    temperature_c: Values
    solar_capacity_factor: Values
    wind_capacity_factor: Values
    wind_score: Values


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """Rows of a calibration table beside this file."""
    text = (files(__package__) / "calibration" / f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def random_stream(seed: int) -> np.random.RandomState:
    """Random numbers whose sequence is frozen for good (NEP 19), unlike that of `default_rng`."""
    return np.random.RandomState(seed)


def persistent_noise(random: np.random.RandomState, count: int, step_h: float, memory_h: float) -> Values:
    """Stationary standard normal series whose correlation falls to 1/e after `memory_h`."""
    keep = float(np.exp(-step_h / memory_h))
    shocks = random.standard_normal(count) * np.sqrt(1.0 - keep**2)
    shocks[0] = random.standard_normal()
    noise: Values = lfilter([1.0], [1.0, -keep], shocks)
    return noise


def weather(site: Site, times: pd.DatetimeIndex, step_min: int, seed: int) -> Weather:
    """Weather of a site over UTC `times` that begin each step of `step_min` minutes."""
    random = random_stream(seed)
    step_h = step_min / 60.0
    middle = times + pd.Timedelta(minutes=step_min / 2)
    temperature = _temperature(site, middle, random, step_h)
    solar = _solar(site, middle, temperature, random, step_h)
    score = _wind_score(site, middle, random, step_h)
    return Weather(times, temperature, solar, _wind_output(score), score)


def _temperature(site: Site, middle: pd.DatetimeIndex, random: np.random.RandomState, step_h: float) -> Values:
    local = middle.tz_convert(site.zone)
    months = [row for row in table("climate") if row["site"] == site.climate]
    mean, spread, anomaly = (
        _through_months(local, [float(row[column]) for row in months])
        for column in ("mean_c", "diurnal_range_c", "anomaly_c")
    )
    hour = _solar_hour(site, middle)
    # Coldest near sunrise, warmest about 16 h: a harmonic with a second one to steepen the morning.
    shape = 0.46 * np.cos(2 * np.pi * (hour - 15.2) / 24) + 0.10 * np.cos(4 * np.pi * (hour - 14.0) / 24)
    # Day-to-day correlation of daily anomalies is 0.7, i.e. a memory of about three days.
    state = persistent_noise(random, len(middle), step_h, memory_h=72.0)
    return mean + spread * shape + anomaly * state + 0.4 * persistent_noise(random, len(middle), step_h, 2.0)


def _solar(
    site: Site, middle: pd.DatetimeIndex, temperature: Values, random: np.random.RandomState, step_h: float
) -> Values:
    declination, hour_angle = _sun(site, middle)
    latitude = np.radians(site.latitude_deg)
    up = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    east = -np.cos(declination) * np.sin(hour_angle)
    sun_up = np.maximum(up, 0.0)
    air_mass = 1.0 / np.maximum(sun_up + 0.50572 * (6.07995 + np.degrees(np.arcsin(sun_up))) ** -1.6364, 1e-3)
    beam = np.where(up > 0, SOLAR_CONSTANT_W_PER_M2 * 0.7 ** (air_mass**0.678), 0.0)  # Meinel & Meinel 1976
    limit = np.radians(TRACKER_LIMIT_DEG)
    rotation = np.clip(np.arctan2(east, np.maximum(up, 1e-6)), -limit, limit)
    incidence = np.maximum(east * np.sin(rotation) + up * np.cos(rotation), 0.0)
    sky, direct = _clouds(site, middle, random, step_h)
    diffuse = beam * sun_up * (0.12 + 0.5 * (sky - direct))
    plane = beam * direct * incidence + diffuse
    cell = temperature + plane / 800.0 * 25.0
    direct_current = DC_AC_RATIO * plane / 1000.0 * (1.0 - DC_LOSSES) * (1.0 - POWER_LOSS_PER_K * (cell - 25.0))
    output: Values = np.clip(direct_current * INVERTER_EFFICIENCY, 0.0, 1.0)
    return output


def _clouds(
    site: Site, middle: pd.DatetimeIndex, random: np.random.RandomState, step_h: float
) -> tuple[Values, Values]:
    """Share of clear-sky light that passes at all, and that passes as a beam; both within 0 to 1."""
    days = persistent_noise(random, len(middle), step_h, memory_h=20.0)
    hours = persistent_noise(random, len(middle), step_h, memory_h=1.5)
    season = 0.10 * np.cos(2 * np.pi * (middle.dayofyear.to_numpy() - 205) / 365.25)
    sky = np.clip(site.clearness + season + 0.30 * days + 0.12 * hours, 0.12, 1.0)
    return sky, np.clip((sky - 0.25) / 0.75, 0.0, 1.0)


def _sun(site: Site, middle: pd.DatetimeIndex) -> tuple[Values, Values]:
    """Declination and hour angle in radians (Spencer 1971)."""
    angle = 2 * np.pi * (middle.dayofyear.to_numpy() - 1) / 365.0
    declination = (
        0.006918 - 0.399912 * np.cos(angle) + 0.070257 * np.sin(angle) - 0.006758 * np.cos(2 * angle)
        + 0.000907 * np.sin(2 * angle) - 0.002697 * np.cos(3 * angle) + 0.00148 * np.sin(3 * angle)
    )  # fmt: skip
    return declination, np.pi / 12.0 * (_solar_hour(site, middle) - 12.0)


def _solar_hour(site: Site, middle: pd.DatetimeIndex) -> Values:
    """True solar time in hours, with the equation of time."""
    angle = 2 * np.pi * (middle.dayofyear.to_numpy() - 1) / 365.0
    equation_min = 229.18 * (
        0.000075 + 0.001868 * np.cos(angle) - 0.032077 * np.sin(angle)
        - 0.014615 * np.cos(2 * angle) - 0.040849 * np.sin(2 * angle)
    )  # fmt: skip
    clock = middle.hour.to_numpy() + middle.minute.to_numpy() / 60.0
    hour: Values = (clock + site.longitude_deg / 15.0 + equation_min / 60.0) % 24.0
    return hour


def _wind_score(site: Site, middle: pd.DatetimeIndex, random: np.random.RandomState, step_h: float) -> Values:
    """Standard normal state with night maximum, spring maximum, and hours to days of memory."""
    hour = middle.tz_convert(site.zone).hour.to_numpy()
    day = middle.dayofyear.to_numpy()
    weather_fronts = persistent_noise(random, len(middle), step_h, memory_h=30.0)
    gusts = persistent_noise(random, len(middle), step_h, memory_h=6.0)
    daily = np.cos(2 * np.pi * (hour - 0.5) / 24.0)
    yearly = np.cos(2 * np.pi * (day - 90) / 365.25)
    state = 0.80 * weather_fronts + 0.35 * gusts + 0.40 * daily + 0.30 * yearly
    score: Values = state / np.sqrt(0.80**2 + 0.35**2 + 0.5 * 0.40**2 + 0.5 * 0.30**2)
    return score


def _wind_output(score: Values) -> Values:
    speed = WEIBULL_SCALE_M_PER_S * (-np.log1p(-ndtr(score))) ** (1.0 / WEIBULL_SHAPE)
    output: Values = np.interp(speed, POWER_CURVE_M_PER_S, POWER_CURVE_OUTPUT) * (1.0 - WIND_LOSSES)
    return output


def _through_months(local: pd.DatetimeIndex, values: list[float]) -> Values:
    """Smooth yearly course through twelve monthly means, taken at mid-month and closed around the year."""
    position = (local.dayofyear.to_numpy() - 1 + local.hour.to_numpy() / 24.0) / 365.25 * 12.0 - 0.5
    course: Values = np.interp(position, np.arange(-1, 13), [values[-1], *values, values[0]])
    return course


__all__ = ["DALLAS", "NORTHERN_VIRGINIA", "Site", "Weather", "persistent_noise", "random_stream", "table", "weather"]
