"""Power bands: the slice of instantaneous import between two levels, e.g. an authorised power and what is above it."""

from __future__ import annotations

import numpy as np

from microgrid.formulation.algebra import Linear, Relation
from microgrid.tariffs.page import KILO, Page, Terms
from microgrid.tariffs.prices import Band
from microgrid.tariffs.reading import Reading


def clip_to_band(power: np.ndarray, band: Band, reading: Reading) -> np.ndarray:
    """Power inside the band by interval, kW."""
    top = np.inf if band.below is None else reading.amount(band.below)
    return np.asarray(np.clip(np.minimum(power, top) - reading.amount(band.above), 0.0, None))


def band_terms(page: Page, band: Band, price: np.ndarray) -> Terms:
    r"""Power inside the band by step, MW: ``(p - a)^+ - (p - b)^+``, with one variable a step and level.

    `price` (money a kWh by step) is noted for every level, so that `hold_levels` knows where the excess over it is not
    paid for but rewarded.
    """
    above = page.amount(band.above)
    lower = page.energy_import if above == 0.0 else _excess(page, above, price)
    if band.below is None:
        return lower
    upper = _excess(page, page.amount(band.below), -price)
    return [low - high for low, high in zip(lower, upper, strict=True)]


def _excess(page: Page, level_kw: float, price: np.ndarray) -> Terms:
    page.level_pull[level_kw] = page.level_pull.get(level_kw, np.zeros(page.axis.count)) + price
    if level_kw in page.levels:
        return page.levels[level_kw]
    steps, power, level_mw = page.block.horizon.steps, page.energy_import, level_kw / KILO
    name = f"above_{level_kw:g}kw".replace(".", "_")
    excess = page.block.variable("excess_mw", steps, "MW", f"import above {level_kw:g} kW", of=name)

    @page.block.constraint(steps, of=name)
    def above_level(t: int) -> Relation:
        r"""u_t \ge p_t - K"""
        return excess[t] >= power[t] - level_mw

    page.levels[level_kw] = excess
    return excess


def hold_levels(page: Page) -> None:
    """Hold the excess over a level from above at steps where it is rewarded: one binary at each such step.

    Energy that is cheaper above the level than below makes the cost concave in the power, which no LP can state. ``M``
    is the POI's import limit above the level, and the level itself below it.
    """
    for level_kw, price in page.level_pull.items():
        rewarded = np.flatnonzero(price < 0.0).tolist()
        if rewarded:
            _hold(page, level_kw, rewarded)


def _hold(page: Page, level_kw: float, rewarded: list[int]) -> None:
    level_mw = level_kw / KILO
    room = max(0.0, page.limit_mw(f"energy that is cheaper above {level_kw:g} kW than below") - level_mw)
    name = f"above_{level_kw:g}kw".replace(".", "_")
    places = page.indexed("over", name, len(rewarded))
    over = page.block.variable(
        "is_over", places, "1", "whether import is above the level", upper=1.0, integer=True, of=name
    )
    excess, power = page.levels[level_kw], page.energy_import

    @page.block.constraint(places, of=name)
    def none_below(k: int) -> Relation:
        r"""u_t \le (\bar P - K) y_t"""
        return excess[rewarded[k]] <= room * over[k]

    @page.block.constraint(places, of=name)
    def no_more(k: int) -> Relation:
        r"""u_t \le p_t - K + K (1 - y_t)"""
        bound: Linear = power[rewarded[k]] - level_mw + level_mw * (1.0 - over[k])
        return excess[rewarded[k]] <= bound


__all__ = ["band_terms", "clip_to_band", "hold_levels"]
