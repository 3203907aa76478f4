"""Local stamps of a foreign file as UTC interval beginnings, with a note of how clock changes were treated."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from microgrid.case.imports.options import ImportOptions
from microgrid.case.stamps import RowProblem, Stamps, check_zone, to_utc
from microgrid.case.time_axis import intervals
from microgrid.errors import InvalidInput, Problem

Rows = NDArray[np.intp]


def local_beginnings(
    times: pd.DatetimeIndex, zone: str, options: ImportOptions, file: str, *, ending: bool
) -> tuple[pd.DatetimeIndex, Rows, list[str]]:
    """UTC beginnings of wall-clock stamps, the row of the file each stands for, and notes.

    Rows may be dropped or repeated where `options.clock` says that the file has 24 rows on every day.
    """
    check_zone(zone)
    rows = np.arange(len(times), dtype=np.intp)
    convention = f"stamps were local in {zone}, interval-{'ending' if ending else 'beginning'}"
    if options.clock == "strict":
        axis, problems = intervals(Stamps(times, local=True), zone, ending=ending)
        _raise(problems, file)
        return pd.DatetimeIndex(axis.begin, tz="UTC"), rows, [convention]
    step = usual_step(times)
    begin = times - step if ending else times
    if options.clock == "standard":
        offset = _standard_offset(times, zone)
        return (begin - offset).tz_localize("UTC"), rows, [f"{convention}, in standard time all year"]
    return _smoothed(begin, zone, rows, convention)


def flagged_beginnings(
    begin: pd.DatetimeIndex, second_pass: NDArray[np.bool_], zone: str, file: str
) -> tuple[pd.DatetimeIndex, list[str]]:
    """UTC of wall-clock beginnings where a flag marks the second pass of the doubled hour, as ERCOT does.

    Without any flag inside a doubled hour the order of the file decides, which must then be two clean runs.
    """
    ambiguous = np.asarray(begin.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward").isna())
    if not (second_pass & ambiguous).any():
        utc, problems = to_utc(begin, zone)
        _raise(problems, file)
        return utc, [f"stamps were local in {zone}"]
    utc = begin.tz_localize(zone, ambiguous=~second_pass, nonexistent="NaT").tz_convert("UTC")
    skipped = np.flatnonzero(np.asarray(utc.isna()))
    if skipped.size:
        rule = f"the clock of {zone} skips this time"
        raise InvalidInput(
            Problem(rule, "remove the row, or check the zone", "time", str(begin[int(skipped[0])]), file)
        )
    return utc, [f"stamps were local in {zone}; the file's flag told the doubled hour apart"]


def usual_step(times: pd.DatetimeIndex) -> pd.Timedelta:
    """Most frequent positive distance between neighbours; `InvalidInput` when there is none."""
    distances = np.diff(np.unique(times.as_unit("ns").asi8))
    if not len(distances):
        raise InvalidInput(Problem("fewer than two different time stamps", "give a longer file", "time"))
    values, counts = np.unique(distances, return_counts=True)
    return pd.Timedelta(int(values[np.argmax(counts)]), unit="ns")


def _smoothed(
    begin: pd.DatetimeIndex, zone: str, rows: Rows, convention: str
) -> tuple[pd.DatetimeIndex, Rows, list[str]]:
    first = np.ones(len(begin), dtype=bool)
    summer = begin.tz_localize(zone, ambiguous=first, nonexistent="NaT").tz_convert("UTC")
    winter = begin.tz_localize(zone, ambiguous=~first, nonexistent="NaT").tz_convert("UTC")
    kept = ~np.asarray(summer.isna())
    twice = kept & np.asarray(summer != winter)
    times = pd.DatetimeIndex(summer[kept].append(winter[twice]))
    order = np.argsort(times.asi8, kind="stable")
    notes = [f"{convention}, with 24 hours on every day"]
    if (~kept).any():
        notes.append(f"{int((~kept).sum())} rows of the hour that the clock skips were dropped")
    if twice.any():
        notes.append(f"{int(twice.sum())} rows of the hour that the clock repeats count for both passes")
    return pd.DatetimeIndex(times[order]), np.concatenate([rows[kept], rows[twice]])[order], notes


def _standard_offset(times: pd.DatetimeIndex, zone: str) -> pd.Timedelta:
    """Winter offset of the zone in the year of the file (the smaller of January's and July's)."""
    year = int(times[0].year)
    offsets = [pd.Timestamp(year, month, 15, tz=zone).utcoffset() for month in (1, 7)]
    return pd.Timedelta(min(offset for offset in offsets if offset is not None))


def _raise(problems: list[RowProblem], file: str) -> None:
    if problems:
        remedy = "; or state --clock standard or --clock smoothed if the file ignores clock changes"
        raise InvalidInput(
            [
                Problem(problem.rule, problem.remedy + remedy, "time", problem.value, file, problem.row + 2)
                for problem in problems[:20]
            ]
        )


__all__ = ["flagged_beginnings", "local_beginnings", "usual_step"]
