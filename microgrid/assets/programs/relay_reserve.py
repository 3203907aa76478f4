"""Reserve from under-frequency relays: whole blocks of load that trip at once, armed hour by hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from microgrid.assets.expected_calls import sold_down_mw, with_calls
from microgrid.assets.programs.program import Program
from microgrid.assets.programs.sales import Sale, open_meter, report_sale, site, sum_of, take, take_from_meter
from microgrid.formulation.algebra import Linear, Relation
from microgrid.formulation.block import Block
from microgrid.schema.quantity import Declared, Profile, quantity


class RelayBlock(Declared):
    """A feeder or container block behind one relay: a fixed share of an asset's load, which trips as a whole."""

    provider: str = Field(description="asset whose load it is, by its name in the case")
    share: float = quantity(
        "1", "share of the asset's load behind the relay", symbol=r"\sigma_b", default=1.0, gt=0, le=1
    )
    largest_mw: float = quantity("MW", "rating of the feeder, the most that it carries", symbol="M_b", gt=0)


class RelayReserve(Program):
    r"""Responsive reserve of load that under-frequency relays shed within cycles.

    A relay trips its whole block, so what it may sell is all or nothing: while armed, the award lies between
    `least_award_share` of the block's load and the load itself; one binary a block and step says whether it is armed.
    What the block could do for other programs trips along with it and is theirs no longer. The market bounds what all
    relays together may give: ERCOT takes at most 60 % of its responsive reserve from them.
    """

    example: ClassVar[Mapping[str, object]] = {
        "kind": "relay_reserve", "poi": "poi", "price_usd_per_mwh": 6.0,
        "blocks": {"feeder_1": {"provider": "mining", "share": 0.5, "largest_mw": 25.0}},
    }  # fmt: skip

    company: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "mining": {
            "kind": "bitcoin_mining", "bus": "MINE", "hashprice_usd_per_ph_day": 45.0,
            "tiers": {"all": {"efficiency_j_per_th": 17.5, "power_mw": 50.0}},
        },
    }  # fmt: skip
    """Assets that the example draws on, for docs and the conformance test."""

    kind: Literal["relay_reserve"] = "relay_reserve"
    blocks: dict[str, RelayBlock] = Field(description="blocks of load behind relays, by name", min_length=1)
    price_usd_per_mwh: Profile = quantity("$/MWh", "price of a MW held for an hour", symbol=r"\pi_t", ge=0)
    least_award_share: float = quantity(
        "1", "least award relative to the load of an armed block", symbol=r"\alpha", default=0.95, gt=0, le=1
    )
    requirement_mw: Profile | None = quantity(
        "MW", "responsive reserve that the market buys; unbounded when absent", symbol="R_t", default=None, ge=0
    )
    relay_share: float = quantity(
        "1", "share of it that relays may give, all sellers together (ERCOT: 0.60)", symbol=r"\kappa", default=0.6,
        ge=0, le=1,
    )  # fmt: skip
    max_mw: Profile | None = quantity("MW", "most that the campus can sell; unlimited when absent", default=None, ge=0)
    deployed_share: float = quantity(
        "1", "share of the sold MW that is called on average; 0.1 % is an estimate for ERCOT responsive reserve",
        symbol=r"\delta", default=0.001, ge=0, le=1,
    )  # fmt: skip
    worth_usd_per_mwh: Profile = quantity(
        "$/MWh", "what a MWh not consumed costs when tripped", symbol="v", default=0.0
    )

    @model_validator(mode="after")
    def _blocks_fit(self) -> Self:
        bad = [name for name in self.blocks if "." in name or not name.strip()]
        if bad:
            raise ValueError(f"block names must not be empty or hold a dot: {', '.join(map(repr, bad))}")
        for provider in {entry.provider for entry in self.blocks.values()}:
            shares = sum(entry.share for entry in self.blocks.values() if entry.provider == provider)
            if shares > 1.0 + 1e-9:
                raise ValueError(f"shares of the blocks of {provider} must not exceed 1, they sum to {shares:g}")
        return self

    def formulate(self, block: Block) -> None:
        """Write what every block sells while armed, the limits of meter and market, and the money."""
        tripped = {name: self._arm(block, name, entry) for name, entry in self.blocks.items()}
        sold = {name: self._award(block, name, load) for name, load in tripped.items()}
        price = block.profile("price_usd_per_mwh")
        trips = [Sale(name, entry.provider, tripped[name], 0.0, price) for name, entry in self.blocks.items()]
        take_from_meter(block, open_meter(block, self.poi), trips, exempt_from_ramp=True)  # a relay trips within cycles
        self._limit_market(block, list(sold.values()))
        for name, entry in self.blocks.items():
            sale = Sale(name, entry.provider, sold[name], 0.0, price, deployed_share=self.deployed_share)
            self._pay(block, sale)
            report_sale(block, sale, [entry.provider, site(self.poi)])

    def _arm(self, block: Block, name: str, entry: RelayBlock) -> Sequence[Linear]:
        """Load that a relay trips: the block's whole load while armed, else none (exact with one binary)."""
        steps, rating = block.horizon.steps, entry.largest_mw
        power = block.signal(f"{entry.provider}.facility_power_mw")
        armed = block.variable("armed", steps, "1", "relay of the block is armed", upper=1.0, integer=True, of=name)
        tripped = block.variable("tripped_mw", steps, "MW", "load that the relay trips", upper=rating, of=name)

        @block.constraint(steps, of=name)
        def no_more_than_load(t: int) -> Relation:
            r"""w_{b,t} \le \sigma_b p_t"""
            return tripped[t] <= entry.share * power[t]

        @block.constraint(steps, of=name)
        def only_when_armed(t: int) -> Relation:
            r"""w_{b,t} \le M_b z_{b,t} , tight: M_b is the most that the feeder carries"""
            return tripped[t] <= rating * armed[t]

        @block.constraint(steps, of=name)
        def whole_when_armed(t: int) -> Relation:
            r"""w_{b,t} \ge \sigma_b p_t - M_b (1 - z_{b,t})"""
            return tripped[t] >= entry.share * power[t] - rating * (1.0 - armed[t])

        block.after_all(lambda: _rate_feeder(block, name, entry, power))
        self._withdraw(block, name, entry, armed)
        return tripped

    def _withdraw(self, block: Block, name: str, entry: RelayBlock, armed: Sequence[Linear]) -> None:
        """Take out of the asset's headroom what trips with the block: its share of all that the asset offered."""
        room = block.campus.headrooms.get(entry.provider)
        if room is None or room.up is None:
            return
        steps, offered, rating = block.horizon.steps, room.up, entry.largest_mw
        lost = block.variable(
            "withdrawn_mw", steps, "MW", "headroom of the asset that trips with the block", upper=rating, of=name
        )

        @block.constraint(steps, of=name)
        def trips_along(t: int) -> Relation:
            r"""x_{b,t} \ge \sigma_b h_{i,t} - M_b (1 - z_{b,t})"""
            return lost[t] >= entry.share * offered[t] - rating * (1.0 - armed[t])

        sale = Sale(name, entry.provider, lost, 0.0, [0.0] * block.horizon.count, deployed_share=self.deployed_share)
        take(block, entry.provider, [sale])

    def _award(self, block: Block, name: str, tripped: Sequence[Linear]) -> Sequence[Linear]:
        """MW sold of a block: between the least award and the whole load of an armed one."""
        steps, least = block.horizon.steps, self.least_award_share
        of = f"{name}.{self.blocks[name].provider}"
        sold = block.variable("sold_mw", steps, "MW", "reserve sold", upper=self.blocks[name].largest_mw, of=of)

        @block.constraint(steps, of=of)
        def no_more_than_trips(t: int) -> Relation:
            r"""r_{b,t} \le w_{b,t}"""
            return sold[t] <= tripped[t]

        @block.constraint(steps, of=of)
        def no_trip_unsold(t: int) -> Relation:
            r"""r_{b,t} \ge \alpha w_{b,t}"""
            return sold[t] >= least * tripped[t]

        return sold

    def _limit_market(self, block: Block, sold: Sequence[Sequence[Linear]]) -> None:
        """Keep to what the market takes from relays and to what the campus may sell."""
        limits = [block.profile("max_mw")] if self.max_mw is not None else []
        if self.requirement_mw is not None:
            limits.append([self.relay_share * entry for entry in block.profile("requirement_mw")])
        if not limits:
            return
        most: list[float] = [min(entries) for entries in zip(*limits, strict=True)]

        @block.constraint(block.horizon.steps)
        def market_share(t: int) -> Relation:
            r"""\sum_b r_{b,t} \le \kappa R_t, and the most the campus may sell"""
            return sum_of(entry[t] for entry in sold) <= most[t]

    def _pay(self, block: Block, sale: Sale) -> None:
        steps, hours, of = block.horizon.steps, block.horizon.hours, f"{sale.service}.{sale.provider}"

        @block.revenue(steps, of=of)
        def capacity_payment(t: int) -> Linear:
            r"""\pi_t \Delta_t r_{b,t}"""
            return (sale.price_usd_per_mwh[t] * hours[t]) * sale.mw[t]

        worth = block.profile("worth_usd_per_mwh")
        if sale.deployed_share and any(worth):

            @block.cost(steps, of=of)
            def deployment(t: int) -> Linear:
                r"""\delta v \Delta_t r_{b,t}"""
                return (sale.deployed_share * worth[t] * hours[t]) * sale.mw[t]


def _rate_feeder(block: Block, name: str, entry: RelayBlock, scheduled: Sequence[Linear]) -> None:
    """Keep the feeder's load within its rating, also when all that the asset sold downward is called."""
    power = with_calls(block, scheduled, sold_down_mw(block, entry.provider))

    @block.constraint(block.horizon.steps, of=name)
    def feeder_rating(t: int) -> Relation:
        r"""\sigma_b (p_t + \sum_{down} r_t) \le M_b"""
        return entry.share * power[t] <= entry.largest_mw


__all__ = ["RelayBlock", "RelayReserve"]
