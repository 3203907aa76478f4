"""Interruptible service: a credit for load that the utility may call off, within caps on events and hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from microgrid.assets.expected_calls import sold_down_mw, with_calls
from microgrid.assets.programs.interruption_calls import Caps, allowed_events, interruptible_terms
from microgrid.assets.programs.interruption_credit import OpenSteps, average, load_above_firm, open_steps, pay_credit
from microgrid.assets.programs.program import Program
from microgrid.assets.programs.sales import (
    Sale,
    open_meter,
    report_sale,
    room_of,
    sellers,
    site,
    sum_of,
    take,
    take_from_meter,
)
from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation
from microgrid.formulation.block import Block, Headroom
from microgrid.schema.quantity import Profile, quantity


class Interruptible(Program):
    """Load given up on call: all above a firm service level, or the MW subscribed out of what is consumed.

    ``delivers: firm_service_level``: the campus subscribes MW below its `contract_mw`; the rest is its firm service
    level. Both are decisions by month or contract term, or given by `firm_service_level_mw`. In a called step import
    stays at that level, or pays for buying through. In every step in which a call may come, assets must stand ready to
    bring import down to it within the notice and for the longest event, with MW and speed that no other program has
    sold. The credit is on the average import of those steps less the firm level, and nothing where it lies below.

    ``delivers: drop``: the MW subscribed come off what is consumed at the time. The credit is on the MW, of those
    subscribed, that assets stand ready to drop out of import that is there, on average over the steps in which a call
    may come. In a called step import stays as far as subscribed below `baseline_mw`, what the utility reckons without
    the call.

    A month in which no call may come earns nothing. `terms` fills in what a shipped program states (notice, caps,
    contract terms); a field stated in the case wins.
    """

    example: ClassVar[Mapping[str, object]] = {
        "kind": "interruptible", "poi": "poi", "contract_mw": 60.0, "max_subscribed_mw": 40.0,
        "credit_usd_per_kw_month": 4.0,
    }  # fmt: skip

    kind: Literal["interruptible"] = "interruptible"
    terms: str = Field("", description="shipped terms, e.g. ercot_ers_30; none when empty")
    contract_mw: float = quantity("MW", "import that the contract reckons with", symbol=r"\bar P", gt=0)
    delivers: Literal["firm_service_level", "drop"] = Field(
        "firm_service_level",
        description="firm_service_level: import comes down to a level, paid by the average import above it; drop: the "
        "MW subscribed come off what is consumed at the time, paid as far as they are held ready",
    )
    firm_service_level_mw: float | None = quantity(
        "MW", "import that cannot be interrupted, where it is given; a decision when absent", default=None, ge=0
    )
    baseline_mw: Profile | None = quantity(
        "MW", "import that the utility reckons without a call, from which a drop counts; contract_mw when absent",
        symbol="B_t", default=None, ge=0,
    )  # fmt: skip
    max_subscribed_mw: float = quantity(
        "MW", "most MW that may be subscribed; what a given firm service level leaves when absent", symbol=r"\bar I",
        default=0.0, ge=0,
    )  # fmt: skip
    min_subscribed_mw: float = quantity("MW", "MW subscribed at least", default=0.0, ge=0)
    credit_usd_per_kw_month: float = quantity(
        "$/kW-month", "credit on average import above the firm level, or on MW held ready for a drop", symbol="c", ge=0
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
        if self.delivers == "drop" and self.firm_service_level_mw is not None:
            raise ValueError("firm_service_level_mw belongs to delivers: firm_service_level")
        if self.delivers != "drop" and self.baseline_mw is not None:
            raise ValueError("baseline_mw belongs to delivers: drop")
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
        months, contract = block.horizon.months, self.contract_mw
        subscribed = block.variable(
            "subscribed_mw", months, "MW", "interruptible MW subscribed in the month",
            lower=self.min_subscribed_mw, upper=self.max_subscribed_mw,
        )  # fmt: skip
        called = [False] * block.horizon.count
        for event in allowed_events(self.caps, block.horizon, block.profile("called")):
            called[event.first : event.last] = [True] * (event.last - event.first)
        self._curtail(block, subscribed, called)
        callable_ = block.profile("callable")
        when = open_steps(block, [callable_[t] > 0 and not called[t] for t in block.horizon.steps])
        sales = self._stand_ready(block, subscribed, when)
        if self.delivers == "drop":
            credited = average(block, block.terms(lambda t: sum_of(sale.mw[t] for sale in sales)), when)
        else:
            firm, highest = block.terms(lambda m: contract - subscribed[m], months), contract - self.min_subscribed_mw
            above = average(block, block.signal(f"{self.poi}.import_mw"), when), firm
            credited = load_above_firm(block, above, (self.max_subscribed_mw, highest))
            block.report(
                "firm_service_level_mw", lambda m: firm[m], "MW", "import that cannot be interrupted", index=months
            )
        earned_by = pay_credit(block, self.credit_usd_per_kw_month, credited, sales, when)
        for sale in sales:
            report_sale(block, sale, [sale.provider, site(self.poi)], earned_by(sale))
        self._tie_term(block, subscribed)
        block.report("called", lambda t: float(called[t]), "1", "1 in a step of a call within the caps")

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

    def _curtail(self, block: Block, subscribed: Sequence[Linear], called: Sequence[bool]) -> None:
        """Keep import down in called steps, also if others call to draw more, or pay for buying through."""
        import_, month_of, steps = block.signal(f"{self.poi}.import_mw"), block.horizon.month_of, block.horizon.steps
        given = self.baseline_mw is not None
        before = block.profile("baseline_mw") if given else block.numbers([self.contract_mw] * block.horizon.count)
        over = None
        if self.buy_through_usd_per_mwh is not None:
            over = block.variable(
                "over_mw", steps, "MW", "import above what a call leaves",
                upper=[self.contract_mw if entry else 0.0 for entry in called],
            )  # fmt: skip
            self._buy_through(block, over, self.buy_through_usd_per_mwh)

        def curtail() -> None:
            drawn = with_calls(block, import_, sold_down_mw(block, site(self.poi)))

            @block.constraint([t for t in steps if called[t]])
            def curtailed(t: int) -> Relation:
                r"""p^{imp}_t + \sum_{down} r_t \le \bar P - I_m + o_t , with the baseline B_t for \bar P where given"""
                left = before[t] - subscribed[month_of[t]]
                return drawn[t] <= (left if over is None else left + over[t])

        block.after_all(curtail)

    @staticmethod
    def _buy_through(block: Block, over: Sequence[Linear], usd_per_mwh: float) -> None:
        hours = block.horizon.hours

        @block.cost(block.horizon.steps)
        def buy_through(t: int) -> Linear:
            r"""c^{bt} \Delta_t o_t"""
            return (usd_per_mwh * hours[t]) * over[t]

    def _stand_ready(self, block: Block, subscribed: Sequence[Linear], when: OpenSteps) -> list[Sale]:
        """Hold MW of assets that can bring import down as far as is subscribed whenever a call may come."""
        names = self.providers or tuple(name for name in sellers(block) if room_of(block, name).up is not None)
        sales = [self._hold(block, name, room_of(block, name), when) for name in names]
        held = block.terms(lambda t: sum_of(sale.mw[t] for sale in sales))
        self._hold_within(block, subscribed, held, when)
        rights = open_meter(block, self.poi)
        take_from_meter(block, rights, sales, exempt_from_ramp=self.calls_exempt_from_ramp)
        return sales

    def _hold_within(self, block: Block, subscribed: Sequence[Linear], held: Sequence[Linear], when: OpenSteps) -> None:
        import_, month_of = block.signal(f"{self.poi}.import_mw"), block.horizon.month_of

        @block.constraint(when.all)
        def no_more_than_subscribed(t: int) -> Relation:
            r"""\sum_i r_{i,t} \le I_m"""
            return held[t] <= subscribed[month_of[t]]

        if self.delivers == "drop":

            @block.constraint(when.all)
            def out_of_consumption(t: int) -> Relation:
                r"""\sum_i r_{i,t} \le p^{imp}_t"""
                return held[t] <= import_[t]

        else:

            @block.constraint(when.all)
            def readiness(t: int) -> Relation:
                r"""\sum_i r_{i,t} \ge p^{imp}_t - (\bar P - I_m)"""
                return held[t] >= import_[t] - (self.contract_mw - subscribed[month_of[t]])

    def _hold(self, block: Block, provider: str, room: Headroom, when: OpenSteps) -> Sale:
        steps, of = block.horizon.steps, f"interruption.{provider}"
        most = min(self.max_subscribed_mw, room.ramp_mw_per_min * self.notice_min)
        upper = [0.0] * block.horizon.count
        for t in when.all:
            upper[t] = most
        mw = block.variable("sold_mw", steps, "MW", "MW held ready for a call", upper=upper, of=of)
        unpriced = [0.0] * block.horizon.count  # paid by month
        sale = Sale("interruption", provider, mw, self.max_event_h, unpriced, response_min=self.notice_min)
        if room.up is None:
            raise InvalidInput(
                Problem("cannot drop load or raise output", field=f"{block.name}.providers", value=provider)
            )
        take(block, provider, [sale])
        return sale


__all__ = ["Interruptible"]
