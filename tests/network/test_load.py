"""Finding and building networks: by name, by path, as a plug-in; and what is told when it fails."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import pandapower
import pytest

import microgrid.network.load as loading
from microgrid.errors import InvalidInput
from microgrid.network.load import list_networks, load_network, packaged_networks
from microgrid.network.start import new_network_text

pytestmark = pytest.mark.filterwarnings("ignore")
CHECKOUT = Path(__file__).parents[2]


def problem_of(path: object) -> object:
    with pytest.raises(InvalidInput) as caught:
        load_network(path)
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


def test_every_packaged_network_is_listed_with_a_headline():
    listed = list_networks()
    assert {"single_bus", "two_feeder_campus", "looped_campus_34kv", "ring_bus_138kv"} <= set(listed)
    assert all(headline.endswith(".") and len(headline) > 20 for headline in listed.values())


def test_the_sibling_folder_serves_a_plain_checkout(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert packaged_networks()["single_bus"] == CHECKOUT / "networks" / "single_bus.py"


def test_the_installed_package_comes_first(monkeypatch, tmp_path):
    (tmp_path / "mine.py").write_text('"""Mine."""\n')
    specification = ModuleSpec("microgrid.networks", None)
    specification.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: specification)
    assert packaged_networks() == {"mine": tmp_path / "mine.py"}


def test_a_plug_in_wins_over_a_packaged_name(monkeypatch, built):
    plugin = SimpleNamespace(name="single_bus", value="theirs:build", load=lambda: lambda: built["looped_campus_34kv"])
    monkeypatch.setattr(loading, "entry_points", lambda group: [plugin] if group == "microgrid.networks" else [])
    assert load_network("single_bus").name == "looped_campus_34kv"
    assert list_networks()["single_bus"] == "plug-in theirs:build"


def test_a_start_file_works_by_path_as_text_and_path(tmp_path):
    path = tmp_path / "my_campus.py"
    path.write_text(new_network_text("my_campus"))
    for given in (path, str(path)):
        net = load_network(given)
        assert (net.name, net.poi) == ("my_campus", "POI")
    assert len(net.controller) == 1


def test_a_json_file_works_by_path(tmp_path, built):
    path = tmp_path / "campus.json"
    pandapower.to_json(built["ring_bus_138kv"], str(path))
    assert len(load_network(path).bus) == len(built["ring_bus_138kv"].bus)


def test_an_unknown_name_is_told_with_near_ones():
    problem = problem_of("two_feder_campus")
    assert "two_feeder_campus" in problem.remedy
    assert problem.value == "two_feder_campus"
    assert ".py or .json" in problem_of("").remedy


def test_a_missing_file_is_told_with_its_neighbours(tmp_path):
    (tmp_path / "campus_a.py").write_text("")
    assert "campus_a.py" in problem_of(tmp_path / "campus_b.py").remedy
    assert "no such network file" in problem_of(tmp_path / "nowhere" / "x.json").rule


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        ("def build():\n    x = 1\n    return 1 / 0\n", 3, "ZeroDivisionError"),
        ("import nothing_of_that_name\n", 1, "nothing_of_that_name"),
        ("def build(:\n    pass\n", 1, "SyntaxError"),
        ("import pandapower\ndef build():\n    return pandapower.create_bus(None, 1.0)\n", 3, "building the network"),
        ("", 0, "defines no build()"),
        ("build = 3\n", 0, "defines no build()"),
        ("def build():\n    return {}\n", 0, "must return a pandapower net"),
    ],
)
def test_an_error_inside_build_is_told_with_its_line(tmp_path, text, line, rule):
    path = tmp_path / "broken.py"
    path.write_text(text)
    problem = problem_of(path)
    assert rule in problem.rule
    assert (problem.line, problem.file) == (line, str(path))
    assert problem.remedy


def test_a_net_that_breaks_the_contract_is_told_with_its_file(tmp_path):
    path = tmp_path / "loose.py"
    path.write_text(new_network_text("loose").replace('name="FEEDER_1"', 'name="THEVENIN"').replace("0.640", "0.0"))
    with pytest.raises(InvalidInput) as caught:
        load_network(path)
    rules = [problem.rule for problem in caught.value.problems]
    assert rules == ["two elements of one table share a name", "max_i_ka must be above zero"]
    assert {problem.file for problem in caught.value.problems} == {str(path)}


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b"\x00\xff\xfe\x81"])
def test_a_file_that_is_no_network_is_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    problem = problem_of(path)
    assert problem.file == str(path)
    assert problem.remedy
