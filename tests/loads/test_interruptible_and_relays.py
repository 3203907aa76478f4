"""Load that is called off or trips: notice, contract terms and firm levels; whole blocks behind relays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from microgrid.assets.battery import Battery
from microgrid.assets.bitcoin_mining import BitcoinMining
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.programs.ancillary_services import AncillaryServices
from microgrid.assets.programs.interruptible import Interruptible
from microgrid.assets.programs.interruption_calls import Caps, allowed_events, interruptible_terms
from microgrid.assets.programs.relay_reserve import RelayReserve
from microgrid.assets.programs.sales import sales_table
from microgrid.errors import InvalidInput

Bench = Callable[..., Any]
TERMS = ((12, 1, 2, 3), (4, 5), (6, 7, 8, 9), (10, 11))


def fleet(power_mw: float = 10.0, **fields: object) -> BitcoinMining:
    """Fleet that earns 100 $/MWh."""
    return BitcoinMining(
        bus="MINE", hashprice_usd_per_ph_day=48.0, pool_fee=0.0, cooling={"pue_base": 1.0},
        tiers={"a": {"efficiency_j_per_th": 20.0, "power_mw": power_mw}}, **fields,
    )  # fmt: skip


def contract(**fields: object) -> Interruptible:
    """Ten MW that may all be subscribed, at 744 $/MW of July: a dollar an hour."""
    given = {"contract_mw": 10.0, "max_subscribed_mw": 10.0, "credit_usd_per_kw_month": 0.744, **fields}
    return Interruptible(poi="poi", **given)


# -- notice and speed --------------------------------------------------------------------------------------------


def test_only_what_drops_within_the_notice_is_subscribed(campus: Bench) -> None:
    slow = fleet(ramp_down_mw_per_min=0.2)
    assert campus({"mine": slow, "dr": contract(notice_min=30.0)}, [50.0])["dr.subscribed_mw"] == pytest.approx([6.0])
    assert campus({"mine": slow, "dr": contract(notice_min=10.0)}, [50.0])["dr.subscribed_mw"] == pytest.approx([2.0])
    fast = campus({"mine": fleet(), "dr": contract(notice_min=10.0)}, [50.0], poi={"ramp_mw_per_min": 0.3})
    assert fast["dr.subscribed_mw"] == pytest.approx([3.0])  # the meter moves by 3 MW in ten minutes
    exempt = contract(notice_min=10.0, calls_exempt_from_ramp=True)
    outcome = campus({"mine": fleet(), "dr": exempt}, [50.0], poi={"ramp_mw_per_min": 0.3})
    assert outcome["dr.subscribed_mw"] == pytest.approx([10.0])


def test_speed_is_shared_with_reserves(campus: Bench) -> None:
    product = {"up": True, "duration_h": 1.0, "response_min": 10.0, "deployed_share": 0.0}
    market = AncillaryServices(poi="poi", services={"up": {"product": product, "price_usd_per_mwh": 9.0}})
    parts = {"mine": fleet(ramp_down_mw_per_min=0.2), "as": market, "dr": contract(notice_min=30.0)}
    outcome = campus(parts, [50.0])
    assert outcome["as.up.mine.sold_mw"] == pytest.approx([2.0])
    assert outcome["dr.interruption.mine.sold_mw"] == pytest.approx([4.0])  # 6 MW in half an hour for both


# -- firm level, terms, caps -------------------------------------------------------------------------------------


def test_the_firm_service_level_is_a_decision_or_given(campus: Bench) -> None:
    parts = {"site": FacilityLoad(bus="F", power_mw=6.0), "mine": fleet(4.0)}
    outcome = campus({**parts, "dr": contract()}, [50.0])
    assert outcome["dr.firm_service_level_mw"] == pytest.approx([6.0])
    given = Interruptible(poi="poi", contract_mw=10.0, firm_service_level_mw=7.5, credit_usd_per_kw_month=0.744)
    outcome = campus({**parts, "dr": given}, [50.0])
    assert outcome["dr.subscribed_mw"] == pytest.approx([2.5])
    assert outcome["dr.firm_service_level_mw"] == pytest.approx([7.5])
    with pytest.raises(ValidationError, match=r"leaves 2\.5 MW to subscribe"):
        contract(firm_service_level_mw=7.5)
    with pytest.raises(ValidationError, match="give max_subscribed_mw, or firm_service_level_mw"):
        Interruptible(poi="poi", contract_mw=10.0, credit_usd_per_kw_month=1.0)


def test_a_subscription_for_a_term_does_not_change_within_it(campus: Bench) -> None:
    parts = {"mine": fleet(10.0), "site": FacilityLoad(bus="F", power_mw=0.0)}
    series = {"site.power_mw": [0.0] * 24 + [8.0] * 24}
    days = {"start": "2025-09-30T05:00Z", "series": series, "import_limit_mw": 10.0}

    def levels(**fields: object) -> Any:
        stiff = contract(min_subscribed_mw=0.0, term_months=((9, 10),), **fields)
        return campus({**parts, "dr": stiff}, [50.0] * 48, **days)["dr.subscribed_mw"]

    assert levels() == pytest.approx([10.0, 2.0])  # of October's 10 MW only 2 can be dropped
    assert levels(subscribed_for="term") == pytest.approx([2.0, 2.0])


def test_caps_count_by_contract_term_across_the_turn_of_the_year(axis: Bench) -> None:
    caps = Caps(event_h=8.0, events_per_year=99, hours_per_year=99.0, hours_per_term=5.0, terms=TERMS)
    assert caps.term(2024, 12) == caps.term(2025, 3) == (2024, 0)
    assert caps.term(2025, 12) == (2025, 0)
    assert caps.term(2025, 5) == (2025, 1)
    horizon = axis(72, start="2024-12-31T06:00Z")  # local days 31 December to 2 January, one term and two years
    called = np.zeros(72)
    called[[2, 3, 4, 30, 31, 32, 60]] = 1.0
    assert [(event.first, event.last) for event in allowed_events(caps, horizon, called)] == [(2, 5), (30, 32)]
    few = Caps(8.0, 99, 99.0, events_per_term=1, terms=TERMS)
    assert len(allowed_events(few, horizon, called)) == 1
    spring = axis(72, start="2025-03-30T05:00Z")  # the term ends with March: 31 March and 1 April differ
    called[:] = 0.0
    called[[2, 3, 4, 5, 6, 7, 50, 51]] = 1.0
    assert [(event.first, event.last) for event in allowed_events(caps, spring, called)] == [(2, 7), (50, 52)]


def test_shipped_terms_fill_in_what_the_case_does_not_state() -> None:
    ers = Interruptible(
        poi="poi", terms="ercot_ers_10", contract_mw=9.0, max_subscribed_mw=9.0, credit_usd_per_kw_month=5
    )
    assert (ers.notice_min, ers.caps.hours_per_term, ers.subscribed_for) == (10.0, 24.0, "term")
    assert ers.caps.term(2026, 1) == (2025, 0)
    own = Interruptible(**contract(terms="ercot_ers_30", notice_min=20.0).model_dump())
    assert (own.notice_min, own.max_event_h) == (20.0, 24.0)
    assert set(interruptible_terms()) >= {"ercot_ers_30", "miso_lmr_type_1", "texas_demand_reduction"}
    with pytest.raises(ValidationError, match="choose one of ercot_ers_10"):
        contract(terms="ers")
    with pytest.raises(ValidationError, match="need term_months"):
        contract(max_hours_per_term=24.0)
    with pytest.raises(ValidationError, match="each at most once"):
        contract(term_months=((1, 2), (2, 3)))


# -- what is credited --------------------------------------------------------------------------------------------


def battery(**fields: object) -> Battery:
    """Full battery of 10 MW and 40 MWh that could carry any load here for the longest event."""
    given = {"power_mw": 10.0, "energy_mwh": 40.0, "soc_min": 0.0, "soc_max": 1.0, "initial_energy_mwh": 40.0, **fields}
    return Battery(bus="B", end="free", wear_usd_per_mwh=100.0, discharge_efficiency=1.0, **given)


def test_no_credit_is_paid_below_the_firm_level(campus: Bench) -> None:
    parts = {"site": FacilityLoad(bus="F", power_mw=2.0), "bess": battery()}
    given = Interruptible(poi="poi", contract_mw=10.0, firm_service_level_mw=6.0, credit_usd_per_kw_month=0.744)
    outcome = campus({**parts, "dr": given}, [50.0] * 2)
    assert outcome.money["dr.interruptible_credit"] == pytest.approx(0.0)  # 2 MW of import lie below the level of 6
    assert outcome["dr.paid"] == pytest.approx([0.0])


def test_the_credit_is_on_the_average_import_above_the_firm_level(campus: Bench, axis: Bench) -> None:
    given = {"contract_mw": 10.0, "credit_usd_per_kw_month": 0.744}
    at_three = Interruptible(poi="poi", firm_service_level_mw=3.0, **given)
    outcome = campus({"mine": fleet(), "dr": at_three}, [50.0, 150.0])
    assert outcome["poi.import_mw"] == pytest.approx([10.0, 0.0])
    assert outcome["dr.credited_mw"] == pytest.approx([2.0])  # 5 MW on average
    assert outcome.money["dr.interruptible_credit"] == pytest.approx(-4.0)
    assert outcome["dr.interruption.mine.sold_mw"][0] >= 7.0 - 1e-6  # all above the level must be ready to go
    assert outcome["dr.interruption.mine.earned_usd"].sum() == pytest.approx(4.0)
    assert sales_table(outcome.results, axis(2).hours, axis(2).local).earned_usd.sum() == pytest.approx(4.0)
    # At 60 $ a MW and hour of average, a MWh more earns 60: more than the 50 that mining loses at 150.
    rich = Interruptible(**{**at_three.model_dump(), "credit_usd_per_kw_month": 0.744 * 60.0})
    outcome = campus({"mine": fleet(), "dr": rich}, [50.0, 150.0])
    assert outcome["poi.import_mw"] == pytest.approx([10.0, 10.0])
    assert outcome["dr.credited_mw"] == pytest.approx([7.0])


def test_subscribed_drop_is_taken_from_what_is_consumed(campus: Bench) -> None:
    parts = {"site": FacilityLoad(bus="F", power_mw=2.0), "bess": battery(), "dr": contract(delivers="drop")}
    outcome = campus(parts, [50.0] * 2, export_limit_mw=10.0)
    assert outcome["dr.interruption.bess.sold_mw"] == pytest.approx([2.0, 2.0])  # it could give 10; 2 are consumed
    assert outcome.money["dr.interruptible_credit"] == pytest.approx(-4.0)
    parts = {"mine": fleet(), "dr": contract(delivers="drop")}
    outcome = campus(parts, [50.0, 150.0])
    assert outcome["dr.interruption.mine.sold_mw"] == pytest.approx([10.0, 0.0])
    assert outcome.money["dr.interruptible_credit"] == pytest.approx(-10.0)  # 5 MW on average, 2 $ for both hours
    outcome = campus(parts, [50.0, 150.0], series={"dr.callable": [1, 0]})
    assert outcome.money["dr.interruptible_credit"] == pytest.approx(-20.0)


def test_a_call_takes_the_drop_off_the_baseline(campus: Bench) -> None:
    given = contract(delivers="drop", baseline_mw=8.0, min_subscribed_mw=3.0, max_subscribed_mw=3.0)
    outcome = campus({"mine": fleet(), "dr": given}, [50.0, 50.0], series={"dr.called": [0, 1]})
    assert outcome["poi.import_mw"] == pytest.approx([10.0, 5.0])
    with pytest.raises(ValidationError, match="firm_service_level_mw belongs to delivers: firm_service_level"):
        Interruptible(
            poi="poi", contract_mw=10.0, delivers="drop", firm_service_level_mw=2.0, credit_usd_per_kw_month=1.0
        )
    with pytest.raises(ValidationError, match="baseline_mw belongs to delivers: drop"):
        contract(baseline_mw=2.0)


def test_nothing_is_sold_downward_that_would_break_a_call(campus: Bench) -> None:
    product = {"up": False, "duration_h": 1.0, "response_min": 10.0, "deployed_share": 0.0}
    services = {"down": {"product": product, "price_usd_per_mwh": 1.0}}
    market = AncillaryServices(poi="poi", services=services, import_right_mw=20.0)
    given = Interruptible(poi="poi", contract_mw=10.0, firm_service_level_mw=4.0, credit_usd_per_kw_month=0.0)
    for programs in ({"dr": given, "as": market}, {"as": market, "dr": given}):
        outcome = campus({"mine": fleet(), **programs}, [99.5, 99.5], series={"dr.called": [1, 0]})
        assert outcome["as.down.mine.sold_mw"] == pytest.approx([4.0, 10.0])  # a dollar, and mining earns a half


def test_a_month_in_which_no_call_may_come_pays_nothing(campus: Bench) -> None:
    parts = {"mine": fleet(), "dr": contract(credit_usd_per_kw_month=5.0, callable=0.0)}
    assert campus(parts, [50.0])["dr.subscribed_mw"].size == 1
    assert campus(parts, [50.0]).money["dr.interruptible_credit"] == pytest.approx(0.0)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(0.0, 140.0), min_size=4, max_size=4),
    st.lists(st.floats(0.0, 12.0), min_size=4, max_size=4),
    st.floats(0.0, 9.0),
    st.sampled_from(["firm_service_level", "drop"]),
    st.floats(0.1, 80.0),
)
def test_no_more_is_credited_than_the_contract_pays_and_could_be_dropped(
    campus: Bench, prices: list[float], loads: list[float], firm: float, delivers: str, usd: float
) -> None:
    drop = delivers == "drop"
    own = {"max_subscribed_mw": 10.0 - firm} if drop else {"firm_service_level_mw": firm}
    program = Interruptible(
        poi="poi", contract_mw=10.0, delivers=delivers, credit_usd_per_kw_month=usd * 0.744, max_event_h=2.0, **own
    )
    parts = {
        "site": FacilityLoad(bus="F", power_mw=0.0),
        "mine": fleet(),
        "bess": battery(power_mw=12.0),
        "dr": program,
    }
    outcome = campus(parts, prices, series={"site.power_mw": loads}, export_limit_mw=5.0, gap=1e-6)
    import_, held = (
        outcome["poi.import_mw"],
        sum(outcome[f"dr.interruption.{name}.sold_mw"] for name in ("mine", "bess")),
    )
    most = np.minimum(import_, 10.0 - firm).mean() if drop else max(0.0, import_.mean() - firm)
    credit = -outcome.money["dr.interruptible_credit"]
    assert credit <= usd * 4.0 * most + 1e-3
    assert (held <= import_ + 1e-5 if drop else held >= import_ - firm - 1e-5).all()
    earned = sum(outcome[f"dr.interruption.{name}.earned_usd"].sum() for name in ("mine", "bess"))
    assert earned == pytest.approx(credit, rel=1e-6, abs=1e-3)


# -- relays ------------------------------------------------------------------------------------------------------


def relays(price: float = 6.0, share: float = 0.5, **fields: object) -> RelayReserve:
    """Two feeders of a fleet of 10 MW."""
    blocks = {name: {"provider": "mine", "share": share, "largest_mw": 20.0} for name in ("f1", "f2")}
    return RelayReserve(poi="poi", price_usd_per_mwh=price, blocks=blocks, **fields)


def test_an_armed_block_sells_its_whole_load(campus: Bench, axis: Bench) -> None:
    outcome = campus({"mine": fleet(), "ufr": relays()}, [50.0, 103.0, 109.0])
    # Mining loses 3 $/MWh at 103 and earns 6 by standing ready; at 109 it would lose 9.
    assert outcome["mine.a.power_mw"] == pytest.approx([10.0, 10.0, 0.0])
    assert outcome["ufr.f1.mine.sold_mw"] == pytest.approx([5.0, 5.0, 0.0])
    assert outcome.money["ufr.f1.mine.capacity_payment"] == pytest.approx(-60.0)
    table = sales_table(outcome.results, axis(3).hours, axis(3).local).set_index("service")
    assert list(table.index) == ["f1", "f2"]
    assert table.deliverable.all()
    assert table.loc["f1", "price_usd_per_mwh"] == pytest.approx(6.0)


def test_a_block_is_sold_whole_or_not_at_all(campus: Bench) -> None:
    # Relays may give 60 % of 10 MW: one feeder of 5 MW and no part of the other.
    outcome = campus({"mine": fleet(), "ufr": relays(requirement_mw=10.0)}, [50.0], gap=1e-6)
    assert sorted(outcome[f"ufr.{name}.mine.sold_mw"][0] for name in ("f1", "f2")) == pytest.approx([0.0, 5.0])
    # With 4.8 MW to sell, 95 % of a feeder is 4.75 MW and may be sold; at 4.7 the fleet has to draw less.
    near = campus({"mine": fleet(), "ufr": relays(max_mw=4.8)}, [50.0], gap=1e-6)
    assert sum(near[f"ufr.{name}.mine.sold_mw"][0] for name in ("f1", "f2")) == pytest.approx(4.8)
    assert near["mine.a.power_mw"] == pytest.approx([10.0])
    short = campus({"mine": fleet(), "ufr": relays(max_mw=4.7)}, [50.0], gap=1e-6)
    assert sum(short[f"ufr.{name}.mine.sold_mw"][0] for name in ("f1", "f2")) == pytest.approx(4.7)
    assert short["mine.a.power_mw"] == pytest.approx([2.0 * 4.7 / 0.95])  # 5 $ of mining for 28 of reserve


def test_what_trips_with_a_block_is_sold_to_nobody_else(campus: Bench) -> None:
    product = {"up": True, "duration_h": 1.0, "response_min": 10.0, "deployed_share": 0.0}
    market = AncillaryServices(poi="poi", services={"up": {"product": product, "price_usd_per_mwh": 4.0}})
    single = RelayReserve(
        poi="poi", price_usd_per_mwh=6.0, blocks={"f1": {"provider": "mine", "share": 0.3, "largest_mw": 5.0}}
    )
    for order in (("ufr", "as"), ("as", "ufr")):
        parts = {"mine": fleet(), **{name: {"ufr": single, "as": market}[name] for name in order}}
        outcome = campus(parts, [50.0])
        assert outcome["ufr.f1.mine.sold_mw"] == pytest.approx([3.0])
        assert outcome["as.up.mine.sold_mw"] == pytest.approx([7.0])


def test_a_trip_never_exports_beyond_the_right_and_firm_load_may_stand_behind_a_relay(campus: Bench) -> None:
    hall = {"provider": "mine", "share": 1.0, "largest_mw": 12.0}
    whole = RelayReserve(poi="poi", price_usd_per_mwh=6.0, blocks={"all": hall})
    # Two MW of lights and pumps trip too, though no other program could have had them.
    outcome = campus({"mine": fleet(auxiliary_mw=2.0), "ufr": whole}, [50.0])
    assert outcome["ufr.all.mine.sold_mw"] == pytest.approx([12.0])
    assert outcome["ufr.all.withdrawn_mw"] == pytest.approx([10.0])


def test_a_relay_of_no_such_load_is_named_with_its_field(campus: Bench) -> None:
    with pytest.raises(
        InvalidInput, match=r"ufr\.blocks: mine: publishes no facility_power_mw: parts that do: mining;"
    ):
        campus({"mining": fleet(), "ufr": relays()}, [50.0])


def test_relays_are_refused_that_share_more_than_the_load() -> None:
    with pytest.raises(ValidationError, match=r"of mine must not exceed 1, they sum to 1\.2"):
        relays(share=0.6)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.lists(st.floats(20.0, 140.0), min_size=4, max_size=4), st.floats(0.0, 12.0), st.floats(0.5, 1.0))
def test_more_room_for_relays_never_earns_less(
    campus: Bench, prices: list[float], most: float, least_share: float
) -> None:
    def earned(**fields: object) -> float:
        return float(campus({"mine": fleet(), "ufr": relays(**fields)}, prices, gap=1e-6).earned)

    whole = earned(max_mw=most, least_award_share=1.0)
    assert earned(max_mw=most, least_award_share=least_share) >= whole - 1e-2
    assert earned(max_mw=most + 3.0, least_award_share=1.0) >= whole - 1e-2
    assert whole >= campus({"mine": fleet()}, prices).earned - 1e-2
