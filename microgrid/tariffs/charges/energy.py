"""Energy charges: TOU and seasonal prices, index prices, power bands, event energy, and tiers."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear
from microgrid.tariffs.axis import Axis
from microgrid.tariffs.charges.band import band_terms, clip_to_band
from microgrid.tariffs.charges.charge import Charge
from microgrid.tariffs.charges.energy_tiers import allocate, tier_terms, unshared
from microgrid.tariffs.ledger import Ledger
from microgrid.tariffs.page import Page, Terms
from microgrid.tariffs.prices import Band, Price, Tier, price_table
from microgrid.tariffs.reading import Reading


class EnergyCharge(Charge):
    """Price for energy through a channel; `export` is paid to the customer.

    The price is `price` (by period and month), or `tiers`, plus, with `series`, the index
    ``min(cap, max(floor, mult * index + adder))``. `loss_factor` raises metered energy. `band` prices only the slice of
    power between two levels, `when` only the intervals that a 0/1 series marks. `tier_alloc` states how tiers are
    shared among TOU periods: `pro_rata` by energy, `chronological` as energy flows, or `per_period` with a counter for
    each; `tier_mode` is `graduated` (each unit at its own tier) or `slab` (all units at the tier reached).
    """

    kind: Literal["energy"]
    channel: Literal["import", "export", "gross_load"] = "import"
    calendar: str | None = None
    price: Price | None = None
    tiers: tuple[Tier, ...] | None = None
    tier_alloc: Literal["pro_rata", "chronological", "per_period"] = "pro_rata"
    tier_mode: Literal["graduated", "slab"] = "graduated"
    kw: str | None = Field(None, description="billing demand that `kwh_per_kw` tiers count on")
    series: str | None = None
    mult: float = 1.0
    adder: float = 0.0
    floor: float | None = None
    cap: float | None = None
    loss_factor: float = Field(1.0, gt=0)
    band: Band | None = None
    when: str | None = None

    @model_validator(mode="after")
    def _one_price(self) -> EnergyCharge:
        if self.price is None and self.tiers is None and self.series is None:
            raise ValueError("an energy charge has no price: state `price`, `tiers` or `series`")
        if self.tiers is not None and (self.price is not None or self.series is not None or self.channel == "export"):
            raise ValueError("`tiers` stand alone: put `price`, `series` or export in a charge of their own")
        return self

    # -- biller ----------------------------------------------------------------------------------------------

    def bill(self, reading: Reading, ledger: Ledger) -> None:
        """Enter lines by cycle, period and tier."""
        axis = reading.axis
        energy = self._power_kw(reading) * (axis.hours * self.loss_factor) * self._season(axis)
        if self.when is not None:
            energy = energy * reading.series(self.when)
        periods = axis.periods_or_all(self.calendar)
        if self.tiers is not None:
            billed = reading.determinants[self.kw] if self.kw is not None else None
            allocate(self, energy, periods, axis, billed).enter(ledger, self.id, self.tiers, self.calendar is not None)
            return
        index = self._index(reading.series(self.series)) if self.series is not None else None
        sign = -1.0 if self.channel == "export" else 1.0
        if index is not None:
            self._enter_by_interval(ledger, axis, energy, sign * (index + self._listed(axis)))
            return
        key = (axis.cycles.of * 12 + axis.month_of) * len(periods.names) + periods.of
        size = axis.cycles.count * 12 * len(periods.names)
        quantity = np.bincount(key, energy, size)
        lines = np.flatnonzero(quantity)
        cycle, month, period = np.unravel_index(lines, (axis.cycles.count, 12, len(periods.names)))
        price = self._table(periods.names)[month, period]
        self._all_priced(price)
        names = [periods.names[place] for place in period.tolist()]
        ledger.enter(self.id, "kWh", cycle, quantity[lines], sign * price * quantity[lines], period=names)

    def _enter_by_interval(self, ledger: Ledger, axis: Axis, energy: np.ndarray, price: np.ndarray) -> None:
        periods = axis.periods_or_all(self.calendar)
        key = axis.cycles.of * len(periods.names) + periods.of
        size = axis.cycles.count * len(periods.names)
        quantity, amount = np.bincount(key, energy, size), np.bincount(key, energy * price, size)
        lines = np.flatnonzero(quantity)
        cycle, period = np.unravel_index(lines, (axis.cycles.count, len(periods.names)))
        names = [periods.names[place] for place in period.tolist()]
        ledger.enter(self.id, "kWh", cycle, quantity[lines], amount[lines], period=names)

    def _power_kw(self, reading: Reading) -> np.ndarray:
        if self.channel == "gross_load":
            power = reading.metered("gross_load")
        else:
            power = reading.import_kw if self.channel == "import" else reading.export_kw
        return power if self.band is None else clip_to_band(power, self.band, reading)

    # -- prices, shared by both readings ---------------------------------------------------------------------

    def price_by_interval(self, axis: Axis, series: np.ndarray | None) -> np.ndarray:
        """Price at every interval without tiers, money a kWh, shape (intervals,); `series` is the index."""
        listed = self._listed(axis)
        return listed if series is None else listed + self._index(series)

    def _listed(self, axis: Axis) -> np.ndarray:
        if self.price is None:
            return np.zeros(axis.count)
        periods = axis.periods_or_all(self.calendar)
        listed = self._table(periods.names)[axis.month_of, periods.of]
        self._all_priced(listed)
        return np.asarray(listed)

    def _table(self, names: tuple[str, ...]) -> np.ndarray:
        return price_table(self.price if self.price is not None else 0.0, names)

    def _all_priced(self, price: np.ndarray) -> None:
        if np.isnan(price).any():
            raise InvalidInput(
                Problem("energy flows in a period that has no price", "price every period", f"charges.{self.id}.price")
            )

    def _index(self, series: np.ndarray) -> np.ndarray:
        return (
            np.asarray(np.clip(self.mult * series + self.adder, self.floor, self.cap))
            if self._bounded
            else (self.mult * series + self.adder)
        )

    @property
    def _bounded(self) -> bool:
        return self.floor is not None or self.cap is not None

    def _season(self, axis: Axis) -> np.ndarray | float:
        return 1.0 if self.months is None else np.isin(axis.month_of + 1, self.months).astype(float)

    # -- optimiser -------------------------------------------------------------------------------------------

    def unshared(self, axis: Axis) -> Problem | None:
        """Why the optimiser cannot state the tiers, as far as that shows without the hours of `when`."""
        if self.tiers is None or self.when is not None:
            return None
        return unshared(self, axis, np.ones(axis.count) * self._season(axis))

    def formulate(self, page: Page) -> None:
        """Write the charge; an LP except for tiers whose price falls (see `energy_tiers`) and bands (see `band`)."""
        weight = np.ones(page.axis.count) * self._season(page.axis) * self.loss_factor
        if self.when is not None:
            weight = weight * page.series[self.when]
        if self.tiers is not None:
            amounts = tier_terms(self, page, self._power(page, weight), weight)
        else:
            index = page.series[self.series] if self.series is not None else None
            price = weight * self.price_by_interval(page.axis, index)
            amounts = page.priced_by_cycle(self._power(page, price), price)
        self._write(page, amounts)

    def _power(self, page: Page, price: np.ndarray) -> Terms:
        if self.channel == "gross_load":
            return page.channel("gross_load")
        if self.channel == "export":
            return page.energy_export
        return page.energy_import if self.band is None else band_terms(page, self.band, price)

    def _write(self, page: Page, amounts: Terms) -> None:
        if self.channel == "export":

            @page.block.revenue(page.cycles, of=self.id)
            def export_credit(c: int) -> Linear:
                r"""\sum_{t \in c} \pi_t \Delta_t x_t"""
                return amounts[c]

            page.amounts[self.id] = [-1.0 * amount for amount in amounts]
            return

        @page.block.cost(page.cycles, of=self.id)
        def energy(c: int) -> Linear:
            r"""\sum_{t \in c} \pi_t \Delta_t p_t, tier by tier where the price has tiers"""
            return amounts[c]

        page.amounts[self.id] = amounts


__all__ = ["EnergyCharge"]
