"""The audit finds an error in any single number, and the compiled matrix is the model that was written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from microgrid.assets.battery import Battery
from microgrid.assets.engines import Engines
from microgrid.assets.facility_load import FacilityLoad
from microgrid.dispatch.audit import audit
from microgrid.errors import AuditFailed, InvalidInput, Residual
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block
from microgrid.schema.quantity import Declared


@pytest.fixture(scope="module")
def day(bench: Callable[..., Any]) -> Any:
    """Battery, engines and load behind a meter for six hours."""
    assets = {
        "battery": Battery(bus="B", power_mw=4.0, energy_mwh=8.0, wear_usd_per_mwh=2.0, initial_energy_mwh=4.0),
        "engines": Engines(
            bus="B", units=2, unit_power_mw=3.0, min_load_mw=1.0, variable_om_usd_per_mwh=45.0, start_cost_usd=20.0
        ),
        "load": FacilityLoad(bus="B", power_mw=5.0),
    }
    return bench(assets, [20, 15, 40, 90, 120, 35], import_limit_mw=6.0, export_limit_mw=2.0)


@pytest.fixture(scope="module")
def solved(day: Any) -> tuple[dict[str, np.ndarray], float]:
    solution = day.solve().solution
    return solution.program.values(solution.point), solution.objective


def residuals(day: Any, values: dict[str, np.ndarray], objective: float) -> dict[str, Residual]:
    checked = audit(day.parts, day.horizon, day.inputs, values, objective)
    return {residual.check: residual for residual in checked.residuals}


def test_a_true_answer_passes(day: Any, solved: tuple[dict[str, np.ndarray], float]) -> None:
    assert all(residual.holds for residual in residuals(day, *solved).values())


@pytest.mark.parametrize(
    ("name", "amount", "checks"),
    [
        ("grid.import_mw", 1e-3, {"balance", "objective"}),
        ("battery.discharge_mw", 1e-3, {"balance", "rows"}),
        ("battery.energy_mwh", 1e-3, {"rows"}),
        ("battery.energy_mwh", 100.0, {"rows", "bounds"}),
        ("engines.power_mw", 1e-3, {"balance"}),
        ("engines.running", 0.3, {"integrality"}),
        ("engines.running", 1.0, {"rows"}),
        ("engines.started", 1.0, {"rows", "objective"}),
        ("grid.import_mw", float("nan"), {"balance", "bounds", "objective"}),
        ("battery.energy_mwh", float("inf"), {"rows", "bounds"}),
    ],
)
def test_any_changed_number_is_found(
    day: Any, solved: tuple[dict[str, np.ndarray], float], name: str, amount: float, checks: set[str]
) -> None:
    values, objective = solved
    changed = {key: array.copy() for key, array in values.items()}
    changed[name][2] += amount
    found = residuals(day, changed, objective)
    assert {check for check in checks if found[check].holds} == set()


def test_money_that_does_not_add_up_is_found(day: Any, solved: tuple[dict[str, np.ndarray], float]) -> None:
    values, objective = solved
    assert not residuals(day, values, objective + 0.02)["objective"].holds


def test_two_directions_at_once_are_found(day: Any, solved: tuple[dict[str, np.ndarray], float]) -> None:
    values, objective = solved
    both = {key: array.copy() for key, array in values.items()}
    for name in ("grid.import_mw", "grid.export_mw"):
        both[name][1] += 0.5
    found = residuals(day, both, objective)["exclusive pairs"]
    assert not found.holds
    assert found.where == "grid"


def test_the_place_of_the_worst_row_is_named(day: Any, solved: tuple[dict[str, np.ndarray], float]) -> None:
    values, objective = solved
    changed = {key: array.copy() for key, array in values.items()}
    changed["battery.discharge_mw"][4] += 1.0
    checked = audit(day.parts, day.horizon, day.inputs, changed, objective)
    with pytest.raises(AuditFailed, match=r"campus\.balance at 2025-07-15 04:00"):
        checked.require()


def test_a_missing_variable_counts_as_zero_and_is_found(day: Any, solved: tuple[dict[str, np.ndarray], float]) -> None:
    values, objective = solved
    without = {key: array for key, array in values.items() if key != "grid.import_mw"}
    assert not residuals(day, without, objective)["balance"].holds


# -- compilation ------------------------------------------------------------------------------------------------


class Odd(Declared):
    """Rules written in every form that a part may use."""

    def formulate(self, block: Block) -> None:
        steps = block.horizon.steps
        x = block.variable("x", steps, "MW", "x", lower=-5.0, upper=[1.0, 2.0, 3.0])
        y = block.variable("y", steps, "MW", "y", upper=None)

        @block.constraint(steps)
        def forms(t: int) -> Relation:
            r"""2 (x_t - 3) / 4 - (y_t + x_t) + 1 \le y_t"""
            return 2.0 * (x[t] - 3.0) / 4.0 - (y[t] + x[t]) + 1.0 <= y[t]

        @block.constraint(steps)
        def sums(t: int) -> Relation | None:
            r"""\sum_{k \le t} x_k - (-y_t) \ge 7, not at the first step"""
            return None if t == 0 else total(x[k] for k in range(t + 1)) - (-y[t]) >= 7.0

        @block.cost(steps)
        def money(t: int) -> Linear:
            r"""3 x_t + 5 - y_t / 2"""
            return 3.0 * x[t] + 5.0 - y[t] / 2.0

        block.injects(lambda t: x[t] + 0.0 * y[t])


def test_compiled_arrays_by_hand(bench: Callable[..., Any]) -> None:
    program = bench({"odd": Odd()}, count=3).program()
    rows = {group.name: group for group in program.rows}
    matrix = csr_array(program.matrix).toarray()
    # 0.5 x - 1.5 - y - x + 1 <= y  =>  -0.5 x - 2 y <= 0.5
    forms = rows["odd.forms"]
    assert matrix[forms.span] == pytest.approx(np.hstack([-0.5 * np.eye(3), -2.0 * np.eye(3)]))
    assert program.row_upper[forms.span] == pytest.approx([0.5] * 3)
    sums = rows["odd.sums"]
    assert list(sums.positions) == [1, 2]
    signs = np.sign(program.row_upper[sums.span][0]) if np.isfinite(program.row_upper[sums.span][0]) else 1.0
    assert signs * matrix[sums.span] == pytest.approx(np.array([[1, 1, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1]]))
    assert program.cost == pytest.approx([3, 3, 3, -0.5, -0.5, -0.5])
    assert program.offset == pytest.approx(15.0)
    assert program.lower == pytest.approx([-5, -5, -5, 0, 0, 0])
    assert program.upper[:3] == pytest.approx([1, 2, 3])
    assert np.isinf(program.upper[3:]).all()
    assert matrix[rows["campus.balance"].span] == pytest.approx(np.hstack([np.eye(3), np.zeros((3, 3))]))


class Squared(Declared):
    """A part whose rule is not linear."""

    def formulate(self, block: Block) -> None:
        x: Any = block.variable("x", block.horizon.steps, "MW", "x")

        @block.constraint(block.horizon.steps)
        def square(t: int) -> Relation:
            r"""x_t^2 \le 4"""
            relation: Relation = x[t] * x[t] <= 4.0
            return relation

        block.injects(lambda t: x[t])


def test_what_is_not_linear_is_refused(bench: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"linear|unsupported"):
        bench({"squared": Squared()}, count=2).program()


class Unbounded(Declared):
    """Two quantities of which only one may flow, and the second has no limit."""

    def formulate(self, block: Block) -> None:
        steps = block.horizon.steps
        x, y = block.variable("x", steps, "MW", "x", upper=5.0), block.variable("y", steps, "MW", "y")
        block.exclusive(x, y, 5.0, None)
        block.injects(lambda t: x[t] - y[t])


def test_an_exclusive_pair_without_a_limit_is_refused(bench: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInput, match=r"two_ways: at most one of two .* no upper bound: give both a finite limit"):
        bench({"two_ways": Unbounded()}, count=3).solve()
