"""Dispatch problems solved by other programs (HOPP, PyPSA, DER-VET, REopt), solved again as cases of this project."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from microgrid.assets.engines import Engines
from microgrid.assets.facility_load import FacilityLoad
from microgrid.assets.wind import Wind
from microgrid.case.load import load_case
from microgrid.case.source import dump
from microgrid.dispatch.run import Dispatch, SolveSettings, dispatch
from microgrid.errors import Infeasible

Shared = Callable[[str], Path]


def solve_case_file(folder: Path, case: Mapping[str, Any], gap: float = 1e-7) -> Dispatch:
    """Write a case file, load it as a user would, and dispatch it."""
    file = folder / f"{case['name']}.yaml"
    file.write_text(dump(case), encoding="utf-8")
    loaded = load_case(file)
    return dispatch(loaded.parts, loaded.horizon, loaded.inputs, settings=SolveSettings(gap=gap, time_limit_s=60.0))


# -- HOPP: battery arbitrage over 48 h --------------------------------------------------------------------------


def hopp_case(prices: Path, **battery: Any) -> dict[str, Any]:
    index = {"csv": str(prices), "column": "price_usd_per_mwh", "unit": "$/MWh", "time": ""}
    charges = [{"id": f"{way}ed", "kind": "energy", "series": "rt", "channel": way} for way in ("import", "export")]
    return {
        "name": "hopp",
        "time": {"start": "2025-01-01", "end": "2025-01-03", "zone": "UTC"},
        "assets": {
            "grid": {"kind": "poi", "bus": "POI", "import_limit_mw": 50.0, "export_limit_mw": 50.0},
            "battery": {
                "kind": "battery", "bus": "POI", "power_mw": 50.0, "energy_mwh": 200.0, "soc_min": 0.1, "soc_max": 0.9,
                "initial_energy_mwh": 20.0, "end": "free", "charge_efficiency": 0.88**0.5,
                "discharge_efficiency": 0.88**0.5, **battery,
            },
        },
        "tariffs": {"market": {"poi": "grid", "tariff": {
            "id": "market", "timezone": "UTC", "series": {"rt": index}, "charges": charges,
            "export": {"scheme": "net_billing"},
        }}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("battery", "income", "relative"),
    [
        ({"energy_mwh": 200.007, "initial_energy_mwh": 20.0007}, 29_678.62, 1e-5),  # HOPP rounds 200 MWh up to cells
        ({"max_cycles_per_day": 0.5, "wear_usd_per_mwh": 26.5}, 7_882.0, 1e-2),  # 5,300 $ a cycle of 200 MWh
    ],
)
def test_hopp_battery_48h(
    tmp_path: Path, shared: Shared, battery: dict[str, Any], income: float, relative: float
) -> None:
    found = solve_case_file(tmp_path, hopp_case(shared("conformance/dispatch/hopp-battery-48h/prices.csv"), **battery))
    assert -found.solution.objective == pytest.approx(income, rel=relative)


# -- PyPSA: seven small unit commitments ------------------------------------------------------------------------

PYPSA_OBJECTIVES = {  # from case.md; like PyPSA, minimum times are cut where the window ends
    "min_up_time": 306_000.0, "min_up_time_with_history": 306_000.0, "min_down_time": 486_000.0,
    "min_down_time_with_history": 486_000.0, "start_up_costs": 359_000.0, "shut_down_costs": 358_000.0,
    "ccgt_with_wind_start_cost": 267_333.0,
}  # fmt: skip
TIED = {"min_down_time"}  # coal may also run in the first hour at the same cost


def pypsa_unit(record: Mapping[str, Any]) -> Engines | Wind:
    if record.get("uncommitted"):
        return Wind(bus="B", power_mw=record["p_nom"], capacity_factor=1.0, operating_cost_usd_per_mwh=record["mc"])
    up_before = record.get("up_before", 1)
    return Engines(
        bus="B", units=1, unit_power_mw=record["p_nom"], min_load_mw=record["p_min_pu"] * record["p_nom"],
        variable_om_usd_per_mwh=record["mc"], start_cost_usd=record.get("su", 0.0), stop_cost_usd=record.get("sd", 0.0),
        min_up_h=record.get("min_up", 0), min_down_h=record.get("min_down", 0), initially_running=int(up_before > 0),
        hours_in_state=up_before or record.get("down_before", 1),
    )  # fmt: skip


@pytest.mark.parametrize("name", PYPSA_OBJECTIVES)
def test_pypsa_unit_commitment(bench: Callable[..., Any], shared: Shared, name: str) -> None:
    case = json.loads(shared("conformance/dispatch/pypsa-unit-commitment/cases.json").read_text())[name]
    units = {unit: pypsa_unit(record) for unit, record in case["gens"].items()}
    load = FacilityLoad(bus="B", power_mw=0.0)
    found = bench({**units, "load": load}, count=len(case["load"]), series={"load.power_mw": case["load"]}).solve()
    assert found.solution.objective == pytest.approx(PYPSA_OBJECTIVES[name], rel=1e-9)
    assert PYPSA_OBJECTIVES[name] == pytest.approx(case.get("expected_objective", PYPSA_OBJECTIVES[name]))
    if name in TIED:
        return
    for unit, power in case.get("expected_dispatch", {}).items():
        assert found.dataset[f"{unit}.power_mw"].to_numpy() == pytest.approx(power, abs=1e-4), unit


# -- DER-VET: two engines, battery and PV under an import limit, twelve windows ----------------------------------

DERVET = "conformance/dispatch/dervet-genset-import-limit"
LEAST_LIMIT_MW = (6.469, 6.633, 6.219, 6.033, 5.760, 6.070, 6.594, 6.449, 6.730, 6.385, 5.741, 5.546)


@cache
def dervet_tariff(file: Path) -> dict[str, Any]:
    """TOU energy charge of the peer's rows (hour-ending hours, weekday 1 or weekend 0, prices in $/kWh)."""
    rows = pd.read_csv(file)
    rows = rows[rows["Charge"] == "Energy"]
    rules = [
        {
            "period": f"p{row['Billing Period']}", "months": list(range(row["Start Month"], row["End Month"] + 1)),
            "days": "weekday" if row["Weekday?"] == 1 else "weekend",
            "hours": [[row["Start Time"] - 1, row["End Time"]]],
        }
        for row in rows.to_dict("records")
    ]  # fmt: skip
    price = {f"p{row['Billing Period']}": row["Value"] for row in rows.to_dict("records")}
    return {
        "id": "dervet", "timezone": "naive", "calendars": {"tou": {"rules": rules}},
        "charges": [{"id": "energy", "kind": "energy", "calendar": "tou", "price": price}],
    }  # fmt: skip


def column(name: str) -> dict[str, str]:
    return {"file": "series.csv", "column": name}


def dervet_case(folder: Path, shared: Shared, month: int, import_limit_mw: float = 7.0) -> dict[str, Any]:
    series = folder / "series.csv"
    if not series.exists():
        given = pd.read_csv(shared(f"{DERVET}/inputs/timeseries.csv"))
        stamps = pd.date_range("2017-01-01", periods=8760, freq="h").strftime("%Y-%m-%dT%H:%MZ")
        columns = {"time": stamps, "load": given["Site Load (kW)"], "pv": given.filter(like="PV Gen").iloc[:, 0]}
        pd.DataFrame(columns).to_csv(series, index=False)
    end = f"2017-{month + 1:02d}-01" if month < 12 else "2018-01-01"
    return {
        "name": f"dervet{month}",
        "time": {"start": f"2017-{month:02d}-01", "end": end, "zone": "UTC"},
        "assets": {
            "grid": {"kind": "poi", "bus": "B", "import_limit_mw": import_limit_mw},
            "battery": {
                "kind": "battery", "bus": "B", "power_mw": 1.575, "energy_mwh": 9.45, "soc_min": 0.0, "soc_max": 1.0,
                "charge_efficiency": 0.91, "discharge_efficiency": 1.0, "initial_energy_mwh": 4.725, "end": "same",
            },
            "solar": {"kind": "solar", "bus": "B", "power_mw": 1.0, "capacity_factor": column("pv")},
            "engines": {
                "kind": "engines", "bus": "B", "units": 1, "unit_power_mw": 1.5, "heat_rate_mmbtu_per_mwh": 9.0,
                "fuel_price_usd_per_mmbtu": 6.0, "variable_om_usd_per_mwh": 10.0,
            },
            "load": {"kind": "facility_load", "bus": "B", "power_mw": {**column("load"), "unit": "kW"}},
        },
        "tariffs": {"retail": {"poi": "grid", "tariff": dervet_tariff(shared(f"{DERVET}/inputs/tariff.csv"))}},
    }  # fmt: skip


def test_dervet_genset_import_limit(tmp_path: Path, shared: Shared) -> None:
    expected = pd.read_csv(shared(f"{DERVET}/expected/objective_values.csv"))
    peer = (expected["retailETS"] + expected["ice gen variable"] + expected["ice gen fuel_cost"]).to_numpy()
    peer_mwh = expected["ice gen variable"].to_numpy() / 10.0
    mine = [solve_case_file(tmp_path, dervet_case(tmp_path, shared, month)) for month in range(1, 13)]
    cost = np.array([found.solution.objective for found in mine])
    engine_mwh = [float(found.dataset["engines.power_mw"].sum()) for found in mine]
    assert cost == pytest.approx(peer, abs=0.05)  # each month; solved to a gap of 1e-7 of some 300,000 $
    assert cost.sum() == pytest.approx(3_587_397.44, abs=0.2)
    assert engine_mwh == pytest.approx(peer_mwh, abs=0.1)
    assert all(float(found.dataset["grid.import_mw"].max()) == pytest.approx(7.0, abs=1e-6) for found in mine)


@pytest.mark.parametrize("month", [2, 9, 12])
def test_dervet_least_import_limit(tmp_path: Path, shared: Shared, month: int) -> None:
    least = LEAST_LIMIT_MW[month - 1]
    solve_case_file(tmp_path, dervet_case(tmp_path, shared, month, least + 0.001))
    with pytest.raises(Infeasible, match="power is short"):
        solve_case_file(tmp_path, dervet_case(tmp_path, shared, month, least - 0.001))


# -- REopt: demand ratchets -------------------------------------------------------------------------------------

REOPT = "conformance/dispatch/reopt-demand-ratchet"
RATCHETS: dict[str, dict[str, Any]] = {
    "case1_urdb_35pct_all_months": {"lookback": 12, "pct": 0.35},
    "case2_75pct_of_Jan_Apr_Dec": {"lookback": 12, "pct": 0.75, "months": [1, 4, 12]},
    "case3_75pct_of_previous_6_months": {"lookback": 6, "pct": 0.75},
}


@pytest.mark.parametrize("name", RATCHETS)
def test_reopt_demand_ratchet(tmp_path: Path, shared: Shared, name: str) -> None:
    expected = json.loads(shared(f"{REOPT}/inputs/cases.json").read_text())[name]
    series = {"file": str(shared(f"{REOPT}/inputs/loads.csv")), "column": expected["load"], "unit": "kW", "time": ""}
    ratchet = {"kind": "max_of", "of": [{"ref": "peak"}, {"ref": "peak", "wrap": True, **RATCHETS[name]}]}
    price = {"by_month": expected["monthly_demand_rates"]}
    tariff = {
        "id": "ratchet", "timezone": "naive", "determinants": {"peak": {"kind": "demand"}, "billed": ratchet},
        "charges": [{"id": "demand", "kind": "demand", "of": "billed", "price": price}],
    }  # fmt: skip
    found = solve_case_file(
        tmp_path,
        {
            "name": "ratchet",
            "time": {"start": "2022-01-01", "end": "2023-01-01", "zone": "UTC"},
            "assets": {
                "grid": {"kind": "poi", "bus": "B", "import_limit_mw": 1.0},
                "load": {"kind": "facility_load", "bus": "B", "power_mw": series},
            },
            "tariffs": {"retail": {"poi": "grid", "tariff": tariff}},
        },
    )
    assert found.solution.objective == pytest.approx(expected["expected_year_one_demand_cost"], abs=0.01)
    if "expected_billed_kw" in expected:
        billed = found.dataset["retail.billed.billed_mw"].to_numpy() * 1000.0
        assert billed == pytest.approx(expected["expected_billed_kw"], abs=1e-3)
