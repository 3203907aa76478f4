"""What a tier of miners does: power and hashrate of machines that switch freely, or under rules, or in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from microgrid.assets.concave_curve import segments
from microgrid.assets.cycling import Amounts, Switching, switch
from microgrid.assets.mining_tier import MiningTier
from microgrid.formulation.algebra import Linear, Relation, number, total
from microgrid.formulation.block import Block


@dataclass(frozen=True)
class Conditions:
    """What a tier finds at every step: capacity, price of hashing, facility power per machine power.

    `share` is the power of the tier at nameplate mode relative to its nameplate (machines in working order, throttled
    by heat, drawing more by leakage), `hash_share` its hashrate likewise.
    """

    capacity_mw: float
    share: Sequence[float]
    hash_share: Sequence[float]
    pue: Sequence[float]
    value_usd_per_ph_h: Sequence[float]


@dataclass(frozen=True)
class Output:
    """Machine power in MW and hashrate in PH/s of a tier, linear in the decisions, with the power of sleep.

    `least` and `most` bound the power that a call may bring about at once: machines within a minimum time do not
    switch, and blocks only throttle, because a part of a block cannot be switched. `restarted` is counted in MW that
    hash `restart_ph_s_per_mw`; a MW that a call drops hashes at most `dropped_ph_s_per_mw`, a MW that it adds at least
    `raised_ph_s_per_mw`.
    """

    power: Sequence[Linear]
    hashrate: Sequence[Linear]
    idle: Sequence[float]
    available: Sequence[float]
    restarted: Sequence[Linear] | None
    least: Sequence[Linear] | Sequence[float]
    most: Sequence[Linear] | Sequence[float]
    restart_ph_s_per_mw: Sequence[float]
    dropped_ph_s_per_mw: Sequence[float]
    raised_ph_s_per_mw: Sequence[float]


def write_free(block: Block, name: str, tier: MiningTier, found: Conditions) -> Output:
    """Write a tier whose machines switch freely: bounded segments of the power→hash curve, no rows."""
    steps = block.horizon.steps
    full = [found.capacity_mw * share for share in found.share]
    hashes = [found.capacity_mw * tier.hash_ph_s_per_mw * share for share in found.hash_share]
    idle = block.numbers(tier.idle_share * entry for entry in full)
    pieces = tier.free_segments()
    widest = tier.idle_share + sum(piece.width for piece in pieces)
    available = block.numbers(widest * entry for entry in full)
    parts = [
        block.variable(
            "power_mw" if len(pieces) == 1 else f"segment{place}_mw", steps, "MW",
            "power of the machines" if len(pieces) == 1 else "power of the machines along one piece of their curve",
            lower=idle if len(pieces) == 1 else 0.0,
            upper=available if len(pieces) == 1 else [piece.width * entry for entry in full],
            of=name,
        )
        for place, piece in enumerate(pieces)
    ]  # fmt: skip
    per_mw = block.numbers(ph / mw if mw > 0 else 0.0 for ph, mw in zip(hashes, full, strict=True))
    if len(pieces) == 1:
        power: Sequence[Linear] = parts[0]
        hashrate = block.terms(lambda t: (pieces[0].slope * per_mw[t]) * (power[t] - idle[t]))
    else:
        power = block.terms(lambda t: total([*(part[t] for part in parts), idle[t]]))
        hashrate = block.terms(
            lambda t: total((piece.slope * per_mw[t]) * part[t] for piece, part in zip(pieces, parts, strict=True))
        )
        block.report("power_mw", lambda t: power[t], "MW", "power of the machines", of=name)
    needed = tier.restart_loss_h > 0 or tier.restart_cost_usd_per_mw > 0
    restarted = write_restarts(block, name, power, available) if needed else None
    dropped, raised = (block.numbers(piece.slope * entry for entry in per_mw) for piece in (pieces[0], pieces[-1]))
    return Output(power, hashrate, idle, available, restarted, idle, available, per_mw, dropped, raised)


def write_restarts(block: Block, name: str, power: Sequence[Linear], available: Sequence[float]) -> Sequence[Linear]:
    """Count restarted power of freely switching machines; more power because more is available is no restart."""
    horizon = block.horizon
    restarted = block.variable("restarted_mw", horizon.steps, "MW", "power of machines restarted", of=name)
    before_first = block.carried(f"{name}.power_mw", available[0])

    @block.constraint(horizon.steps, of=name)
    def restarts(t: int) -> Relation:
        r"""s_t \ge p_t - p_{t-1} - (\bar p_t - \bar p_{t-1})^+"""
        before = horizon.previous(t)
        last, more = (
            (before_first, 0.0) if before is None else (power[before], max(0.0, available[t] - available[before]))
        )
        return restarted[t] >= power[t] - last - more

    return restarted


def write_switched(block: Block, name: str, tier: MiningTier, found: Conditions) -> Output:
    """Write a tier whose machines, or whose blocks, switch under rules: amounts on, off and switched."""
    hull = tier.running_hull()
    unit_mw = found.capacity_mw / (tier.blocks or 1) if tier.blocks else 1.0
    rules = Switching(tier.min_up_h, tier.min_down_h, "1" if tier.blocks else "MW", integer=tier.blocks is not None)
    amounts = switch(block, name, float(tier.blocks) if tier.blocks else found.capacity_mw, rules)
    on = block.terms(lambda t: unit_mw * amounts.on[t])
    extra = [
        _above_lowest(
            block, f"{name}.segment{place}", amounts, block.numbers(piece.width * unit_mw * s for s in found.share)
        )
        for place, piece in enumerate(segments(hull))
    ]
    (lowest, hash_lowest), idle_share = hull[0], 0.0 if tier.blocks else tier.idle_share
    full = [found.capacity_mw * share for share in found.share]
    idle = block.numbers(idle_share * entry for entry in full)
    share = found.share
    power = block.terms(
        lambda t: total([((lowest - idle_share) * share[t]) * on[t], idle[t], *(part[t] for part in extra)])
    )
    density = block.numbers(
        tier.hash_ph_s_per_mw * (h / s if s > 0 else 0.0) for h, s in zip(found.hash_share, share, strict=True)
    )
    slopes = [piece.slope for piece in segments(hull)]
    sloped = list(zip(slopes, extra, strict=True))
    hashrate = block.terms(
        lambda t: density[t] * total([(hash_lowest * share[t]) * on[t], *(slope * part[t] for slope, part in sloped)])
    )
    block.report("power_mw", lambda t: power[t], "MW", "power of the machines", of=name)
    available = block.numbers(hull[-1][0] * entry for entry in full)
    least, most = reachable_power(block, tier, found, amounts, idle)
    restart = block.numbers(tier.hash_ph_s_per_mw * entry for entry in found.hash_share)
    every = [hash_lowest / (lowest - idle_share), *slopes]
    dropped, raised = (block.numbers(slope * entry for entry in density) for slope in (max(every), min(every)))
    restarted = block.terms(lambda t: unit_mw * amounts.up[t])
    return Output(power, hashrate, idle, available, restarted, least, most, restart, dropped, raised)


def reachable_power(
    block: Block, tier: MiningTier, found: Conditions, amounts: Amounts, idle: Sequence[float]
) -> tuple[Sequence[Linear], Sequence[Linear]]:
    """Least and most power that a call may bring about at once, MW."""
    horizon, hull = block.horizon, tier.running_hull()
    lowest, top, share = hull[0][0], hull[-1][0], found.share
    if tier.blocks:
        unit_mw = found.capacity_mw / tier.blocks
        low_mw, top_mw = unit_mw * lowest, unit_mw * top
        least = block.terms(lambda t: (low_mw * share[t]) * amounts.on[t])
        return least, block.terms(lambda t: (top_mw * share[t]) * amounts.on[t])

    def bound(switched: Sequence[Linear], hours: float, t: int) -> Linear:
        return total([*(switched[k] for k in horizon.recent(t, hours)), 0.0]) if hours > 0 else total([0.0])

    full, low, high = top * found.capacity_mw, lowest - tier.idle_share, top - tier.idle_share
    least = block.terms(lambda t: (low * share[t]) * bound(amounts.up, tier.min_up_h, t) + idle[t])
    most = block.terms(lambda t: full * share[t] - (high * share[t]) * bound(amounts.down, tier.min_down_h, t))
    return least, most


def _above_lowest(block: Block, of: str, amounts: Amounts, width_mw: Sequence[float]) -> Sequence[Linear]:
    """Power above the lowest mode along one segment, only for what is on."""
    above = block.variable("above_mw", block.horizon.steps, "MW", "power above the lowest mode", of=of)

    @block.constraint(block.horizon.steps, of=of)
    def above_when_on(t: int) -> Relation:
        r"""q_{i,t} \le w_i n_t"""
        return above[t] <= width_mw[t] * amounts.on[t]

    return above


def report_tier(block: Block, name: str, found: Conditions, output: Output) -> None:
    """Add available and curtailed power, hashrate and the price at which the tier stops paying."""
    block.report(
        "available_mw", lambda t: output.available[t], "MW", "machine power on offer after outage and heat", of=name
    )
    block.report(
        "curtailed_mw", lambda t: output.available[t] - output.power[t], "MW", "machine power not taken", of=name
    )
    block.report("hashrate_ph_s", lambda t: output.hashrate[t], "PH/s", "hashrate", of=name)
    lost = [found.capacity_mw * max(0.0, 1.0 - share) for share in found.hash_share]
    block.report("unavailable_mw", lambda t: lost[t], "MW", "nameplate power lost to outage and heat", of=name)

    def break_even(t: int) -> float:
        power, value = number(output.power[t]), found.value_usd_per_ph_h[t]
        if power <= output.idle[t] + 1e-9:
            return 0.0
        return value * number(output.hashrate[t]) / (power * found.pue[t])

    block.report("income_usd_per_mwh", break_even, "$/MWh", "income per energy at the meter, 0 when off", of=name)


__all__ = ["Conditions", "Output", "report_tier", "write_free", "write_switched"]
