"""What the optimiser's reading of a tariff is written on: power terms, determinants and amounts by billing cycle.

Power is in MW and energy in MWh here, a thousandth of what the tariff states in kW and kWh, so that the coefficients of
the LP stay near one; every price is multiplied by 1000 in return.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, cast

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block
from microgrid.formulation.horizon import Index
from microgrid.tariffs.axis import Axis
from microgrid.tariffs.export import Export
from microgrid.tariffs.reading import Channel, History

KILO = 1000.0
Terms = Sequence[Linear]


@dataclass(frozen=True)
class Reach:
    """Least and greatest value that each determinant can take, by cycle, in the tariff's units (kW, kWh)."""

    lowest: Mapping[str, np.ndarray]
    highest: Mapping[str, np.ndarray]


class Node(Protocol):
    """A determinant as the page knows it once it is written."""

    def hold(self, page: Page, name: str) -> None:
        """Hold the determinant from above in cycles where more of it is rewarded."""


@dataclass
class Page:
    """Optimiser's page of one tariff at one point of interconnection.

    `determinants` holds MW (or MWh, MVA, Mvar) by cycle and `amounts` dollars by cycle. `pull` counts, for each
    determinant, the least dollars that one more kW can add; where that is negative the determinant must be held from
    above as well, which takes binaries.
    """

    block: Block
    axis: Axis
    contract: Mapping[str, float]
    history: History | None
    series: Mapping[str, np.ndarray]
    power: Mapping[str, Terms]
    power_factor: float | None
    kva_facets: int
    largest_import_mw: float | None
    reach: Callable[[], Reach]
    largest_export_mw: float | None = None
    largest_gross_load_mw: float | None = None
    share_tiers_freely: bool = False
    may_lead: bool = True
    weigh_next_year: bool = True
    export: Export | None = None
    energy_import: Terms = ()
    energy_export: Terms = ()
    determinants: dict[str, Terms] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    amounts: dict[str, Terms] = field(default_factory=dict)
    credits: dict[str, Terms] = field(default_factory=dict)
    next_year: dict[str, Terms] = field(default_factory=dict)
    next_year_amounts: dict[str, Terms] = field(default_factory=dict)
    pull: dict[str, np.ndarray] = field(default_factory=dict)
    amount_pull: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    may_be_negative: set[str] = field(default_factory=set)
    levels: dict[float, Terms] = field(default_factory=dict)
    level_pull: dict[float, np.ndarray] = field(default_factory=dict)
    either: tuple[list[Linear], list[Linear]] = field(default_factory=lambda: ([], []))
    either_limit_mw: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    notes: list[str] = field(default_factory=list)

    @cached_property
    def cycles(self) -> Index:
        """Billing cycles as an index set of the model."""
        return Index(f"{self.block.name}.cycle", self.axis.cycles.count, self.axis.cycles.labels)

    @cached_property
    def steps_of(self) -> list[np.ndarray]:
        """Positions of the intervals of each cycle."""
        return [np.flatnonzero(self.axis.cycles.of == cycle) for cycle in range(self.cycles.size)]

    @cached_property
    def hours_of(self) -> np.ndarray:
        """Hours of each cycle that the horizon covers, shape (cycles,)."""
        return self.axis.cycles.covered_days * 24.0

    def channel(self, channel: Channel) -> Terms:
        """Power of a metering channel by step, MW."""
        if channel in self.power:
            return self.power[channel]
        if channel == "net":
            pairs = zip(self.power["import"], self.power["export"], strict=True)
            return [bought - sold for bought, sold in pairs]
        raise InvalidInput(
            Problem(f"the tariff meters {channel}, which no part publishes", "publish it as a signal of the POI")
        )

    def variable(self, name: str, of: str, unit: str, meaning: str, *, integer: bool = False) -> Terms:
        """Declare one variable a cycle, not negative; an integer one is a binary."""
        upper = 1.0 if integer else None
        return self.block.variable(name, self.cycles, unit, meaning, upper=upper, integer=integer, of=of)

    def indexed(self, name: str, of: str, size: int) -> Index:
        """Index set of `size` positions for rows or variables of one node."""
        return Index(f"{self.block.name}.{of}.{name}", size)

    def energy_mwh(self, power: Terms, weight: np.ndarray, steps: Iterable[int]) -> Linear:
        """Weighted energy over the steps, MWh: the sum of ``weight_t * hours_t * power_t``."""
        hours = self.axis.hours
        chosen = [int(t) for t in steps if weight[t] != 0.0]
        weights = self.block.numbers(weight.tolist())
        return self.block.total(chosen, lambda t: weights[t] * hours * power[t])

    def priced_by_cycle(self, power: Terms, price: np.ndarray) -> list[Linear]:
        """Dollars by cycle of power (MW) at a price by step ($/kWh)."""
        return [KILO * self.energy_mwh(power, price, steps) for steps in self.steps_of]

    def limit_mw(self, why: str) -> float:
        """Largest import that the POI allows, needed wherever a binary must bound it."""
        if self.largest_import_mw is None:
            raise self._unstated(
                f"{why} needs the largest import",
                "state the POI's import limit, or `largest_import_mw` beside the tariff",
                "largest_import_mw",
            )
        return self.largest_import_mw

    def largest_load_mw(self, why: str) -> float:
        """Largest load behind the meter, needed wherever a binary must bound it.

        An import limit does not bound it, since generation behind the meter serves load as well.
        """
        if self.largest_gross_load_mw is None:
            raise self._unstated(
                f"{why} needs the largest load behind the meter",
                "state `largest_gross_load_mw` beside the tariff",
                "largest_gross_load_mw",
            )
        return self.largest_gross_load_mw

    def _unstated(self, rule: str, remedy: str, field: str) -> InvalidInput:
        return InvalidInput(Problem(rule, remedy, f"{self.block.name}.{field}"))

    def forbid_both(self, pair: tuple[Terms, Terms], limits_mw: tuple[Sequence[float], Sequence[float]]) -> None:
        """Note two powers of which at most one may flow at a step, with their limits by step, MW."""
        for place in (0, 1):
            self.either[place].extend(pair[place])
            self.either_limit_mw[place].extend(limits_mw[place])

    def write_exclusions(self) -> None:
        """Hand all noted pairs to the block at once: a part has one exclusive pair, as long as it needs."""
        if self.either[0]:
            self.block.exclusive(*self.either, *self.either_limit_mw)

    def export_limit_mw(self, why: str) -> float:
        """Largest export that the POI allows, needed wherever a binary must bound it."""
        if self.largest_export_mw is None:
            raise self._unstated(
                f"{why} needs the largest export",
                "state the POI's export limit, or `largest_export_mw` beside the tariff",
                "largest_export_mw",
            )
        return self.largest_export_mw

    def most_energy_mwh(self, why: str) -> float:
        """Most energy that the meter can pass either way over the horizon, MWh."""
        return max(self.limit_mw(why), self.export_limit_mw(why)) * float(self.hours_of.sum())

    @staticmethod
    def sum_of(terms: Iterable[Linear]) -> Linear:
        """Sum of terms; zero for none."""
        return total(terms)

    def constant(self, number: float) -> Linear:
        """Return a plain number as a term of the model."""
        return cast("Linear", number)

    def amount(self, name: str | float) -> float:
        """Return a number as it stands, or the contract value of that name."""
        return float(self.contract[name]) if isinstance(name, str) else float(name)

    def hand_on_next_year(self, name: str, weights: Mapping[str, float] | None, refs: Sequence[str]) -> None:
        """Weigh next year's peaks through a sum of determinants; refuse any other rule made of them, by name."""
        held = [ref for ref in refs if ref in self.next_year]
        if not held:
            return
        if weights is None:
            raise InvalidInput(
                Problem(
                    f"what `{held[0]}` bills next year cannot be weighed through `{name}`, which is not a sum",
                    "bill the peaks directly or through a sum, or state `weigh_next_year: false` beside the tariff",
                    f"determinants.{name}",
                )
            )
        self.next_year[name] = [total(weights[ref] * self.next_year[ref][c] for ref in held) for c in self.cycles]

    def pulls(self, charge: str, determinant: str, price: np.ndarray) -> None:
        """Note the least that one more kW of the determinant costs through `charge`, $/kW by cycle."""
        self.pull[determinant] = self.pull.get(determinant, np.zeros(self.cycles.size)) + price
        held = self.amount_pull.setdefault(charge, {})
        held[determinant] = held.get(determinant, np.zeros(self.cycles.size)) + price


RowRule = Callable[[int], Relation | None]

__all__ = ["KILO", "Page", "Reach", "RowRule", "Terms"]
