"""Grid interconnection and behind-the-meter microgrid modeler.

>>> import microgrid
>>> case = microgrid.load_case("quickstart")
>>> solved = microgrid.study(case)
>>> solved.data["injection.grid"]        # xarray, MW by UTC time

Names load when first used, so that ``import microgrid`` stays light. `dispatch` and `study` are packages that can be
called like the functions of `microgrid.study.api`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microgrid.case.load import load_case
    from microgrid.results.files import open_results
    from microgrid.study.api import check, dispatch, study

_HOMES = {
    "load_case": "microgrid.case.load",
    "check": "microgrid.study.api",
    "open_results": "microgrid.results.files",
}
_CALLABLE = ("dispatch", "study")


def __getattr__(name: str) -> Any:
    """Load a public name from its home."""
    if name in _CALLABLE:
        return import_module(f"microgrid.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'microgrid' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Public names."""
    return sorted([*_HOMES, *_CALLABLE])


__all__ = ["check", "dispatch", "load_case", "open_results", "study"]
