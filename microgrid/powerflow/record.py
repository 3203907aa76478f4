"""Write settled chunks into the arrays of a run."""

from __future__ import annotations

import numpy as np

from microgrid.network.profiles import Profiles
from microgrid.powerflow.injections import element_power
from microgrid.powerflow.online import Online
from microgrid.powerflow.outputs import Recorder
from microgrid.powerflow.settle import Regulated, Settled
from microgrid.powerflow.solve import drawn_power


def prepare_controls(recorder: Recorder, regulated: Regulated) -> None:
    """Allocate the arrays of the controls that exist, with the coordinates that name their elements."""
    steps, grid = recorder.steps, recorder.grid
    recorder.arrays["generator_at_limit"] = np.zeros((len(grid.tables["gen"].index), steps), np.int8)
    taps = [item for item in regulated.stepped if item.table != "shunt"]
    banks = [item for item in regulated.stepped if item.table == "shunt"]
    for name, dimension, items in (("tap_position", "tap_changer", taps), ("shunt_step", "bank", banks)):
        if not items:
            continue
        recorder.arrays[name] = np.zeros((len(items), steps), np.int16)
        recorder.coordinates[dimension] = (dimension, [item.label for item in items])
        prefix = "tap" if dimension == "tap_changer" else "bank"
        recorder.coordinates[f"{prefix}_table"] = (dimension, [item.table for item in items])
        recorder.coordinates[f"{prefix}_element"] = (dimension, [item.element for item in items])
    devices = [device for plant in regulated.controls.plants for device in plant.devices]
    if devices:
        recorder.arrays["device_q_mvar"] = np.full((len(devices), steps), np.nan)
        recorder.coordinates["device"] = ("device", [f"{device.table} {device.element}" for device in devices])
        recorder.coordinates["device_table"] = ("device", [device.table for device in devices])
        recorder.coordinates["device_element"] = ("device", [device.element for device in devices])


def record(recorder: Recorder, regulated: Regulated, profiles: Profiles, place: slice, settled: Settled) -> None:
    """Write one settled chunk."""
    solved, ok = settled.solved, settled.solved.ok
    recorder.arrays["status"][place] = solved.status
    recorder.arrays["iterations"][place] = solved.iterations
    recorder.arrays["residual_pu"][place] = solved.residual
    with np.errstate(all="ignore"):  # divergent columns hold garbage until they are blanked
        recorder.write_buses(place, solved.voltage, ok)
        recorder.write_branches(place, solved.voltage, ok, settled.tapped)
        _record_machines(recorder, regulated, profiles, place, settled)
    _record_controls(recorder, place, settled, regulated)


def _record_machines(
    recorder: Recorder, regulated: Regulated, profiles: Profiles, place: slice, settled: Settled
) -> None:
    grid, voltage, ok = recorder.grid, settled.solved.voltage, settled.solved.ok
    special = np.concatenate([grid.reference, grid.controlled])
    surplus = np.zeros((grid.buses, voltage.shape[1]), complex)
    drawn = drawn_power(regulated.model, settled.points, voltage, special)
    surplus[special] = (drawn - settled.given.at(voltage)[special]) * grid.base_mva
    sources = grid.sources
    steps = np.arange(place.start, place.stop)
    p = element_power(grid, profiles, "gen", steps).real.copy()
    p += settled.shared * grid.base_mva
    q = reactive_by_generator(Online.at(grid, profiles, steps), surplus.imag)
    source = surplus[sources.bus] * sources.share[:, None]
    for position, generator in enumerate(sources.generator):
        if generator >= 0:
            source[position] += p[generator]
            p[generator], q[generator] = source[position].real, source[position].imag
    recorder.write("source_p_mw", place, source.real, ok)
    recorder.write("source_q_mvar", place, source.imag, ok)
    recorder.write("generator_p_mw", place, p, ok)
    recorder.write("generator_q_mvar", place, q, ok)


def reactive_by_generator(online: Online, reactive_mvar: np.ndarray) -> np.ndarray:
    """Split reactive power of buses (buses, columns) among their generators: same place in each reactive range.

    Without limits the split is equal. Generators that do not run get nothing, nor do those at a source bus: the source
    takes what is left.
    """
    grid = online.grid
    gen = grid.tables["gen"]
    out = np.zeros((len(gen.index), reactive_mvar.shape[1]))
    for row in grid.controlled:
        group = np.flatnonzero(gen.bus == row)
        if not len(group):
            continue
        low, high = online.reactive_limits(group)
        span, runs = (high - low).sum(axis=0), online.share[group] > 0.0
        with np.errstate(invalid="ignore", divide="ignore"):
            ranged = low + (high - low) * ((reactive_mvar[row] - low.sum(axis=0)) / span)
        equal = np.where(runs, reactive_mvar[row] / np.maximum(runs.sum(axis=0), 1), 0.0)
        out[group] = np.where(np.isfinite(span) & (span > 0.0), ranged, equal)
    return out


def _record_controls(recorder: Recorder, place: slice, settled: Settled, regulated: Regulated) -> None:
    grid = recorder.grid
    position = {row: number for number, row in enumerate(grid.controlled.tolist())}
    for generator, bus in enumerate(grid.tables["gen"].bus.tolist()):
        if bus in position:
            recorder.arrays["generator_at_limit"][generator, place] = settled.at_limit[position[bus]]
    is_tap = np.array([item.table != "shunt" for item in regulated.stepped], bool)
    for name, chosen in (("tap_position", is_tap), ("shunt_step", ~is_tap)):
        if chosen.any():
            recorder.arrays[name][:, place] = settled.position[chosen]
    for number, (_, _, reactive) in enumerate(settled.devices):
        recorder.arrays["device_q_mvar"][number, place] = reactive * grid.base_mva


__all__ = ["prepare_controls", "reactive_by_generator", "record"]
