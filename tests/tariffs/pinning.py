"""Bill a load, and price the same load through the optimiser's page."""

from __future__ import annotations

from typing import Any

import numpy as np
from lp_block import LpBlock, pinned

from microgrid.tariffs.bill import Bill, bill
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.part import TariffPart
from microgrid.tariffs.reading import MeterData


def page_of(
    tariff: Tariff,
    load: MeterData,
    *,
    history: Any = None,
    without_limits: bool = False,
    published_limit_mw: float | None = None,
    carried: dict[str, float] | None = None,
    **options: Any,
) -> LpBlock:
    """The optimiser's page over the load, with limits just above what the load does."""
    largest = float(load.import_kw.max()) / 1000.0 * 1.05 + 1e-6
    signals = {"import_mw": load.import_kw / 1000.0, "export_mw": load.export_kw / 1000.0}
    if load.gross_load_kw is not None:
        gross_mw = float(load.gross_load_kw.max()) / 1000.0 * 1.05 + 1e-6
        options = {"largest_gross_load_mw": gross_mw, **options}
        signals["gross_load_mw"] = load.gross_load_kw / 1000.0
    if load.gross_generation_kw is not None:
        signals["gross_generation_mw"] = load.gross_generation_kw / 1000.0
        largest = max(largest, float(signals["gross_load_mw"].max()) * 1.05 + 1e-6)
    part = TariffPart(
        tariff=tariff,
        poi="grid",
        history={key: tuple(values) for key, values in history.items()} if isinstance(history, dict) else history,
        power_factor=power_factor(load),
        largest_import_mw=largest,
        largest_export_mw=float(max(load.export_kw.max(), signals.get("gross_generation_mw", np.zeros(1)).max() * 1000))
        / 1000.0
        * 1.05
        + 1e-6,
        **options,
    )
    if published_limit_mw is not None:
        signals["import_right_mw"] = np.full(len(load.times), published_limit_mw)
    if without_limits:
        part = part.model_copy(update={"largest_import_mw": None, "largest_export_mw": None})
    return pinned(part, load.times, int(load.step_min), signals, load.series, carried=carried)


def power_factor(load: MeterData) -> float | None:
    """Constant power factor of the load, if apparent power is given."""
    if load.kva is None:
        return None
    used = load.kva > 0
    return float((load.import_kw[used] / load.kva[used]).mean()) if used.any() else 1.0


def residual(tariff: Tariff, load: MeterData, *, history: Any = None, **options: Any) -> tuple[float, float]:
    """Optimiser's cost and bill of the same load."""
    block = page_of(tariff, load, history=history, **options)
    cost, _ = block.program.solve()
    made: Bill = bill(
        tariff,
        load,
        history=history,
        allow_other_year=options.get("allow_other_year", False),
        partial=options.get("partial", "bill"),
    )
    return cost, made.total
