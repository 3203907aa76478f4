"""Which formats exist for which kind of series, and the one function that imports them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from microgrid.case.imports.generic import csv_bitcoin, csv_fuel, csv_load, csv_prices, csv_weather
from microgrid.case.imports.load import azure_requests, energyplus_load
from microgrid.case.imports.market_load import caiso_load, ercot_load, pjm_load
from microgrid.case.imports.markets import caiso_prices, ercot_prices, pjm_prices
from microgrid.case.imports.options import ImportOptions
from microgrid.case.imports.reference import refuse_shift
from microgrid.case.imports.regular import CleanSeries, RawSeries, regularise
from microgrid.case.imports.weather import epw_weather
from microgrid.errors import InvalidInput, Problem
from microgrid.schema.spelling import did_you_mean

Reader = Callable[[Path, ImportOptions], RawSeries]

FORMATS: dict[str, dict[str, Reader]] = {
    "prices": {"ercot": ercot_prices, "pjm": pjm_prices, "caiso": caiso_prices, "csv": csv_prices},
    "weather": {"epw": epw_weather, "csv": csv_weather},
    "btc": {"csv": csv_bitcoin},
    "load": {
        "ercot": ercot_load,
        "pjm": pjm_load,
        "caiso": caiso_load,
        "energyplus": energyplus_load,
        "azure": azure_requests,
        "csv": csv_load,
    },
    "fuel": {"csv": csv_fuel},
}
"""Readers by kind of series and format."""


def formats_of(kind: str) -> tuple[str, ...]:
    """Formats of a kind of series; `InvalidInput` for an unknown kind."""
    if kind not in FORMATS:
        raise InvalidInput(Problem("unknown kind of series", did_you_mean(kind, FORMATS), "kind", kind))
    return tuple(FORMATS[kind])


def import_series(
    kind: str,
    file: Path,
    file_format: str,
    options: ImportOptions | None = None,
    reference: CleanSeries | None = None,
) -> CleanSeries:
    """Read a file (or a folder of CSV files) of a known format into a regular UTC series with notes.

    With a `reference` (a trusted series of the same kind of quantity) the two are compared by lag, and a shift in time
    is refused.

    Raises:
        InvalidInput: unknown kind or format, an unreadable file, a statement that only the user can make, gaps that
            may not be filled, or a shift against the reference.
    """
    if file_format not in formats_of(kind):
        raise InvalidInput(
            Problem(f"unknown format of {kind}", did_you_mean(file_format, FORMATS[kind]), "format", file_format)
        )
    stated = options or ImportOptions()
    clean = regularise(FORMATS[kind][file_format](file, stated), stated, file.name)
    notes = (f"imported from {file.name} as {kind}, format {file_format}", *clean.notes)
    if reference is not None:
        notes += refuse_shift(clean, reference, file.name)
    return replace(clean, notes=notes)


__all__ = ["FORMATS", "Reader", "formats_of", "import_series"]
