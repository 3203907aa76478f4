"""Small networks built in the tests: a seven-bus ring for features, and a campus of two feeders.

These tests take the compiled kernel however small the problem is. With ``--dist loadgroup`` one process runs them all:
the kernel, which takes a minute, is then compiled once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from microgrid.network.profiles import Profiles
from microgrid.powerflow import chord_kernel, flow_kernel, judge_kernel, kernel, proof_kernel

KINDS = {
    kernel.solve_columns: 1,
    chord_kernel.factors_at: 1,
    chord_kernel.solve_kin: 1,
    judge_kernel.judge_columns: 1,
    proof_kernel.prove_columns: 1,
    flow_kernel.fill_branches: 2,  # results in either precision
}


def ring(*, generator: bool = False) -> Any:
    """110/20 kV transformer feeding a 20 kV ring with a two-bus spur."""
    net = pp.create_empty_network(sn_mva=10.0, f_hz=60.0)
    pp.create_bus(net, 110.0, name="b0")
    for number in range(1, 7):
        pp.create_bus(net, 20.0, name=f"b{number}")
    pp.create_ext_grid(net, 0, vm_pu=1.02, name="utility")
    pp.create_transformer_from_parameters(
        net, 0, 1, sn_mva=25.0, vn_hv_kv=110.0, vn_lv_kv=20.0, vkr_percent=0.41, vk_percent=12.0, pfe_kw=14.0,
        i0_percent=0.07, shift_degree=150.0, tap_side="hv", tap_neutral=0, tap_min=-9, tap_max=9,
        tap_step_percent=1.5, tap_pos=0, tap_changer_type="Ratio", name="T1",
    )  # fmt: skip
    for a, b, km in ((1, 2, 3.0), (2, 3, 2.0), (3, 4, 4.0), (4, 1, 2.5), (4, 5, 1.0), (5, 6, 2.0)):
        pp.create_line_from_parameters(net, a, b, km, 0.206, 0.122, 240.0, 0.4, name=f"L{a}{b}")
    for bus, p, q in ((2, 2.0, 0.5), (3, 3.0, 1.0), (5, 1.5, 0.4), (6, 2.2, 0.7)):
        pp.create_load(net, bus, p, q, name=f"load{bus}")
    pp.create_sgen(net, 6, 1.2, 0.1, name="solar")
    pp.create_storage(net, 3, 0.8, 2.0, q_mvar=0.1, name="battery")
    pp.create_shunt(net, 2, q_mvar=-0.9, p_mw=0.02, name="capacitor")
    if generator:
        pp.create_gen(net, 5, 2.0, vm_pu=1.0, min_q_mvar=-3.0, max_q_mvar=3.0, name="engine")
    return net


def random_profiles(net: Any, steps: int, *, seed: int = 0, low: float = 0.5, high: float = 1.2) -> Profiles:
    """Every element scaled at random around its own value, independently."""
    random = np.random.default_rng(seed)
    p, q = {}, {}
    for table in ("load", "sgen", "storage", "gen"):
        count = len(net[table])
        factor = random.uniform(low, high, (count, steps))
        if count:
            p[table] = net[table].p_mw.to_numpy()[:, None] * factor
            if table != "gen":
                q[table] = net[table].q_mvar.to_numpy()[:, None] * factor
    return Profiles(steps, p, q)


@pytest.fixture
def ring_network() -> Callable[..., Any]:
    return ring


@pytest.fixture
def make_profiles() -> Callable[..., Profiles]:
    return random_profiles


@pytest.fixture(autouse=True, scope="module")
def compiled() -> Iterator[None]:
    """Compiled kernels, each for one kind of arrays: a user would wait again for every other layout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MICROGRID_NUMBA", os.environ.get("MICROGRID_NUMBA", "1"))
        yield
    for compiled_one, kinds in KINDS.items():
        assert len(compiled_one.signatures) <= kinds, [str(one) for one in compiled_one.signatures]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("compiled"))
