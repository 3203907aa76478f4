"""One network, many operating points: builds the equations once and solves columns with numba or NumPy."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from microgrid.powerflow import kernel_numpy
from microgrid.powerflow.columns import Columns, Equations
from microgrid.powerflow.kernel_numpy import Stack
from microgrid.powerflow.points import Overlay, Points, Solution
from microgrid.powerflow.symbolic import plan_elimination

log = logging.getLogger(__name__)
FIRST_PASS, FINAL_PASS = 6, 20  # iterations; stragglers of the first pass are gathered so that they hold nobody up
WORTH_COMPILING = 50_000  # bus voltages, e.g. 1,250 steps of 40 buses; NumPy takes 2 to 3 s for them


def numba_pays(voltages: int) -> bool:
    """True when this many bus voltages are to be solved by compiled code.

    MICROGRID_NUMBA is 0 for never and 1 for always (where numba is installed). When it is not set, a small problem does
    not start the compilation, about 30 s once on a machine, which would last longer than its solution in NumPy.
    """
    asked = os.environ.get("MICROGRID_NUMBA", "")
    if asked == "0" or importlib.util.find_spec("numba") is None:
        return False
    return asked == "1" or voltages >= WORTH_COMPILING or compiled()


def thread_count() -> int:
    """Threads for column ranges: MICROGRID_THREADS, else the processors this process may use."""
    asked = os.environ.get("MICROGRID_THREADS", "")
    return (
        int(asked)
        if asked
        else len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


def compiled() -> bool:
    """True when the compiled kernels are in memory or in numba's cache, so that a call will not take a compilation."""
    from microgrid.powerflow import chord_kernel, kernel  # noqa: PLC0415 -- numba must stay optional

    return all(
        bool(solve.overloads) or any(Path(solve.stats.cache_path).glob(f"*{solve.__name__}*.nbi"))
        for solve in (kernel.solve_columns, chord_kernel.solve_kin)
    )


def announce_compilation() -> None:
    """Say that the first call takes a compilation, when it does."""
    if not compiled():
        log.info("compiling the power-flow kernels, once on this machine (about 30 s)")


def in_ranges(compiled: Any, count: int, arguments: Callable[[int, int], tuple[Any, ...]]) -> None:
    """Call a compiled function for ranges of columns in threads, with the arguments for (begin, end)."""
    threads = thread_count() if count > 512 and compiled.overloads else 1  # numba compiles in one
    share = max(1, -(-count // threads))
    ranges = [(begin, min(count, begin + share)) for begin in range(0, count, share)]
    if len(ranges) == 1:
        compiled(*arguments(*ranges[0]))
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda ends: compiled(*arguments(*ends)), ranges))


class Network:
    """Equations of one admittance matrix, ready to solve any number of columns.

    `y_bus` (buses, buses) complex per unit; `reference` and `candidates`: buses with fixed phasor, and buses that may
    hold their magnitude. Overlays may only touch entries present in the pattern of `y_bus`.
    """

    def __init__(self, y_bus: sp.csr_matrix, reference: np.ndarray, candidates: np.ndarray) -> None:
        """Order the elimination and number the entries."""
        self.buses = y_bus.shape[0]
        self.reference, self.candidates = np.asarray(reference, np.int64), np.asarray(candidates, np.int64)
        self.rows = np.setdiff1d(np.arange(self.buses), self.reference)
        self.row_of = np.full(self.buses, -1)
        self.row_of[self.rows] = np.arange(len(self.rows))
        full = _symmetric(y_bus)
        inner = full[self.rows][:, self.rows].tocsr()
        self.plan, self._block = plan_elimination(inner)
        self._build(full, y_bus)

    def _build(self, full: sp.csr_matrix, y_bus: sp.csr_matrix) -> None:
        values = dict(zip(zip(*y_bus.tocoo().coords, strict=True), y_bus.tocoo().data, strict=True))
        start, column_bus, block, admittance = [0], [], [], []
        for row, bus in enumerate(self.rows.tolist()):
            for other in full.indices[full.indptr[bus] : full.indptr[bus + 1]].tolist():
                if other == bus:
                    continue
                column_bus.append(other)
                block.append(self._block[row, int(self.row_of[other])] if self.row_of[other] >= 0 else -1)
                admittance.append(values.get((bus, other), 0j))
            start.append(len(column_bus))
        own = np.array([values.get((bus, bus), 0j) for bus in self.rows.tolist()], complex)
        other_y = np.array(admittance, complex)
        magnitude = np.full(len(self.rows), -1)
        magnitude[self.row_of[self.candidates]] = np.arange(len(self.candidates))
        self.equations = Equations(
            bus=self.rows.astype(np.int64),
            row_start=np.array(start, np.int64),
            column_bus=np.array(column_bus, np.int64),
            block=np.array(block, np.int64),
            g=other_y.real.copy(),
            b=other_y.imag.copy(),
            g_self=own.real.copy(),
            b_self=own.imag.copy(),
            magnitude_row=magnitude,
            frozen_row=np.full(len(self.rows), -1),
        )

        equation = np.repeat(np.arange(len(self.rows)), np.diff(self.equations.row_start))
        self._entry_key = equation * self.buses + self.equations.column_bus

    def solve(self, points: Points, *, max_iterations: int = FINAL_PASS, chord: bool = True) -> Solution:
        """Solve all columns: first those that can share a Jacobian, unless `chord` is False, then each with its own."""
        if not chord or not numba_pays(points.columns * self.buses):
            return self._newton(points, max_iterations)
        from microgrid.powerflow.chord import solve_alike  # noqa: PLC0415 -- numba must stay optional

        announce_compilation()
        solution = solve_alike(self, points)
        late = np.flatnonzero(~solution.converged)
        if len(late) == points.columns:
            return self._newton(points, max_iterations)
        if len(late):
            again = self._newton(points.pick(late), max_iterations)
            solution.voltage[:, late], solution.iterations[late] = again.voltage, again.iterations
        return solution

    def _newton(self, points: Points, max_iterations: int) -> Solution:
        """Newton for every column; those not converged after a few iterations go on together in chunks of their own."""
        total = points.columns
        equations, columns = self.equations_at(points)
        self._sweep(equations, columns, np.arange(total), min(FIRST_PASS, max_iterations))
        late = np.flatnonzero((columns.iterations < 0) & np.isfinite(columns.error) & (columns.error < 1e6))
        if len(late) and max_iterations > FIRST_PASS:
            self._again(equations, columns, points, late, max_iterations - FIRST_PASS)
        voltage = np.empty((self.buses, total), complex)
        voltage.real, voltage.imag = columns.v_real, columns.v_imag
        return Solution(voltage, columns.iterations)

    def _again(self, equations: Equations, columns: Columns, points: Points, late: np.ndarray, more: int) -> None:
        picked = self._pick(columns, points.overlay, late)
        self._sweep(equations, picked, np.arange(len(late)), more)
        columns.v_real[:, late], columns.v_imag[:, late] = picked.v_real, picked.v_imag
        done = picked.iterations >= 0
        columns.iterations[late] = np.where(done, picked.iterations + FIRST_PASS, -1)

    def _sweep(self, equations: Equations, columns: Columns, place: np.ndarray, max_iterations: int) -> None:
        count = len(place)
        if count == 0:
            return
        if not numba_pays(count * self.buses):
            kernel_numpy.solve_columns(equations, columns, 0, count, max_iterations)
            return
        from microgrid.powerflow import kernel  # noqa: PLC0415 -- numba must stay optional

        announce_compilation()
        widest = 256 if self.buses < 300 else 64
        threads = thread_count()
        width = min(widest, 8 * max(1, -(-count // (8 * threads))))
        share = width * max(1, -(-count // (width * threads)))
        ranges = [(begin, min(count, begin + share)) for begin in range(0, count, share)]
        if len(ranges) == 1 or not kernel.solve_columns.overloads:
            for begin, end in ranges:
                kernel.solve_columns(equations, self.plan, columns, begin, end, width, max_iterations)
            return
        with ThreadPoolExecutor(threads) as pool:
            tasks = [
                pool.submit(kernel.solve_columns, equations, self.plan, columns, begin, end, width, max_iterations)
                for begin, end in ranges
            ]
            for task in tasks:
                task.result()

    def linearised(self, points: Points, voltage: np.ndarray) -> Stack:
        """Equations of all columns at solved voltages, ready for `kernel_numpy.jacobian`."""
        equations, columns = self.equations_at(replace(points, start=voltage))
        return kernel_numpy.stack_of(equations, columns, np.arange(voltage.shape[1]))

    def equations_at(self, points: Points) -> tuple[Equations, Columns]:
        """Equations and data by column of the points, for the kernels."""
        total = points.power.shape[1]
        start = np.broadcast_to(points.start, (self.buses, total))
        none = np.zeros((0, total))
        dependent = points.current is not None or points.impedance is not None
        current = _complex(points.current, self.buses, total) if dependent else none + 0j
        impedance = _complex(points.impedance, self.buses, total) if dependent else none + 0j
        equations, free_q, free_p = self._masks(points, total)
        items = self._overlay(points.overlay, total)
        columns = Columns(
            v_real=start.real.copy(),
            v_imag=start.imag.copy(),
            p=np.ascontiguousarray(points.power.real),
            q=np.ascontiguousarray(points.power.imag),
            current_p=current.real.copy(),
            current_q=current.imag.copy(),
            impedance_p=impedance.real.copy(),
            impedance_q=impedance.imag.copy(),
            free_q=free_q,
            free_p=free_p,
            overlay_start=items[0],
            overlay_row=items[1],
            overlay_bus=items[2],
            overlay_block=items[3],
            overlay_g=items[4],
            overlay_b=items[5],
            iterations=np.full(total, -1, np.int64),
            error=np.full(total, np.inf),
            step=np.full(total, np.inf),
        )
        return equations, columns

    def _masks(self, points: Points, total: int) -> tuple[Equations, np.ndarray, np.ndarray]:
        free_q = 1.0 - points.holds.astype(float, order="C")  # another order would compile the kernel once more
        if points.frozen is None or not points.frozen.any():
            return self.equations, free_q, np.ones((0, total))
        dead = np.setdiff1d(np.flatnonzero(points.frozen.any(axis=1)), self.reference)
        frozen_row = np.full(len(self.rows), -1)
        frozen_row[self.row_of[dead]] = np.arange(len(dead))
        magnitude_row = self.equations.magnitude_row.copy()
        fresh = dead[magnitude_row[self.row_of[dead]] < 0]
        magnitude_row[self.row_of[fresh]] = len(free_q) + np.arange(len(fresh))
        free_q = np.concatenate([free_q, np.ones((len(fresh), total))])
        free_q[magnitude_row[self.row_of[dead]]] *= ~points.frozen[dead]
        equations = self.equations._replace(magnitude_row=magnitude_row, frozen_row=frozen_row)
        return equations, free_q, 1.0 - points.frozen[dead].astype(float)

    def overlay_rows(self, overlay: Overlay, total: int) -> tuple[np.ndarray, ...]:
        """Overlay in the order of columns: first item of each column, equation row, bus and change."""
        ordered = overlay.by_column()
        row = self.row_of[ordered.row_bus] if len(ordered.column) else np.zeros(0, np.int64)
        keep = np.flatnonzero(row >= 0)
        start = np.zeros(total + 1, np.int64)
        np.cumsum(np.bincount(ordered.column[keep], minlength=total), out=start[1:])
        return start, row[keep], ordered.column_bus[keep], ordered.delta[keep]

    def _overlay(self, overlay: Overlay, total: int) -> tuple[np.ndarray, ...]:
        start, row, other, delta = self.overlay_rows(overlay, total)
        return start, row, other, self._block_numbers(row, other), delta.real.copy(), delta.imag.copy()

    def edited(self, equations: Equations, row: np.ndarray, other: np.ndarray, delta: np.ndarray) -> Equations:
        """Equations with admittances added at (equation row, bus), for all columns."""
        diagonal = other == self.rows[row]
        g, b, g_self, b_self = equations.g.copy(), equations.b.copy(), equations.g_self.copy(), equations.b_self.copy()
        np.add.at(g_self, row[diagonal], delta[diagonal].real)
        np.add.at(b_self, row[diagonal], delta[diagonal].imag)
        entry = self._entries(row[~diagonal], other[~diagonal])
        np.add.at(g, entry, delta[~diagonal].real)
        np.add.at(b, entry, delta[~diagonal].imag)
        return equations._replace(g=g, b=b, g_self=g_self, b_self=b_self)

    def _entries(self, row: np.ndarray, other: np.ndarray) -> np.ndarray:
        wanted = row * self.buses + other
        return np.asarray(np.minimum(np.searchsorted(self._entry_key, wanted), max(0, len(self._entry_key) - 1)))

    def _block_numbers(self, row: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Block of every (equation row, bus): -2 on the diagonal, -1 towards a reference."""
        wanted, place = row * self.buses + other, self._entries(row, other)
        diagonal = other == self.rows[row]
        known = diagonal | (self._entry_key[place] == wanted) if len(self._entry_key) else diagonal
        if not known.all():
            first = int(np.flatnonzero(~known)[0])
            ends = f"{self.rows[row[first]]} and {other[first]}"
            raise ValueError(f"admittance between buses {ends} is not in the pattern of the network")
        block = self.equations.block[place] if len(self._entry_key) else place
        return np.where(diagonal, -2, block)

    def _pick(self, columns: Columns, overlay: Overlay, late: np.ndarray) -> Columns:
        items = self._overlay(overlay.pick(late, columns.p.shape[1]), len(late))
        picked = {name: np.ascontiguousarray(getattr(columns, name)[:, late]) for name in Columns._fields[:10]}
        overlaid = dict(zip(Columns._fields[10:16], items, strict=True))
        fresh = {"error": np.full(len(late), np.inf), "step": np.full(len(late), np.inf)}
        return columns._replace(**picked, **overlaid, **fresh, iterations=np.full(len(late), -1, np.int64))


def _symmetric(y_bus: sp.csr_matrix) -> sp.csr_matrix:
    """Pattern of `y_bus` made structurally symmetric, with all diagonals, columns sorted in each row."""
    ones = sp.csr_matrix((np.ones(y_bus.nnz), y_bus.indices, y_bus.indptr), shape=y_bus.shape)
    full = (ones + ones.T + sp.identity(y_bus.shape[0])).tocsr()
    full.sort_indices()
    return full


def _complex(values: np.ndarray | None, buses: int, total: int) -> np.ndarray:
    return np.zeros((buses, total), complex) if values is None else np.broadcast_to(values, (buses, total))


__all__ = ["Network", "compiled", "in_ranges", "numba_pays", "thread_count"]
