"""Power of network elements over time, in each pandapower table's own sign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Profiles:
    """Active and reactive power by table (``load``, ``sgen``, ``storage``, ``gen``).

    Each array has shape (elements in table order, steps), MW or Mvar before the element's own ``scaling``, C-order. A
    table that is absent keeps the constant values of the net; ``gen`` has no reactive profile but may have `vm_pu`, and
    `online`, the share of its units that run (0 to 1; all run when absent). Only what runs holds a voltage, gives
    reactive power and takes part of an island's unbalance.
    """

    steps: int
    p_mw: Mapping[str, np.ndarray] = field(default_factory=dict)
    q_mvar: Mapping[str, np.ndarray] = field(default_factory=dict)
    vm_pu: Mapping[str, np.ndarray] = field(default_factory=dict)
    online: Mapping[str, np.ndarray] = field(default_factory=dict)


__all__ = ["Profiles"]
