"""Uninterruptible power supply: storage that must always hold its ride-through minutes and may sell the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from microgrid.assets.asset import Asset
from microgrid.assets.expected_calls import expected_calls_mw, sold_down_mw, with_calls
from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, number
from microgrid.formulation.block import Block, Headroom
from microgrid.formulation.connection import Behaviour
from microgrid.formulation.horizon import Index
from microgrid.schema.quantity import Profile, quantity

MINUTES_PER_HOUR = 60.0
HOURS_PER_YEAR = 8766.0  # mean Gregorian year: the yearly throughput applies in proportion to the window


class Ups(Asset):
    r"""UPS of a room: stored energy never falls below what carries the protected load for `ride_through_min`.

    It may discharge only into the load it protects, which never exceeds its inverters. What it stores beyond the
    ride-through energy may shift load or back short reserves; batteries age by cycling, so the yearly throughput is
    capped. Load that another call already drops cannot be carried over too: what the UPS and its load sell together
    stays within the load. Expected calls take their energy from the cells and count as throughput.
    """

    behaviour: ClassVar[Behaviour] = "storage"
    example: ClassVar[Mapping[str, object]] = {
        "kind": "ups", "bus": "HALL", "power_mw": 12.0, "energy_mwh": 1.5, "ride_through_min": 5.0,
        "protected_mw": 10.0,
    }  # fmt: skip

    kind: Literal["ups"] = "ups"
    power_mw: float = quantity("MW", "rating of the inverters", symbol=r"\bar p", gt=0)
    energy_mwh: float = quantity("MWh", "usable energy at end of life", symbol=r"\bar e", gt=0)
    ride_through_min: float = quantity("min", "time for which the load must be carried", symbol="m", default=5.0, ge=0)
    protects: str = Field("", description="asset whose `it_power_mw` it carries; must be listed before the UPS")
    protected_mw: Profile | None = quantity(
        "MW", "load carried, when no asset is named", symbol="d_t", default=None, ge=0
    )
    charge_efficiency: float = quantity("1", "bus to cells", symbol=r"\eta^{ch}", default=0.95, gt=0, le=1)
    discharge_efficiency: float = quantity("1", "cells to load", symbol=r"\eta^{dis}", default=0.95, gt=0, le=1)
    wear_usd_per_mwh: float = quantity("$/MWh", "wear per energy discharged", symbol="c", default=20.0, ge=0)
    max_cycles_per_year: float = quantity(
        "1/a", "full discharges allowed in a year, applied in proportion to the window", symbol="n", default=50.0, ge=0
    )
    power_factor: float = quantity("1", "displacement power factor at the bus", default=0.99, gt=0, le=1)

    @model_validator(mode="after")
    def _data_agree(self) -> Self:
        if bool(self.protects) == (self.protected_mw is not None):
            raise ValueError("give either protects (an asset) or protected_mw, not both and not neither")
        if isinstance(self.protected_mw, float):
            if self.protected_mw > self.power_mw:
                raise ValueError(f"protected_mw {self.protected_mw:g} exceeds power_mw {self.power_mw:g}")
            if self.held_mwh(self.protected_mw) > self.energy_mwh + 1e-9:
                raise ValueError(
                    f"{self.ride_through_min:g} min at {self.protected_mw:g} MW need "
                    f"{self.held_mwh(self.protected_mw):.3g} MWh, energy_mwh is {self.energy_mwh:g}"
                )
        return self

    def held_mwh(self, load_mw: float) -> float:
        r"""Energy that carries a load for the ride-through time: ``d m / (60 \eta^{dis})``, MWh."""
        return load_mw * self.ride_through_min / MINUTES_PER_HOUR / self.discharge_efficiency

    def rating_mva(self) -> float:
        """Inverter rating."""
        return self.power_mw / self.power_factor

    def formulate(self, block: Block) -> None:
        """Write charge, discharge, stored energy above the ride-through energy, and throughput."""
        steps, edges = block.horizon.steps, block.horizon.edges
        power, capacity = block.capacity("power_mw"), block.capacity("energy_mwh")
        load = self._load(block)
        per_mw = self.held_mwh(1.0)
        charge = block.variable("charge_mw", steps, "MW", "power drawn from the bus", upper=power)
        discharge = block.variable("discharge_mw", steps, "MW", "power given to the load", upper=power)
        energy = block.variable("energy_mwh", edges, "MWh", "stored energy", upper=capacity)
        block.exclusive(charge, discharge, power, power)

        block.after_all(lambda: self._balance(block, charge, discharge, energy))
        self._only_into_load(block, load, discharge)
        block.after_all(lambda: self._hold(block, load, energy))
        self._close(block, energy)
        block.injects(lambda t: discharge[t] - charge[t])
        block.report("surplus_mwh", lambda t: energy[t + 1] - per_mw * load[t], "MWh", "energy beyond the ride-through")
        free = block.terms(lambda t: load[t] - discharge[t] + charge[t])
        surplus = (
            block.terms(lambda t: self.discharge_efficiency * (energy[t] - per_mw * load[t])),
            block.terms(lambda t: self.discharge_efficiency * (energy[t + 1] - per_mw * load[t])),
        )
        block.headroom(
            Headroom(
                up=self._carried_when_called(block, free, surplus),
                down=block.terms(lambda t: power - charge[t] + discharge[t]),
                backs=self.protects,
                energies_up_mwh=surplus,
                energies_down_mwh=(
                    block.terms(lambda t: (1.0 / self.charge_efficiency) * (capacity - energy[t])),
                    block.terms(lambda t: (1.0 / self.charge_efficiency) * (capacity - energy[t + 1])),
                ),
            )
        )

    def _carried_when_called(
        self, block: Block, free: Sequence[Linear], surplus: Sequence[Sequence[Linear]]
    ) -> Sequence[Linear]:
        """Load that a call may move to the cells: all that they do not carry, less what a call drops of it."""
        offered = block.campus.headrooms.get(self.protects)
        if offered is None or offered.up is None:
            return free
        steps, given = block.horizon.steps, offered.up
        ratio = block.numbers(number(term) for term in block.signal(f"{self.protects}.facility_per_it"))
        carried = block.least_of(
            "carried_when_called_mw", steps, "MW", "load that a call may move to the cells", (free,),
            energies_mwh=surplus,
        )  # fmt: skip
        uncarried = block.terms(lambda t: ratio[t] * (free[t] - carried[t]))
        dropped = block.least_of(
            "dropped_when_called_mw", steps, "MW", "power at the bus of the load that a call drops", (given, uncarried)
        )

        @block.constraint(steps)
        def drop_of_load(t: int) -> Relation:
            r"""x_t \le what the load can give up"""
            return dropped[t] <= given[t]

        @block.constraint(steps)
        def not_both(t: int) -> Relation:
            r"""x_t \le PUE_t (d_t - p^{dis}_t + p^{ch}_t - z_t)"""
            return dropped[t] <= uncarried[t]

        block.campus.headrooms[self.protects] = replace(offered, up=dropped)
        return carried

    def _balance(
        self, block: Block, charge: Sequence[Linear], discharge: Sequence[Linear], energy: Sequence[Linear]
    ) -> None:
        """Write what the cells take and give, by schedule and by expected calls, with throughput and wear."""
        horizon, hours = block.horizon, block.horizon.hours
        drawn = with_calls(block, charge, expected_calls_mw(block, up=False))
        given = with_calls(block, discharge, expected_calls_mw(block, up=True))

        @block.constraint(horizon.steps)
        def energy_balance(t: int) -> Relation:
            r"""e_{t+1} = e_t + \Delta_t (\eta^{ch} c_t - d_t / \eta^{dis}) , c, d with calls"""
            change = self.charge_efficiency * drawn[t] - (1.0 / self.discharge_efficiency) * given[t]
            return energy[t + 1] == energy[t] + hours[t] * change

        @block.constraint(Index("end", 1))
        def throughput(_: int) -> Relation:
            r"""\sum_t \Delta_t d_t \le n \bar e T / 8766"""
            spent = block.total(horizon.steps, lambda t: hours[t] * given[t])
            return spent <= self.max_cycles_per_year * self.energy_mwh * sum(hours) / HOURS_PER_YEAR

        if self.wear_usd_per_mwh:

            @block.cost(horizon.steps)
            def wear(t: int) -> Linear:
                r"""c \Delta_t d_t"""
                return (self.wear_usd_per_mwh * hours[t]) * given[t]

    def _load(self, block: Block) -> Sequence[Linear] | Sequence[float]:
        """Protected load, MW; a decision stays within the inverters, InvalidInput where a profile does not."""
        power = block.capacity("power_mw")
        if not self.protects:
            profile = block.profile("protected_mw")
            self._check_profile(block, max(profile))
            return profile
        load = block.signal(f"{self.protects}.it_power_mw")
        block.after_all(lambda: self._within_inverter(block, self._largest_load(block, load), power))
        return load

    def _largest_load(
        self, block: Block, load: Sequence[Linear] | Sequence[float]
    ) -> Sequence[Linear] | Sequence[float]:
        """Load carried when all that the protected asset sold downward is called."""
        sold = sold_down_mw(block, self.protects)
        if sold is None:
            return load
        ratio = block.numbers(number(term) for term in block.signal(f"{self.protects}.facility_per_it"))
        return block.terms(lambda t: load[t] + (1.0 / ratio[t]) * sold[t])

    @staticmethod
    def _within_inverter(block: Block, load: Sequence[Linear] | Sequence[float], power: float) -> None:
        @block.constraint(block.horizon.steps)
        def inverter(t: int) -> Relation:
            r"""d_t + \sum_{down} r_t / PUE_t \le \bar p"""
            return load[t] <= power

    def _check_profile(self, block: Block, highest_mw: float) -> None:
        field, value = f"{block.name}.protected_mw", f"{highest_mw:g}"
        problems = []
        if highest_mw > self.power_mw + 1e-9:
            problems.append(
                Problem(
                    f"exceeds the inverters' power_mw {self.power_mw:g}", "raise power_mw or protect less", field, value
                )
            )
        if self.held_mwh(highest_mw) > self.energy_mwh + 1e-9:
            need = f"{self.ride_through_min:g} min of it need {self.held_mwh(highest_mw):.3g} MWh"
            problems.append(
                Problem(f"{need}, energy_mwh is {self.energy_mwh:g}", "raise energy_mwh or protect less", field, value)
            )
        if problems:
            raise InvalidInput(problems)

    def _hold(self, block: Block, load: Sequence[Linear] | Sequence[float], energy: Sequence[Linear]) -> None:
        """Keep the ride-through energy before and after every step, also for a load that a call raises.

        Without such a call, what is sold beyond that energy is held above it already.
        """
        largest = self._largest_load(block, load)
        if largest is load and any(claim.duration_h > 0 for claim in block.claims("up")):
            return
        steps, per_mw = block.horizon.steps, self.held_mwh(1.0)

        @block.constraint(steps)
        def hold_before(t: int) -> Relation:
            r"""e_t \ge m (d_t + \sum_{down} r_t / PUE_t) / (60 \eta^{dis})"""
            return energy[t] >= per_mw * largest[t]

        @block.constraint(steps)
        def hold_after(t: int) -> Relation:
            r"""e_{t+1} \ge m (d_t + \sum_{down} r_t / PUE_t) / (60 \eta^{dis})"""
            return energy[t + 1] >= per_mw * largest[t]

    @staticmethod
    def _only_into_load(block: Block, load: Sequence[Linear] | Sequence[float], discharge: Sequence[Linear]) -> None:
        @block.constraint(block.horizon.steps)
        def only_into_load(t: int) -> Relation:
            r"""p^{dis}_t \le d_t"""
            return discharge[t] <= load[t]

    def _close(self, block: Block, energy: Sequence[Linear]) -> None:
        horizon, ends = block.horizon, Index("end", 1)
        start = block.carried("energy_mwh", self.energy_mwh)

        @block.constraint(ends)
        def start_full(_: int) -> Relation:
            r"""e_0 = \bar e, or e_T = e_0 in a window that wraps"""
            return energy[horizon.count] == energy[0] if horizon.wraps else energy[0] == start

        if not horizon.wraps:

            @block.constraint(ends)
            def end_full(_: int) -> Relation:
                r"""e_T \ge e_0"""
                return energy[horizon.count] >= start


__all__ = ["Ups"]
