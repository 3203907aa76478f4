"""Branch powers, currents and loadings, and source powers, from solved voltages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microgrid.powerflow.grid import Branches, Grid


@dataclass(frozen=True)
class BranchFlows:
    """Complex power (MVA) and current (kA) into each branch at both ends, (branches, columns); loading in percent."""

    power_from: np.ndarray
    power_to: np.ndarray
    current_from_ka: np.ndarray
    current_to_ka: np.ndarray
    loading_percent: np.ndarray


def terminal_currents(
    branches: Branches, voltage: np.ndarray, rows: np.ndarray | slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """Complex current into the branches `rows` at the from and to end, per unit, (branches, columns)."""
    v_from, v_to = voltage[branches.from_bus[rows]], voltage[branches.to_bus[rows]]
    into_from = branches.y_ff[rows, None] * v_from + branches.y_ft[rows, None] * v_to
    return into_from, branches.y_tf[rows, None] * v_from + branches.y_tt[rows, None] * v_to


def branch_flows(grid: Grid, voltage: np.ndarray) -> BranchFlows:
    """Flows of all branches at `voltage` (buses, columns) pu, with the admittances of the grid as extracted."""
    branches = grid.branches
    into_from, into_to = terminal_currents(branches, voltage)
    return flows_of_currents(grid, voltage, into_from, into_to)


def flows_of_currents(grid: Grid, voltage: np.ndarray, into_from: np.ndarray, into_to: np.ndarray) -> BranchFlows:
    """Flows of all branches from their terminal currents in per unit."""
    branches = grid.branches
    current_from = np.abs(into_from) * branches.ampere_base_from[:, None]
    current_to = np.abs(into_to) * branches.ampere_base_to[:, None]
    return BranchFlows(
        power_from=voltage[branches.from_bus] * np.conj(into_from) * grid.base_mva,
        power_to=voltage[branches.to_bus] * np.conj(into_to) * grid.base_mva,
        current_from_ka=current_from,
        current_to_ka=current_to,
        loading_percent=loading_percent(branches, current_from, current_to),
    )


def loading_percent(branches: Branches, current_from: np.ndarray, current_to: np.ndarray) -> np.ndarray:
    """Loading of the worse end in percent of the rating; NaN where the net gives no rating."""
    with np.errstate(invalid="ignore", divide="ignore"):
        percent_from = current_from * (100.0 / branches.rating_from_ka)[:, None]
        percent_to = current_to * (100.0 / branches.rating_to_ka)[:, None]
    return np.fmax(percent_from, percent_to)


__all__ = ["BranchFlows", "branch_flows", "flows_of_currents", "loading_percent", "terminal_currents"]
