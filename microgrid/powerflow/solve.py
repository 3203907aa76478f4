"""Solve operating points with retries and prove each one: residual of the power balance and sane voltages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property

import numpy as np

from microgrid.powerflow.grid import Grid
from microgrid.powerflow.injections import Injections
from microgrid.powerflow.newton import Network, numba_pays
from microgrid.powerflow.points import Overlay, Points

RESIDUAL_TOLERANCE_PU = 1e-7
SANE_VM_PU = (0.5, 1.5)
RESTART_ITERATIONS = 30


class Status(IntEnum):
    """How a step was solved; *unsettled* has a solution but its controls still wanted to move."""

    SOLVED = 0
    RESTARTED = 1
    PANDAPOWER = 2
    UNSETTLED = 3
    DIVERGENT = 4


@dataclass(frozen=True)
class Model:
    """A grid and the equations built from it; make it once and use it for every call."""

    grid: Grid

    @cached_property
    def network(self) -> Network:
        """Equations with the elimination plan of the grid."""
        return Network(self.grid.y_bus, self.grid.reference, self.grid.controlled)


@dataclass(frozen=True)
class Solved:
    """Voltages (buses, columns) complex pu, `Status`, Newton iterations and proven residual (pu) per column."""

    voltage: np.ndarray
    status: np.ndarray
    iterations: np.ndarray
    residual: np.ndarray

    @property
    def ok(self) -> np.ndarray:
        """True where a column is solved and proven."""
        return self.status < Status.DIVERGENT


def starting_voltage(grid: Grid, voltage: np.ndarray, vm_pu: np.ndarray, holds: np.ndarray) -> np.ndarray:
    """Starting voltages (buses, columns): references and buses that hold their magnitude at their set points.

    The Newton iteration holds whatever magnitude it starts from: a start that forgets a set point changes the question.
    """
    start = np.repeat(voltage, vm_pu.shape[1], axis=1) if voltage.shape[1] == 1 else voltage.copy()
    at = start[grid.controlled]
    start[grid.controlled] = np.where(holds, at / np.abs(at) * vm_pu, at)
    start[grid.reference] = grid.reference_voltage[:, None]
    return start


def points_of(grid: Grid, injections: Injections, voltage: np.ndarray, holds: np.ndarray, overlay: Overlay) -> Points:
    """Operating points with every set point in place."""
    start = starting_voltage(grid, voltage, injections.vm_pu, holds)
    return Points(injections.power, start, holds, injections.current, injections.impedance, overlay=overlay)


def drawn_power(model: Model, points: Points, voltage: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Power V conj(YV) that the network draws at bus `rows`, (rows, columns) complex pu, overlay included."""
    current = model.grid.y_bus[rows] @ voltage
    place = np.full(model.grid.buses, -1)
    place[rows] = np.arange(len(rows))
    overlay = points.overlay
    hit = np.flatnonzero(place[overlay.row_bus] >= 0) if len(overlay.column) else np.zeros(0, np.int64)
    column = overlay.column[hit]
    change = overlay.delta[hit] * voltage[overlay.column_bus[hit], column]
    np.add.at(current, (place[overlay.row_bus[hit]], column), change)
    return np.asarray(voltage[rows] * np.conj(current))


def residual(model: Model, points: Points, voltage: np.ndarray) -> np.ndarray:
    """Largest |V conj(YV) - S| per column (pu) over the balances that must hold; independent of the solver."""
    wanted = points.power
    if points.current is not None and points.impedance is not None:
        size = np.abs(voltage)
        wanted = wanted + points.current * size + points.impedance * size**2
    gap = drawn_power(model, points, voltage, np.arange(model.grid.buses)) - wanted
    gap[model.grid.reference] = 0.0
    held = gap[model.grid.controlled]
    gap[model.grid.controlled] = np.where(points.holds, held.real, held)
    if points.frozen is not None:
        gap[points.frozen] = 0.0
    largest: np.ndarray = np.abs(gap).max(axis=0, initial=0.0)
    return largest


def prove(model: Model, points: Points, voltage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`residual` of each column, and whether all its live voltages are sane; compiled when numba is there."""
    if numba_pays(voltage.size):
        from microgrid.powerflow.proof_kernel import proof  # noqa: PLC0415 -- numba must stay optional

        return proof(model, points, voltage)
    with np.errstate(all="ignore"):
        return residual(model, points, voltage), _sane(points, voltage)


def solve_points(model: Model, points: Points) -> Solved:
    """Solve all columns; those that fail or cannot be proven start again from the DC solution with more iterations."""
    solution = model.network.solve(points)
    proof, sane = prove(model, points, solution.voltage)
    good = solution.converged & (proof <= RESIDUAL_TOLERANCE_PU) & sane
    status = np.where(good, Status.SOLVED, Status.DIVERGENT).astype(np.int8)
    solved = Solved(solution.voltage, status, solution.iterations, proof)
    return solved if good.all() else _restart(model, points, solved)


def _sane(points: Points, voltage: np.ndarray) -> np.ndarray:
    size = np.abs(voltage)
    inside = (size > SANE_VM_PU[0]) & (size < SANE_VM_PU[1])
    return np.asarray((inside if points.frozen is None else inside | points.frozen).all(axis=0))


def _restart(model: Model, points: Points, solved: Solved) -> Solved:
    late = np.flatnonzero(~solved.ok)
    again = points.pick(late)
    phase = model.grid.start / np.abs(model.grid.start)
    start = np.repeat(phase[:, None], len(late), axis=1)
    start[model.grid.controlled] *= np.where(again.holds, np.abs(again.start[model.grid.controlled]), 1.0)
    start[model.grid.reference] = again.start[model.grid.reference]
    if again.frozen is not None:
        start = np.where(again.frozen, again.start, start)
    again = replace(again, start=start)
    solution = model.network.solve(again, max_iterations=RESTART_ITERATIONS, chord=False)
    proof, sane = prove(model, again, solution.voltage)
    good = solution.converged & (proof <= RESIDUAL_TOLERANCE_PU) & sane
    voltage, status = solved.voltage.copy(), solved.status.copy()
    iterations, proven = solved.iterations.copy(), solved.residual.copy()
    voltage[:, late], iterations[late], proven[late] = solution.voltage, solution.iterations, proof
    status[late] = np.where(good, Status.RESTARTED, Status.DIVERGENT)
    return Solved(voltage, status, iterations, proven)


def warm_start(model: Model, injections: Injections) -> np.ndarray:
    """Voltages (buses, 1) at the mean injection of the columns, or the DC start where that has no solution."""
    mean = injections.power.mean(axis=1, keepdims=True)
    current, impedance = (
        None if part is None else part.mean(axis=1, keepdims=True)
        for part in (injections.current, injections.impedance)
    )
    middle = Injections(mean, current, impedance, injections.vm_pu.mean(axis=1, keepdims=True))
    holds = np.ones(middle.vm_pu.shape, bool)
    points = points_of(model.grid, middle, model.grid.start[:, None], holds, Overlay.join([]))
    solved = solve_points(model, points)
    return solved.voltage if solved.ok.all() else model.grid.start[:, None]


__all__ = [
    "Model",
    "Solved",
    "Status",
    "drawn_power",
    "points_of",
    "prove",
    "residual",
    "solve_points",
    "starting_voltage",
    "warm_start",
]
