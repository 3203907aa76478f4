"""Per-unit bus injections of a grid at many steps, from the profiles of its elements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from microgrid.errors import InvalidInput, Problem
from microgrid.network.profiles import Profiles
from microgrid.powerflow.grid import Grid
from microgrid.powerflow.online import Online


@dataclass(frozen=True)
class Injections:
    """Bus injections (buses, steps), complex per unit, and set points (controlled buses, steps) in pu.

    `current` and `impedance` vary with |V| and |V|² and are None when no load depends on voltage.
    """

    power: np.ndarray
    current: np.ndarray | None
    impedance: np.ndarray | None
    vm_pu: np.ndarray

    def pick(self, columns: np.ndarray) -> Injections:
        """The chosen columns, in the order given."""
        parts = (self.power, self.current, self.impedance, self.vm_pu)
        power, current, impedance, vm_pu = (None if part is None else np.take(part, columns, axis=1) for part in parts)
        assert power is not None  # noqa: S101 -- only voltage-dependent parts may be missing
        assert vm_pu is not None  # noqa: S101
        return Injections(power, current, impedance, vm_pu)

    def at(self, voltage: np.ndarray) -> np.ndarray:
        """Complex injection at the voltages given, (buses, columns) pu, voltage-dependent parts included."""
        if self.current is None or self.impedance is None:
            return self.power
        size = np.abs(voltage)
        out: np.ndarray = self.power + self.current * size + self.impedance * size**2
        return out


def check_profiles(grid: Grid, profiles: Profiles) -> None:
    """Raise InvalidInput for every profile that does not fit the net: unknown table, wrong shape, not a number."""
    problems = []
    names = ("p_mw", "q_mvar", "vm_pu", "online")
    for quantity, given in ((name, getattr(profiles, name)) for name in names):
        for table, values in given.items():
            problems += _check_one(grid, profiles.steps, table, quantity, np.asarray(values))
    if problems:
        raise InvalidInput(problems)


def _check_one(grid: Grid, steps: int, table: str, quantity: str, values: np.ndarray) -> list[Problem]:
    where = f"profiles.{quantity}[{table}]"
    if table not in grid.tables or (quantity != "p_mw" and (quantity != "q_mvar") != (table == "gen")):
        remedy = "load, sgen, storage: p_mw, q_mvar; gen: p_mw, vm_pu, online"
        return [Problem(field=where, rule="no such profile", remedy=remedy)]
    wanted = (len(grid.tables[table].index), steps)
    if values.shape != wanted:
        return [Problem(field=where, value=str(values.shape), rule=f"shape must be (elements, steps) = {wanted}")]
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        element, step = bad[0]
        rule = f"not a number at step {step} of element {grid.tables[table].names[element]} ({len(bad)} in all)"
        return [Problem(field=where, rule=rule)]
    if quantity == "online" and ((values < 0.0) | (values > 1.0)).any():
        return [Problem(field=where, rule="a share of units online lies within 0 to 1")]
    return []


def injections(grid: Grid, profiles: Profiles, begin: int, end: int) -> Injections:
    """Injections of steps `begin` … `end`; tables without a profile keep the values of the net."""
    power = np.repeat(grid.constant_power[:, None], end - begin, axis=1)
    current = impedance = None
    for name, table in grid.tables.items():
        if not len(table.index):
            continue
        p = _series(profiles.p_mw.get(name), table.p_mw, begin, end)
        q = _series(profiles.q_mvar.get(name), table.q_mvar, begin, end)
        if name == "load" and grid.load_shares.any:
            current, impedance = _voltage_dependent(grid, p, q)
            shares = grid.load_shares
            p = p * (1.0 - shares.current_p - shares.impedance_p)[:, None]
            q = q * (1.0 - shares.current_q - shares.impedance_q)[:, None]
        _add(power, table.incidence(grid.buses, np.full(len(table.index), 1.0 / grid.base_mva)), p, q)
    return Injections(power, current, impedance, _set_points(grid, profiles, begin, end))


def element_power(grid: Grid, profiles: Profiles, name: str, steps: np.ndarray) -> np.ndarray:
    """Complex injection of every element of a table in MVA (elements, steps), at rated voltage."""
    table = grid.tables[name]
    p, q = profiles.p_mw.get(name, table.p_mw[:, None]), profiles.q_mvar.get(name, table.q_mvar[:, None])
    p, q = (values[:, steps] if values.shape[1] > 1 or profiles.steps == 1 else values for values in (p, q))
    return np.asarray(np.broadcast_to(table.factor[:, None] * (p + 1j * q), (len(table.index), len(steps))))


def element_parts(
    grid: Grid, profiles: Profiles, element: tuple[str, int], steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Constant, |V|- and |V|²-dependent injection of one (table, place), each (steps,) complex pu."""
    name, place = element
    power = element_power(grid, profiles, name, steps)[place] / grid.base_mva
    none = np.zeros(len(steps), complex)
    if name != "load" or not grid.load_shares.any:
        return power, none, none
    shares = grid.load_shares
    current = power.real * shares.current_p[place] + 1j * power.imag * shares.current_q[place]
    impedance = power.real * shares.impedance_p[place] + 1j * power.imag * shares.impedance_q[place]
    return power - current - impedance, current, impedance


def _add(power: np.ndarray, incidence: sp.csr_matrix, p: np.ndarray, q: np.ndarray) -> None:
    real, imag = incidence @ p, incidence @ q
    power.real += real  # broadcasts a constant column
    power.imag += imag


def _voltage_dependent(grid: Grid, p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    table, shares = grid.tables["load"], grid.load_shares
    parts = []
    for share_p, share_q in ((shares.current_p, shares.current_q), (shares.impedance_p, shares.impedance_q)):
        real = table.incidence(grid.buses, share_p) @ p
        parts.append((real + 1j * (table.incidence(grid.buses, share_q) @ q)) / grid.base_mva)
    return parts[0], parts[1]


def _series(values: np.ndarray | None, constant: np.ndarray, begin: int, end: int) -> np.ndarray:
    return np.broadcast_to(constant[:, None], (len(constant), end - begin)) if values is None else values[:, begin:end]


def _set_points(grid: Grid, profiles: Profiles, begin: int, end: int) -> np.ndarray:
    out = np.repeat(grid.controlled_vm_pu[:, None], end - begin, axis=1)
    wanted = profiles.vm_pu.get("gen")
    if wanted is None:
        return out
    online = Online.at(grid, profiles, np.arange(begin, end)).share
    for element, bus in enumerate(grid.tables["gen"].bus):
        place = np.flatnonzero(grid.controlled == bus)
        if len(place):
            out[place[0]] = np.where(online[element] > 0.0, wanted[element, begin:end], out[place[0]])
    return out


__all__ = ["Injections", "check_profiles", "element_parts", "element_power", "injections"]
