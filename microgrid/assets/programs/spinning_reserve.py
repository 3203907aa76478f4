"""Spinning reserve of an island: headroom held, not sold, shared by engines, batteries and loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from microgrid.assets.programs.sales import Sale, report_spare, room_of, sellers, take
from microgrid.formulation.algebra import Relation, total
from microgrid.formulation.block import Block
from microgrid.schema.quantity import Declared, Profile, quantity


class SpinningReserve(Declared):
    """Up-reserve that providers hold together at every step, e.g. for the loss of the largest unit.

    Each provider holds what suits the dispatch; what it holds it cannot sell elsewhere. A battery must have the energy
    to sustain its share for `duration_min`, an engine or a load must reach it within `response_min`.
    """

    example: ClassVar[Mapping[str, object]] = {
        "kind": "spinning_reserve",
        "requirement_mw": 5.0,
        "providers": ["battery"],
    }

    kind: Literal["spinning_reserve"] = "spinning_reserve"
    requirement_mw: Profile = quantity("MW", "reserve held by all providers together", symbol="R_t", ge=0)
    providers: tuple[str, ...] = Field((), description="assets that hold reserve; all with headroom when empty")
    duration_min: float = quantity("min", "time for which reserve must be sustained", symbol="D", default=30.0, gt=0)
    response_min: float = quantity("min", "time in which it must be reached", symbol=r"\theta", default=1.0, gt=0)

    def formulate(self, block: Block) -> None:
        """Write the reserve of every provider and the common requirement."""
        steps, duration = block.horizon.steps, self.duration_min / 60.0
        required = block.profile("requirement_mw")
        held = {}
        for name in self.providers or sellers(block):
            room = room_of(block, name)
            fastest = room.ramp_mw_per_min * self.response_min
            held[name] = block.variable(
                "held_mw", steps, "MW", "reserve held", upper=None if fastest == float("inf") else fastest, of=name
            )
            none = [0.0] * block.horizon.count
            sale = Sale("spinning", name, held[name], duration, none, response_min=self.response_min)
            take(block, name, [sale])
            report_spare(block, sale, [name], of=name)

        @block.constraint(steps)
        def requirement(t: int) -> Relation:
            r"""\sum_i r_{i,t} \ge R_t"""
            return total(share[t] for share in held.values()) >= required[t]


__all__ = ["SpinningReserve"]
