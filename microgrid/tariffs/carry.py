"""What one window of a rolling horizon hands to the next: peaks and tiered energy so far, and closed cycles' peaks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from microgrid.formulation.horizon import Horizon
from microgrid.tariffs.bill import read_meter
from microgrid.tariffs.charges import EnergyCharge
from microgrid.tariffs.determinants import Demand
from microgrid.tariffs.part import TariffPart
from microgrid.tariffs.reading import MeterData

KILO = 1000.0


def carried_state(
    part: TariffPart, name: str, horizon: Horizon, load: MeterData, before: Mapping[str, float] | None = None
) -> dict[str, float]:
    """State after a window, by the keys that `Block.carried` reads in the next one.

    ``<name>.<determinant>.peak_mw.<cycle>`` is the highest demand of a cycle so far, MW;
    ``<name>.<charge>.energy_mwh.<cycle>`` the energy that has filled its tiers, MWh. `before` is the state that the
    window itself began with.
    """
    reading = read_meter(part.priced, load, history=part.starts_from(horizon) or "first_year")
    cycles, state = reading.axis.cycles, dict(before or {})
    for node_name, node in part.priced.nodes().items():
        if isinstance(node, Demand) and node.stat == "max":
            for label, peak in zip(cycles.labels, reading.determinants[node_name].tolist(), strict=True):
                key = f"{name}.{node_name}.peak_mw.{label}"
                state[key] = max(state.get(key, 0.0), peak / KILO)
    for charge in part.priced.charges:
        if isinstance(charge, EnergyCharge) and charge.tiers is not None and charge.tier_alloc != "per_period":
            power = reading.import_kw * (1.0 if charge.when is None else reading.series(charge.when))
            energy = np.bincount(cycles.of, power, cycles.count) * reading.axis.hours * charge.loss_factor
            for label, used in zip(cycles.labels, energy.tolist(), strict=True):
                key = f"{name}.{charge.id}.energy_mwh.{label}"
                state[key] = state.get(key, 0.0) + used / KILO
    return state


def history_after(
    part: TariffPart, state: Mapping[str, float], name: str, next_cycle: str
) -> dict[str, tuple[float, ...]]:
    """Past peaks by determinant, kW, oldest first, for a window whose first cycle is `next_cycle`.

    Peaks of cycles before it are taken from `state`; older ones from the part's own history.
    """
    known = part.history if isinstance(part.history, dict) else {}
    listed: dict[str, tuple[float, ...]] = {}
    for node_name, node in part.priced.nodes().items():
        if isinstance(node, Demand):
            prefix = f"{name}.{node_name}.peak_mw."
            closed = sorted(key for key in state if key.startswith(prefix) and key.removeprefix(prefix) < next_cycle)
            listed[node_name] = (*known.get(node_name, ()), *(state[key] * KILO for key in closed))
    return {key: values for key, values in listed.items() if values}


__all__ = ["carried_state", "history_after"]
