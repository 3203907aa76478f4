"""Operating points of one network and their solutions, as columns of arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Overlay:
    """Admittance changes that differ by column: `delta` (items,) added to Y[`row_bus`, `column_bus`] in `column`."""

    column: np.ndarray
    row_bus: np.ndarray
    column_bus: np.ndarray
    delta: np.ndarray

    @classmethod
    def join(cls, parts: list[Overlay]) -> Overlay:
        """Put several overlays together; changes of the same entry add up."""
        parts = [part for part in parts if len(part.column)]
        if not parts:
            empty = np.zeros(0, np.int64)
            return cls(empty, empty, empty, np.zeros(0, complex))
        if len(parts) == 1:
            return parts[0]
        names = ("column", "row_bus", "column_bus", "delta")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def by_column(self) -> Overlay:
        """The same changes in the order of their columns."""
        if not (np.diff(self.column) < 0).any():
            return self
        order = np.argsort(self.column, kind="stable")
        return Overlay(self.column[order], self.row_bus[order], self.column_bus[order], self.delta[order])

    def pick(self, columns: np.ndarray, total: int) -> Overlay:
        """Changes of the chosen `columns` out of `total`, renumbered in the order given; a column may come twice."""
        if not len(self.column):
            return self
        ordered, counts = self.by_column(), np.bincount(self.column, minlength=total)
        first = np.cumsum(counts) - counts
        many = counts[columns]
        offset = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        item = np.repeat(first[columns], many) + offset
        column = np.repeat(np.arange(len(columns)), many)
        return Overlay(column, ordered.row_bus[item], ordered.column_bus[item], ordered.delta[item])


@dataclass(frozen=True)
class Points:
    """Operating points to solve; arrays are (buses, columns), complex per unit, injection positive.

    `power` is the constant-power injection, `current` and `impedance` the injections at 1 pu that vary with |V| and
    |V|² (None when there are none). `start` gives the starting voltages, and the phasor of reference buses. `holds`
    (candidates, columns) is True where a voltage-controlled bus keeps the magnitude of `start`; `frozen`
    (buses, columns) marks buses that stay at `start` because they are dead. Columns of the same number in `kin`
    (columns,) differ in little but their injections; all do when it is None.
    """

    power: np.ndarray
    start: np.ndarray
    holds: np.ndarray
    current: np.ndarray | None = None
    impedance: np.ndarray | None = None
    frozen: np.ndarray | None = None
    overlay: Overlay = field(default_factory=lambda: Overlay.join([]))
    kin: np.ndarray | None = None

    @property
    def columns(self) -> int:
        """Number of columns."""
        return int(self.power.shape[1])

    def pick(self, columns: np.ndarray) -> Points:
        """The chosen columns, in the order given."""
        power, holds = np.take(self.power, columns, axis=1), np.take(self.holds, columns, axis=1)
        one = self.start.shape[1] == 1
        start = np.repeat(self.start, len(columns), axis=1) if one else np.take(self.start, columns, axis=1)
        current, impedance, frozen = (
            None if part is None else np.take(part, columns, axis=1)
            for part in (self.current, self.impedance, self.frozen)
        )
        kin = None if self.kin is None else self.kin[columns]
        return Points(power, start, holds, current, impedance, frozen, self.overlay.pick(columns, self.columns), kin)


@dataclass(frozen=True)
class Solution:
    """Voltages (buses, columns) complex per unit, Newton iterations (columns,), -1 where it did not converge."""

    voltage: np.ndarray
    iterations: np.ndarray

    @property
    def converged(self) -> np.ndarray:
        """True where a column converged."""
        return self.iterations >= 0


__all__ = ["Overlay", "Points", "Solution"]
