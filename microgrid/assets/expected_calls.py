"""Expected calls of sold reserves: the energy that a call takes out of a store or out of a job's work.

A product states which share of its sold MW is called on average. That energy leaves a battery, or does not reach a job,
although the schedule shows nothing of it; the state of the asset must reckon with it, or sold reserves are for free.
"""

from __future__ import annotations

from collections.abc import Sequence

from microgrid.formulation.algebra import Linear, total
from microgrid.formulation.block import Block
from microgrid.formulation.headroom import Claim


def expected_calls_mw(block: Block, *, up: bool) -> Sequence[Linear] | None:
    r"""``\sum_s \delta_s r_{s,t}`` of what was sold from this part in one direction, MW at the bus; None when nothing.

    To be asked once all parts have written (`Block.after_all`).
    """
    claims = _claims(block, up=up)
    if not claims:
        return None
    return block.terms(lambda t: total(claim.deployed_share * claim.mw[t] for claim in claims))


def largest_share_called(block: Block, *, up: bool) -> float:
    """Largest share of the MW sold in one direction that any product is expected to be called for."""
    return max(claim.deployed_share for claim in _claims(block, up=up))


def _claims(block: Block, *, up: bool) -> list[Claim]:
    """What was sold from this part in one direction and may be called."""
    return [claim for claim in block.claims("up" if up else "down") if claim.deployed_share > 0]


def sold_down_mw(block: Block, part: str) -> Sequence[Linear] | None:
    r"""``\sum_s r_{s,t}`` that a call may make `part` draw more, MW at the bus; None where it sold nothing downward.

    For whoever limits what the part draws; to be asked once all parts have written (`Block.after_all`), so that it
    does not matter who was listed first.
    """
    room = block.campus.headrooms.get(part)
    if room is None or not room.claims_down:
        return None
    claims = room.claims_down
    return block.terms(lambda t: total(claim.mw[t] for claim in claims))


def with_calls(block: Block, scheduled: Sequence[Linear], called: Sequence[Linear] | None) -> Sequence[Linear]:
    """Scheduled power and what calls add to it."""
    return scheduled if called is None else block.terms(lambda t: scheduled[t] + called[t])


__all__ = ["expected_calls_mw", "largest_share_called", "sold_down_mw", "with_calls"]
