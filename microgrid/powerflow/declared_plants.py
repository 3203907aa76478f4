"""Plant controllers that a network declares (`microgrid.network.declared_controls`), resolved to its elements."""

from __future__ import annotations

from typing import Any, Literal

from microgrid.errors import InvalidInput, Problem
from microgrid.network.declared_controls import DeclaredDevice, DeclaredPlant, DeclaredPowerFactor, DeclaredVoltage
from microgrid.network.lookup import bus_index_of
from microgrid.network.source_branches import source_branches
from microgrid.powerflow.plant_control import Device, PlantControl, PowerFactorBand, VoltageBand
from microgrid.schema.spelling import did_you_mean

TABLES: tuple[Literal["sgen", "storage"], ...] = ("sgen", "storage")


def declared_plants(net: Any, plants: tuple[DeclaredPlant, ...]) -> tuple[PlantControl, ...]:
    """The plants with elements, buses and the meter's branch found in the net.

    In an island there is no POI: plants that hold its power factor rest.

    Raises:
        InvalidInput: a device or bus that the net does not have, or a POI that is reached by several branches.
    """
    problems: list[Problem] = []
    island = not net.ext_grid.in_service.astype(bool).any()
    live = [plant for plant in plants if not (island and plant.power_factor is not None)]
    found = tuple(_plant(net, plant, problems) for plant in live)
    if problems:
        raise InvalidInput(problems)
    return tuple(plant for plant in found if plant is not None)


def _plant(net: Any, plant: DeclaredPlant, problems: list[Problem]) -> PlantControl | None:
    devices = [_device(net, plant.name, device, problems) for device in plant.devices]
    band: VoltageBand | PowerFactorBand | None = None
    if plant.voltage is not None:
        band = _voltage(net, plant.name, plant.voltage, problems)
    elif plant.power_factor is not None:
        band = _power_factor(net, plant.name, plant.power_factor, problems)
    if band is None or any(device is None for device in devices):
        return None
    return PlantControl(plant.name, tuple(device for device in devices if device is not None), band)


def _device(net: Any, plant: str, device: DeclaredDevice, problems: list[Problem]) -> Device | None:
    names = {str(name): (table, int(index)) for table in TABLES for index, name in net[table]["name"].items()}
    if device.element not in names:
        rule = "no inverter, storage or engine at fixed power factor has this name"
        problems.append(
            Problem(rule, did_you_mean(device.element, names, most=3), f"controls: plant {plant}", device.element)
        )
        return None
    table, index = names[device.element]
    return Device(table, index, device.q_min_mvar, device.q_max_mvar, device.rating_mva)


def _voltage(net: Any, plant: str, held: DeclaredVoltage, problems: list[Problem]) -> VoltageBand | None:
    buses, wanted = bus_index_of(net), held.bus or str(net.poi)
    if wanted not in buses:
        remedy = did_you_mean(wanted, buses, most=3)
        problems.append(Problem("there is no such bus", remedy, f"controls: plant {plant}", wanted))
        return None
    return VoltageBand(buses[wanted], held.low_pu, held.high_pu)


def _power_factor(net: Any, plant: str, held: DeclaredPowerFactor, problems: list[Problem]) -> PowerFactorBand | None:
    branches = [branch for branch in source_branches(net) if branch.table in {"line", "impedance", "trafo"}]
    if len(branches) != 1 or len(branches) != len(source_branches(net)):
        rule = "a power factor is held at a POI that one line, impedance or transformer reaches"
        problems.append(Problem(rule, "hold a voltage instead", f"controls: plant {plant}"))
        return None
    (branch,) = branches
    return PowerFactorBand((branch.table, branch.index), branch.campus_end, held.lagging, held.leading, out_of=True)


__all__ = ["declared_plants"]
