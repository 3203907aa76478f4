"""Find elements of a network by name."""

from __future__ import annotations

from typing import Any


def bus_index_of(net: Any) -> dict[str, int]:
    """Index of every bus by its name."""
    return {str(name): int(index) for index, name in net.bus["name"].items()}


__all__ = ["bus_index_of"]
