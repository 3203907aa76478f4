"""The itemised account that charges write on: one line for each cycle, charge, period and tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

COLUMNS = ("cycle", "charge", "kind", "tags", "period", "tier", "quantity", "unit", "unit_price", "amount")


@dataclass
class Ledger:
    """Lines in the order billed, and the amount of each charge by cycle, shape (cycles,).

    With `cents` every line is rounded to the cent as it is entered, so that later percentages see what is printed.
    """

    cycles: Sequence[str]
    cents: bool = False
    amounts: dict[str, np.ndarray] = field(default_factory=dict)
    about: dict[str, tuple[str, str]] = field(default_factory=dict)
    entries: list[tuple[str, np.ndarray, Sequence[str], np.ndarray, np.ndarray, str, np.ndarray, np.ndarray]] = field(
        default_factory=list
    )

    def open(self, charge: str, kind: str, tags: Sequence[str]) -> None:
        """Begin a charge; its amounts are zero until lines are entered."""
        self.amounts[charge] = np.zeros(len(self.cycles))
        self.about[charge] = (kind, " ".join(tags))

    def enter(
        self,
        charge: str,
        unit: str,
        cycle: np.ndarray,
        quantity: np.ndarray,
        amount: np.ndarray,
        *,
        period: Sequence[str] | None = None,
        tier: np.ndarray | None = None,
    ) -> None:
        """Enter lines; arrays have one value a line. The unit price is amount over quantity."""
        money = cents(amount) if self.cents else np.asarray(amount, dtype=float)
        price = np.divide(amount, quantity, out=np.zeros(len(cycle)), where=np.asarray(quantity) != 0.0)
        names = period if period is not None else [""] * len(cycle)
        level = tier if tier is not None else np.zeros(len(cycle), dtype=np.int64)
        self.entries.append((charge, cycle, names, level, quantity, unit, price, money))
        self.amounts[charge] = self.amounts[charge] + np.bincount(cycle, money, len(self.cycles))

    def each_cycle(self, charge: str, unit: str, quantity: np.ndarray, amount: np.ndarray) -> None:
        """Enter one line a cycle, leaving out those with neither quantity nor amount."""
        shown = np.flatnonzero((quantity != 0.0) | (amount != 0.0))
        self.enter(charge, unit, shown, quantity[shown], amount[shown])

    def table(self) -> pd.DataFrame:
        """All lines as a long table with the columns of `COLUMNS`; tiers count from 1, 0 means none."""
        columns: dict[str, list[object]] = {name: [] for name in COLUMNS}
        for charge, cycle, names, level, quantity, unit, price, money in self.entries:
            kind, tags = self.about[charge]
            count = len(cycle)
            columns["cycle"] += [self.cycles[place] for place in cycle.tolist()]
            columns["charge"] += [charge] * count
            columns["kind"] += [kind] * count
            columns["tags"] += [tags] * count
            columns["period"] += list(names)
            columns["tier"] += level.tolist()
            columns["quantity"] += np.asarray(quantity, dtype=float).tolist()
            columns["unit"] += [unit] * count
            columns["unit_price"] += price.tolist()
            columns["amount"] += money.tolist()
        return pd.DataFrame(columns, columns=list(COLUMNS))


def cents(amount: np.ndarray) -> np.ndarray:
    """Round to the cent, halves away from zero, forgiving the last bits of a float."""
    scaled = np.abs(np.asarray(amount, dtype=float)) * 100.0
    return np.asarray(np.sign(amount) * np.floor(scaled * (1.0 + 1e-12) + 0.5) / 100.0)


__all__ = ["COLUMNS", "Ledger", "cents"]
