"""Recompute a finished dispatch from its own numbers: rows, bounds, integrality, balance, money.

Every part's page is read again with the result's numbers in place of variables. Pyomo, the compiled matrix and HiGHS
take no part, so an error in any of them shows as a residual. A residual above its tolerance publishes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from microgrid.dispatch.balance import CAMPUS, formulate_balance
from microgrid.errors import AuditFailed, Residual
from microgrid.formulation.algebra import number
from microgrid.formulation.block import Campus
from microgrid.formulation.connection import NetworkCut
from microgrid.formulation.evaluate import Reading, RowResidual, ValueBlock
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared

ROW_TOLERANCE = 2e-6  # relative to the larger side of the row, at least 1; HiGHS itself works to 1e-7 absolute
BOUND_TOLERANCE = 1e-6
INTEGER_TOLERANCE = 1e-9  # counts are stored rounded
OVERLAP_TOLERANCE_MW = 1e-5
MONEY_TOLERANCE_USD = 0.01  # or 1e-9 of the money that flows, whichever is larger


@dataclass(frozen=True)
class Audit:
    """What the parts' pages say about a result.

    `injections` holds MW per (part, bus), shape (steps,); `reading` rows, costs and reports; `residuals` the checks.
    """

    reading: Reading
    injections: Mapping[tuple[str, str], np.ndarray]
    residuals: tuple[Residual, ...]

    def require(self) -> None:
        """Raise AuditFailed when any residual misses its tolerance."""
        missed = [residual for residual in self.residuals if not residual.holds]
        if missed:
            raise AuditFailed(missed)


def audit(
    parts: Mapping[str, Declared],
    horizon: Horizon,
    inputs: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    objective: float,
    *,
    groups: Mapping[str, str] | None = None,
    cuts: Sequence[NetworkCut] = (),
    carried: Mapping[str, float] | None = None,
) -> Audit:
    """Evaluate all pages on `values` (variable name → array) and compare with the solver's `objective`."""
    campus, reading = Campus(), Reading()
    for name, part in parts.items():
        ValueBlock(name, part, horizon, inputs, campus, carried).read(values, reading)
    page = ValueBlock(CAMPUS, Declared(), horizon, inputs, campus)
    page.values, page.reading = values, reading
    formulate_balance(page, parts, groups or {}, cuts)
    injections = {key: np.array([number(term) for term in terms]) for key, terms in campus.injections.items()}
    return Audit(reading, injections, tuple(_residuals(reading, horizon, objective)))


def _residuals(reading: Reading, horizon: Horizon, objective: float) -> list[Residual]:
    balance = _worst([row for row in reading.rows if row.name.startswith(f"{CAMPUS}.")])
    rows = _worst([row for row in reading.rows if not row.name.startswith(f"{CAMPUS}.")])
    money = sum(float(item.sum()) for item in reading.costs.values())
    flow = sum(float(np.abs(item).sum()) for item in reading.costs.values())
    overlap = max(reading.overlaps.items(), key=lambda item: item[1], default=("", 0.0))
    return [
        Residual("balance", balance.relative, ROW_TOLERANCE, "relative", _place(balance, horizon)),
        Residual("rows", rows.relative, ROW_TOLERANCE, "relative", _place(rows, horizon)),
        Residual("bounds", reading.bound_miss, BOUND_TOLERANCE, "relative", reading.worst_bound),
        Residual("integrality", reading.integer_miss, INTEGER_TOLERANCE, "1"),
        Residual("exclusive pairs", overlap[1], OVERLAP_TOLERANCE_MW, "MW", overlap[0]),
        Residual("objective", abs(money - objective), max(MONEY_TOLERANCE_USD, 1e-9 * flow), "USD"),
    ]


def _worst(rows: Sequence[RowResidual]) -> RowResidual:
    return max(rows, key=lambda row: row.relative, default=RowResidual("no rows", "", 0, 0.0, 0.0, -1))


def _place(row: RowResidual, horizon: Horizon) -> str:
    if 0 <= row.position < horizon.count:
        return f"{row.name} at {horizon.label(row.position)}"
    return row.name


__all__ = ["Audit", "audit"]
