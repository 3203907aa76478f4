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
    r"""Net of each clock hour, the same in all its steps; net buying and net selling in one hour is forbidden.

    A binary is added only where a solved relaxation does both at once.
    """
    steps, hour = page.block.horizon.steps, hour_of(page.axis)
    members = [np.flatnonzero(hour == place).tolist() for place in range(int(hour[-1]) + 1)]
    block = page.block
    net_bought = block.variable("import_mw", steps, "MW", "net import of the hour", of="netting")
    net_sold = block.variable("export_mw", steps, "MW", "net export of the hour", of="netting")

    @block.constraint(range(len(members)), of="netting")
    def hourly_net(h: int) -> Relation:
        r"""P_h - X_h = mean of p_t - x_t over the hour"""
        net = total(bought[t] - sold[t] for t in members[h])
        return net_bought[members[h][0]] - net_sold[members[h][0]] == (1.0 / len(members[h])) * net

    @block.constraint(steps, of="netting")
    def same_import(t: int) -> Relation | None:
        r"""P_t = P_{t-1} within the hour"""
        return net_bought[t] == net_bought[t - 1] if t and hour[t] == hour[t - 1] else None

    @block.constraint(steps, of="netting")
    def same_export(t: int) -> Relation | None:
        r"""X_t = X_{t-1} within the hour"""
        return net_sold[t] == net_sold[t - 1] if t and hour[t] == hour[t - 1] else None

    limits = (page.limit_mw("hourly netting"), page.export_limit_mw("hourly netting"))
    page.forbid_both((net_bought, net_sold), ([limits[0]] * steps.size, [limits[1]] * steps.size))
    return net_bought, net_sold


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
