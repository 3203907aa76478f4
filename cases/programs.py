"""Seeded series of programs: prices of reserves, likelihood of system peaks, curtailment of non-firm import, calls.

They hang together as they do in a market: reserves are dear when energy is, the system peaks on hot afternoons, and the
utility takes back non-firm import in the hottest of them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtri

from .climate import Site, Values, Weather, persistent_noise, random_stream, table

NON_FIRM_HOURS_OFF = 65
"""Hours a year in which load above the seasonal peak could not be served, for load worth 0.25 % of its energy."""
CALL_HOURS = 4.0
CALL_EVENTS = 4
FORECAST_ERROR_K = 1.5
COOLING_FROM_C = 24.0


def reserve_prices(energy_price: Values, step_min: int, seed: int) -> dict[str, Values]:
    """Price of every service in $/MW-h: lognormal around its published mean, ordered partly by the energy price."""
    random = random_stream(seed)
    count, step_h = len(energy_price), step_min / 60.0
    rank = (np.argsort(np.argsort(energy_price, kind="stable"), kind="stable") + 0.5) / count
    tightness, made = ndtri(rank), {}
    for row in table("reserve_prices"):
        share, spread = float(row["tightness_share"]), float(row["spread"])
        own = persistent_noise(random, count, step_h, memory_h=12.0)
        price = np.exp(spread * (share * tightness + np.sqrt(1.0 - share**2) * own))
        made[f"{row['service']}_usd_per_mwh"] = price * (float(row["mean_usd_per_mwh"]) / price.mean())
    return made


def peak_likelihood(site: Site, air: Weather) -> Values:
    """Relative likelihood that an hour is the peak of its local month, as a forecast of temperature would tell it.

    System load rises with heat and is highest in the late afternoon; with Gumbel errors of the forecast the likelihood
    is the exponential of the strain over the error's scale.
    """
    strain = _heat_strain(site, air)
    month = pd.DatetimeIndex(air.times.tz_convert(site.zone)).month.to_numpy()
    highest = pd.Series(strain).groupby(month).transform("max").to_numpy()
    likelihood: Values = np.exp((strain - highest) / (FORECAST_ERROR_K * np.sqrt(6.0) / np.pi))
    return likelihood


def non_firm_share(site: Site, air: Weather) -> Values:
    """One where the non-firm import is offered, zero in the year's hours of highest strain."""
    strain = _heat_strain(site, air)
    hours = (air.times[1] - air.times[0]) / pd.Timedelta("1h")
    off = round(NON_FIRM_HOURS_OFF / hours)
    limit = np.sort(strain)[-off] if off else np.inf
    share: Values = (strain < limit).astype(float)
    return share


def interruption_calls(energy_price: Values, step_min: int) -> Values:
    """One in the events that the utility calls: around the dearest hours of the year, apart from one another."""
    length = round(CALL_HOURS * 60 / step_min)
    called = np.zeros(len(energy_price))
    events = 0
    for place in np.argsort(-energy_price, kind="stable"):
        first = max(0, int(place) - length // 2)
        if called[max(0, first - length) : first + 2 * length].any():
            continue
        called[first : first + length] = 1.0
        events += 1
        if events == CALL_EVENTS:
            break
    return called


def _heat_strain(site: Site, air: Weather) -> Values:
    """Kelvin above the temperature from which cooling counts, less what the hour of the day takes off the system."""
    hour = air.times.tz_convert(site.zone).hour.to_numpy() + 0.5
    away_from_peak = np.minimum(np.abs(hour - 17.0), 24.0 - np.abs(hour - 17.0))
    strain: Values = np.maximum(air.temperature_c - COOLING_FROM_C, 0.0) - 0.35 * away_from_peak
    return strain


__all__ = ["interruption_calls", "non_firm_share", "peak_likelihood", "reserve_prices"]
