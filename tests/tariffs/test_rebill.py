"""Dispatch a battery against a tariff, then bill what came out: the optimiser's money must be the bill."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from microgrid.assets.battery import Battery
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.poi import Poi
from microgrid.assets.solar import Solar
from microgrid.dispatch.run import Dispatch, SolveSettings, dispatch
from microgrid.formulation.horizon import Horizon
from microgrid.study.billing import Billing
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.part import TariffPart
from microgrid.tariffs.rebill import Rebill, rebill

HORIZON = Horizon(pd.Timestamp("2025-05-26 05:00", tz="UTC"), 60, 24 * 10, "America/Chicago")
TOU = {"E": {"rules": [{"days": "weekday", "hours": [[13, 19]], "period": "on"}], "default": "off"}}
GAP = SolveSettings(gap=0.02)  # the bill must agree at any gap


def _run(
    tariff: dict[str, Any], inputs: dict[str, np.ndarray] | None = None, **options: Any
) -> tuple[Dispatch, Rebill]:
    part = TariffPart(
        tariff=Tariff.model_validate({"id": "test", "timezone": "America/Chicago", **tariff}),
        poi="grid",
        largest_import_mw=60.0,
        largest_export_mw=40.0,
        **{"history": "first_year", "allow_tariff_programs": True, **options},
    )
    parts = {
        "grid": Poi(bus="B", import_limit_mw=60.0, export_limit_mw=40.0),
        "load": FacilityLoad(bus="B", power_mw=1.0).model_copy(update={}),
        "solar": Solar(bus="B", power_mw=45.0, capacity_factor=0.0),
        "battery": Battery(bus="B", power_mw=10.0, energy_mwh=40.0, wear_usd_per_mwh=1.0),
        "tariff": part,
    }
    hour = np.arange(HORIZON.count) % 24
    rng = np.random.default_rng(3)
    arrays = {
        "load.power_mw": 20.0 + 8.0 * np.sin(hour / 24 * 6.283) + rng.uniform(0, 4, HORIZON.count),
        "solar.capacity_factor": np.clip(np.sin((hour - 11) / 12 * 3.1416), 0.0, 1.0)
        * rng.uniform(0.3, 1, HORIZON.count),
        **(inputs or {}),
    }
    made = dispatch(parts, HORIZON, arrays, settings=GAP)
    data = made.dataset
    billed = rebill(
        part,
        "tariff",
        HORIZON,
        data["grid.import_mw"].to_numpy(),
        data["grid.export_mw"].to_numpy(),
        made.audit.reading.costs,
        inputs=arrays,
    )
    return made, billed


TARIFFS: dict[str, dict[str, Any]] = {
    "two peaks and a ratchet": {
        "calendars": TOU,
        "determinants": {
            "pk": {"kind": "demand"},
            "on": {"kind": "demand", "calendar": "E", "periods": ["on"]},
            "bd": {"kind": "max_of", "of": [{"ref": "pk"}, {"ref": "pk", "lookback": 1, "pct": 0.8}]},
        },
        "charges": [
            {"id": "energy", "kind": "energy", "calendar": "E", "price": {"on": 0.12, "off": 0.04}},
            {"id": "demand", "kind": "demand", "of": "bd", "price": 9.0},
            {"id": "on_peak", "kind": "demand", "of": "on", "price": 12.0},
            {"id": "sell", "kind": "energy", "channel": "export", "price": 0.03},
            {"id": "rider", "kind": "percent", "pct": 0.07, "of": ["energy", "demand"]},
        ],
    },
    "hours-use blocks": {
        "determinants": {"pk": {"kind": "demand"}},
        "charges": [
            {
                "id": "energy",
                "kind": "energy",
                "kw": "pk",
                "tiers": [
                    {"upto": {"kwh": 500000, "kwh_per_kw": 60}, "price": 0.14},
                    {"upto": {"kwh_per_kw": 120}, "price": 0.06},
                    {"upto": {}, "price": 0.02},
                ],
            }
        ],
    },
    "minimum bill and falling demand blocks": {
        "determinants": {"pk": {"kind": "demand", "stat": "avg_top_n", "n": 3, "distinct_days": True}},
        "charges": [
            {"id": "energy", "kind": "energy", "price": 0.05},
            {
                "id": "demand",
                "kind": "demand",
                "of": "pk",
                "tiers": [{"upto": 8000, "price": 14.0}, {"upto": 20000, "price": 9.0}, {"upto": {}, "price": 4.0}],
            },
            {"id": "minimum", "kind": "min_bill", "of": ["energy", "demand"], "amount": 250000},
        ],
    },
    "export worth more than import": {
        "calendars": TOU,
        "charges": [
            {"id": "energy", "kind": "energy", "price": 0.03},
            {"id": "sell", "kind": "energy", "channel": "export", "calendar": "E", "price": {"on": 0.09, "off": 0.0}},
        ],
    },
    "net metering with a bank": {
        "calendars": TOU,
        "charges": [{"id": "net", "kind": "net_metered_energy", "calendar": "E", "price": {"on": 0.12, "off": 0.05}}],
        "export": {"scheme": "net_metering_kwh", "true_up_month": 6, "true_up_price": 0.03},
    },
    "dollar carry": {
        "charges": [
            {"id": "energy", "kind": "energy", "price": 0.08},
            {"id": "sell", "kind": "energy", "channel": "export", "price": 0.05},
        ],
        "export": {"scheme": "net_billing_dollar_carry", "true_up_month": 6, "true_up_price": 0.4},
    },
    "block with sell-back": {
        "series": {"da": {"unit": "$/MWh"}},
        "charges": [{"id": "energy", "kind": "energy", "series": "da", "adder": 0.002, "tags": ["supply"]}],
        "supply": [
            {
                "id": "ppa",
                "mw": 12,
                "price": 0.04,
                "settle": "sell_back_at_index",
                "index": "da",
                "sell_back_mult": 0.97,
            }
        ],
    },
    "two blocks that sell back": {
        "series": {"da": {"unit": "$/MWh"}},
        "charges": [{"id": "energy", "kind": "energy", "series": "da", "adder": 0.002, "tags": ["supply"]}],
        "supply": [
            {"id": "one", "mw": 6, "price": 0.04, "settle": "sell_back_at_index", "index": "da", "sell_back_mult": 1.2},
            {"id": "two", "mw": 9, "price": 0.03, "settle": "sell_back_at_index", "index": "da", "sell_back_mult": 1.1},
        ],
    },
    "energy cheaper above a band, and an interruptible credit": {
        "series": {"event": {"unit": "0/1"}},
        "determinants": {"pk": {"kind": "demand"}},
        "charges": [
            {"id": "below", "kind": "energy", "price": 0.06, "band": {"below": 18000}},
            {"id": "over", "kind": "energy", "price": 0.02, "band": {"above": 18000}},
            {"id": "demand", "kind": "demand", "of": "pk", "price": 10.0},
        ],
        "programs": [
            {
                "id": "curtail",
                "kind": "capacity_credit",
                "price": 4.0,
                "unit": "$/kW-month",
                "of": "pk",
                "firm_level_kw": 15000,
                "events": "event",
                "penalty_price": 1.5,
            }
        ],
    },
    "kVA at a power factor": {
        "determinants": {
            "kva": {"kind": "demand", "quantity": "kva"},
            "q": {"kind": "kvar"},
            "pf": {"kind": "ratio_pf", "ref_pf": 0.95},
        },
        "charges": [
            {"id": "kva", "kind": "demand", "of": "kva", "price": 8.0},
            {"id": "kvar", "kind": "per_unit", "of": "q", "price": 0.7},
            {"id": "pf", "kind": "demand", "of": "pf", "price": 2.0},
        ],
    },
    "4CP by probability, billed next year": {
        "series": {"w": {"unit": "probability"}},
        "determinants": {
            "cp": {
                "kind": "coincident",
                "mode": "probability",
                "series": "w",
                "n": 4,
                "billed": "next_year",
                "prior_kw": 21000,
            }
        },
        "charges": [
            {"id": "energy", "kind": "energy", "price": 0.05},
            {"id": "tcrf", "kind": "per_unit", "of": "cp", "price": 6.0},
        ],
    },
}


TARIFFS["coincident peaks without a file of weights"] = {
    "series": {"missing": {"unit": "probability", "optional": True}},
    "determinants": {"cp": {"kind": "coincident", "mode": "candidates", "series": "missing", "n": 2, "prior_kw": 9000}},
    "charges": [{"id": "tcrf", "kind": "per_unit", "of": "cp", "price": 6.0}],
}


@pytest.mark.parametrize("name", TARIFFS)
def test_dispatched_cost_is_the_bill(name: str) -> None:
    rng = np.random.default_rng(5)
    inputs = {
        "tariff.series.da": rng.normal(35.0, 40.0, HORIZON.count),
        "tariff.series.event": (np.arange(HORIZON.count) % 97 < 3).astype(float),
        "tariff.series.w": rng.uniform(size=HORIZON.count) ** 8,
    }
    options = {"power_factor": 0.9} if "kVA" in name else {}
    _, billed = _run(TARIFFS[name], inputs, **options)
    assert billed.check.holds, str(billed.residual_usd)
    assert abs(billed.bill.total) > 1000.0


def test_next_year_is_weighed_but_not_billed() -> None:
    rng = np.random.default_rng(5)
    inputs = {"tariff.series.w": rng.uniform(size=HORIZON.count) ** 8}
    _, billed = _run(TARIFFS["4CP by probability, billed next year"], inputs)
    assert billed.next_year_usd > 0.0
    assert billed.bill.by_charge["tcrf"] == pytest.approx(2 * 21000 * 6.0)


PEAKS = {"kind": "coincident", "mode": "candidates", "n": 2, "candidate_hours": [16, 17], "prior_kw": 9000}
UNWEIGHED: dict[str, dict[str, Any]] = {
    "minimum bill `floor`": {"charges": [{"id": "floor", "kind": "min_bill", "of": ["tcrf"], "amount": 10.0}]},
    "minimum bill `per_kw`": {"charges": [{"id": "per_kw", "kind": "min_bill", "of": [], "per": {"cp": 0.1}}]},
    "annual minimum `year`": {"charges": [{"id": "year", "kind": "annual_min", "of": ["tcrf"], "amount": 10.0}]},
    "the limit of `over`": {
        "determinants": {"pk": {"kind": "demand"}, "over": {"kind": "excess", "ref": "pk", "over": "cp"}},
        "charges": [{"id": "overrun", "kind": "demand", "of": "over", "price": 1.0}],
    },
    "hours-use tiers of `use`": {
        "charges": [
            {
                "id": "use",
                "kind": "energy",
                "kw": "cp",
                "tiers": [{"upto": {"kwh_per_kw": 200}, "price": 0.01}, {"upto": {}, "price": 0.02}],
            }
        ]
    },
    "program `dr`": {
        "programs": [{"id": "dr", "kind": "capacity_credit", "price": 0.1, "unit": "$/kW-month", "of": "cp"}]
    },
}


@pytest.mark.parametrize("rule", UNWEIGHED)
def test_what_next_year_is_not_weighed_in_is_told(rule: str) -> None:
    more = UNWEIGHED[rule]
    tariff = {
        **more,
        "series": {"w": {"unit": "probability", "optional": True}},
        "determinants": {"cp": PEAKS, **more.get("determinants", {})},
        "charges": [{"id": "tcrf", "kind": "per_unit", "of": "cp", "price": 6.0}, *more.get("charges", [])],
    }
    _, billed = _run(tariff)
    assert billed.check.holds
    assert f"next year's bill of this year's coincident peaks is not weighed in {rule}" in billed.approximations
    _, left = _run(tariff, weigh_next_year=False)
    assert left.approximations == ()
    _, plain = _run({**tariff, "charges": tariff["charges"][:1], "programs": [], "determinants": {"cp": PEAKS}})
    assert plain.approximations == ()


def test_a_demand_charge_lowers_the_peak() -> None:
    free, _ = _run({"charges": [{"id": "energy", "kind": "energy", "price": 0.05}]})
    tariff = TARIFFS["two peaks and a ratchet"]
    priced, _ = _run(tariff)
    assert priced.dataset["grid.import_mw"].max() < free.dataset["grid.import_mw"].max() - 1.0


def test_free_sharing_is_explained_charge_by_charge() -> None:
    """What sharing tiers freely understates is told to the cent, and explains that charge alone."""
    tariff = {
        "calendars": TOU,
        "charges": [
            {"id": "plain", "kind": "energy", "price": 0.03},
            {
                "id": "blocks",
                "kind": "energy",
                "calendar": "E",
                "tiers": [
                    {"upto": {"kwh": 900000}, "price": {"on": 0.06, "off": 0.01}},
                    {"upto": {}, "price": {"on": 0.2, "off": 0.05}},
                ],
            },
        ],
    }
    _, billed = _run(tariff, share_tiers_freely=True)
    assert billed.shared_usd > 50.0
    assert billed.residual_usd == pytest.approx(-billed.shared_usd, abs=0.01)
    assert f"{billed.shared_usd:,.2f} USD low" in billed.approximations[0]
    off = replace(billed, by_charge_usd={}, optimiser_usd=billed.optimiser_usd - 500.0)
    holds, missed = (Billing({"t": made}).residuals[0].holds for made in (billed, off))
    assert holds
    assert not missed
