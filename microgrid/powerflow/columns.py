"""What a batch of power flows consists of: the equations all columns share, and the data that differ by column."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LOOSE_TOLERANCE_PU = 1e-8  # enough when the last step was already small
TIGHT_TOLERANCE_PU = 1e-11  # near the rounding floor: enough on its own
SMALL_STEP = 1e-6  # converging quadratically, the error after a step this small is about its square
HOPELESS_PU = 1e6


class Equations(NamedTuple):
    """Power balance rows of all buses except the references.

    `bus` (n,): bus of every row. Off-diagonal entries of row r are `row_start[r]` … `row_start[r+1]`: `column_bus`,
    `block` (-1 towards a reference), `g`, `b`; the diagonal admittance is `g_self`, `b_self` (n,). Row r may hold its
    magnitude when `magnitude_row[r]` >= 0, and both magnitude and angle when `frozen_row[r]` >= 0: the numbers are rows
    of the masks in `Columns`.
    """

    bus: np.ndarray
    row_start: np.ndarray
    column_bus: np.ndarray
    block: np.ndarray
    g: np.ndarray
    b: np.ndarray
    g_self: np.ndarray
    b_self: np.ndarray
    magnitude_row: np.ndarray
    frozen_row: np.ndarray


class Columns(NamedTuple):
    """Data that differ by column, shape (…, columns), per unit; voltages are start and result.

    `free_q` (held candidates, columns) is 1.0 where the reactive balance holds and 0.0 where the magnitude is held;
    `free_p` likewise for frozen buses. `current_*` and `impedance_*` are the injections proportional to |V| and |V|²
    (empty when there are none). Overlay entries of column c are `overlay_start[c]` … `overlay_start[c+1]`: admittance
    `overlay_g`, `overlay_b` added at (`overlay_row`, `overlay_bus`, `overlay_block`), diagonal when the block is -2.
    """

    v_real: np.ndarray
    v_imag: np.ndarray
    p: np.ndarray
    q: np.ndarray
    current_p: np.ndarray
    current_q: np.ndarray
    impedance_p: np.ndarray
    impedance_q: np.ndarray
    free_q: np.ndarray
    free_p: np.ndarray
    overlay_start: np.ndarray
    overlay_row: np.ndarray
    overlay_bus: np.ndarray
    overlay_block: np.ndarray
    overlay_g: np.ndarray
    overlay_b: np.ndarray
    iterations: np.ndarray
    error: np.ndarray
    step: np.ndarray


__all__ = ["HOPELESS_PU", "LOOSE_TOLERANCE_PU", "SMALL_STEP", "TIGHT_TOLERANCE_PU", "Columns", "Equations"]
