"""The Python API: dispatch a case, check a dispatch in AC, or do both with bill and summary."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from microgrid.case.model import Case
from microgrid.dispatch.run import SolveSettings
from microgrid.results.dataset import INJECTION
from microgrid.study.network_check import NetworkCheck, check_network
from microgrid.study.running import running_shares
from microgrid.study.solve import SolvedCase, dispatch_case, save, solve_case


def dispatch(case: Case, settings: SolveSettings | None = None) -> xr.Dataset:
    """Least-cost dispatch of a case, audited; see `microgrid.results.dataset` for names and units."""
    return dispatch_case(case, settings).dataset


def check(case: Case, dispatched: xr.Dataset) -> NetworkCheck:
    """AC power flow of every step of a dispatch on the case's network."""
    injections = {}
    for name in dispatched:
        if str(name).startswith(INJECTION):
            part, _, bus = str(name).removeprefix(INJECTION).partition("@")
            injections[part, bus] = dispatched[name].to_numpy()
    return check_network(case, injections, running=running_shares(case.connections(), dispatched))


def study(case: Case, folder: str | Path | None = None, settings: SolveSettings | None = None) -> SolvedCase:
    """Dispatch, bill, check and summarise a case; write the result folder when one is given."""
    solved = solve_case(case, settings=settings)
    if folder is not None:
        save(solved, Path(folder))
    return solved


__all__ = ["check", "dispatch", "study"]
