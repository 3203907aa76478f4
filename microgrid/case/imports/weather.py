"""EnergyPlus weather files (EPW): a typical year laid onto a calendar year.

Layout: eight header lines, then 8,760 rows; hours 1 to 24 end their interval in local standard time (EnergyPlus
Auxiliary Programs, "EPW CSV Format").
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from microgrid.assets.wet_bulb import wet_bulb_c
from microgrid.case.imports.options import ImportOptions
from microgrid.case.imports.regular import RawSeries
from microgrid.errors import InvalidInput, Problem

HEADER_LINES = 8
ZONE_FIELD = 8
DATE_FIELDS = (1, 2, 3)
COLUMNS: dict[str, tuple[int, str, float]] = {
    "temperature_c": (6, "degC", 99.9),
    "dew_point_c": (7, "degC", 99.9),
    "relative_humidity_percent": (8, "%", 999.0),
    "pressure_pa": (9, "Pa", 999_999.0),
    "ghi_w_per_m2": (13, "W/m2", 9999.0),
    "dni_w_per_m2": (14, "W/m2", 9999.0),
    "dhi_w_per_m2": (15, "W/m2", 9999.0),
    "wind_speed_m_per_s": (21, "m/s", 999.0),
}
"""Column, its place in a row, its unit, and the value that means "missing"."""


def epw_weather(path: Path, options: ImportOptions) -> RawSeries:
    """Weather of an EPW file on the hours of `options.year`; 29 February repeats 28 February."""
    if not options.year:
        raise InvalidInput(Problem("an EPW file holds a typical year", "state the calendar year (--year 2025)", "year"))
    offset_h, rows = _parsed(path)
    fields = rows.to_numpy(dtype=np.float64)
    month, day, hour = (fields[:, place].astype(int) for place in DATE_FIELDS)
    notes = [f"typical year laid onto {options.year}; stamps were hour-ending in standard time (UTC{offset_h:+g} h)"]
    order = np.arange(len(fields))
    leap = (month == 2) & (day == 28)
    if pd.Timestamp(options.year, 1, 1).is_leap_year and not ((month == 2) & (day == 29)).any():
        at = int(np.flatnonzero(leap)[-1]) + 1
        order = np.concatenate([order[:at], np.flatnonzero(leap), order[at:]])
        day = np.concatenate([day[:at], np.full(int(leap.sum()), 29), day[at:]])
        notes.append("29 February repeats 28 February")
    else:
        day = day[order]
    parts = {"year": options.year, "month": month[order], "day": day}
    begin = pd.DatetimeIndex(pd.to_datetime(pd.DataFrame(parts))) + pd.to_timedelta(hour[order] - 1, unit="h")
    columns, units = {}, {}
    for name, (place, unit, missing) in COLUMNS.items():
        values = fields[order, place]
        if (values < missing).any():
            columns[name], units[name] = np.where(values >= missing, np.nan, values), unit
        else:
            notes.append(f"{name} is missing throughout and has been left out")
    times = (begin - pd.Timedelta(hours=offset_h)).tz_localize("UTC")
    return with_wet_bulb(RawSeries(times, columns, units, pd.Timedelta("1h"), tuple(notes)))


def with_wet_bulb(weather: RawSeries) -> RawSeries:
    """Add the wet-bulb temperature where a file has temperature and humidity."""
    if not {"temperature_c", "relative_humidity_percent"} <= weather.columns.keys():
        return weather
    wet = wet_bulb_c(weather.columns["temperature_c"], weather.columns["relative_humidity_percent"])
    note = "wet_bulb_c follows from temperature and humidity at sea level (Stull 2011)"
    return replace(
        weather, columns={**weather.columns, "wet_bulb_c": wet}, units={**weather.units, "wet_bulb_c": "degC"},
        notes=(*weather.notes, note),
    )  # fmt: skip


def _parsed(path: Path) -> tuple[float, pd.DataFrame]:
    """Hours east of Greenwich, and the data rows by place."""
    if not path.is_file():
        raise InvalidInput(Problem(f"file {path} does not exist", "check the path", "file", path.name))
    with path.open(encoding="latin-1") as stream:
        location = stream.readline(10_000).strip().split(",")
    if location[0] != "LOCATION":
        rule = f"{path.name} is not an EPW file: it does not begin with LOCATION"
        raise InvalidInput(Problem(rule, "give an EnergyPlus weather file", "file", path.name))
    try:
        offset_h = float(location[ZONE_FIELD])
        places = [*DATE_FIELDS, *(place for place, _, _ in COLUMNS.values())]
        rows = pd.read_csv(path, skiprows=HEADER_LINES, header=None, encoding="latin-1", usecols=places)
        rows = rows.reindex(columns=range(max(places) + 1)).astype(np.float64)
    except (ValueError, IndexError, pd.errors.ParserError, pd.errors.EmptyDataError) as broken:
        rule = f"{path.name} is not a readable EPW file ({broken})"
        raise InvalidInput(Problem(rule, "give an EnergyPlus weather file", "file", path.name)) from broken
    if len(rows) not in {8760, 8784}:
        raise InvalidInput(Problem(f"{path.name} has {len(rows)} hours", "a year has 8760", "file", path.name))
    return offset_h, rows


__all__ = ["COLUMNS", "epw_weather", "with_wet_bulb"]
