"""The prices that prove a bound, stored beside the dispatch, and the bound added up again from them.

The program is rebuilt from the stored case; a lower bound on its cost then follows from the prices of its rows by
arithmetic alone (`microgrid.dispatch.bound`). No optimiser takes part.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr

from microgrid.case.model import Case
from microgrid.dispatch.bound import dual_bound
from microgrid.dispatch.build import build
from microgrid.dispatch.compile import Program, compile_program
from microgrid.dispatch.exclusive import SIDE, add_binaries
from microgrid.dispatch.solve import FEW, RANGES, Solution
from microgrid.errors import Residual
from microgrid.results.files import BOUND, MANIFEST, Results, write_dataset
from microgrid.study.cut_table import stored_cuts

RELATIVE = 1e-9
EXCLUSIVE = "exclusive_steps"


def write_bound(solution: Solution, folder: Path) -> None:
    """Write the prices behind the bound; nothing where the solver gave none (branch and bound of another solver)."""
    if solution.bound_prices is None:
        return
    attributes = {"units": "USD per unit of the row", "long_name": "price of every row in the relaxation"}
    prices = xr.Dataset({"row_price": ("row", solution.bound_prices, attributes)})
    prices.attrs[EXCLUSIVE] = json.dumps(_exclusive_steps(solution.program))
    write_dataset(prices, folder / BOUND)


def proven_bound(solution: Solution) -> float | None:
    """Bound (USD) that the prices prove by themselves; None where there are none."""
    return None if solution.bound_prices is None else dual_bound(solution.program, solution.bound_prices)


def bound_residual(results: Results, case: Case) -> list[Residual]:
    """The stated bound of the relaxation against the one added up from the stored prices."""
    stored = results.bound
    if stored is None:
        return []
    program = compile_program(build(case.parts, case.horizon, case.inputs, cuts=stored_cuts(results)))
    try:
        prices = stored["row_price"].to_numpy()
        for pair, steps in json.loads(stored.attrs[EXCLUSIVE]):
            program = add_binaries(program, {pair: np.asarray(steps, int)})
    except (KeyError, TypeError, ValueError) as broken:
        raise results.unreadable(BOUND, broken) from broken
    again = dual_bound(program, prices) if prices.shape == program.row_lower.shape else float("-inf")
    stated, final = (results.number(MANIFEST, "solver", fact) for fact in ("relaxation_usd", "bound_usd"))
    miss, where = abs(stated - again), f"added up from {prices.size} row prices"
    raised = [
        name for name in (RANGES, FEW, "branch and bound") if name in results.stated(MANIFEST, "solver", "stages")
    ]
    if raised:
        where += f"; {' and '.join(raised)} raised it by {final - stated:,.2f} USD"
    else:
        miss = max(miss, abs(final - again))
    return [Residual("bound of the relaxation", miss, RELATIVE * max(1.0, abs(stated)), "USD", where)]


def _exclusive_steps(program: Program) -> list[tuple[str, list[int]]]:
    """Pair and steps of every group of binaries that the solve added, in the order in which they were added."""
    added = []
    for group in program.columns:
        pair, _, name = group.declaration.name.rpartition(".")
        if name.startswith(SIDE):
            added.append((pair, [int(step) for step in group.declaration.index.labels]))
    return added


__all__ = ["bound_residual", "proven_bound", "write_bound"]
