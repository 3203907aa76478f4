"""AC power flow of every step of a set of profiles."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from microgrid.errors import InvalidInput, Problem
from microgrid.network.profiles import Profiles
from microgrid.powerflow import reference
from microgrid.powerflow.controls import Controls, read_controls
from microgrid.powerflow.extract import extract
from microgrid.powerflow.flows import Tapped
from microgrid.powerflow.injections import Injections, check_profiles, injections
from microgrid.powerflow.newton import thread_count
from microgrid.powerflow.outputs import EVERYTHING, Recorder
from microgrid.powerflow.record import prepare_controls, record
from microgrid.powerflow.settle import Batch, Regulated, regulate, settle, settle_in_order
from microgrid.powerflow.solve import Model, Status, warm_start

log = logging.getLogger(__name__)
CHUNK_BYTES = 60e6  # of one chunk; every thread has one in hand
PANDAPOWER_ATTEMPTS = 50


def run_power_flow(
    net: Any,
    profiles: Profiles,
    controls: Controls | None = None,
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
        controls: see `microgrid.powerflow.controls`; read from the net when None.
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
    regulated = regulate(net, model, read_controls(net) if controls is None else controls)
    prepare_controls(recorder, regulated)
    size = chunk or max(256, int(CHUNK_BYTES / (160.0 * (grid.buses + len(grid.branches.label)))))
    places = [slice(begin, min(begin + size, profiles.steps)) for begin in range(0, profiles.steps, size)]
    for done in _solve_chunks(_Job(regulated, profiles, recorder), places):
        if progress is not None:
            progress(done, profiles.steps)
    _ask_pandapower(net, profiles, recorder)
    return recorder.dataset(times)


@dataclass(frozen=True)
class _Job:
    """What all chunks read, and the recorder they write into, each at its own columns."""

    system: Regulated
    profiles: Profiles
    recorder: Recorder

    def injections(self, place: slice) -> Injections:
        """Injections of one chunk."""
        return injections(self.system.model.grid, self.profiles, place.start, place.stop)

    def run(self, place: slice, given: Injections, start: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Solve and record one chunk from the positions before it; returns those after it."""
        steps = np.arange(place.start, place.stop)
        batch = Batch(steps, given, start, np.repeat(position[:, None], len(steps), axis=1))
        settled = (settle_in_order if self.system.controls.tap_memory else settle)(self.system, self.profiles, batch)
        record(self.recorder, self.system, self.profiles, place, settled)
        return settled.position[:, -1]


def _solve_chunks(job: _Job, places: list[slice]) -> Iterator[int]:
    """Solve all chunks, in threads unless one begins where the other ends; yields the steps done."""
    if not places:
        return
    position, first = job.system.base_position, job.injections(places[0])
    start = warm_start(job.system.model, first)
    if job.system.controls.tap_memory or len(places) == 1:
        for place in places:
            given = first if place == places[0] else job.injections(place)
            position = job.run(place, given, start, position)
            yield place.stop
        return
    del first
    with ThreadPoolExecutor(thread_count()) as pool:
        tasks = {
            pool.submit(lambda at: job.run(at, job.injections(at), start, position), place): place for place in places
        }
        done = 0
        for task in as_completed(tasks):
            task.result()
            done += tasks[task].stop - tasks[task].start
            yield done


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
        trial = _running(work, reference.stopped_generators(profiles, int(step)))
        if trial is not None and reference.solve_step(trial, max_iteration=50) and _sane(trial):
            _record_pandapower(recorder, int(step), trial)


def _running(work: Any, stopped: set[int]) -> Any:
    """The net, or a copy in which stopped generators hold nothing; None where one of them is the source."""
    if not stopped:
        return work
    if any(bool(work.gen.slack.iloc[place]) for place in stopped):
        return None
    trial = copy.deepcopy(work)
    for place in stopped:
        reference.fix_generator(trial, place, 0.0)
    return trial


def _sane(work: Any) -> bool:
    vm_pu = work.res_bus.vm_pu.to_numpy()
    return bool(np.all(np.isnan(vm_pu) | ((vm_pu > 0.5) & (vm_pu < 1.5))))


def _record_pandapower(recorder: Recorder, step: int, work: Any) -> None:
    """Take bus voltages from pandapower; branch values follow from the same admittances as everywhere else."""
    grid, internal = recorder.grid, work._ppc["internal"]  # noqa: SLF001 -- internal buses are only there
    voltage = np.asarray(internal["V"])[:, None]
    place, ok = slice(step, step + 1), np.ones(1, bool)
    recorder.write_buses(place, voltage, ok)
    recorder.write_branches(place, voltage, ok, Tapped.none(1))
    recorder.arrays["status"][step] = Status.PANDAPOWER
    special = grid.reference
    drawn = (voltage[special] * np.conj(grid.y_bus[special] @ voltage)) * grid.base_mva
    for position, row in enumerate(grid.sources.bus):
        value = drawn[np.flatnonzero(special == row)[0], 0] * grid.sources.share[position]
        recorder.arrays["source_p_mw"][position, step] = value.real
        recorder.arrays["source_q_mvar"][position, step] = value.imag


__all__ = ["run_power_flow"]
