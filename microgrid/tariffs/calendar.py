"""Time-of-use calendars and holidays: which period each interval belongs to.

Rules are tried in order and the first that matches wins. A calendar is evaluated on local days by minutes of the day,
so that DST days, leap days and half-hour edges need no case of their own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from microgrid.schema.quantity import Declared

Month = Annotated[int, Field(ge=1, le=12)]
Hour = Annotated[float, Field(ge=0, le=24)]
DayRule = Literal["all", "weekday", "weekend", "holiday"]
GAP = -1
_ALIASES = {
    "washingtons birthday": "presidents",
    "juneteenth": "juneteenth national independence",
    "thanksgiving": "thanksgiving",
    "martin luther king": "martin luther king jr.",
    "martin luther king jr": "martin luther king jr.",
}


class Holidays(Declared):
    """Holidays of one utility: which, and what happens when one falls on a weekend.

    `observed` is the utility's own rule: ``none`` keeps the date, ``sunday_to_monday`` moves Sunday holidays only (as
    NERC does), ``nearest_weekday`` also moves Saturday holidays to Friday (as federal offices do).
    """

    calendar: str | None = Field(None, description="country, or country-subdivision, e.g. US or US-TX")
    include: tuple[str, ...] | None = Field(None, description="names of the holidays that count; all when absent")
    observed: Literal["none", "nearest_weekday", "sunday_to_monday"] = "none"
    dates: tuple[dt.date, ...] = Field((), description="further dates")
    treat_as: Literal["weekend", "own"] = Field(
        "weekend", description="`weekend`: a holiday counts as a Sunday; `own`: only `days: holiday` and `all` match it"
    )

    def days(self, years: Sequence[int]) -> set[dt.date]:
        """Dates that count as holidays in the years given."""
        return set(self.dates) | {_observe(day, self.observed) for day in self._named(years)}

    def unknown_names(self) -> list[str]:
        """Included names that the calendar does not have."""
        if self.calendar is None or self.include is None:
            return []
        known = set(_calendar_days(self.calendar, [2025]).values())
        return [name for name in self.include if not any(_same_holiday(name, other) for other in known)]

    def _named(self, years: Sequence[int]) -> list[dt.date]:
        if self.calendar is None:
            return []
        days = _calendar_days(self.calendar, years)
        if self.include is None:
            return list(days)
        return [day for day, name in days.items() if any(_same_holiday(wanted, name) for wanted in self.include)]


class TouRule(Declared):
    """Intervals that belong to `period`: every stated condition must hold."""

    period: str = Field(description="name of the TOU period")
    months: tuple[Month, ...] | None = Field(None, description="months 1 to 12")
    days: DayRule | tuple[Annotated[int, Field(ge=0, le=6)], ...] = Field(
        "all", description="kind of day, or weekdays with 0 = Monday"
    )
    hours: tuple[tuple[Hour, Hour], ...] | None = Field(None, description="[start, end) in local hours, 8.5 = 08:30")
    dates: tuple[tuple[str, str], ...] | None = Field(None, description="MM-DD ranges, both ends included")

    @field_validator("hours")
    @classmethod
    def _ascending(cls, hours: tuple[tuple[float, float], ...] | None) -> tuple[tuple[float, float], ...] | None:
        for start, end in hours or ():
            if end <= start:
                raise ValueError(f"hours [{start:g}, {end:g}] must ascend; write [{start:g}, 24] and [0, {end:g}]")
        return hours

    @field_validator("dates")
    @classmethod
    def _month_days(cls, dates: tuple[tuple[str, str], ...] | None) -> tuple[tuple[str, str], ...] | None:
        for stamp in (entry for pair in dates or () for entry in pair):
            dt.date.fromisoformat(f"2024-{stamp}")
        return dates


class Calendar(Declared):
    """Ordered TOU rules; what no rule matches is `default`, and without one it is a gap (an error)."""

    rules: tuple[TouRule, ...] = ()
    default: str | None = None

    @property
    def periods(self) -> tuple[str, ...]:
        """Names of the periods in the order of first mention."""
        named = [rule.period for rule in self.rules] + ([self.default] if self.default is not None else [])
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True)
class Days:
    """Local calendar days with what rules ask of them; all arrays have shape (days,).

    `month` is 1 to 12, `weekday` 0 = Monday, `month_day` is 100 x month + day.
    """

    dates: np.ndarray
    month: np.ndarray
    weekday: np.ndarray
    month_day: np.ndarray
    holiday: np.ndarray
    own: bool = False

    @classmethod
    def of(cls, dates: np.ndarray, holidays: Holidays) -> Days:
        """Describe the `dates` (datetime64[D])."""
        number = dates.astype(np.int64)
        months = dates.astype("datetime64[M]")
        month = months.astype(np.int64) % 12 + 1
        day = (dates - months.astype("datetime64[D]")).astype(np.int64) + 1
        years = dates.astype("datetime64[Y]").astype(np.int64) + 1970
        listed = holidays.days(range(int(years.min()), int(years.max()) + 2)) if dates.size else set()
        holiday = np.isin(dates, np.array(sorted(listed), dtype="datetime64[D]"))
        return cls(dates, month, (number + 3) % 7, month * 100 + day, holiday, holidays.treat_as == "own")


def period_table(calendar: Calendar, days: Days, minutes: np.ndarray) -> np.ndarray:
    """Position of the period in `calendar.periods` by day and minute of the day, shape (days, minutes); GAP if none."""
    table = np.full((days.dates.size, minutes.size), GAP)
    names = {name: place for place, name in enumerate(calendar.periods)}
    for rule in calendar.rules:
        matched = rule_days(rule, days)[:, None] & rule_minutes(rule, minutes)[None, :]
        table[matched & (table == GAP)] = names[rule.period]
    if calendar.default is not None:
        table[table == GAP] = names[calendar.default]
    return table


def rule_days(rule: TouRule, days: Days) -> np.ndarray:
    """Days on which the rule can match, shape (days,)."""
    matched = np.ones(days.dates.size, dtype=bool)
    if rule.months is not None:
        matched &= np.isin(days.month, rule.months)
    if rule.dates is not None:
        matched &= np.logical_or.reduce([_between(days.month_day, *pair) for pair in rule.dates])
    return np.asarray(matched & _day_kind(rule.days, days))


def rule_minutes(rule: TouRule, minutes: np.ndarray) -> np.ndarray:
    """Minutes of the day at which the rule can match, shape (minutes,)."""
    if rule.hours is None:
        return np.ones(minutes.size, dtype=bool)
    spans = [(minutes >= round(start * 60)) & (minutes < round(end * 60)) for start, end in rule.hours]
    return np.asarray(np.logical_or.reduce(spans))


def _day_kind(kind: DayRule | tuple[int, ...], days: Days) -> np.ndarray:
    plain = ~days.holiday
    if kind == "all":
        return np.ones(days.dates.size, dtype=bool)
    if kind == "holiday":
        return days.holiday
    if kind == "weekday":
        return np.asarray((days.weekday < 5) & plain)
    if kind == "weekend":
        return np.asarray(((days.weekday >= 5) & plain) | (days.holiday & (not days.own)))
    weekday = np.where(days.holiday, -1 if days.own else 6, days.weekday)
    return np.isin(weekday, kind)


def _between(month_day: np.ndarray, first: str, last: str) -> np.ndarray:
    low, high = (int(stamp.replace("-", "")) for stamp in (first, last))
    if low <= high:
        return (month_day >= low) & (month_day <= high)
    return (month_day >= low) | (month_day <= high)


def _observe(day: dt.date, rule: str) -> dt.date:
    if rule != "none" and day.weekday() == 6:
        return day + dt.timedelta(days=1)
    if rule == "nearest_weekday" and day.weekday() == 5:
        return day - dt.timedelta(days=1)
    return day


def _calendar_days(calendar: str, years: Sequence[int]) -> Mapping[dt.date, str]:
    import holidays  # noqa: PLC0415 - slow to import and needed only by tariffs that name a holiday calendar

    country, _, subdivision = calendar.partition("-")
    return dict(
        holidays.country_holidays(country, subdiv=subdivision or None, years=list(years), observed=False).items()
    )


def _same_holiday(wanted: str, name: str) -> bool:
    """Compare names as people write them: case, the word "Day" and possessives do not count."""
    return _plain(wanted) in {_plain(part) for part in name.split(";")}


def _plain(name: str) -> str:
    words = name.lower().replace("'", "").replace("\N{RIGHT SINGLE QUOTATION MARK}", "").split()
    plain = " ".join(word for word in words if word != "day")
    return _ALIASES.get(plain, plain)


__all__ = ["GAP", "Calendar", "Days", "Holidays", "Month", "TouRule", "period_table", "rule_days", "rule_minutes"]
