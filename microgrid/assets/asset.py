"""What every asset has: a kind, a bus, an electrical behaviour, and a page of mathematics.

A new asset is one file with one class derived from `Asset`; validation, schema, docs, results and the network
mapping follow from its declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field, field_validator

from microgrid.formulation.block import Block
from microgrid.formulation.connection import Behaviour, Connection
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared, quantity


class Asset(Declared):
    """An element of the campus that injects power at one bus, or at several in fixed shares."""

    behaviour: ClassVar[Behaviour] = "load"
    example: ClassVar[Mapping[str, object]] = {}
    """Fields of a small working instance, for docs, `microgrid new` and the conformance test."""

    bus: str | dict[str, float] = Field(description="network bus, or buses with the share of power at each (sum 1)")
    power_factor: float = quantity(
        "1", "displacement power factor at the bus, lagging for loads", symbol=r"\cos\varphi", default=1.0, gt=0, le=1
    )

    @field_validator("bus")
    @classmethod
    def _shares_sum_to_one(cls, bus: str | dict[str, float]) -> str | dict[str, float]:
        if isinstance(bus, dict):
            total = sum(bus.values())
            if not bus or abs(total - 1.0) > 1e-9 or min(bus.values()) < 0:
                raise ValueError(f"bus shares must be non-negative and sum to 1, they sum to {total:g}")
        return bus

    @property
    def shares(self) -> dict[str, float]:
        """Share of the injection at every bus."""
        return {self.bus: 1.0} if isinstance(self.bus, str) else dict(self.bus)

    def connections(self, name: str) -> list[Connection]:
        """Where the asset named `name` connects, one record a bus."""
        return [
            Connection(name, bus, self.behaviour, share, self.rating_mva() * share, self.power_factor)
            for bus, share in self.shares.items()
        ]

    def rating_mva(self) -> float:
        """Apparent-power rating for short-circuit and capability data; 0 where the asset states none."""
        return 0.0

    def prepare(self, horizon: Horizon, folder: Path) -> dict[str, np.ndarray]:
        """Profiles the asset computes from its own inputs (e.g. weather), by field name; none by default.

        `folder` is where relative file names of the case start.
        """
        del horizon, folder
        return {}

    def formulate(self, block: Block) -> None:
        """Write the asset's variables, equations, costs and injection."""
        raise NotImplementedError


__all__ = ["Asset"]
