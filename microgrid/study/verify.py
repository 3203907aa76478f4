"""Recompute the certificates of a result folder from its files alone.

The case is rebuilt from the resolved ``case.yaml`` and ``inputs.nc``, the dispatch is taken from ``dispatch.nc`` and
every page is read on it again, the tariffs bill it again, and the network of ``network.json`` is solved again at
every step and compared with ``powerflow.nc``. No optimiser takes part.
"""

from __future__ import annotations

import numpy as np
import pandapower
import xarray as xr

from microgrid.case.load import load_resolved
from microgrid.case.model import Case
from microgrid.dispatch.audit import Audit, audit
from microgrid.errors import Residual
from microgrid.formulation.horizon import Horizon
from microgrid.results.files import CASE, NETWORK, Results, changed_files
from microgrid.study.billing import bill_tariffs
from microgrid.study.cut_table import stored_cuts
from microgrid.study.network_check import check_network

VOLTAGE_TOLERANCE_PU = 1e-8


def verify_result(results: Results) -> list[Residual]:
    """Every certificate, recomputed: file hashes, rows, balance, money, bills, power flow."""
    case = stored_case(results)
    changed = changed_files(results)
    checked = stored_audit(results, case)
    residuals = [
        Residual("files unchanged", float(len(changed)), 0.0, "files", ", ".join(changed)),
        *checked.residuals,
        *bill_tariffs(case, results.dispatch).residuals,
    ]
    if results.powerflow is not None:
        residuals += _network_residuals(results, case, checked)
    return residuals


def stored_case(results: Results) -> Case:
    """The case as it was solved."""
    inputs = {str(name): results.inputs[name].to_numpy() for name in results.inputs}
    return load_resolved(results.folder / CASE, inputs)


def stored_horizon(results: Results) -> Horizon:
    """Time axis of a result."""
    return stored_case(results).horizon


def stored_audit(results: Results, case: Case) -> Audit:
    """Read every page on the stored numbers."""
    values = {
        str(name): results.dispatch[name].to_numpy()
        for name in results.dispatch
        if results.dispatch[name].dtype.kind == "f"
    }
    objective = float(results.manifest["solver"]["objective_usd"])
    return audit(case.parts, case.horizon, case.inputs, values, objective, cuts=stored_cuts(results))


def _network_residuals(results: Results, case: Case, checked: Audit) -> list[Residual]:
    stored = results.powerflow
    assert stored is not None  # noqa: S101 - the caller has looked
    net = pandapower.from_json(str(results.folder / NETWORK))
    again = check_network(case, dict(checked.injections), net)
    difference = _largest_difference(stored, again.powerflow)
    count = abs(len(again.violations) - int(results.summary["network"]["violations"]))
    return [
        *again.residuals,
        Residual(
            "stored voltages", difference, VOLTAGE_TOLERANCE_PU, "pu", f"{stored.sizes['time']} steps solved again"
        ),
        Residual("stored violations", float(count), 0.0, "violations"),
    ]


def _largest_difference(stored: xr.Dataset, again: xr.Dataset) -> float:
    """Largest |dV| over all buses and steps; steps that neither could solve agree."""
    pairs = [
        dataset["vm_pu"].to_numpy() * np.exp(1j * np.radians(dataset["va_degree"].to_numpy()))
        for dataset in (stored, again)
    ]
    both = np.isnan(pairs[0]) & np.isnan(pairs[1])
    difference = np.where(both, 0.0, np.abs(pairs[0] - pairs[1]))
    return float("inf") if np.isnan(difference).any() else float(difference.max(initial=0.0))


__all__ = ["stored_audit", "stored_case", "stored_horizon", "verify_result"]
