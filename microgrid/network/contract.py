"""What every network must offer, so that dispatch, power flow and studies need no special case.

One POI behind an explicit source impedance, unique names, limits on every bus and branch, short-circuit data, no bus
left floating, and a power flow that converges with nothing attached. Broken rules are told all at once, each with its
remedy.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import pandapower
import pandapower.topology
from pandapower.powerflow import LoadflowNotConverged

from microgrid.errors import InvalidInput, Problem
from microgrid.network.contract_data import (
    electrical_problems,
    limit_problems,
    name_problems,
    power_problems,
    reference_problems,
    short_circuit_problems,
)
from microgrid.network.declared_controls import declared_problems
from microgrid.network.lookup import bus_index_of
from microgrid.network.modelled import controller_problems, element_problems
from microgrid.network.source import read_source
from microgrid.network.source_branches import fused_buses
from microgrid.schema.spelling import did_you_mean

STIFFNESS = 20.0
"""Least ratio of the ideal source's fault level to that of the Thevenin line; below it the impedance counts twice."""

INJECTING_TABLES = ("load", "sgen", "gen", "storage", "motor", "ward", "xward", "asymmetric_load", "asymmetric_sgen")
FAILURES = (
    LoadflowNotConverged, ValueError, TypeError, KeyError, UserWarning, ArithmeticError, np.linalg.LinAlgError,
)  # fmt: skip
"""What pandapower raises on data that no power flow can use."""

TOLD_ONE_BY_ONE = 4
NO_LOAD_RANGE_PU = (0.8, 1.2)


def check_contract(net: Any) -> list[Problem]:
    """Problems of a network, none where it fulfils the contract; the net is left as it is.

    A rule that many elements of a table break is told once, with the first of them and their number.
    """
    return list(_gathered(_broken_rules(net)))


def _gathered(problems: list[Problem]) -> Iterator[Problem]:
    alike: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        alike.setdefault((problem.rule, problem.remedy, problem.field.partition(" ")[0]), []).append(problem)
    for (_, _, table), group in alike.items():
        if len(group) <= TOLD_ONE_BY_ONE:
            yield from group
            continue
        labels = [problem.field.partition(" ")[2] or problem.value for problem in group[:TOLD_ONE_BY_ONE]]
        same = len({problem.value for problem in group}) == 1
        yield replace(
            group[0],
            field=f"{table} {', '.join(labels)} … ({len(group)} in all)",
            value=group[0].value if same else "",
        )


def _broken_rules(net: Any) -> list[Problem]:
    names = list(name_problems(net))
    foundation = [*_poi_problems(net), *reference_problems(net), *electrical_problems(net)]
    foundation += [*element_problems(net), *controller_problems(net), *declared_problems(net), *power_problems(net)]
    problems = [*names, *foundation, *_impedance_problems(net), *limit_problems(net), *short_circuit_problems(net)]
    if foundation or any(problem.field == "bus" for problem in names):
        return problems  # without a POI, a source, named buses and impedances the rest has no meaning
    problems += [*_source_problems(net), *_floating_problems(net)]
    return problems or list(_no_load_problems(net))


def require_contract(net: Any, file: str = "") -> None:
    """Raise `InvalidInput` with every broken rule; `file` says where the network came from."""
    problems = [replace(problem, file=file) for problem in check_contract(net)]
    if problems:
        raise InvalidInput(problems)


def _poi_problems(net: Any) -> Iterator[Problem]:
    """Exactly one source and one POI that names a bus in service."""
    sources = int(net.ext_grid.in_service.sum()) if len(net.ext_grid) else 0
    if sources != 1:
        yield Problem(
            "a network has exactly one source in service",
            "keep one ext_grid behind the POI; reduce the utility to a Thevenin equivalent (network.source.add_source)",
            "ext_grid",
            f"{sources} in service",
        )
    poi = net.get("poi")
    if not isinstance(poi, str) or not poi:
        yield Problem("the network names no point of interconnection", 'set net["poi"] = "POI"', "poi")
        return
    named = net.bus[net.bus["name"] == poi]
    if len(named) != 1:
        rule = f"the POI must name exactly one bus, this names {len(named)}"
        remedy = "rename the others" if len(named) else did_you_mean(poi, sorted(net.bus["name"].astype(str)), most=3)
        yield Problem(rule, remedy, "poi", poi)
    elif not bool(named.in_service.iloc[0]):
        yield Problem("the POI bus is out of service", "set in_service of this bus", "poi", poi)


def _impedance_problems(net: Any) -> Iterator[Problem]:
    """Impedance elements of pandapower carry no rating, so nothing can be checked."""
    for name in net.impedance["name"]:
        yield Problem(
            "an impedance element has no rating to check",
            "write it as a line of 1 km with max_i_ka, max_loading_percent and emergency_loading_percent",
            f"impedance {name}",
        )


def _source_problems(net: Any) -> Iterator[Problem]:
    """The Thevenin impedance is explicit, counted once, and the POI is the only way in."""
    grid = int(net.ext_grid.bus[net.ext_grid.in_service].iloc[0])
    poi = bus_index_of(net)[net.poi]
    fused = fused_buses(net, {grid})
    if poi in fused:
        yield Problem(
            "the source has no impedance: its ext_grid stands on the POI bus itself",
            "put the ext_grid on its own bus and a line with the Thevenin impedance between it and the POI; "
            "network.source.add_source does both",
            "Thevenin",
            net.poi,
        )
        return
    for table in INJECTING_TABLES:
        for name in net[table]["name"][net[table].bus.isin(fused)]:
            yield Problem("the source's bus carries the source alone", "move it to the campus", f"{table} {name}")
    ends = net.dcline.from_bus.isin(fused) | net.dcline.to_bus.isin(fused)
    for name in net.dcline["name"][ends]:
        remedy = "end it on the campus, or state what it delivers as a part of the case"
        yield Problem("a DC line may not go round the meter", remedy, f"dcline {name}")
    yield from _thevenin_problems(net, grid, poi)


def _thevenin_problems(net: Any, grid: int, poi: int) -> Iterator[Problem]:
    """Rules of a one-branch Thevenin equivalent; a utility modelled at length is taken as it is."""
    source = read_source(net)
    if source is None:
        return
    graph = pandapower.topology.create_nxgraph(net, nogobuses=fused_buses(net, {poi}), multi=False)
    beyond = nx.node_connected_component(graph, grid) if grid in graph else set()
    around = [str(net.bus["name"].at[bus]) for bus in sorted(beyond - fused_buses(net, {grid}))]
    if around:
        yield Problem(
            "the campus must be fed through the POI alone",
            "connect campus buses behind the POI, none beside it",
            "Thevenin",
            ", ".join(around[:5]),
        )
    stiff_mva = float(net.ext_grid.s_sc_max_mva[net.ext_grid.in_service].iloc[0])
    if stiff_mva < STIFFNESS * source.fault_level_mva:
        yield Problem(
            f"the source impedance counts twice in a fault: line {source.fault_level_mva:.0f} MVA and ext_grid",
            "set s_sc_max_mva = 1e7 and let the Thevenin line carry the impedance",
            "Thevenin",
            f"s_sc_max_mva {stiff_mva:g}",
        )


def _floating_problems(net: Any) -> Iterator[Problem]:
    """Every bus in service is fed from the source."""
    for bus in sorted(pandapower.topology.unsupplied_buses(net)):
        if bool(net.bus.in_service.at[bus]):
            yield Problem(
                "the bus is not connected to the source",
                "connect it by a line or transformer, close its switch, or take it out of service",
                f"bus {net.bus['name'].at[bus]}",
            )


def _no_load_problems(net: Any) -> Iterator[Problem]:
    """A power flow without load converges to voltages near rated ones; the network's own generators hold theirs."""
    empty = copy.deepcopy(net)
    for table in INJECTING_TABLES:
        if len(empty[table]) and table != "gen":
            empty[table]["in_service"] = False
    empty.gen["p_mw"] = 0.0
    remedy = "look for an impedance of zero, a wrong unit, or rated voltages that do not match the buses"
    try:
        _run_quietly(empty)
    except FAILURES as failure:
        yield Problem(f"the power flow without load fails: {type(failure).__name__} {failure}", remedy, "power flow")
        return
    voltage_pu = empty.res_bus.vm_pu[empty.bus.in_service]
    low, high = NO_LOAD_RANGE_PU
    for bus, value in voltage_pu[~voltage_pu.between(low, high)].items():
        rule = f"the voltage without load lies outside {low} to {high} pu"
        yield Problem(rule, remedy, f"bus {net.bus['name'].at[bus]}", f"{value:.3f} pu")


def _run_quietly(net: Any) -> None:
    """Run pandapower's power flow; what it warns of shows in its result."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pandapower.runpp(
            net, init="dc", calculate_voltage_angles=True, max_iteration=50, numba=False, lightsim2grid=False
        )


__all__ = ["check_contract", "require_contract"]
