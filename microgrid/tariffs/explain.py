"""A tariff told in words, with its TOU calendars drawn in text and warnings of what is easy to miss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from microgrid.tariffs.calendar import GAP, Calendar, Days, Holidays, TouRule, period_table, rule_days, rule_minutes
from microgrid.tariffs.charges import (
    AnnualMinimum,
    AnyCharge,
    DemandCharge,
    EnergyCharge,
    Fixed,
    MinimumBill,
    NetMeteredEnergy,
    Percent,
)
from microgrid.tariffs.determinants import (
    Coincident,
    Constant,
    Demand,
    Determinant,
    Energy,
    Excess,
    MaxOf,
    MinOf,
    PowerFactorDemand,
    ReactiveDemand,
    SumOf,
)
from microgrid.tariffs.determinants.past import Term
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.prices import BY_MONTH, Price, Tier

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SLOT_MIN = 30
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


def explain(tariff: Tariff) -> str:
    """Describe the tariff in plain sentences, charge by charge."""
    sentences = [_title(tariff), *_source(tariff), _cycles(tariff)]
    sentences += [f"- {name}: {_determinant(node)}" for name, node in tariff.nodes().items()]
    if tariff.determinants:
        sentences.insert(len(sentences) - len(tariff.determinants), "Quantities measured each cycle:")
    sentences.append("Charges, in order:")
    sentences += [f"- {charge.label or charge.id}: {_charge(charge, tariff)}" for charge in tariff.charges]
    sentences += [f"- supply {block.id}: {_supply(block.settle, str(block.mw))}" for block in tariff.supply]
    sentences += [
        f"- program {program.id}: {program.kind} at {program.price:g} {program.unit}" for program in tariff.programs
    ]
    if tariff.export is not None:
        sentences.append(f"Export: {tariff.export.scheme.replace('_', ' ')}.")
    return "\n".join(sentence for sentence in sentences if sentence)


def draw(tariff: Tariff) -> list[Drawing]:
    """Every TOU calendar by month and half hour."""
    return [_drawing(name, calendar) for name, calendar in tariff.calendars.items()]


def warnings(tariff: Tariff) -> list[str]:
    """What is legal and probably not meant: gaps, overlaps, unused parts, doubtful prices, eligibility."""
    rules = (_gaps, _overlaps, _unused, _prices, _clock)
    return [text for rule in rules for text in rule(tariff)]


# -- words -----------------------------------------------------------------------------------------------------


def _title(tariff: Tariff) -> str:
    return f"{tariff.id}: {', '.join(part for part in (tariff.utility, tariff.schedule) if part) or 'no name given'}."


def _source(tariff: Tariff) -> Iterator[str]:
    source = tariff.source
    if source is None:
        yield "Source: none stated."
        return
    dates = " ".join(
        text
        for text in (
            f"from {source.effective}" if source.effective else "",
            f"until {source.expires}" if source.expires else "",
        )
        if text
    )
    yield f"Source ({source.quality}): {source.doc}. In force {dates or 'since a date not stated'}."


def _cycles(tariff: Tariff) -> str:
    cycle = "calendar months" if tariff.billing.cycle == "calendar_month" else "periods between read dates"
    clock = "local time as stamped" if tariff.timezone == "naive" else f"the {tariff.clock} clock of {tariff.timezone}"
    return f"Billed in {tariff.currency} by {cycle} on {clock}."


def _determinant(node: Determinant) -> str:  # noqa: PLR0911 - one sentence a kind
    if isinstance(node, Energy):
        return f"energy ({node.channel}){_during(node.periods)}, kWh"
    if isinstance(node, Demand):
        return _demand(node)
    if isinstance(node, MaxOf):
        return f"the greatest of {'; '.join(_term(term) for term in node.of)}"
    if isinstance(node, MinOf):
        return f"the least of {'; '.join(_term(term) for term in node.of)}"
    if isinstance(node, SumOf):
        return " + ".join(f"{weight:g} x {ref}" for ref, weight in node.of.items())
    if isinstance(node, Excess):
        return f"{node.ref} above {node.pct:.0%} of {node.over}"
    if isinstance(node, Constant):
        return f"{node.of}, every cycle"
    if isinstance(node, PowerFactorDemand):
        return f"demand raised where the power factor is below {node.ref_pf:g}"
    if isinstance(node, ReactiveDemand):
        return "highest reactive demand, kvar"
    return _coincident(node)


def _demand(node: Demand) -> str:
    stat = {
        "max": "highest demand",
        "avg_top_n": f"mean of the {node.n} highest demands{' on different days' if node.distinct_days else ''}",
        "sum_daily_max": "sum of the daily highest demands",
    }[node.stat]
    window = (
        f", averaged over {node.window_min:g} min{' (rolling)' if node.window == 'rolling' else ''}"
        if node.window_min
        else ""
    )
    return f"{stat}{_during(node.periods)}{window}, {'kVA' if node.quantity == 'kva' else 'kW'}"


def _coincident(node: Coincident) -> str:
    group = "each month" if node.per == "month" else "the season"
    months = f" ({_months(node.months)})" if node.months else ""
    weighed = f"{node.n} peak{'s' if (node.n or 0) > 1 else ''} of {group}{months}, hours weighed by `{node.series}`"
    if node.mode == "candidates":
        weighed += " (where no file is given, every candidate hour is as likely)"
    what = f"{len(node.intervals or ())} known hours" if node.mode == "known" else weighed
    prior = f", this year on {node.prior_kw}" if node.prior_kw is not None else ""
    later = f"; billed next year{prior}" if node.billed == "next_year" else ""
    scale = "" if node.scale == 1.0 else f", times {node.scale}"
    return f"import at the system's peaks, {node.stat} over {what}{scale}{later}, kW"


def _during(periods: tuple[str, ...] | None) -> str:
    return f" in {' and '.join(periods)}" if periods else ""


def _term(term: Term) -> str:
    months = f" of {_months(term.months)}" if term.months else ""
    if term.const is not None:
        return f"{term.const:g}"
    share = "seasonal shares" if isinstance(term.pct, dict) else f"{term.pct:.0%}"
    if term.contract is not None:
        return f"{share} of contract {term.contract}"
    if term.lookback is None:
        return f"{'' if term.pct == 1.0 else f'{share} of '}{term.ref}{months}"
    return f"{share} of {term.ref}{months} in the last {term.lookback} cycles"


def _charge(charge: AnyCharge, tariff: Tariff) -> str:  # noqa: PLR0911 - one sentence a kind
    money = "$" if tariff.currency in {"USD", "CAD"} else tariff.currency
    season = f" ({_months(charge.months)})" if charge.months else ""
    if isinstance(charge, Fixed):
        return f"{money}{charge.amount:,.2f} a {charge.per}{season}"
    if isinstance(charge, EnergyCharge):
        return _energy(charge, money) + season
    if isinstance(charge, DemandCharge):
        tiers = charge.tiers
        price = (
            _tiers(tiers, money)
            if isinstance(tiers, tuple)
            else "tiers by month"
            if tiers
            else _price(charge.price, money)
        )
        return f"{price} a unit of {charge.of}{season}"
    if isinstance(charge, Percent):
        return f"{charge.pct:.3%} of {', '.join(charge.of)}{season}"
    if isinstance(charge, MinimumBill):
        floor = f"{money}{charge.amount:,.2f}" if charge.amount is not None else "a demand floor"
        return f"tops {', '.join(charge.of) or 'all charges'} up to {floor} a cycle{season}"
    if isinstance(charge, AnnualMinimum):
        return f"tops {', '.join(charge.of)} up to {money}{charge.amount:,.2f} a year"
    return _net(charge, money)


def _net(charge: NetMeteredEnergy, money: str) -> str:
    return f"{_price(charge.price, money)} a kWh of import less export, by cycle and period"


def _energy(charge: EnergyCharge, money: str) -> str:
    parts = []
    if charge.tiers is not None:
        parts.append(_tiers(charge.tiers, money))
    if charge.price is not None:
        parts.append(_price(charge.price, money))
    if charge.series is not None:
        parts.append(f"{charge.mult:g} x index `{charge.series}` + {charge.adder:g}")
    what = {"import": "", "export": " exported (credit)", "gross_load": " of the whole load"}[charge.channel]
    band = ""
    if charge.band is not None:
        above = f" above {charge.band.above}" if charge.band.above else ""
        band = f" for power{above}{f' up to {charge.band.below}' if charge.band.below is not None else ''} kW"
    when = f" while `{charge.when}`" if charge.when else ""
    return f"{' plus '.join(parts)} a kWh{what}{band}{when}"


def _price(price: Price | None, money: str) -> str:
    if price is None:
        return ""
    if not isinstance(price, dict):
        return f"{money}{price:g}"
    if BY_MONTH in price:
        values = price[BY_MONTH]
        return f"{money}{np.min(values):g} to {money}{np.max(values):g} by month"
    return ", ".join(
        f"{name} {money}{values:g}" if not isinstance(values, tuple) else f"{name} by month"
        for name, values in price.items()
    )


def _tiers(tiers: tuple[Tier, ...], money: str) -> str:
    return "; ".join(f"{_price(tier.price, money)} {_end(tier)}" for tier in tiers)


def _end(tier: Tier) -> str:
    named = (("kwh", "kWh"), ("kwh_per_kw", "kWh a kW"), ("kwh_per_day", "kWh a day"), ("kw", "kW"))
    bound = tier.bound
    unit = {"kwh": "units"} if not hasattr(tier.upto, "kwh") else {}
    ends = [
        f"{value:,.0f} {unit.get(field, text)}"
        for field, text in named
        if (value := getattr(bound, field)) is not None and np.isfinite(value)
    ]
    return f"up to {' and '.join(ends)}" if ends else "beyond"


def _supply(settle: str, mw: str) -> str:
    return f"{mw} MW, settled {settle.replace('_', ' ')}"


def _months(months: tuple[int, ...] | None) -> str:
    return ", ".join(MONTHS[month - 1] for month in months or ())


# -- calendars -------------------------------------------------------------------------------------------------


def _drawing(name: str, calendar: Calendar) -> Drawing:
    minutes = np.arange(0, 1440, SLOT_MIN)
    weekdays = np.array([np.datetime64(f"2025-{month:02d}-20") for month in range(1, 13)])
    first_weekday = np.busday_offset(weekdays, 0, roll="forward")
    first_saturday = np.busday_offset(weekdays, 0, roll="forward", weekmask="Sat")
    rows = [period_table(calendar, Days.of(days, Holidays()), minutes) for days in (first_weekday, first_saturday)]
    return Drawing(name, calendar.periods, rows[0], rows[1])


def _year(tariff: Tariff) -> Days:
    dates = np.arange(np.datetime64("2025-01-01"), np.datetime64("2026-01-01"))
    return Days.of(dates, tariff.holidays)


# -- warnings --------------------------------------------------------------------------------------------------


def _gaps(tariff: Tariff) -> Iterator[str]:
    minutes = np.arange(0, 1440, SLOT_MIN)
    for name, calendar in tariff.calendars.items():
        table = period_table(calendar, _year(tariff), minutes)
        if (table == GAP).any():
            day, slot = np.argwhere(table == GAP)[0]
            at = f"{_year(tariff).dates[day]} {minutes[slot] // 60:02d}:{minutes[slot] % 60:02d}"
            yield f"calendar {name}: {np.mean(table == GAP):.1%} of the year has no period (gap), first at {at}"


def _overlaps(tariff: Tariff) -> Iterator[str]:
    """Rules that are hidden, empty, or cut across an earlier one; a general rule after special ones is no overlap."""
    minutes, days = np.arange(0, 1440, SLOT_MIN), _year(tariff)
    for name, calendar in tariff.calendars.items():
        taken = np.zeros((days.dates.size, minutes.size), dtype=bool)
        for place, rule in enumerate(calendar.rules):
            here = rule_days(rule, days)[:, None] & rule_minutes(rule, minutes)[None, :]
            if not here.any():
                yield f"calendar {name}: rule {place + 1} ({rule.period}) matches no time of the year"
            elif not (here & ~taken).any():
                yield f"calendar {name}: rule {place + 1} ({rule.period}) is hidden by the rules before it"
            for earlier, other in enumerate(calendar.rules[:place]):
                if other.period != rule.period and _cut_across(other, rule, days, minutes):
                    yield (
                        f"calendar {name}: rules {earlier + 1} ({other.period}) and {place + 1} ({rule.period}) "
                        "overlap; the first one wins"
                    )
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


def _unused(tariff: Tariff) -> Iterator[str]:
    billed = {charge.of for charge in tariff.charges if isinstance(charge, DemandCharge)}
    billed |= {charge.kw for charge in tariff.charges if isinstance(charge, EnergyCharge) and charge.kw}
    billed |= {ref for charge in tariff.charges if isinstance(charge, MinimumBill) for ref in charge.per or {}}
    billed |= {program.of for program in tariff.programs if program.of}
    referred = {ref for node in tariff.determinants.values() for ref in node.refs}
    yield from (f"determinant {name} bills nothing" for name in tariff.determinants if name not in billed | referred)
    used = {
        getattr(part, "calendar", None) for part in (*tariff.charges, *tariff.determinants.values(), *tariff.supply)
    }
    used |= {program.window for program in tariff.programs}
    yield from (f"calendar {name} is used by nothing" for name in tariff.calendars if name not in used)
    yield from (
        f"program {program.id} states no events or no determinant: it moves no money"
        for program in tariff.programs
        if not program.active
    )


def _prices(tariff: Tariff) -> Iterator[str]:
    if tariff.source is None:
        yield "no source is stated for the prices"
    elif tariff.source.doubt:
        yield f"prices are not all read at the source ({tariff.source.doubt})"
    for charge in tariff.charges:
        if isinstance(charge, DemandCharge) and isinstance(charge.price, float) and charge.price < 0.0:
            yield f"charge {charge.id} pays for demand; the optimiser holds the peak by binaries if the sum is negative"


def _clock(tariff: Tariff) -> Iterator[str]:
    if tariff.timezone == "naive":
        yield "no time zone: stamps are taken as local time, without DST"
    if tariff.calendars and not tariff.holidays.dates and tariff.holidays.calendar is None:
        yield "no holidays are stated: TOU weekdays include them"


__all__ = ["Drawing", "draw", "explain", "warnings"]
