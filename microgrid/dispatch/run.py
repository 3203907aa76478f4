"""From parts to an audited dispatch: build, compile, solve, evaluate, audit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from microgrid.dispatch.audit import Audit, audit
from microgrid.dispatch.balance import CAMPUS
from microgrid.dispatch.build import DispatchModel, build
from microgrid.dispatch.compile import Program, compile_program
from microgrid.dispatch.infeasible import explain
from microgrid.dispatch.solve import InfeasibleProgram, Solution, Stage, solve
from microgrid.formulation.connection import NetworkCut
from microgrid.formulation.horizon import Horizon
from microgrid.results.dataset import dispatch_dataset
from microgrid.schema.quantity import Declared


@dataclass(frozen=True)
class SolveSettings:
    """How far and with what to solve: relative `gap`, wall `time_limit_s`, `solver` (``highs`` or a Pyomo one)."""

    gap: float = 1e-3
    time_limit_s: float = 1800.0
    solver: str = "highs"


@dataclass(frozen=True)
class Dispatch:
    """An audited dispatch.

    `dataset` is described in `microgrid.results.dataset`; `injections` are MW by (part, bus), shape (steps,); `duals`
    holds the price of every row group by name, shape (rows of the group,), USD per unit of the row.
    """

    dataset: xr.Dataset
    solution: Solution
    audit: Audit
    stages: tuple[Stage, ...]
    duals: Mapping[str, np.ndarray]

    @property
    def injections(self) -> Mapping[tuple[str, str], np.ndarray]:
        """MW by (part, bus), positive into the bus."""
        return self.audit.injections


def dispatch(
    parts: Mapping[str, Declared],
    horizon: Horizon,
    inputs: Mapping[str, np.ndarray],
    *,
    settings: SolveSettings | None = None,
    groups: Mapping[str, str] | None = None,
    cuts: Sequence[NetworkCut] = (),
    carried: Mapping[str, float] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Dispatch:
    """Dispatch `parts` over `horizon` at least cost.

    Args:
        parts: declared records by name, in the order in which they write their pages.
        horizon: the steps.
        inputs: aligned series by ``part.field``, shape (steps,).
        settings: gap, time limit and solver.
        groups: balance group of every bus; one group when absent.
        cuts: rows asked by the network.
        carried: states handed over by an earlier window.
        progress: told the name of every stage as it begins.

    Raises:
        Infeasible: no dispatch satisfies the limits; names them in MW and hours.
        SolverLimit: the time limit came before the gap.
        AuditFailed: the result disagrees with the parts' own equations.
    """
    wanted = settings or SolveSettings()
    progress("build")
    began = time.perf_counter()
    model = build(parts, horizon, inputs, groups=groups, cuts=cuts, carried=carried)
    built = time.perf_counter()
    program = compile_program(model)
    compiled = time.perf_counter()
    solution = _solve(model, program, horizon, wanted, progress, cuts)
    values = solution.program.values(solution.point)
    progress("audit")
    audited_from = time.perf_counter()
    checked = audit(parts, horizon, inputs, values, solution.objective, groups=groups, cuts=cuts, carried=carried)
    checked.require()
    duals = _duals(solution)
    prices = {
        name: dual / np.asarray(horizon.hours) for name, dual in duals.items() if name.startswith(f"{CAMPUS}.balance")
    }
    named = {name.replace("balance", "energy_value"): price for name, price in prices.items()}
    dataset = dispatch_dataset(horizon, checked.reading, values, checked.injections, named)
    nan = float("nan")
    stages = (
        Stage("build", built - began, nan, nan),
        Stage("hand-off", compiled - built, nan, nan),
        *solution.stages,
        Stage("audit", time.perf_counter() - audited_from, solution.objective, solution.bound),
    )
    return Dispatch(dataset, solution, checked, stages, duals)


def _solve(
    model: DispatchModel,
    program: Program,
    horizon: Horizon,
    settings: SolveSettings,
    progress: Callable[[str], None],
    cuts: Sequence[NetworkCut],
) -> Solution:
    try:
        if settings.solver == "highs":
            return solve(program, gap=settings.gap, time_limit_s=settings.time_limit_s, progress=progress)
        from microgrid.dispatch.other_solver import solve_with  # noqa: PLC0415 - HiGHS needs no Pyomo

        progress(settings.solver)
        return solve_with(settings.solver, model, program, gap=settings.gap, time_limit_s=settings.time_limit_s)
    except InfeasibleProgram as none:
        progress("explain infeasibility")
        raise explain(program, horizon, cuts) from none


def _duals(solution: Solution) -> dict[str, np.ndarray]:
    if solution.row_duals is None:
        return {}
    return {rows.name: _by_position(solution.row_duals[rows.span], rows.positions) for rows in solution.program.rows}


def _by_position(prices: np.ndarray, positions: Sequence[int]) -> np.ndarray:
    """Prices at the positions they were written for; a position without a row (always true) has the price 0."""
    found = np.zeros(max(positions, default=-1) + 1)
    found[np.asarray(positions, dtype=np.int64)] = prices
    return found


__all__ = ["Dispatch", "SolveSettings", "dispatch"]
