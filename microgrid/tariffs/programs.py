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
from microgrid.tariffs.page import KILO, Page
from microgrid.tariffs.reading import Reading

Unit = Literal["$/kW-month", "$/kW-year", "$/kWh", "$/kW-event-hour", "$/MW-h"]


class Program(Declared):
    """One program with known events.

    - `capacity_credit`: pays `price` for each kW of `of` above `firm_level_kw`, by month or year.
    - `event_energy`: pays `price` for each kW of `of` above the firm level and each event hour.
    - `penalty`: charges `price` for each kWh above the firm level during events.
    - `ancillary`: pays `price` for each MW of `of` and hour of `window` (all hours without one).

    `events` is a 0/1 series, `window` a calendar whose named period (any but its default) events may fall in; event
    hours outside it do not count. `penalty_price` is charged on event energy above the firm level.
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
            raise ValueError(f"`{self.kind}` is priced in {' or '.join(fitting[self.kind])}, not {self.unit}")
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
        """1 in event intervals that count, shape (intervals,), cut at the yearly limit of hours."""
        event = (np.asarray(series) > 0.5) * self._in_window(axis)
        if self.max_hours_per_year is None:
            return np.asarray(event)
        return np.asarray(event * (np.cumsum(event) * axis.hours <= self.max_hours_per_year + 1e-9))

    def _rate(self, axis: Axis, events: np.ndarray | None) -> np.ndarray:
        """Money for each kW by cycle (credits), shape (cycles,)."""
        count = axis.cycles.count
        if self.kind == "capacity_credit":
            return np.full(count, self.price if self.unit == "$/kW-month" else self.price / 12.0)
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
            ledger.each_cycle(self.id, "kW credited", kw, -kw * self._rate(axis, events))
        price = self.price if self.kind == "penalty" else self.penalty_price
        if price and events is not None:
            above = np.maximum(reading.load.import_kw - self._firm_kw(dict(reading.contract)), 0.0)
            energy = np.bincount(axis.cycles.of, above * self._event(axis, events), axis.cycles.count) * axis.hours
            ledger.each_cycle(self.id, "kWh above firm", energy, energy * price)

    # -- optimiser -------------------------------------------------------------------------------------------

    def formulate(self, page: Page) -> None:
        """Write the credit on ``(D - firm)^+`` and the penalty on event energy above firm.

        The penalty is an LP. The credit rewards a convex excess and is held from above by the `excess` determinant it
        becomes (one binary a cycle), unless the firm level is zero, where it is linear.
        """
        if not self.active:
            return
        events = page.series[self.events] if self.events is not None else None
        amounts: list[Linear] = [page.constant(0.0)] * page.cycles.size
        if self.kind != "penalty" and self.of is not None:
            amounts = self._credit(page, self._rate(page.axis, events))
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

    def _credit(self, page: Page, rate: np.ndarray) -> list[Linear]:
        firm = self._firm_kw(dict(page.contract))
        if firm == 0.0:
            page.pulls(self.id, str(self.of), -rate)
            return [-KILO * float(rate[c]) * page.determinants[str(self.of)][c] for c in page.cycles]
        name = f"{self.id}.interruptible"
        node = Excess(kind="excess", ref=str(self.of), over=firm)
        page.nodes[name], page.determinants[name] = node, node.formulate(page, name)
        page.pulls(self.id, name, -rate)
        return [-KILO * float(rate[c]) * page.determinants[name][c] for c in page.cycles]

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
