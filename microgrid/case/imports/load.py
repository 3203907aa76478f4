"""Loads from simulation meters and from request logs.

* EnergyPlus meter output: `` 01/01  24:00:00`` hour-ending stamps without a year, in kW, W or J.
* Request traces of the Azure LLM inference data sets: one row a request, counted into intervals.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from microgrid.case.imports.clock import local_beginnings, usual_step
from microgrid.case.imports.generic import LOAD
from microgrid.case.imports.options import ImportOptions
from microgrid.case.imports.regular import RawSeries
from microgrid.case.imports.table import headers, line_of, numbers, plain, read_rows
from microgrid.case.units import conversion
from microgrid.errors import InvalidInput, Problem

JOULE_PER_MWH = 3.6e9


def energyplus_load(path: Path, options: ImportOptions) -> RawSeries:
    """Meter of an EnergyPlus run in MW; `year` and `zone` must be stated, standard time is assumed unless stated."""
    missing = [name for name in ("year", "zone") if not getattr(options, name)]
    if missing:
        raise InvalidInput(
            [Problem(f"EnergyPlus stamps hold no {name}", f"state it (--{name})", name) for name in missing]
        )
    names = headers(path)
    rows = read_rows(path, [("Date/Time",)])
    others = [name for name in names if name != plain("Date/Time")]
    column = plain(options.column) if options.column else others[0] if len(others) == 1 else ""
    if column not in names:
        raise InvalidInput(
            Problem(f"{path.name} has {len(others)} meters", f"name one: {', '.join(names.values())}", "column")
        )
    ends = _ends(rows[plain("Date/Time")], options.year, path)
    stated = options if options.clock != "strict" else options.model_copy(update={"clock": "standard"})
    times, kept, notes = local_beginnings(ends, options.zone, stated, str(path), ending=True)
    step = usual_step(times)
    power = numbers(rows, column, str(path))[kept] * _megawatts(names[column], options, step)
    note = f"EnergyPlus meter {names[column]} on the year {options.year}"
    return RawSeries(times, {LOAD.name: power}, {LOAD.name: LOAD.unit}, step, (note, *notes))


def azure_requests(path: Path, options: ImportOptions) -> RawSeries:
    """Requests and tokens per interval of `step_min` from a trace of requests; only whole intervals are kept."""
    rows = read_rows(path, [("TIMESTAMP",), ("ContextTokens",), ("GeneratedTokens",)])
    zone = options.zone or "UTC"
    parsed = pd.to_datetime(rows["timestamp"], format="ISO8601", errors="coerce")
    if parsed.isna().any():
        row = int(np.flatnonzero(parsed.isna().to_numpy())[0])
        text = str(rows["timestamp"].iloc[row])
        raise InvalidInput(
            Problem("stamp is not ISO 8601", "check the row", "time", text, str(path), line_of(parsed, row))
        )
    times = pd.DatetimeIndex(parsed)
    times = times.tz_localize(zone, ambiguous=True) if times.tz is None else times
    step = pd.Timedelta(minutes=options.step_min)
    place = times.tz_convert("UTC").floor(step)
    first, last = times.min().tz_convert("UTC").ceil(step), times.max().tz_convert("UTC").floor(step)
    grid = pd.date_range(first, last, freq=step, inclusive="left")
    if not len(grid):
        remedy = "state a shorter step (--step-min 5)"
        raise InvalidInput(
            Problem(f"{path.name} holds no whole interval of {options.step_min} min", remedy, "step_min")
        )
    seconds = step / pd.Timedelta("1s")
    per_step = pd.DataFrame(
        {
            "requests_per_min": 60.0 / seconds,
            "context_tokens_per_s": numbers(rows, "contexttokens", str(path)) / seconds,
            "generated_tokens_per_s": numbers(rows, "generatedtokens", str(path)) / seconds,
        },
        index=place,
    )
    counted = per_step.groupby(level=0).sum().reindex(grid, fill_value=0.0)
    note = f"{len(rows)} requests counted into steps of {options.step_min} min; stamps taken as {zone}"
    columns = {str(name): counted[name].to_numpy(dtype=np.float64) for name in counted.columns}
    units = {"requests_per_min": "1/min", "context_tokens_per_s": "1/s", "generated_tokens_per_s": "1/s"}
    return RawSeries(grid, columns, units, step, (note, "parts of intervals at both ends have been left out"))


def _ends(text: pd.Series, year: int, path: Path) -> pd.DatetimeIndex:
    """Interval ends; 24:00 is midnight of the next day."""
    parts = text.str.extract(r"^\s*(\d{1,2})/(\d{1,2})\s+(\d{1,2}):(\d{2})(?::\d{2})?\s*$")
    wrong = np.flatnonzero(parts.isna().any(axis=1).to_numpy())
    if wrong.size:
        row = int(wrong[0])
        value = str(text.iloc[row])
        raise InvalidInput(
            Problem("not an EnergyPlus stamp", "as in 01/31  24:00:00", "time", value, str(path), line_of(text, row))
        )
    month, day, hour, minute = (parts[place].astype(int) for place in range(4))
    days = pd.to_datetime(pd.DataFrame({"year": year, "month": month, "day": day}))
    return pd.DatetimeIndex(days + pd.to_timedelta(hour * 60 + minute, unit="min"))


def _megawatts(header: str, options: ImportOptions, step: pd.Timedelta) -> float:
    """MW for one unit of the column; joules of a step become mean power."""
    found = re.search(r"\[(kw|w|j|mw)\]", header)
    unit = options.unit or {"kw": "kW", "w": "W", "j": "J", "mw": "MW"}.get(found.group(1) if found else "", "")
    if unit == "J":
        return 1.0 / (JOULE_PER_MWH * (step / pd.Timedelta("1h")))
    if not unit:
        raise InvalidInput(Problem(f"column {header} does not tell its unit", "state it (--unit kW)", "unit"))
    return conversion(unit, LOAD.unit).factor


__all__ = ["azure_requests", "energyplus_load"]
