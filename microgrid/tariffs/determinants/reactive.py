"""Reactive determinants: highest kvar, and demand raised for a poor power factor."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Relation
from microgrid.schema.quantity import Declared
from microgrid.tariffs.determinants.apparent import apparent_mva, reactive_mvar
from microgrid.tariffs.determinants.demand import Demand
from microgrid.tariffs.page import Page, Terms
from microgrid.tariffs.reading import Reading


class ReactiveDemand(Declared):
    """Highest reactive demand of the cycle, kvar: lagging and leading alike, or (`counts: lagging`) lagging alone."""

    unit: ClassVar[str] = "kvar"

    kind: Literal["kvar"]
    counts: Literal["both", "lagging"] = "both"
    window_min: float | None = Field(None, gt=0)
    calendar: str | None = None
    periods: tuple[str, ...] | None = None
    note: str | None = None

    @property
    def refs(self) -> tuple[str, ...]:
        """Determinants it is made from."""
        return ()

    def _windows(self) -> Demand:
        return Demand(kind="demand", window_min=self.window_min, calendar=self.calendar, periods=self.periods)

    def measure(self, reading: Reading) -> np.ndarray:
        """Highest window average of the reactive power that counts, shape (cycles,)."""
        axis, kvar = reading.axis, reading.reactive_kvar()
        counted = np.abs(kvar) if self.counts == "both" else np.maximum(kvar, 0.0)
        average = self._windows().averaged(counted, axis)
        inside = np.where(axis.mask(self.calendar, self.periods), average, 0.0)
        return np.asarray(np.maximum(np.maximum.reduceat(inside, axis.cycles.starts), 0.0))

    def formulate(self, page: Page, name: str) -> Terms:
        """Cover every window with ``Q_c >= mean m``, where m is the reactive power that counts; an LP."""
        return self._windows().cover(page, name, reactive_mvar(page, leading=self.counts == "both"))

    def hold(self, page: Page, name: str) -> None:  # noqa: ARG002 - one signature for every determinant
        """Refuse: no tariff rewards reactive demand."""
        refuse_reward(name)


class PowerFactorDemand(Declared):
    r"""Demand times reference over actual power factor, kW, where the power factor is metered at the peak.

    ``kW max(1, ref / pf)`` with ``pf = kW / kVA`` equals ``max(kW, ref kVA)``.
    """

    unit: ClassVar[str] = "kW"

    kind: Literal["ratio_pf"]
    ref_pf: float = Field(gt=0, le=1, description="power factor below which demand is raised")
    window_min: float | None = Field(None, gt=0)
    note: str | None = None

    @property
    def refs(self) -> tuple[str, ...]:
        """Determinants it is made from."""
        return ()

    def measure(self, reading: Reading) -> np.ndarray:
        """Greater of peak kW and ``ref_pf`` times peak kVA, shape (cycles,)."""
        window = Demand(kind="demand", window_min=self.window_min)
        apparent = Demand(kind="demand", quantity="kva", window_min=self.window_min)
        return np.asarray(np.maximum(window.measure(reading), self.ref_pf * apparent.measure(reading)))

    def formulate(self, page: Page, name: str) -> Terms:
        """Write ``B_c >= kW`` and ``B_c >= ref kVA`` on the two peaks; an LP."""
        window = Demand(kind="demand", window_min=self.window_min)
        active = window.cover(page, f"{name}.active", page.power["import"])
        apparent = window.cover(page, f"{name}.apparent", apparent_mva(page))
        billed = page.variable("billed_mw", name, "MW", "demand adjusted for power factor")

        @page.block.constraint(page.cycles, of=name)
        def covers_active(c: int) -> Relation:
            r"""B_c \ge P_c"""
            return billed[c] >= active[c]

        @page.block.constraint(page.cycles, of=name)
        def covers_apparent(c: int) -> Relation:
            r"""B_c \ge \cos\varphi^{ref} S_c"""
            return billed[c] >= self.ref_pf * apparent[c]

        return billed

    def hold(self, page: Page, name: str) -> None:  # noqa: ARG002 - one signature for every determinant
        """Refuse: no tariff rewards a poor power factor."""
        refuse_reward(name)


def refuse_reward(name: str) -> None:
    """Raise that a determinant cannot be rewarded in an optimisation."""
    raise InvalidInput(
        Problem(
            f"the tariff rewards a higher `{name}`; the optimiser cannot hold it from above",
            "check the signs of its prices",
            f"determinants.{name}",
        )
    )


__all__ = ["PowerFactorDemand", "ReactiveDemand", "refuse_reward"]
