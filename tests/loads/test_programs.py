"""Programs, solved by hand: expected peak charges, deliverable reserves, interruption, and no MW sold twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pydantic import ValidationError

from microgrid.assets.battery import Battery
from microgrid.assets.bitcoin_mining import BitcoinMining
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.poi import Poi
from microgrid.assets.programs.ancillary_services import AncillaryServices, reserve_products
from microgrid.assets.programs.coincident_peak import CoincidentPeak
from microgrid.assets.programs.interruptible import Interruptible
from microgrid.assets.programs.interruption_calls import allowed_events
from microgrid.assets.programs.peak_rule import PeakRule, capped_shares, peak_groups, peak_rules, peak_weights
from microgrid.assets.programs.peak_signal import day_ahead_calls, peak_probability, perfect_foresight
from microgrid.assets.programs.sales import sales_table
from microgrid.assets.programs.spinning_reserve import SpinningReserve
from microgrid.assets.programs.wholesale_energy import WholesaleEnergy
from microgrid.errors import InvalidInput
from microgrid.study import summary

Bench = Callable[..., Any]


def fleet(power_mw: float = 10.0, **fields: object) -> BitcoinMining:
    """Fleet that earns 100 $/MWh."""
    return BitcoinMining(
        bus="MINE", hashprice_usd_per_ph_day=48.0, pool_fee=0.0, cooling={"pue_base": 1.0},
        tiers={"a": {"efficiency_j_per_th": 20.0, "power_mw": power_mw}}, **fields,
    )  # fmt: skip


def cell(**fields: object) -> Battery:
    """Loss-free battery of 10 MW and 10 MWh that starts half full and ends free."""
    given = {"power_mw": 10.0, "energy_mwh": 10.0, "charge_efficiency": 1.0, "discharge_efficiency": 1.0, **fields}
    return Battery(bus="BESS", soc_min=0.0, soc_max=1.0, end="free", wear_usd_per_mwh=0.01, **given)


def up(price: float, duration_h: float = 1.0, response_min: float = 10.0, **fields: object) -> dict[str, object]:
    product = {"up": True, "duration_h": duration_h, "response_min": response_min, "deployed_share": 0.0}
    return {"product": product, "price_usd_per_mwh": price, **fields}


def down(price: float, duration_h: float = 1.0) -> dict[str, object]:
    return {
        "product": {"up": False, "duration_h": duration_h, "response_min": 10.0, "deployed_share": 0.0},
        "price_usd_per_mwh": price,
    }


# -- ancillary services ------------------------------------------------------------------------------------------


def test_a_load_sells_what_it_consumes_and_consumes_to_sell(campus: Bench) -> None:
    market = AncillaryServices(poi="poi", services={"reserve": up(8.0)})
    # Mining loses 5 $/MWh at 105 but earns 8 by standing ready; at 109 it would lose 9.
    outcome = campus({"mine": fleet(), "market_as": market}, [50.0, 105.0, 109.0])
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 10.0, 0.0])
    assert outcome["market_as.reserve.mine.sold_mw"] == pytest.approx([10.0, 10.0, 0.0])
    assert outcome.money["market_as.reserve.mine.capacity_payment"] == pytest.approx(-160.0)


def test_a_battery_sells_no_longer_than_its_energy_lasts(campus: Bench) -> None:
    market = AncillaryServices(poi="poi", services={"long": up(5.0, duration_h=4.0)}, export_right_mw=100.0)
    outcome = campus({"bess": cell(initial_energy_mwh=8.0), "as": market}, [20.0])
    # 8 MWh for 4 h are 2 MW; a MWh bought at 20 $ would add a quarter MW for 1.25 $.
    assert outcome["as.long.bess.sold_mw"] == pytest.approx([2.0])
    assert outcome["as.long.bess.spare_mw"] == pytest.approx([0.0], abs=1e-6)


def test_the_market_takes_no_more_from_all_providers_together(campus: Bench) -> None:
    market = AncillaryServices(poi="poi", services={"a": up(5.0, max_mw=4.0)}, export_right_mw=100.0)
    outcome = campus({"mine": fleet(), "bess": cell(initial_energy_mwh=8.0), "as": market}, [0.0])
    assert outcome["as.a.mine.sold_mw"] + outcome["as.a.bess.sold_mw"] == pytest.approx([4.0])


def test_durations_of_several_services_add_up(campus: Bench) -> None:
    services = {"short": up(5.0, duration_h=0.5, max_mw=4.0), "long": up(6.0, duration_h=4.0)}
    market = AncillaryServices(poi="poi", services=services, export_right_mw=100.0)
    outcome = campus({"bess": cell(initial_energy_mwh=8.0), "as": market}, [20.0])
    assert outcome["as.short.bess.sold_mw"] == pytest.approx([4.0])  # 10 $/MWh of energy against 1.5
    assert outcome["as.long.bess.sold_mw"] == pytest.approx([1.5])


def test_a_call_never_exports_beyond_the_right(campus: Bench) -> None:
    campus_parts = {"mine": fleet(), "bess": cell(initial_energy_mwh=10.0)}
    market = AncillaryServices(poi="poi", services={"reserve": up(5.0)}, export_right_mw=3.0)
    outcome = campus({**campus_parts, "as": market}, [0.0])
    sold = outcome["as.reserve.mine.sold_mw"] + outcome["as.reserve.bess.sold_mw"]
    assert sold == pytest.approx([13.0])  # 10 MW import less 13 is the export right
    row = outcome.rows["as.poi.meter.up.sold_within_room"]
    assert row.rows == 1


def test_the_meters_own_rights_are_used_where_it_publishes_them(page: Bench, axis: Bench) -> None:
    market = AncillaryServices(poi="poi", services={"reserve": up(5.0)})
    outcome = page(
        {"mine": fleet(), "meter": _Meter(), "as": market}, axis(1), {}, {"as.reserve.mine.sold_mw": np.array([7.0])}
    )
    assert outcome.rows["as.poi.meter.up.sold_within_room"].miss == pytest.approx(
        2.0
    )  # no import and 5 MW export right


def test_down_service_needs_room_to_consume_more_at_the_asset_and_at_the_meter(campus: Bench) -> None:
    market = AncillaryServices(poi="poi", services={"down": down(30.0)}, import_right_mw=12.0)
    parts = {"site": FacilityLoad(bus="F", power_mw=4.0), "mine": fleet(), "as": market}
    outcome = campus(parts, [80.0, 60.0])  # idling forgoes 20 or 40 $/MWh and earns 30, as far as the meter allows
    assert outcome["as.down.mine.sold_mw"] == pytest.approx([8.0, 0.0])
    assert outcome["poi.import_mw"] == pytest.approx([4.0, 12.0])


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_every_program_keeps_to_its_own_right_at_the_meter(campus: Bench, order: tuple[str, str]) -> None:
    wide = AncillaryServices(poi="poi", services={"up": up(5.0)}, export_right_mw=5.0)
    own = AncillaryServices(poi="poi", services={"up": up(6.0)})  # nothing may be exported at this meter
    parts = {"site": FacilityLoad(bus="F", power_mw=3.0), "bess": cell(initial_energy_mwh=10.0)}
    programs = {"a": wide, "b": own}
    outcome = campus({**parts, **{name: programs[name] for name in order}}, [0.0])
    assert outcome["b.up.bess.sold_mw"] == pytest.approx([3.0])
    assert outcome["a.up.bess.sold_mw"] == pytest.approx([5.0])  # of the 8 MW to its right the other has sold 3
    assert outcome["a.up.bess.spare_mw"] == pytest.approx([0.0], abs=1e-6)


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_rights_that_change_places_hold_step_by_step(campus: Bench, order: tuple[str, str]) -> None:
    rights = {"a.import_right_mw": [9.0, 5.0], "b.import_right_mw": [6.0, 10.0]}
    programs = {name: AncillaryServices(poi="poi", services={"down": down(60.0)}, import_right_mw=1.0) for name in "ab"}
    parts = {"site": FacilityLoad(bus="F", power_mw=2.0), "mine": fleet(), **{name: programs[name] for name in order}}
    outcome = campus(parts, [150.0, 150.0], series=rights)
    a, b = outcome["a.down.mine.sold_mw"], outcome["b.down.mine.sold_mw"]
    assert a + b == pytest.approx([7.0, 8.0])  # up to 9 and 10 MW
    assert b[0] <= 4.0 + 1e-6
    assert a[1] <= 3.0 + 1e-6


def test_speed_limits_what_fast_services_sell_together(campus: Bench) -> None:
    mine = fleet(ramp_down_mw_per_min=0.5)
    services = {"fast": up(9.0, response_min=4.0), "slow": up(5.0, response_min=10.0)}
    outcome = campus({"mine": mine, "as": AncillaryServices(poi="poi", services=services)}, [50.0])
    assert outcome["as.fast.mine.sold_mw"] == pytest.approx([2.0])  # 0.5 MW/min for 4 min
    assert outcome["as.slow.mine.sold_mw"] == pytest.approx([3.0])  # 5 MW in 10 min for both


def test_speed_is_not_sold_twice_by_two_programs(campus: Bench) -> None:
    mine = fleet(ramp_down_mw_per_min=0.5)
    fast = AncillaryServices(poi="poi", services={"fast": up(9.0, response_min=4.0)})
    slow = AncillaryServices(poi="poi", services={"slow": up(5.0, response_min=10.0)})
    for parts in ({"x": fast, "y": slow}, {"y": slow, "x": fast}):
        outcome = campus({"mine": mine, **parts}, [50.0])
        assert outcome["x.fast.mine.sold_mw"] == pytest.approx([2.0])
        assert outcome["y.slow.mine.sold_mw"] == pytest.approx([3.0])
    spinning = SpinningReserve(requirement_mw=1.5, providers=["mine"], response_min=4.0)
    for parts in ({"s": spinning, "x": fast}, {"x": fast, "s": spinning}):
        outcome = campus({"mine": mine, **parts}, [50.0])
        assert outcome["x.fast.mine.sold_mw"] == pytest.approx([0.5])


@pytest.mark.parametrize("terms", [{"ramp_mw_per_min": 0.2}, {"variations": [{"window_min": 15.0, "change_mw": 2.0}]}])
def test_calls_keep_to_the_speed_of_the_meter_unless_they_are_exempt(campus: Bench, terms: dict[str, Any]) -> None:
    def sold(**fields: object) -> float:
        first = AncillaryServices(poi="poi", services={"one": up(6.0)}, **fields)
        second = AncillaryServices(poi="poi", services={"two": up(5.0)}, **fields)
        outcome = campus({"mine": fleet(), "a": first, "b": second}, [50.0], poi=terms)
        return float(outcome["a.one.mine.sold_mw"][0] + outcome["b.two.mine.sold_mw"][0])

    assert sold() == pytest.approx(2.0)  # 0.2 MW/min in 10 min, or 2 MW in any quarter of an hour
    assert sold(calls_exempt_from_ramp=True) == pytest.approx(10.0)


def test_a_slower_service_is_held_to_the_meters_ramp_of_its_own_time_in_both_directions(campus: Bench) -> None:
    services = {"up": up(6.0, response_min=30.0), "down": {**down(60.0), "max_mw": 9.0}}
    market = AncillaryServices(poi="poi", services=services, import_right_mw=100.0)
    outcome = campus({"mine": fleet(), "a": market}, [90.0], poi={"ramp_mw_per_min": 0.1})
    assert outcome["a.up.mine.sold_mw"] == pytest.approx([3.0])
    assert outcome["a.down.mine.sold_mw"] == pytest.approx([1.0])


def test_a_provider_says_what_a_call_costs_it() -> None:
    services = {"contingency": {"product": "ercot_rtcb.contingency", "price_usd_per_mwh": 4.0}, "held": up(2.0)}
    with pytest.raises(ValidationError, match=r"without worth_usd_per_mwh: mine; state"):
        AncillaryServices(poi="poi", services=services, providers={"mine": {}, "bess": {"worth_usd_per_mwh": 0.0}})
    with pytest.raises(ValidationError, match="name the providers"):
        AncillaryServices(poi="poi", services=services)
    AncillaryServices(poi="poi", services=services, providers={"mine": {"services": ["held"]}})


def test_expected_calls_cost_what_the_provider_forgoes(campus: Bench) -> None:
    product = {"up": True, "duration_h": 1.0, "response_min": 10.0, "deployed_share": 0.1}
    services = {"reserve": {"product": product, "price_usd_per_mwh": 4.0}}
    providers = {"mine": {"worth_usd_per_mwh": 0.0}}  # the fleet itself reckons the 100 $ of hash a MWh that it loses
    parts = {
        "mine": fleet(),
        "as": AncillaryServices(poi="poi", services=services, providers=providers, energy_price_usd_per_mwh=0.0),
    }
    outcome = campus(parts, [50.0, 50.0], series={"as.energy_price_usd_per_mwh": [50.0, 70.0]})
    assert outcome["as.reserve.mine.sold_mw"] == pytest.approx([0.0, 10.0])  # 0.1 * (100 - price) against 4 $


def test_no_megawatt_is_sold_twice_whatever_the_order(campus: Bench) -> None:
    service = AncillaryServices(poi="poi", services={"reserve": up(5.0)})
    other = AncillaryServices(poi="poi", services={"second": up(4.0)})
    interrupt = Interruptible(
        poi="poi", contract_mw=10.0, max_subscribed_mw=6.0, min_subscribed_mw=6.0, credit_usd_per_kw_month=1.0
    )
    for parts in ({"x": service, "y": other, "z": interrupt}, {"z": interrupt, "y": other, "x": service}):
        outcome = campus({"mine": fleet(), **parts}, [50.0])
        sold = [outcome[name] for name in outcome.results if name.endswith("sold_mw")]
        assert len(sold) == 3
        assert sum(sold) == pytest.approx([10.0])
        assert outcome["x.reserve.mine.sold_mw"] == pytest.approx([4.0])


def test_providers_and_products_must_exist(campus: Bench) -> None:
    market = AncillaryServices(poi="poi", services={"reserve": up(5.0)}, providers={"mien": {}})
    with pytest.raises(InvalidInput, match="assets that do: mine"):
        campus({"mine": fleet(), "as": market}, [50.0])
    with pytest.raises(ValidationError, match=r"ercot_rtcb\.contingency"):
        AncillaryServices(poi="poi", services={"a": {"product": "ercot", "price_usd_per_mwh": 1.0}})
    with pytest.raises(ValidationError, match="not among services"):
        AncillaryServices(poi="poi", services={"a": up(1.0)}, providers={"mine": {"services": ["b"]}})
    assert reserve_products()["ercot_rtcb.non_spin"].duration_h == 4.0


def test_one_table_says_who_sold_what_when_for_how_much_and_whether_it_could_be_delivered(
    page: Bench, axis: Bench
) -> None:
    market = AncillaryServices(poi="poi", services={"reserve": up(5.0)}, export_right_mw=100.0)
    values = {"mine.a.power_mw": np.array([10.0, 4.0, 0.0]), "as.reserve.mine.sold_mw": np.array([6.0, 5.0, 0.0])}
    horizon = axis(3)
    outcome = page({"mine": fleet(), "meter": _Meter(), "as": market}, horizon, {}, values)
    table = sales_table(outcome.results, horizon.hours, horizon.local)
    row = table.iloc[0]
    assert (row.program, row.service, row.provider) == ("as", "reserve", "mine")
    assert (row.largest_mw, row.sold_mwh, row.hours) == (6.0, 11.0, 2.0)
    assert row.earned_usd == pytest.approx(55.0)
    assert str(row["last"]) == "2025-07-01 01:00:00-05:00"
    assert not row.deliverable  # 5 MW sold from a load of 4 MW


# -- coincident peak ---------------------------------------------------------------------------------------------


def test_expected_charge_spreads_the_rate_over_likely_hours(page: Bench, axis: Bench) -> None:
    program = CoincidentPeak(poi="poi", rule="ercot_4cp", rate_usd_per_kw_year=60.0, blend=0.0)
    horizon = axis(31 * 24)  # all of July 2025
    signal, import_ = np.zeros(31 * 24), np.full(31 * 24, 10.0)
    signal[[40, 41]] = [1.0, 3.0]
    import_[41] = 0.0
    outcome = page({"meter": _Meter(), "cp": program}, horizon, {"cp.signal": signal}, {"poi.import_mw": import_})
    assert outcome["cp.expected_peaks"][[40, 41]] == pytest.approx([0.25, 0.75])
    assert outcome.money["cp.expected_charge"] == pytest.approx(60_000.0 / 4 * 0.25 * 10.0)
    assert outcome["cp.expected_usd"] == pytest.approx([37_500.0])
    assert outcome["cp.worst_usd"] == pytest.approx([150_000.0])


def test_load_is_dropped_where_the_expected_charge_exceeds_its_margin(campus: Bench) -> None:
    program = CoincidentPeak(poi="poi", rule="ercot_4cp", rate_usd_per_kw_year=0.4, blend=0.0)
    hours = 31 * 24
    signal = np.zeros(hours)
    signal[:3] = [0.3, 0.4, 0.3]  # 100 $/MW a peak: 30 or 40 $/MWh on top of 65
    outcome = campus({"mine": fleet(), "cp": program}, [65.0] * hours, series={"cp.signal": signal})
    assert outcome["mine.a.power_mw"][:4] == pytest.approx([10.0, 0.0, 10.0, 10.0])


def test_a_blend_keeps_some_of_the_charge_on_every_candidate_hour(page: Bench, axis: Bench) -> None:
    rule = PeakRule(months=(7,), per="month", peaks=1, interval_min=60, candidate_hours=(15, 16))
    program = CoincidentPeak(poi="poi", rule=rule, rate_usd_per_kw_year=60.0, blend=0.5)
    signal = np.zeros(31 * 24)
    signal[15] = 1.0
    outcome = page({"meter": _Meter(), "cp": program}, axis(31 * 24), {"cp.signal": signal}, {})
    weights = outcome["cp.expected_peaks"]
    assert weights.sum() == pytest.approx(1.0)
    assert weights[15] == pytest.approx(0.5 + 0.5 / 62)
    assert weights[16] == pytest.approx(0.5 / 62)
    assert weights[14] == 0.0


def test_part_of_a_month_carries_part_of_its_peak(page: Bench, axis: Bench) -> None:
    program = CoincidentPeak(poi="poi", rule="texas_12cp_proposal", rate_usd_per_kw_year=60.0)
    outcome = page({"meter": _Meter(), "cp": program}, axis(24), {}, {})
    assert outcome["cp.expected_peaks"].sum() == pytest.approx(1.0 / 31.0)


def test_five_peaks_of_a_season_are_at_most_one_an_hour() -> None:
    assert capped_shares(np.array([8.0, 1.0, 1.0, 0.0]), 2.0) == pytest.approx([1.0, 0.5, 0.5, 0.0])
    assert capped_shares(np.array([1.0, 1.0]), 5.0) == pytest.approx([1.0, 1.0])
    rule = peak_rules()["pjm_5cp"]
    assert rule.peaks_per_year == 5
    assert peak_rules()["ercot_4cp"].peaks_per_year == 4
    assert peak_rules()["texas_12cp_proposal"].peaks_per_year == 12


def test_steps_shorter_than_the_metering_interval_are_averaged(axis: Bench) -> None:
    rule = peak_rules()["ercot_4cp"]
    group = peak_groups(rule, axis(12, 5))[0]
    assert [len(interval) for interval in group.intervals] == [3, 3, 3, 3]
    hourly = peak_groups(rule, axis(5, 60))[0]
    assert [len(interval) for interval in hourly.intervals] == [1] * 5
    assert peak_groups(rule, axis(24, 60, "2025-01-01T06:00Z")) == []


def test_the_worst_case_counts_the_largest_candidate(campus: Bench) -> None:
    rule = PeakRule(months=(7,), per="month", peaks=1, interval_min=60)
    program = CoincidentPeak(poi="poi", rule=rule, rate_usd_per_kw_year=31.0, worst_case_share=1.0)
    # A day is 1/31 of the month: 1000 $/MW on the largest import. Mining at 60 $/MWh margin for 16 h is not worth it.
    parts = {"site": FacilityLoad(bus="F", power_mw=2.0), "mine": fleet(), "cp": program}
    outcome = campus(parts, [40.0] * 16 + [100.0] * 8)
    assert outcome["cp.worst_mw"] == pytest.approx([2.0])
    assert outcome.money["cp.worst_charge"] == pytest.approx(2000.0)
    outcome = campus(parts, [40.0] * 17 + [100.0] * 7)
    assert outcome["cp.worst_mw"] == pytest.approx([12.0])


def test_the_outcome_settles_a_backtest_and_never_enters_the_decision(campus: Bench) -> None:
    program = CoincidentPeak(poi="poi", rule="ercot_4cp", rate_usd_per_kw_year=60.0, outcome=0.0, blend=1.0)
    hit = np.zeros(24)
    hit[16] = 1.0
    outcome = campus({"mine": fleet(), "cp": program}, [20.0] * 24, series={"cp.outcome": hit})
    blind = campus({"mine": fleet(), "cp": CoincidentPeak(**{**program.model_dump(), "outcome": None})}, [20.0] * 24)
    assert outcome["mine.a.power_mw"] == pytest.approx(blind["mine.a.power_mw"])
    assert outcome["cp.settled_usd"][16] == pytest.approx(15000.0 * outcome["poi.import_mw"][16])


def test_the_probability_of_being_the_highest_is_the_softmax_of_the_forecast() -> None:
    rng = np.random.default_rng(7)
    forecast = pd.Series([100.0, 103.0, 99.0, 101.0])
    error = 2.0
    draws = forecast.to_numpy() + rng.gumbel(scale=error * np.sqrt(6) / np.pi, size=(200_000, 4))
    seen = np.bincount(draws.argmax(axis=1), minlength=4) / 200_000
    assert peak_probability(forecast, error).to_numpy() == pytest.approx(seen, abs=0.004)


def test_a_forecast_gives_the_likelihood_by_itself(page: Bench, axis: Bench) -> None:
    hours = 31 * 24
    forecast = 50.0 + 20.0 * np.random.default_rng(5).random(hours)
    program = CoincidentPeak(
        poi="poi", rule="ercot_4cp", rate_usd_per_kw_year=60.0, blend=0.0, forecast_mw=0.0, forecast_error_mw=3.0
    )
    outcome = page({"meter": _Meter(), "cp": program}, axis(hours), {"cp.forecast_mw": forecast}, {})
    assert outcome["cp.expected_peaks"] == pytest.approx(peak_probability(pd.Series(forecast), 3.0).to_numpy())
    with pytest.raises(ValidationError, match="together"):
        CoincidentPeak(poi="poi", rule="ercot_4cp", rate_usd_per_kw_year=60.0, forecast_mw=1.0)


def test_day_ahead_calls_use_nothing_after_the_day_itself() -> None:
    index = pd.date_range("2025-06-01T05:00Z", periods=60 * 24, freq="h")
    rng = np.random.default_rng(3)
    load = pd.Series(50.0 + 10.0 * rng.random(len(index)), index=index)
    calls = day_ahead_calls(load, load, "America/Chicago")
    changed = load.copy()
    changed.iloc[30 * 24 :] = 500.0
    again = day_ahead_calls(changed, changed, "America/Chicago")
    assert calls.iloc[: 30 * 24].equals(again.iloc[: 30 * 24])
    assert 0 < calls.sum() < len(calls)
    assert set(calls[calls].index.tz_convert("America/Chicago").hour) == {15, 16, 17, 18}


def test_perfect_foresight_marks_one_peak_a_month() -> None:
    index = pd.date_range("2025-06-01T05:00Z", periods=61 * 24, freq="h")
    load = pd.Series(np.arange(len(index), dtype=float), index=index)
    marked = perfect_foresight(load, "America/Chicago")
    assert [str(stamp) for stamp in marked[marked > 0].index] == [
        "2025-07-01 04:00:00+00:00",
        "2025-08-01 04:00:00+00:00",
    ]


def test_five_peaks_fall_on_five_weekdays(axis: Bench) -> None:
    rule, horizon = peak_rules()["pjm_5cp"], axis(122 * 24, start="2025-06-01T05:00Z")
    assert (rule.distinct_days, rule.days) == (True, "weekday")
    load = pd.Series(np.arange(122.0 * 24.0) % 31.0, index=horizon.times)
    load.iloc[48:53] += 500.0  # five hours of Tuesday, after a Sunday that is higher still
    load.iloc[5] += 900.0
    peaks = perfect_foresight(load, horizon.zone, rule=rule)
    days = horizon.local[peaks.to_numpy() > 0].normalize()
    assert len(days) == len(set(days)) == 5
    assert all(day.dayofweek < 5 for day in days)
    (group,) = peak_groups(rule, horizon)
    assert group.coverage == pytest.approx(1.0)
    signal = np.where(load > 400.0, 100.0, 0.1)
    weights = pd.Series(peak_weights(group, rule, signal, 0.0)).groupby(list(group.days)).sum()
    assert weights.sum() == pytest.approx(5.0)
    assert weights.max() == pytest.approx(1.0)  # the hot hours of one day are one peak together


# -- interruptible -----------------------------------------------------------------------------------------------


def test_interruption_holds_import_at_the_firm_level_and_pays_for_readiness(campus: Bench) -> None:
    program = Interruptible(
        poi="poi", contract_mw=10.0, max_subscribed_mw=10.0, credit_usd_per_kw_month=0.0001 * 744, max_event_h=2.0
    )
    # 74.4 $/MW-month on four hours of July are 0.4 $/MW; the call of one hour forgoes 50 $/MW: not worth it.
    called = {"dr.called": [0, 1, 0, 0]}
    outcome = campus({"mine": fleet(), "dr": program}, [50.0] * 4, series=called)
    assert outcome["dr.subscribed_mw"] == pytest.approx([0.0])
    rich = Interruptible(**{**program.model_dump(), "credit_usd_per_kw_month": 0.013 * 744})  # 52 $/MW on four hours
    outcome = campus({"mine": fleet(), "dr": rich}, [50.0] * 4, series=called)
    assert outcome["dr.subscribed_mw"] == pytest.approx([10.0])
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 0.0, 10.0, 10.0])
    assert outcome["dr.interruption.mine.sold_mw"] == pytest.approx([10.0, 0.0, 10.0, 10.0])
    assert outcome.money["dr.interruptible_credit"] == pytest.approx(-520.0)


def test_load_that_cannot_be_dropped_cannot_be_subscribed(campus: Bench) -> None:
    program = Interruptible(poi="poi", contract_mw=10.0, max_subscribed_mw=10.0, credit_usd_per_kw_month=5.0)
    parts = {"site": FacilityLoad(bus="F", power_mw=6.0), "mine": fleet(4.0), "dr": program}
    outcome = campus(parts, [50.0])
    assert outcome["dr.subscribed_mw"] == pytest.approx([4.0])


def test_no_credit_is_paid_for_load_that_is_not_there(campus: Bench, axis: Bench) -> None:
    program = Interruptible(poi="poi", contract_mw=10.0, max_subscribed_mw=10.0, credit_usd_per_kw_month=0.744)
    outcome = campus({"mine": fleet(4.0), "dr": program}, [50.0, 50.0])  # 1 $/MW and hour on 4 MW of 10
    assert outcome.money["dr.interruptible_credit"] == pytest.approx(-8.0)
    horizon = axis(2)
    row = sales_table(outcome.results, horizon.hours, horizon.local).iloc[0]
    assert (row.program, row.service, row.provider, row.deliverable) == ("dr", "interruption", "mine", True)
    assert (row.largest_mw, row.earned_usd) == pytest.approx((4.0, 8.0))


def test_a_seller_that_sold_nothing_stands_in_the_table_without_a_time(campus: Bench, axis: Bench) -> None:
    services = {"good": up(5.0), "idle": up(0.0, max_mw=0.0)}
    outcome = campus({"mine": fleet(), "as": AncillaryServices(poi="poi", services=services)}, [50.0])
    data = xr.Dataset({name: (f"d{place}", values) for place, (name, values) in enumerate(outcome.results.items())})
    rows = {row["service"]: row for row in summary.flexibility(data, axis(1))}
    assert (rows["good"]["first"], rows["idle"]["first"], rows["idle"]["last"]) == ("2025-07-01 00:00", None, None)


def test_reserve_held_stands_in_the_table_of_flexibility_and_earns_nothing(campus: Bench, axis: Bench) -> None:
    parts = {"mine": fleet(), "spin": SpinningReserve(requirement_mw=3.0, providers=["mine"])}
    outcome, horizon = campus(parts, [50.0, 50.0]), axis(2)
    row = sales_table(outcome.results, horizon.hours, horizon.local).iloc[0]
    assert (row.program, row.service, row.provider, row.earned_usd) == ("spin", "spinning", "mine", 0.0)
    assert row.largest_mw >= 3.0 - 1e-6
    assert row.deliverable


def test_buying_through_costs_its_price(campus: Bench) -> None:
    program = Interruptible(
        poi="poi", contract_mw=10.0, max_subscribed_mw=10.0, min_subscribed_mw=10.0, credit_usd_per_kw_month=0.0,
        buy_through_usd_per_mwh=40.0,
    )  # fmt: skip
    outcome = campus({"mine": fleet(), "dr": program}, [50.0, 70.0], series={"dr.called": [1, 1]})
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 0.0])  # worth 50 and 30 against 40
    assert outcome.money["dr.buy_through"] == pytest.approx(400.0)


def test_calls_beyond_the_caps_need_not_be_followed(axis: Bench) -> None:
    program = Interruptible(
        poi="poi", contract_mw=10.0, max_subscribed_mw=10.0, credit_usd_per_kw_month=1.0, max_event_h=3.0,
        max_events_per_year=3, max_hours_per_year=5.0,
    )  # fmt: skip
    called = [0, 1, 1, 1, 1, 0, 1, 1, 1, 0, 1]
    assert [(event.first, event.last) for event in allowed_events(program.caps, axis(11), called)] == [(1, 4), (6, 8)]
    few = Interruptible(**{**program.model_dump(), "max_events_per_year": 1})
    assert len(allowed_events(few.caps, axis(11), called)) == 1
    with pytest.raises(ValidationError, match="max_subscribed_mw <= contract_mw"):
        Interruptible(poi="poi", contract_mw=5.0, max_subscribed_mw=6.0, credit_usd_per_kw_month=1.0)


# -- wholesale energy --------------------------------------------------------------------------------------------


def test_a_fixed_block_shifts_the_bill_and_not_the_dispatch(campus: Bench) -> None:
    spot, strike = [30.0, 150.0], 40.0
    given = {"poi": "poi", "spot_usd_per_mwh": 0.0, "block_mw": 10.0, "strike_usd_per_mwh": strike}
    parts = {"mine": fleet(), "supply": WholesaleEnergy(**given)}
    outcome = campus(parts, [0.0, 0.0], series={"supply.spot_usd_per_mwh": spot})
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 0.0])
    # First hour: 10 MWh of the block at 40. Second: the block bought at 40 and sold at 150.
    assert outcome.money["supply.energy"] + outcome.money["supply.fixed_block"] == pytest.approx(400.0 + 400.0 - 1500.0)


def test_a_spread_on_selling_back_makes_curtailment_dearer(campus: Bench) -> None:
    given = {"poi": "poi", "spot_usd_per_mwh": 0.0, "block_mw": 6.0, "sell_back_spread_usd_per_mwh": 20.0}
    parts = {"mine": fleet(), "supply": WholesaleEnergy(**given)}
    outcome = campus(parts, [0.0] * 3, series={"supply.spot_usd_per_mwh": [99.0, 110.0, 130.0]})
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 6.0, 0.0])
    assert outcome["supply.sold_back_mw"] == pytest.approx([0.0, 0.0, 6.0])


def test_import_and_export_have_their_own_prices(page: Bench, axis: Bench) -> None:
    supply = WholesaleEnergy(
        poi="poi", spot_usd_per_mwh=30.0, import_adder_usd_per_mwh=5.0, export_deduction_usd_per_mwh=2.0
    )
    meter = Poi(bus="POI", import_limit_mw=50.0, export_limit_mw=50.0)
    values = {"poi.import_mw": np.array([10.0, 0.0]), "poi.export_mw": np.array([0.0, 4.0])}
    outcome = page({"poi": meter, "supply": supply}, axis(2, 30), {}, values)
    assert outcome.money["supply.energy"] == pytest.approx(0.5 * 35.0 * 10.0 - 0.5 * 28.0 * 4.0)


class _Meter(FacilityLoad):
    """Stands for a meter on hand-written pages: publishes given import, no export, and its rights."""

    def __init__(self) -> None:
        super().__init__(bus="POI", power_mw=0.0)

    def formulate(self, block: Any) -> None:
        given = block.values.get("poi.import_mw", np.zeros(block.horizon.count))  # noqa: PD011 - a page, not a frame
        for name, terms in {
            "import_mw": given, "export_mw": np.zeros(block.horizon.count),
            "import_right_mw": np.full(block.horizon.count, 50.0), "export_right_mw": np.full(block.horizon.count, 5.0),
        }.items():  # fmt: skip
            self._offer(block, name, terms)

    @staticmethod
    def _offer(block: Any, name: str, terms: np.ndarray) -> None:
        before, block.name = block.name, "poi"
        block.publish(name, lambda t: terms[t], "MW", name)
        block.name = before
