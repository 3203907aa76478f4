"""Branch powers, currents and loadings from solved voltages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microgrid.powerflow.grid import Branches, Grid

QUANTITIES = ("p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar", "i_from_ka", "i_to_ka", "loading_percent")


@dataclass(frozen=True)
class Tapped:
    """Branches whose admittances differ by column: `rows` (k,), `y` (4, k, columns) as y_ff, y_ft, y_tf, y_tt."""

    rows: np.ndarray
    y: np.ndarray

    @classmethod
    def none(cls, columns: int) -> Tapped:
        """No such branch."""
        return cls(np.zeros(0, np.int64), np.zeros((4, 0, columns), complex))

    def pick(self, columns: np.ndarray) -> Tapped:
        """The chosen columns, in the order given."""
        return Tapped(self.rows, self.y[:, :, columns])


def terminal_currents(
    branches: Branches, voltage: np.ndarray, tapped: Tapped | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Complex current into every branch at its from and to end, per unit, (branches, columns)."""
    v_from, v_to = voltage[branches.from_bus], voltage[branches.to_bus]
    into_from = branches.y_ff[:, None] * v_from + branches.y_ft[:, None] * v_to
    into_to = branches.y_tf[:, None] * v_from + branches.y_tt[:, None] * v_to
    if tapped is not None and len(tapped.rows):
        y_ff, y_ft, y_tf, y_tt = tapped.y
        into_from[tapped.rows] = y_ff * v_from[tapped.rows] + y_ft * v_to[tapped.rows]
        into_to[tapped.rows] = y_tf * v_from[tapped.rows] + y_tt * v_to[tapped.rows]
    return into_from, into_to


def branch_quantities(grid: Grid, voltage: np.ndarray, tapped: Tapped | None = None) -> dict[str, np.ndarray]:
    """All `QUANTITIES` of all branches at `voltage` (buses, columns) pu."""
    branches = grid.branches
    into_from, into_to = terminal_currents(branches, voltage, tapped)
    power_from = voltage[branches.from_bus] * np.conj(into_from) * grid.base_mva
    power_to = voltage[branches.to_bus] * np.conj(into_to) * grid.base_mva
    current_from = np.abs(into_from) * branches.ampere_base_from[:, None]
    current_to = np.abs(into_to) * branches.ampere_base_to[:, None]
    loading = loading_percent(branches, current_from, current_to)
    parts = (power_from.real, power_from.imag, power_to.real, power_to.imag, current_from, current_to, loading)
    return dict(zip(QUANTITIES, parts, strict=True))


def loading_percent(branches: Branches, current_from: np.ndarray, current_to: np.ndarray) -> np.ndarray:
    """Loading of the worse end in percent of the rating; NaN where the net gives no rating."""
    percent_from = current_from * (100.0 / branches.rating_from_ka)[:, None]
    return np.fmax(percent_from, current_to * (100.0 / branches.rating_to_ka)[:, None])


__all__ = ["QUANTITIES", "Tapped", "branch_quantities", "loading_percent", "terminal_currents"]
