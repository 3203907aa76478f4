"""Commands as a user meets them: what they print, what they write, what they refuse."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from microgrid.case.kinds import built_in
from microgrid.cli.main import main
from microgrid.errors import Residual
from microgrid.study import recheck
from microgrid.study import summary as pages

SECTIONS = (
    "Money, USD", "Energy, MWh", "Peaks by month", "Commitment", "Curtailed, and why", "Bill", "Proof", "AC power flow",
    "Certificates",
)  # fmt: skip


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


# -- help, lists, descriptions ----------------------------------------------------------------------------------


def test_help_names_every_command_and_exit_code(run: Callable[..., Any]) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for word in (
        "solve",
        "validate",
        "new",
        "list",
        "describe",
        "schema",
        "show",
        "verify",
        "Exit codes",
        "3 infeasible",
    ):
        assert word in out


@pytest.mark.parametrize(
    "command", ["solve", "validate", "new", "list", "describe", "schema", "show", "verify", "plot"]
)
def test_every_command_explains_itself(run: Callable[..., Any], command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Usage:" in out


def test_version_is_told_from_a_checkout_too(run: Callable[..., Any]) -> None:
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("microgrid ")


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    listing = [sys.executable, "-m", "microgrid.cli.main", "list", "tariffs"]
    with subprocess.Popen(listing, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_unknown_commands_and_options_end_with_code_two(run: Callable[..., Any]) -> None:
    assert run("slove")[0] == 2
    code, _, err = run("solve", "quickstart", "--gapp", "1")
    assert code == 2
    assert "--gapp" in err


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("cases", "quickstart"),
        ("networks", "two_feeder_campus"),
        ("assets", "battery"),
        ("programs", "coincident_peak"),
        ("tariffs", ""),
        ("charges", "energy"),
    ],
)
def test_lists_give_a_name_and_a_meaning(run: Callable[..., Any], what: str, name: str) -> None:
    code, out, _ = run("list", what)
    assert code == 0
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert name in lines or not name
    assert all(lines.values()), "every entry has a meaning"


@pytest.mark.parametrize("kind", sorted(built_in()))
def test_every_kind_describes_itself(run: Callable[..., Any], kind: str) -> None:
    code, out, err = run("describe", kind)
    assert (code, err) == (0, "")
    assert out.startswith(f"{kind}: ")
    for field in built_in()[kind].model_fields:
        assert field == "kind" or field in out


def test_describe_shows_units_limits_and_equations(run: Callable[..., Any]) -> None:
    _, out, _ = run("describe", "battery")
    assert "power_mw" in out
    assert "> 0, <= 1" in out
    assert r"e_{t+1} = (1-\sigma)^{\Delta_t} e_t" in out


def test_describe_offers_the_near_kind(run: Callable[..., Any]) -> None:
    code, _, err = run("describe", "batery")
    assert code == 2
    assert err.splitlines()[0] == "kind: batery: no such asset or program: did you mean battery?"


@pytest.mark.parametrize("options", [(), ("--kind", "battery")])
def test_schema_is_json_schema(run: Callable[..., Any], options: tuple[str, ...]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    code, out, _ = run("schema", *options)
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(out))


# -- solve ------------------------------------------------------------------------------------------------------


def test_solve_prints_a_one_pager_and_writes_a_folder(quickstart: Any) -> None:
    assert quickstart.code == 0, quickstart.err
    assert quickstart.out.startswith("quickstart  "), "a library greeted before the summary"
    lines = [line.rstrip() for line in quickstart.out.splitlines()]
    assert [section for section in SECTIONS if section not in lines] == []
    assert lines[-1] == "written to results/quickstart"
    assert "MISSED" not in quickstart.out
    files = {file.name for file in (quickstart.folder / "results" / "quickstart").iterdir()}
    assert files >= {
        "dispatch.nc",
        "powerflow.nc",
        "inputs.nc",
        "bill.csv",
        "summary.json",
        "case.yaml",
        "manifest.json",
    }
    assert not [name for name in (quickstart.folder / "results").iterdir() if name.name.startswith(".")]


def test_piped_output_is_plain(quickstart: Any) -> None:
    assert "\x1b" not in quickstart.out + quickstart.err
    assert all(len(line) <= 200 for line in quickstart.out.splitlines())


def test_json_is_the_summary_and_nothing_else(quickstart: Any, run: Callable[..., Any]) -> None:
    folder = quickstart.folder / "results" / "quickstart"
    code, out, err = run("show", str(folder), "--json")
    assert (code, err) == (0, "")
    summary = json.loads(out)
    assert summary == json.loads((folder / "summary.json").read_text())
    assert summary["proof"]["gap"] <= 1e-3
    assert all(row["holds"] for row in summary["certificates"])
    assert math.isclose(sum(row["usd"] for row in summary["money"]), summary["proof"]["objective_usd"], rel_tol=1e-9)


def test_solve_with_json_prints_json_alone(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(SMALL)
    code, out, err = run("solve", str(tmp_path), "--json", "--out", str(tmp_path / "here"))
    assert (code, err) == (0, "")
    assert json.loads(out)["case"]["name"] == "small"
    assert (tmp_path / "here" / "manifest.json").is_file()


def test_show_prints_the_summary_again(quickstart: Any, run: Callable[..., Any]) -> None:
    code, out, _ = run("show", str(quickstart.folder / "results" / "quickstart"))
    assert code == 0
    again = [line.rstrip() for line in out.splitlines() if line.strip()]
    first = [line.rstrip() for line in quickstart.out.splitlines() if line.strip()][:-1]
    assert again == first


def test_verify_recomputes_from_the_files(quickstart: Any, run: Callable[..., Any]) -> None:
    code, out, _ = run("verify", str(quickstart.folder / "results" / "quickstart"), "--json")
    assert code == 0
    checks = {row["check"]: row for row in json.loads(out)}
    assert {"files unchanged", "balance", "rows", "objective", "power flow"} <= set(checks)
    assert all(row["holds"] for row in checks.values())


@pytest.mark.parametrize(
    ("residual_pu", "violations", "ends"), [(1e-9, (), 0), (1e-9, (None,), 4), (1e-3, (), 6), (1e-3, (None,), 6)]
)
def test_check_ends_with_six_when_a_certificate_misses(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, residual_pu: float, violations: Any, ends: int
) -> None:
    residuals = (Residual("power flow", residual_pu, 1e-7, "pu"), Residual("pandapower", 0.0, 1e-6, "pu", empty=True))
    found = SimpleNamespace(residuals=residuals, violations=violations)
    monkeypatch.setattr(recheck, "network_of", lambda *_: (SimpleNamespace(horizon=None), found))
    monkeypatch.setattr(pages, "network", lambda *_: {})
    code, out, _ = run("check", "any", "--json")
    assert code == ends
    assert [row["holds"] for row in json.loads(out)["certificates"]] == [residual_pu < 1e-7, None]


def test_bill_file_adds_up_to_the_tariff_in_the_summary(quickstart: Any) -> None:
    folder = quickstart.folder / "results" / "quickstart"
    with (folder / "bill.csv").open() as file:
        billed = sum(float(row["amount"]) for row in csv.DictReader(file))
    summary = json.loads((folder / "summary.json").read_text())
    assert math.isclose(billed, sum(row["usd"] for row in summary["bill"]), rel_tol=1e-9)


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_folder_that_is_no_result(run: Callable[..., Any], tmp_path: Path, command: str) -> None:
    code, _, err = run(command, str(tmp_path))
    assert code == 2
    assert "not a result folder (no manifest.json)" in err


# -- starts -----------------------------------------------------------------------------------------------------


def test_a_new_case_solves(run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, out, _ = run("new", "case", "mine")
    assert out.splitlines() == [f"wrote {tmp_path / 'mine' / name}" for name in ("case.yaml", "prices.csv")]
    code, out, err = run("solve", "mine", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["network"]["violations"] == 0
    assert (tmp_path / "results" / "mine" / "bill.csv").is_file()


def test_a_new_asset_works_in_a_case(run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("new", "asset", "dry-cooler")[0] == 0
    text = (
        SMALL
        + "  cooler: {kind: dry_cooler, bus: B, power_mw: 2, shed_price_usd_per_mwh: 5}\nplugins: [dry_cooler.py]\n"
    )
    (tmp_path / "case.yaml").write_text(text)
    code, out, err = run("solve", "case.yaml", "--json")
    assert code == 0, err
    assert any(row["item"] == "cooler.shedding" for row in json.loads(out)["money"])
    assert err == "executed plugins of the case: dry_cooler.py\n"


def test_a_new_network_serves_a_case(run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("new", "network", "mine")[0] == 0
    assert (tmp_path / "mine.py").is_file()
    from microgrid.network.load import load_network

    bus = next(str(name) for name in load_network(tmp_path / "mine.py").bus.name if name != "POI")
    (tmp_path / "case.yaml").write_text(SMALL.replace("bus: B", f"bus: {bus}") + "network: mine.py\n")
    code, out, err = run("validate", "case.yaml")
    assert code == 0, err
    assert out.startswith("small: valid")


def test_existing_files_are_not_overwritten(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("new", "asset", "pump")[0] == 0
    (tmp_path / "pump.py").write_text("mine\n")
    code, _, err = run("new", "asset", "pump")
    assert code == 2
    assert "file exists: choose another name or add --force" in err
    assert (tmp_path / "pump.py").read_text() == "mine\n"
    assert run("new", "asset", "pump", "--force")[0] == 0
    assert (tmp_path / "pump.py").read_text() != "mine\n"


@pytest.mark.parametrize("name", ["../up", "a b", "", "1st", "a/b"])
@pytest.mark.parametrize("what", ["case", "asset", "network"])
def test_starts_take_plain_names_only(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, name: str
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    code, _, err = run("new", what, name)
    assert code == 2
    assert "name must" in err
    assert list(tmp_path.rglob("*")) == [inside]


SMALL = """\
name: small
time: {start: 2025-07-15, end: 2025-07-15T04:00, zone: America/Chicago}
assets:
  engine: {kind: engines, bus: B, units: 1, unit_power_mw: 10, variable_om_usd_per_mwh: 50}
  load: {kind: facility_load, bus: B, power_mw: 4}
"""
