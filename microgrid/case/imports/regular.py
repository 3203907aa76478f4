"""From rows with UTC instants to a regular series, with a written note of everything that was changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from microgrid.case.imports.options import ImportOptions
from microgrid.errors import InvalidInput, Problem
from microgrid.schema.quantity import Series

SHOWN_GAPS = 10
Values = NDArray[np.float64]


@dataclass(frozen=True)
class RawSeries:
    """Rows as read: interval beginnings in UTC (any order), values by column, units, and notes so far.

    `step` is a fixed length of time, or a calendar day (``1D`` in `zone`) for daily series.
    """

    times: pd.DatetimeIndex
    columns: dict[str, Values]
    units: dict[str, str]
    step: pd.Timedelta
    notes: tuple[str, ...] = ()
    zone: str = "UTC"


@dataclass(frozen=True)
class CleanSeries:
    """Regular series: UTC, interval-beginning, no gap, no blank; `notes` say what was changed to get there."""

    times: pd.DatetimeIndex
    columns: dict[str, Values]
    units: dict[str, str]
    step_min: int
    notes: tuple[str, ...] = field(default=())
    zone: str = "UTC"
    """Zone whose calendar days the rows are, where the series is daily and local."""

    def write(self, path: Path) -> Path:
        """Write a CSV whose comment lines carry the notes and units, and which `read_series` reads as it is."""
        head = [f"# {note}" for note in self.notes]
        head += [f"# {name}: {unit}" for name, unit in self.units.items()]
        head.append(f"# time: UTC, interval-beginning, step {self.step_min} min, {len(self.times)} rows")
        table = pd.DataFrame(self.columns, index=pd.Index(self._stamps(), name="time"))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write("\n".join(head) + "\n")
            table.to_csv(stream, float_format="%.10g", lineterminator="\n")
        return path

    def references(self, file: str) -> dict[str, Series]:
        """How a case refers to each column of the written file."""
        zone = "" if self.zone == "UTC" else self.zone
        return {name: Series(file=file, column=name, unit=self.units[name], zone=zone) for name in self.columns}

    def _stamps(self) -> list[str]:
        if self.zone == "UTC":
            return list(self.times.strftime("%Y-%m-%dT%H:%MZ"))
        return [moment.isoformat() for moment in self.times.tz_convert(self.zone)]


def regularise(raw: RawSeries, options: ImportOptions, file: str) -> CleanSeries:
    """Sort, drop repeated rows, fill short gaps as the options allow; `InvalidInput` for anything else."""
    frame = pd.DataFrame(raw.columns, index=raw.times)
    if not len(frame):
        raise InvalidInput(Problem(f"{file} holds no rows", "check the file and the node", "file", file))
    notes = list(raw.notes)
    if not frame.index.is_monotonic_increasing:
        frame = frame.sort_index(kind="stable")
        notes.append("rows were not in time order and have been sorted")
    frame = _without_repeats(frame, notes, file)
    grid = _grid(frame.index, raw)
    strays = frame.index.difference(grid)
    if len(strays):
        rule = f"{len(strays)} rows of {file} are off the step of {_minutes(raw.step)} min, first {strays[0]}"
        raise InvalidInput(Problem(rule, "give a file with one step", "time"))
    filled = _filled(frame.reindex(grid), options, raw, notes, file)
    columns = {str(name): filled[name].to_numpy(dtype=np.float64) for name in filled.columns}
    zone = raw.zone if raw.step == pd.Timedelta("1D") else "UTC"
    return CleanSeries(pd.DatetimeIndex(filled.index), columns, raw.units, _minutes(raw.step), tuple(notes), zone)


def _without_repeats(frame: pd.DataFrame, notes: list[str], file: str) -> pd.DataFrame:
    repeated = frame.index.duplicated(keep="first")
    if not repeated.any():
        return frame
    different = frame.groupby(level=0).nunique(dropna=False).gt(1).any(axis=1)
    if different.any():
        first = different.index[different][0]
        rule = f"{file} holds different values for one interval, {int(different.sum())} times, first {first}"
        raise InvalidInput(Problem(rule, "name the node, or keep one version of each row", "time"))
    notes.append(f"{int(repeated.sum())} rows repeated another with the same values and have been dropped")
    return frame.loc[~repeated]


def _grid(index: pd.Index, raw: RawSeries) -> pd.DatetimeIndex:
    if raw.step == pd.Timedelta("1D") and raw.zone != "UTC":
        local = pd.DatetimeIndex(index).tz_convert(raw.zone)
        return pd.date_range(local[0], local[-1], freq=pd.DateOffset(days=1)).tz_convert("UTC")
    return pd.date_range(index[0], index[-1], freq=raw.step)


def _filled(frame: pd.DataFrame, options: ImportOptions, raw: RawSeries, notes: list[str], file: str) -> pd.DataFrame:
    frame = _trimmed(frame, notes, file)
    blank = np.asarray(frame.isna().any(axis=1))
    if not blank.any():
        return frame
    spans = list(_spans(blank))
    longest = round(pd.Timedelta(hours=options.longest_gap_h) / raw.step)
    bad = [span for span in spans if options.fill == "none" or span[1] - span[0] > longest]
    if bad:
        raise InvalidInput(list(_gap_problems(bad, frame, raw, options, file)))
    for first, last in spans[:SHOWN_GAPS]:
        word = "interpolated" if options.fill == "interpolate" else "held from the row before"
        notes.append(f"gap filled: {last - first} rows from {frame.index[first]:%Y-%m-%dT%H:%MZ}, {word}")
    if len(spans) > SHOWN_GAPS:
        rows = sum(last - first for first, last in spans[SHOWN_GAPS:])
        notes.append(f"gaps filled: {len(spans) - SHOWN_GAPS} more, {rows} rows in all")
    return frame.ffill() if options.fill == "hold" else frame.interpolate(method="linear")


def _spans(blank: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First and one past the last of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], blank.astype(int), [0]))))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _trimmed(frame: pd.DataFrame, notes: list[str], file: str) -> pd.DataFrame:
    """The series without blank rows at its beginning and end, which nothing could fill."""
    full = np.flatnonzero(frame.notna().to_numpy().all(axis=1))
    if not full.size:
        raise InvalidInput(
            Problem(f"{file} has no row in which all columns are filled", "name other columns", "column")
        )
    cut = len(frame) - (int(full[-1]) + 1 - int(full[0]))
    if cut:
        notes.append(f"{cut} blank rows at the beginning or end have been cut off")
    return frame.iloc[full[0] : full[-1] + 1]


def _gap_problems(
    spans: Sequence[tuple[int, int]], frame: pd.DataFrame, raw: RawSeries, options: ImportOptions, file: str
) -> Iterator[Problem]:
    remedy = "fill short gaps (`--fill interpolate` or `--fill hold`), or mend the file"
    if options.fill != "none":
        remedy = f"longer than {options.longest_gap_h:g} h: mend the file, or allow longer gaps"
    for first, last in spans[:SHOWN_GAPS]:
        hours = (last - first) * (raw.step / pd.Timedelta("1h"))
        value = f"{last - first} rows ({hours:g} h) from {frame.index[first]:%Y-%m-%dT%H:%MZ}"
        yield Problem(f"{file} has a gap", remedy, "time", value)
    if len(spans) > SHOWN_GAPS:
        yield Problem(f"and {len(spans) - SHOWN_GAPS} more gaps", field="time")


def _minutes(step: pd.Timedelta) -> int:
    return round(step / pd.Timedelta("1min"))


__all__ = ["CleanSeries", "RawSeries", "regularise"]
