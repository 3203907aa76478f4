"""Calls of interruptible load: which of them a contract's caps on events and hours allow, by year and by term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from math import inf

from microgrid.assets.shipped import shipped_table
from microgrid.formulation.horizon import Horizon

Terms = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Event:
    """Steps of one call, first to last exclusive."""

    first: int
    last: int


@dataclass(frozen=True)
class Caps:
    """What may be called: the longest event, and events and hours in a local year and in a contract term.

    `terms` are the contract terms by calendar months, e.g. ``((12, 1, 2, 3), …)``; a term that passes the turn of the
    year belongs to the year in which it began. A month in no term counts towards its year alone.
    """

    event_h: float
    events_per_year: float
    hours_per_year: float
    events_per_term: float = inf
    hours_per_term: float = inf
    terms: Terms = ()

    def term(self, year: int, month: int) -> tuple[int, int] | None:
        """Year in which the term of a month began, and the place of the term among `terms`."""
        for place, months in enumerate(self.terms):
            if month in months:
                turn = next((at + 1 for at, (one, two) in enumerate(pairwise(months)) if two < one), 0)
                return year - (1 if turn and month in months[turn:] else 0), place
        return None


@dataclass
class _Used:
    """Events and hours used up, by year and by term."""

    events: dict[object, int] = field(default_factory=dict)
    hours: dict[object, float] = field(default_factory=dict)

    def left(self, key: object, events: float, hours: float) -> float:
        """Hours that may still be called; none when the events are used up."""
        return hours - self.hours.get(key, 0.0) if self.events.get(key, 0) < events else 0.0

    def add(self, keys: Sequence[object], hours: float) -> None:
        """Book one event."""
        for key in keys:
            self.events[key] = self.events.get(key, 0) + 1
            self.hours[key] = self.hours.get(key, 0.0) + hours


def allowed_events(caps: Caps, horizon: Horizon, called: Sequence[float]) -> list[Event]:
    """Calls that the caps allow: what goes beyond the longest event or beyond a cap need not be followed."""
    events, used = [], _Used()
    for first, last in _runs(called):
        year, month = int(horizon.local[first].year), int(horizon.local[first].month)
        term = caps.term(year, month)
        room_h = min(caps.event_h, used.left(year, caps.events_per_year, caps.hours_per_year))
        if term is not None:
            room_h = min(room_h, used.left(term, caps.events_per_term, caps.hours_per_term))
        steps = min(last - first, int(room_h * 60.0 / horizon.step_min + 1e-9))
        if steps <= 0:
            continue
        events.append(Event(first, first + steps))
        used.add([year] if term is None else [year, term], steps * horizon.step_min / 60.0)
    return events


def _runs(called: Sequence[float]) -> list[tuple[int, int]]:
    """First and last (exclusive) step of every unbroken call."""
    edges = [False, *(entry > 0.5 for entry in called), False]
    changes = [t for t in range(len(edges) - 1) if edges[t] != edges[t + 1]]
    return list(zip(changes[::2], changes[1::2], strict=True))


@cache
def interruptible_terms() -> Mapping[str, Mapping[str, object]]:
    """Shipped terms by program, from `data/interruptible_terms.toml` (sources and date stand there)."""
    return shipped_table("interruptible_terms.toml")


__all__ = ["Caps", "Event", "allowed_events", "interruptible_terms"]
