"""Rows of small instances, written as text and compared with files a reader can check by eye.

Each file holds the bounds of every variable, every row and the cost of a three-step instance as they reach the solver:
``name[position]: +1 x[0] -2 y[1] <= 3``. A change of a formulation shows here as a readable difference; after checking
it, write the files again with ``MICROGRID_GOLDEN=write pytest tests/golden`` and say in the commit why the new rows are
right.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microgrid.assets.battery import Battery
from microgrid.assets.engines import Engines
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.solar import Solar
from microgrid.schema.quantity import Declared

FOLDER = Path(__file__).parent


def lines(program: Any) -> Iterator[str]:
    """The program as text: bounds, rows in order, cost."""
    names = [f"{group.declaration.name}[{place}]" for group in program.columns for place in group.declaration.index]
    yield "bounds"
    for column, name in enumerate(names):
        kind = "  integer" if program.integer[column] else ""
        yield f"  {program.lower[column]:.10g} <= {name} <= {program.upper[column]:.10g}{kind}"
    yield "rows"
    for group in program.rows:
        yield f"  # {group.equation}"
        for row, position in zip(range(group.span.start, group.span.stop), group.positions, strict=True):
            yield f"  {group.name}[{position}]: {_terms(program.matrix, row, names)} {_side(program, row)}"
    yield "cost"
    for column in np.flatnonzero(program.cost):
        yield f"  {program.cost[column]:+.10g} {names[column]}"
    for pair in program.pairs:
        pairs = (f"{names[one]} | {names[two]}" for one, two in zip(pair.first, pair.second, strict=True))
        yield f"  # exclusive: {', '.join(pairs)}"


def _terms(matrix: Any, row: int, names: list[str]) -> str:
    span = slice(matrix.indptr[row], matrix.indptr[row + 1])
    pairs = sorted(zip(matrix.indices[span].tolist(), matrix.data[span].tolist(), strict=True))
    return " ".join(f"{coefficient:+.10g} {names[column]}" for column, coefficient in pairs)


def _side(program: Any, row: int) -> str:
    low, high = program.row_lower[row], program.row_upper[row]
    if low == high:
        return f"= {_number(low)}"
    return f"<= {_number(high)}" if np.isfinite(high) else f">= {_number(low)}"


def _number(value: float) -> str:
    return f"{value + 0.0:.10g}"


INSTANCES: dict[str, tuple[dict[str, Declared], dict[str, Any]]] = {
    "battery": (
        {
            "battery": Battery(
                bus="B",
                power_mw=10.0,
                energy_mwh=40.0,
                charge_efficiency=0.9,
                discharge_efficiency=0.8,
                initial_energy_mwh=12.0,
                self_discharge_per_hour=0.01,
                wear_usd_per_mwh=4.0,
                max_cycles_per_day=1.5,
            )
        },
        {"buy": [10, 20, 30], "export_limit_mw": 8.0},
    ),
    "battery_wraps": (
        {"battery": Battery(bus="B", power_mw=10.0, energy_mwh=40.0)},
        {"buy": [10, 20, 30], "wraps": True, "step_min": 15},
    ),
    "engines": (
        {
            "engines": Engines(
                bus="E",
                units=3,
                unit_power_mw=10.0,
                min_load_mw=4.0,
                heat_rate_mmbtu_per_mwh=8.0,
                no_load_fuel_mmbtu_per_h=20.0,
                fuel_price_usd_per_mmbtu=3.0,
                variable_om_usd_per_mwh=6.0,
                start_cost_usd=100.0,
                start_fuel_mmbtu=5.0,
                stop_cost_usd=7.0,
                min_up_h=2.0,
                min_down_h=3.0,
                initially_running=1,
                hours_in_state=1.0,
                ramp_mw_per_min=0.05,
                run_hours_per_year=4383.0,
            ),
            "load": FacilityLoad(bus="L", power_mw=9.0),
        },
        {"count": 3},
    ),
    "engines_fuel_curve": (
        {
            "engines": Engines(
                bus="E",
                units=2,
                unit_power_mw=10.0,
                min_load_mw=4.0,
                fuel_price_usd_per_mmbtu=3.0,
                emission_price_usd_per_t=20.0,
                fuel_curve=(
                    {"power_mw": 4, "fuel_mmbtu_per_h": 50},
                    {"power_mw": 8, "fuel_mmbtu_per_h": 80},
                    {"power_mw": 10, "fuel_mmbtu_per_h": 100},
                ),
                available_units=2,
            )
        },
        {"buy": [10, 20, 30], "export_limit_mw": 20.0, "series": {"engines.available_units": [2, 1, 2]}},
    ),
    "meter": (
        {
            "load": FacilityLoad(bus="L", power_mw=3.0),
            "solar": Solar(bus="P", power_mw=8.0, capacity_factor=0.5, operating_cost_usd_per_mwh=2.0),
        },
        {
            "buy": [10, 20, 30],
            "sell": [8, 18, 28],
            "import_limit_mw": 5.0,
            "export_limit_mw": 4.0,
            "ramp_mw_per_min": 0.05,
            "variations": [{"window_min": 120.0, "change_mw": 2.5}],
            "series": {"grid.non_firm_import_mw": [0, 1, 2]},
        },
    ),
}


@pytest.mark.parametrize("name", INSTANCES)
def test_rows_are_those_on_file(bench: Callable[..., Any], name: str) -> None:
    assets, options = INSTANCES[name]
    text = "\n".join([*lines(bench(assets, **options).program()), ""])
    file = FOLDER / f"{name}.txt"
    if os.environ.get("MICROGRID_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_every_file_has_its_instance() -> None:
    assert {file.stem for file in FOLDER.glob("*.txt")} == set(INSTANCES)
