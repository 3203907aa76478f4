"""Pictures show the numbers of the result, whatever the result holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import FillBetweenPolyCollection

from microgrid.errors import InvalidInput
from microgrid.report.canvas import styled
from microgrid.report.dispatch_pictures import dispatch_stack, load_duration, money, price_response, stored_energy
from microgrid.report.network_pictures import loading_envelope, loading_heat, voltage_envelope
from microgrid.report.plots import PICTURES, draw
from microgrid.report.view import View
from microgrid.results.files import DISPATCH, MANIFEST, POWERFLOW, Results, open_results, write_dataset

ZONE = "America/Chicago"
Maker = Callable[..., Results]


def steps(first: str, count: int) -> dict[str, np.ndarray]:
    times = pd.date_range(pd.Timestamp(first, tz=ZONE), periods=count + 1, freq="h").tz_convert("UTC").tz_localize(None)
    return {"time": times[:-1].to_numpy("datetime64[ns]"), "edge": times.to_numpy("datetime64[ns]")}


def dispatch(count: int, first: str = "2025-03-01") -> xr.Dataset:
    """Solar gives a ramp, mining takes it from two buses, a battery does both."""
    ramp = np.linspace(0.0, 10.0, count)
    sway = np.where(np.arange(count) % 2 == 0, 2.0, -2.0)
    data = {
        "injection.solar": ramp,
        "injection.mining@A": -0.75 * (ramp + sway),
        "injection.mining@B": -0.25 * (ramp + sway),
        "injection.battery": sway,
        "campus.energy_value": np.where(np.arange(count) == count - 5, 500.0, 30.0),
        "grid.import_mw": ramp,
        "grid.export_mw": np.zeros(count),
        "mining.s21.hashrate_ph_s": ramp,
        "mining.s21.income_usd_per_mwh": np.full(count, 100.0),
        "cost.grid.energy": np.full(count, 100.0),
        "cost.mining.hashing": np.full(count, -250.0),
    }
    arrays = {name: ("time", values) for name, values in data.items()}
    arrays["battery.energy_mwh"] = ("edge", np.linspace(0.0, 4.0, count + 1))
    return xr.Dataset(arrays, coords=steps(first, count), attrs={"zone": ZONE, "step_min": 60})


def powerflow(count: int, first: str = "2025-03-01") -> xr.Dataset:
    """Two buses and two branches; the second branch is loaded above its limit in the last step."""
    loading = np.full((2, count), 40.0)
    loading[1, -1] = 130.0
    return xr.Dataset(
        {
            "vm_pu": (("bus", "time"), np.stack([np.full(count, 1.0), np.linspace(0.97, 1.03, count)])),
            "loading_percent": (("branch", "time"), loading),
        },
        coords={
            "time": steps(first, count)["time"],
            "bus": ["A", "B"],
            "bus_index": ("bus", [0, 1]),
            "branch": ["line L1", "line L2"],
        },
    )


@pytest.fixture
def made(tmp_path: Path) -> Maker:
    def make(data: xr.Dataset, flow: xr.Dataset | None = None) -> Results:
        (tmp_path / MANIFEST).write_text(json.dumps({"case": "probe", "files": {}}), encoding="utf-8")
        write_dataset(data, tmp_path / DISPATCH)
        if flow is not None:
            write_dataset(flow, tmp_path / POWERFLOW)
        return open_results(tmp_path)

    return make


def areas(panel: object) -> list[np.ndarray]:
    return [item.get_paths()[0].vertices for item in panel.collections if isinstance(item, FillBetweenPolyCollection)]  # type: ignore[attr-defined]


def test_every_picture_is_written_in_both_formats(made: Maker, tmp_path: Path) -> None:
    results = made(dispatch(400), powerflow(400))
    for file_type, head in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        files = draw(results, tmp_path / "pictures", week=1, file_type=file_type)
        assert [file.stem for file in files] == list(PICTURES)
        assert all(file.read_bytes().startswith(head) for file in files)


def test_equal_results_give_equal_files(made: Maker, tmp_path: Path) -> None:
    results = made(dispatch(30), powerflow(30))
    first, second = (draw(results, tmp_path / name, file_type="svg") for name in ("one", "two"))
    assert [a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True)] == [True] * len(PICTURES)


def test_stack_reaches_the_sum_of_sources_and_of_sinks(made: Maker) -> None:
    data = dispatch(24)
    figure = dispatch_stack(View(made(data)))
    assert figure is not None
    heights = np.concatenate([area[:, 1] for area in areas(figure.axes[0])])
    powers = np.stack(
        [data["injection.solar"], data["injection.mining@A"] + data["injection.mining@B"], data["injection.battery"]]
    )
    assert heights.max() == pytest.approx(np.clip(powers, 0, None).sum(axis=0).max())
    assert heights.min() == pytest.approx(np.clip(powers, None, 0).sum(axis=0).min())


def test_price_axis_has_its_zero_on_the_zero_of_power(made: Maker) -> None:
    figure = dispatch_stack(View(made(dispatch(24))))
    assert figure is not None
    (low, high), (right_low, right_high) = (axis.get_ylim() for axis in figure.axes)
    assert low / high == pytest.approx(right_low / right_high)


def test_week_minus_one_is_the_one_with_the_highest_price(made: Maker) -> None:
    view = View(made(dispatch(400)), -1)
    assert view.span == slice(336, 400)
    assert view.span_text == "2025-03-15 to 2025-03-17"


def test_a_week_that_does_not_exist_is_refused_before_anything_is_drawn(made: Maker, tmp_path: Path) -> None:
    results = made(dispatch(400))
    for week in (3, -2):
        with pytest.raises(InvalidInput, match="no such week: weeks 0 to 2") as refused:
            draw(results, tmp_path / "pictures", week=week)
        assert refused.value.problems[0].field == "--week"
    assert not (tmp_path / "pictures").exists()


def test_long_windows_are_shown_by_local_day_across_the_clock_change(made: Maker) -> None:
    view = View(made(dispatch(24 * 70 - 1, "2025-01-01")))
    edges, highest = view.coarse(np.arange(view.count, dtype=float), np.fmax)
    assert (view.per, len(edges), highest[0]) == ("day", 71, 23.0)
    change = int(np.flatnonzero(edges == pd.Timestamp("2025-03-09", tz=ZONE))[0])
    assert highest[change] - highest[change - 1] == 23.0
    assert all(edge.hour == 0 for edge in edges)


def test_money_bars_are_the_sums_with_revenue_to_the_right(made: Maker) -> None:
    figure = money(View(made(dispatch(48))))
    assert figure is not None
    panel = figure.axes[0]
    widths = {
        label.get_text(): bar.get_width() for label, bar in zip(panel.get_yticklabels(), panel.patches, strict=True)
    }
    assert widths == pytest.approx({"mining.hashing": 12.0, "grid.energy": -4.8})
    assert "net revenue 7.20 thousand USD" in panel.get_title(loc="center") + panel.get_title(loc="left")


def test_duration_curve_is_sorted_power_over_hours(made: Maker) -> None:
    data = dispatch(48)
    figure = load_duration(View(made(data)))
    assert figure is not None
    line = figure.axes[0].lines[0]
    assert np.array_equal(line.get_ydata()[:-1], np.sort(data["grid.import_mw"])[::-1])
    assert line.get_xdata()[-1] == 48.0


def test_price_response_has_a_point_a_step_and_the_income_of_each_tier(made: Maker) -> None:
    figure = price_response(View(made(dispatch(48))))
    assert figure is not None
    panel = figure.axes[0]
    assert panel.collections[0].get_offsets().shape == (48, 2)
    assert [text.get_text() for text in panel.texts] == ["s21 earns 100 (median)"]


def test_loading_above_the_limit_is_inside_the_picture_and_red_in_the_heat_map(made: Maker) -> None:
    view = View(made(dispatch(48), powerflow(48)))
    envelope, heat = loading_envelope(view), loading_heat(view)
    assert envelope is not None
    assert heat is not None
    assert envelope.axes[0].get_ylim()[1] > 130.0
    mesh = heat.axes[0].collections[0]
    assert mesh.get_clim() == (0.0, 100.0)
    assert mesh.get_array().max() == 130.0
    assert [label.get_text() for label in heat.axes[0].get_yticklabels()] == ["line L2", "line L1"]


def test_voltage_envelope_spans_the_lowest_and_highest_bus(made: Maker) -> None:
    figure = voltage_envelope(View(made(dispatch(48), powerflow(48))))
    assert figure is not None
    (area,) = areas(figure.axes[0])
    assert (area[:, 1].min(), area[:, 1].max()) == pytest.approx((0.97, 1.03))


def test_steps_without_a_power_flow_do_not_spoil_the_pictures(made: Maker) -> None:
    flow = powerflow(48)
    flow["vm_pu"][:, 3], flow["loading_percent"][:, 3] = np.nan, np.nan
    view = View(made(dispatch(48), flow))
    for picture in (voltage_envelope, loading_envelope, loading_heat):
        assert picture(view) is not None


def test_a_result_without_meter_store_fleet_network_or_price_is_drawn_as_far_as_it_goes(
    made: Maker, tmp_path: Path
) -> None:
    data = dispatch(24)[["injection.solar", "injection.battery", "cost.grid.energy"]]
    data = data.assign_coords(steps("2025-03-01", 24)).assign_attrs(zone=ZONE, step_min=60)
    results = made(data)
    assert stored_energy(View(results)) is None
    assert [file.stem for file in draw(results, tmp_path / "pictures")] == ["dispatch", "load_duration", "money"]


def test_an_idle_campus_has_no_power_to_draw(made: Maker) -> None:
    data = dispatch(24) * 0.0
    with styled():
        assert [
            picture(View(made(data.assign_attrs(zone=ZONE, step_min=60)))) for picture in (dispatch_stack, money)
        ] == [None, None]
