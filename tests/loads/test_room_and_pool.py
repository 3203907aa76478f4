"""UPS, backup engines and the shared pool, solved by hand."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError
from rich.console import Console

from microgrid.assets.ai_training import AiTraining
from microgrid.assets.backup_engines import BackupEngines
from microgrid.assets.bitcoin_mining import BitcoinMining
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.programs.ancillary_services import AncillaryServices
from microgrid.assets.programs.relay_reserve import RelayReserve
from microgrid.assets.shared_capacity import SharedCapacity, mix_table
from microgrid.assets.ups import Ups
from microgrid.errors import InvalidInput
from microgrid.report.terminal import print_mix
from microgrid.study import summary

Bench = Callable[..., Any]


def supply(**fields: object) -> Ups:
    """UPS of 12 MW and 4 MWh without losses; 5 minutes at 12 MW are 1 MWh."""
    given = {"power_mw": 12.0, "energy_mwh": 4.0, "charge_efficiency": 1.0, "discharge_efficiency": 1.0, **fields}
    return Ups(bus="HALL", wear_usd_per_mwh=0.0, max_cycles_per_year=8766.0, **given)


def test_a_ups_never_goes_below_its_ride_through_minutes(campus: Bench) -> None:
    parts = {"load": FacilityLoad(bus="F", power_mw=12.0), "ups": supply(protected_mw=12.0)}
    outcome = campus(parts, [100.0, 0.0])
    assert outcome["ups.energy_mwh"] == pytest.approx([4.0, 1.0, 4.0])
    assert outcome["ups.surplus_mwh"] == pytest.approx([0.0, 3.0])


def test_the_energy_held_follows_the_protected_load_and_the_discharge_efficiency(campus: Bench) -> None:
    train = AiTraining(
        bus="HALL", room={"pue": 1.0}, jobs={"job": {"power_mw": 12.0, "min_power_mw": 6.0, "work_mwh": 18.0}}
    )
    ups = supply(protects="train", discharge_efficiency=0.5)
    outcome = campus({"train": train, "ups": ups}, [100.0, 0.0])
    assert outcome["train.it_power_mw"] == pytest.approx([6.0, 12.0])
    # In the second hour 12 MW must be held: 12 / 12 / 0.5 = 2 MWh, also at the instant between the hours.
    assert outcome["ups.energy_mwh"] == pytest.approx([4.0, 2.0, 4.0])


def test_a_ups_discharges_only_into_its_load_and_its_cycles_are_few(campus: Bench) -> None:
    parts = {"load": FacilityLoad(bus="F", power_mw=12.0), "ups": supply(protected_mw=1.0)}
    outcome = campus(parts, [100.0, 0.0])
    assert outcome["ups.discharge_mw"] == pytest.approx([1.0, 0.0])
    tired = Ups(**{**supply(protected_mw=1.0).model_dump(), "max_cycles_per_year": 8766.0 / 16.0})
    outcome = campus({"load": FacilityLoad(bus="F", power_mw=12.0), "ups": tired}, [100.0, 0.0])
    assert outcome["ups.discharge_mw"] == pytest.approx([0.5, 0.0])  # 4 MWh * 2 h / 16


def test_only_surplus_backs_reserves(page: Bench, axis: Bench) -> None:
    outcome = page({"ups": supply(protected_mw=12.0)}, axis(1), {}, {"ups.energy_mwh": np.array([4.0, 4.0])})
    room = outcome.campus.headrooms["ups"]
    assert [energy[0].number for energy in room.energies_up_mwh] == pytest.approx([3.0, 3.0])
    assert room.up[0].number == pytest.approx(12.0)


def test_a_ups_that_cannot_hold_its_minutes_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"30 min at 10 MW need 5 MWh"):
        supply(protected_mw=10.0, ride_through_min=30.0)
    with pytest.raises(ValidationError, match="either protects"):
        supply()


def test_backup_engines_run_the_dearest_permitted_hours_and_keep_their_spare(campus: Bench) -> None:
    engines = BackupEngines(
        bus="HALL", units=3, unit_power_mw=2.0, redundancy="N+1", permit_h_per_year=8766.0 / 3.0,
        fuel_mmbtu_per_mwh=10.0, fuel_price_usd_per_mmbtu=20.0, allowed=1.0,
    )  # fmt: skip
    parts = {"load": FacilityLoad(bus="F", power_mw=10.0), "backup": engines}
    outcome = campus(parts, [300.0, 900.0, 210.0, 150.0, 800.0, 1000.0], series={"backup.allowed": [1, 1, 1, 1, 1, 0]})
    # 3 engines x 2 h of permit in six hours; two may run at a time, the third backs the room up.
    assert outcome["backup.running"] == pytest.approx([2.0, 2.0, 0.0, 0.0, 2.0, 0.0])
    assert outcome["backup.power_mw"].max() == pytest.approx(4.0)
    assert outcome.money["backup.fuel_cost"] == pytest.approx(200.0 * 12.0)


def test_tests_use_up_the_permit_and_only_running_engines_back_reserves(page: Bench, axis: Bench) -> None:
    engines = BackupEngines(
        bus="H", units=4, unit_power_mw=2.0, redundancy="2N", permit_h_per_year=50.0, test_h_per_year=50.0
    )
    outcome = page({"b": engines}, axis(24), {}, {"b.running": np.r_[1.0, np.zeros(23)]})
    assert outcome.rows["b.permit_hours"].miss == pytest.approx(1.0)
    room = outcome.campus.headrooms["b"]
    assert [term.number for term in room.up[:2]] == pytest.approx([2.0, 0.0])  # engines at rest offer nothing
    assert room.energies_up_mwh[0][0].number == pytest.approx(2.0)  # no permit hour is left after the step
    assert room.ramp_mw_per_min == pytest.approx(4.0)  # one engine in half a minute
    with pytest.raises(ValidationError, match="tests alone"):
        BackupEngines(bus="H", units=1, unit_power_mw=1.0, permit_h_per_year=10.0, test_h_per_year=20.0)


def test_engines_sell_a_long_call_only_with_permit_hours_to_spare(page: Bench, axis: Bench) -> None:
    engines = BackupEngines(bus="H", units=2, unit_power_mw=2.0, permit_h_per_year=8766.0 / 4.0)
    values = {"b.running": np.r_[2.0, np.zeros(7)], "b.power_mw": np.r_[1.0, np.zeros(7)]}
    outcome = page({"b": engines}, axis(8), {}, {**values, "b.unused_engine_h": np.array([2.0])})
    assert outcome.rows["b.permit_hours"].miss == pytest.approx(0.0)  # 2 engines x 2 h, of which 2 h are scheduled
    assert outcome.campus.headrooms["b"].energies_up_mwh[0][0].number == pytest.approx(3.0 + 2.0 * 2.0)
    ended = page(
        {"b": engines}, axis(8), {"b.allowed": np.r_[1.0, np.zeros(7)]}, {**values, "b.unused_engine_h": [2.0]}
    )
    assert ended.campus.headrooms["b"].energies_up_mwh[0][0].number == pytest.approx(3.0)


def test_the_inverters_carry_the_whole_protected_load(campus: Bench) -> None:
    train = AiTraining(bus="HALL", room={"pue": 1.0}, jobs={"job": {"power_mw": 20.0, "work_mwh": 20.0}})
    outcome = campus({"train": train, "ups": supply(protects="train")}, [10.0, 20.0])
    assert outcome["train.it_power_mw"] == pytest.approx([12.0, 8.0])
    parts = {"load": FacilityLoad(bus="F", power_mw=14.0), "ups": supply(protected_mw=1.0)}
    with pytest.raises(InvalidInput, match=r"ups\.protected_mw: 14: exceeds the inverters"):
        campus(parts, [10.0, 20.0], series={"ups.protected_mw": [4.0, 14.0]})


def mix(conversion_usd_per_mw: float, **pool: object) -> dict[str, object]:
    """Mining earns 50 $/MWh after energy; training would earn 150."""
    mine = BitcoinMining(
        bus="M", hashprice_usd_per_ph_day=48.0, pool_fee=0.0, cooling={"pue_base": 1.0},
        tiers={"a": {"efficiency_j_per_th": 20.0, "power_mw": 10.0}},
    )  # fmt: skip
    job = {
        "power_mw": 10.0,
        "work_mwh": 240.0,
        "repeat": "day",
        "value_usd_per_mwh": 200.0,
        "unfinished_usd_per_mwh": 0.0,
    }
    train = AiTraining(bus="T", room={"pue": 1.0}, jobs={"job": job})
    uses = {
        "mine": {"initial_mw": pool.pop("mine_mw", 10.0), "reversible": True},
        "train": {"conversion_usd_per_mw": conversion_usd_per_mw, "annual_charge_share": 1.0, **pool.pop("train", {})},
    }
    return {"mine": mine, "train": train, "pool": SharedCapacity(feeder_mw=10.0, uses=uses, **pool)}


@pytest.mark.parametrize(("cost", "converted"), [(2300.0, 10.0), (2500.0, 0.0)])
def test_capacity_is_converted_when_the_gain_covers_its_cost(campus: Bench, cost: float, converted: float) -> None:
    outcome = campus(mix(cost), [50.0] * 24)  # 100 $/MWh more for 24 h are 2400 $/MW
    assert outcome["pool.train.allotted_mw"] == pytest.approx([converted])
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0 - converted] * 24)


def test_building_takes_time_and_stays(campus: Bench) -> None:
    parts = mix(0.0, train={"build_mw_per_month": 4.0})
    outcome = campus(parts, [50.0] * 48, start="2025-07-31T05:00Z")  # a day of July and a day of August
    assert outcome["pool.train.allotted_mw"] == pytest.approx([4.0, 8.0])
    assert outcome["mine.a.power_mw"][[0, 47]] == pytest.approx([6.0, 2.0])


@pytest.mark.parametrize(("cost", "converted"), [(1100.0, 4.0), (1300.0, 0.0)])
def test_capacity_on_order_serves_nobody_until_its_lead_time_is_over(
    campus: Bench, cost: float, converted: float
) -> None:
    parts = mix(cost, train={"build_mw_per_month": 4.0, "lead_months": 1})
    outcome = campus(parts, [50.0] * 48, start="2025-07-31T05:00Z")  # a day of July and a day of August
    # A MW ordered in July gives up 50 $/MWh of mining for a day and gains 100 on the next: 1200 $ in all.
    assert outcome["pool.train.allotted_mw"] == pytest.approx([0.0, converted])
    assert outcome["pool.train.under_way_mw"] == pytest.approx([converted, 0.0])
    assert outcome["mine.a.power_mw"][[0, 47]] == pytest.approx([10.0 - converted] * 2)


def test_what_was_ordered_before_the_window_comes_into_use_within_it(campus: Bench) -> None:
    parts = mix(1e6, mine_mw=7.0, train={"lead_months": 2, "under_way_mw": (1.0, 2.0)})
    outcome = campus(parts, [50.0] * 48, start="2025-07-31T05:00Z")
    assert outcome["pool.train.allotted_mw"] == pytest.approx([1.0, 3.0])
    assert outcome["pool.train.under_way_mw"] == pytest.approx([2.0, 0.0])
    assert outcome["mine.a.power_mw"][[0, 47]] == pytest.approx([7.0, 7.0])
    with pytest.raises(ValidationError, match=r"under_way_mw holds at most lead_months \(1\)"):
        SharedCapacity(feeder_mw=9.0, uses={"a": {"lead_months": 1, "under_way_mw": (1.0, 1.0)}})


def test_halls_are_whole_and_crews_are_shared(campus: Bench) -> None:
    outcome = campus(mix(0.0, train={"block_mw": 3.0}), [50.0] * 24)
    assert outcome["pool.train.halls"] == pytest.approx([3.0])
    assert outcome["pool.train.allotted_mw"] == pytest.approx([9.0])
    days = {"start": "2025-07-31T05:00Z"}
    outcome = campus(mix(0.0, build_mw_per_month=3.0), [50.0] * 48, **days)
    assert outcome["pool.train.allotted_mw"] == pytest.approx([3.0, 6.0])
    outcome = campus(mix(0.0, build_mw_per_month=3.0, build_mw_per_year=4.0), [50.0] * 48, **days)
    assert outcome["pool.train.allotted_mw"] == pytest.approx([3.0, 4.0])


def test_what_is_converted_never_returns_and_slower_building_never_earns_more(campus: Bench) -> None:
    prices = [50.0] * 24 + [180.0] * 24  # on the second day training would lose nothing by lending its feeder
    parts = mix(0.0, train={"initial_mw": 0.0})
    outcome = campus(parts, prices, start="2025-07-31T05:00Z")
    assert np.diff(outcome["pool.train.allotted_mw"])[0] >= -1e-6
    earned = [
        campus(
            mix(10.0, train={"lead_months": lead, "build_mw_per_month": pace}), prices, start="2025-07-31T05:00Z"
        ).earned
        for lead, pace in ((0, None), (0, 4.0), (0, 2.0), (1, 2.0))
    ]
    assert earned == sorted(earned, reverse=True)


def test_cooling_and_space_limit_the_mix(campus: Bench) -> None:
    parts = mix(0.0, cooling_mw=12.0, train={"cooling_mw_per_mw": 1.5})
    outcome = campus(parts, [50.0] * 24)
    assert outcome["pool.train.allotted_mw"] == pytest.approx([8.0])  # 150 / 1.5 $ a MW of cooling against 50
    parts = mix(0.0, space_m2=300.0, train={"space_m2_per_mw": 100.0})
    assert campus(parts, [50.0] * 24)["pool.train.allotted_mw"] == pytest.approx([3.0])


def test_the_mix_is_told_with_revenue_per_megawatt_and_year(campus: Bench, axis: Bench) -> None:
    outcome = campus(mix(100.0, train={"build_mw_per_month": 4.0}), [50.0] * 24)
    costs = {item: np.array([amount]) for item, amount in outcome.money.items()}
    table = mix_table("pool", outcome.results, costs, axis(24)).set_index("use")
    assert table.loc["train", "2025-07"] == pytest.approx(4.0)
    assert table.loc["mine", "2025-07"] == pytest.approx(6.0)
    assert table.loc["train", "revenue_usd_per_mw_year"] == pytest.approx(200.0 * 8766.0)
    assert table.loc["mine", "revenue_usd_per_mw_year"] == pytest.approx(100.0 * 8766.0)
    assert table.loc["train", "conversion_usd"] == pytest.approx(400.0)
    empty = mix_table("pool", {"pool.a.allotted_mw": np.zeros(1)}, {}, axis(24))
    assert np.isnan(empty.loc[0, "revenue_usd_per_mw_year"])


def test_a_use_or_a_room_that_is_no_such_asset_is_named(campus: Bench) -> None:
    pool = SharedCapacity(feeder_mw=10.0, uses={"minning": {"initial_mw": 1.0}})
    with pytest.raises(
        InvalidInput, match=r"pool\.uses: minning: publishes no facility_power_mw: parts that do: mine, train;"
    ):
        campus({**mix(1.0), "pool": pool}, [50.0])
    with pytest.raises(InvalidInput, match=r"ups\.protects: hall: publishes no it_power_mw: parts that do: none;"):
        campus({"load": FacilityLoad(bus="F", power_mw=12.0), "ups": supply(protects="hall")}, [50.0])


def test_the_summary_and_the_terminal_tell_the_mix(campus: Bench, axis: Bench) -> None:
    outcome = campus(mix(100.0, train={"build_mw_per_month": 4.0}), [50.0] * 24)
    data = xr.Dataset({
        **{name: ("month" if name.endswith("allotted_mw") else f"d{place}", values)
           for place, (name, values) in enumerate(outcome.results.items())},
        **{f"cost.{item}": ("window", [amount]) for item, amount in outcome.money.items()},
    })  # fmt: skip
    rows = summary.mix(data, axis(24))
    assert [(row["pool"], row["use"], row["2025-07"]) for row in rows] == [
        ("pool", "mine", 6.0),
        ("pool", "train", 4.0),
    ]
    console = Console(record=True, width=120, file=io.StringIO())
    print_mix(rows, console)
    said = console.export_text()
    assert "Mix of shared capacity" in said
    assert "1,753,200" in said  # 200 $/MWh over a year


def test_a_pool_cannot_start_overfull() -> None:
    with pytest.raises(ValidationError, match="sum to 60"):
        SharedCapacity(feeder_mw=50.0, uses={"a": {"initial_mw": 60.0}})


@pytest.mark.parametrize("order", [("pool", "as"), ("as", "pool")])
def test_a_call_to_draw_more_stays_within_the_allotment(campus: Bench, order: tuple[str, str]) -> None:
    mine = BitcoinMining(
        bus="M", hashprice_usd_per_ph_day=48.0, pool_fee=0.0, cooling={"pue_base": 1.0},
        tiers={"a": {"efficiency_j_per_th": 20.0, "power_mw": 10.0}},
    )  # fmt: skip
    pool = SharedCapacity(feeder_mw=6.0, uses={"mine": {"initial_mw": 6.0, "reversible": True}})
    product = {"up": False, "duration_h": 1.0, "response_min": 10.0, "deployed_share": 0.0}
    services = {"down": {"product": product, "price_usd_per_mwh": 1.0}}
    market = AncillaryServices(poi="poi", services=services, import_right_mw=100.0)
    programs = {"pool": pool, "as": market}
    outcome = campus({"mine": mine, **{name: programs[name] for name in order}}, [150.0, 99.5])
    assert outcome["as.down.mine.sold_mw"] == pytest.approx([6.0, 6.0])  # off, with 6 of 10 MW allotted
    assert outcome["mine.a.power_mw"] == pytest.approx([0.0, 0.0])  # a MW on sale earns 1 $, one that mines 0.5
    outcome = campus({"mine": mine, **{name: programs[name] for name in order}}, [98.0])
    assert outcome["as.down.mine.sold_mw"] == pytest.approx([0.0])


def test_a_call_that_raises_the_load_stays_within_ups_and_feeder(campus: Bench) -> None:
    job = {"power_mw": 20.0, "work_mwh": 6.0, "unfinished_usd_per_mwh": 999.0}
    train = AiTraining(bus="HALL", room={"pue": 1.25}, jobs={"job": job})
    product = {"up": False, "duration_h": 1.0, "response_min": 10.0, "deployed_share": 0.0}
    services = {"down": {"product": product, "price_usd_per_mwh": 1.0}}
    market = AncillaryServices(poi="poi", services=services, providers={"train": {}}, import_right_mw=100.0)
    parts = {"train": train, "ups": supply(protects="train"), "as": market}
    # Of the 12 MW that the inverters carry 6 are drawn; the other 6 take their cooling along.
    assert campus(parts, [10.0])["as.down.train.sold_mw"] == pytest.approx([7.5])
    short = supply(protects="train", energy_mwh=0.75)  # five minutes at 9 MW
    assert campus({**parts, "ups": short}, [10.0])["as.down.train.sold_mw"] == pytest.approx([3.75])
    relay = RelayReserve(
        poi="poi", price_usd_per_mwh=0.0, blocks={"f": {"provider": "train", "share": 1.0, "largest_mw": 10.0}}
    )
    outcome = campus({"train": train, "relay": relay, "as": market}, [10.0])
    assert outcome["as.down.train.sold_mw"] == pytest.approx([2.5])  # 7.5 MW are drawn
