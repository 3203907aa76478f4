"""An asset behind an open switch is told, instead of being supplied on paper."""

from __future__ import annotations

from pathlib import Path

import pandapower
import pytest

from microgrid.case.load import load_case
from microgrid.errors import InvalidInput
from microgrid.network.areas import bus_areas
from microgrid.network.load import load_network

CASE = """
name: cut_off
time: {{start: 2025-01-01, end: 2025-01-02, zone: America/Chicago}}
network: {network}
assets:
  grid: {{kind: poi, bus: POI, import_limit_mw: 50}}
  load: {{kind: facility_load, bus: MINE_2, power_mw: 5}}
"""


def test_all_buses_of_the_shipped_campus_are_one_area() -> None:
    areas = bus_areas(load_network("two_feeder_campus"))
    assert len({areas[bus] for bus in ("POI", "MAIN_A", "MAIN_B", "MINE_2", "ENGINES", "PV")}) == 1


def test_an_asset_behind_an_open_line_is_refused(tmp_path: Path) -> None:
    net = load_network("two_feeder_campus")
    bus = net.bus.index[net.bus.name == "MINE_2"][0]
    net.trafo.loc[net.trafo.lv_bus == bus, "in_service"] = False
    areas = bus_areas(net)
    assert areas["MINE_2"] != areas["POI"]
    pandapower.to_json(net, str(tmp_path / "net.json"))
    (tmp_path / "case.yaml").write_text(CASE.format(network="net.json"), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"cut off|floating|no path|supply"):
        load_case(tmp_path / "case.yaml")
