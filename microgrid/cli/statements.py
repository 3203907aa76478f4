"""Options by which a user states what a file does not say itself; shared by commands that read foreign files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

if TYPE_CHECKING:
    from microgrid.case.imports import ImportOptions

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = {
    "zone": click.option("--zone", default="", help="IANA zone of stamps without offset, e.g. America/Chicago."),
    "stamp": click.option("--stamp", type=click.Choice(["beginning", "ending"]), help="What a stamp marks."),
    "unit": click.option("--unit", default="", help="Unit of the values, where the header does not tell."),
    "time": click.option("--time", default="", help="Column of the time stamps."),
    "time_format": click.option("--time-format", default="", help="strptime pattern of stamps that are not ISO 8601."),
    "clock": click.option(
        "--clock",
        type=click.Choice(["strict", "standard", "smoothed"]),
        default="strict",
        show_default=True,
        help="How local stamps treat clock changes: as the clock does, standard time all year, or 24 rows every day.",
    ),
    "fill": click.option(
        "--fill", type=click.Choice(["none", "hold", "interpolate"]), default="none", show_default=True,
        help="How short gaps are filled.",
    ),
    "longest_gap_h": click.option(
        "--longest-gap-h", type=click.FloatRange(0, min_open=True), default=6.0, show_default=True,
        help="Longest gap that is filled, hours.",
    ),
    "start": click.option("--start", default="", help="Beginning of the first row, where the file has no stamps."),
    "step_min": click.option(
        "--step-min", type=click.IntRange(1), default=60, show_default=True, help="Step where the file has no stamps."
    ),
}  # fmt: skip


def reading_options(command: Command) -> Command:
    """Add the options of `ImportOptions` that every reader of a CSV understands."""
    for option in reversed(_OPTIONS.values()):
        command = option(command)
    return command


def import_options(stated: dict[str, Any]) -> ImportOptions:
    """Statements as the importers take them; what was not stated keeps its default."""
    from microgrid.case.imports import ImportOptions

    return ImportOptions.model_validate({name: value for name, value in stated.items() if value is not None})


__all__ = ["import_options", "reading_options"]
