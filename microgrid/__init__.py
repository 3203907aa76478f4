"""Grid interconnection and behind-the-meter microgrid modeler.

>>> import microgrid
>>> case = microgrid.load_case("quickstart")
>>> solved = microgrid.study(case)
>>> solved.data["injection.grid"]        # xarray, MW by UTC time

Names load when first used, so that ``import microgrid`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microgrid.case.load import load_case
    from microgrid.results.files import open_results
    from microgrid.study.api import check, dispatch, study

_HOMES = {
    "load_case": "microgrid.case.load",
    "dispatch": "microgrid.study.api",
    "check": "microgrid.study.api",
    "study": "microgrid.study.api",
    "open_results": "microgrid.results.files",
}


def __getattr__(name: str) -> object:
    """Load a public name from its home."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'microgrid' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Public names."""
    return sorted(_HOMES)


__all__ = ["check", "dispatch", "load_case", "open_results", "study"]
