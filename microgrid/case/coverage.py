"""Whether a series covers the window of a case, and the likely reason where it does not."""

from __future__ import annotations

import numpy as np
import pandas as pd

from microgrid.case.stamps import RowProblem
from microgrid.case.time_axis import NS_PER_MIN, Intervals
from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Series


def check_rows(series: Series, rows: int, horizon: Horizon) -> None:
    """A series without stamps has exactly one row a step; `InvalidInput` otherwise."""
    if rows == horizon.count:
        return
    size = "short" if rows < horizon.count else "long"
    rule = f"{series.file} is too {size}: {rows} rows without stamps for {horizon.count} steps"
    remedy = f"give one row a step of {horizon.step_min} min"
    if _has_leap_day(horizon) and horizon.count - rows == 1440 // horizon.step_min:
        remedy = "one day is missing: the window holds a 29 February; add it"
    raise InvalidInput(Problem(rule, f"{remedy}, or give a time column", "file"))


def check_coverage(series: Series, axis: Intervals, horizon: Horizon) -> tuple[int, int]:
    """First row and one past the last row that the window uses; `InvalidInput` where the series is too short."""
    start, end = _window(horizon)
    first = int(np.searchsorted(axis.end, start, side="right"))
    last = int(np.searchsorted(axis.begin, end, side="left"))
    if first < last and axis.begin[first] <= start and axis.end[last - 1] >= end:
        return first, last
    covered = f"{_local(axis.begin[0], horizon)} to {_local(axis.end[-1], horizon)}"
    wanted = f"{_local(start, horizon)} to {_local(end, horizon)}"
    fault = "is too short" if first < last else "does not overlap the window"
    rule = f"{series.file} {fault}: it covers {covered} ({horizon.zone}), the window is {wanted}"
    raise InvalidInput(Problem(rule, _likely_reason(series, axis, horizon), "file"))


def gaps(axis: Intervals, first: int, last: int, horizon: Horizon) -> list[RowProblem]:
    """Rows of the window that begin later than the row above ends."""
    late = np.flatnonzero(axis.begin[first + 1 : last] > axis.end[first : last - 1]) + first + 1
    return [_gap(axis, int(row), horizon) for row in late]


def _gap(axis: Intervals, row: int, horizon: Horizon) -> RowProblem:
    since, until = _local(axis.end[row - 1], horizon), _local(axis.begin[row], horizon)
    missing = axis.missing_before(row)
    rows = f"{missing} row" + ("s" if missing != 1 else "")
    leap_day = pd.Timestamp(since).month == 2 and pd.Timestamp(since).day == 29 and until.endswith("03-01 00:00")
    remedy = (
        "the file leaves out 29 February; add it" if leap_day else "fill the gap, or import the file with a fill rule"
    )
    return RowProblem(row, "rows are missing before this one", remedy, f"{rows} from {since} to {until}")


def _likely_reason(series: Series, axis: Intervals, horizon: Horizon) -> str:
    """Remedy for a series that misses the window, from the size of the miss."""
    start, end = _window(horizon)
    late, length = int(axis.begin[0]) - start, int(axis.end[0] - axis.begin[0])
    whole = int(axis.end[-1] - axis.begin[0]) >= end - start
    if not whole:
        return "extend the file, or shorten the window of the case"
    if late == length and series.stamp == "beginning":
        return "it begins one step late, as interval-ending stamps do: if they are, set `stamp: ending`"
    if late == -length and series.stamp == "ending":
        return "it begins one step early: if stamps mark the beginning, set `stamp: beginning`"
    offset = horizon.start.tz_convert(horizon.zone).utcoffset()
    if offset is not None and late and abs(late) == abs(round(offset.total_seconds() * 1e9)):
        hours = abs(late) / (60 * NS_PER_MIN)
        return f"it is shifted by {hours:g} h, the UTC offset of {horizon.zone}: check the zone of the stamps"
    return "check the year and zone of the stamps, or move the window of the case"


def _window(horizon: Horizon) -> tuple[int, int]:
    start = int(horizon.start.as_unit("ns").value)
    return start, start + horizon.count * horizon.step_min * NS_PER_MIN


def _local(instant: int, horizon: Horizon) -> str:
    return str(pd.Timestamp(int(instant), tz="UTC").tz_convert(horizon.zone).strftime("%Y-%m-%d %H:%M"))


def _has_leap_day(horizon: Horizon) -> bool:
    return bool(((horizon.local.month == 2) & (horizon.local.day == 29)).any())


__all__ = ["check_coverage", "check_rows", "gaps"]
