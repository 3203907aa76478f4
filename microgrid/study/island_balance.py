"""Power balance of a part of the campus that has just lost the grid: the automatic actions, in their order.

1. Sources take over what is missing, in proportion to their ratings, within the room they have.
2. Loads that offer headroom (miners, training) are cut, in proportion to that room.
3. Firm loads are tripped whole, the largest first and those of the network itself last, until the rest is carried:
   their power is lost.
4. What is too much (an export lost, or more tripped than was missing) is taken back from the sources in proportion to
   their ratings: within their room, then below their least load.

Where no source that forms a grid runs, nothing is left to feed, or power is still missing or too much, everything is
dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microgrid.powerflow.actions import share_by_droop

BALANCED_MW = 1e-6


@dataclass(frozen=True)
class Member:
    """One injection at a bus: MW now, room up and down, each (steps,), and where (True) it forms a grid.

    `source` is False for loads. `rating_mva` weighs its response. `own` loads, of the network itself, are tripped last.
    A source that `backs` a part (a UPS) gives no more than that part draws here.
    """

    part: str
    bus: str
    injection_mw: np.ndarray
    up_mw: np.ndarray
    down_mw: np.ndarray
    rating_mva: float
    source: bool
    forms: np.ndarray
    own: bool = False
    backs: str = ""


@dataclass(frozen=True)
class Balanced:
    """Injections after the actions (members, steps), and what they moved, MW (steps,).

    `redispatched_mw` by sources, `tripped_mw` of flexible load, `lost_mw` of firm load; `reserve_mw` is what the
    sources have left upwards. `alive` is False where everything is dark.
    """

    injection_mw: np.ndarray
    redispatched_mw: np.ndarray
    tripped_mw: np.ndarray
    lost_mw: np.ndarray
    reserve_mw: np.ndarray
    alive: np.ndarray


def balance_island(members: Sequence[Member], losses_mw: np.ndarray) -> Balanced:
    """Balance the members and the losses of their network (steps,) by the automatic actions."""
    before = np.stack([member.injection_mw for member in members])
    source, most = np.array([member.source for member in members]), _most(members, before)
    after = np.minimum(before, most)
    room = np.minimum(np.stack([member.up_mw for member in members]), most - after)
    forms = np.stack([member.forms for member in members]).any(axis=0)
    missing = losses_mw - after.sum(axis=0)
    rest = np.maximum(missing, 0.0)
    for chosen, weights in ((source, _ratings(members)), (~source, room.max(axis=1))):
        taken = share_by_droop(rest, weights[chosen], room[chosen]) if chosen.any() else np.zeros((0, len(rest)))
        after[chosen] += taken
        rest = rest - taken.sum(axis=0)
    tripped = (after - before)[~source].sum(axis=0)
    lost, rest = _trip(members, after, rest)
    surplus = np.maximum(-missing, 0.0) + np.maximum(-rest, 0.0)
    surplus = _take_back(members, after, before, source, surplus)
    demand, fed = (np.maximum(-power[~source], 0.0).sum(axis=0) for power in (before, after))
    carried = np.maximum(rest, surplus) <= BALANCED_MW
    alive = np.asarray(forms & carried & ((fed > BALANCED_MW) | (demand <= BALANCED_MW)))
    spare = np.minimum(room - (after - before), _most(members, after) - after)
    return Balanced(
        np.where(alive, after, 0.0),
        np.where(alive, np.abs((after - before)[source]).sum(axis=0), 0.0),
        np.where(alive, tripped, 0.0),
        np.where(alive, lost, demand),
        np.where(alive, np.maximum(spare[source], 0.0).sum(axis=0), 0.0),
        alive,
    )


def _ratings(members: Sequence[Member]) -> np.ndarray:
    return np.array([max(member.rating_mva, BALANCED_MW) for member in members])


def _most(members: Sequence[Member], powers: np.ndarray) -> np.ndarray:
    """Most that every member may inject (members, steps): what the part that it backs draws, else no limit."""
    drawn = {member.part: np.zeros(powers.shape[1]) for member in members}
    for member, power in zip(members, powers, strict=True):
        drawn[member.part] = drawn[member.part] + np.maximum(-power, 0.0)
    none = np.zeros(powers.shape[1])
    return np.stack([drawn.get(member.backs, none) if member.backs else none + np.inf for member in members])


def _order(members: Sequence[Member], after: np.ndarray) -> list[int]:
    """Loads as they are tripped: those of the case, then those of the network, each the largest on average first."""
    loads = [number for number, member in enumerate(members) if not member.source]
    return sorted(loads, key=lambda number: (members[number].own, after[number].mean()))


def _trip(members: Sequence[Member], after: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Trip whole loads in place, in their order, and what backs them; MW lost and MW still missing (or too much)."""
    lost, rest = np.zeros_like(rest), rest.copy()
    for load in _order(members, after):
        drawn = np.maximum(-after[load], 0.0)
        struck = (rest > BALANCED_MW) & (drawn > 0.0)
        lost[struck] += drawn[struck]
        rest[struck] -= drawn[struck]
        after[load, struck] = 0.0
        held = np.minimum(after, _most(members, after))
        rest += (after - held).sum(axis=0)
        after[:] = held
    return lost, rest


def _take_back(
    members: Sequence[Member], after: np.ndarray, before: np.ndarray, source: np.ndarray, surplus: np.ndarray
) -> np.ndarray:
    """Lower the sources in place: within their room, then down to nothing; MW that is still too much."""
    down = np.stack([member.down_mw for member in members])[source] + (after - before)[source]
    for room in (down, None):
        now = after[source]
        able = np.maximum(now if room is None else room, 0.0)
        taken = share_by_droop(surplus, _ratings(members)[source], able)
        after[source] = now - taken
        surplus = surplus - taken.sum(axis=0)
    return surplus


__all__ = ["Balanced", "Member", "balance_island"]
