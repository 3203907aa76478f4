"""Single outages of a dispatch: every outage at every step, and the rows that keep them within emergency limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.connection import NetworkCut
from microgrid.powerflow.actions import Actions
from microgrid.powerflow.cuts import CutOptions, Decision, build_cuts, outage_snapshot
from microgrid.powerflow.judge import RowLimits
from microgrid.powerflow.limits import emergency_limits, normal_limits
from microgrid.powerflow.outage_cases import Outage, double_outage, resolve_outages, single_outages
from microgrid.powerflow.outage_columns import solve_outages
from microgrid.powerflow.outages import BROKEN, intact_network, run_outages
from microgrid.powerflow.screening import Screening
from microgrid.schema.spelling import did_you_mean
from microgrid.study.islanding import UnitOutage, grid_outage
from microgrid.study.network_check import NetworkCheck
from microgrid.study.outage_answers import with_answers

BLOCK = 512
WITH_SOURCE = "the grid, or in an island the machines by rating, takes over what an outage takes; no load is tripped"
ON_ITS_OWN = (
    "without the grid: sources respond in proportion to rating within one minute's room, loads that offer headroom are "
    "cut, firm loads are tripped whole (largest first, those of the network last), and a surplus is taken back"
)
NOT_BALANCED = "pieces without the grid are counted as islanded, not balanced"
NEAR_LOADING = 0.97
NEAR_MARGIN_PU = 0.003


@dataclass(frozen=True)
class OutageCheck:
    """Every outage at every step; `result` is the dataset of `microgrid.powerflow.outages.run_outages`."""

    result: xr.Dataset
    outages: tuple[Outage, ...]

    @property
    def broken(self) -> np.ndarray:
        """True where an outage breaks an emergency limit or has no solution, shape (outages, steps)."""
        return np.isin(self.result["status"].to_numpy(), BROKEN)

    @property
    def ledger(self) -> dict[str, int]:
        """Count of every status; the sum is outages times steps."""
        return {
            str(key).removeprefix("ledger_"): int(value)
            for key, value in self.result.attrs.items()
            if str(key).startswith("ledger_")
        }


def campus_outages(check: NetworkCheck) -> tuple[Outage, ...]:
    """Single outages of lines, transformers and generation; the line that stands for the grid's impedance is none."""
    beyond = set(check.poi_lines)
    return tuple(outage for outage in single_outages(check.attached) if not beyond & set(outage.elements))


def named_outages(check: NetworkCheck, *, buses: bool = False, doubles: Sequence[str] = ()) -> tuple[Outage, ...]:
    """Single outages and the loss of the grid connection, with those of buses when asked, and stated doubles.

    A double is named by two singles, such as ``trafo T1+line F1``.

    Raises:
        InvalidInput: a double names an element that is no single outage.
    """
    singles = (*campus_outages(check), *grid_outage(check))
    if buses:
        singles += tuple(outage for outage in single_outages(check.attached, ("bus",)) if not _at_source(check, outage))
    known = {outage.label: outage for outage in singles}
    problems, stated = [], []
    for text in doubles:
        names = [name.strip() for name in text.split("+")]
        unknown = [name for name in names if name not in known]
        if len(names) != 2 or unknown:
            listed = "name two outages as `microgrid contingency` lists them, joined by +"
            remedy = did_you_mean(unknown[0], known, listed) if unknown else listed
            problems.append(Problem("not two known outages", remedy, "--double", text))
        else:
            stated.append(double_outage(known[names[0]], known[names[1]]))
    if problems:
        raise InvalidInput(problems)
    return (*singles, *stated)


def _at_source(check: NetworkCheck, outage: Outage) -> bool:
    """True for outages that take the grid or the meter itself: the campus is then an island, another study."""
    return any(index in check.boundary_buses for _, index in outage.elements)


def check_outages(
    check: NetworkCheck,
    outages: tuple[Outage, ...] | None = None,
    *,
    units: tuple[UnitOutage, ...] = (),
    screen: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> OutageCheck:
    """Solve outages (all single ones when None) at every step; `screen` passes over what DC factors clear.

    Where `check` knows the rooms of its parts, outages that leave the campus or a piece of it on its own are answered
    by whether it carries on as an island; `units` are outages of one unit of several.
    """
    chosen = campus_outages(check) if outages is None else outages
    screening = Screening() if screen else None
    result = run_outages(
        check.attached, check.profiles, chosen, controls=check.controls, screening=screening, progress=progress
    )
    alone = bool(check.operation.rooms or units)
    if alone:
        result = with_answers(check, resolve_outages(check.grid, chosen), units, result)
    ratings = {
        "normal_percent": normal_limits(check.attached, check.grid).loading_percent,
        "emergency_percent": emergency_limits(check.attached, check.grid).loading_percent,
    }
    result = result.assign_coords({name: ("branch", values) for name, values in ratings.items()})
    actions = f"{WITH_SOURCE}; {ON_ITS_OWN if alone else NOT_BALANCED}"
    return OutageCheck(result.assign_attrs(actions=actions), chosen)


def outage_rows(check: NetworkCheck, found: OutageCheck, decisions: tuple[Decision, ...]) -> list[NetworkCut]:
    """Rows for every outage-step that breaks an emergency limit or comes near one."""
    cases = resolve_outages(check.grid, found.outages)
    limits = RowLimits.of(check.grid, emergency_limits(check.attached, check.grid))
    due = found.broken | _near(found.result)
    steps = np.flatnonzero(due.any(axis=0))
    cuts: list[NetworkCut] = []
    for begin in range(0, len(steps), BLOCK):
        chosen = steps[begin : begin + BLOCK]
        intact = intact_network(check.system, check.profiles, chosen)
        case, column = np.nonzero(due[:, chosen])
        columns = solve_outages(intact, cases, (case, column), limits, Actions())
        cuts += build_cuts(outage_snapshot(intact, cases, columns, chosen), decisions, limits, CutOptions())
    return cuts


def _near(result: xr.Dataset) -> np.ndarray:
    """Outage-steps within 3 % of an emergency rating or 0.003 pu of a voltage limit: the next optimum goes there."""
    loading = np.nan_to_num(result["loading"].to_numpy())
    low, high = (np.nan_to_num(result[name].to_numpy(), nan=1.0) for name in ("low_margin_pu", "high_margin_pu"))
    return np.asarray((loading > NEAR_LOADING) | (low < NEAR_MARGIN_PU) | (high < NEAR_MARGIN_PU))


__all__ = ["OutageCheck", "campus_outages", "check_outages", "named_outages", "outage_rows"]
