"""Tiered energy: how tiers fill and are shared among TOU periods, for both readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.tariffs.axis import Axis, Periods
from microgrid.tariffs.charges.staircase import Stairs, staircase
from microgrid.tariffs.determinants.load_factor import least_share_of_mean
from microgrid.tariffs.ledger import Ledger
from microgrid.tariffs.page import KILO, Page, Terms
from microgrid.tariffs.prices import Tier, fill, price_table, reach, tier_ends

EVEN = 1e-12
"""Money a kWh by which differences of prices may differ and still count as one."""


class Tiered(Protocol):
    """What this file reads of an energy charge."""

    @property
    def id(self) -> str:
        """Name of the charge."""

    @property
    def calendar(self) -> str | None:
        """Calendar whose periods price the tiers."""

    @property
    def tiers(self) -> tuple[Tier, ...] | None:
        """Tiers from the bottom."""

    @property
    def tier_alloc(self) -> Literal["pro_rata", "chronological", "per_period"]:
        """How tiers are shared among periods."""

    @property
    def tier_mode(self) -> Literal["graduated", "slab"]:
        """Whether a unit pays its own tier or the tier reached."""

    @property
    def kw(self) -> str | None:
        """Billing demand of hours-use tiers."""

    @property
    def channel(self) -> Literal["import", "export", "gross_load"]:
        """Channel whose energy fills the tiers."""


@dataclass(frozen=True)
class Allocation:
    """Energy by tier, cycle, month and period, kWh, shape (tiers, cycles, 12, periods)."""

    energy: np.ndarray
    periods: tuple[str, ...]

    def enter(self, ledger: Ledger, charge: str, tiers: Sequence[Tier], named: bool) -> None:  # noqa: FBT001
        """Enter one line for every tier and period that energy fell in."""
        prices = np.array([price_table(tier.price, self.periods) for tier in tiers])
        tier, cycle, month, period = np.nonzero(self.energy)
        quantity, price = self.energy[tier, cycle, month, period], prices[tier, month, period]
        if np.isnan(price).any():
            raise InvalidInput(
                Problem("energy flows in a period that has no price", "price it", f"charges.{charge}.tiers")
            )
        names = [self.periods[place] if named else "" for place in period.tolist()]
        ledger.enter(charge, "kWh", cycle, quantity, quantity * price, period=names, tier=tier + 1)


def allocate(
    charge: Tiered, energy: np.ndarray, periods: Periods, axis: Axis, billing_kw: np.ndarray | None
) -> Allocation:
    """Put the energy by interval (kWh) into tiers."""
    tiers = charge.tiers or ()
    ends = tier_ends(tiers, axis.cycles.days, billing_kw)
    split = reach if charge.tier_mode == "slab" else fill
    shape = (axis.cycles.count, 12, len(periods.names))
    key = (axis.cycles.of * 12 + axis.month_of) * len(periods.names) + periods.of
    by_period = np.bincount(key, energy, int(np.prod(shape))).reshape(shape)
    if charge.tier_alloc == "chronological" and charge.tier_mode == "graduated":
        return Allocation(_in_order(energy, ends, axis, key, shape), periods.names)
    if charge.tier_alloc == "per_period":
        sums = by_period.sum(axis=1)
        units = np.stack([split(sums[:, place], ends) for place in range(shape[2])], axis=-1)
        share = np.divide(by_period, sums[:, None, :], out=np.zeros(shape), where=sums[:, None, :] > 0.0)
        return Allocation(units[:, :, None, :] * share[None], periods.names)
    sums = by_period.sum(axis=(1, 2))
    share = np.divide(by_period, sums[:, None, None], out=np.zeros(shape), where=sums[:, None, None] > 0.0)
    return Allocation(split(sums, ends)[:, :, None, None] * share[None], periods.names)


def _in_order(
    energy: np.ndarray, ends: np.ndarray, axis: Axis, key: np.ndarray, shape: tuple[int, int, int]
) -> np.ndarray:
    """Fill tiers as energy flows: each interval takes what its stretch of the running total overlaps."""
    running = np.cumsum(energy)
    before = running - energy
    base = before[axis.cycles.starts][axis.cycles.of]
    running, before = running - base, before - base
    tiers, start = [], np.zeros(axis.cycles.count)
    for end in ends:
        taken = np.minimum(running, end[axis.cycles.of]) - np.maximum(before, start[axis.cycles.of])
        tiers.append(np.bincount(key, np.clip(taken, 0.0, None), int(np.prod(shape))).reshape(shape))
        start = np.where(np.isinf(end), start, np.maximum(start, end))
    return np.array(tiers)


def tier_terms(charge: Tiered, page: Page, power: Terms, weight: np.ndarray) -> Terms:
    """Dollars by cycle of tiered energy.

    Prices of the periods met in a cycle must differ by the same amount in every tier (then sharing does not matter and
    the difference is a plain energy price), or tiers must be counted `per_period`: see `unshared`. Energy that an
    earlier window of the same cycle has put into the tiers is carried, and its cost is part of the amount.
    """
    if not page.share_tiers_freely and (problem := unshared(charge, page.axis, weight)) is not None:
        raise InvalidInput(problem)
    sums: list[Linear] = [page.constant(0.0)] * page.cycles.size
    for name, inside in _counters(charge, page.axis, weight):
        parts = _one_counter(charge, page, power, inside, name)
        sums = [one + part for one, part in zip(sums, parts, strict=True)]
    return sums


def _counters(charge: Tiered, axis: Axis, weight: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Name and weights of everything that fills tiers of its own."""
    if charge.tier_alloc != "per_period":
        return [(charge.id, weight)]
    periods = axis.periods_or_all(charge.calendar)
    named = [f"{charge.id}.{name}" if name else charge.id for name in periods.names]
    return [(name, weight * (periods.of == place)) for place, name in enumerate(named)]


def unshared(charge: Tiered, axis: Axis, weight: np.ndarray) -> Problem | None:
    """Why the optimiser cannot state how tiers are shared among periods; None where it can.

    Shared by energy, the cost of a cycle with tier ends w is ``sum_k w_k sum_q pi_kq E_q / E``: a quotient of unknowns,
    which no binary makes linear. Filled as energy flows, it takes a binary an interval and tier end: 24 s to more than
    280 s for one month of one battery, so a year is out of reach.
    """
    by_step = _price_by_step(charge, axis)
    for _, inside in _counters(charge, axis, weight):
        for cycle in range(axis.cycles.count):
            used = np.flatnonzero((axis.cycles.of == cycle) & (inside != 0.0))
            differences = by_step[:, used] - by_step[:, used[:1]]
            uneven = np.flatnonzero(np.ptp(differences, axis=0) > EVEN)
            if uneven.size:
                return _why_unshared(charge, axis, by_step, (int(used[0]), int(used[uneven[0]])))
    return None


def _price_by_step(charge: Tiered, axis: Axis) -> np.ndarray:
    """Price of every tier at every interval, shape (tiers, intervals)."""
    periods = axis.periods_or_all(charge.calendar)
    tables = np.array([price_table(tier.price, periods.names) for tier in charge.tiers or ()])
    return np.asarray(tables[:, axis.month_of, periods.of])


def _why_unshared(charge: Tiered, axis: Axis, by_step: np.ndarray, steps: tuple[int, int]) -> Problem:
    periods = axis.periods_or_all(charge.calendar)
    first, other = (f"`{name}`" if (name := periods.names[periods.of[t]]) else "the month" for t in steps)
    apart = by_step[:, steps[1]] - by_step[:, steps[0]]
    tier = int(np.argmax(np.abs(apart - apart[0]) > EVEN))
    why = {
        "pro_rata": "tiers are shared by energy, so the cost is a quotient of unknowns",
        "chronological": "tiers fill as energy flows, so the tier of a kWh depends on all before it",
    }.get(charge.tier_alloc, "the prices of a period change within a cycle")
    freely = ", or set `share_tiers_freely: true` beside the tariff (solves for a lower bound, and states its dollars)"
    return Problem(
        f"the optimiser cannot state these tiers: {other} costs {apart[0]:+g} against {first} in tier 1 and "
        f"{apart[tier]:+g} in tier {tier + 1}, and {why}",
        "state the difference of the periods as an energy charge of its own where it is the same in every tier, count "
        "tiers `per_period` where the sheet does" + (freely if _may_share_freely(charge, by_step) else ""),
        f"charges.{charge.id}.tiers",
    )


def _may_share_freely(charge: Tiered, by_step: np.ndarray) -> bool:
    """Whether prices rise in every period, or the cheap last tier would fill first."""
    return charge.kw is None and charge.tier_mode == "graduated" and not (np.diff(by_step, axis=0) < 0.0).any()


def _one_counter(charge: Tiered, page: Page, power: Terms, weight: np.ndarray, name: str) -> Terms:
    axis, tiers, by_step = page.axis, charge.tiers or (), _price_by_step(charge, page.axis)
    if page.share_tiers_freely and not _is_separable(by_step, page, weight):
        return _shared_freely(charge, page, power, weight, by_step)
    base = np.zeros((len(tiers), page.cycles.size))
    extra = np.zeros(axis.count)
    for cycle, steps in enumerate(page.steps_of):
        used = steps[weight[steps] != 0.0]
        if used.size:
            base[:, cycle] = by_step[:, used[0]]
            extra[used] = by_step[0, used] - base[0, cycle]
    labels = page.axis.cycles.labels
    so_far = [page.block.carried(f"{name}.energy_mwh.{label}", 0.0) for label in labels]
    energy = [used + page.energy_mwh(power, weight, steps) for used, steps in zip(so_far, page.steps_of, strict=True)]
    stairs = Stairs(
        name=name,
        quantity=energy,
        prices=base,
        tiers=tiers,
        slab=charge.tier_mode == "slab",
        highest=_highest_energy(charge, page, weight, np.array(so_far)),
        billing=charge.kw,
        gross=charge.channel == "gross_load",
        widest=_widest(charge, page, weight, np.array(so_far)),
    )
    amounts = staircase(page, stairs)
    if not extra.any():
        return amounts
    added = page.priced_by_cycle(power, weight * extra)
    return [amount + more for amount, more in zip(amounts, added, strict=True)]


def _is_separable(by_step: np.ndarray, page: Page, weight: np.ndarray) -> bool:
    used = [steps[weight[steps] != 0.0] for steps in page.steps_of]
    return all(np.ptp(by_step[:, steps] - by_step[:, steps[:1]], axis=0).max(initial=0.0) <= EVEN for steps in used)


def _shared_freely(charge: Tiered, page: Page, power: Terms, weight: np.ndarray, by_step: np.ndarray) -> list[Linear]:
    r"""Tiers filled by the optimiser's own choice of period: a lower bound of the bill, and an LP.

    ``sum_k e_{c,k,q} = E_{c,q}`` for each price cell q, ``sum_q e_{c,k,q} \le width_k``.
    """
    if not _may_share_freely(charge, by_step):
        raise InvalidInput(
            Problem(
                "only rising kWh tiers can be shared freely", "count tiers `per_period`", f"charges.{charge.id}.tiers"
            )
        )
    ends = tier_ends(charge.tiers or (), page.axis.cycles.days, None) / KILO
    widths = np.diff(ends, axis=0, prepend=0.0)
    sums: list[Linear] = []
    for cycle, steps in enumerate(page.steps_of):
        cells, cell_of = np.unique(by_step[:, steps], axis=1, return_inverse=True)
        energy = [page.energy_mwh(power, weight, steps[cell_of == cell]) for cell in range(cells.shape[1])]
        sums.append(_fill_cells(page, f"{charge.id}.{page.cycles.labels[cycle]}", energy, cells, widths[:, cycle]))
    page.notes.append(f"tiers of `{charge.id}` are shared freely among TOU periods: a lower bound of the bill")
    return sums


def _fill_cells(page: Page, name: str, energy: list[Linear], prices: np.ndarray, widths: np.ndarray) -> Linear:
    tiers, cells = prices.shape
    places = page.indexed("cell", name, tiers * cells)
    filled = page.block.variable("filled_mwh", places, "MWh", "energy in each tier and price cell", of=name)

    @page.block.constraint(range(cells), of=name)
    def all_in_tiers(q: int) -> Relation:
        r"""\sum_k e_{k,q} = E_q"""
        return total(filled[k * cells + q] for k in range(tiers)) == energy[q]

    @page.block.constraint(range(tiers), of=name)
    def tier_width(k: int) -> Relation | None:
        r"""\sum_q e_{k,q} \le width_k"""
        if np.isinf(widths[k]):
            return None
        return total(filled[k * cells + q] for q in range(cells)) <= float(widths[k])

    return total(KILO * float(prices[k, q]) * filled[k * cells + q] for k in range(tiers) for q in range(cells))


def _widest(charge: Tiered, page: Page, weight: np.ndarray, so_far: np.ndarray) -> np.ndarray | None:
    """Most energy for each unit of billing demand, MWh a MW by cycle (a load factor of one), where that is known.

    A demand is of import: load met by generation behind the meter does not raise it.
    """
    if charge.kw is None or charge.channel != "import" or so_far.any():
        return None
    share = least_share_of_mean(charge.kw, page.nodes, page.axis, weight)
    hours = np.bincount(page.axis.cycles.of, weight, page.cycles.size) * page.axis.hours
    return np.asarray(np.divide(hours, share, out=np.full(share.size, np.inf), where=share > 0.0))


def _highest_energy(charge: Tiered, page: Page, weight: np.ndarray, so_far: np.ndarray) -> np.ndarray | None:
    """Greatest energy of each cycle, MWh, where the limit of its channel is known."""
    limit_mw = page.largest_import_mw if charge.channel == "import" else page.largest_gross_load_mw
    if limit_mw is None:
        return None
    hours = np.bincount(page.axis.cycles.of, weight, page.cycles.size) * page.axis.hours
    return np.asarray(so_far + hours * limit_mw)


__all__ = ["Allocation", "Tiered", "allocate", "tier_terms", "unshared"]
