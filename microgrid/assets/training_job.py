"""A training job: how much work, when, at what power, and what an interruption or a delay costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import pairwise
from math import isnan, nan, sqrt
from typing import Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from microgrid.assets.concave_curve import Point, upper_hull
from microgrid.assets.shipped import shipped_table
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared, quantity

Period = Literal["day", "week", "month"]
_FREQUENCY: dict[str, str] = {"day": "D", "week": "W-SUN", "month": "M"}


class CapPoint(Declared):
    """A measured point of throughput under a power cap, relative to uncapped."""

    power_share: float = quantity("1", "power relative to uncapped", gt=0, le=1)
    throughput_share: float = quantity("1", "throughput relative to uncapped", gt=0, le=1)


@dataclass(frozen=True)
class Window:
    """Steps in which work counts (first to last, exclusive), those after `due` being late, and the work owed."""

    first: int
    due: int
    last: int
    work_mwh: float


class TrainingJob(Declared):
    """Work counted in MWh at full IT power, due within a window or in every day, week or month.

    A *synchronous* job occupies all its accelerators or none (one binary a step). An elastic job is many small jobs or
    one that scales, and takes any power in its range (no binaries).
    """

    power_mw: float = quantity("MW", "IT power at full throughput", symbol=r"\bar p_j", gt=0)
    work_mwh: float | None = quantity(
        "MWh", "IT energy at full throughput to complete", symbol="W_j", default=None, ge=0
    )
    gpu_hours: float | None = quantity("h", "accelerator hours to complete, instead of energy", default=None, ge=0)
    gpus: int | None = quantity("1", "accelerators that draw `power_mw` together", default=None, ge=1)
    goodput: float = quantity(
        "1", "productive share of running time (failures, checkpoints); scales the work", default=1.0, gt=0, le=1
    )
    arrival: datetime | None = Field(
        None, description="first instant, local time of the case; the window's start when absent"
    )
    deadline: datetime | None = Field(
        None, description="last instant, local time of the case; the window's end when absent"
    )
    repeat: Period | None = Field(None, description="the work is owed anew in every local day, week or month")
    synchronous: bool = Field(default=False, description="all accelerators run together or not at all")
    min_power_mw: float | None = quantity(
        "MW", "least power while running (synchronous; full power when absent) or always (elastic; 0 when absent)",
        symbol=r"\underline p_j", default=None, ge=0,
    )  # fmt: skip
    power_cap_curve: tuple[CapPoint, ...] | str = quantity(
        "-", "throughput against power: compute_bound, memory_bound or own points; proportional when empty", default=()
    )
    idle_power_mw: float = quantity(
        "MW", "power of waiting accelerators, part of `power_mw` once they run", default=0.0, ge=0
    )
    min_run_h: float = quantity("h", "shortest run of a synchronous job", symbol="U_j", default=0.0, ge=0)
    restart_loss_h: float = quantity(
        "h",
        "full-power time lost by a start: load, warm up, redo since the checkpoint",
        symbol=r"\tau_j",
        default=0.25,
        ge=0,
    )
    checkpoint_interval_h: float = quantity("h", "time between checkpoints", default=0.0, ge=0)
    stops_without_notice: bool = Field(
        default=False, description="half a checkpoint interval is lost in every stop as well"
    )
    start_cost_usd: float = quantity("$", "cost of a start", default=0.0, ge=0)
    ramp_mw_per_min: float | None = quantity("MW/min", "largest rate of change of IT power", default=None, gt=0)
    value_usd_per_mwh: float = quantity(
        "$/MWh", "income of completed useful work (goodput counted)", symbol="v_j", default=0.0, ge=0
    )
    grace_h: float = quantity("h", "time after the deadline in which work still counts, as late", default=0.0, ge=0)
    late_usd_per_mwh: float = quantity(
        "$/MWh", "penalty of useful work done after the deadline", symbol=r"\ell_j", default=0.0, ge=0
    )
    unfinished_usd_per_mwh: float | None = quantity(
        "$/MWh", "penalty of useful work never done; all must be done when absent", symbol="m_j", default=None, ge=0
    )

    @model_validator(mode="after")
    def _data_agree(self) -> Self:
        if (self.work_mwh is None) == (self.gpu_hours is None):
            raise ValueError("give either work_mwh or gpu_hours, not both and not neither")
        if self.gpu_hours is not None and self.gpus is None:
            raise ValueError("gpu_hours needs gpus, the accelerators that draw power_mw together")
        if self.repeat and (self.arrival or self.deadline or self.grace_h):
            raise ValueError("repeat has its own windows; drop arrival, deadline and grace_h")
        if self.arrival and self.deadline and _naive(self.arrival) >= _naive(self.deadline):
            raise ValueError(f"arrival {self.arrival} must lie before deadline {self.deadline}")
        if self.min_power_mw is not None and self.min_power_mw > self.power_mw:
            raise ValueError(f"min_power_mw {self.min_power_mw:g} exceeds power_mw {self.power_mw:g}")
        if self.idle_power_mw >= self.lowest_mw and self.synchronous:
            raise ValueError(
                f"idle_power_mw {self.idle_power_mw:g} must lie below the running power {self.lowest_mw:g}"
            )
        self._check_curve()
        return self

    def _check_curve(self) -> None:
        if isinstance(self.power_cap_curve, str) and self.power_cap_curve not in power_cap_curves():
            raise ValueError(f"no curve named {self.power_cap_curve!r}; choose one of {', '.join(power_cap_curves())}")
        if self.power_cap_curve and self.cap_points[-1] != (1.0, 1.0):
            raise ValueError("power_cap_curve must end at power_share 1, throughput_share 1")

    @property
    def cap_points(self) -> list[Point]:
        """Points (power share, throughput share) of the curve; only the uncapped one when none is given."""
        if isinstance(self.power_cap_curve, str):
            return list(power_cap_curves()[self.power_cap_curve])
        return [(point.power_share, point.throughput_share) for point in self.power_cap_curve] or [(1.0, 1.0)]

    @property
    def lowest_mw(self) -> float:
        """Least power while running (synchronous) or always (elastic), MW."""
        if self.min_power_mw is not None:
            return self.min_power_mw
        return self.power_mw if self.synchronous else 0.0

    @property
    def may_yield(self) -> bool:
        """True when a call is affordable: its work may stay unfinished, or be made up after the deadline."""
        return self.unfinished_usd_per_mwh is not None or self.grace_h > 0

    @property
    def work_owed_mwh(self) -> float:
        """Work of one window in MWh at full power."""
        if self.work_mwh is not None:
            return self.work_mwh / self.goodput
        return float(self.gpu_hours or 0.0) / float(self.gpus or 1) * self.power_mw / self.goodput

    @property
    def loss_mwh(self) -> float:
        """Work lost by one start, MWh at full power."""
        repeated = 0.5 * self.checkpoint_interval_h if self.stops_without_notice else 0.0
        return (self.restart_loss_h + repeated) * self.power_mw

    def hull(self) -> list[Point]:
        """Corners of throughput (full-power MW) against power (MW), from the lowest power while on to full.

        Below the first measured point throughput falls in proportion to power.
        """
        power, points = self.power_mw, self.cap_points
        if self.lowest_mw <= self.idle_power_mw:
            start = (self.idle_power_mw / power, 0.0)
        else:
            low = self.lowest_mw / power
            start = (low, _along([(0.0, 0.0), *points], low))
        corners = upper_hull(start, [point for point in points if point[0] > start[0] + 1e-12])
        return [(share * power, output * power) for share, output in corners]

    def windows(self, horizon: Horizon, done_mwh: float = nan) -> list[Window]:
        """Windows of the job that meet the horizon; of the work left at its start, they owe the part inside it.

        `done_mwh` is what was done of the first window before; in proportion to its time when not a number. Work left
        after its deadline is owed as long as it counts (`grace_h`). A window that no whole step fits in has none.
        """
        if self.repeat:
            return _periods(horizon, self.repeat, self.work_owed_mwh, done_mwh)
        times = horizon.times
        span = pd.Timedelta(minutes=horizon.step_min)
        start, end = times[0], times[-1] + span
        arrival = _instant(self.arrival, horizon.zone) or start
        deadline = _instant(self.deadline, horizon.zone) or end
        grace = deadline + pd.Timedelta(hours=self.grace_h)
        if grace <= start or arrival >= end:
            return []
        work = _owed(self.work_owed_mwh, (arrival, deadline), (start, end), done_mwh)
        first = int(times.searchsorted(max(arrival, start), side="left"))
        due, last = (int((times + span).searchsorted(instant, side="right")) for instant in (deadline, grace))
        if (deadline <= start and work == 0) or (grace > end and first >= last):  # done before, or begins at the end
            return []
        return [Window(first, max(first, due), max(first, last), work)]


def _owed(
    work_mwh: float,
    window: tuple[pd.Timestamp, pd.Timestamp],
    horizon: tuple[pd.Timestamp, pd.Timestamp],
    done_mwh: float,
) -> float:
    """Work of a window that is owed in the horizon: what is left at its start, in proportion to the time left.

    A window that ended before the horizon and has no stated arrival begins with the horizon, with all of its work.
    """
    (begins, ends), (start, end) = window, horizon
    now = min(max(begins, start), ends)
    gone = float((now - begins) / (ends - begins)) if ends > begins else 0.0
    done = work_mwh * gone if isnan(done_mwh) else done_mwh
    inside = 1.0 if ends <= end else float((end - now) / (ends - now))
    return max(0.0, work_mwh - done) * inside


def _periods(horizon: Horizon, period: Period, work_mwh: float, done_mwh: float) -> list[Window]:
    local = horizon.local
    naive = local.tz_localize(None)
    labels = naive.to_period(_FREQUENCY[period])
    reach = horizon.times[0], horizon.times[-1] + pd.Timedelta(minutes=horizon.step_min)
    found: list[Window] = []
    for label in labels.unique():
        inside = np.flatnonzero(np.asarray(labels == label))
        first, last = int(inside[0]), int(inside[-1]) + 1
        begins, ends = (
            pd.Timestamp(edge.start_time).tz_localize(horizon.zone, nonexistent="shift_forward", ambiguous=True)
            for edge in (label, label + 1)
        )
        work = _owed(work_mwh, (begins, ends), reach, nan if found else done_mwh)
        found.append(Window(first, last, last, work))
    return found


def _instant(stamp: datetime | None, zone: str) -> pd.Timestamp | None:
    if stamp is None:
        return None
    instant = pd.Timestamp(stamp)
    return instant.tz_localize(zone) if instant.tz is None else instant


def _naive(stamp: datetime) -> datetime:
    return stamp.replace(tzinfo=None)


def _along(corners: Sequence[Point], share: float) -> float:
    """Output on a polyline at `share`."""
    for before, after in pairwise(corners):
        if share <= after[0] + 1e-12:
            return before[1] + (after[1] - before[1]) * (share - before[0]) / (after[0] - before[0])
    return corners[-1][1]


@cache
def power_cap_curves() -> dict[str, tuple[Point, ...]]:
    """Shipped curves by name, from `data/power_cap_curves.toml` (sources and date stand there)."""
    table = shipped_table("power_cap_curves.toml")
    return {name: tuple((p, y) for p, y in points) for name, points in table.items()}


def checkpoint_interval_h(write_h: float, mean_time_between_failures_h: float) -> float:
    """Interval that loses least to writing and to failures: ``sqrt(2 write MTBF)`` (Young 1974, first order)."""
    return sqrt(2.0 * write_h * mean_time_between_failures_h)


__all__ = ["CapPoint", "TrainingJob", "Window", "checkpoint_interval_h", "power_cap_curves"]
