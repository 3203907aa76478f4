"""Rules of coincident peaks: which intervals count, how many, and how likely each is to be one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from microgrid.assets.shipped import shipped_table
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared, quantity

SATURDAY = 5
GUMBEL_SCALE = float(np.sqrt(6.0) / np.pi)
"""Scale of a Gumbel distribution per standard deviation."""


class PeakRule(Declared):
    """When a load's share of the system peak is measured."""

    months: tuple[int, ...] = Field(description="months whose peaks count, 1 to 12", min_length=1)
    per: Literal["month", "season"] = Field(description="one group of peaks a month, or one for all months of a year")
    peaks: int = quantity("1", "peaks measured in a group", symbol="k", ge=1)
    interval_min: Literal[5, 15, 30, 60] = Field(description="metering interval of a peak, minutes")
    candidate_hours: tuple[int, ...] = Field(
        (), description="local hours in which a blend expects peaks; all when empty"
    )

    days: Literal["all", "weekday"] = Field("all", description="days that count: all, or Monday to Friday only")
    distinct_days: bool = Field(default=False, description="peaks of a group fall on different local days")

    @property
    def peaks_per_year(self) -> int:
        """Peaks measured in a year."""
        return self.peaks * (len(set(self.months)) if self.per == "month" else 1)


@dataclass(frozen=True)
class PeakGroup:
    """Intervals among which the peaks of one month or season fall.

    `intervals` lists, for each metering interval, its steps in the horizon, `days` its local day as a number;
    `coverage` is the part of the month or season that the horizon covers.
    """

    label: str
    intervals: tuple[tuple[int, ...], ...]
    candidates: tuple[bool, ...]
    coverage: float
    days: tuple[int, ...] = ()


def peak_groups(rule: PeakRule, horizon: Horizon) -> list[PeakGroup]:
    """Groups of the rule that meet the horizon, in order of time."""
    local = horizon.local
    naive = pd.DatetimeIndex(local.tz_localize(None))
    labels = naive.strftime("%Y-%m" if rule.per == "month" else "%Y")
    season, hour_of = np.isin(naive.month, rule.months), naive.hour
    counts = season & (naive.dayofweek < SATURDAY) if rule.days == "weekday" else season
    found = []
    for label in dict.fromkeys(labels[counts]):
        steps = np.flatnonzero((labels == label) & counts)
        intervals = _intervals(steps, horizon, rule.interval_min)
        hours = [int(hour_of[steps_of[0]]) for steps_of in intervals]
        candidates = tuple(not rule.candidate_hours or hour in rule.candidate_hours for hour in hours)
        whole = sum(pd.Period(f"{label[:4]}-{month:02d}", "M").days_in_month for month in _months(rule, label)) * 24.0
        covered = int(((labels == label) & season).sum())
        coverage = min(1.0, covered * horizon.step_min / 60.0 / whole)
        days = tuple(naive[steps_of[0]].toordinal() for steps_of in intervals)
        found.append(PeakGroup(str(label), intervals, candidates, coverage, days))
    return found


def _months(rule: PeakRule, label: str) -> Sequence[int]:
    return [int(label[5:7])] if rule.per == "month" else sorted(set(rule.months))


def _intervals(steps: np.ndarray, horizon: Horizon, interval_min: int) -> tuple[tuple[int, ...], ...]:
    """Steps of each metering interval; a step longer than the interval stands for the whole of it."""
    if horizon.step_min >= interval_min:
        return tuple((int(t),) for t in steps)
    minutes = (horizon.times.asi8 if horizon.times.unit == "ns" else horizon.times.as_unit("ns").asi8) // 60_000_000_000
    buckets: dict[int, list[int]] = {}
    for t in steps:
        buckets.setdefault(int(minutes[t] // interval_min), []).append(int(t))
    return tuple(tuple(entry) for entry in buckets.values())


def peak_weights(group: PeakGroup, rule: PeakRule, signal: Sequence[float], blend: float) -> list[float]:
    """Expected number of peaks in each interval of a group, at most one each, together `peaks` times the coverage.

    `signal` is a relative likelihood by step (shape (steps,)). A share `blend` of it is spread evenly over candidate
    intervals, because the signal is a forecast and the peak moves when everybody follows it. Without any signal in a
    group all candidates are equally likely.
    """
    expected = rule.peaks * group.coverage
    raw = np.array([np.mean([signal[t] for t in steps]) for steps in group.intervals])
    even = np.array(group.candidates, dtype=float)
    even = even if even.any() else np.ones_like(even)
    days = np.asarray(group.days) if rule.distinct_days else None
    spread = daily_shares(even, expected, days)
    told = daily_shares(raw, expected, days) if raw.sum() > 0 else spread
    return list((1.0 - blend) * told + blend * spread)


def forecast_signal(group: PeakGroup, forecast_mw: Sequence[float], error_mw: float) -> dict[int, float]:
    """Relative likelihood by step that it holds the group's highest load, from a forecast and its standard deviation.

    Independent forecast errors of Gumbel shape make it exactly ``exp(load / scale)``, scale = error * sqrt(6) / pi.
    """
    loads = {t: forecast_mw[t] for interval in group.intervals for t in interval}
    highest, scale = max(loads.values()), error_mw * GUMBEL_SCALE
    return {t: float(np.exp((load - highest) / scale)) for t, load in loads.items()}


def capped_shares(likelihood: np.ndarray, expected: float) -> np.ndarray:
    """Scale likelihoods to sum to `expected` with no entry above one; what a cap cuts goes to the others."""
    shares = np.zeros_like(likelihood, dtype=float)
    open_ = likelihood > 0
    left = min(expected, float(open_.sum()))
    while left > 1e-12 and open_.any():
        trial = likelihood[open_] / likelihood[open_].sum() * left
        full = trial >= 1.0
        if not full.any():
            shares[open_] = trial
            break
        places = np.flatnonzero(open_)[full]
        shares[places] = 1.0
        open_[places] = False
        left -= float(full.sum())
    return shares


def daily_shares(likelihood: np.ndarray, expected: float, days: np.ndarray | None) -> np.ndarray:
    """Scale likelihoods to sum to `expected`, with at most one in an entry and, where `days` are given, in a day.

    A day is as likely as its entries together; what it gets is shared among them in proportion.
    """
    if days is None:
        return capped_shares(likelihood, expected)
    place = np.unique(days, return_inverse=True)[1]
    by_day = np.bincount(place, weights=likelihood)
    scale = np.divide(capped_shares(by_day, expected), by_day, out=np.zeros_like(by_day), where=by_day > 0)
    return np.asarray(likelihood * scale[place])


@cache
def peak_rules() -> dict[str, PeakRule]:
    """Shipped rules by name, from `data/coincident_peaks.toml` (sources and date stand there)."""
    return {name: PeakRule(**entry) for name, entry in shipped_table("coincident_peaks.toml").items()}


__all__ = [
    "GUMBEL_SCALE",
    "SATURDAY",
    "PeakGroup",
    "PeakRule",
    "capped_shares",
    "daily_shares",
    "forecast_signal",
    "peak_groups",
    "peak_rules",
    "peak_weights",
]
