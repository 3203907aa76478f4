"""Networks built once, the load each is designed for, and the reference power flow."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pandapower
import pytest

from microgrid.formulation.connection import Connection
from microgrid.network.attach import attach
from microgrid.network.load import load_network, packaged_networks

DesignLoad = dict[str, tuple[float, float]]
"""Bus: (MW drawn, power factor)."""

DESIGN_LOADS: dict[str, DesignLoad] = {
    "single_bus": {"CAMPUS": (150.0, 0.97)},
    "two_feeder_campus": {
        **{f"MINE_{block}": (15.0, 0.97) for block in range(1, 5)},
        **{f"AI_TRAIN_{feed}": (15.0, 0.98) for feed in "AB"},
        **{f"UPS_{feed}": (7.5, 0.98) for feed in "AB"},
        **{f"COOLING_{feed}": (3.0, 0.9) for feed in "AB"},
        "FACILITY": (4.0, 0.95),
    },
    "looped_campus_34kv": {
        **{f"MINE_{block}": (8.0, 0.97) for block in (1, 2)},
        **{f"AI_TRAIN_{feed}": (6.0, 0.98) for feed in "AB"},
        **{f"AI_INFER_{feed}": (2.5, 0.98) for feed in "AB"},
        "COOLING": (1.0, 0.9),
        "FACILITY": (2.0, 0.95),
    },
    "ring_bus_138kv": {
        **{f"MINE_{block}": (30.0, 0.97) for block in range(1, 5)},
        **{f"AI_TRAIN_{feed}": (25.0, 0.98) for feed in "AB"},
        **{f"AI_INFER_{feed}": (10.0, 0.98) for feed in "AB"},
        **{f"COOLING_{feed}": (3.5, 0.9) for feed in "AB"},
        "FACILITY": (3.0, 0.95),
    },
}


@pytest.fixture(scope="session")
def built() -> dict[str, Any]:
    """Every packaged network, built and checked once; copy before changing."""
    return {name: load_network(name) for name in packaged_networks()}


@pytest.fixture(scope="session")
def design_loads() -> dict[str, DesignLoad]:
    """Load each packaged network is designed for."""
    return DESIGN_LOADS


@pytest.fixture
def network(built: dict[str, Any]) -> Callable[[str], Any]:
    """Fresh copy of a packaged network."""
    return lambda name: copy.deepcopy(built[name])


@pytest.fixture
def at_design_load(network: Callable[[str], Any]) -> Callable[[str], Any]:
    """Packaged network with the load it is designed for, no local generation."""

    def loaded(name: str) -> Any:
        loads = DESIGN_LOADS[name]
        connections = [Connection("load", bus, "load", power_factor=factor) for bus, (_, factor) in loads.items()]
        injections = {("load", bus): np.array([-power_mw]) for bus, (power_mw, _) in loads.items()}
        return attach(network(name), connections, injections)[0]

    return loaded


@pytest.fixture(scope="session")
def solve() -> Callable[..., Any]:
    """Run pandapower's own Newton, independent of numba and lightsim2grid, and return the net."""

    def run(net: Any, **options: Any) -> Any:
        options = {"init": "dc", "calculate_voltage_angles": True, "numba": False, "lightsim2grid": False, **options}
        pandapower.runpp(net, tolerance_mva=1e-9, **options)
        return net

    return run
