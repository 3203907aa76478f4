"""What regulates the network between steps: tap changers, capacitor banks, plant controllers, reactive limits, slack.

Controls are read from the net itself (`read_controls`) or given as these records. Columns read from the net:

- ``net.controller``: ``DiscreteTapControl`` of two- and three-winding transformers; any other controller in service is
  refused by name, because its series or law would otherwise be ignored.
- ``net.gen``: ``min_q_mvar``, ``max_q_mvar`` (a missing limit is no limit), ``slack_weight`` for the distributed slack.
- ``net.shunt``: ``max_step`` with the columns ``control_vm_lower_pu``, ``control_vm_upper_pu`` and, optionally,
  ``control_bus`` (pandapower bus index; the shunt's own bus by default) makes a switched bank.
- ``net["controls"]``: tap memory and plant controllers, see `microgrid.network.declared_controls`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from microgrid.errors import InvalidInput
from microgrid.network.declared_controls import declared_controls, declared_problems
from microgrid.network.modelled import controller_problems, live_controllers
from microgrid.powerflow.declared_plants import declared_plants
from microgrid.powerflow.plant_control import Device, PlantControl, PowerFactorBand, ReactiveBand, VoltageBand


@dataclass(frozen=True)
class TapChanger:
    """Tap changer that steps by one while the voltage at its `side` is outside `low_pu` … `high_pu`."""

    table: Literal["trafo", "trafo3w"]
    element: int
    low_pu: float
    high_pu: float
    side: Literal["hv", "mv", "lv"] = "lv"


@dataclass(frozen=True)
class CapacitorBank:
    """Switched shunt (capacitor or reactor) that steps while the voltage at `bus` is outside its band."""

    shunt: int
    low_pu: float
    high_pu: float
    bus: int | None = None


@dataclass(frozen=True)
class Controls:
    """All controls of a run.

    `reactive_limits`: generators at a limit of ``min_q_mvar``/``max_q_mvar`` become constant injections, and return to
    voltage control when the voltage allows. `distributed_slack`: the unbalance is shared by ``slack_weight``.
    `tap_memory`: every step starts from the taps and shunt steps at which the step before came to rest; otherwise from
    those of the net.
    """

    tap_changers: tuple[TapChanger, ...] = ()
    capacitor_banks: tuple[CapacitorBank, ...] = ()
    plants: tuple[PlantControl, ...] = ()
    reactive_limits: bool = True
    distributed_slack: bool = False
    tap_memory: bool = False


def read_controls(net: Any) -> Controls:
    """Read the controls that the net itself carries; raises InvalidInput for a controller that is not modelled."""
    problems = [*controller_problems(net), *declared_problems(net)]
    if problems:
        raise InvalidInput(problems)
    changers = [changer for controller in live_controllers(net)["object"] for changer in _tap_changers(controller)]
    declared = declared_controls(net)
    plants = declared_plants(net, declared.plants)
    return Controls(tuple(changers), _capacitor_banks(net), plants, tap_memory=declared.tap_memory)


def _tap_changers(controller: Any) -> list[TapChanger]:
    elements = np.atleast_1d(controller.element_index)
    low = np.broadcast_to(controller.vm_lower_pu, elements.shape)
    high = np.broadcast_to(controller.vm_upper_pu, elements.shape)
    return [
        TapChanger(controller.element, int(element), float(low[place]), float(high[place]), controller.side)
        for place, element in enumerate(elements)
    ]


def _capacitor_banks(net: Any) -> tuple[CapacitorBank, ...]:
    if "control_vm_lower_pu" not in net.shunt.columns or "control_vm_upper_pu" not in net.shunt.columns:
        return ()
    banks = []
    for index, shunt in net.shunt[net.shunt.in_service.astype(bool)].iterrows():
        if np.isnan(shunt.control_vm_lower_pu) or np.isnan(shunt.control_vm_upper_pu):
            continue
        bus = shunt.get("control_bus", np.nan)
        where = None if bus is None or np.isnan(float(bus)) else int(bus)
        banks.append(
            CapacitorBank(int(index), float(shunt.control_vm_lower_pu), float(shunt.control_vm_upper_pu), where)
        )
    return tuple(banks)


__all__ = [
    "CapacitorBank",
    "Controls",
    "Device",
    "PlantControl",
    "PowerFactorBand",
    "ReactiveBand",
    "TapChanger",
    "VoltageBand",
    "read_controls",
]
