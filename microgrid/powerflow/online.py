"""Which generators run: only these hold a voltage, give reactive power and share the unbalance of an island."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microgrid.network.profiles import Profiles
from microgrid.powerflow.grid import Grid


@dataclass(frozen=True)
class Online:
    """Share (generators, columns) of the units of every generator that run, 0 to 1, at some columns."""

    grid: Grid
    share: np.ndarray

    @classmethod
    def at(cls, grid: Grid, profiles: Profiles, steps: np.ndarray) -> Online:
        """Shares at the steps (positions in the profiles); all run where no profile says otherwise."""
        given = profiles.online.get("gen")
        share = np.ones((len(grid.tables["gen"].index), len(steps))) if given is None else given[:, steps]
        return cls(grid, np.asarray(share, float))

    def reactive_limits(self, generators: np.ndarray) -> np.ndarray:
        """Lower and upper limits (2, generators, columns) in Mvar of what runs of the chosen generators."""
        gen, share = self.grid.tables["gen"], self.share[generators]
        rated = np.stack([gen.q_min_mvar[generators], gen.q_max_mvar[generators]])[:, :, None]
        limits = np.zeros((2, *share.shape))
        np.multiply(rated, share, out=limits, where=np.broadcast_to(share > 0.0, limits.shape))
        return limits

    def bus_limits_mvar(self) -> np.ndarray:
        """Summed limits (2, controlled buses, columns) in Mvar."""
        limits = np.repeat(self.grid.controlled_q_mvar[:, :, None], self.share.shape[1], axis=2)
        for place, generators in self._groups():
            reduced = (self.share[generators] < 1.0).any(axis=0)
            limits[:, place, reduced] = self.reactive_limits(generators).sum(axis=1)[:, reduced]
        return limits

    def holds(self) -> np.ndarray:
        """True (controlled buses, columns) where something runs that holds the voltage."""
        holds = np.ones((len(self.grid.controlled), self.share.shape[1]), bool)
        for place, generators in self._groups():
            holds[place] = (self.share[generators] > 0.0).any(axis=0)
        return holds

    def idle_references(self) -> np.ndarray:
        """True (reference buses, columns) where a reference has neither an ext_grid nor a generator that runs."""
        sources, gen = self.grid.sources, self.grid.tables["gen"]
        firm = np.isin(self.grid.reference, sources.bus[sources.generator < 0])
        running = [(self.share[gen.bus == row] > 0.0).any(axis=0) for row in self.grid.reference]
        supplied = firm[:, None] | np.array(running, bool).reshape(len(firm), -1)
        return np.asarray(~supplied)

    def _groups(self) -> list[tuple[int, np.ndarray]]:
        """Place of every controlled bus that has generators of the table, with these."""
        bus = self.grid.tables["gen"].bus
        groups = [(place, np.flatnonzero(bus == row)) for place, row in enumerate(self.grid.controlled)]
        return [(place, generators) for place, generators in groups if len(generators)]


__all__ = ["Online"]
