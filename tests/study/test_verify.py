"""Verification from files alone: an untouched result holds, and a changed number is found by the check it breaks."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from microgrid.case.load import load_case
from microgrid.cli.main import main
from microgrid.errors import InvalidInput
from microgrid.results.files import open_results, write_dataset
from microgrid.study.api import study
from microgrid.study.verify import stored_audit, stored_case, verify_result


def restate(folder: Path, **facts: Any) -> None:
    """State the hashes of all files as they are now, and other facts of the solver: a forger's manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.name != "manifest.json"
    }
    manifest["solver"].update(facts)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def copied(quickstart: Any, tmp_path: Path) -> Path:
    """A copy of quickstart's result."""
    return Path(shutil.copytree(quickstart.folder / "results" / "quickstart", tmp_path / "result"))


def missed(folder: Path) -> set[str]:
    return {residual.check for residual in verify_result(open_results(folder)) if not residual.holds}


@pytest.fixture
def tampered(quickstart: Any, tmp_path: Path) -> Callable[..., dict[str, bool]]:
    """Change one dataset of a copy of quickstart's result; which checks still hold."""

    def change(file: str, name: str, edit: Callable[[np.ndarray], None]) -> dict[str, bool]:
        folder = shutil.copytree(quickstart.folder / "results" / "quickstart", tmp_path / "copy")
        with xr.open_dataset(folder / file, engine="netcdf4") as opened:
            data = opened.load()
        values = data[name].to_numpy().copy()
        edit(values)
        data[name] = (data[name].dims, values, data[name].attrs)
        (folder / file).unlink()
        write_dataset(data, folder / file)
        restate(folder)
        return {residual.check: residual.holds for residual in verify_result(open_results(folder))}

    return change


def _add(amount: float) -> Callable[[np.ndarray], None]:
    def edit(values: np.ndarray) -> None:
        values.flat[min(3, values.size - 1)] += amount

    return edit


@pytest.mark.parametrize(
    ("file", "name", "amount", "checks"),
    [
        ("dispatch.nc", "grid.import_mw", 0.01, {"balance", "objective"}),
        ("dispatch.nc", "battery.energy_mwh", 0.01, {"rows"}),
        ("dispatch.nc", "battery.charge_mw", -50.0, {"bounds", "balance", "rows"}),
        ("dispatch.nc", "engines.running", 0.4, {"integrality", "rows"}),
        ("dispatch.nc", "cost.retail.energy.energy", 5.0, {"bill of retail"}),
        ("dispatch.nc", "cost.retail.energy.energy", 1e-3, {"stored money"}),
        ("dispatch.nc", "injection.battery", 1e-3, {"stored injections"}),
        ("inputs.nc", "facility.power_mw", 0.5, {"balance"}),
        ("bound.nc", "row_price", 0.01, {"bound of the relaxation"}),
    ],
)
def test_a_changed_number_breaks_its_check(
    tampered: Callable[..., dict[str, bool]], file: str, name: str, amount: float, checks: set[str]
) -> None:
    held = tampered(file, name, _add(amount))
    assert held["files unchanged"], "the forger has stated the new hash"
    assert [check for check in checks if held[check]] == []


def test_a_changed_voltage_is_found(tampered: Callable[..., dict[str, bool]]) -> None:
    def lower(values: np.ndarray) -> None:
        values.flat[5] -= 1e-4

    held = tampered("powerflow.nc", "vm_pu", lower)
    assert not held["stored voltages"]
    assert held["balance"]


def test_verify_ends_with_code_six_when_a_check_misses(
    quickstart: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(quickstart.folder / "results" / "quickstart", tmp_path / "copy")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["solver"]["objective_usd"] += 100.0
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(folder)])
    assert ended.value.code == 6
    assert "MISSED" in capsys.readouterr().out


def test_an_untouched_result_holds(copied: Path) -> None:
    assert missed(copied) == set()
    restate(copied)
    assert missed(copied) == set()


EXCLUSIVE = """
name: paid
time: {start: 2025-01-01, end: 2025-01-01T03:00, step_min: 60, zone: America/Chicago}
assets:
  grid: {kind: poi, bus: POI, import_limit_mw: 60}
  battery: {kind: battery, bus: POI, power_mw: 4, energy_mwh: 8}
  office: {kind: facility_load, bus: POI, power_mw: 10}
programs:
  market: {kind: wholesale_energy, poi: grid, spot_usd_per_mwh: -100}
"""


def test_a_result_with_binaries_of_exclusive_pairs_is_verified(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(EXCLUSIVE, encoding="utf-8")
    study(load_case(tmp_path / "case.yaml"), tmp_path / "result")  # charging and discharging at once burns paid energy
    folder = tmp_path / "result"
    added = json.loads(xr.load_dataset(folder / "bound.nc").attrs["exclusive_steps"])
    assert {pair for pair, _ in added} == {"battery"}
    assert missed(folder) == set()
    bound, dispatched = (xr.load_dataset(folder / name) for name in ("bound.nc", "dispatch.nc"))
    rewrite(folder, "bound.nc", bound.assign_attrs(exclusive_steps="[]"))
    assert missed(folder) == {"bound of the relaxation"}
    rewrite(folder, "bound.nc", bound)
    for name in ("charge_mw", "discharge_mw"):
        dispatched[f"battery.{name}"][1] += 0.5
    rewrite(folder, "dispatch.nc", dispatched)
    assert "exclusive pairs" in missed(folder)


FIRM = """
name: firm
time: {start: 2025-01-01, end: 2025-01-01T03:00, step_min: 60, zone: America/Chicago}
assets:
  grid: {kind: poi, bus: POI, import_limit_mw: 60}
  battery: {kind: battery, bus: POI, power_mw: 4, energy_mwh: 8}
  office: {kind: facility_load, bus: POI, power_mw: 2}
programs:
  market: {kind: wholesale_energy, poi: grid, spot_usd_per_mwh: 40}
  firm: {kind: interruptible, poi: grid, contract_mw: 10, firm_service_level_mw: 6, credit_usd_per_kw_month: 40}
"""


def test_a_bound_raised_by_few_integers_is_verified(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(FIRM, encoding="utf-8")
    study(load_case(tmp_path / "case.yaml"), tmp_path / "result")  # 2 MW never reach the level: the relaxation is paid
    manifest = json.loads((tmp_path / "result" / "manifest.json").read_text(encoding="utf-8"))
    assert "few integers" in json.dumps(manifest["solver"]["stages"])
    assert missed(tmp_path / "result") == set()


def rewrite(folder: Path, name: str, data: xr.Dataset) -> None:
    (folder / name).unlink()
    write_dataset(data, folder / name)
    restate(folder)


def test_a_changed_file_stops_the_reading_and_is_named(copied: Path) -> None:
    (copied / "network.json").write_text("{}")
    (residual,) = verify_result(open_results(copied))
    assert (residual.check, residual.holds, residual.where) == ("files unchanged", False, "network.json")


def test_a_bound_that_its_prices_do_not_prove_is_found(copied: Path) -> None:
    bound = open_results(copied).number("manifest.json", "solver", "bound_usd")
    restate(copied, bound_usd=bound + 1.0, relaxation_usd=bound + 1.0)
    assert "bound of the relaxation" in missed(copied)


@pytest.mark.parametrize("edit", ["amount", "charge", "line"])
def test_an_edited_bill_is_found_although_its_hash_is_stated(copied: Path, edit: str) -> None:
    lines = (copied / "bill.csv").read_text().splitlines()
    place = lines[0].split(",").index("charge" if edit == "charge" else "amount")
    cells = lines[1].split(",")
    cells[place] = "gift" if edit == "charge" else str(float(cells[place]) + 0.01 * 100)
    lines[1:2] = [] if edit == "line" else [",".join(cells)]
    (copied / "bill.csv").write_text("\n".join(lines) + "\n")
    restate(copied)
    assert missed(copied) == {"stored bill"}


@pytest.mark.parametrize(
    ("section", "edit"),
    [
        ("money", lambda section: section[0].update(usd=section[0]["usd"] + 1.0)),
        ("bill", lambda section: section[0].update(charge="gift")),
        ("energy", lambda section: section.pop()),
        ("proof", lambda section: section.update(bound_usd=section["bound_usd"] - 5.0)),
    ],
)
def test_an_edited_summary_is_found(copied: Path, section: str, edit: Callable[[Any], None]) -> None:
    summary = json.loads((copied / "summary.json").read_text())
    edit(summary[section])
    (copied / "summary.json").write_text(json.dumps(summary))
    restate(copied)
    assert missed(copied) == {"stored summary"}


def test_a_report_that_does_not_follow_is_found(copied: Path, tampered: Callable[..., dict[str, bool]]) -> None:
    results = open_results(copied)
    reported = stored_audit(results, stored_case(results)).reading.reported
    assert reported
    assert not tampered("dispatch.nc", next(iter(reported)), _add(1e-3))["stored reports"]


def test_a_gap_or_bound_of_another_proof_is_found(copied: Path) -> None:
    solver = open_results(copied).manifest["solver"]
    restate(copied, gap=solver["gap"] + 1e-4)
    assert missed(copied) == {"gap of objective and bound", "stored summary"}
    restate(copied, gap=0.0, bound_usd=solver["objective_usd"] + 100.0)
    assert missed(copied) == {"bound below objective", "bound of the relaxation", "stored summary"}


def test_a_power_flow_taken_away_is_missed(copied: Path) -> None:
    (copied / "powerflow.nc").unlink()
    restate(copied)
    assert missed(copied) == {"stored voltages"}


@pytest.mark.parametrize("content", ["{}", "not JSON", "", "[1]"])
def test_a_broken_network_is_bad_input(copied: Path, content: str) -> None:
    (copied / "network.json").write_text(content)
    restate(copied)
    with pytest.raises(InvalidInput, match=r"network\.json: file of the result cannot be read"):
        verify_result(open_results(copied))


@pytest.mark.parametrize("section", ["solver", "files"])
def test_a_manifest_without_a_section_is_bad_input(copied: Path, section: str) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    del manifest[section]
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InvalidInput, match=rf"manifest\.json: file of the result cannot be read \(no entry {section}"):
        verify_result(open_results(copied))


def test_losses_of_a_secured_result_are_those_of_the_power_flow(copied: Path) -> None:
    summary = json.loads((copied / "summary.json").read_text())
    summary["security"] = {"mode": "n0"}
    (copied / "summary.json").write_text(json.dumps(summary))
    restate(copied)
    assert missed(copied) <= {"losses"}, "the dispatch reckons with none"
    with xr.open_dataset(copied / "dispatch.nc", engine="netcdf4") as opened:
        data = opened.load()
    data["campus.loss_mw"] = ("time", np.full(data.sizes["time"], 2.0))
    (copied / "dispatch.nc").unlink()
    write_dataset(data, copied / "dispatch.nc")
    restate(copied)
    losses = {residual.check: residual for residual in verify_result(open_results(copied))}["losses"]
    assert losses.value == pytest.approx(2.0, abs=0.1)  # less what is lost in the little network
    assert not losses.holds
    assert losses.where.startswith("dispatch against AC")
