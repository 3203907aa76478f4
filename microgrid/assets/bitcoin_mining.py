"""Bitcoin mining: a fleet of miners in tiers, curtailed machine by machine wherever energy is worth more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from microgrid.assets.asset import Asset
from microgrid.assets.cooling import Cooling, check_temperatures, known_cooling, pue_series
from microgrid.assets.hashprice import hashprice_usd_per_ph_day, subsidy_on
from microgrid.assets.mining_calls import reckon_calls
from microgrid.assets.mining_output import Conditions, Output, report_tier, write_free, write_switched
from microgrid.assets.mining_tier import MiningTier
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block, Headroom
from microgrid.formulation.ramping import speed_left
from microgrid.schema.quantity import Profile, quantity

HOURS_PER_DAY = 24.0


class BitcoinMining(Asset):
    r"""Miners in tiers of alike machines; the least efficient are curtailed first, because they earn least.

    Revenue per MWh of machine energy is ``1000 HP (1 - \phi) / (24 e)`` with hashprice HP in $/PH/day and e in J/TH.
    Machines are many and small, so a tier is one continuous amount: the linear program is exact to a machine. Integers
    appear only for tiers that switch in `blocks`. Hash that expected calls of reserves take away is not paid, hash that
    calls to draw more add is, and what a hosting contract owes reckons with both.
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
    wet_bulb_c: Profile | None = quantity("degC", "ambient wet-bulb temperature, for towers", default=None)
    cooling: str | Cooling | None = Field(
        None,
        description="cooling plant: air, immersion, hydro, immersion_tower, hydro_tower, or its own fields; what each "
        "model needs when absent",
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

    @model_validator(mode="after")
    def _temperatures_suffice(self) -> Self:
        for tier in self.tiers.values():
            given = {"dry_bulb": self.ambient_c is not None, "wet_bulb": self.wet_bulb_c is not None}
            check_temperatures(tier.plant(self.cooling), **given)
        return self

    def _outdoor_c(self, block: Block, plant: Cooling) -> list[float] | None:
        """Temperature that a plant rejects heat to, at every step; None where it is not known."""
        name = "wet_bulb_c" if plant.rejects_to == "wet_bulb" else "ambient_c"
        return None if getattr(self, name) is None else block.profile(name)

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
        outdoor = self._outdoor_c(block, plant)
        working = block.profile(f"tiers.{name}.availability")
        clock = [1.0] * len(working) if outdoor is None else [plant.clock(entry) for entry in outdoor]
        leakage = [1.0] * len(working) if outdoor is None else [plant.leakage(entry) for entry in outdoor]
        given = tier.pue is not None
        pue = block.profile(f"tiers.{name}.pue") if given else pue_series(plant, outdoor, len(working))
        sized = f"tiers.{name}.power_mw" if tier.power_mw is not None else f"tiers.{name}.units"
        capacity = block.capacity(sized) * (1.0 if tier.power_mw is not None else tier.unit_power_mw)
        return Conditions(
            capacity,
            block.numbers(one * two * three for one, two, three in zip(working, clock, leakage, strict=True)),
            block.numbers(one * two for one, two in zip(working, clock, strict=True)),
            block.numbers(pue),
            block.numbers(price * (1.0 - self.pool_fee) / HOURS_PER_DAY for price in self.hashprice(block)),
        )

    def formulate(self, block: Block) -> None:
        """Write every tier, the fleet's power at the bus, its ramps and its headroom."""
        found = {name: self.conditions(block, name, tier) for name, tier in self.tiers.items()}
        outputs = {name: self._tier(block, name, tier, found[name]) for name, tier in self.tiers.items()}
        auxiliary = block.profile("auxiliary_mw")

        def facility(share: str) -> Sequence[Linear]:
            shares = [(found[name].pue, getattr(output, share)) for name, output in outputs.items()]
            return block.terms(lambda t: total(pue[t] * part[t] for pue, part in shares) + auxiliary[t])

        power = facility("power")
        block.injects(lambda t: -power[t])
        block.publish("facility_power_mw", lambda t: power[t], "MW", "power of miners with cooling and auxiliaries")
        block.report("facility_power_mw", lambda t: power[t], "MW", "power of miners with cooling and auxiliaries")
        self._limit_ramps(block, power)
        self._offer(block, power, facility("least"), facility("most"))
        operating = self.operating_cost_usd_per_mwh
        block.after_all(lambda: reckon_calls(block, self.tiers, found, outputs, operating))

    def _offer(self, block: Block, power: Sequence[Linear], least: Sequence[Linear], most: Sequence[Linear]) -> None:
        """Offer what may be dropped and taken up at once, at the speeds that the schedule's own ramping leaves."""
        drop, restart = self.ramp_down_mw_per_min, self.ramp_up_mw_per_min
        block.headroom(
            Headroom(
                up=block.terms(lambda t: power[t] - least[t]),
                down=block.terms(lambda t: most[t] - power[t]),
                speeds_up=() if drop is None else (speed_left(block, drop, power, rising=False),),
                speeds_down=() if restart is None else (speed_left(block, restart, power, rising=True),),
            )
        )

    def _tier(self, block: Block, name: str, tier: MiningTier, found: Conditions) -> Output:
        output = write_switched(block, name, tier, found) if tier.switches else write_free(block, name, tier, found)
        self._pay(block, name, tier, found, output)
        report_tier(block, name, found, output)
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
                lost = tier.restart_loss_h * value[t] * output.restart_ph_s_per_mw[t]
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


__all__ = ["BitcoinMining"]
