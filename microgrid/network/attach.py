"""Put the parts of a case on the buses of a network; the only place where pandapower's signs flip.

Everywhere else an injection into the bus is positive. pandapower counts ``load`` and ``storage`` positive when they
draw power, ``gen`` and ``sgen`` when they feed it.

    load, storage        p = -injection      q = -reactive injection
    generator, inverter  p = +injection      q = +reactive injection
    grid                 no element: the network's own source behind the POI carries it
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandapower

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.connection import Connection
from microgrid.network.lookup import bus_index_of
from microgrid.network.profiles import Profiles
from microgrid.network.short_circuit import (
    FaultData,
    current_source_columns,
    machine_columns,
    rating_mva_of,
    reactive_capability_mvar,
)
from microgrid.schema.spelling import did_you_mean

Injections = Mapping[tuple[str, str], np.ndarray]
TABLES = ("load", "sgen", "storage", "gen")


def attach(
    net: Any,
    connections: Sequence[Connection],
    injections: Injections,
    fault_data: FaultData | None = None,
    *,
    online: Mapping[str, np.ndarray] | None = None,
) -> tuple[Any, Profiles]:
    """Copy `net` and add one element per connection, with its power over time.

    Args:
        net: pandapower net that fulfils the contract; it is left as it is.
        connections: where each part connects. Elements are called ``part@bus``.
        injections: MW into the bus by (part, bus), each of shape (steps,), the share of the bus already taken.
        fault_data: short-circuit behaviour of machines and inverters; typical figures by default.
        online: share of its units that run, 0 to 1, by part, each of shape (steps,); all of those not named. It tells
            at which steps voltage-controlled generators hold their voltage, and with how much reactive power.

    Returns:
        the new net, its elements holding the first step, and the profiles of all elements, those the net already had
        included with their constant power.

    Raises:
        InvalidInput: unknown bus, a part twice at one bus, a grid connection off the POI, a missing or misshapen
            injection or share; all at once.
    """
    running = online or {}
    problems = [*_problems(net, connections, injections), *_online_problems(running, injections)]
    if problems:
        raise InvalidInput(problems)
    attached = copy.deepcopy(net)
    buses = bus_index_of(attached)
    added: dict[tuple[str, int], _Power] = {}
    shares: dict[int, np.ndarray] = {}
    for connection in connections:
        if connection.behaviour == "grid":
            continue
        injection_mw = np.asarray(injections[connection.part, connection.bus], dtype=float)
        table = table_of(connection)
        element = _Element(connection, buses[connection.bus], injection_mw, fault_data or FaultData())
        index = _CREATE[table](attached, element)
        added[table, index] = element.power(table)
        if table == "gen" and connection.part in running:
            shares[index] = np.asarray(running[connection.part], dtype=float)
    steps = len(next(iter(injections.values()))) if injections else 0
    profiles = _profiles(attached, added, steps)
    return attached, replace(profiles, online=_online(attached, shares, steps)) if shares else profiles


def table_of(connection: Connection) -> str:
    """Table of pandapower that holds a connection's element; ``ext_grid`` for the grid."""
    if connection.behaviour == "generator":
        return "gen" if connection.vm_pu is not None else "sgen"
    return {"load": "load", "inverter": "sgen", "storage": "storage", "grid": "ext_grid"}[connection.behaviour]


_Power = tuple[np.ndarray, np.ndarray]
"""Active and reactive power of one element over time, in its table's own sign, MW and Mvar."""


class _Element:
    """One connection with what its pandapower element needs."""

    def __init__(self, connection: Connection, bus: int, injection_mw: np.ndarray, fault_data: FaultData) -> None:
        self.connection = connection
        self.bus = bus
        self.injection_mw = injection_mw
        self.fault_data = fault_data
        self.name = f"{connection.part}@{connection.bus}"
        self.rating_mva = rating_mva_of(connection, float(np.abs(injection_mw).max(initial=0.0)))

    def power(self, table: str) -> _Power:
        """P and Q in the table's own sign; Q/P is constant, and positive (lagging) unless `leading`."""
        sign = -1.0 if table in {"load", "storage"} else 1.0
        ratio = self.connection.mvar_per_mw
        return sign * self.injection_mw + 0.0, sign * ratio * self.injection_mw + 0.0  # + 0.0 turns -0 into 0

    def first(self, table: str) -> tuple[float, float]:
        """P and Q of the first step, 0 where there is no step."""
        p_mw, q_mvar = self.power(table)
        return (float(p_mw[0]), float(q_mvar[0])) if len(p_mw) else (0.0, 0.0)


def _create_load(net: Any, element: _Element) -> int:
    p_mw, q_mvar = element.first("load")
    current_percent = 100 * element.connection.current_share
    impedance_percent = 100 * element.connection.impedance_share
    index = pandapower.create_load(
        net,
        element.bus,
        p_mw,
        q_mvar,
        const_i_p_percent=current_percent,
        const_i_q_percent=current_percent,
        const_z_p_percent=impedance_percent,
        const_z_q_percent=impedance_percent,
        sn_mva=element.rating_mva,
        name=element.name,
    )
    return int(index)


def _create_storage(net: Any, element: _Element) -> int:
    p_mw, q_mvar = element.first("storage")
    index = pandapower.create_storage(
        net,
        element.bus,
        p_mw,
        max_e_mwh=np.nan,  # the dispatch keeps the energy; the network sees power only
        q_mvar=q_mvar,
        sn_mva=element.rating_mva,
        name=element.name,
    )
    return int(index)


def _create_static_generator(net: Any, element: _Element) -> int:
    p_mw, q_mvar = element.first("sgen")
    index = pandapower.create_sgen(
        net,
        element.bus,
        p_mw,
        q_mvar,
        name=element.name,
        **current_source_columns(element.connection, element.rating_mva, element.fault_data),
    )
    return int(index)


def _create_generator(net: Any, element: _Element) -> int:
    connection = element.connection
    columns = machine_columns(connection, element.rating_mva, float(net.bus.vn_kv.at[element.bus]), element.fault_data)
    # Where no limit is stated, the rated power factor gives the excitation limit in both directions.
    capability_mvar = reactive_capability_mvar(element.rating_mva, columns["cos_phi"])
    index = pandapower.create_gen(
        net,
        element.bus,
        element.first("gen")[0],
        vm_pu=connection.vm_pu,
        name=element.name,
        min_q_mvar=-capability_mvar if connection.q_min_mvar is None else connection.q_min_mvar,
        max_q_mvar=capability_mvar if connection.q_max_mvar is None else connection.q_max_mvar,
        **columns,
    )
    return int(index)


_CREATE: dict[str, Callable[[Any, _Element], int]] = {
    "load": _create_load,
    "storage": _create_storage,
    "sgen": _create_static_generator,
    "gen": _create_generator,
}


def _profiles(net: Any, added: Mapping[tuple[str, int], _Power], steps: int) -> Profiles:
    """Profiles in table order; an element the net already had keeps its power at every step."""
    p_mw: dict[str, np.ndarray] = {}
    q_mvar: dict[str, np.ndarray] = {}
    vm_pu: dict[str, np.ndarray] = {}
    for table in TABLES:
        frame = net[table]
        if frame.empty:
            continue
        p_mw[table] = _constant(frame["p_mw"], steps)
        if table == "gen":
            vm_pu[table] = _constant(frame["vm_pu"], steps)
        else:
            q_mvar[table] = _constant(frame["q_mvar"], steps)
        for position, index in enumerate(frame.index):
            power = added.get((table, int(index)))
            if power is None:
                continue
            p_mw[table][position] = power[0]
            if table != "gen":
                q_mvar[table][position] = power[1]
    return Profiles(steps=steps, p_mw=p_mw, q_mvar=q_mvar, vm_pu=vm_pu)


def _online(net: Any, shares: Mapping[int, np.ndarray], steps: int) -> dict[str, np.ndarray]:
    """Shares of all generators in table order; those the net already had always run."""
    return {"gen": np.array([shares.get(int(index), np.ones(steps)) for index in net.gen.index])}


def _constant(column: Any, steps: int) -> np.ndarray:
    """Column of shape (elements,) repeated to (elements, steps), C-order."""
    return np.repeat(np.asarray(column, dtype=float)[:, None], steps, axis=1)


def _problems(net: Any, connections: Sequence[Connection], injections: Injections) -> list[Problem]:
    """Everything that keeps the connections from being attached."""
    known = bus_index_of(net)
    problems: list[Problem] = []
    seen: set[tuple[str, str]] = set()
    for connection in connections:
        field = f"{connection.part}.bus"
        key = (connection.part, connection.bus)
        if connection.bus not in known:
            rule = f'network "{net.name}" has no such bus'
            problems.append(Problem(rule, did_you_mean(connection.bus, sorted(known), most=3), field, connection.bus))
        if key in seen:
            remedy = "state each bus once, with the whole share"
            problems.append(Problem("the part connects twice at this bus", remedy, field, connection.bus))
        seen.add(key)
        if connection.behaviour == "grid":
            if connection.bus in known and connection.bus != net.poi:
                rule = "the grid connects at the point of interconnection"
                problems.append(Problem(rule, f"name bus {net.poi}", field, connection.bus))
        elif key not in injections:
            problems.append(Problem("no injection is given for this part and bus", "", field, connection.bus))
    return problems + _shape_problems(injections)


def _shape_problems(injections: Injections) -> list[Problem]:
    """Injections must be vectors of one common length, all finite."""
    shapes = {key: np.shape(values) for key, values in injections.items()}
    common = max(set(shapes.values()), key=list(shapes.values()).count, default=(0,))
    problems = [
        Problem(f"injections have shape {common}, this one {shape}", "give one value a step", f"{part}@{bus}")
        for (part, bus), shape in shapes.items()
        if len(shape) != 1 or shape != common
    ]
    for (part, bus), values in injections.items():
        bad = np.flatnonzero(~np.isfinite(np.asarray(values, dtype=float)))
        if len(bad):
            rule = f"the injection is not a number at step {bad[0]}"
            problems.append(Problem(rule, "mend the series it comes from", f"{part}@{bus}"))
    return problems


def _online_problems(online: Mapping[str, np.ndarray], injections: Injections) -> list[Problem]:
    """Shares are as long as the injections and lie within 0 to 1."""
    wanted = np.shape(next(iter(injections.values()))) if injections else (0,)
    problems = []
    for part, share in online.items():
        values = np.asarray(share, dtype=float)
        if values.shape != wanted:
            rule = f"the share of units online has shape {values.shape}, the injections {wanted}"
            problems.append(Problem(rule, "give one value a step", f"{part}.online"))
        elif not ((values >= 0.0) & (values <= 1.0)).all():
            remedy = "divide the units that run by the units there are"
            problems.append(Problem("the share of units online lies within 0 to 1", remedy, f"{part}.online"))
    return problems


__all__ = ["Injections", "attach", "table_of"]
