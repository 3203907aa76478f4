"""From stamps as written to UTC intervals, with daylight saving time taken seriously.

Stamps carry an offset, or they are local in a stated zone. A local file is accepted in its natural order: the hour
that the clock skips is absent, the hour it repeats appears twice, first in summer and then in winter time. Anything
else is an error that names the row, because a guess would shift prices by an hour for half a year.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from microgrid.errors import InvalidInput, Problem
from microgrid.schema.spelling import did_you_mean

OFFSET = r"(?:[Zz]|[+-]\d{2}:?\d{2})\s*$"
MIDNIGHT_AS_24 = r"[T ]24:00(?::00)?$"
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class RowProblem:
    """A problem of one row (counted from 0) of a series."""

    row: int
    rule: str
    remedy: str = ""
    value: str = ""


@dataclass(frozen=True)
class Stamps:
    """Stamps read from text: UTC instants where they carry offsets, wall-clock times where they do not."""

    times: pd.DatetimeIndex
    local: bool
    """True for wall-clock times (`times` is then naive)."""


def check_zone(zone: str) -> None:
    """Raise `InvalidInput` unless `zone` is an IANA zone."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        remedy = did_you_mean(zone, sorted(available_timezones())) if "/" in zone else ""
        if not remedy or remedy.startswith("known"):
            remedy = "give an IANA zone such as America/Chicago or UTC"
        raise InvalidInput(Problem("unknown time zone", remedy, "zone", zone)) from None


def parse(written: pd.Series) -> tuple[Stamps, list[RowProblem]]:
    """Read stamps in ISO 8601, or dates already typed by Parquet or NetCDF; unreadable rows are problems.

    Raises `InvalidInput` for what no row could mend: numbers instead of dates, or offsets in some rows only.
    """
    if isinstance(written.dtype, pd.DatetimeTZDtype):
        return Stamps(pd.DatetimeIndex(written).tz_convert("UTC"), local=False), _unreadable(written, written)
    if pd.api.types.is_datetime64_dtype(written):
        return Stamps(pd.DatetimeIndex(written), local=True), _unreadable(written, written)
    if pd.api.types.is_numeric_dtype(written):
        remedy = 'write them as 2025-07-15T13:00Z, or set time: "" for rows in step order'
        raise InvalidInput(Problem("stamps are numbers, not dates", remedy, "time", str(written.iloc[0])))
    text = written.astype("string").str.strip()
    has_offset = text.str.contains(OFFSET).fillna(value=False).to_numpy(dtype=bool)
    filled = text.notna().to_numpy()
    local = not has_offset.any()
    if not local and (filled & ~has_offset).any():
        row = int(np.flatnonzero(filled & ~has_offset)[0])
        rule = f"some stamps carry an offset and some do not, first {text.iloc[row]}"
        raise InvalidInput(Problem(rule, "write all of them one way", "time", str(text.iloc[row])))
    late = text.str.contains(MIDNIGHT_AS_24).fillna(value=False).to_numpy(dtype=bool)
    if late.any():
        text = text.str.replace(MIDNIGHT_AS_24, "T00:00", regex=True)
    parsed = pd.to_datetime(text, format="ISO8601", utc=not local, errors="coerce")
    times = pd.DatetimeIndex(parsed) + pd.to_timedelta(late.astype(int), unit="D")
    return Stamps(times, local), _unreadable(times.to_series(), written)


def _unreadable(times: pd.Series, written: pd.Series) -> list[RowProblem]:
    missing = np.flatnonzero(times.isna().to_numpy())
    return [_unreadable_row(int(row), written.iloc[row]) for row in missing]


def _unreadable_row(row: int, value: object) -> RowProblem:
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return RowProblem(row, "time stamp is blank", "fill it in or remove the row")
    return RowProblem(row, "not an ISO 8601 time stamp", "write it as 2025-07-15T13:00", str(value)[:40])


def to_utc(times: pd.DatetimeIndex, zone: str) -> tuple[pd.DatetimeIndex, list[RowProblem]]:
    """Wall-clock times of a zone as UTC; skipped hours and hours not properly doubled are problems (NaT)."""
    certain = times.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    unclear = np.flatnonzero(np.asarray(certain.isna()) & ~np.asarray(times.isna()))
    if not unclear.size:
        return certain.tz_convert("UTC"), []
    summer = times.tz_localize(zone, ambiguous=np.ones(len(times), dtype=bool), nonexistent="NaT")
    winter = times.tz_localize(zone, ambiguous=np.zeros(len(times), dtype=bool), nonexistent="NaT")
    skipped = np.asarray(summer[unclear].isna())
    problems = [_skipped(int(row), times[row], zone) for row in unclear[skipped]]
    in_summer = np.ones(len(times), dtype=bool)
    for night in _by_day(times, unclear[~skipped]):
        second = _second_pass(times[night])
        if second is None:
            problems.append(_not_doubled(night, times, zone))
        else:
            in_summer[night[second:]] = False
    return pd.DatetimeIndex(summer.tz_convert("UTC").where(in_summer, winter.tz_convert("UTC"))), problems


def _by_day(times: pd.DatetimeIndex, rows: Rows) -> Iterator[Rows]:
    """Doubled rows, one group for each night on which the clock goes back."""
    days = times[rows].normalize().asi8
    return (rows[days == day] for day in np.unique(days))


def _second_pass(clock: pd.DatetimeIndex) -> int | None:
    """Position where the doubled hour starts again; None unless it is two equal runs in time order."""
    returns = np.flatnonzero(np.diff(clock.asi8) <= 0) + 1
    if len(returns) != 1:
        return None
    second = int(returns[0])
    return second if clock[:second].equals(clock[second:]) else None


def _not_doubled(rows: Rows, times: pd.DatetimeIndex, zone: str) -> RowProblem:
    once = times[rows].is_monotonic_increasing and times[rows].is_unique
    rule = f"the clock of {zone} shows this hour twice, the file " + (
        "once" if once else "not as two runs in time order"
    )
    remedy = "keep both runs, summer time first, or write stamps with offsets"
    return RowProblem(int(rows[0]), rule, remedy, f"{times[rows[0]]:%Y-%m-%d %H:%M}")


def _skipped(row: int, time: pd.Timestamp, zone: str) -> RowProblem:
    rule = f"the clock of {zone} skips this time"
    remedy = "remove the row, write stamps with offsets, or give the fixed zone of standard time (such as Etc/GMT+6)"
    return RowProblem(row, rule, remedy, f"{time:%Y-%m-%d %H:%M}")


def check_offsets(written: pd.Series, utc: pd.DatetimeIndex, zone: str) -> None:
    """Raise `InvalidInput` when offsets written in the stamps never agree with the zone stated beside them."""
    places = sorted({0, len(written) // 2, len(written) - 1})
    texts = [str(written.iloc[place]) for place in places]
    found = [_minutes(text) for text in texts]
    local = utc[places].tz_convert(zone)
    stated = [(moment.utcoffset() or timedelta()).total_seconds() / 60.0 for moment in local]
    if not any(minutes == zone_minutes for minutes, zone_minutes in zip(found, stated, strict=True)):
        rule = f"stamps carry an offset ({texts[0]}) that is not that of zone {zone}"
        raise InvalidInput(Problem(rule, "leave zone out: stamps with offsets need none", "zone", zone))


def _minutes(text: str) -> float:
    """Offset in minutes at the end of a stamp."""
    mark = text.strip()
    if mark[-1] in "Zz":
        return 0.0
    sign, digits = mark[-6:].lstrip("0123456789")[0], mark[-5:].replace(":", "")[-4:]
    return (-1.0 if sign == "-" else 1.0) * (int(digits[:2]) * 60 + int(digits[2:]))


__all__ = ["RowProblem", "Stamps", "check_offsets", "check_zone", "parse", "to_utc"]
