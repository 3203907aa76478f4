"""Draw a result: every picture that its content allows, as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from microgrid.report.canvas import save, styled
from microgrid.report.dispatch_pictures import dispatch_stack, load_duration, money, price_response, stored_energy
from microgrid.report.network_pictures import loading_envelope, loading_heat, voltage_envelope
from microgrid.report.view import View
from microgrid.results.files import Results

PICTURES: dict[str, Callable[[View], Figure | None]] = {
    "dispatch": dispatch_stack,
    "load_duration": load_duration,
    "price_response": price_response,
    "stored_energy": stored_energy,
    "voltage": voltage_envelope,
    "loading": loading_envelope,
    "loading_heat": loading_heat,
    "money": money,
}
"""Pictures by file name; one returns None where the result has nothing of its kind."""


def draw(results: Results, folder: Path, *, week: int = 0, file_type: str = "png") -> list[Path]:
    """Draw every picture into `folder` and return the files written.

    Args:
        results: an open result.
        folder: made where it does not exist.
        week: shown in the dispatch and storage pictures, counted from the start; -1 is the one with the highest price.
        file_type: ``png`` or ``svg``.

    Raises:
        InvalidInput: the window has no such week.
    """
    view = View(results, week)
    _ = view.span  # a wrong week is told before anything is drawn
    written = []
    for name, picture in PICTURES.items():
        with styled():
            figure = picture(view)
            if figure is not None:
                written.append(save(figure, folder / f"{name}.{file_type}"))
    return written


__all__ = ["PICTURES", "draw"]
