"""DC screening of branch outages: which outage-steps deserve an AC solution, and how many are missed by it.

Line outage distribution factors move the active flow of the lost branch onto the others (A. J. Wood, B. F. Wollenberg
and G. B. Sheblé, Power Generation, Operation and Control, 3rd ed., sec. 7.4); the reactive flow is kept from before.
The estimate sees no voltages, so it is an option for very large studies, and its recall is measured, never assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from microgrid.powerflow.flows import terminal_currents
from microgrid.powerflow.grid import Grid
from microgrid.powerflow.judge import RowLimits
from microgrid.powerflow.outage_cases import OutageCase
from microgrid.powerflow.settle import Settled


@dataclass(frozen=True)
class Screening:
    """Solve an outage-step in AC only where the DC estimate of some loading reaches `threshold` of its limit.

    `sample` outage-steps that the screen would pass over are solved all the same, to measure its recall.
    """

    threshold: float = 0.8
    sample: int = 2000
    seed: int = 0


def distribution_factors(grid: Grid, branch: int) -> np.ndarray | None:
    """Change of every branch's active flow per MW that `branch` carried before its outage; None where it is radial."""
    branches = grid.branches
    susceptance = np.abs(1.0 / (1.0 / (0.5 * (branches.y_ft + branches.y_tf))).imag)
    rows = np.arange(len(susceptance))
    ends = np.concatenate([branches.from_bus, branches.to_bus])
    signs = np.concatenate([np.ones(len(rows)), -np.ones(len(rows))])
    incidence = sp.csr_matrix((signs, (np.tile(rows, 2), ends)), shape=(len(rows), grid.buses))
    others = np.setdiff1d(np.arange(grid.buses), grid.reference)
    flow = sp.diags(susceptance) @ incidence[:, others]
    matrix = (incidence[:, others].T @ flow).tocsc()
    unit = incidence[branch, others].toarray().ravel()
    transfer = np.asarray(flow @ spla.splu(matrix).solve(unit))
    if 1.0 - transfer[branch] < 1e-6:
        return None
    factors: np.ndarray = transfer / (1.0 - transfer[branch])
    factors[branch] = 0.0
    return factors


def flagged(
    grid: Grid, settled: Settled, cases: tuple[OutageCase, ...], limits: RowLimits, screening: Screening
) -> np.ndarray:
    """True (cases, columns) where an AC solution is due; outages other than of one meshed branch always are."""
    branches = grid.branches
    into_from, _ = terminal_currents(branches, settled.solved.voltage, settled.tapped)
    power = settled.solved.voltage[branches.from_bus] * np.conj(into_from)
    vm_pu = np.abs(settled.solved.voltage[branches.from_bus])
    rated = branches.rating_from_ka / branches.ampere_base_from
    rated = np.where(np.isnan(rated), branches.rating_to_ka / branches.ampere_base_to, rated)
    limit = (rated * limits.loading_percent / 100.0)[:, None] * vm_pu
    due = np.ones((len(cases), power.shape[1]), bool)
    for number, case in enumerate(cases):
        if len(case.branch_rows) != 1 or case.injections or case.dead.any():
            continue
        factors = distribution_factors(grid, int(case.branch_rows[0]))
        if factors is None:
            continue
        active = power.real + factors[:, None] * power.real[case.branch_rows[0]]
        with np.errstate(invalid="ignore"):
            loading = np.sqrt(active**2 + power.imag**2) / limit
        loading[case.branch_rows[0]] = 0.0
        due[number] = (np.nan_to_num(loading) >= screening.threshold).any(axis=0)
    return due


__all__ = ["Screening", "distribution_factors", "flagged"]
