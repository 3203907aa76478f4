"""What flexible load is worth: seven published figures recomputed with the project's own parts.

A notebook in plain Python: each ``# %%`` is a cell, and every cell ends in rows of the table that `main` prints. The
series are not shipped; `folder` must hold the three files that `read_series` names.

Convention, the same for every figure: 1 MW at the meter, so 0.952 MW of machines at PUE 1.05; pool fee 2 %; hashprice
from daily BTC price and difficulty, subsidy only (fees were 0.5 to 5 % more); energy at the HB_WEST real-time price;
machines always in working order.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from microgrid.assets.bitcoin_mining import BitcoinMining
from microgrid.assets.catalogue import asic_model
from microgrid.assets.hashprice import revenue_usd_per_mwh
from microgrid.assets.poi import Poi
from microgrid.assets.programs.coincident_peak import CoincidentPeak
from microgrid.assets.programs.peak_rule import SATURDAY
from microgrid.assets.programs.peak_signal import day_ahead_calls, perfect_foresight
from microgrid.assets.programs.wholesale_energy import WholesaleEnergy
from microgrid.dispatch.build import build
from microgrid.dispatch.compile import compile_program
from microgrid.dispatch.solve import solve
from microgrid.formulation.block import Campus
from microgrid.formulation.evaluate import Reading, ValueBlock
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared

ZONE = "America/Chicago"
PUE = 1.05
MACHINES_MW = 1.0 / PUE
POOL_FEE = 0.02
EFFICIENT, OLD = "Antminer S21", "Antminer S19 Pro"


@dataclass(frozen=True)
class Figure:
    """A published figure, what the project computes, and how far apart they may be (relative)."""

    name: str
    unit: str
    published: float
    computed: float
    tolerance: float
    source: str

    @property
    def deviation(self) -> float:
        """Relative deviation from the published figure."""
        return self.computed / self.published - 1.0

    @property
    def holds(self) -> bool:
        """True when the deviation is within tolerance."""
        return abs(self.deviation) <= self.tolerance


@dataclass(frozen=True)
class Series:
    """Hourly inputs, indexed by UTC beginnings of hours."""

    price_usd_per_mwh: pd.Series
    load_mw: pd.Series
    forecast_mw: pd.Series
    hashprice_usd_per_ph_day: pd.Series


# %% Inputs


def read_series(folder: Path) -> Series:
    """Read price, system load, day-ahead forecast and hashprice; the daily hashprice holds for its UTC day."""
    west = _table(folder / "ercot_hb_west_rt_hourly_midland_2023_2026.csv", "interval_start_utc")
    hub = _table(folder / "ercot_hb_hubavg_rt15_da60_2024_2025.csv", "interval_start_utc")
    bitcoin = _table(folder / "btc_daily_price_difficulty_2021_2026.csv", "date")
    daily = bitcoin["subsidy_hashprice_usd_ph_day"]
    hashprice = daily.reindex(west.index.floor("D")).set_axis(west.index)
    return Series(
        west["hb_west_rt_lmp_usd_mwh"], west["ercot_load_mw"], hub["da_load_fcst_mw"].resample("h").mean(), hashprice
    )


def _table(file: Path, stamp: str) -> pd.DataFrame:
    frame = pd.read_csv(file)
    frame.index = pd.DatetimeIndex(pd.to_datetime(frame[stamp], utc=True))
    return frame


# %% The campus: one megawatt behind a meter


def campus(model: str) -> dict[str, Declared]:
    """Meter, machines of one model that draw 1 MW there, and energy at spot."""
    return {
        "poi": Poi(bus="POI", import_limit_mw=2.0),
        "mine": BitcoinMining(
            bus="MINE",
            hashprice_usd_per_ph_day=0.0,
            pool_fee=POOL_FEE,
            tiers={"machines": {"model": model, "power_mw": MACHINES_MW, "pue": PUE}},
        ),
        "energy": WholesaleEnergy(poi="poi", spot_usd_per_mwh=0.0),
    }


def year_inputs(series: Series, year: int) -> tuple[Horizon, dict[str, np.ndarray]]:
    """Local calendar year of hours, with price and hashprice under the names of their fields."""
    local = pd.DatetimeIndex(series.price_usd_per_mwh.index).tz_convert(ZONE)
    inside = local.year == year
    times = pd.DatetimeIndex(series.price_usd_per_mwh.index)[inside]
    horizon = Horizon(times[0], 60, len(times), ZONE)
    return horizon, {
        "energy.spot_usd_per_mwh": series.price_usd_per_mwh[inside].to_numpy(),
        "mine.hashprice_usd_per_ph_day": series.hashprice_usd_per_ph_day[inside].to_numpy(),
    }


def income_usd(
    parts: Mapping[str, Declared], horizon: Horizon, inputs: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]
) -> float:
    """Income less cost of a given dispatch, recomputed from the parts' own pages."""
    shared = Campus()
    reading = Reading()
    for name, part in parts.items():
        ValueBlock(name, part, horizon, inputs, shared).read(values, reading)
    shared.close()
    return -sum(float(amounts.sum()) for amounts in reading.costs.values())


# %% Figures 1 to 4: price response of an efficient and an old machine in two years


def price_response(series: Series, model: str, year: int) -> tuple[float, float]:
    """Value of curtailing by price, and income with it, both in $ per MW-year.

    The value is the optimal dispatch's income less that of the same fleet running in every hour.
    """
    parts = campus(model)
    horizon, inputs = year_inputs(series, year)
    program = compile_program(build(parts, horizon, inputs))
    best = -solve(program, gap=1e-6).objective
    on = np.ones(horizon.count)
    always = income_usd(parts, horizon, inputs, {"mine.machines.power_mw": MACHINES_MW * on, "poi.import_mw": on})
    return best - always, best


def price_response_figures(series: Series) -> list[Figure]:
    """Figures 1 to 4, and the income they belong to."""
    published = {
        (EFFICIENT, 2024): (30.0, 0.98), (EFFICIENT, 2025): (18.0, 0.71),
        (OLD, 2024): (42.0, None), (OLD, 2025): (38.0, None),
    }  # fmt: skip
    found = []
    for (model, year), (value, income) in published.items():
        response, best = price_response(series, model, year)
        found.append(Figure(f"price response {model} {year}", "k$/MW-yr", value, response / 1e3, 0.05, "loads.md 0.2"))
        if income is not None:
            found.append(Figure(f"net income {model} {year}", "M$/MW-yr", income, best / 1e6, 0.02, "loads.md 2.5"))
    return found


# %% Figure 5: revenue of a megawatt-hour at a stated hashprice


def revenue_figures() -> list[Figure]:
    """Hashrate Index of 2026-01-12: at 39.53 $/PH/day fleets of about 17, 22 and 32 J/TH earn 97, 75 and 51 $/MWh."""
    published = {17.0: 97.0, 22.0: 75.0, 32.0: 51.0}
    found = [
        Figure(
            f"revenue at 39.53 $/PH/day, {efficiency:g} J/TH", "$/MWh", value,
            float(revenue_usd_per_mwh(39.53, efficiency)), 0.01, "hashrateindex.com roundup 2026-01-12",
        )
        for efficiency, value in published.items()
    ]  # fmt: skip
    s21 = float(revenue_usd_per_mwh(40.0, asic_model(EFFICIENT).efficiency_j_per_th))
    return [*found, Figure("break-even S21 at 40 $/PH/day", "$/MWh", 95.2, s21, 0.001, "loads.md 1.5")]


# %% Figure 6: what an avoided peak is worth per curtailed megawatt-hour


def peak_value_usd_per_mwh(rule: str, rate_usd_per_kw_year: float, hours_per_group: int) -> float:
    """Largest margin at which load is still worth dropping, when a group's peaks lie among `hours_per_group` hours.

    Read from the program's own page: 1 MW imported in the called hours of one group, all equally likely. Where peaks
    fall on different days, the hours called are the afternoons in which they are expected, on days that count.
    """
    program = CoincidentPeak(poi="poi", rule=rule, rate_usd_per_kw_year=rate_usd_per_kw_year, blend=0.0)
    whole_season = program.terms().per == "season"
    days = 122 if whole_season else 31
    start = "2025-06-01" if whole_season else "2025-07-01"
    horizon = Horizon(pd.Timestamp(start, tz=ZONE).tz_convert("UTC"), 60, 24 * days, ZONE)
    called = np.zeros(horizon.count)
    likely = np.ones(horizon.count, dtype=bool)
    if program.terms().distinct_days:
        likely = np.isin(horizon.local.hour, program.terms().candidate_hours) & (horizon.local.dayofweek < SATURDAY)
    called[np.flatnonzero(likely)[:hours_per_group]] = 1.0
    parts = {"poi": Poi(bus="POI", import_limit_mw=1.0), "peak": program}
    paid = -income_usd(parts, horizon, {"peak.signal": called}, {"poi.import_mw": called})
    return paid / hours_per_group


def peak_value_figures() -> list[Figure]:
    """65 $/kW-yr under four or twelve peaks, 40 or 60 hours a month; PJM's 121.7 $/kW-yr in 80 hours of the season."""
    stated = [
        ("ercot_4cp", 65.0, 40, 406.0), ("ercot_4cp", 65.0, 60, 271.0), ("texas_12cp_proposal", 65.0, 40, 135.0),
        ("texas_12cp_proposal", 65.0, 60, 90.0), ("pjm_5cp", 121.7, 80, 1521.0),
    ]  # fmt: skip
    return [
        Figure(
            f"avoided peak {rule}, {hours} h",
            "$/MWh",
            value,
            peak_value_usd_per_mwh(rule, rate, hours),
            0.005,
            "loads.md 3.1",
        )
        for rule, rate, hours, value in stated
    ]  # fmt: skip


# %% Figure 7: a caller that does not look ahead


def caller_figures(series: Series) -> list[Figure]:
    """Hours called, peaks hit and margin forgone by the day-ahead caller in 2024 and 2025.

    Calls 15 to 19 h when the day-ahead forecast reaches 97 % of the month's highest load so far; September starts from
    94 % of August, which is tuned on these two years. Peaks are the highest operational hours, not settlement peaks.
    """
    calls = day_ahead_calls(series.forecast_mw, series.load_mw, ZONE, floors={9: 0.94})
    peaks = perfect_foresight(series.load_mw, ZONE)
    found = []
    for year, hours, margin_kusd in ((2024, 204.0, 14.0), (2025, 296.0, 27.2)):
        horizon, inputs = year_inputs(series, year)
        parts = campus(EFFICIENT)
        called = calls.reindex(horizon.times, fill_value=False).to_numpy(dtype=bool)
        hit = (peaks.reindex(horizon.times).to_numpy() * called).sum()
        forgone = _margin_in(parts, horizon, inputs, called)
        found += [
            Figure(f"hours called {year}", "h", hours, float(called.sum()), 0.05, "loads.md 3.1"),
            Figure(f"monthly peaks hit {year}", "1", 4.0, float(hit), 0.0, "loads.md 3.1"),
            Figure(f"S21 margin forgone {year}", "k$/MW", margin_kusd, forgone / 1e3, 0.05, "loads.md 3.1"),
        ]
    return found


def _margin_in(
    parts: Mapping[str, Declared], horizon: Horizon, inputs: Mapping[str, np.ndarray], called: np.ndarray
) -> float:
    """Income of running in the called hours that would have paid, $ per MW."""
    total = 0.0
    for hour in np.flatnonzero(called):
        at = Horizon(horizon.times[int(hour)], 60, 1, ZONE)
        now = {name: column[hour : hour + 1] for name, column in inputs.items()}
        values = {"mine.machines.power_mw": np.full(1, MACHINES_MW), "poi.import_mw": np.ones(1)}
        total += max(0.0, income_usd(parts, at, now, values))
    return total


# %% All of it


def figures(folder: Path) -> list[Figure]:
    """Every figure of the study."""
    series = read_series(folder)
    return [*price_response_figures(series), *revenue_figures(), *peak_value_figures(), *caller_figures(series)]


def main(folder: str) -> None:
    """Print published against computed."""
    for figure in figures(Path(folder)):
        mark = "holds" if figure.holds else "MISSES"
        print(
            f"{figure.name:44s} {figure.published:9.4g} {figure.computed:9.4g} {figure.unit:9s} "
            f"{figure.deviation:+7.2%} of {figure.tolerance:.1%} {mark}"
        )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/inputs")
