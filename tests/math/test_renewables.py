"""Solar, wind and facility load: what nature offers is taken, curtailed or paid for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.solar import Solar
from microgrid.assets.weather import SolarArray, WindTurbines, solar_capacity_factor, wind_capacity_factor
from microgrid.assets.wind import Wind
from microgrid.errors import InvalidInput
from microgrid.formulation.horizon import Horizon


@pytest.mark.parametrize("kind", [Solar, Wind])
def test_output_is_rating_times_factor(bench: Callable[..., Any], kind: Any) -> None:
    # 40 MW at 0.25 and 0.5 sold at 30: 10 x 30 + 20 x 30
    plant = kind(bus="P", power_mw=40.0, capacity_factor=0.0)
    made = bench({"plant": plant}, [30, 30], export_limit_mw=100.0, series={"plant.capacity_factor": [0.25, 0.5]})
    assert made.cost() == pytest.approx(-900)


@pytest.mark.parametrize("kind", [Solar, Wind])
def test_curtailed_where_selling_costs_more_than_it_brings(bench: Callable[..., Any], kind: Any) -> None:
    # operating cost 5: sold at 6 for 1 a MWh, not at 4, not at -3
    plant = kind(bus="P", power_mw=40.0, capacity_factor=0.5, operating_cost_usd_per_mwh=5.0)
    found = bench({"plant": plant}, [6, 4, -3], export_limit_mw=100.0).solve()
    assert found.solution.objective == pytest.approx(-20)
    assert found.dataset["plant.power_mw"].to_numpy() == pytest.approx([20, 0, 0])
    assert found.dataset["plant.curtailed_mw"].to_numpy() == pytest.approx([0, 20, 20])


def test_a_credit_per_mwh_keeps_it_running_below_zero(bench: Callable[..., Any]) -> None:
    # a production credit is a negative operating cost: 25 credit against -20 $/MWh leaves 5 on 20 MWh
    plant = Wind(bus="P", power_mw=40.0, capacity_factor=0.5, operating_cost_usd_per_mwh=-25.0)
    assert bench({"plant": plant}, [-20, -30], export_limit_mw=100.0).cost() == pytest.approx(-100)


def test_export_right_curtails(bench: Callable[..., Any]) -> None:
    plant = Solar(bus="P", power_mw=40.0, capacity_factor=0.5)
    found = bench({"plant": plant, "load": FacilityLoad(bus="L", power_mw=6.0)}, [30], export_limit_mw=10.0).solve()
    assert found.dataset["plant.curtailed_mw"].item() == pytest.approx(4.0)


def test_facility_load_is_always_served(bench: Callable[..., Any]) -> None:
    # 0.25 h x 8 MW x 5000 $/MWh
    found = bench({"load": FacilityLoad(bus="L", power_mw=8.0)}, [5000], step_min=15).solve()
    assert found.solution.objective == pytest.approx(10_000)
    assert found.dataset["injection.load"].item() == pytest.approx(-8.0)


@pytest.mark.parametrize("kind", [Solar, Wind])
def test_a_factor_in_percent_is_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="less than or equal to 1"):
        kind(bus="P", power_mw=40.0, capacity_factor=30)
    assert kind(bus="P", power_mw=40.0, capacity_factor=1.0).capacity_factor == 1.0


@pytest.mark.parametrize("kind", [Solar, Wind])
def test_output_never_exceeds_the_rating(bench: Callable[..., Any], kind: Any) -> None:
    # an array computed from weather may come out a little above its rating: 40 MW at 30 $/MWh, not 44
    plant = kind(bus="P", power_mw=40.0, capacity_factor=0.0)
    made = bench({"plant": plant}, [30], export_limit_mw=100.0, series={"plant.capacity_factor": [1.1]})
    assert made.cost() == pytest.approx(-1200)


@pytest.mark.parametrize("kind", [Solar, Wind])
def test_exactly_one_source_of_output(kind: Any) -> None:
    with pytest.raises(ValueError, match="either capacity_factor or"):
        kind(bus="P", power_mw=40.0)


def _epw(path: Path, *, wind_m_per_s: float = 10.0) -> str:
    """Typical year at 32.9 N 97 W, UTC-6: clear-sky-like sun in the daytime hours, constant wind."""
    head = [
        "LOCATION,Test,TX,USA,synthetic,0,32.9,-97.0,-6.0,180.0", "DESIGN CONDITIONS,0", "TYPICAL/EXTREME PERIODS,0",
        "GROUND TEMPERATURES,0", "HOLIDAYS/DAYLIGHT SAVINGS,No,0,0,0", "COMMENTS 1", "COMMENTS 2",
        "DATA PERIODS,1,1,Data,Sunday, 1/ 1,12/31",
    ]  # fmt: skip
    rows = []
    for moment in pd.date_range("2001-01-01", periods=8760, freq="h"):
        high = max(0.0, np.sin(np.pi * (moment.hour - 6) / 12)) if 6 <= moment.hour < 18 else 0.0
        fields = ["0"] * 35
        fields[:6] = [str(moment.year), str(moment.month), str(moment.day), str(moment.hour + 1), "60", "?"]
        fields[6], fields[13], fields[14], fields[15] = "20", *(f"{peak * high:.0f}" for peak in (900, 800, 90))
        fields[20], fields[21] = "180", f"{wind_m_per_s}"
        rows.append(",".join(fields))
    path.write_text("\n".join([*head, *rows]) + "\n")
    return path.name


def _axis(start: str, count: int, step_min: int = 60) -> Horizon:
    return Horizon(pd.Timestamp(start), step_min, count, "America/Chicago")


def test_wind_follows_shear_power_curve_and_losses(tmp_path: Path) -> None:
    # 5 m/s at 10 m, 90 m hub, shear 0.2: 5 x 9^0.2 = 7.759 m/s; between 0.27 at 7 and 0.42 at 8: 0.3839; less 10 %
    turbines = WindTurbines(weather=_epw(tmp_path / "t.epw", wind_m_per_s=5.0), losses=0.1)
    factor = wind_capacity_factor(turbines, _axis("2025-03-01T06:00Z", 4), tmp_path)
    assert factor == pytest.approx(np.full(4, 0.9 * (0.27 + 0.15 * (5 * 9**0.2 - 7))), rel=1e-6)


def test_wind_stands_still_beyond_cut_out(tmp_path: Path) -> None:
    turbines = WindTurbines(weather=_epw(tmp_path / "t.epw", wind_m_per_s=20.0))
    assert wind_capacity_factor(turbines, _axis("2025-03-01T06:00Z", 2), tmp_path) == pytest.approx([0, 0])


@pytest.mark.parametrize("mounting", ["fixed", "single_axis"])
def test_sun_shines_by_local_standard_time(tmp_path: Path, mounting: str) -> None:
    # 18 hours dark or dim, output in daylight only, highest around local noon (18:00 UTC), never above the rating
    array = SolarArray(weather=_epw(tmp_path / "t.epw"), mounting=mounting)
    factor = solar_capacity_factor(array, _axis("2025-06-20T06:00Z", 24), tmp_path)
    assert factor.min() == 0.0
    assert 0.5 < factor.max() <= 1.0
    assert factor[:5].max() == factor[20:].max() == 0.0
    assert 9 <= int(np.argmax(factor)) <= 15


def test_a_quarter_hour_holds_the_hour(tmp_path: Path) -> None:
    array = SolarArray(weather=_epw(tmp_path / "t.epw"))
    by_hour = solar_capacity_factor(array, _axis("2025-06-20T06:00Z", 24), tmp_path)
    by_quarter = solar_capacity_factor(array, _axis("2025-06-20T06:00Z", 96, 15), tmp_path)
    assert by_quarter == pytest.approx(np.repeat(by_hour, 4))


def test_leap_day_repeats_the_day_before(tmp_path: Path) -> None:
    array = SolarArray(weather=_epw(tmp_path / "t.epw"))
    factor = solar_capacity_factor(array, _axis("2024-02-28T06:00Z", 48), tmp_path)
    assert np.isfinite(factor).all()
    assert factor[:24] == pytest.approx(factor[24:])
    assert factor.max() > 0


def test_missing_weather_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="file does not exist"):
        solar_capacity_factor(SolarArray(weather="none.epw"), _axis("2025-06-20T06:00Z", 2), tmp_path)


def test_a_year_of_dallas_weather(shared: Callable[[str], Path]) -> None:
    # NREL's PVWatts gives some 0.25 to 0.32 of the AC rating for trackers of DC/AC 1.3 around Dallas, 0.2 to 0.26 fixed
    folder = shared("data/inputs")
    files = sorted(folder.rglob("*.epw"))
    if not files:
        pytest.skip(f"no EPW file below {folder}")
    axis = _axis("2025-01-01T06:00Z", 8760)
    tracker, fixed = (
        solar_capacity_factor(SolarArray(weather=str(files[0]), mounting=mounting), axis, folder).mean()
        for mounting in ("single_axis", "fixed")
    )
    assert 0.24 < tracker < 0.34
    assert 0.18 < fixed < tracker
