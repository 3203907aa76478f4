"""Branches between the utility's source and the campus, whichever way round they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class SourceBranch:
    """A line or impedance element with one end on the source's bus; the meter is at its `campus_end`."""

    table: Literal["line", "impedance"]
    index: int
    campus_end: Literal["from", "to"]


TABLES: tuple[Literal["line", "impedance"], ...] = ("line", "impedance")


def source_branches(net: Any) -> tuple[SourceBranch, ...]:
    """Branches in service from the bus of a source in service to other buses; none in an island."""
    sources = set(net.ext_grid.bus[net.ext_grid.in_service.astype(bool)])
    found = []
    for table in TABLES:
        live = net[table][net[table].in_service.astype(bool)]
        for index, from_bus, to_bus in zip(live.index, live.from_bus, live.to_bus, strict=True):
            if (from_bus in sources) != (to_bus in sources):
                found.append(SourceBranch(table, int(index), "to" if from_bus in sources else "from"))
    return tuple(found)


__all__ = ["SourceBranch", "source_branches"]
