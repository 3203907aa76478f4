"""How the unbalance of an island is shared, and what that does to first-order sensitivities.

At rest the generators at bus rows `rows` inject `weight` times the total unbalance T, and the reference gives `own`
times T. An injection e moves the source by S_e when the reference alone responds, so T moves by
dT = S_e / (own - sum of weight times S_generator), and everything else by what e does and dT times what the generators
do. A reference whose plant is stopped gives no reactive power: its magnitude moves instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microgrid.powerflow.online import Online
from microgrid.powerflow.settle import Regulated, weights_online


@dataclass(frozen=True)
class SharedSlack:
    """Shares at some columns: `weight` (generators, columns) at bus `rows` (generators,), `own` and `idle` (columns,).

    `idle` marks columns in which the plant at the reference is stopped, `lost` those in which nothing runs at all.
    """

    rows: np.ndarray
    weight: np.ndarray
    own: np.ndarray
    idle: np.ndarray
    lost: np.ndarray

    @classmethod
    def at(cls, system: Regulated, online: Online) -> SharedSlack | None:
        """Shares of what is online; None where the reference carries the unbalance alone."""
        if not system.controls.distributed_slack:
            return None
        weight, own, lost = weights_online(system, online)
        live = np.flatnonzero(system.slack_weight)
        idle = online.idle_references().any(axis=0) & ~lost
        return cls(online.grid.tables["gen"].bus[live], weight[live], own, idle, lost)

    def pick(self, columns: np.ndarray) -> SharedSlack:
        """The chosen columns."""
        return SharedSlack(
            self.rows, self.weight[:, columns], self.own[columns], self.idle[columns], self.lost[columns]
        )

    def respond(
        self, source: np.ndarray, of_units: np.ndarray, of_magnitude: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change of the total unbalance (MW) and of the reference's magnitude (pu), each (columns, inputs).

        `source` (columns, inputs), `of_units` (columns, generators) and `of_magnitude` (columns,) are the changes of
        the source's complex power, MVA, per input, per MW of each generator, and per pu of its own magnitude.
        """
        shared = np.einsum("gc,cg->c", self.weight, of_units)
        # Unknowns (T, m): real part of the source = own T; reactive part = 0 where idle, else m = 0.
        a, b = shared.real - self.own, np.where(self.idle, of_magnitude.real, 0.0)
        c, d = np.where(self.idle, shared.imag, 0.0), np.where(self.idle, of_magnitude.imag, 1.0)
        right = -source.real, np.where(self.idle[:, None], -source.imag, 0.0)
        determinant = (a * d - b * c)[:, None]
        total = (right[0] * d[:, None] - b[:, None] * right[1]) / determinant
        magnitude = (a[:, None] * right[1] - c[:, None] * right[0]) / determinant
        return total, magnitude


__all__ = ["SharedSlack"]
