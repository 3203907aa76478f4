"""Switching of many alike machines as one continuous or integer amount, with minimum times up and down.

The rows are those of Rajan and Takriti (2005) on amounts. In cumulative starts and stops every row is a difference of
two variables, so the matrix is totally unimodular: for any whole number of machines the optimum of the linear program
splits into feasible schedules of single machines (Baum and Trotter, 1978). No integers are needed unless the machines
are few and large (feeder blocks) and other rows couple them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block


@dataclass(frozen=True)
class Switching:
    """What limits the switching: times in hours, and the unit in which amounts are counted."""

    min_up_h: float
    min_down_h: float
    unit: str
    integer: bool = False


@dataclass(frozen=True)
class Amounts:
    """Amount on, switched on and switched off at every step."""

    on: Sequence[Linear]
    up: Sequence[Linear]
    down: Sequence[Linear]


def switch(block: Block, of: str, capacity: float, rules: Switching) -> Amounts:
    """Declare how much of `capacity` is on; before a window with fixed ends all of it was, for long."""
    steps, horizon = block.horizon.steps, block.horizon
    on = block.variable("on", steps, rules.unit, "switched on", upper=capacity, integer=rules.integer, of=of)
    up = block.variable("up", steps, rules.unit, "switched on at the beginning of the step", upper=capacity, of=of)
    down = block.variable("down", steps, rules.unit, "switched off at the beginning of the step", upper=capacity, of=of)
    before_first = block.carried(f"{of}.on" if of else "on", capacity)

    @block.constraint(steps, of=of)
    def switching(t: int) -> Relation:
        r"""n_t - n_{t-1} = s_t - d_t"""
        before = horizon.previous(t)
        return on[t] - (before_first if before is None else on[before]) == up[t] - down[t]

    if horizon.steps_in(rules.min_up_h) > 1:

        @block.constraint(steps, of=of)
        def min_up(t: int) -> Relation:
            r"""\sum_{k = t-U+1}^{t} s_k \le n_t"""
            return total(up[k] for k in horizon.recent(t, rules.min_up_h)) <= on[t]

    if horizon.steps_in(rules.min_down_h) > 1:

        @block.constraint(steps, of=of)
        def min_down(t: int) -> Relation:
            r"""\sum_{k = t-D+1}^{t} d_k \le \bar n - n_t"""
            return total(down[k] for k in horizon.recent(t, rules.min_down_h)) <= capacity - on[t]

    return Amounts(on, up, down)


__all__ = ["Amounts", "Switching", "switch"]
