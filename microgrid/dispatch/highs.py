"""The one place that speaks to HiGHS: pass a program, run it, read status, point, bound and duals.

HiGHS 1.14.0 returned wrong MIP optima as "optimal"; the project requires 1.15 or newer and checks it here.
"""

from __future__ import annotations

import ctypes
import math
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

import highspy
import numpy as np

from microgrid.dispatch.compile import Program
from microgrid.errors import MicrogridError

MINIMUM_VERSION = (1, 15)
LEAST_SECONDS = 0.01
"""Even a run that begins too late gets so long, and says so."""
CONTINUOUS, WHOLE = (np.int32(int(kind)) for kind in (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger))
Basis = tuple[np.ndarray, np.ndarray]
"""Statuses (`highspy.HighsBasisStatus`) of columns and rows."""

_ONE_AT_A_TIME = threading.Lock()
"""Two threads that both redirect standard output would restore each other's nowhere."""


class Status(Enum):
    """How a run ended."""

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    LIMIT = "limit"
    FAILED = "failed"


_STATUS = {
    highspy.HighsModelStatus.kOptimal: Status.OPTIMAL,
    highspy.HighsModelStatus.kInfeasible: Status.INFEASIBLE,
    highspy.HighsModelStatus.kUnbounded: Status.UNBOUNDED,
    highspy.HighsModelStatus.kUnboundedOrInfeasible: Status.INFEASIBLE,
    highspy.HighsModelStatus.kTimeLimit: Status.LIMIT,
    highspy.HighsModelStatus.kIterationLimit: Status.LIMIT,
    highspy.HighsModelStatus.kSolutionLimit: Status.LIMIT,
    highspy.HighsModelStatus.kInterrupt: Status.LIMIT,
}


@dataclass(frozen=True)
class Outcome:
    """A run's status, best point (None when there is none), its objective and the proven bound (both with offset)."""

    status: Status
    point: np.ndarray | None
    objective: float
    bound: float
    row_duals: np.ndarray | None = None


class Highs:
    """A HiGHS instance that holds one program and can be re-run with other bounds."""

    def __init__(
        self, program: Program, *, relax: bool = False, options: dict[str, Any] | None = None, until: float = math.inf
    ) -> None:
        """Pass `program`; with `relax` every column is continuous. Every run ends at `until` of `time.perf_counter`."""
        check_version()
        self.until = until
        with _silenced():
            self.solver = highspy.Highs()
        self.set({"output_flag": False, "threads": 1, **(options or {})})
        self.mixed = bool(program.integer.any()) and not relax
        self._cost, self._offset = program.cost, program.offset
        self._pass(program)

    def _pass(self, program: Program) -> None:
        """Pass the arrays themselves: through the fields of a `highspy.HighsLp` they take six times as long."""
        matrix, rowwise, least = program.matrix, highspy.MatrixFormat.kRowwise, highspy.ObjSense.kMinimize
        status = self.solver.passModel(
            *(matrix.shape[1], matrix.shape[0], matrix.nnz, int(rowwise), int(least), float(program.offset)),
            *(program.cost, program.lower, program.upper, program.row_lower, program.row_upper),
            *(matrix.indptr, matrix.indices, matrix.data),
            np.where(program.integer & self.mixed, WHOLE, CONTINUOUS),
        )
        if status == highspy.HighsStatus.kError:
            raise MicrogridError("HiGHS refused the compiled program")

    def set(self, options: dict[str, Any]) -> None:
        """Set HiGHS options; an unknown one is a defect."""
        for name, value in options.items():
            if self.solver.setOptionValue(name, value) == highspy.HighsStatus.kError:
                raise MicrogridError(f"HiGHS has no option {name} = {value!r}")

    def bounds(self, columns: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
        """Change the bounds of some columns; the basis is kept for a warm start."""
        self.solver.changeColsBounds(
            columns.size, columns.astype(np.int32), np.asarray(lower, float), np.asarray(upper, float)
        )

    def limits(self, rows: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
        """Change the limits of some rows; the basis is kept for a warm start."""
        self.solver.changeRowsBounds(
            rows.size, rows.astype(np.int32), np.asarray(lower, float), np.asarray(upper, float)
        )

    def minimise(self, cost: np.ndarray, offset: float) -> None:
        """Change the objective; the basis is kept for a warm start."""
        self._cost, self._offset = cost, offset
        self.solver.changeColsCost(cost.size, np.arange(cost.size, dtype=np.int32), np.asarray(cost, float))
        self.solver.changeObjectiveOffset(float(offset))

    @property
    def seconds(self) -> float:
        """Seconds run so far, which the solver's time limit counts from."""
        return float(self.solver.getRunTime())

    def basis(self) -> Basis:
        """Basis statuses of columns and rows."""
        basis = self.solver.getBasis()
        return np.array(basis.col_status, dtype=object), np.array(basis.row_status, dtype=object)

    def start_from_basis(self, columns: np.ndarray, rows: np.ndarray) -> None:
        """Start the simplex method from a basis, which HiGHS completes where it is singular."""
        basis = highspy.HighsBasis()
        basis.col_status, basis.row_status, basis.valid, basis.alien = columns.tolist(), rows.tolist(), True, True
        self.solver.setBasis(basis)

    @property
    def pivots(self) -> int:
        """Simplex pivots of the last run."""
        return int(self.solver.getInfo().simplex_iteration_count)

    def start_from(self, point: np.ndarray) -> None:
        """Offer a starting point (MIP start)."""
        solution = highspy.HighsSolution()
        solution.col_value = list(point)
        self.solver.setSolution(solution)

    def run(self) -> Outcome:
        """Solve and read the outcome."""
        if self.until < math.inf:
            left = max(LEAST_SECONDS, self.until - time.perf_counter())
            self.set({"time_limit": self.seconds + left})
        self.solver.run()
        status = _STATUS.get(self.solver.getModelStatus(), Status.FAILED)
        info = self.solver.getInfo()
        solved = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        solution = self.solver.getSolution()
        point = np.array(solution.col_value) if solved else None
        # Stopped at a target, HiGHS 1.16 states the objective of one point and returns another: take that of the point.
        objective = float(self._cost @ point + self._offset) if point is not None else float("inf")
        if self.mixed:
            return Outcome(status, point, objective, float(info.mip_dual_bound))
        bound = objective if status is Status.OPTIMAL else float("-inf")
        duals = np.array(solution.row_dual) if status is Status.OPTIMAL else None
        return Outcome(status, point, objective, bound, duals)


def give_back_memory() -> None:
    """Return what freed solvers held to the system: the heaps of worker threads would keep it, unused."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library; elsewhere nothing is kept
    if trim is not None:
        trim(0)


@contextmanager
def _silenced() -> Iterator[None]:
    """Drop what C code prints: HiGHS greets on stdout before any option can stop it, which would spoil --json."""
    with _ONE_AT_A_TIME:
        yield from _into_nowhere()


def _into_nowhere() -> Iterator[None]:
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with open(os.devnull, "w", encoding="utf-8") as sink:  # noqa: PTH123 - a device, not a project file
            os.dup2(sink.fileno(), 1)
            yield
            ctypes.CDLL(None).fflush(None)
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def check_version() -> None:
    """Raise when HiGHS is older than the first version whose MIP answers are trusted."""
    version = version_text()
    numbers = tuple(int(entry) for entry in re.findall(r"\d+", version)[:2])
    if numbers < MINIMUM_VERSION:
        raise MicrogridError(f"HiGHS {version} is too old (wrong MIP optima before 1.15): pip install -U highspy")


def version_text() -> str:
    """HiGHS version, e.g. ``1.16.0``."""
    return f"{highspy.HIGHS_VERSION_MAJOR}.{highspy.HIGHS_VERSION_MINOR}.{highspy.HIGHS_VERSION_PATCH}"


__all__ = ["LEAST_SECONDS", "Basis", "Highs", "Outcome", "Status", "check_version", "give_back_memory", "version_text"]
