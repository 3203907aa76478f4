"""Solve a case: dispatch, bill, AC check, summary; and write it as a result folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from microgrid.case.load import told_in_file
from microgrid.case.model import Case
from microgrid.case.source import dump
from microgrid.dispatch.highs import version_text
from microgrid.dispatch.reasons import binding_reasons
from microgrid.dispatch.run import Dispatch, SolveSettings, dispatch
from microgrid.dispatch.solve import MONTHS, RELAXATION
from microgrid.errors import AuditFailed, InvalidInput, Problem, Residual
from microgrid.results import files
from microgrid.study import summary
from microgrid.study.billing import Billing, bill_tariffs, reactive_notes, twice_notes
from microgrid.study.cut_table import write_cuts
from microgrid.study.network_check import NetworkCheck, check_network
from microgrid.study.running import running_shares
from microgrid.study.secure import Secured, solve_secure
from microgrid.study.stored_bound import proven_bound, write_bound

Progress = Callable[[str], None]


@dataclass(frozen=True)
class SolvedCase:
    """A dispatched, billed and checked case; `check` is None when the case names no network."""

    case: Case
    dispatch: Dispatch
    data: xr.Dataset
    billing: Billing
    check: NetworkCheck | None
    summary: Mapping[str, Any]
    secured: Secured | None = None

    @property
    def violated(self) -> bool:
        """True when the AC network breaks a limit at any step, or (secure n1) after any outage."""
        if self.secured is not None and not self.secured.accepted:
            return True
        return self.check is not None and bool(self.check.violations)


def settings_of(case: Case) -> SolveSettings:
    """How far the case itself asks to be solved."""
    return SolveSettings(case.header.solve.gap, case.header.solve.time_limit_s)


def dispatch_case(case: Case, settings: SolveSettings | None = None, progress: Progress = lambda _: None) -> Dispatch:
    """Audited dispatch of a case by itself, without network; `settings` are the case's own when None."""
    wanted = settings or settings_of(case)
    with told_in_file(case):
        return dispatch(case.parts, case.horizon, case.inputs, settings=wanted, progress=progress)


def solve_case(
    case: Case,
    *,
    settings: SolveSettings | None = None,
    secure: str | None = None,
    progress: Progress = lambda _: None,
) -> SolvedCase:
    """Dispatch a case at least cost, bill it and check every step in AC.

    `secure` (``none``, ``n0``, ``n1``; the case's own when None) asks for a dispatch that the network accepts.

    Raises:
        Infeasible, SolverLimit, AuditFailed: see `microgrid.dispatch.run.dispatch`.
        InvalidInput: a secure dispatch is asked of a case without a network.
    """
    asked = secure or case.header.solve.secure
    if asked == "none":
        return finish(case, dispatch_case(case, settings, progress), progress)
    if not case.header.network:
        raise InvalidInput(
            Problem("a secure dispatch needs a network", "name one under network:", "solve.secure", asked)
        )
    secured = solve_secure(case, settings or settings_of(case), asked, progress)
    return finish(case, secured.dispatch, progress, secured)


def finish(case: Case, found: Dispatch, progress: Progress, secured: Secured | None = None) -> SolvedCase:
    """Bill, check and summarise an audited dispatch."""
    reasons = {
        f"{name}.binding": xr.DataArray(reason, dims="time") for name, reason in binding_reasons(found.solution).items()
    }
    data = found.dataset.assign(reasons)
    progress("bill")
    billing = bill_tariffs(case, data)
    check = secured.check if secured else None
    if check is None and case.header.network:
        progress("AC power flow of every step")
        check = check_network(case, dict(found.injections), running=running_shares(case.connections(), data))
    losses = (secured.losses,) if secured else ()
    residuals = (*found.audit.residuals, *billing.residuals, *(check.residuals if check else ()))
    missed = [residual for residual in residuals if not residual.holds]
    if missed:
        raise AuditFailed(missed)
    page = _summary(case, found, data, billing, check, (*residuals, *losses))
    page["bill_notes"] = [*billing.notes(), *twice_notes(case, billing)]
    if check is not None:
        page["bill_notes"] += reactive_notes(case, data, billing, check.poi_import_mvar)
    page["security"] = summary.security(secured, case.horizon) if secured else None
    return SolvedCase(case, found, data, billing, check, page, secured)


def _summary(
    case: Case,
    found: Dispatch,
    data: xr.Dataset,
    billing: Billing,
    check: NetworkCheck | None,
    residuals: tuple[Residual, ...],
) -> dict[str, Any]:
    horizon = case.horizon
    return {
        "case": summary.case_facts(case),
        "proof": summary.proof(found.solution, found.stages),
        "money": summary.money(data),
        "energy": summary.energy(data, horizon),
        "peaks": summary.peaks(data, horizon),
        "commitment": summary.commitment(data, horizon),
        "curtailment": summary.curtailment(data, horizon),
        "flexibility": summary.flexibility(data, horizon),
        "mix": summary.mix(data, horizon),
        "bill": billing.summary(),
        "network": summary.network(check, horizon) if check else None,
        "certificates": summary.certificates(residuals),
    }


def save(solved: SolvedCase, folder: Path) -> Path:
    """Write the result folder atomically and return it."""
    case, data = solved.case, solved.data
    with files.writing(folder) as draft:
        files.write_dataset(data, draft / files.DISPATCH)
        files.write_dataset(_inputs(case), draft / files.INPUTS)
        if solved.check is not None:
            files.write_dataset(solved.check.powerflow, draft / files.POWERFLOW)
            solved.check.write_network(draft / files.NETWORK)
        write_bound(solved.dispatch.solution, draft)
        if solved.secured is not None:
            write_cuts(solved.secured.cuts, draft)
        solved.billing.table.to_csv(draft / files.BILL, index=False, lineterminator="\n")
        (draft / files.CASE).write_text(dump(case.resolved), encoding="utf-8")
        files.write_json(solved.summary, draft / files.SUMMARY)
        files.write_manifest(draft, _facts(solved))
    return folder


def _inputs(case: Case) -> xr.Dataset:
    arrays = {
        key: xr.DataArray(np.asarray(values, float), dims="time", attrs={"units": case.units.get(key, "")})
        for key, values in case.inputs.items()
    }
    stamps = case.horizon.times.tz_localize(None).to_numpy("datetime64[ns]")
    return xr.Dataset(arrays, coords={"time": stamps})


def _facts(solved: SolvedCase) -> dict[str, Any]:
    solution = solved.dispatch.solution
    first = solution.stages[0].name
    name = "HiGHS" if first in {MONTHS, RELAXATION} else first
    network = solved.check.residuals if solved.check else ()
    certificates = (*solved.dispatch.audit.residuals, *solved.billing.residuals, *network)
    return {
        "case": solved.case.name,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": dict(solved.case.files),
        "solver": {
            "name": name,
            "version": version_text() if name == "HiGHS" else "",
            "objective_usd": solution.objective,
            "bound_usd": solution.bound,
            "relaxation_usd": proven_bound(solution),
            "gap": solution.gap,
            "stages": [stage.name for stage in solution.stages],
            "seed": 0,
        },
        "certificates": [dataclasses.asdict(residual) for residual in certificates],
    }


__all__ = ["SolvedCase", "dispatch_case", "finish", "save", "settings_of", "solve_case"]
