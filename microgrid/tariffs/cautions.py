"""What is legal in a tariff and probably not meant: gaps, overlaps, unused parts, doubtful prices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from microgrid.errors import Problem
from microgrid.tariffs.calendar import GAP, Calendar, Days, TouRule, period_table, rule_days, rule_minutes
from microgrid.tariffs.charges import DemandCharge, EnergyCharge, MinimumBill
from microgrid.tariffs.model import Tariff


def warnings(tariff: Tariff) -> list[Problem]:
    """What is legal and probably not meant: gaps, overlaps, unused parts, doubtful prices, eligibility."""
    rules = (_gaps, _overlaps, _unused, _prices, _clock)
    return [caution for rule in rules for caution in rule(tariff)]


def _year(tariff: Tariff) -> Days:
    dates = np.arange(np.datetime64("2025-01-01"), np.datetime64("2026-01-01"))
    return Days.of(dates, tariff.holidays)


def _edges(calendar: Calendar) -> np.ndarray:
    """Minutes of the day at which some rule begins or ends; between two of them nothing changes."""
    hours = [edge for rule in calendar.rules for span in rule.hours or () for edge in span]
    return np.array(sorted({0, *(round(hour * 60) for hour in hours if hour < 24)}))


def _gaps(tariff: Tariff) -> Iterator[Problem]:
    for name, calendar in tariff.calendars.items():
        minutes = _edges(calendar)
        table = period_table(calendar, _year(tariff), minutes)
        if (table == GAP).any():
            day, slot = np.argwhere(table == GAP)[0]
            at = f"{_year(tariff).dates[day]} {minutes[slot] // 60:02d}:{minutes[slot] % 60:02d}"
            share = np.average((table == GAP).mean(axis=0), weights=np.diff(minutes, append=1440))
            rule = f"{share:.1%} of the year has no period (gap), first at {at}"
            yield Problem(rule, "add a rule or a `default` period", f"calendars.{name}")


def _overlaps(tariff: Tariff) -> Iterator[Problem]:
    """Rules that are hidden, empty, or cut across an earlier one; a general rule after special ones is no overlap."""
    days = _year(tariff)
    for name, calendar in tariff.calendars.items():
        minutes = _edges(calendar)
        taken = np.zeros((days.dates.size, minutes.size), dtype=bool)
        for place, rule in enumerate(calendar.rules):
            here = rule_days(rule, days)[:, None] & rule_minutes(rule, minutes)[None, :]
            where = f"calendars.{name}.rules.{place}"
            if not here.any():
                yield Problem("the rule matches no time of the year", "check its months, days and hours", where)
            elif not (here & ~taken).any():
                yield Problem("the rule is hidden by the rules before it", "move it up, or remove it", where)
            for earlier, other in enumerate(calendar.rules[:place]):
                if other.period != rule.period and _cut_across(other, rule, days, minutes):
                    text = f"rules {earlier + 1} ({other.period}) and {place + 1} ({rule.period}) overlap"
                    yield Problem(text, "the first one wins; narrow one of them if that is not meant", where)
            taken |= here


def _cut_across(first: TouRule, second: TouRule, days: Days, minutes: np.ndarray) -> bool:
    """Whether two rules meet, and in some condition neither contains the other."""
    pairs = list(zip(_conditions(first, days, minutes), _conditions(second, days, minutes), strict=True))
    meet = all((one & other).any() for one, other in pairs)
    return meet and any((one & ~other).any() and (other & ~one).any() for one, other in pairs)


def _conditions(rule: TouRule, days: Days, minutes: np.ndarray) -> tuple[np.ndarray, ...]:
    """Days by month, by kind and by date, and minutes, that each condition of a rule alone allows."""
    open_rule = TouRule(period=rule.period)
    alone = ({"months": rule.months}, {"days": rule.days}, {"dates": rule.dates})
    return (*(rule_days(open_rule.model_copy(update=one), days) for one in alone), rule_minutes(rule, minutes))


def _unused(tariff: Tariff) -> Iterator[Problem]:
    billed = {charge.of for charge in tariff.charges if isinstance(charge, DemandCharge)}
    billed |= {charge.kw for charge in tariff.charges if isinstance(charge, EnergyCharge) and charge.kw}
    billed |= {ref for charge in tariff.charges if isinstance(charge, MinimumBill) for ref in charge.per or {}}
    billed |= {program.of for program in tariff.programs if program.of}
    referred = {ref for node in tariff.determinants.values() for ref in (*node.refs, getattr(node, "over", None))}
    unused = [name for name in tariff.determinants if name not in billed | referred]
    yield from (
        Problem("the determinant bills nothing", "charge it, or remove it", f"determinants.{n}") for n in unused
    )
    used = {
        getattr(part, "calendar", None) for part in (*tariff.charges, *tariff.determinants.values(), *tariff.supply)
    }
    used |= {program.window for program in tariff.programs}
    spare = [name for name in tariff.calendars if name not in used]
    yield from (
        Problem("the calendar is used by nothing", "use it, or remove it", f"calendars.{name}") for name in spare
    )
    idle = [program.id for program in tariff.programs if not program.active]
    rule, remedy = "the program moves no money", "state its events, or the determinant it pays for"
    yield from (Problem(rule, remedy, f"programs.{name}") for name in idle)


def _prices(tariff: Tariff) -> Iterator[Problem]:
    if tariff.source is None:
        yield Problem("no source is stated for the prices", "state `source`")
    elif tariff.source.doubt:
        rule, remedy = (
            f"prices are not all read at the source ({tariff.source.doubt})",
            "compare them with the utility's sheet",
        )
        yield Problem(rule, remedy, "source")
    for charge in tariff.charges:
        if isinstance(charge, DemandCharge) and isinstance(charge.price, float) and charge.price < 0.0:
            rule = "the charge pays for demand; the optimiser holds the peak by binaries if the sum is negative"
            yield Problem(rule, "check its sign", f"charges.{charge.id}")


def _clock(tariff: Tariff) -> Iterator[Problem]:
    if tariff.timezone == "naive":
        yield Problem("no time zone: stamps are taken as local time, without DST", "state `timezone`")
    by_day = any(rule.days != "all" for calendar in tariff.calendars.values() for rule in calendar.rules)
    if by_day and not tariff.holidays.dates and tariff.holidays.calendar is None:
        yield Problem("no holidays are stated: TOU weekdays include them", "state `holidays`")


__all__ = ["warnings"]
