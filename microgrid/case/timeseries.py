"""Align a column of a file to the steps of a case, or say everything that is wrong with it.

A series coarser than the steps is held, a finer one is averaged, one longer than the window is cut. Rows that the
window uses must be numbers without a gap; stamps must be in order throughout. Problems of one file are collected and
told together, with the line of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from microgrid.case.coverage import check_coverage, check_rows, gaps
from microgrid.case.series_file import Column, read_column
from microgrid.case.stamps import RowProblem, check_offsets, check_zone, parse
from microgrid.case.time_axis import NS_PER_MIN, Intervals, intervals
from microgrid.case.units import conversion
from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Series

SHOWN_ROWS = 10
"""Rows told one by one for each rule; the rest are counted."""

Values = NDArray[np.float64]


def read_series(series: Series, *, base: Path, horizon: Horizon, unit: str) -> Values:
    """Values of a series at every step of the horizon in the unit of its field, shape (count,).

    `base` is the folder that relative file names start from. An empty `series.time` means rows in step order, exactly
    one a step. Stamps without offset are in `series.zone`, or in the case's zone where that is empty.

    Raises:
        InvalidInput: all problems found. Those of single rows carry the file and its line; those of the declaration
            (file, column, unit, zone, coverage) carry no line, so that the caller can point at the case file.
    """
    zone = series.zone or horizon.zone
    change = conversion(series.unit, unit)
    check_zone(zone)
    path = base / series.file
    column = read_column(path, series.column)
    if not series.time:
        check_rows(series, len(column.entries), horizon)
        values, faults = _numbers(column.entries, 0, len(column.entries))
        _raise(series.column, path, column, faults)
    else:
        values = _by_stamps(series, path, column, horizon, zone)
    if not change.is_identity:
        values = values * change.factor + change.offset
    return values if series.scale == 1.0 else values * series.scale


def find_problems(series: Series, *, base: Path, horizon: Horizon, unit: str) -> tuple[Problem, ...]:
    """Problems that `read_series` would raise; empty when the series is sound."""
    try:
        read_series(series, base=base, horizon=horizon, unit=unit)
    except InvalidInput as broken:
        return broken.problems
    return ()


def _by_stamps(series: Series, path: Path, column: Column, horizon: Horizon, zone: str) -> Values:
    stamped = read_column(path, series.time)
    if len(stamped.entries) != len(column.entries):
        rule = f"{series.column} has {len(column.entries)} rows, {series.time} has {len(stamped.entries)}"
        raise InvalidInput(Problem(rule, "give columns of one length", "column", series.column))
    state = path.stat()
    axis = _time_axis(path, series.time, zone, series.stamp, series.zone, (state.st_mtime_ns, state.st_size))
    first, last = check_coverage(series, axis, horizon)
    values, faults = _numbers(column.entries, first, last)
    _raise(series.column, path, column, [*gaps(axis, first, last, horizon), *faults])
    return _resampled(values, axis, first, last, horizon)


@lru_cache(maxsize=32)
def _time_axis(path: Path, time: str, zone: str, stamp: str, stated_zone: str, state: tuple[int, int]) -> Intervals:
    """Intervals of a file's rows, read once for all its columns; `state` makes a rewritten file a new one."""
    del state
    stamped = read_column(path, time)
    stamps, unreadable = parse(stamped.entries)
    _raise(time, path, stamped, unreadable)
    if stated_zone and not stamps.local and not isinstance(stamped.entries.dtype, pd.DatetimeTZDtype):
        check_offsets(stamped.entries, stamps.times, zone)
    axis, disorder = intervals(stamps, zone, ending=stamp == "ending")
    _raise(time, path, stamped, [replace(row, value=str(stamped.entries.iloc[row.row])[:40]) for row in disorder])
    return axis


def _numbers(written: pd.Series, first: int, last: int) -> tuple[Values, list[RowProblem]]:
    """Rows `first` to `last` as numbers, with the rows that are none."""
    used = written.iloc[first:last]
    given = pd.to_numeric(used, errors="coerce") if used.dtype != bool else pd.Series(np.nan, index=used.index)
    values: Values = np.asarray(given.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
    return values, [_fault(first + int(row), used.iloc[row]) for row in np.flatnonzero(~np.isfinite(values))]


def _fault(row: int, written: object) -> RowProblem:
    if written is None or written is pd.NA or (isinstance(written, float) and np.isnan(written)):
        return RowProblem(row, "no value (blank or NaN)", "fill it in, or import the file to see its gaps")
    if isinstance(written, (float, np.floating)):
        return RowProblem(row, "not a finite number", "give a number", str(written))
    return RowProblem(row, "not a number", "give a plain number with a decimal point", str(written)[:40])


def _resampled(values: Values, axis: Intervals, first: int, last: int, horizon: Horizon) -> Values:
    """Rows `first` to `last` on the steps: the same, held where rows are longer, averaged where they are shorter."""
    step_ns = horizon.step_min * NS_PER_MIN
    start = int(horizon.start.as_unit("ns").value)
    wanted = start + step_ns * np.arange(horizon.count + 1, dtype=np.int64)
    begin = axis.begin[first:last]
    edges = np.append(begin, axis.end[last - 1])
    inner = edges[(edges > start) & (edges < wanted[-1])]
    if not ((inner - start) % step_ns).any():
        held: Values = values[np.searchsorted(begin, wanted[:-1], side="right") - 1]
        return held
    places = np.searchsorted(edges, wanted)
    if not (edges[places] == wanted).all():
        rule = f"rows of {axis.step} do not line up with steps of {horizon.step_min} min"
        at = pd.Timestamp(int(inner[(inner - start) % step_ns != 0][0]), tz="UTC").tz_convert(horizon.zone)
        remedy = f"a row begins at {at:%Y-%m-%d %H:%M}, inside a step; check `stamp` and `zone`, or resample the file"
        raise InvalidInput(Problem(rule, remedy, "time"))
    sums = np.add.reduceat(values[: places[-1]], places[:-1])
    averaged: Values = sums / np.diff(places)
    return averaged


def _raise(name: str, path: Path, column: Column, problems: Sequence[RowProblem]) -> None:
    """Raise the problems of single rows with file and line; nothing when there are none."""
    if problems:
        raise InvalidInput(list(_located(name, path, column, problems)))


def _located(name: str, path: Path, column: Column, problems: Sequence[RowProblem]) -> Iterator[Problem]:
    kinds: dict[str, list[RowProblem]] = {}
    for problem in problems:
        kinds.setdefault(problem.rule, []).append(problem)
    for rule, same in kinds.items():
        for problem in same[:SHOWN_ROWS]:
            yield Problem(rule, problem.remedy, name, problem.value, str(path), column.line(problem.row))
        rest, last = len(same) - SHOWN_ROWS, column.line(same[-1].row)
        if rest > 0:
            yield Problem(
                f"and {rest} more rows like this, the last at line {last}: {rule}", "", name, "", str(path), last
            )


__all__ = ["find_problems", "read_series"]
