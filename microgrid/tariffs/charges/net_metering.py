"""Net-metered energy: import less export by cycle and TOU period, with a kWh or dollar bank for the surplus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.tariffs.charges.charge import Charge
from microgrid.tariffs.export import Export
from microgrid.tariffs.ledger import Ledger
from microgrid.tariffs.page import KILO, Page, Terms
from microgrid.tariffs.prices import Price, price_table
from microgrid.tariffs.reading import Reading


class NetMeteredEnergy(Charge):
    """Energy price on the net of each cycle and TOU period; the tariff's `export` says what becomes of a surplus."""

    kind: Literal["net_metered_energy"]
    calendar: str | None = None
    price: Price

    # -- biller ----------------------------------------------------------------------------------------------

    def bill(self, reading: Reading, ledger: Ledger) -> None:
        """Enter the net energy paid by cycle and period, and what a closing kWh bank is cashed at."""
        axis, scheme = reading.axis, export_of(reading.export, self.id)
        periods = axis.periods_or_all(self.calendar)
        count = axis.cycles.count
        key = axis.cycles.of * len(periods.names) + periods.of
        power = reading.import_kw - reading.export_kw
        net = np.bincount(key, power, count * len(periods.names)).reshape(count, -1) * axis.hours
        prices = price_table(self.price, periods.names)[axis.cycles.month - 1]
        closes = scheme.closes(axis.cycles.month)
        if scheme.scheme == "net_metering_dollar":
            self._enter(ledger, periods.names, np.maximum(net, 0.0), prices)
            reading.credits[self.id] = (
                np.maximum(-net, 0.0) * self._credit(scheme, axis.cycles.month, periods.names)
            ).sum(axis=1)
            return
        paid, banks = _bank(net, closes)
        self._enter(ledger, periods.names, paid, prices)
        left = _running_total(net.sum(axis=1), closes) if scheme.true_up_on == "running_total" else banks.sum(axis=1)
        cashed = np.where(closes, left, 0.0) * self.in_season(axis.cycles)
        if scheme.true_up_price:
            ledger.each_cycle(self.id, "kWh cashed", cashed, -scheme.true_up_price * cashed)

    def _enter(self, ledger: Ledger, names: Sequence[str], paid: np.ndarray, prices: np.ndarray) -> None:
        cycle, period = np.nonzero(paid)
        quantity = paid[cycle, period]
        labels = [names[place] for place in period.tolist()]
        ledger.enter(self.id, "kWh", cycle, quantity, quantity * prices[cycle, period], period=labels)

    def _credit(self, scheme: Export, month: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        price = self.price if scheme.credit_price is None else scheme.credit_price
        return np.asarray(price_table(price, names)[month - 1])

    # -- optimiser -------------------------------------------------------------------------------------------

    def formulate(self, page: Page) -> None:
        """Write net energy paid ``y`` and bank ``b``; an LP while kWh are worth most when used first (see `_hold`)."""
        scheme = export_of(page.export, self.id)
        axis, periods = page.axis, page.axis.periods_or_all(self.calendar)
        names, buckets = periods.names, len(periods.names)
        prices = price_table(self.price, names)[axis.cycles.month - 1]
        closes = scheme.closes(axis.cycles.month)
        power = [bought - sold for bought, sold in zip(page.energy_import, page.energy_export, strict=True)]
        masks = [(periods.of == q).astype(float) for q in range(buckets)]
        net = [[page.energy_mwh(power, masks[q], steps) for q in range(buckets)] for steps in page.steps_of]
        places = page.indexed("bucket", self.id, page.cycles.size * buckets)
        paid = page.block.variable("paid_mwh", places, "MWh", "net energy paid, by cycle and period", of=self.id)
        surplus = page.block.variable("bank_mwh", places, "MWh", "surplus kept, by cycle and period", of=self.id)
        dollars = scheme.scheme == "net_metering_dollar"

        @page.block.constraint(places, of=self.id)
        def bank(k: int) -> Relation:
            r"""y_{c,q} - b_{c,q} + b_{c-1,q} = net_{c,q}"""
            c, q = divmod(k, buckets)
            kept = 0.0 if c == 0 or closes[c - 1] or dollars else surplus[k - buckets]
            return paid[k] - surplus[k] + kept == net[c][q]

        amounts: list[Linear] = [
            total(KILO * float(prices[c, q]) * paid[c * buckets + q] for q in range(buckets)) for c in page.cycles
        ]
        if dollars:
            credit = self._credit(scheme, axis.cycles.month, names)
            page.credits[self.id] = [
                total(KILO * float(credit[c, q]) * surplus[c * buckets + q] for q in range(buckets))
                for c in page.cycles
            ]
            rewarded = [bool((credit > prices).any(axis=1)[c]) for c in page.cycles]
        else:
            rewarded = _better_later(prices, closes, scheme.true_up_price or 0.0)
        _hold(page, self.id, (paid, surplus), rewarded, buckets)
        self._write(page, amounts, self._cash(page, scheme, net, surplus, closes))

    def _write(self, page: Page, amounts: Sequence[Linear], cashed: Sequence[Linear]) -> None:
        @page.block.cost(page.cycles, of=self.id)
        def net_metered_energy(c: int) -> Linear:
            r"""\sum_q \pi_{c,q} y_{c,q}"""
            return amounts[c]

        @page.block.revenue(page.cycles, of=self.id)
        def true_up(c: int) -> Linear:
            r"""\pi^{cash} times the bank that closes"""
            return cashed[c]

        page.may_be_negative.add(self.id)
        page.amounts[self.id] = [paid - cash for paid, cash in zip(amounts, cashed, strict=True)]

    def _cash(
        self, page: Page, scheme: Export, net: list[list[Linear]], surplus: Terms, closes: np.ndarray
    ) -> list[Linear]:
        """Dollars for the bank when it closes, by cycle."""
        nothing = [page.constant(0.0)] * page.cycles.size
        price = KILO * (scheme.true_up_price or 0.0)
        if not price or not closes.any() or scheme.scheme == "net_metering_dollar":
            return nothing
        buckets = len(net[0])
        if scheme.true_up_on == "banks":
            left = [total(surplus[c * buckets + q] for q in range(buckets)) for c in page.cycles]
        else:
            left = list(_running_terms(page, self.id, [total(row) for row in net], closes))
        season = self.in_season(page.axis.cycles)
        return [price * float(season[c]) * left[c] if closes[c] else nothing[c] for c in page.cycles]


def export_of(export: Export | None, charge: str) -> Export:
    """Return the export scheme, which a net-metered charge cannot do without."""
    if export is None:
        raise InvalidInput(
            Problem(
                "a net-metered charge needs the tariff's `export` scheme",
                "add `export: {scheme: ...}`",
                f"charges.{charge}",
            )
        )
    return export


def _bank(net: np.ndarray, closes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energy paid and bank after each cycle, kWh, both of shape (cycles, periods)."""
    paid, banks = np.zeros(net.shape), np.zeros(net.shape)
    held = np.zeros(net.shape[1])
    for cycle, row in enumerate(net):
        level = row - held
        paid[cycle], banks[cycle] = np.maximum(level, 0.0), np.maximum(-level, 0.0)
        held = np.zeros(net.shape[1]) if closes[cycle] else banks[cycle]
    return paid, banks


def _running_total(net: np.ndarray, closes: np.ndarray) -> np.ndarray:
    """Surplus of all periods together after each cycle, kWh, never negative."""
    left = np.zeros(net.size)
    held = 0.0
    for cycle, value in enumerate(net.tolist()):
        left[cycle] = max(held - value, 0.0)
        held = 0.0 if closes[cycle] else left[cycle]
    return left


def _running_terms(page: Page, name: str, net: list[Linear], closes: np.ndarray) -> Terms:
    """Running surplus as a variable held from above: one binary a cycle, since cashing it rewards a maximum.

    ``M`` is the most energy that the meter can pass in the cycles since the bank was opened.
    """
    running = page.variable("running_mwh", name, "MWh", "surplus of all periods together")
    positive = page.variable("in_surplus", name, "1", "whether the running total is a surplus", integer=True)
    bound = page.most_energy_mwh(f"cashing the running total of `{name}`")

    def held(c: int) -> Linear | float:
        return 0.0 if c == 0 or closes[c - 1] else running[c - 1]

    @page.block.constraint(page.cycles, of=name)
    def at_most_total(c: int) -> Relation:
        r"""R_c \le R_{c-1} - net_c + M (1 - z_c)"""
        return running[c] <= held(c) - net[c] + bound * (1.0 - positive[c])

    @page.block.constraint(page.cycles, of=name)
    def at_least_total(c: int) -> Relation:
        r"""R_c \ge R_{c-1} - net_c"""
        return running[c] >= held(c) - net[c]

    @page.block.constraint(page.cycles, of=name)
    def none_in_deficit(c: int) -> Relation:
        r"""R_c \le M z_c"""
        return running[c] <= bound * positive[c]

    return running


def _better_later(prices: np.ndarray, closes: np.ndarray, cash: float) -> list[bool]:
    """Cycles in which keeping a kWh banked would beat using it, so that using it first must be enforced."""
    rewarded = [False] * len(prices)
    later = np.full(prices.shape[1], -np.inf)
    for cycle in range(len(prices) - 1, -1, -1):
        if closes[cycle]:
            later = np.full(prices.shape[1], cash)
        rewarded[cycle] = bool((later > prices[cycle]).any())
        later = np.maximum(later, prices[cycle])
    return rewarded


def _hold(page: Page, name: str, parts: tuple[Terms, Terms], rewarded: list[bool], buckets: int) -> None:
    """Use banked energy first: pay for energy or keep a surplus, never both, by one binary a cycle and period.

    Needed only where a banked kWh would be worth more later than now; the meter's greatest energy bounds both.
    """
    chosen = [k for k in range(len(rewarded) * buckets) if rewarded[k // buckets]]
    if not chosen:
        return
    paid, surplus = parts
    bound = page.most_energy_mwh(f"a kWh bank of `{name}` that is worth more later")
    places = page.indexed("first_use", name, len(chosen))
    pays = page.block.variable("pays", places, "1", "whether net energy is paid", upper=1.0, integer=True, of=name)

    @page.block.constraint(places, of=name)
    def pays_or_keeps(k: int) -> Relation:
        r"""b_{c,q} \le M (1 - z)"""
        return surplus[chosen[k]] <= bound * (1.0 - pays[k])

    @page.block.constraint(places, of=name)
    def pays_nothing_else(k: int) -> Relation:
        r"""y_{c,q} \le M z"""
        return paid[chosen[k]] <= bound * pays[k]


__all__ = ["NetMeteredEnergy", "export_of"]
