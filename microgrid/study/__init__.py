"""What a user asks for: solve a case, check it in AC, verify a result."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Package(ModuleType):
    """The package, which can be called: ``microgrid.study(case)`` is `microgrid.study.api.study`."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function of the same name."""
        return import_module("microgrid.study.api").study(*arguments, **named)


sys.modules[__name__].__class__ = _Package
