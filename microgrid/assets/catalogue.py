"""Versioned tables of published figures: ASIC models, power modes, GPU platforms, block subsidies.

Each table is a CSV beside this file; every row carries its source and the date it was retrieved, and is validated
when read. A figure that changes is a new row or a new date, never a constant in code.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import date
from functools import cache
from typing import Literal, Self, TypeVar

from pydantic import Field, model_validator

from microgrid.assets.shipped import shipped_text
from microgrid.errors import InvalidInput, Problem
from microgrid.schema.quantity import Declared, quantity
from microgrid.schema.spelling import did_you_mean


class Published(Declared):
    """A row with its provenance."""

    source: str = Field(description="where the figures were read", min_length=1)
    retrieved: date = Field(description="day on which they were read")


class AsicModel(Published):
    """Mining machine at its nameplate point; bins and ambient shift real units by about ±5 %."""

    vendor: str = Field(description="manufacturer")
    model: str = Field(description="model name without the vendor")
    cooling: Literal["air", "hydro", "immersion"] = Field(description="how heat leaves the machine")
    hash_th_per_s: float = quantity("TH/s", "nameplate hashrate", gt=0)
    power_w: float = quantity("W", "nameplate power at the wall", gt=0)
    efficiency_j_per_th: float = quantity("J/TH", "nameplate efficiency", gt=0)
    temperature_min_c: float | None = quantity("degC", "lowest inlet temperature, where published", default=None)
    temperature_max_c: float | None = quantity("degC", "highest inlet temperature, where published", default=None)
    street_price_usd_per_th: float | None = quantity("$/TH", "street price, where quoted", default=None, gt=0)
    street_price_on: date | None = Field(None, description="day of the street price")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        implied = self.power_w / self.hash_th_per_s
        if abs(implied / self.efficiency_j_per_th - 1.0) > 0.015:
            raise ValueError(f"{self.model}: {implied:.2f} J/TH from W and TH/s, {self.efficiency_j_per_th} stated")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names it goes by: ``Antminer S21 Pro``, with the vendor, and without the family."""
        return self.model, f"{self.vendor} {self.model}", self.model.split(" ", 1)[-1]


class PowerMode(Published):
    """One rung of a machine's firmware ladder: clock, voltage, power and hashrate."""

    unit: str = Field(description="machine the ladder belongs to")
    step: int = quantity("1", "rung relative to the default clock")
    frequency_mhz: float = quantity("MHz", "clock", gt=0)
    voltage_v: float = quantity("V", "hash board voltage", gt=0)
    power_w: float = quantity("W", "power at the wall", gt=0)
    hash_th_per_s: float = quantity("TH/s", "hashrate", gt=0)


class GpuPlatform(Published):
    """Accelerator system as sold."""

    platform: str = Field(description="system name")
    gpus: int = quantity("1", "accelerators in the system", ge=1)
    nameplate_kw: float = quantity("kW", "maximum power of the system", gt=0)
    planning_kw_per_gpu: float | None = quantity("kW", "IT power per GPU used in planning", default=None, gt=0)
    measured_max_kw: float | None = quantity("kW", "highest measured power, where published", default=None, gt=0)
    cooling: Literal["air", "liquid", "air/liquid"] = Field(description="how heat leaves the system")

    @property
    def names(self) -> tuple[str, ...]:
        """Names it goes by, the key of the table first."""
        return (self.platform,)


class SubsidyEra(Published):
    """Blocks that share one subsidy."""

    height: int = quantity("1", "first block", ge=0)
    start: date = Field(description="UTC day of the first block")
    subsidy_btc: float = quantity("BTC", "new coins a block", gt=0)
    estimated: bool = Field(description="whether the day is still an estimate")


Row = TypeVar("Row", bound=Published)
Named = TypeVar("Named", AsicModel, GpuPlatform)


@cache
def asic_models() -> dict[str, AsicModel]:
    """All mining machines by model name, in the order of the table."""
    return {row.model: row for row in _read("asic_models.csv", AsicModel)}


@cache
def asic_model(name: str) -> AsicModel:
    """Mining machine by model name, vendor and case ignored; `InvalidInput` with close names otherwise."""
    return _find(name, asic_models().values(), "mining machine")


@cache
def gpu_platforms() -> dict[str, GpuPlatform]:
    """All GPU platforms by name, in the order of the table."""
    return {row.platform: row for row in _read("gpu_platforms.csv", GpuPlatform)}


def gpu_platform(name: str) -> GpuPlatform:
    """GPU platform by name, case ignored; `InvalidInput` with close names otherwise."""
    return _find(name, gpu_platforms().values(), "GPU platform")


@cache
def power_modes() -> tuple[PowerMode, ...]:
    """Firmware ladder of one machine, lowest clock first (a model curve, see its source column)."""
    return tuple(sorted(_read("power_modes.csv", PowerMode), key=lambda mode: mode.step))


def relative_power_curve() -> tuple[tuple[float, float], ...]:
    """Points (power, hashrate) of the firmware ladder, each relative to the default clock.

    Concave from the lowest rung up; the chord from standstill to that rung is flatter than the next one.
    """
    base = next(mode for mode in power_modes() if mode.step == 0)
    return tuple((mode.power_w / base.power_w, mode.hash_th_per_s / base.hash_th_per_s) for mode in power_modes())


@cache
def subsidy_schedule() -> tuple[SubsidyEra, ...]:
    """Subsidy eras in order of height."""
    return tuple(sorted(_read("subsidy_schedule.csv", SubsidyEra), key=lambda era: era.height))


def _read(table: str, kind: type[Row]) -> list[Row]:
    rows = csv.DictReader(shipped_text(table).splitlines())
    return [kind.model_validate({key: value for key, value in row.items() if value != ""}) for row in rows]


def _find(name: str, rows: Iterable[Named], what: str) -> Named:
    known = {alias.casefold(): row for row in rows for alias in row.names}
    wanted = name.casefold().strip()
    if wanted in known:
        return known[wanted]
    names = {alias: row.names[0] for alias, row in known.items()}
    raise InvalidInput(Problem(f"unknown {what}", did_you_mean(wanted, names.values(), most=4), value=name))


__all__ = [
    "AsicModel",
    "GpuPlatform",
    "PowerMode",
    "Published",
    "SubsidyEra",
    "asic_model",
    "asic_models",
    "gpu_platform",
    "gpu_platforms",
    "power_modes",
    "relative_power_curve",
    "subsidy_schedule",
]
