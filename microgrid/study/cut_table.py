"""Network cuts as a table beside the dispatch, so that a secured result can be audited from its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from microgrid.formulation.connection import NetworkCut
from microgrid.results.files import CUTS, Results


def write_cuts(cuts: Sequence[NetworkCut], folder: Path) -> None:
    """Write one JSON record a cut; nothing for none."""
    if cuts:
        lines = (json.dumps(asdict(cut)) for cut in cuts)
        (folder / CUTS).write_text("\n".join(lines) + "\n", encoding="utf-8")


def stored_cuts(results: Results) -> list[NetworkCut]:
    """Cuts that a stored dispatch was solved with."""
    file = results.folder / CUTS
    if not file.is_file():
        return []
    try:
        return [_cut(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as broken:
        raise results.unreadable(CUTS, broken) from broken


def _cut(record: dict[str, Any]) -> NetworkCut:
    coefficients = tuple(((part, bus), value) for (part, bus), value in record.pop("coefficients"))
    return NetworkCut(coefficients=coefficients, **record)


__all__ = ["CUTS", "stored_cuts", "write_cuts"]
