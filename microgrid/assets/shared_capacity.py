"""Shared capacity of feeders, cooling and space: which use gets how many MW, month by month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from microgrid.assets.expected_calls import sold_down_mw, with_calls
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block
from microgrid.formulation.horizon import Horizon, Index
from microgrid.schema.quantity import Declared, quantity

HOURS_PER_YEAR = 8766.0  # mean Gregorian year: yearly charges apply in proportion to the window


class Use(Declared):
    """What a MW of one asset takes from the pool, what it costs to fit out, and how fast it can be built."""

    cooling_mw_per_mw: float = quantity("1", "heat rejection taken per MW", default=1.0, ge=0)
    space_m2_per_mw: float = quantity("m2/MW", "floor taken per MW", default=0.0, ge=0)
    initial_mw: float = quantity("MW", "fitted out at the start of the window", symbol="a_0", default=0.0, ge=0)
    max_mw: float | None = quantity("MW", "most that may be fitted out", symbol=r"\bar a", default=None, ge=0)
    build_mw_per_month: float | None = quantity(
        "MW/month", "most that may be ordered in a month; any when absent, 0 cannot be had or had again", default=None,
        ge=0,
    )  # fmt: skip
    lead_months: int = quantity(
        "months", "months from order to use; the pool is taken meanwhile", symbol="L", default=0, ge=0
    )
    under_way_mw: tuple[float, ...] = quantity(
        "MW", "ordered before the window, by the month of the window in which it comes into use", default=()
    )
    block_mw: float | None = quantity(
        "MW", "size of a hall that is fitted out as a whole; any amount when absent", default=None, gt=0
    )
    conversion_usd_per_mw: float = quantity("$/MW", "cost of fitting out a MW", symbol="K", default=0.0, ge=0)
    annual_charge_share: float = quantity(
        "1/a", "part of that cost charged to a year of use (capital recovery factor); 1 charges all at once",
        symbol="crf", default=0.15, gt=0, le=1,
    )  # fmt: skip
    reversible: bool = Field(default=False, description="may be given up again for another use; else it stays")

    @model_validator(mode="after")
    def _under_way_within_lead(self) -> Self:
        if len(self.under_way_mw) > self.lead_months or any(entry < 0 for entry in self.under_way_mw):
            raise ValueError(f"under_way_mw holds at most lead_months ({self.lead_months}) amounts, none below 0")
        return self


@dataclass(frozen=True)
class Plan:
    """One use by month, MW: in use, ordered, and taken from the pool (in use and under way)."""

    allotted: Sequence[Linear]
    ordered: Sequence[Linear]
    taken: Sequence[Linear]


class SharedCapacity(Declared):
    r"""A pool that several uses draw on; how much each is allotted in each month is a decision.

    Each use is an asset that publishes ``facility_power_mw``; it may draw no more than its allotment, also when
    called. Converting mining halls to AI is an allotment that rises month by month, takes feeder, cooling and
    space from the pool from its order on, serves after its lead time, and pays for its fitting out. A use that is not
    reversible stays: the order is an option exercised once.
    """

    example: ClassVar[Mapping[str, object]] = {
        "kind": "shared_capacity", "feeder_mw": 50.0,
        "uses": {
            "mining": {"initial_mw": 50.0, "reversible": True},
            "training": {"conversion_usd_per_mw": 4.0e6, "build_mw_per_month": 5.0},
        },
    }  # fmt: skip

    company: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "mining": {
            "kind": "bitcoin_mining", "bus": "MINE", "hashprice_usd_per_ph_day": 45.0,
            "tiers": {"all": {"efficiency_j_per_th": 17.5, "power_mw": 50.0}},
        },
        "training": {"kind": "ai_training", "bus": "TRAIN", "jobs": {"all": {"power_mw": 20.0, "work_mwh": 200.0}}},
    }  # fmt: skip
    """Assets that the example draws on, for docs and the conformance test."""

    kind: Literal["shared_capacity"] = "shared_capacity"
    feeder_mw: float = quantity("MW", "feeder capacity of the pool", symbol="F", gt=0)
    cooling_mw: float | None = quantity("MW", "heat rejection of the pool; unbounded when absent", default=None, gt=0)
    space_m2: float | None = quantity("m2", "floor of the pool; unbounded when absent", default=None, gt=0)
    build_mw_per_month: float | None = quantity(
        "MW/month", "most that crews can fit out in a month, all uses together; any when absent", default=None, ge=0
    )
    build_mw_per_year: float | None = quantity(
        "MW/a", "most that may be ordered in any twelve months in a row, all uses together", default=None, ge=0
    )
    uses: dict[str, Use] = Field(description="assets that draw on the pool, by their name in the case", min_length=1)

    @model_validator(mode="after")
    def _starts_within_pool(self) -> Self:
        taken = sum(use.initial_mw + sum(use.under_way_mw) for use in self.uses.values())
        if taken > self.feeder_mw + 1e-9:
            raise ValueError(f"initial_mw and under_way_mw sum to {taken:g} MW, the pool has {self.feeder_mw:g}")
        return self

    def formulate(self, block: Block) -> None:
        """Write allotments by month, their limits, and the cost of conversion."""
        months = block.horizon.months
        plans = {name: self._allot(block, name, use, months) for name, use in self.uses.items()}
        self._share(block, months, {name: plan.taken for name, plan in plans.items()})
        self._pace(block, months, [plan.ordered for plan in plans.values()])
        drawn = {name: block.signal(f"{name}.facility_power_mw") for name in plans}
        for name, plan in plans.items():
            block.after_all(partial(_bound_power, block, name, drawn[name], plan.allotted))

    def _allot(self, block: Block, name: str, use: Use, months: Index) -> Plan:
        """Declare the allotment of one use and what is ordered for it, with its cost."""
        most = min(use.max_mw if use.max_mw is not None else self.feeder_mw, self.feeder_mw)
        amount = block.variable("allotted_mw", months, "MW", "capacity of the pool in use", upper=most, of=name)
        added = _order(block, name, use, months)
        start = block.carried(f"{name}.allotted_mw", use.initial_mw)
        before = [*use.under_way_mw, *([0.0] * months.size)]
        finished = [added[m - use.lead_months] if m >= use.lead_months else before[m] for m in months]
        building = [_under_way(added, before, use.lead_months, month) for month in months]

        @block.constraint(months, of=name)
        def fitting_out(month: int) -> Relation:
            r"""a_m - a_{m-1} \le b_{m-L}, with equality where a use is not reversible"""
            change = amount[month] - (amount[month - 1] if month else start)
            return change <= finished[month] if use.reversible else change == finished[month]

        if use.lead_months:
            block.report(
                "under_way_mw", lambda m: building[m], "MW", "ordered and not yet in use", index=months, of=name
            )
        if use.conversion_usd_per_mw:
            ahead = _years_ahead(block)

            @block.cost(months, of=name)
            def conversion(month: int) -> Linear:
                r"""K crf Y_m b_m with Y_m the years from month m to the end of the window"""
                years = 1.0 if use.annual_charge_share >= 1.0 else ahead[month]
                return (use.conversion_usd_per_mw * use.annual_charge_share * years) * added[month]

        return Plan(amount, added, [one + two for one, two in zip(amount, building, strict=True)])

    def _pace(self, block: Block, months: Index, orders: Sequence[Sequence[Linear]]) -> None:
        """Limit what is ordered in a month and in twelve months in a row, all uses together."""
        if self.build_mw_per_month is not None:
            monthly = self.build_mw_per_month

            @block.constraint(months)
            def crews(month: int) -> Relation:
                r"""\sum_i b_{i,m} \le B"""
                return total(ordered[month] for ordered in orders) <= monthly

        if self.build_mw_per_year is not None:
            yearly = self.build_mw_per_year

            @block.constraint(months)
            def year_of_orders(month: int) -> Relation:
                r"""\sum_{k = m-11}^{m} \sum_i b_{i,k} \le Y"""
                span = range(max(0, month - 11), month + 1)
                return total(ordered[k] for ordered in orders for k in span) <= yearly

    def _share(self, block: Block, months: Index, allotted: Mapping[str, Sequence[Linear]]) -> None:
        @block.constraint(months)
        def feeder(month: int) -> Relation:
            r"""\sum_i a_{i,m} \le F"""
            return total(amount[month] for amount in allotted.values()) <= self.feeder_mw

        if self.cooling_mw is not None:
            cooling = self.cooling_mw

            @block.constraint(months)
            def heat_rejection(month: int) -> Relation:
                r"""\sum_i c_i a_{i,m} \le C"""
                return (
                    total(self.uses[name].cooling_mw_per_mw * amount[month] for name, amount in allotted.items())
                    <= cooling
                )

        if self.space_m2 is not None:
            space = self.space_m2

            @block.constraint(months)
            def floor_space(month: int) -> Relation:
                r"""\sum_i s_i a_{i,m} \le S"""
                return (
                    total(self.uses[name].space_m2_per_mw * amount[month] for name, amount in allotted.items()) <= space
                )


def _order(block: Block, name: str, use: Use, months: Index) -> Sequence[Linear]:
    """Capacity ordered at the beginning of every month: any amount, or whole halls."""
    if use.block_mw is None:
        return block.variable(
            "added_mw", months, "MW", "capacity ordered at the beginning of the month",
            upper=use.build_mw_per_month, of=name,
        )  # fmt: skip
    size = use.block_mw
    most = None if use.build_mw_per_month is None else float(int(use.build_mw_per_month / size + 1e-9))
    halls = block.variable("halls", months, "1", "halls ordered in the month", upper=most, integer=True, of=name)
    block.report("added_mw", lambda m: size * halls[m], "MW", "capacity ordered in the month", index=months, of=name)
    return [size * count for count in halls]


def _under_way(ordered: Sequence[Linear], before: Sequence[float], lead: int, month: int) -> Linear:
    """Capacity ordered up to a month, in the window or before it, that comes into use later."""
    recent = [ordered[k] for k in range(max(0, month + 1 - lead), month + 1)] if lead else []
    return total([*recent, sum(before[month + 1 :])])


def _bound_power(block: Block, name: str, scheduled: Sequence[Linear], amount: Sequence[Linear]) -> None:
    """Keep what a use draws within its allotment, also when all that it sold downward is called."""
    power, month_of = with_calls(block, scheduled, sold_down_mw(block, name)), block.horizon.month_of

    @block.constraint(block.horizon.steps, of=name)
    def within_allotment(t: int) -> Relation:
        r"""p_{i,t} + \sum_{down} r_{i,t} \le a_{i,m(t)}"""
        return power[t] <= amount[month_of[t]]


def _years_ahead(block: Block) -> list[float]:
    """Years from the first step of each month to the end of the window."""
    left = [0.0] * block.horizon.months.size
    for month, span in zip(block.horizon.month_of, block.horizon.hours, strict=True):
        for earlier in range(month + 1):
            left[earlier] += span / HOURS_PER_YEAR
    return left


def mix_table(
    pool: str, results: Mapping[str, np.ndarray], costs: Mapping[str, np.ndarray], horizon: Horizon
) -> pd.DataFrame:
    """The mix that a pool settled on: one row a use with MW by month and revenue per MW and year.

    `results` holds variables by full name, `costs` money by item (USD a position, revenue negative). Revenue is what
    the use's own items bring together (hashing less restarts, tokens less penalties), before energy and conversion;
    per MW allotted, not per MW drawn. Not a number where nothing was allotted.
    """
    month_hours = np.bincount(horizon.month_of, weights=horizon.hours, minlength=horizon.months.size)
    rows = []
    prefix, suffix = f"{pool}.", ".allotted_mw"
    for name in sorted(results):
        if not (name.startswith(prefix) and name.endswith(suffix)):
            continue
        use = name.removeprefix(prefix).removesuffix(suffix)
        allotted = np.asarray(results[name], dtype=float)
        revenue = -sum(float(np.sum(amounts)) for item, amounts in costs.items() if item.startswith(f"{use}."))
        held = float(allotted @ month_hours)
        rows.append(
            {
                "use": use,
                **dict(zip(horizon.months.labels, allotted.tolist(), strict=True)),
                "revenue_usd": revenue,
                "revenue_usd_per_mw_year": revenue / held * HOURS_PER_YEAR if held > 0 else float("nan"),
                "conversion_usd": float(np.sum(costs.get(f"{pool}.{use}.conversion", 0.0))),
            }
        )
    return pd.DataFrame(rows)


__all__ = ["SharedCapacity", "Use", "mix_table"]
