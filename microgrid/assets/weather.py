"""Output of solar and wind plants from a typical-year weather file (EPW).

EPW rows are hourly in local standard time and interval-ending; a typical year is laid over any calendar year by
month, day and hour (29 February repeats 28 February). Needs the extra ``res`` (pvlib).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared, quantity


class SolarArray(Declared):
    """PV plant as PVWatts sees it (Dobos 2014, NREL/TP-6A20-62641)."""

    weather: str = Field(description="EPW file, relative to the case file")
    mounting: str = Field(
        "single_axis", description="single_axis (tracker along north-south) or fixed", pattern="^(single_axis|fixed)$"
    )
    tilt_deg: float = quantity("deg", "tilt of a fixed array", default=25.0, ge=0, le=90)
    azimuth_deg: float = quantity("deg", "azimuth of a fixed array, 180 is south", default=180.0, ge=0, le=360)
    dc_ac_ratio: float = quantity("1", "DC rating per AC rating", default=1.3, gt=0)
    ground_cover: float = quantity("1", "ground cover ratio of a tracker", default=0.35, gt=0, lt=1)
    losses: float = quantity("1", "DC system losses (PVWatts default 14 %)", default=0.14, ge=0, lt=1)
    temperature_coefficient_per_k: float = quantity("1/K", "power coefficient of the modules", default=-0.0037, le=0)
    inverter_efficiency: float = quantity("1", "nominal inverter efficiency (PVWatts)", default=0.96, gt=0, le=1)


class WindTurbines(Declared):
    """Turbines described by hub height and power curve."""

    weather: str = Field(description="EPW file, relative to the case file")
    hub_height_m: float = quantity("m", "hub height", default=90.0, gt=0)
    shear_exponent: float = quantity("1", "power-law wind shear from 10 m to hub height", default=0.2, ge=0)
    power_curve: tuple[tuple[float, float], ...] = quantity(
        "(m/s, 1)", "hub wind speed and output per rating; default has the shape of IEC class II machines",
        default=(
            (3.0, 0.0), (4.0, 0.03), (5.0, 0.08), (6.0, 0.16), (7.0, 0.27), (8.0, 0.42), (9.0, 0.59), (10.0, 0.76),
            (11.0, 0.89), (12.0, 0.97), (13.0, 1.0), (25.0, 1.0), (25.01, 0.0),
        ),
    )  # fmt: skip
    losses: float = quantity("1", "wake, availability and electrical losses", default=0.12, ge=0, lt=1)


def solar_capacity_factor(array: SolarArray, horizon: Horizon, folder: Path) -> np.ndarray:
    """Available AC output per AC rating at every step, shape (steps,), 0 to 1."""
    pvlib = _pvlib()
    weather, site = _typical_year(pvlib, folder / array.weather)
    middle = pd.DatetimeIndex(weather.index) + pd.Timedelta("30min")
    location = pvlib.location.Location(site["latitude"], site["longitude"], altitude=site["altitude"])
    sun = location.get_solarposition(middle)
    sun.index = weather.index
    tilt, azimuth = _orientation(pvlib, array, sun)
    plane = pvlib.irradiance.get_total_irradiance(
        tilt, azimuth, sun["apparent_zenith"], sun["azimuth"], weather["dni"], weather["ghi"], weather["dhi"],
        dni_extra=pvlib.irradiance.get_extra_radiation(weather.index), model="haydavies",
    )["poa_global"].fillna(0.0)  # fmt: skip
    cells = pvlib.temperature.sapm_cell(
        plane, weather["temp_air"], weather["wind_speed"],
        **pvlib.temperature.TEMPERATURE_MODEL_PARAMETERS["sapm"]["open_rack_glass_polymer"],
    )  # fmt: skip
    direct = pvlib.pvsystem.pvwatts_dc(plane, cells, array.dc_ac_ratio, array.temperature_coefficient_per_k)
    limit = 1.0 / array.inverter_efficiency
    output = pvlib.inverter.pvwatts(direct * (1.0 - array.losses), limit, eta_inv_nom=array.inverter_efficiency)
    return _lay_over(output.clip(0.0, 1.0), horizon)


def wind_capacity_factor(turbines: WindTurbines, horizon: Horizon, folder: Path) -> np.ndarray:
    """Available output per rating at every step, shape (steps,), 0 to 1."""
    weather, _ = _typical_year(_pvlib(), folder / turbines.weather)
    at_hub = weather["wind_speed"] * (turbines.hub_height_m / 10.0) ** turbines.shear_exponent
    speeds, outputs = zip(*turbines.power_curve, strict=True)
    factor = np.interp(at_hub, speeds, outputs, left=0.0, right=0.0) * (1.0 - turbines.losses)
    return _lay_over(pd.Series(factor, index=weather.index), horizon)


def _orientation(pvlib: Any, array: SolarArray, sun: pd.DataFrame) -> tuple[Any, Any]:
    if array.mounting == "fixed":
        return array.tilt_deg, array.azimuth_deg
    tracker = pvlib.tracking.singleaxis(
        sun["apparent_zenith"], sun["azimuth"], axis_azimuth=180.0, max_angle=60.0, gcr=array.ground_cover
    )
    return tracker["surface_tilt"].fillna(0.0), tracker["surface_azimuth"].fillna(180.0)


def _pvlib() -> Any:
    try:
        import pvlib  # noqa: PLC0415 - an optional extra, needed only for weather files
    except ImportError as missing:
        raise InvalidInput(
            Problem("a weather file needs pvlib", 'install the extra: pip install "microgrid[res]"', "weather")
        ) from missing
    return pvlib


def _typical_year(pvlib: Any, path: Path) -> tuple[pd.DataFrame, dict[str, float]]:
    """Read an EPW file; rows become interval-beginning in local standard time of a common year."""
    try:
        weather, site = pvlib.iotools.read_epw(path, coerce_year=2001)
    except FileNotFoundError as missing:
        raise InvalidInput(Problem("file does not exist", "check the path", "weather", str(path))) from missing
    except (ValueError, KeyError, IndexError, UnicodeDecodeError) as broken:
        raise InvalidInput(
            Problem(f"not a readable EPW file ({broken})", "give an EnergyPlus weather file", "weather", str(path))
        ) from broken
    return weather, site


def _lay_over(series: pd.Series, horizon: Horizon) -> np.ndarray:
    """Value of a typical year at every step of the horizon, by month, day and hour of local standard time."""
    index = pd.DatetimeIndex(series.index)
    zone = index.tz  # local standard time of the file, a fixed offset
    standard = horizon.times.tz_convert(zone).tz_localize(None)
    day = np.where((standard.month == 2) & (standard.day == 29), 28, standard.day)
    keys = pd.MultiIndex.from_arrays([standard.month, day, standard.hour])
    known = pd.Series(series.to_numpy(), index=pd.MultiIndex.from_arrays([index.month, index.day, index.hour]))
    return known.groupby(level=[0, 1, 2]).mean().reindex(keys).to_numpy()


__all__ = ["SolarArray", "WindTurbines", "solar_capacity_factor", "wind_capacity_factor"]
