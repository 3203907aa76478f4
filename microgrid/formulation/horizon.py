"""The time axis of a dispatch: steps, edges and local months.

Inside the program time is UTC and interval-beginning. `t` runs over *steps* (intervals), `e` over *edges*
(instants; one more than steps). Every energy multiplies a power by `hours[t]`; no hour is implied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Index:
    """A named index set of positions 0 … size-1; the name becomes the dimension of the result."""

    name: str
    size: int
    labels: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[int]:
        """Iterate over positions."""
        return iter(range(self.size))

    def __len__(self) -> int:
        """Return the number of positions."""
        return self.size


@dataclass(frozen=True)
class Horizon:
    """A window of equal steps.

    `start` is UTC; `zone` is the IANA zone of the case, used for local months and for messages. With `wraps` the
    last edge is the first edge again (steady state); without it the ends are fixed by each part's own rule.
    """

    start: pd.Timestamp
    step_min: int
    count: int
    zone: str
    wraps: bool = False

    @cached_property
    def times(self) -> pd.DatetimeIndex:
        """UTC beginning of every step, shape (count,)."""
        return pd.date_range(self.start, periods=self.count, freq=f"{self.step_min}min")

    @cached_property
    def local(self) -> pd.DatetimeIndex:
        """Local beginning of every step, shape (count,)."""
        return self.times.tz_convert(self.zone)

    @cached_property
    def steps(self) -> Index:
        """Positions of the intervals."""
        return Index("time", self.count)

    @cached_property
    def edges(self) -> Index:
        """Positions of the instants that bound the intervals."""
        return Index("edge", self.count + 1)

    @cached_property
    def hours(self) -> list[float]:
        """Length of every step in hours."""
        return [self.step_min / 60.0] * self.count

    @cached_property
    def months(self) -> Index:
        """Local calendar months in order, labelled ``YYYY-MM``."""
        labels = tuple(dict.fromkeys(self._month_labels))
        return Index("month", len(labels), labels)

    @cached_property
    def month_of(self) -> list[int]:
        """Position in `months` of every step."""
        position = {label: place for place, label in enumerate(self.months.labels)}
        return [position[label] for label in self._month_labels]

    @cached_property
    def _month_labels(self) -> list[str]:
        stamps = zip(self.local.year.tolist(), self.local.month.tolist(), strict=True)  # a year's strftime takes 80 ms
        return [f"{year:04d}-{month:02d}" for year, month in stamps]

    def previous(self, t: int) -> int | None:
        """Step before `t`; the last step when the horizon wraps, None before the first when it does not."""
        if self.wraps:
            return (t - 1) % self.count
        return t - 1 if t > 0 else None

    def recent(self, t: int, hours: float) -> list[int]:
        """Steps that begin less than `hours` before the end of step `t`, `t` included, oldest first."""
        reach = self.steps_in(hours)
        if self.wraps:
            return [(t - back) % self.count for back in range(min(reach, self.count) - 1, -1, -1)]
        return [t - back for back in range(reach - 1, -1, -1) if t >= back]

    def steps_in(self, hours: float) -> int:
        """Fewest whole steps that last at least `hours`."""
        return int(np.ceil(hours * 60.0 / self.step_min - 1e-9))

    def label(self, t: int) -> str:
        """Local time of the beginning of step `t`, for messages."""
        return str(self.local[t].strftime("%Y-%m-%d %H:%M"))


__all__ = ["Horizon", "Index"]
