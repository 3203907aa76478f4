"""Every outage at every step in AC, each with exactly one status, and a ledger that adds up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from microgrid.network.profiles import Profiles
from microgrid.powerflow.actions import Actions, check_actions
from microgrid.powerflow.controls import Controls
from microgrid.powerflow.injections import check_profiles, injections
from microgrid.powerflow.judge import RowLimits, Verdict
from microgrid.powerflow.limits import emergency_limits
from microgrid.powerflow.outage_cases import Outage, OutageCase, resolve_outages, single_outages
from microgrid.powerflow.outage_columns import EXCESS, Intact, OutageColumns, solve_outages
from microgrid.powerflow.screening import Screening, flagged
from microgrid.powerflow.settle import Batch, Regulated, regulated, settle, settle_in_order
from microgrid.powerflow.solve import warm_start
from microgrid.powerflow.violations import Violation

GROUP_BYTES = 40e6  # one large outage at a time keeps arrays in place: no gathering of columns
INTACT_BYTES = 150e6


class OutageStatus(IntEnum):
    """What an outage at a step amounts to; of several, the gravest.

    *islanded* means that buses lost their supply and the rest stays within emergency limits. *screened* was passed over
    by a DC screen and not solved. *not possible* has no intact network to start from.
    """

    SECURE = 0
    ISLANDED = 1
    VOLTAGE = 2
    OVERLOAD = 3
    DIVERGENT = 4
    SCREENED = 5
    NOT_POSSIBLE = 6


BROKEN = (OutageStatus.VOLTAGE, OutageStatus.OVERLOAD, OutageStatus.DIVERGENT)
"""Statuses in which a limit is broken, or nothing is known to keep it."""
NUMBERS = {
    "loading": ("1", "largest loading over its emergency limit"),
    "low_margin_pu": ("1", "least distance of a voltage above its lower emergency limit"),
    "high_margin_pu": ("1", "least distance of a voltage below its upper emergency limit"),
    "voltage_change_pu": ("1", "largest change of a voltage magnitude, taps where they stood"),
    "lost_mw": ("MW", "load at buses without supply, and load that is itself the outage"),
    "tripped_mw": ("MW", "load tripped by the stated scheme"),
    "redispatched_mw": ("MW", "generation taken over by droop"),
}
PLACES = {
    "loading_branch": "branch of the largest loading",
    "low_bus": "bus row of the least lower margin",
    "high_bus": "bus row of the least upper margin",
    "change_bus": "bus row of the largest change",
}


@dataclass
class _Table:
    """Arrays (outages, steps) of a study."""

    shape: tuple[int, int]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    sampled: int = 0
    missed: int = 0
    passed_over: int = 0

    def __post_init__(self) -> None:
        """Allocate."""
        self.arrays["status"] = np.full(self.shape, OutageStatus.NOT_POSSIBLE, np.int8)
        for name in NUMBERS:
            self.arrays[name] = np.full(self.shape, np.nan, np.float32)
        for name in PLACES:
            self.arrays[name] = np.full(self.shape, -1, np.int32)

    def write(self, columns: OutageColumns, place: np.ndarray, lost_mw: np.ndarray, status: np.ndarray) -> None:
        """Write solved columns at the steps `place`."""
        at, verdict, ok = (columns.case, place), columns.verdict, columns.ok
        self.arrays["status"][at] = status
        numbers = (verdict.loading, verdict.low_margin, verdict.high_margin, verdict.change)
        for name, values in zip(NUMBERS, numbers, strict=False):
            self.arrays[name][at] = np.where(ok, values, np.nan)
        self.arrays["lost_mw"][at] = lost_mw
        self.arrays["tripped_mw"][at], self.arrays["redispatched_mw"][at] = columns.tripped_mw, columns.redispatched_mw
        buses = (verdict.loading_branch, verdict.low_bus, verdict.high_bus, verdict.change_bus)
        for name, values in zip(PLACES, buses, strict=True):
            self.arrays[name][at] = np.where(ok, values, -1)


def intact_network(system: Regulated, profiles: Profiles, steps: np.ndarray) -> Intact:
    """Solve the network before any outage at the chosen steps, controls at rest."""
    parts = (profiles.p_mw, profiles.q_mvar, profiles.vm_pu, profiles.online)
    picked = Profiles(len(steps), *({name: rows[:, steps] for name, rows in part.items()} for part in parts))
    given = injections(system.model.grid, picked, 0, len(steps))
    position = np.repeat(system.base_position[:, None], len(steps), axis=1)
    batch = Batch(np.arange(len(steps)), given, warm_start(system.model, given), position)
    settled = (settle_in_order if system.controls.tap_memory else settle)(system, picked, batch)
    return Intact(system, picked, np.arange(len(steps)), settled)


def run_outages(  # noqa: PLR0913 -- the public call names every choice
    net: Any,
    profiles: Profiles,
    outages: Iterable[Outage] | None = None,
    *,
    controls: Controls | None = None,
    steps: np.ndarray | None = None,
    times: pd.DatetimeIndex | None = None,
    actions: Actions | None = None,
    screening: Screening | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Solve every outage at every step, or at the chosen `steps` (positions in the profiles).

    Args:
        net: pandapower net; not changed.
        profiles: powers by table and step.
        outages: all single ones of lines, transformers and generation when None (`single_outages`).
        controls: of the intact network; read from the net when None. Taps and banks stay where they stood.
        steps: positions to study, all when None; with tap memory they are taken as consecutive.
        times: stamps of all steps of the profiles.
        actions: automatic responses, none when None.
        screening: DC screen, off when None.
        progress: called with (outage-steps done, all).

    Returns:
        Dataset over (outage, time): ``status`` (`OutageStatus`), ``loading``, margins, ``voltage_change_pu``,
        ``lost_mw``, ``tripped_mw``, ``redispatched_mw`` and the elements they belong to. ``buses_lost`` names the buses
        of each outage. ``attrs`` hold the ledger: the counts of all statuses and their sum.

    Raises:
        InvalidInput: an element, outage or action does not exist, or a profile does not fit.
    """
    system = regulated(net, controls)
    grid, taken = system.model.grid, actions or Actions()
    check_profiles(grid, profiles)
    cases = resolve_outages(grid, single_outages(net) if outages is None else outages)
    check_actions(grid, taken, tuple(case.outage.label for case in cases))
    chosen = np.arange(profiles.steps) if steps is None else np.asarray(steps, np.int64)
    limits = RowLimits.of(grid, emergency_limits(net, grid))
    table = _Table((len(cases), len(chosen)))
    study = _Study(cases, limits, taken, screening, table, progress)
    size = max(64, int(INTACT_BYTES / (100.0 * grid.buses)))
    for begin in range(0, len(chosen), size):
        study.run(intact_network(system, profiles, chosen[begin : begin + size]), begin)
    return _dataset(system, cases, table, chosen, times)


@dataclass
class _Study:
    cases: tuple[OutageCase, ...]
    limits: RowLimits
    actions: Actions
    screening: Screening | None
    table: _Table
    progress: Callable[[int, int], None] | None
    done: int = 0

    def run(self, intact: Intact, begin: int) -> None:
        """Solve all outages at the steps of `intact`, which start at `begin` in the table."""
        count, live = len(intact.steps), intact.settled.solved.ok
        due = np.repeat(live[None], len(self.cases), axis=0)
        if self.screening is not None:
            due &= flagged(intact.system.model.grid, intact.settled, self.cases, self.limits, self.screening)
            self._measure_recall(intact, due, live, begin)
        together = max(1, int(GROUP_BYTES / (100.0 * intact.system.model.grid.buses * count)))
        for first in range(0, len(self.cases), together):
            numbers = np.arange(first, min(first + together, len(self.cases)))
            case, column = np.nonzero(due[numbers])
            if len(case):
                self._solve(intact, (numbers[case], column), begin)
            self.done += len(numbers) * count
            if self.progress is not None:
                self.progress(self.done, len(self.cases) * self.table.shape[1])

    def _solve(self, intact: Intact, pairs: tuple[np.ndarray, np.ndarray], begin: int) -> OutageColumns:
        columns = solve_outages(intact, self.cases, pairs, self.limits, self.actions)
        status = outage_status(self.cases, columns)
        self.table.write(columns, begin + columns.column, _lost_mw(intact, self.cases, columns), status)
        return columns

    def _measure_recall(self, intact: Intact, due: np.ndarray, live: np.ndarray, begin: int) -> None:
        """Mark what the screen passes over, and solve a random sample of it."""
        assert self.screening is not None  # noqa: S101 -- told by the caller
        case, column = np.nonzero(~due & live)
        self.table.arrays["status"][case, begin + column] = OutageStatus.SCREENED
        picked = np.random.default_rng(self.screening.seed).permutation(len(case))[: self.screening.sample]
        self.table.passed_over += len(case)
        self.table.sampled += len(picked)
        if len(picked):
            order = np.sort(picked)
            columns = self._solve(intact, (case[order], column[order]), begin)
            self.table.missed += int(columns.broken.sum())


def outage_status(cases: tuple[OutageCase, ...], columns: OutageColumns) -> np.ndarray:
    """Exactly one `OutageStatus` per column."""
    islanded = np.array([bool(case.buses_lost) for case in cases])[columns.case]
    return gravest(columns.ok, columns.verdict, islanded)


def gravest(ok: np.ndarray, verdict: Verdict, islanded: np.ndarray) -> np.ndarray:
    """Gravest `OutageStatus` of columns that are solved (`ok`) or not, judged, and left with all buses or not."""
    voltage = (verdict.low_margin < -EXCESS) | (verdict.high_margin < -EXCESS)
    overload = verdict.loading > 1.0 + EXCESS
    conditions = [~ok, overload, voltage, islanded]
    choices = [OutageStatus.DIVERGENT, OutageStatus.OVERLOAD, OutageStatus.VOLTAGE, OutageStatus.ISLANDED]
    return np.select(conditions, [int(choice) for choice in choices], int(OutageStatus.SECURE)).astype(np.int8)


def _lost_mw(intact: Intact, cases: tuple[OutageCase, ...], columns: OutageColumns) -> np.ndarray:
    """Load without supply: at dead buses, and loads that are themselves out."""
    table = intact.system.model.grid.tables["load"]
    p = intact.profiles.p_mw.get("load")
    demand = -table.factor[:, None] * (np.repeat(table.p_mw[:, None], len(intact.steps), axis=1) if p is None else p)
    lost = np.zeros((len(cases), len(table.index)), bool)
    for number, case in enumerate(cases):
        lost[number] = (table.bus >= 0) & case.dead[table.bus]
        lost[number, [place for name, place in case.injections if name == "load"]] = True
    by_case = lost.astype(float) @ demand if len(table.index) else np.zeros((len(cases), len(intact.steps)))
    return np.asarray(by_case[columns.case, columns.column])


def _dataset(
    system: Regulated, cases: tuple[OutageCase, ...], table: _Table, steps: np.ndarray, times: pd.DatetimeIndex | None
) -> xr.Dataset:
    variables: dict[str, xr.Variable] = {}
    meanings = {"flag_values": np.array([int(s) for s in OutageStatus], np.int8)}
    text = {"long_name": "what the outage amounts to", "flag_meanings": " ".join(s.name.lower() for s in OutageStatus)}
    variables["status"] = xr.Variable(("outage", "time"), table.arrays["status"], text | meanings)
    for name, (unit, meaning) in NUMBERS.items():
        variables[name] = xr.Variable(("outage", "time"), table.arrays[name], {"units": unit, "long_name": meaning})
    for name, meaning in PLACES.items():
        variables[name] = xr.Variable(("outage", "time"), table.arrays[name], {"long_name": meaning})
    coordinates = {
        "outage": [case.outage.label for case in cases],
        "buses_lost": ("outage", [", ".join(case.buses_lost) for case in cases]),
        "time": steps if times is None else times[steps],
        "step": ("time", steps),
        "branch": list(system.model.grid.branches.label),
        "bus_row": row_names(system),
    }
    return xr.Dataset(variables, coordinates, outage_ledger(table.arrays["status"]) | _recall(table))


def outage_ledger(status: np.ndarray) -> dict[str, int]:
    """Counts of every status and their sum, as the attributes of a study hold them."""
    counts = {known.name.lower(): int((status == known).sum()) for known in OutageStatus}
    return {f"ledger_{name}": count for name, count in counts.items()} | {"ledger_total": sum(counts.values())}


def _recall(table: _Table) -> dict[str, float]:
    """Share of broken outage-steps that the screen found, estimated from the sample; empty without a screen."""
    if not table.passed_over:
        return {}
    found = int(np.isin(table.arrays["status"], BROKEN).sum()) - table.missed
    missed = table.missed * table.passed_over / max(1, table.sampled)
    recall = found / (found + missed) if found + missed else 1.0
    return {"screening_recall": recall, "screening_sampled": table.sampled, "screening_missed_in_sample": table.missed}


def row_names(system: Regulated) -> list[str]:
    """Name of every bus row: that of the first pandapower bus on it; auxiliary buses are numbered."""
    grid = system.model.grid
    names = [f"auxiliary {row}" for row in range(grid.buses)]
    for place in range(len(grid.bus_row) - 1, -1, -1):
        if grid.bus_row[place] >= 0:
            names[grid.bus_row[place]] = grid.bus_names[place]
    return names


def outage_violations(result: xr.Dataset) -> list[Violation]:
    """One violation per outage-step whose status is overload, voltage or divergent: the gravest element."""
    found = []
    status = result["status"].to_numpy()
    steps, labels = result["step"].to_numpy(), result["outage"].to_numpy()
    branches, buses = result["branch"].to_numpy(), result["bus_row"].to_numpy()
    for case, column in np.argwhere(np.isin(status, BROKEN)):
        at = {"outage": case, "time": column}
        one = result.isel(at)
        step, outage = int(steps[column]), str(labels[case])
        if status[case, column] == OutageStatus.DIVERGENT:
            found.append(Violation("divergent", "network", step, np.nan, np.nan, outage))
        elif status[case, column] == OutageStatus.OVERLOAD:
            element = str(branches[int(one["loading_branch"])])
            found.append(Violation("current", element, step, 100.0 * float(one["loading"]), 100.0, outage))
        else:
            low, high = float(one["low_margin_pu"]), float(one["high_margin_pu"])
            kind, bus, margin = ("voltage low", "low_bus", low) if low <= high else ("voltage high", "high_bus", high)
            found.append(Violation(kind, str(buses[int(one[bus])]), step, margin, 0.0, outage))  # type: ignore[arg-type]
    return found


__all__ = [
    "BROKEN",
    "Outage",
    "OutageStatus",
    "gravest",
    "intact_network",
    "outage_ledger",
    "outage_status",
    "outage_violations",
    "row_names",
    "run_outages",
]
