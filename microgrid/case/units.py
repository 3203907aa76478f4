"""The short list of units a series may be converted between; anything else must match the field's unit exactly."""

from __future__ import annotations

from dataclasses import dataclass

from microgrid.errors import InvalidInput, Problem
from microgrid.schema.spelling import did_you_mean


@dataclass(frozen=True)
class Conversion:
    """Affine map from one unit to another: ``value * factor + offset``."""

    factor: float
    offset: float = 0.0

    @property
    def is_identity(self) -> bool:
        """True when nothing changes."""
        return self.factor == 1.0 and self.offset == 0.0


TO_BASE: dict[str, dict[str, Conversion]] = {
    "energy price": {
        "$/MWh": Conversion(1.0),
        "USD/MWh": Conversion(1.0),
        "$/kWh": Conversion(1000.0),
        "USD/kWh": Conversion(1000.0),
        "c/kWh": Conversion(10.0),
    },
    "power": {"MW": Conversion(1.0), "GW": Conversion(1000.0), "kW": Conversion(1e-3), "W": Conversion(1e-6)},
    "energy": {"MWh": Conversion(1.0), "kWh": Conversion(1e-3), "GWh": Conversion(1000.0)},
    "share": {"1": Conversion(1.0), "pu": Conversion(1.0), "%": Conversion(0.01)},
    "temperature": {
        "degC": Conversion(1.0),
        "K": Conversion(1.0, -273.15),
        "degF": Conversion(5.0 / 9.0, -160.0 / 9.0),
    },
    "hashprice": {
        "$/PH/day": Conversion(1.0),
        "USD/PH/day": Conversion(1.0),
        "$/TH/day": Conversion(1000.0),
        "USD/TH/day": Conversion(1000.0),
    },
    "money": {"$": Conversion(1.0), "USD": Conversion(1.0)},
    "bitcoin price": {"$/BTC": Conversion(1.0), "USD/BTC": Conversion(1.0)},
    "fuel price": {"$/MMBtu": Conversion(1.0), "USD/MMBtu": Conversion(1.0)},
    "speed": {"m/s": Conversion(1.0), "km/h": Conversion(1.0 / 3.6), "mph": Conversion(0.44704)},
}
"""For each physical kind, how its units map to the first of them."""


def conversion(given: str, wanted: str) -> Conversion:
    """How to turn values in `given` into `wanted`; where either is empty, none was stated and nothing changes.

    Raises `InvalidInput` when the two are not of one kind, naming the units that would work.
    """
    if not wanted or given in {"", wanted}:
        return Conversion(1.0)
    known = _kind_of(wanted)
    if given in known:
        source, target = known[given], known[wanted]
        return Conversion(source.factor / target.factor, (source.offset - target.offset) / target.factor)
    if not known:
        raise InvalidInput(Problem(f"unit must be {wanted}, the unit of the field", "", "unit", given))
    raise InvalidInput(Problem(f"unit cannot be converted to {wanted}", did_you_mean(given, known), "unit", given))


def _kind_of(unit: str) -> dict[str, Conversion]:
    return next((units for units in TO_BASE.values() if unit in units), {})


__all__ = ["TO_BASE", "Conversion", "conversion"]
