"""Hash that expected calls of reserves take from a fleet, and the least hash that a hosting contract owes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from microgrid.assets.expected_calls import expected_calls_mw, largest_share_called
from microgrid.assets.mining_output import Conditions, Output
from microgrid.assets.mining_tier import MiningTier
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block
from microgrid.formulation.horizon import Index

Lost = Mapping[str, Sequence[Linear]]


def reckon_calls(
    block: Block, tiers: Mapping[str, MiningTier], found: Mapping[str, Conditions], outputs: Mapping[str, Output]
) -> None:
    """Take hash that calls are expected to cost out of income and out of what is owed; to be asked after all parts."""
    called = expected_calls_mw(block, up=True)
    lost = {} if called is None else _lost_hash(block, called, found, outputs)
    for name, tier in tiers.items():
        if tier.min_hash_share > 0:
            _owe(block, name, tier, found[name], outputs[name], lost.get(name))


def _lost_hash(
    block: Block, called: Sequence[Linear], found: Mapping[str, Conditions], outputs: Mapping[str, Output]
) -> Lost:
    """Hashrate lost by tier, PH/s; which tiers answer a call is a decision, so the least efficient running ones do."""
    share = largest_share_called(block, up=True)
    from_tier = {name: _called_from(block, name, share, output) for name, output in outputs.items()}

    @block.constraint(block.horizon.steps)
    def calls_shared(t: int) -> Relation:
        r"""\sum_k PUE_{k,t} x_{k,t} = \sum_s \delta_s r_{s,t}"""
        return total(found[name].pue[t] * mw[t] for name, mw in from_tier.items()) == called[t]

    lost = {name: _hash_of(block, mw, outputs[name].dropped_ph_s_per_mw) for name, mw in from_tier.items()}
    for name, hashrate in lost.items():
        _forgo(block, name, found[name], hashrate)
    return lost


def _hash_of(block: Block, mw: Sequence[Linear], ph_s_per_mw: Sequence[float]) -> Sequence[Linear]:
    return block.terms(lambda t: ph_s_per_mw[t] * mw[t])


def _called_from(block: Block, name: str, share: float, output: Output) -> Sequence[Linear]:
    mw = block.variable("called_mw", block.horizon.steps, "MW", "power that calls are expected to drop", of=name)

    @block.constraint(block.horizon.steps, of=name)
    def called_from_tier(t: int) -> Relation:
        r"""x_{k,t} \le \delta (p_{k,t} - \underline p_{k,t}) , \delta the largest share of the products sold"""
        return mw[t] <= share * (output.power[t] - output.least[t])

    return mw


def _forgo(block: Block, name: str, found: Conditions, hashrate: Sequence[Linear]) -> None:
    hours, value = block.horizon.hours, found.value_usd_per_ph_h

    @block.cost(block.horizon.steps, of=name)
    def called_hashing(t: int) -> Linear:
        r"""\Delta_t HP_t (1 - \phi) / 24 \; \eta_k x_{k,t} , \eta the most that a MW dropped would have hashed"""
        return (hours[t] * value[t]) * hashrate[t]


def _owe(
    block: Block, name: str, tier: MiningTier, found: Conditions, output: Output, lost: Sequence[Linear] | None
) -> None:
    hours = block.horizon.hours
    full = found.capacity_mw * tier.hash_ph_s_per_mw * tier.working_points[-1][1]
    owed = tier.min_hash_share * sum(span * full * share for span, share in zip(hours, found.hash_share, strict=True))

    @block.constraint(Index("window", 1), of=name)
    def min_hash(_: int) -> Relation:
        r"""\sum_t \Delta_t (h_t - \eta x_t) \ge \gamma \sum_t \Delta_t \bar h_t , \eta x the hash that calls take"""
        done = block.total(block.horizon.steps, lambda t: hours[t] * output.hashrate[t])
        return (done if lost is None else done - block.total(block.horizon.steps, lambda t: hours[t] * lost[t])) >= owed


__all__ = ["reckon_calls"]
