"""Find elements of a network by name, and say what the user may have meant when there is none."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


def nearest(name: str, names: Iterable[str]) -> str:
    """Remedy text for an unknown name: the nearest known ones, or all of them where they are few."""
    known = sorted(set(names))
    by_folded = {entry.casefold(): entry for entry in known}
    close = [by_folded[found] for found in get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)]
    if close:
        return "did you mean " + " or ".join(f'"{entry}"' for entry in close) + "?"
    shown = ", ".join(known[:12]) + (" …" if len(known) > 12 else "")
    return f"known are: {shown}" if known else "none is known"


def bus_index_of(net: Any) -> dict[str, int]:
    """Index of every bus by its name."""
    return {str(name): int(index) for index, name in net.bus["name"].items()}


__all__ = ["bus_index_of", "nearest"]
