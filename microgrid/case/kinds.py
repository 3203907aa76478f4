"""Find asset and program classes by their `kind`: built in, from installed plugins, or from a case's own files.

A file in `microgrid.assets` that holds a class with a `kind` is a built-in; nothing else needs to be touched. Installed
packages offer classes through the entry-point groups ``microgrid.assets`` and ``microgrid.programs``; a case may list
Python files under `plugins:`, which are the only things in a case that are ever executed.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import microgrid.assets
from microgrid.assets.asset import Asset
from microgrid.errors import InvalidInput, Problem
from microgrid.schema.quantity import Declared

GROUPS = ("microgrid.assets", "microgrid.programs")


@cache
def built_in() -> dict[str, type[Declared]]:
    """Classes of this package and of installed plugins, by kind."""
    found: dict[str, type[Declared]] = {}
    for module in pkgutil.walk_packages(microgrid.assets.__path__, "microgrid.assets."):
        found.update(_classes(importlib.import_module(module.name)))
    for group in GROUPS:
        for point in entry_points(group=group):
            kind_class = _load(point)
            refuse_taken(kind_of(kind_class), found, point.value)
            found[kind_of(kind_class)] = kind_class
    return dict(sorted(found.items()))


def _load(point: EntryPoint) -> type[Declared]:
    """Class of an installed plugin; InvalidInput when it does not import or has no kind."""
    try:
        loaded = point.load()
    except Exception as failure:
        rule = f"installed plugin does not import: {type(failure).__name__}: {failure}"
        raise InvalidInput(Problem(rule, "mend it, or uninstall it", "plugins", point.value)) from failure
    if not _is_part(loaded):
        rule = "installed plugin is no class with a `kind`"
        raise InvalidInput(Problem(rule, "derive one from microgrid.assets.asset.Asset", "plugins", point.value))
    return cast("type[Declared]", loaded)


def refuse_taken(kind: str, found: Mapping[str, type[Declared]], origin: str) -> None:
    """InvalidInput when a plugin gives a kind that is there already: which of the two a case means must be plain."""
    if kind in found:
        rule = f"plugin gives the kind {kind}, which {found[kind].__module__} gives already"
        raise InvalidInput(Problem(rule, "give the class another `kind`", "plugins", origin))


def plugin_classes(file: Path, problem_file: str) -> dict[str, type[Declared]]:
    """Classes of a user's Python file, by kind; InvalidInput when it does not import or holds none."""
    if not file.is_file():
        raise InvalidInput(Problem("plugin file does not exist", "check the path", "plugins", str(file), problem_file))
    name = f"microgrid_plugin_{file.stem}"
    specification = importlib.util.spec_from_file_location(name, file)
    assert specification is not None and specification.loader is not None  # noqa: S101, PT018 - a .py file has both
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as failure:
        frames = traceback.extract_tb(failure.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == specification.origin]
        where = (lines[-1] if lines else getattr(failure, "lineno", 0)) or 0
        raise InvalidInput(
            Problem(
                f"plugin does not import: {type(failure).__name__}: {failure}",
                "mend the file",
                "plugins",
                str(file),
                str(file),
                where,
            )
        ) from failure
    found = dict(_classes(module))
    if not found:
        raise InvalidInput(
            Problem(
                "plugin holds no class with a `kind`",
                "derive one from microgrid.assets.asset.Asset",
                "plugins",
                str(file),
                problem_file,
            )
        )
    return found


def kind_of(candidate: type[Declared]) -> str:
    """Kind of a part class: the default of its `kind` field."""
    return str(candidate.model_fields["kind"].default)


def is_asset(candidate: type[Declared]) -> bool:
    """True for assets (they have a bus), False for programs (they read what assets publish)."""
    return issubclass(candidate, Asset)


def _classes(module: ModuleType) -> Iterator[tuple[str, type[Declared]]]:
    for value in vars(module).values():
        if _is_part(value) and value.__module__ == module.__name__:
            yield kind_of(value), value


def _is_part(value: Any) -> bool:
    if not (isinstance(value, type) and issubclass(value, Declared)):
        return False
    return "kind" in value.model_fields and hasattr(value, "formulate") and hasattr(value, "example")


__all__ = ["built_in", "is_asset", "kind_of", "plugin_classes", "refuse_taken"]
