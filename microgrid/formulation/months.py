"""Parts of local months that lie inside a horizon: monthly fees and credits apply in proportion."""

from __future__ import annotations

import pandas as pd

from microgrid.formulation.horizon import Horizon


def month_shares(horizon: Horizon) -> list[float]:
    """Part of every local month that lies inside the horizon, in order of `horizon.months`."""
    hours = [0.0] * horizon.months.size
    for month, span in zip(horizon.month_of, horizon.hours, strict=True):
        hours[month] += span
    whole = [pd.Period(label, "M").days_in_month * 24.0 for label in horizon.months.labels]
    return [min(1.0, inside / total) for inside, total in zip(hours, whole, strict=True)]


__all__ = ["month_shares"]
