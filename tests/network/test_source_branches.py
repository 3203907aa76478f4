"""The branches between the source and the meter, drawn either way, and what an island does with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandapower
import pytest

from microgrid.case.load import load_case
from microgrid.formulation.connection import Connection
from microgrid.network.attach import attach
from microgrid.network.island import form_island
from microgrid.network.source_branches import SourceBranch, source_branches
from microgrid.powerflow.reference import impose
from microgrid.study.network_check import check_network
from microgrid.study.outage_check import campus_outages, named_outages

pytestmark = pytest.mark.filterwarnings("ignore")


def reversed_source(net: Any) -> int:
    """Draw the Thevenin line from the POI to the source; its index."""
    line = int(net.line.index[net.line["name"] == "THEVENIN"][0])
    net.line.loc[line, ["from_bus", "to_bus"]] = net.line.loc[line, ["to_bus", "from_bus"]].to_numpy()
    return line


def test_either_way_round_and_an_impedance(network: Callable[[str], Any]) -> None:
    net = network("single_bus")
    line = int(net.line.index[net.line["name"] == "THEVENIN"][0])
    assert source_branches(net) == (SourceBranch("line", line, "to"),)
    reversed_source(net)
    assert source_branches(net) == (SourceBranch("line", line, "from"),)
    source, campus = int(net.ext_grid.bus.iloc[0]), int(net.line.from_bus[line])
    pandapower.create_impedance(net, source, campus, 0.01, 0.1, 100.0)
    assert source_branches(net)[1] == SourceBranch("impedance", 0, "to")
    net.line.loc[line, "in_service"] = False
    assert [branch.table for branch in source_branches(net)] == ["impedance"]


def test_an_island_cuts_a_source_drawn_from_the_campus(network: Callable[[str], Any]) -> None:
    net = network("single_bus")
    line = reversed_source(net)
    engines = Connection("engines", "CAMPUS", "generator", vm_pu=1.0, rating_mva=50.0)
    island = form_island(attach(net, [engines], {("engines", "CAMPUS"): np.array([10.0])})[0])
    assert not island.line.in_service[line]
    assert source_branches(island) == ()


def test_the_meter_reads_the_same_whichever_way_the_source_is_drawn(network: Callable[[str], Any]) -> None:
    case = load_case("pjm_ai_campus", ["time.start=2025-02-12T00:00", "time.end=2025-02-12T04:00"])
    injections = {(link.part, ""): np.full(len(case.horizon.hours), -8.0) for link in case.connections()}
    net = network(case.header.network)
    drawn = check_network(case, injections, net, compare=False)
    reversed_source(net)
    turned = check_network(case, injections, net, compare=False)
    assert len(turned.poi_branches) == 1
    assert turned.poi_lines == drawn.poi_lines
    np.testing.assert_allclose(turned.poi_import_mw, drawn.poi_import_mw, rtol=1e-9)
    losses = turned.campus_losses_mw(case, injections)
    np.testing.assert_allclose(losses, drawn.campus_losses_mw(case, injections), atol=1e-7)
    assert 0.0 < losses.max() < 0.1 * drawn.poi_import_mw.max()


def utility_transformer(net: Any) -> dict[str, list[int]]:
    """138 kV behind a 345/138 kV transformer in place of the line."""
    source, poi = own_bus(net, 345.0)
    index = pandapower.create_transformer_from_parameters(
        net, source, poi, 300.0, 345.0, 138.0, 0.3, 10.0, 100.0, 0.05, name="UTILITY", shift_degree=0.0
    )
    return {"trafo": [int(index)]}


def utility_three_winding(net: Any) -> dict[str, list[int]]:
    """Behind a three-winding transformer with a tertiary that carries nothing."""
    source, poi = own_bus(net, 345.0)
    tertiary = pandapower.create_bus(net, 13.8, name="TERTIARY")
    index = pandapower.create_transformer3w_from_parameters(
        net, source, poi, tertiary, 345.0, 138.0, 13.8, 300.0, 300.0, 50.0, 10.0, 12.0, 11.0, 0.3, 0.3, 0.3, 90.0, 0.05,
        name="UTILITY",
    )  # fmt: skip
    return {"trafo3w": [int(index)]}


def utility_switch(net: Any) -> dict[str, list[int]]:
    """A breaker with impedance between the source's bus and the POI."""
    source, poi = own_bus(net, 138.0)
    pandapower.create_switch(net, source, poi, et="b", closed=True, z_ohm=5.0, name="BREAKER")
    return {}


def utility_at_length(net: Any) -> dict[str, list[int]]:
    """Source, bus switch, line, another bus, another line: the meter is at the end of the last."""
    line = reversed_source(net)
    poi = int(net.bus.index[net.bus["name"] == "POI"][0])
    bay = pandapower.create_bus(net, 138.0, name="BAY")
    substation = pandapower.create_bus(net, 138.0, name="SUBSTATION")
    pandapower.create_switch(net, int(net.ext_grid.bus.iloc[0]), bay, et="b", closed=True, name="BUS TIE")
    net.line.loc[line, "to_bus"], net.line.loc[line, "from_bus"] = bay, substation
    far = pandapower.create_line_from_parameters(net, poi, substation, 10.0, 0.1, 0.4, 10.0, 1.0, name="FAR")
    return {"line": [line, int(far)]}


def own_bus(net: Any, kv: float) -> tuple[int, int]:
    """Source bus at a voltage of its own, its line taken away; source and POI."""
    line = int(net.line.index[net.line["name"] == "THEVENIN"][0])
    source, poi = int(net.line.from_bus[line]), int(net.line.to_bus[line])
    net.line.drop(index=line, inplace=True)
    net.bus.loc[source, "vn_kv"] = kv
    return source, poi


@pytest.mark.parametrize("change", [utility_transformer, utility_three_winding, utility_switch, utility_at_length])
def test_the_meter_stands_behind_every_kind_of_source_branch(change: Any, network: Callable[[str], Any]) -> None:
    case = load_case("pjm_ai_campus", ["time.start=2025-02-12T00:00", "time.end=2025-02-12T01:00"])
    injections = {(link.part, ""): np.full(len(case.horizon.hours), -8.0) for link in case.connections()}
    net = network(case.header.network)
    elements = change(net)
    found = check_network(case, injections, net, compare=False)
    work = impose(found.attached, found.profiles, found.powerflow, 0)
    pandapower.runpp(work, init="dc", calculate_voltage_angles=True, tolerance_mva=1e-9, numba=False)
    lost = sum(float(work[f"res_{table}"].pl_mw[rows].sum()) for table, rows in elements.items())
    if change is utility_switch:  # pandapower divides z_ohm by sqrt(1 + rx²) and takes rx = 2 by default
        source = work.res_ext_grid.iloc[0]
        ampere = np.hypot(source.p_mw, source.q_mvar) / (np.sqrt(3.0) * 138.0 * float(work.ext_grid.vm_pu.iloc[0]))
        lost = 3.0 * ampere**2 * 5.0 * 2.0 / np.sqrt(5.0)
    assert found.poi_import_mw[0] == pytest.approx(float(work.res_ext_grid.p_mw.sum()) - lost, abs=1e-6)
    assert not {outage.label for outage in campus_outages(found)} & {"trafo UTILITY", "trafo3w UTILITY", "line FAR"}
    labels = {outage.label for outage in named_outages(found, buses=True)}
    assert not labels & {"bus POI", "bus GRID", "bus SUBSTATION", "bus BAY"}
    assert "bus MINE_1" in labels
