"""The network as the power flow sees it: admittances, who injects where, how table rows map to buses and branches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True)
class ElementTable:
    """Elements of one pandapower table (``load``, ``sgen``, ``storage``, ``gen``), shapes (elements,).

    `bus` is the bus row, -1 where the element is out of service or its bus is dead. `factor` is sign (injection
    positive) times scaling, zero where out of service: injection = factor * table value. Reactive limits are infinite
    where the net gives none.
    """

    names: tuple[str, ...]
    index: np.ndarray
    bus: np.ndarray
    factor: np.ndarray
    p_mw: np.ndarray
    q_mvar: np.ndarray
    q_min_mvar: np.ndarray
    q_max_mvar: np.ndarray

    def incidence(self, buses: int, weight: np.ndarray | None = None) -> sp.csr_matrix:
        """Matrix (buses, elements) that adds table values up to bus injections, optionally weighted by element."""
        value = self.factor if weight is None else self.factor * weight
        live = np.flatnonzero(self.bus >= 0)
        return sp.csr_matrix((value[live], (self.bus[live], live)), shape=(buses, len(self.bus)))


@dataclass(frozen=True)
class LoadShares:
    """Shares of each load drawn as constant current and constant impedance at rated voltage, shapes (loads,)."""

    current_p: np.ndarray
    impedance_p: np.ndarray
    current_q: np.ndarray
    impedance_q: np.ndarray

    @property
    def any(self) -> bool:
        """True when some load depends on voltage."""
        return any(
            bool(np.any(share)) for share in (self.current_p, self.impedance_p, self.current_q, self.impedance_q)
        )


@dataclass(frozen=True)
class Branches:
    """In-service branches in per-unit rows: lines, transformers (a three-winding one has three), impedances, switches.

    Admittances are per unit: I_from = y_ff V_from + y_ft V_to, I_to = y_tf V_from + y_tt V_to. `ampere_base` is kA per
    pu current at each end; `rating_from_ka` and `rating_to_ka` make loading = max of the two ends, NaN where no rating
    is given. `table`, `element`, `part` say which pandapower row it is (part: hv, mv, lv of trafo3w, else "").
    """

    label: tuple[str, ...]
    table: tuple[str, ...]
    element: np.ndarray
    part: tuple[str, ...]
    from_bus: np.ndarray
    to_bus: np.ndarray
    y_ff: np.ndarray
    y_ft: np.ndarray
    y_tf: np.ndarray
    y_tt: np.ndarray
    ampere_base_from: np.ndarray
    ampere_base_to: np.ndarray
    rating_from_ka: np.ndarray
    rating_to_ka: np.ndarray

    def rows(self, table: str, element: int) -> np.ndarray:
        """Branch rows of one pandapower element; empty when it is out of service."""
        return np.array(
            [row for row, name in enumerate(self.table) if name == table and self.element[row] == element], int
        )


@dataclass(frozen=True)
class Sources:
    """Elements that fix the voltage phasor: ext_grid rows and slack generators.

    `share` splits the power of a bus among them; `generator` is the place in the gen table, -1 for an ext_grid;
    `element` is the pandapower index.
    """

    label: tuple[str, ...]
    bus: np.ndarray
    share: np.ndarray
    generator: np.ndarray
    element: np.ndarray


@dataclass(frozen=True)
class Grid:
    """A pandapower net in per unit, as `_pd2ppc` models it, with everything the batched power flow needs.

    Bus rows are pandapower's internal buses (fused by closed switches, auxiliary buses added, dead ones left out).
    `controlled` rows hold a voltage; `controlled_q_mvar` (2, controlled) are the summed reactive limits of their
    generators, infinite where the net gives none. `bus_row` (pandapower buses,) gives the row of every bus of the net,
    -1 where it is dead.
    """

    base_mva: float
    frequency_hz: float
    y_bus: sp.csr_matrix
    reference: np.ndarray
    reference_voltage: np.ndarray
    controlled: np.ndarray
    controlled_vm_pu: np.ndarray
    controlled_q_mvar: np.ndarray
    start: np.ndarray
    constant_power: np.ndarray
    tables: Mapping[str, ElementTable]
    load_shares: LoadShares
    bus_names: tuple[str, ...]
    bus_index: np.ndarray
    bus_row: np.ndarray
    bus_kv: np.ndarray
    row_kv: np.ndarray
    branches: Branches
    sources: Sources

    @property
    def buses(self) -> int:
        """Number of bus rows."""
        return int(self.y_bus.shape[0])

    def row(self, bus: int) -> int:
        """Row of a pandapower bus index; -1 when it is dead."""
        return int(self.bus_row[np.flatnonzero(self.bus_index == bus)[0]])


__all__ = ["Branches", "ElementTable", "Grid", "LoadShares", "Sources"]
