"""What the network itself carries in a piece that is on its own: loads that can be tripped, the rest as it stands."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from microgrid.powerflow.injections import element_power
from microgrid.powerflow.outage_cases import OutageCase
from microgrid.study.island_balance import Member
from microgrid.study.network_check import NetworkCheck

Places = Collection[tuple[str, int]]


@dataclass(frozen=True)
class OwnLoads:
    """Loads of the network itself: pandapower indices, and their injection in MW (loads, steps), at rated voltage."""

    index: tuple[int, ...]
    injection_mw: np.ndarray

    def members(self) -> list[Member]:
        """Firm loads, tripped after those of the case."""
        none = np.zeros(self.injection_mw.shape[1])
        return [
            Member(f"load {index}", "", row, none, none, 0.0, source=False, forms=none > 0.0, own=True)
            for index, row in zip(self.index, self.injection_mw, strict=True)
        ]


def own_loads(
    check: NetworkCheck, buses: Collection[str], without: Places = (), only: Places | None = None
) -> OwnLoads:
    """Own loads at the buses named, but for those at `without`, (table, place in the table); of `only` when given."""
    places = [
        place
        for place in _own_places(check, "load", buses)
        if ("load", place) not in without and (only is None or ("load", place) in only)
    ]
    return OwnLoads(
        tuple(int(check.grid.tables["load"].index[place]) for place in places), _power(check, "load", places)
    )


def fixed_draw_mw(check: NetworkCheck, buses: Collection[str], case: OutageCase | None = None) -> np.ndarray:
    """MW (steps,) that a piece takes beyond its parts and loads: losses before the outage, less its own generation.

    Losses are those of its branches, of shunts at rated voltage, and what motors, wards and the like draw.
    """
    rows = np.array(sorted({check.bus_rows[bus] for bus in buses} - {-1}), int)
    drawn = np.full(check.profiles.steps, _standing_mw(check)[rows].sum()) + _losses_mw(check, rows, case)
    gone = () if case is None else case.injections
    for table in ("gen", "sgen", "storage"):
        places = [place for place in _own_places(check, table, buses) if (table, place) not in gone]
        drawn -= _power(check, table, places).sum(axis=0)
    return np.asarray(drawn)


def _own_places(check: NetworkCheck, table: str, buses: Collection[str]) -> list[int]:
    """Places in the table of live elements of the network without parts, at the buses named."""
    elements, frame, own = check.grid.tables[table], check.attached[table], set(check.net[table].index)
    names = check.attached.bus["name"].astype(str)
    return [
        place
        for place, index in enumerate(elements.index.tolist())
        if elements.bus[place] >= 0 and index in own and names.at[frame.bus.at[index]] in buses
    ]


def _power(check: NetworkCheck, table: str, places: list[int]) -> np.ndarray:
    return np.asarray(element_power(check.grid, check.profiles, table, np.arange(check.profiles.steps))[places].real)


def _standing_mw(check: NetworkCheck) -> np.ndarray:
    """MW by bus row that no profile describes: constant powers, and conductances to earth at rated voltage."""
    grid, branches = check.grid, check.grid.branches
    earth = np.asarray(grid.y_bus.sum(axis=1)).ravel().copy()
    np.subtract.at(earth, branches.from_bus, branches.y_ff + branches.y_ft)
    np.subtract.at(earth, branches.to_bus, branches.y_tt + branches.y_tf)
    return np.asarray((earth.real - grid.constant_power.real) * grid.base_mva)


def _losses_mw(check: NetworkCheck, rows: np.ndarray, case: OutageCase | None) -> np.ndarray:
    """Losses of the branches inside the rows; auxiliary rows belong to whatever they join."""
    branches, flow = check.grid.branches, check.powerflow
    auxiliary = np.setdiff1d(np.arange(check.grid.buses), check.grid.bus_row)
    ends = np.stack([branches.from_bus, branches.to_bus])
    known = np.concatenate([rows, auxiliary])
    inside = np.asarray(np.isin(ends, known).all(axis=0) & np.isin(ends, rows).any(axis=0), bool)
    for table, index in () if case is None else case.outage.elements:
        inside[branches.rows(table, index)] = False
    lost = flow["p_from_mw"].to_numpy()[inside] + flow["p_to_mw"].to_numpy()[inside]
    return np.asarray(np.nan_to_num(lost).sum(axis=0))


__all__ = ["OwnLoads", "fixed_draw_mw", "own_loads"]
