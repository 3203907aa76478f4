"""Pin the dispatch to a load: the optimiser's cost must be the bill, charge by charge."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tariffs"))
from conformance import CASES, load_case
from pinning import residual

MONEY_TOLERANCE = 0.01


@pytest.mark.parametrize("name", CASES)
def test_pinned_cost_is_the_bill(name: str, shared: Callable[[str], Path]) -> None:
    case = load_case(shared(f"conformance/tariff/{name}"))
    for load in case.runs.values():
        cost, billed = residual(case.tariff, load, history=case.history)
        assert cost == pytest.approx(billed, abs=MONEY_TOLERANCE)
        assert np.isfinite(billed)
