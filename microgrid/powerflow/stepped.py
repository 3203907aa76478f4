"""Elements that move in steps, with their admittance at every position: transformer taps and shunt banks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pandapower.build_branch import _calc_trafo3w_parameter, _calc_trafo_parameter
from pandapower.pypower.idx_brch import BR_STATUS
from pandapower.pypower.makeYbus import branch_vectors

from microgrid.errors import InvalidInput, Problem
from microgrid.powerflow.controls import CapacitorBank, Controls, TapChanger
from microgrid.powerflow.extract import PerUnit, to_per_unit
from microgrid.powerflow.flows import Tapped
from microgrid.powerflow.grid import Grid
from microgrid.powerflow.points import Overlay


@dataclass(frozen=True)
class Stepped:
    """One stepped element.

    Positions run from `lowest` to `highest`; `base` is that of the net. `delta` (positions, entries) is added to
    Y[`row_bus`, `column_bus`]. `branch_y` (positions, 4, branch rows) are its branches' admittances. A move by `upward`
    raises the voltage of bus row `bus`, which should lie within `low_pu` … `high_pu`.
    """

    table: str
    element: int
    label: str
    lowest: int
    base: int
    highest: int
    row_bus: np.ndarray
    column_bus: np.ndarray
    delta: np.ndarray
    branch_rows: np.ndarray
    branch_y: np.ndarray
    bus: int
    upward: int
    low_pu: float
    high_pu: float

    def overlay(self, position: np.ndarray) -> Overlay:
        """Admittance changes for the `position` of every column."""
        moved = np.flatnonzero(position != self.base)
        entries = len(self.row_bus)
        return Overlay(
            column=np.repeat(moved, entries),
            row_bus=np.tile(self.row_bus, len(moved)),
            column_bus=np.tile(self.column_bus, len(moved)),
            delta=self.delta[position[moved] - self.lowest].ravel(),
        )


def tapped_branches(elements: tuple[Stepped, ...], position: np.ndarray) -> Tapped:
    """Branch admittances by column for the positions (elements, columns)."""
    withs = [place for place, element in enumerate(elements) if len(element.branch_rows)]
    if not withs:
        return Tapped.none(position.shape[1])
    rows = np.concatenate([elements[place].branch_rows for place in withs])
    y = [elements[place].branch_y[position[place] - elements[place].lowest].transpose(1, 2, 0) for place in withs]
    return Tapped(rows, np.concatenate(y, axis=1))


def stepped_elements(net: Any, grid: Grid, controls: Controls) -> tuple[Stepped, ...]:
    """All stepped elements of the controls that are in service, tap changers first.

    Raises InvalidInput where an element is unknown, has no usable range, or cannot act on the voltage it watches.
    """
    problems = [text for changer in controls.tap_changers for text in _tap_problems(net, changer)]
    problems += [text for bank in controls.capacitor_banks for text in _bank_problems(net, bank)]
    if problems:
        raise InvalidInput(problems)
    changers = [item for item in controls.tap_changers if len(grid.branches.rows(item.table, item.element))]
    tables = _tap_admittances(net, changers) if changers else []
    out = [_tap_changer(net, grid, changer, y) for changer, y in zip(changers, tables, strict=True)]
    out += [
        _bank(net, grid, bank) for bank in controls.capacitor_banks if grid.row(int(net.shunt.bus[bank.shunt])) >= 0
    ]
    return tuple(item for item in out if item.bus >= 0 and item.bus not in grid.reference)


def _tap_problems(net: Any, changer: TapChanger) -> list[Problem]:
    field = f"tap changer of {changer.table} {changer.element}"
    if changer.element not in net[changer.table].index:
        return [Problem(field=field, rule="there is no such transformer")]
    row = net[changer.table].loc[changer.element]
    problems = []
    if not changer.low_pu < changer.high_pu:
        problems.append(Problem(field=field, value=f"{changer.low_pu} … {changer.high_pu}", rule="the band is empty"))
    if any(np.isnan(float(row[name])) for name in ("tap_min", "tap_max", "tap_step_percent")):
        problems.append(Problem(field=field, rule="tap_min, tap_max or tap_step_percent is missing"))
    elif not row.tap_min <= _base_position(row) <= row.tap_max:
        problems.append(Problem(field=field, value=str(row.tap_pos), rule="tap_pos lies outside tap_min … tap_max"))
    if changer.table == "trafo3w" and row.tap_side not in {"hv", changer.side}:
        rule = f"a tap on the {row.tap_side} winding does not regulate the {changer.side} voltage"
        problems.append(Problem(field=field, rule=rule))
    return problems


def _bank_problems(net: Any, bank: CapacitorBank) -> list[Problem]:
    field = f"capacitor bank {bank.shunt}"
    if bank.shunt not in net.shunt.index:
        return [Problem(field=field, rule="there is no such shunt")]
    problems = []
    if not bank.low_pu < bank.high_pu:
        problems.append(Problem(field=field, value=f"{bank.low_pu} … {bank.high_pu}", rule="the band is empty"))
    row = net.shunt.loc[bank.shunt]
    if not 0 <= row.step <= row.max_step:
        problems.append(Problem(field=field, value=str(row.step), rule="step lies outside 0 … max_step"))
    if bool(row.get("step_dependency_table", False)):
        problems.append(
            Problem(field=field, rule="a shunt with a step table is not switched", remedy="use equal steps")
        )
    return problems


def _positions(row: Any) -> np.ndarray:
    return np.arange(int(row.tap_min), int(row.tap_max) + 1)


def _base_position(row: Any) -> int:
    return int(row.tap_neutral) if np.isnan(float(row.tap_pos)) else int(row.tap_pos)


def _tap_admittances(net: Any, changers: list[TapChanger]) -> list[np.ndarray]:
    """Branch admittances (positions, 4, branches) of every changer, by pandapower's own transformer model."""
    unit = to_per_unit(net)
    rows = [_full_rows(unit, changer) for changer in changers]
    ranges = [_positions(net[changer.table].loc[changer.element]) for changer in changers]
    out: list[list[np.ndarray]] = [[] for _ in changers]
    for place in range(max(len(positions) for positions in ranges)):
        for changer, positions in zip(changers, ranges, strict=True):
            tap = positions[min(place, len(positions) - 1)]
            unit.net[changer.table].loc[changer.element, "tap_pos"] = tap
        branch = _branch_table(unit)
        for position, (positions, full) in enumerate(zip(ranges, rows, strict=True)):
            if place < len(positions):
                y_tt, y_ff, y_ft, y_tf = branch_vectors(branch[full], len(full))
                out[position].append(np.stack([y_ff, y_ft, y_tf, y_tt]))
    return [np.stack(tables) for tables in out]


def _full_rows(unit: PerUnit, changer: TapChanger) -> np.ndarray:
    begin, end = unit.net._pd2ppc_lookups["branch"][changer.table]  # noqa: SLF001 -- pandapower's only lookup
    table = unit.net[changer.table]
    place = int(np.flatnonzero(table.index == changer.element)[0])
    return np.asarray(begin + place + len(table) * np.arange((end - begin) // len(table)))


def _branch_table(unit: PerUnit) -> np.ndarray:
    branch = unit.ppc["branch"]
    ends = branch[:, :2].copy()
    for table, calculate in (("trafo", _calc_trafo_parameter), ("trafo3w", _calc_trafo3w_parameter)):
        if table in unit.net._pd2ppc_lookups["branch"]:  # noqa: SLF001
            calculate(unit.net, unit.ppc)
    branch[:, :2] = ends  # pandapower writes bus numbers again; those of auxiliary buses must stay
    out: np.ndarray = np.array(branch, copy=True)
    out[:, BR_STATUS] = 1.0
    return out


def _tap_changer(net: Any, grid: Grid, changer: TapChanger, y: np.ndarray) -> Stepped:
    row, branches = net[changer.table].loc[changer.element], grid.branches
    rows = branches.rows(changer.table, changer.element)
    if len(rows) != y.shape[2]:
        rule = "a winding is out of service while its tap is controlled"
        raise InvalidInput(Problem(field=f"tap changer of {changer.table} {changer.element}", rule=rule))
    positions, base = _positions(row), _base_position(row)
    delta = y - y[base - positions[0]]
    f, t = branches.from_bus[rows], branches.to_bus[rows]
    return Stepped(
        table=changer.table,
        element=changer.element,
        label=f"{changer.table} {row['name'] or changer.element}",
        lowest=int(positions[0]),
        base=base,
        highest=int(positions[-1]),
        row_bus=np.concatenate([f, f, t, t]),
        column_bus=np.concatenate([f, t, f, t]),
        delta=delta.reshape(len(positions), -1),
        branch_rows=rows,
        branch_y=y,
        bus=grid.row(int(row[f"{changer.side}_bus"])),
        upward=_upward(row, changer.side),
        low_pu=changer.low_pu,
        high_pu=changer.high_pu,
    )


def _upward(row: Any, side: str) -> int:
    """Move that raises the voltage at `side`: more turns on the tapped winding raise that side and lower the other."""
    direction = 1 if (row.tap_side == "hv") == (side == "hv") else -1
    angle = float(row.get("tap_step_degree", np.nan))
    if not np.isnan(angle) and np.cos(np.deg2rad(angle)) < 0.0:
        direction = -direction
    return -direction if row.tap_step_percent < 0 else direction


def _bank(net: Any, grid: Grid, bank: CapacitorBank) -> Stepped:
    shunt = net.shunt.loc[bank.shunt]
    own = grid.row(int(shunt.bus))
    rated = float(net.bus.vn_kv[shunt.bus]) if np.isnan(float(shunt.vn_kv)) else float(shunt.vn_kv)
    ratio = (grid.row_kv[own] / rated) ** 2
    per_step = complex(shunt.p_mw, -shunt.q_mvar) * ratio / grid.base_mva
    positions = np.arange(int(shunt.max_step) + 1)
    watched = own if bank.bus is None else grid.row(bank.bus)
    return Stepped(
        table="shunt",
        element=bank.shunt,
        label=f"shunt {shunt['name'] or bank.shunt}",
        lowest=0,
        base=int(shunt.step),
        highest=int(shunt.max_step),
        row_bus=np.array([own]),
        column_bus=np.array([own]),
        delta=((positions - int(shunt.step)) * per_step)[:, None],
        branch_rows=np.zeros(0, np.int64),
        branch_y=np.zeros((len(positions), 4, 0), complex),
        bus=watched,
        upward=1 if shunt.q_mvar < 0 else -1,
        low_pu=bank.low_pu,
        high_pu=bank.high_pu,
    )


__all__ = ["Stepped", "stepped_elements", "tapped_branches"]
