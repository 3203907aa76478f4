"""AC power flow of every step of a dispatch on the case's network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandapower
import xarray as xr

from microgrid.case.load import resolve_network
from microgrid.case.model import Case
from microgrid.errors import Residual
from microgrid.formulation.connection import Connection
from microgrid.network.attach import attach
from microgrid.network.island import form_island
from microgrid.network.load import load_network
from microgrid.powerflow.controls import read_controls
from microgrid.powerflow.reference import Comparison, compare_with_pandapower
from microgrid.powerflow.run import run_power_flow
from microgrid.powerflow.violations import Violation, find_violations

KCL_TOLERANCE_PU = 1e-7
REFERENCE_TOLERANCE_PU = 1e-6
Injections = dict[tuple[str, str], np.ndarray]


@dataclass(frozen=True)
class NetworkCheck:
    """Every step in AC: the flows, what breaks a limit, and the certificates."""

    powerflow: xr.Dataset
    violations: tuple[Violation, ...]
    residuals: tuple[Residual, ...]
    net: Any

    def write_network(self, path: Path) -> None:
        """Write the network without the parts, so that the result can be verified by itself."""
        pandapower.to_json(self.net, str(path))


def check_network(
    case: Case, injections: Injections, net: Any = None, progress: Callable[[int, int], None] | None = None
) -> NetworkCheck:
    """Attach the case's parts to its network and solve every step.

    Args:
        case: a case that names a network.
        injections: MW by (part, bus); an empty bus means the part's own buses in their shares.
        net: the network; the case's own when None.
        progress: called with (steps done, all steps).
    """
    if net is None:
        net = load_network(resolve_network(case.header.network, case.folder))
    connections = case.connections()
    attached, profiles = attach(net, connections, at_buses(connections, injections))
    controls = None
    if not any(link.behaviour == "grid" for link in connections):
        attached = form_island(attached)
        controls = replace(read_controls(attached), distributed_slack=True)
    flow = run_power_flow(attached, profiles, controls, case.horizon.times.tz_localize(None), progress=progress)
    reference = compare_with_pandapower(attached, profiles, flow)
    return NetworkCheck(flow, tuple(find_violations(attached, flow)), _certificates(flow, reference), net)


def _certificates(flow: xr.Dataset, reference: Comparison) -> tuple[Residual, ...]:
    solved = flow.residual_pu.to_numpy()
    compared = f"{len(reference.steps)} worst and random steps re-solved by pandapower"
    return (
        Residual("power flow", float(np.nanmax(solved, initial=0.0)), KCL_TOLERANCE_PU, "pu", f"{solved.size} steps"),
        Residual("pandapower", reference.max_vm_difference_pu, REFERENCE_TOLERANCE_PU, "pu", compared),
    )


def at_buses(connections: list[Connection], injections: Injections) -> Injections:
    """Injection of every (part, bus) that the network sees; grid connections carry none."""
    found = {}
    for link in connections:
        if link.behaviour == "grid":
            continue
        direct = injections.get((link.part, link.bus))
        found[link.part, link.bus] = direct if direct is not None else link.share * injections[link.part, ""]
    return found


__all__ = ["NetworkCheck", "at_buses", "check_network"]
