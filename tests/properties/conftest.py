"""Random small campuses for properties of the dispatch.

Every run draws the same examples; ``MICROGRID_EXAMPLES=500 pytest tests/properties`` draws that many others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from microgrid.assets.battery import Battery
from microgrid.assets.engines import Engines
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.solar import Solar
from microgrid.schema.quantity import Declared

STEPS = 6
settings.register_profile(
    "dispatch",
    max_examples=int(os.environ.get("MICROGRID_EXAMPLES", "25")),
    deadline=None,
    derandomize="MICROGRID_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def hundredths(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers with two decimals, so that instances are readable and well scaled."""
    return st.integers(round(low * 100), round(high * 100)).map(lambda number: number / 100)


def each_step(low: float, high: float) -> st.SearchStrategy[list[float]]:
    return st.lists(hundredths(low, high), min_size=STEPS, max_size=STEPS)


@dataclass(frozen=True)
class Instance:
    """Parts and series of a random campus; `options` are those of the bench."""

    battery: dict[str, Any]
    engines: dict[str, Any]
    prices: tuple[float, ...]
    load: tuple[float, ...]
    sun: tuple[float, ...]
    spread: float
    options: dict[str, Any]

    def assets(self) -> dict[str, Declared]:
        return {
            "battery": Battery(bus="B", **self.battery),
            "engines": Engines(bus="B", **self.engines),
            "solar": Solar(bus="B", power_mw=6.0, capacity_factor=0.0),
            "load": FacilityLoad(bus="B", power_mw=0.0),
        }

    def arguments(self, repeat: int = 1, scale: float = 1.0) -> dict[str, Any]:
        """Arguments of the bench; every step repeated `repeat` times, money scaled."""

        def spread_out(values: tuple[float, ...]) -> list[float]:
            return [value for value in values for _ in range(repeat)]

        buy = [scale * price for price in spread_out(self.prices)]
        return {
            "buy": buy, "sell": [price - scale * self.spread for price in buy],
            "series": {"load.power_mw": spread_out(self.load), "solar.capacity_factor": spread_out(self.sun)},
            **self.options,
        }  # fmt: skip

    def with_options(self, **changed: Any) -> Instance:
        return replace(self, options={**self.options, **changed})

    def with_battery(self, **changed: Any) -> Instance:
        return replace(self, battery={**self.battery, **changed})

    def with_engines(self, **changed: Any) -> Instance:
        return replace(self, engines={**self.engines, **changed})


@st.composite
def instances(draw: st.DrawFn, lowest_price: float = 0.0) -> Instance:
    """Campus of battery, engines, solar and load behind a meter wide enough to serve the load alone."""
    unit, least = draw(hundredths(3, 5)), draw(hundredths(0, 0.6))
    battery = {
        "power_mw": draw(hundredths(1, 6)), "energy_mwh": draw(hundredths(2, 20)),
        "charge_efficiency": draw(hundredths(0.8, 1)), "discharge_efficiency": draw(hundredths(0.8, 1)),
        "wear_usd_per_mwh": draw(hundredths(0, 5)),
    }  # fmt: skip
    engines = {
        "units": draw(st.integers(1, 3)), "unit_power_mw": unit, "min_load_mw": unit * least,
        "heat_rate_mmbtu_per_mwh": draw(hundredths(7, 10)), "no_load_fuel_mmbtu_per_h": draw(hundredths(0, 8)),
        "fuel_price_usd_per_mmbtu": draw(hundredths(2, 8)), "start_cost_usd": draw(hundredths(0, 200)),
        "min_up_h": float(draw(st.integers(0, 3))), "min_down_h": float(draw(st.integers(0, 3))),
    }  # fmt: skip
    options = {
        "import_limit_mw": 40.0,
        "export_limit_mw": draw(st.sampled_from([0.0, 10.0])),
        "wraps": draw(st.booleans()),
    }
    return Instance(
        battery,
        engines,
        tuple(draw(each_step(lowest_price, 150))),
        tuple(draw(each_step(1, 12))),
        tuple(draw(each_step(0, 1))),
        draw(hundredths(0.5, 5)),
        options,
    )


@pytest.fixture(scope="session")
def campuses() -> Any:
    """Strategy of random campuses; see `instances`."""
    return instances
