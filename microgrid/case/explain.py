"""Turn pydantic's findings into problems with place, rule and remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from microgrid.case.source import Location, Source
from microgrid.errors import Problem
from microgrid.schema.spelling import did_you_mean
from microgrid.tariffs.checks import Findings

_RULES = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be text",
    "string_pattern_mismatch": "must match {pattern}",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a record of fields",
    "model_type": "must be a record of fields",
    "model_attributes_type": "must be a record of fields",
}
"""Pydantic's findings in the project's words."""


def problems_of(error: ValidationError, source: Source, prefix: Location, model: type[BaseModel]) -> list[Problem]:
    """All problems of one validation, located in `source` below `prefix`."""
    entries = _main_branch(error.errors())
    return _merged(problem for entry in entries for problem in _problems(entry, source, prefix, model))


def _merged(problems: Iterable[Problem]) -> list[Problem]:
    """One problem for a field that may be of several kinds and is none of them: ``must be text or a list``."""
    kept: list[Problem] = []
    for problem in problems:
        before = kept[-1] if kept else None
        either = before and before.rule.startswith("must be ") and problem.rule.startswith("must be ")
        if before and either and (before.field, before.value) == (problem.field, problem.value):
            kept[-1] = replace(before, rule=f"{before.rule} or {problem.rule.removeprefix('must be ')}")
        else:
            kept.append(problem)
    return kept


def _main_branch(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Of a field that may be a number or a series, keep the branch that fits what was written."""
    kept: list[ErrorDetails] = []
    for entry in errors:
        location = entry["loc"]
        branch = next((part for part in location if part in {"float", "int", "str", "Series"}), None)
        if (
            branch in {"float", "int"}
            and entry["type"] in {"float_type", "int_type"}
            and isinstance(entry["input"], dict)
        ):
            continue
        if branch == "Series" and entry["type"] in {"model_type", "model_attributes_type"}:
            continue
        kept.append(entry)
    return kept


def _problems(entry: ErrorDetails, source: Source, prefix: Location, model: type[BaseModel]) -> Iterator[Problem]:
    """One problem for an entry, or each finding of a tariff's own rules."""
    broken = entry.get("ctx", {}).get("error")
    if not isinstance(broken, Findings):
        yield _problem(entry, source, prefix, model)
        return
    for finding in broken.findings:
        place = (*prefix, *(part for part in entry["loc"] if not _is_branch(part)), *finding.path)
        yield source.problem(place, finding.rule, finding.remedy, finding.value)


def _problem(entry: ErrorDetails, source: Source, prefix: Location, model: type[BaseModel]) -> Problem:
    location = tuple(part for part in entry["loc"] if not _is_branch(part))
    full = (*prefix, *location)
    kind, context = entry["type"], entry.get("ctx", {})
    value = entry["input"]
    if kind == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        return source.problem(full, "unknown field", did_you_mean(str(location[-1]), known))
    if kind == "missing":
        return source.problem(full, "field is required", _unit_hint(model, location) or "add it")
    if kind in _RULES:
        return source.problem(full, _RULES[kind].format(**context), _unit_hint(model, location), value)
    if kind in {"literal_error", "enum", "union_tag_invalid"}:
        return _wrong_choice(entry, source, full, _unit_hint(model, location))
    if kind == "value_error":
        return _broken_rule(str(context.get("error", entry["msg"])), source, prefix, location, model, value)
    return source.problem(full, entry["msg"], _unit_hint(model, location), value)


def _wrong_choice(entry: ErrorDetails, source: Source, full: Location, hint: str) -> Problem:
    """A value, or the kind of a record, that is none of those allowed."""
    context = entry.get("ctx", {})
    if entry["type"] == "union_tag_invalid":
        remedy = did_you_mean(str(context["tag"]), _quoted(str(context["expected_tags"])))
        return source.problem((*full, str(context["discriminator"]).strip("'")), "unknown kind", remedy, context["tag"])
    expected, value = str(context.get("expected", "")), entry["input"]
    remedy = did_you_mean(str(value), _quoted(expected.replace(" or ", ",")), hint)
    return source.problem(full, f"must be one of {expected}", remedy, value)


def _broken_rule(
    rule: str, source: Source, prefix: Location, location: Location, model: type[BaseModel], value: object
) -> Problem:
    """A rule of the declaration itself; one about several fields is placed at the first of them that it names."""
    if isinstance(value, Mapping):
        named = next((word for word in re.findall(r"\w+", rule) if word in value), None)
        if named is not None:
            location, value = (*location, named), value[named]
    return source.problem((*prefix, *location), rule, _unit_hint(model, location), value)


def _quoted(names: str) -> list[str]:
    return [part.strip(" '\"") for part in names.split(",")]


def _is_branch(part: str | int) -> bool:
    """True for pydantic's names of union branches and function wrappers, which are no field names."""
    return isinstance(part, str) and (part in {"float", "int", "str", "Series", "bool"} or "[" in part or "(" in part)


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Field names of the record at `location` below `model` (empty when it is not a declared record)."""
    current: Any = model
    for part in location:
        fields = getattr(current, "model_fields", {})
        if part in fields:
            current = _record_in(fields[part].annotation)
        elif not isinstance(part, int) and not isinstance(current, type):
            return []
    return list(getattr(current, "model_fields", {}))


def _record_in(annotation: Any) -> Any:
    """First declared record inside an annotation such as ``tuple[X, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _record_in(argument)
        if found is not None:
            return found
    return None


def _unit_hint(model: type[BaseModel], location: Sequence[str | int]) -> str:
    """What the field means and its unit, as a remedy."""
    current: Any = model
    for part in location:
        fields = getattr(current, "model_fields", {})
        if part not in fields:
            continue
        field = fields[part]
        if part == location[-1]:
            extra = field.json_schema_extra or {}
            unit = extra.get("unit", "") if isinstance(extra, dict) else ""
            meaning = field.description or ""
            return f"{meaning}, in {unit}" if unit not in {"", "-", "1"} else meaning
        current = _record_in(field.annotation)
    return ""


__all__ = ["problems_of"]
