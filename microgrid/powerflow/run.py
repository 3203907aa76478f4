"""AC power flow of every step of a set of profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from microgrid.errors import InvalidInput, Problem
from microgrid.network.profiles import Profiles
from microgrid.powerflow.controls import Controls, read_controls
from microgrid.powerflow.extract import extract
from microgrid.powerflow.injections import Injections, check_profiles, injections
from microgrid.powerflow.last_resort import ask_pandapower
from microgrid.powerflow.newton import thread_count
from microgrid.powerflow.outputs import EVERYTHING, Recorder
from microgrid.powerflow.record import prepare_controls, record
from microgrid.powerflow.settle import Batch, Regulated, regulate, settle, settle_in_order
from microgrid.powerflow.solve import Model, warm_start

CHUNK_BYTES = 60e6  # of one chunk; every thread has one in hand


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
    ask_pandapower(net, regulated, profiles, recorder)
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


__all__ = ["run_power_flow"]
