"""Whether a tariff was in force when the load was drawn."""

from __future__ import annotations

import re

import pandas as pd

from microgrid.errors import Problem
from microgrid.tariffs.model import Tariff

_DATE = re.compile(r"^(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?")


def period_problems(tariff: Tariff, times: pd.DatetimeIndex) -> list[Problem]:
    """Problems of a load that ends before the tariff takes effect or begins after it expires; none if undated."""
    if tariff.source is None or len(times) == 0:
        return []
    begins, ends = first_day(tariff.source.effective), last_day(tariff.source.expires)
    first, last = (pd.Timestamp(stamp).tz_localize(None) for stamp in (times[0], times[-1]))
    remedy = "choose the tariff of that year, or allow another year's prices explicitly"
    problems = []
    if begins is not None and last < begins:
        problems.append(
            Problem(
                f"the load ends {last:%Y-%m-%d}, before the tariff takes effect",
                remedy,
                "source.effective",
                str(tariff.source.effective),
            )
        )
    if ends is not None and first >= ends:
        problems.append(
            Problem(
                f"the load begins {first:%Y-%m-%d}, after the tariff expired",
                remedy,
                "source.expires",
                str(tariff.source.expires),
            )
        )
    return problems


def first_day(text: str | None) -> pd.Timestamp | None:
    """First day of a date, month or year written ``YYYY[-MM[-DD]]``; None for anything else."""
    found = _DATE.match(text or "")
    return None if found is None else pd.Timestamp(int(found[1]), int(found[2] or 1), int(found[3] or 1))


def last_day(text: str | None) -> pd.Timestamp | None:
    """Day after the last day of a date, month or year."""
    found, begin = _DATE.match(text or ""), first_day(text)
    if found is None or begin is None:
        return None
    step = pd.DateOffset(days=1) if found[3] else pd.DateOffset(months=1) if found[2] else pd.DateOffset(years=1)
    return begin + step


__all__ = ["first_day", "last_day", "period_problems"]
