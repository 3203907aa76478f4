"""CSV files of any origin: header names tell what they can, the user states the rest, nothing is guessed.

Names such as ``interval_start_utc``, ``Datetime (he)`` or ``Price ($/kWh)`` state a zone, a convention or a unit. What
neither the header nor the options state is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from microgrid.assets.hashprice import hashprice_usd_per_ph_day, subsidy_on
from microgrid.case.imports.clock import local_beginnings, usual_step
from microgrid.case.imports.options import ImportOptions
from microgrid.case.imports.regular import RawSeries, Values
from microgrid.case.imports.table import headers, line_of, numbers, plain, read_rows
from microgrid.case.imports.weather import with_wet_bulb
from microgrid.case.stamps import OFFSET
from microgrid.case.units import conversion
from microgrid.errors import InvalidInput, Problem
from microgrid.schema.spelling import did_you_mean

TIME_NAMES = r"time|date|timestamp|interval|hour_utc|period"
UNITS_IN_HEADERS: Mapping[str, str] = {
    r"\$/kwh|usd_per_kwh|usd_kwh": "$/kWh",
    r"\$/mwh|usd_per_mwh|usd_mwh": "$/MWh",
    r"\$/mmbtu|usd_per_mmbtu": "$/MMBtu",
    r"\[kw\]|\(kw\)|_kw$": "kW",
    r"\[mw\]|\(mw\)|_mw$": "MW",
    r"\[w\]|\(w\)|_w$": "W",
    r"_c$|degc|\(c\)|celsius": "degC",
    r"_f$|degf|\(f\)|fahrenheit": "degF",
    r"km/?h|kmh": "km/h",
    r"m/s|mps|m_per_s": "m/s",
    r"pct|percent|%": "%",
    r"share|util|rel_": "1",
}


@dataclass(frozen=True)
class Wanted:
    """A column of the result: its name and unit, and what headers of a source look like."""

    name: str
    unit: str
    pattern: str


PRICE = Wanted("price_usd_per_mwh", "$/MWh", r"price|lmp|spp|lbmp|hb_|lz_")
FUEL = Wanted("fuel_price_usd_per_mmbtu", "$/MMBtu", r"price|spot")
LOAD = Wanted("load_mw", "MW", r"load|power|demand|facility|kw|mw")
SHARE = Wanted("load_share", "1", r"load|util|share|rel_|cpu")
WEATHER = (
    Wanted("temperature_c", "degC", r"temp|dry_?bulb"),
    Wanted("wind_speed_m_per_s", "m/s", r"wind.*(speed|spd|mps|m/s|km/?h|mph)"),
    Wanted("relative_humidity_percent", "%", r"^rh|humid"),
)


def csv_prices(path: Path, options: ImportOptions) -> RawSeries:
    """Energy prices in $/MWh from one column."""
    return _columns(path, options, (PRICE,))


def csv_fuel(path: Path, options: ImportOptions) -> RawSeries:
    """Fuel prices in $/MMBtu from one column; without a unit in the header, $/MMBtu must be stated."""
    return _columns(path, options, (FUEL,))


def csv_load(path: Path, options: ImportOptions) -> RawSeries:
    """Load in MW, or as a share where the unit says so."""
    return _columns(path, options, (SHARE if options.unit in {"1", "%", "pu"} else LOAD,))


def csv_weather(path: Path, options: ImportOptions) -> RawSeries:
    """Temperature, wind speed and humidity, those that the file has; stamps mark the beginning unless stated.

    A stated column is the temperature, and the only one read.
    """
    stated = options if options.stamp else options.model_copy(update={"stamp": "beginning"})
    return with_wet_bulb(_columns(path, stated, WEATHER[:1] if options.column else WEATHER))


def csv_bitcoin(path: Path, options: ImportOptions) -> RawSeries:
    """Daily or finer BTC price, and hashprice (subsidy only) where the file has difficulty."""
    table = _table(path, options)
    price = table.named(options.column) if options.column else table.only(r"close|btc.?usd|price")
    stated = options.model_copy(update={"stamp": options.stamp or "beginning", "zone": options.zone or "UTC"})
    times, rows, notes = _times(table, stated)
    columns = {"btc_usd": table.numbers(price)[rows]}
    units = {"btc_usd": "$/BTC"}
    if "difficulty" in table.names:
        difficulty = table.numbers("difficulty")[rows]
        known = np.where(difficulty > 0, difficulty, np.nan)
        worth = hashprice_usd_per_ph_day(columns["btc_usd"], np.nan_to_num(known, nan=1.0), subsidy_on(times))
        columns |= {"difficulty": known, "hashprice_usd_per_ph_day": np.where(np.isnan(known), np.nan, worth)}
        units |= {"difficulty": "1", "hashprice_usd_per_ph_day": "$/PH/day"}
        notes.append("hashprice is of the subsidy alone; fees add 0.5 to 5 % (scale it)")
    return RawSeries(times, columns, units, usual_step(times), tuple(notes), stated.zone)


@dataclass(frozen=True)
class _Table:
    """Rows as text under plain names, and the names as written."""

    path: Path
    frame: pd.DataFrame
    names: dict[str, str]

    def named(self, column: str) -> str:
        """Plain name of a column that the user named."""
        if plain(column) in self.names:
            return plain(column)
        remedy = did_you_mean(column, self.names.values())
        raise InvalidInput(Problem(f"{self.path.name} has no column {column}", remedy, "column", column))

    def fitting(self, pattern: str) -> list[str]:
        """Plain names of the columns whose written name fits, those of stamps left out."""
        return [
            name for name, written in self.names.items()
            if re.search(pattern, written) and not re.search(TIME_NAMES, written)
        ]  # fmt: skip

    def only(self, pattern: str) -> str:
        """The one column that fits; several or none must be told apart by the user."""
        found = self.fitting(pattern)
        if len(found) == 1:
            return found[0]
        written = ", ".join(self.names[name] for name in (found or list(self.names)[:20]))
        rule = f"{self.path.name} has {len(found)} columns that could be meant"
        raise InvalidInput(Problem(rule, f"name one (--column): {written}", "column"))

    def numbers(self, name: str) -> Values:
        """A column as float64."""
        return numbers(self.frame, name, str(self.path))

    def unit(self, name: str, wanted: str) -> str:
        """Unit that the header tells; `InvalidInput` where it tells none."""
        for pattern, unit in UNITS_IN_HEADERS.items():
            if re.search(pattern, self.names[name]):
                return unit
        rule = f"column {self.names[name]} does not tell its unit"
        raise InvalidInput(Problem(rule, f"state it (--unit '{wanted}')", "unit"))


def _table(path: Path, options: ImportOptions) -> _Table:
    names = headers(path)
    nodes = ("service", "node", "hub", "settlement_point", "name") if options.node else ()
    return _Table(path, read_rows(path, [], nodes, options.node), names)


def _columns(path: Path, options: ImportOptions, wanted: tuple[Wanted, ...]) -> RawSeries:
    table = _table(path, options)
    times, rows, notes = _times(table, options)
    columns: dict[str, Values] = {}
    units: dict[str, str] = {}
    for goal in wanted:
        found = _source(table, goal, options, single=len(wanted) == 1)
        if not found:
            continue
        unit = options.unit if len(wanted) == 1 and options.unit else table.unit(found, goal.unit)
        change = conversion(unit, goal.unit)
        columns[goal.name] = table.numbers(found)[rows] * change.factor + change.offset
        units[goal.name] = goal.unit
        notes.append(f"{goal.name} from column {table.names[found]} in {unit}")
    if not columns:
        rule = f"{path.name} has none of {', '.join(goal.name for goal in wanted)}"
        raise InvalidInput(Problem(rule, f"columns: {', '.join(table.names.values())}", "column"))
    return RawSeries(times, columns, units, usual_step(times), tuple(notes), options.zone or "UTC")


def _source(table: _Table, goal: Wanted, options: ImportOptions, *, single: bool) -> str:
    if not single:
        return next(iter(table.fitting(goal.pattern)), "")
    return table.named(options.column) if options.column else table.only(goal.pattern)


def _times(table: _Table, options: ImportOptions) -> tuple[pd.DatetimeIndex, NDArray[np.intp], list[str]]:
    """UTC beginnings, the file row of each, and notes."""
    column = table.named(options.time) if options.time else next(
        (name for name, written in table.names.items() if re.search(TIME_NAMES, written)), ""
    )  # fmt: skip
    if not column and options.start:
        return _counted(table, options)
    if not column:
        remedy = f"name it (--time), or state --start: {', '.join(table.names.values())}"
        raise InvalidInput(Problem(f"{table.path.name} has no column of time stamps", remedy, "time"))
    written = table.names[column]
    ending = _is_ending(written, options, table.path)
    text = table.frame[column].str.strip()
    carried = bool(text.str.contains(OFFSET).all()) and not options.time_format
    times = _parsed(text, options, table.path, carried=carried)
    if carried or written.endswith("utc"):
        utc = times if carried else times.tz_localize("UTC")
        shift = usual_step(utc) if ending else pd.Timedelta(0)
        kind = "carried an offset" if carried else "were UTC by its name"
        note = f"stamps of column {written} {kind}, interval-{'ending' if ending else 'beginning'}"
        return utc - shift, np.arange(len(text), dtype=np.intp), [note]
    if not options.zone:
        remedy = "state the zone (--zone America/Chicago, or UTC)"
        raise InvalidInput(Problem(f"stamps of {table.path.name} carry no offset", remedy, "zone"))
    return local_beginnings(times, options.zone, options, str(table.path), ending=ending)


def _counted(table: _Table, options: ImportOptions) -> tuple[pd.DatetimeIndex, NDArray[np.intp], list[str]]:
    """Rows in step order from a stated beginning."""
    try:
        first = pd.Timestamp(options.start)
    except ValueError as wrong:
        raise InvalidInput(Problem("not an ISO 8601 time", "as in 2025-01-01", "start", options.start)) from wrong
    first = first.tz_localize(options.zone or "UTC") if first.tz is None else first
    count = len(table.frame)
    times = pd.date_range(first.tz_convert("UTC"), periods=count, freq=f"{options.step_min}min")
    return times, np.arange(count, dtype=np.intp), [f"rows counted in steps of {options.step_min} min from {first}"]


def _parsed(text: pd.Series, options: ImportOptions, path: Path, *, carried: bool) -> pd.DatetimeIndex:
    parsed = pd.to_datetime(text, format=options.time_format or "ISO8601", utc=carried, errors="coerce")
    if parsed.isna().any():
        row = int(np.flatnonzero(parsed.isna().to_numpy())[0])
        rule = "stamp does not fit its pattern" if options.time_format else "stamp is not ISO 8601"
        remedy = "state the pattern (--time-format '%m/%d/%Y %H:%M')"
        raise InvalidInput(Problem(rule, remedy, "time", str(text.iloc[row]), str(path), line_of(text, row)))
    return pd.DatetimeIndex(parsed)


def _is_ending(column: str, options: ImportOptions, path: Path) -> bool:
    """Whether stamps end their interval: as stated, else as the header tells, else an error."""
    if options.stamp:
        return options.stamp == "ending"
    if re.search(r"\(he\)|(^|[ _])he($|[ _])|end", column):
        return True
    if re.search(r"start|begin", column) or column in {"date", "day"}:
        return False
    rule = f"{path.name} does not tell whether stamps begin or end their interval"
    raise InvalidInput(Problem(rule, "state it (--stamp beginning or --stamp ending)", "stamp"))


__all__ = ["csv_bitcoin", "csv_fuel", "csv_load", "csv_prices", "csv_weather"]
