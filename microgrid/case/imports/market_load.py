"""Load exports of the market operators, in the layouts they publish.

* ERCOT hourly load by weather zone: the yearly archive ``Native_Load_<year>.xlsx`` (also zipped, or saved as CSV) with
  labels such as ``11/02/2025 02:00 DST`` for the second pass of the doubled hour, and NP6-345-CD with a flag for it.
* PJM Data Miner 2 ``hrl_load_metered``: UTC beginnings beside local ones, one row a load area.
* CAISO OASIS SLD_FCST (system load and forecast): GMT beginnings, one row a TAC area and market run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from microgrid.case.imports.clock import flagged_beginnings, usual_step
from microgrid.case.imports.generic import LOAD
from microgrid.case.imports.market_stamps import caiso_times, dates, pjm_times, whole
from microgrid.case.imports.options import ImportOptions
from microgrid.case.imports.regular import RawSeries
from microgrid.case.imports.table import column_named, line_of, numbers, plain, read_rows
from microgrid.case.imports.workbook import holds_workbook, read_workbook
from microgrid.errors import InvalidInput, Problem
from microgrid.schema.spelling import did_you_mean

CHICAGO = "America/Chicago"
ERCOT_STAMPS = {"hourending", "operday", "dstflag"}
ERCOT_LABEL = r"^\s*(\d{1,2}/\d{1,2}/\d{4})\s+(\d{1,2}):00(?::00)?\s*(DST)?\s*$"
CAISO_ACTUAL, CAISO_RUN = "SYS_FCST_ACT_MW", "ACTUAL"


def ercot_load(path: Path, options: ImportOptions) -> RawSeries:
    """ERCOT load in MW; `options.node` is a weather or load zone, the whole system (ERCOT or TOTAL) when absent."""
    rows = read_workbook(path, {"hourending"}) if holds_workbook(path) else read_rows(path, [("HourEnding",)])
    zones = [str(name) for name in rows.columns if name not in ERCOT_STAMPS]
    zone = plain(options.node) if options.node else column_named(rows, ("ERCOT", "TOTAL"))
    if zone not in zones:
        remedy = did_you_mean(zone, zones) or f"name a zone (--node): {', '.join(zones)}"
        raise InvalidInput(Problem(f"{path.name} has no zone {options.node}", remedy, "node", options.node))
    begin, second_pass = _flagged(rows, path.name) if "operday" in rows else _labelled(rows, path.name)
    times, notes = flagged_beginnings(begin, second_pass, CHICAGO, path.name)
    note = f"ERCOT hourly load of {zone.upper()}, hour-ending labels moved to the beginning"
    load = numbers(rows, zone, path.name)
    return RawSeries(times, {LOAD.name: load}, {LOAD.name: LOAD.unit}, pd.Timedelta("1h"), (note, *notes))


def pjm_load(path: Path, options: ImportOptions) -> RawSeries:
    """PJM metered hourly load of Data Miner 2; `options.node` is a load area."""
    rows = read_rows(path, [("datetime_beginning_utc",), ("mw",)], ("load_area", "area", "zone"), options.node)
    times = pjm_times(rows["datetimebeginningutc"], path.name)
    note = "PJM Data Miner metered load, UTC interval-beginning"
    load = numbers(rows, "mw", path.name)
    return RawSeries(times, {LOAD.name: load}, {LOAD.name: LOAD.unit}, usual_step(times), (note,))


def caiso_load(path: Path, options: ImportOptions) -> RawSeries:
    """CAISO load of OASIS SLD_FCST; `options.node` is a TAC area, `options.column` a data item (actual when absent)."""
    areas = ("TAC_AREA_NAME", "RESOURCE_NAME", "TAC_NAME")
    rows = read_rows(path, [("INTERVALSTARTTIME_GMT", "INTERVAL_START_GMT"), ("MW", "VALUE")], areas, options.node)
    item = column_named(rows, ("XML_DATA_ITEM", "DATA_ITEM"))
    run = column_named(rows, ("MARKET_RUN_ID",))
    wanted = options.column or CAISO_ACTUAL
    if item:
        rows = _only(rows, item, wanted, path.name)
    elif run and not options.column:
        rows = _only(rows, run, CAISO_RUN, path.name)
    times = caiso_times(rows["intervalstarttimegmt"], path.name)
    note = f"CAISO OASIS SLD_FCST {wanted if item else CAISO_RUN}, GMT interval-beginning"
    load = numbers(rows, "mw", path.name)
    return RawSeries(times, {LOAD.name: load}, {LOAD.name: LOAD.unit}, usual_step(times), (note,))


def _flagged(rows: pd.DataFrame, file: str) -> tuple[pd.DatetimeIndex, np.ndarray]:
    """Beginnings and second passes of the daily report: a day, an hour-ending label and a flag."""
    hour = whole(rows["hourending"].str.split(":").str[0], "hour", file)
    begin = dates(rows["operday"], "%m/%d/%Y", file) + pd.to_timedelta(hour - 1, unit="h")
    if "dstflag" not in rows:
        return begin, np.zeros(len(rows), dtype=bool)
    return begin, (rows["dstflag"].str.strip().str.upper() == "Y").to_numpy(dtype=bool)


def _labelled(rows: pd.DataFrame, file: str) -> tuple[pd.DatetimeIndex, np.ndarray]:
    """Beginnings and second passes of the yearly archive, whose labels hold day, hour-ending and DST mark."""
    parts = rows["hourending"].str.extract(ERCOT_LABEL)
    wrong = np.flatnonzero(parts[[0, 1]].isna().any(axis=1).to_numpy())
    if wrong.size:
        row = int(wrong[0])
        value = str(rows["hourending"].iloc[row])
        rule = f"{wrong.size} labels are no hour-ending stamps"
        line = line_of(rows["hourending"], row)
        raise InvalidInput(Problem(rule, "as in 11/02/2025 24:00", "time", value, file, line))
    begin = dates(parts[0], "%m/%d/%Y", file) + pd.to_timedelta(parts[1].astype(int).to_numpy() - 1, unit="h")
    return begin, parts[2].notna().to_numpy(dtype=bool)


def _only(rows: pd.DataFrame, column: str, wanted: str, file: str) -> pd.DataFrame:
    """Rows whose `column` is `wanted`; what the file holds instead is told."""
    kept = rows[rows[column].str.strip() == wanted]
    if kept.empty:
        have = sorted(rows[column].str.strip().unique())
        raise InvalidInput(
            Problem(f"{file} has no rows of {wanted}", f"name one (--column): {', '.join(have)}", "column", wanted)
        )
    return kept


__all__ = ["caiso_load", "ercot_load", "pjm_load"]
