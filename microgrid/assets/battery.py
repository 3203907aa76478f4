"""Battery energy storage behind one inverter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from microgrid.assets.asset import Asset
from microgrid.assets.expected_calls import expected_calls_mw, with_calls
from microgrid.formulation.algebra import Linear, Relation
from microgrid.formulation.block import Block, Headroom
from microgrid.formulation.connection import Behaviour, Connection
from microgrid.formulation.horizon import Horizon, Index
from microgrid.schema.quantity import quantity


class Battery(Asset):
    """Battery limited in power by its inverter and in energy by its cells.

    Charging and discharging at once would burn energy; it is forbidden, by a binary only at steps where a solved
    relaxation would do it (it pays only below a price of about -wear / (1 - efficiency)).

    Calls of reserves sold from it are expected to take energy out of the cells or to put it in (`deployed_share` of the
    product); stored energy, wear and cycles reckon with them.
    """

    behaviour: ClassVar[Behaviour] = "storage"
    example: ClassVar[Mapping[str, object]] = {
        "kind": "battery", "bus": "BESS", "power_mw": 20.0, "energy_mwh": 80.0, "wear_usd_per_mwh": 4.0,
    }  # fmt: skip

    kind: Literal["battery"] = "battery"
    power_mw: float = quantity("MW", "inverter limit, both directions", symbol=r"\bar p", gt=0)
    energy_mwh: float = quantity("MWh", "energy capacity of the cells", symbol=r"\bar e", gt=0)
    charge_efficiency: float = quantity("1", "bus to cells", symbol=r"\eta^{ch}", default=0.95, gt=0, le=1)
    discharge_efficiency: float = quantity("1", "cells to bus", symbol=r"\eta^{dis}", default=0.95, gt=0, le=1)
    soc_min: float = quantity("1", "lowest state of charge", symbol=r"\underline s", default=0.05, ge=0, le=1)
    soc_max: float = quantity("1", "highest state of charge", symbol=r"\bar s", default=0.95, gt=0, le=1)
    initial_energy_mwh: float | None = quantity(
        "MWh", "energy at the first instant of a window with fixed ends; half the window's range when absent",
        symbol="e_0", default=None, ge=0,
    )  # fmt: skip
    end: Literal["same", "free"] = Field(
        "same", description="last instant of a window with fixed ends: at least the initial energy, or free"
    )
    self_discharge_per_hour: float = quantity(
        "1/h", "share of the stored energy lost in an hour", symbol=r"\sigma", default=0.0, ge=0, lt=1
    )
    wear_usd_per_mwh: float = quantity("$/MWh", "wear per energy discharged", symbol="c^{wear}", default=0.0, ge=0)
    max_cycles_per_day: float | None = quantity(
        "1/d", "full-capacity discharges allowed in a local day", symbol="n^{cyc}", default=None, gt=0
    )

    grid_forming: bool = Field(
        default=False, description="the inverter can hold voltage and frequency by itself when the grid is lost"
    )

    @model_validator(mode="after")
    def _window_is_open(self) -> Self:
        if self.soc_min >= self.soc_max:
            raise ValueError(f"soc_min {self.soc_min:g} must lie below soc_max {self.soc_max:g}")
        low, high = self.soc_min * self.energy_mwh, self.soc_max * self.energy_mwh
        start = self.initial_energy_mwh
        if start is not None and not low - 1e-9 <= start <= high + 1e-9:
            raise ValueError(f"initial_energy_mwh {start:g} must lie between {low:g} and {high:g} MWh (SOC window)")
        return self

    def rating_mva(self) -> float:
        """Inverter rating."""
        return self.power_mw / self.power_factor

    def connections(self, name: str) -> list[Connection]:
        """Connect as storage, which may be able to form a grid."""
        return [replace(link, grid_forming=self.grid_forming) for link in super().connections(name)]

    def formulate(self, block: Block) -> None:
        """Write charge, discharge, stored energy and wear."""
        steps, edges = block.horizon.steps, block.horizon.edges
        power, capacity = block.capacity("power_mw"), block.capacity("energy_mwh")
        eta_in, eta_out = self.charge_efficiency, self.discharge_efficiency
        charge = block.variable("charge_mw", steps, "MW", "power drawn from the bus", upper=power)
        discharge = block.variable("discharge_mw", steps, "MW", "power given to the bus", upper=power)
        energy = block.variable(
            "energy_mwh", edges, "MWh", "stored energy",
            lower=self.soc_min * capacity, upper=self.soc_max * capacity,
        )  # fmt: skip
        block.exclusive(charge, discharge, power, power)

        block.after_all(lambda: self._balance(block, charge, discharge, energy))
        self._tie_ends(block, energy)
        block.injects(lambda t: discharge[t] - charge[t])
        low, high = self.soc_min * capacity, self.soc_max * capacity
        block.headroom(
            Headroom(
                up=block.terms(lambda t: power - discharge[t] + charge[t]),
                down=block.terms(lambda t: power - charge[t] + discharge[t]),
                energies_up_mwh=(
                    block.terms(lambda t: eta_out * (energy[t] - low)),
                    block.terms(lambda t: eta_out * (energy[t + 1] - low)),
                ),
                energies_down_mwh=(
                    block.terms(lambda t: (high - energy[t]) / eta_in),
                    block.terms(lambda t: (high - energy[t + 1]) / eta_in),
                ),
            )
        )

    def _balance(
        self, block: Block, charge: Sequence[Linear], discharge: Sequence[Linear], energy: Sequence[Linear]
    ) -> None:
        """Write what the cells take and give, by schedule and by expected calls, with cycles and wear."""
        steps, hours = block.horizon.steps, block.horizon.hours
        eta_in, eta_out = self.charge_efficiency, self.discharge_efficiency
        kept: list[float] = block.numbers((1.0 - self.self_discharge_per_hour) ** span for span in hours)
        drawn = with_calls(block, charge, expected_calls_mw(block, up=False))
        given = with_calls(block, discharge, expected_calls_mw(block, up=True))

        @block.constraint(steps)
        def energy_balance(t: int) -> Relation:
            r"""e_{t+1} = (1-\sigma)^{\Delta_t} e_t + \Delta_t (\eta^{ch} c_t - d_t / \eta^{dis}) , c, d with calls"""
            return energy[t + 1] == kept[t] * energy[t] + hours[t] * (eta_in * drawn[t] - given[t] / eta_out)

        if self.max_cycles_per_day is not None:
            self._limit_cycles(block, given, self.max_cycles_per_day * block.capacity("energy_mwh"))

        if self.wear_usd_per_mwh > 0:

            @block.cost(steps)
            def wear(t: int) -> Linear:
                r"""c^{wear} \Delta_t d_t"""
                return self.wear_usd_per_mwh * hours[t] * given[t]

    def _tie_ends(self, block: Block, energy: Sequence[Linear]) -> None:
        """Close the cycle of a window that wraps; else fix the first instant and bound the last."""
        last, ends = block.horizon.count, Index("end", 1)
        if block.horizon.wraps:

            @block.constraint(ends)
            def wrap(_: int) -> Relation:
                r"""e_T = e_0"""
                return energy[last] == energy[0]

            return
        half = 0.5 * (self.soc_min + self.soc_max) * self.energy_mwh
        start = block.carried("energy_mwh", half if self.initial_energy_mwh is None else self.initial_energy_mwh)

        @block.constraint(ends)
        def start_energy(_: int) -> Relation:
            r"""e_0 = e^{initial}"""
            return energy[0] == start

        if self.end == "same":

            @block.constraint(ends)
            def end_energy(_: int) -> Relation:
                r"""e_T \ge e^{initial}"""
                return energy[last] >= start

    def _limit_cycles(self, block: Block, discharge: Sequence[Linear], energy_per_day: float) -> None:
        days = local_days(block.horizon)

        @block.constraint(range(len(days)))
        def cycles(day: int) -> Relation:
            r"""\sum_{t \in day} \Delta_t d_t \le n^{cyc} \bar e"""
            return block.total(days[day], lambda t: block.horizon.hours[t] * discharge[t]) <= energy_per_day


def local_days(horizon: Horizon) -> list[list[int]]:
    """Steps of every local calendar day, in order."""
    days: dict[str, list[int]] = {}
    for t, label in enumerate(horizon.local.strftime("%Y-%m-%d")):
        days.setdefault(label, []).append(t)
    return list(days.values())


__all__ = ["Battery", "local_days"]
