"""pandapower as the judge: single steps solved by `runpp`, for steps the batch cannot solve and for cross-checks."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandapower as pp
import xarray as xr
from pandapower.auxiliary import LoadflowNotConverged

from microgrid.network.profiles import Profiles
from microgrid.powerflow.extract import pandapower_options
from microgrid.powerflow.solve import Status

AGREEMENT_PU = 1e-6
RANDOM_STEPS = 40
WORST_STEPS = 10


@dataclass(frozen=True)
class Comparison:
    """Agreement with pandapower over `steps`: largest |dV| (pu) and loading difference (percentage points)."""

    steps: tuple[int, ...]
    max_vm_difference_pu: float
    max_loading_difference_percent: float
    worst_step: int
    unsolved: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """True when every step compared agrees within 1e-6 pu."""
        return self.max_vm_difference_pu <= AGREEMENT_PU


def apply_step(net: Any, profiles: Profiles, step: int) -> None:
    """Write the values of one step into a pandapower net, in place."""
    for column, series in (("p_mw", profiles.p_mw), ("q_mvar", profiles.q_mvar), ("vm_pu", profiles.vm_pu)):
        for table, values in series.items():
            if len(net[table]):
                net[table][column] = np.asarray(values[:, step], float)


def solve_step(net: Any, *, max_iteration: int | str = "auto", tolerance_mva: float = 1e-8) -> bool:
    """Run pandapower's own Newton on the net as it stands; False when it finds no solution."""
    try:
        pp.runpp(net, max_iteration=max_iteration, tolerance_mva=tolerance_mva, init="dc", **pandapower_options(net))
    except (LoadflowNotConverged, np.linalg.LinAlgError, FloatingPointError):
        return False
    return True


def worst_steps(result: xr.Dataset, count: int = WORST_STEPS) -> np.ndarray:
    """Steps with the highest loading, and the lowest and highest voltage; solved steps only."""
    solved = np.flatnonzero(result["status"].to_numpy() < Status.PANDAPOWER)
    picked = []
    for name, sign in (("loading_percent", -1.0), ("vm_pu", 1.0), ("vm_pu", -1.0)):
        if name not in result:
            continue
        values = sign * result[name].to_numpy()[:, solved]
        extreme = np.min(np.where(np.isnan(values), np.inf, values), axis=0, initial=np.inf)
        picked.append(solved[np.argsort(extreme, kind="stable")[:count]])
    return np.unique(np.concatenate(picked)) if picked else solved[:count]


def compare_with_pandapower(
    net: Any, profiles: Profiles, result: xr.Dataset, *, random_steps: int = RANDOM_STEPS, seed: int = 0
) -> Comparison:
    """Re-solve the worst steps and some random ones with `runpp` (no numba, no lightsim2grid) and compare.

    The taps, shunt steps and generators at a reactive limit that `result` chose are imposed on pandapower, so that the
    power flow is compared, not the choice of control.
    """
    solved = np.flatnonzero(result["status"].to_numpy() < Status.PANDAPOWER)
    random = np.random.default_rng(seed).choice(solved, min(random_steps, len(solved)), replace=False)
    steps = np.unique(np.concatenate([worst_steps(result), random]).astype(int))
    work = copy.deepcopy(net)
    gaps, loading_gaps, unsolved = [], [], []
    for step in steps.tolist():
        trial = impose(work, profiles, result, step)
        if not solve_step(trial, max_iteration=50):
            unsolved.append(step)
            gaps.append(np.inf)
            continue
        gaps.append(_largest(trial.res_bus.vm_pu.to_numpy(), result["vm_pu"].to_numpy()[:, step]))
        loading_gaps.append(_loading_gap(trial, result, step))
    worst = int(np.argmax(gaps)) if gaps else 0
    return Comparison(
        steps=tuple(steps.tolist()),
        max_vm_difference_pu=float(max(gaps, default=0.0)),
        max_loading_difference_percent=float(max(loading_gaps, default=0.0)),
        worst_step=int(steps[worst]) if len(steps) else -1,
        unsolved=tuple(unsolved),
    )


def impose(work: Any, profiles: Profiles, result: xr.Dataset, step: int) -> Any:
    """The net at one step with the controls that `result` settled on; `work` is reused unless tables must grow."""
    apply_step(work, profiles, step)
    if "tap_position" in result:
        for place, (table, index) in enumerate(
            zip(result["tap_table"].values, result["tap_element"].values, strict=True)
        ):
            work[str(table)].loc[int(index), "tap_pos"] = int(result["tap_position"].to_numpy()[place, step])
    if "shunt_step" in result:
        for place, index in enumerate(result["bank_element"].values):
            work.shunt.loc[int(index), "step"] = int(result["shunt_step"].to_numpy()[place, step])
    if "device_q_mvar" in result:
        for place, (table, index) in enumerate(
            zip(result["device_table"].values, result["device_element"].values, strict=True)
        ):
            work[str(table)].loc[int(index), "q_mvar"] = float(result["device_q_mvar"].to_numpy()[place, step])
    if "generator_at_limit" in result and result["generator_at_limit"].to_numpy()[:, step].any():
        return _with_fixed_reactive(work, result, step)
    return work


def _with_fixed_reactive(work: Any, result: xr.Dataset, step: int) -> Any:
    """A copy in which generators at a reactive limit are constant injections."""
    trial = copy.deepcopy(work)
    for place in np.flatnonzero(result["generator_at_limit"].to_numpy()[:, step]):
        index = int(result["generator_element"].values[place])
        gen = trial.gen.loc[index]
        trial.gen.loc[index, "in_service"] = False
        reactive = float(result["generator_q_mvar"].to_numpy()[place, step])
        pp.create_sgen(trial, int(gen.bus), float(gen.p_mw * gen.scaling), reactive)
    return trial


def _largest(theirs: np.ndarray, ours: np.ndarray) -> float:
    both = np.isfinite(theirs) & np.isfinite(ours)
    return float(np.abs(theirs[both] - ours[both]).max(initial=0.0))


def _loading_gap(trial: Any, result: xr.Dataset, step: int) -> float:
    if "loading_percent" not in result:
        return 0.0
    largest = 0.0
    ours = result["loading_percent"].to_numpy()[:, step]
    for place, (table, index) in enumerate(
        zip(result["branch_table"].values, result["branch_element"].values, strict=True)
    ):
        if table in {"line", "trafo"} and np.isfinite(ours[place]):
            theirs = float(trial[f"res_{table}"].loading_percent.loc[int(index)])
            largest = max(largest, abs(theirs - float(ours[place])))
    return largest


__all__ = ["Comparison", "apply_step", "compare_with_pandapower", "impose", "solve_step", "worst_steps"]
