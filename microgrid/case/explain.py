"""Turn pydantic's findings into problems with place, rule and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from microgrid.case.source import Location, Source
from microgrid.errors import Problem

_LIMITS = {
    "greater_than": ("must be greater than {gt}", "gt"),
    "greater_than_equal": ("must be at least {ge}", "ge"),
    "less_than": ("must be less than {lt}", "lt"),
    "less_than_equal": ("must be at most {le}", "le"),
}


def problems_of(error: ValidationError, source: Source, prefix: Location, model: type[BaseModel]) -> list[Problem]:
    """All problems of one validation, located in `source` below `prefix`."""
    return [_problem(entry, source, prefix, model) for entry in _main_branch(error.errors())]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Remedy for an unknown name."""
    choices = list(known)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"known: {', '.join(choices)}" if choices else ""


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
    if kind in _LIMITS:
        text, _ = _LIMITS[kind]
        return source.problem(full, text.format(**context), _unit_hint(model, location), value)
    if kind in {"literal_error", "enum"}:
        expected = str(context.get("expected", ""))
        known = [part.strip(" '\"") for part in expected.replace(" or ", ",").split(",")]
        return source.problem(full, f"must be one of {expected}", did_you_mean(str(value), known), value)
    if kind == "value_error":
        return source.problem(full, str(context.get("error", entry["msg"])), "", value)
    return source.problem(full, entry["msg"].lower(), _unit_hint(model, location), value)


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
            return f"{meaning}, in {unit}" if unit not in {"", "-"} else meaning
        current = _record_in(field.annotation)
    return ""


__all__ = ["did_you_mean", "problems_of"]
