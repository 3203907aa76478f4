"""Figures without a window: size, fonts, colours that colour-blind readers tell apart, and how a file is written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#332288", "#999933", "#882255",
    "#44AA99", "#DDCC77", "#BBBBBB",
)  # fmt: skip
"""Okabe and Ito's palette (jfly.uni-koeln.de/color, 2008) without black and yellow, then Paul Tol's muted scheme
(SRON/EPS/TN/09-002)."""

INK, QUIET, LIMIT = "#222222", "#777777", "#B00020"
STYLE: dict[str, Any] = {
    "font.size": 9.0, "axes.titlesize": 10.0, "axes.titlelocation": "left", "axes.titleweight": "bold",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.color": "#DDDDDD", "grid.linewidth": 0.6, "axes.axisbelow": True,
    "legend.frameon": False, "legend.fontsize": 8.5, "svg.hashsalt": "microgrid",
}  # fmt: skip


def canvas(
    width: float = 11.0,
    height: float = 5.0,
    *,
    rows: int = 1,
    columns: int = 1,
    widths: Sequence[float] | None = None,
) -> tuple[Figure, list[Any]]:
    """Make a figure (inches) and its panels, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, width_ratios=widths)
    return figure, list(panels.flat)


def local_dates(panel: Any, zone: str) -> None:
    """Label the time axis in local time of the case."""
    locator = AutoDateLocator(tz=zone, minticks=4, maxticks=9)
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    panel.set_xlabel(f"local time, {zone}")


def thousands(panel: Any, axis: str = "y") -> None:
    """Separate thousands on an axis."""
    getattr(panel, f"{axis}axis").set_major_formatter(lambda value, _: f"{value:,.10g}")


def legend_beside(figure: Figure, panel: Any) -> None:
    """Put the legend of a panel right of the whole figure, where it covers nothing."""
    handles, names = panel.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper")


def styled() -> AbstractContextManager[None]:
    """Style of every picture, in force while it is drawn and written."""
    return mpl.rc_context(STYLE)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG or SVG by the suffix; no date inside, so that equal figures are equal files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path


__all__ = ["COLOURS", "INK", "LIMIT", "QUIET", "canvas", "legend_beside", "local_dates", "save", "styled", "thousands"]
