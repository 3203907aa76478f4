"""Coincident peaks: import at the hours when the whole system peaks (4CP, 5CP, 1CP)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.schema.quantity import Declared
from microgrid.tariffs.calendar import Month
from microgrid.tariffs.determinants.demand import Demand
from microgrid.tariffs.page import KILO, Page, Terms
from microgrid.tariffs.reading import Reading


class Coincident(Declared):
    """Mean (or greatest) import at coincident peaks, times `scale`; the same number bills every cycle.

    `known`: the peaks are the local times `intervals`. `probability` and `forecast`: `series` weighs each interval; the
    weights sum to `n`, and `blend_uniform` mixes them with equal weights over the intervals of the months named, which
    guards against a forecast that is too sure of itself (0.25 to 0.5 did best out of sample, facts page section 3).
    `next_year`: this year's cycles bill `prior_kw`, and this year's peaks bill the next; the value of next year's bill,
    times `next_year_value`, is what the optimiser weighs.
    """

    unit: ClassVar[str] = "kW"

    kind: Literal["coincident"]
    mode: Literal["known", "forecast", "probability"] = "known"
    intervals: tuple[str, ...] | None = None
    series: str | None = None
    n: int | None = Field(None, ge=1)
    months: tuple[Month, ...] | None = None
    stat: Literal["mean", "max"] = "mean"
    window_min: float | None = Field(15, gt=0)
    scale: float = 1.0
    blend_uniform: float = Field(0.0, ge=0.0, le=1.0)
    billed: Literal["same_year", "next_year"] = "same_year"
    prior_kw: float | None = None
    next_year_value: float = Field(1.0, ge=0.0, description="worth today of a dollar billed next year")
    note: str | None = None

    @model_validator(mode="after")
    def _peaks_given(self) -> Coincident:
        if self.mode == "known" and not self.intervals:
            raise ValueError("mode `known` needs `intervals`")
        if self.mode != "known" and (self.series is None or self.n is None):
            raise ValueError(f"mode `{self.mode}` needs `series` (weights) and `n`")
        if self.mode != "known" and self.stat != "mean":
            raise ValueError("weighted peaks have a mean only")
        return self

    @property
    def refs(self) -> tuple[str, ...]:
        """Determinants it is made from."""
        return ()

    def measure(self, reading: Reading) -> np.ndarray:
        """Coincident demand that the cycles bill, shape (cycles,)."""
        cycles = reading.axis.cycles.count
        if self.billed == "next_year" and self.prior_kw is not None:
            return np.full(cycles, self.prior_kw)
        if self.billed == "next_year":
            reading.notes.append("coincident peaks are billed next year; without `prior_kw` this year's stand for them")
        return np.full(cycles, self.metered_kw(reading))

    def metered_kw(self, reading: Reading) -> float:
        """Coincident demand of the load itself, kW."""
        average = self._window().averaged(reading.metered("import"), reading.axis)
        if self.mode == "known":
            values = average[reading.axis.stamps(self.intervals or ())]
            return float(values.mean() if self.stat == "mean" else values.max()) * self.scale
        weights = self._weights(reading.series(self.series or ""), reading.axis.month_of)
        return float(weights @ average) * self.scale

    def _window(self) -> Demand:
        return Demand(kind="demand", window_min=self.window_min)

    def _weights(self, given: np.ndarray, month_of: np.ndarray) -> np.ndarray:
        """Weights by interval that sum to one, inside the months named."""
        inside = np.ones(given.size, dtype=bool) if self.months is None else np.isin(month_of + 1, self.months)
        weights = np.where(inside, np.asarray(given, dtype=float), 0.0)
        if weights.sum() <= 0.0:
            raise InvalidInput(
                Problem("the coincident-peak weights are all zero", "check the series", str(self.series))
            )
        uniform = inside / inside.sum()
        return np.asarray((1.0 - self.blend_uniform) * weights / weights.sum() + self.blend_uniform * uniform)

    def formulate(self, page: Page, name: str) -> Terms:
        """Write the mean of import at the peaks, or a variable that covers each (`max`); an LP."""
        if self.billed == "next_year" and self.prior_kw is not None:
            return self._next_year(page, name)
        return self._metered(page, name)

    def _next_year(self, page: Page, name: str) -> Terms:
        """What is billed now is fixed; the change that this year's peaks make next year is billed at its worth."""
        prior = (self.prior_kw or 0.0) / KILO
        page.notes.append(
            f"`{name}` bills {self.prior_kw:g} kW now; the optimiser adds next year's bill for this year's peaks, "
            f"valued at {self.next_year_value:g}"
        )
        page.next_year[name] = [self.next_year_value * term for term in self._metered(page, name)]
        return [page.constant(prior)] * page.cycles.size

    def _metered(self, page: Page, name: str) -> Terms:
        windows = self._window().windows(page.axis)
        power = page.power["import"]
        member = np.full(page.axis.count, -1)
        for place, entry in enumerate(windows.members):
            member[entry] = place

        def average(t: int) -> Linear:
            entry = windows.members[int(member[t])]
            return (1.0 / float(windows.divisor[int(member[t])])) * total(power[int(k)] for k in entry)

        if self.mode != "known":
            weights = self._weights(page.series[self.series or ""], page.axis.month_of)
            mean = self.scale * total(float(weights[t]) * average(t) for t in np.flatnonzero(weights).tolist())
            return [mean] * page.cycles.size
        peaks = page.axis.stamps(self.intervals or ()).tolist()
        if self.stat == "mean":
            return [(self.scale / len(peaks)) * total(average(t) for t in peaks)] * page.cycles.size
        return self._greatest(page, name, [self.scale * average(t) for t in peaks])

    @staticmethod
    def _greatest(page: Page, name: str, values: list[Linear]) -> Terms:
        greatest = page.block.variable(
            "coincident_mw", page.indexed("one", name, 1), "MW", "highest coincident", of=name
        )

        @page.block.constraint(range(len(values)), of=name)
        def covers(k: int) -> Relation:
            r"""D \ge p_k for every coincident peak k"""
            return greatest[0] >= values[k]

        return [greatest[0]] * page.cycles.size

    def hold(self, page: Page, name: str) -> None:  # noqa: ARG002 - one signature for every determinant
        """Refuse for the greatest; a mean is an equation and needs no hold."""
        if self.stat == "max":
            raise InvalidInput(
                Problem(f"the tariff rewards a higher `{name}`", "check its price", f"determinants.{name}")
            )


__all__ = ["Coincident"]
