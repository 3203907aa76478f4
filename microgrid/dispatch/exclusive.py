"""Binaries for exclusive pairs, added only at steps where a solved point shows both sides at once.

A relaxation seldom charges and discharges, or buys and sells, in the same step: it pays only at prices below about
minus the wear. At the steps where it does, ``first <= F z`` and ``second <= S (1 - z)`` are added; the bounds F and S
are the quantities' own upper bounds at that step, so the rows are valid and as tight as a single binary allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.compile import ColumnGroup, Program, RowGroup
from microgrid.formulation.evaluate import Declaration
from microgrid.formulation.horizon import Index

TOLERANCE_MW = 1e-6
ROW_TOLERANCE = 1e-9
SIDE = "first_side"


def overlaps(program: Program, point: np.ndarray) -> dict[str, np.ndarray]:
    """Steps of every pair at which `point` shows both sides above the tolerance."""
    found = {}
    for pair in program.pairs:
        both = np.minimum(point[pair.first], point[pair.second]) > TOLERANCE_MW
        both[_settled_steps(program, pair.name)] = False
        if both.any():
            found[pair.name] = np.flatnonzero(both)
    return found


def netted(program: Program, point: np.ndarray) -> np.ndarray:
    """The point less what both sides of a pair show at once, where no row minds and nothing is lost by it.

    Where buying and selling have the same price, an optimum may show any amount of both; that asks for no binary.
    """
    amount = np.zeros(point.size)
    for pair in program.pairs:
        sides = (pair.first, pair.second)
        both = np.minimum(*(point[side] - program.lower[side] for side in sides))
        free = program.cost[pair.first] + program.cost[pair.second] >= 0.0
        amount[pair.first] = amount[pair.second] = np.where(free, np.maximum(both, 0.0), 0.0)
    if not amount.any():
        return point
    activity = program.matrix @ point
    slack = ROW_TOLERANCE * (1.0 + np.abs(activity))
    while amount.any():  # a row that minds has an amount in it, which is then left alone, so the rounds end
        moved = activity - program.matrix @ amount
        low, high = np.minimum(program.row_lower, activity), np.maximum(program.row_upper, activity)
        minds = (moved < low - slack) | (moved > high + slack)
        if not minds.any():
            break
        hit = abs(program.matrix[minds]).sum(axis=0) > 0.0
        for pair in program.pairs:
            kept = hit[pair.first] | hit[pair.second]
            amount[pair.first[kept]] = amount[pair.second[kept]] = 0.0
    return np.asarray(point - amount)


def _settled_steps(program: Program, name: str) -> list[int]:
    """Steps of a pair that already have their binary: what overlap is left there is the solver's tolerance."""
    groups = [group for group in program.columns if group.declaration.name.startswith(f"{name}.{SIDE}")]
    return [int(label) for group in groups for label in group.declaration.index.labels]


def add_binaries(program: Program, steps: Mapping[str, np.ndarray]) -> Program:
    """Extend the program by one binary and two rows for every listed step of every pair."""
    for pair in program.pairs:
        if pair.name in steps:
            program = _extend(program, pair.name, steps[pair.name])
    return program


def decided_sides(program: Program, point: np.ndarray) -> dict[int, float]:
    """Value of every exclusivity binary by the larger side at `point` (column → 0 or 1)."""
    pairs = {pair.name: pair for pair in program.pairs}
    decided: dict[int, float] = {}
    for group in program.columns:
        part, _, name = group.declaration.name.rpartition(".")
        if not name.startswith(SIDE) or part not in pairs:
            continue
        pair = pairs[part]
        for offset, label in enumerate(group.declaration.index.labels):
            step = int(label)
            decided[group.start + offset] = float(point[pair.first[step]] >= point[pair.second[step]])
    return decided


def _extend(program: Program, name: str, steps: np.ndarray) -> Program:
    pair = next(pair for pair in program.pairs if pair.name == name)
    rows, columns = program.matrix.shape
    count = steps.size
    binary = columns + np.arange(count)
    place = np.arange(count)
    upper_first, upper_second = pair.first_max[steps], pair.second_max[steps]
    ones = np.ones(count)
    extra = sp.coo_array(
        (
            np.concatenate([ones, -upper_first, ones, upper_second]),
            (
                np.concatenate([place, place, count + place, count + place]),
                np.concatenate([pair.first[steps], binary, pair.second[steps], binary]),
            ),
        ),
        shape=(2 * count, columns + count),
    ).tocsr()
    widened = sp.csr_array(
        (program.matrix.data, program.matrix.indices, program.matrix.indptr), shape=(rows, columns + count)
    )
    rounds = sum(group.declaration.name.startswith(f"{name}.{SIDE}") for group in program.columns)
    side = f"{name}.{SIDE}_{rounds + 1}"
    index = Index(f"{side}.step", count, tuple(str(step) for step in steps))
    declaration = Declaration(side, index, "1", "1 where only the first of an exclusive pair may flow", integer=True)
    return replace(
        program,
        matrix=sp.csr_array(sp.vstack([widened, extra], format="csr")),
        row_lower=np.concatenate([program.row_lower, np.full(2 * count, -np.inf)]),
        row_upper=np.concatenate([program.row_upper, np.zeros(count), upper_second]),
        lower=np.concatenate([program.lower, np.zeros(count)]),
        upper=np.concatenate([program.upper, ones]),
        cost=np.concatenate([program.cost, np.zeros(count)]),
        integer=np.concatenate([program.integer, np.ones(count, bool)]),
        columns=(*program.columns, ColumnGroup(declaration, columns)),
        rows=(
            *program.rows,
            RowGroup(f"{side}_only", "first <= F z", rows, steps.tolist()),
            RowGroup(f"{side}_other", "second <= S (1 - z)", rows + count, steps.tolist()),
        ),
    )


__all__ = ["add_binaries", "decided_sides", "netted", "overlaps"]
