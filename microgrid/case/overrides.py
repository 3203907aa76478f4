"""``--set path.to.field=value``: change a case without editing its file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ruamel.yaml.error import YAMLError

from microgrid.case.source import Source, plain, reader
from microgrid.errors import InvalidInput, Problem
from microgrid.schema.spelling import did_you_mean

NAMED = ("assets", "programs", "tariffs")
"""Sections whose entries a user names; a name that is not there is a slip, not a new part."""


def apply_overrides(source: Source, overrides: Iterable[str]) -> Source:
    """Return the source with every ``path=value`` applied in order; values are read as YAML."""
    data = plain(source.data)
    problems = []
    for text in overrides:
        path, equals, value = text.partition("=")
        if not equals or not path:
            problems.append(
                Problem(
                    "an override has the form path.to.field=value",
                    "e.g. --set assets.battery.power_mw=20",
                    "--set",
                    text,
                )
            )
            continue
        try:
            _set(data, path.strip().split("."), plain(reader().load(value)))
        except YAMLError:
            problems.append(Problem("value is not valid YAML", "quote it", f"--set {path}", value))
        except LookupError as wrong:
            problems.append(Problem(str(wrong.args[0]), _remedy(wrong), f"--set {path}", value))
    if problems:
        raise InvalidInput(problems)
    return replace(source, data=data)


def _remedy(wrong: LookupError) -> str:
    return str(wrong.args[1]) if len(wrong.args) > 1 else "follow the structure of the case file"


def _set(data: Any, path: list[str], value: Any) -> None:
    node = data
    if len(path) > 2 and path[0] in NAMED and path[1] not in (data.get(path[0]) or {}):
        raise LookupError(f"there is no {path[1]!r} under {path[0]}", did_you_mean(path[1], data.get(path[0]) or {}))
    for key in path[:-1]:
        if isinstance(node, list):
            node = node[_position(node, key)]
        elif isinstance(node, dict):
            node = node.setdefault(key, {})
        else:
            raise LookupError(f"nothing can be set below {key!r}")
    last = path[-1]
    if isinstance(node, list):
        node[_position(node, last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise LookupError(f"{last!r} is not inside a mapping or list")


def _position(node: list[Any], key: str) -> int:
    if not key.isdigit() or int(key) >= len(node):
        raise LookupError(f"{key!r} is not a position of a list with {len(node)} entries")
    return int(key)


__all__ = ["apply_overrides"]
