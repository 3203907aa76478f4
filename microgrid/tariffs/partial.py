"""Billing cycles that a load covers only in part: bill them in full, by the part covered, not at all, or ask."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Literal

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.tariffs.axis import Axis
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.reading import MeterData

Partial = Literal["ask", "bill", "prorate", "drop"]
"""`bill`: monthly amounts in full on what was measured. `prorate`: demand, fixed and minimum charges by the covered
part of the cycle's days (tiers keep their limits, a yearly minimum its amount). `drop`: only whole cycles. `ask`: as
`bill`, but an error where a cycle is covered by less than half."""


def settle_partial(tariff: Tariff, load: MeterData, axis: Axis, how: Partial) -> tuple[MeterData, Axis]:
    """Return the load and axis to bill; InvalidInput where `ask` finds too little, or `drop` leaves nothing."""
    cycles = axis.cycles
    if how == "prorate":
        return load, axis.prorate()
    if how == "ask":
        if (short := cycles.covered_days < 0.5 * cycles.days).any():
            at = int(np.argmax(short))
            covered, days = cycles.covered_days[at], cycles.days[at]
            rule = f"the load covers {covered:.2f} of {days:.0f} days of cycle {cycles.labels[at]}"
            remedy = "state how to bill it: --partial bill (monthly charges in full), prorate, or drop (leave it out)"
            raise InvalidInput(Problem(rule, remedy, "partial"))
        return load, axis
    if how == "bill" or not cycles.partial:
        return load, axis
    keep = ~np.isin(np.array(cycles.labels), cycles.partial)[cycles.of]
    if not keep.any():
        remedy = "give a load of at least one cycle, or state --partial bill or prorate"
        raise InvalidInput(
            Problem("no cycle is covered whole, so dropping partial ones leaves nothing", remedy, "partial")
        )
    cut = {
        item.name: getattr(load, item.name)[keep]
        for item in fields(load)
        if item.name not in {"step_min", "series"} and getattr(load, item.name) is not None
    }
    left = replace(load, **cut, series={key: np.asarray(values)[keep] for key, values in load.series.items()})
    return left, tariff.axis(left.times, left.step_min)


__all__ = ["Partial", "settle_partial"]
