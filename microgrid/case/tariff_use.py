"""A tariff inside a case: written inline, or used by name or path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from microgrid.case.explain import problems_of
from microgrid.case.source import Source
from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared
from microgrid.tariffs.part import TariffPart, TariffUse
from microgrid.tariffs.read import item_place, located


def tariff_part(source: Source, name: str, entry: Any, folder: Path, problems: list[Problem]) -> TariffPart | None:
    """Read ``tariffs.<name>``: options of a tariff part, with ``tariff:`` inline or ``use:`` a name or path."""
    if not isinstance(entry, dict):
        problems.append(
            source.problem(("tariffs", name), "must be a record", "write `{poi: …, tariff: {…}}` or `{poi: …, use: …}`")
        )
        return None
    try:
        return TariffUse.model_validate(entry).part(folder)
    except ValidationError as wrong:
        problems.extend(problems_of(wrong, source, ("tariffs", name), TariffUse))
    except InvalidInput as broken:
        problems.extend(
            problem if problem.file else source.problem(("tariffs", name), problem.rule, problem.remedy, problem.value)
            for problem in broken.problems
        )
    return None


def check_tariffs(source: Source, parts: Mapping[str, Declared], horizon: Horizon, problems: list[Problem]) -> None:
    """What shows only with the case's time: gaps, missing past peaks, another year or currency, placed in the file."""
    for name, part in parts.items():
        if not isinstance(part, TariffPart):
            continue
        found = part.problems(name, horizon)
        placed = located(found, Path(part.file)) if part.file else found
        problems.extend(problem if problem.file else in_case(source, name, problem) for problem in placed)


def in_case(source: Source, name: str, problem: Problem) -> Problem:
    """A problem of the tariff `name`, placed in the case that uses it."""
    place = _place(source.data, ("tariffs", name), problem.field.removeprefix(f"{name}."))
    return source.problem(place, problem.rule, problem.remedy, problem.value)


def _place(data: Any, prefix: tuple[str, ...], field: str) -> tuple[str | int, ...]:
    """Location of a field of an inline tariff, or of the entry itself where the field stands beside the tariff."""
    entry = data["tariffs"][prefix[1]]
    node: Any = entry.get("tariff", {})
    found: list[str | int] = []
    for name in field.split("."):
        key: Any = item_place(node, name) if isinstance(node, list) else name
        try:
            node = node[key]
        except (LookupError, TypeError):  # the tariff has no such field
            break
        found.append(key)
    if found:
        return (*prefix, "tariff", *found)
    return (*prefix, field) if field in entry else prefix


def resolve_tariffs(data: Mapping[str, Any], parts: Mapping[str, Declared]) -> dict[str, Any]:
    """The case's data with every tariff used by name or path written inline, so that it stands by itself."""
    resolved = dict(data)
    tariffs = dict(resolved.get("tariffs") or {})
    for name, entry in tariffs.items():
        part = parts.get(name)
        if isinstance(part, TariffPart) and "use" in entry:
            options = {key: value for key, value in entry.items() if key not in {"use", "allow_secondary"}}
            inline = part.tariff.model_dump(mode="json", by_alias=True, exclude_unset=True)
            tariffs[name] = {**options, "tariff": inline}
    if tariffs:
        resolved["tariffs"] = tariffs
    return resolved


__all__ = ["check_tariffs", "in_case", "resolve_tariffs", "tariff_part"]
