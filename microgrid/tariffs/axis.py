"""The time axis of a bill: local clock, billing cycles, TOU periods and demand windows of every interval.

Both readings of a tariff (the bill and the optimiser's terms) take their intervals from here, so they cannot disagree
about which hour is on-peak or in which cycle it falls.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from microgrid.errors import InvalidInput, Problem
from microgrid.schema.quantity import Declared
from microgrid.tariffs.calendar import GAP, Calendar, Days, Holidays, period_table

NAIVE = "naive"
MINUTE_NS = 60_000_000_000


class Billing(Declared):
    """Billing cycles, how prices change inside one, and rounding.

    `reads` are n+1 read dates for n cycles; a cycle runs from one read date (midnight) up to the next. `norm_days`
    is the length of the normal month that fixed and demand prices are stated for, where the tariff scales them.
    """

    cycle: Literal["calendar_month", "read_dates"] = "calendar_month"
    reads: tuple[dt.date, ...] | None = None
    norm_days: float | None = Field(None, gt=0)
    rounding: Literal["none", "cent_per_line", "cent_per_bill"] = "none"
    season_split: Literal["by_interval", "by_read_date"] = Field(
        "by_interval", description="whether a monthly price follows the interval's month or the month the cycle begins"
    )

    @field_validator("reads")
    @classmethod
    def _ascending(cls, reads: tuple[dt.date, ...] | None) -> tuple[dt.date, ...] | None:
        if reads is not None and (len(reads) < 2 or any(b <= a for a, b in pairwise(reads))):
            raise ValueError("read dates must ascend: give two or more, one more than there are cycles")
        return reads


@dataclass(frozen=True)
class Cycles:
    """Billing cycles that the intervals touch; arrays have shape (cycles,), `of` has shape (intervals,).

    `month` (1 to 12) and `year` are those in which the cycle begins; `days` is the whole cycle's length, also where
    the intervals cover only a part; `covered_days` is the part covered.
    """

    labels: tuple[str, ...]
    month: np.ndarray
    year: np.ndarray
    days: np.ndarray
    covered_days: np.ndarray
    of: np.ndarray
    starts: np.ndarray
    prorated: bool = False

    @property
    def count(self) -> int:
        """Number of cycles."""
        return len(self.labels)

    @property
    def share(self) -> np.ndarray:
        """Part of a monthly amount that each cycle is charged, shape (cycles,): the covered part where prorated."""
        return np.minimum(self.covered_days / self.days, 1.0) if self.prorated else np.ones(self.count)

    @property
    def partial(self) -> list[str]:
        """Labels of cycles that the intervals cover only in part (a DST hour does not count)."""
        short = self.covered_days < self.days - 1.5 / 24.0
        return [label for label, missing in zip(self.labels, short, strict=True) if missing]


@dataclass(frozen=True)
class Periods:
    """TOU periods of one calendar: names, and the position of each interval's period, shape (intervals,)."""

    names: tuple[str, ...]
    of: np.ndarray

    def mask(self, chosen: Sequence[str]) -> np.ndarray:
        """Intervals that belong to one of the chosen periods."""
        return np.isin(self.of, [self.names.index(name) for name in chosen if name in self.names])


@dataclass(frozen=True)
class Axis:
    """Intervals on the tariff's clock.

    `wall_min` are minutes of the local clock and `true_min` minutes that never repeat or skip (UTC plus the standard
    offset), both since 1970, shape (intervals,). `month_of` is 0 to 11 and decides monthly prices.
    """

    step_min: float
    wall_min: np.ndarray
    true_min: np.ndarray
    day_of: np.ndarray
    cycles: Cycles
    month_of: np.ndarray
    periods: Mapping[str, Periods]

    def prorate(self) -> Axis:
        """Return the axis with monthly amounts charged by the covered part of each cycle."""
        return replace(self, cycles=replace(self.cycles, prorated=True))

    @property
    def count(self) -> int:
        """Number of intervals."""
        return int(self.wall_min.size)

    @property
    def hours(self) -> float:
        """Length of an interval in hours."""
        return self.step_min / 60.0

    def mask(self, calendar: str | None, periods: Sequence[str] | None) -> np.ndarray:
        """Intervals inside the chosen periods of a calendar; all when none is named."""
        if calendar is None or periods is None:
            return self._everywhere
        return self.periods[calendar].mask(periods)

    def periods_or_all(self, calendar: str | None) -> Periods:
        """Periods of the calendar, or one nameless period when the charge has none."""
        return self._whole if calendar is None else self.periods[calendar]

    @cached_property
    def _everywhere(self) -> np.ndarray:
        return np.ones(self.count, dtype=bool)

    @cached_property
    def _whole(self) -> Periods:
        return Periods(("",), np.zeros(self.count, dtype=np.int64))

    def blocks(self, window_min: float | None) -> np.ndarray | None:
        """Number of the clock-aligned demand window of each interval, from 0; None when one interval is one window."""
        if window_min is None or window_min <= self.step_min:
            return None
        window = self.true_min // int(window_min)
        return np.cumsum(np.diff(window, prepend=window[:1]) != 0)

    def stamps(self, texts: Sequence[str]) -> np.ndarray:
        """Positions of the intervals that contain the local times given, e.g. ``2018-06-27 16:45``."""
        found, held = self._found(texts)
        outside = ~held
        if outside.any():
            missing = ", ".join(text for text, out in zip(texts, outside, strict=True) if out)
            raise InvalidInput(
                Problem(
                    "the load has no such interval",
                    "give coincident peaks inside the billed time, or use `billed: next_year` with `prior_kw`",
                    "intervals",
                    missing,
                )
            )
        return found

    def holds(self, texts: Sequence[str]) -> np.ndarray:
        """Whether an interval contains each local time, shape (times,)."""
        return self._found(texts)[1]

    def _found(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Position of the last interval that begins by each local time, and whether the time lies inside it."""
        wanted = pd.DatetimeIndex(list(texts)).as_unit("ns").asi8 // MINUTE_NS
        found = np.searchsorted(self.wall_min, wanted, side="right") - 1
        return found, (found >= 0) & (wanted - self.wall_min[found] < self.step_min)


def place(
    times: pd.DatetimeIndex,
    step_min: float,
    *,
    zone: str,
    standard_clock: bool,
    billing: Billing,
    holidays: Holidays,
    calendars: Mapping[str, Calendar],
) -> Axis:
    """Place interval beginnings on the tariff's clock, cycles and periods.

    Stamps without offset are taken as the local clock as they stand.
    """
    wall, true = _clock(times, zone, standard_clock=standard_clock)
    day, minute = wall // 1440, wall % 1440
    first_day = int(day[0])
    dates = np.arange(first_day, int(day[-1]) + 1).astype("datetime64[D]")
    days = Days.of(dates, holidays)
    day_of = day - first_day
    cycles = _cycles(dates, day_of, step_min, billing)
    months = days.month[day_of] if billing.season_split == "by_interval" else cycles.month[cycles.of]
    periods = {name: _periods(name, calendar, days, day_of, minute) for name, calendar in calendars.items()}
    return Axis(step_min, wall, true, day_of, cycles, months - 1, periods)


def _clock(times: pd.DatetimeIndex, zone: str, *, standard_clock: bool) -> tuple[np.ndarray, np.ndarray]:
    if times.tz is None:
        minutes = times.as_unit("ns").asi8 // MINUTE_NS
        return minutes, minutes
    if zone == NAIVE:
        local = times.tz_localize(None)
        return local.as_unit("ns").asi8 // MINUTE_NS, times.as_unit("ns").asi8 // MINUTE_NS
    offset = _standard_offset_min(zone, times[0])
    true = times.as_unit("ns").asi8 // MINUTE_NS + offset
    if standard_clock:
        return true, true
    return times.tz_convert(zone).tz_localize(None).as_unit("ns").asi8 // MINUTE_NS, true


def _standard_offset_min(zone: str, when: pd.Timestamp) -> int:
    local = when.to_pydatetime().astimezone(ZoneInfo(zone))
    offset, saving = local.utcoffset(), local.dst()
    return int(((offset or dt.timedelta()) - (saving or dt.timedelta())).total_seconds() // 60)


def _periods(name: str, calendar: Calendar, days: Days, day_of: np.ndarray, minute: np.ndarray) -> Periods:
    slots, slot_of = np.unique(minute, return_inverse=True)
    of = period_table(calendar, days, slots)[day_of, slot_of]
    if (of == GAP).any():
        at = int(np.argmax(of == GAP))
        stamp = f"{days.dates[day_of[at]]} {minute[at] // 60:02d}:{minute[at] % 60:02d}"
        raise InvalidInput(
            Problem(
                "the calendar has a gap: no rule matches this interval",
                "add a rule or a `default` period",
                f"calendars.{name}",
                stamp,
            )
        )
    return Periods(calendar.periods, of)


def _cycles(dates: np.ndarray, day_of: np.ndarray, step_min: float, billing: Billing) -> Cycles:
    edges, names = _edges(dates, billing)
    raw = np.searchsorted(edges, dates, side="right") - 1
    if raw[0] < 0 or raw[-1] >= len(edges) - 1:
        raise InvalidInput(
            Problem(
                f"read dates run from {edges[0]} to {edges[-1]}, the load from {dates[0]} to {dates[-1]}",
                "extend `billing.reads`, or cut the load to them",
                "billing.reads",
            )
        )
    used, of_day = np.unique(raw, return_inverse=True)
    of = of_day[day_of]
    begins = edges[used]
    month = begins.astype("datetime64[M]").astype(np.int64)
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    return Cycles(
        labels=tuple(names[place] for place in used),
        month=month % 12 + 1,
        year=month // 12 + 1970,
        days=(edges[used + 1] - begins).astype(float),
        covered_days=np.bincount(of, minlength=used.size) * step_min / 1440.0,
        of=of,
        starts=starts,
    )


def _edges(dates: np.ndarray, billing: Billing) -> tuple[np.ndarray, list[str]]:
    if billing.cycle == "read_dates":
        edges = np.array(billing.reads, dtype="datetime64[D]")
        return edges, [str(edge) for edge in edges[:-1]]
    first, last = dates[0].astype("datetime64[M]"), dates[-1].astype("datetime64[M]")
    months = np.arange(first, last + 2)
    return months.astype("datetime64[D]"), [str(month) for month in months[:-1]]


__all__ = ["NAIVE", "Axis", "Billing", "Cycles", "Periods", "place"]
