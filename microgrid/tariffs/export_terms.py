"""Import and export as energy charges see them in the optimiser: hourly netting and limits on what is credited."""

from __future__ import annotations

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Relation, total
from microgrid.tariffs.export import NET_METERING, hour_of
from microgrid.tariffs.page import KILO, Page, Terms


def priced_terms(page: Page) -> tuple[Terms, Terms]:
    """Import and export by step, MW, after the export scheme's netting and limits."""
    bought, sold = page.power["import"], page.power["export"]
    export = page.export
    if export is None:
        return bought, sold
    if export.cap_pct_of_import is not None:
        raise InvalidInput(
            Problem(
                "a credit limited to a share of the import depends on both and cannot be optimised",
                "limit export at the POI instead",
                "export.cap_pct_of_import",
            )
        )
    if export.netting == "hour" and export.scheme not in NET_METERING and page.axis.step_min < 60:
        bought, sold = _net_within_hours(page, bought, sold)
    if export.cap_kw is not None:
        sold = _credited(page, sold, export.cap_kw / KILO)
    return bought, sold


def _net_within_hours(page: Page, bought: Terms, sold: Terms) -> tuple[Terms, Terms]:
    r"""Net of each clock hour, spread evenly over its steps; buying and selling in one hour is forbidden.

    Exact where a price holds for the whole hour. A binary is added only where a solved relaxation does both at once.
    """
    hour = hour_of(page.axis)
    members = [np.flatnonzero(hour == place).tolist() for place in range(int(hour[-1]) + 1)]
    places = page.indexed("hour", "netting", len(members))
    net_bought = page.block.variable("import_mw", places, "MW", "net import of the hour", of="netting")
    net_sold = page.block.variable("export_mw", places, "MW", "net export of the hour", of="netting")

    @page.block.constraint(places, of="netting")
    def hourly_net(h: int) -> Relation:
        r"""P_h - X_h = mean of p_t - x_t over the hour"""
        net = total(bought[t] - sold[t] for t in members[h])
        return net_bought[h] - net_sold[h] == (1.0 / len(members[h])) * net

    return [net_bought[int(h)] for h in hour], [net_sold[int(h)] for h in hour]


def _credited(page: Page, sold: Terms, cap_mw: float) -> Terms:
    r"""Export that is credited, at most the cap; an LP, since credit is worth taking."""
    steps = page.block.horizon.steps
    credited = page.block.variable("credited_mw", steps, "MW", "export that is credited", upper=cap_mw, of="export")

    @page.block.constraint(steps, of="export")
    def credited_export(t: int) -> Relation:
        r"""x^{cr}_t \le x_t"""
        return credited[t] <= sold[t]

    return credited


__all__ = ["priced_terms"]
