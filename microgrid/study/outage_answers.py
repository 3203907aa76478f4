"""Put the answers for outages that alter the operation (islands, single units) into the table of all outages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from microgrid.powerflow.outage_cases import OutageCase
from microgrid.powerflow.outages import BROKEN, OutageStatus, gravest, outage_ledger
from microgrid.powerflow.solve import Status
from microgrid.study.altered import Altered, Columns, solve_altered
from microgrid.study.island_balance import BALANCED_MW
from microgrid.study.islanding import Survival, UnitOutage, concerned, lose_unit, survive
from microgrid.study.network_check import NetworkCheck

NUMBERS = {
    "loading": "loading", "low_margin_pu": "low_margin", "high_margin_pu": "high_margin", "voltage_change_pu": "change",
}  # fmt: skip
PLACES = ("loading_branch", "low_bus", "high_bus", "change_bus")
"""Places of these numbers, which the verdict calls the same."""
WORST = dict(zip(NUMBERS, PLACES, strict=True))
RESERVE = ("reserve_mw", {"units": "MW", "long_name": "upward room that the sources of an island have left"})
Rows = dict[str, np.ndarray]


def with_answers(
    check: NetworkCheck, cases: Sequence[OutageCase], units: Sequence[UnitOutage], result: xr.Dataset
) -> xr.Dataset:
    """`result` of the engine with the outages that it cannot answer alone, and with those of single units added."""
    added = [_blank(result, outage.label) for outage in units]
    whole = xr.concat([result, *added], dim="outage", combine_attrs="override") if added else result.copy(deep=True)
    whole[RESERVE[0]] = (("outage", "time"), np.full(whole["status"].shape, np.nan, np.float32), RESERVE[1])
    lost = [str(text) for text in whole["buses_lost"].to_numpy()]
    for number, case in enumerate(cases):
        found = survive(check, case) if concerned(check, case) else None
        if found is not None:
            _merge(check, whole, number, _rows(check, found, whole))
            lost[number] = ", ".join(found.dark_buses)
    for number, outage in enumerate(units, len(cases)):
        _merge(check, whole, number, _rows(check, lose_unit(check, outage), whole))
    whole = whole.assign_coords(buses_lost=("outage", lost))
    return whole.assign_attrs({**result.attrs, **outage_ledger(whole["status"].to_numpy())})


def _blank(result: xr.Dataset, label: str) -> xr.Dataset:
    """One more outage, nothing known of it."""
    one = result.isel(outage=[0]).copy(deep=True)
    for name in one.data_vars:
        filler = np.nan if one[name].dtype.kind == "f" else -1
        one[name][:] = int(OutageStatus.NOT_POSSIBLE) if name == "status" else filler
    return one.assign_coords(outage=[label], buses_lost=("outage", [""]))


def _rows(check: NetworkCheck, found: Survival | Altered, result: xr.Dataset) -> Rows:
    """Numbers of one outage at every step, as the table of outages holds them."""
    altered = found.altered if isinstance(found, Survival) else found
    parts = [_judged(part, result) for part in solve_altered(check, altered)]
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    none = np.zeros(len(rows["status"]))
    rows |= {"lost_mw": none, "tripped_mw": none, "redispatched_mw": none, RESERVE[0]: none + np.nan}
    if isinstance(found, Survival):
        _apply_balance(rows, found)
    return rows


def _judged(part: Columns, result: xr.Dataset) -> Rows:
    verdict, ok = part.verdict, part.ok
    rows: Rows = {name: np.where(ok, getattr(verdict, field), np.nan) for name, field in NUMBERS.items()}
    for name in PLACES:
        names, known = (part.branch_names, "branch") if name == "loading_branch" else (part.row_names, "bus_row")
        place = {str(label): number for number, label in enumerate(result[known].to_numpy())}
        own = np.array([place.get(label, -1) for label in names] or [-1])
        rows[name] = np.where(ok, own[getattr(verdict, name)], -1)
    rows["status"] = gravest(ok, verdict, np.zeros(len(ok), bool))
    return rows


def _apply_balance(rows: Rows, found: Survival) -> None:
    """Load lost makes a step that keeps its limits *islanded*; where no source runs, everything is dark."""
    balanced = found.balanced
    lost = balanced.lost_mw + found.dark_mw
    rows["lost_mw"], rows["tripped_mw"] = lost, balanced.tripped_mw
    rows["redispatched_mw"], rows[RESERVE[0]] = balanced.redispatched_mw, balanced.reserve_mw
    held = (rows["status"] == OutageStatus.SECURE) & ((lost > BALANCED_MW) | bool(found.dark_buses))
    rows["status"] = np.where(held | ~balanced.alive, OutageStatus.ISLANDED, rows["status"])
    for name in NUMBERS:
        rows[name] = np.where(balanced.alive, rows[name], np.nan)
    for name in PLACES:
        rows[name] = np.where(balanced.alive, rows[name], -1)


def _merge(check: NetworkCheck, whole: xr.Dataset, number: int, rows: Mapping[str, np.ndarray]) -> None:
    """Write one outage, in place: with the grid, the worse of the piece on its own and of what stays with the grid."""
    impossible = check.powerflow["status"].to_numpy() == Status.DIVERGENT
    engine = {name: whole[name].to_numpy()[number].copy() for name in rows}
    worse = _worse(engine, rows) if check.poi_branches else rows
    for name, values in worse.items():
        whole[name].to_numpy()[number] = np.where(impossible, engine[name], values)


def _worse(engine: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray]) -> Rows:
    """Gravest status, and the worst of every number with its place; what the actions moved is the piece's alone."""
    found = dict(rows)
    graver = np.isin(engine["status"], BROKEN)
    found["status"] = np.where(graver, np.maximum(engine["status"], rows["status"]), rows["status"])
    for (name, place), sign in zip(WORST.items(), (1.0, -1.0, -1.0, 1.0), strict=True):
        stands = np.isnan(rows[name]) | (sign * engine[name] > sign * rows[name])
        found[name] = np.where(stands, engine[name], rows[name])
        found[place] = np.where(stands, engine[place], rows[place])
    return found


__all__ = ["with_answers"]
