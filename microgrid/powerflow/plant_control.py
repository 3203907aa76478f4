"""Records of plant controllers: which devices move, and what they hold at the POI or at a bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Device:
    """Inverter or engine of a plant: reactive range in Mvar (injection positive), and the rating that bounds it.

    With `rating_mva` the range shrinks to sqrt(rating² - P²) at every step.
    """

    table: Literal["sgen", "storage"]
    element: int
    q_min_mvar: float
    q_max_mvar: float
    rating_mva: float | None = None


@dataclass(frozen=True)
class PowerFactorBand:
    """Power factor at the POI: Q import at most |P| tan(acos(`lagging`)), Q export at most |P| tan(acos(`leading`)).

    Measured as power into `branch` (table, pandapower index) at its `end`, the end that faces the utility; with
    `out_of`, as power out of the branch at the end that faces the campus.
    """

    branch: tuple[str, int]
    end: Literal["from", "to"] = "from"
    lagging: float = 1.0
    leading: float = 1.0
    out_of: bool = False


@dataclass(frozen=True)
class ReactiveBand:
    """Reactive power into `branch` at its utility `end`, kept between the two values in Mvar."""

    branch: tuple[str, int]
    end: Literal["from", "to"] = "from"
    low_mvar: float = 0.0
    high_mvar: float = 0.0


@dataclass(frozen=True)
class VoltageBand:
    """Voltage of a pandapower bus kept between two values; equal values are a set point."""

    bus: int
    low_pu: float
    high_pu: float


@dataclass(frozen=True)
class PlantControl:
    """Plant controller: all devices move to the same fraction of their reactive range until the band is met."""

    name: str
    devices: tuple[Device, ...]
    band: PowerFactorBand | ReactiveBand | VoltageBand


__all__ = ["Device", "PlantControl", "PowerFactorBand", "ReactiveBand", "VoltageBand"]
