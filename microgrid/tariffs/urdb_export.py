"""Write a tariff as a URDB record, as far as URDB can hold it, naming everything that is lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microgrid.tariffs.charges import AnyCharge, DemandCharge, EnergyCharge, Fixed, MinimumBill
from microgrid.tariffs.determinants import Demand, MaxOf, ReactiveDemand
from microgrid.tariffs.drawing import draw
from microgrid.tariffs.effective import first_day
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.prices import Tier, monthly_price, price_table
from microgrid.tariffs.urdb_calendar import hourly_rows

_UNITS = {"kwh": "kWh", "kwh_per_kw": "kWh/kW", "kwh_per_day": "kWh daily"}


@dataclass
class UrdbExport:
    """The record, and one sentence for each thing that it cannot hold."""

    record: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def export_urdb(tariff: Tariff) -> UrdbExport:
    """Write the tariff as a URDB record."""
    made = UrdbExport({"name": tariff.schedule or tariff.id, "utility": tariff.utility, "sector": "Industrial"})
    _identity(tariff, made)
    energy = [charge for charge in tariff.charges if isinstance(charge, EnergyCharge)]
    plain = [charge for charge in energy if _is_plain(charge)]
    if plain:
        _energy(tariff, plain, made)
    for charge in tariff.charges:
        if isinstance(charge, Fixed):
            _fixed(charge, made)
        elif isinstance(charge, DemandCharge):
            _demand(tariff, charge, made)
        elif isinstance(charge, MinimumBill) and charge.amount is not None and "mincharge" not in made.record:
            made.record |= {"mincharge": charge.amount, "minchargeunits": "$/month"}
            if len(charge.of) + 1 < len(tariff.charges):
                made.lost.append(f"minimum bill {charge.id} counts chosen charges only; URDB counts all")
        elif charge not in plain:
            made.lost.append(f"charge {charge.id} ({charge.kind}) is left out")
    return made


def _identity(tariff: Tariff, made: UrdbExport) -> None:
    effective = first_day(tariff.source.effective) if tariff.source is not None else None
    if effective is not None:
        made.record["startdate"] = int(effective.tz_localize("UTC").timestamp())
    if tariff.meter_window_min is not None:
        made.record["demandwindow"] = tariff.meter_window_min
    if tariff.timezone != "naive":
        made.lost.append(f"time zone {tariff.timezone}")
    if tariff.holidays.calendar is not None or tariff.holidays.dates:
        made.lost.append("holidays: TOU weekdays include them in URDB")
    if tariff.billing.cycle == "read_dates":
        made.lost.append("read dates: URDB bills calendar months")
    if any(rule.dates for calendar in tariff.calendars.values() for rule in calendar.rules):
        made.lost.append("seasons that change inside a month")
    made.lost += [f"supply block {block.id}" for block in tariff.supply]
    made.lost += [f"program {program.id}" for program in tariff.programs]
    if tariff.export is not None:
        made.lost.append(f"export scheme {tariff.export.scheme}")


def _is_plain(charge: EnergyCharge) -> bool:
    special = (charge.series, charge.band, charge.when)
    return charge.channel == "import" and all(part is None for part in special) and charge.tier_mode == "graduated"


def _energy(tariff: Tariff, charges: list[EnergyCharge], made: UrdbExport) -> None:
    """Add all plain energy prices cell by cell and number the distinct ones as periods."""
    tiered = [charge for charge in charges if charge.tiers is not None]
    made.lost += [f"tiers of charge {charge.id}: URDB holds one set of energy tiers" for charge in tiered[1:]]
    kept = [charge for charge in charges if charge.tiers is None or charge is tiered[0]]
    tiers: tuple[Tier, ...] = tiered[0].tiers or () if tiered else ()
    if tiers and any(len(tier.bound.model_dump(exclude_none=True)) > 1 for tier in tiers):
        made.lost.append(f"nested tier ends of charge {tiered[0].id}: only the first limit of each is kept")
    cells = {"weekday": np.zeros((12, 24, max(1, len(tiers)))), "weekend": np.zeros((12, 24, max(1, len(tiers))))}
    for charge in kept:
        for kind, table in cells.items():
            cells[kind] = table + _cell_prices(tariff, charge, kind, table.shape[2], made)
    both = np.concatenate([cells["weekday"], cells["weekend"]]).reshape(-1, max(1, len(tiers))).round(8)
    distinct, number = np.unique(both, axis=0, return_inverse=True)
    rows = number.reshape(24, 24)
    made.record["energyweekdayschedule"] = rows[:12].tolist()
    made.record["energyweekendschedule"] = rows[12:].tolist()
    made.record["energyratestructure"] = [
        [{"rate": float(price), **_end(tiers, place)} for place, price in enumerate(prices)]
        for prices in distinct.tolist()
    ]


def _cell_prices(tariff: Tariff, charge: EnergyCharge, kind: str, levels: int, made: UrdbExport) -> np.ndarray:
    """Price by month, hour and tier."""
    cells = np.zeros((12, 24, levels))
    prices = [tier.price for tier in charge.tiers] if charge.tiers is not None else [charge.price or 0.0] * levels
    season = np.ones(12) if charge.months is None else np.isin(np.arange(1, 13), charge.months).astype(float)
    for level, price in enumerate(prices):
        if charge.calendar is None:
            cells[:, :, level] = (monthly_price(price) * season)[:, None]
            continue
        drawing = next(entry for entry in draw(tariff) if entry.name == charge.calendar)
        weekday, weekend, lost = hourly_rows(drawing.weekday, drawing.weekend)
        text = f"half-hour edges of calendar {charge.calendar}"
        if lost and text not in made.lost:
            made.lost.append(text)
        rows = weekday if kind == "weekday" else weekend
        table = price_table(price, drawing.periods)
        cells[:, :, level] = table[np.arange(12)[:, None], rows] * season[:, None]
    return cells * charge.loss_factor


def _end(tiers: tuple[Tier, ...], place: int) -> dict[str, Any]:
    if not tiers:
        return {"unit": "kWh"}
    limits = tiers[place].bound.model_dump(exclude_none=True)
    kind = next((name for name in ("kwh_per_kw", "kwh_per_day", "kwh") if name in limits), None)
    if kind is None or not np.isfinite(limits[kind]):
        return {"unit": "kWh"}
    return {"unit": _UNITS[kind], "max": limits[kind]}


def _fixed(charge: Fixed, made: UrdbExport) -> None:
    if "fixedchargefirstmeter" in made.record and made.record["fixedchargeunits"] != f"$/{charge.per}":
        made.lost.append(f"charge {charge.id}: URDB holds one unit of fixed charges")
        return
    made.record["fixedchargefirstmeter"] = made.record.get("fixedchargefirstmeter", 0.0) + charge.amount
    made.record["fixedchargeunits"] = f"$/{charge.per}"


def _demand(tariff: Tariff, charge: DemandCharge, made: UrdbExport) -> None:
    node = tariff.determinants[charge.of]
    if isinstance(node, ReactiveDemand) and isinstance(charge.price, float):
        made.record["demandreactivepowercharge"] = charge.price
        return
    if isinstance(node, MaxOf):
        if not _look_back(tariff, node, made):
            made.lost.append(
                f"billing demand {charge.of}: ratchets and floors of charge {charge.id}; the peak is billed"
            )
        node = tariff.determinants[node.refs[0]] if node.refs else node
    if not isinstance(node, Demand) or node.stat != "max" or isinstance(charge.tiers, dict):
        made.lost.append(f"charge {charge.id} on {charge.of} is left out")
    elif node.calendar is None:
        _flat(charge, made)
    else:
        _tou(tariff, charge, node, made)


def _flat(charge: DemandCharge, made: UrdbExport) -> None:
    structure = made.record.setdefault("flatdemandstructure", [[{"rate": 0.0}] for _ in range(12)])
    made.record["flatdemandmonths"] = list(range(12))
    for month, tiers in enumerate(structure):
        if charge.months is not None and month + 1 not in charge.months:
            continue
        if isinstance(charge.tiers, tuple) and len(tiers) == 1:
            base = tiers[0]["rate"]
            structure[month] = [
                {"rate": base + float(monthly_price(tier.price)[month]), **_kw_end(tier)} for tier in charge.tiers
            ]
        elif charge.tiers is not None:
            made.lost.append(f"tiers of charge {charge.id} beside other demand tiers")
        else:
            for tier in tiers:
                tier["rate"] += float(monthly_price(charge.price or 0.0)[month])


def _kw_end(tier: Tier) -> dict[str, float]:
    ends = [value for value in (tier.bound.kw, tier.bound.kwh) if value is not None and np.isfinite(value)]
    return {"max": ends[0]} if ends else {}


def _look_back(tariff: Tariff, node: MaxOf, made: UrdbExport) -> bool:
    """Write a ratchet on the peak of all hours, which is what URDB's look-back says; False where it says more."""
    now, *past = sorted(node.of, key=lambda term: term.lookback is not None)
    if len(past) != 1 or now.ref is None or now.ref != past[0].ref or now.lookback is not None or now.pct != 1.0:
        return False
    term, peak = past[0], tariff.determinants[now.ref]
    if term.lookback is None or isinstance(term.pct, dict) or "lookbackpercent" in made.record:
        return False
    if not isinstance(peak, Demand) or peak.calendar is not None or (term.months is not None and term.lookback < 11):
        return False
    made.record["lookbackpercent"] = term.pct
    if term.months is None:
        made.record["lookbackrange"] = term.lookback
    else:
        made.record["lookbackmonths"] = [int(month in term.months) for month in range(1, 13)]
    return True


def _tou(tariff: Tariff, charge: AnyCharge, node: Demand, made: UrdbExport) -> None:
    """Give the hours of the charge periods of their own, as long as no other charge has a peak in them."""
    if not isinstance(charge, DemandCharge) or charge.tiers is not None:
        made.lost.append(f"charge {charge.id} on {node.calendar} is left out")
        return
    drawing = next(entry for entry in draw(tariff) if entry.name == node.calendar)
    chosen = [drawing.periods.index(name) for name in node.periods or ()]
    season = np.ones(12, dtype=bool) if charge.months is None else np.isin(np.arange(1, 13), charge.months)
    weekday, weekend, _ = hourly_rows(drawing.weekday, drawing.weekend)
    hours = {
        kind: np.isin(rows, chosen) & season[:, None] for kind, rows in (("weekday", weekday), ("weekend", weekend))
    }
    structure = made.record.get("demandratestructure", [[{"rate": 0.0}]])
    taken = {kind: np.array(made.record.get(f"demand{kind}schedule", np.zeros((12, 24), dtype=int))) for kind in hours}
    if any((taken[kind][hours[kind]] > 0).any() for kind in hours):
        made.lost.append(f"charge {charge.id}: URDB holds one TOU demand schedule, whose periods do not overlap")
        return
    price = monthly_price(charge.price or 0.0)
    levels = sorted(set(price.tolist()))
    number = np.array([len(structure) + levels.index(value) for value in price.tolist()])[:, None]
    made.record["demandratestructure"] = [*structure, *([{"rate": value}] for value in levels)]
    for kind, inside in hours.items():
        made.record[f"demand{kind}schedule"] = np.where(inside, number, taken[kind]).tolist()


__all__ = ["UrdbExport", "export_urdb"]
