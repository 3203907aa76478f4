"""Headroom of a part for reserves, what programs have sold of it, and the rows that make every call deliverable.

Parts offer, programs claim, and the rows are written once all parts have written: one row a bound holds for all claims
together. It implies the row of every program alone, since nothing sold is negative, and it does not depend on the order
in which programs or limits stand in a case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Literal

from microgrid.formulation.algebra import Linear, Relation, number, total

if TYPE_CHECKING:
    from microgrid.formulation.block import Block

Way = Literal["up", "down"]
Bounds = tuple[Sequence[Linear], ...]


@dataclass(frozen=True)
class Claim:
    """MW already sold out of a headroom, to be reached within a response time and sustained for a duration.

    `deployed_share` of them is expected to be called. `right_mw` is what they may use beyond the headroom, by step: at
    a meter, what the exchange may reach while their program calls.
    """

    mw: Sequence[Linear]
    response_min: float
    deployed_share: float = 0.0
    duration_h: float = 0.0
    right_mw: Sequence[float] | None = None

    def within(self, right_mw: Sequence[float] | None, t: int) -> bool:
        """Whether its right is no wider than another's at a step; always where it has none of its own."""
        return self.right_mw is None or right_mw is None or self.right_mw[t] <= right_mw[t]


@dataclass(frozen=True)
class Window:
    """MW by which an exchange may still move beside its schedule, for what must respond within `minutes`."""

    minutes: float
    lag: int
    mw: Sequence[Linear]


@dataclass(frozen=True)
class Side:
    """One direction of a headroom: bounds in MW, in MWh of a sustained move and in MW/min, and what is sold of it."""

    limits_mw: Bounds
    energies_mwh: Bounds
    ramp_mw_per_min: float
    speeds_mw_per_min: Bounds
    windows: tuple[Window, ...]
    claims: tuple[Claim, ...]

    def rights(self) -> list[Sequence[float] | None]:
        """Unlike rights of the claims, None where they have none.

        Whatever is called, the move keeps to the widest right of those that call. The worst that this right can meet is
        a call of all claims with it or a narrower one, so these share its row.
        """
        found: list[Sequence[float] | None] = []
        for claim in self.claims:
            if claim.right_mw not in found:
                found.append(claim.right_mw)
        return found

    def left_mw(self, mw: Sequence[Linear], t: int) -> list[float]:
        """What the numbers of a result leave of every bound in MW at a step, behind a claim of these `mw`."""
        own = [claim.right_mw for claim in self.claims if claim.mw is mw] or self.rights()
        return [
            number(limit[t])
            + (right[t] if right else 0.0)
            - sum(number(claim.mw[t]) for claim in self.claims if claim.within(right, t))
            for limit in self.limits_mw
            for right in own
        ]


@dataclass(frozen=True)
class Headroom:
    """How far a part can move its injection at each step, for reserves, before anything is sold.

    `up` and `down` are MW (a load drops to raise its injection), None where it cannot move; `caps_up` and `caps_down`
    bound the same MW further, such as a shared pool. `energies_up_mwh` and `energies_down_mwh` each bound the energy of
    a sustained move where it is limited: for storage at both ends of the step, because a call may come at either.
    `ramp_mw_per_min` bounds the speed; `speeds_up` and `speeds_down` are further bounds in MW/min, step by step: what
    running units can do, and what the schedule's own ramping leaves of it. `windows_up` and `windows_down` are what
    MW-variation limits leave. `claims_up` and `claims_down` are what programs have sold. `backs` names the one part
    whose load it can carry; none for the whole campus.
    """

    up: Sequence[Linear] | None
    down: Sequence[Linear] | None
    energies_up_mwh: Bounds = ()
    energies_down_mwh: Bounds = ()
    ramp_mw_per_min: float = inf
    claims_up: tuple[Claim, ...] = ()
    claims_down: tuple[Claim, ...] = ()
    speeds_up: Bounds = ()
    speeds_down: Bounds = ()
    caps_up: Bounds = ()
    caps_down: Bounds = ()
    windows_up: tuple[Window, ...] = ()
    windows_down: tuple[Window, ...] = ()
    backs: str = ""

    def side(self, way: Way) -> Side:
        """Bounds and claims of one direction; no bound in MW where the part cannot move that way."""
        ramp = self.ramp_mw_per_min
        if way == "up":
            limits = () if self.up is None else (self.up, *self.caps_up)
            return Side(limits, self.energies_up_mwh, ramp, self.speeds_up, self.windows_up, self.claims_up)
        limits = () if self.down is None else (self.down, *self.caps_down)
        return Side(limits, self.energies_down_mwh, ramp, self.speeds_down, self.windows_down, self.claims_down)

    def sold(self, claim: Claim, way: Way) -> Headroom:
        """The same headroom with one more claim."""
        if way == "up":
            return replace(self, claims_up=(*self.claims_up, claim))
        return replace(self, claims_down=(*self.claims_down, claim))


def hold_claims(block: Block, key: str, of: str) -> None:
    """Hold what is sold of the headroom `key`, in MW, energy and speed; to be called once all parts have written."""
    for way in ("up", "down"):
        side = block.campus.headrooms[key].side(way)
        if side.claims:
            name = ".".join(entry for entry in (of, way) if entry)
            _hold_power(block, name, side)
            _hold_energy(block, name, side)
            _hold_speed(block, name, side)


def _hold_power(block: Block, of: str, side: Side) -> None:
    for place, limit in enumerate(side.limits_mw):
        for other, right in enumerate(side.rights()):
            _fit(block, f"{of}{place or ''}{f'.right{other}' if other else ''}", side.claims, limit, right)


def _fit(
    block: Block, of: str, claims: Sequence[Claim], limit: Sequence[Linear], right: Sequence[float] | None
) -> None:
    steps = block.horizon.steps
    if right is None:
        room, sold = limit, [claim.mw for claim in claims]
    else:
        room = block.terms(lambda t: limit[t] + right[t])
        sold = [_sold_within(block, claim, right) for claim in claims]

    @block.constraint(steps, of=of)
    def sold_within_room(t: int) -> Relation:
        r"""\sum_s r_{s,t} \le h_t + \bar P_t , of all r with the right \bar P of a meter or a narrower one"""
        return total(mw[t] for mw in sold) <= room[t]


def _sold_within(block: Block, claim: Claim, right: Sequence[float]) -> Sequence[Linear]:
    """MW of a claim at the steps where its right is no wider, else nothing."""
    inside = [claim.within(right, t) for t in block.horizon.steps]
    if all(inside):
        return claim.mw
    share = block.numbers(map(float, inside))
    return block.terms(lambda t: share[t] * claim.mw[t])


def _hold_energy(block: Block, of: str, side: Side) -> None:
    lasting = [claim for claim in side.claims if claim.duration_h > 0]
    for place, energy in enumerate(side.energies_mwh if lasting else ()):
        _sustain(block, f"{of}{place}", lasting, energy)


def _sustain(block: Block, of: str, claims: Sequence[Claim], energy: Sequence[Linear]) -> None:
    @block.constraint(block.horizon.steps, of=of)
    def sustained(t: int) -> Relation:
        r"""\sum_s D_s r_{s,t} \le e_t , the energy at one end of the step"""
        return total(claim.duration_h * claim.mw[t] for claim in claims) <= energy[t]


def _hold_speed(block: Block, of: str, side: Side) -> None:
    """Keep what must respond within a time within the ramp of that time, and within the change a window allows.

    The schedule's own ramping uses up a part of the speed; what it leaves stands in the headroom.
    """
    for minutes in sorted({claim.response_min for claim in side.claims if claim.response_min < inf}):
        together, name = _within(side, minutes), f"{of}.{minutes:g}min"
        if len(together) > 1 and side.ramp_mw_per_min < inf:  # a single sale is bounded by its own ramp already
            _respond(block, name, block.numbers([side.ramp_mw_per_min * minutes] * block.horizon.count), together)
        for place, speed in enumerate(side.speeds_mw_per_min):
            _respond(block, f"{name}.speed{place}", speed, together, minutes)
    for window in side.windows:
        if together := _within(side, window.minutes):
            _respond(block, f"{of}.window{window.minutes:g}min.{window.lag}", window.mw, together)


def _within(side: Side, minutes: float) -> list[Sequence[Linear]]:
    return [claim.mw for claim in side.claims if claim.response_min <= minutes]


def _respond(
    block: Block, of: str, reach_mw: Sequence[Linear] | Sequence[float], together: Sequence[Sequence[Linear]],
    scale: float = 1.0,
) -> None:  # fmt: skip
    @block.constraint(block.horizon.steps, of=of)
    def response(t: int) -> Relation:
        r"""\sum_{s: \theta_s \le \theta} r_{s,t} \le R_t \theta, or the change allowed in a window of \theta"""
        return total(mw[t] for mw in together) <= scale * reach_mw[t]


__all__ = ["Bounds", "Claim", "Headroom", "Side", "Way", "Window", "hold_claims"]
