"""Energy of a billing cycle, in all hours or in chosen TOU periods."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from microgrid.schema.quantity import Declared
from microgrid.tariffs.page import Page, Terms
from microgrid.tariffs.reading import Channel, Reading


class Energy(Declared):
    """Energy through a metering channel, kWh."""

    unit: ClassVar[str] = "kWh"

    kind: Literal["energy"]
    channel: Channel = "import"
    calendar: str | None = None
    periods: tuple[str, ...] | None = None
    note: str | None = None

    @property
    def refs(self) -> tuple[str, ...]:
        """Determinants it is made from."""
        return ()

    def measure(self, reading: Reading) -> np.ndarray:
        """Sum of power times hours inside the mask, shape (cycles,)."""
        cycles = reading.axis.cycles
        inside = np.where(reading.axis.mask(self.calendar, self.periods), reading.metered(self.channel), 0.0)
        return np.asarray(np.add.reduceat(inside, cycles.starts)) * reading.axis.hours

    def formulate(self, page: Page, name: str) -> Terms:
        """Write ``E_c = sum of hours_t p_t`` over the mask; no variable is needed."""
        del name
        inside = page.axis.mask(self.calendar, self.periods).astype(float)
        power = page.channel(self.channel)
        return [page.energy_mwh(power, inside, steps) for steps in page.steps_of]

    def hold(self, page: Page, name: str) -> None:
        """Nothing: energy is an equation, not a bound."""


__all__ = ["Energy"]
