"""Columns that may share a Jacobian: found, gathered round their mean, and solved by `chord_kernel`.

Kin are columns with the same equations but for taps, which hold the same voltages. The Jacobian is that of their mean
operating point, solved by Newton first; each starts where it stood, moved as the mean was moved by its own solution.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from microgrid.powerflow import chord_kernel, kernel
from microgrid.powerflow.columns import Columns, Equations
from microgrid.powerflow.newton import FINAL_PASS, Network, thread_count
from microgrid.powerflow.points import Overlay, Points, Solution

FEWEST = 16  # columns; a mean and its factors cost about two Newton solves
MOST = 8192  # columns about one mean: time steps further apart differ more
SAMPLE = 64  # columns that make the mean


@dataclass(frozen=True)
class Items:
    """Admittances that differ by column, sorted: items of column c are `start[c]` … `start[c + 1]`."""

    start: np.ndarray
    row: np.ndarray
    bus: np.ndarray
    delta: np.ndarray

    def same(self, columns: np.ndarray) -> bool:
        """True when all columns have the same items."""
        first, many = self.start[columns], self.start[columns + 1] - self.start[columns]
        if (many != many[0]).any():
            return False
        item = first[:, None] + np.arange(many[0])
        return all(bool((part[item] == part[item[:1]]).all()) for part in (self.row, self.bus, self.delta))

    def at(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Equation row, bus and admittance of the items of some columns."""
        item = np.concatenate([np.arange(self.start[column], self.start[column + 1]) for column in columns])
        return self.row[item], self.bus[item], self.delta[item]


def solve_alike(network: Network, points: Points) -> Solution:
    """Solve what can share a Jacobian; the other columns keep -1 iterations."""
    solution = Solution(np.empty((network.buses, points.columns), complex), np.full(points.columns, -1, np.int64))
    pieces = list(_pieces(points))
    if not pieces:
        return solution
    task = _Task.of(network, points, solution)
    threads = thread_count() if chord_kernel.solve_kin.overloads else 1  # numba compiles in one
    works = (work for piece in pieces for work in task.prepare(piece, threads))
    if threads == 1:
        for work in works:
            chord_kernel.solve_kin(*work)
        return solution
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(chord_kernel.solve_kin, *work) for work in works]:
            done.result()
    return solution


def _pieces(points: Points) -> Iterator[np.ndarray]:
    """Columns of equal masks and kin, in pieces large enough to share and small enough to be alike."""
    if points.columns < FEWEST:
        return
    number = np.zeros(points.columns, np.int64) if points.kin is None else points.kin.astype(np.int64)
    random = np.random.default_rng(0)
    for mask in (points.holds, points.frozen):  # a hash: columns of equal masks get equal numbers
        if mask is not None and (mask != mask[:, :1]).any():
            bits = np.packbits(mask, axis=0).astype(np.int64)
            number = number * random.integers(1, 2**62) + random.integers(1, 2**62, len(bits)) @ bits
    order = np.arange(points.columns)
    cuts = np.zeros(0, np.int64)
    if (number != number[0]).any():
        order = np.argsort(number, kind="stable")
        cuts = np.flatnonzero(np.diff(number[order])) + 1
    for group in np.split(order, cuts):
        if len(group) >= FEWEST:
            yield from np.array_split(group, -(-len(group) // MOST))


@dataclass(frozen=True)
class _Task:
    """What all pieces read, and the solution they write."""

    network: Network
    points: Points
    items: Items
    solution: Solution

    @classmethod
    def of(cls, network: Network, points: Points, solution: Solution) -> _Task:
        """Sort the overlay by column and lay arrays out as the kernel reads them."""
        laid = replace(
            points,
            power=np.ascontiguousarray(points.power, complex),
            start=np.ascontiguousarray(points.start, complex),
            current=_laid(points.current, points.impedance, points.power),
            impedance=_laid(points.impedance, points.current, points.power),
        )
        return cls(network, laid, Items(*network.overlay_rows(points.overlay, points.columns)), solution)

    def prepare(self, piece: np.ndarray, threads: int) -> Iterator[tuple[Any, ...]]:
        """Arguments of `solve_kin` for the shares of one piece; none where its mean has no solution.

        Shares are whole chunks of the kernel, so that the answer does not depend on the number of threads.
        """
        same, plan = self.items.same(piece), self.network.plan
        sample = piece[np.linspace(0, len(piece) - 1, min(SAMPLE, len(piece))).astype(np.int64)]
        mean = self._mean(sample, same=same)
        equations, middle = self.network.equations_at(mean)
        kernel.solve_columns(equations, plan, middle, 0, 1, 1, FINAL_PASS)
        if middle.iterations[0] < 0:
            return
        factors = chord_kernel.factors_at(equations, plan, middle)
        kin = self._kin(piece, equations, middle, mean.start[:, 0])
        if same:
            equations = self.network.edited(equations, *self.items.at(sample[:1]))
            kin = kin._replace(overlay_row=np.zeros(0, np.int64))
        share = chord_kernel.WIDTH * -(-len(piece) // (threads * chord_kernel.WIDTH))
        for begin in range(0, len(piece), share):
            yield equations, plan, factors, kin, begin, min(len(piece), begin + share)

    def _mean(self, sample: np.ndarray, *, same: bool) -> Points:
        """The mean of some columns as a single one; admittances are averaged as well."""
        points = self.points
        power, current, impedance, start = (
            None if part is None else _mean_of(part, sample)
            for part in (points.power, points.current, points.impedance, points.start)
        )
        assert power is not None  # noqa: S101 -- only voltage-dependent parts may be missing
        assert start is not None  # noqa: S101
        taken = sample[:1] if same else sample
        row, bus, delta = self.items.at(taken)
        overlay = Overlay(np.zeros(len(row), np.int64), self.network.rows[row], bus, delta / len(taken))
        frozen = None if points.frozen is None else points.frozen[:, sample[:1]]
        return Points(power, start, points.holds[:, sample[:1]], current, impedance, frozen, overlay)

    def _kin(self, piece: np.ndarray, equations: Equations, middle: Columns, began: np.ndarray) -> chord_kernel.Kin:
        points, items, none = self.points, self.items, np.zeros((0, 0), complex)
        moved = middle.v_real[:, 0] + 1j * middle.v_imag[:, 0]
        return chord_kernel.Kin(
            place=piece,
            start=points.start,
            shift=moved / began,
            power=points.power,
            current=none if points.current is None else points.current,
            impedance=none if points.impedance is None else points.impedance,
            p_held=_held(equations.frozen_row, middle.free_p),
            q_held=_held(equations.magnitude_row, middle.free_q),
            square=np.abs(moved[equations.bus]) ** 2,
            overlay_start=items.start,
            overlay_row=items.row,
            overlay_bus=items.bus,
            overlay_delta=items.delta,
            voltage=self.solution.voltage,
            iterations=self.solution.iterations,
        )


def _laid(part: np.ndarray | None, other: np.ndarray | None, power: np.ndarray) -> np.ndarray | None:
    """The part for the kernel, compiled for writeable arrays: both voltage-dependent parts are there or neither is."""
    if part is not None:
        return np.require(np.broadcast_to(part, power.shape), complex, ["C", "W"])
    return None if other is None else np.zeros(power.shape, complex)


def _mean_of(part: np.ndarray, sample: np.ndarray) -> np.ndarray:
    return part if part.shape[1] == 1 else np.asarray(np.take(part, sample, axis=1).mean(axis=1, keepdims=True))


def _held(rows: np.ndarray, free: np.ndarray) -> np.ndarray:
    """True for the equations whose mask is 0.0 in the only column of `free`."""
    if not len(free):
        return np.zeros(len(rows), bool)
    return np.asarray((rows >= 0) & (free[np.maximum(rows, 0), 0] == 0.0))


__all__ = ["solve_alike"]
