"""Solve with any solver that Pyomo can reach, for users who own another one."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
from pyomo.opt import SolverStatus, TerminationCondition

from microgrid.dispatch.build import DispatchModel
from microgrid.dispatch.compile import Program
from microgrid.dispatch.exclusive import add_binaries, netted, overlaps
from microgrid.dispatch.highs import Highs, Status
from microgrid.dispatch.pyomo_model import PyomoModel, PyomoPair
from microgrid.dispatch.solve import InfeasibleProgram, Solution, Stage
from microgrid.errors import InvalidInput, Problem, SolverLimit

WHOLE = 1e-9  # an integer that misses by less is whole; the audit asks no less
_GAP_OPTION = {
    "appsi_highs": "mip_rel_gap",
    "cbc": "ratioGap",
    "glpk": "mipgap",
    "gurobi": "MIPGap",
    "cplex": "mip_tolerances_mipgap",
    "scip": "limits/gap",
    "xpress": "miprelstop",
}
_ONE_THREAD = {"appsi_highs"}  # HiGHS shares its threads within the process, and our own runs ask for one
_TIME_OPTION = {
    "appsi_highs": "time_limit", "cbc": "seconds", "glpk": "tmlim", "gurobi": "TimeLimit", "cplex": "timelimit",
    "scip": "limits/time", "xpress": "maxtime",
}  # fmt: skip


def solve_with(name: str, model: DispatchModel, program: Program, *, gap: float, time_limit_s: float) -> Solution:
    """Solve the Pyomo model with the Pyomo solver `name`; the same certificate is asked of it.

    Where it states no bound, the relaxation's optimum is the bound; integers that it missed are held
    and the rest solved again.

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
    if name in _ONE_THREAD:
        solver.options["threads"] = 1
    began = time.perf_counter()
    while True:
        columns, reported = _run(solver, model.pyomo)
        point = netted(program, _cleaned(program, np.concatenate([columns, _sides(program, columns)])))
        fresh = overlaps(program, point)
        if not fresh:
            break
        program = add_binaries(program, fresh)
        for pair in model.pyomo.pairs:
            _add_binaries(model.pyomo, pair, fresh.get(pair.name, np.array([], int)))
    objective = float(program.cost @ point + program.offset)
    bound = min(objective, _certified(program) if reported is None else reported)
    stage = Stage(name, time.perf_counter() - began, objective, bound)
    solution = Solution(program, point, objective, bound, (stage,))
    if solution.gap > gap:
        raise SolverLimit(f"{name} proved a gap of {solution.gap:.3%}; {gap:.3%} was asked")
    return solution


def _cleaned(program: Program, point: np.ndarray) -> np.ndarray:
    """The point with whole integers, and where the solver missed them the continuous optimum beside them.

    Solvers return integers that miss by their tolerance, and continuous values that lean on the miss. A point that is
    whole already is the solver's alone. Where the whole numbers have no point beside them the audit judges the rounded
    one.
    """
    rounded = np.where(program.integer, np.round(point), point)
    if np.abs(rounded - point).max(initial=0.0) <= WHOLE:
        return rounded
    lower, upper = program.lower.copy(), program.upper.copy()
    lower[program.integer] = upper[program.integer] = rounded[program.integer]
    held = Highs(replace(program, lower=lower, upper=upper), relax=True, options={"presolve": "off"}).run()
    if held.status is not Status.OPTIMAL or held.point is None:
        return rounded
    return np.where(program.integer, rounded, held.point)


def _certified(program: Program) -> float:
    """A bound for a solver that states none: the optimum of the relaxation, which HiGHS proves."""
    relaxed = Highs(program, relax=True).run()
    return relaxed.objective if relaxed.status is Status.OPTIMAL else float("-inf")


def _run(solver: object, model: PyomoModel) -> tuple[np.ndarray, float | None]:
    """Values of the model's own columns, and the bound the solver states (None when it states no number)."""
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
    point = np.array([variable.value or 0.0 for variable in model.variables])
    bound = results.problem.lower_bound
    stated = isinstance(bound, (int, float)) and math.isfinite(bound)
    return point, float(bound) if stated else None


def _add_binaries(model: PyomoModel, pair: PyomoPair, steps: np.ndarray) -> None:
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
                values[group.start - point.size + place] = float(
                    point[pair.first[int(label)]] >= point[pair.second[int(label)]]
                )
    return values


__all__ = ["solve_with"]
