"""Import a rate record of the U.S. Utility Rate Database (URDB), with a warning for everything it cannot say.

URDB is an import format only: 12 x 24 schedules, tiers without a stated sharing among periods, ratchets without
history, riders in prose. What has an exact meaning is taken over; what has not is named.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from microgrid.errors import InvalidInput, Problem
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.urdb_calendar import calendar_of, scheduled

KW_PER_HP = 0.7457
_SCHEMES = {
    "net metering": {"scheme": "net_metering_kwh"},
    "net billing instantaneous": {"scheme": "net_billing", "netting": "interval"},
    "net billing hourly": {"scheme": "net_billing", "netting": "hour"},
    "buy all sell all": {"scheme": "buy_all_sell_all"},
}
_PROSE = ("basicinformationcomments", "demandcomments", "energycomments", "description")
_ATTRIBUTES = ("energyattrs", "demandattrs", "fixedattrs")


@dataclass(frozen=True)
class UrdbImport:
    """The tariff, and one warning for each thing that was lost, guessed or left open."""

    tariff: Tariff
    warnings: tuple[str, ...]


@dataclass
class _Draft:
    """The tariff while it is put together."""

    calendars: dict[str, Any] = field(default_factory=dict)
    determinants: dict[str, Any] = field(default_factory=dict)
    charges: list[dict[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def read_urdb(path: Path, *, timezone: str = "naive") -> UrdbImport:
    """Import the (first) record of a JSON file as URDB's API returns it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as broken:
        raise InvalidInput(Problem(f"not a JSON file: {broken}", "give a URDB record", file=str(path))) from broken
    items = content.get("items", [content]) if isinstance(content, dict) else content
    if not isinstance(items, list) or not items or not isinstance(items[0], dict):
        raise InvalidInput(Problem("no rate record in the file", "give a URDB record or an API answer", file=str(path)))
    made = import_urdb(items[0], timezone=timezone)
    if len(items) == 1:
        return made
    return UrdbImport(made.tariff, (f"the file holds {len(items)} records; only the first is imported", *made.warnings))


def import_urdb(record: Mapping[str, Any], *, timezone: str = "naive") -> UrdbImport:
    """Import one record; `timezone` is the meter's zone, which URDB does not hold.

    Raises InvalidInput when what the record states is not a tariff (e.g. a period without a rate).
    """
    data = {str(key).lower(): value for key, value in record.items() if value not in (None, "", [])}
    draft = _Draft()
    if timezone == "naive":
        draft.warn("URDB holds no time zone: stamps are taken as local time; state `timezone`")
    draft.warn("URDB holds no holidays: TOU weekdays include them; state `holidays`")
    _fixed(data, draft)
    _demand(data, draft)
    _energy(data, draft)
    export = _export(data, draft)
    _minimum(data, draft)
    _leftovers(data, draft)
    content: dict[str, Any] = {
        "id": _slug(str(data.get("name") or data.get("label") or "urdb")),
        "utility": data.get("utility"),
        "schedule": data.get("name"),
        "source": _source(data, draft),
        "timezone": timezone,
        "eligibility": _eligibility(data),
        "calendars": draft.calendars,
        "determinants": draft.determinants,
        "charges": draft.charges,
        "meter_window_min": data.get("demandwindow"),
        **({"export": export} if export else {}),
    }
    try:
        return UrdbImport(Tariff.model_validate(content), tuple(draft.warnings))
    except ValueError as broken:
        raise InvalidInput(
            Problem(f"the record is no consistent tariff: {broken}", "mend the record", "urdb")
        ) from broken


# -- identity --------------------------------------------------------------------------------------------------


def _source(data: Mapping[str, Any], draft: _Draft) -> dict[str, Any]:
    if data.get("approved") is False:
        draft.warn("the record is not expert-approved")
    volts = [data.get(key) for key in ("voltageminimum", "voltagemaximum")]
    if any(volts):
        low, high = (f"{float(limit):,.0f}" if limit else "any" for limit in volts)
        draft.warn(f"the rate is for {low} to {high} V, which is not checked: see that your service is")
    if str(data.get("servicetype", "Bundled")) in {"Delivery", "Delivery with Standard Offer"}:
        draft.warn(f"service type `{data['servicetype']}`: the generation price is not in the record")
        draft.missing.append("generation")
    if "source" in data:
        draft.warn(f"prices were keyed from {data['source']}: check them there")
    return {
        "doc": f"URDB {data.get('label', 'record')}",
        "url": data.get("uri"),
        "effective": _date(data.get("startdate")),
        "expires": _date(data.get("enddate")),
        "quality": "urdb",
        "missing": draft.missing,
    }


def _date(value: Any) -> str | None:
    """ISO date of Unix seconds, or of a Mongo export's ``{"$date": ...}``."""
    stamp = value.get("$date") if isinstance(value, dict) else value
    if isinstance(stamp, str):
        return stamp[:10]
    if not isinstance(stamp, (int, float)):
        return None
    return dt.datetime.fromtimestamp(stamp, tz=dt.UTC).date().isoformat()


def _eligibility(data: Mapping[str, Any]) -> dict[str, float]:
    limits = {"min_kw": data.get("peakkwcapacitymin"), "max_kw": data.get("peakkwcapacitymax")}
    return {name: float(value) for name, value in limits.items() if value is not None}


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "urdb"


# -- charges ---------------------------------------------------------------------------------------------------


def _fixed(data: Mapping[str, Any], draft: _Draft) -> None:
    amount = data.get("fixedchargefirstmeter", data.get("fixedmonthlycharge"))
    unit = str(data.get("fixedchargeunits", "$/month"))
    if amount:
        per = {"$/day": "day", "$/month": "month", "$/year": "year"}.get(unit, "month")
        draft.charges.append({"id": "customer", "kind": "fixed", "amount": amount, "per": per, "tags": ["fixed"]})
    if data.get("fixedchargeeaaddl"):
        draft.warn("a charge for each additional meter is left out")


def _demand(data: Mapping[str, Any], draft: _Draft) -> None:
    if "flatdemandstructure" in data:
        _flat_demand(data, draft)
    if "demandratestructure" in data:
        _tou_demand(data, draft)
    if data.get("demandreactivepowercharge"):
        draft.determinants["kvar"] = {"kind": "kvar"}
        price = data["demandreactivepowercharge"]
        draft.charges.append({"id": "reactive", "kind": "per_unit", "of": "kvar", "price": price})
    if "coincidentratestructure" in data:
        draft.warn("a coincident-peak price is left out: URDB cannot say which hours, how many, or when they bill")


def _flat_demand(data: Mapping[str, Any], draft: _Draft) -> None:
    unit = str(data.get("flatdemandunit", data.get("demandunits", "kW")))
    draft.determinants["pk"] = _demand_node(unit, draft)
    structure, months = data["flatdemandstructure"], data.get("flatdemandmonths", [0] * 12)
    billed = _ratchet(data, draft)
    by_month = [_tiers(structure[int(period)], "kw", _per_unit(unit)) for period in months]
    charge: dict[str, Any] = {"id": "demand", "kind": "demand", "of": billed}
    if all(len(tiers) == 1 for tiers in by_month):
        prices = [tiers[0]["price"] for tiers in by_month]
        charge["price"] = prices[0] if len(set(prices)) == 1 else {"by_month": prices}
    else:
        charge["tiers"] = {"by_month": by_month}
    draft.charges.append(charge)


def _demand_node(unit: str, draft: _Draft) -> dict[str, Any]:
    node: dict[str, Any] = {"kind": "demand"}
    if "kva" in unit.lower():
        node["quantity"] = "kva"
    if "daily" in unit.lower():
        node["stat"] = "sum_daily_max"
        draft.warn(f"demand unit `{unit}` is read as the sum of daily peaks")
    return node


def _per_unit(unit: str) -> float:
    """Units of the record for each kW or kVA."""
    return 1.0 / KW_PER_HP if unit.lower().startswith("hp") else 1.0


def _ratchet(data: Mapping[str, Any], draft: _Draft) -> str:
    """Name of the billing demand: the peak, or a ratchet over it."""
    percent, months = data.get("lookbackpercent"), data.get("lookbackmonths")
    if data.get("demandratchetpercentage") and any(data["demandratchetpercentage"]):
        draft.warn(
            "`demandratchetpercentage` has no look-back length and is left out; write it as a max_of determinant"
        )
    if not percent:
        return "pk"
    if percent > 1.0:
        draft.warn(f"`lookbackpercent` {percent:g} is read as {percent / 100.0:g} of the earlier peak")
        percent = percent / 100.0
    look: dict[str, Any] = {"ref": "pk", "pct": percent, "lookback": int(data.get("lookbackrange") or 11)}
    if months and any(months):
        look |= {"lookback": 11, "months": [place + 1 for place, on in enumerate(months) if on]}
    draft.warn("the ratchet needs past peaks: give `history`, or state first_year or steady_state")
    draft.determinants["billing_demand"] = {"kind": "max_of", "of": [{"ref": "pk"}, look]}
    return "billing_demand"


def _tou_demand(data: Mapping[str, Any], draft: _Draft) -> None:
    structure = data["demandratestructure"]
    schedule = scheduled(data, "demand")
    if schedule is None:
        draft.warn("TOU demand prices without schedules are left out")
        return
    draft.calendars["demand"] = calendar_of(schedule, "d")
    unit = str(data.get("demandrateunit", data.get("demandunits", "kW")))
    used = {place for row in (*schedule.weekday, *schedule.weekend) for place in row}
    for period in sorted(used):
        tiers = _tiers(structure[period], "kw", _per_unit(unit))
        if all(tier["price"] == 0.0 for tier in tiers):
            continue
        name = f"pk_d{period}"
        draft.determinants[name] = {**_demand_node(unit, draft), "calendar": "demand", "periods": [f"d{period}"]}
        charge: dict[str, Any] = {"id": f"demand_d{period}", "kind": "demand", "of": name}
        charge |= {"price": tiers[0]["price"]} if len(tiers) == 1 else {"tiers": tiers}
        draft.charges.append(charge)
    draft.warn("TOU demand periods are taken as apart: a maximum-demand charge keyed as off-peak misses on-peak peaks")


def _tiers(period: Sequence[Mapping[str, Any]], kind: str, per_unit: float = 1.0) -> list[dict[str, Any]]:
    """Tiers of one period in this grammar; the last is open."""
    tiers = []
    for place, tier in enumerate(period):
        price = (float(tier.get("rate") or 0.0) + float(tier.get("adj") or 0.0)) * per_unit
        end = tier.get("max")
        is_open = place == len(period) - 1 or not end or float(end) > 1e30
        tiers.append({"upto": {} if is_open else {kind: float(end or 0.0) / per_unit}, "price": round(price, 10)})
    return tiers


def _energy(data: Mapping[str, Any], draft: _Draft) -> None:
    structure = data.get("energyratestructure")
    if not structure:
        draft.warn("the record has no energy price")
        draft.missing.append("energy")
        return
    schedule = scheduled(data, "energy")
    if schedule is None:
        draft.warn("energy prices without schedules: the first period holds at all times")
        schedule = scheduled({"energyweekdayschedule": [[0] * 24] * 12}, "energy")
    if schedule is None:
        return
    draft.calendars["energy"] = calendar_of(schedule, "e")
    groups: dict[str, list[int]] = {}
    for period in sorted({place for row in (*schedule.weekday, *schedule.weekend) for place in row}):
        groups.setdefault(json.dumps(_energy_ends(structure[period], draft)), []).append(period)
    names = [f"e{period}" for members in groups.values() for period in members]
    for number, members in enumerate(groups.values()):
        draft.charges.append(
            _energy_charge(structure, members, names, draft, "energy" if number == 0 else f"energy_{number}")
        )
    if len(groups) > 1:
        draft.warn("periods have different tiers: each period counts its own energy")
    if any(len(tiers) > 1 for tiers in structure):
        draft.warn("URDB does not say how tiers are shared among periods: pro rata is taken (`tier_alloc`)")


def _energy_charge(
    structure: Sequence[Sequence[Mapping[str, Any]]], members: list[int], names: list[str], draft: _Draft, name: str
) -> dict[str, Any]:
    """Charge of the periods that share tier ends; other periods of the calendar are free in it."""
    charge: dict[str, Any] = {"id": name, "kind": "energy", "calendar": "energy"}
    by_period = {f"e{period}": _tiers(structure[period], "kwh") for period in members}
    count = len(next(iter(by_period.values())))
    prices = [
        {period: by_period[period][place]["price"] if period in by_period else 0.0 for period in names}
        for place in range(count)
    ]
    if count == 1:
        return {**charge, "price": prices[0]}
    ends = _energy_ends(structure[members[0]], draft)
    if any("kwh_per_kw" in end for end in ends):
        draft.determinants.setdefault("pk", {"kind": "demand"})
        charge["kw"] = "billing_demand" if "billing_demand" in draft.determinants else "pk"
    alloc = "pro_rata" if len(members) == len(names) else "per_period"
    tiers = [{"upto": end, "price": price} for end, price in zip(ends, prices, strict=True)]
    return {**charge, "tier_alloc": alloc, "tiers": tiers}


def _energy_ends(period: Sequence[Mapping[str, Any]], draft: _Draft) -> list[dict[str, float]]:
    kinds = {"kwh": "kwh", "kwh/kw": "kwh_per_kw", "kwh daily": "kwh_per_day"}
    ends: list[dict[str, float]] = []
    for tier in _with_units(period):
        kind = kinds.get(tier["unit"])
        if kind is None:
            text = f"tier unit `{tier['unit']}` is not held; its end is left open"
            if text not in draft.warnings:
                draft.warn(text)
        ends.append({kind: tier["max"]} if kind and tier["max"] is not None else {})
    return ends


def _with_units(period: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    tiers = []
    for place, tier in enumerate(period):
        end = tier.get("max")
        is_open = place == len(period) - 1 or not end or float(end) > 1e30
        tiers.append({"unit": str(tier.get("unit", "kWh")).lower(), "max": None if is_open else float(end or 0.0)})
    return tiers


def _export(data: Mapping[str, Any], draft: _Draft) -> dict[str, Any] | None:
    rules = str(data.get("dgrules", "Net Metering" if data.get("usenetmetering") else "")).lower()
    structure = data.get("energyratestructure", [])
    sold = [tiers[0].get("sell") or 0.0 for tiers in structure]
    if any((tier.get("sell") or 0.0) != (tiers[0].get("sell") or 0.0) for tiers in structure for tier in tiers[1:]):
        draft.warn("export prices (`sell`) of tiers beyond the first are left out: all export is paid the first tier's")
    if not rules:
        if any(sold):
            draft.warn("export prices without `dgrules`: read as net billing by interval")
        rules = "net billing instantaneous" if any(sold) else ""
    scheme = _SCHEMES.get(rules)
    if scheme is None:
        return None
    if scheme["scheme"] == "net_metering_kwh":
        return _net_metering(draft)
    if any(sold):
        used = draft.calendars["energy"]["rules"]
        names = {rule["period"] for rule in used} | {draft.calendars["energy"]["default"]}
        price = {name: float(sold[int(name[1:])]) for name in sorted(names)}
        draft.charges.append(
            {"id": "export", "kind": "energy", "channel": "export", "calendar": "energy", "price": price}
        )
    return dict(scheme)


def _net_metering(draft: _Draft) -> dict[str, Any] | None:
    """Turn plain energy charges into net-metered ones; tiers cannot be."""
    energy = [charge for charge in draft.charges if charge["kind"] == "energy"]
    if any("tiers" in charge for charge in energy):
        draft.warn("net metering over tiered energy is not held: export earns nothing")
        return None
    for charge in energy:
        charge["kind"] = "net_metered_energy"
    draft.warn("URDB does not say how surplus is kept: a kWh bank for each period without true-up is taken")
    return {"scheme": "net_metering_kwh"}


def _minimum(data: Mapping[str, Any], draft: _Draft) -> None:
    amount = data.get("mincharge", data.get("minmonthlycharge"))
    unit = str(data.get("minchargeunits", "$/month"))
    everything = [charge["id"] for charge in draft.charges]
    yearly = data.get("annualmincharge", amount if unit == "$/year" else None)
    if yearly:
        draft.charges.append({"id": "annual_minimum", "kind": "annual_min", "of": everything, "amount": yearly})
    if amount and unit == "$/month":
        draft.charges.append({"id": "minimum", "kind": "min_bill", "of": everything, "amount": amount})
    if amount and unit not in {"$/month", "$/year"}:
        draft.warn(f"a minimum charge in {unit} is left out")


def _leftovers(data: Mapping[str, Any], draft: _Draft) -> None:
    fuel = data.get("fueladjustmentsmonthly")
    if fuel and any(fuel):
        price = {"by_month": [float(value) for value in fuel]}
        draft.charges.append({"id": "fuel_adjustment", "kind": "energy", "price": price, "tags": ["rider"]})
    for key in _ATTRIBUTES:
        if data.get(key):
            draft.warn(f"`{key}` holds riders or conditions in free form: {json.dumps(data[key])[:160]}")
    for key in _PROSE:
        if data.get(key):
            draft.warn(f"`{key}` is prose: {str(data[key])[:160]}")


__all__ = ["UrdbImport", "import_urdb", "read_urdb"]
