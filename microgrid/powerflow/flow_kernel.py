"""`flows.branch_quantities` compiled by numba: one pass over voltages, straight into the arrays of the run."""
# ruff: noqa: C901
# mypy: disable-error-code="untyped-decorator"
# A compiled pass over plain arrays takes them all as arguments.

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from microgrid.powerflow.flows import Tapped
from microgrid.powerflow.grid import Grid


class Admittances(NamedTuple):
    """Branch ends and admittances as real arrays; `tapped` (branches,) is the place in `y_tapped` or -1.

    `y` is (8, branches): real and imaginary parts of y_ff, y_ft, y_tf, y_tt. `scale` is (4, branches): kA per pu at the
    from and to end, percent per pu at the from and to end (NaN without a rating).
    """

    from_bus: np.ndarray
    to_bus: np.ndarray
    y: np.ndarray
    tapped: np.ndarray
    y_tapped: np.ndarray
    scale: np.ndarray


def admittances(grid: Grid, tapped: Tapped) -> Admittances:
    """Arrays for `fill_branches`."""
    branches = grid.branches
    y = np.stack([branches.y_ff, branches.y_ft, branches.y_tf, branches.y_tt])
    place = np.full(len(branches.label), -1)
    place[tapped.rows] = np.arange(len(tapped.rows))
    percent_from = 100.0 * branches.ampere_base_from / branches.rating_from_ka
    percent_to = 100.0 * branches.ampere_base_to / branches.rating_to_ka
    scale = np.stack([branches.ampere_base_from, branches.ampere_base_to, percent_from, percent_to])
    return Admittances(branches.from_bus, branches.to_bus, y, place, np.ascontiguousarray(tapped.y), scale)


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "arcp", "nsz", "afn"})
def fill_branches(
    branches: Admittances,
    base_mva: float,
    voltage: np.ndarray,
    ok: np.ndarray,
    first: int,
    out: tuple[np.ndarray, ...],
    losses: np.ndarray,
) -> None:
    """Write the quantities of `flows.QUANTITIES` from column `first` on; empty arrays of `out` are skipped.

    `voltage` is (buses, columns) complex; columns that are not `ok` become NaN.
    """
    p_from, q_from, p_to, q_to, i_from, i_to, loading = out
    for branch in range(branches.from_bus.shape[0]):
        from_bus, to_bus, place = branches.from_bus[branch], branches.to_bus[branch], branches.tapped[branch]
        y_ff, y_ft, y_tf, y_tt = (
            branches.y[0, branch],
            branches.y[1, branch],
            branches.y[2, branch],
            branches.y[3, branch],
        )
        for c in range(voltage.shape[1]):
            if place >= 0:
                y_ff, y_ft = branches.y_tapped[0, place, c], branches.y_tapped[1, place, c]
                y_tf, y_tt = branches.y_tapped[2, place, c], branches.y_tapped[3, place, c]
            v_from, v_to = voltage[from_bus, c], voltage[to_bus, c]
            c_from, c_to = y_ff * v_from + y_ft * v_to, y_tf * v_from + y_tt * v_to
            s_from, s_to = v_from * np.conj(c_from) * base_mva, v_to * np.conj(c_to) * base_mva
            blank = 0.0 if ok[c] else np.nan
            losses[first + c] += s_from.real + s_to.real + blank
            if p_from.shape[0] > 0:
                p_from[branch, first + c] = s_from.real + blank
            if q_from.shape[0] > 0:
                q_from[branch, first + c] = s_from.imag + blank
            if p_to.shape[0] > 0:
                p_to[branch, first + c] = s_to.real + blank
            if q_to.shape[0] > 0:
                q_to[branch, first + c] = s_to.imag + blank
            size_from = np.sqrt(c_from.real**2 + c_from.imag**2)
            size_to = np.sqrt(c_to.real**2 + c_to.imag**2)
            if i_from.shape[0] > 0:
                i_from[branch, first + c] = size_from * branches.scale[0, branch] + blank
            if i_to.shape[0] > 0:
                i_to[branch, first + c] = size_to * branches.scale[1, branch] + blank
            if loading.shape[0] > 0:
                percent = size_from * branches.scale[2, branch]
                other = size_to * branches.scale[3, branch]
                if not percent >= other and not np.isnan(other):  # NaN: an end without a rating does not count
                    percent = other
                loading[branch, first + c] = percent + blank


__all__ = ["Admittances", "admittances", "fill_branches"]
