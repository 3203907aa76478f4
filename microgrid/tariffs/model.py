"""A tariff as data: calendars, determinants, charges, export, supply, programs and escalation.

One file is one tariff (or one supply contract). The names used here are checked against each other when the record is
made; `checks` holds those rules, `bill` and `part` the two readings.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Literal, get_args

import pandas as pd
from pydantic import Field, field_validator, model_validator

from microgrid.schema.quantity import Declared, Series
from microgrid.tariffs.axis import NAIVE, Axis, Billing, place
from microgrid.tariffs.calendar import Calendar, Holidays
from microgrid.tariffs.charges import AnyCharge, Charge
from microgrid.tariffs.checks import Findings, find_problems
from microgrid.tariffs.determinants import Demand, Determinant, PowerFactorDemand, ReactiveDemand
from microgrid.tariffs.export import Export
from microgrid.tariffs.programs import Program
from microgrid.tariffs.supply import SupplyBlock

Quality = Literal[
    "primary", "urdb", "urdb-unapproved", "secondary", "proposal", "superseded", "test-fixture", "invented"
]
_PRICE_SCALE = {"kwh": 1.0, "mwh": 0.001}


class Source(Declared):
    """Where the numbers come from and how far they can be trusted.

    `primary` was read on the utility's own sheet, `urdb` in a URDB record that an expert approved, `urdb-unapproved` in
    one that none did; `secondary` in somebody's account of it. A `proposal` may never have come into force so, and
    `superseded` prices were replaced. `effective` and `expires` are dates, or as much of one as is known
    (``2024``, ``2024-10``).
    """

    doc: str
    url: str | None = None
    sheet: str | None = None
    effective: str | None = None
    expires: str | None = None
    retrieved: str | None = None
    accessed: str | None = None
    quality: Quality = "secondary"
    placeholders: tuple[str, ...] = Field((), description="charges whose price is made up because none was found")
    missing: tuple[str, ...] = Field((), description="prices the schedule has and this file has not")
    note: str | None = None

    @field_validator("effective", "expires", "retrieved", "accessed", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, (int, dt.date)) else value

    @property
    def trusted(self) -> bool:
        """Whether every price is here, dated, and was read on a primary sheet or in an approved URDB record."""
        return not self.doubt

    @property
    def doubt(self) -> str:
        """Why the prices are not trusted; empty when they are."""
        reasons: list[str] = [self.quality] if self.quality not in {"primary", "urdb"} else []
        reasons += ["undated"] if self.effective is None else []
        reasons += [f"made-up price: {', '.join(self.placeholders)}"] if self.placeholders else []
        reasons += [f"missing: {', '.join(self.missing)}"] if self.missing else []
        return "; ".join(reasons)


class SeriesRef(Declared):
    """A series the tariff needs: an index price, an event flag, peak weights."""

    csv: str | None = None
    column: str | None = None
    unit: str = Field("$/kWh", description="e.g. $/kWh, $/MWh, CAD/MWh, 0/1, probability, kvar")
    align: Literal["interval", "hour_hold"] = "interval"
    time: str = Field("time", description="column that holds the time stamps")
    zone: str = Field("", description="IANA zone of stamps without offset; empty means the case's zone")
    stamp: Literal["beginning", "ending"] = "beginning"
    optional: bool = Field(default=False, description="the tariff can do without it (weights of `mode: candidates`)")
    note: str | None = None

    def as_series(self) -> Series | None:
        """Column of a file as a case refers to it; None where the file is left open."""
        if self.csv is None or self.column is None:
            return None
        return Series(
            file=self.csv, column=self.column, unit=self.unit, time=self.time, zone=self.zone, stamp=self.stamp
        )

    @property
    def scale(self) -> float:
        """Factor that brings a price to money a kWh; 1 for everything else."""
        money, _, each = self.unit.partition("/")
        cents = 0.01 if money.strip().lower() in {"c", "cent", "cents"} else 1.0
        return cents * _PRICE_SCALE.get(each.strip().lower(), 1.0) if self.is_price else 1.0

    @property
    def is_price(self) -> bool:
        """Whether the unit is money for energy."""
        return self.unit.partition("/")[2].strip().lower() in _PRICE_SCALE

    @property
    def currency(self) -> str | None:
        """Currency code that the unit names, if it names one."""
        money = self.unit.partition("/")[0].strip()
        return money if self.is_price and re.fullmatch(r"[A-Z]{3}", money) else None


class Escalation(Declared):
    """How prices change over years: inflation, real rates by component, or an explicit path of factors."""

    inflation: float = 0.0
    real: dict[str, float] = Field(default_factory=dict)
    path: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    compounding: Literal["compound", "additive"] = "compound"

    def factor(self, component: str | None, year: int) -> float:
        """Price factor in year `year` (0 is the first) of a component.

        Compound: ``((1 + inflation)(1 + real))^year``; additive: ``(1 + inflation + real)^year``, as SAM does. A path
        gives the factor itself, its last value holding on.
        """
        if component is not None and component in self.path:
            path = self.path[component]
            return path[min(year, len(path) - 1)]
        real = self.real.get(component or "", self.real.get("all", 0.0))
        yearly = 1.0 + self.inflation + real if self.compounding == "additive" else (1 + self.inflation) * (1 + real)
        return float(yearly**year)


class Tariff(Declared):
    """A tariff or supply contract of a large customer, at one meter."""

    id: str
    name: str | None = None
    utility: str | None = None
    schedule: str | None = None
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    voltage: str | None = None
    source: Source | None = None
    exercises: tuple[str, ...] = ()
    eligibility: dict[str, float | str] = Field(default_factory=dict)
    timezone: str = Field(NAIVE, description="IANA zone of the meter's clock; `naive` takes stamps as they stand")
    clock: Literal["prevailing", "standard"] = Field("prevailing", description="`standard` meters ignore DST")
    billing: Billing = Billing()
    holidays: Holidays = Holidays()
    meter_window_min: float | None = Field(None, gt=0, description="demand window where a determinant states none")
    contract: dict[str, float] = Field(default_factory=dict)
    contract_terms: dict[str, float | str] = Field(default_factory=dict)
    calendars: dict[str, Calendar] = Field(default_factory=dict)
    series: dict[str, SeriesRef] = Field(default_factory=dict)
    determinants: dict[str, Determinant] = Field(default_factory=dict)
    charges: tuple[AnyCharge, ...] = ()
    export: Export | None = None
    supply: tuple[SupplyBlock, ...] = ()
    programs: tuple[Program, ...] = ()
    escalation: Escalation | dict[str, float] | None = Field(
        None, union_mode="left_to_right", description="escalation rule, or real rates by component alone"
    )
    history: dict[str, tuple[float, ...]] | Literal["first_year", "steady_state"] | None = Field(
        None, description="past peaks by determinant, kW, oldest first; or `first_year`, or `steady_state`"
    )
    minimum: dict[str, float] | None = None
    load_growth: float | None = None
    gen_degradation: float | None = None
    notes: str | None = None

    @field_validator("holidays", mode="before")
    @classmethod
    def _dates_alone(cls, value: object) -> object:
        return {"dates": value} if isinstance(value, (list, tuple)) else value

    @model_validator(mode="after")
    def _consistent(self) -> Tariff:
        findings = find_problems(self)
        if findings:
            raise Findings(findings)
        return self

    def axis(self, times: pd.DatetimeIndex, step_min: float) -> Axis:
        """Place interval beginnings on the tariff's clock, cycles and TOU periods."""
        return place(
            times,
            step_min,
            zone=self.timezone,
            standard_clock=self.clock == "standard",
            billing=self.billing,
            holidays=self.holidays,
            calendars=self.calendars,
        )

    def adapted(
        self, contract: Mapping[str, float] | None = None, series: Mapping[str, SeriesRef] | None = None
    ) -> Tariff:
        """Tariff with a customer's own contract values and series; both must be names that the tariff has.

        Raises ValueError for a name it has not.
        """
        unknown = [*(set(contract or {}) - set(self.contract)), *(set(series or {}) - set(self.series))]
        if unknown:
            known = ", ".join([*self.contract, *self.series]) or "none"
            raise ValueError(
                f"the tariff has no contract value or series {', '.join(sorted(unknown))}: choose from {known}"
            )
        return self.model_copy(
            update={"contract": {**self.contract, **(contract or {})}, "series": {**self.series, **(series or {})}}
        )

    def nodes(self) -> dict[str, Determinant]:
        """Determinants in order, with the meter's demand window where they state none."""
        window = self.meter_window_min
        if window is None:
            return dict(self.determinants)
        return {
            name: node.model_copy(update={"window_min": window})
            if isinstance(node, (Demand, ReactiveDemand, PowerFactorDemand)) and node.window_min is None
            else node
            for name, node in self.determinants.items()
        }

    def series_references(self) -> Mapping[str, SeriesRef]:
        """Series the tariff needs by key, with file, column, unit and alignment, for the loader to align."""
        return self.series

    def rule(self) -> Escalation:
        """Escalation rule; a plain mapping states real rates by component, none means none."""
        if isinstance(self.escalation, Escalation):
            return self.escalation
        return Escalation(real=dict(self.escalation or {}))


def charge_kinds() -> dict[str, type[Charge]]:
    """Charge classes by kind, for catalogues and docs."""
    kinds: dict[str, type[Charge]] = {}
    for member in get_args(get_args(AnyCharge)[0]):
        for kind in get_args(member.model_fields["kind"].annotation):
            kinds[kind] = member
    return kinds


__all__ = ["Escalation", "Quality", "SeriesRef", "Source", "Tariff", "charge_kinds"]
