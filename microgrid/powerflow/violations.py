"""Limits broken by a power-flow result, element by element and step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from microgrid.powerflow.extract import extract
from microgrid.powerflow.limits import Limits, normal_limits
from microgrid.powerflow.solve import Status

Kind = Literal["voltage low", "voltage high", "current", "divergent", "unsettled"]
VOLTAGE_TOLERANCE_PU = 1e-6
LOADING_TOLERANCE_PERCENT = 1e-3


@dataclass(frozen=True)
class Violation:
    """One limit broken at one step: voltages in pu, currents as loading in percent.

    A step without a solution is a violation of kind *divergent*, one whose controls would not rest *unsettled*; both
    concern the whole network and carry no value. `outage` names what was out, empty with the network intact.
    """

    kind: Kind
    element: str
    step: int
    value: float
    limit: float
    outage: str = ""

    @property
    def excess(self) -> float:
        """How far beyond the limit, in the unit of `value`; infinite without a solution."""
        return float("inf") if np.isnan(self.value) else abs(self.value - self.limit)


def find_violations(net: Any, result: xr.Dataset, limits: Limits | None = None) -> list[Violation]:
    """All violations of a `run_power_flow` result, by step, then as buses and branches are listed.

    `limits` are the normal ones of the net when None.
    """
    in_force = normal_limits(net, extract(net)) if limits is None else limits
    found: list[Violation] = []
    status = result["status"].to_numpy()
    for kind, code in (("divergent", Status.DIVERGENT), ("unsettled", Status.UNSETTLED)):
        steps = np.flatnonzero(status == code)
        found += [Violation(kind, "network", int(step), np.nan, np.nan) for step in steps]  # type: ignore[arg-type]
    buses, branches = result["bus"].to_numpy(), result["branch"].to_numpy()
    vm_pu = result["vm_pu"].to_numpy()
    low, high = in_force.vm_low_pu[:, None], in_force.vm_high_pu[:, None]
    found += _broken("voltage low", buses, vm_pu, low, vm_pu < low - VOLTAGE_TOLERANCE_PU)
    found += _broken("voltage high", buses, vm_pu, high, vm_pu > high + VOLTAGE_TOLERANCE_PU)
    loading, most = result["loading_percent"].to_numpy(), in_force.loading_percent[:, None]
    found += _broken("current", branches, loading, most, loading > most + LOADING_TOLERANCE_PERCENT)
    return sorted(found, key=lambda violation: violation.step)


def _broken(kind: Kind, names: np.ndarray, values: np.ndarray, limit: np.ndarray, where: np.ndarray) -> list[Violation]:
    return [
        Violation(kind, str(names[place]), int(step), float(values[place, step]), float(limit[place, 0]))
        for place, step in np.argwhere(where)
    ]


__all__ = ["Kind", "Violation", "find_violations"]
