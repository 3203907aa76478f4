"""What every charge states besides its price."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from microgrid.schema.quantity import Declared
from microgrid.tariffs.axis import Cycles
from microgrid.tariffs.calendar import Month

Tag = Literal["supply", "delivery", "transmission", "rider", "tax", "fixed", "export", "program", "penalty"]


class Charge(Declared):
    """Name, tags and season of a charge; later charges refer to earlier ones by `id`."""

    id: str = Field(description="unique name of the charge")
    label: str | None = Field(None, description="how the bill prints it")
    tags: tuple[Tag, ...] = ()
    escalation: str | None = Field(
        None, description="component that raises its price over years; its first tag if absent"
    )
    months: tuple[Month, ...] | None = Field(None, description="months in which it is billed; all when absent")
    min_bill_exempt: bool = Field(
        default=False, description="does not count towards a minimum bill that lists no charges"
    )
    note: str | None = None

    def in_season(self, cycles: Cycles) -> np.ndarray:
        """1 in cycles that begin in a month billed, else 0, shape (cycles,)."""
        if self.months is None:
            return np.ones(cycles.count)
        return np.isin(cycles.month, self.months).astype(float)


__all__ = ["Charge", "Tag"]
