"""What backs reserves, by hand: inference that may refuse, speed beside the schedule, energy of expected calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgrid.assets.ai_inference import AiInference
from microgrid.assets.ai_training import AiTraining
from microgrid.assets.backup_engines import BackupEngines
from microgrid.assets.battery import Battery
from microgrid.assets.bitcoin_mining import BitcoinMining
from microgrid.assets.engines import Engines
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.poi import Poi
from microgrid.assets.programs.ancillary_services import AncillaryServices
from microgrid.assets.programs.interruptible import Interruptible
from microgrid.assets.programs.spinning_reserve import SpinningReserve
from microgrid.assets.ups import Ups
from microgrid.formulation.algebra import number

Bench = Callable[..., Any]


def market(price: float = 5.0, share: float = 0.0, minutes: float = 10.0, **fields: object) -> AncillaryServices:
    """One hour of up-reserve; providers of expected calls bear no cost beside their own page's."""
    product = {"up": True, "duration_h": 1.0, "response_min": minutes, "deployed_share": share}
    given = {"export_right_mw": 100.0, "calls_exempt_from_ramp": True, **fields}
    return AncillaryServices(poi="poi", services={"up": {"product": product, "price_usd_per_mwh": price}}, **given)


def hall(classes: dict[str, object], idle_kw: float = 0.0, **fields: object) -> AiInference:
    """1000 requests/s of 500 tokens are 500 replicas of 10 kW: 5 MW; a dollar a Mtok is 360 $/MWh."""
    replica = {"count": 1000, "tokens_per_s": 1000.0, "power_kw": 10.0, "idle_power_kw": idle_kw}
    given = {"replica": replica, "tokens_per_request": 500.0, "room": {"pue": 1.1}, "requests_per_s": 1000.0, **fields}
    return AiInference(bus="HALL", classes=classes, **given)


WORTH = {"value_usd_per_million_tokens": 1.0}
BROWNOUT = {"throughput_gain": 2.0, "power_gain": 1.0, "cost_usd_per_million_tokens": 0.5}


# -- inference ---------------------------------------------------------------------------------------------------


def test_inference_sells_what_it_may_still_refuse(campus: Bench) -> None:
    classes = {"chat": {"share": 0.5, **WORTH}, "bulk": {"share": 0.5, "sheddable_share": 0.4, **WORTH}}
    outcome = campus({"infer": hall(classes, idle_kw=2.0), "as": market()}, [50.0, 500.0])
    # 1 MW of requests may be refused; parked replicas keep a fifth of it, and cooling comes on top: 1 * 0.8 * 1.1.
    # At 500 $/MWh refusing saves 0.8 * 500 * 1.1 = 440 $ for 360 $ of income, more than the 4.4 $ of reserve.
    assert outcome["as.up.infer.sold_mw"] == pytest.approx([0.88, 0.0])
    assert outcome["infer.bulk.shed_mw"] == pytest.approx([0.0, 1.0])


def test_inference_sells_brownout_of_what_it_may_not_refuse(campus: Bench) -> None:
    both = hall({"all": {"sheddable_share": 0.5, "brownout": BROWNOUT, **WORTH}}, room={"pue": 1.0})
    outcome = campus({"infer": both, "as": market()}, [50.0])
    assert outcome["as.up.infer.sold_mw"] == pytest.approx([3.75])  # of 5 MW half are refused, a quarter is browned out
    waits = hall({"all": {"defer_h": 2.0, "sheddable_share": 0.5, "brownout": BROWNOUT, **WORTH}}, room={"pue": 1.0})
    outcome = campus({"infer": waits, "as": market()}, [50.0])
    assert outcome["as.up.infer.sold_mw"] == pytest.approx([2.5])  # deferred work is not given up, only browned out


def test_inference_answers_a_call_no_faster_than_it_can(campus: Bench) -> None:
    slow = hall({"all": {"sheddable_share": 1.0, **WORTH}}, call_ramp_mw_per_min=0.1)
    assert campus({"infer": slow, "as": market()}, [50.0])["as.up.infer.sold_mw"] == pytest.approx([1.1])
    firm = campus({"infer": hall({"all": WORTH}), "as": market()}, [50.0])
    assert "infer" not in firm.campus.headrooms


def test_calls_of_inference_forgo_income_and_availability(campus: Bench) -> None:
    free = {"sheddable_share": 0.5, "shed_cost_usd_per_million_tokens": 0.25, **WORTH}
    classes = {"chat": {"share": 0.5, **free}, "bulk": {"share": 0.5, "brownout": BROWNOUT, **WORTH}}
    infer = hall(classes, idle_kw=2.0, room={"pue": 1.25})
    outcome = campus({"infer": infer, "as": called(("infer",), 0.2, price=150.0)}, [50.0])
    # Chat refuses 1.25 MW that save 0.8 each, bulk browns out 2.5 MW that save 1 - 1/2 - 0.2/2 = 0.4 each: 2 MW of IT.
    assert outcome["as.up.infer.sold_mw"] == pytest.approx([2.5])
    assert outcome.money["infer.chat.refusing.called_service"] == pytest.approx(0.2 * 1.25 * 1.25 * 360.0)
    assert outcome.money["infer.bulk.slowing.called_service"] == pytest.approx(0.2 * 2.5 * 0.5 * 360.0)
    level = {"fee_usd_per_month": 744000.0, "credits": [{"availability": 0.95, "credit_share": 1.0}]}  # 1000 $ an hour
    strict = hall({"chat": {**free, "service_level": level}}, room={"pue": 1.0})
    outcome = campus({"infer": strict, "as": called(("infer",), 0.2, price=150.0)}, [50.0], gap=1e-7)
    assert outcome["as.up.infer.sold_mw"] == pytest.approx([1.25])  # a fifth of it is a twentieth of the requests
    assert outcome["infer.chat.availability"] == pytest.approx([0.95])


# -- speed beside the schedule -----------------------------------------------------------------------------------


def engines(**fields: object) -> Engines:
    return Engines(bus="E", units=3, unit_power_mw=10.0, min_load_mw=2.0, ramp_mw_per_min=0.1, **fields)


def test_scheduled_ramping_of_engines_leaves_less_speed_for_reserves(page: Bench, axis: Bench) -> None:
    def left(power: list[float], running: list[float], started: float = 0.0, stopped: float = 0.0) -> list[float]:
        values = {
            "e.power_mw": np.array(power), "e.running": np.array(running), "e.started": np.array([0.0, started]),
            "e.stopped": np.array([0.0, stopped]),
        }  # fmt: skip
        room = page({"e": engines()}, axis(2), {}, values).campus.headrooms["e"]
        return [number(speed[1]) for side in (room.speeds_up, room.speeds_down) for speed in side]

    # Two units of 0.1 MW/min, of which a rise of 6 MW in the hour takes 0.1.
    assert left([8.0, 14.0], [2.0, 2.0]) == pytest.approx([0.2, 0.1, 0.2, 0.3])
    # A unit that starts jumps to 6 MW (its ramp of an hour) and lends no speed: the other stays where it was.
    assert left([8.0, 14.0], [1.0, 2.0], started=1.0) == pytest.approx([0.1, 0.1, 0.1, 0.1 + (6.0 - 2.0) / 60.0])
    # A unit that stops leaves at least 2 MW to be taken over by the other.
    assert left([8.0, 8.0], [2.0, 1.0], stopped=1.0)[:2] == pytest.approx([0.1, 0.1 - 2.0 / 60.0])


def test_engines_sell_only_the_ramp_that_the_schedule_leaves(campus: Bench) -> None:
    parts = {"e": engines(heat_rate_mmbtu_per_mwh=1.0, fuel_price_usd_per_mmbtu=30.0, initially_running=3)}
    site = {"site": FacilityLoad(bus="F", power_mw=0.0)}
    loads = {"site.power_mw": [9.0, 18.0]}
    outcome = campus({**parts, **site, "as": market(minutes=5.0)}, [50.0, 50.0], series=loads, import_limit_mw=0.0)
    # Three units rise by 9 MW: 0.3 - 9 / 60 MW/min are left for 5 minutes, where 1.5 MW would be the whole ramp.
    assert outcome["as.up.e.sold_mw"] == pytest.approx([1.5, 0.75])


def test_a_fleet_and_a_meter_that_ramp_sell_what_speed_is_left(campus: Bench) -> None:
    mine = BitcoinMining(
        bus="M", hashprice_usd_per_ph_day=48.0, pool_fee=0.0, cooling={"pue_base": 1.0}, ramp_down_mw_per_min=0.1,
        tiers={"a": {"efficiency_j_per_th": 20.0, "power_mw": 12.0}},
    )  # fmt: skip
    outcome = campus({"m": mine, "as": market(price=0.5)}, [50.0, 140.0])  # 6 MW down in the hour is all the ramp
    assert outcome["m.a.power_mw"] == pytest.approx([12.0, 6.0])
    assert outcome["as.up.m.sold_mw"] == pytest.approx([1.0, 0.0])
    free = BitcoinMining(**{**mine.model_dump(), "ramp_down_mw_per_min": None})
    slow = BitcoinMining(**{**free.model_dump(), "ramp_up_mw_per_min": 0.1})  # to come back, not to drop
    assert campus({"m": slow, "as": market(price=0.5)}, [50.0])["as.up.m.sold_mw"] == pytest.approx([12.0])
    for limit in ({"ramp_mw_per_min": 0.1}, {"variations": [{"window_min": 60.0, "change_mw": 6.0}]}):
        bound = market(price=0.5, calls_exempt_from_ramp=False)
        outcome = campus({"m": free, "as": bound}, [50.0, 140.0], poi=limit)
        assert outcome["as.up.m.sold_mw"][1] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("up", "price", "work", "power"),
    [(True, [10.0, 50.0], 18.0, [12.0, 6.0]), (False, [50.0, 10.0], 15.0, [4.5, 10.5])],
)
def test_jobs_sell_the_ramp_that_their_own_schedules_leave(
    campus: Bench, up: bool, price: list[float], work: float, power: list[float]
) -> None:
    job = {"power_mw": 12.0, "work_mwh": work, "unfinished_usd_per_mwh": 999.0, "ramp_mw_per_min": 0.1}
    late = {**job, "work_mwh": 24.0, "ramp_mw_per_min": 0.2, "arrival": "2025-07-01T02:00"}  # all it can from hour 2 on
    train = AiTraining(bus="T", room={"pue": 1.25}, jobs={"j": {**job, "deadline": "2025-07-01T02:00"}, "late": late})
    product = {"up": up, "duration_h": 1.0, "response_min": 10.0, "deployed_share": 0.0}
    services = {"r": {"product": product, "price_usd_per_mwh": 1.0}}
    reserve = AncillaryServices(
        poi="poi", services=services, import_right_mw=99.0, export_right_mw=99.0, calls_exempt_from_ramp=True
    )
    outcome = campus({"t": train, "as": reserve}, [*price, 60.0, 60.0])
    assert outcome["t.j.power_mw"] == pytest.approx([*power, 0.0, 0.0])
    # 6 MW in the hour are the whole ramp of the second hour; before, 0.1 MW/min for ten minutes, with cooling.
    assert outcome["as.r.t.sold_mw"] == pytest.approx([1.25, 0.0, *([1.25, 1.25] if up else [0.0, 0.0])], abs=1e-6)


# -- energy at both ends of a step ----------------------------------------------------------------------------------


def cells(**fields: object) -> Battery:
    """10 MW and 10 MWh without losses, the whole of it usable."""
    plain = {"charge_efficiency": 1.0, "discharge_efficiency": 1.0, "soc_min": 0.0, "soc_max": 1.0}
    return Battery(bus="B", **{**plain, "power_mw": 10.0, "energy_mwh": 10.0, **fields})


@pytest.mark.parametrize(("up", "start", "price"), [(True, 0.0, [0.0, 100.0]), (False, 10.0, [100.0, 0.0])])
def test_a_call_may_come_at_the_start_or_at_the_end_of_a_step(
    campus: Bench, up: bool, start: float, price: list[float]
) -> None:
    # Charging from empty, only the end of the first hour could sustain a call; in the second only its beginning.
    product = {"up": up, "duration_h": 1.0, "response_min": 10.0, "deployed_share": 0.0}
    reserve = AncillaryServices(
        poi="poi", services={"up": {"product": product, "price_usd_per_mwh": 5.0}}, import_right_mw=100.0
    )
    outcome = campus({"b": cells(initial_energy_mwh=start), "as": reserve}, price, export_limit_mw=50.0)
    assert sorted(outcome["b.energy_mwh"]) == pytest.approx(sorted([start, 10.0 - start, start]))
    assert outcome["as.up.b.sold_mw"] == pytest.approx([0.0, 0.0], abs=1e-6)


def test_a_window_that_wraps_sells_what_its_cycle_never_touches(campus: Bench) -> None:
    parts = {"b": cells(energy_mwh=15.0), "as": market()}
    outcome = campus(parts, [0.0, 100.0], wraps=True, export_limit_mw=50.0)
    assert outcome["b.energy_mwh"] == pytest.approx([5.0, 15.0, 5.0])
    assert outcome["as.up.b.sold_mw"] == pytest.approx([5.0, 0.0], abs=1e-6)


def test_all_programs_together_are_held_to_the_energy_of_both_ends(campus: Bench, page: Bench, axis: Bench) -> None:
    parts = {
        "b": cells(initial_energy_mwh=8.0), "site": FacilityLoad(bus="F", power_mw=30.0), "as": market(),
        "held": SpinningReserve(requirement_mw=6.0, providers=("b",), duration_min=30.0),
        "cut": Interruptible(
            poi="poi", contract_mw=30.0, max_subscribed_mw=20.0, credit_usd_per_kw_month=30.0, max_event_h=2.0,
            providers=("b",),
        ),
    }  # fmt: skip
    outcome = campus(parts, [20.0], export_limit_mw=50.0)
    sold = {name: outcome[f"{name}.sold_mw"][0] for name in ("as.up.b", "cut.interruption.b")}
    # 30 $/kW-month are 40 $/MWh, over 2 h more than 5 $/MWh over one; spinning reserve takes 3 of 8 MWh.
    assert sold == pytest.approx({"as.up.b": 0.0, "cut.interruption.b": 2.5}, abs=1e-6)
    rows = [name for name in outcome.rows if name.endswith(".sustained")]
    assert rows == ["b.up0.sustained", "b.up1.sustained"]
    for energy in ([0.0, 8.0], [8.0, 0.0]):
        given = {"b.energy_mwh": np.array(energy), "as.up.b.sold_mw": np.array([4.0])}
        meter = {"poi": Poi(bus="P", import_limit_mw=9.0, export_limit_mw=9.0)}
        found = page({**meter, "b": cells(), "as": market()}, axis(1), {}, given)
        assert found["as.up.b.spare_mw"] == pytest.approx([-4.0])


# -- expected calls ----------------------------------------------------------------------------------------------


def called(names: tuple[str, ...], share: float, **fields: object) -> AncillaryServices:
    return market(share=share, providers={name: {"worth_usd_per_mwh": 0.0} for name in names}, **fields)


def test_expected_calls_leave_the_battery_and_are_charged_again(campus: Bench) -> None:
    cell = {
        "power_mw": 10.0, "energy_mwh": 10.0, "charge_efficiency": 0.8, "discharge_efficiency": 0.5, "soc_min": 0.0,
        "soc_max": 1.0, "initial_energy_mwh": 8.0, "wear_usd_per_mwh": 3.0,
    }  # fmt: skip
    outcome = campus({"b": Battery(bus="B", **cell), "as": called(("b",), 0.1, price=6.0)}, [20.0])
    # 8 MWh carry 4 MW for the hour. A tenth of them is called: 0.4 MWh at the bus, 0.8 from the cells, 1.0 to recharge.
    assert outcome["as.up.b.sold_mw"] == pytest.approx([4.0])
    assert outcome["b.charge_mw"] == pytest.approx([1.0])
    assert outcome["b.energy_mwh"] == pytest.approx([8.0, 8.0])
    assert outcome.money["b.wear"] == pytest.approx(3.0 * 0.4)
    free = Battery(bus="B", **cell, end="free")
    outcome = campus({"b": free, "as": called(("b",), 0.1, price=6.0)}, [20.0])
    assert outcome["b.energy_mwh"][1] == pytest.approx(
        8.0 / 1.1
    )  # 8 - 0.2 r must carry r for an hour: 2 r <= 8 - 0.2 r
    assert outcome["as.up.b.sold_mw"] == pytest.approx([8.0 / 2.2])


def test_engines_burn_fuel_in_expected_calls(page: Bench, axis: Bench) -> None:
    curve = [{"power_mw": 5.0, "fuel_mmbtu_per_h": 45.0}, {"power_mw": 10.0, "fuel_mmbtu_per_h": 85.0}]  # 9, then 8
    unit = Engines(
        bus="E", units=1, unit_power_mw=10.0, fuel_curve=[*curve, {"power_mw": 11.0, "fuel_mmbtu_per_h": 95.0}],
        fuel_price_usd_per_mmbtu=3.0, variable_om_usd_per_mwh=5.0, emission_kg_per_mmbtu=50.0,
        emission_price_usd_per_t=20.0,
    )  # fmt: skip
    spare = BackupEngines(
        bus="E", units=1, unit_power_mw=4.0, permit_h_per_year=99.0, fuel_mmbtu_per_mwh=9.5,
        fuel_price_usd_per_mmbtu=20.0,
    )  # fmt: skip
    parts = {"poi": Poi(bus="P", import_limit_mw=9.0), "e": unit, "d": spare, "as": called(("e", "d"), 0.1)}
    sold = {"as.up.e.sold_mw": np.array([2.0]), "as.up.d.sold_mw": np.array([1.0])}
    outcome = page(parts, axis(1, 30), {}, sold)
    # The last points of the curve need 10 MMBtu/MWh; a tonne of CO2 adds a dollar a MMBtu.
    assert outcome.money["e.called_fuel"] == pytest.approx(0.1 * 2.0 * 0.5 * (10.0 * 4.0 + 5.0))
    assert outcome.money["d.called_fuel"] == pytest.approx(0.1 * 1.0 * 0.5 * 190.0)


def test_expected_calls_count_as_cycles_of_battery_and_ups(campus: Bench) -> None:
    cell = Battery(bus="B", power_mw=10.0, energy_mwh=10.0, max_cycles_per_day=0.01, end="free")
    assert campus({"b": cell, "as": called(("b",), 0.1)}, [20.0])["as.up.b.sold_mw"] == pytest.approx([1.0])
    ups = Ups(
        bus="H", power_mw=12.0, energy_mwh=4.0, protected_mw=4.0, max_cycles_per_year=8766.0 * 0.025,
        charge_efficiency=1.0, discharge_efficiency=1.0, wear_usd_per_mwh=2.0,
    )  # fmt: skip
    parts = {"site": FacilityLoad(bus="F", power_mw=12.0), "ups": ups, "as": called(("ups",), 0.1)}
    outcome = campus(parts, [20.0])
    assert outcome["as.up.ups.sold_mw"] == pytest.approx([1.0])  # 0.025 cycles of 4 MWh in the hour
    assert outcome["ups.charge_mw"] == pytest.approx([0.1])
    assert outcome.money["ups.wear"] == pytest.approx(0.2)


def test_the_least_efficient_running_machines_answer_a_call_and_lose_their_hash(campus: Bench) -> None:
    tiers = {name: {"efficiency_j_per_th": e, "power_mw": 10.0} for name, e in (("new", 20.0), ("old", 40.0))}
    given = {"bus": "M", "hashprice_usd_per_ph_day": 48.0, "pool_fee": 0.0, "cooling": {"pue_base": 1.25}}
    mine = BitcoinMining(**given, tiers=tiers)
    outcome = campus({"m": mine, "as": called(("m",), 0.2, price=20.0)}, [10.0])
    assert outcome["as.up.m.sold_mw"] == pytest.approx([25.0])  # a fifth is called: 5 MW, 4 at the machines
    assert [outcome[f"m.{name}.called_mw"][0] for name in tiers] == pytest.approx([2.0, 2.0])
    assert outcome.money["m.new.called_hashing"] == pytest.approx(2.0 * 100.0)
    assert outcome.money["m.old.called_hashing"] == pytest.approx(2.0 * 50.0)
    outcome = campus({"m": mine, "as": called(("m",), 0.2, price=13.0)}, [10.0])
    assert outcome["as.up.m.sold_mw"] == pytest.approx([12.5])  # of the new ones a MW sold would cost 0.16 * 100
    assert outcome["m.old.called_mw"] == pytest.approx([2.0])


def test_calls_do_not_eat_the_hash_that_a_hosting_contract_owes(campus: Bench) -> None:
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "min_hash_share": 0.9}
    mine = BitcoinMining(
        bus="M", hashprice_usd_per_ph_day=48.0, pool_fee=0.0, cooling={"pue_base": 1.0}, tiers={"a": tier}
    )
    outcome = campus({"m": mine, "as": called(("m",), 0.2, price=50.0)}, [10.0])
    assert outcome["as.up.m.sold_mw"] == pytest.approx([5.0])  # a tenth of the hash is all that calls may take


# -- calls to draw more or to give less --------------------------------------------------------------------------


def called_down(names: tuple[str, ...], share: float, price: float = 1.0, **fields: object) -> AncillaryServices:
    """One hour of down-reserve; `worth_down_usd_per_mwh` and others may be given."""
    product = {"up": False, "duration_h": 1.0, "response_min": 10.0, "deployed_share": share}
    provider = {"worth_down_usd_per_mwh": fields.pop("worth", 0.0)}
    given = {"import_right_mw": 100.0, "calls_exempt_from_ramp": True, **fields}
    services = {"down": {"product": product, "price_usd_per_mwh": price}}
    return AncillaryServices(poi="poi", services=services, providers=dict.fromkeys(names, provider), **given)


def test_miners_called_down_hash_and_pay_for_their_energy(campus: Bench) -> None:
    tiers = {name: {"efficiency_j_per_th": e, "power_mw": 10.0} for name, e in (("new", 20.0), ("old", 40.0))}
    given = {"bus": "M", "hashprice_usd_per_ph_day": 48.0, "pool_fee": 0.0, "cooling": {"pue_base": 1.25}}
    mine = BitcoinMining(**given, tiers=tiers, operating_cost_usd_per_mwh=10.0)
    program = called_down(("m",), 0.2, energy_price_usd_per_mwh=30.0, worth=7.0)
    outcome = campus({"m": mine, "as": program}, [90.0, 60.0])
    # At 90 $/MWh, 112.5 for a MWh of machines, all 20 MW stand still; at 60 only the old ones, which hash 50 $/MWh.
    assert outcome["as.down.m.sold_mw"] == pytest.approx([25.0, 12.5])
    assert [list(outcome[f"m.{name}.raised_mw"]) for name in tiers] == [
        pytest.approx([2.0, 0.0]),
        pytest.approx([2.0] * 2),
    ]
    assert outcome.money["m.new.raised_hashing"] == pytest.approx(-2.0 * (100.0 - 10.0))
    assert outcome.money["m.old.raised_hashing"] == pytest.approx(-4.0 * (50.0 - 10.0))
    assert outcome.money["as.down.m.deployment"] == pytest.approx(0.2 * 37.5 * (30.0 - 7.0))
    dear = called_down(("m",), 0.2, energy_price_usd_per_mwh=90.0)
    # A called MWh at the bus costs 90 $ and brings 0.8 (50 - 10) in old machines: not worth a dollar of reserve.
    assert campus({"m": mine, "as": dear}, [60.0])["as.down.m.sold_mw"] == pytest.approx([0.0])


def test_a_call_adds_the_least_hash_that_a_megawatt_of_the_tier_makes(campus: Bench) -> None:
    modes = [{"power_share": 0.5, "hash_share": 0.7}, {"power_share": 1.0, "hash_share": 1.0}]
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "modes": modes}
    given = {"bus": "M", "hashprice_usd_per_ph_day": 48.0, "pool_fee": 0.0, "cooling": {"pue_base": 1.0}}
    for rules in ({}, {"min_down_h": 1.0}):
        mine = BitcoinMining(**given, tiers={"a": {**tier, **rules}})
        outcome = campus({"m": mine, "as": called_down(("m",), 0.2)}, [80.0], wraps=True)
        # Half a MW earns 1.4 of its price, the other half 0.6: at 80 $/MWh 5 MW run, and the upper half may be called.
        assert outcome["m.a.power_mw"] == pytest.approx([5.0])
        assert outcome["m.a.raised_mw"] == pytest.approx([1.0])
        assert outcome.money["m.a.raised_hashing"] == pytest.approx(-60.0)


def test_hash_of_calls_counts_for_a_hosting_contract(campus: Bench) -> None:
    tier = {"efficiency_j_per_th": 20.0, "power_mw": 10.0, "min_hash_share": 0.9}
    mine = BitcoinMining(
        bus="M", hashprice_usd_per_ph_day=48.0, pool_fee=0.0, cooling={"pue_base": 1.0}, tiers={"a": tier}
    )
    outcome = campus({"m": mine, "as": called_down(("m",), 0.2)}, [150.0])
    assert outcome["m.a.power_mw"] == pytest.approx([8.75])  # p + 0.2 (10 - p) = 9
    assert outcome["as.down.m.sold_mw"] == pytest.approx([1.25])


@pytest.mark.parametrize("jobs", [1, 2])
def test_work_of_calls_to_draw_more_is_done_in_time(campus: Bench, jobs: int) -> None:
    job = {"power_mw": 10.0 / jobs, "work_mwh": 15.0 / jobs}
    train = AiTraining(bus="T", room={"pue": 1.25}, jobs={f"j{place}": job for place in range(jobs)})
    outcome = campus({"t": train, "as": called_down(("t",), 0.2)}, [10.0, 10.0])
    assert outcome["t.it_power_mw"].sum() == pytest.approx(13.75)  # p + 0.2 (20 - p) = 15
    assert outcome["as.down.t.sold_mw"].sum() == pytest.approx(1.25 * 6.25)
    curve = [{"power_share": 0.5, "throughput_share": 0.75}, {"power_share": 1.0, "throughput_share": 1.0}]
    late = AiTraining(bus="T", room={"pue": 1.0}, jobs={"j": {
        "power_mw": 10.0, "work_mwh": 8.0, "power_cap_curve": curve, "deadline": "2025-07-01T01:00", "grace_h": 1.0,
        "late_usd_per_mwh": 999.0,
    }})  # fmt: skip
    outcome = campus({"t": late, "as": called_down(("t",), 0.2)}, [10.0, 10.0])
    # 5 MW do 7.5 in the first hour; then a MW scheduled does a half and takes a tenth from what calls would do.
    assert outcome["t.it_power_mw"] == pytest.approx([5.0, 0.0])
    assert outcome["t.j.work_done_mwh"] == pytest.approx([7.5 + 0.5 * 0.2 * 5.0])


def test_engines_called_down_save_fuel_and_carbon(page: Bench, axis: Bench) -> None:
    curve = [{"power_mw": 5.0, "fuel_mmbtu_per_h": 45.0}, {"power_mw": 10.0, "fuel_mmbtu_per_h": 85.0}]
    unit = Engines(
        bus="E", units=1, unit_power_mw=11.0, fuel_curve=[*curve, {"power_mw": 11.0, "fuel_mmbtu_per_h": 95.0}],
        fuel_price_usd_per_mmbtu=3.0, variable_om_usd_per_mwh=5.0, emission_kg_per_mmbtu=50.0,
        emission_price_usd_per_t=20.0,
    )  # fmt: skip
    spare = BackupEngines(
        bus="E", units=1, unit_power_mw=4.0, permit_h_per_year=99.0, fuel_mmbtu_per_mwh=9.5,
        fuel_price_usd_per_mmbtu=20.0, emission_kg_per_mmbtu=80.0, emission_price_usd_per_t=25.0,
    )  # fmt: skip
    parts = {"poi": Poi(bus="P", import_limit_mw=9.0), "e": unit, "d": spare}
    parts |= {"up": called(("e", "d"), 0.1), "down": called_down(("e", "d"), 0.3)}
    sold = {"up.up.e": 2.0, "up.up.d": 1.0, "down.down.e": 4.0, "down.down.d": 3.0}
    values = {f"{name}.sold_mw": np.array([mw]) for name, mw in sold.items()}
    values |= {"e.fuel_rate_mmbtu_per_h": np.array([60.0]), "d.power_mw": np.array([3.5])}
    outcome = page(parts, axis(1, 30), {}, values)
    # Up burns 10 MMBtu/MWh, down saves 8; a MMBtu costs 4 $ with its CO2.
    up, down = 0.1 * 2.0 * 0.5, 0.3 * 4.0 * 0.5
    assert outcome.money["e.called_fuel"] == pytest.approx(up * (10.0 * 4.0 + 5.0) - down * (8.0 * 4.0 + 5.0))
    assert outcome["e.co2_t"] == pytest.approx([0.05 * (0.5 * 60.0 + 10.0 * up - 8.0 * down)])
    assert outcome.money["e.emission_cost"] == pytest.approx(20.0 * 0.05 * 30.0)
    # Diesel costs 20 $ and 80 kg at 25 $/t a MMBtu.
    assert outcome.money["d.called_fuel"] == pytest.approx((0.1 * 1.0 - 0.3 * 3.0) * 0.5 * 9.5 * 22.0)
    assert outcome.money["d.fuel_cost"] == pytest.approx(3.5 * 0.5 * 9.5 * 22.0)
    assert outcome["d.co2_t"] == pytest.approx([0.08 * 9.5 * 0.5 * (3.5 + 0.1 * 1.0 - 0.3 * 3.0)])


def test_a_battery_called_down_stores_what_it_draws(campus: Bench) -> None:
    cell = Battery(
        bus="B", power_mw=10.0, energy_mwh=10.0, charge_efficiency=0.8, soc_min=0.0, soc_max=1.0,
        initial_energy_mwh=8.0, end="free", wear_usd_per_mwh=50.0,
    )  # fmt: skip
    outcome = campus({"b": cell, "as": called_down(("b",), 0.1)}, [20.0])
    # At the end 10 - (8 + 0.08 r) MWh are free, of which a MW for an hour takes 0.8.
    assert outcome["as.down.b.sold_mw"] == pytest.approx([2.0 / 0.88])
    assert outcome["b.energy_mwh"] == pytest.approx([8.0, 8.0 + 0.08 * 2.0 / 0.88])


def test_the_worth_of_a_call_up_is_not_that_of_a_call_down(campus: Bench) -> None:
    """What stopping costs must not be counted as what drawing more brings."""
    cell = Battery(bus="B", power_mw=10.0, energy_mwh=40.0, soc_min=0.0, soc_max=1.0, end="free")
    product = {"up": False, "duration_h": 1.0, "response_min": 10.0, "deployed_share": 0.1}
    services = {"down": {"product": product, "price_usd_per_mwh": 1.0}}
    dear = AncillaryServices(
        poi="poi", services=services, providers={"b": {"worth_usd_per_mwh": 500.0}}, import_right_mw=100.0,
        energy_price_usd_per_mwh=20.0,
    )  # fmt: skip
    outcome = campus({"b": cell, "as": dear}, [20.0])
    assert outcome["as.down.b.sold_mw"] == pytest.approx([0.0])  # a dollar of reserve for 2 $ of energy


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.lists(st.floats(5.0, 120.0), min_size=4, max_size=4), st.floats(1.0, 30.0), st.floats(0.0, 0.3))
def test_more_calls_never_earn_more_and_two_halves_equal_the_whole(
    campus: Bench, prices: list[float], reserve: float, share: float
) -> None:
    """Calls settle at nothing here, so they only cost; splitting a fleet, a battery and a hall changes nothing."""

    def earned(parts: int, deployed: float) -> float:
        names = [f"{kind}{place}" for kind in ("m", "b", "t") for place in range(parts)]
        assets: dict[str, Any] = {}
        for place in range(parts):
            assets[f"m{place}"] = BitcoinMining(
                bus="M", hashprice_usd_per_ph_day=48.0, cooling={"pue_base": 1.1}, ramp_down_mw_per_min=0.2 / parts,
                tiers={"a": {"efficiency_j_per_th": 20.0, "power_mw": 10.0 / parts, "restart_cost_usd_per_mw": 4.0}},
            )  # fmt: skip
            assets[f"b{place}"] = Battery(
                bus="B", power_mw=6.0 / parts, energy_mwh=12.0 / parts, wear_usd_per_mwh=3.0, max_cycles_per_day=1.0
            )
            job = {"power_mw": 8.0 / parts, "min_power_mw": 2.0 / parts, "work_mwh": 20.0 / parts}
            assets[f"t{place}"] = AiTraining(bus="T", jobs={"j": {**job, "unfinished_usd_per_mwh": 500.0}})
        program = called(tuple(names), deployed, price=reserve)
        return float(campus({**assets, "as": program}, prices, export_limit_mw=5.0, gap=1e-7).earned)

    whole = earned(1, share)
    assert earned(2, share) == pytest.approx(whole, rel=1e-5, abs=1e-2)
    assert earned(1, min(1.0, 2.0 * share + 0.02)) <= whole + 1e-2


@pytest.mark.parametrize("jobs", [1, 2])
def test_work_lost_in_expected_calls_is_made_up(campus: Bench, jobs: int) -> None:
    job = {
        "power_mw": 10.0 / jobs,
        "min_power_mw": 5.0 / jobs,
        "work_mwh": 15.0 / jobs,
        "unfinished_usd_per_mwh": 999.0,
    }
    train = AiTraining(bus="T", room={"pue": 1.25}, jobs={f"j{place}": job for place in range(jobs)})
    outcome = campus({"t": train, "as": called(("t",), 0.2)}, [10.0, 10.0])
    # Power p and calls r at the room: sum p = 15 + 0.2 sum r and sum r = sum p - 10 give sum r = 6.25.
    assert outcome["as.up.t.sold_mw"].sum() == pytest.approx(6.25 * 1.25)
    assert outcome["t.it_power_mw"].sum() == pytest.approx(16.25)
    assert sum(outcome[f"t.j{place}.work_done_mwh"][0] for place in range(jobs)) == pytest.approx(15.0)


def test_a_job_is_called_for_no_more_than_it_backs(campus: Bench) -> None:
    plain = {"power_mw": 10.0, "min_power_mw": 5.0, "work_mwh": 10.0}
    jobs = {"cheap": {**plain, "unfinished_usd_per_mwh": 100.0}, "dear": {**plain, "unfinished_usd_per_mwh": 900.0}}
    train = AiTraining(bus="T", room={"pue": 1.25}, jobs=jobs)
    outcome = campus({"t": train, "as": called(("t",), 0.2, price=500.0)}, [10.0])
    # Each backs 5 MW, of which a fifth is called: 1 MWh of either is lost, not 2 MWh of the cheap one.
    assert outcome["as.up.t.sold_mw"] == pytest.approx([12.5])
    assert [outcome[f"t.{name}.unfinished_mwh"][0] for name in jobs] == pytest.approx([1.0, 1.0])


def test_a_load_and_its_ups_never_sell_the_same_megawatt(campus: Bench) -> None:
    job = {"power_mw": 12.0, "min_power_mw": 6.0, "work_mwh": 24.0, "unfinished_usd_per_mwh": 999.0}
    train = AiTraining(bus="T", room={"pue": 1.2}, jobs={"j": job})
    ups = Ups(bus="T", power_mw=12.0, energy_mwh=20.0, protects="t", discharge_efficiency=1.0)
    outcome = campus({"t": train, "ups": ups, "as": market(price=1.0)}, [10.0, 10.0])
    dropped, carried = outcome["as.up.t.sold_mw"], outcome["as.up.ups.sold_mw"]
    assert (dropped / 1.2 + carried <= 12.0 + 1e-6).all()
    assert dropped == pytest.approx([7.2, 7.2])  # a MW dropped takes its cooling along, so it sells first
    assert carried == pytest.approx([6.0, 6.0])
