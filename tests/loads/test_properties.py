"""What must hold for every fleet, job and program, whatever the prices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, milp
from scipy.sparse import lil_matrix

from microgrid.assets.ai_inference import AiInference
from microgrid.assets.ai_training import AiTraining
from microgrid.assets.bitcoin_mining import BitcoinMining
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.programs.ancillary_services import AncillaryServices
from microgrid.assets.programs.coincident_peak import CoincidentPeak

Bench = Callable[..., Any]

QUICK = settings(max_examples=25, deadline=None, derandomize=True)
PRICES = st.lists(st.floats(-40.0, 250.0), min_size=12, max_size=12)
STEEP = [
    {"power_share": 0.4, "hash_share": 0.5},
    {"power_share": 0.7, "hash_share": 0.8},
    {"power_share": 1.0, "hash_share": 1.0},
]


def fleet(
    power_mw: float = 20.0, j_per_th: float = 20.0, fleet_fields: dict[str, object] | None = None, **tier: object
) -> BitcoinMining:
    return BitcoinMining(
        bus="M", hashprice_usd_per_ph_day=48.0, cooling={"pue_base": 1.04}, **(fleet_fields or {}),
        tiers={"a": {"efficiency_j_per_th": j_per_th, "power_mw": power_mw, **tier}},
    )  # fmt: skip


@QUICK
@given(PRICES, st.floats(10.0, 40.0), st.floats(0.5, 1.0), st.booleans())
def test_a_more_efficient_fleet_never_earns_less(
    campus: Bench, prices: list[float], j_per_th: float, better: float, cycling: bool
) -> None:
    rules = {"restart_loss_h": 0.3, "min_down_h": 3.0} if cycling else {"modes": STEEP}
    worse = campus({"m": fleet(j_per_th=j_per_th, **rules)}, prices).earned
    assert campus({"m": fleet(j_per_th=j_per_th * better, **rules)}, prices).earned >= worse - 1e-6


@QUICK
@given(PRICES, st.floats(0.02, 0.4), st.floats(1.0, 5.0))
def test_a_tighter_ramp_never_earns_more(campus: Bench, prices: list[float], ramp: float, looser: float) -> None:
    def earned(limit: float, where: str) -> float:
        parts = {"site": FacilityLoad(bus="F", power_mw=1.0)}
        if where == "poi":
            return campus({**parts, "m": fleet()}, prices, poi={"ramp_mw_per_min": limit}).earned
        both = {"ramp_up_mw_per_min": limit, "ramp_down_mw_per_min": limit}
        return campus({**parts, "m": fleet(fleet_fields=both)}, prices).earned

    for where in ("poi", "fleet"):
        assert earned(ramp, where) <= earned(ramp * looser, where) + 1e-6


@QUICK
@given(PRICES, st.floats(0.1, 0.9), st.booleans())
def test_two_part_fleets_equal_the_whole(campus: Bench, prices: list[float], share: float, cycling: bool) -> None:
    rules = {"restart_cost_usd_per_mw": 20.0, "min_up_h": 2.0, "min_down_h": 3.0} if cycling else {"modes": STEEP}
    whole = campus({"m": fleet(20.0, **rules)}, prices, import_limit_mw=15.0)
    parts = {"m": fleet(20.0 * share, **rules), "n": fleet(20.0 * (1 - share), **rules)}
    assert campus(parts, prices, import_limit_mw=15.0).earned == pytest.approx(whole.earned, rel=1e-6, abs=1e-4)


@QUICK
@given(PRICES, st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.floats(0.0, 60.0))
def test_the_continuous_fleet_equals_machines_with_a_binary_each(
    campus: Bench, prices: list[float], machines: int, up_h: int, down_h: int, restart_usd: float
) -> None:
    """Minimum times and start costs without coupling rows: the linear program is exact for any number of machines."""
    mine = fleet(5.0 * machines, min_up_h=up_h, min_down_h=down_h, restart_cost_usd_per_mw=restart_usd)
    worth = 1000.0 * 48.0 * 0.98 / 24.0 / 20.0 - 1.04 * np.asarray(prices)
    single = one_machine(5.0 * worth, up_h, down_h, 5.0 * restart_usd)
    assert campus({"m": mine}, prices).earned == pytest.approx(machines * single, rel=1e-6, abs=1e-3)


def one_machine(worth: np.ndarray, up_h: int, down_h: int, start_usd: float) -> float:
    """Best income of one machine, all binary, by an independent formulation: pairwise minimum times (no windows)."""
    count = worth.size
    rows: list[tuple[dict[int, float], float]] = []
    for t in range(count):
        before = {} if t == 0 else {t - 1: -1.0}
        base = 1.0 if t == 0 else 0.0
        rows.append(({t: 1.0, **before, count + t: -1.0}, base))  # start >= on - before
        was = {place: -value for place, value in before.items()}
        rows += [({t: 1.0, **before, k: -1.0}, base) for k in range(t + 1, min(t + up_h, count))]
        rows += [({t: -1.0, **was, k: 1.0}, 1.0 - base) for k in range(t + 1, min(t + down_h, count))]
    matrix, upper = lil_matrix((len(rows), 2 * count)), np.zeros(len(rows))
    for row, (terms, limit) in enumerate(rows):
        upper[row] = limit
        for place, value in terms.items():
            matrix[row, place] = value
    cost = np.r_[-worth, np.full(count, start_usd)]
    answer = milp(
        cost, constraints=LinearConstraint(matrix.tocsr(), ub=upper), integrality=np.ones(2 * count), bounds=(0, 1)
    )
    assert answer.success
    return float(-answer.fun)


@QUICK
@given(PRICES, st.lists(st.floats(0.0, 6.0), min_size=12, max_size=12), st.integers(2, 30))
def test_modes_mixed_over_machines_miss_the_integer_fleet_by_at_most_one_machine_a_step(
    campus: Bench, prices: list[float], caps: list[float], machines: int
) -> None:
    """With one binding cap a step at most one machine is split between two modes (basic solutions)."""
    mine = fleet(5.0, modes=STEEP)
    outcome = campus(
        {"m": mine},
        prices,
        poi={"non_firm_import_mw": 0.0},
        import_limit_mw=0.0,
        series={"poi.non_firm_import_mw": caps},
    )
    points = np.array([(0.0, 0.0), *((mode["power_share"], mode["hash_share"]) for mode in STEEP)])
    value = 1000.0 * 48.0 * 0.98 / 24.0 / 20.0
    exact = sum(
        integer_step(points, machines, 5.0 / machines, value, 1.04 * price, cap / 1.04)
        for price, cap in zip(prices, caps, strict=True)
    )
    one_machine_usd = 5.0 / machines * (value + 1.04 * 40.0) * len(prices)
    assert exact - 1e-6 <= outcome.earned <= exact + one_machine_usd


def integer_step(points: np.ndarray, machines: int, unit_mw: float, value: float, price: float, cap_mw: float) -> float:
    """Best income of one step with whole machines in each mode."""
    power, hashes = points[:, 0] * unit_mw, points[:, 1] * unit_mw
    rows = LinearConstraint(np.vstack([np.ones(4), power]), [machines, -np.inf], [machines, cap_mw])
    answer = milp(-(value * hashes - price * power), constraints=rows, integrality=np.ones(4), bounds=(0, machines))
    return float(-answer.fun)


@QUICK
@given(PRICES, st.integers(1, 3), st.floats(0.5, 6.0))
def test_blocks_never_earn_more_than_single_machines(
    campus: Bench, prices: list[float], blocks: int, cap: float
) -> None:
    single = campus({"m": fleet(5.0)}, prices, import_limit_mw=cap).earned
    assert campus({"m": fleet(5.0, blocks=blocks)}, prices, import_limit_mw=cap).earned <= single + 1e-6


@QUICK
@given(PRICES, st.floats(10.0, 80.0), st.floats(1.0, 1.3), st.floats(0.0, 0.5))
def test_less_work_more_time_or_more_freedom_never_costs_a_job_more(
    campus: Bench, prices: list[float], work: float, factor: float, loss: float
) -> None:
    def cost(work_mwh: float, hours: int = 10, **fields: object) -> float:
        job = {"power_mw": 10.0, "work_mwh": work_mwh, "power_cap_curve": "compute_bound", "restart_loss_h": loss}
        job |= {"deadline": f"2025-07-01T{hours:02d}:00", "unfinished_usd_per_mwh": 300.0, **fields}
        return campus({"t": AiTraining(bus="T", room={"pue": 1.1}, jobs={"j": job})}, prices).objective

    block = {"synchronous": True, "min_power_mw": 5.0}
    for shape in ({}, {"min_power_mw": 5.0}, block):
        assert cost(work / factor, **shape) <= cost(work, **shape) + 1e-6
    assert cost(work, hours=11) <= cost(work, hours=9) + 1e-6
    assert cost(work) <= cost(work, min_power_mw=5.0) + 1e-6
    assert cost(work) <= cost(work, **block) + 1e-6
    assert cost(work, **block) <= cost(work, **block, min_run_h=4.0) + 1e-6


@QUICK
@given(PRICES, st.floats(0.0, 8.0), st.floats(0.0, 1.0))
def test_freedom_never_costs_an_inference_hall(campus: Bench, prices: list[float], delay: float, share: float) -> None:
    def earned(**freedom: object) -> float:
        classes = {"a": {"value_usd_per_million_tokens": 0.3, **freedom}}
        hall = AiInference(
            bus="H", requests_per_s=1000.0, tokens_per_request=500.0, room={"pue": 1.1}, classes=classes,
            replica={"count": 900, "tokens_per_s": 1000.0, "power_kw": 10.0, "idle_power_kw": 1.0},
        )  # fmt: skip
        return campus({"h": hall}, prices).earned

    firm = earned()
    assert earned(sheddable_share=share) >= firm - 1e-6
    assert (
        earned(brownout={"throughput_gain": 1.78, "power_gain": 1.01, "cost_usd_per_million_tokens": 0.02})
        >= firm - 1e-6
    )
    assert earned(defer_h=delay) >= firm - 1e-6


@QUICK
@given(PRICES, st.floats(0.0, 20.0), st.floats(0.0, 20.0))
def test_another_service_never_lowers_earnings_and_a_price_never_lowers_sales(
    campus: Bench, prices: list[float], first: float, second: float
) -> None:
    def outcome(**service_prices: float) -> Any:
        product = {"up": True, "duration_h": 1.0, "response_min": 10.0, "deployed_share": 0.0}
        services = {name: {"product": product, "price_usd_per_mwh": price} for name, price in service_prices.items()}
        return campus({"m": fleet(), "as": AncillaryServices(poi="poi", services=services)}, prices)

    alone, both, dearer = outcome(a=first), outcome(a=first, b=second), outcome(a=first + second)
    assert both.earned >= alone.earned - 1e-6
    assert dearer["as.a.m.sold_mw"].sum() >= alone["as.a.m.sold_mw"].sum() - 1e-6
    assert (both["as.a.m.sold_mw"] + both["as.b.m.sold_mw"] <= both["m.a.power_mw"] * 1.04 + 1e-6).all()


@QUICK
@given(PRICES, st.floats(1.0, 80.0), st.floats(1.0, 3.0), st.floats(0.0, 1.0))
def test_a_dearer_peak_never_raises_expected_import_at_the_peaks(
    campus: Bench, prices: list[float], rate: float, factor: float, robust: float
) -> None:
    signal = np.linspace(0.0, 1.0, 12)

    def at_peaks(usd: float) -> float:
        program = CoincidentPeak(
            poi="poi", rule="ercot_4cp", rate_usd_per_kw_year=usd, worst_case_share=robust, blend=0.25
        )
        parts = {"site": FacilityLoad(bus="F", power_mw=1.0), "m": fleet(), "cp": program}
        outcome = campus(parts, prices, series={"cp.signal": signal}, start="2025-07-15T18:00Z")
        return (
            sum(outcome.money[item] for item in ("cp.expected_charge", "cp.worst_charge") if item in outcome.money)
            / usd
        )

    assert at_peaks(rate * factor) <= at_peaks(rate) + 1e-6
