"""Write the series of the shipped cases from a seed: ``python -m cases.generator [case …]``.

The files in this folder are what this module writes; a test regenerates them and compares bytes. Figures behind them
are in `calibration/*.csv`, each row with its source.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .climate import DALLAS, NORTHERN_VIRGINIA, Site, weather
from .markets import energy_price, facility_load, hashprice, inference_request_share
from .programs import interruption_calls, non_firm_share, peak_likelihood, reserve_prices

DECIMALS = {
    "price_usd_per_mwh": 2,
    "temperature_c": 1,
    "pv_capacity_factor": 3,
    "wind_capacity_factor": 3,
    "hashprice_usd_per_ph_day": 2,
    "inference_request_share": 3,
    "facility_mw": 2,
    "peak_likelihood": 4,
    "non_firm_share": 0,
    "interruption_call": 0,
}


@dataclass(frozen=True)
class Recipe:
    """What a case's series cover: site, year drawn, window cut from it, step, and market (empty: no grid)."""

    site: Site
    year: int
    step_min: int
    seed: int
    market: str = ""
    start: str = ""
    end: str = ""
    facility_peak_mw: float = 10.0
    programs: bool = False
    """Only what programs are paid by and called on, drawn from the price and weather of the same seed."""


RECIPES = {
    "quickstart": Recipe(DALLAS, 2025, 60, seed=11, market="ercot_hub", start="2025-07-15", end="2025-07-16"),
    "ercot_hybrid_campus": Recipe(DALLAS, 2025, 60, seed=11, market="ercot_hub"),
    "ercot_all_programs": Recipe(DALLAS, 2025, 60, seed=11, market="ercot_hub", programs=True),
    "pjm_ai_campus": Recipe(NORTHERN_VIRGINIA, 2025, 60, seed=12, market="pjm_dom"),
    "island_week": Recipe(DALLAS, 2025, 15, seed=13, start="2025-08-04", end="2025-08-11"),
}


def series(recipe: Recipe) -> pd.DataFrame:
    """Series of a recipe, rounded, indexed by UTC interval-beginning `time`; the local year is drawn, then cut."""
    first, last = f"{recipe.year}-01-01", f"{recipe.year + 1}-01-01"
    times = _local_range(recipe, first, last)
    # Each series has its own stream, so that changing one leaves the others as they are.
    seeds = [recipe.seed * 100 + place for place in range(6)]
    air = weather(recipe.site, times, recipe.step_min, seeds[0])
    columns = {
        "temperature_c": air.temperature_c,
        "pv_capacity_factor": air.solar_capacity_factor,
        "wind_capacity_factor": air.wind_capacity_factor,
        "hashprice_usd_per_ph_day": hashprice(times, seeds[1]),
        "inference_request_share": inference_request_share(times, recipe.step_min, seeds[2]),
        "facility_mw": facility_load(recipe.site, air, recipe.step_min, seeds[3], recipe.facility_peak_mw),
    }
    if recipe.market:
        price = energy_price(recipe.market, recipe.site, air, recipe.step_min, seeds[4])
        columns = {"price_usd_per_mwh": price, **columns}
    if recipe.programs:
        columns = {
            **reserve_prices(price, recipe.step_min, seeds[5]),
            "peak_likelihood": peak_likelihood(recipe.site, air),
            "non_firm_share": non_firm_share(recipe.site, air),
            "interruption_call": interruption_calls(price, recipe.step_min),
        }
    frame = pd.DataFrame(columns, index=pd.Index(times, name="time"))
    window = _local_range(recipe, recipe.start or first, recipe.end or last)
    # Adding zero turns a rounded -0.00 into 0.00.
    return frame.loc[window].round({name: _decimals(name) for name in frame}) + 0.0


def write(case_folder: Path, seed: int | None = None) -> Path:
    """Write `series.csv` of the case named like its folder; another `seed` gives another draw of the same climate."""
    recipe = RECIPES[case_folder.name]
    if seed is not None:
        recipe = Recipe(**{**recipe.__dict__, "seed": seed})
    frame = series(recipe)
    columns = {name: frame[name].map(f"{{:.{_decimals(name)}f}}".format) for name in frame.columns}
    stamps = pd.DatetimeIndex(frame.index).strftime("%Y-%m-%dT%H:%MZ")
    lines = pd.DataFrame(columns, index=pd.Index(stamps, name="time"))
    path = case_folder / "series.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines.to_csv(path, lineterminator="\n")
    return path


def _decimals(column: str) -> int:
    return DECIMALS["price_usd_per_mwh"] if column.endswith("usd_per_mwh") else DECIMALS[column]


def _local_range(recipe: Recipe, start: str, end: str) -> pd.DatetimeIndex:
    """UTC beginnings of the steps from local midnight of `start` up to local midnight of `end`."""
    zone = recipe.site.zone
    edges = pd.Timestamp(start, tz=zone).tz_convert("UTC"), pd.Timestamp(end, tz=zone).tz_convert("UTC")
    return pd.date_range(edges[0], edges[1], freq=f"{recipe.step_min}min", inclusive="left")


def main(names: list[str]) -> None:
    """Write the named cases, or all."""
    for name in names or list(RECIPES):
        path = write(Path(__file__).parent / name)
        print(f"{path} {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
