"""Why power was not bought: which limit priced the next MW of import at every step.

At the optimum the import of a step is held by its price alone, by its own upper limit (a reduced cost), or by rules it
takes part in that carry a price (a demand peak, a ramp, a coincident-peak row). The last two are named; they explain
why load was curtailed although energy alone would have been worth its price.
"""

from __future__ import annotations

import numpy as np

from microgrid.dispatch.balance import CAMPUS
from microgrid.dispatch.solve import Solution

PRICE = "energy price"
LIMIT = "import limit"
TOLERANCE_USD = 1e-6


def binding_reasons(solution: Solution) -> dict[str, np.ndarray]:
    """Reason by step for every metered import (variables called ``*.import_mw``), shape (steps,) of text."""
    if solution.row_duals is None:
        return {}
    program, duals = solution.program, solution.row_duals
    by_column = program.matrix.tocsc()
    names = [rows.name for rows in program.rows]
    starts = np.array([rows.start for rows in program.rows])
    found = {}
    for group in program.columns:
        if not group.declaration.name.endswith(".import_mw"):
            continue
        reasons = []
        for column in range(group.span.start, group.span.stop):
            rows = by_column.indices[by_column.indptr[column] : by_column.indptr[column + 1]]
            limits = program.row_lower[rows] != program.row_upper[rows]
            priced = rows[limits & (np.abs(duals[rows]) > TOLERANCE_USD)]
            labels = {names[int(np.searchsorted(starts, row, side="right")) - 1] for row in priced}
            others = sorted(label for label in labels if not label.startswith(f"{CAMPUS}."))
            at_limit = solution.point[column] >= program.upper[column] - 1e-6
            reasons.append(LIMIT if at_limit and program.upper[column] > 0 else "; ".join(others) or PRICE)
        found[group.declaration.name] = np.array(reasons, dtype=object)
    return found


__all__ = ["LIMIT", "PRICE", "binding_reasons"]
