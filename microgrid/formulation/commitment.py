"""Commitment of identical units as one integer count: logic, minimum up and down times.

With `n` running, `s` started and `d` stopped, the rows below are those of Rajan and Takriti (2005), aggregated over
identical units. Written on counts, the matrix is totally unimodular, so an integral aggregate schedule always splits
into feasible schedules of single units (Baum and Trotter, 1978), and one integer a step replaces one binary a unit.
Starts and stops need no integrality of their own: they are differences of integers at an optimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block


@dataclass(frozen=True)
class Units:
    """What commitment needs to know of identical units.

    `initially_running` units have been in their state for `hours_in_state` hours before a window with fixed ends
    (all others have been down for as long).
    """

    count: int
    min_up_h: float = 0.0
    min_down_h: float = 0.0
    initially_running: int = 0
    hours_in_state: float = float("inf")


@dataclass(frozen=True)
class Commitment:
    """Running, started and stopped units at every step."""

    running: Sequence[Linear]
    started: Sequence[Linear]
    stopped: Sequence[Linear]


def commit(block: Block, units: Units) -> Commitment:
    """Declare counts of running, started and stopped units with logic and minimum times."""
    steps = block.horizon.steps
    running = block.variable("running", steps, "1", "units running", upper=units.count, integer=True)
    started = block.variable("started", steps, "1", "units started at the beginning of the step", upper=units.count)
    stopped = block.variable("stopped", steps, "1", "units stopped at the beginning of the step", upper=units.count)
    block.counted(running, started, stopped)
    commitment = Commitment(running, started, stopped)
    before_first = block.carried("running", float(units.initially_running))

    @block.constraint(steps)
    def logic(t: int) -> Relation:
        r"""n_t - n_{t-1} = s_t - d_t"""
        before = block.horizon.previous(t)
        return running[t] - (before_first if before is None else running[before]) == started[t] - stopped[t]

    _hold_up(block, units, commitment)
    _hold_down(block, units, commitment)
    return commitment


def _hold_up(block: Block, units: Units, commitment: Commitment) -> None:
    horizon = block.horizon
    if horizon.steps_in(units.min_up_h) <= 1:
        return

    @block.constraint(horizon.steps)
    def min_up(t: int) -> Relation:
        r"""\sum_{k = t-U+1}^{t} s_k \le n_t"""
        return total(commitment.started[k] for k in horizon.recent(t, units.min_up_h)) <= commitment.running[t]

    owed = 0 if horizon.wraps else horizon.steps_in(max(0.0, units.min_up_h - units.hours_in_state))
    if owed and units.initially_running:

        @block.constraint(range(min(owed, horizon.count)))
        def still_up(t: int) -> Relation:
            r"""n_t \ge n_0 while the minimum up time of units started before the window lasts"""
            return commitment.running[t] >= float(units.initially_running)


def _hold_down(block: Block, units: Units, commitment: Commitment) -> None:
    horizon = block.horizon
    if horizon.steps_in(units.min_down_h) <= 1:
        return

    @block.constraint(horizon.steps)
    def min_down(t: int) -> Relation:
        r"""\sum_{k = t-D+1}^{t} d_k \le N - n_t"""
        stopped = total(commitment.stopped[k] for k in horizon.recent(t, units.min_down_h))
        return stopped <= units.count - commitment.running[t]

    owed = 0 if horizon.wraps else horizon.steps_in(max(0.0, units.min_down_h - units.hours_in_state))
    if owed and units.initially_running < units.count:

        @block.constraint(range(min(owed, horizon.count)))
        def still_down(t: int) -> Relation:
            r"""n_t \le n_0 while the minimum down time of units stopped before the window lasts"""
            return commitment.running[t] <= float(units.initially_running)


__all__ = ["Commitment", "Units", "commit"]
