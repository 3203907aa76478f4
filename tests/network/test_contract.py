"""Each rule of the contract: a good network with one thing broken is refused with that rule, and only it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandapower
import pandas as pd
import pytest

from microgrid.errors import InvalidInput
from microgrid.network.contract import check_contract, require_contract

pytestmark = pytest.mark.filterwarnings("ignore")


def _set(table: str, column: str, value: object, position: int = 0) -> Callable[[Any], None]:
    def mutate(net: Any) -> None:
        frame = net[table]
        frame[column] = frame[column].astype(object) if isinstance(value, str) or value is None else frame[column]
        frame.loc[frame.index[position], column] = value

    return mutate


def _drop_column(table: str, column: str) -> Callable[[Any], None]:
    def mutate(net: Any) -> None:
        net[table] = net[table].drop(columns=column)

    return mutate


def _bus(net: Any, name: str) -> int:
    return int(net.bus.index[net.bus["name"] == name][0])


def _second_source(net: Any) -> None:
    net.ext_grid = pd.concat([net.ext_grid, net.ext_grid.assign(name="SECOND", bus=_bus(net, "MAIN_A"))])


def _source_on_poi(net: Any) -> None:
    net.ext_grid["bus"] = _bus(net, "POI")
    net.line = net.line.drop(net.line.index[net.line["name"] == "THEVENIN"])
    net.bus = net.bus.drop(_bus(net, "GRID"))


def _source_switched_onto_poi(net: Any) -> None:
    pandapower.create_switch(net, _bus(net, "GRID"), _bus(net, "POI"), et="b", name="BYPASS", z_ohm=0.0)


def _load_at_source(net: Any) -> None:
    pandapower.create_load(net, _bus(net, "GRID"), 1.0, name="STRAY")


def _around_the_poi(net: Any) -> None:
    like = net.line[net.line["name"] == "SERVICE_A"].iloc[0].drop(["from_bus", "to_bus", "name"])
    columns = {key: like[key] for key in like.index if key not in {"std_type", "geo"}}
    pandapower.create_line_from_parameters(net, _bus(net, "GRID"), _bus(net, "SUB_A"), name="BACK_DOOR", **columns)


def _weak_ideal_source(net: Any) -> None:
    net.ext_grid["s_sc_max_mva"] = 3500.0


def _no_thevenin_impedance(net: Any) -> None:
    net.line.loc[net.line["name"] == "THEVENIN", "length_km"] = 0.0


def _floating_bus(net: Any) -> None:
    net.line.loc[net.line["name"] == "FEEDER_SPARE", "in_service"] = False


def _impedance(net: Any) -> None:
    pandapower.create_impedance(
        net, _bus(net, "MAIN_A"), _bus(net, "SPARE_HV"), 0.01, 0.1, 100, name="Z", rft0_pu=0.01, xft0_pu=0.1
    )


def _wrong_rated_voltage(net: Any) -> None:
    net.trafo.loc[net.trafo["name"] == "T_FACILITY", "vn_lv_kv"] = 0.208


def _diverging(net: Any) -> None:
    net.line.loc[net.line["name"] == "FEEDER_SPARE", "g_us_per_km"] = np.nan


RULES: list[tuple[str, Callable[[Any], None], str, str]] = [
    ("no poi", lambda net: net.pop("poi"), "names no point of interconnection", "poi"),
    ("poi unknown", lambda net: net.update(poi="PIO"), "must name exactly one bus", "poi"),
    ("poi out of service", lambda net: net.bus.__setitem__("in_service", net.bus["name"] != "POI"), "out of", "poi"),
    ("no source", lambda net: net.ext_grid.__setitem__("in_service", False), "exactly one source", "ext_grid"),
    ("two sources", _second_source, "exactly one source", "ext_grid"),
    ("source on the poi", _source_on_poi, "stands on the POI bus itself", "Thevenin"),
    ("source switched onto the poi", _source_switched_onto_poi, "stands on the POI bus itself", "Thevenin"),
    ("load at the source", _load_at_source, "carries the source alone", "load STRAY"),
    ("around the poi", _around_the_poi, "through the POI alone", "Thevenin"),
    ("impedance counted twice", _weak_ideal_source, "counts twice", "Thevenin"),
    ("no impedance", _no_thevenin_impedance, "length_km must be above zero", "line THEVENIN"),
    ("bus without name", _set("bus", "name", None, 3), "has a name", "bus"),
    ("same bus name", _set("bus", "name", "MAIN_A", 5), "share a name", "bus"),
    ("same line name", _set("line", "name", "FEEDER_PV", 0), "share a name", "line"),
    ("bus without lower limit", _set("bus", "min_vm_pu", np.nan, 4), "limit missing", "bus MAIN_B"),
    ("bus emergency limits absent", _drop_column("bus", "max_vm_emergency_pu"), "limit missing for all", "bus *"),
    ("band upside down", _set("bus", "max_vm_pu", 0.9, 4), "exceeds max_vm_pu", "bus MAIN_B"),
    ("emergency tighter", _set("bus", "min_vm_emergency_pu", 0.97, 4), "exceeds min_vm_pu", "bus MAIN_B"),
    ("line without rating", _set("line", "max_i_ka", np.nan, 2), "limit missing", "line FEEDER_ENGINES"),
    ("line rating zero", _set("line", "max_i_ka", 0.0, 2), "above zero", "line FEEDER_ENGINES"),
    ("line without normal limit", _set("line", "max_loading_percent", np.nan, 2), "limit missing", "FEEDER_ENGINES"),
    ("trafo without emergency", _set("trafo", "emergency_loading_percent", np.nan, 0), "limit missing", "trafo T1"),
    ("trafo emergency lower", _set("trafo", "emergency_loading_percent", 90.0, 0), "exceeds emergency", "trafo T1"),
    ("line without zero sequence", _set("line", "x0_ohm_per_km", np.nan, 2), "short-circuit figure", "FEEDER_ENGINES"),
    ("line without end temperature", _set("line", "endtemp_degree", np.nan, 2), "short-circuit", "FEEDER_ENGINES"),
    ("trafo without zero sequence", _set("trafo", "vk0_percent", np.nan, 1), "short-circuit figure", "trafo T2"),
    ("trafo without vector group", _set("trafo", "vector_group", None, 1), "no vector group", "trafo T2"),
    ("source without fault level", _set("ext_grid", "s_sc_min_mva", np.nan), "short-circuit figure", "ext_grid GRID"),
    ("source without x0", _drop_column("ext_grid", "x0x_min"), "short-circuit figure", "ext_grid *"),
    ("line without resistance", _set("line", "r_ohm_per_km", np.nan, 2), "electrical figure", "line FEEDER_ENGINES"),
    ("line with text", _set("line", "x_ohm_per_km", "0.4 ohm", 2), "electrical figure", "line FEEDER_ENGINES"),
    ("no units in parallel", _set("trafo", "parallel", 0, 2), "parallel must be above zero", "trafo GSU_1"),
    ("trafo resistance", _set("trafo", "vkr_percent", 20.0, 2), "exceeds vk_percent", "trafo GSU_1"),
    ("bus rated zero", _set("bus", "vn_kv", 0.0, 4), "vn_kv must be above zero", "bus MAIN_B"),
    ("no derating", _set("line", "df", np.nan, 2), "limit missing", "line FEEDER_ENGINES"),
    ("line to nowhere", _set("line", "to_bus", 999, 2), "to_bus is no bus", "line FEEDER_ENGINES"),
    ("switch of nothing", _set("switch", "element", 999, 0), "switched element is no bus", "switch TIE_MAIN"),
    ("floating bus", _floating_bus, "not connected to the source", "bus SPARE_HV"),
    ("impedance element", _impedance, "no rating to check", "impedance Z"),
    ("rated voltage", _wrong_rated_voltage, "voltage without load lies outside", "bus FACILITY"),
    ("does not converge", _diverging, "without load fails", "power flow"),
]


@pytest.mark.parametrize(("mutate", "rule", "field"), [row[1:] for row in RULES], ids=[row[0] for row in RULES])
def test_a_broken_rule_is_told_by_name(network, mutate, rule, field):
    net = network("two_feeder_campus")
    assert check_contract(net) == []
    mutate(net)
    problems = check_contract(net)
    told = [problem for problem in problems if rule in problem.rule and field in problem.field]
    assert told, [str(problem) for problem in problems]
    assert all(problem.remedy for problem in problems)
    assert len(problems) == len(told), [str(problem) for problem in problems]


def test_all_problems_are_told_at_once_with_the_file(network):
    net = network("looped_campus_34kv")
    _set("line", "max_i_ka", np.nan)(net)
    _set("trafo", "vector_group", None)(net)
    _set("bus", "max_vm_pu", 0.5)(net)
    with pytest.raises(InvalidInput) as caught:
        require_contract(net, "my_network.py")
    rules = "\n".join(problem.rule for problem in caught.value.problems)
    assert all(word in rules for word in ("limit missing", "no vector group", "exceeds max_vm_pu"))
    assert {problem.file for problem in caught.value.problems} == {"my_network.py"}


def test_ungrounded_transformers_need_no_zero_sequence_figures(network):
    net = network("two_feeder_campus")
    _set("trafo", "vector_group", "Dy", 3)(net)
    _set("trafo", "vk0_percent", np.nan, 3)(net)
    assert check_contract(net) == []


def test_checking_leaves_the_net_as_it_is(network):
    net = network("two_feeder_campus")
    before = pandapower.to_json(net)
    check_contract(net)
    assert pandapower.to_json(net) == before


def test_a_rule_that_many_elements_break_is_told_once(network):
    net = network("ring_bus_138kv")
    net.bus["min_vm_pu"] = np.nan
    told = [problem for problem in check_contract(net) if problem.remedy == "set min_vm_pu"]
    assert len(told) == 1
    assert told[0].field.startswith("bus ")
    assert f"({len(net.bus)} in all)" in told[0].field


def test_what_the_power_flow_cannot_use_is_told_by_name(network):
    net = network("single_bus")
    source, poi = int(net.ext_grid.bus.iloc[0]), int(net.bus.index[net.bus.name == net.poi][0])
    pandapower.create_dcline(net, source, poi, 1.0, 1.0, 0.0, 1.0, 1.0, name="BYPASS")
    assert [(p.field, p.rule) for p in check_contract(net)] == [
        ("dcline BYPASS", "a DC line may not go round the meter")
    ]
    net = network("single_bus")
    pandapower.create_svc(net, poi, 1.0, -5.0, 1.0, 90.0, name="SVC")
    pandapower.create_load(net, poi, np.nan, 1.0, name="own")
    pandapower.control.ConstControl(net, "load", "p_mw", [0], profile_name=[0])
    fields = " | ".join(f"{problem.field} {problem.rule}" for problem in check_contract(net))
    assert "svc 0 the AC power flow does not model this element" in fields
    assert "load own power or set point missing" in fields
    assert "ConstControl the AC power flow does not model this controller" in fields
