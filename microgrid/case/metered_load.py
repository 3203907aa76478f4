"""A file of metered power as what a tariff bills: import, export, reactive power, and the tariff's own series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from microgrid.case.imports import CleanSeries, ImportOptions, import_series
from microgrid.case.timeseries import read_series
from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared, quantity
from microgrid.tariffs.axis import NAIVE
from microgrid.tariffs.model import SeriesRef, Tariff
from microgrid.tariffs.reading import MeterData

KW_PER_MW = 1000.0
REACTIVE = {"kvar": "kW", "mvar": "MW"}
"""Reactive power is read as power of the same prefix."""


class MeterStatement(Declared):
    """What a user says about a file of metered power that the file does not say itself.

    Either the meter registers both directions (`export_column`), or load and generation are known apart
    (`generation_column`) and the meter sees their difference.
    """

    column: str = Field("", description="column of the import, or of the load behind the meter")
    export_column: str = Field("", description="column of the export")
    generation_column: str = Field("", description="column of the generation behind the meter")
    reactive_column: str = Field("", description="column of the reactive power, in the unit of the load (kvar for kW)")
    power_factor: float | None = quantity("1", "power factor of the import", default=None, gt=0, le=1)
    reading: ImportOptions = Field(default_factory=ImportOptions, description="time stamps, zone, unit and gaps")


@dataclass(frozen=True)
class MeteredLoad:
    """Meter data on the tariff's clock, and a note of everything that reading the file changed."""

    data: MeterData
    notes: tuple[str, ...]


def read_metered_load(
    path: Path,
    tariff: Tariff,
    statement: MeterStatement,
    *,
    folder: Path = Path(),
    series: Mapping[str, SeriesRef] | None = None,
) -> MeteredLoad:
    """Read a CSV of metered power for a tariff.

    Stamps without offset are on the tariff's clock unless the statement names a zone. Files of the tariff's own series
    are relative to `folder`; those of `series`, by key, stand in their place and are relative to the working folder.

    Raises:
        InvalidInput: columns, gaps, units or stamps that cannot be told, or a series whose file is not given.
    """
    if statement.export_column and statement.generation_column:
        rule = "both an export and a generation column are named"
        raise InvalidInput(Problem(rule, "name the one that the file holds", "--generation-column"))
    load = _column(path, tariff, statement, statement.column)
    power = _kilo(load)
    others = {
        name: _kilo(_same_rows(path, load, _column(path, tariff, statement, column)))
        for name in ("export", "generation", "reactive")
        if (column := getattr(statement, f"{name}_column"))
    }
    given = _tariff_series(tariff, load, folder, series or {})
    return MeteredLoad(_metered(tariff, statement, load, power, others, given), load.notes)


def _metered(
    tariff: Tariff,
    statement: MeterStatement,
    load: CleanSeries,
    power: np.ndarray,
    others: Mapping[str, np.ndarray],
    series: Mapping[str, np.ndarray],
) -> MeterData:
    """Meter data on the tariff's clock."""
    times = load.times
    if tariff.timezone == NAIVE:
        times = times.tz_convert(statement.reading.zone or "UTC").tz_localize(None)
    if "export" in others:
        data = MeterData(times, load.step_min, power, others["export"], series=series)
    else:
        data = MeterData.from_load(times, load.step_min, power, generation_kw=others.get("generation"), series=series)
    if "reactive" in others:
        return data.with_values(kvar=others["reactive"], kva=np.hypot(data.import_kw, others["reactive"]))
    return data if statement.power_factor is None else data.at_power_factor(statement.power_factor)


def _column(path: Path, tariff: Tariff, statement: MeterStatement, column: str) -> CleanSeries:
    zone = statement.reading.zone or ("UTC" if tariff.timezone == NAIVE else tariff.timezone)
    unit = statement.reading.unit
    if not unit and column == statement.reactive_column:
        unit = next((power for word, power in REACTIVE.items() if word in column.casefold()), "")
    options = statement.reading.model_copy(update={"column": column, "zone": zone, "unit": unit})
    return import_series("load", path, "csv", options)


def _kilo(series: CleanSeries) -> np.ndarray:
    return next(iter(series.columns.values())) * KW_PER_MW


def _same_rows(path: Path, load: CleanSeries, other: CleanSeries) -> CleanSeries:
    """Columns of one file may differ in blanks at their ends; then they cannot be billed together."""
    if not load.times.equals(other.times):
        rule = f"columns of {path.name} do not cover the same intervals"
        raise InvalidInput(Problem(rule, "fill the blanks at the beginning or end", "column"))
    return other


def _tariff_series(
    tariff: Tariff, load: CleanSeries, folder: Path, series: Mapping[str, SeriesRef]
) -> dict[str, np.ndarray]:
    """The tariff's series at the intervals of the load, in the units that the tariff states."""
    zone = "UTC" if tariff.timezone == NAIVE else tariff.timezone
    horizon = Horizon(pd.Timestamp(load.times[0]), load.step_min, len(load.times), zone)
    found, problems = {}, []
    for key, reference in {**tariff.series, **series}.items():
        column = reference.as_series()
        if column is None and reference.optional:
            continue
        if column is None:
            problems.append(
                Problem("series of the tariff is not given", f"name its file: --series {key}=FILE:COLUMN", key)
            )
            continue
        base = Path() if key in series else folder
        try:
            found[key] = read_series(column, base=base, horizon=horizon, unit=reference.unit)
        except InvalidInput as broken:
            problems += broken.problems
    if problems:
        raise InvalidInput(problems)
    return found


__all__ = ["MeterStatement", "MeteredLoad", "read_metered_load"]
