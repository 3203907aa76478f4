"""From stamps to intervals: the step of a file, its convention (beginning or ending), and its order in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from microgrid.case.stamps import RowProblem, Stamps, to_utc
from microgrid.errors import InvalidInput, Problem

Nanoseconds = NDArray[np.int64]
NS_PER_MIN = 60_000_000_000
NS_PER_DAY = 1440 * NS_PER_MIN


@dataclass(frozen=True)
class Intervals:
    """Beginning and end of every row in UTC nanoseconds, shape (rows,); `step` names the usual length."""

    begin: Nanoseconds
    end: Nanoseconds
    step: str

    def missing_before(self, row: int) -> int:
        """Rows that would fit between the row above and this one."""
        length = max(int(self.end[row - 1] - self.begin[row - 1]), 1)
        return round(int(self.begin[row] - self.end[row - 1]) / length)


def intervals(stamps: Stamps, zone: str, *, ending: bool) -> tuple[Intervals, list[RowProblem]]:
    """Interval of every row, with the rows that are out of order.

    Steps shorter than a day are fixed lengths of time. Days, weeks and months follow the calendar of the stamps, so
    that a local day may have 23 or 25 hours.

    Raises `InvalidInput` when there are fewer than two rows to tell a step from.
    """
    if len(stamps.times) < 2:
        raise InvalidInput(Problem("one row does not show the step of a series", "give at least two rows", "time"))
    clocks = [stamps.times] if stamps.local else [stamps.times.tz_localize(None), _wall_clock(stamps.times, zone)]
    step_ns = _usual_step(clocks[0])
    if step_ns == 0:
        return _fixed(stamps, zone, NS_PER_MIN, ending=False)
    if step_ns < NS_PER_DAY - 60 * NS_PER_MIN:
        return _fixed(stamps, zone, step_ns, ending=ending)
    periods = [_calendar_period(clock) for clock in clocks]
    place = min(range(len(clocks)), key=lambda index: _irregular(clocks[index], periods[index]))
    calendar_zone = zone if stamps.local or place else "UTC"
    return _calendar(clocks[place], periods[place], calendar_zone, ending=ending)


def _wall_clock(utc: pd.DatetimeIndex, zone: str) -> pd.DatetimeIndex:
    return utc.tz_convert(zone).tz_localize(None)


def _usual_step(clock: pd.DatetimeIndex) -> int:
    """Most frequent positive distance between neighbours in nanoseconds; 0 when no row is later than the one above."""
    distances = np.diff(clock.as_unit("ns").asi8)
    values, counts = np.unique(distances[distances > 0], return_counts=True)
    return int(values[np.argmax(counts)]) if len(values) else 0


def _fixed(stamps: Stamps, zone: str, step_ns: int, *, ending: bool) -> tuple[Intervals, list[RowProblem]]:
    step = pd.Timedelta(step_ns, unit="ns")
    shift = step if ending else pd.Timedelta(0)
    if not stamps.local:
        begin, problems = stamps.times - shift, list[RowProblem]()
    else:
        begin, problems = to_utc(stamps.times - shift, zone)
        if ending and (problems or _out_of_order(begin, step)):
            # Hour-ending labels come in two kinds: beginning plus one hour on the clock, or the instant of the end.
            as_instants, others = to_utc(stamps.times, zone)
            if not others and not _out_of_order(as_instants - shift, step):
                begin, problems = as_instants - shift, []
    problems += _out_of_order(begin, step)
    ns = begin.as_unit("ns").asi8
    return Intervals(ns, ns + step_ns, f"{step_ns / NS_PER_MIN:g} min"), problems


def _calendar(
    clock: pd.DatetimeIndex, period: pd.DateOffset, zone: str, *, ending: bool
) -> tuple[Intervals, list[RowProblem]]:
    begin = pd.DatetimeIndex(clock - period) if ending else clock
    end = pd.DatetimeIndex(begin + period)
    first = np.ones(len(clock), dtype=bool)
    edges = [
        edge.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").as_unit("ns").asi8 for edge in (begin, end)
    ]
    name = ", ".join(f"{count} {unit}" for unit, count in period.kwds.items())
    return Intervals(edges[0], edges[1], name), _out_of_order(begin, pd.Timedelta(0))


def _calendar_period(clock: pd.DatetimeIndex) -> pd.DateOffset:
    """Days or months between rows, whichever fits more of them."""
    days = pd.DateOffset(days=max(1, round(_usual_step(clock) / NS_PER_DAY)))
    months = np.diff(clock.year.to_numpy() * 12 + clock.month.to_numpy())
    values, counts = np.unique(months[months > 0], return_counts=True)
    if not len(values):
        return days
    monthly = pd.DateOffset(months=int(values[np.argmax(counts)]))
    return min((days, monthly), key=lambda period: _irregular(clock, period))


def _irregular(clock: pd.DatetimeIndex, period: pd.DateOffset) -> int:
    """Rows that do not follow the row above by exactly one period."""
    return int((pd.DatetimeIndex(clock[:-1] + period) != clock[1:]).sum())


def _out_of_order(begin: pd.DatetimeIndex, step: pd.Timedelta) -> list[RowProblem]:
    """Rows earlier than, equal to, or sooner than one step after the row above; unreadable rows are left out."""
    known = np.flatnonzero(~np.asarray(begin.isna()))
    ns = begin[known].as_unit("ns").asi8
    distance = np.diff(ns)
    problems: list[RowProblem] = []
    for place in np.flatnonzero(distance < max(step.value, 1)):
        row, gap = int(known[place + 1]), int(distance[place])
        value = f"{begin[row]:%Y-%m-%d %H:%M}"
        if gap < 0:
            problems.append(RowProblem(row, "time stamp is earlier than the row above", "sort the rows by time", value))
        elif gap == 0:
            problems.append(RowProblem(row, "time stamp appears twice", "keep one row for each interval", value))
        else:
            rule = f"time stamp comes less than one step ({step.value / NS_PER_MIN:g} min) after the row above"
            problems.append(RowProblem(row, rule, "keep one step throughout the file", value))
    return problems


__all__ = ["NS_PER_MIN", "Intervals", "intervals"]
