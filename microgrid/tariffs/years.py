"""Bills over years: prices escalate by component, load grows, generation fades."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from microgrid.tariffs.bill import Bill, bill
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.reading import History, MeterData
from microgrid.tariffs.reprice import escalated


def bill_years(
    tariff: Tariff,
    load: MeterData,
    years: int,
    *,
    load_growth: float | None = None,
    generation_degradation: float | None = None,
    history: History | None = None,
    allow_other_year: bool = False,
) -> list[Bill]:
    """Bill the same metered year `years` times, the first as it stands.

    Growth and degradation are fractions a year, compounding, the tariff's own (`load_growth`, `gen_degradation`) when
    absent. They need load and generation apart (`gross_load_kw`, `gross_generation_kw`); without those the import grows
    and the export fades. The calendar of the first year is kept, so that years differ by trend alone.
    """
    growth = (tariff.load_growth or 0.0) if load_growth is None else load_growth
    fade = (tariff.gen_degradation or 0.0) if generation_degradation is None else generation_degradation
    return [
        bill(
            escalated(tariff, year),
            _grown(load, (1.0 + growth) ** year, (1.0 - fade) ** year),
            history=history,
            allow_other_year=allow_other_year or year > 0,
        )
        for year in range(years)
    ]


def _grown(load: MeterData, by: float, kept: float) -> MeterData:
    if load.gross_load_kw is None or load.gross_generation_kw is None:
        bought, sold = load.import_kw * by, load.export_kw * kept
    else:
        net = load.gross_load_kw * by - load.gross_generation_kw * kept
        bought, sold = np.maximum(net, 0.0), np.maximum(-net, 0.0)
        load = replace(load, gross_load_kw=load.gross_load_kw * by, gross_generation_kw=load.gross_generation_kw * kept)
    if load.kva is None:
        return replace(load, import_kw=bought, export_kw=sold)
    ratio = np.divide(bought, load.import_kw, out=np.ones_like(bought), where=load.import_kw > 0.0)
    kvar = None if load.kvar is None else load.kvar * ratio
    return replace(load, import_kw=bought, export_kw=sold, kva=load.kva * ratio, kvar=kvar)


__all__ = ["bill_years"]
