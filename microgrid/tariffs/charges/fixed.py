"""Fixed charges: an amount for each cycle, day or year."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from microgrid.formulation.algebra import Linear
from microgrid.tariffs.axis import Cycles
from microgrid.tariffs.charges.charge import Charge
from microgrid.tariffs.ledger import Ledger
from microgrid.tariffs.page import Page
from microgrid.tariffs.reading import Reading


class Fixed(Charge):
    """Customer, metering or reservation charge.

    A cycle that is covered in part is charged in full, unless prorated. `norm_days` scales the amount to the days of
    the cycle; a yearly amount is charged in twelfths.
    """

    kind: Literal["fixed"]
    amount: float
    per: Literal["month", "day", "year"] = "month"
    norm_days: float | None = Field(None, gt=0)

    def bill(self, reading: Reading, ledger: Ledger) -> None:
        """Enter one line a cycle."""
        cycles = reading.axis.cycles
        units = self._units(cycles)
        ledger.each_cycle(self.id, self.per, units, units * self.amount)

    def _units(self, cycles: Cycles) -> np.ndarray:
        each = {"month": np.ones(cycles.count), "day": cycles.days, "year": np.full(cycles.count, 1.0 / 12.0)}[self.per]
        scale = cycles.days / self.norm_days if self.norm_days else 1.0
        return np.asarray(each * scale * self.in_season(cycles) * cycles.share)

    def formulate(self, page: Page) -> None:
        """Write the same amounts as constants."""
        amounts = (self._units(page.axis.cycles) * self.amount).tolist()

        @page.block.cost(page.cycles, of=self.id)
        def fixed(c: int) -> Linear | float:
            r"""F_c"""
            return float(amounts[c])

        page.amounts[self.id] = [page.constant(amount) for amount in amounts]


__all__ = ["Fixed"]
