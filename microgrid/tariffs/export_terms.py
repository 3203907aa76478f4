"""Import and export as energy charges see them in the optimiser: hourly netting and limits on what is credited."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Relation, total
from microgrid.tariffs.charges import AnyCharge, EnergyCharge
from microgrid.tariffs.export import NET_METERING, hour_of
from microgrid.tariffs.page import KILO, Page, Terms
from microgrid.tariffs.prices import price_table


def priced_terms(page: Page, charges: Sequence[AnyCharge]) -> tuple[Terms, Terms]:
    """Import and export by step, MW, after the export scheme's netting and limits; `charges` price the export."""
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
        sold = _credited(page, sold, export.cap_kw / KILO, np.flatnonzero(_costs(page, charges)).tolist())
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


def _costs(page: Page, charges: Sequence[AnyCharge]) -> np.ndarray:
    """Steps in which credited export costs money: the sum of the prices for it is negative, or a tier's may be."""
    price = np.zeros(page.axis.count)
    for charge in charges:
        if isinstance(charge, EnergyCharge) and charge.channel == "export":
            price = price + least_price(charge, page)
    return np.asarray(price < 0.0)


def _credited(page: Page, sold: Terms, cap_mw: float, held: Sequence[int]) -> Terms:
    r"""Export that is credited, the lesser of export and cap.

    An LP where credit is worth taking. At the steps `held`, where its price is negative, an LP would export and take no
    credit: there the lesser of two must be attained, which is not convex and takes one binary a step.
    """
    steps = page.block.horizon.steps
    credited = page.block.variable("credited_mw", steps, "MW", "export that is credited", upper=cap_mw, of="export")

    @page.block.constraint(steps, of="export")
    def credited_export(t: int) -> Relation:
        r"""x^{cr}_t \le x_t"""
        return credited[t] <= sold[t]

    if not held:
        return credited
    beyond_mw = max(page.export_limit_mw("a capped export with negative prices") - cap_mw, 0.0)
    places = page.indexed("capped", "export", len(held))
    capped = page.block.variable(
        "capped", places, "1", "whether the cap is reached", upper=1.0, integer=True, of="export"
    )

    @page.block.constraint(places, of="export")
    def credited_all(k: int) -> Relation:
        r"""x^{cr}_t \ge x_t - (\bar x - K) z_t"""
        return credited[held[k]] >= sold[held[k]] - beyond_mw * capped[k]

    @page.block.constraint(places, of="export")
    def credited_cap(k: int) -> Relation:
        r"""x^{cr}_t \ge K z_t"""
        return credited[held[k]] >= cap_mw * capped[k]

    return credited


def least_price(charge: EnergyCharge, page: Page) -> np.ndarray:
    """Least price of an energy charge by step, $/kWh, shape (steps,); of all tiers where it has some."""
    when = np.ones(page.axis.count) if charge.when is None else page.series[charge.when]
    if charge.months is not None:
        when = when * np.isin(page.axis.month_of + 1, charge.months)
    if charge.tiers is None:
        index = page.series[charge.series] if charge.series is not None else None
        return np.asarray(charge.price_by_interval(page.axis, index) * when)
    names = page.axis.periods_or_all(charge.calendar).names
    least = min(float(np.nanmin(price_table(tier.price, names))) for tier in charge.tiers)
    return np.asarray(least * when)


__all__ = ["least_price", "priced_terms"]
