"""``--set path.to.field=value``: what it changes, how values are read, and what is told of a wrong path."""

# ruff: noqa: E501 - messages stand here as the user reads them

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from microgrid.case.load import load_case
from microgrid.errors import InvalidInput

CASE = """\
name: t
time: {start: 2025-07-15, end: 2025-07-16, zone: America/Chicago}
assets:
  grid:
    kind: poi
    bus: POI
    import_limit_mw: 60
    variations: [{window_min: 60, change_mw: 5}, {window_min: 120, change_mw: 9}]
  office: {kind: facility_load, bus: CAMPUS, power_mw: 3}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "case.yaml"
    path.write_text(CASE)
    return path


def test_fields_records_and_positions_are_set(file: Path) -> None:
    case = load_case(file, [
        "assets.grid.import_limit_mw=45.5", "assets.grid.variations.1.change_mw=7", "time.end=2025-07-17",
        "solve.gap=1e-4", "title=two days", "assets.office.bus={A: 0.25, B: 0.75}",
    ])  # fmt: skip
    grid, office = (case.parts[name].model_dump() for name in ("grid", "office"))
    assert grid["import_limit_mw"] == 45.5
    assert [limit["change_mw"] for limit in grid["variations"]] == [5, 7]
    assert case.horizon.count == 48
    assert (case.header.solve.gap, case.header.title) == (1e-4, "two days")
    assert office["bus"] == {"A": 0.25, "B": 0.75}


def test_the_file_is_not_changed_and_the_resolved_case_is(file: Path) -> None:
    case = load_case(file, ["assets.office.power_mw=5"])
    assert file.read_text() == CASE
    assert case.resolved["assets"]["office"]["power_mw"] == 5


def test_later_overrides_win(file: Path) -> None:
    case = load_case(file, ["assets.office.power_mw=5", "assets.office.power_mw=7"])
    assert case.parts["office"].model_dump()["power_mw"] == 7


def test_a_whole_part_may_be_added(file: Path) -> None:
    case = load_case(file, ["assets.spare={kind: facility_load, bus: CAMPUS, power_mw: 1}"])
    assert list(case.parts) == ["grid", "office", "spare"]


def test_text_that_looks_like_a_time_stays_text(file: Path) -> None:
    assert load_case(file, ["time.start=2025-07-15T06:30", "time.end=2025-07-15T12:30"]).horizon.count == 6


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("assets.office", "--set: assets.office: an override has the form path.to.field=value: e.g. --set assets.battery.power_mw=20"),
        ("=3", "--set: =3: an override has the form path.to.field=value: e.g. --set assets.battery.power_mw=20"),
        ("assets.ofice.power_mw=3", "--set assets.ofice.power_mw: 3: there is no 'ofice' under assets: did you mean office?"),
        ("assets.office.power_mw.x=3", "--set assets.office.power_mw.x: 3: 'x' is not inside a mapping or list: follow the structure of the case file"),
        ("assets.grid.variations.2.change_mw=3", "--set assets.grid.variations.2.change_mw: 3: '2' is not a position of a list with 2 entries: follow the structure of the case file"),
        ("assets.office.power_mw=[", "--set assets.office.power_mw: [: value is not valid YAML: quote it"),
    ],
)  # fmt: skip
def test_wrong_overrides(file: Path, override: str, line: str) -> None:
    with pytest.raises(InvalidInput) as told:
        load_case(file, [override])
    assert str(told.value) == line


def test_wrong_values_are_told_at_the_field_they_replace(file: Path) -> None:
    with pytest.raises(InvalidInput) as told:
        load_case(file, ["assets.office.power_mw=-1", "assets.grid.bus=3"])
    assert [(problem.line, problem.field, problem.value) for problem in told.value.problems] == [
        (6, "assets.grid.bus", "3"), (9, "assets.office.power_mw", "-1"),
    ]  # fmt: skip


def test_all_wrong_overrides_come_together(file: Path) -> None:
    with pytest.raises(InvalidInput) as told:
        load_case(file, ["x", "assets.nothing.power_mw=1"])
    assert len(told.value.problems) == 2


def test_python_is_not_run(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        load_case(file, [f"name=!!python/object/apply:os.mkdir [{tmp_path / 'made'}]"])
    assert not (tmp_path / "made").exists()


def test_null_removes_an_optional_value(file: Path) -> None:
    case: Any = load_case(file, ["assets.grid.ramp_mw_per_min=2", "assets.grid.ramp_mw_per_min=null"])
    assert case.parts["grid"].ramp_mw_per_min is None
