"""Arrays of a power-flow run, filled chunk by chunk, and the xarray Dataset made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from microgrid.powerflow.flows import QUANTITIES, Tapped, branch_quantities
from microgrid.powerflow.grid import Grid
from microgrid.powerflow.newton import numba_pays
from microgrid.powerflow.solve import Status

BUS = {"vm_pu": ("1", "voltage magnitude"), "va_degree": ("degree", "voltage angle")}
BRANCH = {
    "p_from_mw": ("MW", "active power into the branch at its from end"),
    "q_from_mvar": ("Mvar", "reactive power into the branch at its from end"),
    "p_to_mw": ("MW", "active power into the branch at its to end"),
    "q_to_mvar": ("Mvar", "reactive power into the branch at its to end"),
    "i_from_ka": ("kA", "current at the from end"),
    "i_to_ka": ("kA", "current at the to end"),
    "loading_percent": ("percent", "current of the worse end over its rating"),
}
SOURCE = {
    "source_p_mw": ("MW", "active power from the source into the network"),
    "source_q_mvar": ("Mvar", "reactive power from the source into the network"),
}
GENERATOR = {
    "generator_p_mw": ("MW", "active power of a generator, its share of the unbalance included"),
    "generator_q_mvar": ("Mvar", "reactive power of a generator"),
}
CONTROL = {
    "generator_at_limit": (
        "generator",
        "1 at the upper, -1 at the lower reactive limit, 0 holding its voltage or stopped",
    ),
    "tap_position": ("tap_changer", "tap position at rest"),
    "shunt_step": ("bank", "steps of a switched shunt at rest"),
    "device_q_mvar": ("device", "reactive injection ordered by a plant controller"),
}
STEP = {
    "losses_mw": ("MW", "losses of all branches"),
    "residual_pu": ("1", "largest unbalance of power at any bus, recomputed from the voltages"),
}
EVERYTHING = frozenset([*BUS, *BRANCH])


@dataclass
class Recorder:
    """Arrays over all steps; `keep` chooses which of the large ones exist, `dtype` their precision."""

    grid: Grid
    steps: int
    keep: frozenset[str]
    dtype: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    coordinates: dict[str, tuple[str, list[Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Allocate the arrays that are kept."""
        sizes = {name: len(self.grid.bus_index) for name in BUS} | {
            name: len(self.grid.branches.label) for name in BRANCH
        }
        for name in sorted(self.keep):
            self.arrays[name] = np.empty((sizes[name], self.steps), self.dtype)  # every chunk writes all of its columns
        for name in SOURCE:
            self.arrays[name] = np.full((len(self.grid.sources.label), self.steps), np.nan)
        for name in GENERATOR:
            self.arrays[name] = np.full((len(self.grid.tables["gen"].index), self.steps), np.nan)
        for name in STEP:
            self.arrays[name] = np.full(self.steps, np.nan)
        self.arrays["status"] = np.full(self.steps, Status.DIVERGENT, np.int8)
        self.arrays["iterations"] = np.full(self.steps, -1, np.int16)

    def write(self, name: str, place: slice, values: np.ndarray, ok: np.ndarray) -> None:
        """Write values (…, columns) of one chunk; columns without a solution become NaN."""
        if name in self.arrays:
            self.arrays[name][..., place] = values if ok.all() else np.where(ok, values, np.nan)

    def write_buses(self, place: slice, voltage: np.ndarray, ok: np.ndarray) -> None:
        """Write voltages of the net's buses; dead buses are NaN."""
        for name, fill in (("vm_pu", _magnitude), ("va_degree", _degrees)):
            if name not in self.arrays:
                continue
            rows = self.arrays[name][:, place]
            for bus, row in enumerate(self.grid.bus_row):
                if row < 0:
                    rows[bus] = np.nan
                else:
                    fill(voltage[row], rows[bus])
            if not ok.all():
                rows[:, ~ok] = np.nan

    def write_branches(self, place: slice, voltage: np.ndarray, ok: np.ndarray, tapped: Tapped) -> None:
        """Write branch powers, currents and loadings, and the losses, of one chunk."""
        losses = self.arrays["losses_mw"]
        if not numba_pays(voltage.size):
            values = branch_quantities(self.grid, voltage, tapped)
            for name, part in values.items():
                self.write(name, place, part, ok)
            self.write("losses_mw", place, values["p_from_mw"].sum(axis=0) + values["p_to_mw"].sum(axis=0), ok)
            return
        from microgrid.powerflow import flow_kernel  # noqa: PLC0415 -- numba must stay optional

        losses[place] = 0.0
        empty = np.zeros((0, 0), self.dtype)
        out = tuple(self.arrays.get(name, empty) for name in QUANTITIES)
        branches, base = flow_kernel.admittances(self.grid, tapped), self.grid.base_mva
        flow_kernel.fill_branches(branches, base, voltage, ok, place.start, out, losses)

    def dataset(self, times: pd.DatetimeIndex | None) -> xr.Dataset:
        """Flat Dataset with units and meanings in the attributes."""
        grid, branches = self.grid, self.grid.branches
        variables: dict[str, xr.Variable] = {}
        for names, dimension in ((BUS, "bus"), (BRANCH, "branch"), (SOURCE, "source"), (GENERATOR, "generator")):
            for name, (unit, meaning) in names.items():
                if name in self.arrays:
                    attributes = {"units": unit, "long_name": meaning}
                    variables[name] = xr.Variable((dimension, "time"), self.arrays[name], attributes)
        for name, (unit, meaning) in STEP.items():
            variables[name] = xr.Variable(("time",), self.arrays[name], {"units": unit, "long_name": meaning})
        meanings = " ".join(status.name.lower() for status in Status)
        flags = {"flag_values": np.array([int(s) for s in Status], np.int8), "flag_meanings": meanings}
        variables["status"] = xr.Variable(
            ("time",), self.arrays["status"], {"long_name": "how the step was solved"} | flags
        )
        for name, (dimension, meaning) in CONTROL.items():
            if name in self.arrays:
                variables[name] = xr.Variable((dimension, "time"), self.arrays[name], {"long_name": meaning})
        variables["iterations"] = xr.Variable(("time",), self.arrays["iterations"], {"long_name": "Newton iterations"})
        coordinates = {
            "time": np.arange(self.steps) if times is None else times,
            "bus": list(grid.bus_names),
            "bus_index": ("bus", grid.bus_index),
            "bus_kv": ("bus", grid.bus_kv),
            "branch": list(branches.label),
            "branch_table": ("branch", list(branches.table)),
            "branch_element": ("branch", branches.element),
            "source": list(grid.sources.label),
            "generator": list(grid.tables["gen"].names),
            "generator_element": ("generator", grid.tables["gen"].index),
        }
        return xr.Dataset(variables, coordinates | self.coordinates)


def _magnitude(voltage: np.ndarray, out: np.ndarray) -> None:
    np.abs(voltage, out=out, casting="same_kind")


def _degrees(voltage: np.ndarray, out: np.ndarray) -> None:
    np.arctan2(voltage.imag, voltage.real, out=out, casting="same_kind")
    out *= 180.0 / np.pi


__all__ = ["EVERYTHING", "Recorder"]
