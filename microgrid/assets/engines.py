"""Gas engines: identical reciprocating units committed as one integer count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from microgrid.assets.asset import Asset
from microgrid.assets.expected_calls import expected_calls_mw
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block, Headroom
from microgrid.formulation.commitment import Commitment, Units, commit
from microgrid.formulation.connection import Behaviour, Connection
from microgrid.formulation.horizon import Index
from microgrid.schema.quantity import Declared, Profile, quantity

HOURS_PER_YEAR = 8766.0  # mean Gregorian year: the yearly run-hour limit applies in proportion to the window


class FuelPoint(Declared):
    """A measured point of the fuel curve of one unit."""

    power_mw: float = quantity("MW", "output of one unit", symbol="p_k", gt=0)
    fuel_mmbtu_per_h: float = quantity("MMBtu/h", "fuel of one unit at that output (HHV)", symbol="f_k", ge=0)


class Engines(Asset):
    r"""Identical engines at one bus.

    The fuel curve is either one heat rate with a no-load term, ``f = a n + b p``, or points of a datasheet, read as
    the convex envelope over running units ``f \ge a_k n + b_k p`` (exact as long as fuel has a price). Expected calls
    of reserves burn at the steepest part of that curve, calls to give less save at the flattest; CO2 counts both.
    """

    behaviour: ClassVar[Behaviour] = "generator"
    example: ClassVar[Mapping[str, object]] = {
        "kind": "engines", "bus": "ENGINES", "units": 4, "unit_power_mw": 9.3, "min_load_mw": 3.7,
        "heat_rate_mmbtu_per_mwh": 7.6, "no_load_fuel_mmbtu_per_h": 6.0, "fuel_price_usd_per_mmbtu": 3.2,
        "start_cost_usd": 350.0, "min_up_h": 2.0, "min_down_h": 1.0,
    }  # fmt: skip

    kind: Literal["engines"] = "engines"
    units: int = quantity("1", "identical units", symbol="N", ge=1)
    unit_power_mw: float = quantity("MW", "rated output of one unit", symbol=r"\bar p", gt=0)
    min_load_mw: float = quantity("MW", "least stable output of one unit", symbol=r"\underline p", default=0.0, ge=0)
    heat_rate_mmbtu_per_mwh: float = quantity("MMBtu/MWh", "incremental heat rate (HHV)", symbol="b", default=0.0, ge=0)
    no_load_fuel_mmbtu_per_h: float = quantity("MMBtu/h", "fuel of a unit at no load", symbol="a", default=0.0, ge=0)
    fuel_curve: tuple[FuelPoint, ...] = quantity(
        "-", "datasheet points in ascending output; replaces heat rate and no-load fuel", default=()
    )
    fuel_price_usd_per_mmbtu: Profile = quantity("$/MMBtu", "fuel price", symbol=r"\pi^f_t", default=0.0, ge=0)
    variable_om_usd_per_mwh: float = quantity(
        "$/MWh", "variable operation and maintenance", symbol="c^{om}", default=0.0
    )
    start_cost_usd: float = quantity("$", "wear of a start", symbol="c^{start}", default=0.0, ge=0)
    start_fuel_mmbtu: float = quantity("MMBtu", "fuel of a start", symbol="f^{start}", default=0.0, ge=0)
    stop_cost_usd: float = quantity("$", "cost of a stop", symbol="c^{stop}", default=0.0, ge=0)
    min_up_h: float = quantity("h", "minimum up time", symbol="U", default=0.0, ge=0)
    min_down_h: float = quantity("h", "minimum down time", symbol="D", default=0.0, ge=0)
    ramp_mw_per_min: float | None = quantity("MW/min", "ramp rate of a running unit", symbol="R", default=None, gt=0)
    emission_kg_per_mmbtu: float = quantity(
        "kg/MMBtu", "CO2 per fuel energy (HHV); 53.06 is US EPA 40 CFR 98 Table C-1, natural gas", default=53.06, ge=0
    )
    emission_price_usd_per_t: float = quantity("$/t", "price of CO2", symbol=r"\pi^{CO2}", default=0.0, ge=0)
    run_hours_per_year: float | None = quantity(
        "h/a",
        "permitted run hours per unit and year, applied in proportion to the window",
        symbol="H",
        default=None,
        gt=0,
    )
    available_units: Profile | None = quantity(
        "1", "units not on planned outage, step by step; all when absent", symbol="N_t", default=None, ge=0
    )
    initially_running: int = quantity("1", "units running before a window with fixed ends", default=0, ge=0)
    hours_in_state: float = quantity("h", "hours the units have been in that state", default=1e6, ge=0)
    power_factor: float = quantity("1", "rated power factor of the alternators", default=0.8, gt=0, le=1)
    voltage_target_pu: float | None = quantity(
        "pu",
        "terminal voltage held by the regulators; constant power factor 1 when absent",
        default=None,
        gt=0.8,
        lt=1.2,
    )
    reserve_ramp_mw_per_min: float | None = quantity(
        "MW/min", "speed at which running units can raise output for reserves; the ramp rate when absent",
        default=None, gt=0,
    )  # fmt: skip

    @model_validator(mode="after")
    def _data_agree(self) -> Self:
        if self.min_load_mw > self.unit_power_mw:
            raise ValueError(f"min_load_mw {self.min_load_mw:g} exceeds unit_power_mw {self.unit_power_mw:g}")
        if self.initially_running > self.units:
            raise ValueError(f"initially_running {self.initially_running} exceeds units {self.units}")
        slopes = [slope for _, slope in self.fuel_lines()]
        if any(later < earlier - 1e-9 for earlier, later in pairwise(slopes)):
            raise ValueError(
                f"fuel_curve needs rising incremental heat rates, they are {[round(slope, 4) for slope in slopes]}; "
                "drop the points that lie above the line through their neighbours"
            )
        return self

    def fuel_lines(self) -> list[tuple[float, float]]:
        """Lines ``(a_k, b_k)`` of the fuel curve of one unit: MMBtu/h and MMBtu/MWh."""
        if not self.fuel_curve:
            return [(self.no_load_fuel_mmbtu_per_h, self.heat_rate_mmbtu_per_mwh)]
        points = [(point.power_mw, point.fuel_mmbtu_per_h) for point in self.fuel_curve]
        if len(points) == 1:
            return [(0.0, points[0][1] / points[0][0])]
        if any(later[0] <= earlier[0] for earlier, later in pairwise(points)):
            raise ValueError("fuel_curve points must be in strictly ascending power_mw")
        slopes = [(f1 - f0) / (p1 - p0) for (p0, f0), (p1, f1) in pairwise(points)]
        return [(fuel - slope * power, slope) for (power, fuel), slope in zip(points, slopes, strict=False)]

    def rating_mva(self) -> float:
        """Rating of all alternators together."""
        return self.units * self.unit_power_mw / self.power_factor

    def connections(self, name: str) -> list[Connection]:
        """Connect as voltage-regulated or unity-power-factor machines with their reactive capability."""
        rating = self.rating_mva()
        reach = rating * (1.0 - self.power_factor**2) ** 0.5
        return [
            Connection(
                name, bus, self.behaviour, share, rating * share,
                vm_pu=self.voltage_target_pu, q_min_mvar=-0.6 * reach * share, q_max_mvar=reach * share,
                units=self.units,
            )
            for bus, share in self.shares.items()
        ]  # fmt: skip

    def formulate(self, block: Block) -> None:
        """Write commitment, output, fuel, ramps and money."""
        steps = block.horizon.steps
        units = Units(self.units, self.min_up_h, self.min_down_h, self.initially_running, self.hours_in_state)
        commitment = commit(block, units)
        rated = block.capacity("unit_power_mw")
        power = block.variable("power_mw", steps, "MW", "electrical output", upper=self.units * rated)
        running = commitment.running

        @block.constraint(steps)
        def max_output(t: int) -> Relation:
            r"""p_t \le \bar p n_t"""
            return power[t] <= rated * running[t]

        if self.min_load_mw > 0:

            @block.constraint(steps)
            def min_output(t: int) -> Relation:
                r"""p_t \ge \underline p n_t"""
                return power[t] >= self.min_load_mw * running[t]

        fuel = self._fuel(block, power, running)
        self._limit_ramps(block, power, commitment)
        self._limit_units(block, running)
        self._pay(block, power, fuel, commitment)
        block.injects(lambda t: power[t])
        block.after_all(lambda: self._reckon_calls(block, fuel, commitment))
        speed = self.reserve_ramp_mw_per_min or self.ramp_mw_per_min
        block.headroom(
            Headroom(
                up=block.terms(lambda t: rated * running[t] - power[t]),
                down=block.terms(lambda t: power[t] - self.min_load_mw * running[t]),
                ramp_mw_per_min=float("inf") if speed is None else speed * self.units,
                speeds_up=() if speed is None else self._speeds(block, power, commitment, speed, rising=True),
                speeds_down=() if speed is None else self._speeds(block, power, commitment, speed, rising=False),
            )
        )

    def _reckon_calls(self, block: Block, fuel: Sequence[Linear], commitment: Commitment) -> None:
        """Pay for what expected calls burn beyond what they save, and report the CO2 of schedule and calls together.

        A MW called up burns at the steepest part of the fuel curve, a MW called down saves at the flattest.
        """
        price, hours = block.profile("fuel_price_usd_per_mmbtu"), block.horizon.hours
        slopes, carbon = [slope for _, slope in self.fuel_lines()], self.emission_kg_per_mmbtu / 1000.0
        sides = [(max(slopes), 1.0, expected_calls_mw(block, up=True))]
        sides += [(min(slopes), -1.0, expected_calls_mw(block, up=False))]
        calls = [(slope, sign, called) for slope, sign, called in sides if called is not None]
        if calls:

            @block.cost(block.horizon.steps)
            def called_fuel(t: int) -> Linear:
                r"""\Delta_t \sum_s \pm ((\pi^f_t + \pi^{CO2} \epsilon) b + c^{om}) \delta_s r_{s,t} , + up, - down"""
                fuel_usd = price[t] + self.emission_price_usd_per_t * carbon
                own = [sign * (fuel_usd * slope + self.variable_om_usd_per_mwh) for slope, sign, _ in calls]
                return total((hours[t] * usd) * called[t] for usd, (_, _, called) in zip(own, calls, strict=True))

        def emission(t: int) -> Linear:
            burnt = [(sign * slope * hours[t]) * called[t] for slope, sign, called in calls]
            scheduled = hours[t] * fuel[t] + self.start_fuel_mmbtu * commitment.started[t]
            return carbon * total([scheduled, *burnt])

        block.report("co2_t", emission, "t", "CO2 emitted in the step, with that of expected calls")

    def _speeds(
        self, block: Block, power: Sequence[Linear], commitment: Commitment, speed: float, *, rising: bool
    ) -> tuple[Sequence[Linear], Sequence[Linear]]:
        r"""Speed of the units that run through the step, and what their scheduled ramping leaves of it, MW/min.

        ``R (n_t - s_t)`` and ``R (n_t - s_t) - (p_t - p_{t-1} - \max(\underline p, r) s_t + \underline p d_t) /
        (60 \Delta_t)`` to rise; the reverse to fall. Units that start or stop jump, as in the ramp limits, and offer no
        speed of their own in that step.
        """
        running, started, stopped = commitment.running, commitment.started, commitment.stopped
        jumping, kept = (started, stopped) if rising else (stopped, started)
        sign, scheduled = (1.0 if rising else -1.0), self.ramp_mw_per_min or speed
        through = block.terms(lambda t: speed * running[t] - speed * started[t])

        def left(t: int) -> Linear:
            before, span_min = block.horizon.previous(t), 60.0 * block.horizon.hours[t]
            if before is None:
                return through[t]
            jump = min(max(self.min_load_mw, scheduled * span_min), self.unit_power_mw)
            moved = [-sign * power[t], sign * power[before], jump * jumping[t], -self.min_load_mw * kept[t]]
            return through[t] + (1.0 / span_min) * total(moved)

        return through, block.terms(left)

    def _fuel(self, block: Block, power: Sequence[Linear], running: Sequence[Linear]) -> Sequence[Linear]:
        """Fuel of all units, MMBtu/h."""
        steps, lines = block.horizon.steps, self.fuel_lines()
        if len(lines) == 1:
            no_load, slope = lines[0]
            fuel = block.terms(lambda t: no_load * running[t] + slope * power[t])
        else:
            fuel = block.variable("fuel_rate_mmbtu_per_h", steps, "MMBtu/h", "fuel of all units")
            for place, (no_load, slope) in enumerate(lines):
                self._fuel_line(block, fuel, power, running, (no_load, slope), f"line{place}")
        block.report("fuel_mmbtu_per_h", lambda t: fuel[t], "MMBtu/h", "fuel of all units")
        return fuel

    @staticmethod
    def _fuel_line(
        block: Block,
        fuel: Sequence[Linear],
        power: Sequence[Linear],
        running: Sequence[Linear],
        line: tuple[float, float],
        of: str,
    ) -> None:
        @block.constraint(block.horizon.steps, of=of)
        def fuel_curve(t: int) -> Relation:
            r"""f_t \ge a_k n_t + b_k p_t"""
            return fuel[t] >= line[0] * running[t] + line[1] * power[t]

    def _limit_ramps(self, block: Block, power: Sequence[Linear], commitment: Commitment) -> None:
        """Bound the change of output between steps; units that start or stop move to or from minimum load at once.

        A unit that stops takes at least its minimum load away, one that starts adds it: without these terms a unit
        could escape its ramp by stopping and starting in the same instant.
        """
        if self.ramp_mw_per_min is None or 60.0 * self.ramp_mw_per_min * block.horizon.hours[0] >= self.unit_power_mw:
            return
        step_ramp = 60.0 * self.ramp_mw_per_min * block.horizon.hours[0]
        switch = max(self.min_load_mw, step_ramp)
        running, started, stopped = commitment.running, commitment.started, commitment.stopped

        @block.constraint(block.horizon.steps)
        def ramp_up(t: int) -> Relation | None:
            r"""p_t - p_{t-1} \le r (n_t - s_t) + \max(\underline p, r) s_t - \underline p d_t with r = 60 R \Delta_t"""
            before = block.horizon.previous(t)
            if before is None:
                return None
            kept, least = running[t] - started[t], self.min_load_mw
            return power[t] - power[before] <= step_ramp * kept + switch * started[t] - least * stopped[t]

        @block.constraint(block.horizon.steps)
        def ramp_down(t: int) -> Relation | None:
            r"""p_{t-1} - p_t \le r (n_t - s_t) + \max(\underline p, r) d_t - \underline p s_t with r = 60 R \Delta_t"""
            before = block.horizon.previous(t)
            if before is None:
                return None
            kept, least = running[t] - started[t], self.min_load_mw
            return power[before] - power[t] <= step_ramp * kept + switch * stopped[t] - least * started[t]

    def _limit_units(self, block: Block, running: Sequence[Linear]) -> None:
        steps, hours = block.horizon.steps, block.horizon.hours
        if self.available_units is not None:
            available = block.profile("available_units")

            @block.constraint(steps)
            def planned_outage(t: int) -> Relation:
                r"""n_t \le N_t"""
                return running[t] <= available[t]

        if self.run_hours_per_year is not None:
            allowed = self.units * self.run_hours_per_year * sum(hours) / HOURS_PER_YEAR

            @block.constraint(Index("window", 1))
            def run_hours(_: int) -> Relation:
                r"""\sum_t \Delta_t n_t \le N H T / 8766"""
                return block.total(steps, lambda t: hours[t] * running[t]) <= allowed

    def _pay(self, block: Block, power: Sequence[Linear], fuel: Sequence[Linear], commitment: Commitment) -> None:
        steps, hours = block.horizon.steps, block.horizon.hours
        fuel_price = block.profile("fuel_price_usd_per_mmbtu")
        carbon = self.emission_kg_per_mmbtu / 1000.0

        @block.cost(steps)
        def fuel_cost(t: int) -> Linear:
            r"""\pi^f_t (\Delta_t f_t + f^{start} s_t)"""
            return fuel_price[t] * (hours[t] * fuel[t] + self.start_fuel_mmbtu * commitment.started[t])

        if self.variable_om_usd_per_mwh:

            @block.cost(steps)
            def variable_om(t: int) -> Linear:
                r"""c^{om} \Delta_t p_t"""
                return self.variable_om_usd_per_mwh * hours[t] * power[t]

        if self.start_cost_usd or self.stop_cost_usd:

            @block.cost(steps)
            def cycling(t: int) -> Linear:
                r"""c^{start} s_t + c^{stop} d_t"""
                return self.start_cost_usd * commitment.started[t] + self.stop_cost_usd * commitment.stopped[t]

        if self.emission_price_usd_per_t:

            @block.cost(steps)
            def emission_cost(t: int) -> Linear:
                r"""\pi^{CO2} \epsilon (\Delta_t f_t + f^{start} s_t)"""
                burnt = hours[t] * fuel[t] + self.start_fuel_mmbtu * commitment.started[t]
                return (self.emission_price_usd_per_t * carbon) * burnt


__all__ = ["Engines", "FuelPoint"]
