"""Recompute the certificates of a result folder from its files alone.

The case is rebuilt from the resolved ``case.yaml`` and ``inputs.nc``, the dispatch is taken from ``dispatch.nc`` and
every page is read on it again, the tariffs bill it again, and the network of ``network.json`` is solved again at
every step and compared with ``powerflow.nc``. What the folder states of all this (money, injections, reports, bill,
summary, gap) is compared with what comes out. The bound is added up again from the row prices of ``bound.nc``. No
optimiser takes part, so the marginal values of energy, and what branch and bound added to the bound, are as stated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower
import xarray as xr

from microgrid.case.load import load_resolved
from microgrid.case.model import Case
from microgrid.dispatch.audit import Audit, audit
from microgrid.dispatch.balance import CAMPUS
from microgrid.errors import Residual
from microgrid.formulation.horizon import Horizon
from microgrid.results.files import CASE, MANIFEST, NETWORK, POWERFLOW, SUMMARY, Results, changed_files
from microgrid.study.billing import bill_tariffs
from microgrid.study.cut_table import stored_cuts
from microgrid.study.network_check import NetworkCheck, check_network
from microgrid.study.running import running_shares
from microgrid.study.secure import LOSS_OF_POWER
from microgrid.study.stored import stored_residuals
from microgrid.study.stored_bound import bound_residual

VOLTAGE_TOLERANCE_PU = 1e-8


def verify_result(results: Results) -> list[Residual]:
    """Every certificate, recomputed: file hashes, rows, balance, money, bills, what is stored of them, power flow.

    A folder whose files changed is not read any further: the one residual names those files.

    Raises:
        InvalidInput: a file is not what a solve writes, although its hash is the stated one.
    """
    changed = changed_files(results)
    unchanged = Residual("files unchanged", float(len(changed)), 0.0, "files", ", ".join(changed))
    if changed:
        return [unchanged]
    case = stored_case(results)
    checked = stored_audit(results, case)
    billing = bill_tariffs(case, results.dispatch)
    residuals = [
        unchanged,
        *checked.residuals,
        *billing.residuals,
        *stored_residuals(results, case.horizon, checked, billing),
        *bound_residual(results, case),
    ]
    if case.header.network or results.powerflow is not None:
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
    objective = results.number(MANIFEST, "solver", "objective_usd")
    return audit(case.parts, case.horizon, case.inputs, values, objective, cuts=stored_cuts(results))


def stored_network(results: Results) -> Any:
    """The network of a result by itself, without the parts; InvalidInput when its file holds none."""
    try:
        net = pandapower.from_json(str(results.folder / NETWORK))
    except Exception as broken:  # pandapower's reader fails in many ways
        raise results.unreadable(NETWORK, broken) from broken
    if not isinstance(net, pandapower.pandapowerNet):
        raise results.unreadable(NETWORK, "no pandapower network")
    return net


def _network_residuals(results: Results, case: Case, checked: Audit) -> list[Residual]:
    stored = results.powerflow
    if stored is None:
        return [Residual("stored voltages", float("inf"), VOLTAGE_TOLERANCE_PU, "pu", f"no {POWERFLOW}")]
    running = running_shares(case.connections(), results.dispatch)
    again = check_network(case, dict(checked.injections), stored_network(results), running=running)
    difference = _largest_difference(stored, again.powerflow)
    count = abs(len(again.violations) - results.number(SUMMARY, "network", "violations"))
    losses = [_losses(results, case, checked, again)] if results.summary.get("security") else []
    return [
        *again.residuals,
        Residual(
            "stored voltages", difference, VOLTAGE_TOLERANCE_PU, "pu", f"{stored.sizes['time']} steps solved again"
        ),
        Residual("stored violations", count, 0.0, "violations"),
        *losses,
    ]


def _losses(results: Results, case: Case, checked: Audit, again: NetworkCheck) -> Residual:
    """Losses the secured dispatch reckoned with against those of the AC power flow (unsolved steps left out)."""
    name = f"{CAMPUS}.loss_mw"
    reckoned = results.dispatch[name].to_numpy() if name in results.dispatch else 0.0
    miss = np.nan_to_num(np.abs(again.campus_losses_mw(case, dict(checked.injections)) - reckoned))
    drawn = np.asarray(sum(np.clip(-power, 0.0, None) for power in checked.injections.values()))
    worst = case.horizon.label(int(np.argmax(miss)))
    return Residual(
        "losses", float(miss.max()), LOSS_OF_POWER * float(drawn.max()), "MW", f"dispatch against AC, {worst}"
    )


def _largest_difference(stored: xr.Dataset, again: xr.Dataset) -> float:
    """Largest |dV| over all buses and steps; steps that neither could solve agree."""
    if any(name not in stored or stored[name].shape != again[name].shape for name in ("vm_pu", "va_degree")):
        return float("inf")
    pairs = [
        dataset["vm_pu"].to_numpy() * np.exp(1j * np.radians(dataset["va_degree"].to_numpy()))
        for dataset in (stored, again)
    ]
    both = np.isnan(pairs[0]) & np.isnan(pairs[1])
    difference = np.where(both, 0.0, np.abs(pairs[0] - pairs[1]))
    return float("inf") if np.isnan(difference).any() else float(difference.max(initial=0.0))


__all__ = ["stored_audit", "stored_case", "stored_horizon", "stored_network", "verify_result"]
