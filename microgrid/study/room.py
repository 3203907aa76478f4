"""How far every part could move at every step, read from its own page on the numbers of a dispatch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from microgrid.case.model import Case
from microgrid.formulation.algebra import Linear, number
from microgrid.formulation.block import Campus, Headroom
from microgrid.formulation.evaluate import Reading, ValueBlock
from microgrid.formulation.horizon import Index

RESPONSE_MIN = 1.0
"""Time in which a part must reach a new output so that an island survives, for parts that state a ramp."""
SUSTAIN_MIN = 15.0
"""Time for which storage must sustain it: until stopped engines are started and loads are run down in order."""


@dataclass(frozen=True)
class Room:
    """MW by which a part could raise and lower its injection within a minute, each (steps,), never negative.

    `backs` names the part whose load it can carry and no other.
    """

    up_mw: np.ndarray
    down_mw: np.ndarray
    backs: str = ""


class ReachBlock(ValueBlock):
    """A page read for what is possible: the least of limits is taken itself, not what the dispatch left there."""

    def least_of(
        self,
        name: str,
        index: Index,
        unit: str,
        meaning: str,
        limits: Sequence[Sequence[Linear]],
        *,
        energies_mwh: Sequence[Sequence[Linear]] = (),
        of: str = "",
    ) -> Sequence[Linear]:
        """Take the least of the limits and of what the energies sustain, never less than nothing."""
        del name, index, unit, meaning, of
        sides = [*map(_numbers, limits), *(_numbers(energy) * 60.0 / SUSTAIN_MIN for energy in energies_mwh)]
        return [self._linear(entry) for entry in np.maximum(np.min(sides, axis=0), 0.0).tolist()]


def rooms_of(case: Case, dispatched: xr.Dataset) -> dict[str, Room]:
    """Physical room of every asset that offers headroom, before programs have sold any of it."""
    values = {str(name): dispatched[name].to_numpy() for name in dispatched if dispatched[name].dtype.kind == "f"}
    campus, reading = Campus(), Reading()
    for name, asset in case.assets.items():
        ReachBlock(name, asset, case.horizon, case.inputs, campus).read(values, reading)
    return {name: _room(headroom) for name, headroom in campus.headrooms.items() if name in case.assets}


def _room(headroom: Headroom) -> Room:
    sides = []
    for side in (headroom.side("up"), headroom.side("down")):
        limits = [
            *map(_numbers, side.limits_mw),
            *(_numbers(energy) * 60.0 / SUSTAIN_MIN for energy in side.energies_mwh),
            # of the running units, beside what they are moving already
            *(_numbers(speed) * RESPONSE_MIN for speed in side.speeds_mw_per_min),
        ]
        room = np.min(limits, axis=0) if side.limits_mw else np.zeros(0)
        sides.append(np.clip(room, 0.0, headroom.ramp_mw_per_min * RESPONSE_MIN))
    steps = max(len(side) for side in sides)
    up, down = (side if len(side) else np.zeros(steps) for side in sides)
    return Room(up, down, headroom.backs)


def _numbers(terms: Sequence[Linear]) -> np.ndarray:
    return np.array([number(term) for term in terms])


__all__ = ["RESPONSE_MIN", "SUSTAIN_MIN", "Room", "rooms_of"]
