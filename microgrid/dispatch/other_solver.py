"""Solve with any solver that Pyomo can reach, for users who own another one."""

from __future__ import annotations

import time

import numpy as np
import pyomo.environ as pyo
from pyomo.opt import SolverStatus, TerminationCondition

from microgrid.dispatch.build import DispatchModel, Pair
from microgrid.dispatch.compile import Program
from microgrid.dispatch.exclusive import TOLERANCE_MW, add_binaries, overlaps
from microgrid.dispatch.solve import InfeasibleProgram, Solution, Stage
from microgrid.errors import InvalidInput, Problem, SolverLimit

_GAP_OPTION = {
    "appsi_highs": "mip_rel_gap",
    "cbc": "ratioGap",
    "glpk": "mipgap",
    "gurobi": "MIPGap",
    "cplex": "mip_tolerances_mipgap",
    "scip": "limits/gap",
    "xpress": "miprelstop",
}
_TIME_OPTION = {
    "appsi_highs": "time_limit", "cbc": "seconds", "glpk": "tmlim", "gurobi": "TimeLimit", "cplex": "timelimit",
    "scip": "limits/time", "xpress": "maxtime",
}  # fmt: skip


def solve_with(name: str, model: DispatchModel, program: Program, *, gap: float, time_limit_s: float) -> Solution:
    """Solve the Pyomo model with the Pyomo solver `name`; the same certificate is asked of it.

    Raises:
        InvalidInput: Pyomo knows no such solver, or it is not installed.
        InfeasibleProgram: the solver proved that no point exists.
        SolverLimit: the solver stopped without a proof of the gap.
    """
    solver = pyo.SolverFactory(name)
    if not solver.available(exception_flag=False):
        raise InvalidInput(
            Problem("Pyomo cannot reach this solver", "install it, or leave --solver out for HiGHS", "--solver", name)
        )
    for table, value in ((_GAP_OPTION, 0.5 * gap), (_TIME_OPTION, time_limit_s)):
        if name in table:
            solver.options[table[name]] = value
    began = time.perf_counter()
    while True:
        point, bound = _run(solver, model)
        fresh = overlaps(program, point)
        if not fresh:
            break
        program = add_binaries(program, fresh)
        for pair in model.pairs:
            _add_binaries(model, pair, fresh.get(pair.name, np.array([], int)))
    objective = float(program.cost[: point.size] @ point + program.offset)
    full = np.concatenate([point, _sides(program, point)])
    stage = Stage(name, time.perf_counter() - began, objective, bound)
    solution = Solution(program, full, objective, bound, (stage,))
    if solution.gap > gap:
        raise SolverLimit(f"{name} proved a gap of {solution.gap:.3%}; {gap:.3%} was asked")
    return solution


def _run(solver: object, model: DispatchModel) -> tuple[np.ndarray, float]:
    results = solver.solve(model.pyomo, load_solutions=False)  # type: ignore[attr-defined]
    condition = results.solver.termination_condition
    if condition in {TerminationCondition.infeasible, TerminationCondition.infeasibleOrUnbounded}:
        raise InfeasibleProgram("no dispatch satisfies the limits")
    if (
        results.solver.status not in {SolverStatus.ok, SolverStatus.warning}
        or condition is not TerminationCondition.optimal
    ):
        raise SolverLimit(f"the solver ended with {condition}")
    loader = getattr(solver, "load_vars", None)
    if loader is not None:
        loader()
    else:
        model.pyomo.solutions.load_from(results)
    point = np.array([variable.value or 0.0 for columns in model.columns for variable in columns.variables])
    bound = results.problem.lower_bound
    mixed = any(columns.declaration.integer for columns in model.columns)
    return point, float(bound) if mixed and bound is not None else float(pyo.value(model.pyomo.objective))


def _add_binaries(model: DispatchModel, pair: Pair, steps: np.ndarray) -> None:
    block = model.pyomo.parts[pair.part]
    for step in steps.tolist():
        block.add_component(f"{pair.name}.first_side_{step}", pyo.Var(domain=pyo.Binary))
        side = block.component(f"{pair.name}.first_side_{step}")
        first, second = (
            pyo.Constraint(expr=pair.first[step] <= pair.first_max[step] * side),
            pyo.Constraint(expr=pair.second[step] <= pair.second_max[step] * (1 - side)),
        )
        block.add_component(f"{pair.name}.first_only_{step}", first)
        block.add_component(f"{pair.name}.second_only_{step}", second)


def _sides(program: Program, point: np.ndarray) -> np.ndarray:
    """Exclusivity binaries of `program` beyond the model's own columns, read from the flows."""
    values = np.zeros(program.cost.size - point.size)
    pairs = {pair.name: pair for pair in program.pairs}
    for group in program.columns:
        if group.start >= point.size:
            pair = pairs[group.declaration.name.rpartition(".")[0]]
            for place, label in enumerate(group.declaration.index.labels):
                values[group.start - point.size + place] = float(point[pair.first[int(label)]] > TOLERANCE_MW)
    return values


__all__ = ["solve_with"]
