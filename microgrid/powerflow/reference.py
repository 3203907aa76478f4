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
SHARES = ("const_i_p_percent", "const_z_p_percent", "const_i_q_percent", "const_z_q_percent")


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


def solve_step(
    net: Any,
    *,
    max_iteration: int | str = "auto",
    tolerance_mva: float = 1e-8,
    enforce_q_lims: bool = False,
    distributed_slack: bool = False,
) -> bool:
    """Run pandapower's own Newton on the net as it stands; False when it finds no solution."""
    options = pandapower_options(net) | {"enforce_q_lims": enforce_q_lims, "distributed_slack": distributed_slack}
    try:
        pp.runpp(net, max_iteration=max_iteration, tolerance_mva=tolerance_mva, init="dc", **options)
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
    work, mixed = copy.deepcopy(net), _mixed_loads(net)
    gaps, loading_gaps, unsolved = [], [], []
    for step in steps.tolist():
        trial = impose(copy.deepcopy(net) if mixed else work, profiles, result, step)
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
    apply_controls(work, result, step)
    if "generator_p_mw" in result and len(work.gen):
        shared = result["generator_p_mw"].to_numpy()[:, step]
        live = np.isfinite(shared) & work.gen.in_service.to_numpy(bool)
        scaling = work.gen.scaling.to_numpy(float)
        work.gen["p_mw"] = np.where(
            live & (scaling != 0.0), shared / np.where(scaling == 0.0, 1.0, scaling), work.gen.p_mw
        )
    if _mixed_loads(work):
        _evaluate_loads(work, result, step)
    fixed = stopped_generators(profiles, step)
    if "generator_at_limit" in result and len(work.gen):
        fixed = fixed | set(np.flatnonzero(result["generator_at_limit"].to_numpy()[:, step]).tolist())
    return _with_fixed_reactive(work, result, step, sorted(fixed)) if fixed else work


def apply_controls(work: Any, result: xr.Dataset, step: int) -> Any:
    """Write taps, shunt steps and the Mvar of plant devices of one step into a pandapower net, in place."""
    for variable, dimension, column in (("tap_position", "tap", "tap_pos"), ("shunt_step", "bank", "step")):
        if variable not in result:
            continue
        names = zip(result[f"{dimension}_table"].values, result[f"{dimension}_element"].values, strict=True)
        for place, (table, index) in enumerate(names):
            work[str(table)].loc[int(index), column] = int(result[variable].to_numpy()[place, step])
    if "device_q_mvar" in result:
        names = zip(result["device_table"].values, result["device_element"].values, strict=True)
        for place, (table, index) in enumerate(names):
            sign = -1.0 if table == "storage" else 1.0  # pandapower counts storage as a load
            value = sign * float(result["device_q_mvar"].to_numpy()[place, step])
            work[str(table)].loc[int(index), "q_mvar"] = value / float(work[str(table)].scaling[int(index)])
    return work


def stopped_generators(profiles: Profiles, step: int) -> set[int]:
    """Places in the gen table of generators of which no unit runs."""
    online = profiles.online.get("gen")
    return set() if online is None else set(np.flatnonzero(online[:, step] <= 0.0).tolist())


def fix_generator(net: Any, place: int, reactive_mvar: float) -> None:
    """Turn one generator into a constant injection, in place."""
    index = net.gen.index[place]
    gen = net.gen.loc[index]
    if not gen.in_service:
        return
    net.gen.loc[index, "in_service"] = False
    pp.create_sgen(net, int(gen.bus), float(gen.p_mw * gen.scaling), reactive_mvar)


def _mixed_loads(net: Any) -> bool:
    """True where pandapower 3.5.6 would average voltage dependence over a bus: unequal loads, or other injections."""
    load = net.load[net.load.in_service.astype(bool)]
    columns = [name for name in SHARES if name in load.columns]
    if not columns or not np.any(load[columns].to_numpy()):
        return False
    dependent = load[load[columns].to_numpy().any(axis=1)]
    if dependent.groupby("bus").size().max() < load[load.bus.isin(dependent.bus)].groupby("bus").size().max():
        return True
    unequal = dependent.groupby("bus")[columns].nunique().to_numpy().max() > 1
    others = set(net.sgen.bus) | set(net.storage.bus) | set(net.motor.bus) | set(net.ward.bus) | set(net.xward.bus)
    return bool(unequal or others & set(dependent.bus))


def _evaluate_loads(net: Any, result: xr.Dataset, step: int) -> None:
    """Turn voltage-dependent loads into what they draw at the voltages of `result`, in place."""
    place = {int(index): number for number, index in enumerate(result["bus_index"].values)}
    vm_pu = np.array([result["vm_pu"].to_numpy()[place[int(bus)], step] for bus in net.load.bus])
    vm_pu = np.where(np.isnan(vm_pu), 1.0, vm_pu)
    for quantity, column in (("p", "p_mw"), ("q", "q_mvar")):
        current = net.load[f"const_i_{quantity}_percent"].to_numpy(float) / 100.0
        impedance = net.load[f"const_z_{quantity}_percent"].to_numpy(float) / 100.0
        net.load[column] = net.load[column] * (1.0 - current - impedance + current * vm_pu + impedance * vm_pu**2)
    for name in SHARES:
        net.load[name] = 0.0


def _with_fixed_reactive(work: Any, result: xr.Dataset, step: int, places: list[int]) -> Any:
    """A copy in which generators that stopped or are at a reactive limit are constant injections.

    A stopped reference keeps the angle at the voltage that `result` found, where it gives nothing.
    """
    trial = copy.deepcopy(work)
    for place in places:
        index = trial.gen.index[place]
        if trial.gen.slack[index] and "vm_pu" in result:
            row = np.flatnonzero(result["bus_index"].values == trial.gen.bus[index])[0]
            trial.gen.loc[index, "vm_pu"] = float(result["vm_pu"].to_numpy()[row, step])
            continue
        fix_generator(trial, place, float(np.nan_to_num(result["generator_q_mvar"].to_numpy()[place, step])))
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


__all__ = [
    "Comparison",
    "apply_controls",
    "apply_step",
    "compare_with_pandapower",
    "fix_generator",
    "impose",
    "solve_step",
    "stopped_generators",
    "worst_steps",
]
