"""Other batch engines, fed from the same per-unit model, for the power-flow benchmarks.

lightsim2grid gets a PowerModels dictionary and power-grid-model generic branches, both made from pandapower's per-unit
tables, because their own converters from pandapower are not exact for such networks (measured: shared/facts).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pandapower.pypower.idx_brch import BR_B, BR_G, BR_R, BR_X, F_BUS, SHIFT, T_BUS, TAP
from pandapower.pypower.idx_bus import BASE_KV, BS, BUS_TYPE, GS, PD, QD
from pandapower.pypower.idx_gen import GEN_BUS, PG, VG

from microgrid.powerflow.extract import to_per_unit


def lightsim_grid(net: Any) -> Any:
    """The network as a lightsim2grid grid: one load per bus, branches in their order, lines before transformers."""
    from lightsim2grid.network import init_from_powermodels

    return init_from_powermodels(power_models(net))


def power_models(net: Any) -> dict[str, Any]:
    unit = to_per_unit(net)
    base, bus, gen, branch = unit.ppci["baseMVA"], unit.ppci["bus"], unit.ppci["gen"], np.real(unit.ppci["branch"])
    out: dict[str, Any] = {"baseMVA": base, "bus": {}, "branch": {}, "gen": {}, "load": {}, "shunt": {}}
    for row, values in enumerate(bus):
        key = str(row + 1)
        kind, kv = int(values[BUS_TYPE]), float(values[BASE_KV])
        out["bus"][key] = {"bus_i": row, "bus_type": kind, "base_kv": kv, "vmax": 1.1, "vmin": 0.9}
        out["load"][key] = {"load_bus": row, "pd": float(values[PD]), "qd": float(values[QD]), "status": 1}
        if values[GS] or values[BS]:
            out["shunt"][key] = {"shunt_bus": row, "gs": values[GS] / base, "bs": values[BS] / base, "status": 1}
    limits = {"qmax": 1e4, "qmin": -1e4, "pmax": 1e4, "pmin": -1e4}
    for row, values in enumerate(gen):
        power = {"pg": float(values[PG]), "qg": 0.0, "vg": float(values[VG]), "mbase": base, "gen_status": 1}
        out["gen"][str(row + 1)] = {"gen_bus": int(values[GEN_BUS]), **power, **limits}
    for row, values in enumerate(branch):
        tap, shift = float(values[TAP]) or 1.0, float(values[SHIFT])
        half = {"g_fr": values[BR_G] / 2, "b_fr": values[BR_B] / 2, "g_to": values[BR_G] / 2, "b_to": values[BR_B] / 2}
        ends = {"f_bus": int(values[F_BUS]), "t_bus": int(values[T_BUS])}
        series = {"br_r": float(values[BR_R]), "br_x": float(values[BR_X]), "rate_a": 0.0, "br_status": 1}
        turns = {"tap": tap, "shift": float(np.deg2rad(shift)), "transformer": tap != 1.0 or shift != 0.0}
        out["branch"][str(row + 1)] = {**ends, **series, **half, **turns}
    return out


def lightsim_series(net: Any, load_mva: np.ndarray, gen_mw: np.ndarray, start: np.ndarray) -> tuple[Any, np.ndarray]:
    """A lightsim2grid time series; `load_mva` (bus rows, steps) complex, `gen_mw` (generators, steps).

    Returns a function that solves all steps, and the array it fills is read by ``get_voltages``.
    """
    from lightsim2grid.lightsim2grid_cpp import TimeSeriesCPP

    grid = lightsim_grid(net)
    series = TimeSeriesCPP(grid)
    steps = load_mva.shape[1]
    arrays = [np.ascontiguousarray(part.T) for part in (gen_mw, np.zeros((0, steps)), load_mva.real, load_mva.imag)]
    guess = start.astype(complex)

    def run() -> np.ndarray:
        series.compute_Vs(*arrays, guess, 20, 1e-8)
        return np.asarray(series.get_voltages())

    return run, guess


def power_grid_model_batch(net: Any, power_pu: np.ndarray, reference: np.ndarray, voltage: np.ndarray) -> Any:
    """A power-grid-model batch of the same steps (buses without voltage control only); run it by calling."""
    from power_grid_model import CalculationMethod, LoadGenType, PowerGridModel, initialize_array

    unit = to_per_unit(net)
    base, bus, branch = unit.ppci["baseMVA"], unit.ppci["bus"], np.real(unit.ppci["branch"])
    size, many = len(bus), len(branch)
    kv = bus[:, BASE_KV]
    node = initialize_array("input", "node", size)
    node["id"], node["u_rated"] = np.arange(size), kv * 1e3
    link = initialize_array("input", "generic_branch", many)
    link["id"], link["from_node"], link["to_node"] = size + np.arange(many), branch[:, F_BUS], branch[:, T_BUS]
    link["from_status"] = link["to_status"] = 1
    ohm = kv[branch[:, T_BUS].astype(int)] ** 2 / base
    link["r1"], link["x1"] = branch[:, BR_R] * ohm, branch[:, BR_X] * ohm
    link["g1"], link["b1"] = branch[:, BR_G] / ohm, branch[:, BR_B] / ohm
    link["k"] = np.where(branch[:, TAP] == 0, 1.0, branch[:, TAP])
    link["theta"], link["sn"] = np.deg2rad(branch[:, SHIFT]), base * 1e6
    rows = np.flatnonzero((bus[:, GS] != 0) | (bus[:, BS] != 0))
    shunt = initialize_array("input", "shunt", len(rows))
    shunt["id"], shunt["node"], shunt["status"] = 3 * size + many + np.arange(len(rows)), rows, 1
    ohm = kv[rows] ** 2 / base
    shunt["g1"], shunt["b1"] = bus[rows, GS] / base / ohm, bus[rows, BS] / base / ohm
    shunt["g0"] = shunt["b0"] = 0.0
    others = np.setdiff1d(np.arange(size), reference)
    load = initialize_array("input", "sym_load", len(others))
    load["id"], load["node"], load["status"] = size + many + np.arange(len(others)), others, 1
    load["type"], load["p_specified"], load["q_specified"] = LoadGenType.const_power, 0.0, 0.0
    source = initialize_array("input", "source", len(reference))
    source["id"], source["node"], source["status"] = 5 * size + many + np.arange(len(reference)), reference, 1
    source["u_ref"], source["u_ref_angle"], source["sk"] = np.abs(voltage), np.angle(voltage), 1e40
    model = PowerGridModel({"node": node, "generic_branch": link, "shunt": shunt, "sym_load": load, "source": source})
    update = {
        "id": np.tile(load["id"], (power_pu.shape[1], 1)).astype(np.int32),
        "p_specified": np.ascontiguousarray(-power_pu[others].real.T * base * 1e6),
        "q_specified": np.ascontiguousarray(-power_pu[others].imag.T * base * 1e6),
    }

    def run() -> np.ndarray:
        method = CalculationMethod.newton_raphson
        out = model.calculate_power_flow(
            update_data={"sym_load": update}, calculation_method=method, output_component_types={"node"}, threading=2
        )
        return np.asarray(out["node"]["u_pu"]).T

    return run
