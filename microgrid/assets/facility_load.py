"""Facility load: offices, pumps, lighting and other demand that is always served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from microgrid.assets.asset import Asset
from microgrid.formulation.block import Block
from microgrid.schema.quantity import Profile, quantity


class FacilityLoad(Asset):
    """Demand that follows a profile and cannot be shed."""

    example: ClassVar[Mapping[str, object]] = {"kind": "facility_load", "bus": "FACILITY", "power_mw": 4.0}

    kind: Literal["facility_load"] = "facility_load"
    power_mw: Profile = quantity("MW", "demand", symbol="d_t", ge=0)
    power_factor: float = quantity(
        "1", "displacement power factor at the bus, lagging", symbol=r"\cos\varphi", default=0.95, gt=0, le=1
    )

    def formulate(self, block: Block) -> None:
        r"""Draw the profile: injection ``-d_t``."""
        demand = block.profile("power_mw")
        block.injects(lambda t: -demand[t])


__all__ = ["FacilityLoad"]
