"""Tables of an outage study: the worst outages, and what became of those that left the campus on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from microgrid.powerflow.outages import BROKEN, OutageStatus
from microgrid.study.outage_check import OutageCheck

Row = dict[str, Any]


def worst_outages(found: OutageCheck, limit: int = 20) -> list[Row]:
    """Outages that break a limit first, then by their highest loading, with step and element, and what they take.

    `loading_percent` is of the emergency rating, `normal_percent` of the normal one; `voltage_change_pu` is the largest
    change of any voltage with taps where they stood, `voltage_margin_pu` the least distance to an emergency limit.
    """
    result = found.result
    loading = np.nan_to_num(result["loading"].to_numpy())
    broken = np.isin(result["status"].to_numpy(), BROKEN).sum(axis=1)
    order = np.lexsort((-loading.max(axis=1), broken == 0))[:limit]
    return [_worst(result, int(case), int(loading[case].argmax())) for case in order]


def _worst(result: xr.Dataset, case: int, step: int) -> Row:
    one = result.isel(outage=case)
    loading, status = float(np.nan_to_num(one["loading"].to_numpy()[step])), one["status"].to_numpy()
    branch, element = int(one["loading_branch"].to_numpy()[step]), ""
    normal = None
    if branch >= 0:
        element = str(result["branch"].to_numpy()[branch])
        ratio = result["emergency_percent"].to_numpy()[branch] / result["normal_percent"].to_numpy()[branch]
        normal = 100.0 * loading * float(ratio)
    margins = np.concatenate([one["low_margin_pu"].to_numpy(), one["high_margin_pu"].to_numpy()])
    return {
        "outage": str(one["outage"].item()),
        "loading_percent": 100.0 * loading,
        "normal_percent": normal,
        "element": element,
        "step": step,
        "voltage_change_pu": _least(-one["voltage_change_pu"].to_numpy(), -1.0),
        "voltage_margin_pu": _least(margins),
        "broken_steps": int(np.isin(status, BROKEN).sum()),
        "islanded_steps": int((status == int(OutageStatus.ISLANDED)).sum()),
        "lost_mw": float(np.nan_to_num(one["lost_mw"].to_numpy()).max(initial=0.0)),
        "tripped_mw": float(np.nan_to_num(one["tripped_mw"].to_numpy()).max(initial=0.0)),
        "redispatched_mw": float(np.nan_to_num(one["redispatched_mw"].to_numpy()).max(initial=0.0)),
        "buses_lost": str(one["buses_lost"].item()),
    }


def islands(found: OutageCheck) -> list[Row]:
    """Outages after which the campus, or a piece of it, was on its own: how often it carried on, and with what.

    `survived_steps` kept all load but what was tripped, within emergency limits; `least_reserve_mw` is the least upward
    room left to the sources where it carried on.
    """
    result = found.result
    if "reserve_mw" not in result:
        return []
    reserve = result["reserve_mw"].to_numpy()
    rows = []
    for case in np.flatnonzero(np.isfinite(reserve).any(axis=1)).tolist():
        one, carried = result.isel(outage=case), np.isfinite(reserve[case])
        status = one["status"].to_numpy()
        alone = {name: np.nan_to_num(one[name].to_numpy())[carried] for name in ("tripped_mw", "redispatched_mw")}
        rows.append(
            {
                "outage": str(one["outage"].item()),
                "steps": int(carried.sum()),
                "survived_steps": int((carried & (status == int(OutageStatus.SECURE))).sum()),
                "islanded_steps": int((status == int(OutageStatus.ISLANDED)).sum()),
                "broken_steps": int(np.isin(status, BROKEN).sum()),
                "lost_mw": float(np.nan_to_num(one["lost_mw"].to_numpy()).max(initial=0.0)),
                "tripped_mw": float(alone["tripped_mw"].max(initial=0.0)),
                "redispatched_mw": float(alone["redispatched_mw"].max(initial=0.0)),
                "least_reserve_mw": float(np.nanmin(reserve[case])),
            }
        )
    return rows


def _least(values: np.ndarray, sign: float = 1.0) -> float | None:
    finite = values[np.isfinite(values)]
    return sign * float(finite.min()) if finite.size else None


__all__ = ["islands", "worst_outages"]
