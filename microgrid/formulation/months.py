"""Parts of local months that lie inside a horizon: monthly fees and credits apply in proportion."""

from __future__ import annotations

import pandas as pd

from microgrid.formulation.horizon import Horizon


def month_shares(horizon: Horizon) -> list[float]:
    """Part of every local month that lies inside the horizon, in order of `horizon.months`."""
    hours = [0.0] * horizon.months.size
    for month, span in zip(horizon.month_of, horizon.hours, strict=True):
        hours[month] += span
    months = [pd.Period(label, "M") for label in horizon.months.labels]
    whole = [_hours(month, horizon.zone) for month in months]
    return [min(1.0, inside / total) for inside, total in zip(hours, whole, strict=True)]


def _hours(month: pd.Period, zone: str) -> float:
    """Hours of a local month, one less or more where clocks change in it."""
    start, end = (entry.start_time.tz_localize(zone) for entry in (month, month + 1))
    return float((end - start) / pd.Timedelta(hours=1))


__all__ = ["month_shares"]
