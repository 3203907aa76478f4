"""The year cases solve on real series by path: ERCOT and PJM prices, Dallas and Philadelphia weather."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from microgrid.case.load import load_case
from microgrid.study.solve import solve_case

pytestmark = pytest.mark.slow


def price(file: Path, column: str) -> str:
    """Override that lets the retail tariff settle on a real price file."""
    reference = f"{{csv: {file}, column: {column}, unit: $/MWh, time: interval_start_utc, zone: UTC}}"
    return f"tariffs.retail.tariff.series.rt={reference}"


def on_real_series(name: str, *overrides: str) -> None:
    found = solve_case(load_case(name, overrides))
    assert all(row["holds"] for row in found.summary["certificates"])
    assert found.summary["proof"]["gap"] <= 1e-3
    assert found.summary["network"]["divergent"] == 0


def test_the_year_case_solves_on_real_west_hub_prices_and_dallas_weather(shared: Callable[[str], Path]) -> None:
    west = shared("data/inputs/ercot_hb_west_rt_hourly_midland_2023_2026.csv")
    weather = shared("data/inputs/USA_TX_Dallas-Fort.Worth_TMYx.epw")
    solar = f"{{kind: solar, bus: PV, power_mw: 45, array: {{weather: {weather}}}}}"
    on_real_series("ercot_hybrid_campus", price(west, "hb_west_rt_lmp_usd_mwh"), f"assets.solar={solar}")


def test_eleven_months_solve_on_real_hub_average_prices(shared: Callable[[str], Path]) -> None:
    hub = shared("data/inputs/ercot_hb_hubavg_rt15_da60_2024_2025.csv")
    on_real_series("ercot_hybrid_campus", price(hub, "rt_spp_usd_mwh"), "time.end=2025-11-30")


def test_the_pjm_case_solves_on_real_dominion_prices(shared: Callable[[str], Path]) -> None:
    zone = shared("data/inputs/pjm_dom_rt_hourly_2023_2024.csv")
    weather = shared("data/inputs/weather_philadelphia_pa_openmeteo_2023_2024.csv")
    air = f"{{file: {weather}, column: temp_c, time: time_utc, zone: UTC}}"
    overrides = [
        f"assets.{name}={air}" for name in ("training.room.ambient_c", "inference.room.ambient_c", "mining.ambient_c")
    ]
    flat = [
        "assets.solar.capacity_factor=0.2",
        "assets.facility.power_mw=4",
        "assets.mining.hashprice_usd_per_ph_day=50",
    ]
    window = [
        "time.start=2023-02-01",
        "time.end=2023-12-30",
        "assets.inference.requests_per_s=72000",
        "solve.secure=none",
    ]
    on_real_series("pjm_ai_campus", price(zone, "price_usd_mwh"), *overrides, *flat, *window)
