"""Adjustments of earlier charges, in order: percentages, minimum bills and annual minimums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.tariffs.charges.charge import Charge
from microgrid.tariffs.ledger import Ledger
from microgrid.tariffs.page import KILO, Page
from microgrid.tariffs.reading import Reading


class Percent(Charge):
    """Rider or tax as a fraction of earlier charges."""

    kind: Literal["percent"]
    pct: float = Field(description="fraction, 0.05 for 5 %")
    of: tuple[str, ...]

    def bill(self, reading: Reading, ledger: Ledger) -> None:
        """Enter the fraction of the listed charges, one line a cycle."""
        base = _sum(ledger.amounts, self.of) * self.in_season(reading.axis.cycles)
        ledger.each_cycle(self.id, "$", base, self.pct * base)

    def formulate(self, page: Page) -> None:
        """Write the fraction of the listed terms; linear."""
        season = self.in_season(page.axis.cycles)
        amounts = [self.pct * float(season[c]) * total(page.amounts[ref][c] for ref in self.of) for c in page.cycles]
        for ref in self.of:
            for determinant, price in page.amount_pull.get(ref, {}).items():
                page.pulls(self.id, determinant, self.pct * season * price)

        @page.block.cost(page.cycles, of=self.id)
        def percent(c: int) -> Linear:
            r"""\alpha \sum_i a_{i,c}"""
            return amounts[c]

        page.amounts[self.id] = amounts
        self._next_year(page)

    def _next_year(self, page: Page) -> None:
        """The fraction of what coincident peaks bill next year, by the part of a year that it is billed in."""
        held = [page.next_year_amounts[ref] for ref in self.of if ref in page.next_year_amounts]
        if not held:
            return
        share = self.pct * len(self.months or range(12)) / 12.0
        amounts = [share * total(terms[c] for terms in held) for c in page.cycles]

        @page.block.cost(page.cycles, of=f"{self.id}.next_year")
        def next_year(c: int) -> Linear:
            r"""\alpha \sum_i a^{next}_{i,c}"""
            return amounts[c]

        page.next_year_amounts[self.id] = amounts


class MinimumBill(Charge):
    """Top-up to a floor: an amount, or money for each unit of determinants plus an amount, in every cycle.

    With `floor_base_at_zero` a negative sum (credits) counts as zero before it is topped up.
    """

    kind: Literal["min_bill"]
    of: tuple[str, ...] = Field((), description="charges that count; all earlier ones not exempt when absent")
    amount: float | None = None
    per: dict[str, float] | None = Field(None, description="money for each unit of a determinant")
    plus: float = 0.0
    floor_base_at_zero: bool = False

    @model_validator(mode="after")
    def _one_floor(self) -> MinimumBill:
        if (self.amount is None) == (self.per is None):
            raise ValueError("a minimum bill has one floor: state `amount` or `per`, not both")
        return self

    def bill(self, reading: Reading, ledger: Ledger) -> None:
        """Enter the top-up, one line a cycle where the floor binds."""
        base = _sum(ledger.amounts, self.of)
        if self.floor_base_at_zero:
            base = np.maximum(base, 0.0)
        short = np.maximum(self._floor(reading) - base, 0.0) * self.in_season(reading.axis.cycles)
        ledger.each_cycle(self.id, "$", short, short)

    def _floor(self, reading: Reading) -> np.ndarray:
        floor = np.full(reading.axis.cycles.count, (self.amount or 0.0) + self.plus)
        for ref, price in (self.per or {}).items():
            floor = floor + price * reading.determinants[ref]
        return np.asarray(floor * reading.axis.cycles.share)

    def formulate(self, page: Page) -> None:
        """Write ``a_c >= floor_c - sum of charges``; an LP, since the greater of two sums is convex."""
        if self.floor_base_at_zero:
            refuse_negative(page, self.id, self.of)
        topped = page.variable("top_up", self.id, "USD", "top-up to the minimum bill")
        season = self.in_season(page.axis.cycles)
        share: list[float] = page.axis.cycles.share.tolist()
        for ref, price in (self.per or {}).items():
            page.pulls(self.id, ref, np.full(page.cycles.size, min(price, 0.0)) * page.axis.cycles.share)

        @page.block.constraint(page.cycles, of=self.id)
        def minimum(c: int) -> Relation | None:
            r"""a_c \ge F_c - \sum_i a_{i,c}"""
            if not season[c]:
                return None
            floor = (self.amount or 0.0) + self.plus
            per = total(KILO * price * page.determinants[ref][c] for ref, price in (self.per or {}).items())
            return topped[c] >= share[c] * (floor + per) - total(page.amounts[ref][c] for ref in self.of)

        @page.block.cost(page.cycles, of=self.id)
        def minimum_bill(c: int) -> Linear:
            r"""a_c"""
            return topped[c]

        page.amounts[self.id] = topped


class AnnualMinimum(Charge):
    """Top-up of the sum over all billed cycles to a yearly floor, charged in the last cycle."""

    kind: Literal["annual_min"]
    of: tuple[str, ...]
    amount: float
    floor_base_at_zero: bool = False

    def bill(self, reading: Reading, ledger: Ledger) -> None:
        """Enter the top-up in the last cycle."""
        base = _sum(ledger.amounts, self.of)
        yearly = float((np.maximum(base, 0.0) if self.floor_base_at_zero else base).sum())
        short = np.zeros(reading.axis.cycles.count)
        short[-1] = max(self.amount - yearly, 0.0)
        if reading.axis.cycles.count != 12:
            reading.notes.append(f"annual minimum `{self.id}` applied to {reading.axis.cycles.count} cycles, not 12")
        ledger.each_cycle(self.id, "$", short, short)

    def formulate(self, page: Page) -> None:
        """Write one row ``a >= F - sum of charges``; an LP."""
        if self.floor_base_at_zero:
            refuse_negative(page, self.id, self.of)
        topped = page.block.variable("top_up", page.indexed("year", self.id, 1), "USD", "annual top-up", of=self.id)

        @page.block.constraint(range(1), of=self.id)
        def annual_minimum_row(_: int) -> Relation:
            r"""a \ge F - \sum_c \sum_i a_{i,c}"""
            return topped[0] >= self.amount - total(page.amounts[ref][c] for ref in self.of for c in page.cycles)

        amounts = [*[page.constant(0.0)] * (page.cycles.size - 1), topped[0]]

        @page.block.cost(page.cycles, of=self.id)
        def annual_minimum(c: int) -> Linear:
            r"""a, in the last cycle"""
            return amounts[c]

        page.amounts[self.id] = amounts


def refuse_negative(page: Page, name: str, of: Sequence[str]) -> None:
    """Raise where a floored base could be negative: flooring it at zero first makes the cost concave there."""
    if any(ref in page.may_be_negative for ref in of):
        raise InvalidInput(
            Problem(
                "`floor_base_at_zero` over charges that can be negative cannot be optimised",
                "leave credits out of the minimum's `of`",
                f"charges.{name}",
            )
        )


def _sum(amounts: Mapping[str, np.ndarray], of: Sequence[str]) -> np.ndarray:
    return np.asarray(sum(amounts[ref] for ref in of))


__all__ = ["AnnualMinimum", "MinimumBill", "Percent"]
