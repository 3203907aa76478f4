"""Demand response beside the tariff: interruption credits, event energy, penalties and sold reserve."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from microgrid.formulation.algebra import Linear, Relation
from microgrid.schema.quantity import Declared
from microgrid.tariffs.axis import Axis
from microgrid.tariffs.determinants import Excess
from microgrid.tariffs.ledger import Ledger
from microgrid.tariffs.page import KILO, Page, Terms
from microgrid.tariffs.reading import Reading

Unit = Literal["$/kW-month", "$/kW-year", "$/kWh", "$/kW-event-hour", "$/MW-h"]


def _running(chosen: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Number of chosen intervals so far in the interval's own group; groups are contiguous, shape (intervals,)."""
    total = np.cumsum(chosen)
    begins = np.flatnonzero(np.diff(group, prepend=group[:1] - 1))
    before = (total - chosen)[begins]
    return np.asarray(total - np.repeat(before, np.diff(np.append(begins, group.size))))


class Program(Declared):
    """One program with known events.

    - `capacity_credit`: pays `price` for each kW of `of` above `firm_level_kw`, by month or year.
    - `event_energy`: pays `price` for each kW of `of` above the firm level and each event hour.
    - `penalty`: charges `price` for each kWh above the firm level during events.
    - `ancillary`: pays `price` for each MW of `of` and hour of `window` (all hours without one).

    The first two are earned: in a cycle with events they pay at most the least reduction, ``(of - import)^+``, of all
    its event intervals. Only a capacity credit that states a `penalty_price` is paid in full, since then the penalty
    settles what was not delivered.

    `events` is a 0/1 series, `window` a calendar whose named period (any but its default) events may fall in; event
    hours outside it do not count. An event is a run of event intervals; of each only `max_hours_per_event` count, and
    of each local calendar year only `max_events` events (by the year they begin in) and `max_hours_per_year`. What is
    called beyond is neither paid nor penalised. `penalty_price` is charged on event energy above the firm level.

    In a case, `ancillary` and `capacity_credit` are refused unless it states `allow_tariff_programs`: they know nothing
    of the headroom that assets offer, which `ancillary_services` and `interruptible` of its `programs:` share out.
    """

    id: str
    kind: Literal["capacity_credit", "event_energy", "penalty", "ancillary"]
    price: float
    unit: Unit
    of: str | None = None
    window: str | None = None
    max_hours_per_event: float | None = Field(None, gt=0)
    max_hours_per_year: float | None = Field(None, gt=0)
    max_events: int | None = Field(None, ge=0)
    notice_h: float | None = Field(None, ge=0)
    events: str | None = None
    firm_level_kw: float | str | None = None
    penalty_price: float | None = Field(None, ge=0)
    mutually_exclusive_with: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _unit_fits(self) -> Program:
        fitting: dict[str, tuple[str, ...]] = {
            "capacity_credit": ("$/kW-month", "$/kW-year"),
            "event_energy": ("$/kW-event-hour",),
            "penalty": ("$/kWh",),
            "ancillary": ("$/MW-h",),
        }
        if self.unit not in fitting[self.kind]:
            raise ValueError(f"`{self.kind}` has another unit: write {' or '.join(fitting[self.kind])}")
        if self.price < 0.0:
            raise ValueError(
                "a program's price is not negative, since its kind pays or charges it: write it without sign"
            )
        return self

    @property
    def active(self) -> bool:
        """Whether it moves money: event programs need a series of events, credits a determinant."""
        return self.events is not None if self.kind in {"event_energy", "penalty"} else self.of is not None

    def _firm_kw(self, contract: dict[str, float]) -> float:
        firm = self.firm_level_kw
        return contract[firm] if isinstance(firm, str) else (firm or 0.0)

    def _in_window(self, axis: Axis) -> np.ndarray:
        if self.window is None:
            return np.ones(axis.count)
        periods = axis.periods[self.window]
        return np.asarray(periods.of != len(periods.names) - 1, dtype=float)

    def _event(self, axis: Axis, series: np.ndarray) -> np.ndarray:
        """1 in event intervals that count, shape (intervals,): inside the window and within every cap."""
        called = (np.asarray(series) > 0.5) & (self._in_window(axis) > 0.5)
        begins = called & ~np.concatenate([[False], called[:-1]])
        event = np.cumsum(begins) - 1
        year = axis.wall_min.astype("datetime64[m]").astype("datetime64[Y]").astype(np.int64)
        counts = called.copy()
        for of_year in np.unique(year[begins]).tolist():
            mine = np.flatnonzero(begins & (year == of_year))
            if self.max_events is not None and mine.size > self.max_events:
                counts &= ~np.isin(event, event[mine[self.max_events :]])
        if self.max_hours_per_event is not None:
            counts &= _running(called, np.where(called, event, -1)) * axis.hours <= self.max_hours_per_event + 1e-9
        if self.max_hours_per_year is not None:
            counts &= _running(counts, year) * axis.hours <= self.max_hours_per_year + 1e-9
        return counts.astype(float)

    def _earned_only(self, events: np.ndarray | None) -> bool:
        """Whether the credit is limited to what was delivered in events."""
        return events is not None and (
            self.kind == "event_energy" or (self.kind == "capacity_credit" and not self.penalty_price)
        )

    def _rate(self, axis: Axis, events: np.ndarray | None) -> np.ndarray:
        """Money for each kW by cycle (credits), shape (cycles,)."""
        count = axis.cycles.count
        if self.kind == "capacity_credit":
            return axis.cycles.share * (self.price if self.unit == "$/kW-month" else self.price / 12.0)
        if self.kind == "ancillary":
            return np.bincount(axis.cycles.of, self._in_window(axis), count) * axis.hours * self.price / KILO
        marked = np.zeros(axis.count) if events is None else self._event(axis, events)
        return np.bincount(axis.cycles.of, marked, count) * axis.hours * self.price

    # -- biller ----------------------------------------------------------------------------------------------

    def bill(self, reading: Reading, ledger: Ledger) -> None:
        """Enter the credit and the penalty, one line a cycle."""
        ledger.open(self.id, "program", ("program",))
        if not self.active:
            reading.notes.append(f"program `{self.id}` states no events or no determinant: nothing is billed for it")
            return
        axis = reading.axis
        events = reading.series(self.events) if self.events is not None else None
        if self.kind != "penalty" and self.of is not None:
            kw = np.maximum(reading.determinants[self.of] - self._firm_kw(dict(reading.contract)), 0.0)
            if self._earned_only(events):
                kw = np.minimum(kw, self._delivered_kw(reading, events))
            ledger.each_cycle(self.id, "kW credited", kw, -kw * self._rate(axis, events))
        if events is not None and (uncounted := int((events > 0.5).sum() - self._event(axis, events).sum())):
            reading.notes.append(f"program `{self.id}`: {uncounted} called intervals are beyond its window or caps")
        price = self.price if self.kind == "penalty" else self.penalty_price
        if price and events is not None:
            above = np.maximum(reading.load.import_kw - self._firm_kw(dict(reading.contract)), 0.0)
            energy = np.bincount(axis.cycles.of, above * self._event(axis, events), axis.cycles.count) * axis.hours
            ledger.each_cycle(self.id, "kWh above firm", energy, energy * price)

    def _delivered_kw(self, reading: Reading, events: np.ndarray | None) -> np.ndarray:
        """Least reduction below the reference in the events of each cycle, kW; no limit in a cycle without events."""
        axis, least = reading.axis, np.full(reading.axis.cycles.count, np.inf)
        marked = np.flatnonzero(self._event(axis, np.zeros(axis.count) if events is None else events))
        cycle = axis.cycles.of[marked]
        below = reading.determinants[str(self.of)][cycle] - reading.load.import_kw[marked]
        np.minimum.at(least, cycle, np.maximum(below, 0.0))
        return least

    # -- optimiser -------------------------------------------------------------------------------------------

    def formulate(self, page: Page) -> None:
        """Write the credit on ``(D - firm)^+`` and the penalty on event energy above firm.

        The penalty is an LP. The credit rewards a convex excess and is held from above by the `excess` determinant it
        becomes (one binary a cycle), unless the firm level is zero, where it is linear. An earned credit adds one row
        an event interval, and one binary a cycle with events, since the reduction counts from zero only.
        """
        if not self.active:
            return
        events = page.series[self.events] if self.events is not None else None
        amounts: list[Linear] = [page.constant(0.0)] * page.cycles.size
        if self.kind != "penalty" and self.of is not None:
            paid = self._credited(page)
            if self._earned_only(events):
                paid = self._earned(page, paid, events)
            rate = self._rate(page.axis, events)
            for name in dict.fromkeys(name for name in (str(self.of), self._excess) if name in page.determinants):
                page.pulls(self.id, name, -rate)
            amounts = [-KILO * float(rate[c]) * paid[c] for c in page.cycles]
        price = self.price if self.kind == "penalty" else self.penalty_price
        if price and events is not None:
            penalty = self._penalty(page, self._event(page.axis, events), price)
            amounts = [one + more for one, more in zip(amounts, penalty, strict=True)]

        @page.block.cost(page.cycles, of=self.id)
        def program(c: int) -> Linear:
            r"""penalty above the firm level less the credit for what may be interrupted"""
            return amounts[c]

        page.may_be_negative.add(self.id)
        page.amounts[self.id] = amounts

    @property
    def _excess(self) -> str:
        return f"{self.id}.interruptible"

    def _credited(self, page: Page) -> Terms:
        """Reference above the firm level, MW by cycle."""
        firm = self._firm_kw(dict(page.contract))
        if firm == 0.0:
            return page.determinants[str(self.of)]
        node = Excess(kind="excess", ref=str(self.of), over=firm)
        page.nodes[self._excess], page.determinants[self._excess] = node, node.formulate(page, self._excess)
        return page.determinants[self._excess]

    def _earned(self, page: Page, offered: Terms, events: np.ndarray | None) -> Terms:
        """What was delivered of the offer, MW by cycle; the offer itself in a cycle without events."""
        event = self._event(page.axis, np.zeros(page.axis.count) if events is None else events)
        marked: list[int] = np.flatnonzero(event).tolist()
        cycle: list[int] = page.axis.cycles.of.tolist()
        reference, power = page.determinants[str(self.of)], page.power["import"]
        largest = page.limit_mw(f"the earned credit of program `{self.id}`")
        highest: list[float] = (page.reach().highest[str(self.of)] / KILO).tolist()
        earned = page.variable("earned_mw", self.id, "MW", "reduction that the credit pays")
        delivers = page.variable("delivers", self.id, "1", "whether each event is below the reference", integer=True)

        @page.block.constraint(page.cycles, of=self.id)
        def within_offer(c: int) -> Relation:
            r"""e_c \le (D_c - K)^+"""
            return earned[c] <= offered[c]

        @page.block.constraint(page.cycles, of=self.id)
        def only_if_delivered(c: int) -> Relation:
            r"""e_c \le \bar D_c z_c"""
            return earned[c] <= highest[c] * delivers[c]

        @page.block.constraint(range(len(marked)), of=self.id)
        def within_delivery(k: int) -> Relation:
            r"""e_c \le D_c - p_t + \bar p (1 - z_c) in every event interval"""
            c, t = cycle[marked[k]], marked[k]
            return earned[c] <= reference[c] - power[t] + largest * (1.0 - delivers[c])

        return earned

    def _penalty(self, page: Page, event: np.ndarray, price: float) -> list[Linear]:
        marked = np.flatnonzero(event).tolist()
        places = page.indexed("event", self.id, len(marked))
        above = page.block.variable("above_firm_mw", places, "MW", "import above the firm level in events", of=self.id)
        firm_mw, power = self._firm_kw(dict(page.contract)) / KILO, page.power["import"]

        @page.block.constraint(places, of=self.id)
        def above_firm(k: int) -> Relation:
            r"""u_t \ge p_t - K in every event interval"""
            return above[k] >= power[marked[k]] - firm_mw

        by_step = {t: above[k] for k, t in enumerate(marked)}
        return [
            KILO * price * page.axis.hours * page.sum_of(by_step[t] for t in steps.tolist() if t in by_step)
            for steps in page.steps_of
        ]


__all__ = ["Program"]
