"""First-order effect of bus injections on voltages, currents and the power of the sources, at solved points.

At a solved point the Jacobian J of the power balance gives the change of state per injection, J dx = e, and with it the
change of every complex voltage, dV_i = V_i (j dtheta_i + dln|V|_i); currents and source powers follow by their own
equations (A. J. Wood, B. F. Wollenberg and G. B. Sheblé, Power Generation, Operation and Control, 3rd ed., ch. 6-7).
Taps, held voltages, voltage-dependent loads, outages and dead buses of the points are in J, so the same call serves the
intact network and the network after an outage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from microgrid.powerflow.flows import Tapped
from microgrid.powerflow.grid import Branches
from microgrid.powerflow.kernel_numpy import DENSE_ROWS, jacobian
from microgrid.powerflow.points import Points
from microgrid.powerflow.shared_slack import SharedSlack
from microgrid.powerflow.solve import Model, drawn_power

BLOCK = 128


@dataclass(frozen=True)
class Sensitivity:
    """Changes per MW and per Mvar injected at the bus rows `inputs` (k,), at solved columns.

    `voltage_p`, `voltage_q`: complex voltage, pu per MW or Mvar, (columns, buses, k). `source_p`, `source_q`: complex
    power of all reference buses together, MVA per MW or Mvar, (columns, k).
    """

    inputs: np.ndarray
    voltage: np.ndarray
    voltage_p: np.ndarray
    voltage_q: np.ndarray
    source_p: np.ndarray
    source_q: np.ndarray

    def magnitude(self, bus: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """d|V| per MW and per Mvar at pairs (bus row, column), each (pairs, k)."""
        unit = np.conj(self.voltage[bus, column]) / np.abs(self.voltage[bus, column])
        parts = (self.voltage_p[column, bus], self.voltage_q[column, bus])
        return (unit[:, None] * parts[0]).real, (unit[:, None] * parts[1]).real

    def current(
        self, branches: Branches, tapped: Tapped, branch: np.ndarray, column: np.ndarray, at_from: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change of complex current at one end of branches, pu per MW and per Mvar, at pairs, each (pairs, k)."""
        y_ff, y_ft, y_tf, y_tt = branch_admittances(branches, tapped, branch, column)
        own = np.where(at_from, y_ff, y_tf)[:, None]
        far = np.where(at_from, y_ft, y_tt)[:, None]
        f, t = branches.from_bus[branch], branches.to_bus[branch]
        by_p = own * self.voltage_p[column, f] + far * self.voltage_p[column, t]
        return by_p, own * self.voltage_q[column, f] + far * self.voltage_q[column, t]


def branch_admittances(branches: Branches, tapped: Tapped, branch: np.ndarray, column: np.ndarray) -> np.ndarray:
    """y_ff, y_ft, y_tf, y_tt (4, pairs) of branches at columns, taps included."""
    y = np.stack([branches.y_ff[branch], branches.y_ft[branch], branches.y_tf[branch], branches.y_tt[branch]])
    for place, row in enumerate(tapped.rows):
        hit = branch == row
        y[:, hit] = tapped.y[:, place, column[hit]]
    return y


def sensitivity(
    model: Model, points: Points, voltage: np.ndarray, inputs: np.ndarray, shared: SharedSlack | None = None
) -> Sensitivity:
    """Sensitivities of all columns of solved `points` to injections at the bus rows `inputs`.

    An injection at a reference bus moves no voltage and relieves the source one for one. A reactive injection at a bus
    that holds its voltage moves nothing. A dead bus has no effect. With `shared` the unbalance is that of an island:
    several generators respond, and the active part of `source_p` and `source_q` is what all of them give together.
    """
    inputs = np.asarray(inputs, np.int64)
    if shared is None:
        by_p, by_q, _ = _changes(model, points, voltage, inputs)
        return _with_sources(model, points, voltage, inputs, by_p, by_q)
    rows = np.concatenate([inputs, shared.rows])
    by_p, by_q, by_magnitude = _changes(model, points, voltage, rows, magnitude=bool(shared.idle.any()))
    alone = _with_sources(model, points, voltage, rows, by_p, by_q)
    return _share(model, points, alone, by_magnitude, shared)


def _with_sources(
    model: Model, points: Points, voltage: np.ndarray, inputs: np.ndarray, by_p: np.ndarray, by_q: np.ndarray
) -> Sensitivity:
    at_source = np.isin(inputs, model.grid.reference)
    source_p = _source(model, points, voltage, by_p) - at_source
    source_q = _source(model, points, voltage, by_q) - 1j * at_source
    return Sensitivity(inputs, voltage, by_p, by_q, source_p, source_q)


def _share(
    model: Model, points: Points, alone: Sensitivity, by_magnitude: np.ndarray, shared: SharedSlack
) -> Sensitivity:
    """Let the generators of an island respond; the last inputs of `alone` are their bus rows."""
    voltage, units = alone.voltage, len(shared.rows)
    k = len(alone.inputs) - units
    of_units = alone.source_p[:, k:]
    of_magnitude = _source(model, points, voltage, by_magnitude)[:, 0]
    moved = np.einsum("gc,cbg->cb", shared.weight, alone.voltage_p[:, :, k:])
    given = np.einsum("gc,cg->c", shared.weight, of_units + 1.0)
    voltages, sources = [], []
    for change, source in ((alone.voltage_p, alone.source_p), (alone.voltage_q, alone.source_q)):
        total, magnitude = shared.respond(source[:, :k], of_units, of_magnitude)
        own = moved[:, :, None] * total[:, None, :] + by_magnitude * magnitude[:, None, :]
        voltages.append(change[:, :, :k] + own)
        sources.append(source[:, :k] + given[:, None] * total + of_magnitude[:, None] * magnitude)
    return Sensitivity(alone.inputs[:k], voltage, *voltages, *sources)


def _changes(
    model: Model, points: Points, voltage: np.ndarray, inputs: np.ndarray, *, magnitude: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Complex voltage change per MW and per Mvar (columns, buses, k), and per pu of the reference's magnitude."""
    count, parts = voltage.shape[1], []
    for begin in range(0, count, BLOCK):
        columns = np.arange(begin, min(begin + BLOCK, count))
        part = points if len(columns) == count else points.pick(columns)
        parts.append(_block(model, part, voltage[:, columns], inputs, magnitude=magnitude))
    by_p, by_q, by_magnitude = (np.concatenate([part[side] for part in parts]) for side in range(3))
    return by_p / model.grid.base_mva, by_q / model.grid.base_mva, by_magnitude


def _block(
    model: Model, points: Points, voltage: np.ndarray, inputs: np.ndarray, *, magnitude: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Complex voltage change per pu P, per pu Q (columns, buses, k) and of the reference's magnitude (…, 1)."""
    network = model.network
    stack = network.linearised(points, voltage)
    row, column, value = jacobian(stack)
    size, k = 2 * len(network.rows), len(inputs)
    right = np.zeros((size, 2 * k + 1))
    place = network.row_of[inputs]
    live = np.flatnonzero(place >= 0)
    right[2 * place[live], live] = 1.0
    right[2 * place[live] + 1, k + live] = 1.0
    rights = np.repeat(right[None], voltage.shape[1], axis=0)
    toward = _reference_direction(model, voltage) if magnitude else np.zeros_like(voltage)
    pushed = voltage * np.conj(_network_current(model, points, toward))
    rights[:, 0::2, -1], rights[:, 1::2, -1] = -pushed[network.rows].real.T, -pushed[network.rows].imag.T
    for held, part, fixed in stack.held():
        rights[fixed, 2 * held + part] = 0.0
    state = _solve(row, column, value, rights, size)
    out = np.zeros((voltage.shape[1], voltage.shape[0], 2 * k + 1), complex)
    out[:, network.rows] = voltage[network.rows].T[:, :, None] * (1j * state[:, 0::2] + state[:, 1::2])
    out[:, :, -1] += toward.T
    return out[:, :, :k], out[:, :, k:-1], out[:, :, -1:]


def _reference_direction(model: Model, voltage: np.ndarray) -> np.ndarray:
    """Unit phasor of the reference along its voltage, zero elsewhere, (buses, columns)."""
    toward = np.zeros_like(voltage)
    at = voltage[model.grid.reference]
    toward[model.grid.reference] = at / np.abs(at)
    return toward


def _network_current(model: Model, points: Points, change: np.ndarray) -> np.ndarray:
    """Y dV of every bus, overlay included, (buses, columns)."""
    current, overlay = np.asarray(model.grid.y_bus @ change), points.overlay
    np.add.at(current, (overlay.row_bus, overlay.column), overlay.delta * change[overlay.column_bus, overlay.column])
    return current


def _solve(row: np.ndarray, column: np.ndarray, value: np.ndarray, rights: np.ndarray, size: int) -> np.ndarray:
    if size <= 2 * DENSE_ROWS:
        dense = np.zeros((len(rights), size, size))
        np.add.at(dense, (np.arange(len(rights))[:, None], row[None, :], column[None, :]), value.T)
        return np.asarray(np.linalg.solve(dense, rights))
    out = np.empty_like(rights)
    for place, right in enumerate(rights):
        matrix = sp.csc_matrix((value[:, place], (row, column)), shape=(size, size))
        out[place] = spla.splu(matrix).solve(right)
    return out


def _source(model: Model, points: Points, voltage: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Change of the power all sources draw through the network, V conj(Y dV) + dV conj(Y V), MVA (columns, k)."""
    total = np.zeros((voltage.shape[1], change.shape[2]), complex)
    reference, overlay = model.grid.reference, points.overlay
    y = model.grid.y_bus[reference]
    now = np.conj(drawn_power(model, points, voltage, reference) / voltage[reference])
    for place, row in enumerate(reference):
        entries = y[place].tocoo()
        current = np.einsum("e,cek->ck", entries.data, change[:, entries.coords[1]])
        hit = np.flatnonzero(overlay.row_bus == row) if len(overlay.column) else np.zeros(0, np.int64)
        extra = overlay.delta[hit, None] * change[overlay.column[hit], overlay.column_bus[hit]]
        np.add.at(current, overlay.column[hit], extra)
        total += voltage[row][:, None] * np.conj(current) + change[:, row] * np.conj(now[place])[:, None]
    return np.asarray(total * model.grid.base_mva)


def source_power(model: Model, points: Points, given: np.ndarray, voltage: np.ndarray) -> np.ndarray:
    """Complex power of all sources together in MVA (columns,); `given` (buses, columns): all other injections in pu."""
    reference = model.grid.reference
    drawn = drawn_power(model, points, voltage, reference) - given[reference]
    return np.asarray(drawn.sum(axis=0) * model.grid.base_mva)


__all__ = ["Sensitivity", "branch_admittances", "sensitivity", "source_power"]
