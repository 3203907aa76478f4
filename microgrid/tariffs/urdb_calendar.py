"""URDB's 12 x 24 schedules and this project's calendars, one from the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from microgrid.errors import InvalidInput, Problem


@dataclass(frozen=True)
class Schedule:
    """Period number by month (12 rows) and hour (24 columns), for weekdays and weekends."""

    weekday: tuple[tuple[int, ...], ...]
    weekend: tuple[tuple[int, ...], ...]


def scheduled(data: Mapping[str, Any], kind: str) -> Schedule | None:
    """Schedules of ``energy`` or ``demand`` prices; None when the record has none."""
    weekday = data.get(f"{kind}weekdayschedule")
    if weekday is None:
        return None
    weekend = data.get(f"{kind}weekendschedule", weekday)
    for name, rows in ((f"{kind}weekdayschedule", weekday), (f"{kind}weekendschedule", weekend)):
        if len(rows) != 12 or any(len(row) != 24 for row in rows):
            raise InvalidInput(Problem("a schedule has 12 months of 24 hours", "mend the record", name))
    return Schedule(*(tuple(tuple(int(place) for place in row) for row in rows) for rows in (weekday, weekend)))


def calendar_of(schedule: Schedule, prefix: str) -> dict[str, Any]:
    """Calendar with one rule for each period, set of months and kind of day; the commonest period is the default."""
    cells = [place for rows in (schedule.weekday, schedule.weekend) for row in rows for place in row]
    default = max(set(cells), key=cells.count)
    rules = []
    for kind, rows in (("weekday", schedule.weekday), ("weekend", schedule.weekend)):
        for months, row in _alike(rows):
            for place in sorted(set(row) - {default}):
                rule: dict[str, Any] = {"days": kind, "hours": _spans(row, place), "period": f"{prefix}{place}"}
                rules.append(rule if len(months) == 12 else {"months": months, **rule})
    return {"rules": rules, "default": f"{prefix}{default}"}


def _alike(rows: Sequence[tuple[int, ...]]) -> list[tuple[list[int], tuple[int, ...]]]:
    """Months that have the same row, with the row."""
    distinct = dict.fromkeys(rows)
    return [([month for month, other in enumerate(rows, start=1) if other == row], row) for row in distinct]


def _spans(row: Sequence[int], place: int) -> list[list[int]]:
    """Hours [start, end) at which the row has the period."""
    spans, hour = [], 0
    for value, members in groupby(row):
        length = len(list(members))
        if value == place:
            spans.append([hour, hour + length])
        hour += length
    return spans


def hourly_rows(weekday: np.ndarray, weekend: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Half-hour rows (12, 48) as hours (12, 24) by their first half, and whether a half hour was lost."""
    lost = any((rows[:, 0::2] != rows[:, 1::2]).any() for rows in (weekday, weekend))
    return weekday[:, 0::2], weekend[:, 0::2], lost


__all__ = ["Schedule", "calendar_of", "hourly_rows", "scheduled"]
