"""Seeded market and load series: energy price, hashprice, inference requests, facility load.

Prices are drawn in two steps. A tightness state gathers the local-hour shape, weather, wind and persistent shocks; its
rank in the year is then read through the published price quantiles. The distribution (mean, spikes, negative share)
is therefore that of the market, while the order in time comes from the state.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtri

from microgrid.assets.hashprice import hashprice_usd_per_ph_day, subsidy_on

from .climate import Site, Values, Weather, persistent_noise, random_stream, table

SEASON_OF_MONTH = ("winter",) * 3 + ("shoulder",) * 2 + ("summer",) * 4 + ("shoulder",) * 2 + ("winter",)
COMFORT_C = 18.0


def energy_price(market: str, site: Site, weather: Weather, step_min: int, seed: int) -> Values:
    """Energy price in $/MWh over the weather's times, distributed as the market's published quantiles."""
    random = random_stream(seed)
    step_h, count = step_min / 60.0, len(weather.times)
    local = weather.times.tz_convert(site.zone)
    strain = np.abs(weather.temperature_c - COMFORT_C) / 10.0
    shape = _hour_scores(market, local)
    evening_or_cold = np.maximum(shape, 0.0) * strain
    slow = persistent_noise(random, count, step_h, memory_h=120.0)
    fast = persistent_noise(random, count, step_h, memory_h=5.0)
    weekend = (local.dayofweek >= 5).astype(float)
    tightness = (
        0.85 * shape + 0.35 * evening_or_cold + 0.10 * strain - 0.35 * weather.wind_score
        - 0.15 * weekend + 0.30 * slow + 0.62 * fast
    )  # fmt: skip
    rank = (np.argsort(np.argsort(tightness, kind="stable"), kind="stable") + 0.5) / count
    quantiles = [row for row in table("price_quantiles") if row["market"] == market]
    at = [float(row["probability"]) for row in quantiles]
    price: Values = np.interp(rank, at, [float(row["price_usd_per_mwh"]) for row in quantiles])
    return price


def hashprice(times: pd.DatetimeIndex, seed: int, fee_share: float = 0.01) -> Values:
    """Hashprice in $/PH/day: monthly means of price and difficulty, with daily and per-epoch detail between."""
    random = random_stream(seed)
    months = table("bitcoin_months")
    middle = pd.DatetimeIndex([f"{row['month']}-15T12:00Z" for row in months]).as_unit("ns").asi8.astype(float)
    day = times.floor("D")
    days = pd.date_range(day[0], day[-1], freq="D")
    daily = persistent_noise(random, len(days), step_h=24.0, memory_h=120.0)
    level = np.interp(days.as_unit("ns").asi8.astype(float), middle, [float(row["price_mean_usd"]) for row in months])
    price = pd.Series(level * np.exp(0.03 * daily), index=days).reindex(day).to_numpy()
    epochs = pd.date_range(times[0] - pd.Timedelta("13.9D"), times[-1] + pd.Timedelta("13.9D"), freq="13.9D")
    steps = np.interp(
        (epochs + pd.Timedelta("6.95D")).as_unit("ns").asi8.astype(float),
        middle,
        [float(row["difficulty_mean_t"]) * 1e12 for row in months],
    ) * np.exp(0.015 * random.standard_normal(len(epochs)))
    difficulty = steps[epochs.searchsorted(times, side="right") - 1]
    return hashprice_usd_per_ph_day(price, difficulty, subsidy_on(times), fee_share)


def inference_request_share(times: pd.DatetimeIndex, step_min: int, seed: int) -> Values:
    """Request rate relative to the week's peak hour, 0 to 1: published hour-by-hour shape with persistent noise."""
    random = random_stream(seed)
    hours = table("request_hours")
    weekday = np.array([float(row["weekday_share"]) for row in hours])
    weekend = np.array([float(row["weekend_share"]) for row in hours])
    position = (times + pd.Timedelta(minutes=step_min / 2)).hour.to_numpy()
    shape = np.where(times.dayofweek < 5, weekday[position], weekend[position])
    noise = persistent_noise(random, len(times), step_min / 60.0, memory_h=3.0)
    share: Values = np.clip(shape * np.exp(0.05 * noise), 0.0, 1.0)
    return share


def facility_load(site: Site, weather: Weather, step_min: int, seed: int, peak_mw: float) -> Values:
    """Load of offices, shops and auxiliaries in MW: base, working hours, cooling and heating, below `peak_mw`."""
    random = random_stream(seed)
    local = weather.times.tz_convert(site.zone)
    hour = local.hour.to_numpy() + local.minute.to_numpy() / 60.0
    awake = 1.0 / (1.0 + np.exp(-(hour - 7.0) / 0.7)) - 1.0 / (1.0 + np.exp(-(hour - 18.0) / 0.9))
    working = awake * np.where(local.dayofweek < 5, 1.0, 0.35)
    cooling = np.maximum(weather.temperature_c - 20.0, 0.0) / 20.0
    heating = np.maximum(12.0 - weather.temperature_c, 0.0) / 25.0
    noise = persistent_noise(random, len(local), step_min / 60.0, memory_h=2.0)
    share = 0.42 + 0.28 * working + 0.18 * cooling + 0.10 * heating + 0.012 * noise
    load: Values = peak_mw * np.clip(share, 0.0, 1.0)
    return load


def _hour_scores(market: str, local: pd.DatetimeIndex) -> Values:
    """Normal score of the published median price of each season and local hour."""
    quantiles = [row for row in table("price_quantiles") if row["market"] == market]
    at = [float(row["probability"]) for row in quantiles]
    prices = [float(row["price_usd_per_mwh"]) for row in quantiles]
    medians = {
        (row["season"], int(row["local_hour"])): float(row["median_usd_per_mwh"])
        for row in table("price_hours")
        if row["market"] == market
    }
    keys = [(SEASON_OF_MONTH[month - 1], hour) for month, hour in zip(local.month, local.hour, strict=True)]
    score: Values = ndtri(np.interp([medians[key] for key in keys], prices, at))
    return score


__all__ = ["energy_price", "facility_load", "hashprice", "inference_request_share"]
