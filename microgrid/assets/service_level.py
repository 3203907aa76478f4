"""Service-level agreements: credits on the month's fee where too many requests were refused."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Self

from pydantic import model_validator

from microgrid.assets.shipped import shipped_table
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block
from microgrid.formulation.horizon import Index
from microgrid.formulation.months import month_shares
from microgrid.schema.quantity import Declared, quantity


class CreditStep(Declared):
    """A step of the ladder: the credit owed once availability falls below a bound."""

    availability: float = quantity(
        "1", "share of the month's requests served below which the credit is owed", gt=0, le=1
    )
    credit_share: float = quantity("1", "credit as a share of the month's fee", gt=0, le=1)


class ServiceLevel(Declared):
    """A month's fee and the ladder of credits on it; availability is the share of the month's requests that is served.

    In a month that the window covers in part, fee and requests are those of the part.
    """

    fee_usd_per_month: float = quantity("$/month", "fee of the class on which credits are reckoned", symbol="F", ge=0)
    credits: tuple[CreditStep, ...] | str = quantity(
        "-", "steps in falling availability, or a shipped ladder: cloud_typical, colocation_typical",
        default="colocation_typical",
    )  # fmt: skip

    @model_validator(mode="after")
    def _ladder_falls(self) -> Self:
        if isinstance(self.credits, str) and self.credits not in service_levels():
            raise ValueError(
                f"no ladder {self.credits!r}; choose one of {', '.join(service_levels())} or give its steps"
            )
        if any(low[0] >= high[0] or low[1] <= high[1] for high, low in pairwise(self.ladder)):
            raise ValueError(
                "credits need falling availability and rising credit_share, each step deeper than the last"
            )
        return self

    @property
    def ladder(self) -> list[tuple[float, float]]:
        """(availability, credit share) of every step, shallowest first."""
        if isinstance(self.credits, str):
            return list(service_levels()[self.credits])
        return [(step.availability, step.credit_share) for step in self.credits]


def owe_credits(
    block: Block, name: str, level: ServiceLevel, need: Sequence[float], refused: Sequence[Linear], most_share: float
) -> None:
    r"""Owe the credits of one class, month by month, as a step function of the energy of refused requests.

    Credits jump at each bound, so the cost is neither convex nor concave and no linear program holds it. Each step that
    can be reached in a month gets one binary, which opens the room for refusals up to the next bound; the binaries of a
    month stand in order, which makes the formulation exact and its relaxation the tightest without further columns
    (incremental form, Croxton, Gendron and Magnanti 2003, https://doi.org/10.1287/mnsc.49.9.1268.16570). Steps deeper
    than `most_share`, the share of requests that may be refused at all, get none.
    """
    horizon = block.horizon
    asked, steps = [0.0] * horizon.months.size, [list[int]() for _ in horizon.months]
    for t in horizon.steps:
        asked[horizon.month_of[t]] += horizon.hours[t] * need[t]
        steps[horizon.month_of[t]].append(t)

    def lost(month: int) -> Linear:
        return total([*(horizon.hours[t] * refused[t] for t in steps[month]), 0.0])

    def served(month: int) -> Linear | float:
        return 1.0 - (1.0 / asked[month]) * lost(month) if asked[month] > 0 else 1.0

    block.report("availability", served, "1", "requests served in the month", index=horizon.months, of=name)
    reachable = [step for step in level.ladder if 1.0 - step[0] < most_share]
    if not reachable:
        return
    count, months = len(reachable), horizon.months
    index = Index(f"{block.name}.{name}.credits", count * months.size)
    owed = block.variable("credit_owed", index, "1", "credit step is owed", upper=1.0, integer=True, of=name)
    bounds = [*(1.0 - availability for availability, _ in reachable), most_share]

    @block.constraint(months, of=name)
    def refusals(month: int) -> Relation:
        r"""\sum_{t \in m} \Delta_t s_t \le Q_m ((1 - A_1) + \sum_k (A_k - A_{k+1}) z_{m,k})"""
        opened = [(bounds[k + 1] - bounds[k]) * owed[month * count + k] for k in range(count)]
        return lost(month) <= asked[month] * total([bounds[0], *opened])

    @block.constraint([place for place in index if place % count], of=name)
    def steps_in_order(place: int) -> Relation:
        r"""z_{m,k} \le z_{m,k-1}"""
        return owed[place] <= owed[place - 1]

    shares, credit = month_shares(horizon), [0.0, *(share for _, share in reachable)]

    @block.cost(index, of=name)
    def service_credit(place: int) -> Linear:
        r"""F \mu_m (\kappa_k - \kappa_{k-1}) z_{m,k} , \mu of the month in the window"""
        month, k = divmod(place, count)
        return (level.fee_usd_per_month * shares[month] * (credit[k + 1] - credit[k])) * owed[place]


@cache
def service_levels() -> dict[str, tuple[tuple[float, float], ...]]:
    """Shipped ladders by name, from `data/service_levels.toml` (sources and date stand there)."""
    table = shipped_table("service_levels.toml")
    return {name: tuple((a, c) for a, c in steps) for name, steps in table.items()}


__all__ = ["CreditStep", "ServiceLevel", "owe_credits", "service_levels"]
