"""AC power flow of every step of a set of profiles."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from microgrid.errors import InvalidInput, Problem
from microgrid.network.profiles import Profiles
from microgrid.powerflow import reference
from microgrid.powerflow.extract import extract
from microgrid.powerflow.flows import branch_flows
from microgrid.powerflow.grid import Grid
from microgrid.powerflow.injections import Injections, check_profiles, injections
from microgrid.powerflow.newton import Overlay
from microgrid.powerflow.outputs import EVERYTHING, Recorder
from microgrid.powerflow.solve import Model, Solved, Status, points_of, solve_points, warm_start

log = logging.getLogger(__name__)
CHUNK_BYTES = 200e6
PANDAPOWER_ATTEMPTS = 50


@dataclass(frozen=True)
class Settled:
    """One chunk after all controls came to rest."""

    solved: Solved
    injections: Injections
    holds: np.ndarray
    overlay: Overlay


def run_power_flow(
    net: Any,
    profiles: Profiles,
    controls: None = None,
    times: pd.DatetimeIndex | None = None,
    *,
    chunk: int = 0,
    keep: Iterable[str] = EVERYTHING,
    dtype: str = "float64",
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Solve the AC power flow of every step.

    Args:
        net: pandapower net; not changed.
        profiles: powers by table and step.
        controls: see `microgrid.powerflow.controls`.
        times: stamps of the steps; positions when None.
        chunk: columns solved together, 0 chooses by memory.
        keep: names of bus and branch variables to keep; drop some for very large nets.
        dtype: precision of the kept bus and branch variables; everything is solved in double.
        progress: called with (steps done, all steps) after each chunk.

    Returns:
        Dataset over ``time`` with ``vm_pu``, ``va_degree`` (bus), ``p_from_mw`` … ``loading_percent`` (branch),
        ``source_p_mw``, ``source_q_mvar`` (source), ``generator_q_mvar``, ``losses_mw``, ``status``, ``residual_pu``. A
        step without a solution has status *divergent* and NaN values; it is never left out.

    Raises:
        InvalidInput: an element is not modelled, or a profile does not fit.
    """
    grid = extract(net)
    check_profiles(grid, profiles)
    recorder = Recorder(grid, profiles.steps, _checked_keep(keep), dtype)
    model = Model(grid)
    size = chunk or max(256, int(CHUNK_BYTES / (160.0 * (grid.buses + len(grid.branches.label)))))
    start: np.ndarray | None = None
    for begin in range(0, profiles.steps, size):
        place = slice(begin, min(begin + size, profiles.steps))
        given = injections(grid, profiles, place.start, place.stop)
        start = warm_start(model, given) if start is None else start
        settled = _settle(model, given, start)
        record(recorder, place, settled)
        if progress is not None:
            progress(place.stop, profiles.steps)
    _ask_pandapower(net, profiles, recorder)
    return recorder.dataset(times)


def _checked_keep(keep: Iterable[str]) -> frozenset[str]:
    unknown = sorted(set(keep) - EVERYTHING)
    if unknown:
        raise InvalidInput(
            [
                Problem(field="keep", value=name, rule="no such variable", remedy=", ".join(sorted(EVERYTHING)))
                for name in unknown
            ]
        )
    return frozenset(keep)


def _settle(model: Model, given: Injections, start: np.ndarray) -> Settled:
    holds, none = np.ones(given.vm_pu.shape, bool), Overlay.join([])
    return Settled(solve_points(model, points_of(model.grid, given, start, holds, none)), given, holds, none)


def record(recorder: Recorder, place: slice, settled: Settled) -> None:
    """Write one settled chunk into the arrays of the run."""
    grid, solved = recorder.grid, settled.solved
    ok = solved.ok
    recorder.arrays["status"][place] = solved.status
    recorder.arrays["iterations"][place] = solved.iterations
    recorder.arrays["residual_pu"][place] = solved.residual
    with np.errstate(all="ignore"):  # divergent columns hold garbage until they are blanked
        recorder.write_buses(place, solved.voltage, ok)
        recorder.write_branches(place, branch_flows(grid, solved.voltage), ok)
        _record_sources(recorder, place, settled)


def _record_sources(recorder: Recorder, place: slice, settled: Settled) -> None:
    grid, voltage = recorder.grid, settled.solved.voltage
    special = np.concatenate([grid.reference, grid.controlled])
    drawn = voltage[special] * np.conj(grid.y_bus[special] @ voltage) - settled.injections.at(voltage)[special]
    power = np.zeros((grid.buses, voltage.shape[1]), complex)
    power[special] = drawn * grid.base_mva
    source = power[grid.sources.bus] * grid.sources.share[:, None]
    recorder.write("source_p_mw", place, source.real, settled.solved.ok)
    recorder.write("source_q_mvar", place, source.imag, settled.solved.ok)
    gen = grid.tables["gen"]
    recorder.write("generator_q_mvar", place, power[gen.bus].imag * _reactive_share(grid)[:, None], settled.solved.ok)


def _reactive_share(grid: Grid) -> np.ndarray:
    """Share of each generator in the reactive power of its bus: equal among those in service; zero at a source."""
    bus = grid.tables["gen"].bus
    count = np.array([max(1, int(np.sum(bus == row))) for row in bus], float)
    return np.where(np.isin(bus, grid.controlled), 1.0 / count, 0.0) if len(bus) else np.zeros(0)


def _ask_pandapower(net: Any, profiles: Profiles, recorder: Recorder) -> None:
    """Last resort for divergent steps: pandapower's own Newton with 50 iterations; more than a few are not tried."""
    late = np.flatnonzero(recorder.arrays["status"] == Status.DIVERGENT)
    if not len(late):
        return
    log.warning(
        "%d of %d steps found no solution; pandapower tries the first %d",
        len(late),
        profiles.steps,
        PANDAPOWER_ATTEMPTS,
    )
    work = copy.deepcopy(net)
    for step in late[:PANDAPOWER_ATTEMPTS]:
        reference.apply_step(work, profiles, int(step))
        if reference.solve_step(work, max_iteration=50) and _sane(work):
            _record_pandapower(recorder, int(step), work)


def _sane(work: Any) -> bool:
    vm_pu = work.res_bus.vm_pu.to_numpy()
    return bool(np.all(np.isnan(vm_pu) | ((vm_pu > 0.5) & (vm_pu < 1.5))))


def _record_pandapower(recorder: Recorder, step: int, work: Any) -> None:
    """Take bus voltages from pandapower; branch values follow from the same admittances as everywhere else."""
    grid, internal = recorder.grid, work._ppc["internal"]  # noqa: SLF001 -- internal buses are only there
    voltage = np.asarray(internal["V"])[:, None]
    place, ok = slice(step, step + 1), np.ones(1, bool)
    recorder.write_buses(place, voltage, ok)
    recorder.write_branches(place, branch_flows(grid, voltage), ok)
    recorder.arrays["status"][step] = Status.PANDAPOWER
    special = grid.reference
    drawn = (voltage[special] * np.conj(grid.y_bus[special] @ voltage)) * grid.base_mva
    for position, row in enumerate(grid.sources.bus):
        value = drawn[np.flatnonzero(special == row)[0], 0] * grid.sources.share[position]
        recorder.arrays["source_p_mw"][position, step] = value.real
        recorder.arrays["source_q_mvar"][position, step] = value.imag


__all__ = ["run_power_flow"]
