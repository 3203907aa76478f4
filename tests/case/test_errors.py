"""What `microgrid validate` tells of a case file that is wrong: place, field, value, rule, remedy; all at once."""

# ruff: noqa: E501, ISC004 - messages stand here as the user reads them

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandapower
import pytest

from microgrid.case.load import load_case
from microgrid.cli.main import main
from microgrid.errors import InvalidInput
from microgrid.network.load import load_network
from microgrid.study.solve import dispatch_case

CASE = """\
name: t
time: {start: 2025-07-15, end: 2025-07-16, zone: America/Chicago}
assets:
  grid: {kind: poi, bus: POI, import_limit_mw: 60}
  office: {kind: facility_load, bus: CAMPUS, power_mw: 3}
  battery: {kind: battery, bus: CAMPUS, power_mw: 10, energy_mwh: 40}
"""
Told = Callable[..., list[str]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    """Validate a case file that holds `text` and return the problems told, one line each."""
    monkeypatch.chdir(tmp_path)

    def validate(text: str | bytes, *options: str) -> list[str]:
        Path("case.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(SystemExit) as ended:
            main(["validate", "case.yaml", *options])
        printed = capsys.readouterr()
        assert ended.value.code == 2, printed
        assert printed.out == ""
        assert "Traceback" not in printed.err
        *lines, count = printed.err.splitlines()
        assert count == f"{len(lines)} problem{'s' if len(lines) > 1 else ''}"
        return lines

    return validate


def changed(old: str, new: str) -> str:
    assert old in CASE
    return CASE.replace(old, new)


def test_the_case_itself_is_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "case.yaml").write_text(CASE)
    with pytest.raises(SystemExit) as ended:
        main(["validate", str(tmp_path)])
    assert not ended.value.code
    assert capsys.readouterr().out == "t: valid; 3 parts, 0 series, 24 steps of 60 min\n"


ONE_LINE = {
    "missing field": (
        ", energy_mwh: 40", "",
        "case.yaml:6:3: assets.battery.energy_mwh: field is required: energy capacity of the cells, in MWh",
    ),
    "wrong type": (
        "power_mw: 10", "power_mw: ten",
        "case.yaml:6:41: assets.battery.power_mw: ten: must be a number: inverter limit, both directions, in MW",
    ),
    "list for a number": (
        "power_mw: 10", "power_mw: [10, 20]",
        "case.yaml:6:41: assets.battery.power_mw: [10, 20]: must be a number: inverter limit, both directions, in MW",
    ),
    "text for a profile": (
        "power_mw: 3", "power_mw: three",
        "case.yaml:5:46: assets.office.power_mw: three: must be a number: demand, in MW",
    ),
    "number for a name": ("name: t", "name: 7", "case.yaml:1:1: name: 7: must be text: short name, letters, digits, - and _"),
    "fraction for a count": (
        "battery, bus: CAMPUS, power_mw: 10, energy_mwh: 40",
        "engines, bus: CAMPUS, units: 2.5, unit_power_mw: 3",
        "case.yaml:6:41: assets.battery.units: 2.5: must be a whole number: identical units",
    ),
    "NaN": (
        "energy_mwh: 40", "energy_mwh: .nan",
        "case.yaml:6:55: assets.battery.energy_mwh: nan: must be a finite number: energy capacity of the cells, in MWh",
    ),
    "negative capacity": (
        "energy_mwh: 40", "energy_mwh: -40",
        "case.yaml:6:55: assets.battery.energy_mwh: -40: must be greater than 0: energy capacity of the cells, in MWh",
    ),
    "out of range": (
        "energy_mwh: 40", "energy_mwh: 40, charge_efficiency: 1.2",
        "case.yaml:6:71: assets.battery.charge_efficiency: 1.2: must be at most 1: bus to cells",
    ),
    "start energy above capacity": (
        "energy_mwh: 40", "energy_mwh: 40, initial_energy_mwh: 50",
        "case.yaml:6:71: assets.battery.initial_energy_mwh: 50: initial_energy_mwh 50 must lie between 2 and 38 MWh "
        "(SOC window): energy at the first instant of a window with fixed ends; half the window's range when absent, in MWh",
    ),
    "one of two kinds": (
        "CAMPUS, power_mw: 10", "3, power_mw: 10",
        "case.yaml:6:28: assets.battery.bus: 3: must be text or a record of fields: "
        "network bus, or buses with the share of power at each (sum 1)",
    ),
    "shares": (
        "CAMPUS, power_mw: 10", "{A: 0.5}, power_mw: 10",
        "case.yaml:6:28: assets.battery.bus: bus shares must be non-negative and sum to 1, they sum to 0.5: "
        "network bus, or buses with the share of power at each (sum 1)",
    ),
    "unknown kind": ("kind: battery", "kind: batery", "case.yaml:6:13: assets.battery.kind: batery: unknown kind: did you mean battery?"),
    "choice": (
        "energy_mwh: 40", "energy_mwh: 40, end: sane",
        "case.yaml:6:71: assets.battery.end: sane: must be one of 'same' or 'free': did you mean same?",
    ),
    "step": (
        "zone: A", "step_min: 7, zone: A",
        "case.yaml:2:44: time.step_min: 7: must be one of 5, 15, 30 or 60: length of a step in minutes",
    ),
    "pattern": (
        "name: t", "name: a b",
        "case.yaml:1:1: name: a b: must match ^[A-Za-z0-9_-]+$: short name, letters, digits, - and _",
    ),
    "unknown network": (
        "assets:", "network: singel_bus\nassets:",
        "case.yaml:3:1: network: singel_bus: there is no such network: did you mean single_bus? (a path must end in .py or .json)",
    ),
    "unknown bus": (
        "assets:\n", "network: single_bus\nassets:\n  sun: {kind: solar, bus: CAMPS, power_mw: 1, capacity_factor: 1}\n",
        "case.yaml:5:22: assets.sun.bus: CAMPS: no such bus in the network: did you mean CAMPUS?",
    ),
    "name taken twice": (
        "  battery:", "  office: {kind: facility_load, bus: CAMPUS, power_mw: 1}\n  battery:",
        "case.yaml:6:3: office: name is given twice: rename or remove one of them",
    ),
    "reserved name": (
        "battery:", "cost:",
        "case.yaml:6:3: assets.cost: cost: name must be letters, digits, - and _, and not campus, cost or injection: rename it",
    ),
    "no asset": (
        CASE[CASE.index("assets"):], "", "case.yaml:1:1: assets: a case needs at least one asset: see: microgrid list assets",
    ),
    "no hours": (
        "end: 2025-07-16", "end: 2025-07-15",
        "case.yaml:2:27: time.end: 2025-07-15: the window from 2025-07-15 to 2025-07-15 has no hours: end must lie after start: "
        "last instant, exclusive, in the same form",
    ),
    "no date": (
        "end: 2025-07-16", "end: 2025-02-30",
        "case.yaml:2:27: time.end: 2025-02-30: end '2025-02-30' is not a local date or time in America/Chicago "
        "(day is out of range for month: 2025-02-30): last instant, exclusive, in the same form",
    ),
    "skipped instant": (
        "start: 2025-07-15", "start: 2025-03-09T02:30",
        "case.yaml:2:8: time.start: 2025-03-09T02:30: start '2025-03-09T02:30' is not a local date or time in America/Chicago "
        "(2025-03-09 02:30:00): first instant, local date or time (ISO 8601), e.g. 2025-07-15 or 2025-07-15T06:00",
    ),
    "unknown zone": (
        "zone: America/Chicago", "zone: America/Chicagoo",
        "case.yaml:2:44: time.zone: America/Chicagoo: not an IANA time zone; did you mean America/Chicago?: "
        "IANA time zone, e.g. America/Chicago",
    ),
    "no tariff": (
        "assets:", "tariffs: {retail: {poi: grid, use: nope}}\nassets:",
        "case.yaml:3:11: tariffs.retail: nope: no such tariff: see `microgrid list tariffs`, or give the path of a .yaml file",
    ),
    "unknown charge": (
        "assets:", "tariffs: {retail: {poi: grid, tariff: {id: x, charges: [{id: e, kind: enrgy, price: 3}]}}}\nassets:",
        "case.yaml:3:65: tariffs.retail.tariff.charges.0.kind: enrgy: unknown kind: did you mean energy?",
    ),
    "unknown determinant of a tariff": (
        "assets:", "tariffs: {retail: {poi: grid, tariff: {id: x, charges: [{id: d, kind: demand, of: pk, price: 3}]}}}\nassets:",
        "case.yaml:3:79: tariffs.retail.tariff.charges.0.of: pk: unknown determinant: known: none",
    ),
    "gap in a tariff's calendar": (
        "assets:", "tariffs: {retail: {poi: grid, tariff: {id: x, calendars: {E: {rules: [{hours: [[0, 12]], period: a}]}}}}}\nassets:",
        "case.yaml:3:59: tariffs.retail.tariff.calendars.E: 2025-07-15 12:00: the calendar has a gap: no rule matches this interval: add a rule or a `default` period",
    ),
    "tariff of another year": (
        "assets:", "tariffs: {retail: {poi: grid, tariff: {id: x, source: {doc: d, effective: 2099}}}}\nassets:",
        "case.yaml:3:64: tariffs.retail.tariff.source.effective: 2099: 100% of the load, 2025-07-15 to 2025-07-15, is before the tariff takes effect: use the tariff of that year, or state `allow_other_year: true` beside it (`bill`: --allow-other-year)",
    ),
    "past peaks of nothing": (
        "assets:", "tariffs: {retail: {poi: grid, history: {q: [3]}, tariff: {id: x, determinants: {pk: {kind: demand}}}}}\nassets:",
        "case.yaml:3:31: tariffs.retail.history: q: past peaks of no determinant of the tariff: known: pk",
    ),
    "tariff in another currency": (
        "assets:", "tariffs: {retail: {poi: grid, tariff: {id: x, currency: CAD}}}\nassets:",
        "case.yaml:3:11: tariffs.retail: the tariff is in CAD and the dispatch in USD: state `usd_per_currency` beside the tariff",
    ),
    "tiers that no program can share": (
        "assets:", "tariffs: {retail: {poi: grid, tariff: {id: x, calendars: {E: {rules: [{hours: [[0, 12]], period: a}], default: b}}, charges: [{id: e, kind: energy, calendar: E, tiers: [{upto: 9, price: {a: 1, b: 2}}, {upto: {}, price: {a: 3, b: 7}}]}]}}}\nassets:",
        "case.yaml:3:162: tariffs.retail.tariff.charges.0.tiers: the optimiser cannot state these tiers: `b` costs +1 against `a` in tier 1 and +4 in tier 2, "
        "and tiers are shared by energy, so the cost is a quotient of unknowns: state the difference of the periods as an energy charge of its own where it is the same in every tier, "
        "count tiers `per_period` where the sheet does, or set `share_tiers_freely: true` beside the tariff (solves for a lower bound, and states its dollars)",
    ),
    "ratchet without past peaks": (
        "assets:", "tariffs: {retail: {poi: grid, tariff: {id: x, determinants: {p: {kind: demand}, b: {kind: max_of, of: [{ref: p, lookback: 2}]}}}}}\nassets:",
        "case.yaml:3:62: tariffs.retail.tariff.determinants.p: a ratchet looks back on `p`, 2 cycles before the load begins: give history: {p: [kW, oldest first]}, or state `history: first_year` (no service before) or `history: steady_state` (the load repeats)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_LINE)
def test_one_problem(told: Told, name: str) -> None:
    old, new, line = ONE_LINE[name]
    assert told(changed(old, new)) == [line]


def test_a_tariff_file_in_another_currency_is_told_at_the_case(told: Told) -> None:
    Path("cad.yaml").write_text("id: x\ncurrency: CAD\n")
    used = changed("assets:", "tariffs:\n  retail: {poi: grid, use: cad.yaml}\nassets:")
    rule = "the tariff is in CAD and the dispatch in USD: state `usd_per_currency` beside the tariff"
    assert told(used) == [f"case.yaml:4:3: tariffs.retail: {rule}"]


REWARDED = (
    "{id: x, determinants: {pk: {kind: demand, channel: export}}, charges: [{id: d, kind: demand, of: pk, price: -2}]}"
)


@pytest.mark.parametrize(
    ("tariff", "place"),
    [
        (f"tariff: {REWARDED}", "case.yaml:3:62: tariffs.retail.tariff.determinants.pk"),
        ("use: rewarded.yaml", "rewarded.yaml:1:28: determinants.pk"),
    ],
)
def test_what_shows_with_the_equations_alone_is_placed_too(tmp_path: Path, tariff: str, place: str) -> None:
    (tmp_path / "rewarded.yaml").write_text(REWARDED)
    (tmp_path / "case.yaml").write_text(changed("assets:", f"tariffs: {{retail: {{poi: grid, {tariff}}}}}\nassets:"))
    with pytest.raises(InvalidInput) as caught:
        dispatch_case(load_case(tmp_path / "case.yaml"))
    (problem,) = caught.value.problems
    assert (
        str(problem)
        .removeprefix(f"{tmp_path}/")
        .startswith(f"{place}: the tariff rewards a higher `pk`, which only a plain peak")
    )
    assert problem.remedy


def test_unknown_field_offers_the_near_one(told: Told) -> None:
    assert told(changed("power_mw: 10", "power_mv: 10")) == [
        "case.yaml:6:3: assets.battery.power_mw: field is required: inverter limit, both directions, in MW",
        "case.yaml:6:41: assets.battery.power_mv: unknown field: did you mean power_mw?",
    ]


def test_unknown_section_offers_the_near_one(told: Told) -> None:
    assert "case.yaml:3:1: asets: unknown field: did you mean assets?" in told(changed("assets:", "asets:"))


def test_problems_of_all_parts_come_together(told: Told) -> None:
    text = CASE.replace("60}", "-1}").replace("power_mw: 3", "power_mw: x").replace("energy_mwh: 40", "energy_mwh: 0")
    text += "tariffs: {retail: {poi: gird, use: nope}}\nnetwork: nowhere\nplugins: [none.py]\n"
    lines = told(text)
    assert [re.sub(r": .*", "", line) for line in lines] == [
        "case.yaml:9:11", "case.yaml:4:31", "case.yaml:5:46", "case.yaml:6:55", "case.yaml:7:11", "case.yaml:7:20", "case.yaml:8:1",
    ]  # fmt: skip
    assert any("no such point of interconnection: did you mean grid?" in line for line in lines)


def test_a_name_in_two_sections(told: Told) -> None:
    lines = told(CASE + "programs:\n  battery: {kind: ancillary_services}\n")
    assert lines == [
        "case.yaml:8:3: programs.battery: battery: name is given twice, in two sections: rename one of them"
    ]


def test_a_part_without_kind_lists_the_kinds(told: Told) -> None:
    (line,) = told(changed("kind: battery, ", ""))
    assert line.startswith("case.yaml:6:3: assets.battery: needs a kind: kinds: ai_inference, ")


def test_names_that_yaml_reads_as_numbers_are_found(told: Told) -> None:
    (line,) = told(changed("battery:", "2:").replace("power_mw: 10", "power_mw: -1"))
    assert line.startswith("case.yaml:6:35: assets.2.power_mw: -1: must be greater than 0")


# -- plugins ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "case.yaml:7:11: plugins.0: p.py: plugin file does not exist: check the path"),
        ("x = 1\n", "case.yaml:7:11: plugins.0: p.py: plugin holds no class with a `kind`: derive one from microgrid.assets.asset.Asset"),
        ("\nimport nothing_here\n", "p.py:2: plugins: p.py: plugin does not import: ModuleNotFoundError: No module named 'nothing_here': mend the file"),
        ("x = 1\ndef f(:\n", "p.py:2: plugins: p.py: plugin does not import: SyntaxError: invalid syntax (p.py, line 2): mend the file"),
        ("import sys\nsys.exit(3)\n", "p.py:2: plugins: p.py: plugin does not import: SystemExit: 3: mend the file"),
    ],
)  # fmt: skip
def test_plugins_that_fail(told: Told, content: str | None, line: str) -> None:
    if content is not None:
        Path("p.py").write_text(content)
    assert told(CASE + "plugins: [p.py]\n") == [line]


def test_a_plugin_that_gives_a_kind_that_is_there_already(told: Told) -> None:
    Path("p.py").write_text("from microgrid.assets.battery import Battery\nclass Mine(Battery):\n    pass\n")
    rule = "plugin gives the kind battery, which microgrid.assets.battery gives already"
    assert told(CASE + "plugins: [p.py]\n") == [
        f"case.yaml:7:11: plugins.0: p.py: {rule}: give the class another `kind`"
    ]


def test_plugins_are_a_list(told: Told) -> None:
    (line,) = told(CASE + "plugins: p.py\n")
    assert line.startswith("case.yaml:7:1: plugins: p.py: must be a list: Python files with own assets")


# -- files that are no case -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "case.yaml: file is empty: start from: microgrid new case NAME"),
        (b"# a comment only\n", "case.yaml: file is empty"),
        (b"\x00\x01\x02\xff", "case.yaml: file is not text: give a YAML file in UTF-8"),
        (b"PK\x03\x04" + bytes(range(256)), "case.yaml: file is not text"),
        (b"- a\n", "case.yaml:1:1: the top of the file must be a mapping of fields"),
        (b"hello\n", "case.yaml:1:1: the top of the file must be a mapping of fields"),
        (b"a: [1\nb: 2\n", "case.yaml:2:2: not valid YAML: expected ',' or ']'"),
        (b"\tname: t\n", "case.yaml:1:1: not valid YAML: found character"),
        (b"a: " + b"[" * 500, "case.yaml: not valid YAML: nested too deeply"),
    ],
)
def test_files_that_are_no_case(told: Told, content: bytes, words: str) -> None:
    (line,) = told(content)
    assert line.startswith(words)


def test_a_tag_that_would_run_code_runs_nothing(told: Told) -> None:
    lines = told("name: !!python/object/apply:os.mkdir [made]\n" + CASE.partition("\n")[2])
    assert lines[0].startswith("case.yaml:1:1: name")
    assert not Path("made").exists()


def test_fifty_megabytes_of_garbage(told: Told) -> None:
    (line,) = told(os.urandom(50_000_000))
    assert line == "case.yaml: file has 50 MB, a case has at most 5 MB: give the case file; series go in CSV files"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("quikstart", "case: quikstart: no such case: did you mean quickstart?"),
        ("no/such/case.yaml", "case: no/such/case.yaml: case file does not exist: check the path"),
    ],
)
def test_cases_that_do_not_exist(capsys: pytest.CaptureFixture[str], name: str, line: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["validate", name])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[0] == line


def test_the_process_ends_with_code_two(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(changed("power_mw: 10", "power_mw: -10"))
    done = subprocess.run(
        [sys.executable, "-m", "microgrid.cli.main", "validate", "case.yaml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("case.yaml:6:41: assets.battery.power_mw: -10: must be greater than 0")


def test_a_broken_rule_of_the_network_names_its_element_at_the_line_that_names_the_network(tmp_path: Path) -> None:
    net = load_network("single_bus")
    net.bus.loc[net.bus.name == "CAMPUS", "min_vm_pu"] = float("nan")
    pandapower.to_json(net, str(tmp_path / "mine.json"))
    (tmp_path / "case.yaml").write_text(
        "name: mine\ntime: {start: 2025-01-01, end: 2025-01-02, zone: America/Chicago}\nnetwork: mine.json\n"
        "assets:\n  load: {kind: facility_load, bus: CAMPUS, power_mw: 1}\n",
        encoding="utf-8",
    )
    with pytest.raises(InvalidInput) as told:
        load_case(tmp_path / "case.yaml")
    text = str(told.value)
    assert f"{tmp_path / 'case.yaml'}:3:1: network: mine.json: bus CAMPUS: min_vm_pu: limit missing" in text
