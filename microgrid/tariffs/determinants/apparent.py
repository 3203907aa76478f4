"""Apparent and reactive power of the import in the optimiser: linear at a fixed power factor, facets otherwise."""

from __future__ import annotations

import math

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Relation
from microgrid.tariffs.page import Page, Terms

REACTIVE = "reactive"


def apparent_mva(page: Page) -> Terms:
    r"""Apparent power of the import by step, MVA.

    At a fixed power factor ``S = p / pf``, exactly. Where reactive power is modelled, tangents to the circle in the
    quadrant of import and of the magnitude of reactive power stand for ``S >= sqrt(p^2 + q^2)``, so that a leading
    import is billed as a lagging one. K facets understate S by at most ``1 - cos(pi / 4K)`` (0.48 % for 8), which
    `rebill` makes visible. No binary.
    """
    if "apparent" in page.power:
        return page.power["apparent"]
    power = page.power["import"]
    if REACTIVE not in page.power:
        factor = _power_factor(page)
        terms = page.block.terms(lambda t: power[t] / factor)
    else:
        terms = list(_tangents(page))
    page.power = {**page.power, "apparent": terms}
    return terms


def reactive_mvar(page: Page, *, leading: bool) -> Terms:
    r"""Reactive power that is billed by step, Mvar: its magnitude, or its lagging part alone; an LP, never negative."""
    if REACTIVE not in page.power:
        factor = _power_factor(page)
        slope = math.sqrt(1.0 - factor**2) / factor
        return [slope * term for term in page.power["import"]]
    reactive = page.power[REACTIVE]
    if not page.may_lead:
        return reactive
    name = "magnitude" if leading else "lagging"
    if name in page.power:
        return page.power[name]
    steps = page.block.horizon.steps
    counted = page.block.variable("counted_mvar", steps, "Mvar", "reactive power that is billed", of=name)

    @page.block.constraint(steps, of=name)
    def covers_lagging(t: int) -> Relation:
        r"""m_t \ge q_t"""
        return counted[t] >= reactive[t]

    if leading:

        @page.block.constraint(steps, of=name)
        def covers_leading(t: int) -> Relation:
            r"""m_t \ge -q_t"""
            return counted[t] >= -1.0 * reactive[t]

    page.power = {**page.power, name: counted}
    return counted


def facet_error(facets: int) -> float:
    """Largest share by which that many tangents in one quadrant understate apparent power."""
    return 1.0 - math.cos(math.pi / 4.0 / facets)


def _tangents(page: Page) -> Terms:
    facets = page.kva_facets
    steps = page.block.horizon.steps
    power, reactive = page.power["import"], reactive_mvar(page, leading=True)
    angles = (np.arange(facets) + 0.5) * (math.pi / 2.0 / facets)
    apparent = page.block.variable("apparent_mva", steps, "MVA", "apparent power of the import, by tangents")

    for facet, angle in enumerate(angles.tolist()):

        @page.block.constraint(steps, of=f"facet_{facet}")
        def tangent(t: int, angle: float = angle) -> Relation:
            r"""S_t \ge \cos\theta_k p_t + \sin\theta_k |q_t|"""
            return apparent[t] >= math.cos(angle) * power[t] + math.sin(angle) * reactive[t]

    return apparent


def _power_factor(page: Page) -> float:
    if page.power_factor is None:
        raise InvalidInput(
            Problem(
                "the tariff bills apparent or reactive power",
                "state `power_factor` beside the tariff, or let the POI publish reactive_mvar",
                f"{page.block.name}.power_factor",
            )
        )
    return page.power_factor


__all__ = ["REACTIVE", "apparent_mva", "facet_error", "reactive_mvar"]
