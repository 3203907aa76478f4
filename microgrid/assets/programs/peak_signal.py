"""Signals for coincident peaks: probabilities and calls from load forecasts, and perfect foresight as a bound."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from microgrid.assets.programs.peak_rule import capped_shares

GUMBEL_SCALE = np.sqrt(6.0) / np.pi
"""Scale of a Gumbel distribution per standard deviation."""


def peak_probability(forecast_mw: pd.Series, error_mw: float, peaks: int = 1) -> pd.Series:
    """Probability that each interval of one group is among its `peaks` highest, shape of `forecast_mw`.

    With independent forecast errors of Gumbel shape and standard deviation `error_mw`, the probability of being the
    highest is exactly ``softmax(forecast / scale)``; for several peaks it is scaled up and capped at one.
    """
    if error_mw <= 0:
        raise ValueError("error_mw must be positive; use perfect_foresight for a forecast without error")
    loads = forecast_mw.to_numpy(dtype=float)
    weights = np.exp((loads - loads.max()) / (error_mw * GUMBEL_SCALE))
    return pd.Series(capped_shares(weights, float(peaks)), index=forecast_mw.index, name="probability")


def day_ahead_calls(  # noqa: PLR0913 - one argument per term of the rule
    forecast_mw: pd.Series,
    zone: str,
    *,
    share: float = 0.97,
    months: Iterable[int] = (6, 7, 8, 9),
    first_hour: int = 15,
    hours: int = 4,
    opening_share: float = 1.0,
) -> pd.Series:
    """Call hours when the day-ahead forecast comes near the month's highest so far; True where called.

    `forecast_mw` is indexed by UTC beginnings of steps. A day is called over `hours` local hours from `first_hour` when
    its highest forecast reaches `share` of the highest so far this month or, when that is larger, of `opening_share`
    of last month's. Nothing later than the day itself is used.
    """
    local = pd.DatetimeIndex(forecast_mw.index).tz_convert(zone)
    days = pd.Series(forecast_mw.to_numpy(), index=local).groupby(local.date).max()
    stamps = pd.DatetimeIndex(days.index)
    highest = days.groupby([stamps.year, stamps.month]).max()
    called: set[object] = set()
    running: dict[tuple[int, int], float] = {}
    for day, load in zip(stamps, days, strict=True):
        key = (day.year, day.month)
        last = day.replace(day=1) - pd.offsets.MonthBegin(1)
        reference = max(running.get(key, 0.0), opening_share * float(highest.get((last.year, last.month), 0.0)))
        if day.month in set(months) and load >= share * reference:
            called.add(day.date())
        running[key] = max(running.get(key, 0.0), load)
    inside = (local.hour >= first_hour) & (local.hour < first_hour + hours)
    return pd.Series(
        [bool(hit and day in called) for hit, day in zip(inside, local.date, strict=True)], index=forecast_mw.index
    )


def perfect_foresight(load_mw: pd.Series, zone: str, months: Iterable[int] = (6, 7, 8, 9)) -> pd.Series:
    """One at the highest load of each local month, zero elsewhere: a bound on any signal, never a forecast."""
    local = pd.DatetimeIndex(load_mw.index).tz_convert(zone)
    wanted = np.isin(local.month, list(months))
    label = local.strftime("%Y-%m")
    peaks = load_mw[wanted].groupby(label[wanted]).idxmax()
    return pd.Series(load_mw.index.isin(peaks.to_numpy()).astype(float), index=load_mw.index, name="outcome")


__all__ = ["day_ahead_calls", "peak_probability", "perfect_foresight"]
