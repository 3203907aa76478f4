"""Data that the package ships for its assets; sources and dates stand in the files."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any


def shipped_text(name: str) -> str:
    """Content of a file in `assets/data`."""
    return resources.files("microgrid.assets").joinpath("data", name).read_text(encoding="utf-8")


def shipped_table(name: str) -> dict[str, Any]:
    """Entries of a TOML file in `assets/data` by name; what is said of the file as a whole is left out."""
    table = tomllib.loads(shipped_text(name))
    return {key: entry for key, entry in table.items() if isinstance(entry, (dict, list))}


__all__ = ["shipped_table", "shipped_text"]
