"""Controls that a network declares under ``net["controls"]``, beside those in pandapower's own tables.

A plain mapping, so that it travels in pandapower's JSON and stays in ``network.json`` of a result:

    net["controls"] = {
        "tap_memory": True,
        "plants": [{
            "name": "plant controller",
            "devices": [{"element": "sun@PV", "q_min_mvar": -10, "q_max_mvar": 10}],
            "power_factor": {"lagging": 0.98, "leading": 0.98},
        }],
    }

Elements are named as they are in the net, those of a case ``part@BUS``. What a plant holds is measured at the POI.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from microgrid.errors import Problem

KEY = "controls"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DeclaredDevice(_Strict):
    """Inverter, storage or engine at fixed power factor, by name, with its reactive range (injection positive)."""

    element: str
    q_min_mvar: float
    q_max_mvar: float
    rating_mva: float | None = Field(default=None, gt=0.0)

    @model_validator(mode="after")
    def _range_is_one(self) -> DeclaredDevice:
        if self.q_min_mvar > self.q_max_mvar:
            raise ValueError("q_min_mvar exceeds q_max_mvar")
        return self


class DeclaredPowerFactor(_Strict):
    """Least power factor at the POI while reactive power is imported (lagging) and exported (leading)."""

    lagging: float = Field(default=1.0, gt=0.0, le=1.0)
    leading: float = Field(default=1.0, gt=0.0, le=1.0)


class DeclaredVoltage(_Strict):
    """Band of the voltage at the POI, or at another bus by name; equal values are a set point."""

    low_pu: float = Field(gt=0.5, lt=1.5)
    high_pu: float = Field(gt=0.5, lt=1.5)
    bus: str | None = None

    @model_validator(mode="after")
    def _band_is_one(self) -> DeclaredVoltage:
        if self.low_pu > self.high_pu:
            raise ValueError("low_pu exceeds high_pu")
        return self


class DeclaredPlant(_Strict):
    """Plant controller with exactly one band."""

    name: str
    devices: tuple[DeclaredDevice, ...] = Field(min_length=1)
    power_factor: DeclaredPowerFactor | None = None
    voltage: DeclaredVoltage | None = None

    @model_validator(mode="after")
    def _one_band(self) -> DeclaredPlant:
        if (self.power_factor is None) == (self.voltage is None):
            raise ValueError("a plant holds either power_factor or voltage")
        return self


class DeclaredControls(_Strict):
    """All of ``net["controls"]``."""

    tap_memory: bool = False
    plants: tuple[DeclaredPlant, ...] = ()


def declared_controls(net: Any) -> DeclaredControls:
    """Controls under ``net["controls"]``, none where it declares none; pydantic's error where they break a rule."""
    given = net.get(KEY)
    return DeclaredControls() if given is None else DeclaredControls.model_validate(given)


def declared_problems(net: Any) -> Iterator[Problem]:
    """What is wrong with ``net["controls"]``, each with its place."""
    try:
        declared_controls(net)
    except ValidationError as wrong:
        for error in wrong.errors():
            field = ".".join([KEY, *map(str, error["loc"])])
            rule = error["msg"].removeprefix("Value error, ")
            value = "" if isinstance(error["input"], dict | DeclaredControls) else str(error["input"])
            yield Problem(rule, "see docs/howto/own_network.md, Controls", field, value)


__all__ = [
    "DeclaredControls",
    "DeclaredDevice",
    "DeclaredPlant",
    "DeclaredPowerFactor",
    "DeclaredVoltage",
    "declared_controls",
    "declared_problems",
]
