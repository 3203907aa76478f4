"""How a run ends: every leaf of the error tree has its code, its words, and leaves no half result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microgrid.cli.main import main
from microgrid.dispatch import run
from microgrid.errors import MicrogridError, SolverLimit

ISLAND = """\
name: island
time: {start: 2025-07-15, end: 2025-07-15T04:00, zone: America/Chicago}
assets:
  engine: {kind: engines, bus: B, units: 1, unit_power_mw: %s, variable_om_usd_per_mwh: 50}
  load: {kind: facility_load, bus: B, power_mw: {file: load.csv, column: mw, time: ""}}
"""


@pytest.fixture
def solve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Solve an island with an engine of the given size; exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def call(power_mw: float = 20.0, *options: str) -> tuple[int, str, str]:
        Path("case.yaml").write_text(ISLAND % power_mw)
        Path("load.csv").write_text("mw\n6\n9\n12.5\n8\n")
        with pytest.raises(SystemExit) as ended:
            main(["solve", "case.yaml", "--out", "out", *options])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err + printed.out
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def left_behind() -> list[str]:
    return sorted(path.name for path in Path().iterdir() if path.name not in {"case.yaml", "load.csv"})


def test_a_sound_case_ends_with_zero(solve: Callable[..., Any]) -> None:
    assert solve()[0] == 0
    assert left_behind() == ["out"]


def test_infeasible_is_three_and_tells_mw_and_hours(solve: Callable[..., Any]) -> None:
    code, out, err = solve(8.0)
    assert (code, out) == (3, "")
    assert err.startswith("infeasible: power is short: 4.500 MW at the worst step (2025-07-15 02:00), in 2.00 h")
    assert "power is short (4.500 MW, 2.00 h, worst 2025-07-15 02:00): 5.5 MWh in all" in err
    assert "engine.power_mw upper limit 8 MW" in err
    assert left_behind() == []


def test_an_unreachable_solver_is_bad_input(solve: Callable[..., Any]) -> None:
    code, _, err = solve(20.0, "--solver", "no_such_solver")
    assert code == 2
    assert err.startswith("--solver: no_such_solver: Pyomo cannot reach this solver")


def test_the_same_result_from_another_solver(solve: Callable[..., Any]) -> None:
    code, out, _ = solve(20.0, "--solver", "appsi_highs")
    assert code == 0
    assert "appsi_highs" in out


def test_solver_limit_is_five(solve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise SolverLimit("gap 0.8 % after 1 s; 0.1 % was asked")

    monkeypatch.setattr(run, "solve", stopped)
    code, _, err = solve()
    assert code == 5
    assert err == "not proven: gap 0.8 % after 1 s; 0.1 % was asked\n"
    assert left_behind() == []


def test_a_wrong_answer_of_the_solver_fails_the_audit_and_writes_nothing(
    solve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = run.solve

    def wrong(*arguments: Any, **options: Any) -> Any:
        solution = honest(*arguments, **options)
        point = solution.point.copy()
        point[solution.program.columns[-1].start] += 0.5  # half a MW more in the first hour
        return dataclasses.replace(solution, point=point)

    monkeypatch.setattr(run, "solve", wrong)
    code, _, err = solve()
    assert code == 6
    assert err.startswith("audit failed, nothing published: balance")
    assert "objective" in err
    assert left_behind() == []


def test_network_violation_is_four_and_the_result_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "solve",
                "quickstart",
                "--set",
                "assets.facility.power_mw=150",
                "--set",
                "assets.grid.import_limit_mw=300",
                "--set",
                "assets.facility.power_factor=0.6",
                "--set",
                "assets.mining.tiers.s21.power_mw=100",
                "--out",
                str(tmp_path / "out"),
            ]
        )
    out = capsys.readouterr().out
    assert ended.value.code == 4, out
    assert "limits broken" in out
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_a_foreign_folder_is_refused_before_solving(solve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "solve", lambda *_, **__: pytest.fail("solved in vain"))
    Path("out").mkdir()
    Path("out/thesis.docx").write_text("mine")
    code, _, err = solve()
    assert code == 2
    assert err.startswith("--out: out: exists and is not a result folder: choose another --out")
    assert Path("out/thesis.docx").read_text() == "mine"
    assert left_behind() == ["out"]


def test_a_place_that_takes_no_folder_is_refused_before_solving(
    solve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "solve", lambda *_, **__: pytest.fail("solved in vain"))
    code, _, err = solve(20.0, "--out", "case.yaml/x")
    assert code == 2
    assert err.startswith("--out: case.yaml/x: no folder can be made there")


def test_a_file_in_the_way_is_refused(solve: Callable[..., Any]) -> None:
    Path("out").write_text("mine")
    code, _, err = solve()
    assert code == 2, err
    assert Path("out").read_text() == "mine"


def test_an_old_result_is_replaced(solve: Callable[..., Any]) -> None:
    assert solve()[0] == 0
    first = Path("out/manifest.json").read_text()
    assert solve(25.0)[0] == 0
    assert Path("out/manifest.json").read_text() != first
    assert left_behind() == ["out"]


def test_a_defect_is_told_in_two_lines(solve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(run, "compile_program", broken)
    code, _, err = solve()
    assert code == 1
    first, second = err.splitlines()
    assert first == "this is a defect of microgrid: ZeroDivisionError: oops"
    assert "Traceback" in Path(second.removeprefix("please report it with ")).read_text()


def test_a_file_that_the_system_refuses_is_bad_input(
    solve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "prices.csv")

    monkeypatch.setattr(run, "compile_program", refused)
    code, _, err = solve()
    assert code == 2
    assert err == "prices.csv: Permission denied: name another file or free this one\n"


def test_an_outage_file_is_refused_before_the_outages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["contingency", "quickstart", "--out", str(tmp_path / "none" / "outages.nc")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(
        "outages.nc: no file can be written there: choose another --out\n1 problem\n"
    )


def test_interruption_leaves_nothing(solve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("microgrid.results.files.write_manifest", interrupted)
    code, _, err = solve()
    assert code == 130
    assert err.endswith("interrupted; nothing was written\n")
    assert left_behind() == []


def test_every_error_has_a_code_of_its_own() -> None:
    leaves = {
        leaf.__name__: leaf.exit_code
        for leaf in MicrogridError.__subclasses__()
        if leaf.__module__ == "microgrid.errors"
    }
    assert leaves == {"InvalidInput": 2, "Infeasible": 3, "NetworkViolation": 4, "SolverLimit": 5, "AuditFailed": 6}
