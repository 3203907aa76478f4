"""Automatic actions after an outage, stated beforehand: generators respond by droop, loads are tripped in stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.powerflow.grid import Grid


@dataclass(frozen=True)
class DroopUnit:
    """Unit that takes over lost generation in proportion to `share` (rated MW over droop), up to `p_max_mw`."""

    table: Literal["gen", "sgen", "storage"]
    element: int
    share: float
    p_max_mw: float


@dataclass(frozen=True)
class LoadTrip:
    """Loads (pandapower indices) tripped together, as one stage.

    `outages` are the labels that arm the stage, all when empty. With `when` = "violation" it acts only where a limit is
    still broken, or no solution exists, after the stages before it; with "always" at once.
    """

    loads: tuple[int, ...]
    outages: tuple[str, ...] = ()
    when: Literal["always", "violation"] = "violation"


@dataclass(frozen=True)
class Actions:
    """Response of the plant after an outage; without any, the source takes everything over and no load is tripped."""

    droop: tuple[DroopUnit, ...] = ()
    trips: tuple[LoadTrip, ...] = ()


def check_actions(grid: Grid, actions: Actions, labels: tuple[str, ...]) -> None:
    """Raise InvalidInput for units, loads or outages that do not exist, and shares that are not positive."""
    problems = []
    for unit in actions.droop:
        field = f"droop of {unit.table} {unit.element}"
        if unit.element not in grid.tables[unit.table].index:
            problems.append(Problem(field=field, rule="there is no such unit"))
        if not unit.share > 0.0:
            problems.append(Problem(field=field, value=str(unit.share), rule="the share must be positive"))
    for stage in actions.trips:
        unknown: list[Any] = [load for load in stage.loads if load not in grid.tables["load"].index]
        unknown += [label for label in stage.outages if label not in labels]
        problems += [
            Problem(field="load trip", value=str(item), rule="there is no such load or outage") for item in unknown
        ]
    listed = [load for stage in actions.trips for load in stage.loads]
    problems += [
        Problem(field="load trip", value=str(load), rule="the load is in two stages")
        for load in sorted(set(listed))
        if listed.count(load) > 1
    ]
    if problems:
        raise InvalidInput(problems)


def share_by_droop(lost_mw: np.ndarray, share: np.ndarray, headroom_mw: np.ndarray) -> np.ndarray:
    """Take over `lost_mw` (columns,) by units (units, columns) in proportion to `share` within their headroom.

    What one unit cannot take is shared among the others, until all is taken or no headroom is left.
    """
    taken = np.zeros_like(headroom_mw)
    for _ in range(len(share)):
        rest = lost_mw - taken.sum(axis=0)
        able = np.where(headroom_mw - taken > 1e-12, share[:, None], 0.0)
        total = able.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            offer = np.where(total > 0.0, able / total * rest, 0.0)
        taken = np.minimum(taken + offer, np.maximum(headroom_mw, 0.0))
    return taken


__all__ = ["Actions", "DroopUnit", "LoadTrip", "check_actions", "share_by_droop"]
