"""Random tariffs on random loads: the pinned cost is the bill, and the bill keeps its invariances."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "tariffs"))
from pinning import residual

from microgrid.tariffs.bill import bill
from microgrid.tariffs.calendar import Calendar
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.reading import MeterData
from microgrid.tariffs.reprice import scaled

FLOWS = ("import_kw", "export_kw", "gross_load_kw", "gross_generation_kw")
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
PRICES = st.floats(0.0, 0.3).map(lambda value: round(value, 4))
DEMAND_PRICES = st.floats(0.0, 30.0).map(lambda value: round(value, 2))
CALENDAR = {
    "rules": [
        {"months": [6, 7, 8, 9], "days": "weekday", "hours": [[12.5, 18]], "period": "peak"},
        {"days": "weekday", "hours": [[8, 22]], "period": "mid"},
    ],
    "default": "off",
}
HALF_HOURS = {"rules": [{"hours": [[8.5, 9], [12.5, 18]], "period": "a"}], "default": "b"}


@st.composite
def loads(draw: st.DrawFn) -> MeterData:
    """A few weeks across month ends at 15, 30 or 60 minutes, with export at some hours."""
    step = draw(st.sampled_from([15, 30, 60]))
    start = draw(st.sampled_from(["2025-05-25", "2024-02-20", "2025-12-20", "2025-09-24"]))
    days = draw(st.integers(3, 12))
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    count = days * 24 * 60 // step
    times = pd.date_range(start, periods=count, freq=f"{step}min")
    net = rng.uniform(-3000.0, 9000.0, count) + 2000.0 * np.sin(np.arange(count) / 7.0)
    shape = draw(st.sampled_from(["mixed", "import only", "idle"]))
    net = {"mixed": net, "import only": np.abs(net), "idle": np.zeros(count)}[shape]
    sun = rng.uniform(0.0, 5000.0, count) * draw(st.sampled_from([0.0, 1.0])) + np.maximum(-net, 0.0)
    flows = (np.maximum(net, 0.0), np.maximum(-net, 0.0), net + sun, sun)
    return MeterData(times, step, *flows, series=_series(rng, count))


def _series(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    return {
        "da": rng.normal(40.0, 60.0, count),
        "event": (rng.uniform(size=count) < 0.05).astype(float),
        "weight": rng.uniform(size=count),
    }


@st.composite
def tiers(draw: st.DrawFn, kind: str, price: st.SearchStrategy[float]) -> list[dict[str, Any]]:
    ends = sorted(draw(st.lists(st.integers(1, 40), min_size=1, max_size=3, unique=True)))
    scale = {"kwh": 50_000.0, "kwh_per_kw": 10.0, "kwh_per_day": 5_000.0, "kw": 400.0}[kind]
    rows: list[dict[str, Any]] = [{"upto": {kind: end * scale}, "price": draw(price)} for end in ends]
    return [*rows, {"upto": {}, "price": draw(price)}]


@st.composite
def determinants(draw: st.DrawFn) -> dict[str, Any]:
    window = draw(st.sampled_from([None, 15, 30, 60]))
    return {
        "pk": {"kind": "demand", "window_min": window, "window": draw(st.sampled_from(["block", "rolling"]))},
        "pk_on": {"kind": "demand", "calendar": "E", "periods": ["peak", "mid"], "window_min": window},
        "top": {
            "kind": "demand",
            "stat": "avg_top_n",
            "n": draw(st.integers(1, 4)),
            "distinct_days": draw(st.booleans()),
            "window_min": window,
        },
        "daily": {"kind": "demand", "stat": "sum_daily_max"},
        "bd": {
            "kind": "max_of",
            "of": [
                {"ref": "pk"},
                {"ref": "pk_on", "lookback": draw(st.integers(1, 12)), "pct": draw(st.floats(0.3, 1.0))},
                {"contract": "contract_kw", "pct": draw(st.floats(0.0, 1.0))},
            ],
        },
        "firm": {"kind": "min_of", "of": [{"ref": "pk"}, {"const": 4000}]},
        "over": {"kind": "excess", "ref": "pk", "over": "contract_kw", "pct": 1.1},
        "mix": {"kind": "sum", "of": {"pk": 0.5, "pk_on": 0.5}},
        "cp": {"kind": "coincident", "mode": "probability", "series": "weight", "n": 4, "blend_uniform": 0.25},
    }


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    energy: dict[str, Any] = {"id": "energy", "kind": "energy", "calendar": "E"}
    energy["price"] = {name: draw(PRICES) for name in ("peak", "mid", "off")}
    kind = draw(st.sampled_from(["kwh", "kwh_per_kw", "kwh_per_day"]))
    blocks: dict[str, Any] = {
        "id": "blocks",
        "kind": "energy",
        "tiers": draw(tiers(kind, PRICES)),
        "tier_mode": draw(st.sampled_from(["graduated", "slab"])) if kind == "kwh" else "graduated",
        "tier_alloc": draw(st.sampled_from(["pro_rata", "chronological"])),
    }
    if kind == "kwh_per_kw":
        blocks["kw"] = "bd"
        blocks |= draw(
            st.sampled_from(
                [{}, {"channel": "gross_load"}, {"when": "event"}, {"tier_alloc": "per_period", "calendar": "H"}]
            )
        )
    charges: list[dict[str, Any]] = [
        {"id": "customer", "kind": "fixed", "amount": 500, "per": draw(st.sampled_from(["month", "day", "year"]))},
        energy,
        blocks,
        {"id": "index", "kind": "energy", "series": "da", "mult": 1.03, "adder": 0.004, "cap": 0.2, "floor": -0.01},
        {"id": "above", "kind": "energy", "price": draw(PRICES), "band": {"above": "contract_kw"}, "when": "event"},
        {"id": "band", "kind": "energy", "price": draw(PRICES), "band": {"above": 1000, "below": 3000}},
        {"id": "sell", "kind": "energy", "channel": "export", "price": draw(PRICES)},
        {"id": "rider", "kind": "percent", "pct": draw(st.floats(-0.2, 0.3)), "of": ["energy", "blocks"]},
    ]
    billed = ("pk", "pk_on", "top", "daily", "bd", "firm", "over", "mix", "cp")
    charges += [{"id": f"on_{name}", "kind": "demand", "of": name, "price": draw(DEMAND_PRICES)} for name in billed]
    charges.append({"id": "stairs", "kind": "demand", "of": "pk", "tiers": draw(tiers("kw", DEMAND_PRICES))})
    charges.append({"id": "minimum", "kind": "min_bill", "of": ["energy", "on_pk"], "per": {"bd": draw(DEMAND_PRICES)}})
    charges.append({"id": "yearly", "kind": "annual_min", "of": ["energy"], "amount": draw(st.floats(0, 2e5))})
    return Tariff.model_validate(
        {
            "id": "random",
            "contract": {"contract_kw": 5000},
            "calendars": {"E": CALENDAR, "H": HALF_HOURS},
            "series": {"da": {"unit": "$/MWh"}, "event": {"unit": "0/1"}, "weight": {"unit": "probability"}},
            "determinants": draw(determinants()),
            "charges": draw(
                st.lists(st.sampled_from(charges), min_size=1, max_size=5, unique_by=lambda c: c["id"]).map(
                    lambda chosen: _with_bases(chosen, charges)
                )
            ),
        }
    )


def _with_bases(chosen: list[dict[str, Any]], charges: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the charges that chosen adjustments refer to, and keep the order of the tariff."""
    wanted = {charge["id"] for charge in chosen}
    for charge in chosen:
        if charge["kind"] in {"percent", "min_bill", "annual_min"}:
            wanted |= set(charge["of"])
    return [charge for charge in charges if charge["id"] in wanted]


@QUICK
@given(tariffs(), loads(), st.sampled_from(["first_year", "steady_state"]))
def test_pinned_cost_is_the_bill_of_random_tariffs(tariff: Tariff, load: MeterData, history: str) -> None:
    cost, billed = residual(tariff, load, history=history)
    assert cost == pytest.approx(billed, abs=0.01)


@QUICK
@given(tariffs(), loads(), st.floats(0.1, 5.0))
def test_scaling_every_price_scales_the_bill(tariff: Tariff, load: MeterData, factor: float) -> None:
    once = bill(tariff, load, history="first_year")
    scaled_bill = bill(scaled(tariff, factor), load, history="first_year")
    for name, amount in once.amounts.items():
        assert scaled_bill.amounts[name] == pytest.approx(factor * amount, rel=1e-9, abs=1e-6)


def _on_whole_hours(tariff: Tariff) -> Tariff:
    """The tariff with its calendars' hours widened to whole ones."""
    body = tariff.model_dump(include={"calendars"})["calendars"]
    for calendar in body.values():
        for rule in calendar["rules"]:
            rule["hours"] = [[math.floor(start), math.ceil(end)] for start, end in rule["hours"]]
    wider = {name: Calendar.model_validate(calendar) for name, calendar in body.items()}
    return tariff.model_copy(update={"calendars": wider})


@QUICK
@given(tariffs(), loads())
def test_splitting_intervals_changes_nothing_that_has_a_window(tariff: Tariff, load: MeterData) -> None:
    if load.step_min < 60:
        return
    fine = {name: np.repeat(getattr(load, name), 4) for name in FLOWS}
    times = pd.date_range(load.times[0], periods=4 * len(load.times), freq="15min")
    split = MeterData(times, 15, **fine, series={key: np.repeat(values, 4) for key, values in load.series.items()})
    blocks = {name: node for name, node in tariff.determinants.items() if name != "top"}
    if any(getattr(node, "window", "") == "rolling" for node in blocks.values()):
        return
    tariff = _on_whole_hours(tariff)  # at half-hour edges an hour belongs to one period, its halves to two
    names = {charge.id for charge in tariff.charges if getattr(charge, "of", "") != "top"}
    coarse, finer = (bill(tariff, data, history="first_year") for data in (load, split))
    for name in names:
        assert finer.amounts[name] == pytest.approx(coarse.amounts[name], rel=1e-9, abs=1e-6)


@QUICK
@given(loads(), st.floats(0.0, 1.0), st.integers(1, 12))
def test_a_ratchet_never_lowers_the_bill(load: MeterData, share: float, lookback: int) -> None:
    def tariff(terms: list[dict[str, Any]]) -> Tariff:
        return Tariff.model_validate(
            {
                "id": "ratchet",
                "determinants": {"pk": {"kind": "demand"}, "bd": {"kind": "max_of", "of": terms}},
                "charges": [{"id": "demand", "kind": "demand", "of": "bd", "price": 12.0}],
            }
        )

    plain = bill(tariff([{"ref": "pk"}]), load).total
    held = bill(tariff([{"ref": "pk"}, {"ref": "pk", "lookback": lookback, "pct": share}]), load, history="first_year")
    assert held.total >= plain - 1e-9
