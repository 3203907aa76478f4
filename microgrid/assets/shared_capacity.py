"""Shared capacity of feeders, cooling and space: which use gets how many MW, month by month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from microgrid.assets.room import room_below
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
    build_mw_per_month: float | None = quantity("MW/month", "fastest fitting out; any when absent", default=None, ge=0)
    conversion_usd_per_mw: float = quantity("$/MW", "cost of fitting out a MW", symbol="K", default=0.0, ge=0)
    annual_charge_share: float = quantity(
        "1/a", "part of that cost charged to a year of use (capital recovery factor); 1 charges all at once",
        symbol="crf", default=0.15, gt=0, le=1,
    )  # fmt: skip
    reversible: bool = Field(default=False, description="may be given up again for another use")


class SharedCapacity(Declared):
    r"""A pool that several uses draw on; how much each is allotted in each month is a decision.

    Each use is an asset that publishes ``facility_power_mw``; it may draw no more than its allotment, also when
    called. Converting mining halls to AI is an allotment that rises month by month, takes feeder, cooling and
    space from the pool, and pays for its fitting out.
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
    uses: dict[str, Use] = Field(description="assets that draw on the pool, by their name in the case", min_length=1)

    @model_validator(mode="after")
    def _starts_within_pool(self) -> Self:
        taken = sum(use.initial_mw for use in self.uses.values())
        if taken > self.feeder_mw + 1e-9:
            raise ValueError(f"initial_mw of the uses sum to {taken:g} MW, the pool has {self.feeder_mw:g}")
        return self

    def formulate(self, block: Block) -> None:
        """Write allotments by month, their limits, and the cost of conversion."""
        months = block.horizon.months
        allotted = {name: self._allot(block, name, use, months) for name, use in self.uses.items()}
        self._share(block, months, allotted)
        for name in self.uses:
            _bound_power(block, name, allotted[name])

    def _allot(self, block: Block, name: str, use: Use, months: Index) -> Sequence[Linear]:
        """Declare the allotment of one use and what is added to it, with its cost."""
        most = min(use.max_mw if use.max_mw is not None else self.feeder_mw, self.feeder_mw)
        amount = block.variable("allotted_mw", months, "MW", "capacity of the pool allotted", upper=most, of=name)
        added = block.variable(
            "added_mw", months, "MW", "capacity fitted out at the beginning of the month",
            upper=use.build_mw_per_month, of=name,
        )  # fmt: skip
        start = block.carried(f"{name}.allotted_mw", use.initial_mw)

        @block.constraint(months, of=name)
        def fitting_out(month: int) -> Relation:
            r"""a_m - a_{m-1} \le b_m, with equality where a use is not reversible"""
            change = amount[month] - (amount[month - 1] if month else start)
            return change <= added[month] if use.reversible else change == added[month]

        if use.conversion_usd_per_mw:
            ahead = _years_ahead(block)

            @block.cost(months, of=name)
            def conversion(month: int) -> Linear:
                r"""K crf Y_m b_m with Y_m the years from month m to the end of the window"""
                years = 1.0 if use.annual_charge_share >= 1.0 else ahead[month]
                return (use.conversion_usd_per_mw * use.annual_charge_share * years) * added[month]

        return amount

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


def _bound_power(block: Block, name: str, amount: Sequence[Linear]) -> None:
    power, month_of = block.signal(f"{name}.facility_power_mw"), block.horizon.month_of

    @block.constraint(block.horizon.steps, of=name)
    def within_allotment(t: int) -> Relation:
        r"""p_{i,t} \le a_{i,m(t)}"""
        return power[t] <= amount[month_of[t]]

    offered = block.campus.headrooms.get(name)
    if offered is not None and offered.down is not None:
        free = [amount[month_of[t]] - power[t] for t in block.horizon.steps]
        block.campus.headrooms[name] = replace(offered, down=room_below(block, offered.down, free, of=name))


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
