"""Random mixes of programs on the same assets: no MW is sold twice, and their order in the case means nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from microgrid.assets.ai_training import AiTraining
from microgrid.assets.battery import Battery
from microgrid.assets.bitcoin_mining import BitcoinMining
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.programs.ancillary_services import AncillaryServices
from microgrid.assets.programs.interruptible import Interruptible
from microgrid.assets.programs.relay_reserve import RelayReserve
from microgrid.assets.programs.spinning_reserve import SpinningReserve
from microgrid.assets.shared_capacity import SharedCapacity
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
