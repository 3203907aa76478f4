"""Verification from files alone: an untouched result holds, and a changed number is found by the check it breaks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from microgrid.cli.main import main
from microgrid.results.files import open_results, write_dataset
from microgrid.study.verify import verify_result


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
        ("inputs.nc", "facility.power_mw", 0.5, {"balance"}),
    ],
)
def test_a_changed_number_breaks_its_check(
    tampered: Callable[..., dict[str, bool]], file: str, name: str, amount: float, checks: set[str]
) -> None:
    held = tampered(file, name, _add(amount))
    assert not held["files unchanged"]
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
