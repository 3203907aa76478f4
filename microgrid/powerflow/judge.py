"""What a set of solved columns amounts to: proof of the solution, worst loading, voltages and their change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from microgrid.powerflow.flows import Tapped, branch_quantities
from microgrid.powerflow.grid import Grid
from microgrid.powerflow.limits import Limits
from microgrid.powerflow.newton import numba_pays
from microgrid.powerflow.points import Points
from microgrid.powerflow.solve import SANE_VM_PU, Model, residual


@dataclass(frozen=True)
class RowLimits:
    """Limits by bus row (the tightest of the buses on it, infinite where none) and by branch (NaN where none)."""

    low_pu: np.ndarray
    high_pu: np.ndarray
    loading_percent: np.ndarray

    @classmethod
    def of(cls, grid: Grid, limits: Limits) -> RowLimits:
        """Gather the limits of pandapower buses on bus rows."""
        low, high = np.full(grid.buses, -np.inf), np.full(grid.buses, np.inf)
        live = grid.bus_row >= 0
        np.fmax.at(low, grid.bus_row[live], np.nan_to_num(limits.vm_low_pu[live], nan=-np.inf))
        np.fmin.at(high, grid.bus_row[live], np.nan_to_num(limits.vm_high_pu[live], nan=np.inf))
        return cls(low, high, limits.loading_percent)


class Verdict(NamedTuple):
    """Per column: proof of the solution, then the extremes with the element they belong to (bus or branch row).

    A NamedTuple because numba reads those. `loading` is loading over its limit (1 = at the limit); `low` and `high` are
    the voltages nearest to or farthest beyond their limit, with `low_margin` and `high_margin` (negative = broken);
    `change` is the largest |dV| against the intact network.
    """

    residual: np.ndarray
    sane: np.ndarray
    loading: np.ndarray
    loading_branch: np.ndarray
    low_margin: np.ndarray
    low_bus: np.ndarray
    high_margin: np.ndarray
    high_bus: np.ndarray
    change: np.ndarray
    change_bus: np.ndarray

    @classmethod
    def blank(cls, columns: int) -> Verdict:
        """Arrays to be filled."""
        kinds = {"sane": bool} | dict.fromkeys(("loading_branch", "low_bus", "high_bus", "change_bus"), np.int64)
        return cls(*(np.zeros(columns, kinds.get(name, float)) for name in cls._fields))


@dataclass(frozen=True)
class Judged:
    """Columns to judge: `case` (columns,) chooses the row of `out` (cases, branches) and `dead` (cases, bus rows)."""

    points: Points
    voltage: np.ndarray
    before: np.ndarray
    tapped: Tapped
    case: np.ndarray
    out: np.ndarray
    dead: np.ndarray


def judge(model: Model, limits: RowLimits, columns: Judged) -> Verdict:
    """Judge all columns; compiled when numba is there."""
    if not numba_pays(columns.voltage.size):
        return _judge_numpy(model, limits, columns)
    from microgrid.powerflow import judge_kernel  # noqa: PLC0415 -- numba must stay optional

    return judge_kernel.judge(model, limits, columns)


def _judge_numpy(model: Model, limits: RowLimits, columns: Judged) -> Verdict:
    grid, vm_pu = model.grid, np.abs(columns.voltage)
    dead, out = columns.dead[columns.case].T, columns.out[columns.case].T
    with np.errstate(all="ignore"):
        loading = branch_quantities(grid, columns.voltage, columns.tapped)["loading_percent"]
        loading = loading / limits.loading_percent[:, None]
        loading = np.where(out | np.isnan(loading), 0.0, loading)
        proof = residual(model, columns.points, columns.voltage)
    low = np.where(dead, np.inf, vm_pu - limits.low_pu[:, None])
    high = np.where(dead, np.inf, limits.high_pu[:, None] - vm_pu)
    change = np.where(dead, 0.0, np.abs(vm_pu - np.abs(columns.before)))
    sane = ((vm_pu > SANE_VM_PU[0]) & (vm_pu < SANE_VM_PU[1])) | dead
    every = np.arange(vm_pu.shape[1])
    worst = (loading.argmax(axis=0), low.argmin(axis=0), high.argmin(axis=0), change.argmax(axis=0))
    return Verdict(
        proof,
        sane.all(axis=0),
        loading[worst[0], every],
        worst[0],
        low[worst[1], every],
        worst[1],
        high[worst[2], every],
        worst[2],
        change[worst[3], every],
        worst[3],
    )


__all__ = ["Judged", "RowLimits", "Verdict", "judge"]
