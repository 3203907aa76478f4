"""Prices that vary by TOU period and month, and the tiers they apply to.

A price is one number, a number for each period, twelve numbers by month, or twelve numbers for each period. A tier is
bounded by the least of the limits it states: energy, energy per kW of billing demand (hours use), energy per day,
or demand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, field_validator, model_validator

from microgrid.schema.quantity import Declared

BY_MONTH = "by_month"

Price = float | dict[str, float | tuple[float, ...]]
"""Money a unit: a number, ``{period: number or twelve}``, or ``{by_month: twelve}``."""

_OPEN = (float("inf"), "inf", ".inf")

Limit = Annotated[float, Field(ge=0, allow_inf_nan=True)]


class Bound(Declared):
    """Upper end of a tier; the least of the stated limits holds, none stated means no end."""

    kwh: Limit | None = Field(None, description="energy of the billing cycle, kWh")
    kwh_per_kw: Limit | None = Field(None, description="hours use: energy for each kW of billing demand, kWh/kW")
    kwh_per_day: Limit | None = Field(None, description="energy for each day of the billing cycle, kWh/day")
    kw: Limit | None = Field(None, description="demand, kW")

    @model_validator(mode="before")
    @classmethod
    def _infinite_is_open(cls, limits: object) -> object:
        return {k: v for k, v in limits.items() if v not in _OPEN} if isinstance(limits, dict) else limits


class Tier(Declared):
    """One block of a tiered price, counted from the bottom (limits are cumulative)."""

    upto: Limit | Bound = Field(description="where the tier ends, counted from zero; `.inf` or {} for the last")
    price: Price = Field(description="money for each unit inside the tier")

    @field_validator("upto", mode="before")
    @classmethod
    def _infinite_is_open(cls, upto: object) -> object:
        return {} if isinstance(upto, (float, str)) and upto in _OPEN else upto

    @property
    def bound(self) -> Bound:
        """The end of the tier as a record; a bare number is energy or demand, whichever the charge counts."""
        return self.upto if isinstance(self.upto, Bound) else Bound(kwh=self.upto)


class Band(Declared):
    """Slice of instantaneous power, kW (a number or the name of a contract value)."""

    above: float | str = 0.0
    below: float | str | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Band:
        if self.above == 0.0 and self.below is None:
            raise ValueError("a band has no edge: state `above`, `below` or both")
        return self


def price_table(price: Price, periods: Sequence[str]) -> np.ndarray:
    """Price by month and period, shape (12, periods); NaN where no price is stated."""
    table = np.full((12, len(periods)), np.nan)
    if not isinstance(price, dict):
        table[:] = price
    elif BY_MONTH in price:
        table[:] = np.reshape(np.asarray(price[BY_MONTH], dtype=float), (-1, 1))
    else:
        for place, period in enumerate(periods):
            if period in price:
                table[:, place] = price[period]
    return table


def monthly_price(price: Price) -> np.ndarray:
    """Price by month for a quantity that knows no TOU period, shape (12,)."""
    if isinstance(price, dict) and BY_MONTH not in price:
        raise ValueError("a price by TOU period has no calendar: add `calendar: <name>`")
    return price_table(price, ("",))[:, 0]


def tier_ends(tiers: Sequence[Tier], days: np.ndarray, billing_kw: np.ndarray | None) -> np.ndarray:
    """Cumulative end of each tier in each cycle, shape (tiers, cycles), never falling.

    `days` and `billing_kw` have shape (cycles,). A limit below the one before leaves a tier of zero width.
    """
    ends = np.array([_end(tier.bound, days, billing_kw) for tier in tiers])
    return np.asarray(np.maximum.accumulate(ends, axis=0))


def _end(bound: Bound, days: np.ndarray, billing_kw: np.ndarray | None) -> np.ndarray:
    end = np.full(days.shape, np.inf)
    for fixed in (bound.kwh, bound.kw):
        if fixed is not None:
            end = np.minimum(end, fixed)
    if bound.kwh_per_day is not None:
        end = np.minimum(end, bound.kwh_per_day * days)
    if bound.kwh_per_kw is not None and billing_kw is not None:
        end = np.minimum(end, bound.kwh_per_kw * billing_kw)
    return end


def fill(quantity: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Units of `quantity` (cycles,) in each tier of `ends` (tiers, cycles), shape (tiers, cycles)."""
    starts = np.vstack([np.zeros(ends.shape[1]), ends[:-1]])
    return np.asarray(np.clip(np.minimum(quantity, ends) - starts, 0.0, None))


def reach(quantity: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """All of `quantity` in the tier it reaches (slab pricing), shape (tiers, cycles)."""
    reached = np.minimum((quantity > ends).sum(axis=0), ends.shape[0] - 1)
    units = np.zeros(ends.shape)
    units[reached, np.arange(ends.shape[1])] = quantity
    return units


__all__ = [
    "BY_MONTH",
    "Band",
    "Bound",
    "Price",
    "Tier",
    "fill",
    "monthly_price",
    "price_table",
    "reach",
    "tier_ends",
]
