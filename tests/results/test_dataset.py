"""Datasets of a result: names, dimensions, units, and what a reader can work out from them alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from microgrid.results.dataset import COST, INJECTION
from microgrid.results.files import Results, open_results


@pytest.fixture(scope="module")
def results(quickstart: Any) -> Results:
    return open_results(quickstart.folder / "results" / "quickstart")


def test_every_quantity_has_unit_and_meaning(results: Results) -> None:
    text = [name for name in results.dispatch if results.dispatch[name].dtype.kind not in "fiu"]
    assert all(str(name).endswith(".binding") for name in text)
    for name, array in results.dispatch.items():
        if name not in text:
            assert array.attrs["units"], name
            assert array.attrs["long_name"], name


def test_axes_are_utc_and_interval_beginning(results: Results) -> None:
    times, edges = (pd.DatetimeIndex(results.dispatch[name].to_numpy()) for name in ("time", "edge"))
    assert times[0] == pd.Timestamp("2025-07-15T05:00")  # midnight in Chicago
    assert len(edges) == len(times) + 1
    assert (edges[:-1] == times).all()
    assert results.dispatch.attrs["zone"] == "America/Chicago"
    assert results.dispatch.attrs["ends"] == "wrap"


def test_nothing_is_missing(results: Results) -> None:
    for name, array in results.dispatch.items():
        assert array.dtype.kind != "f" or np.isfinite(array.to_numpy()).all(), name


def test_injections_balance_at_every_step(results: Results) -> None:
    power = [array for name, array in results.dispatch.items() if str(name).startswith(INJECTION)]
    assert len(power) == 7
    assert np.abs(sum(array.to_numpy() for array in power)).max() < 1e-6


def test_money_items_make_the_objective(results: Results) -> None:
    money = sum(float(array.sum()) for name, array in results.dispatch.items() if str(name).startswith(COST))
    assert money == pytest.approx(results.manifest["solver"]["objective_usd"], abs=0.01)


def test_inputs_are_stored_as_aligned(results: Results) -> None:
    assert results.inputs["facility.power_mw"].attrs["units"] == "MW"
    assert results.inputs.sizes["time"] == 24
    drawn = -results.dispatch[f"{INJECTION}facility"].to_numpy()
    assert drawn == pytest.approx(results.inputs["facility.power_mw"].to_numpy())


def test_power_flow_covers_every_step(results: Results) -> None:
    flow = results.powerflow
    assert flow is not None
    assert flow.sizes["time"] == 24
    assert (flow["status"].to_numpy() < 2).all()


def test_files_open_without_this_package(results: Results) -> None:
    with xr.open_dataset(Path(results.folder) / "dispatch.nc", engine="netcdf4") as plain:
        assert plain.attrs["Conventions"].startswith("CF-")
        assert "engines.running" in plain
