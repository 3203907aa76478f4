"""Share of its identical units that a part runs at every step, from what the dispatch publishes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from microgrid.formulation.connection import Connection


def running_shares(connections: Sequence[Connection], dispatched: xr.Dataset) -> dict[str, np.ndarray]:
    """Units that run over units there are, shape (steps,), of every part that counts its units.

    A dispatch publishes the count as ``<part>.running`` over time; a part without it is left out.
    """
    shares = {}
    for link in connections:
        name = f"{link.part}.running"
        if link.units and name in dispatched and dispatched[name].dims == ("time",):
            shares[link.part] = dispatched[name].to_numpy().astype(float) / link.units
    return shares


__all__ = ["running_shares"]
