"""Bitcoin mining: a fleet of miners in tiers, curtailed machine by machine wherever energy is worth more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from microgrid.assets.asset import Asset
from microgrid.assets.concave_curve import segments
from microgrid.assets.cooling import Cooling, known_cooling, pue_series
from microgrid.assets.cycling import Amounts, Switching, switch
from microgrid.assets.hashprice import hashprice_usd_per_ph_day, subsidy_on
from microgrid.assets.mining_tier import MiningTier
from microgrid.formulation.algebra import Linear, Relation, number, total
from microgrid.formulation.block import Block, Headroom
from microgrid.formulation.horizon import Index
from microgrid.formulation.ramping import speed_left
from microgrid.schema.quantity import Profile, quantity

HOURS_PER_DAY = 24.0


@dataclass(frozen=True)
class Conditions:
    """What a tier finds at every step: capacity, price of hashing, facility power per machine power.

    `share` is the power of the tier at nameplate mode relative to its nameplate (machines in working order, throttled
    by heat, drawing more by leakage), `hash_share` its hashrate likewise.
    """

    capacity_mw: float
    share: Sequence[float]
    hash_share: Sequence[float]
    pue: Sequence[float]
    value_usd_per_ph_h: Sequence[float]


@dataclass(frozen=True)
class Output:
    """Machine power in MW and hashrate in PH/s of a tier, linear in the decisions, with the power of sleep.

    `least` and `most` bound the power that a call may bring about at once: machines within a minimum time do not
    switch, and blocks only throttle, because a part of a block cannot be switched.
    """

    power: Sequence[Linear]
    hashrate: Sequence[Linear]
    idle: Sequence[float]
    available: Sequence[float]
    restarted: Sequence[Linear] | None
    least: Sequence[Linear] | Sequence[float]
    most: Sequence[Linear] | Sequence[float]


class BitcoinMining(Asset):
    r"""Miners in tiers of alike machines; the least efficient are curtailed first, because they earn least.

    Revenue per MWh of machine energy is ``1000 HP (1 - \phi) / (24 e)`` with hashprice HP in $/PH/day and e in J/TH.
    Machines are many and small, so a tier is one continuous amount: the linear program is exact to a machine. Integers
    appear only for tiers that switch in `blocks`.
    """

    example: ClassVar[Mapping[str, object]] = {
        "kind": "bitcoin_mining", "bus": "MINE", "hashprice_usd_per_ph_day": 45.0,
        "tiers": {
            "new": {"efficiency_j_per_th": 17.5, "power_mw": 30.0},
            "old": {"efficiency_j_per_th": 29.5, "power_mw": 20.0},
        },
    }  # fmt: skip

    kind: Literal["bitcoin_mining"] = "bitcoin_mining"
    tiers: dict[str, MiningTier] = Field(description="groups of alike machines by name", min_length=1)
    hashprice_usd_per_ph_day: Profile | None = quantity(
        "$/PH/d", "expected income per hashrate and day before pool fee", symbol="HP_t", default=None, ge=0
    )
    btc_price_usd: Profile | None = quantity("$/BTC", "bitcoin price, when no hashprice is given", default=None, ge=0)
    difficulty: Profile | None = quantity("1", "network difficulty, when no hashprice is given", default=None, gt=0)
    block_subsidy_btc: Profile | None = quantity(
        "BTC", "subsidy per block; from the dated schedule of halvings when absent", default=None, ge=0
    )
    fee_share: Profile = quantity("1", "transaction fees as a share of the whole reward", default=0.0, ge=0, lt=1)
    pool_fee: float = quantity("1", "share of income kept by the pool", symbol=r"\phi", default=0.02, ge=0, lt=1)
    operating_cost_usd_per_mwh: float = quantity("$/MWh", "operating cost of machine energy", default=0.0, ge=0)
    ambient_c: Profile | None = quantity("degC", "ambient dry-bulb temperature", symbol="T_t", default=None)
    cooling: str | Cooling | None = Field(
        None, description="cooling plant: air, immersion, hydro, or its own fields; what each model needs when absent"
    )
    auxiliary_mw: Profile = quantity("MW", "lighting, network and pumps that never stop", default=0.0, ge=0)
    ramp_up_mw_per_min: float | None = quantity("MW/min", "fastest restart of the fleet", default=None, gt=0)
    ramp_down_mw_per_min: float | None = quantity("MW/min", "fastest curtailment of the fleet", default=None, gt=0)
    power_factor: float = quantity(
        "1", "displacement power factor at the bus, lagging", symbol=r"\cos\varphi", default=0.97, gt=0, le=1
    )

    @field_validator("cooling")
    @classmethod
    def _cooling_is_known(cls, cooling: str | Cooling | None) -> str | Cooling | None:
        return None if cooling is None else known_cooling(cooling)

    @field_validator("tiers")
    @classmethod
    def _names_are_plain(cls, tiers: dict[str, MiningTier]) -> dict[str, MiningTier]:
        bad = [name for name in tiers if "." in name or not name.strip()]
        if bad:
            raise ValueError(f"tier names must not be empty or hold a dot: {', '.join(map(repr, bad))}")
        return tiers

    @model_validator(mode="after")
    def _one_income(self) -> Self:
        from_chain = (self.btc_price_usd is not None, self.difficulty is not None)
        if self.hashprice_usd_per_ph_day is not None and any(from_chain):
            raise ValueError("give either hashprice_usd_per_ph_day or btc_price_usd with difficulty, not both")
        if self.hashprice_usd_per_ph_day is None and not all(from_chain):
            raise ValueError("give hashprice_usd_per_ph_day, or both btc_price_usd and difficulty")
        return self

    def rating_mva(self) -> float:
        """Largest facility power over the power factor."""
        power = sum(
            tier.nameplate_mw * max(1.0, tier.working_points[-1][0]) * tier.plant(self.cooling).pue_max
            for tier in self.tiers.values()
        )
        return power / self.power_factor

    def hashprice(self, block: Block) -> list[float]:
        """Hashprice at every step, $/PH/day, before pool fee."""
        if self.hashprice_usd_per_ph_day is not None:
            return block.profile("hashprice_usd_per_ph_day")
        price, difficulty, fees = (block.profile(name) for name in ("btc_price_usd", "difficulty", "fee_share"))
        given = self.block_subsidy_btc is not None
        subsidy = block.profile("block_subsidy_btc") if given else subsidy_on(block.horizon.times)
        return [float(entry) for entry in hashprice_usd_per_ph_day(price, difficulty, subsidy, fees)]

    def conditions(self, block: Block, name: str, tier: MiningTier) -> Conditions:
        """What the tier `name` finds at every step."""
        plant = tier.plant(self.cooling)
        ambient = None if self.ambient_c is None else block.profile("ambient_c")
        working = block.profile(f"tiers.{name}.availability")
        clock = [1.0] * len(working) if ambient is None else [plant.clock(entry) for entry in ambient]
        leakage = [1.0] * len(working) if ambient is None else [plant.leakage(entry) for entry in ambient]
        given = tier.pue is not None
        pue = block.profile(f"tiers.{name}.pue") if given else pue_series(plant, ambient, len(working))
        sized = f"tiers.{name}.power_mw" if tier.power_mw is not None else f"tiers.{name}.units"
        capacity = block.capacity(sized) * (1.0 if tier.power_mw is not None else tier.unit_power_mw)
        return Conditions(
            capacity,
            [one * two * three for one, two, three in zip(working, clock, leakage, strict=True)],
            [one * two for one, two in zip(working, clock, strict=True)],
            pue,
            [price * (1.0 - self.pool_fee) / HOURS_PER_DAY for price in self.hashprice(block)],
        )

    def formulate(self, block: Block) -> None:
        """Write every tier, the fleet's power at the bus, its ramps and its headroom."""
        steps = block.horizon.steps
        found = {name: self.conditions(block, name, tier) for name, tier in self.tiers.items()}
        outputs = {name: self._tier(block, name, tier, found[name]) for name, tier in self.tiers.items()}
        auxiliary = block.profile("auxiliary_mw")

        def facility(share: str) -> list[Linear]:
            return [
                total(found[name].pue[t] * getattr(output, share)[t] for name, output in outputs.items()) for t in steps
            ]

        power = [term + extra for term, extra in zip(facility("power"), auxiliary, strict=True)]
        block.injects(lambda t: -power[t])
        block.publish("facility_power_mw", lambda t: power[t], "MW", "power of miners with cooling and auxiliaries")
        block.report("facility_power_mw", lambda t: power[t], "MW", "power of miners with cooling and auxiliaries")
        self._limit_ramps(block, power)
        self._offer(
            block,
            power,
            *([one + two for one, two in zip(facility(share), auxiliary, strict=True)] for share in ("least", "most")),
        )

    def _offer(self, block: Block, power: Sequence[Linear], least: Sequence[Linear], most: Sequence[Linear]) -> None:
        """Offer what may be dropped and taken up at once, at the speeds that the schedule's own ramping leaves."""
        steps, drop, restart = block.horizon.steps, self.ramp_down_mw_per_min, self.ramp_up_mw_per_min
        block.headroom(
            Headroom(
                up=[power[t] - least[t] for t in steps],
                down=[most[t] - power[t] for t in steps],
                ramp_mw_per_min=min(entry or float("inf") for entry in (drop, restart)),
                speeds_up=() if drop is None else (speed_left(block, drop, power, rising=False),),
                speeds_down=() if restart is None else (speed_left(block, restart, power, rising=True),),
            )
        )

    def _tier(self, block: Block, name: str, tier: MiningTier, found: Conditions) -> Output:
        output = write_switched(block, name, tier, found) if tier.switches else write_free(block, name, tier, found)
        self._pay(block, name, tier, found, output)
        report_tier(block, name, found, output)
        if tier.min_hash_share > 0:
            most = [
                found.capacity_mw * tier.hash_ph_s_per_mw * tier.working_points[-1][1] * h for h in found.hash_share
            ]

            @block.constraint(Index("window", 1), of=name)
            def min_hash(_: int) -> Relation:
                r"""\sum_t \Delta_t h_t \ge \gamma \sum_t \Delta_t \bar h_t"""
                hours = block.horizon.hours
                owed = tier.min_hash_share * sum(span * entry for span, entry in zip(hours, most, strict=True))
                return total(span * entry for span, entry in zip(hours, output.hashrate, strict=True)) >= owed

        return output

    def _pay(self, block: Block, name: str, tier: MiningTier, found: Conditions, output: Output) -> None:
        steps, hours, value = block.horizon.steps, block.horizon.hours, found.value_usd_per_ph_h

        @block.revenue(steps, of=name)
        def hashing(t: int) -> Linear:
            r"""\Delta_t HP_t (1 - \phi) / 24 \; h_t"""
            return (hours[t] * value[t]) * output.hashrate[t]

        if self.operating_cost_usd_per_mwh:

            @block.cost(steps, of=name)
            def operating(t: int) -> Linear:
                r"""c \Delta_t p_t"""
                return (self.operating_cost_usd_per_mwh * hours[t]) * output.power[t]

        restarted = output.restarted
        if restarted is not None and (tier.restart_loss_h or tier.restart_cost_usd_per_mw):

            @block.cost(steps, of=name)
            def restart(t: int) -> Linear:
                r"""(c^{start} + \tau HP_t (1 - \phi) / 24 \; h / \bar p) s_t"""
                lost = tier.restart_loss_h * value[t] * tier.hash_ph_s_per_mw
                return (tier.restart_cost_usd_per_mw + lost) * restarted[t]

    def _limit_ramps(self, block: Block, power: Sequence[Linear]) -> None:
        horizon = block.horizon
        if self.ramp_up_mw_per_min is not None:
            up = 60.0 * self.ramp_up_mw_per_min

            @block.constraint(horizon.steps)
            def ramp_up(t: int) -> Relation | None:
                r"""p_t - p_{t-1} \le 60 R^{up} \Delta_t"""
                before = horizon.previous(t)
                return None if before is None else power[t] - power[before] <= up * horizon.hours[t]

        if self.ramp_down_mw_per_min is not None:
            down = 60.0 * self.ramp_down_mw_per_min

            @block.constraint(horizon.steps)
            def ramp_down(t: int) -> Relation | None:
                r"""p_{t-1} - p_t \le 60 R^{down} \Delta_t"""
                before = horizon.previous(t)
                return None if before is None else power[before] - power[t] <= down * horizon.hours[t]


def write_free(block: Block, name: str, tier: MiningTier, found: Conditions) -> Output:
    """Write a tier whose machines switch freely: bounded segments of the power→hash curve, no rows."""
    steps = block.horizon.steps
    full = [found.capacity_mw * share for share in found.share]
    hashes = [found.capacity_mw * tier.hash_ph_s_per_mw * share for share in found.hash_share]
    idle = [tier.idle_share * entry for entry in full]
    pieces = tier.free_segments()
    available = [(tier.idle_share + sum(piece.width for piece in pieces)) * entry for entry in full]
    parts = [
        block.variable(
            "power_mw" if len(pieces) == 1 else f"segment{place}_mw", steps, "MW",
            "power of the machines" if len(pieces) == 1 else "power of the machines along one piece of their curve",
            lower=idle if len(pieces) == 1 else 0.0,
            upper=available if len(pieces) == 1 else [piece.width * entry for entry in full],
            of=name,
        )
        for place, piece in enumerate(pieces)
    ]  # fmt: skip
    per_mw = [hashrate / power if power > 0 else 0.0 for hashrate, power in zip(hashes, full, strict=True)]
    if len(pieces) == 1:
        power: Sequence[Linear] = parts[0]
        hashrate = [(pieces[0].slope * per_mw[t]) * (power[t] - idle[t] if idle[t] else power[t]) for t in steps]
    else:
        power = [total([*(part[t] for part in parts), idle[t]]) for t in steps]
        hashrate = [
            total((piece.slope * per_mw[t]) * part[t] for piece, part in zip(pieces, parts, strict=True)) for t in steps
        ]
        block.report("power_mw", lambda t: power[t], "MW", "power of the machines", of=name)
    needed = tier.restart_loss_h > 0 or tier.restart_cost_usd_per_mw > 0
    restarted = write_restarts(block, name, power, available) if needed else None
    return Output(power, hashrate, idle, available, restarted, idle, available)


def write_restarts(block: Block, name: str, power: Sequence[Linear], available: Sequence[float]) -> Sequence[Linear]:
    """Count restarted power of freely switching machines; more power because more is available is no restart."""
    horizon = block.horizon
    restarted = block.variable("restarted_mw", horizon.steps, "MW", "power of machines restarted", of=name)
    before_first = block.carried(f"{name}.power_mw", available[0])

    @block.constraint(horizon.steps, of=name)
    def restarts(t: int) -> Relation:
        r"""s_t \ge p_t - p_{t-1} - (\bar p_t - \bar p_{t-1})^+"""
        before = horizon.previous(t)
        last, more = (
            (before_first, 0.0) if before is None else (power[before], max(0.0, available[t] - available[before]))
        )
        return restarted[t] >= power[t] - last - more

    return restarted


def write_switched(block: Block, name: str, tier: MiningTier, found: Conditions) -> Output:
    """Write a tier whose machines, or whose blocks, switch under rules: amounts on, off and switched."""
    steps, hull = block.horizon.steps, tier.running_hull()
    unit_mw = found.capacity_mw / (tier.blocks or 1) if tier.blocks else 1.0
    rules = Switching(tier.min_up_h, tier.min_down_h, "1" if tier.blocks else "MW", integer=tier.blocks is not None)
    amounts = switch(block, name, float(tier.blocks) if tier.blocks else found.capacity_mw, rules)
    on = [unit_mw * entry for entry in amounts.on]
    extra = [
        _above_lowest(
            block, f"{name}.segment{place}", amounts, [piece.width * unit_mw * share for share in found.share]
        )
        for place, piece in enumerate(segments(hull))
    ]
    (lowest, hash_lowest), idle_share = hull[0], 0.0 if tier.blocks else tier.idle_share
    full = [found.capacity_mw * share for share in found.share]
    idle = [idle_share * entry for entry in full]
    share = found.share
    power = [total([((lowest - idle_share) * share[t]) * on[t], idle[t], *(part[t] for part in extra)]) for t in steps]
    density = [tier.hash_ph_s_per_mw * (h / s if s > 0 else 0.0) for h, s in zip(found.hash_share, share, strict=True)]
    slopes = [piece.slope for piece in segments(hull)]
    hashrate = [
        density[t] * total([
            (hash_lowest * share[t]) * on[t], *(slope * part[t] for slope, part in zip(slopes, extra, strict=True))
        ])
        for t in steps
    ]  # fmt: skip
    block.report("power_mw", lambda t: power[t], "MW", "power of the machines", of=name)
    available = [hull[-1][0] * entry for entry in full]
    least, most = reachable_power(block, tier, found, amounts, idle)
    return Output(power, hashrate, idle, available, [unit_mw * entry for entry in amounts.up], least, most)


def reachable_power(
    block: Block, tier: MiningTier, found: Conditions, amounts: Amounts, idle: Sequence[float]
) -> tuple[list[Linear], list[Linear]]:
    """Least and most power that a call may bring about at once, MW."""
    steps, horizon, hull = block.horizon.steps, block.horizon, tier.running_hull()
    lowest, top, share = hull[0][0], hull[-1][0], found.share
    if tier.blocks:
        unit_mw = found.capacity_mw / tier.blocks
        on = [unit_mw * entry for entry in amounts.on]
        return [(lowest * share[t]) * on[t] for t in steps], [(top * share[t]) * on[t] for t in steps]

    def bound(switched: Sequence[Linear], hours: float, t: int) -> Linear:
        return total([*(switched[k] for k in horizon.recent(t, hours)), 0.0]) if hours > 0 else total([0.0])

    least = [((lowest - tier.idle_share) * share[t]) * bound(amounts.up, tier.min_up_h, t) + idle[t] for t in steps]
    full = top * found.capacity_mw
    held = [((top - tier.idle_share) * share[t]) * bound(amounts.down, tier.min_down_h, t) for t in steps]
    return least, [full * share[t] - held[t] for t in steps]


def _above_lowest(block: Block, of: str, amounts: Amounts, width_mw: Sequence[float]) -> Sequence[Linear]:
    """Power above the lowest mode along one segment, only for what is on."""
    above = block.variable("above_mw", block.horizon.steps, "MW", "power above the lowest mode", of=of)

    @block.constraint(block.horizon.steps, of=of)
    def above_when_on(t: int) -> Relation:
        r"""q_{i,t} \le w_i n_t"""
        return above[t] <= width_mw[t] * amounts.on[t]

    return above


def report_tier(block: Block, name: str, found: Conditions, output: Output) -> None:
    """Add available and curtailed power, hashrate and the price at which the tier stops paying."""
    block.report(
        "available_mw", lambda t: output.available[t], "MW", "machine power on offer after outage and heat", of=name
    )
    block.report(
        "curtailed_mw", lambda t: output.available[t] - output.power[t], "MW", "machine power not taken", of=name
    )
    block.report("hashrate_ph_s", lambda t: output.hashrate[t], "PH/s", "hashrate", of=name)
    lost = [found.capacity_mw * max(0.0, 1.0 - share) for share in found.hash_share]
    block.report("unavailable_mw", lambda t: lost[t], "MW", "nameplate power lost to outage and heat", of=name)

    def break_even(t: int) -> float:
        power, value = number(output.power[t]), found.value_usd_per_ph_h[t]
        if power <= output.idle[t] + 1e-9:
            return 0.0
        return value * number(output.hashrate[t]) / (power * found.pue[t])

    block.report("income_usd_per_mwh", break_even, "$/MWh", "income per energy at the meter, 0 when off", of=name)


__all__ = ["BitcoinMining", "Conditions", "Output"]
