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
from microgrid.study.network_check import check_network

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
