"""A tariff inside a case: written inline, or used by name or path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from microgrid.case.explain import problems_of
from microgrid.case.source import Source
from microgrid.errors import InvalidInput, Problem
from microgrid.schema.quantity import Declared


def tariff_part(source: Source, name: str, entry: Any, folder: Path, problems: list[Problem]) -> Declared | None:
    """Read the entry ``tariffs.<name>``: fields of a tariff part, with ``tariff:`` inline or ``use:`` a name or path."""
    raise NotImplementedError
