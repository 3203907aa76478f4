"""A tariff told in words, charge by charge, with its numbers and the values of its contract."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

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
from microgrid.tariffs.drawing import MONTHS
from microgrid.tariffs.export import Export
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.prices import BY_MONTH, Price, Tier
from microgrid.tariffs.programs import Program
from microgrid.tariffs.supply import SupplyBlock

SHARED = {
    "pro_rata": "tiers are shared among periods by energy",
    "chronological": "tiers fill as energy flows",
    "per_period": "each period fills its own tiers",
}
EXPORT = {
    "none": "export earns nothing",
    "net_metering_kwh": "import and export net by cycle and period, and surplus kWh wait in a bank",
    "net_metering_dollar": "import and export net by cycle and period, and surplus is credited to a bank of money",
    "net_billing": "export is paid in the same bill",
    "net_billing_dollar_carry": "export is paid to a bank of money that offsets later charges",
    "feed_in": "export is paid in the same bill",
    "buy_all_sell_all": "all load is bought and all generation sold",
}
OBSERVED = {
    "none": "on their dates",
    "sunday_to_monday": "those on a Sunday move to Monday",
    "nearest_weekday": "those on a weekend move to the nearest weekday",
}


def explain(tariff: Tariff) -> str:
    """Describe the tariff in plain sentences, charge by charge."""
    sentences = [_title(tariff), *_source(tariff), _cycles(tariff), *_holidays(tariff)]
    if tariff.determinants:
        sentences.append("Quantities measured each cycle:")
    sentences += [f"- {name}: {_determinant(node, tariff)}" for name, node in tariff.nodes().items()]
    sentences.append("Charges, in order:")
    sentences += [f"- {charge.label or charge.id}: {_charge(charge, tariff)}" for charge in tariff.charges]
    sentences += [f"- supply {block.id}: {_supply(block, tariff)}" for block in tariff.supply]
    sentences += [f"- program {program.id}: {_program(program, tariff)}" for program in tariff.programs]
    sentences += _export(tariff.export, _money(tariff)) if tariff.export is not None else []
    sentences += _over_years(tariff)
    return "\n".join(sentence for sentence in sentences if sentence)


def _money(tariff: Tariff) -> str:
    return "$" if tariff.currency in {"USD", "CAD"} else tariff.currency


def _kw(value: float | str, tariff: Tariff) -> str:
    """A number, or a contract value with its number."""
    if not isinstance(value, str):
        return f"{value:,.10g}"
    return f"{value} ({tariff.contract[value]:,.10g})" if value in tariff.contract else value


# -- head ------------------------------------------------------------------------------------------------------


def _title(tariff: Tariff) -> str:
    return f"{tariff.id}: {', '.join(part for part in (tariff.utility, tariff.schedule) if part) or 'no name given'}."


def _source(tariff: Tariff) -> Iterator[str]:
    source = tariff.source
    if source is None:
        yield "Source: none stated."
        return
    begins = f"from {source.effective}" if source.effective else ""
    ends = f"until {source.expires}" if source.expires else ""
    dates = " ".join(text for text in (begins, ends) if text)
    yield f"Source ({source.quality}): {source.doc}. In force {dates or 'since a date not stated'}."


def _cycles(tariff: Tariff) -> str:
    billing = tariff.billing
    cycle = "calendar months" if billing.cycle == "calendar_month" else "periods between read dates"
    if billing.reads:
        cycle += f" ({len(billing.reads) - 1} from {billing.reads[0]} to {billing.reads[-1]})"
    clock = "local time as stamped" if tariff.timezone == "naive" else f"the {tariff.clock} clock of {tariff.timezone}"
    normal = f", monthly prices by {billing.norm_days:g} days" if billing.norm_days else ""
    rounded = f", rounded {billing.rounding.replace('_', ' ')}" if billing.rounding != "none" else ""
    return f"Billed in {tariff.currency} by {cycle} on {clock}{normal}{rounded}."


def _holidays(tariff: Tariff) -> Iterator[str]:
    holidays = tariff.holidays
    if holidays.calendar is None and not holidays.dates:
        return
    which = ", ".join(holidays.include) if holidays.include else "all"
    named = [f"{which} of {holidays.calendar}, {OBSERVED[holidays.observed]}"] if holidays.calendar else []
    named += [f"{len(holidays.dates)} further dates"] if holidays.dates else []
    kind = "count as weekend" if holidays.treat_as == "weekend" else "are days of their own kind"
    yield f"Holidays {kind}: {'; '.join(named)}."


# -- determinants ----------------------------------------------------------------------------------------------


def _determinant(node: Determinant, tariff: Tariff) -> str:  # noqa: PLR0911 - one sentence a kind
    if isinstance(node, Energy):
        return f"energy ({node.channel}){_during(node.periods)}, kWh"
    if isinstance(node, Demand):
        return _demand(node)
    if isinstance(node, MaxOf):
        return f"the greatest of {'; '.join(_term(term, tariff) for term in node.of)}"
    if isinstance(node, MinOf):
        return f"the least of {'; '.join(_term(term, tariff) for term in node.of)}"
    if isinstance(node, SumOf):
        return " + ".join(f"{weight:g} x {ref}" for ref, weight in node.of.items())
    if isinstance(node, Excess):
        return f"{node.ref} above {'' if node.pct == 1.0 else f'{node.pct:.0%} of '}{_kw(node.over, tariff)}"
    if isinstance(node, Constant):
        return f"{_kw(node.of, tariff)}, every cycle"
    if isinstance(node, PowerFactorDemand):
        return f"demand raised where the power factor is below {node.ref_pf:g}"
    if isinstance(node, ReactiveDemand):
        return f"highest reactive demand, {'lagging' if node.counts == 'lagging' else 'lagging or leading'}, kvar"
    return _coincident(node, tariff)


def _demand(node: Demand) -> str:
    stat = {
        "max": "highest demand",
        "avg_top_n": f"mean of the {node.n} highest demands{' on different days' if node.distinct_days else ''}",
        "sum_daily_max": "sum of the daily highest demands",
    }[node.stat]
    rolling = " (rolling)" if node.window == "rolling" else ""
    window = f", averaged over {node.window_min:g} min{rolling}" if node.window_min else ""
    channel = {"import": "", "export": " of the export", "gross_load": " of the whole load"}[node.channel]
    return f"{stat}{channel}{_during(node.periods)}{window}, {'kVA' if node.quantity == 'kva' else 'kW'}"


def _coincident(node: Coincident, tariff: Tariff) -> str:
    group = "each month" if node.per == "month" else "the season"
    months = f" ({_months(node.months)})" if node.months else ""
    weighed = f"{node.n} peak{'s' if (node.n or 0) > 1 else ''} of {group}{months}, hours weighed by `{node.series}`"
    if node.mode == "candidates":
        weighed += " (where no file is given, every candidate hour is as likely)"
    what = f"{len(node.intervals or ())} known hours" if node.mode == "known" else weighed
    prior = f", this year on {_kw(node.prior_kw, tariff)}" if node.prior_kw is not None else ""
    later = f"; billed next year{prior}" if node.billed == "next_year" else ""
    scale = "" if node.scale == 1.0 else f", times {_kw(node.scale, tariff)}"
    return f"import at the system's peaks, {node.stat} over {what}{scale}{later}, kW"


def _during(periods: tuple[str, ...] | None) -> str:
    return f" in {' and '.join(periods)}" if periods else ""


def _term(term: Term, tariff: Tariff) -> str:
    months = f" of {_months(term.months)}" if term.months else ""
    if isinstance(term.pct, dict):
        share = _seasons(term.pct)
    else:
        share = "" if term.pct == 1.0 else f"{term.pct:.3g} x " if term.pct > 1.0 else f"{term.pct:.0%} of "
    if term.contract is not None:
        return f"{share}{_kw(term.contract, tariff)}{months}"
    if term.const is not None:
        return f"{share}{term.const:,g}{months}"
    if term.lookback is None:
        return f"{share}{term.ref}{months}"
    return f"{share}{term.ref}{months} in the last {term.lookback} cycles{' and now' if term.include_current else ''}"


def _seasons(shares: dict[int, float]) -> str:
    """Shares that differ by month: ``60 % (Jan, Feb) or 95 % (Jun) of ``."""
    levels = sorted(set(shares.values()))
    months = {level: tuple(month for month, share in shares.items() if share == level) for level in levels}
    return f"{' or '.join(f'{level:.0%} ({_months(months[level])})' for level in levels)} of "


# -- charges ---------------------------------------------------------------------------------------------------


def _charge(charge: AnyCharge, tariff: Tariff) -> str:  # noqa: PLR0911 - one sentence a kind
    money = _money(tariff)
    season = f" ({_months(charge.months)})" if charge.months else ""
    if isinstance(charge, Fixed):
        return f"{money}{charge.amount:,.2f} a {charge.per}{season}"
    if isinstance(charge, EnergyCharge):
        return _energy(charge, tariff) + season
    if isinstance(charge, DemandCharge):
        return _per_unit(charge, money) + season
    if isinstance(charge, Percent):
        return f"{100.0 * charge.pct:.6g}% of {', '.join(charge.of)}{season}"
    if isinstance(charge, MinimumBill):
        per = [f"{money}{price:g} a unit of {ref}" for ref, price in (charge.per or {}).items()]
        fixed = (charge.amount or 0.0) + charge.plus
        floor = " plus ".join([*per, *([f"{money}{fixed:,.2f}"] if fixed or not per else [])])
        return f"tops {', '.join(charge.of) or 'all charges before it'} up to {floor} a cycle{season}"
    if isinstance(charge, AnnualMinimum):
        return f"tops {', '.join(charge.of)} up to {money}{charge.amount:,.2f} a year"
    return _net(charge, money)


def _per_unit(charge: DemandCharge, money: str) -> str:
    normal = f" for {charge.norm_days:g} days" if charge.norm_days else ""
    each = f" a unit of {charge.of}{normal}"
    if isinstance(charge.tiers, tuple):
        slab = ", all units at the tier reached" if charge.tier_mode == "slab" else ""
        return _tiers(charge.tiers, money, each, "") + slab
    return f"tiers by month{each}" if charge.tiers else f"{_price(charge.price, money)}{each}"


def _net(charge: NetMeteredEnergy, money: str) -> str:
    return f"{_price(charge.price, money)} a kWh of import less export, by cycle and period"


def _energy(charge: EnergyCharge, tariff: Tariff) -> str:
    money, parts = _money(tariff), []
    if charge.tiers is not None:
        parts.append(_tiers(charge.tiers, money, " a kWh", charge.kw or ""))
    if charge.price is not None:
        parts.append(f"{_price(charge.price, money)} a kWh")
    if charge.series is not None:
        parts.append(_index(charge, money))
    what = {"import": "", "export": " exported (credit)", "gross_load": " of the whole load"}[charge.channel]
    losses = f", metered energy times {charge.loss_factor:g} for losses" if charge.loss_factor != 1.0 else ""
    when = f" while `{charge.when}`" if charge.when else ""
    slab = ", every kWh at the tier reached" if charge.tier_mode == "slab" else ""
    shared = f"; {SHARED[charge.tier_alloc]}" if charge.tiers is not None and charge.calendar is not None else ""
    return f"{' plus '.join(parts)}{what}{_band(charge, tariff)}{when}{losses}{slab}{shared}"


def _index(charge: EnergyCharge, money: str) -> str:
    adder = f" {'+' if charge.adder >= 0 else '-'} {money}{abs(charge.adder):g}" if charge.adder else ""
    ends = [f"at least {money}{charge.floor:g}"] if charge.floor is not None else []
    ends += [f"at most {money}{charge.cap:g}"] if charge.cap is not None else []
    limits = f" ({', '.join(ends)})" if ends else ""
    return f"{'' if charge.mult == 1.0 else f'{charge.mult:g} x '}index `{charge.series}`{adder}{limits} a kWh"


def _band(charge: EnergyCharge, tariff: Tariff) -> str:
    if charge.band is None:
        return ""
    above = f" above {_kw(charge.band.above, tariff)}" if charge.band.above else ""
    below = f" up to {_kw(charge.band.below, tariff)}" if charge.band.below is not None else ""
    return f" for power{above}{below} kW"


def _price(price: Price | None, money: str) -> str:
    if price is None:
        return ""
    if not isinstance(price, dict):
        return f"{'-' if price < 0 else ''}{money}{abs(price):g}"
    if BY_MONTH in price:
        values = price[BY_MONTH]
        return f"{money}{np.min(values):g} to {money}{np.max(values):g} by month"
    return ", ".join(
        f"{name} {money}{values:g}" if not isinstance(values, tuple) else f"{name} by month"
        for name, values in price.items()
    )


def _tiers(tiers: tuple[Tier, ...], money: str, each: str, billing: str) -> str:
    first, *rest = tiers
    more = [f"{_price(tier.price, money)} {_end(tier, billing)}" for tier in rest]
    return "; ".join([f"{_price(first.price, money)}{each} {_end(first, billing)}", *more])


def _end(tier: Tier, billing: str) -> str:
    named = (("kwh", "kWh"), ("kwh_per_kw", f"kWh a kW of {billing}"), ("kwh_per_day", "kWh a day"), ("kw", "kW"))
    unit = {"kwh": "units"} if not hasattr(tier.upto, "kwh") else {}
    ends = [
        f"{value:,.0f} {unit.get(field, text)}"
        for field, text in named
        if (value := getattr(tier.bound, field)) is not None and np.isfinite(value)
    ]
    least = "the lesser of " if len(ends) > 1 else ""
    return f"up to {least}{' and '.join(ends)}" if ends else "beyond"


# -- beside the charges ----------------------------------------------------------------------------------------


def _supply(block: SupplyBlock, tariff: Tariff) -> str:
    money = _money(tariff)
    size = f"{block.mw:g} MW" if not isinstance(block.mw, str) else f"{_kw(block.mw, tariff)}, as it comes,"
    what = f"{size}{_during(block.periods)} at {_price(block.price, money)} a kWh"
    if block.settle == "cfd":
        return f"difference between {_price(block.price, money)} and index `{block.index}` on {size}"
    if block.settle == "sell_back_at_index":
        adder = f" + {money}{block.sell_back_adder:g}" if block.sell_back_adder else ""
        return f"{what}, paid whole; what is not used is sold back at {block.sell_back_mult:g} x `{block.index}`{adder}"
    paid = f", at least {block.min_take_pct:.0%} paid, used or not" if block.take_or_pay else ", paid as used"
    return what + paid


def _program(program: Program, tariff: Tariff) -> str:
    verb = "charges" if program.kind == "penalty" else "pays"
    of = f" for {program.of}" if program.of else ""
    firm = f" above {_kw(program.firm_level_kw, tariff)} kW" if program.firm_level_kw is not None else ""
    events = f" in events of `{program.events}`" if program.events else ""
    caps = [f"{program.max_hours_per_event:g} h an event"] if program.max_hours_per_event else []
    caps += [f"{program.max_events} events a year"] if program.max_events is not None else []
    caps += [f"{program.max_hours_per_year:g} h a year"] if program.max_hours_per_year else []
    most = f", at most {', '.join(caps)}" if caps else ""
    return f"{verb} {program.price:g} {program.unit}{of}{firm}{events}{most}"


def _export(export: Export, money: str) -> list[str]:
    parts = [EXPORT[export.scheme]]
    if export.netting == "hour":
        parts.append("import and export net within each hour first")
    if export.true_up_month is not None:
        cash = f"{money}{export.true_up_price:g} a unit" if export.true_up_price else "nothing"
        parts.append(f"the bank closes after the cycle that begins in {MONTHS[export.true_up_month - 1]}, for {cash}")
    if export.cap_kw is not None:
        parts.append(f"at most {export.cap_kw:,g} kW is credited")
    if export.nonbypassable:
        parts.append(f"{money}{export.nonbypassable:g} a kWh is charged on all import")
    return [f"Export ({export.scheme.replace('_', ' ')}): {'; '.join(parts)}."]


def _over_years(tariff: Tariff) -> list[str]:
    if tariff.escalation is None:
        return []
    rule = tariff.rule()
    rates = [f"inflation {rule.inflation:.2%}"] if rule.inflation else []
    rates += [f"{name} {rate:.2%} real" for name, rate in rule.real.items()]
    rates += [f"{name} by a path of {len(path)} years" for name, path in rule.path.items()]
    return [f"Prices rise by {', '.join(rates) or 'nothing'} a year."]


def _months(months: tuple[int, ...] | None) -> str:
    return ", ".join(MONTHS[month - 1] for month in months or ())


__all__ = ["explain"]
