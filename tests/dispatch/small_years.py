"""Small years, solved by hand or by one program: three months of 240 hours, and a battery over any steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from microgrid.dispatch.compile import ColumnGroup, Program, RowGroup
from microgrid.dispatch.highs import Highs
from microgrid.formulation.evaluate import Declaration
from microgrid.formulation.horizon import Index

HOURS = 240  # in each of three months
STEPS = 3 * HOURS
MONTHS = np.repeat([0, 1, 2], HOURS)


def year(groups: dict[str, int], cost: Any, rows: Any, lower: Any, upper: Any, top: Any) -> Program:
    """A continuous program; quantities with STEPS positions run along time."""
    starts = np.concatenate([[0], np.cumsum(list(groups.values()))]).tolist()
    declared = tuple(
        ColumnGroup(Declaration(name, Index("time" if size == STEPS else name, size), "1", name), start)
        for (name, size), start in zip(groups.items(), starts, strict=False)
    )
    matrix, cost = sp.csr_array(rows), np.asarray(cost, float)
    return Program(
        matrix, np.asarray(lower, float), np.asarray(upper, float), np.zeros(cost.size), np.asarray(top, float), cost,
        0.0, np.zeros(cost.size, bool), declared, (), months=MONTHS,
    )  # fmt: skip


def run_hours(limit: float) -> Program:
    """An engine saves 10, 20 and 30 $ an hour in the three months, and may run `limit` hours in all."""
    saving = np.array([10.0, 20.0, 30.0])[MONTHS]
    return year({"running": STEPS}, -saving, np.ones((1, STEPS)), [-np.inf], [limit], np.ones(STEPS))


def battery(steps: int, price: np.ndarray, load: np.ndarray) -> Program:
    """Import up to 80 MW, a battery of 20 MW and 60 MWh that begins empty, and a load."""
    eye, none = sp.eye_array(steps), sp.csr_array((steps, steps))
    names = ("import_mw", "charge_mw", "discharge_mw", "energy_mwh")
    ahead = sp.eye_array(steps, steps + 1, k=1) - sp.eye_array(steps, steps + 1)
    matrix = sp.vstack([
        sp.hstack([eye, -eye, eye, sp.csr_array((steps, steps + 1))]),
        sp.hstack([none, -0.9 * eye, eye / 0.9, ahead]),
    ])  # fmt: skip
    columns = tuple(
        ColumnGroup(Declaration(name, Index("edge" if k == 3 else "time", steps + (k == 3)), "", name), k * steps)
        for k, name in enumerate(names)
    )
    rows = tuple(RowGroup(name, "", k * steps, range(steps)) for k, name in enumerate(("balance", "energy_balance")))
    limit, zero = np.append(load, np.zeros(steps)), np.zeros(4 * steps + 1)
    upper = np.repeat([80.0, 20.0, 20.0, 60.0], [steps, steps, steps, steps + 1])
    upper[3 * steps] = 0.0
    cost = np.concatenate([price, np.full(2 * steps, 0.1), np.zeros(steps + 1)])
    return Program(
        sp.csr_array(matrix), limit, limit, zero, upper, cost, 0.0, zero.astype(bool), columns, rows,
        months=np.arange(steps) * 12 // steps,
    )  # fmt: skip


def billed_peaks(price: np.ndarray, load: np.ndarray, usd_per_mw: float) -> Program:
    """The battery, with the highest import of each of twelve months billed."""
    steps = load.size
    base, months = battery(steps, price, load), np.arange(steps) * 12 // steps
    height, wide = base.matrix.shape
    month = sp.csr_array((np.ones(steps), (np.arange(steps), months)), shape=(steps, 12))
    rows = sp.vstack([
        sp.hstack([base.matrix, sp.csr_array((height, 12))]),
        sp.hstack([sp.eye_array(steps, wide), -month]),
    ])  # fmt: skip
    group = ColumnGroup(Declaration("peak_mw", Index("month", 12), "MW", "peak"), wide)
    return replace(
        base,
        matrix=sp.csr_array(rows),
        row_lower=np.append(base.row_lower, np.full(steps, -np.inf)),
        row_upper=np.append(base.row_upper, np.zeros(steps)),
        lower=np.append(base.lower, np.zeros(12)),
        upper=np.append(base.upper, np.full(12, np.inf)),
        cost=np.append(base.cost, np.full(12, usd_per_mw)),
        integer=np.append(base.integer, np.zeros(12, bool)),
        columns=(*base.columns, group),
    )


def optimum(program: Program) -> float:
    return Highs(program, relax=True).run().objective
