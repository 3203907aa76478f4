"""Solar PV plant: from a capacity-factor series, or from weather through pvlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from microgrid.assets.asset import Asset
from microgrid.assets.weather import SolarArray, solar_capacity_factor
from microgrid.formulation.availability import inject_available
from microgrid.formulation.block import Block
from microgrid.formulation.connection import Behaviour
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Profile, quantity


class Solar(Asset):
    """PV plant that may be curtailed."""

    behaviour: ClassVar[Behaviour] = "inverter"
    example: ClassVar[Mapping[str, object]] = {"kind": "solar", "bus": "PV", "power_mw": 40.0, "capacity_factor": 0.3}

    kind: Literal["solar"] = "solar"
    power_mw: float = quantity("MW", "AC rating of the inverters", symbol=r"\bar p", gt=0)
    capacity_factor: Profile | None = quantity(
        "1",
        "available output per rated output, 0 to 1 (not percent); absent when `array` computes it",
        symbol="a_t",
        default=None,
        ge=0,
        le=1,
    )
    array: SolarArray | None = Field(None, description="plant and weather file from which pvlib computes the output")
    operating_cost_usd_per_mwh: float = quantity("$/MWh", "operating cost of energy", symbol="c", default=0.0)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.capacity_factor is None) == (self.array is None):
            raise ValueError("give either capacity_factor or array (weather), not both and not neither")
        return self

    def rating_mva(self) -> float:
        """Inverter rating."""
        return self.power_mw / self.power_factor

    def prepare(self, horizon: Horizon, folder: Path) -> dict[str, np.ndarray]:
        """Compute the capacity factor from weather when `array` is given."""
        if self.array is None:
            return {}
        return {"capacity_factor": solar_capacity_factor(self.array, horizon, folder)}

    def formulate(self, block: Block) -> None:
        r"""Write output between zero and what the sun offers: ``0 \le p_t \le \bar p a_t``, at ``c \Delta_t p_t``."""
        inject_available(block, self.operating_cost_usd_per_mwh)


__all__ = ["Solar"]
