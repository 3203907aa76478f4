"""What all pictures of one result share: time, parts, colours and the week that is shown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from microgrid.errors import InvalidInput, Problem
from microgrid.report.canvas import COLOURS
from microgrid.results.dataset import INJECTION
from microgrid.results.files import NETWORK, Results

HOURS_PER_WEEK = 168
SHOWN_MW = 1e-3
MANY_STEPS = 1500
"""Above this many steps a picture of the whole window shows days instead of steps."""


@dataclass(frozen=True)
class View:
    """A result as pictures see it; `week` counts from the start, -1 is the one that holds the highest price."""

    results: Results
    week: int = 0

    @property
    def dispatch(self) -> xr.Dataset:
        """Dispatch over time."""
        return self.results.dispatch

    @property
    def zone(self) -> str:
        """IANA zone of the case."""
        return str(self.dispatch.attrs["zone"])

    @property
    def name(self) -> str:
        """Name of the case."""
        return str(self.results.manifest["case"])

    @property
    def hours(self) -> float:
        """Length of a step, h."""
        return int(self.dispatch.attrs["step_min"]) / 60.0

    @cached_property
    def edges(self) -> pd.DatetimeIndex:
        """Instants that bound the steps, local, shape (steps + 1,)."""
        return pd.DatetimeIndex(self.dispatch["edge"].to_numpy()).tz_localize("UTC").tz_convert(self.zone)

    @property
    def count(self) -> int:
        """Number of steps."""
        return int(self.dispatch.sizes["time"])

    @cached_property
    def powers(self) -> dict[str, np.ndarray]:
        """Injection of every part, MW, positive into the campus; parts at several buses are added up."""
        found: dict[str, np.ndarray] = {}
        for name in map(str, self.dispatch):
            if name.startswith(INJECTION):
                part = name.removeprefix(INJECTION).partition("@")[0]
                found[part] = found.get(part, 0.0) + self.dispatch[name].to_numpy()
        moving = {part: power for part, power in found.items() if np.abs(power).max(initial=0.0) > SHOWN_MW}
        return dict(sorted(moving.items(), key=lambda item: -float(np.abs(item[1]).sum())))

    @cached_property
    def colours(self) -> dict[str, str]:
        """One colour a part, the same in every picture."""
        return {part: COLOURS[place % len(COLOURS)] for place, part in enumerate(self.powers)}

    @cached_property
    def price(self) -> np.ndarray | None:
        """Value of energy on the campus, USD/MWh; the highest of the bus groups, None where none is stored."""
        names = [name for name in map(str, self.dispatch) if name.startswith("campus.energy_value")]
        return np.max([self.dispatch[name].to_numpy() for name in names], axis=0) if names else None

    @cached_property
    def span(self) -> slice:
        """Steps of the week that is shown; InvalidInput when the window has no such week."""
        length = max(1, round(HOURS_PER_WEEK / self.hours))
        weeks = -(-self.count // length)
        chosen = self.week
        if chosen == -1:
            chosen = 0 if self.price is None else int(np.argmax(self.price)) // length
        if not 0 <= chosen < weeks:
            remedy = f"weeks 0 to {weeks - 1}, or -1 for the one with the highest price"
            raise InvalidInput(Problem("the result has no such week", remedy, "--week", str(self.week)))
        return slice(chosen * length, min((chosen + 1) * length, self.count))

    @property
    def span_text(self) -> str:
        """Local dates of the week that is shown."""
        first, last = self.edges[self.span.start], self.edges[self.span.stop] - pd.Timedelta(minutes=1)
        return f"{first:%Y-%m-%d}" if first.date() == last.date() else f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"

    @cached_property
    def day_starts(self) -> np.ndarray:
        """First step of every local day, for pictures of long windows."""
        days = self.edges[:-1].normalize()
        return np.flatnonzero(np.r_[True, days[1:] != days[:-1]])

    def coarse(self, values: np.ndarray, pick: np.ufunc) -> tuple[pd.DatetimeIndex, np.ndarray]:
        """Edges and values by step, or by local day (by np.fmax or np.fmin) where steps are many; time is last."""
        if self.count <= MANY_STEPS:
            return self.edges, values
        starts = self.day_starts
        return self.edges[np.r_[starts, self.count]], pick.reduceat(values, starts, axis=-1)

    @cached_property
    def net(self) -> Any | None:
        """Network of the result with all parts attached; None where the folder holds none."""
        path = self.results.folder / NETWORK
        if not path.is_file():
            return None
        import pandapower  # noqa: PLC0415 - slow to load; only results with a network need it

        return pandapower.from_json(str(path))

    @property
    def per(self) -> str:
        """What one value of `coarse` stands for."""
        return "day" if self.count > MANY_STEPS else "step"


def held(values: np.ndarray) -> np.ndarray:
    """Values at edges for a line that holds each step until its end (drawn with ``steps-post``)."""
    return np.concatenate([values, values[..., -1:]], axis=-1)


__all__ = ["SHOWN_MW", "View", "held"]
