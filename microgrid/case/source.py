"""YAML text with positions: every value can be traced to its line and column.

YAML 1.2 through ruamel.yaml, so that ``12:30`` stays text and ``no`` is not a boolean. Nothing in a file is executed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from microgrid.errors import InvalidInput, Problem

LARGEST_BYTES = 5_000_000
Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Source:
    """A parsed file: plain data, and the commented tree that knows where everything stands."""

    file: str
    data: dict[str, Any]
    tree: CommentedMap

    def problem(self, location: Sequence[str | int], rule: str, remedy: str = "", value: object = "") -> Problem:
        """Problem at a location such as ``("assets", "battery", "power_mw")``."""
        line, column = self.position(location)
        shown = "" if isinstance(value, Mapping) else str(value)
        name = ".".join(str(part) for part in location)
        return Problem(rule, remedy, name, shown[:80], self.file, line, column)

    def position(self, location: Sequence[str | int]) -> tuple[int, int]:
        """Line and column (1-based) of the deepest part of `location` that the file holds."""
        node: Any = self.tree
        found = (1, 1)
        for key in location:
            try:
                if isinstance(node, CommentedMap):
                    key = _written(node, key)  # noqa: PLW2901 - a name such as 2 is a number in the file
                    line, column = node.lc.key(key)
                elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
                    line, column = node.lc.item(key)
                else:
                    break
            except (KeyError, AttributeError):  # inserted by an override: no position of its own
                break
            found, node = (line + 1, column + 1), node[key]
        return found


def _written(node: CommentedMap, key: str | int) -> Any:
    """Key of a mapping as the file has it; KeyError when it is not there."""
    if key in node:
        return key
    written = [entry for entry in node if str(entry) == str(key)]
    if not written:
        raise KeyError(key)
    return written[0]


class _Texts(RoundTripConstructor):
    """Dates stay as written, so that a wrong one is told where it stands."""


_Texts.add_constructor("tag:yaml.org,2002:timestamp", lambda made, node: str(made.construct_scalar(node)))


def reader() -> YAML:
    """YAML 1.2 that keeps positions and reads dates as text."""
    yaml = YAML(typ="rt")
    yaml.version = (1, 2)
    yaml.Constructor = _Texts
    return yaml


def read_source(path: Path) -> Source:
    """Parse a YAML file whose top is a mapping; InvalidInput tells what is wrong and where."""
    file = str(path)
    if not path.is_file():
        raise InvalidInput(Problem("file does not exist", "check the path", file=file))
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise InvalidInput(
            Problem(
                f"file has {size / 1e6:.0f} MB, a case has at most 5 MB",
                "give the case file; series go in CSV files",
                file=file,
            )
        )
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InvalidInput(Problem("file is not text", "give a YAML file in UTF-8", file=file))
    return parse_source(text, file)


def parse_source(text: str, file: str) -> Source:
    """Parse YAML text; `file` is used in messages."""
    try:
        tree = reader().load(text)
        data = plain(tree)
    except RecursionError as deep:
        raise InvalidInput(Problem("not valid YAML: nested too deeply", "give the case file", file=file)) from deep
    except DuplicateKeyError as twice:
        mark = twice.problem_mark
        key = str(twice.problem).split('"')[1] if '"' in str(twice.problem) else ""
        raise InvalidInput(
            Problem(
                "name is given twice", "rename or remove one of them", key, "", file, mark.line + 1, mark.column + 1
            )
        ) from twice
    except MarkedYAMLError as broken:
        mark = broken.problem_mark or broken.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise InvalidInput(
            Problem(
                f"not valid YAML: {broken.problem or broken.context}",
                "mend the syntax here",
                file=file,
                line=line,
                column=column,
            )
        ) from broken
    except (YAMLError, ValueError) as broken:
        raise InvalidInput(Problem(f"not valid YAML: {broken}", "mend the syntax", file=file)) from broken
    if tree is None:
        raise InvalidInput(Problem("file is empty", "start from: microgrid new case NAME", file=file))
    if not isinstance(tree, CommentedMap):
        raise InvalidInput(
            Problem(
                "the top of the file must be a mapping of fields", "write `name: …` lines", file=file, line=1, column=1
            )
        )
    return Source(file, data, tree)


def plain(node: Any) -> Any:
    """Commented nodes as plain dicts, lists and scalars."""
    if isinstance(node, Mapping):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    if isinstance(node, bool):
        return bool(node)
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def dump(data: Mapping[str, Any]) -> str:
    """Plain data as YAML text, order kept."""
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 110
    yaml.dump(dict(data), stream)
    return stream.getvalue()


__all__ = ["LARGEST_BYTES", "Location", "Source", "dump", "parse_source", "plain", "read_source", "reader"]
