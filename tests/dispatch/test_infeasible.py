"""The words for what cannot be: hours are told of rules that run over time, and rows of cuts keep their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from microgrid.assets.engines import Engines
from microgrid.assets.facility_load import FacilityLoad
from microgrid.dispatch.build import build
from microgrid.dispatch.compile import compile_program
from microgrid.dispatch.infeasible import explain, irreducible_subset
from microgrid.errors import Infeasible
from microgrid.formulation.algebra import Relation, total
from microgrid.formulation.block import Block
from microgrid.formulation.connection import NetworkCut
from microgrid.formulation.horizon import Index
from microgrid.schema.quantity import Declared


class Budget(Declared):
    """A source of 20 MW that may give 100 MWh a day."""

    bus: str = "B"

    def formulate(self, block: Block) -> None:
        power = block.variable("power_mw", block.horizon.steps, "MW", "power", upper=20.0)
        block.injects(lambda t: power[t])

        @block.constraint(range(len(block.horizon.steps) // 24))
        def daily(day: int) -> Relation:
            """Energy of a day."""
            return total(power[24 * day + hour] for hour in range(24)) <= 100.0


class Seats(Declared):
    """A source of one MW a seat, with three seats."""

    bus: str = "B"

    def formulate(self, block: Block) -> None:
        labels = ("left", "middle", "right")
        seats = block.variable("seats", Index("seat", 3, labels), "MW", "power of a seat", upper=1.0)
        block.injects(lambda _: total(list(seats)))


def engine(**fields: Any) -> Engines:
    return Engines(**{"bus": "B", "units": 1, "unit_power_mw": 20.0, "variable_om_usd_per_mwh": 50.0, **fields})


def explained(made: Any, cuts: tuple[NetworkCut, ...] = ()) -> Infeasible:
    program = compile_program(build(made.parts, made.horizon, made.inputs, cuts=cuts))
    return explain(program, made.horizon, cuts)


def test_rows_of_days_are_counted_and_rows_of_steps_are_timed(bench: Callable[..., Any]) -> None:
    load = {"load.power_mw": np.full(72, 12.0)}
    made = bench({"budget": Budget(), "load": FacilityLoad(bus="B", power_mw=1.0)}, count=72, series=load)
    found = {conflict.limit: conflict for conflict in explained(made).conflicts}
    assert found["power is short"].hours > 0
    daily = found["rule budget.daily"]
    assert (daily.hours, daily.worst) == (0.0, ""), "three days are no three hours"
    assert daily.detail.startswith("3 of 3 rows: ")


def test_a_limit_of_a_named_set_tells_its_labels(bench: Callable[..., Any]) -> None:
    load = {"load.power_mw": np.full(6, 3.5)}
    made = bench({"seats": Seats(), "load": FacilityLoad(bus="B", power_mw=1.0)}, count=6, series=load)
    found = {conflict.limit: conflict for conflict in explained(made).conflicts}
    assert found["power is short"].hours == 6.0
    seats = found["seats.seats upper limit 1 MW"]
    assert (seats.hours, seats.worst) == (0.0, ""), "three seats are no three hours"
    assert seats.detail == "would have to give way (left, middle, right)"


def cut(step: int, element: str, bound: float) -> NetworkCut:
    """The load's own power against a bound: a row of numbers alone."""
    return NetworkCut(step, ((("load", ""), -1.0),), bound, element, "current")


def test_rows_that_hold_of_themselves_do_not_shift_the_names_of_cuts(bench: Callable[..., Any]) -> None:
    load = {"load.power_mw": np.full(4, 12.0)}
    made = bench({"engine": engine(), "load": FacilityLoad(bus="B", power_mw=1.0)}, count=4, series=load)
    limit = NetworkCut(2, ((("engine", ""), 1.0),), 5.0, "line F2", "current")
    error = explained(made, (cut(0, "line F0", 99.0), cut(1, "line F1", 99.0), limit))
    named = {conflict.limit: conflict for conflict in error.conflicts}
    assert "current limit of line F2" in named
    assert named["current limit of line F2"].worst == made.horizon.label(2)
    assert not any("F0" in name or "F1" in name for name in named)


def test_a_cut_that_no_dispatch_keeps_bears_its_own_name(bench: Callable[..., Any]) -> None:
    load = {"load.power_mw": np.full(4, 12.0)}
    made = bench({"engine": engine(), "load": FacilityLoad(bus="B", power_mw=1.0)}, count=4, series=load)
    error = explained(made, (cut(0, "line F0", 99.0), cut(3, "line F3", 2.0)))
    (conflict,) = (each for each in error.conflicts if "line" in each.limit)
    assert conflict.limit == "current limit of line F3"
    assert conflict.worst == made.horizon.label(3)


def test_a_balance_of_numbers_alone_is_not_called_a_surplus(bench: Callable[..., Any]) -> None:
    made = bench({"load": FacilityLoad(bus="B", power_mw=1.0)}, count=3, series={"load.power_mw": [5.0, 0.0, 2.0]})
    error = explained(made)
    assert "surplus" not in str(error)
    assert str(error).startswith(f"the power balance does not close from {made.horizon.label(0)}, in 2.00 h")
    (conflict,) = error.conflicts
    assert (conflict.hours, conflict.shortfall_mw) == (2.0, 0.0)


def test_an_irreducible_subset_reads_no_day_as_a_step(bench: Callable[..., Any]) -> None:
    load = {"load.power_mw": np.full(72, 12.0)}
    made = bench({"budget": Budget(), "load": FacilityLoad(bus="B", power_mw=1.0)}, count=72, series=load)
    assert irreducible_subset(made.program(), [1]) == [], "no single hour contradicts itself"
    assert "rule budget.daily" in irreducible_subset(made.program(), list(range(24, 48)))
