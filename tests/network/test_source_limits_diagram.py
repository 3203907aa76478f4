"""The Thevenin source, the table reader, limits as a dataset, and a network described."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from microgrid.errors import InvalidInput
from microgrid.network.diagram import describe_network, one_line_diagram
from microgrid.network.limits import read_limits
from microgrid.network.source import Source, add_source, from_fault_level, read_source
from microgrid.network.tables import _equivalent_end_temperature, add_tap_control, read_network

pytestmark = pytest.mark.filterwarnings("ignore")
DATA = Path(__file__).parents[2] / "networks" / "data"


def test_a_source_from_a_fault_level_by_hand():
    source = from_fault_level(138.0, 1904.4, x_over_r=3.0, x0_over_x1=2.0, r0_over_r1=4.0)
    # 138² / 1904.4 = 10 ohm, at X/R = 3: R = √10, X = 3·√10.
    assert (source.r_ohm, source.x_ohm) == pytest.approx((sqrt(10), 3 * sqrt(10)))
    assert (source.r0_ohm, source.x0_ohm) == pytest.approx((4 * sqrt(10), 6 * sqrt(10)))
    assert source.fault_level_mva == pytest.approx(1904.4)
    # |2·Z1 + Z0| = |6 + 12j|·√10 = 6·√5·√10; √3·138 over it.
    assert source.single_phase_fault_ka == pytest.approx(sqrt(3) * 138 / (6 * sqrt(50)))


def test_a_source_read_back_is_the_source_given(network):
    net = read_network(DATA / "two_feeder_campus", DATA)
    given = Source(138.0, 0.5, 6.0, 1.0, 9.0, 1.01, 1.1, 105.0, 2000.0)
    add_source(net, "POI", given)
    assert asdict(read_source(net)) == pytest.approx(asdict(given))


def test_a_weakest_level_above_the_intact_one_is_refused():
    net = read_network(DATA / "two_feeder_campus", DATA)
    with pytest.raises(InvalidInput, match="exceeds the intact one, 3000 MVA"):
        add_source(net, "POI", from_fault_level(138.0, 3000.0, 10.0, weakest_fault_level_mva=3100.0))


def test_a_utility_modelled_at_length_has_no_single_source(network):
    net = network("two_feeder_campus")
    net.line.loc[net.line["name"] == "THEVENIN", "to_bus"] = net.bus.index[net.bus["name"] == "SPARE_HV"][0]
    assert read_source(net) is None
    assert describe_network(net).source is None


def test_end_temperature_reproduces_the_resistance_ratio():
    equivalent = _equivalent_end_temperature(90, 250)
    assert equivalent == pytest.approx(145.0)
    assert 1 + 0.004 * (equivalent - 20) == pytest.approx((1 + 0.004 * 230) / (1 + 0.004 * 70))


def test_a_band_narrower_than_a_tap_step_is_refused(network):
    with pytest.raises(InvalidInput, match="must exceed its step"):
        add_tap_control(network("two_feeder_campus"), "T1", 1.02, 0.003)


@pytest.mark.parametrize(
    ("file", "old", "new", "value"),
    [("line.csv", "AL_35KV_500", "AL_35KV_501", "AL_35KV_501"), ("trafo.csv", "SUB_A", "SUB_C", "SUB_C")],
)
def test_a_table_that_names_what_is_not_there_is_refused(tmp_path, file, old, new, value):
    folder = tmp_path / "two_feeder_campus"
    shutil.copytree(DATA / "two_feeder_campus", folder)
    (folder / file).write_text((folder / file).read_text().replace(old, new, 1))
    with pytest.raises(InvalidInput) as caught:
        read_network(folder, DATA)
    assert caught.value.problems[0].value == value


def test_limits_by_name(built):
    limits = read_limits(built["two_feeder_campus"])
    main = limits.sel(bus="MAIN_A")
    assert [float(main[key]) for key in ("vm_min_pu", "vm_max_pu", "vm_min_emergency_pu", "vm_max_emergency_pu")] == [
        0.95, 1.05, 0.92, 1.06,
    ]  # fmt: skip
    trafo = limits.sel(branch="trafo T1")
    assert float(trafo.rating_mva) == 80.0
    assert float(trafo.rating_ka) == pytest.approx(80 / (sqrt(3) * 138))
    assert float(trafo.loading_emergency_percent) == 125.0
    assert float(limits.sel(branch="trafo T_MINE_1").rating_mva) == 18.0
    feeder = limits.sel(branch="line FEEDER_AI_A")
    assert float(feeder.rating_ka) == pytest.approx(2 * 0.640)
    assert float(feeder.rating_mva) == pytest.approx(sqrt(3) * 34.5 * 2 * 0.640)


def test_limits_follow_the_tables_and_name_units(built):
    for net in built.values():
        limits = read_limits(net)
        assert limits.sizes["bus"] == len(net.bus)
        assert limits.sizes["branch"] == len(net.line) + len(net.trafo)
        assert all("units" in limits[name].attrs for name in limits.data_vars)
        assert not any(np.isnan(limits[name].values.astype(float)).any() for name in limits.data_vars)


def test_loading_from_limits_agrees_with_pandapower(at_design_load, solve):
    net = solve(at_design_load("two_feeder_campus"))
    limits = read_limits(net).sel(branch="line FEEDER_AI_A")
    row = net.res_line[net.line["name"] == "FEEDER_AI_A"].iloc[0]
    largest_ka = max(row.i_from_ka, row.i_to_ka)
    assert 100 * largest_ka / float(limits.rating_ka) == pytest.approx(row.loading_percent, rel=1e-9)


def test_a_described_network(built):
    described = describe_network(built["two_feeder_campus"])
    assert (described.poi, described.poi_kv, described.frequency_hz) == ("POI", 138.0, 60.0)
    assert [level.vn_kv for level in described.voltage_levels] == [138.0, 34.5, 13.8, 4.16, 0.69, 0.63, 0.48]
    assert sum(len(level.buses) for level in described.voltage_levels) == dict(described.counts)["bus"] == 40
    by_name = {trafo.name: trafo for trafo in described.transformers}
    assert by_name["T1"].vector_group == "Dyn1"
    assert by_name["T1"].tap_control == "lv bus 1.0125 to 1.0275 pu"
    assert by_name["T_PV"].tap_control == ""
    assert (by_name["T_PV"].units, by_name["T_PV"].rating_mva) == (15, pytest.approx(51.0))
    assert described.capacitor_mvar == pytest.approx(32.0)
    assert described.source.three_phase_ka == pytest.approx(3500 / (sqrt(3) * 138))
    assert described.source.x_over_r == pytest.approx(12.0)


def test_the_one_line_diagram_is_the_docstring(tmp_path):
    assert "──THEVENIN── POI" in one_line_diagram("two_feeder_campus")
    assert one_line_diagram(DATA.parent / "single_bus.py").startswith("One campus bus")
    assert one_line_diagram("no_such_network") == ""
