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

    At a fixed power factor ``S = p / pf``, exactly. Where the POI publishes reactive power, tangents to the circle in
    the quadrant of import and lagging power stand for ``S >= sqrt(p^2 + q^2)``; with K facets they understate S by at
    most ``1 - cos(pi / 4K)`` (0.03 % for 32), which `rebill` makes visible. No binary.
    """
    if "apparent" in page.power:
        return page.power["apparent"]
    power = page.power["import"]
    if REACTIVE not in page.power:
        factor = _power_factor(page)
        terms = [power[t] / factor for t in page.block.horizon.steps]
    else:
        terms = list(_tangents(page))
    page.power = {**page.power, "apparent": terms}
    return terms


def reactive_mvar(page: Page) -> Terms:
    """Reactive power of the import by step, Mvar: published by the POI, or from the fixed power factor."""
    if REACTIVE in page.power:
        return page.power[REACTIVE]
    factor = _power_factor(page)
    slope = math.sqrt(1.0 - factor**2) / factor
    return [slope * term for term in page.power["import"]]


def _tangents(page: Page) -> Terms:
    facets = page.kva_facets
    steps = page.block.horizon.steps
    power, reactive = page.power["import"], page.power[REACTIVE]
    angles = (np.arange(facets) + 0.5) * (math.pi / 2.0 / facets)
    apparent = page.block.variable("apparent_mva", steps, "MVA", "apparent power of the import, by tangents")

    for facet, angle in enumerate(angles.tolist()):

        @page.block.constraint(steps, of=f"facet_{facet}")
        def tangent(t: int, angle: float = angle) -> Relation:
            r"""S_t \ge \cos\theta_k p_t + \sin\theta_k q_t"""
            return apparent[t] >= math.cos(angle) * power[t] + math.sin(angle) * reactive[t]

    page.notes.append(
        f"kVA by {facets} tangents in one quadrant: apparent power understated by at most "
        f"{1.0 - math.cos(math.pi / 4.0 / facets):.3%}"
    )
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


__all__ = ["REACTIVE", "apparent_mva", "reactive_mvar"]
