"""Dispatch as a flat xarray Dataset: one variable a quantity, named ``part.quantity``, with unit and meaning.

Dimensions: ``time`` (UTC beginning of a step, no zone in the stamp), ``edge`` (instants), and named sets such as
``month``. Money stands under ``cost.part.item`` in USD, positive when paid. Injections stand under ``injection.part``
in MW (or ``injection.part@bus`` where a part spreads unevenly), positive into the bus.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from microgrid.formulation.evaluate import Declaration, Reading
from microgrid.formulation.horizon import Horizon

COST = "cost."
INJECTION = "injection."


def dispatch_dataset(
    horizon: Horizon,
    reading: Reading,
    values: Mapping[str, np.ndarray],
    injections: Mapping[tuple[str, str], np.ndarray],
    prices: Mapping[str, np.ndarray],
) -> xr.Dataset:
    """Collect variables, reports, money, injections and the marginal value of energy (USD/MWh) by balance group."""
    data: dict[str, xr.DataArray] = {}
    for declared in reading.variables.values():
        data[declared.name] = _array(declared, np.asarray(values[declared.name], float))
    for declared in reading.reports.values():
        data[declared.name] = _array(declared, reading.reported[declared.name])
    for name, amounts in reading.costs.items():
        attributes = {"units": "USD", "long_name": reading.cost_equations[name]}
        data[COST + name] = xr.DataArray(amounts, dims=reading.cost_indexes[name].name, attrs=attributes)
    for (part, bus), power in injections.items():
        label = f"{INJECTION}{part}@{bus}" if bus else f"{INJECTION}{part}"
        data[label] = xr.DataArray(power, dims="time", attrs={"units": "MW", "long_name": f"injection of {part}"})
    for name, price in prices.items():
        meaning = "marginal value of energy, commitment held"
        data[name] = xr.DataArray(price, dims="time", attrs={"units": "USD/MWh", "long_name": meaning})
    dataset = xr.Dataset(data)
    return dataset.assign_coords(_coordinates(horizon, reading)).assign_attrs(
        Conventions="CF-1.11", zone=horizon.zone, step_min=horizon.step_min, ends="wrap" if horizon.wraps else "fixed"
    )


def _array(declared: Declaration, numbers: np.ndarray) -> xr.DataArray:
    attributes = {"units": declared.unit, "long_name": declared.meaning}
    return xr.DataArray(numbers, dims=declared.index.name, attrs=attributes)


def _coordinates(horizon: Horizon, reading: Reading) -> dict[str, xr.DataArray]:
    end = pd.DatetimeIndex([horizon.times[-1] + pd.Timedelta(minutes=horizon.step_min)])
    edges = pd.DatetimeIndex(horizon.times.append(end))
    stamps = {"time": horizon.times, "edge": edges}
    coordinates = {
        name: xr.DataArray(
            stamp.tz_localize(None).to_numpy("datetime64[ns]"), dims=name, attrs={"long_name": f"{name}, UTC"}
        )
        for name, stamp in stamps.items()
    }
    declared = (entry.index for entry in (*reading.variables.values(), *reading.reports.values()))
    for index in (*declared, *reading.cost_indexes.values(), horizon.months):
        if index.labels and index.name not in coordinates:
            coordinates[index.name] = xr.DataArray(np.array(index.labels, dtype=object), dims=index.name)
    return coordinates


__all__ = ["COST", "INJECTION", "dispatch_dataset"]
