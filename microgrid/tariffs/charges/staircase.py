r"""Tiered prices in the optimiser: an LP where prices rise, a disaggregated hull where they fall.

*Rising prices.* ``0 <= e_k <= width_k``, ``sum e_k = q``, cost ``sum price_k e_k``: cheap tiers fill first by
themselves. No binary.

*Falling, mixed or slab prices.* The cost is concave or jumps, so the minimum would take the cheap tail without filling
the first tiers; some choice of tier is unavoidable. Written as a union of polyhedra, one for each tier k (and, for
hours-use tiers, each stretch r of billing demand on which every tier end is linear in it):

    sum y_rk = 1,   q = sum q_rk,   D = sum D_rk,
    low_r y_rk <= D_rk <= high_r y_rk,   ub_{r,k-1}(D_rk, y_rk) <= q_rk <= ub_rk(D_rk, y_rk),
    cost = sum price_k q_rk + sum_{j<k} (price_j - price_{j+1}) ub_rj(D_rk, y_rk)

This is the convex hull of the union, tighter than any big-M ordering (which left a 170 % gap where this closed, facts
page section 3). One binary for each tier and cycle that the load can reach. The open end of the last tier is a load
factor of one, where the billing demand is sure to be at least the mean import; the range that energy and demand can
reach at all is found at the solve (`dispatch.ranges`), which picks tiers anew from several starts (`dispatch.repair`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.tariffs.page import KILO, Page, Terms
from microgrid.tariffs.prices import Tier, tier_ends


@dataclass(frozen=True)
class Stairs:
    """A quantity priced by tiers.

    `quantity` is MW or MWh by cycle, `prices` money a kW or kWh of shape (tiers, cycles); `highest` bounds the quantity
    (None if unknown), `billing` names the determinant that hours-use tiers count on, and `widest` is the most of the
    quantity for each MW of it by cycle (None or infinite if unknown). `gross` states that it is load behind the meter,
    which no import limit bounds.
    """

    name: str
    quantity: Terms
    prices: np.ndarray
    tiers: Sequence[Tier]
    slab: bool
    highest: np.ndarray | None
    billing: str | None = None
    widest: np.ndarray | None = None
    gross: bool = False


@dataclass(frozen=True)
class Piece:
    """One polyhedron: tier ends as ``constant + slope D`` (MWh, MWh per MW) on a stretch of billing demand.

    `low` and `high` bound the quantity and `cost` is money above ``price q``; each is (constant, slope).
    """

    cycle: int
    price: float
    low: tuple[float, float]
    high: tuple[float, float]
    cost: tuple[float, float]
    demand: tuple[float, float]


def staircase(page: Page, stairs: Stairs) -> Terms:
    """Dollars by cycle of the tiered quantity."""
    uses_demand = any(tier.bound.kwh_per_kw is not None for tier in stairs.tiers)
    rising = bool((np.diff(stairs.prices, axis=0) >= 0.0).all())
    if uses_demand:
        _note_pull(page, stairs)
    if len(stairs.tiers) == 1:
        return [KILO * float(stairs.prices[0, c]) * stairs.quantity[c] for c in page.cycles]
    if rising and not stairs.slab and not uses_demand:
        return _rising(page, stairs)
    return _pieces(page, stairs, _all_pieces(page, stairs, uses_demand=uses_demand))


def _rising(page: Page, stairs: Stairs) -> Terms:
    ends = tier_ends(stairs.tiers, page.axis.cycles.days, None) / KILO
    starts = np.vstack([np.zeros(ends.shape[1]), ends[:-1]])
    widths = np.where(np.isinf(ends), np.inf, ends - np.where(np.isinf(starts), 0.0, starts))
    count = len(stairs.tiers)
    places = page.indexed("tier", stairs.name, count * page.cycles.size)
    filled = page.block.variable("filled", places, "MW or MWh", "quantity in each tier, cycle by cycle", of=stairs.name)

    @page.block.constraint(places, of=stairs.name)
    def width(k: int) -> Relation | None:
        r"""e_{c,k} \le width_{c,k}"""
        limit = float(widths[k % count, k // count])
        return None if np.isinf(limit) else filled[k] <= limit

    @page.block.constraint(page.cycles, of=stairs.name)
    def all_filled(c: int) -> Relation:
        r"""\sum_k e_{c,k} = q_c"""
        return total(filled[c * count + k] for k in range(count)) == stairs.quantity[c]

    return [total(KILO * float(stairs.prices[k, c]) * filled[c * count + k] for k in range(count)) for c in page.cycles]


def _note_pull(page: Page, stairs: Stairs) -> None:
    """More billing demand widens hours-use tiers: cheaper where prices rise, dearer where they fall."""
    slopes = np.array([tier.bound.kwh_per_kw or 0.0 for tier in stairs.tiers[:-1]])
    falls = np.minimum(stairs.prices[:-1] - stairs.prices[1:], 0.0)
    page.pulls(stairs.name, str(stairs.billing), (falls * slopes[:, None]).sum(axis=0))


def _all_pieces(page: Page, stairs: Stairs, *, uses_demand: bool) -> list[Piece]:
    highest = stairs.highest
    if highest is None:
        (page.largest_load_mw if stairs.gross else page.limit_mw)(f"falling or slab tiers of `{stairs.name}`")
        raise AssertionError(stairs.name)
    pieces: list[Piece] = []
    for cycle in page.cycles:
        stretch = [(0.0, 0.0)]
        if uses_demand:
            reach, name = page.reach(), str(stairs.billing)
            low, high = float(reach.lowest[name][cycle]), float(reach.highest[name][cycle])
            stretch = _stretches(stairs.tiers, float(page.axis.cycles.days[cycle]), low, high)
        for span in stretch:
            pieces += _pieces_of(page, stairs, cycle, span, float(highest[cycle]))
    return pieces


def _stretches(tiers: Sequence[Tier], days: float, low: float, high: float) -> list[tuple[float, float]]:
    """Stretches of billing demand (kW) on which every tier end is linear in it."""
    fixed = {value for tier in tiers for value in (tier.bound.kwh, tier.bound.kw) if value is not None}
    fixed |= {tier.bound.kwh_per_day * days for tier in tiers if tier.bound.kwh_per_day is not None}
    slopes = {tier.bound.kwh_per_kw for tier in tiers if tier.bound.kwh_per_kw}
    inner = {value / slope for value in fixed for slope in slopes if np.isfinite(value) and low < value / slope < high}
    edges = sorted({low, high} | inner)
    return list(pairwise(edges)) or [(low, high)]


def _pieces_of(page: Page, stairs: Stairs, cycle: int, span: tuple[float, float], highest: float) -> list[Piece]:
    days = page.axis.cycles.days[[cycle, cycle]]
    ends = tier_ends(stairs.tiers, days, np.array(span)) / KILO
    ends = np.where(np.isinf(ends), np.maximum(highest, 0.0), ends)
    demand = (span[0] / KILO, span[1] / KILO)
    lines = [_line(demand, row) for row in ends.tolist()]
    prices = stairs.prices[:, cycle]
    pieces: list[Piece] = []
    start, cost = (0.0, 0.0), (0.0, 0.0)
    for tier, line in enumerate(lines):
        top = line if tier < len(lines) - 1 else _last_end(stairs, cycle, max(highest, _at(line, demand[1])))
        reachable = _at(start, demand[0]) <= highest or tier == 0
        wide = any(_at(top, edge) - _at(start, edge) > 1e-12 for edge in demand)
        if reachable and (wide or tier == 0):
            fee = (0.0, 0.0) if stairs.slab else cost
            pieces.append(Piece(cycle, float(prices[tier]), start, top, fee, demand))
        if tier < len(lines) - 1:
            step = KILO * float(prices[tier] - prices[tier + 1])
            cost = (cost[0] + step * line[0], cost[1] + step * line[1])
            start = line
    return pieces


def _last_end(stairs: Stairs, cycle: int, highest: float) -> tuple[float, float]:
    """Open end of the last tier: a load factor of one where that is known, else the most there can be."""
    if stairs.widest is None or not np.isfinite(stairs.widest[cycle]):
        return highest, 0.0
    return 0.0, float(stairs.widest[cycle])


def _line(demand: tuple[float, float], ends: Sequence[float]) -> tuple[float, float]:
    slope = 0.0 if demand[1] <= demand[0] else (ends[1] - ends[0]) / (demand[1] - demand[0])
    return ends[0] - slope * demand[0], slope


def _at(line: tuple[float, float], demand: float) -> float:
    return line[0] + line[1] * demand


def _pieces(page: Page, stairs: Stairs, pieces: list[Piece]) -> Terms:
    name, block = stairs.name, page.block
    places = page.indexed("piece", name, len(pieces))
    chosen = block.variable("tier_reached", places, "1", "the tier reached", upper=1.0, integer=True, of=name)
    part = block.variable("part", places, "MW or MWh", "quantity, in the tier reached", of=name)
    uses_demand = any(piece.demand[1] > 0.0 for piece in pieces)
    demand = (
        block.variable("demand_mw", places, "MW", "billing demand, in the tier reached", of=name)
        if uses_demand
        else None
    )
    of_cycle = [[k for k in places if pieces[k].cycle == c] for c in page.cycles]

    def along(line: tuple[float, float], k: int) -> Linear:
        constant = line[0] * chosen[k]
        return constant if demand is None or line[1] == 0.0 else constant + line[1] * demand[k]

    @block.constraint(page.cycles, of=name)
    def one_tier(c: int) -> Relation:
        r"""\sum_k y_k = 1"""
        return total(chosen[k] for k in of_cycle[c]) == 1.0

    @block.constraint(page.cycles, of=name)
    def whole_quantity(c: int) -> Relation:
        r"""q_c = \sum_k q_{c,k}"""
        return total(part[k] for k in of_cycle[c]) == stairs.quantity[c]

    _bound_parts(page, name, pieces, part, along)
    if demand is not None:
        _tie_demand(page, stairs, pieces, of_cycle, (chosen, demand))

    for members in of_cycle:
        split = [part] if demand is None else [part, demand]
        block.alternatives([chosen[k] for k in members], [[side[k] for k in members] for side in split])
    return [
        total(KILO * pieces[k].price * part[k] + along(pieces[k].cost, k) for k in of_cycle[c]) for c in page.cycles
    ]


def _bound_parts(
    page: Page, name: str, pieces: list[Piece], part: Terms, along: Callable[[tuple[float, float], int], Linear]
) -> None:
    places, block = range(len(pieces)), page.block

    @block.constraint(places, of=name)
    def not_below(k: int) -> Relation:
        r"""q_k \ge ub_{k-1}(D_k, y_k)"""
        return part[k] >= along(pieces[k].low, k)

    @block.constraint(places, of=name)
    def not_above(k: int) -> Relation:
        r"""q_k \le ub_k(D_k, y_k)"""
        return part[k] <= along(pieces[k].high, k)


def _tie_demand(
    page: Page, stairs: Stairs, pieces: list[Piece], of_cycle: list[list[int]], parts: tuple[Terms, Terms]
) -> None:
    chosen, demand = parts
    billing = page.determinants[str(stairs.billing)]

    @page.block.constraint(page.cycles, of=stairs.name)
    def whole_demand(c: int) -> Relation:
        r"""D_c = \sum_k D_{c,k}"""
        return total(demand[k] for k in of_cycle[c]) == billing[c]

    @page.block.constraint(range(len(pieces)), of=stairs.name)
    def demand_from(k: int) -> Relation:
        r"""D_k \ge low_r y_k"""
        return demand[k] >= pieces[k].demand[0] * chosen[k]

    @page.block.constraint(range(len(pieces)), of=stairs.name)
    def demand_to(k: int) -> Relation:
        r"""D_k \le high_r y_k"""
        return demand[k] <= pieces[k].demand[1] * chosen[k]


__all__ = ["Piece", "Stairs", "staircase"]
