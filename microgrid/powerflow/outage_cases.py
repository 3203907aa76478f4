"""Outages: what is lost, what goes dead with it, and what the rest of the network loses in injection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from microgrid.errors import InvalidInput, Problem
from microgrid.powerflow.extract import unique_names
from microgrid.powerflow.grid import Grid

BRANCH_TABLES = ("line", "trafo", "trafo3w", "impedance")
INJECTION_TABLES = ("gen", "sgen", "storage", "load")
SINGLE = ("line", "trafo", "trafo3w", "gen", "sgen", "storage")


@dataclass(frozen=True)
class Outage:
    """Elements lost together, each as (pandapower table, index); a stated double outage simply lists two.

    A bus takes every branch that ends at it with it, as planning criteria count a bus-section fault (NERC TPL-001-5.1,
    table 1, P2-2), and every bus joined to it by closed switches without impedance, since these are one bus row.
    """

    label: str
    elements: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class OutageCase:
    """An outage resolved against the grid.

    `branch_rows` are the branches lost, `dead` (bus rows,) those left without a source, `injections` the elements lost
    as (table, place in the table). `buses_lost` names the pandapower buses that were alive and now are dead.
    """

    outage: Outage
    branch_rows: np.ndarray
    dead: np.ndarray
    injections: tuple[tuple[str, int], ...]
    buses_lost: tuple[str, ...]


def single_outages(net: Any, tables: Iterable[str] = SINGLE) -> tuple[Outage, ...]:
    """One outage per element in service of the tables, named like the branches of a power-flow result.

    Tables may be any of line, trafo, trafo3w, impedance, gen, sgen, storage, load, bus, ext_grid.
    """
    out = []
    for table in tables:
        frame, names = net[table], unique_names(net, table)
        for place, index in enumerate(frame.index):
            if bool(frame["in_service"].iloc[place]):
                out.append(Outage(f"{table} {names[place]}", ((table, int(index)),)))
    return tuple(out)


def double_outage(first: Outage, second: Outage) -> Outage:
    """Both at once."""
    return Outage(f"{first.label} + {second.label}", first.elements + second.elements)


def resolve_outages(grid: Grid, outages: Iterable[Outage]) -> tuple[OutageCase, ...]:
    """Resolve outages; raises InvalidInput for elements that do not exist, or a label that stands for two outages."""
    outages = tuple(outages)
    problems = [problem for outage in outages for problem in _problems(grid, outage)]
    labels = [outage.label for outage in outages]
    problems += [
        Problem(field=f"outage {label}", rule="two outages bear this label")
        for label in sorted(set(labels))
        if labels.count(label) > 1
    ]
    if problems:
        raise InvalidInput(problems)
    return tuple(_case(grid, outage) for outage in outages)


def _problems(grid: Grid, outage: Outage) -> list[Problem]:
    problems = []
    for table, element in outage.elements:
        if table in INJECTION_TABLES:
            known = element in grid.tables[table].index
        elif table == "bus":
            known = element in grid.bus_index
        elif table == "ext_grid":
            known = element in _source_indices(grid)
        else:
            known = table in BRANCH_TABLES and len(grid.branches.rows(table, element)) > 0
        if not known:
            rule = f"{table} {element} does not exist or is out of service"
            problems.append(Problem(field=f"outage {outage.label}", rule=rule))
    return problems


def _source_indices(grid: Grid) -> list[int]:
    return list(grid.sources.element[grid.sources.generator < 0])


def _case(grid: Grid, outage: Outage) -> OutageCase:
    branches = grid.branches
    lost = np.zeros(len(branches.label), bool)
    gone = np.zeros(grid.buses, bool)
    injections: list[tuple[str, int]] = []
    sources = np.ones(len(grid.sources.label), bool)
    for table, element in outage.elements:
        if table in BRANCH_TABLES:
            lost[branches.rows(table, element)] = True
        elif table == "bus":
            gone[grid.row(element)] = grid.row(element) >= 0
        elif table == "ext_grid":
            sources &= ~((grid.sources.generator < 0) & (grid.sources.element == element))
        else:
            place = int(np.flatnonzero(grid.tables[table].index == element)[0])
            injections.append((table, place))
            sources &= ~((grid.sources.generator == place) & (table == "gen"))
    lost |= gone[branches.from_bus] | gone[branches.to_bus]
    dead = gone | ~_fed(grid, lost, np.setdiff1d(grid.sources.bus[sources], np.flatnonzero(gone)))
    _check_sources(grid, outage, sources, dead)
    named = dead[grid.bus_row] & (grid.bus_row >= 0)
    names = tuple(grid.bus_names[place] for place in np.flatnonzero(named))
    touched = lost | dead[branches.from_bus] | dead[branches.to_bus]
    return OutageCase(outage, np.flatnonzero(touched), dead, tuple(injections), names)


def _fed(grid: Grid, lost: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """True for bus rows that still reach a source."""
    keep = ~lost
    ends = (grid.branches.from_bus[keep], grid.branches.to_bus[keep])
    graph = sp.coo_matrix((np.ones(int(keep.sum())), ends), shape=(grid.buses, grid.buses))
    _, island = connected_components(graph, directed=False)
    return np.isin(island, island[sources])


def _check_sources(grid: Grid, outage: Outage, sources: np.ndarray, dead: np.ndarray) -> None:
    """A source bus that loses its source but stays fed from elsewhere would need another reference."""
    orphaned = np.setdiff1d(grid.reference, grid.sources.bus[sources])
    if np.any(~dead[orphaned]):
        rule = "loses one of several sources; its bus would become an ordinary bus"
        remedy = "study it as a network of its own with that source out of service"
        raise InvalidInput(Problem(field=f"outage {outage.label}", rule=rule, remedy=remedy))


__all__ = ["Outage", "OutageCase", "double_outage", "resolve_outages", "single_outages"]
