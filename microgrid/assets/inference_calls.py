"""What expected calls of reserves cost a hall of inference: requests refused, and load served late in brownout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from microgrid.assets.expected_calls import expected_calls_mw, largest_share_called
from microgrid.assets.inference_class import InferenceClass, Replica
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block

MILLION = 1e6


@dataclass(frozen=True)
class CallRoom:
    """What a call can still take from one class, IT power of normal operation (MW), and what a MW of it saves.

    `refusable` may be refused and saves `saved_refusing` a MW at least (as little as its load in brownout draws),
    `brownable` may be served in brownout and saves `saved_browning`; None where the class has no such freedom.
    """

    refusable: Sequence[Linear] | None
    brownable: Sequence[Linear] | None
    saved_refusing: float
    saved_browning: float


def reckon_calls(
    block: Block,
    classes: Mapping[str, InferenceClass],
    replica: Replica,
    rooms: Mapping[str, CallRoom],
    ratio: Sequence[float],
) -> dict[str, Sequence[Linear]]:
    """Charge what calls are expected to refuse and to slow down; return what is refused by class.

    To be asked after all parts. Which class answers a call, and how, is a decision: the cheapest that still can.
    """
    called = expected_calls_mw(block, up=True)
    if called is None:
        return {}
    share = largest_share_called(block, up=True)
    saved: list[tuple[float, Sequence[Linear]]] = []
    refused = {}
    for name, room in rooms.items():
        million = classes[name].tokens_per_mwh(replica) / MILLION
        if room.refusable is not None:
            refused[name] = _taken(block, name, "refused_when_called_mw", (share, room.refusable))
            worth = classes[name].value_usd_per_million_tokens + classes[name].shed_cost_usd_per_million_tokens
            _charge(block, name, refused[name], worth * million, "refusing")
            saved.append((room.saved_refusing, refused[name]))
        brownout = classes[name].brownout
        if room.brownable is not None and brownout is not None:
            slowed = _taken(block, name, "slowed_when_called_mw", (share, room.brownable))
            _charge(block, name, slowed, brownout.cost_usd_per_million_tokens * million, "slowing")
            saved.append((room.saved_browning, slowed))

    @block.constraint(block.horizon.steps)
    def calls_shared(t: int) -> Relation:
        r"""\sum_c (\beta_c a_{c,t} + \gamma_c b_{c,t}) = \sum_s \delta_s r_{s,t} / PUE_t"""
        return total(factor * mw[t] for factor, mw in saved) == (1.0 / ratio[t]) * called[t]

    return refused


def _taken(block: Block, name: str, what: str, most: tuple[float, Sequence[Linear]]) -> Sequence[Linear]:
    share, room = most
    meaning = "load that calls are expected to refuse, or to serve in brownout, in normal operation"
    mw = block.variable(what, block.horizon.steps, "MW", meaning, of=name)

    @block.constraint(block.horizon.steps, of=f"{name}.{what.partition('_')[0]}")
    def within_freedom(t: int) -> Relation:
        r"""a_{c,t} \le \delta (what the class may still refuse), b_{c,t} \le \delta (what is not in brownout)"""
        return mw[t] <= share * room[t]

    return mw


def _charge(block: Block, name: str, mw: Sequence[Linear], usd_per_mwh: float, of: str) -> None:
    hours = block.horizon.hours
    if not usd_per_mwh:
        return

    @block.cost(block.horizon.steps, of=f"{name}.{of}")
    def called_service(t: int) -> Linear:
        r"""\Delta_t (v_c + c_c) a_{c,t} for what is refused, \Delta_t \kappa b_{c,t} for what is slowed down"""
        return (usd_per_mwh * hours[t]) * mw[t]


__all__ = ["CallRoom", "reckon_calls"]
