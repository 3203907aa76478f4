"""Last resort for steps that the batch cannot solve: pandapower's Newton finds a place to start from, nothing more.

pandapower keeps the same reactive limits and shares the same slack as the run, at the taps and shunt steps at which the
batch gave up. From its voltages the engine settles the step once more with all controls, so that what is recorded has
been proven like every other step, and says the same of limits, taps and shares. Anything else stays divergent.
"""

from __future__ import annotations

import copy
import logging
from typing import Any

import numpy as np

from microgrid.network.profiles import Profiles
from microgrid.powerflow import reference
from microgrid.powerflow.injections import injections
from microgrid.powerflow.online import Online
from microgrid.powerflow.outputs import Recorder
from microgrid.powerflow.record import record
from microgrid.powerflow.settle import Batch, Regulated, settle
from microgrid.powerflow.solve import Status

log = logging.getLogger(__name__)
PANDAPOWER_ATTEMPTS = 50
PANDAPOWER_ITERATIONS = 50


def ask_pandapower(net: Any, system: Regulated, profiles: Profiles, recorder: Recorder) -> None:
    """Try the divergent steps of a run again from pandapower's voltages; more than a few are not tried."""
    late = np.flatnonzero(recorder.arrays["status"] == Status.DIVERGENT)
    if not len(late):
        return
    log.warning(
        "%d of %d steps found no solution; pandapower tries the first %d",
        len(late),
        profiles.steps,
        PANDAPOWER_ATTEMPTS,
    )
    given = recorder.dataset(None)
    for step in late[:PANDAPOWER_ATTEMPTS].tolist():
        trial = copy.deepcopy(net)
        reference.apply_step(trial, profiles, step)
        voltage = _voltage(reference.apply_controls(trial, given, step), system, profiles, step)
        if voltage is not None:
            _settle_from(voltage, system, profiles, recorder, step)


def _voltage(work: Any, system: Regulated, profiles: Profiles, step: int) -> np.ndarray | None:
    """Bus voltages (buses, 1) that pandapower finds under the run's own limits and slack; `work` is changed."""
    stopped = reference.stopped_generators(profiles, step)
    if any(bool(work.gen.slack.iloc[place]) for place in stopped):
        return None  # pandapower has no reference without a machine
    online = Online.at(system.model.grid, profiles, np.array([step]))
    if len(work.gen):
        limits = online.reactive_limits(np.arange(len(work.gen)))[:, :, 0]
        work.gen["min_q_mvar"], work.gen["max_q_mvar"] = np.where(np.isfinite(limits), limits, np.nan)
    if "slack_weight" in work.gen.columns:
        work.gen["slack_weight"] *= online.share[:, 0]
    for place in stopped:
        reference.fix_generator(work, place, 0.0)
    controls = system.controls
    found = reference.solve_step(
        work,
        max_iteration=PANDAPOWER_ITERATIONS,
        enforce_q_lims=controls.reactive_limits,
        distributed_slack=controls.distributed_slack,
    )
    voltage = np.asarray(work._ppc["internal"]["V"])[:, None] if found else np.zeros((0, 1))  # noqa: SLF001 -- only there
    return voltage if voltage.shape == (system.model.grid.buses, 1) and np.isfinite(voltage).all() else None


def _settle_from(voltage: np.ndarray, system: Regulated, profiles: Profiles, recorder: Recorder, step: int) -> None:
    """Settle one step from given voltages and record it where it is proven and at rest."""
    place, position = slice(step, step + 1), _positions(system, recorder, step)
    grid = system.model.grid
    batch = Batch(np.array([step]), injections(grid, profiles, place.start, place.stop), voltage, position.copy())
    settled = settle(system, profiles, batch)
    moved = bool((settled.position != position).any())
    if settled.solved.status[0] > Status.RESTARTED or (moved and system.controls.tap_memory):
        return  # with tap memory the steps after it began from these positions
    settled.solved.status[:] = Status.PANDAPOWER
    record(recorder, system, profiles, place, settled)


def _positions(system: Regulated, recorder: Recorder, step: int) -> np.ndarray:
    """Positions (stepped elements, 1) at which the batch gave up."""
    position = np.zeros((len(system.stepped), 1), np.int64)
    is_tap = np.array([item.table != "shunt" for item in system.stepped], bool)
    for name, chosen in (("tap_position", is_tap), ("shunt_step", ~is_tap)):
        if chosen.any():
            position[chosen, 0] = recorder.arrays[name][:, step]
    return position


__all__ = ["ask_pandapower"]
