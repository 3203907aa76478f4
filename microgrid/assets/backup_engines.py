"""Backup engines of a room: redundant quick-start units whose permit allows few hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from microgrid.assets.asset import Asset
from microgrid.assets.expected_calls import expected_calls_mw
from microgrid.assets.room import Redundancy
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block, Headroom
from microgrid.formulation.connection import Behaviour
from microgrid.formulation.horizon import Index
from microgrid.schema.quantity import Profile, quantity

HOURS_PER_YEAR = 8766.0  # mean Gregorian year: permit hours apply in proportion to the window
SECONDS_PER_MINUTE = 60.0


class BackupEngines(Asset):
    """Alike emergency engines, counted as one integer, started within seconds and bound by their air permit.

    Redundant units (N+1, 2N) never run for the market. `allowed` marks the steps in which the permit lets them run in
    parallel with the grid (calls of the system operator, a peak-shaving permit); emergencies need none of it. In the
    United States an emergency engine may run 100 h a year outside emergencies, 50 of them for other than testing and
    emergency response and none for peak shaving (40 CFR 60.4211(f)): read your own permit.

    Reserves are offered by running engines only: an engine at rest would have to start at its least load, and its start
    would take permit hours that no row has set aside. A call may use what running engines have left in the step, and
    after it the hours of the permit that the schedule leaves unused while the next step is allowed too. The speed is
    that of a single engine coming to full output within `start_s`, which holds however few are running.
    """

    behaviour: ClassVar[Behaviour] = "generator"
    example: ClassVar[Mapping[str, object]] = {
        "kind": "backup_engines", "bus": "HALL", "units": 6, "unit_power_mw": 2.5, "redundancy": "N+1",
        "permit_h_per_year": 50.0, "fuel_mmbtu_per_mwh": 9.5, "fuel_price_usd_per_mmbtu": 22.0,
    }  # fmt: skip

    kind: Literal["backup_engines"] = "backup_engines"
    units: int = quantity("1", "engines installed", symbol="N", ge=1)
    unit_power_mw: float = quantity("MW", "rated output of one engine", symbol=r"\bar p", gt=0)
    min_load_mw: float = quantity("MW", "least output of one engine", symbol=r"\underline p", default=0.0, ge=0)
    redundancy: Redundancy = Field("N", description="N, N+1 or 2N: engines kept back for the room")
    permit_h_per_year: float = quantity("h/a", "hours an engine may run outside emergencies", symbol="H", ge=0)
    test_h_per_year: float = quantity("h/a", "hours of the permit used by tests", default=0.0, ge=0)
    allowed: Profile = quantity("1", "1 where they may run in parallel with the grid, else 0", default=1.0, ge=0, le=1)
    start_s: float = quantity("s", "time from call to full output", default=30.0, gt=0)
    fuel_mmbtu_per_mwh: float = quantity("MMBtu/MWh", "heat rate (HHV)", symbol="b", default=9.5, ge=0)
    fuel_price_usd_per_mmbtu: Profile = quantity("$/MMBtu", "fuel price", symbol=r"\pi^f_t", default=0.0, ge=0)
    emission_kg_per_mmbtu: float = quantity(
        "kg/MMBtu",
        "CO2 per fuel energy (HHV); 73.96 is US EPA 40 CFR 98 Table C-1, distillate fuel oil No. 2",
        symbol=r"\epsilon", default=73.96, ge=0,
    )  # fmt: skip
    emission_price_usd_per_t: float = quantity("$/t", "price of CO2", symbol=r"\pi^{CO2}", default=0.0, ge=0)
    maintenance_usd_per_h: float = quantity("$/h", "maintenance per engine hour", symbol="c", default=0.0, ge=0)
    power_factor: float = quantity("1", "rated power factor of the alternators", default=0.8, gt=0, le=1)

    @model_validator(mode="after")
    def _data_agree(self) -> Self:
        if self.min_load_mw > self.unit_power_mw:
            raise ValueError(f"min_load_mw {self.min_load_mw:g} exceeds unit_power_mw {self.unit_power_mw:g}")
        if self.test_h_per_year > self.permit_h_per_year:
            raise ValueError("test_h_per_year exceeds permit_h_per_year; tests alone would break the permit")
        if self.redundancy == "2N" and self.units % 2:
            raise ValueError(f"2N needs an even number of units, there are {self.units}")
        return self

    @property
    def usable_units(self) -> int:
        """Engines that may run while the redundancy holds."""
        return self.units - {"N": 0, "N+1": 1, "2N": self.units // 2}[self.redundancy]

    def rating_mva(self) -> float:
        """Rating of all alternators."""
        return self.units * self.unit_power_mw / self.power_factor

    def formulate(self, block: Block) -> None:
        """Write running engines, output, permit hours and money."""
        steps, hours = block.horizon.steps, block.horizon.hours
        rated = block.capacity("unit_power_mw")
        most = [self.usable_units if entry > 0 else 0 for entry in block.profile("allowed")]
        running = block.variable("running", steps, "1", "engines running", upper=most, integer=True)
        power = block.variable("power_mw", steps, "MW", "output", upper=[rated * count for count in most])

        @block.constraint(steps)
        def max_output(t: int) -> Relation:
            r"""p_t \le \bar p n_t"""
            return power[t] <= rated * running[t]

        if self.min_load_mw:

            @block.constraint(steps)
            def min_output(t: int) -> Relation:
                r"""p_t \ge \underline p n_t"""
                return power[t] >= self.min_load_mw * running[t]

        permitted = (self.permit_h_per_year - self.test_h_per_year) * sum(hours) / HOURS_PER_YEAR

        window = Index("window", 1)
        left = block.terms(
            lambda _: self.units * permitted - block.total(steps, lambda t: hours[t] * running[t]), window
        )
        unused = block.least_of("unused_engine_h", window, "h", "permitted engine hours left for calls", (left,))

        @block.constraint(window)
        def permit_hours(_: int) -> Relation:
            r"""z \le N H T / 8766 - \sum_t \Delta_t n_t"""
            return unused[0] <= left[0]

        self._pay(block, power, running)
        block.injects(lambda t: power[t])
        block.after_all(lambda: self._reckon_calls(block, power))
        free = block.terms(lambda t: rated * running[t] - power[t])
        lasting = block.numbers(rated if most[min(t + 1, len(most) - 1)] else 0.0 for t in steps)
        block.headroom(
            Headroom(
                up=free,
                down=block.terms(lambda t: power[t] - self.min_load_mw * running[t]),
                energies_up_mwh=(block.terms(lambda t: hours[t] * free[t] + lasting[t] * unused[0]),),
                ramp_mw_per_min=self.unit_power_mw / (self.start_s / SECONDS_PER_MINUTE),
            )
        )

    def _reckon_calls(self, block: Block, power: Sequence[Linear]) -> None:
        """Pay for the fuel of expected calls, less what calls to give less save, and report the CO2 of all together."""
        sides = [(1.0, expected_calls_mw(block, up=True)), (-1.0, expected_calls_mw(block, up=False))]
        calls = [(sign, called) for sign, called in sides if called is not None]
        usd_per_mwh, hours = self._burnt_usd_per_mwh(block), block.horizon.hours
        if calls:

            @block.cost(block.horizon.steps)
            def called_fuel(t: int) -> Linear:
                r"""(\pi^f_t + \pi^{CO2} \epsilon) b \Delta_t \sum_s \pm \delta_s r_{s,t} , + up, - down"""
                return total((sign * usd_per_mwh[t] * hours[t]) * called[t] for sign, called in calls)

        def emission(t: int) -> Linear:
            generated = total([power[t], *(sign * called[t] for sign, called in calls)])
            return (self.emission_kg_per_mmbtu / 1000.0 * self.fuel_mmbtu_per_mwh * hours[t]) * generated

        block.report("co2_t", emission, "t", "CO2 emitted in the step, with that of expected calls")

    def _burnt_usd_per_mwh(self, block: Block) -> list[float]:
        """Price of a MWh's fuel and CO2."""
        carbon_usd = self.emission_price_usd_per_t * self.emission_kg_per_mmbtu / 1000.0
        price = block.profile("fuel_price_usd_per_mmbtu")
        return block.numbers((price[t] + carbon_usd) * self.fuel_mmbtu_per_mwh for t in range(block.horizon.count))

    def _pay(self, block: Block, power: Sequence[Linear], running: Sequence[Linear]) -> None:
        steps, hours, usd_per_mwh = block.horizon.steps, block.horizon.hours, self._burnt_usd_per_mwh(block)

        @block.cost(steps)
        def fuel_cost(t: int) -> Linear:
            r"""(\pi^f_t + \pi^{CO2} \epsilon) b \Delta_t p_t"""
            return (usd_per_mwh[t] * hours[t]) * power[t]

        if self.maintenance_usd_per_h:

            @block.cost(steps)
            def maintenance(t: int) -> Linear:
                r"""c \Delta_t n_t"""
                return (self.maintenance_usd_per_h * hours[t]) * running[t]


__all__ = ["BackupEngines"]
