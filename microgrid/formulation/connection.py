"""Plain records that tie the dispatch to the network: where a part connects, and what the network asks back.

`dispatch` never sees pandapower and `powerflow` never sees Pyomo; these records are all they exchange, carried by
`study`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import acos, tan
from typing import Literal

Behaviour = Literal["load", "generator", "inverter", "storage", "grid"]


@dataclass(frozen=True)
class Connection:
    """One part at one bus.

    `share` is the fraction of the part's injection that enters at `bus`. Reactive power follows `power_factor`
    (Q/P constant; `leading` loads supply Q), unless `vm_pu` sets a voltage target, within `q_min_mvar` …
    `q_max_mvar` (injection positive). `current_share` and `impedance_share` are the constant-current and
    constant-impedance parts of a load (ZIP); the rest is constant power. `units` counts identical units of which the
    dispatch says how many run (``<part>.running``), 0 where nothing is counted: power and reactive reach scale with it.
    `grid_forming` says that an inverter can hold voltage and frequency by itself; machines always can.
    """

    part: str
    bus: str
    behaviour: Behaviour
    share: float = 1.0
    rating_mva: float = 0.0
    power_factor: float = 1.0
    leading: bool = False
    vm_pu: float | None = None
    q_min_mvar: float | None = None
    q_max_mvar: float | None = None
    current_share: float = 0.0
    impedance_share: float = 0.0
    units: int = 0
    grid_forming: bool = False

    @property
    def mvar_per_mw(self) -> float:
        """Reactive over active injection at the power factor."""
        return tan(acos(self.power_factor)) * (-1.0 if self.leading else 1.0)


@dataclass(frozen=True)
class NetworkCut:
    """One affine row that the network asks of the dispatch at one step.

    ``sum(coefficient[part, bus] * injection_mw[part, bus, t]) + loss_coefficient * loss_mw[t] <= bound``. `element`,
    `quantity` and `outage` name what is protected, e.g. ``line F3``, ``current``, ``T1 out``.
    """

    step: int
    coefficients: tuple[tuple[tuple[str, str], float], ...]
    bound: float
    element: str
    quantity: Literal["voltage low", "voltage high", "current", "loss"]
    outage: str = ""
    loss_coefficient: float = 0.0


__all__ = ["Behaviour", "Connection", "NetworkCut"]
