"""TOU calendars drawn in text, by month and half hour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microgrid.tariffs.calendar import GAP, Calendar, Days, Holidays, period_table
from microgrid.tariffs.model import Tariff

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SLOT_MIN = 30
_SYMBOLS = ".#o+x*=%@abcdefghijk"


@dataclass(frozen=True)
class Drawing:
    """One TOU calendar by month and half hour.

    `weekday` and `weekend` hold positions in `periods`, shape (12, 48), -1 for a gap. A month whose season changes
    inside it shows its 20th.
    """

    name: str
    periods: tuple[str, ...]
    weekday: np.ndarray
    weekend: np.ndarray

    def text(self) -> str:
        """Rows of months, columns of half hours, one symbol a period."""
        ruler = " " * 12 + "".join(f"{hour:<6d}" for hour in range(0, 24, 3))
        lines = [f"calendar {self.name} (weekday above weekend)", ruler]
        for month, label in enumerate(MONTHS):
            for kind, rows in (("weekday", self.weekday), ("weekend", self.weekend)):
                head = label if kind == "weekday" else ""
                row = "".join(
                    "?" if place == GAP else _SYMBOLS[place % len(_SYMBOLS)] for place in rows[month].tolist()
                )
                lines.append(f"{head:<4}{kind:<8}{row}")
        legend = ", ".join(f"{_SYMBOLS[place % len(_SYMBOLS)]} {name}" for place, name in enumerate(self.periods))
        return "\n".join([*lines, f"periods: {legend}"])


def draw(tariff: Tariff) -> list[Drawing]:
    """Every TOU calendar by month and half hour."""
    return [_drawing(name, calendar) for name, calendar in tariff.calendars.items()]


def _drawing(name: str, calendar: Calendar) -> Drawing:
    minutes = np.arange(0, 1440, _SLOT_MIN)
    weekdays = np.array([np.datetime64(f"2025-{month:02d}-20") for month in range(1, 13)])
    first_weekday = np.busday_offset(weekdays, 0, roll="forward")
    first_saturday = np.busday_offset(weekdays, 0, roll="forward", weekmask="Sat")
    rows = [period_table(calendar, Days.of(days, Holidays()), minutes) for days in (first_weekday, first_saturday)]
    return Drawing(name, calendar.periods, rows[0], rows[1])


__all__ = ["MONTHS", "Drawing", "draw"]
