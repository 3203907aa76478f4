"""Fixtures shared by all tests: where material outside the project is found, and a bench for small campuses."""

from __future__ import annotations

import os
import subprocess
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy loads

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from microgrid.assets.poi import Poi
from microgrid.formulation.algebra import Linear
from microgrid.formulation.block import Block
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared, Profile, quantity

if TYPE_CHECKING:
    from microgrid.dispatch.compile import Program
    from microgrid.dispatch.run import Dispatch

SHARED = Path(os.environ.get("SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Path below ../shared; the test is skipped, with the reason, where it is absent."""

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            pytest.skip(f"needs {relative} below {SHARED}, which is not on this machine")
        return path

    return find


class Market(Declared):
    """Energy bought and sold at the meter `grid`, each at its own price."""

    buy: Profile = quantity("$/MWh", "price of import", default=0.0)
    sell: Profile = quantity("$/MWh", "price of export", default=0.0)

    def formulate(self, block: Block) -> None:
        buy, sell, hours = block.profile("buy"), block.profile("sell"), block.horizon.hours
        import_, export = block.signal("grid.import_mw"), block.signal("grid.export_mw")

        @block.cost(block.horizon.steps)
        def bought(t: int) -> Linear:
            return (buy[t] * hours[t]) * import_[t]

        @block.revenue(block.horizon.steps)
        def sold(t: int) -> Linear:
            return (sell[t] * hours[t]) * export[t]


@dataclass(frozen=True)
class Bench:
    """A campus behind the meter `grid` with prices of its own, or an island when no price is given."""

    parts: dict[str, Declared]
    horizon: Horizon
    inputs: dict[str, np.ndarray]

    def program(self) -> Program:
        """Compiled program, binaries of exclusive pairs left out."""
        from microgrid.dispatch.build import build  # here, so that tests of other layers load no Pyomo
        from microgrid.dispatch.compile import compile_program

        return compile_program(build(self.parts, self.horizon, self.inputs))

    def solve(
        self, *, gap: float = 1e-9, solver: str = "highs", carried: Mapping[str, float] | None = None
    ) -> Dispatch:
        """Dispatch through the whole chain: build, compile, solve, audit."""
        from microgrid.dispatch.run import SolveSettings, dispatch

        settings = SolveSettings(gap=gap, time_limit_s=60.0, solver=solver)
        return dispatch(self.parts, self.horizon, self.inputs, settings=settings, carried=carried)

    def cost(self, **options: Any) -> float:
        """Objective of the dispatch, USD."""
        return self.solve(**options).solution.objective


def make_bench(
    assets: Mapping[str, Declared],
    buy: Sequence[float] | None = None,
    *,
    sell: Sequence[float] | None = None,
    count: int = 0,
    step_min: int = 60,
    start: str = "2025-07-15T05:00Z",
    wraps: bool = False,
    series: Mapping[str, Sequence[float]] | None = None,
    import_limit_mw: float = 1000.0,
    export_limit_mw: float = 0.0,
    **poi: Any,
) -> Bench:
    """Put `assets` behind a meter with prices `buy` and `sell` (the same when absent); local midnight is the start."""
    inputs = {name: np.asarray(values, dtype=float) for name, values in (series or {}).items()}
    parts: dict[str, Declared] = {}
    if buy is not None:
        parts["grid"] = Poi(bus="POI", import_limit_mw=import_limit_mw, export_limit_mw=export_limit_mw, **poi)
        inputs["market.buy"] = np.asarray(buy, dtype=float)
        inputs["market.sell"] = np.asarray(buy if sell is None else sell, dtype=float)
    parts.update(assets)
    if buy is not None:
        parts["market"] = Market()
    steps = count or len(buy or [])
    return Bench(parts, Horizon(pd.Timestamp(start), step_min, steps, "America/Chicago", wraps), inputs)


@pytest.fixture(scope="session")
def bench() -> Callable[..., Bench]:
    """Small campuses for hand-solved cases; see `make_bench`."""
    return make_bench


@dataclass(frozen=True)
class CommandRun:
    """A run of the command line in a process of its own."""

    code: int
    out: str
    err: str
    seconds: float
    folder: Path


def run_command(*arguments: str, folder: Path | None = None) -> CommandRun:
    """Run ``microgrid`` from the checkout in `folder` (the present one when absent)."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "microgrid.cli.main", *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "COLUMNS": "80"},
    )  # fmt: skip
    return CommandRun(done.returncode, done.stdout, done.stderr, time.perf_counter() - began, folder or Path.cwd())


@pytest.fixture(scope="session")
def command() -> Callable[..., CommandRun]:
    """Run the command line as a user would; see `run_command`."""
    return run_command


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> CommandRun:
    """``microgrid solve quickstart`` run once for all tests; its result is ``results/quickstart`` of the folder."""
    return run_command("solve", "quickstart", folder=tmp_path_factory.mktemp("quickstart"))
