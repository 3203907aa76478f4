"""Build the MILP from the parts' pages, solve it with a proven gap, and audit the answer."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Package(ModuleType):
    """The package, which can be called: ``microgrid.dispatch(case)`` is `microgrid.study.api.dispatch`."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function of the same name."""
        return import_module("microgrid.study.api").dispatch(*arguments, **named)


sys.modules[__name__].__class__ = _Package
