"""Coincident peaks: import at the hours when the whole system peaks (4CP, 5CP, 1CP)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.schema.quantity import Declared
from microgrid.tariffs.axis import Axis
from microgrid.tariffs.calendar import Month
from microgrid.tariffs.determinants.demand import Demand
from microgrid.tariffs.page import KILO, Page, Terms
from microgrid.tariffs.reading import Reading


class Coincident(Declared):
    """Mean (or greatest) import at coincident peaks, times `scale`.

    `known`: the peaks are the local times `intervals`. `probability` and `forecast`: `series` weighs each interval with
    the probability (or a score for it) that it is one of the `n` peaks of its group: each month of `months`, or, `per:
    season`, all of them in one year. Within a group the weights are scaled to sum to `n`, and none counts more than
    one, since an interval is a peak at most once; the result is the mean over the groups. 4CP is ``n: 1, per: month,
    months: [6, 7, 8, 9]``, PJM's five peaks ``n: 5, per: season``. `candidates`: as `probability`, but without a file
    for `series` every candidate hour is as likely as another. `blend_uniform` mixes the weights with equal
    ones over the local `candidate_hours` (all when empty), which guards against a forecast that is too sure
    of itself (0.25 to 0.5 did best out of sample, facts page section 3). A group without any weight is left
    out, and a note says so.

    `same_year`: one number bills every cycle. `same_month`: each cycle bills its own peaks (12CP); the cycle is the
    group, and one without peaks bills nothing. `next_year`: this year's cycles bill `prior_kw`, and this year's peaks
    bill the twelve cycles of the next; the value of that bill, times `next_year_value`, is what the optimiser weighs,
    as far as the horizon holds the year's peaks (`known`: stamps outside it are left out) or groups (by their days);
    a stated `prior_kw` means it. `prior_kw` and `scale` may name a contract value.
    """

    unit: ClassVar[str] = "kW"

    kind: Literal["coincident"]
    mode: Literal["known", "forecast", "probability", "candidates"] = "known"
    intervals: tuple[str, ...] | None = None
    series: str | None = None
    n: int | None = Field(None, ge=1, description="peaks measured in each group")
    per: Literal["month", "season"] = Field("season", description="one group a month, or all `months` of a year")
    months: tuple[Month, ...] | None = None
    stat: Literal["mean", "max"] = "mean"
    window_min: float | None = Field(15, gt=0)
    scale: float | str = 1.0
    blend_uniform: float = Field(0.0, ge=0.0, le=1.0)
    candidate_hours: tuple[int, ...] = Field((), description="local hours a peak may fall in, 0 to 23; all when empty")
    candidate_days: Literal["all", "weekday"] = "all"
    billed: Literal["same_year", "same_month", "next_year"] = "same_year"
    prior_kw: float | str | None = Field(None, description="last year's peaks, kW, or the contract value of that name")
    next_year_value: float = Field(1.0, ge=0.0, description="worth today of a dollar billed next year")
    note: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _prior_peaks_mean_next_year(cls, record: object) -> object:
        if isinstance(record, dict) and record.get("prior_kw") is not None and "billed" not in record:
            return {**record, "billed": "next_year"}
        return record

    @model_validator(mode="after")
    def _peaks_given(self) -> Coincident:
        if self.mode == "known" and not self.intervals:
            raise ValueError("mode `known` has no peaks: give `intervals`, their local times")
        if self.mode != "known" and self.n is None:
            raise ValueError(f"mode `{self.mode}` has no number of peaks: state `n`, how many each group has")
        if self.mode in {"forecast", "probability"} and self.series is None:
            raise ValueError(f"mode `{self.mode}` has no weights: state `series`, or choose `mode: candidates`")
        if self.mode != "known" and self.stat != "mean":
            raise ValueError("weighted peaks have a mean only: drop `stat`, or choose `mode: known`")
        if self.mode != "known" and self.billed == "same_month" and self.per != "month":
            raise ValueError("`billed: same_month` weighs the peaks of each month: state `per: month`")
        if any(not 0 <= hour <= 23 for hour in self.candidate_hours):
            raise ValueError("`candidate_hours` are local hours: write numbers from 0 to 23")
        return self

    @property
    def refs(self) -> tuple[str, ...]:
        """Determinants it is made from."""
        return ()

    def measure(self, reading: Reading) -> np.ndarray:
        """Coincident demand that the cycles bill, shape (cycles,)."""
        cycles = reading.axis.cycles.count
        if self.billed == "next_year" and self.prior_kw is not None:
            return np.full(cycles, reading.amount(self.prior_kw))
        if self.billed == "next_year":
            reading.notes.append("coincident peaks are billed next year; without `prior_kw` this year's stand for them")
        return self.metered_kw(reading)

    def metered_kw(self, reading: Reading) -> np.ndarray:
        """Coincident demand of the load itself, kW by cycle."""
        average, axis = self._window().averaged(reading.metered("import"), reading.axis), reading.axis
        scale = reading.amount(self.scale)
        if self.mode == "known" and self.stat == "max":
            groups = self._known(axis)
            return np.array([max(average[group], default=0.0) * scale for group in groups])
        return scale * np.array([row @ average for row in self._rows(axis, reading.values, reading.notes)])

    def holds_peaks(self, axis: Axis) -> bool:
        """Whether the intervals can hold peaks of this determinant: known ones, or months of its groups."""
        if self.mode == "known":
            return bool(axis.holds(self.intervals or ()).any())
        return bool(self._in_months(_months(axis)).any())

    def _window(self) -> Demand:
        return Demand(kind="demand", window_min=self.window_min)

    def _known(self, axis: Axis) -> list[np.ndarray]:
        """Positions of the known peaks that each cycle bills."""
        texts = self.intervals or ()
        if self.billed == "next_year" and self.prior_kw is not None:
            texts = tuple(text for text, held in zip(texts, axis.holds(texts).tolist(), strict=True) if held)
        peaks = axis.stamps(texts)
        if self.billed != "same_month":
            return [peaks] * axis.cycles.count
        return [peaks[axis.cycles.of[peaks] == cycle] for cycle in range(axis.cycles.count)]

    def _rows(self, axis: Axis, series: Mapping[str, np.ndarray], notes: list[str]) -> list[np.ndarray]:
        """Weights of the intervals by cycle, each of shape (intervals,) and summing to one, or zero without peaks."""
        if self.mode == "known":
            counts = [np.bincount(peaks, minlength=axis.count).astype(float) for peaks in self._known(axis)]
            return [count / max(count.sum(), 1.0) for count in counts]
        by_group = self._weights(self._given(axis, series), axis, notes)
        if self.billed == "same_month":
            nothing = np.zeros(axis.count)
            return [by_group.get(cycle, nothing) for cycle in range(axis.cycles.count)]
        if not by_group:
            return [np.zeros(axis.count)] * axis.cycles.count
        return [np.asarray(np.mean(list(by_group.values()), axis=0))] * axis.cycles.count

    def _given(self, axis: Axis, series: Mapping[str, np.ndarray]) -> np.ndarray:
        given = series.get(str(self.series))
        if given is None and self.mode == "candidates":
            given = np.ones(axis.count)
        if given is None:
            where = f"series.{self.series}"
            raise InvalidInput(Problem("the coincident peaks have no weights", f"give {where}", where))
        return np.asarray(given, dtype=float)

    def _weights(self, given: np.ndarray, axis: Axis, notes: list[str]) -> dict[int, np.ndarray]:
        """Weights that sum to one, by group (month, year or cycle) with any weight."""
        month = _months(axis)
        inside = self._in_months(month)
        group = month if self.per == "month" else month // 12
        if self.billed == "same_month":
            group = axis.cycles.of
        candidate = self._candidates(axis)
        given = given * candidate if self.mode == "candidates" else given
        window = axis.blocks(self.window_min)
        found, empty = {}, []
        for key in np.unique(group[inside]).tolist():
            member = inside & (group == key)
            weights = _spread(np.where(member, given, 0.0), self.n or 1, window)
            if weights is None:
                empty.append(axis.cycles.labels[int(axis.cycles.of[np.argmax(member)])])
                continue
            uniform = _spread((member & candidate).astype(float), self.n or 1, window)
            blend = self.blend_uniform if uniform is not None else 0.0
            found[key] = (1.0 - blend) * weights + (blend * uniform if uniform is not None else 0.0)
        if not found and not inside.any():
            notes.append("coincident peaks: no interval lies in the months of the peaks")
        elif not found:
            raise InvalidInput(
                Problem("the coincident-peak weights are all zero", "check the series", str(self.series))
            )
        if empty:
            notes.append(f"coincident peaks: no weights in the group that begins in {', '.join(empty)}; it is left out")
        return found

    def formulate(self, page: Page, name: str) -> Terms:
        """Write the mean of import at the peaks, or a variable that covers each (`max`); an LP."""
        if self.billed == "next_year" and self.prior_kw is not None:
            return self._next_year(page, name)
        return self._metered(page, name)

    def _next_year(self, page: Page, name: str) -> Terms:
        """What is billed now is fixed; what this year's peaks bill next year is spread over the cycles at its worth."""
        if self.next_year_value and page.weigh_next_year:
            value = self.next_year_value * 12.0 / page.cycles.size
            page.next_year[name] = [value * self._coming(page, name)] * page.cycles.size
        return [page.constant(page.amount(self.prior_kw or 0.0) / KILO)] * page.cycles.size

    def _coming(self, page: Page, name: str) -> Linear:
        """Demand that the years after will bill, MW, summed over them, by the share of each year's peaks held."""
        average, scale = self._averages(page), page.amount(self.scale)
        if self.mode != "known":
            row = self._coming_row(page)
            return scale * total(float(row[t]) * average(t) for t in np.flatnonzero(row).tolist())
        years = self._held_by_year(page.axis)
        if self.stat == "max":
            greatest = self._cover(page, name, [[scale * average(t) for t in held] for held, _ in years])
            return total(len(held) / count * greatest[k] for k, (held, count) in enumerate(years))
        return scale * total((1.0 / count) * average(t) for held, count in years for t in held)

    def _held_by_year(self, axis: Axis) -> list[tuple[list[int], int]]:
        """Positions of the known peaks inside the horizon, and how many there are in all, for each year with any."""
        texts = self.intervals or ()
        year, held = np.array([int(text[:4]) for text in texts]), axis.holds(texts)
        return [
            (
                axis.stamps([text for text, own in zip(texts, held & (year == one), strict=True) if own]).tolist(),
                int((year == one).sum()),
            )
            for one in np.unique(year[held]).tolist()
        ]

    def _coming_row(self, page: Page) -> np.ndarray:
        """Weights of the intervals summed over the years; a group held in part counts by the share of its days."""
        axis = page.axis
        found = self._weights(self._given(axis, page.series), axis, page.notes)
        if not found:
            return np.zeros(axis.count)
        month = _months(axis)[self._in_months(_months(axis))]
        groups = np.unique(month if self.per == "month" else month // 12).tolist()
        share = {group: self._share_held(axis, group) for group in groups}
        count = len(self.months or range(12)) if self.per == "month" else 1
        mean = sum(share[group] * row for group, row in found.items()) / sum(share[group] for group in found)
        return np.asarray(sum(share.values()) / count * mean)

    def _share_held(self, axis: Axis, group: int) -> float:
        """Days of a group (month, or year by its months) that the horizon holds, of all its days."""
        months = [group] if self.per == "month" else [group * 12 + month - 1 for month in self.months or range(1, 13)]
        edges = np.array([months, np.array(months) + 1]).astype("datetime64[M]").astype("datetime64[D]")
        held = np.unique(axis.wall_min[np.isin(_months(axis), months)] // 1440).size
        return float(held / (edges[1] - edges[0]).astype(int).sum())

    def _candidates(self, axis: Axis) -> np.ndarray:
        """Whether a peak may fall into each interval, by local hour and day of the week."""
        allowed = np.ones(axis.count, dtype=bool)
        if self.candidate_hours:
            allowed &= np.isin(axis.wall_min // 60 % 24, self.candidate_hours)
        if self.candidate_days == "weekday":
            allowed &= (axis.wall_min // 1440 + 3) % 7 < 5
        return allowed

    def _in_months(self, month: np.ndarray) -> np.ndarray:
        return np.ones(month.size, dtype=bool) if self.months is None else np.isin(month % 12 + 1, self.months)

    def _metered(self, page: Page, name: str) -> Terms:
        average, scale = self._averages(page), page.amount(self.scale)
        if self.mode == "known" and self.stat == "max":
            return self._greatest(
                page, name, [[scale * average(t) for t in group.tolist()] for group in self._known(page.axis)]
            )
        rows = self._rows(page.axis, page.series, page.notes)
        if self.billed != "same_month":
            rows = rows[:1]
        sums = [scale * total(float(row[t]) * average(t) for t in np.flatnonzero(row).tolist()) for row in rows]
        return sums if self.billed == "same_month" else sums * page.cycles.size

    def _averages(self, page: Page) -> Callable[[int], Linear]:
        """Mean import of the demand window that an interval lies in, MW."""
        windows, power = self._window().windows(page.axis), page.power["import"]
        member = np.full(page.axis.count, -1)
        for place, entry in enumerate(windows.members):
            member[entry] = place

        def average(t: int) -> Linear:
            entry = windows.members[int(member[t])]
            return (1.0 / float(windows.divisor[int(member[t])])) * total(power[int(k)] for k in entry)

        return average

    def _greatest(self, page: Page, name: str, values: list[list[Linear]]) -> Terms:
        """Cover the peaks by one variable, or by one a cycle where each cycle bills its own."""
        own = self.billed == "same_month"
        greatest = self._cover(page, name, values if own else values[:1])
        return list(greatest) if own else [greatest[0]] * page.cycles.size

    def _cover(self, page: Page, name: str, values: list[list[Linear]]) -> Terms:
        """One variable for each group, at least each of its peaks."""
        places = page.indexed("group", name, len(values))
        greatest = page.block.variable("coincident_mw", places, "MW", "highest coincident", of=name)
        rows = [(group, value) for group, peaks in enumerate(values) for value in peaks]

        @page.block.constraint(range(len(rows)), of=name)
        def covers(k: int) -> Relation:
            r"""D_g \ge p_k for every coincident peak k of group g"""
            return greatest[rows[k][0]] >= rows[k][1]

        return greatest

    def hold(self, page: Page, name: str) -> None:  # noqa: ARG002 - one signature for every determinant
        """Refuse for the greatest; a mean is an equation and needs no hold."""
        if self.stat == "max":
            raise InvalidInput(
                Problem(f"the tariff rewards a higher `{name}`", "check its price", f"determinants.{name}")
            )


def _months(axis: Axis) -> np.ndarray:
    """Local month of each interval, counted from January 1970."""
    return np.asarray(axis.wall_min.astype("datetime64[m]").astype("datetime64[M]").astype(np.int64))


def _spread(score: np.ndarray, count: int, window: np.ndarray | None) -> np.ndarray | None:
    """Weights proportional to the score that sum to one, none above one of `count` peaks; None without any score.

    Where several intervals make one demand window, the cap holds for the window and its intervals share its weight.
    """
    by_window = score if window is None else np.bincount(window, score)
    capped = np.zeros(by_window.size, dtype=bool)
    if by_window.sum() <= 0.0:
        return None
    if int((by_window > 0.0).sum()) <= count:
        weights = (by_window > 0.0).astype(float)
    else:
        while True:
            rest = np.where(capped, 0.0, by_window)
            weights = np.where(capped, 1.0, rest * ((count - capped.sum()) / rest.sum()))
            over = weights > 1.0 + 1e-12
            if not over.any():
                break
            capped |= over
    weights = weights / weights.sum()
    if window is None:
        return np.asarray(weights)
    return np.asarray(np.divide(score, by_window[window], out=np.zeros(score.size), where=score > 0) * weights[window])


__all__ = ["Coincident"]
