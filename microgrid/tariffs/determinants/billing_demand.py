"""Billing demand made from other determinants: ratchets, contract minimums, floors, caps, overruns and sums.

All rows sit on the one variable a cycle of each determinant, never on intervals: a ratchet on interval rows is thirty
times slower for the same optimum (facts page, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.schema.quantity import Declared
from microgrid.tariffs.determinants.past import Look, Missing, Term, looks
from microgrid.tariffs.page import KILO, Page, Terms
from microgrid.tariffs.reading import Reading


class MaxOf(Declared):
    """Greatest of its terms: ratchet, contract minimum and floor are one construct."""

    unit: ClassVar[str] = "kW"

    kind: Literal["max_of"]
    of: tuple[Term, ...]
    note: str | None = None

    @property
    def refs(self) -> tuple[str, ...]:
        """Determinants it is made from."""
        return tuple(term.ref for term in self.of if term.ref is not None)

    def measure(self, reading: Reading) -> np.ndarray:
        """Greatest term by cycle, shape (cycles,), never negative."""
        cycles = reading.axis.cycles
        greatest = np.zeros(cycles.count)
        for term in self.of:
            if term.ref is None:
                np.fmax(greatest, _fixed(term, reading.contract, cycles.month), out=greatest)
                continue
            values = reading.determinants[term.ref]
            for cycle in range(cycles.count):
                for look in looks(term, cycle, cycles, reading.history):
                    if isinstance(look, Missing):
                        _note_missing(reading, look)
                        continue
                    value = look.share * (values[look.cycle] if look.cycle >= 0 else look.kw)
                    greatest[cycle] = max(greatest[cycle], value)
        return greatest

    def formulate(self, page: Page, name: str) -> Terms:
        """Write ``B_c >= share x P`` on monthly peaks, and constants as one floor; an LP."""
        billed = page.variable("billed_mw", name, "MW", "billing demand of the cycle")
        floors, rows = self._terms(page)

        @page.block.constraint(range(len(rows)), of=name)
        def ratchet(k: int) -> Relation:
            r"""B_c \ge \alpha P_{c'} for the present cycle and every cycle looked back on"""
            cycle, look, ref = rows[k]
            return billed[cycle] >= look.share * page.determinants[ref][look.cycle]

        @page.block.constraint(page.cycles, of=name)
        def floor(c: int) -> Relation | None:
            r"""B_c \ge greatest of contract minimum, constant and past peaks of history"""
            return billed[c] >= floors[c] / KILO if floors[c] > 0 else None

        return billed

    def _terms(self, page: Page) -> tuple[np.ndarray, list[tuple[int, Look, str]]]:
        """Floor by cycle in kW, and the rows on other determinants."""
        cycles = page.axis.cycles
        floors = np.zeros(cycles.count)
        rows: dict[tuple[int, str, int], Look] = {}
        for term in self.of:
            if term.ref is None:
                np.fmax(floors, _fixed(term, page.contract, cycles.month), out=floors)
                continue
            for cycle in range(cycles.count):
                for look in looks(term, cycle, cycles, page.history):
                    if isinstance(look, Missing):
                        raise InvalidInput(missing_history(look))
                    if look.cycle < 0:
                        floors[cycle] = max(floors[cycle], look.share * look.kw)
                        continue
                    key = (cycle, term.ref, look.cycle)
                    if key not in rows or rows[key].share < look.share:
                        rows[key] = look
        return floors, [(cycle, look, ref) for (cycle, ref, _), look in rows.items()]

    def hold(self, page: Page, name: str) -> None:
        """Hold the billing demand from above where more of it is rewarded: one of its terms must attain it.

        One binary a term and cycle concerned, since the greatest of several terms is convex and rewarding it is not;
        bounded by the greatest value the determinant can reach.
        """
        rewarded = np.flatnonzero(page.pull[name] < 0).tolist()
        floors, rows = self._terms(page)
        highest = page.reach().highest[name] / KILO
        rows = [row for row in rows if row[0] in rewarded]
        choices = page.indexed("choice", name, len(rows) + len(rewarded))
        attained = page.block.variable(
            "attains", choices, "1", "the term that sets the billing demand", upper=1.0, integer=True, of=name
        )
        billed = page.determinants[name]
        for cycle, look, ref in rows:
            lift = np.zeros(page.cycles.size)
            lift[look.cycle] = look.share * page.pull[name][cycle]
            page.pulls(f"{name} held", ref, lift)

        @page.block.constraint(choices, of=name)
        def from_above(k: int) -> Relation:
            r"""B_c \le \alpha P_{c'} + \bar B (1 - z_k)"""
            if k < len(rows):
                cycle, look, ref = rows[k]
                value: Linear | float = look.share * page.determinants[ref][look.cycle]
            else:
                cycle = rewarded[k - len(rows)]
                value = float(floors[cycle]) / KILO
            return billed[cycle] <= value + float(highest[cycle]) * (1.0 - attained[k])

        @page.block.constraint(rewarded, of=name)
        def one_attains(c: int) -> Relation:
            r"""\sum_k z_k = 1"""
            own = [k for k, row in enumerate(rows) if row[0] == c] + [len(rows) + rewarded.index(c)]
            return total(attained[k] for k in own) == 1.0


class MinOf(Declared):
    """Least of its terms, e.g. the firm part of a demand."""

    unit: ClassVar[str] = "kW"

    kind: Literal["min_of"]
    of: tuple[Term, ...]
    note: str | None = None

    @property
    def refs(self) -> tuple[str, ...]:
        """Determinants it is made from."""
        return tuple(term.ref for term in self.of if term.ref is not None)

    def measure(self, reading: Reading) -> np.ndarray:
        """Least term by cycle, of those that count in its month, shape (cycles,)."""
        month = reading.axis.cycles.month
        values = [
            term.shares(month) * reading.determinants[term.ref]
            if term.ref is not None
            else _fixed(term, reading.contract, month)
            for term in self.of
        ]
        return np.asarray(np.fmin.reduce(values))

    def formulate(self, page: Page, name: str) -> Terms:
        """Write ``m >= term_k - M_k (1 - z_k)`` with one term chosen: one binary a term and cycle.

        The least of several terms is concave and has a positive price, so its cost is not convex and no LP can state
        it. ``M_k`` is the greatest value of the term less the least of the minimum, which is the tightest valid one.
        """
        least = page.variable("least_mw", name, "MW", "least of the terms")
        months, reach = page.axis.cycles.month.tolist(), page.reach()
        pairs = [
            (c, term, share) for c in page.cycles for term in self.of if (share := term.share(months[c])) is not None
        ]
        choices = page.indexed("choice", name, len(pairs))
        chosen = page.block.variable(
            "attains", choices, "1", "the term that sets the minimum", upper=1.0, integer=True, of=name
        )

        @page.block.constraint(choices, of=name)
        def from_below(k: int) -> Relation:
            r"""m_c \ge x_{c,k} - M_{c,k} (1 - z_{c,k})"""
            c, term, share = pairs[k]
            highest = share * (reach.highest[term.ref][c] if term.ref is not None else _amount(term, page.contract))
            slack = max(0.0, float(highest - reach.lowest[name][c]) / KILO)
            return least[c] >= _term_mw(page, term, c, share) - slack * (1.0 - chosen[k])

        @page.block.constraint(page.cycles, of=name)
        def one_chosen(c: int) -> Relation:
            r"""\sum_k z_{c,k} = 1"""
            return total(chosen[k] for k, pair in enumerate(pairs) if pair[0] == c) == 1.0

        @page.block.constraint(choices, of=name)
        def from_above(k: int) -> Relation:
            r"""m_c \le x_{c,k}"""
            c, term, share = pairs[k]
            return least[c] <= _term_mw(page, term, c, share)

        return least

    def hold(self, page: Page, name: str) -> None:
        """Pass the reward on: the rows above already hold the minimum from both sides."""
        rewarded = np.minimum(page.pull[name], 0.0)
        for term in self.of:
            if term.ref is not None:
                page.pulls(f"{name} held", term.ref, rewarded * np.nan_to_num(term.shares(page.axis.cycles.month)))


class SumOf(Declared):
    """Weighted sum of determinants."""

    unit: ClassVar[str] = "kW"

    kind: Literal["sum"]
    of: dict[str, float]
    note: str | None = None

    @property
    def refs(self) -> tuple[str, ...]:
        """Determinants it is made from."""
        return tuple(self.of)

    def measure(self, reading: Reading) -> np.ndarray:
        """Weighted sum by cycle, shape (cycles,)."""
        return np.asarray(sum(weight * reading.determinants[ref] for ref, weight in self.of.items()))

    def formulate(self, page: Page, name: str) -> Terms:
        """Write the sum itself; no variable."""
        del name
        return [total(weight * page.determinants[ref][c] for ref, weight in self.of.items()) for c in page.cycles]

    def hold(self, page: Page, name: str) -> None:
        """Nothing of its own: `pass_on` hands every pull to the terms."""

    def pass_on(self, page: Page, name: str) -> None:
        """Hand the pull on the sum to its terms, weight by weight."""
        for ref, weight in self.of.items():
            page.pulls(f"{name} passed on", ref, weight * page.pull[name])


class Excess(Declared):
    """Demand above a limit (contract overrun), never negative."""

    unit: ClassVar[str] = "kW"

    kind: Literal["excess"]
    ref: str
    over: float | str
    pct: float = 1.0
    note: str | None = None

    @property
    def refs(self) -> tuple[str, ...]:
        """Determinants it is made from."""
        return (self.ref,)

    def measure(self, reading: Reading) -> np.ndarray:
        """Excess by cycle, shape (cycles,)."""
        limit = reading.determinants[self.over] if self.over in reading.determinants else reading.amount(self.over)
        return np.asarray(np.maximum(reading.determinants[str(self.ref)] - limit * self.pct, 0.0))

    def formulate(self, page: Page, name: str) -> Terms:
        """Write ``o_c >= D_c - alpha K``; an LP while the excess is paid for."""
        excess = page.variable("excess_mw", name, "MW", "demand above the limit")

        @page.block.constraint(page.cycles, of=name)
        def overrun(c: int) -> Relation:
            r"""o_c \ge D_c - \alpha K"""
            return excess[c] >= page.determinants[self.ref][c] - self._limit_mw(page, c)

        return excess

    def pass_on(self, page: Page, name: str) -> None:
        """Note that a higher limit, where it is a determinant, lowers an excess that is paid for."""
        if self.over in page.determinants:
            page.pulls(f"{name} passed on", str(self.over), -self.pct * np.maximum(page.pull[name], 0.0))

    def _limits_kw(self, page: Page) -> tuple[np.ndarray | float, np.ndarray | float]:
        """Least and greatest value of the limit."""
        if isinstance(self.over, str) and self.over in page.determinants:
            reach = page.reach()
            return self.pct * reach.lowest[self.over], self.pct * reach.highest[self.over]
        fixed = self.pct * page.amount(self.over)
        return fixed, fixed

    def _limit_mw(self, page: Page, c: int) -> Linear | float:
        if isinstance(self.over, str) and self.over in page.determinants:
            return self.pct * page.determinants[self.over][c]
        return self.pct * page.amount(self.over) / KILO

    def hold(self, page: Page, name: str) -> None:
        """Hold the excess from above where it is rewarded (an interruptible credit): one binary a cycle.

        The excess is convex in the demand, so a reward for it is not; ``M`` is the greatest excess, and the greatest
        shortfall below the limit.
        """
        rewarded = np.flatnonzero(page.pull[name] < 0)
        reach = page.reach()
        over = page.variable("is_over", name, "1", "whether the demand is above the limit", integer=True)
        excess, demand = page.determinants[name], page.determinants[self.ref]
        page.pulls(f"{name} held", self.ref, np.minimum(page.pull[name], 0.0))
        low, high = self._limits_kw(page)
        below = np.maximum(high - reach.lowest[self.ref], 0.0) / KILO
        most = np.maximum(reach.highest[self.ref] - low, 0.0) / KILO

        @page.block.constraint(rewarded.tolist(), of=name)
        def none_below(c: int) -> Relation:
            r"""o_c \le \bar o y_c"""
            return excess[c] <= float(most[c]) * over[c]

        @page.block.constraint(rewarded.tolist(), of=name)
        def no_more(c: int) -> Relation:
            r"""o_c \le D_c - \alpha K + M (1 - y_c)"""
            return excess[c] <= demand[c] - self._limit_mw(page, c) + float(below[c]) * (1.0 - over[c])


class Constant(Declared):
    """A contract value or a number, the same in every cycle (reservation, standby, a known capacity obligation)."""

    unit: ClassVar[str] = "kW"

    kind: Literal["const"]
    of: float | str
    note: str | None = None

    @property
    def refs(self) -> tuple[str, ...]:
        """Determinants it is made from."""
        return ()

    def measure(self, reading: Reading) -> np.ndarray:
        """Return the value in every cycle, shape (cycles,)."""
        return np.full(reading.axis.cycles.count, reading.amount(self.of))

    def formulate(self, page: Page, name: str) -> Terms:
        """Return the value in every cycle, as a term."""
        del name
        return [page.constant(page.amount(self.of) / KILO)] * page.cycles.size

    def hold(self, page: Page, name: str) -> None:
        """Nothing: a constant cannot move."""


def _amount(term: Term, contract: Mapping[str, float]) -> float:
    return contract[term.contract] if term.contract is not None else term.const or 0.0


def _fixed(term: Term, contract: Mapping[str, float], month: np.ndarray) -> np.ndarray:
    """Contract value or constant by cycle, NaN where the term does not count in the month."""
    return _amount(term, contract) * term.shares(month)


def _term_mw(page: Page, term: Term, c: int, share: float) -> Linear:
    if term.ref is not None:
        return share * page.determinants[term.ref][c]
    return page.constant(share * _amount(term, page.contract) / KILO)


def _note_missing(reading: Reading, look: Missing) -> None:
    reading.missing[look.ref] = max(reading.missing.get(look.ref, 0), look.cycles)


def missing_history(look: Missing) -> Problem:
    """Return the problem of a ratchet without the past peaks it needs."""
    return Problem(
        f"a ratchet looks back on `{look.ref}`, {look.cycles} cycles before the load begins",
        f"give history: {{{look.ref}: [kW, oldest first]}}, or state `history: first_year` (no service before) or "
        "`history: steady_state` (the load repeats)",
        f"determinants.{look.ref}",
    )


__all__ = ["Constant", "Excess", "MaxOf", "MinOf", "SumOf", "missing_history"]
