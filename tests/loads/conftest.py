"""Bench for load assets and programs: a meter with an energy price, solved or read with numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from microgrid.assets.poi import Poi
from microgrid.dispatch.balance import CAMPUS, formulate_balance
from microgrid.dispatch.build import build
from microgrid.dispatch.compile import compile_program
from microgrid.dispatch.solve import solve
from microgrid.formulation.algebra import Linear
from microgrid.formulation.block import Block, Campus
from microgrid.formulation.evaluate import Reading, RowResidual, ValueBlock
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared, Profile, quantity


class EnergyPrice(Declared):
    """Energy bought and sold at one price."""

    price: Profile = quantity("$/MWh", "price of energy", default=0.0)

    def formulate(self, block: Block) -> None:
        price, hours = block.profile("price"), block.horizon.hours
        import_, export = block.signal("poi.import_mw"), block.signal("poi.export_mw")

        @block.cost(block.horizon.steps)
        def energy(t: int) -> Linear:
            return (price[t] * hours[t]) * (import_[t] - export[t])


@dataclass
class Outcome:
    """Variables and reports by full name, money by item (cost positive), residuals of rows, and the objective."""

    results: dict[str, np.ndarray] = field(default_factory=dict)
    money: dict[str, float] = field(default_factory=dict)
    rows: dict[str, RowResidual] = field(default_factory=dict)
    campus: Campus = field(default_factory=Campus)
    objective: float = 0.0
    bound_miss: float = 0.0

    def __getitem__(self, name: str) -> np.ndarray:
        return self.results[name]

    @property
    def earned(self) -> float:
        """Money left over: minus the objective."""
        return -self.objective


def read(
    parts: Mapping[str, Declared], horizon: Horizon, series: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]
) -> Outcome:
    """Let the parts write their pages over given numbers."""
    outcome = Outcome(results=dict(values))
    readings = [
        ValueBlock(name, part, horizon, series, outcome.campus).read(values, Reading()) for name, part in parts.items()
    ]
    outcome.campus.close()
    for reading in readings:
        outcome.results.update(reading.reported)
        outcome.money.update({item: float(amounts.sum()) for item, amounts in reading.costs.items()})
        outcome.rows.update({row.name: row for row in reading.rows})
        outcome.bound_miss = max(outcome.bound_miss, reading.bound_miss)
    outcome.objective = sum(outcome.money.values())
    return outcome


def time_axis(count: int, step_min: int = 60, start: str = "2025-07-01T05:00Z", *, wraps: bool = False) -> Horizon:
    return Horizon(pd.Timestamp(start), step_min, count, "America/Chicago", wraps)


def solved(
    parts: Mapping[str, Declared],
    price: Sequence[float],
    *,
    series: Mapping[str, Sequence[float]] | None = None,
    step_min: int = 60,
    start: str = "2025-07-01T05:00Z",
    wraps: bool = False,
    import_limit_mw: float = 1000.0,
    export_limit_mw: float = 0.0,
    poi: Mapping[str, object] | None = None,
    gap: float = 1e-7,
) -> Outcome:
    """Solve the parts behind a meter at an energy price, and check every row of the answer with plain numbers."""
    horizon = time_axis(len(price), step_min, start, wraps=wraps)
    meter = Poi(bus="POI", import_limit_mw=import_limit_mw, export_limit_mw=export_limit_mw, **(poi or {}))
    campus = {"poi": meter, **parts, "market": EnergyPrice()}
    inputs = {name: np.asarray(column, dtype=float) for name, column in (series or {}).items()}
    inputs["market.price"] = np.asarray(price, dtype=float)
    program = compile_program(build(campus, horizon, inputs))
    solution = solve(program, gap=gap)
    outcome = read(campus, horizon, inputs, solution.program.values(solution.point))
    balance = ValueBlock(CAMPUS, Declared(), horizon, inputs, outcome.campus)
    balance.values, balance.reading = outcome.results, Reading()
    formulate_balance(balance, campus, {}, ())
    worst = max(row.relative for row in [*outcome.rows.values(), *balance.reading.rows])
    assert worst < 1e-6
    assert outcome.bound_miss < 1e-6
    assert outcome.objective == pytest.approx(solution.objective, rel=1e-7, abs=1e-5)
    return outcome


@pytest.fixture(scope="session")
def campus() -> Callable[..., Outcome]:
    """Solve parts behind a meter; see `solved`."""
    return solved


@pytest.fixture(scope="session")
def page() -> Callable[..., Outcome]:
    """Read parts with given numbers; see `read`."""
    return read


@pytest.fixture(scope="session")
def axis() -> Callable[..., Horizon]:
    """Time axis of hourly (or other) steps; see `time_axis`."""
    return time_axis
