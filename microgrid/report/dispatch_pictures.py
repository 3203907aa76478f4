"""Pictures of a dispatch: the stack of a week, load duration, price response, stored energy, money."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from microgrid.report.canvas import COLOURS, INK, QUIET, canvas, legend_beside, local_dates, thousands
from microgrid.report.view import SHOWN_MW, View, held
from microgrid.results.dataset import COST

SHOWN_ITEMS = 18
MOST_PANELS = 4
WINDOW_H = 24 * 15
"""Windows longer than this show stored energy by day above the week."""


def dispatch_stack(view: View) -> Figure | None:
    """Sources above zero, sinks below, and the value of energy on the right axis, over one week."""
    if not view.powers:
        return None
    span = view.span
    edges = view.edges[span.start : span.stop + 1]
    figure, (panel,) = canvas(12.0, 5.6)
    above, below = np.zeros(span.stop - span.start), np.zeros(span.stop - span.start)
    for part, power in view.powers.items():
        source, sink = np.clip(power[span], 0.0, None), np.clip(power[span], None, 0.0)
        for base, layer, label in ((above, source, part), (below, sink, part if source.max() <= SHOWN_MW else None)):
            if np.abs(layer).max() > SHOWN_MW:
                shade = {"color": view.colours[part], "linewidth": 0, "label": label}
                panel.fill_between(edges, held(base), held(base + layer), step="post", **shade)
        above, below = above + source, below + sink
    panel.axhline(0.0, color=INK, linewidth=0.8)
    panel.set(title=f"{view.name}: dispatch, {view.span_text}", ylabel="MW (sources above zero, sinks below)")
    panel.set_xlim(edges[0], edges[-1])
    panel.set_ylim(1.08 * below.min(initial=-SHOWN_MW), 1.08 * above.max(initial=SHOWN_MW))
    local_dates(panel, view.zone)
    _price_on_right(view, panel, edges)
    legend_beside(figure, panel)
    return figure


def _price_on_right(view: View, panel: Any, edges: Any) -> None:
    """Draw the value of energy on a second axis whose zero lies on the zero of the first."""
    if view.price is None:
        return
    price = view.price[view.span]
    right = panel.twinx()
    right.grid(visible=False)
    right.spines["right"].set_visible(True)
    right.plot(edges, held(price), drawstyle="steps-post", color="white", linewidth=2.6)
    (line,) = right.plot(edges, held(price), drawstyle="steps-post", color=INK, linewidth=1.1)
    low, high = panel.get_ylim()
    scale = max(price.max(initial=0.0) / (0.97 * high), price.min(initial=0.0) / (0.97 * low), 1e-9)
    right.set_ylim(low * scale, high * scale)
    right.set_yticks([tick for tick in right.get_yticks() if tick >= min(0.0, price.min()) and tick <= high * scale])
    right.set_ylabel("value of energy, USD/MWh")
    panel.plot([], [], color=line.get_color(), linewidth=1.1, label="value of energy (right)")


def load_duration(view: View) -> Figure | None:
    """Power in falling order: what crosses the meters on the left, every part on the right."""
    meters = _meter_flows(view)
    if not view.powers:
        return None
    hours = np.arange(view.count + 1) * view.hours
    figure, panels = canvas(12.0, 4.8, columns=2) if meters else canvas(8.5, 4.8)
    for place, (label, power) in enumerate(meters.items()):
        panels[0].plot(hours, held(np.sort(power)[::-1]), drawstyle="steps-post", color=COLOURS[place], label=label)
    poi = {name.removesuffix(".import_mw") for name in map(str, view.dispatch) if name.endswith(".import_mw")}
    for part, power in ((part, power) for part, power in view.powers.items() if part not in poi):
        # A part that both gives and takes (a battery, a meter) is ordered by its signed injection.
        order = np.sort(power)[::-1] if power.max() > SHOWN_MW else np.sort(-power)[::-1]
        word = "" if power.max() <= SHOWN_MW else " (source)" if power.min() >= -SHOWN_MW else " (gives, then takes)"
        panels[-1].plot(hours, held(order), drawstyle="steps-post", color=view.colours[part], label=f"{part}{word}")
    titles = [f"{view.name}: power at the meter", "power of each part"] if meters else [f"{view.name}: power by part"]
    for panel, title in zip(panels, titles, strict=True):
        panel.set(title=title, xlabel="hours at or above", ylabel="MW", xlim=(0.0, hours[-1]))
        panel.axhline(0.0, color=INK, linewidth=0.8)
        thousands(panel, "x")
    if meters:
        panels[0].legend(loc="best")
    legend_beside(figure, panels[-1])
    return figure


def _meter_flows(view: View) -> dict[str, np.ndarray]:
    """Import and export of every meter that carries any, MW."""
    found = {}
    for direction in ("import", "export"):
        for name in map(str, view.dispatch):
            if name.endswith(f".{direction}_mw"):
                power = view.dispatch[name].to_numpy()
                if power.max(initial=0.0) > SHOWN_MW:
                    found[f"{name.removesuffix(f'.{direction}_mw')} {direction}"] = power
    return found


def price_response(view: View) -> Figure | None:
    """Power of every mining fleet against the value of energy, one point a step; each tier's usual income is marked."""
    fleets = [part for part in view.powers if _tiers(view, part)][:MOST_PANELS]
    if view.price is None or not fleets:
        return None
    rows, columns = -(-len(fleets) // 2), min(2, len(fleets))
    figure, panels = canvas(7.5 * columns, 4.8 * rows, rows=rows, columns=columns)
    for panel, part in zip(panels, fleets, strict=False):
        power = -view.powers[part]
        alpha = 0.35 if view.count > 500 else 0.8
        panel.scatter(view.price, power, s=9, color=view.colours[part], alpha=alpha, linewidths=0)
        panel.set(
            title=f"{view.name}: {part} against price", xlabel="value of energy, USD/MWh", ylabel=f"power of {part}, MW"
        )
        panel.set_ylim(0.0, 1.28 * power.max(initial=SHOWN_MW))
        _mark_incomes(view, panel, part)
    return figure


def _tiers(view: View, part: str) -> list[str]:
    """Tiers of a mining fleet: those that report a hashrate."""
    start, end = f"{part}.", ".hashrate_ph_s"
    names = (name for name in map(str, view.dispatch) if name.startswith(start) and name.endswith(end))
    return [name.removeprefix(start).removesuffix(end) for name in names]


def _mark_incomes(view: View, panel: Any, part: str) -> None:
    """Mark each tier's median income at the meter; labels stand at different heights, so that near ones stay apart."""
    for place, tier in enumerate(_tiers(view, part)):
        name = f"{part}.{tier}.income_usd_per_mwh"
        income = view.dispatch[name].to_numpy() if name in view.dispatch else np.zeros(0)
        income = income[income > 0.0]
        if income.size:
            middle = float(np.median(income))
            panel.axvline(middle, color=QUIET, linewidth=0.9, linestyle="--")
            at = 0.99 - 0.05 * (place % 3)
            panel.annotate(
                f"{tier} earns {middle:,.0f} (median)", (middle, at), xycoords=("data", "axes fraction"), xytext=(3, 0),
                textcoords="offset points", va="top", fontsize=8, color=INK, annotation_clip=False,
            )  # fmt: skip
    panel.margins(x=0.03)
    low, high = panel.get_xlim()
    panel.set_xlim(low, high + 0.22 * (high - low))


def stored_energy(view: View) -> Figure | None:
    """Energy in every store over the week that is shown, and its daily range where the window is longer."""
    stores = {
        name.removesuffix(".energy_mwh"): view.dispatch[name].to_numpy()
        for name in map(str, view.dispatch)
        if name.endswith(".energy_mwh") and view.dispatch[name].dims == ("edge",)
    }
    if not stores:
        return None
    long = view.count * view.hours > WINDOW_H
    figure, panels = canvas(12.0, 6.4 if long else 3.8, rows=2 if long else 1)
    span = view.span
    shown = slice(span.start, span.stop + 1)
    for place, (part, energy) in enumerate(stores.items()):
        colour = view.colours.get(part.partition(".")[0], COLOURS[place % len(COLOURS)])
        panels[-1].plot(view.edges[shown], energy[shown], color=colour, label=part)
        if long:
            starts = view.day_starts
            low, high = np.minimum.reduceat(energy[:-1], starts), np.maximum.reduceat(energy[:-1], starts)
            days = view.edges[np.r_[starts, view.count]]
            panels[0].fill_between(days, held(low), held(high), step="post", color=colour, alpha=0.75, linewidth=0)
    titles = [f"{view.name}: stored energy, range of each day", f"week of {view.span_text}"]
    for panel, title in zip(panels, titles if long else [f"{view.name}: stored energy"], strict=True):
        panel.set(title=title, ylabel="MWh")
        panel.set_ylim(bottom=0.0)
        panel.margins(x=0.0)
        local_dates(panel, view.zone)
    legend_beside(figure, panels[-1])
    return figure


def money(view: View) -> Figure | None:
    """Cost and revenue by item, the largest first."""
    names = (name for name in map(str, view.dispatch) if name.startswith(COST))
    amounts = {name.removeprefix(COST): float(view.dispatch[name].sum()) for name in names}
    amounts = {name: amount for name, amount in amounts.items() if abs(amount) >= 0.5}
    if not amounts:
        return None
    total = sum(amounts.values())
    items = sorted(amounts.items(), key=lambda item: -abs(item[1]))
    rest = sum(amount for _, amount in items[SHOWN_ITEMS:])
    items = items[:SHOWN_ITEMS] + ([(f"{len(items) - SHOWN_ITEMS} more", rest)] if rest else [])
    unit, word = (1e6, "million USD") if abs(items[0][1]) >= 2e6 else (1e3, "thousand USD")
    figure, (panel,) = canvas(10.0, 1.3 + 0.3 * len(items))
    widths = [-amount / unit for _, amount in items]
    colours = [COLOURS[0] if width >= 0.0 else COLOURS[3] for width in widths]
    bars = panel.barh([name for name, _ in items], widths, color=colours, height=0.7)
    labels = [f"{width:,.2f}" if abs(width) < 1 else f"{width:,.1f}" for width in widths]
    panel.bar_label(bars, labels, padding=3, fontsize=8.5)
    panel.invert_yaxis()
    panel.axvline(0.0, color=INK, linewidth=0.8)
    panel.margins(x=0.12)
    panel.grid(visible=False, axis="y")
    outcome = f"net cost {total / unit:,.2f}" if total > 0 else f"net revenue {-total / unit:,.2f}"
    panel.set(title=f"{view.name}: money by item, {outcome} {word}", xlabel=f"{word} (revenue right, cost left)")
    thousands(panel, "x")
    return figure


__all__ = ["dispatch_stack", "load_duration", "money", "price_response", "stored_energy"]
