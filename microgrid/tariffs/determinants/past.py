"""Ratchets: which past values of a determinant a billing cycle looks back on, for both readings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from microgrid.schema.quantity import Declared
from microgrid.tariffs.axis import Cycles
from microgrid.tariffs.calendar import Month
from microgrid.tariffs.reading import FIRST_YEAR, STEADY_STATE, History

Share = float | dict[Month, float]


class Term(Declared):
    """One argument of `max_of` or `min_of`: a determinant (now or looking back), a number, or a contract value.

    With `lookback` the term is the highest value of the last so many cycles, each times `pct`; `months` are those that
    past (or present) values are taken from, and `pct` may differ by the month of the value. A month that `pct` or
    `months` leaves out does not count. `include_current` adds the present cycle. `wrap` states that the billed time
    repeats itself (steady state); without it, `history` is needed.
    """

    ref: str | None = None
    const: float | None = None
    contract: str | None = None
    pct: Share = 1.0
    months: tuple[Month, ...] | None = None
    lookback: int | None = None
    include_current: bool = False
    wrap: bool = False

    def share(self, month: int) -> float | None:
        """Fraction that a value of this month counts with; None where the month does not count."""
        if self.months is not None and month not in self.months:
            return None
        return self.pct.get(month) if isinstance(self.pct, dict) else self.pct

    def shares(self, months: np.ndarray) -> np.ndarray:
        """Fraction by cycle for the months that cycles begin in, NaN where the term does not count."""
        found = [self.share(month) for month in months.tolist()]
        return np.array([np.nan if share is None else share for share in found])


@dataclass(frozen=True)
class Look:
    """One value looked at: of cycle `cycle`, or `kw` from history; counted with `share`."""

    share: float
    cycle: int = -1
    kw: float = 0.0


@dataclass(frozen=True)
class Missing:
    """History that a ratchet needs and nobody gave: how many cycles before the first."""

    ref: str
    cycles: int


def looks(term: Term, cycle: int, cycles: Cycles, history: History | None) -> Iterator[Look | Missing]:
    """Values of `term.ref` that count in `cycle`, present and past."""
    ref = term.ref or ""
    if term.lookback is None:
        share = term.share(int(cycles.month[cycle]))
        if share is not None:
            yield Look(share, cycle)
        return
    for back in range(0 if term.include_current else 1, term.lookback + 1):
        place = cycle - back
        wraps = term.wrap or history == STEADY_STATE
        inside = place >= 0 or wraps
        month = int(cycles.month[place % cycles.count]) if inside else (int(cycles.month[0]) - 1 + place) % 12 + 1
        share = term.share(month)
        if share is None:
            continue
        if inside:
            yield Look(share, place % cycles.count)
        elif (value := _remembered(ref, place, history)) is not None:
            yield Look(share, kw=value)
        elif history != FIRST_YEAR:
            yield Missing(ref, -place)


def _remembered(ref: str, place: int, history: History | None) -> float | None:
    if history is None or isinstance(history, str):
        return None
    values = history.get(ref, ())
    return float(values[place]) if -place <= len(values) else None


__all__ = ["Look", "Missing", "Share", "Term", "looks"]
