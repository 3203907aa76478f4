"""The engineer's one-pager as data: money, energy, peaks, commitment, curtailment, proof, network, certificates.

Everything is read from datasets by naming rules of `microgrid.results.dataset`; no part is known by name. Floats are
plain Python numbers, so the same record is printed, written as JSON and compared by tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from microgrid.assets.programs.sales import sales_table
from microgrid.assets.shared_capacity import mix_table
from microgrid.case.model import Case
from microgrid.dispatch.solve import Solution, Stage
from microgrid.errors import Residual
from microgrid.formulation.horizon import Horizon
from microgrid.powerflow.solve import Status
from microgrid.results.dataset import COST, INJECTION
from microgrid.study.network_check import NetworkCheck
from microgrid.study.outage_check import OutageCheck
from microgrid.study.outage_tables import islands, worst_outages
from microgrid.study.secure import Secured, shadow_prices

Row = dict[str, Any]
CURTAILED_MW = 1e-3


def case_facts(case: Case) -> Row:
    """What was studied."""
    horizon = case.horizon
    return {
        "name": case.name, "title": case.header.title, "network": case.header.network,
        "start": horizon.label(0), "steps": horizon.count, "step_min": horizon.step_min, "hours": sum(horizon.hours),
        "zone": horizon.zone, "ends": "wrap" if horizon.wraps else "fixed",
    }  # fmt: skip


def proof(solution: Solution, stages: Sequence[Stage]) -> Row:
    """Objective, bound, gap and how they were reached."""
    steps = [
        {
            "stage": stage.name,
            "seconds": stage.seconds,
            "objective_usd": _finite(stage.objective),
            "bound_usd": _finite(stage.bound),
        }
        for stage in stages
    ]
    searched = [stage.name for stage in solution.stages if stage.name != "prices"]
    integers = int(solution.program.integer.sum())
    return {
        "objective_usd": solution.objective, "bound_usd": solution.bound, "gap": solution.gap,
        "reached_by": " → ".join(dict.fromkeys(searched)), "stages": steps,
        "rows": solution.program.matrix.shape[0], "columns": solution.program.matrix.shape[1], "integers": integers,
    }  # fmt: skip


def money(dispatch: xr.Dataset) -> list[Row]:
    """Cost (positive) and revenue (negative) by item, USD, largest first."""
    rows = [
        {"item": str(name).removeprefix(COST), "usd": float(dispatch[name].sum())}
        for name in dispatch
        if str(name).startswith(COST)
    ]
    return sorted((row for row in rows if row["usd"]), key=lambda row: -abs(row["usd"]))


def energy(dispatch: xr.Dataset, horizon: Horizon) -> list[Row]:
    """Energy given to and drawn from the campus by part, MWh."""
    hours = np.asarray(horizon.hours)
    found: dict[str, Row] = {}
    for name in dispatch:
        if not str(name).startswith(INJECTION):
            continue
        part = str(name).removeprefix(INJECTION).partition("@")[0]
        power = dispatch[name].to_numpy()
        row = found.setdefault(part, {"part": part, "source_mwh": 0.0, "sink_mwh": 0.0, "highest_mw": 0.0})
        row["source_mwh"] += float(np.clip(power, 0.0, None) @ hours)
        row["sink_mwh"] += float(np.clip(-power, 0.0, None) @ hours)
        row["highest_mw"] = max(row["highest_mw"], float(np.abs(power).max(initial=0.0)))
    return sorted(found.values(), key=lambda row: row["sink_mwh"] - row["source_mwh"])


def peaks(dispatch: xr.Dataset, horizon: Horizon) -> list[Row]:
    """Largest metered import and export of every local month, with the time of the import peak."""
    months = np.asarray(horizon.month_of)
    rows = []
    for name in _ending(dispatch, ".import_mw"):
        poi = name.removesuffix(".import_mw")
        bought, sold = dispatch[name].to_numpy(), dispatch[f"{poi}.export_mw"].to_numpy()
        for place, label in enumerate(horizon.months.labels):
            steps = np.flatnonzero(months == place)
            worst = int(steps[np.argmax(bought[steps])])
            rows.append(
                {
                    "poi": poi,
                    "month": label,
                    "import_mw": float(bought[worst]),
                    "at": horizon.label(worst),
                    "export_mw": float(sold[steps].max()),
                    "import_mwh": float(bought[steps] @ np.asarray(horizon.hours)[steps]),
                }
            )
    return rows


def commitment(dispatch: xr.Dataset, horizon: Horizon) -> list[Row]:
    """Unit hours, starts and energy of every committed part."""
    hours = np.asarray(horizon.hours)
    rows = []
    for name in _ending(dispatch, ".running"):
        part = name.removesuffix(".running")
        running = dispatch[name].to_numpy()
        power = dispatch[f"{part}.power_mw"].to_numpy() if f"{part}.power_mw" in dispatch else np.zeros_like(running)
        rows.append({
            "part": part, "unit_hours": float(running @ hours), "hours_any": float((running > 0.5) @ hours),
            "starts": _starts(dispatch, part, horizon), "energy_mwh": float(power @ hours),
        })  # fmt: skip
    return rows


def _starts(dispatch: xr.Dataset, part: str, horizon: Horizon) -> float:
    """Starts of a part; read from its count of running units where it has no minimum times and counts none itself."""
    if f"{part}.started" in dispatch:
        return float(np.round(dispatch[f"{part}.started"].to_numpy()).sum())
    running = np.round(dispatch[f"{part}.running"].to_numpy())
    before = np.roll(running, 1)
    before[0] = before[0] if horizon.wraps else 0.0
    return float(np.maximum(running - before, 0.0).sum())


def curtailment(dispatch: xr.Dataset, horizon: Horizon) -> list[Row]:
    """Energy and hours not taken (``*.curtailed_mw``) by part and by what priced the next MW at the meter."""
    hours = np.asarray(horizon.hours)
    reason_of = _reasons(dispatch, horizon.count)
    rows = []
    for name in _ending(dispatch, ".curtailed_mw"):
        amount = dispatch[name].to_numpy()
        hit = amount > CURTAILED_MW
        for reason in sorted(set(reason_of[hit].tolist())):
            steps = hit & (reason_of == reason)
            rows.append(
                {
                    "part": name.removesuffix(".curtailed_mw"),
                    "reason": reason,
                    "mwh": float(amount[steps] @ hours[steps]),
                    "hours": float(hours[steps].sum()),
                    "highest_mw": float(amount[steps].max()),
                }
            )
    return sorted(rows, key=lambda row: (row["part"], -row["mwh"]))


def _reasons(dispatch: xr.Dataset, count: int) -> np.ndarray:
    names = _ending(dispatch, ".import_mw.binding")
    if not names:
        return np.full(count, "not enough generation", dtype=object)
    return np.array([str(entry) for entry in dispatch[names[0]].to_numpy()], dtype=object)


def flexibility(dispatch: xr.Dataset, horizon: Horizon) -> list[Row]:
    """Who sold which MW, when, for how much, and that it was deliverable."""
    values = {str(name): dispatch[name].to_numpy() for name in dispatch}
    table = sales_table(values, horizon.hours, horizon.local)
    rows = [dict(zip(table.columns, entry, strict=True)) for entry in table.itertuples(index=False, name=None)]
    return [
        {**row, **{name: None if pd.isna(row[name]) else f"{row[name]:%Y-%m-%d %H:%M}" for name in ("first", "last")}}
        for row in rows
    ]


def mix(dispatch: xr.Dataset, horizon: Horizon) -> list[Row]:
    """How every shared pool was divided: MW in use and revenue per MW and year by use, conversion cost."""
    values = {str(name): dispatch[name].to_numpy() for name in dispatch}
    costs = {name.removeprefix(COST): amounts for name, amounts in values.items() if name.startswith(COST)}
    pools = dict.fromkeys(name.split(".", 1)[0] for name in _ending(dispatch, ".allotted_mw"))
    tables = {pool: mix_table(pool, values, costs, horizon) for pool in pools}
    return [
        {"pool": pool} | {str(key): entry if isinstance(entry, str) else _finite(entry) for key, entry in row.items()}
        for pool, table in tables.items()
        for row in table.to_dict("records")
    ]


def network(check: NetworkCheck, horizon: Horizon) -> Row:
    """Worst voltage and loading on the campus with hour and element, losses, and what breaks a limit.

    The bus and line that stand for the utility behind the meter take no part in the worst values.
    """
    flow, found = check.powerflow, list(check.violations)
    status = flow["status"].to_numpy()
    campus = flow.drop_sel(
        bus=check.utility_buses, branch=[check.grid.branches.label[row] for row in check.poi_branches]
    )
    return {
        "steps": int(status.size),
        "divergent": int((status == Status.DIVERGENT).sum()),
        "losses_mwh": _losses(flow, horizon),
        "lowest_voltage": _extreme(campus["vm_pu"], "bus", np.nanargmin, horizon),
        "highest_voltage": _extreme(campus["vm_pu"], "bus", np.nanargmax, horizon),
        "highest_loading": _extreme(campus["loading_percent"], "branch", np.nanargmax, horizon),
        "violations": len(found),
        "violation_list": [
            {
                "element": item.element,
                "kind": item.kind,
                "at": horizon.label(item.step),
                "value": _finite(item.value),
                "limit": _finite(item.limit),
            }
            for item in found[:200]
        ],
    }


def _losses(flow: xr.Dataset, horizon: Horizon) -> float:
    return float(np.nansum(flow["losses_mw"].to_numpy() * np.asarray(horizon.hours)))


def _extreme(array: xr.DataArray, element: str, pick: Any, horizon: Horizon) -> Row:
    if not array.size or not np.isfinite(array.to_numpy()).any():
        return {"value": None, "element": "", "at": ""}
    values = array.transpose(element, "time").to_numpy()
    place, step = np.unravel_index(int(pick(values)), values.shape)
    return {
        "value": float(values[place, step]),
        "element": str(array[element].to_numpy()[place]),
        "at": horizon.label(int(step)),
    }


def security(secured: Secured, horizon: Horizon) -> Row:
    """What the network cost: rounds, objective with and without it, losses, and the dearest limits."""
    prices = shadow_prices(secured.dispatch, secured.cuts)
    for row in prices:
        row["at"] = horizon.label(row.pop("step"))
    return {
        "rounds": [
            {
                "objective_usd": entry.objective_usd,
                "violations": entry.violations,
                "outage_violations": entry.outage_violations,
                "loss_miss_mw": entry.loss_miss_mw,
                "loss_miss_mwh": entry.loss_miss_mwh,
                "rows": entry.cuts,
            }
            for entry in secured.rounds
        ],
        "round": secured.best,
        "outages": outages(secured.outages, horizon),
        "objective_without_network_usd": secured.rounds[0].objective_usd,
        "objective_usd": secured.published.objective_usd,
        "cost_of_network_usd": secured.cost_of_network_usd,
        "shadow_prices": prices,
    }


def outages(found: OutageCheck | None, horizon: Horizon) -> Row | None:
    """Ledger of statuses, the actions assumed, the worst outages, and those that left the campus on its own."""
    if found is None:
        return None
    worst = worst_outages(found)
    for row in worst:
        row["at"] = horizon.label(row.pop("step"))
    recall = found.result.attrs.get("screening_recall")
    stated = {"ledger": found.ledger, "actions": found.result.attrs["actions"]}
    return {**stated, "screening_recall": recall, "worst": worst, "islands": islands(found)}


def certificates(residuals: Iterable[Residual]) -> list[Row]:
    """Every check with its measured residual; where there was nothing to check, `residual` and `holds` are None."""
    return [
        {
            "check": item.check, "residual": None if item.empty else _finite(item.value),
            "tolerance": item.tolerance, "unit": item.unit,
            "holds": None if item.empty else bool(item.holds), "where": item.where,
        }
        for item in residuals
    ]  # fmt: skip


def _ending(dispatch: xr.Dataset, suffix: str) -> list[str]:
    return [str(name) for name in dispatch if str(name).endswith(suffix)]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def by_month(dispatch: xr.Dataset, horizon: Horizon) -> pd.DataFrame:
    """Money by item (rows) and local month (columns), USD; items without step or month stand under ``window``."""
    columns = [*horizon.months.labels, "window"]
    table = {}
    for name in dispatch:
        if not str(name).startswith(COST):
            continue
        amounts = dispatch[name].to_numpy()
        row = np.zeros(len(columns))
        if dispatch[name].dims == ("time",):
            row[:-1] = np.bincount(horizon.month_of, amounts, len(columns) - 1)
        elif dispatch[name].dims == ("month",):
            row[:-1] = amounts
        else:
            row[-1] = amounts.sum()
        table[str(name).removeprefix(COST)] = row
    return pd.DataFrame.from_dict(table, orient="index", columns=columns)


__all__ = [
    "by_month",
    "case_facts",
    "certificates",
    "commitment",
    "curtailment",
    "energy",
    "flexibility",
    "mix",
    "money",
    "network",
    "peaks",
    "proof",
    "security",
]
