"""Metered demand of a cycle: the highest window average, the mean of the N highest, or the sum of daily peaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.schema.quantity import Declared
from microgrid.tariffs.axis import Axis
from microgrid.tariffs.determinants.apparent import apparent_mva
from microgrid.tariffs.page import Page, Terms
from microgrid.tariffs.reading import Reading


@dataclass(frozen=True)
class Windows:
    """Demand windows inside the mask: arrays of shape (windows,), in time order.

    `members` are the positions of the intervals averaged, `cycle` and `day` say where each window counts, and `divisor`
    is the number of intervals the average divides by.
    """

    members: list[np.ndarray]
    cycle: np.ndarray
    day: np.ndarray
    divisor: np.ndarray


class Demand(Declared):
    """Demand through a metering channel, kW or kVA, never negative.

    Power is averaged over `window_min` (clock-aligned blocks, or a window that rolls by one interval); an interval
    longer than the window stands for itself, times `peak_uplift` for the peak that the longer average hides. A cycle of
    which the load covers only a part is measured on that part, and billed in full.
    """

    unit: ClassVar[str] = "kW"

    kind: Literal["demand"]
    channel: Literal["import", "export", "gross_load"] = "import"
    quantity: Literal["kw", "kva"] = "kw"
    calendar: str | None = None
    periods: tuple[str, ...] | None = None
    window_min: float | None = Field(None, gt=0, description="length of the demand window, minutes")
    window: Literal["block", "rolling"] = "block"
    stat: Literal["max", "avg_top_n", "sum_daily_max"] = "max"
    n: int = Field(1, ge=1, description="how many of the highest are averaged (avg_top_n)")
    distinct_days: bool = Field(default=False, description="take at most one value from each day (avg_top_n)")
    peak_uplift: float = Field(
        1.0, ge=1.0, description="metered peak over interval average, where intervals are longer"
    )
    note: str | None = None

    @model_validator(mode="after")
    def _kva_of_import(self) -> Demand:
        if self.quantity == "kva" and self.channel != "import":
            raise ValueError("kVA is metered on the import channel only: drop `channel`, or choose `quantity: kw`")
        return self

    @property
    def refs(self) -> tuple[str, ...]:
        """Determinants it is made from."""
        return ()

    # -- biller ----------------------------------------------------------------------------------------------

    def measure(self, reading: Reading) -> np.ndarray:
        """Demand by cycle, shape (cycles,); zero where the mask is empty."""
        axis = reading.axis
        power = reading.apparent_kva() if self.quantity == "kva" else reading.metered(self.channel)
        average = self.averaged(power, axis)
        inside = np.where(axis.mask(self.calendar, self.periods), average, -np.inf) * self._uplift(axis)
        starts = axis.cycles.starts
        if self.stat == "max":
            return np.maximum(np.maximum.reduceat(inside, starts), 0.0)
        if self.stat == "sum_daily_max":
            daily, cycle = _daily_peaks(inside, axis)
            return np.bincount(cycle, np.maximum(daily, 0.0), axis.cycles.count)
        return self._top(inside, axis)

    def averaged(self, power: np.ndarray, axis: Axis) -> np.ndarray:
        """Window average that each interval belongs to, shape (intervals,)."""
        size = self._window_size(axis)
        if size == 1:
            return power
        if self.window == "rolling":
            summed = np.concatenate([[0.0], np.cumsum(power)])
            first = np.maximum(np.arange(power.size) - size + 1, 0)
            return np.asarray((summed[1:] - summed[first]) / size)
        blocks = axis.blocks(self.window_min)
        if blocks is None:
            return power
        return np.asarray((np.bincount(blocks, power) / np.bincount(blocks))[blocks])

    def _top(self, inside: np.ndarray, axis: Axis) -> np.ndarray:
        if self.distinct_days:
            values, cycle = _daily_peaks(inside, axis)
        else:
            values, cycle = self._distinct_windows(inside, axis)
        tops = np.zeros(axis.cycles.count)
        for place in range(axis.cycles.count):
            here = values[(cycle == place) & np.isfinite(values)]
            if here.size:
                tops[place] = np.sort(here)[::-1][: self.n].mean()
        return np.maximum(tops, 0.0)

    def _distinct_windows(self, inside: np.ndarray, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
        """One value a window and cycle, with the cycle; a window masked out in part counts by the part inside."""
        blocks = axis.blocks(self.window_min) if self.window == "block" else None
        if blocks is None:
            return inside, axis.cycles.of
        keys = axis.cycles.of * (int(blocks[-1]) + 1) + blocks
        order = np.lexsort((-inside, keys))
        first = order[np.flatnonzero(np.diff(keys[order], prepend=-1))]
        return inside[first], axis.cycles.of[first]

    def _uplift(self, axis: Axis) -> float:
        longer = self.window_min is not None and axis.step_min > self.window_min
        return self.peak_uplift if longer else 1.0

    def _window_size(self, axis: Axis) -> int:
        """Intervals in a window; one where intervals are longer."""
        if self.window_min is None or self.window_min <= axis.step_min:
            return 1
        size = self.window_min / axis.step_min
        if abs(size - round(size)) > 1e-9:
            raise InvalidInput(
                Problem(
                    f"a window of {self.window_min:g} min is no multiple of the {axis.step_min:g} min interval",
                    "resample the load to a divisor of the window",
                    "window_min",
                )
            )
        return round(size)

    # -- optimiser -------------------------------------------------------------------------------------------

    def formulate(self, page: Page, name: str) -> Terms:
        """Write the demand as an LP; exact while more demand is never rewarded (see `hold`)."""
        return self.cover(page, name, apparent_mva(page) if self.quantity == "kva" else page.channel(self.channel))

    def cover(self, page: Page, name: str, power: Terms) -> Terms:
        """Demand by cycle of any power by step, MW."""
        windows = self.windows(page.axis)
        uplift = self._uplift(page.axis)
        block, window = page.block, page.indexed("window", name, len(windows.members))
        summed = block.sums(power, windows.members)
        share = block.numbers(uplift / float(divisor) for divisor in windows.divisor)
        averages = block.terms(lambda k: share[k] * summed[k], window)
        if self.stat == "max":
            return _peak(page, name, averages, windows)
        if self.stat == "sum_daily_max":
            return _daily_sum(page, name, averages, windows)
        return self._top_terms(page, name, averages, windows)

    def windows(self, axis: Axis) -> Windows:
        """Windows that count in each cycle."""
        mask = axis.mask(self.calendar, self.periods)
        size = self._window_size(axis)
        chosen = np.flatnonzero(mask)
        blocks = axis.blocks(self.window_min) if size > 1 and self.window == "block" else None
        if blocks is not None:
            keys = axis.cycles.of[chosen] * (int(blocks[-1]) + 1) + blocks[chosen]
            chosen = chosen[np.unique(keys, return_index=True)[1]]
            starts = np.searchsorted(blocks, np.arange(int(blocks[-1]) + 2))
            members = [np.arange(starts[block], starts[block + 1]) for block in blocks[chosen].tolist()]
            divisor = np.array([entry.size for entry in members])
        else:
            reach = size if self.window == "rolling" else 1
            members = [np.arange(max(0, t - reach + 1), t + 1) for t in chosen.tolist()]
            divisor = np.full(chosen.size, reach)
        return Windows(members, axis.cycles.of[chosen], axis.day_of[chosen], divisor)

    def _top_terms(self, page: Page, name: str, averages: Terms, windows: Windows) -> Terms:
        """Mean of the N highest as ``eta + (1/N) sum of (v - eta)^+``, the tail-mean (CVaR) form: an LP."""
        values, cycle = (
            _daily_variables(page, name, averages, windows) if self.distinct_days else (averages, windows.cycle)
        )
        places = page.indexed("value", name, len(values))
        eta = page.variable("threshold_mw", name, "MW", "N-th highest value of the cycle")
        above = page.block.variable("above_mw", places, "MW", "excess of a value over the threshold", of=name)

        @page.block.constraint(places, of=name)
        def tail(k: int) -> Relation:
            r"""u_k \ge v_k - \eta_c"""
            return above[k] >= values[k] - eta[int(cycle[k])]

        counts = np.bincount(cycle, minlength=page.cycles.size)
        inside = [np.flatnonzero(cycle == c) for c in page.cycles]
        return [
            eta[c] + (1.0 / min(self.n, max(1, int(counts[c])))) * total(above[int(k)] for k in inside[c])
            for c in page.cycles
        ]

    def hold(self, page: Page, name: str) -> None:
        """Hold the peak from above where the tariff rewards more of it: some window must attain it.

        One binary a window of the cycles concerned: the highest of several powers is convex, so rewarding it is not,
        and no LP can state it. Bounded by the POI's import limit, the largest power a window can have.
        """
        rewarded = np.flatnonzero(page.pull[name] < 0)
        if self.stat != "max" or self.quantity == "kva" or self.channel != "import":
            raise InvalidInput(
                Problem(
                    f"the tariff rewards a higher `{name}`, which only a plain peak of import allows",
                    "check the sign of the prices on it, or bill a plain peak of import",
                    f"determinants.{name}",
                )
            )
        windows, uplift = self.windows(page.axis), self._uplift(page.axis)
        chosen = np.flatnonzero(np.isin(windows.cycle, rewarded))
        limit = uplift * page.limit_mw(f"rewarding a higher `{name}`")
        places = page.indexed("attained", name, chosen.size)
        attained = page.block.variable(
            "attains", places, "1", "the window that sets the peak", upper=1.0, integer=True, of=name
        )
        peak, power = page.determinants[name], page.channel(self.channel)

        @page.block.constraint(places, of=name)
        def from_above(k: int) -> Relation:
            r"""D_c \le v_k + \bar P (1 - z_k)"""
            window = int(chosen[k])
            average = (uplift / float(windows.divisor[window])) * total(power[t] for t in windows.members[window])
            return peak[int(windows.cycle[window])] <= average + limit * (1.0 - attained[k])

        @page.block.constraint(rewarded.tolist(), of=name)
        def one_attains(c: int) -> Relation | None:
            r"""\sum_k z_k = 1"""
            here = [attained[k] for k in places if windows.cycle[chosen[k]] == c]
            return total(here) == 1.0 if here else peak[c] <= 0.0


def _peak(page: Page, name: str, averages: Terms, windows: Windows) -> Terms:
    peak = page.variable("peak_mw", name, "MW", "highest demand of the cycle")
    carried = [page.block.carried(f"{name}.peak_mw.{label}", 0.0) for label in page.cycles.labels]
    cycle: list[int] = page.block.numbers(windows.cycle.tolist())

    @page.block.constraint(page.indexed("window", name, len(averages)), of=name)
    def peak_covers(k: int) -> Relation:
        r"""D_c \ge v_k for every window k of the cycle"""
        return peak[cycle[k]] >= averages[k]

    if any(carried):

        @page.block.constraint(page.cycles, of=name)
        def peak_so_far(c: int) -> Relation | None:
            r"""D_c \ge \hat D_c, the peak metered before this window"""
            return peak[c] >= carried[c] if carried[c] else None

    return peak


def _daily_variables(page: Page, name: str, averages: Terms, windows: Windows) -> tuple[Terms, np.ndarray]:
    """Peak of each day as a variable, with the cycle of the day."""
    keys, first, day_of = np.unique(windows.cycle * 100_000 + windows.day, return_index=True, return_inverse=True)
    places = page.indexed("day", name, keys.size)
    daily = page.block.variable("daily_peak_mw", places, "MW", "highest demand of the day", of=name)
    day: list[int] = page.block.numbers(day_of.tolist())

    @page.block.constraint(page.indexed("window", name, len(averages)), of=name)
    def day_covers(k: int) -> Relation:
        r"""D_d \ge v_k for every window k of the day"""
        return daily[day[k]] >= averages[k]

    return daily, windows.cycle[first]


def _daily_sum(page: Page, name: str, averages: Terms, windows: Windows) -> Terms:
    daily, cycle = _daily_variables(page, name, averages, windows)
    sums: list[Linear] = [total(daily[int(k)] for k in np.flatnonzero(cycle == c)) for c in page.cycles]
    return sums


def _daily_peaks(inside: np.ndarray, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Highest value of each day and cycle, with the cycle."""
    key = axis.cycles.of * 100_000 + axis.day_of
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    return np.maximum.reduceat(inside, starts), axis.cycles.of[starts]


__all__ = ["Demand", "Windows"]
