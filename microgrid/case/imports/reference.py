"""Does a series run at the same time as one that is trusted? Correlation by lag tells.

An hour-ending file read as hour-beginning, a wrong zone, standard time taken for local time, or values averaged over
neighbouring intervals all move the lag at which two related series agree best. Ranks are compared, so that a few price
spikes do not decide, and each quarter of the year separately, so that a shift in summer alone is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from microgrid.case.imports.regular import CleanSeries, Values
from microgrid.errors import InvalidInput, Problem

LONGEST_LAG_H = 12
FEWEST_STEPS = 300
SHIFT_LIMIT = 0.35
"""Shift, as a share of a step, above which series do not run together; a smear over two intervals shifts by 0.5."""

WEAKEST = 0.3
"""Rank correlation below which the two are too unlike to tell a shift."""


@dataclass(frozen=True)
class LagCheck:
    """How a series lies against its reference in one span of time.

    `shift_min` is positive when the series is late (its values appear after those of the reference).
    """

    span: str
    shift_min: float
    correlation: float
    correlation_as_stamped: float
    step_min: int

    @property
    def agrees(self) -> bool:
        """True when no shift is seen, or the two are too unlike to tell."""
        return self.correlation < WEAKEST or abs(self.shift_min) <= SHIFT_LIMIT * self.step_min

    def __str__(self) -> str:
        """One line for a report."""
        return (
            f"{self.span}: best agreement at {self.shift_min:+.0f} min "
            f"(rank correlation {self.correlation:.3f}, as stamped {self.correlation_as_stamped:.3f})"
        )


def compare_in_time(series: CleanSeries, reference: CleanSeries) -> tuple[LagCheck, ...]:
    """Lag checks of the whole common time and of each quarter with enough steps, first columns compared.

    Both are brought to the coarser of the two steps. Raises `InvalidInput` when fewer than 300 steps are common.
    """
    step_min = max(series.step_min, reference.step_min)
    ours, theirs = (_coarsened(item, step_min) for item in (series, reference))
    common = pd.DatetimeIndex(ours.index.intersection(theirs.index))
    if len(common) < FEWEST_STEPS:
        rule = f"series and reference share {len(common)} steps, {FEWEST_STEPS} are needed to compare them"
        raise InvalidInput(Problem(rule, "give a reference of the same time", "reference"))
    quarters = common.tz_localize(None).to_period("Q")
    spans = {"all": common} | {str(quarter): common[quarters == quarter] for quarter in quarters.unique()}
    return tuple(
        _lag(name, ours.reindex(times), theirs.reindex(times), step_min)
        for name, times in spans.items()
        if len(times) >= FEWEST_STEPS
    )


def refuse_shift(series: CleanSeries, reference: CleanSeries, file: str) -> tuple[str, ...]:
    """Notes that the series agrees with its reference in time; `InvalidInput` where it does not."""
    checks = compare_in_time(series, reference)
    wrong = [check for check in checks if not check.agrees]
    if wrong:
        raise InvalidInput(
            [Problem(f"{file} does not run with the reference in {check}", _cause(check), "time") for check in wrong]
        )
    if checks[0].correlation < WEAKEST:
        return (f"reference too unlike to tell a shift (rank correlation {checks[0].correlation:.2f})",)
    return tuple(f"checked against the reference, {check}" for check in checks)


def _lag(span: str, ours: pd.Series, theirs: pd.Series, step_min: int) -> LagCheck:
    reach = LONGEST_LAG_H * 60 // step_min
    ranked, trusted = ours.rank(), theirs.rank()
    # shift(-lag): our value `lag` steps later against theirs now, so the best lag is how late we are.
    found = np.array([ranked.shift(-lag).corr(trusted) for lag in range(-reach, reach + 1)])
    best = int(np.nanargmax(found))
    return LagCheck(
        span, (best - reach + _peak(found, best)) * step_min, float(found[best]), float(found[reach]), step_min
    )


def _peak(found: Values, best: int) -> float:
    """Place of the maximum between lags, from the parabola through the best and its neighbours (-0.5 to 0.5)."""
    if not 0 < best < len(found) - 1:
        return 0.0
    before, here, after = found[best - 1 : best + 2]
    bend = before - 2.0 * here + after
    return 0.0 if bend == 0 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))


def _coarsened(item: CleanSeries, step_min: int) -> pd.Series:
    first = pd.Series(next(iter(item.columns.values())), index=item.times)
    if item.step_min == step_min:
        return first
    groups = first.resample(f"{step_min}min")
    return groups.mean()[groups.count() == step_min // item.step_min]


def _cause(check: LagCheck) -> str:
    steps = check.shift_min / check.step_min
    if 0.65 < steps < 1.35:
        return "one step late: stamps look interval-ending (--stamp ending), or clock changes are wrong"
    if -1.35 < steps < -0.65:
        return "one step early: stamps look interval-beginning (--stamp beginning), or clock changes are wrong"
    if abs(abs(steps) - 0.5) <= 0.15:
        return "half a step off: values look averaged over neighbouring intervals; use the original file"
    return "check the zone of the stamps (--zone)"


__all__ = ["LagCheck", "compare_in_time", "refuse_shift"]
