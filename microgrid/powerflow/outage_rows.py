"""First rows for a dispatch secure against outages: flows after an outage estimated before any of it is solved.

Starting without them, the first dispatch overloads what remains after an outage so far that tangents there mislead; a
row at 0.95 of the limit brings it near, and the AC rounds do the rest. The flow of the lost branch is moved onto the
others by DC outage distribution factors, its dependence on the dispatch by AC sensitivities of the intact network.
"""

from __future__ import annotations

import numpy as np

from microgrid.formulation.connection import NetworkCut
from microgrid.powerflow.cuts import Decision, Snapshot, Tangent
from microgrid.powerflow.flows import terminal_currents
from microgrid.powerflow.judge import RowLimits
from microgrid.powerflow.outage_cases import OutageCase
from microgrid.powerflow.screening import distribution_factors


def build_outage_rows(
    snapshot: Snapshot,
    decisions: tuple[Decision, ...],
    cases: tuple[OutageCase, ...],
    limits: RowLimits,
    *,
    fraction: float = 0.95,
    near: float = 0.7,
) -> list[NetworkCut]:
    """Rows on active flows after every meshed single-branch outage, at `fraction` of the emergency limits.

    Written for branches whose estimate exceeds `near` of the limit. Reactive flow is taken as it is and leaves the rest
    of the apparent limit to active power.
    """
    tangent = Tangent.at(snapshot, decisions)
    branches = snapshot.system.model.grid.branches
    into_from, _ = terminal_currents(branches, snapshot.voltage, snapshot.tapped)
    power = snapshot.voltage[branches.from_bus] * np.conj(into_from)
    rated = branches.rating_from_ka / branches.ampere_base_from
    rated = np.where(np.isnan(rated), branches.rating_to_ka / branches.ampere_base_to, rated)
    apparent = (rated * limits.loading_percent / 100.0)[:, None] * np.abs(snapshot.voltage[branches.from_bus])
    active = np.sqrt(np.maximum((fraction * apparent) ** 2 - power.imag**2, (0.1 * apparent) ** 2))
    slope = np.stack([tangent.active_flow(row) for row in range(len(branches.label))])
    rows: list[NetworkCut] = []
    for case in cases:
        if len(case.branch_rows) != 1 or case.dead.any() or case.injections:
            continue
        lost = int(case.branch_rows[0])
        factors = distribution_factors(snapshot.system.model.grid, lost)
        if factors is None:
            continue
        after = power.real + factors[:, None] * power.real[lost]
        due = np.argwhere((np.abs(after) > near * active) & (np.arange(len(factors)) != lost)[:, None])
        for branch, column in due.tolist():
            sign = float(np.sign(after[branch, column]))
            both = slope[branch, column] + factors[branch] * slope[lost, column]
            room = active[branch, column] - sign * after[branch, column]
            limit = active[branch, column]
            label = case.outage.label
            rows.append(tangent.cut(column, sign * both / limit, room / limit, branches.label[branch], label))
    return rows


__all__ = ["build_outage_rows"]
