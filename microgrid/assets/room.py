"""A computing room: facility power per IT power, and how much IT power its redundant supply may carry."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from microgrid.assets.cooling import Cooling, check_temperatures, find_cooling, known_cooling, pue_series
from microgrid.formulation.block import Block
from microgrid.schema.quantity import Declared, Profile, quantity

Redundancy = Literal["N", "N+1", "2N"]


class Supply(Declared):
    """Alike power modules (UPS, transformer or busway lineups) that feed a room together.

    With ``N+1`` the room must run on all but one of them, with ``2N`` on half of them.
    """

    modules: int = quantity("1", "modules installed", ge=1)
    module_mw: float = quantity("MW", "IT power one module can carry", gt=0)
    redundancy: Redundancy = Field("N+1", description="N, N+1 or 2N")

    @model_validator(mode="after")
    def _enough_modules(self) -> Self:
        if self.redundancy == "N+1" and self.modules < 2:
            raise ValueError("N+1 needs at least two modules")
        if self.redundancy == "2N" and self.modules % 2:
            raise ValueError(f"2N needs an even number of modules, there are {self.modules}")
        return self

    @property
    def usable_mw(self) -> float:
        """IT power that may be drawn so that the redundancy holds, MW."""
        spared = {"N": 0, "N+1": 1, "2N": self.modules // 2}[self.redundancy]
        return (self.modules - spared) * self.module_mw

    @property
    def installed_per_usable(self) -> float:
        """Installed over usable capacity: 1 for N, 2 for 2N."""
        return self.modules * self.module_mw / self.usable_mw


class Room(Declared):
    """Cooling and power chain between IT equipment and the bus."""

    cooling: str | Cooling = Field("warm_water", description="cooling plant: warm_water, air_economiser or own fields")
    ambient_c: Profile | None = quantity("degC", "ambient dry-bulb temperature", symbol="T_t", default=None)
    wet_bulb_c: Profile | None = quantity("degC", "ambient wet-bulb temperature, for towers", default=None)
    pue: Profile | None = quantity(
        "1", "facility power per IT power; from `cooling` and ambient temperature when absent", default=None, ge=1
    )
    chain_efficiency: float = quantity(
        "1", "UPS and distribution efficiency not already counted in the PUE", symbol=r"\eta", default=1.0, gt=0, le=1
    )
    supply: Supply | None = Field(None, description="redundant modules that bound the IT power; unbounded when absent")

    @field_validator("cooling")
    @classmethod
    def _cooling_is_known(cls, cooling: str | Cooling) -> str | Cooling:
        return known_cooling(cooling)

    @model_validator(mode="after")
    def _temperatures_suffice(self) -> Self:
        if self.pue is None:
            given = {"dry_bulb": self.ambient_c is not None, "wet_bulb": self.wet_bulb_c is not None}
            check_temperatures(self.cooling, **given)
        return self

    def facility_per_it(self, block: Block, path: str = "room") -> list[float]:
        r"""``PUE(T_t) / \eta`` at every step; `path` leads from the part to this room."""
        if self.pue is not None:
            ratio = block.profile(f"{path}.pue")
        else:
            name = "wet_bulb_c" if find_cooling(self.cooling).rejects_to == "wet_bulb" else "ambient_c"
            outdoor = None if getattr(self, name) is None else block.profile(f"{path}.{name}")
            ratio = pue_series(self.cooling, outdoor, block.horizon.count)
        return block.numbers(entry / self.chain_efficiency for entry in ratio)

    def largest_facility_per_it(self) -> float:
        """Design value for ratings."""
        constant = self.pue if isinstance(self.pue, float) else find_cooling(self.cooling).pue_max
        return constant / self.chain_efficiency

    @property
    def it_limit_mw(self) -> float:
        """Largest IT power, MW; infinite without a stated supply."""
        return float("inf") if self.supply is None else self.supply.usable_mw


__all__ = ["Redundancy", "Room", "Supply"]
