"""Random mixes of programs on the same assets: no MW is sold twice, and their order in the case means nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from microgrid.assets.ai_inference import AiInference
from microgrid.assets.ai_training import AiTraining
from microgrid.assets.battery import Battery
from microgrid.assets.bitcoin_mining import BitcoinMining
from microgrid.assets.engines import Engines
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.programs.ancillary_services import AncillaryServices
from microgrid.assets.programs.interruptible import Interruptible
from microgrid.assets.programs.relay_reserve import RelayReserve
from microgrid.assets.programs.spinning_reserve import SpinningReserve
from microgrid.assets.shared_capacity import SharedCapacity
from microgrid.assets.ups import Ups
from microgrid.schema.quantity import Declared

Bench = Callable[..., Any]
PROVIDERS = ("mine", "bess", "train")
NAMES = ("regulation", "reserve", "dr", "relay", "pool", "spin")


def assets() -> dict[str, Declared]:
    """Fleet and job of 10 MW each, battery of 6 MW and 12 MWh, and 2 MW that nobody can move."""
    job = {"power_mw": 10.0, "min_power_mw": 2.0, "work_mwh": 24.0, "unfinished_usd_per_mwh": 90.0}
    return {
        "site": FacilityLoad(bus="F", power_mw=2.0),
        "mine": BitcoinMining(
            bus="M", hashprice_usd_per_ph_day=48.0, pool_fee=0.0, cooling={"pue_base": 1.0},
            tiers={
                name: {"efficiency_j_per_th": joule, "power_mw": power}
                for name, joule, power in (("new", 20.0, 6.0), ("old", 30.0, 4.0))
            },
        ),
        "bess": Battery(bus="B", power_mw=6.0, energy_mwh=12.0, wear_usd_per_mwh=5.0),
        "train": AiTraining(bus="T", room={"pue": 1.0}, jobs={"j": job}),
    }  # fmt: skip


def service(price: float, *, up: bool, share: float = 0.0, hours: float = 1.0) -> dict[str, object]:
    product = {"up": up, "duration_h": hours, "response_min": 10.0, "deployed_share": share}
    return {"product": product, "price_usd_per_mwh": price}


def programs(prices: list[float], right: float, delivers: str) -> dict[str, Declared]:
    """Every program that sells MW, at prices of its own."""
    free = {name: {"worth_usd_per_mwh": 0.0} for name in PROVIDERS}
    called = {"up": service(prices[0], up=True, share=0.1), "down": service(prices[1], up=False, share=0.2, hours=0.5)}
    held = {"up": service(prices[2], up=True, hours=2.0), "down": service(prices[3], up=False)}
    return {
        "regulation": AncillaryServices(poi="poi", services=called, providers=free),
        "reserve": AncillaryServices(poi="poi", services=held, export_right_mw=right, import_right_mw=20.0 + right),
        "dr": Interruptible(
            poi="poi", contract_mw=30.0, max_subscribed_mw=12.0, delivers=delivers, max_event_h=2.0,
            credit_usd_per_kw_month=0.744 * prices[4],
        ),
        "relay": RelayReserve(
            poi="poi", price_usd_per_mwh=prices[5], blocks={"f": {"provider": "mine", "share": 0.5, "largest_mw": 5.0}}
        ),
        "pool": SharedCapacity(
            feeder_mw=15.0, uses={"mine": {"initial_mw": 9.0, "reversible": True}, "train": {"initial_mw": 6.0}}
        ),
        "spin": SpinningReserve(requirement_mw=1.0, providers=["bess", "mine"]),
    }  # fmt: skip


def sold(outcome: Any, provider: str, way: str) -> np.ndarray:
    """MW that all programs have of one provider in one direction."""
    names = [f"{program}.{way}.{provider}.sold_mw" for program in ("regulation", "reserve")]
    if way == "up":
        names += [f"dr.interruption.{provider}.sold_mw", f"spin.{provider}.held_mw"]
        names += ["relay.f.mine.sold_mw"] if provider == "mine" else []
    return sum((outcome.results[name] for name in names if name in outcome.results), np.zeros(4))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(-10.0, 180.0), min_size=4, max_size=4),
    st.lists(st.floats(0.5, 40.0), min_size=6, max_size=6),
    st.floats(0.0, 6.0),
    st.sampled_from(["firm_service_level", "drop"]),
    st.permutations(NAMES),
    st.integers(2, len(NAMES)),
)
@example([0.0, 0.0, 3.0, 1.0], [1.0, 1.0, 1.0, 4.0, 2.0, 1.0], 0.0, "drop", list(NAMES), 3)  # see `_branch`
@example([0.0, 0.0, 4.0, 1.0], [1.0, 4.0, 1.0, 1.0, 3.0, 1.0], 0.0, "drop", list(NAMES), 3)
def test_no_megawatt_is_sold_twice_and_order_means_nothing(
    campus: Bench, energy: list[float], prices: list[float], right: float, delivers: str, order: list[str], count: int
) -> None:
    offered = programs(prices, right, delivers)

    def solve(names: list[str]) -> Any:
        parts = {**assets(), **{name: offered[name] for name in names}}
        return campus(parts, energy, import_limit_mw=24.0, export_limit_mw=2.0, gap=1e-7)

    outcome = solve(order[:count])
    assert solve(order[:count][::-1]).objective == pytest.approx(outcome.objective, rel=2e-6, abs=1e-2)
    drawn, net = (outcome["mine.facility_power_mw"], outcome["train.facility_power_mw"]), outcome["poi.import_mw"]
    net = net - outcome["poi.export_mw"]
    exchange, energies = outcome["bess.discharge_mw"] - outcome["bess.charge_mw"], outcome["bess.energy_mwh"]
    up = {"mine": drawn[0], "train": drawn[1] - 2.0, "bess": 6.0 - exchange}
    down = {"mine": 10.0 - drawn[0], "train": 10.0 - drawn[1], "bess": 6.0 + exchange}
    for name in PROVIDERS:
        assert (sold(outcome, name, "up") <= up[name] + 1e-5).all()
        assert (sold(outcome, name, "down") <= down[name] + 1e-5).all()
    lasting = sold(outcome, "bess", "up") - 0.5 * outcome.results.get("spin.bess.held_mw", 0.0)
    for program, more in (("reserve.up", 1.0), ("dr.interruption", 1.0)):
        lasting = lasting + more * outcome.results.get(f"{program}.bess.sold_mw", 0.0)
    for edge in (energies[:-1], energies[1:]):
        assert (lasting / 0.95 <= edge - 0.6 + 1e-5).all()
    if "pool" in order[:count]:
        for name, power in zip(("mine", "train"), drawn, strict=True):
            assert (power + sold(outcome, name, "down") <= outcome[f"pool.{name}.allotted_mw"][0] + 1e-5).all()
    calls = {way: sum(sold(outcome, name, way) for name in PROVIDERS) for way in ("up", "down")}
    held = sum((outcome.results.get(f"spin.{name}.held_mw", np.zeros(4)) for name in PROVIDERS), np.zeros(4))
    widest = max(right, 2.0) if "reserve" in order[:count] else 2.0
    assert (net - calls["up"] + held >= -widest - 1e-5).all()
    assert (net + calls["down"] <= max(24.0, 20.0 + right) + 1e-5).all()


def hall() -> dict[str, Declared]:
    """Inference of 6 MW behind a UPS, and two engines of 4 MW."""
    free = {"sheddable_share": 0.5, "brownout": {"throughput_gain": 2.0, "power_gain": 1.0}}
    return {
        "infer": AiInference(
            bus="H", requests_per_s=1200.0, tokens_per_request=500.0, room={"pue": 1.2},
            replica={"count": 800, "tokens_per_s": 1000.0, "power_kw": 10.0, "idle_power_kw": 2.0},
            classes={"all": {"value_usd_per_million_tokens": 0.3, **free}},
        ),
        "ups": Ups(
            bus="H", power_mw=8.0, energy_mwh=4.0, protects="infer", wear_usd_per_mwh=1.0, max_cycles_per_year=2000.0
        ),
        "gas": Engines(
            bus="G", units=2, unit_power_mw=4.0, min_load_mw=1.5, heat_rate_mmbtu_per_mwh=8.0,
            no_load_fuel_mmbtu_per_h=4.0, fuel_price_usd_per_mmbtu=4.0, start_cost_usd=20.0,
        ),
    }  # fmt: skip


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(-10.0, 180.0), min_size=4, max_size=4),
    st.lists(st.floats(0.5, 60.0), min_size=3, max_size=3),
    st.tuples(st.floats(0.0, 0.4), st.floats(0.0, 0.4)),
)
def test_a_hall_its_ups_and_engines_never_sell_one_megawatt_twice(
    campus: Bench, energy: list[float], prices: list[float], shares: tuple[float, float]
) -> None:
    free = {name: {"worth_usd_per_mwh": 0.0} for name in ("infer", "ups", "gas")}
    called = {
        "up": service(prices[0], up=True, share=shares[0], hours=0.5),
        "down": service(prices[1], up=False, share=shares[1], hours=0.5),
    }
    held = {"up": service(prices[2], up=True)}
    sellers = {
        "regulation": AncillaryServices(poi="poi", services=called, providers=free),
        "reserve": AncillaryServices(poi="poi", services=held),
    }

    def solve(order: tuple[str, ...]) -> Any:
        parts = {**hall(), **{name: sellers[name] for name in order}}
        return campus(parts, energy, import_limit_mw=20.0, export_limit_mw=4.0, gap=1e-6)

    outcome = solve(("regulation", "reserve"))
    again = solve(("reserve", "regulation"))
    assert again.objective == pytest.approx(outcome.objective, rel=3e-6, abs=1e-2)
    up, down = ({name: sold(outcome, name, way) for name in free} for way in ("up", "down"))
    gas, running = outcome["gas.power_mw"], outcome["gas.running"]
    assert (up["gas"] <= 4.0 * running - gas + 1e-5).all()
    assert (down["gas"] <= gas - 1.5 * running + 1e-5).all()
    load, exchange = outcome["infer.it_power_mw"], outcome["ups.discharge_mw"] - outcome["ups.charge_mw"]
    assert (up["infer"] / 1.2 + up["ups"] <= load - exchange + 1e-5).all()
    assert (down["ups"] <= 8.0 + exchange + 1e-5).all()
    lasting = 0.5 * up["ups"] + 0.5 * outcome.results.get("reserve.up.ups.sold_mw", 0.0)
    held_back = load * 5.0 / 60.0
    for edge in (outcome["ups.energy_mwh"][:-1], outcome["ups.energy_mwh"][1:]):
        assert (held_back / 0.95 + lasting / 0.95 <= edge + 1e-5).all()
        assert (edge + 0.95 * 0.5 * down["ups"] <= 4.0 + 1e-5).all()
    net = outcome["poi.import_mw"] - outcome["poi.export_mw"]
    assert (net - sum(up.values()) >= -4.0 - 1e-5).all()
    assert (net + sum(down.values()) <= 20.0 + 1e-5).all()


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.lists(st.floats(5.0, 120.0), min_size=4, max_size=4), st.floats(0.5, 20.0), st.floats(0.0, 0.3))
def test_two_halves_called_down_equal_the_whole(campus: Bench, energy: list[float], price: float, share: float) -> None:
    """Splitting a fleet, a battery and a job changes nothing of what calls to draw more bring."""

    def earned(parts: int) -> float:
        made: dict[str, Declared] = {}
        for place in range(parts):
            tiers = {
                name: {"efficiency_j_per_th": joule, "power_mw": 6.0 / parts}
                for name, joule in (("a", 20.0), ("b", 35.0))
            }
            made[f"m{place}"] = BitcoinMining(
                bus="M", hashprice_usd_per_ph_day=48.0, cooling={"pue_base": 1.1}, tiers=tiers
            )
            made[f"b{place}"] = Battery(bus="B", power_mw=6.0 / parts, energy_mwh=12.0 / parts, wear_usd_per_mwh=3.0)
            job = {"power_mw": 8.0 / parts, "work_mwh": 20.0 / parts, "power_cap_curve": "compute_bound"}
            made[f"t{place}"] = AiTraining(bus="T", jobs={"j": {**job, "unfinished_usd_per_mwh": 500.0}})
        services = {"down": service(price, up=False, share=share)}
        market = AncillaryServices(poi="poi", services=services, energy_price_usd_per_mwh=30.0)
        return float(campus({**made, "as": market}, energy, import_limit_mw=40.0, gap=1e-7).earned)

    assert earned(2) == pytest.approx(earned(1), rel=1e-5, abs=1e-2)
