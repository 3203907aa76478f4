"""Compare what a result folder states with the same numbers made again: bill, money, injections, reports, summary."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from microgrid.dispatch.audit import Audit
from microgrid.dispatch.solve import relative_gap
from microgrid.errors import Residual
from microgrid.formulation.horizon import Horizon
from microgrid.results.dataset import COST, INJECTION
from microgrid.results.files import BILL, MANIFEST, SUMMARY, Results
from microgrid.study import summary
from microgrid.study.billing import Billing

RELATIVE = 1e-9
"""Numbers are stored in full; what is made again differs by the order of sums at most."""
BOUND_RELATIVE = 1e-6  # a solver's bound is exact to its own tolerances


def stored_residuals(results: Results, horizon: Horizon, checked: Audit, billing: Billing) -> list[Residual]:
    """Stored numbers against those made again from the stored decisions."""
    reading = checked.reading
    injections = {f"{INJECTION}{part}@{bus}" if bus else f"{INJECTION}{part}": power
                  for (part, bus), power in checked.injections.items()}  # fmt: skip
    return [
        _variables(results.dispatch, list(reading.variables)),
        _arrays("stored money", results.dispatch, {COST + name: item for name, item in reading.costs.items()}, COST),
        _arrays("stored injections", results.dispatch, injections, INJECTION),
        _arrays("stored reports", results.dispatch, reading.reported),
        _bill(results, billing),
        _summary(results, horizon, billing),
        *_proof(results),
    ]


def _variables(dispatch: xr.Dataset, names: list[str]) -> Residual:
    missing = [name for name in names if name not in dispatch]
    return Residual("stored decisions", float(len(missing)), 0.0, "missing", ", ".join(missing[:3]))


def _arrays(check: str, dispatch: xr.Dataset, again: Mapping[str, np.ndarray], prefix: str = "") -> Residual:
    """Worst relative difference by variable; one that only one side knows (by `prefix`) is infinitely far."""
    stored = {str(name) for name in dispatch if prefix and str(name).startswith(prefix)}
    misses = {name: _miss(dispatch, name, numbers) for name, numbers in again.items()}
    misses |= dict.fromkeys(stored - set(again), float("inf"))
    worst = max(misses, key=lambda name: misses[name], default="")
    return Residual(check, misses.get(worst, 0.0), RELATIVE, "relative", worst)


def _miss(dispatch: xr.Dataset, name: str, again: np.ndarray) -> float:
    if name not in dispatch or dispatch[name].shape != np.shape(again):
        return float("inf")
    return _apart(dispatch[name].to_numpy().astype(float), np.asarray(again, float))


def _apart(stored: np.ndarray, again: np.ndarray) -> float:
    """Largest difference relative to the number (at least 1); NaN agrees with NaN alone."""
    same = (np.isnan(stored) & np.isnan(again)) | (stored == again)
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(stored - again) / np.maximum(1.0, np.abs(again)))
    return float("inf") if np.isnan(difference).any() else float(difference.max(initial=0.0))


def _bill(results: Results, billing: Billing) -> Residual:
    """Every line of bill.csv against the bill made again; other words or another number of lines are never the same."""
    text = io.StringIO(billing.table.to_csv(index=False, lineterminator="\n"))
    again = pd.read_csv(text, dtype=str, keep_default_na=False)
    try:
        stored = pd.read_csv(results.folder / BILL, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as broken:
        raise results.unreadable(BILL, broken) from broken
    where = f"{len(again)} lines"
    if list(stored.columns) != list(again.columns) or len(stored) != len(again):
        return Residual("stored bill", float("inf"), RELATIVE, "relative", f"{len(stored)} lines for {where}")
    misses = [_disagreement(_plain(left), _plain(right)) for left, right in
              zip(stored.to_numpy().ravel(), again.to_numpy().ravel(), strict=True)]  # fmt: skip
    worst = int(np.argmax(misses)) if misses else 0
    if misses and misses[worst] > RELATIVE:
        row = again.iloc[worst // len(again.columns)]
        where = f"line {worst // len(again.columns) + 2}: {row['tariff']} {row['charge']}"
    return Residual("stored bill", max(misses, default=0.0), RELATIVE, "relative", where)


def _plain(entry: str) -> float | str:
    try:
        return float(entry)
    except ValueError:
        return entry


def _summary(results: Results, horizon: Horizon, billing: Billing) -> Residual:
    """Sections of summary.json that come from the dispatch and the bill alone."""
    data = results.dispatch
    again: dict[str, Any] = {
        "money": summary.money(data),
        "energy": summary.energy(data, horizon),
        "peaks": summary.peaks(data, horizon),
        "commitment": summary.commitment(data, horizon),
        "curtailment": summary.curtailment(data, horizon),
        "flexibility": summary.flexibility(data, horizon),
        "mix": summary.mix(data, horizon),
        "bill": billing.summary(),
    }
    misses = {name: _disagreement(results.stated(SUMMARY, name), json.loads(json.dumps(section)))
              for name, section in again.items()}  # fmt: skip
    for fact in ("objective_usd", "bound_usd", "gap"):
        stated = results.number(SUMMARY, "proof", fact)
        misses[f"proof.{fact}"] = _disagreement(stated, results.number(MANIFEST, "solver", fact))
    wrong = [name for name, miss in misses.items() if miss > RELATIVE]
    return Residual("stored summary", max(misses.values()), RELATIVE, "relative", ", ".join(wrong) or "all sections")


def _disagreement(stored: Any, again: Any) -> float:
    """Largest relative difference of two records; infinite where they differ in anything but numbers."""
    if isinstance(stored, dict) and isinstance(again, dict) and stored.keys() == again.keys():
        return max((_disagreement(stored[key], again[key]) for key in again), default=0.0)
    if isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
        return max((_disagreement(*pair) for pair in zip(stored, again, strict=True)), default=0.0)
    if stored == again:
        return 0.0
    if isinstance(stored, (int, float)) and isinstance(again, (int, float)):
        return _apart(np.array([float(stored)]), np.array([float(again)]))
    return float("inf")


def _proof(results: Results) -> list[Residual]:
    """The bound is none above the objective, and the gap is that of both."""
    objective, bound, gap = (
        results.number(MANIFEST, "solver", fact) for fact in ("objective_usd", "bound_usd", "gap")
    )  # fmt: skip
    above = max(0.0, bound - objective) if math.isfinite(bound) else float("inf")
    return [
        Residual("bound below objective", above, BOUND_RELATIVE * max(1.0, abs(objective)), "USD", "manifest"),
        Residual("gap of objective and bound", abs(gap - relative_gap(objective, bound)), RELATIVE, "1", "manifest"),
    ]


__all__ = ["stored_residuals"]
