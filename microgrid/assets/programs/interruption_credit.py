"""Credit of interruptible load: what it is paid on, month by month, and what every provider earns of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from microgrid.assets.programs.sales import Sale
from microgrid.formulation.algebra import Linear, Relation, number
from microgrid.formulation.block import Block, Rule
from microgrid.formulation.months import month_shares


@dataclass(frozen=True)
class OpenSteps:
    """Steps in which a call may come: all of them, by local month, and the share of each in its month's hours."""

    all: tuple[int, ...]
    by_month: tuple[tuple[int, ...], ...]
    share: Sequence[float]


def open_steps(block: Block, may_come: Sequence[bool]) -> OpenSteps:
    """Gather the steps at which `may_come` is true."""
    horizon = block.horizon
    found = tuple(t for t in horizon.steps if may_come[t])
    by_month: list[list[int]] = [[] for _ in horizon.months]
    for t in found:
        by_month[horizon.month_of[t]].append(t)
    share = [0.0] * horizon.count
    for inside in by_month:
        hours = sum(horizon.hours[t] for t in inside)
        for t in inside:
            share[t] = horizon.hours[t] / hours
    return OpenSteps(found, tuple(map(tuple, by_month)), block.numbers(share))


def average(block: Block, power: Sequence[Linear], when: OpenSteps) -> Sequence[Linear]:
    """Average power by local month, MW, over the steps in which a call may come."""
    return block.terms(
        lambda month: block.total(when.by_month[month], lambda t: when.share[t] * power[t]), block.horizon.months
    )


def load_above_firm(
    block: Block, average_and_firm: tuple[Sequence[Linear], Sequence[Linear]], most: tuple[float, float]
) -> Sequence[Linear]:
    r"""Average import above the firm level, MW by month; zero where it lies below.

    The positive part of what earns money is not convex: without the binary `paid` a level that import misses could be
    paid for. `most` are the largest credit and the highest firm level, MW; import is never negative, so each is the
    most that its row has to yield, and one binary a month can be no tighter.
    """
    months, (import_, firm), (largest, highest) = block.horizon.months, average_and_firm, most
    credited = block.variable("credited_mw", months, "MW", "average import above the firm level, paid", upper=largest)
    paid = block.variable("paid", months, "1", "1 where it lies above", upper=1.0, integer=True)

    @block.constraint(months)
    def credited_when_paid(month: int) -> Relation:
        r"""C_m \le \bar I z_m"""
        return credited[month] <= largest * paid[month]

    @block.constraint(months)
    def average_above_firm(month: int) -> Relation:
        r"""C_m \le \sum_t \Delta_t p^{imp}_t / \sum_t \Delta_t - F_m + \bar F (1 - z_m)"""
        return credited[month] <= import_[month] - firm[month] + highest * (1.0 - paid[month])

    return credited


def pay_credit(
    block: Block, usd_per_kw_month: float, credited: Sequence[Linear], sales: Sequence[Sale], when: OpenSteps
) -> Callable[[Sale], Rule]:
    """Pay for the MW credited in months in which a call may come; return what the MW of a sale earn of it, USD a step.

    Providers share the credit of a month by the MW that they hold in it.
    """
    months, month_of = block.horizon.months, block.horizon.month_of
    rates = [
        1000.0 * usd_per_kw_month * share if inside else 0.0
        for share, inside in zip(month_shares(block.horizon), when.by_month, strict=True)
    ]

    @block.revenue(months)
    def interruptible_credit(month: int) -> Linear:
        r"""1000 c \mu_m C_m , \mu of the month in the window; C the MW held ready where a drop is subscribed"""
        return rates[month] * credited[month]

    @cache
    def usd_per_mw(month: int) -> float:
        held = sum(when.share[t] * number(sale.mw[t]) for t in when.by_month[month] for sale in sales)
        return rates[month] * number(credited[month]) / held if held > 0 else 0.0

    def earned_by(sale: Sale) -> Rule:
        return lambda t: when.share[t] * number(sale.mw[t]) * usd_per_mw(month_of[t])

    return earned_by


__all__ = ["OpenSteps", "average", "load_above_firm", "open_steps", "pay_credit"]
