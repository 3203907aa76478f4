"""Read a tariff file: YAML 1.2 with positions kept, every problem reported at once as file:line:column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from microgrid.errors import InvalidInput, Problem
from microgrid.tariffs.checks import Findings
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.wording import is_wrong_kind, rule_and_remedy


def read_tariff(path: Path) -> Tariff:
    """Read and check a tariff file; raises InvalidInput with every problem found."""
    if not path.is_file():
        raise InvalidInput(Problem("no such tariff file", "give the path of a YAML file", "tariff", str(path)))
    return parse_tariff(path.read_text(encoding="utf-8"), str(path))


def parse_tariff(text: str, file: str = "") -> Tariff:
    """Read a tariff from YAML text; `file` is named in messages."""
    try:
        content = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        problem = Problem(str(error.problem or error), "mend the YAML", file=file, line=line, column=column)
        raise InvalidInput(problem) from error
    if not isinstance(content, Mapping):
        raise InvalidInput(Problem("a tariff file is a mapping", "begin with `id: ...`", file=file, line=1, column=1))
    try:
        return Tariff.model_validate(content)
    except ValidationError as error:
        raise InvalidInput(problems_of(error, content, file)) from error


def problems_of(error: ValidationError, content: Any, file: str) -> list[Problem]:
    """Turn pydantic's findings into problems with positions in the YAML."""
    problems: list[Problem] = []
    for item in _meant(error.errors(), content):
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, Findings):
            problems += [
                _located(content, finding.path, file, finding.rule, finding.remedy, finding.value)
                for finding in cause.findings
            ]
            continue
        names, line, column = _place(item, content)
        value = item.get("ctx", {}).get("tag", item["input"])
        written = str(value) if isinstance(value, (str, int, float)) else ""
        problems.append(Problem(*rule_and_remedy(item), ".".join(names), written, file, line, column))
    return list(dict.fromkeys(problems))


def _place(item: ErrorDetails, content: Any) -> tuple[list[str], int, int]:
    """Names, line and column of an entry; an unknown kind of record is told at its `kind`."""
    if item["type"].startswith("union_tag"):
        return _position(content, (*item["loc"], "kind"))
    return _position(content, item["loc"], with_missing=item["type"] == "missing")


def _meant(errors: Sequence[ErrorDetails], content: Any) -> list[ErrorDetails]:
    """One entry a value: of a union, each branch complains, and only the branch that was meant says why.

    A value of the wrong kind tells nothing where another branch took its kind and found something at it or inside it.
    """
    names = [tuple(_place(item, content)[0]) for item in errors]
    kept: dict[tuple[tuple[str, ...], str], ErrorDetails] = {}
    for place, item in zip(names, errors, strict=True):
        others = [
            name
            for name, other in zip(names, errors, strict=True)
            if name[: len(place)] == place and (len(name) > len(place) or not is_wrong_kind(other))
        ]
        if not (is_wrong_kind(item) and others):
            kept.setdefault((place, "" if is_wrong_kind(item) else item["msg"]), item)
    return list(kept.values())


def located(problems: Iterable[Problem], file: Path) -> list[Problem]:
    """Problems that showed only with the load, placed in the tariff's own file by their field; others as they are."""
    if not file.is_file():
        return list(problems)
    content = YAML(typ="rt").load(file.read_text(encoding="utf-8"))
    placed = []
    for problem in problems:
        names, line, column = _position(content, problem.field.split("."))
        known = problem.line == 0 and bool(names) and names[0] in content
        placed.append(replace(problem, file=str(file), line=line, column=column) if known else problem)
    return placed


def _located(content: Any, path: Sequence[str | int], file: str, rule: str, remedy: str, value: str) -> Problem:
    names, line, column = _position(content, path)
    return Problem(rule, remedy, ".".join(names), value, file, line, column)


def _position(content: Any, path: Sequence[str | int], *, with_missing: bool = True) -> tuple[list[str], int, int]:
    """Follow the path as far as the YAML has it; names of union branches in it are passed over.

    `with_missing`: the last step is a field even where the YAML has it not.
    """
    node, names, line, column = content, [], 1, 1
    for step in path:
        key = item_place(node, step) if isinstance(node, list) and isinstance(step, str) else step
        if isinstance(node, Mapping) and key in node:
            line, column = (place + 1 for place in node.lc.value(key)) if hasattr(node, "lc") else (line, column)
            node = node[key]
        elif isinstance(node, list) and isinstance(key, int) and key < len(node):
            line, column = (place + 1 for place in node.lc.item(key)) if hasattr(node, "lc") else (line, column)
            node = node[key]
        elif with_missing and isinstance(node, Mapping) and key == path[-1] and isinstance(key, str):
            names.append(key)
            break
        else:
            continue
        names.append(str(key))
    return names, line, column


def item_place(items: list[Any], name: str) -> str | int:
    """Position of the item of that number or `id`; the name itself where there is none."""
    if name.isdigit():
        return int(name)
    found = (place for place, item in enumerate(items) if isinstance(item, Mapping) and item.get("id") == name)
    return next(found, name)


__all__ = ["item_place", "located", "parse_tariff", "problems_of", "read_tariff"]
