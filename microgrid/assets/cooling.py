"""Cooling of miners and servers: facility power per IT power, throttling, shutdown and leakage against temperature."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, Self

from pydantic import Field, model_validator

from microgrid.assets.shipped import shipped_table
from microgrid.schema.quantity import Declared, quantity


class Cooling(Declared):
    r"""Cooling plant and what heat does to the machines it cools.

    ``PUE(T) = min(PUE_max, PUE_0 + b (T - T_0)^+)`` with T the outdoor temperature that the plant rejects heat to: dry
    bulb of air and dry coolers, wet bulb of towers. Machines feel the inlet: outdoor air itself, or coolant that is
    `approach_k` warmer. They run at full clock up to `derate_from_c` at the inlet, then ever slower along a straight
    line to `derate_full_share` at `derate_full_c`, and not at all above `shutdown_c`. At equal clock their power rises
    by `leakage_per_kelvin` above `leakage_from_c`.
    """

    pue_base: float = quantity("1", "facility power per IT power on a cool day", symbol=r"PUE_0", default=1.05, ge=1)
    pue_per_kelvin: float = quantity("1/K", "rise of the ratio with temperature", symbol="b", default=0.0, ge=0)
    pue_from_c: float = quantity("degC", "outdoor temperature above which it rises", symbol="T_0", default=20.0)
    pue_max: float = quantity("1", "largest ratio", symbol=r"PUE_{max}", default=2.0, ge=1)
    rejects_to: Literal["dry_bulb", "wet_bulb"] = Field(
        "dry_bulb",
        description="outdoor temperature that heat is rejected to: dry_bulb (dry cooler) or wet_bulb (tower)",
    )
    approach_k: float = quantity(
        "K", "how much warmer than that the coolant enters the machines; 0 for outdoor air", default=0.0, ge=0
    )
    derate_from_c: float | None = quantity(
        "degC", "inlet temperature above which machines throttle; never when absent", default=None
    )
    derate_full_c: float | None = quantity("degC", "inlet temperature of the deepest throttling", default=None)
    derate_full_share: float = quantity("1", "share of full clock at the deepest throttling", default=1.0, gt=0, le=1)
    shutdown_c: float | None = quantity(
        "degC", "inlet temperature above which machines stop; never when absent", default=None
    )
    leakage_per_kelvin: float = quantity("1/K", "rise of power at equal clock with temperature", default=0.0, ge=0)
    leakage_from_c: float = quantity("degC", "inlet temperature above which it rises", default=25.0)

    @model_validator(mode="after")
    def _temperatures_ascend(self) -> Self:
        if (self.derate_from_c is None) != (self.derate_full_c is None):
            raise ValueError("throttling needs both derate_from_c and derate_full_c")
        if (
            self.derate_from_c is not None
            and self.derate_full_c is not None
            and self.derate_full_c <= self.derate_from_c
        ):
            raise ValueError(
                f"derate_full_c {self.derate_full_c:g} must lie above derate_from_c {self.derate_from_c:g}"
            )
        if self.pue_max < self.pue_base:
            raise ValueError(f"pue_max {self.pue_max:g} must not lie below pue_base {self.pue_base:g}")
        return self

    def pue(self, outdoor_c: float) -> float:
        """Facility power per IT power at an outdoor temperature in degC."""
        return min(self.pue_max, self.pue_base + self.pue_per_kelvin * max(outdoor_c - self.pue_from_c, 0.0))

    def clock(self, outdoor_c: float) -> float:
        """Share of full clock at an outdoor temperature in degC: 1 when cool, 0 above shutdown."""
        inlet_c = outdoor_c + self.approach_k
        if self.shutdown_c is not None and inlet_c > self.shutdown_c:
            return 0.0
        if self.derate_from_c is None or self.derate_full_c is None:
            return 1.0
        way = (inlet_c - self.derate_from_c) / (self.derate_full_c - self.derate_from_c)
        return 1.0 - (1.0 - self.derate_full_share) * min(max(way, 0.0), 1.0)

    def leakage(self, outdoor_c: float) -> float:
        """Power at equal clock relative to a cool day."""
        return 1.0 + self.leakage_per_kelvin * max(outdoor_c + self.approach_k - self.leakage_from_c, 0.0)


@cache
def cooling_table() -> dict[str, Cooling]:
    """Shipped cooling plants by name, from `data/cooling.toml` (sources and date stand there)."""
    return {name: Cooling(**entry) for name, entry in shipped_table("cooling.toml").items()}


def known_cooling(cooling: str | Cooling) -> str | Cooling:
    """Return `cooling`; ValueError names the shipped plants when it is an unknown name."""
    if isinstance(cooling, str) and cooling not in cooling_table():
        raise ValueError(f"no cooling named {cooling!r}; choose one of {', '.join(cooling_table())} or give its fields")
    return cooling


def find_cooling(cooling: str | Cooling) -> Cooling:
    """Resolve a name to the shipped plant."""
    return cooling_table()[cooling] if isinstance(cooling, str) else cooling


def pue_series(cooling: str | Cooling, outdoor_c: Sequence[float] | None, count: int) -> list[float]:
    """Facility power per IT power at every step; the cool-day value where no temperature is known."""
    plant = find_cooling(cooling)
    return [plant.pue_base] * count if outdoor_c is None else [plant.pue(entry) for entry in outdoor_c]


def check_temperatures(cooling: str | Cooling, *, dry_bulb: bool, wet_bulb: bool) -> None:
    """Raise ValueError where a plant rejects heat to the wet bulb and only the dry bulb is known."""
    if dry_bulb and not wet_bulb and find_cooling(cooling).rejects_to == "wet_bulb":
        raise ValueError(
            "the cooling rejects heat to the wet bulb: give wet_bulb_c beside ambient_c (microgrid import weather "
            "writes it where a file has humidity)"
        )


__all__ = ["Cooling", "check_temperatures", "cooling_table", "find_cooling", "known_cooling", "pue_series"]
