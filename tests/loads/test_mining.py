"""Bitcoin mining, solved by hand: value of a hash, merit order, heat, modes, restarts, minimum times, blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from microgrid.assets.bitcoin_mining import BitcoinMining
from microgrid.assets.catalogue import asic_model, relative_power_curve
from microgrid.assets.concave_curve import segments, thin, upper_hull
from microgrid.assets.cooling import Cooling, cooling_table
from microgrid.assets.hashprice import hashprice_usd_per_ph_day
from microgrid.assets.mining_tier import MiningTier
from microgrid.assets.wet_bulb import wet_bulb_c

Bench = Callable[..., Any]

COOL = {"pue_base": 1.0}


def fleet(tiers: dict[str, object], **fields: object) -> BitcoinMining:
    """Fleet at 48 $/PH/day without pool fee: a tier of e J/TH earns 2000 / e dollars a MWh."""
    given = {"hashprice_usd_per_ph_day": 48.0, "pool_fee": 0.0, "cooling": COOL, **fields}
    return BitcoinMining(bus="MINE", tiers=tiers, **given)


def test_a_tier_runs_exactly_below_its_break_even_price(campus: Bench) -> None:
    # 20 J/TH: 1 MW gives 50 PH/s, which earn 50 * 48 / 24 = 100 $/h.
    outcome = campus(
        {"mine": fleet({"a": {"efficiency_j_per_th": 20.0, "power_mw": 10.0}})}, [99.0, 101.0, 0.0], step_min=15
    )
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 0.0, 10.0])
    assert outcome.money["mine.a.hashing"] == pytest.approx(-(10.0 * 0.25 * 100.0) * 2)
    assert outcome["mine.a.hashrate_ph_s"] == pytest.approx([500.0, 0.0, 500.0])
    assert outcome["mine.a.curtailed_mw"] == pytest.approx([0.0, 10.0, 0.0])


def test_the_least_efficient_tier_is_curtailed_first_when_the_meter_is_full(campus: Bench) -> None:
    tiers = {
        "old": {"efficiency_j_per_th": 40.0, "power_mw": 10.0},
        "new": {"efficiency_j_per_th": 20.0, "power_mw": 10.0},
    }
    outcome = campus({"mine": fleet(tiers)}, [10.0, 60.0], import_limit_mw=14.0)
    assert outcome["mine.new.power_mw"] == pytest.approx([10.0, 10.0])
    assert outcome["mine.old.power_mw"] == pytest.approx([4.0, 0.0])  # 50 $/MWh is less than 60


def test_pool_fee_and_pue_lower_the_price_at_which_mining_stops(campus: Bench) -> None:
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "pue": 1.25}
    outcome = campus({"mine": fleet({"a": tier}, pool_fee=0.05)}, [75.9, 76.1])  # 100 * 0.95 / 1.25 = 76
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 0.0])
    assert outcome["poi.import_mw"] == pytest.approx([12.5, 0.0])
    assert outcome["mine.a.income_usd_per_mwh"] == pytest.approx([76.0, 0.0])


def test_hashprice_follows_from_bitcoin_price_difficulty_and_the_subsidy_schedule(page: Bench, axis: Bench) -> None:
    mine = BitcoinMining(
        bus="M",
        btc_price_usd=90000.0,
        difficulty=146.47e12,
        fee_share=0.01,
        tiers={"a": {"model": "S21", "power_mw": 1.0}},
    )
    values = {"mine.a.power_mw": np.ones(2)}
    outcome = page({"mine": mine}, axis(2), {}, values)
    expected = float(hashprice_usd_per_ph_day(90000.0, 146.47e12, 3.125, 0.01))
    density = 1000.0 / asic_model("Antminer S21").efficiency_j_per_th
    assert outcome.money["mine.a.hashing"] == pytest.approx(-2 * expected * 0.98 / 24 * density)


def test_cooling_follows_the_stated_lines() -> None:
    air = cooling_table()["air"]
    assert air.pue(10.0) == pytest.approx(1.03)
    assert air.pue(30.0) == pytest.approx(1.05)
    assert air.pue(60.0) == pytest.approx(1.10)
    assert [air.clock(t) for t in (35.0, 40.0, 45.0, 46.9, 47.1)] == pytest.approx([1.0, 0.95, 0.9, 0.9, 0.0])
    assert air.leakage(35.0) == pytest.approx(1.025)
    with pytest.raises(ValidationError, match="derate_full_c"):
        Cooling(derate_from_c=40.0, derate_full_c=40.0)


def test_liquid_cooled_machines_feel_the_coolant_and_not_the_air(campus: Bench) -> None:
    hydro = cooling_table()["hydro"]  # the coolant enters 8 K above the air
    assert [hydro.clock(t) for t in (37.0, 39.5, 42.0, 44.0, 44.1)] == pytest.approx([1.0, 0.95, 0.9, 0.9, 0.0])
    tiers = {"a": {"model": "Antminer S21 XP Hyd", "power_mw": 10.0}}
    given = {"tiers": tiers, "hashprice_usd_per_ph_day": 48.0, "bus": "M", "ambient_c": 0.0}
    heat = {"mine.ambient_c": [20.0, 39.5, 45.0]}
    outcome = campus({"mine": BitcoinMining(**given)}, [10.0] * 3, series=heat)
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 9.5, 0.0])
    with pytest.raises(ValidationError, match="rejects heat to the wet bulb: give wet_bulb_c"):
        BitcoinMining(**given, cooling="hydro_tower")
    tower = BitcoinMining(**given, cooling="hydro_tower", wet_bulb_c=0.0)
    outcome = campus({"mine": tower}, [10.0] * 3, series={**heat, "mine.wet_bulb_c": [18.0, 28.0, 46.1]})
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 10.0, 0.0])  # 6 K above the wet bulb
    assert outcome["poi.import_mw"][:2] == pytest.approx([10.6, 10.8])


def test_a_published_coolant_window_throttles_and_does_not_stop() -> None:
    tier = MiningTier(model="Whatsminer M66S", power_mw=1.0)
    assert cooling_table()["immersion"].derate_from_c == 45.0
    plant = tier.plant(None)
    assert (plant.derate_from_c, plant.shutdown_c) == (35.0, 57.0)
    assert plant.clock(27.0) == 1.0
    assert plant.clock(37.0) == pytest.approx(0.95)  # half the way from 35 to 55 at the inlet


def test_the_wet_bulb_of_the_paper() -> None:
    assert wet_bulb_c(20.0, 50.0) == pytest.approx(13.7, abs=0.05)  # the worked example of Stull (2011)
    assert (wet_bulb_c([-30.0, 40.0], [1.0, 100.0]) <= [-30.0, 40.0]).all()


def test_heat_throttles_leaks_and_shuts_down(campus: Bench) -> None:
    plant = {
        "pue_base": 1.0, "pue_per_kelvin": 0.01, "pue_from_c": 30.0, "derate_from_c": 30.0, "derate_full_c": 50.0,
        "derate_full_share": 0.8, "shutdown_c": 45.0, "leakage_per_kelvin": 0.01, "leakage_from_c": 30.0,
    }  # fmt: skip
    mine = fleet(
        {"a": {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "availability": 0.5}}, cooling=plant, ambient_c=0.0
    )
    outcome = campus({"mine": mine}, [0.0, 0.0, 0.0], series={"mine.ambient_c": [20.0, 40.0, 46.0]})
    # At 40 C: clock 0.9, leakage 1.1, PUE 1.1; half the machines work.
    assert outcome["mine.a.power_mw"] == pytest.approx([5.0, 5.0 * 0.9 * 1.1, 0.0])
    assert outcome["mine.a.hashrate_ph_s"] == pytest.approx([250.0, 225.0, 0.0])
    assert outcome["poi.import_mw"] == pytest.approx([5.0, 5.0 * 0.9 * 1.1 * 1.1, 0.0])
    assert outcome["mine.a.unavailable_mw"] == pytest.approx([5.0, 5.5, 10.0])


def test_modes_run_at_the_power_where_the_next_segment_stops_paying(campus: Bench) -> None:
    modes = [{"power_share": 0.5, "hash_share": 0.6}, {"power_share": 1.0, "hash_share": 1.0}]
    mine = fleet({"a": {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "modes": modes}})
    outcome = campus({"mine": mine}, [70.0, 90.0, 130.0])  # segments are worth 120 and 80 $/MWh
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 5.0, 0.0])
    assert outcome["mine.a.hashrate_ph_s"] == pytest.approx([500.0, 300.0, 0.0])


def test_a_mode_below_the_line_between_its_neighbours_is_mixed_from_them() -> None:
    hull = upper_hull((0.0, 0.0), [(0.5, 0.4), (1.0, 1.0), (1.2, 0.9)])
    assert hull == [(0.0, 0.0), (1.0, 1.0)]
    assert [(piece.width, piece.slope) for piece in segments(hull)] == [(1.0, 1.0)]


def test_thinning_the_firmware_ladder_loses_little_and_keeps_its_ends() -> None:
    curve = upper_hull(relative_power_curve()[0], relative_power_curve())
    kept = thin(curve, 0.006)
    powers, hashes = zip(*kept, strict=True)
    assert kept[0] == curve[0]
    assert kept[-1] == curve[-1]
    assert len(kept) < len(curve) / 2
    assert max(h - np.interp(p, powers, hashes) for p, h in curve) < 0.012


def test_sleeping_machines_draw_their_idle_power(campus: Bench) -> None:
    mine = fleet({"a": {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "idle_share": 0.1}})
    outcome = campus({"mine": mine}, [50.0, 200.0])
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 1.0])
    # Waking 9 MW of the 10 brings all 1000 $ of hashing: it pays below 1000 / 9 = 111 $/MWh.
    assert campus({"mine": mine}, [110.0, 112.0])["mine.a.power_mw"] == pytest.approx([10.0, 1.0])


def test_a_restart_must_be_worth_its_lost_hashing_and_its_wear(campus: Bench) -> None:
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "restart_loss_h": 0.5, "restart_cost_usd_per_mw": 5.0}
    stay = campus({"mine": fleet({"a": tier})}, [0.0, 154.0, 0.0])  # saves 54 $/MW, restart costs 50 + 5
    stop = campus({"mine": fleet({"a": tier})}, [0.0, 156.0, 0.0])
    assert stay["mine.a.power_mw"] == pytest.approx([10.0, 10.0, 10.0])
    assert stop["mine.a.power_mw"] == pytest.approx([10.0, 0.0, 10.0])
    assert stop["mine.a.restarted_mw"] == pytest.approx([0.0, 0.0, 10.0])
    assert stop.money["mine.a.restart"] == pytest.approx(10.0 * 55.0)


def test_machines_that_come_back_from_heat_or_repair_are_not_restarts(campus: Bench) -> None:
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "restart_loss_h": 0.5}
    outcome = campus({"mine": fleet({"a": tier})}, [0.0, 0.0], series={"mine.tiers.a.availability": [0.4, 1.0]})
    assert outcome["mine.a.power_mw"] == pytest.approx([4.0, 10.0])
    assert outcome["mine.a.restarted_mw"] == pytest.approx([0.0, 0.0])


@pytest.mark.parametrize(("spike", "expected"), [(290.0, [10, 10, 10, 10, 10]), (310.0, [10, 0, 0, 0, 10])])
def test_a_minimum_down_time_makes_short_curtailments_dearer(
    campus: Bench, spike: float, expected: list[float]
) -> None:
    # Off for three hours forgoes 2 * 100 $/MW in the free hours and saves spike - 100 in the dear one.
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "min_down_h": 3.0}
    outcome = campus({"mine": fleet({"a": tier})}, [0.0, spike, 0.0, 0.0, 0.0])
    assert outcome["mine.a.power_mw"] == pytest.approx(expected)


def test_a_minimum_up_time_bars_short_runs(campus: Bench) -> None:
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "min_up_h": 2.0}
    outcome = campus({"mine": fleet({"a": tier})}, [300.0, 0.0, 250.0, 250.0])
    assert outcome["mine.a.power_mw"] == pytest.approx([0.0, 0.0, 0.0, 0.0])  # 100 earned, 150 lost
    outcome = campus({"mine": fleet({"a": tier})}, [300.0, 0.0, 150.0, 250.0])
    assert outcome["mine.a.power_mw"] == pytest.approx([0.0, 10.0, 10.0, 0.0])


def test_blocks_switch_whole_and_singles_do_not(campus: Bench) -> None:
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0}
    single = campus({"mine": fleet({"a": tier})}, [0.0], import_limit_mw=7.0)
    blocks = campus({"mine": fleet({"a": {**tier, "blocks": 2}})}, [0.0], import_limit_mw=7.0)
    assert single["mine.a.power_mw"] == pytest.approx([7.0])
    assert blocks["mine.a.power_mw"] == pytest.approx([5.0])
    assert blocks["mine.a.on"] == pytest.approx([1.0])


def test_blocks_with_modes_throttle_only_what_is_on(campus: Bench) -> None:
    modes = [{"power_share": 0.5, "hash_share": 0.6}, {"power_share": 1.0, "hash_share": 1.0}]
    mine = fleet({"a": {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "blocks": 2, "modes": modes}})
    assert campus({"mine": mine}, [0.0], import_limit_mw=7.0)["mine.a.power_mw"] == pytest.approx(
        [7.0]
    )  # both throttled
    assert campus({"mine": mine}, [0.0], import_limit_mw=4.0)["mine.a.power_mw"] == pytest.approx([4.0])  # one on
    assert campus({"mine": mine}, [0.0], import_limit_mw=2.0)["mine.a.power_mw"] == pytest.approx([0.0])  # below a half


def test_a_hosting_contract_keeps_its_share_of_hashing(campus: Bench) -> None:
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "min_hash_share": 0.75}
    outcome = campus({"mine": fleet({"a": tier})}, [300.0, 200.0, 400.0, 10.0])
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 10.0, 0.0, 10.0])


def test_fleet_ramps_hold_between_steps(campus: Bench) -> None:
    mine = fleet(
        {"a": {"efficiency_j_per_th": 20.0, "power_mw": 30.0}}, ramp_up_mw_per_min=0.2, ramp_down_mw_per_min=0.4
    )
    outcome = campus({"mine": mine}, [0.0, 500.0, 0.0, 0.0])
    assert outcome["mine.a.power_mw"] == pytest.approx([24.0, 0.0, 12.0, 24.0])


def test_auxiliaries_never_stop_and_headroom_is_what_can_move(page: Bench, axis: Bench) -> None:
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "idle_share": 0.1, "pue": 1.1}
    mine = fleet({"a": tier}, auxiliary_mw=0.5)
    outcome = page({"mine": mine}, axis(1), {}, {"mine.a.power_mw": np.array([6.0])})
    room = outcome.campus.headrooms["mine"]
    assert outcome["mine.facility_power_mw"] == pytest.approx([7.1])
    assert room.up[0].number == pytest.approx(1.1 * 5.0)
    assert room.down[0].number == pytest.approx(1.1 * 4.0)


@pytest.mark.parametrize(
    ("tier", "message"),
    [
        ({"model": "S21", "power_mw": 1.0, "power_w": 3500.0}, "already states power_w"),
        ({"model": "S2l", "power_mw": 1.0}, "S21"),
        ({"power_mw": 1.0}, "give model"),
        ({"efficiency_j_per_th": 20.0, "units": 10}, "with units"),
        ({"efficiency_j_per_th": 20.0}, "either units or power_mw"),
        ({"efficiency_j_per_th": 20.0, "power_mw": 1.0, "cooling": "fan"}, "immersion"),
        ({"hashrate_th_s": 200, "power_w": 3500, "efficiency_j_per_th": 20, "units": 5}, "17.5 J/TH"),
        (
            {"efficiency_j_per_th": 20.0, "power_mw": 1.0, "modes": [{"power_share": 1, "hash_share": 1}] * 2},
            "ascending",
        ),
    ],
)
def test_contradictory_tiers_are_refused_with_a_remedy(tier: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        fleet({"a": tier})


def test_income_must_be_stated_once() -> None:
    tiers = {"a": {"efficiency_j_per_th": 20.0, "power_mw": 1.0}}
    with pytest.raises(ValidationError, match="both btc_price_usd and difficulty"):
        BitcoinMining(bus="M", tiers=tiers, btc_price_usd=9e4)
    with pytest.raises(ValidationError, match="not both"):
        BitcoinMining(bus="M", tiers=tiers, hashprice_usd_per_ph_day=40.0, btc_price_usd=9e4, difficulty=1e14)
    with pytest.raises(ValidationError, match="hold a dot"):
        fleet({"a.b": tiers["a"]})


def test_size_follows_from_units_of_a_model() -> None:
    mine = fleet({"a": {"model": "Antminer S21", "units": 2000}})
    assert mine.tiers["a"].nameplate_mw == pytest.approx(7.0)
    assert mine.rating_mva() == pytest.approx(7.0 * 2.0 / 0.97)  # own cooling without a stated pue_max has 2.0


def test_restarts_are_told_from_low_modes(campus: Bench) -> None:
    modes = [{"power_share": 0.5, "hash_share": 0.6}, {"power_share": 1.0, "hash_share": 1.0}]
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "modes": modes, "restart_cost_usd_per_mw": 1000.0}
    outcome = campus({"mine": fleet({"a": tier})}, [0.0, 90.0, 0.0])  # the upper half earns 80 $/MWh, the lower 120
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 5.0, 10.0])  # rising from a low mode is no restart
    assert outcome.money["mine.a.restart"] == pytest.approx(0.0)


def test_a_call_finds_no_machine_within_its_minimum_time(page: Bench, axis: Bench) -> None:
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "min_up_h": 2.0, "min_down_h": 2.0}
    values = {
        "mine.a.on": np.array([4.0, 4.0, 4.0, 10.0, 10.0, 10.0]), "mine.a.up": np.r_[0.0, 0.0, 0.0, 6.0, 0.0, 0.0],
        "mine.a.down": np.r_[6.0, np.zeros(5)],
    }  # fmt: skip
    room = page({"mine": fleet({"a": tier})}, axis(6), {}, values).campus.headrooms["mine"]
    assert [term.number for term in room.up] == pytest.approx([4.0, 4.0, 4.0, 4.0, 4.0, 10.0])
    assert [term.number for term in room.down] == pytest.approx([0.0, 0.0, 6.0, 0.0, 0.0, 0.0])


def test_blocks_offer_only_what_they_throttle(page: Bench, axis: Bench) -> None:
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "blocks": 2}
    room = page({"mine": fleet({"a": tier})}, axis(1), {}, {"mine.a.on": np.array([1.0])}).campus.headrooms["mine"]
    assert (room.up[0].number, room.down[0].number) == pytest.approx((0.0, 0.0))


def test_machines_stop_at_the_lower_of_the_plants_and_their_own_limit() -> None:
    tier = MiningTier(model="Antminer S19k Pro", power_mw=1.0)
    assert tier.plant(Cooling(pue_base=1.0)).shutdown_c == 45.0
    assert tier.plant(Cooling(pue_base=1.0, shutdown_c=40.0)).shutdown_c == 40.0
    assert tier.plant("immersion") == cooling_table()["immersion"]
