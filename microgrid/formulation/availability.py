"""Output that nature offers and the operator may take or leave: shared by solar and wind."""

from __future__ import annotations

from microgrid.formulation.algebra import Linear
from microgrid.formulation.block import Block, Headroom


def inject_available(block: Block, operating_cost_usd_per_mwh: float) -> None:
    """Write the output of a curtailable plant, ``0 <= p_t <= rated * a_t``.

    The part's fields `power_mw` (rating) and `capacity_factor` (what is on offer per rating) are read. A factor that
    weather puts above 1 offers the rating.
    """
    steps, hours = block.horizon.steps, block.horizon.hours
    rated = block.capacity("power_mw")
    offered = block.profile("capacity_factor")
    available = block.numbers(rated * min(factor, 1.0) for factor in offered)  # no inverter gives more
    power = block.variable("power_mw", steps, "MW", "output", upper=available)

    if operating_cost_usd_per_mwh:

        @block.cost(steps)
        def operating(t: int) -> Linear:
            r"""c \Delta_t p_t"""
            return operating_cost_usd_per_mwh * hours[t] * power[t]

    block.report("curtailed_mw", lambda t: available[t] - power[t], "MW", "output on offer but not taken")
    block.injects(lambda t: power[t])
    block.headroom(Headroom(up=None, down=power))


__all__ = ["inject_available"]
