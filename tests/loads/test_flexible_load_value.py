"""The study of `cases/flexible_load_value` reproduces every published figure within its stated tolerance."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

STUDY = Path(__file__).parents[2] / "cases" / "flexible_load_value" / "study.py"


@pytest.fixture(scope="module")
def study() -> ModuleType:
    specification = importlib.util.spec_from_file_location("flexible_load_value_study", STUDY)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


def test_figures_that_need_no_series(study: ModuleType) -> None:
    found = [*study.revenue_figures(), *study.peak_value_figures()]
    assert len(found) == 9
    assert [figure.name for figure in found if not figure.holds] == []


def test_figures_on_real_series(study: ModuleType, shared: Callable[[str], Path]) -> None:
    folder = shared("data/inputs")
    series = study.read_series(folder)
    found = [*study.price_response_figures(series), *study.caller_figures(series)]
    assert len(found) == 12
    assert [(figure.name, figure.computed) for figure in found if not figure.holds] == []


def test_the_solved_price_response_is_the_sum_of_losses_avoided(
    study: ModuleType, shared: Callable[[str], Path]
) -> None:
    """One figure again, from the series alone: the sum of price less break-even where it is positive."""
    series = study.read_series(shared("data/inputs"))
    value, _ = study.price_response(series, study.OLD, 2025)
    _, inputs = study.year_inputs(series, 2025)
    break_even = 1000.0 * inputs["mine.hashprice_usd_per_ph_day"] * 0.98 / 24.0 / 29.5 / 1.05
    avoided = (inputs["energy.spot_usd_per_mwh"] - break_even).clip(min=0.0).sum()
    assert value == pytest.approx(avoided, rel=1e-6)
