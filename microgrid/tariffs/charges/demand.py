"""Charges on a determinant: demand, reservation, reactive and capacity charges."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from microgrid.formulation.algebra import Linear
from microgrid.tariffs.axis import Cycles
from microgrid.tariffs.charges.charge import Charge
from microgrid.tariffs.charges.staircase import Stairs, staircase
from microgrid.tariffs.ledger import Ledger
from microgrid.tariffs.page import KILO, Page, Terms
from microgrid.tariffs.prices import BY_MONTH, Price, Tier, fill, monthly_price, reach, tier_ends
from microgrid.tariffs.reading import Reading

MONTH_DAYS = (31, 28.25, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class DemandCharge(Charge):
    """Price for each unit of a determinant, each cycle; `months` are those in which the cycle begins.

    A cycle that the load covers only in part is billed in full on what was measured, unless prorated. `norm_days`
    scales the price to the days of the cycle where the tariff itself does.
    """

    kind: Literal["demand", "per_unit"]
    of: str = Field(description="determinant that is billed")
    price: Price | None = None
    tiers: tuple[Tier, ...] | dict[Literal["by_month"], tuple[tuple[Tier, ...], ...]] | None = None
    tier_mode: Literal["graduated", "slab"] = "graduated"
    norm_days: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _one_price(self) -> DemandCharge:
        if (self.price is None) == (self.tiers is None):
            raise ValueError("a demand charge has one price: state `price` or `tiers`, not both")
        if isinstance(self.price, dict) and BY_MONTH not in self.price:
            raise ValueError("a determinant has no TOU periods; price it by one number or `by_month`")
        if isinstance(self.tiers, dict) and len(self.tiers["by_month"]) != 12:
            raise ValueError("`tiers: {by_month: ...}` has a list for every month: give twelve, January to December")
        return self

    def bill(self, reading: Reading, ledger: Ledger) -> None:
        """Enter one line a cycle, or one a tier and cycle."""
        cycles, quantity = reading.axis.cycles, reading.determinants[self.of]
        scale = self._scale(cycles)
        unit = reading.units.get(self.of, "kW")
        if self.tiers is None:
            price = monthly_price(self.price if self.price is not None else 0.0)[cycles.month - 1] * scale
            ledger.each_cycle(self.id, unit, np.where(scale != 0.0, quantity, 0.0), quantity * price)
            return
        for tiers, here in self._tier_sets(cycles):
            ends = tier_ends(tiers, cycles.days, None)
            units = (reach if self.tier_mode == "slab" else fill)(quantity, ends) * (here * (scale != 0.0))
            prices = np.array([monthly_price(tier.price)[cycles.month - 1] for tier in tiers]) * scale
            tier, cycle = np.nonzero(units)
            ledger.enter(self.id, unit, cycle, units[tier, cycle], (units * prices)[tier, cycle], tier=tier + 1)

    def _scale(self, cycles: Cycles) -> np.ndarray:
        days = cycles.days / self.norm_days if self.norm_days else 1.0
        return np.asarray(self.in_season(cycles) * days * cycles.share)

    def _tier_sets(self, cycles: Cycles) -> list[tuple[tuple[Tier, ...], np.ndarray]]:
        """Each set of tiers with the cycles (0 or 1) that it holds in."""
        if not isinstance(self.tiers, dict):
            return [(self.tiers or (), np.ones(cycles.count))]
        months = self.tiers["by_month"]
        return [
            (months[month - 1], (cycles.month == month).astype(float)) for month in np.unique(cycles.month).tolist()
        ]

    def formulate(self, page: Page) -> None:
        """Write price times determinant; rising tiers stay an LP, falling tiers choose a tier (see `staircase`)."""
        cycles, quantity = page.axis.cycles, page.determinants[self.of]
        scale = self._scale(cycles)
        if self.tiers is None:
            price = monthly_price(self.price if self.price is not None else 0.0)[cycles.month - 1] * scale
            page.pulls(self.id, self.of, price)
            amounts: Terms = [KILO * float(price[c]) * quantity[c] for c in page.cycles]
        else:
            amounts = self._tiered(page, quantity, scale)

        @page.block.cost(page.cycles, of=self.id)
        def demand(c: int) -> Linear:
            r"""\pi_c D_c, tier by tier where the price has tiers"""
            return amounts[c]

        page.amounts[self.id] = amounts
        if self.of in page.next_year:
            self._bill_next_year(page)

    def _tiered(self, page: Page, quantity: Terms, scale: np.ndarray) -> Terms:
        highest = page.reach().highest[self.of] / KILO if page.largest_import_mw is not None else None
        sums: list[Linear] = [page.constant(0.0)] * page.cycles.size
        least = np.zeros(page.cycles.size)
        for number, (tiers, here) in enumerate(self._tier_sets(page.axis.cycles)):
            months = page.axis.cycles.month - 1
            prices = np.array([monthly_price(tier.price)[months] for tier in tiers]) * scale * here
            name = self.id if number == 0 else f"{self.id}.{number}"
            stairs = Stairs(name, quantity, prices, tiers, self.tier_mode == "slab", highest)
            sums = [one + part for one, part in zip(sums, staircase(page, stairs), strict=True)]
            least = least + prices.min(axis=0)
        page.pulls(self.id, self.of, least)
        return sums

    def _bill_next_year(self, page: Page) -> None:
        price, coming = KILO * float(self._month_prices().mean()), page.next_year[self.of]
        amounts = [price * term for term in coming]

        @page.block.cost(page.cycles, of=f"{self.id}.next_year")
        def next_year(c: int) -> Linear:
            r"""v \bar\pi D^{CP}: what this year's coincident peaks cost next year, at the mean price of its months"""
            return amounts[c]

        page.next_year_amounts[self.id] = amounts

    def _month_prices(self) -> np.ndarray:
        """Price of a whole bill in each month of a year (the cheapest tier's), zero out of season, shape (12,)."""
        days = np.array(MONTH_DAYS) / self.norm_days if self.norm_days else np.ones(12)
        if self.tiers is None:
            listed = monthly_price(self.price if self.price is not None else 0.0)
        else:
            sets = self.tiers["by_month"] if isinstance(self.tiers, dict) else (self.tiers,) * 12
            listed = np.array(
                [min(monthly_price(tier.price)[month] for tier in tiers) for month, tiers in enumerate(sets)]
            )
        return np.asarray(listed * days * np.isin(np.arange(1, 13), self.months or range(1, 13)))


__all__ = ["DemandCharge"]
