"""Loading: how a case is found, what it holds, and that shipped cases are sound by the published schema too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandapower
import pandas as pd
import pytest

from microgrid.case.json_schema import case_schema
from microgrid.case.library import find_case, list_cases
from microgrid.case.load import load_case
from microgrid.case.source import dump, parse_source, read_source
from microgrid.case.starts import write_start
from microgrid.errors import InvalidInput
from microgrid.network.load import load_network

SHIPPED = sorted(list_cases())


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_cases_keep_the_published_schema(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator(case_schema()).validate(read_source(list_cases()[name]).data)


def test_the_schema_refuses_what_loading_refuses() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    checker = jsonschema.Draft202012Validator(case_schema())
    data = read_source(list_cases()["quickstart"]).data
    for path, wrong in (
        (("assets", "battery", "power_mw"), -1),
        (("assets", "battery", "powr_mw"), 1),
        (("time", "step_min"), 7),
    ):
        broken = json.loads(json.dumps(data))
        node: Any = broken
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = wrong
        assert list(checker.iter_errors(broken)), path


def test_schema_is_itself_valid() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(case_schema())
    for kind in case_schema()["properties"]["assets"]["additionalProperties"]["properties"]["kind"]["enum"]:
        jsonschema.Draft202012Validator.check_schema(case_schema(kind))


def test_a_case_is_found_by_name_folder_and_file(tmp_path: Path) -> None:
    by_name = find_case("quickstart")
    assert by_name.name == "case.yaml"
    copied = shutil.copytree(by_name.parent, tmp_path / "mine")
    assert find_case(copied) == copied / "case.yaml"
    assert find_case(copied / "case.yaml") == copied / "case.yaml"


def test_series_are_aligned_under_part_and_field() -> None:
    case = load_case("quickstart")
    table = pd.read_csv(case.folder / "series.csv")
    assert case.inputs["solar.capacity_factor"] == pytest.approx(table["pv_capacity_factor"])
    assert case.inputs["facility.power_mw"] == pytest.approx(0.3 * table["facility_mw"])
    assert case.units["facility.power_mw"] == "MW"
    assert case.inputs["solar.capacity_factor"].shape == (case.horizon.count,)
    assert {Path(file).name for file in case.files} == {"case.yaml", "series.csv"}


def test_the_network_is_built_once_and_handed_out_in_copies(tmp_path: Path) -> None:
    file = tmp_path / "net.json"
    pandapower.to_json(load_network("single_bus"), str(file))
    case = load_case("quickstart", [f"network={file}"])
    file.unlink()
    case.network().bus.loc[:, "name"] = "changed"
    assert "CAMPUS" in set(case.network().bus.name)


def test_parts_stand_in_the_order_of_their_sections(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(
        "tariffs: {t: {poi: g, tariff: {id: t, timezone: UTC, charges: [{id: e, kind: energy, price: 0.1}]}}}\n"
        "assets: {g: {kind: poi, bus: B, import_limit_mw: 1}, l: {kind: facility_load, bus: B, power_mw: 1}}\n"
        "name: t\ntime: {start: 2025-01-01, end: 2025-01-02, zone: UTC}\n"
    )
    assert list(load_case(tmp_path).parts) == ["g", "l", "t"]


@pytest.mark.parametrize(
    ("start", "end", "zone", "steps"),
    [
        ("2025-03-09", "2025-03-10", "America/Chicago", 23),
        ("2025-11-02", "2025-11-03", "America/Chicago", 25),
        ("2024-01-01", "2025-01-01", "America/Chicago", 8784),
        ("2025-01-01", "2026-01-01", "America/New_York", 8760),
        ("2025-06-01T06:00Z", "2025-06-01T12:00Z", "America/Chicago", 6),
        ("2024-02-29", "2024-03-01", "Europe/Oslo", 24),
    ],
)
def test_windows_count_real_hours(tmp_path: Path, start: str, end: str, zone: str, steps: int) -> None:
    (tmp_path / "case.yaml").write_text(
        f"name: t\ntime: {{start: {start}, end: {end}, zone: {zone}}}\n"
        "assets: {load: {kind: facility_load, bus: B, power_mw: 1}}\n"
    )
    assert load_case(tmp_path).horizon.count == steps


def test_a_resolved_case_reads_back_the_same() -> None:
    source = read_source(list_cases()["quickstart"])
    assert parse_source(dump(source.data), "again").data == source.data


@pytest.mark.parametrize("text", ["12:30", "no", "0o17", "1e3", "2025-07-15", "~", "'7'"])
def test_scalars_follow_yaml_1_2(text: str) -> None:
    wanted = {
        "12:30": "12:30",
        "no": "no",
        "0o17": 15,
        "1e3": 1000.0,
        "2025-07-15": "2025-07-15",
        "~": None,
        "'7'": "7",
    }
    assert parse_source(f"a: {text}\n", "f").data["a"] == wanted[text]


def test_a_plugin_brings_its_asset(tmp_path: Path) -> None:
    write_start("asset", "dry-cooler", folder=tmp_path)
    (tmp_path / "case.yaml").write_text(
        "name: t\ntime: {start: 2025-01-01, end: 2025-01-02, zone: UTC}\nplugins: [dry_cooler.py]\n"
        "assets: {cool: {kind: dry_cooler, bus: B, power_mw: 1, shed_price_usd_per_mwh: 20}}\n"
    )
    case = load_case(tmp_path)
    assert type(case.parts["cool"]).__name__ == "DryCooler"
    assert case.connections()[0].part == "cool"


def test_every_shipped_series_is_within_its_limits() -> None:
    for name in SHIPPED:
        try:
            case = load_case(name)
        except InvalidInput as wrong:  # a shipped case must load: show its problems
            pytest.fail(f"{name}: {wrong}")
        assert all(np.isfinite(values).all() for values in case.inputs.values()), name
