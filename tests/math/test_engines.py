"""Engines against short arithmetic: commitment, fuel, ramps, limits on hours and on units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from microgrid.assets.engines import Engines
from microgrid.assets.facility_load import FacilityLoad
from microgrid.errors import Infeasible

RUN = 3.0 * (20 + 8 * 5)  # an hour at 5 MW: 20 MMBtu/h no load, 8 MMBtu/MWh, 3 $/MMBtu = 180 $
LOW = 3.0 * (20 + 8 * 4) + 10  # an hour that must run though import costs 10: least load, 1 MW imported, 166 $


def engines(**fields: Any) -> Engines:
    """One 10 MW unit, 4 MW least load."""
    given = {
        "bus": "E", "units": 1, "unit_power_mw": 10.0, "min_load_mw": 4.0, "heat_rate_mmbtu_per_mwh": 8.0,
        "no_load_fuel_mmbtu_per_h": 20.0, "fuel_price_usd_per_mmbtu": 3.0,
    }  # fmt: skip
    return Engines(**{**given, **fields})


def facility(power_mw: float = 5.0) -> FacilityLoad:
    return FacilityLoad(bus="L", power_mw=power_mw)


@pytest.fixture(scope="session")
def serve(bench: Callable[..., Any]) -> Callable[..., Any]:
    """Serve a load with engines and a meter that imports only; `load` may vary by step."""

    def make(asset: Engines, prices: list[float], load: float | list[float] = 5.0, **options: Any) -> Any:
        series = {
            "load.power_mw": load if isinstance(load, list) else [load] * len(prices),
            **options.pop("series", {}),
        }
        return bench({"engines": asset, "load": facility()}, prices, series=series, **options)

    return make


def test_least_load_keeps_the_unit_off_a_small_load(serve: Callable[..., Any]) -> None:
    # 3 MW is below 4 MW and nothing may be exported: import 3 x 200; at 5 MW the unit runs for 180
    assert serve(engines(), [200], 3.0).cost() == pytest.approx(600)
    assert serve(engines(), [200], 5.0).cost() == pytest.approx(RUN)


def test_start_pays_its_wear_and_its_fuel(serve: Callable[..., Any]) -> None:
    # one dear hour: 500 + 10 x 3 + 180 = 710 < 1500; the cheap hours import 50 each
    found = serve(engines(start_cost_usd=500.0, start_fuel_mmbtu=10.0), [10, 300, 10]).solve()
    assert found.solution.objective == pytest.approx(710 + 100)
    assert found.dataset["engines.started"].to_numpy() == pytest.approx([0, 1, 0])
    assert found.dataset["engines.fuel_mmbtu_per_h"].to_numpy() == pytest.approx([0, 60, 0])
    assert found.dataset["engines.co2_t"].to_numpy() == pytest.approx([0, 70 * 0.05306, 0])


def test_no_start_when_the_dear_hour_does_not_pay_it(serve: Callable[..., Any]) -> None:
    # 1500 to import against 1400 + 180
    assert serve(engines(start_cost_usd=1400.0), [10, 300, 10]).cost() == pytest.approx(1600)


def test_minimum_up_time_inside_and_beyond_the_window(serve: Callable[..., Any]) -> None:
    # three hours up: start at the second hour and run to the end of the window, 50 + 530 + 180 + 166
    asset = engines(start_cost_usd=500.0, start_fuel_mmbtu=10.0, min_up_h=3.0)
    found = serve(asset, [10, 300, 10]).solve()
    assert found.solution.objective == pytest.approx(50 + 530 + RUN + LOW)
    assert found.dataset["engines.running"].to_numpy() == pytest.approx([0, 1, 1])


def test_a_window_that_wraps_needs_no_start(serve: Callable[..., Any]) -> None:
    # three hours up in a cycle of three: the unit runs through, 180 + 2 x 166
    asset = engines(start_cost_usd=500.0, start_fuel_mmbtu=10.0, min_up_h=3.0)
    assert serve(asset, [10, 300, 10], wraps=True).cost() == pytest.approx(RUN + 2 * LOW)


@pytest.mark.parametrize(("min_down_h", "cost"), [(0.0, 2 * RUN + 2 * 50), (2.0, 2 * RUN + LOW + 50)])
def test_minimum_down_time_keeps_a_unit_running(serve: Callable[..., Any], min_down_h: float, cost: float) -> None:
    # one cheap hour between dear ones is too short to stop when two hours down are asked
    assert serve(engines(min_down_h=min_down_h, initially_running=1), [300, 10, 300, 10]).cost() == pytest.approx(cost)


def test_time_already_spent_up_counts(serve: Callable[..., Any]) -> None:
    # one of three hours is spent: two hours at 166 are owed, then 50 each
    asset = engines(min_up_h=3.0, initially_running=1, hours_in_state=1.0)
    assert serve(asset, [10, 10, 10, 10]).cost() == pytest.approx(2 * LOW + 2 * 50)


def test_time_already_spent_down_counts(serve: Callable[..., Any]) -> None:
    # one of three hours is spent: two hours import at 300, then the unit runs
    asset = engines(min_down_h=3.0, hours_in_state=1.0)
    assert serve(asset, [300, 300, 300, 300]).cost() == pytest.approx(2 * 1500 + 2 * RUN)


def test_minimum_times_are_hours_not_steps(serve: Callable[..., Any]) -> None:
    # one hour up is four quarter hours: 45 of fuel in the dear quarter, 41.5 in three cheap ones, two more imported
    asset = engines(min_up_h=1.0, start_cost_usd=1.0)
    found = serve(asset, [10, 1000, 10, 10, 10, 10], step_min=15).solve()
    assert found.dataset["engines.running"].to_numpy().sum() == pytest.approx(4)
    assert found.solution.objective == pytest.approx(1 + RUN / 4 + 3 * LOW / 4 + 2 * 12.5)


def test_stop_cost(serve: Callable[..., Any]) -> None:
    # running at 166 costs 116 more than importing at 50: not stopped for 200, stopped for 100
    for stop_cost, cost in ((200.0, LOW), (100.0, 150.0)):
        assert serve(engines(stop_cost_usd=stop_cost, initially_running=1), [10]).cost() == pytest.approx(cost)


def test_variable_om_and_carbon_price(serve: Callable[..., Any]) -> None:
    # 60 MMBtu x 0.05306 t x 50 $/t = 159.18; 5 MWh x 6 $ = 30
    asset = engines(variable_om_usd_per_mwh=6.0, emission_price_usd_per_t=50.0)
    found = serve(asset, [1000]).solve()
    assert found.solution.objective == pytest.approx(RUN + 30 + 159.18)
    assert found.dataset["cost.engines.emission_cost"].item() == pytest.approx(159.18)


def test_fuel_curve_of_two_segments(serve: Callable[..., Any]) -> None:
    # 50, 80, 100 MMBtu/h at 4, 8, 10 MW: slopes 7.5 and 10; 6 MW burn 65, 9 MW burn 90
    points = [{"power_mw": p, "fuel_mmbtu_per_h": f} for p, f in ((4, 50), (8, 80), (10, 100))]
    asset = engines(heat_rate_mmbtu_per_mwh=0.0, no_load_fuel_mmbtu_per_h=0.0, fuel_curve=points)
    found = serve(asset, [1000, 1000], [6.0, 9.0]).solve()
    assert found.dataset["engines.fuel_mmbtu_per_h"].to_numpy() == pytest.approx([65, 90])
    assert found.solution.objective == pytest.approx(3 * (65 + 90))


def test_fuel_curve_shares_load_among_identical_units(serve: Callable[..., Any]) -> None:
    # 16 MW on two units is 8 MW each, 160 MMBtu/h; 10 + 6 would burn 100 + 65
    points = [{"power_mw": p, "fuel_mmbtu_per_h": f} for p, f in ((4, 50), (8, 80), (10, 100))]
    asset = engines(units=2, heat_rate_mmbtu_per_mwh=0.0, no_load_fuel_mmbtu_per_h=0.0, fuel_curve=points)
    assert serve(asset, [1000], 16.0).cost() == pytest.approx(3 * 160)


def test_ramp_between_hours(serve: Callable[..., Any]) -> None:
    # 2 MW an hour: 4 MW, then 6 MW and 4 MW imported at 1000
    asset = engines(ramp_mw_per_min=2 / 60, initially_running=1)
    found = serve(asset, [1000, 1000], [4.0, 10.0]).solve()
    assert found.dataset["engines.power_mw"].to_numpy() == pytest.approx([4, 6])
    assert found.solution.objective == pytest.approx(3 * (20 + 32) + 3 * (20 + 48) + 4000)


def test_a_started_unit_comes_to_least_load_then_ramps(serve: Callable[..., Any]) -> None:
    found = serve(engines(ramp_mw_per_min=2 / 60), [1000, 1000, 1000], [0.0, 10.0, 10.0]).solve()
    assert found.dataset["engines.power_mw"].to_numpy() == pytest.approx([0, 4, 6])


def test_a_unit_stops_from_least_load(serve: Callable[..., Any]) -> None:
    # the load vanishes in the third hour: 8, 6, 4 would be 2 MW an hour, so 6 MW, 4 MW, off
    found = serve(engines(ramp_mw_per_min=2 / 60, initially_running=1), [1000] * 3, [10.0, 10.0, 0.0]).solve()
    assert found.dataset["engines.power_mw"].to_numpy() == pytest.approx([6, 4, 0])


def test_starting_a_unit_does_not_let_another_drop_faster(serve: Callable[..., Any]) -> None:
    # one unit at 10 MW in the first hour (the second is out) can fall to 8 MW; the load falls to 6 MW with no export.
    # Starting the second unit only adds output.
    asset = engines(units=2, min_load_mw=2.0, ramp_mw_per_min=2 / 60, initially_running=1, available_units=2)
    with pytest.raises(Infeasible):
        serve(asset, [1000, 1000], [10.0, 6.0], series={"engines.available_units": [1, 2]}, import_limit_mw=0.0).solve()


def test_stopping_a_unit_does_not_let_another_rise_faster(serve: Callable[..., Any]) -> None:
    # two 20 MW units at 2 + 8 MW, both held up; the one at 2 MW stops, the other reaches 10 MW, 4 of 14 MW are imported
    asset = engines(
        units=2, unit_power_mw=20.0, min_load_mw=2.0, ramp_mw_per_min=2 / 60, available_units=2,
        initially_running=2, min_up_h=2.0, hours_in_state=1.0,
    )  # fmt: skip
    found = serve(asset, [1000, 1000], [10.0, 14.0], series={"engines.available_units": [2, 1]}).solve()
    assert found.dataset["grid.import_mw"].to_numpy() == pytest.approx([0, 4])


def test_yearly_run_hours_apply_in_proportion(serve: Callable[..., Any]) -> None:
    # half of the hours of the year: two of four hours
    asset = engines(run_hours_per_year=8766 / 2)
    found = serve(asset, [100, 110, 120, 130]).solve()
    assert found.dataset["engines.running"].to_numpy() == pytest.approx([0, 0, 1, 1])
    assert found.solution.objective == pytest.approx(500 + 550 + 2 * RUN)


def test_planned_outage(serve: Callable[..., Any]) -> None:
    # the second unit is out in the second hour: 10 of 15 MW from one unit, 5 MW imported
    found = serve(
        engines(units=2, available_units=2), [1000, 1000], 15.0, series={"engines.available_units": [2, 1]}
    ).solve()
    assert found.dataset["engines.running"].to_numpy() == pytest.approx([2, 1])
    assert found.dataset["grid.import_mw"].to_numpy() == pytest.approx([0, 5])


def test_fuel_price_by_step(serve: Callable[..., Any]) -> None:
    # at 3 $ the unit is cheaper than 40 $/MWh x 5, at 6 $ (360) it is not
    found = serve(engines(), [40, 40], series={"engines.fuel_price_usd_per_mmbtu": [3.0, 6.0]}).solve()
    assert found.solution.objective == pytest.approx(180 + 200)


def test_counted_units_cost_what_single_units_cost(bench: Callable[..., Any]) -> None:
    # three identical units as one count against three assets of one unit, with starts and minimum times
    load = [25.0, 8.0, 12.0, 29.0, 4.0, 18.0]
    shape: dict[str, Any] = {"start_cost_usd": 150.0, "min_up_h": 2.0, "min_down_h": 2.0}
    together = bench(
        {"engines": engines(units=3, **shape), "load": facility()}, [90] * 6, series={"load.power_mw": load}
    )
    singles = {f"engine{place}": engines(**shape) for place in range(3)}
    apart = bench({**singles, "load": facility()}, [90] * 6, series={"load.power_mw": load})
    assert together.cost() == pytest.approx(apart.cost(), abs=1e-4)
    assert together.program().integer.sum() == apart.program().integer.sum() / 3


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"min_load_mw": 11.0}, "min_load_mw 11 exceeds unit_power_mw 10"),
        ({"initially_running": 2}, "initially_running 2 exceeds units 1"),
        (
            {"fuel_curve": [{"power_mw": p, "fuel_mmbtu_per_h": f} for p, f in ((4, 50), (8, 90), (10, 100))]},
            "rising incremental heat rates",
        ),
        (
            {"fuel_curve": [{"power_mw": p, "fuel_mmbtu_per_h": f} for p, f in ((8, 50), (4, 90))]},
            "strictly ascending",
        ),
        ({"units": 0}, "greater than or equal to 1"),
    ],
)
def test_impossible_engines_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        engines(**fields)


def test_reactive_capability_follows_the_rated_power_factor() -> None:
    # 10 MW at 0.8: 12.5 MVA, sqrt(1 - 0.64) = 0.6: 7.5 Mvar supplied, 4.5 Mvar absorbed
    (link,) = engines().connections("engines")
    assert link.rating_mva == pytest.approx(12.5)
    assert (link.q_max_mvar, link.q_min_mvar) == (pytest.approx(7.5), pytest.approx(-4.5))
    assert np.isclose(link.share, 1.0)
