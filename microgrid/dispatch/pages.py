"""The pages of one model: the parts in their order, then the balance. Whoever reads them brings the blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from microgrid.dispatch.balance import CAMPUS, formulate_balance
from microgrid.formulation.block import Block
from microgrid.formulation.connection import NetworkCut
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared


@dataclass(frozen=True)
class Pages:
    """What is written: `parts` by name over `horizon`, with aligned `inputs`, balance `groups` and network `cuts`."""

    parts: Mapping[str, Declared]
    horizon: Horizon
    inputs: Mapping[str, np.ndarray]
    groups: Mapping[str, str] = field(default_factory=dict)
    cuts: Sequence[NetworkCut] = ()
    carried: Mapping[str, float] | None = None

    def write(self, page: Callable[[str, Declared], Block]) -> None:
        """Let every part write on its own page (by name and part), and the balance on the last."""
        for name, part in self.parts.items():
            part.formulate(page(name, part))  # type: ignore[attr-defined]
        formulate_balance(page(CAMPUS, Declared()), self.parts, self.groups, self.cuts)


__all__ = ["Pages"]
