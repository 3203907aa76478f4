"""Apparent power, and load and generation apart, in a dispatch whose parts alone say what the meter sees."""

from __future__ import annotations

import sys
from dataclasses import replace
from math import acos, tan
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from lp_block import pinned

from microgrid.assets.battery import Battery
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.poi import Poi
from microgrid.assets.solar import Solar
from microgrid.dispatch.run import dispatch
from microgrid.errors import InvalidInput
from microgrid.formulation.horizon import Horizon
from microgrid.study.billing import Billing, reactive_notes, twice_notes
from microgrid.tariffs.bill import bill
from microgrid.tariffs.determinants.apparent import facet_error
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.part import TariffPart
from microgrid.tariffs.reading import MeterData
from microgrid.tariffs.rebill import Rebill, rebill

HORIZON = Horizon(pd.Timestamp("2025-05-26 05:00", tz="UTC"), 60, 48, "America/Chicago")
HOUR = np.arange(HORIZON.count) % 24
LOAD_MW = 20.0 + 6.0 * np.sin(HOUR / 24 * 6.283)
SIDES = ("import", "export")
SUN = np.clip(np.sin((HOUR - 6) / 12 * 3.1416), 0.0, 1.0)
KVA = {
    "determinants": {
        "kva": {"kind": "demand", "quantity": "kva"},
        "kvar": {"kind": "kvar"},
        "lagging": {"kind": "kvar", "counts": "lagging"},
    },
    "charges": [
        {"id": "energy", "kind": "energy", "price": 0.05},
        {"id": "kva", "kind": "demand", "of": "kva", "price": 8.0},
        {"id": "kvar", "kind": "per_unit", "of": "kvar", "price": 0.7},
        {"id": "lagging", "kind": "per_unit", "of": "lagging", "price": 0.1},
    ],
}
ALL_SOLD = {
    "charges": [
        {"id": "energy", "kind": "energy", "price": 0.05},
        {"id": "sell", "kind": "energy", "channel": "export", "price": 0.08},
    ],
    "export": {"scheme": "buy_all_sell_all"},
}


def _run(
    tariff: dict[str, Any], *, load_pf: float = 0.9, sun_pf: float = 1.0, more: dict[str, Any] | None = None
) -> tuple[dict[str, np.ndarray], Rebill]:
    part = TariffPart(tariff=Tariff.model_validate({"id": "t", "timezone": "America/Chicago", **tariff}), poi="grid")
    parts = {
        "grid": Poi(bus="B", import_limit_mw=60.0, export_limit_mw=40.0),
        "load": FacilityLoad(bus="B", power_mw=1.0, power_factor=load_pf),
        "solar": Solar(bus="B", power_mw=45.0, capacity_factor=0.0, power_factor=sun_pf),
        "battery": Battery(bus="B", power_mw=5.0, energy_mwh=20.0, wear_usd_per_mwh=1.0),
        **(more or {}),
        "tariff": part,
    }
    arrays = {"load.power_mw": LOAD_MW, "solar.capacity_factor": SUN}
    made = dispatch(parts, HORIZON, arrays)
    data = {str(name): made.dataset[name].to_numpy() for name in made.dataset}
    metered = ("reactive_mvar", "gross_load_mw", "gross_generation_mw")
    apart = {key: data[f"tariff.{key}"] for key in metered if f"tariff.{key}" in data}
    meter = (data["grid.import_mw"], data["grid.export_mw"])
    return data, rebill(part, "tariff", HORIZON, *meter, made.audit.reading.costs, **apart)


@pytest.mark.parametrize(("load_pf", "sun_pf"), [(0.9, 1.0), (0.98, 0.6), (1.0, 0.9)])
def test_kva_is_billed_on_the_parts_own_reactive_power(load_pf: float, sun_pf: float) -> None:
    data, made = _run(KVA, load_pf=load_pf, sun_pf=sun_pf)
    sun = data["solar.power_mw"]
    drawn = LOAD_MW * tan(acos(load_pf)) - sun * tan(acos(sun_pf))
    assert data["tariff.reactive_mvar"] == pytest.approx(drawn, abs=1e-5)
    kva = np.hypot(data["grid.import_mw"], drawn).max() * 1000.0
    billed = made.bill.by_charge
    assert billed["kva"] == pytest.approx(8.0 * kva, rel=1e-6)
    assert billed["kvar"] == pytest.approx(700.0 * np.abs(drawn).max(), rel=1e-6)
    assert billed["lagging"] == pytest.approx(100.0 * max(drawn.max(), 0.0), rel=1e-6, abs=0.01)
    short = -made.residual_usd
    assert -0.01 <= short <= facet_error(8) * billed["kva"] + 0.01
    assert any("kVA facets, 8" in text for text in made.approximations)


def test_facets_excuse_only_what_apparent_power_feeds_and_only_downwards() -> None:
    """Eight tangents leave 1 - cos(pi/32) = 0.48153 % of the kVA charge open, below the bill; energy leaves nothing."""
    _, made = _run(KVA)
    low, high = made.facets_usd
    assert low == pytest.approx(0.0048153 * made.bill.by_charge["kva"], rel=1e-4)
    assert high == 0.0
    for miss, holds in ((-0.9 * low, True), (-1.1 * low - 1.0, False), (0.9 * low, False)):
        (residual,) = Billing({"t": replace(made, optimiser_usd=made.bill.total + miss)}).residuals
        assert residual.holds is holds, miss


def test_a_leading_import_costs_as_much_as_a_lagging_one() -> None:
    """With the sun's inverters supplying more reactive power than the load draws, the peak is theirs."""
    _, made = _run(KVA, load_pf=1.0, sun_pf=0.6)
    optimiser = made.by_charge_usd["tariff.kva.demand"]
    assert optimiser == pytest.approx(made.bill.by_charge["kva"], rel=facet_error(8) + 1e-6)
    assert made.by_charge_usd["tariff.kvar.demand"] == pytest.approx(made.bill.by_charge["kvar"], abs=0.01)
    assert made.bill.by_charge["kvar"] > 10_000.0


def test_all_load_is_bought_and_all_generation_sold() -> None:
    data, made = _run(ALL_SOLD)
    stored = data["battery.discharge_mw"] - data["battery.charge_mw"]
    assert made.residual_usd == pytest.approx(0.0, abs=0.01)
    assert made.bill.by_charge["energy"] == pytest.approx(50.0 * float((LOAD_MW - stored).sum()))
    assert made.bill.by_charge["sell"] == pytest.approx(-80.0 * float(data["solar.power_mw"].sum()))
    assert data["solar.power_mw"].sum() == pytest.approx(45.0 * SUN.sum())


def test_storage_behind_the_load_meter_sells_nothing() -> None:
    tariff = {
        **ALL_SOLD,
        "calendars": {"E": {"rules": [{"hours": [[12, 14]], "period": "on"}], "default": "off"}},
        "charges": [
            {"id": "energy", "kind": "energy", "calendar": "E", "price": {"on": 5.0, "off": 0.01}},
            ALL_SOLD["charges"][1],
        ],
    }
    data, _ = _run(tariff, more={"battery": Battery(bus="B", power_mw=80.0, energy_mwh=400.0)})
    assert data["tariff.gross_load_mw"].min() == pytest.approx(0.0, abs=1e-6)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 2**16), st.sampled_from([15, 60]), st.integers(2, 12))
def test_pinned_facets_are_within_their_size_whatever_the_sign_of_q(seed: int, step_min: int, facets: int) -> None:
    """The optimiser's kVA of any import and Q lies below the bill's by at most the named share; kvar agrees."""
    rng = np.random.default_rng(seed)
    count = 96
    times = pd.date_range("2025-05-31 12:00", periods=count, freq=f"{step_min}min")
    bought, kvar = rng.uniform(0, 5000, count), rng.uniform(-6000, 6000, count)
    tariff = Tariff.model_validate({"id": "t", "meter_window_min": 30, **KVA})
    part = TariffPart(tariff=tariff, poi="grid", kva_facets=facets)
    signals = {"import_mw": bought / 1000, "export_mw": np.zeros(count), "reactive_mvar": kvar / 1000}
    block = pinned(part, times, step_min, signals)
    _, point = block.program.solve()
    paid = {name: values.sum() for name, values in block.program.paid(point).items()}
    load = MeterData(times, step_min, bought, np.zeros(count), kva=np.hypot(bought, kvar), kvar=kvar)
    billed = bill(tariff, load).by_charge
    size = facet_error(facets)
    assert (1.0 - size) * billed["kva"] - 0.01 <= paid["tariff.kva.demand"] <= billed["kva"] + 0.01
    for name in ("kvar", "lagging"):
        assert paid[f"tariff.{name}.demand"] == pytest.approx(billed[name], abs=0.01)


def test_the_bill_at_the_meters_own_reactive_power_is_told() -> None:
    data, made = _run(KVA)
    part = TariffPart(tariff=Tariff.model_validate({"id": "t", "timezone": "America/Chicago", **KVA}), poi="grid")
    case: Any = SimpleNamespace(parts={"tariff": part}, horizon=HORIZON, inputs={})
    dispatch: Any = {f"grid.{side}_mw": SimpleNamespace(to_numpy=data[f"grid.{side}_mw"].copy) for side in SIDES}
    billing, drawn = Billing({"tariff": made}), data["tariff.reactive_mvar"]
    (same,) = reactive_notes(case, dispatch, billing, drawn)
    assert same.endswith("the bill is the same")
    more = 8000.0 * (
        np.hypot(data["grid.import_mw"], drawn + 2.0).max() - np.hypot(data["grid.import_mw"], drawn).max()
    )
    more += 2.0 * (700.0 + 100.0)
    (raised,) = reactive_notes(case, dispatch, billing, drawn + 2.0)
    assert raised.endswith(f"the bill is {more:,.0f} USD more")
    assert not reactive_notes(case, dispatch, billing, drawn * np.nan)


def test_a_charge_that_tariff_and_program_both_weigh_is_told() -> None:
    part = TariffPart(tariff=Tariff.model_validate({"id": "t", **KVA}), poi="grid")
    program: Any = SimpleNamespace(kind="coincident_peak", poi="grid")
    made: Any = SimpleNamespace(by_charge_usd={"tariff.cp.next_year.next_year": 0.0}, next_year_usd=0.0)
    case: Any = SimpleNamespace(parts={"tariff": part, "peaks": program})
    (note,) = twice_notes(case, Billing({"tariff": made}))
    assert "by the program peaks" in note
    case.parts["peaks"].poi = "other"
    assert not twice_notes(case, Billing({"tariff": made}))


def test_two_meters_cannot_share_the_parts() -> None:
    with pytest.raises(InvalidInput, match="behind 2 points of interconnection"):
        _run(KVA, more={"other": Poi(bus="B", import_limit_mw=5.0)})


def test_a_choice_of_tiers_on_apparent_power_asks_for_a_power_factor() -> None:
    falling = [{"upto": 9000, "price": 9.0}, {"upto": {}, "price": 4.0}]
    charges = [{"id": "kva", "kind": "demand", "of": "kva", "tiers": falling}]
    with pytest.raises(InvalidInput, match="power_factor"):
        _run({**KVA, "charges": charges})
