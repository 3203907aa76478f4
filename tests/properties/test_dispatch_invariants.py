"""What must hold for any campus: monotone limits, splitting, refining, scaling, and sums that agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgrid.assets.battery import Battery
from microgrid.assets.engines import Engines
from microgrid.assets.facility_load import FacilityLoad

GAP = 1e-7
MONEY = {"rel": 1e-6, "abs": 1e-3}
Bench = Callable[..., Any]


def run(draw: st.DataObject, campuses: Any, **options: Any) -> Any:
    return draw.draw(campuses(**options), label="campus")


@settings(settings.get_profile("dispatch"))
@given(data=st.data())
def test_a_looser_limit_never_costs_more(bench: Bench, campuses: Any, data: st.DataObject) -> None:
    """Limits only: a better efficiency may cost money where prices below zero reward losses."""
    tight = run(data, campuses, lowest_price=-40.0).with_options(import_limit_mw=14.0)
    cost = bench(tight.assets(), **tight.arguments()).cost(gap=GAP)
    looser = data.draw(
        st.sampled_from(
            [
                tight.with_options(import_limit_mw=20.0),
                tight.with_options(export_limit_mw=30.0),
                tight.with_battery(energy_mwh=tight.battery["energy_mwh"] * 2, soc_min=0.0),
                tight.with_battery(soc_min=0.0, soc_max=1.0),
                tight.with_engines(min_load_mw=0.0),
                tight.with_engines(min_up_h=0.0),
                tight.with_engines(start_cost_usd=0.0),
                tight.with_engines(units=4),
            ]
        ),
        label="looser",
    )
    if not tight.options["wraps"]:  # more cells move the middle, where the battery starts: keep the start
        start = 0.5 * tight.battery["energy_mwh"]
        tight, looser = (campus.with_battery(initial_energy_mwh=start) for campus in (tight, looser))
        cost = bench(tight.assets(), **tight.arguments()).cost(gap=GAP)
    better = bench(looser.assets(), **looser.arguments()).cost(gap=GAP)
    assert better <= cost + max(1e-3, 2 * GAP * abs(cost))


@settings(settings.get_profile("dispatch"))
@given(data=st.data())
def test_two_half_batteries_are_one(bench: Bench, campuses: Any, data: st.DataObject) -> None:
    # at prices of zero and more; below zero two could pass energy in a circle, which one must not
    campus = run(data, campuses)
    fields = {name: campus.battery[name] / 2 for name in ("power_mw", "energy_mwh")}
    halves = {f"half{place}": Battery(bus="B", **{**campus.battery, **fields}) for place in range(2)}
    others = {name: asset for name, asset in campus.assets().items() if name != "battery"}
    one = bench(campus.assets(), **campus.arguments()).cost(gap=GAP)
    assert bench({**halves, **others}, **campus.arguments()).cost(gap=GAP) == pytest.approx(one, **MONEY)


@settings(settings.get_profile("dispatch"))
@given(data=st.data())
def test_four_quarter_hours_of_constant_data_are_an_hour(bench: Bench, campuses: Any, data: st.DataObject) -> None:
    # without commitment the problem is convex, so averaging the quarters of any schedule is as good
    campus = run(data, campuses).with_engines(
        min_load_mw=0.0, no_load_fuel_mmbtu_per_h=0.0, start_cost_usd=0.0, min_up_h=0.0, min_down_h=0.0
    )
    hourly = bench(campus.assets(), **campus.arguments()).cost(gap=GAP)
    quarterly = bench(campus.assets(), step_min=15, **campus.arguments(repeat=4)).cost(gap=GAP)
    assert quarterly == pytest.approx(hourly, **MONEY)


@settings(settings.get_profile("dispatch"))
@given(data=st.data(), factor=st.sampled_from([0.1, 3.0, 25.0]))
def test_cost_scales_with_all_prices(bench: Bench, campuses: Any, data: st.DataObject, factor: float) -> None:
    campus = run(data, campuses, lowest_price=-40.0)
    money = {name: factor * campus.engines[name] for name in ("fuel_price_usd_per_mmbtu", "start_cost_usd")}
    dearer = campus.with_engines(**money).with_battery(wear_usd_per_mwh=factor * campus.battery["wear_usd_per_mwh"])
    once = bench(campus.assets(), **campus.arguments()).cost(gap=GAP)
    scaled = bench(dearer.assets(), **dearer.arguments(scale=factor)).cost(gap=GAP)
    assert scaled == pytest.approx(factor * once, rel=1e-6, abs=1e-3 * factor)


@settings(settings.get_profile("dispatch"))
@given(data=st.data())
def test_an_asset_without_use_changes_nothing(bench: Bench, campuses: Any, data: st.DataObject) -> None:
    campus = run(data, campuses)
    idle = {
        "idle_load": FacilityLoad(bus="B", power_mw=0.0),
        "dear_engine": Engines(
            bus="B", units=2, unit_power_mw=5.0, heat_rate_mmbtu_per_mwh=9.0, fuel_price_usd_per_mmbtu=500.0
        ),
        "worn_battery": Battery(  # full, so that it cannot take what nobody wants either
            bus="B", power_mw=5.0, energy_mwh=10.0, wear_usd_per_mwh=5000.0, initial_energy_mwh=9.5
        ),
    }
    alone = bench(campus.assets(), **campus.arguments()).cost(gap=GAP)
    assert bench({**campus.assets(), **idle}, **campus.arguments()).cost(gap=GAP) == pytest.approx(alone, **MONEY)


@settings(settings.get_profile("dispatch"))
@given(data=st.data())
def test_order_of_parts_does_not_matter(bench: Bench, campuses: Any, data: st.DataObject) -> None:
    campus = run(data, campuses, lowest_price=-40.0)
    turned = dict(reversed(list(campus.assets().items())))
    first = bench(campus.assets(), **campus.arguments()).cost(gap=GAP)
    assert bench(turned, **campus.arguments()).cost(gap=GAP) == pytest.approx(first, **MONEY)


@settings(settings.get_profile("dispatch"))
@given(data=st.data())
def test_result_adds_up_by_plain_arithmetic(bench: Bench, campuses: Any, data: st.DataObject) -> None:
    """Balance, stored energy, commitment and money recomputed here, with neither pages nor matrix."""
    campus = run(data, campuses, lowest_price=-40.0)
    found = bench(campus.assets(), **campus.arguments()).solve(gap=GAP)
    data_ = {str(name): array.to_numpy() for name, array in found.dataset.items()}
    injected = sum(values for name, values in data_.items() if name.startswith("injection."))
    assert np.abs(injected).max() < 1e-5
    charge, discharge, energy = (data_[f"battery.{name}"] for name in ("charge_mw", "discharge_mw", "energy_mwh"))
    gained = campus.battery["charge_efficiency"] * charge - discharge / campus.battery["discharge_efficiency"]
    assert np.diff(energy) == pytest.approx(gained, abs=1e-5)
    assert np.minimum(charge, discharge).max() < 1e-5
    running, power = data_["engines.running"], data_["engines.power_mw"]
    assert np.array_equal(running, np.round(running))
    assert (power <= running * campus.engines["unit_power_mw"] + 1e-5).all()
    assert (power >= running * campus.engines["min_load_mw"] - 1e-5).all()
    money = sum(values.sum() for name, values in data_.items() if name.startswith("cost."))
    assert money == pytest.approx(found.solution.objective, **MONEY)
    assert money == pytest.approx(_cost(campus, data_), **MONEY)
    assert found.solution.bound <= found.solution.objective + 1e-6
    assert found.solution.gap <= GAP


def _cost(campus: Any, data: dict[str, np.ndarray]) -> float:
    buy = np.array(campus.prices)
    fuel = campus.engines["no_load_fuel_mmbtu_per_h"] * data["engines.running"]
    fuel = fuel + campus.engines["heat_rate_mmbtu_per_mwh"] * data["engines.power_mw"]
    starts = np.maximum(0.0, np.diff(data["engines.running"], prepend=_before(campus, data)))
    return float(
        buy @ data["grid.import_mw"]
        - (buy - campus.spread) @ data["grid.export_mw"]
        + campus.engines["fuel_price_usd_per_mmbtu"] * fuel.sum()
        + campus.engines["start_cost_usd"] * starts.sum()
        + campus.battery["wear_usd_per_mwh"] * data["battery.discharge_mw"].sum()
    )


def _before(campus: Any, data: dict[str, np.ndarray]) -> float:
    return float(data["engines.running"][-1]) if campus.options["wraps"] else 0.0
