"""Plant controller: inverters and engines behind a POI share one reactive order until the POI obeys its band."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.powerflow.flows import terminal_currents
from microgrid.powerflow.grid import Grid
from microgrid.powerflow.loops import View
from microgrid.powerflow.plant_control import PlantControl, PowerFactorBand, VoltageBand
from microgrid.powerflow.points import Overlay

TOLERANCE = 1e-7  # pu of voltage or of power on the system base
VOLTAGE_SLOPE_PU = 0.02  # first guess of dV/dQ; the secant replaces it after one move


@dataclass
class PlantLoop:
    """State of one plant controller over the columns of a chunk.

    `low`, `high` (devices, columns) are reactive ranges in pu, `base` what the profiles already inject; `fraction`
    (columns,) is the place in the range that all devices share, NaN while the controller has not acted.
    """

    control: PlantControl
    rows: np.ndarray
    low: np.ndarray
    high: np.ndarray
    base: np.ndarray
    fraction: np.ndarray
    error: np.ndarray
    moved: np.ndarray
    discrete: bool = False

    def reactive(self, columns: np.ndarray) -> np.ndarray:
        """Reactive injection of every device in pu, (devices, columns)."""
        fraction = self.fraction[columns]
        ordered = self.low[:, columns] + fraction * (self.high[:, columns] - self.low[:, columns])
        return np.where(np.isnan(fraction), self.base[:, columns], ordered)

    def inject(self, power: np.ndarray, columns: np.ndarray) -> None:
        """Replace the reactive power of the profiles by that ordered."""
        np.add.at(power, self.rows, 1j * (self.reactive(columns) - self.base[:, columns]))

    def overlay(self, columns: np.ndarray) -> list[Overlay]:  # noqa: ARG002 -- part of `Loop`
        """Change no admittance."""
        return []

    def respond(self, view: View) -> np.ndarray:
        """Move the shared fraction by a secant step towards the nearer edge of the band."""
        columns = view.columns
        error, slope = self._error(view)
        span = (self.high[:, columns] - self.low[:, columns]).sum(axis=0)
        now = self.reactive(columns).sum(axis=0)
        last, moved = self.error[columns], self.moved[columns]
        seen = (error - last) / np.where(moved == 0.0, np.nan, moved)
        same_sign = np.isfinite(seen) & (seen * slope > 0.0)
        step = np.clip(-error / np.where(same_sign, seen, slope), -0.5 * span, 0.5 * span)
        floor, ceiling = self.low[:, columns].sum(axis=0), self.high[:, columns].sum(axis=0)
        target = np.clip(now + step, floor, ceiling)
        act = view.free & (np.abs(error) > TOLERANCE) & (np.abs(target - now) > TOLERANCE * 1e-2) & (span > 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            fraction = (target - floor) / span
        self.fraction[columns] = np.where(act, fraction, self.fraction[columns])
        self.error[columns] = np.where(act, error, last)
        self.moved[columns] = np.where(act, target - now, moved)
        return np.asarray(act)

    def _error(self, view: View) -> tuple[np.ndarray, np.ndarray]:
        """Distance outside the band (signed, zero inside) and the expected slope of the quantity to device Q."""
        band, grid = self.control.band, view.model.grid
        if isinstance(band, VoltageBand):
            value, slope = np.abs(view.voltage[grid.row(band.bus)]), VOLTAGE_SLOPE_PU
            low, high = np.full(value.shape, band.low_pu), np.full(value.shape, band.high_pu)
        else:
            power = _branch_power(view, band.branch, band.end)
            power = -power if isinstance(band, PowerFactorBand) and band.out_of else power
            value, slope = power.imag, -1.0
            if isinstance(band, PowerFactorBand):
                size = np.abs(power.real)
                low, high = -size * _tangent(band.leading), size * _tangent(band.lagging)
            else:
                low = np.full(value.shape, band.low_mvar / grid.base_mva)
                high = np.full(value.shape, band.high_mvar / grid.base_mva)
        return np.where(value > high, value - high, np.where(value < low, value - low, 0.0)), np.full(
            value.shape, slope
        )


def _tangent(power_factor: float) -> float:
    return float(np.tan(np.arccos(power_factor)))


def _branch_power(view: View, branch: tuple[str, int], end: str) -> np.ndarray:
    branches = view.model.grid.branches
    row = branches.rows(*branch)[0]
    into_from, into_to = terminal_currents(branches, view.voltage, view.tapped)
    bus, current = (branches.from_bus, into_from) if end == "from" else (branches.to_bus, into_to)
    return np.asarray(view.voltage[bus[row]] * np.conj(current[row]))


def plant_loops(
    grid: Grid,
    plants: tuple[PlantControl, ...],
    power_mw: Mapping[str, np.ndarray],
    reactive_mvar: Mapping[str, np.ndarray],
) -> list[PlantLoop]:
    """Loops of all plants; the mappings give injections by table, (elements, columns), scaled, injection positive.

    Raises InvalidInput where a device, branch or bus does not exist or is dead.
    """
    problems = [problem for plant in plants for problem in _problems(grid, plant)]
    if problems:
        raise InvalidInput(problems)
    return [_plant_loop(grid, plant, power_mw, reactive_mvar) for plant in plants]


def _plant_loop(
    grid: Grid, plant: PlantControl, power_mw: Mapping[str, Any], reactive_mvar: Mapping[str, Any]
) -> PlantLoop:
    places = [_place(grid, device.table, device.element) for device in plant.devices]
    p = np.stack([power_mw[device.table][place] for device, place in zip(plant.devices, places, strict=True)])
    q = np.stack([reactive_mvar[device.table][place] for device, place in zip(plant.devices, places, strict=True)])
    room = np.stack(
        [
            np.full(p.shape[1], np.inf)
            if device.rating_mva is None
            else np.sqrt(np.maximum(device.rating_mva**2 - row**2, 0.0))
            for device, row in zip(plant.devices, p, strict=True)
        ]
    )
    low = np.maximum(np.array([[device.q_min_mvar] for device in plant.devices]), -room)
    high = np.minimum(np.array([[device.q_max_mvar] for device in plant.devices]), room)
    rows = np.array([grid.tables[device.table].bus[place] for device, place in zip(plant.devices, places, strict=True)])
    blank, base = np.full(p.shape[1], np.nan), grid.base_mva
    return PlantLoop(plant, rows, low / base, high / base, q / base, blank, blank.copy(), np.zeros(p.shape[1]))


def _place(grid: Grid, table: str, element: int) -> int:
    return int(np.flatnonzero(grid.tables[table].index == element)[0])


def _problems(grid: Grid, plant: PlantControl) -> list[Problem]:
    field = f"plant {plant.name}"
    problems = []
    for device in plant.devices:
        table = grid.tables[device.table]
        if device.element not in table.index or table.bus[_place(grid, device.table, device.element)] < 0:
            problems.append(
                Problem(field=field, rule=f"{device.table} {device.element} does not exist or is out of service")
            )
        elif device.q_min_mvar > device.q_max_mvar:
            problems.append(
                Problem(field=field, rule=f"{device.table} {device.element}: q_min_mvar exceeds q_max_mvar")
            )
    if isinstance(plant.band, VoltageBand):
        if plant.band.bus not in grid.bus_index or grid.row(plant.band.bus) < 0:
            problems.append(Problem(field=field, rule=f"bus {plant.band.bus} does not exist or is dead"))
    elif not len(grid.branches.rows(*plant.band.branch)):
        problems.append(Problem(field=field, rule=f"branch {plant.band.branch} does not exist or is out of service"))
    return problems


__all__ = ["PlantLoop", "plant_loops"]
