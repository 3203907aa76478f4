"""Rules that tie the parts of a tariff together; every broken one is found at once, with its place and a remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from microgrid.schema.spelling import did_you_mean
from microgrid.tariffs.axis import NAIVE
from microgrid.tariffs.charges import (
    AnnualMinimum,
    AnyCharge,
    DemandCharge,
    EnergyCharge,
    MinimumBill,
    NetMeteredEnergy,
    Percent,
)
from microgrid.tariffs.determinants import Coincident, Constant, Excess, MaxOf, MinOf
from microgrid.tariffs.determinants.past import Term
from microgrid.tariffs.prices import BY_MONTH, Price, Tier

if TYPE_CHECKING:
    from microgrid.tariffs.model import Tariff

Path = tuple[str | int, ...]
_RESERVED = {BY_MONTH}
_HOLIDAY = "write its name as the `holidays` package does, or give its day in `dates`"
_NOW = "leave it out for the present cycle alone"
_BY_DETERMINANT = "price each period's own determinant by a charge of its own"


@dataclass(frozen=True)
class Finding:
    """One broken rule at a path of the tariff."""

    path: Path
    rule: str
    remedy: str
    value: str = ""

    def __str__(self) -> str:
        """Render as ``path: value: rule: remedy``."""
        parts = (".".join(map(str, self.path)), self.value, self.rule, self.remedy)
        return ": ".join(part for part in parts if part)


class Findings(ValueError):
    """All broken rules of one tariff."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        """Keep the findings in order."""
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


def find_problems(tariff: Tariff) -> list[Finding]:
    """Every rule that the tariff breaks."""
    rules = (_clock, _series, _calendars, _determinants, _charges, _export, _supply, _programs, _history)
    return [finding for rule in rules for finding in rule(tariff)]


def _clock(tariff: Tariff) -> Iterator[Finding]:
    if tariff.timezone != NAIVE and tariff.timezone not in available_timezones():
        yield _unknown(("timezone",), "zone", tariff.timezone, available_timezones())
    if tariff.billing.cycle == "read_dates" and tariff.billing.reads is None:
        yield Finding(
            ("billing",), "billing by read dates has no dates", "give `reads`, one more than there are cycles"
        )
    for name in tariff.holidays.unknown_names():
        yield Finding(
            ("holidays", "include"), f"calendar {tariff.holidays.calendar} has no such holiday", _HOLIDAY, name
        )


def _series(tariff: Tariff) -> Iterator[Finding]:
    for key, ref in tariff.series.items():
        if ref.currency is not None and ref.currency != tariff.currency:
            yield Finding(
                ("series", key, "unit"),
                f"the tariff is in {tariff.currency}",
                "convert the series; currencies do not mix in one bill",
                ref.unit,
            )


def _calendars(tariff: Tariff) -> Iterator[Finding]:
    for name, calendar in tariff.calendars.items():
        for period in calendar.periods:
            if period in _RESERVED:
                yield Finding(("calendars", name), f"`{period}` is a reserved word", "rename the period")
        if not calendar.periods:
            yield Finding(("calendars", name), "the calendar names no period", "add rules or a default")


def _determinants(tariff: Tariff) -> Iterator[Finding]:
    known: list[str] = []
    for name, node in tariff.determinants.items():
        path: Path = ("determinants", name)
        for ref in node.refs:
            if ref not in known:
                yield _unknown((*path, "of"), "determinant (defined before this one)", ref, known)
        yield from _masked(tariff, path, getattr(node, "calendar", None), getattr(node, "periods", None))
        if isinstance(node, MinOf):
            yield from _least(path, node)
        if isinstance(node, (MaxOf, MinOf)):
            for place, term in enumerate(node.of):
                yield from _term(tariff, (*path, "of", place), term, looks_back=isinstance(node, MaxOf))
        if isinstance(node, Constant) and isinstance(node.of, str):
            yield from _contract(tariff, (*path, "of"), node.of)
        if isinstance(node, Excess) and isinstance(node.over, str) and node.over not in known:
            yield from _contract(tariff, (*path, "over"), node.over)
        if isinstance(node, Coincident):
            yield from _coincident(tariff, path, node)
        known.append(name)


def _coincident(tariff: Tariff, path: Path, node: Coincident) -> Iterator[Finding]:
    if node.series is not None and node.series not in tariff.series:
        yield _unknown((*path, "series"), "series", node.series, tariff.series)
    for field in ("prior_kw", "scale"):
        if isinstance(value := getattr(node, field), str):
            yield from _contract(tariff, (*path, field), value)


def _term(tariff: Tariff, path: Path, term: Term, *, looks_back: bool) -> Iterator[Finding]:
    given = [value for value in (term.ref, term.const, term.contract) if value is not None]
    if len(given) != 1:
        yield Finding(path, "a term is one of ref, const and contract", "state exactly one")
    if term.contract is not None:
        yield from _contract(tariff, (*path, "contract"), term.contract)
    if term.lookback is not None and term.lookback < 1:
        yield Finding((*path, "lookback"), "a look-back window must be at least one cycle", _NOW, str(term.lookback))
    if term.lookback is not None and (term.ref is None or not looks_back):
        yield Finding((*path, "lookback"), "only a `ref` of max_of can look back", "move it to a max_of determinant")


def _least(path: Path, node: MinOf) -> Iterator[Finding]:
    """The least of no term is nothing: every month needs one that counts."""
    without = [month for month in range(1, 13) if all(term.share(month) is None for term in node.of)]
    if without:
        yield Finding(
            (*path, "of"), "no term of min_of counts in these months", "add a term", ", ".join(map(str, without))
        )


def _charges(tariff: Tariff) -> Iterator[Finding]:
    seen: list[str] = []
    for place, charge in enumerate(tariff.charges):
        path: Path = ("charges", place)
        if charge.id in seen:
            yield Finding((*path, "id"), "two charges have this id", "rename one", charge.id)
        if isinstance(charge, DemandCharge):
            yield from _demand(tariff, path, charge)
        yield from _refers(tariff, path, charge, seen)
        if isinstance(charge, EnergyCharge):
            yield from _energy(tariff, path, charge)
        if isinstance(charge, (EnergyCharge, NetMeteredEnergy)):
            yield from _prices(tariff, path, charge)
        if isinstance(charge, NetMeteredEnergy) and tariff.export is None:
            yield Finding(path, "a net-metered charge needs `export`", "add `export: {scheme: net_metering_kwh}`")
        seen.append(charge.id)


def _demand(tariff: Tariff, path: Path, charge: DemandCharge) -> Iterator[Finding]:
    if charge.of not in tariff.determinants:
        yield _unknown((*path, "of"), "determinant", charge.of, tariff.determinants)
    sets = charge.tiers["by_month"] if isinstance(charge.tiers, dict) else (charge.tiers or (),)
    for tiers in sets:
        yield from _ascending(path, tiers)
        for place, tier in enumerate(tiers):
            yield from _one_price((*path, "tiers", place, "price"), tier.price, None, _BY_DETERMINANT)
    yield from _one_price((*path, "price"), charge.price, None, _BY_DETERMINANT)


def _refers(tariff: Tariff, path: Path, charge: AnyCharge, seen: Sequence[str]) -> Iterator[Finding]:
    """Adjustments refer to earlier charges only: their order is part of the tariff."""
    if not isinstance(charge, (Percent, MinimumBill, AnnualMinimum)):
        return
    for ref in charge.of:
        if ref not in seen:
            yield _unknown((*path, "of"), "charge (listed before this one)", ref, seen)
    for ref in (charge.per or {}) if isinstance(charge, MinimumBill) else ():
        if ref not in tariff.determinants:
            yield _unknown((*path, "per"), "determinant", ref, tariff.determinants)


def _energy(tariff: Tariff, path: Path, charge: EnergyCharge) -> Iterator[Finding]:
    for field in ("series", "when"):
        key = getattr(charge, field)
        if key is not None and key not in tariff.series:
            yield _unknown((*path, field), "series", key, tariff.series)
    if charge.band is not None:
        for side in (charge.band.above, charge.band.below):
            if isinstance(side, str):
                yield from _contract(tariff, (*path, "band"), side)
    tiers = charge.tiers or ()
    if any(tier.bound.kwh_per_kw is not None for tier in tiers) and charge.kw is None:
        yield Finding(path, "hours-use tiers need a billing demand", "add `kw: <determinant>`", charge.id)
    if charge.kw is not None and charge.kw not in tariff.determinants:
        yield _unknown((*path, "kw"), "determinant", charge.kw, tariff.determinants)
    if charge.channel == "export" and tariff.export is not None and tariff.export.scheme == "none":
        yield Finding(path, "export scheme `none` pays for no export", "choose a scheme or drop the charge", charge.id)
    yield from _ascending(path, tiers)


def _ascending(path: Path, tiers: Sequence[Tier]) -> Iterator[Finding]:
    """Tier ends of the same kind must rise, and the last tier must be open."""
    for kind in ("kwh", "kw", "kwh_per_kw", "kwh_per_day"):
        ends = [(place, end) for place, tier in enumerate(tiers) if (end := getattr(tier.bound, kind)) is not None]
        bare = all(not isinstance(tier.upto, dict) and len(tier.bound.model_fields_set) <= 1 for tier in tiers)
        for (_, before), (place, end) in pairwise(ends):
            if end < before or (bare and end == before):
                yield Finding(
                    (*path, "tiers", place, "upto"), f"tiers must ascend: {end:g} after {before:g}", "sort them"
                )
    if tiers and any(
        end is not None and end != float("inf")
        for end in (getattr(tiers[-1].bound, kind) for kind in ("kwh", "kw", "kwh_per_kw", "kwh_per_day"))
    ):
        yield Finding(
            (*path, "tiers", len(tiers) - 1, "upto"), "the last tier must be open", "end it with `.inf` or {}"
        )


def _prices(tariff: Tariff, path: Path, charge: EnergyCharge | NetMeteredEnergy) -> Iterator[Finding]:
    if charge.calendar is not None and charge.calendar not in tariff.calendars:
        yield _unknown((*path, "calendar"), "calendar", charge.calendar, tariff.calendars)
        return
    named = _periods(tariff, charge.calendar)
    listed: list[tuple[Path, Price]] = []
    if charge.price is not None:
        listed.append(((*path, "price"), charge.price))
    if isinstance(charge, EnergyCharge):
        listed += [((*path, "tiers", place, "price"), tier.price) for place, tier in enumerate(charge.tiers or ())]
    for where, price in listed:
        yield from _one_price(where, price, named)


def _periods(tariff: Tariff, calendar: str | None) -> tuple[str, ...] | None:
    """Periods of a calendar that the tariff has; None without one."""
    return None if calendar is None else tariff.calendars[calendar].periods


def _one_price(
    path: Path, price: Price | None, periods: Sequence[str] | None, remedy: str = "add `calendar: <name>`"
) -> Iterator[Finding]:
    if not isinstance(price, dict):
        return
    wrong = {name: len(values) for name, values in price.items() if isinstance(values, tuple) and len(values) != 12}
    yield from (
        Finding((*path, name), "monthly prices need twelve numbers", "list January to December", str(n))
        for name, n in wrong.items()
    )
    if BY_MONTH in price:
        if len(price) > 1 or not isinstance(price[BY_MONTH], tuple):
            yield Finding(
                path, "`by_month` stands alone, with twelve numbers", "or list twelve numbers for each period"
            )
        return
    if periods is None:
        yield Finding(path, "prices by period need a calendar", remedy)
        return
    yield from (_unknown((*path, name), "period", name, periods) for name in price if name not in periods)
    every = "price every period of the calendar (0 is a price)"
    yield from (Finding(path, f"no price for period `{name}`", every) for name in periods if name not in price)


def _export(tariff: Tariff) -> Iterator[Finding]:
    """A credit price is stated for the periods of the net-metered charges that it credits."""
    if tariff.export is None or tariff.export.credit_price is None:
        return
    path: Path = ("export", "credit_price")
    if tariff.export.scheme != "net_metering_dollar":
        yield Finding(
            path,
            f"scheme `{tariff.export.scheme}` credits nothing at this price",
            "use `net_metering_dollar`, or an energy charge on `channel: export`",
        )
        return
    calendars = [charge.calendar for charge in tariff.charges if isinstance(charge, NetMeteredEnergy)]
    if any(calendar is not None and calendar not in tariff.calendars for calendar in calendars):
        return
    listed = [_periods(tariff, calendar) for calendar in calendars]
    named = tuple(dict.fromkeys(name for names in listed for name in names or ()))
    remedy = "give every net-metered charge a `calendar`, or state one price"
    yield from _one_price(path, tariff.export.credit_price, None if None in listed else named, remedy)


def _supply(tariff: Tariff) -> Iterator[Finding]:
    for place, block in enumerate(tariff.supply):
        path: Path = ("supply", place)
        yield from _masked(tariff, path, block.calendar, block.periods)
        if block.calendar is None or block.calendar in tariff.calendars:
            yield from _one_price((*path, "price"), block.price, _periods(tariff, block.calendar))
        if isinstance(block.mw, str) and block.mw not in tariff.contract and block.mw not in tariff.series:
            yield _unknown((*path, "mw"), "contract value or series", block.mw, [*tariff.contract, *tariff.series])
        if block.index is not None and block.index not in tariff.series:
            yield _unknown((*path, "index"), "series", block.index, tariff.series)


def _history(tariff: Tariff) -> Iterator[Finding]:
    for name in tariff.history if isinstance(tariff.history, dict) else ():
        if name not in tariff.determinants:
            yield _unknown(("history", name), "determinant", name, tariff.determinants)


def _programs(tariff: Tariff) -> Iterator[Finding]:
    names = [program.id for program in tariff.programs]
    for place, program in enumerate(tariff.programs):
        path: Path = ("programs", place)
        if program.of is not None and program.of not in tariff.determinants:
            yield _unknown((*path, "of"), "determinant", program.of, tariff.determinants)
        if program.window is not None and program.window not in tariff.calendars:
            yield _unknown((*path, "window"), "calendar", program.window, tariff.calendars)
        if program.events is not None and program.events not in tariff.series:
            yield _unknown((*path, "events"), "series", program.events, tariff.series)
        if isinstance(program.firm_level_kw, str):
            yield from _contract(tariff, (*path, "firm_level_kw"), program.firm_level_kw)
        for other in program.mutually_exclusive_with:
            if other in names:
                yield Finding(
                    (*path, "mutually_exclusive_with"), f"cannot be joined with `{other}`", "drop one of them"
                )


def _masked(tariff: Tariff, path: Path, calendar: str | None, periods: Sequence[str] | None) -> Iterator[Finding]:
    if calendar is None:
        if periods is not None:
            yield Finding((*path, "periods"), "periods need a calendar", "add `calendar: <name>`")
        return
    if calendar not in tariff.calendars:
        yield _unknown((*path, "calendar"), "calendar", calendar, tariff.calendars)
        return
    for period in periods or ():
        if period not in tariff.calendars[calendar].periods:
            yield _unknown((*path, "periods"), "period", period, tariff.calendars[calendar].periods)


def _contract(tariff: Tariff, path: Path, name: str) -> Iterator[Finding]:
    if name not in tariff.contract:
        yield _unknown(path, "contract value", name, tariff.contract)


def _unknown(path: Path, what: str, name: str, known: Iterable[str]) -> Finding:
    return Finding(path, f"unknown {what}", did_you_mean(name, sorted(known)) or "known: none", name)


__all__ = ["Finding", "Findings", "find_problems"]
