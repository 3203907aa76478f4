"""Pydantic's findings on a tariff in the project's words: one rule and one remedy for each value that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from microgrid.schema.spelling import did_you_mean
from microgrid.tariffs.model import Tariff

_NUMBER = ("must be a number", "write a plain number, without unit or quotes")
_WHOLE = ("must be a whole number", "write it without decimals")
_LIST = ("must be a list", "write `[first, second]`")
_RECORD = ("must be a record of fields", "write `{name: value}`")
_DATE = ("must be a date", "write it as YYYY-MM-DD")
_TIME = ("must be a date and time", "write it as YYYY-MM-DD HH:MM")
_KINDS = {
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "string_type": ("must be text", "put it in quotes"),
    "bool_type": ("must be true or false", "write `true` or `false`"),
    "bool_parsing": ("must be true or false", "write `true` or `false`"),
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _RECORD,
    "mapping_type": _RECORD,
    "model_type": _RECORD,
    "model_attributes_type": _RECORD,
}
"""A value of the wrong kind: what each branch of a union complains of, whichever was meant."""
_LIMITS = {
    "finite_number": ("must be a finite number", "write the number itself (0 is a number)"),
    "greater_than": ("must be greater than {gt:g}", "write a number above {gt:g}"),
    "greater_than_equal": ("must be at least {ge:g}", "write {ge:g} or more"),
    "less_than": ("must be less than {lt:g}", "write a number below {lt:g}"),
    "less_than_equal": ("must be at most {le:g}", "write {le:g} or less"),
    "string_pattern_mismatch": ("must match {pattern}", "write it in that form"),
    "too_short": ("must have at least {min_length} entries", "add what is missing"),
    "too_long": ("must have at most {max_length} entries", "drop what is too much"),
    "missing": ("field is required", "add it"),
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
}
_ADVICE = re.compile(r"(?:; |: )(?=(?:write|state|put|price|add|drop|give|choose)\b)")


def is_wrong_kind(entry: ErrorDetails) -> bool:
    """Whether the value is of another kind than this branch of the declaration takes."""
    return entry["type"] in _KINDS


def rule_and_remedy(entry: ErrorDetails) -> tuple[str, str]:
    """Broken rule and how to mend it; neither is ever empty."""
    kind, context = entry["type"], entry.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind in _LIMITS:
        rule, remedy = _LIMITS[kind]
        return rule.format(**context), remedy.format(**context)
    if kind == "extra_forbidden":
        known = _fields_at(entry["loc"][:-1])
        return "unknown field", did_you_mean(str(entry["loc"][-1]), known) or "remove it"
    if kind in {"literal_error", "enum", "union_tag_invalid", "union_tag_not_found"}:
        return _choice(entry)
    rule, *advice = _ADVICE.split(entry["msg"].removeprefix("Value error, "), maxsplit=1)
    return rule, advice[0] if advice else "mend the fields that the rule names"


def _choice(entry: ErrorDetails) -> tuple[str, str]:
    """A word, or the kind of a record, that is none of those allowed."""
    context = entry.get("ctx", {})
    if entry["type"] == "union_tag_not_found":
        name = str(context["discriminator"]).strip("'")
        return f"{name} is missing", f"add `{name}: ...`"
    expected = str(context.get("expected_tags", context.get("expected", "")))
    allowed = [word.strip(" '\"") for word in expected.replace(" or ", ",").split(",")]
    written = str(context.get("tag", entry["input"]))
    rule = "unknown kind" if entry["type"] == "union_tag_invalid" else f"must be one of {', '.join(allowed)}"
    return rule, did_you_mean(written, allowed)


def _fields_at(path: Sequence[str | int]) -> list[str]:
    """Field names of the record at a path of pydantic's, union tags included."""
    records: list[type[BaseModel]] = [Tariff]
    for part in path:
        tagged = [record for record in records if part in _kinds(record)]
        below = [found for record in records for found in _records(_annotation(record, part))]
        records = tagged or below or records
    return list(dict.fromkeys(name for record in records for name in record.model_fields))


def _annotation(record: type[BaseModel], part: str | int) -> Any:
    fields: Mapping[Any, Any] = record.model_fields
    return fields[part].annotation if part in fields else None


def _kinds(record: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(_annotation(record, "kind"))


def _records(annotation: Any) -> Iterator[type[BaseModel]]:
    """Declared records inside an annotation such as ``tuple[A | B, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _records(argument)


__all__ = ["is_wrong_kind", "rule_and_remedy"]
