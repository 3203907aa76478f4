"""Supply blocks beside the tariff: fixed-shape and as-generated purchases, take-or-pay, sell-back, differences."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.schema.quantity import Declared
from microgrid.tariffs.axis import Axis
from microgrid.tariffs.ledger import Ledger
from microgrid.tariffs.page import KILO, Page, Terms
from microgrid.tariffs.prices import Price, price_table
from microgrid.tariffs.reading import Reading


class SupplyBlock(Declared):
    """Energy bought in a stated shape ``q_t``, delivered at the meter.

    `mw` is a number, a contract value in kW, or a series in MW (as-generated). Blocks serve the import in the order
    listed, ``used = min(import left, q)``, and charges tagged `supply` then see only what is left; delivery and demand
    charges still see the whole import.

    `physical`: unused energy is lost; with `take_or_pay` at least `min_take_pct` of the cycle's block is paid, used or
    not. `sell_back_at_index`: the whole block is paid and the unused part sold at ``mult * index + adder``. `cfd`: a
    settlement of ``(price - index) q`` that delivers nothing.
    """

    id: str
    mw: float | str
    calendar: str | None = None
    periods: tuple[str, ...] | None = None
    price: Price
    take_or_pay: bool = True
    settle: Literal["physical", "sell_back_at_index", "cfd"] = "physical"
    index: str | None = None
    index_mult: float = Field(1.0, description="factor on the index of a cfd")
    sell_back_mult: float = 1.0
    sell_back_adder: float = 0.0
    min_take_pct: float = Field(1.0, ge=0, le=1)
    term: str | None = None

    @model_validator(mode="after")
    def _index_given(self) -> SupplyBlock:
        if self.settle != "physical" and self.index is None:
            raise ValueError(f"settle `{self.settle}` has no price of the market: state `index`, a series")
        return self

    @property
    def delivers(self) -> bool:
        """Whether the block serves the import."""
        return self.settle != "cfd"

    def shape_mw(self, axis: Axis, contract: dict[str, float], series: dict[str, np.ndarray]) -> np.ndarray:
        """Power of the block by interval, MW, shape (intervals,)."""
        if isinstance(self.mw, str) and self.mw in series:
            power = np.asarray(series[self.mw], dtype=float)
        else:
            power = np.full(axis.count, contract[self.mw] / KILO if isinstance(self.mw, str) else self.mw)
        return np.asarray(np.where(axis.mask(self.calendar, self.periods), power, 0.0))

    def _prices(self, axis: Axis) -> np.ndarray:
        periods = axis.periods_or_all(self.calendar)
        return np.asarray(price_table(self.price, periods.names)[axis.month_of, periods.of])

    # -- biller ----------------------------------------------------------------------------------------------

    def bill(self, reading: Reading, ledger: Ledger, left_kw: np.ndarray) -> np.ndarray:
        """Enter what the block costs and earns; return the import left after it, kW."""
        axis = reading.axis
        shape = self.shape_mw(axis, dict(reading.contract), dict(reading.values)) * KILO
        price, hours = self._prices(axis), axis.hours
        used = np.minimum(left_kw, shape) if self.delivers else np.zeros(axis.count)
        ledger.open(self.id, "supply", ("supply",))
        if self.settle == "cfd":
            spread = price - self.index_mult * reading.series(str(self.index))
            _enter(ledger, self.id, "kWh settled", axis, shape * hours, spread)
            return left_kw
        if self.settle == "sell_back_at_index":
            _enter(ledger, self.id, "kWh", axis, shape * hours, price)
            back = self.sell_back_mult * reading.series(str(self.index)) + self.sell_back_adder
            _enter(ledger, self.id, "kWh sold back", axis, (shape - used) * hours, -back)
            return np.asarray(left_kw - used)
        _enter(ledger, self.id, "kWh", axis, used * hours, price)
        if self.take_or_pay:
            count = axis.cycles.count
            due = np.bincount(axis.cycles.of, shape * hours * price, count) * self.min_take_pct
            paid = np.bincount(axis.cycles.of, used * hours * price, count)
            short = np.maximum(due - paid, 0.0)
            ledger.each_cycle(self.id, "$ take or pay", short, short)
        return np.asarray(left_kw - used)

    # -- optimiser -------------------------------------------------------------------------------------------

    def formulate(self, page: Page, left: Terms) -> Terms:
        """Write the block's money; return the import left after it, MW by step.

        What is used is ``min(import left, q)``: forbidding import left and unused block at once makes it exact, and a
        binary is needed only at steps where selling back beats using.
        """
        shape = self.shape_mw(page.axis, dict(page.contract), dict(page.series))
        price = self._prices(page.axis)
        if self.settle == "cfd":
            spread = price - self.index_mult * page.series[str(self.index)]
            settled = np.bincount(page.axis.cycles.of, shape * spread, page.cycles.size) * page.axis.hours * KILO
            self._cost(page, [page.constant(float(value)) for value in settled])
            return left
        steps = page.block.horizon.steps
        used = page.block.variable("used_mw", steps, "MW", "block energy used", upper=shape.tolist(), of=self.id)
        rest = page.block.variable("rest_mw", steps, "MW", "import left after the block", of=self.id)

        @page.block.constraint(steps, of=self.id)
        def serves(t: int) -> Relation:
            r"""used_t + rest_t = p_t"""
            return used[t] + rest[t] == left[t]

        unused = page.block.variable(
            "unused_mw", steps, "MW", "block energy not used", upper=shape.tolist(), of=self.id
        )

        @page.block.constraint(steps, of=self.id)
        def takes(t: int) -> Relation:
            r"""used_t + unused_t = q_t"""
            return used[t] + unused[t] == float(shape[t])

        largest = [page.limit_mw(f"supply block `{self.id}`")] * steps.size
        page.forbid_both((rest, unused), (largest, shape.tolist()))
        self._cost(page, self._amounts(page, used, unused, shape, price))
        return rest

    def _amounts(self, page: Page, used: Terms, unused: Terms, shape: np.ndarray, price: np.ndarray) -> list[Linear]:
        if self.settle == "sell_back_at_index":
            whole = np.bincount(page.axis.cycles.of, shape * price, page.cycles.size) * page.axis.hours * KILO
            back = self.sell_back_mult * page.series[str(self.index)] + self.sell_back_adder
            sold = page.priced_by_cycle(unused, back)
            return [float(whole[c]) - sold[c] for c in page.cycles]
        paid = page.priced_by_cycle(used, price)
        if not self.take_or_pay:
            return paid
        due = (
            np.bincount(page.axis.cycles.of, shape * price, page.cycles.size)
            * page.axis.hours
            * KILO
            * self.min_take_pct
        )
        taken = page.variable("paid", self.id, "USD", "paid for the block, used or not")

        @page.block.constraint(page.cycles, of=self.id)
        def pays_use(c: int) -> Relation:
            r"""a_c \ge \sum_t \pi_t \Delta_t used_t"""
            return taken[c] >= paid[c]

        @page.block.constraint(page.cycles, of=self.id)
        def takes_or_pays(c: int) -> Relation:
            r"""a_c \ge \beta \sum_t \pi_t \Delta_t q_t"""
            return taken[c] >= float(due[c])

        return [total([taken[c]]) for c in page.cycles]

    def _cost(self, page: Page, amounts: Terms) -> None:
        @page.block.cost(page.cycles, of=self.id)
        def supply(c: int) -> Linear:
            r"""Block purchase less what is sold back"""
            return amounts[c]

        page.amounts[self.id] = amounts


def _enter(ledger: Ledger, name: str, unit: str, axis: Axis, energy: np.ndarray, price: np.ndarray) -> None:
    count = axis.cycles.count
    ledger.each_cycle(
        name, unit, np.bincount(axis.cycles.of, energy, count), np.bincount(axis.cycles.of, energy * price, count)
    )


__all__ = ["SupplyBlock"]
