"""Signals for coincident peaks: probabilities and calls from load forecasts, and perfect foresight as a bound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from microgrid.assets.programs.peak_rule import GUMBEL_SCALE, SATURDAY, PeakRule, capped_shares


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


def day_ahead_calls(
    forecast_mw: pd.Series,
    load_mw: pd.Series,
    zone: str,
    *,
    share: float = 0.97,
    months: Iterable[int] = (6, 7, 8, 9),
    hours: range = range(15, 19),
    floors: Mapping[int, float] | None = None,
) -> pd.Series:
    """Call hours when the day-ahead forecast comes near the month's highest load so far; True where called.

    Both series are indexed by UTC beginnings of steps. A day is called over local `hours` when its highest forecast
    reaches `share` of a reference: the highest load of this month up to yesterday, else that of last month. In months
    that open well below their predecessor `floors` (month → share of last month's highest) keeps the reference from
    starting too low. Nothing later than the day itself is used. Returns a series on the index of `forecast_mw`.
    """
    forecast, load = _daily_highest(forecast_mw, zone), _daily_highest(load_mw, zone)
    by_month = load.groupby(pd.DatetimeIndex(load.index).to_period("M")).max()
    wanted, called, floor = set(months), set(), floors or {}
    highest: dict[pd.Period, float] = {}
    for day, most in zip(pd.DatetimeIndex(forecast.index), forecast, strict=True):
        month = pd.Period(day, "M")
        last = float(by_month.get(month - 1, np.nan))
        reference = np.fmax(highest.get(month, last), floor.get(month.month, 0.0) * last)
        if month.month in wanted and most >= share * reference:
            called.add(day)
        highest[month] = max(highest.get(month, 0.0), float(load.get(day, 0.0)))
    local = pd.DatetimeIndex(forecast_mw.index).tz_convert(zone).tz_localize(None)
    hit = local.normalize().isin(list(called)) & np.isin(local.hour, list(hours))
    return pd.Series(hit, index=forecast_mw.index, name="called")


def _daily_highest(power_mw: pd.Series, zone: str) -> pd.Series:
    """Highest value of each local day, indexed by local midnight without zone."""
    local = pd.DatetimeIndex(power_mw.index).tz_convert(zone).tz_localize(None)
    return pd.Series(power_mw.to_numpy(dtype=float), index=local.normalize()).groupby(level=0).max()


def perfect_foresight(
    load_mw: pd.Series, zone: str, months: Iterable[int] = (6, 7, 8, 9), rule: PeakRule | None = None
) -> pd.Series:
    """One at the peaks as they fell, zero elsewhere: a bound on any signal, never a forecast.

    Peaks are the highest load of each local month, or those of a `rule` (then `months` is not read): as many as it
    measures in each month or season, on its days, and on different days where it says so.
    """
    if rule is not None:
        return _peaks_of(rule, load_mw, zone)
    local = pd.DatetimeIndex(load_mw.index).tz_convert(zone)
    wanted = np.isin(local.month, list(months))
    label = local.strftime("%Y-%m")
    peaks = load_mw[wanted].groupby(label[wanted]).idxmax()
    return pd.Series(load_mw.index.isin(peaks.to_numpy()).astype(float), index=load_mw.index, name="outcome")


def _peaks_of(rule: PeakRule, load_mw: pd.Series, zone: str) -> pd.Series:
    local = pd.DatetimeIndex(load_mw.index).tz_convert(zone)
    wanted = np.isin(local.month, rule.months)
    if rule.days == "weekday":
        wanted &= local.dayofweek < SATURDAY
    label = local.strftime("%Y-%m" if rule.per == "month" else "%Y")
    loads = load_mw[wanted]
    found: list[pd.Timestamp] = []
    for _, group in loads.groupby(label[wanted]):
        if rule.distinct_days:
            day = pd.DatetimeIndex(group.index).tz_convert(zone).tz_localize(None).normalize()
            group = group.loc[group.groupby(day).idxmax()]  # noqa: PLW2901 - only the highest of each day is left
        found.extend(group.nlargest(rule.peaks).index)
    return pd.Series(load_mw.index.isin(found).astype(float), index=load_mw.index, name="outcome")


__all__ = ["day_ahead_calls", "peak_probability", "perfect_foresight"]
