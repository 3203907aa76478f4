"""Meter against short arithmetic: rights, rates of change, and the two directions that exclude each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from microgrid.assets.battery import Battery
from microgrid.assets.engines import Engines
from microgrid.assets.facility_load import FacilityLoad
from microgrid.dispatch.exclusive import netted
from microgrid.errors import Infeasible


def load(power_mw: float = 0.0) -> FacilityLoad:
    return FacilityLoad(bus="L", power_mw=power_mw)


def generator(**fields: Any) -> Engines:
    """100 MW that follow the load at 50 $/MWh."""
    given = {"bus": "E", "units": 1, "unit_power_mw": 100.0, "variable_om_usd_per_mwh": 50.0}
    return Engines(**{**given, **fields})


def test_import_right_binds(bench: Callable[..., Any]) -> None:
    # 12 MW of load, 8 MW of right: 8 x 20 + 4 x 50
    found = bench({"generator": generator(), "load": load(12.0)}, [20], import_limit_mw=8.0).solve()
    assert found.solution.objective == pytest.approx(160 + 200)


def test_non_firm_right_adds_to_the_firm_one(bench: Callable[..., Any]) -> None:
    # 3 MW more in the first hour only: 11 x 20 + 1 x 50, then 8 x 20 + 4 x 50
    made = bench(
        {"generator": generator(), "load": load(12.0)},
        [20, 20],
        import_limit_mw=8.0,
        series={"grid.non_firm_import_mw": [3, 0]},
    )
    assert made.cost() == pytest.approx(270 + 360)


def test_export_right_binds(bench: Callable[..., Any]) -> None:
    # 90 - 50 earned on 6 MW, 7 MW with the non-firm right
    made = bench({"generator": generator(), "load": load()}, [90], export_limit_mw=6.0)
    assert made.cost() == pytest.approx(-240)
    more = bench({"generator": generator(), "load": load()}, [90], export_limit_mw=6.0, non_firm_export_mw=1.0)
    assert more.cost() == pytest.approx(-280)


def test_shortage_is_told_in_mw_and_hours(bench: Callable[..., Any]) -> None:
    made = bench({"load": load()}, [20] * 4, import_limit_mw=8.0, series={"load.power_mw": [5, 9.5, 11, 8]})
    with pytest.raises(Infeasible) as told:
        made.solve()
    short = told.value.conflicts[0]
    assert short.limit == "power is short"
    assert short.shortfall_mw == pytest.approx(3.0)
    assert short.hours == pytest.approx(2.0)
    assert short.worst == "2025-07-15 02:00"
    assert "4.5 MWh" in short.detail
    assert any("grid.import_mw upper limit 8 MW" in conflict.limit for conflict in told.value.conflicts)


def test_surplus_is_told_as_surplus(bench: Callable[..., Any]) -> None:
    made = bench(
        {
            "generator": generator(min_load_mw=20.0, initially_running=1, min_up_h=3.0, hours_in_state=1.0),
            "load": load(5.0),
        },
        [20, 20],
    )
    with pytest.raises(Infeasible, match=r"surplus power has nowhere to go: 15\.000 MW"):
        made.solve()


def test_ramp_of_the_meter(bench: Callable[..., Any]) -> None:
    # import cheap, but only 3 MW more each hour: 0, 3, 6 MW of 10; the generator serves the rest at 50
    made = bench(
        {"generator": generator(), "load": load()},
        [10, 10, 10],
        ramp_mw_per_min=3 / 60,
        series={"load.power_mw": [0, 10, 10]},
    )
    found = made.solve()
    assert found.dataset["grid.import_mw"].to_numpy() == pytest.approx([0, 3, 6])
    assert found.solution.objective == pytest.approx(30 + 7 * 50 + 60 + 4 * 50)


def test_ramp_counts_import_and_export_as_one_flow(bench: Callable[..., Any]) -> None:
    # the price turns at the second hour: from import 4 to export 4 is a change of 8, allowed 6 (generator at 50)
    made = bench({"generator": generator(), "load": load(4.0)}, [10, 90], ramp_mw_per_min=6 / 60, export_limit_mw=100.0)
    found = made.solve()
    net = (found.dataset["grid.import_mw"] - found.dataset["grid.export_mw"]).to_numpy()
    assert net[0] - net[1] == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("window_min", "step_min", "lags"), [(60.0, 60, 1), (30.0, 15, 2), (10.0, 5, 2), (20.0, 15, 2), (30.0, 60, 1)]
)
def test_variation_window_reaches_every_step_it_touches(
    bench: Callable[..., Any], window_min: float, step_min: int, lags: int
) -> None:
    # 20 min hold parts of three steps of 15 min; 30 min across the boundary of two hours hold parts of both
    made = bench(
        {"generator": generator(), "load": load(9.0)}, [10] * 6, step_min=step_min,
        variations=[{"window_min": window_min, "change_mw": 2.0}],
    )  # fmt: skip
    rows = [rows for rows in made.program().rows if "variation_up" in rows.name]
    assert len(rows) == lags


def test_variation_limits_the_swing_inside_the_window(bench: Callable[..., Any]) -> None:
    # 2 MW within 30 min: the load's step of 6 MW at the third quarter is met 2 MW by the meter in either of two
    # quarters, then 2 more
    made = bench(
        {"generator": generator(), "load": load()}, [10] * 6, step_min=15,
        variations=[{"window_min": 30.0, "change_mw": 2.0}], series={"load.power_mw": [0, 0, 6, 6, 6, 6]},
    )  # fmt: skip
    bought = made.solve().dataset["grid.import_mw"].to_numpy()
    assert bought == pytest.approx([0, 0, 2, 2, 4, 4])


def test_two_variation_limits_of_one_window(bench: Callable[..., Any]) -> None:
    # the tighter of the two binds; both stand under names of their own
    limits = [{"window_min": 60.0, "change_mw": change} for change in (5.0, 3.0)]
    made = bench(
        {"generator": generator(), "load": load()}, [10, 10], variations=limits, series={"load.power_mw": [0, 10]}
    )
    assert made.solve().dataset["grid.import_mw"].to_numpy() == pytest.approx([0, 3])


def _relaxed(program: Any) -> float:
    """Optimum of the program without its exclusivity, by SciPy."""
    equal = program.row_lower == program.row_upper
    below = ~equal & np.isfinite(program.row_upper)
    found = linprog(
        program.cost, A_ub=program.matrix[below], b_ub=program.row_upper[below], A_eq=program.matrix[equal],
        b_eq=program.row_upper[equal], bounds=np.column_stack([program.lower, program.upper]),
    )  # fmt: skip
    return float(found.fun + program.offset)


def _enumerated(program: Any) -> float:
    """Least cost over every choice of direction of every pair at every step, by SciPy."""
    sides = [(pair.first[t], pair.second[t]) for pair in program.pairs for t in range(pair.first.size)]
    best = np.inf
    for closed in itertools.product((0, 1), repeat=len(sides)):
        upper = program.upper.copy()
        upper[[side[choice] for side, choice in zip(sides, closed, strict=True)]] = 0.0
        equal = program.row_lower == program.row_upper
        below = ~equal & np.isfinite(program.row_upper)
        found = linprog(
            program.cost, A_ub=program.matrix[below], b_ub=program.row_upper[below], A_eq=program.matrix[equal],
            b_eq=program.row_upper[equal], bounds=np.column_stack([program.lower, upper]),
        )  # fmt: skip
        if found.success:
            best = min(best, float(found.fun + program.offset))
    return best


def test_buying_and_selling_at_once_never_earns(bench: Callable[..., Any]) -> None:
    # buy at 10, sell at 20: passing 6 MW through the meter would turn 40 $ of cost into a gain of 20 $
    made = bench({"load": load(4.0)}, [10], sell=[20], import_limit_mw=10.0, export_limit_mw=10.0)
    assert _relaxed(made.program()) == pytest.approx(100 - 120)
    found = made.solve()
    assert found.solution.objective == pytest.approx(40)
    assert found.dataset["grid.export_mw"].item() == pytest.approx(0)
    assert _enumerated(made.program()) == pytest.approx(40)


def test_a_full_battery_does_not_burn_energy_at_negative_prices(bench: Callable[..., Any]) -> None:
    # full at -50 $/MWh: charging 10 and discharging 8.1 would draw 1.9 MW and earn 95 $ an hour
    asset = Battery(
        bus="B", power_mw=10.0, energy_mwh=20.0, soc_min=0.0, soc_max=1.0, charge_efficiency=0.9,
        discharge_efficiency=0.9, initial_energy_mwh=20.0,
    )  # fmt: skip
    made = bench({"battery": asset}, [-50], import_limit_mw=100.0)
    assert _relaxed(made.program()) == pytest.approx(-95)
    assert made.cost() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("prices", [[-50.0, 20.0, -50.0], [-5.0, -80.0, 60.0], [-10.0, -10.0, -10.0]])
def test_optimum_with_exclusive_directions_equals_enumeration(bench: Callable[..., Any], prices: list[float]) -> None:
    asset = Battery(
        bus="B", power_mw=10.0, energy_mwh=20.0, soc_min=0.0, soc_max=1.0, charge_efficiency=0.9,
        discharge_efficiency=0.8, initial_energy_mwh=14.0,
    )  # fmt: skip
    made = bench(
        {"battery": asset, "load": load(3.0)}, prices, sell=[price - 2 for price in prices],
        import_limit_mw=12.0, export_limit_mw=9.0,
    )  # fmt: skip
    found = made.solve()
    assert found.solution.objective == pytest.approx(_enumerated(made.program()), abs=1e-6)
    assert found.solution.objective > _relaxed(made.program()) + 1e-3, "the instance does not tempt"
    both = np.minimum(found.dataset["battery.charge_mw"], found.dataset["battery.discharge_mw"])
    assert float(both.max()) < 1e-6


def test_one_price_for_buying_and_selling_asks_for_no_binary(bench: Callable[..., Any]) -> None:
    made = bench({"load": load(3.0)}, [20.0, 30.0, 0.0], import_limit_mw=12.0, export_limit_mw=9.0)
    program = made.program()
    pair = program.pairs[0]
    point = np.zeros(program.cost.size)
    point[pair.first], point[pair.second] = [12.0, 5.0, 3.0], [9.0, 2.0, 0.0]  # an optimum as good as any
    assert program.cost @ point == pytest.approx(150.0)
    plain = netted(program, point)
    assert plain[pair.first].tolist() == [3.0, 3.0, 3.0]
    assert plain[pair.second].tolist() == [0.0, 0.0, 0.0]
    assert made.solve().solution.program.integer.sum() == 0


def test_both_directions_stay_where_a_row_minds_or_it_earns(bench: Callable[..., Any]) -> None:
    asset = Battery(bus="B", power_mw=10.0, energy_mwh=20.0, initial_energy_mwh=10.0, wear_usd_per_mwh=0.0)
    program = bench({"battery": asset}, [-50.0], import_limit_mw=100.0).program()
    pair = next(pair for pair in program.pairs if pair.name == "battery")
    point = np.zeros(program.cost.size)
    point[pair.first], point[pair.second] = 10.0, 8.0  # what charging and discharging loses is paid for at the meter
    assert netted(program, point).tolist() == point.tolist()
