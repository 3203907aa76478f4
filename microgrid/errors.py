"""Every error a user can meet, drawn as one tree; each leaf owns one exit code.

    MicrogridError                    1  a defect of the program itself
    ├── InvalidInput                  2  a case, tariff, network or series breaks a rule
    ├── Infeasible                    3  no dispatch satisfies the stated limits
    ├── NetworkViolation              4  the AC network still breaks a limit
    ├── SolverLimit                   5  time or node limit reached before the asked gap
    └── AuditFailed                   6  a recomputed quantity disagrees with the solver

Only `microgrid.cli` turns them into exit codes; every other layer lets them pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Problem:
    """One broken rule of an input, told so that the user can mend it without the manual.

    `file`, `line` and `column` (1-based) locate it; zero means "unknown".
    """

    rule: str
    remedy: str = ""
    field: str = ""
    value: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Render as ``file:line:col: field: value: rule: remedy``, leaving empty parts out."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        parts = (place, self.field, self.value, self.rule, self.remedy)
        return ": ".join(part for part in parts if part)


class MicrogridError(Exception):
    """Root of the tree; raised bare only for a defect of the program."""

    exit_code: ClassVar[int] = 1


class InvalidInput(MicrogridError):
    """One or more problems found in what the user supplied; carries all of them."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem] | Problem) -> None:
        """Keep the problems in the order found."""
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True)
class Conflict:
    """One limit that takes part in an infeasibility, in the field's terms.

    `shortfall_mw` is the largest relaxation needed, `hours` for how long any is needed, `worst` when the
    largest occurs (local time of the case).
    """

    limit: str
    shortfall_mw: float
    hours: float
    worst: str
    detail: str = ""


class Infeasible(MicrogridError):
    """No dispatch satisfies the limits; `conflicts` names them with MW and hours."""

    exit_code = 3

    def __init__(self, message: str, conflicts: Sequence[Conflict] = ()) -> None:
        """Keep the conflicts, worst first."""
        self.conflicts = tuple(conflicts)
        super().__init__(message)


class NetworkViolation(MicrogridError):
    """The dispatch stands, but the AC network still breaks limits."""

    exit_code = 4


class SolverLimit(MicrogridError):
    """The solver stopped at a limit before the asked gap was proven."""

    exit_code = 5


@dataclass(frozen=True)
class Residual:
    """Largest disagreement found by one audit check, in the unit given, with its tolerance.

    `empty` says that there was nothing to check: no failure, but no proof either.
    """

    check: str
    value: float
    tolerance: float
    unit: str
    where: str = ""
    empty: bool = False

    @property
    def holds(self) -> bool:
        """True when the residual is a number within its tolerance (NaN never holds)."""
        return self.value <= self.tolerance


class AuditFailed(MicrogridError):
    """A recomputed row, balance, cost or bill disagrees with the solver; nothing is published."""

    exit_code = 6

    def __init__(self, residuals: Sequence[Residual]) -> None:
        """Keep the residuals that miss their tolerance."""
        self.residuals = tuple(residuals)
        lines = [
            f"{item.check}: {item.value:.3g} {item.unit} (tolerance {item.tolerance:.1g}) {item.where}"
            for item in self.residuals
        ]
        super().__init__("\n".join(lines))


__all__ = [
    "AuditFailed",
    "Conflict",
    "Infeasible",
    "InvalidInput",
    "MicrogridError",
    "NetworkViolation",
    "Problem",
    "Residual",
    "SolverLimit",
]
