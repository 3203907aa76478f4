"""Whether a tariff was in force when the load was drawn."""

from __future__ import annotations

import re

import pandas as pd

from microgrid.errors import Problem
from microgrid.tariffs.model import Tariff

_DATE = re.compile(r"^(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?")


OLD_YEARS = 3
"""Years after which prices without an expiry date are no longer taken to be in force."""


def period_problems(tariff: Tariff, times: pd.DatetimeIndex) -> list[Problem]:
    """Problems of a load that is mostly outside the tariff's dates, or long after the start of prices without an end.

    No problem if the tariff is undated. A lesser part outside is told by `period_notes`.
    """
    if tariff.source is None or len(times) == 0:
        return []
    source, remedy = (
        tariff.source,
        "use the tariff of that year, or state `allow_other_year: true` beside it (`bill`: --allow-other-year)",
    )
    begins, ends = first_day(source.effective), last_day(source.expires)
    before, after = _outside(tariff, times)
    first, last = (pd.Timestamp(stamp).tz_localize(None) for stamp in (times[0], times[-1]))
    problems = []
    if before > 0.5:
        rule = f"{before:.0%} of the load, {first:%Y-%m-%d} to {last:%Y-%m-%d}, is before the tariff takes effect"
        problems.append(Problem(rule, remedy, "source.effective", str(source.effective)))
    if after > 0.5:
        rule = f"{after:.0%} of the load, {first:%Y-%m-%d} to {last:%Y-%m-%d}, is after the tariff expired"
        problems.append(Problem(rule, remedy, "source.expires", str(source.expires)))
    if ends is None and begins is not None and first >= begins + pd.DateOffset(years=OLD_YEARS):
        rule = f"the load begins {first:%Y-%m-%d}, more than {OLD_YEARS} years after prices whose end is not known"
        problems.append(Problem(rule, remedy, "source.effective", str(source.effective)))
    return problems


def period_notes(tariff: Tariff, times: pd.DatetimeIndex) -> list[str]:
    """Note on the part of the load in which the prices were not in force."""
    if tariff.source is None or len(times) == 0:
        return []
    before, after = _outside(tariff, times)
    notes = [f"{before:.1%} of the load is before the prices took effect ({tariff.source.effective})"] * (before > 0)
    return notes + [f"{after:.1%} of the load is after the prices expired ({tariff.source.expires})"] * (after > 0)


def _outside(tariff: Tariff, times: pd.DatetimeIndex) -> tuple[float, float]:
    """Shares of the load before the tariff takes effect and after it expired, by its own clock where that is known."""
    source = tariff.source
    begins, ends = (None, None) if source is None else (first_day(source.effective), last_day(source.expires))
    local = times if times.tz is None or tariff.timezone == "naive" else times.tz_convert(tariff.timezone)
    naive = local.tz_localize(None)
    before = 0.0 if begins is None else float((naive < begins).mean())
    return before, 0.0 if ends is None else float((naive >= ends).mean())


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


__all__ = ["first_day", "last_day", "period_notes", "period_problems"]
