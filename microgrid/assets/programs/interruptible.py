"""Interruptible service: a credit for load that the utility may call off, within caps on events and hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from microgrid.assets.programs.interruption_calls import Caps, allowed_events, interruptible_terms
from microgrid.assets.programs.program import Program
from microgrid.assets.programs.sales import (
    Sale,
    hold_meter_speed,
    hold_speed,
    open_meter,
    report_sale,
    room_of,
    sellers,
    site,
    sum_of,
    take,
)
from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation
from microgrid.formulation.block import Block, Headroom
from microgrid.formulation.horizon import Horizon
from microgrid.formulation.months import month_shares
from microgrid.schema.quantity import Profile, quantity


class Interruptible(Program):
    """Load above a firm service level, given up on call.

    The campus subscribes MW below its `contract_mw`; the rest is its firm service level. Both are decisions by month or
    contract term, or given by `firm_service_level_mw`. In a called step import stays at that level, or pays for buying
    through. In every step in which a call may come, assets must stand ready to bring import down to it within the
    notice and for the longest event, with MW and speed that no other program has sold. The credit pays for those MW:
    what is subscribed below a load that is not there earns nothing.

    `terms` fills in what a shipped program states (notice, caps, contract terms); a field stated in the case wins.
    """

    example: ClassVar[Mapping[str, object]] = {
        "kind": "interruptible", "poi": "poi", "contract_mw": 60.0, "max_subscribed_mw": 40.0,
        "credit_usd_per_kw_month": 4.0,
    }  # fmt: skip

    kind: Literal["interruptible"] = "interruptible"
    terms: str = Field("", description="shipped terms, e.g. ercot_ers_30; none when empty")
    contract_mw: float = quantity("MW", "import that the contract reckons with", symbol=r"\bar P", gt=0)
    firm_service_level_mw: float | None = quantity(
        "MW", "import that cannot be interrupted, where it is given; a decision when absent", default=None, ge=0
    )
    max_subscribed_mw: float = quantity(
        "MW", "most MW that may be subscribed; what a given firm service level leaves when absent", symbol=r"\bar I",
        default=0.0, ge=0,
    )  # fmt: skip
    min_subscribed_mw: float = quantity("MW", "MW subscribed at least", default=0.0, ge=0)
    credit_usd_per_kw_month: float = quantity(
        "$/kW-month", "credit on MW held ready within those subscribed", symbol="c", ge=0
    )
    called: Profile = quantity("1", "1 where the utility calls (a scenario), else 0", default=0.0, ge=0, le=1)
    callable: Profile = quantity("1", "1 where a call may come, else 0", default=1.0, ge=0, le=1)
    notice_min: float = quantity("min", "time from a call to the firm level", symbol=r"\theta", default=30.0, gt=0)
    max_event_h: float = quantity("h", "longest event", symbol="D", default=4.0, gt=0)
    max_events_per_year: int = quantity("1", "events that may be called in a local year", default=20, ge=0)
    max_hours_per_year: float = quantity("h", "hours that may be called in a local year", default=80.0, ge=0)
    term_months: tuple[tuple[int, ...], ...] = quantity(
        "-", "contract terms by calendar months, e.g. [[12, 1, 2, 3], [4, 5]]; none when empty", default=()
    )
    max_events_per_term: int | None = quantity("1", "events that may be called in a term", default=None, ge=0)
    max_hours_per_term: float | None = quantity("h", "hours that may be called in a term", default=None, ge=0)
    subscribed_for: Literal["month", "term"] = Field(
        "month", description="month: the subscription may change from month to month; term: only between terms"
    )
    calls_exempt_from_ramp: bool = Field(
        default=False,
        description="the interconnection agreement exempts calls from the ramp and MW-variation limits of the meter",
    )
    buy_through_usd_per_mwh: float | None = quantity(
        "$/MWh", "price of import above the firm level in a call; not allowed when absent", default=None, ge=0
    )
    providers: tuple[str, ...] = quantity("-", "assets that stand ready; all with headroom when empty", default=())

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, stated: Any) -> Any:
        """Take what is not stated from the shipped terms, and the subscription from a given firm service level."""
        if not isinstance(stated, Mapping):
            return stated
        filled = {**interruptible_terms().get(str(stated.get("terms", "")), {}), **stated}
        firm, contract = filled.get("firm_service_level_mw"), filled.get("contract_mw")
        if isinstance(firm, (int, float)) and isinstance(contract, (int, float)):
            subscribed = float(contract) - float(firm)
            filled = {"min_subscribed_mw": subscribed, "max_subscribed_mw": subscribed, **filled}
        return filled

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        if self.terms and self.terms not in interruptible_terms():
            raise ValueError(f"no terms {self.terms!r}; choose one of {', '.join(interruptible_terms())}")
        if not self.min_subscribed_mw <= self.max_subscribed_mw <= self.contract_mw:
            raise ValueError("need min_subscribed_mw <= max_subscribed_mw <= contract_mw")
        if self.firm_service_level_mw is not None:
            given = self.contract_mw - self.firm_service_level_mw
            if abs(self.min_subscribed_mw - given) > 1e-9 or abs(self.max_subscribed_mw - given) > 1e-9:
                raise ValueError(
                    f"firm_service_level_mw leaves {given:g} MW to subscribe; drop min_ and max_subscribed_mw"
                )
        elif self.max_subscribed_mw == 0:
            raise ValueError("give max_subscribed_mw, or firm_service_level_mw where the firm level is given")
        self._check_terms()
        return self

    def _check_terms(self) -> None:
        months = [month for term in self.term_months for month in term]
        if any(not 1 <= month <= 12 for month in months) or len(set(months)) < len(months):
            raise ValueError("term_months must name calendar months 1 to 12, each at most once")
        bound = self.max_events_per_term is not None or self.max_hours_per_term is not None
        if not months and (bound or self.subscribed_for == "term"):
            raise ValueError("caps by term and subscribed_for: term need term_months")

    @property
    def caps(self) -> Caps:
        """What may be called."""
        return Caps(
            self.max_event_h, self.max_events_per_year, self.max_hours_per_year,
            inf if self.max_events_per_term is None else self.max_events_per_term,
            inf if self.max_hours_per_term is None else self.max_hours_per_term,
            self.term_months,
        )  # fmt: skip

    def formulate(self, block: Block) -> None:
        """Write the subscription, calls, readiness and money."""
        months = block.horizon.months
        subscribed = block.variable(
            "subscribed_mw", months, "MW", "interruptible MW subscribed in the month",
            lower=self.min_subscribed_mw, upper=self.max_subscribed_mw,
        )  # fmt: skip
        called = [False] * block.horizon.count
        for event in allowed_events(self.caps, block.horizon, block.profile("called")):
            called[event.first : event.last] = [True] * (event.last - event.first)
        over = self._curtail(block, subscribed, called)
        open_ = [entry > 0 and not busy for entry, busy in zip(block.profile("callable"), called, strict=True)]
        rates = self._rates(block.horizon, open_)
        sales = self._stand_ready(block, subscribed, open_, rates)
        self._credit(block, subscribed, sales, open_)

        if over is not None and self.buy_through_usd_per_mwh:
            rate, hours = self.buy_through_usd_per_mwh, block.horizon.hours

            @block.cost(block.horizon.steps)
            def buy_through(t: int) -> Linear:
                r"""c^{bt} \Delta_t o_t"""
                return (rate * hours[t]) * over[t]

        self._tie_term(block, subscribed)
        block.report(
            "firm_service_level_mw", lambda month: self.contract_mw - subscribed[month], "MW",
            "import that cannot be interrupted", index=months,
        )  # fmt: skip
        block.report("called", lambda t: float(called[t]), "1", "1 in a step of a call within the caps")

    def _rates(self, horizon: Horizon, open_: Sequence[bool]) -> list[float]:
        """Credit of a MW held for an hour, $/MWh: that of a month spread over the hours in which a call may come."""
        share, open_h = month_shares(horizon), _open_hours(horizon, open_)
        return [
            1000.0 * self.credit_usd_per_kw_month * share[month] / open_h[month] if here else 0.0
            for month, here in zip(horizon.month_of, open_, strict=True)
        ]

    def _credit(self, block: Block, subscribed: Sequence[Linear], sales: Sequence[Sale], open_: Sequence[bool]) -> None:
        """Pay for the MW held on average while a call may come; a month of nothing but calls pays as subscribed."""
        horizon = block.horizon
        share, open_h = month_shares(horizon), _open_hours(horizon, open_)
        steps: list[list[int]] = [[] for _ in horizon.months]
        for t in horizon.steps:
            if open_[t]:
                steps[horizon.month_of[t]].append(t)

        @block.revenue(horizon.months)
        def interruptible_credit(month: int) -> Linear:
            r"""1000 c \mu_m \sum_t \Delta_t \sum_i r_{i,t} / \sum_t \Delta_t , \mu of the month in the window"""
            rate = 1000.0 * self.credit_usd_per_kw_month * share[month]
            if not open_h[month]:
                return rate * subscribed[month]
            held = [(rate * horizon.hours[t] / open_h[month]) * sale.mw[t] for t in steps[month] for sale in sales]
            return sum_of(held)

    def _tie_term(self, block: Block, subscribed: Sequence[Linear]) -> None:
        """Keep the subscription through a contract term, where it is made for one."""
        if self.subscribed_for == "month":
            return
        terms = [self.caps.term(*map(int, label.split("-"))) for label in block.horizon.months.labels]
        same = [m for m in range(1, len(terms)) if terms[m] is not None and terms[m] == terms[m - 1]]

        @block.constraint(same)
        def same_in_term(month: int) -> Relation:
            r"""I_m = I_{m-1} within a contract term"""
            return subscribed[month] == subscribed[month - 1]

    def _curtail(self, block: Block, subscribed: Sequence[Linear], called: Sequence[bool]) -> Sequence[Linear] | None:
        import_, month_of = block.signal(f"{self.poi}.import_mw"), block.horizon.month_of
        over = None
        if self.buy_through_usd_per_mwh is not None:
            over = block.variable(
                "over_mw", block.horizon.steps, "MW", "import above the firm service level in a call",
                upper=[self.contract_mw if entry else 0.0 for entry in called],
            )  # fmt: skip

        @block.constraint([t for t in block.horizon.steps if called[t]])
        def firm_service(t: int) -> Relation:
            r"""p^{imp}_t \le \bar P - I_m + o_t"""
            level = self.contract_mw - subscribed[month_of[t]]
            return import_[t] <= (level if over is None else level + over[t])

        return over

    def _stand_ready(
        self, block: Block, subscribed: Sequence[Linear], open_: Sequence[bool], rates: Sequence[float]
    ) -> list[Sale]:
        """Hold MW of assets that can bring import down to the firm level whenever a call may come."""
        month_of, import_ = block.horizon.month_of, block.signal(f"{self.poi}.import_mw")
        names = self.providers or tuple(name for name in sellers(block) if room_of(block, name).up is not None)
        sales = [self._hold(block, name, room_of(block, name), open_, rates) for name in names]

        @block.constraint([t for t in block.horizon.steps if open_[t]])
        def readiness(t: int) -> Relation:
            r"""\sum_i r_{i,t} \ge p^{imp}_t - (\bar P - I_m)"""
            firm = self.contract_mw - subscribed[month_of[t]]
            return sum_of(sale.mw[t] for sale in sales) >= import_[t] - firm

        @block.constraint([t for t in block.horizon.steps if open_[t]])
        def no_more_than_subscribed(t: int) -> Relation:
            r"""\sum_i r_{i,t} \le I_m"""
            return sum_of(sale.mw[t] for sale in sales) <= subscribed[month_of[t]]

        meter = open_meter(block, self.poi, None, None)
        free = meter.up
        if free is not None and sales:

            @block.constraint([t for t in block.horizon.steps if open_[t]])
            def meter_room(t: int) -> Relation:
                r"""\sum_i r_{i,t} \le p^{imp}_t - p^{exp}_t + \bar P^{exp} less what other programs sold"""
                return sum_of(sale.mw[t] for sale in sales) <= free[t]

        if self.calls_exempt_from_ramp:
            left = take(block, site(self.poi), [replace(sale, response_min=inf) for sale in sales])
        else:
            hold_meter_speed(block, self.poi, sales, up=True)
            left = take(block, site(self.poi), sales)
        for sale in sales:
            report_sale(block, sale, [block.campus.headrooms[sale.provider], left])
        return sales

    def _hold(self, block: Block, provider: str, room: Headroom, open_: Sequence[bool], rates: Sequence[float]) -> Sale:
        steps, of = block.horizon.steps, f"interruption.{provider}"
        most = min(self.max_subscribed_mw, room.ramp_mw_per_min * self.notice_min)
        upper = [most if entry else 0.0 for entry in open_]
        mw = block.variable("sold_mw", steps, "MW", "MW held ready for a call", upper=upper, of=of)
        sale = Sale("interruption", provider, mw, self.max_event_h, rates, response_min=self.notice_min)
        side = room.up
        if side is None:
            raise InvalidInput(
                Problem("cannot drop load or raise output", field=f"{block.name}.providers", value=provider)
            )

        @block.constraint([t for t in steps if open_[t]], of=of)
        def capacity(t: int) -> Relation:
            r"""r_{i,t} \le h_{i,t}"""
            return mw[t] <= side[t]

        hold_speed(block, of, room, [sale], up=True)
        take(block, provider, [sale])
        return sale


def _open_hours(horizon: Horizon, open_: Sequence[bool]) -> list[float]:
    """Hours of every local month in which a call may come."""
    hours = [0.0] * horizon.months.size
    for month, span, here in zip(horizon.month_of, horizon.hours, open_, strict=True):
        hours[month] += span if here else 0.0
    return hours


__all__ = ["Interruptible"]
