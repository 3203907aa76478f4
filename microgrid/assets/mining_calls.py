"""Hash that expected calls of reserves take from a fleet or add to it, and the least that a hosting contract owes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from microgrid.assets.expected_calls import expected_calls_mw, largest_share_called
from microgrid.assets.mining_output import Conditions, Output
from microgrid.assets.mining_tier import MiningTier
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block
from microgrid.formulation.horizon import Index


@dataclass(frozen=True)
class Answer:
    """Machine power that calls take from a tier or add to it, MW, and the hashrate that goes with it, PH/s."""

    power: Sequence[Linear]
    hashrate: Sequence[Linear]


def reckon_calls(
    block: Block,
    tiers: Mapping[str, MiningTier],
    found: Mapping[str, Conditions],
    outputs: Mapping[str, Output],
    operating_usd_per_mwh: float,
) -> None:
    """Take hash that calls are expected to cost out of income and of what is owed, and add what they bring.

    To be asked after all parts. Restarts that calls bring about are not reckoned.
    """
    lost, won = (_answers(block, found, outputs, up=up) for up in (True, False))
    for name, tier in tiers.items():
        if name in lost:
            _forgo(block, name, found[name], lost[name], operating_usd_per_mwh)
        if name in won:
            _earn(block, name, found[name], won[name], operating_usd_per_mwh)
        if tier.min_hash_share > 0:
            _owe(block, name, tier, found[name], (outputs[name], lost.get(name), won.get(name)))


def _answers(
    block: Block, found: Mapping[str, Conditions], outputs: Mapping[str, Output], *, up: bool
) -> dict[str, Answer]:
    """What every tier does in calls of one direction, a decision: what costs least, or earns most, answers first.

    A MW dropped is reckoned to have hashed the most that a MW of its tier can, a MW taken up to hash the least.
    """
    called = expected_calls_mw(block, up=up)
    if called is None:
        return {}
    share = largest_share_called(block, up=up)
    of_tier = {name: _called_from(block, name, share, output, up=up) for name, output in outputs.items()}

    @block.constraint(block.horizon.steps, of="" if up else "down")
    def calls_shared(t: int) -> Relation:
        r"""\sum_k PUE_{k,t} x_{k,t} = \sum_s \delta_s r_{s,t}"""
        return total(found[name].pue[t] * mw[t] for name, mw in of_tier.items()) == called[t]

    per_mw = {name: output.dropped_ph_s_per_mw if up else output.raised_ph_s_per_mw for name, output in outputs.items()}
    return {name: Answer(mw, _hash_of(block, mw, per_mw[name])) for name, mw in of_tier.items()}


def _hash_of(block: Block, mw: Sequence[Linear], ph_s_per_mw: Sequence[float]) -> Sequence[Linear]:
    return block.terms(lambda t: ph_s_per_mw[t] * mw[t])


def _called_from(block: Block, name: str, share: float, output: Output, *, up: bool) -> Sequence[Linear]:
    what, meaning = ("called_mw", "drop") if up else ("raised_mw", "take up")
    mw = block.variable(what, block.horizon.steps, "MW", f"power that calls are expected to {meaning}", of=name)
    room = block.terms(lambda t: output.power[t] - output.least[t] if up else output.most[t] - output.power[t])

    @block.constraint(block.horizon.steps, of=name if up else f"{name}.down")
    def called_from_tier(t: int) -> Relation:
        r"""x_{k,t} \le \delta (p_{k,t} - \underline p_{k,t}) , or \le \delta (\bar p_{k,t} - p_{k,t}) downward"""
        return mw[t] <= share * room[t]

    return mw


def _forgo(block: Block, name: str, found: Conditions, lost: Answer, operating_usd_per_mwh: float) -> None:
    hours, value = block.horizon.hours, found.value_usd_per_ph_h

    @block.cost(block.horizon.steps, of=name)
    def called_hashing(t: int) -> Linear:
        r"""\Delta_t (HP_t (1 - \phi) / 24 \; \eta_k - c) x_{k,t} , \eta the most that a MW dropped would have hashed"""
        return (hours[t] * value[t]) * lost.hashrate[t] - (hours[t] * operating_usd_per_mwh) * lost.power[t]


def _earn(block: Block, name: str, found: Conditions, won: Answer, operating_usd_per_mwh: float) -> None:
    hours, value = block.horizon.hours, found.value_usd_per_ph_h

    @block.revenue(block.horizon.steps, of=name)
    def raised_hashing(t: int) -> Linear:
        r"""\Delta_t (HP_t (1 - \phi) / 24 \; \eta_k - c) y_{k,t} , \eta the least that a MW taken up hashes"""
        return (hours[t] * value[t]) * won.hashrate[t] - (hours[t] * operating_usd_per_mwh) * won.power[t]


def _owe(
    block: Block,
    name: str,
    tier: MiningTier,
    found: Conditions,
    done: tuple[Output, Answer | None, Answer | None],
) -> None:
    hours, (output, lost, won) = block.horizon.hours, done
    full = found.capacity_mw * tier.hash_ph_s_per_mw * tier.working_points[-1][1]
    owed = tier.min_hash_share * sum(span * full * share for span, share in zip(hours, found.hash_share, strict=True))

    def hashed(rate: Sequence[Linear]) -> Linear:
        return block.total(block.horizon.steps, lambda t: hours[t] * rate[t])

    @block.constraint(Index("window", 1), of=name)
    def min_hash(_: int) -> Relation:
        r"""\sum_t \Delta_t (h_t - \eta x_t + \eta y_t) \ge \gamma \sum_t \Delta_t \bar h_t , with the hash of calls"""
        taken = [] if lost is None else [-hashed(lost.hashrate)]
        added = [] if won is None else [hashed(won.hashrate)]
        return total([hashed(output.hashrate), *taken, *added]) >= owed


__all__ = ["reckon_calls"]
