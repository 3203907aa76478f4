"""Pictures of a tariff and of a bill, with matplotlib: the TOU calendar, and where the money goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from microgrid.tariffs.bill import Bill
from microgrid.tariffs.drawing import MONTHS, Drawing

_COLOURS = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#9c755f", "#ff9da7", "#bab0ac",
)  # fmt: skip


def bill_table(made: Bill) -> pd.DataFrame:
    """Money by charge (rows) and cycle (columns), with a `total` row and column; charges that are zero are left out."""
    table = made.monthly().drop(columns="total").T
    table = table.loc[(table != 0.0).any(axis=1)]
    table = table.assign(total=table.sum(axis=1))
    table.loc["total"] = table.sum(axis=0)
    table.index.name = "charge"
    return table


def picture_bill(made: Bill, path: Path) -> Path:
    """Draw where the money goes: a stack of charges by cycle, and each charge's share. PNG or SVG by the suffix."""
    figure, (left, right) = _figure(12.0, 4.8, columns=2, widths=(2.2, 1.0))
    names = [name for name, amount in made.by_charge.items() if abs(amount) > 0.0]
    positive, negative = np.zeros(len(made.cycles)), np.zeros(len(made.cycles))
    for place, name in enumerate(names):
        amount = made.amounts[name] / 1000.0
        base = np.where(amount >= 0.0, positive, negative)
        left.bar(made.cycles, amount, bottom=base, color=_COLOURS[place % len(_COLOURS)], label=name, width=0.75)
        positive, negative = positive + np.maximum(amount, 0.0), negative + np.minimum(amount, 0.0)
    left.set_ylabel(f"thousand {made.currency}")
    left.set_title(f"{made.tariff}: {made.total:,.2f} {made.currency}")
    left.tick_params(axis="x", rotation=60)
    left.axhline(0.0, color="black", linewidth=0.8)
    order = sorted(names, key=lambda name: made.by_charge[name])
    totals = [made.by_charge[name] / 1000.0 for name in order]
    right.barh(order, totals, color=[_COLOURS[names.index(name) % len(_COLOURS)] for name in order])
    for place, name in enumerate(order):
        share = made.by_charge[name] / made.total if made.total else 0.0
        right.annotate(f" {share:.1%}", (max(totals[place], 0.0), place), va="center", fontsize=8)
    right.set_xlabel(f"thousand {made.currency}")
    right.margins(x=0.15)
    return _save(figure, path)


def picture_years(bills: Sequence[Bill], path: Path) -> Path:
    """Draw a stack of charges by year. PNG or SVG by the suffix."""
    figure, axis = _figure(9.0, 4.8)
    years = np.arange(1, len(bills) + 1)
    names = [name for name in bills[0].by_charge if any(made.by_charge[name] for made in bills)]
    positive, negative = np.zeros(years.size), np.zeros(years.size)
    for place, name in enumerate(names):
        amount = np.array([made.by_charge[name] for made in bills]) / 1000.0
        base = np.where(amount >= 0.0, positive, negative)
        axis.bar(years, amount, bottom=base, color=_COLOURS[place % len(_COLOURS)], label=name, width=0.75)
        positive, negative = positive + np.maximum(amount, 0.0), negative + np.minimum(amount, 0.0)
    total = sum(made.total for made in bills)
    axis.set_title(f"{bills[0].tariff}: {total:,.2f} {bills[0].currency} over {years.size} years")
    axis.set_xlabel("year")
    axis.set_ylabel(f"thousand {bills[0].currency}")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.axhline(0.0, color="black", linewidth=0.8)
    figure.legend(loc="outside right upper")
    return _save(figure, path)


def picture_calendar(drawing: Drawing, path: Path) -> Path:
    """Draw a TOU calendar, month by hour, weekdays beside weekends. PNG or SVG by the suffix."""
    from matplotlib.colors import ListedColormap  # noqa: PLC0415 - slow to import, needed for pictures only
    from matplotlib.patches import Patch  # noqa: PLC0415

    figure, axes = _figure(12.0, 4.0, columns=2, widths=(1.0, 1.0))
    count = len(drawing.periods)
    colours = ["#ffffff", *(_COLOURS[place % len(_COLOURS)] for place in range(count))]
    for axis, kind, rows in zip(axes, ("weekday", "weekend"), (drawing.weekday, drawing.weekend), strict=True):
        hours = np.linspace(0.0, 24.0, rows.shape[1] + 1)
        axis.pcolormesh(hours, np.arange(13), rows, cmap=ListedColormap(colours), vmin=-1, vmax=count - 1)
        axis.set_yticks(np.arange(12) + 0.5, MONTHS)
        axis.set_xticks(range(0, 25, 3))
        axis.invert_yaxis()
        axis.set_xlabel("local hour")
        axis.set_title(f"{drawing.name}, {kind}")
    named = [Patch(color=colours[place + 1], label=name) for place, name in enumerate(drawing.periods)]
    if (drawing.weekday < 0).any() or (drawing.weekend < 0).any():
        named.append(Patch(facecolor="#ffffff", edgecolor="black", label="gap"))
    figure.legend(handles=named, loc="outside lower center", ncols=min(8, len(named)))
    return _save(figure, path)


def _figure(width: float, height: float, *, columns: int = 1, widths: tuple[float, ...] = (1.0,)) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns, width_ratios=widths)


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


__all__ = ["bill_table", "picture_bill", "picture_calendar", "picture_years"]
