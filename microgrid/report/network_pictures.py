"""Pictures of the AC power flow: voltages against their limits, loadings, and where and when they are high."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.figure import Figure

from microgrid.report.canvas import COLOURS, LIMIT, canvas, legend_beside, local_dates
from microgrid.report.view import View, held

SHOWN_ELEMENTS = 15
FEWEST_ROWS = 6
ALIKE_PERCENT = 3.0
PERCENT = "percent of the element's limit"
SOURCE_LINE = "THEVENIN"  # as `microgrid.network.source` names it
Limits = tuple[np.ndarray, np.ndarray]
"""Lower and upper voltage limit of each bus, pu."""

LINES = (COLOURS[0], COLOURS[3], COLOURS[2], COLOURS[5])


def voltage_envelope(view: View) -> Figure | None:
    """Lowest and highest voltage over all buses by step (or day), with limits; and the range of each bus."""
    flow = view.results.powerflow
    if flow is None or "vm_pu" not in flow:
        return None
    voltage = flow["vm_pu"].transpose("bus", "time").to_numpy()
    live = np.isfinite(voltage).any(axis=1) & ~np.isin(flow["bus_index"].to_numpy(), _source_buses(view))
    if not live.any():
        return None
    names, voltage = flow["bus"].to_numpy()[live].astype(str), voltage[live]
    figure, (left, right) = canvas(13.0, 5.3, columns=2, widths=(2.3, 1.0))
    edges, low = view.coarse(np.fmin.reduce(voltage, axis=0), np.fmin)
    _, high = view.coarse(np.fmax.reduce(voltage, axis=0), np.fmax)
    shade = {"color": COLOURS[0], "alpha": 0.55, "linewidth": 0, "label": "all buses"}
    left.fill_between(edges, held(low), held(high), step="post", **shade)
    for line in (low, high):
        left.plot(edges, held(line), drawstyle="steps-post", color=COLOURS[0], linewidth=0.9)
    limits = _bus_limits(view, names)
    if limits is not None:
        for value, word in ((limits[0].max(), "highest lower limit"), (limits[1].min(), "lowest upper limit")):
            left.axhline(value, color=LIMIT, linewidth=1.1, linestyle="--", label=f"{word}, {value:.3f} pu")
    left.set(title=f"{view.name}: lowest and highest voltage of each {view.per}", ylabel="pu")
    left.set_xlim(edges[0], edges[-1])
    left.margins(y=0.12)
    local_dates(left, view.zone)
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)
    _bus_ranges(right, names, voltage, limits)
    return figure


def _bus_ranges(panel: Any, names: np.ndarray, voltage: np.ndarray, limits: Limits | None) -> None:
    """Bars from the lowest to the highest voltage of the buses that come nearest to a limit (or range widest)."""
    low, high = np.nanmin(voltage, axis=1), np.nanmax(voltage, axis=1)
    room = np.minimum(low - limits[0], limits[1] - high) if limits is not None else low - high
    chosen = np.argsort(room, kind="stable")[:SHOWN_ELEMENTS]
    places = np.arange(chosen.size)
    panel.barh(places, high[chosen] - low[chosen], left=low[chosen], color=COLOURS[0], edgecolor=COLOURS[0], height=0.6)
    if limits is not None:
        for side in limits:
            panel.plot(side[chosen], places, "|", color=LIMIT, markersize=9, markeredgewidth=1.4)
    panel.set_yticks(places, names[chosen])
    panel.margins(x=0.06)
    panel.grid(visible=False, axis="y")
    panel.set_ylim(max(chosen.size, FEWEST_ROWS) - 0.5, -0.5)
    some = f", {chosen.size} buses nearest a limit" if chosen.size < names.size else ""
    panel.set(title=f"range by bus{some}", xlabel="pu")


def loading_envelope(view: View) -> Figure | None:
    """Highest loading over all elements by step (or day), the most loaded elements, and the limit."""
    loading = _loading(view)
    if loading is None:
        return None
    names, share = loading
    figure, (panel,) = canvas(12.0, 4.6)
    edges, worst = view.coarse(np.fmax.reduce(share, axis=0), np.fmax)
    panel.fill_between(edges, 0.0, held(worst), step="post", color="#CCCCCC", linewidth=0, label="any element")
    for place, (element, alike) in enumerate(_unlike(share).items()):
        _, line = view.coarse(share[element], np.fmax)
        label = f"{names[element]} (and {alike} alike)" if alike else names[element]
        panel.plot(edges, held(line), drawstyle="steps-post", linewidth=1.1, color=LINES[place], label=label)
    panel.axhline(100.0, color=LIMIT, linewidth=1.1, linestyle="--", label="limit")
    panel.set(title=f"{view.name}: highest loading of each {view.per}", ylabel=PERCENT, xlim=(edges[0], edges[-1]))
    panel.set_ylim(0.0, max(108.0, 1.05 * float(np.nanmax(worst))))
    local_dates(panel, view.zone)
    legend_beside(figure, panel)
    return figure


def loading_heat(view: View) -> Figure | None:
    """Loading of the most loaded elements over the window, and by hour of the day."""
    loading = _loading(view)
    if loading is None:
        return None
    names, share = loading
    chosen = _most_loaded(share)[:SHOWN_ELEMENTS]
    edges, over_time = view.coarse(share[chosen], np.fmax)
    figure, (left, right) = canvas(13.0, 1.6 + 0.28 * max(6, chosen.size), columns=2, widths=(2.0, 1.0))
    rows = np.arange(chosen.size + 1)
    scale = colormaps["cividis"].with_extremes(over=LIMIT, bad="white")
    left.pcolormesh(edges, rows, over_time, cmap=scale, vmin=0.0, vmax=100.0, rasterized=True)
    drawn = right.pcolormesh(np.arange(25), rows, _by_hour(view, share[chosen]), cmap=scale, vmin=0.0, vmax=100.0)
    for panel in (left, right):
        panel.set_yticks(rows[:-1] + 0.5, [])
        panel.tick_params(axis="y", length=0)
        panel.invert_yaxis()
        panel.grid(visible=False)
    left.set_yticklabels(names[chosen])
    left.set_title(f"{view.name}: highest loading of each {view.per}")
    right.set(title="highest by hour of the day", xlabel=f"local hour, {view.zone}", xticks=range(0, 25, 4))
    local_dates(left, view.zone)
    figure.colorbar(drawn, ax=[left, right], label=f"{PERCENT} (red: above)", pad=0.01, extend="max")
    return figure


def _by_hour(view: View, share: np.ndarray) -> np.ndarray:
    """Highest value by local hour, shape (elements, 24); hours outside the window are NaN."""
    hours = view.edges[:-1].hour.to_numpy()
    table = np.full((share.shape[0], 24), np.nan)
    for hour in np.unique(hours):
        table[:, hour] = np.fmax.reduce(share[:, hours == hour], axis=1)
    return table


def _most_loaded(share: np.ndarray) -> np.ndarray:
    highest = np.fmax.reduce(share, axis=1)
    return np.argsort(-np.nan_to_num(highest, nan=-1.0), kind="stable")


def _unlike(share: np.ndarray) -> dict[int, int]:
    """The most loaded elements that differ, each with the number of others whose loading never differs by 3 points."""
    kept: dict[int, int] = {}
    for element in _most_loaded(share).tolist():
        twin = next((other for other in kept if np.nanmax(np.abs(share[element] - share[other])) < ALIKE_PERCENT), None)
        if twin is not None:
            kept[twin] += 1
        elif len(kept) < len(LINES):
            kept[element] = 0
    return kept


def _loading(view: View) -> tuple[np.ndarray, np.ndarray] | None:
    """Names of branches and their loading in percent of their own limit, shape (branches, steps)."""
    flow = view.results.powerflow
    if flow is None or "loading_percent" not in flow or not flow.sizes.get("branch"):
        return None
    share = flow["loading_percent"].transpose("branch", "time").to_numpy()
    names = flow["branch"].to_numpy().astype(str)
    limits = _limits(view)
    if limits is not None:
        normal = limits["loading_normal_percent"].to_series().reindex(names).fillna(100.0)
        share = share / normal.to_numpy()[:, None] * 100.0
    # The impedance of the grid behind the POI is no element of the campus.
    kept = np.isfinite(share).any(axis=1) & ~np.char.endswith(names, SOURCE_LINE)
    return (names[kept], share[kept]) if kept.any() else None


def _bus_limits(view: View, names: np.ndarray) -> Limits | None:
    limits = _limits(view)
    if limits is None:
        return None
    frame = limits[["vm_min_pu", "vm_max_pu"]].to_dataframe().reindex(names)
    return frame["vm_min_pu"].fillna(0.0).to_numpy(), frame["vm_max_pu"].fillna(np.inf).to_numpy()


def _limits(view: View) -> xr.Dataset | None:
    """Limits of the network of the result; None where the folder holds none."""
    if view.net is None:
        return None
    from microgrid.network.limits import read_limits  # noqa: PLC0415 - only results with a network need it

    return read_limits(view.net)


def _source_buses(view: View) -> np.ndarray:
    """Buses behind the grid's own impedance: they are the source, not the campus."""
    if view.net is None or not view.net.line["name"].astype(str).str.endswith(SOURCE_LINE).any():
        return np.zeros(0, int)
    return np.asarray(view.net.ext_grid["bus"], int)


__all__ = ["loading_envelope", "loading_heat", "voltage_envelope"]
