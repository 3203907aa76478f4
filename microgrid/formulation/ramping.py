"""What a schedule's own ramping leaves of a ramp rate, for calls that come while it ramps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from microgrid.formulation.algebra import Linear, total
from microgrid.formulation.block import Block

MINUTES_PER_HOUR = 60.0


def speed_left(
    block: Block,
    ramp_mw_per_min: float,
    power: Sequence[Linear],
    *,
    rising: bool,
    previous: Callable[[int], int | None] | None = None,
) -> Sequence[Linear]:
    r"""``R \mp (p_t - p_{t-1}) / (60 \Delta_t)``: MW/min left at every step to rise (or fall) beyond the schedule.

    Before the first step of a window with fixed ends nothing is known of the ramping, and the whole rate is left; so it
    is where `previous`, the horizon's own when absent, knows no step before.
    """
    sign, step_before = (1.0 if rising else -1.0), previous or block.horizon.previous

    def left(t: int) -> Linear:
        before, span_min = step_before(t), MINUTES_PER_HOUR * block.horizon.hours[t]
        ramping = [] if before is None else [(-sign / span_min) * power[t], (sign / span_min) * power[before]]
        return total([*ramping, ramp_mw_per_min])

    return block.terms(left)


__all__ = ["speed_left"]
