"""An asset's page as text: what it is, its fields with units and limits, its variables, equations and money.

All of it is read from the declarations: the page of the asset's own example is written on numbers, and what it declares
is printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from microgrid.assets.battery import Battery
from microgrid.assets.poi import Poi
from microgrid.case.align import references
from microgrid.case.kinds import built_in
from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.block import Campus
from microgrid.formulation.evaluate import Reading, ValueBlock
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared
from microgrid.schema.spelling import did_you_mean

SAMPLE = Horizon(pd.Timestamp("2025-07-15T05:00Z"), 60, 24, "America/Chicago")


def company_of(found: type[Declared]) -> dict[str, Declared]:
    """What stands beside a kind's example, so that a program finds its meter and a flexible asset."""
    example = found.example  # type: ignore[attr-defined]
    meter, providers = str(example.get("poi", "grid")), example.get("providers", ("battery",))
    company: dict[str, Declared] = {meter: Poi(bus="POI", import_limit_mw=60.0)}
    for name, record in getattr(found, "company", {}).items():
        company[name] = built_in()[str(record["kind"])].model_validate(record)
    return company | {str(name): Battery(bus="BESS", power_mw=20.0, energy_mwh=80.0) for name in providers}


def describe_text(kind: str) -> str:
    """Describe a kind; InvalidInput suggests near names."""
    classes = built_in()
    if kind not in classes:
        raise InvalidInput(Problem("no such asset or program", did_you_mean(kind, classes), "kind", kind))
    found = classes[kind]
    reading = sample_reading(found)
    sections = [
        f"{kind}: {_paragraph(found.__doc__)}",
        _fields(found),
        _section(
            "Variables",
            [
                (item.name, item.unit, item.meaning, "integer" if item.integer else "")
                for item in reading.variables.values()
            ],
        ),
        _section("Equations", [(row.name, row.equation) for row in reading.rows]),
        _section("Money (revenue enters with minus)", list(reading.cost_equations.items())),
        _section("Reported", [(item.name, item.unit, item.meaning) for item in reading.reports.values()]),
    ]
    return "\n\n".join(section for section in sections if section)


def sample_reading(found: type[Declared]) -> Reading:
    """Reading of the page of a kind's example, beside a meter and a battery, over one day."""
    part = found.model_validate(found.example)  # type: ignore[attr-defined]
    campus = Campus()
    for name, other in company_of(found).items():
        ValueBlock(name, other, SAMPLE, {}, campus).read({}, Reading())
    inputs = {f"it.{'.'.join(reference.path)}": np.ones(SAMPLE.count) for reference in references(part)}
    reading = ValueBlock("it", part, SAMPLE, inputs, campus).read({}, Reading())
    campus.close()
    return reading


def _fields(found: type[BaseModel]) -> str:
    lines = _field_lines(found)
    for nested in _nested(found):
        lines += [
            ("", "", "", ""),
            (f"each {nested.__name__}:", "", "", _paragraph(nested.__doc__)),
            *_field_lines(nested),
        ]
    return _section("Fields", lines)


def _field_lines(found: type[BaseModel]) -> list[tuple[str, str, str, str]]:
    return [
        (name, unit_of(field), limits_of(field), f"{field.description or ''}{_default(field)}")
        for name, field in found.model_fields.items()
        if name != "kind"
    ]


def _nested(found: type[BaseModel]) -> list[type[BaseModel]]:
    kept: list[type[BaseModel]] = []
    for field in found.model_fields.values():
        stack = [field.annotation]
        while stack:
            annotation: Any = stack.pop()
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                if annotation.__name__ != "Series" and annotation not in kept:
                    kept.append(annotation)
            else:
                stack.extend(getattr(annotation, "__args__", ()))
    return kept


def unit_of(field: FieldInfo) -> str:
    """Declared unit of a field ("" for none)."""
    extra = field.json_schema_extra
    unit = extra.get("unit", "") if isinstance(extra, dict) else ""
    return "" if unit in {"1", "-"} else str(unit)


def limits_of(field: FieldInfo) -> str:
    """Declared limits, e.g. ``> 0, <= 1``."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    found = [
        f"{sign} {getattr(limit, name):g}"
        for limit in field.metadata
        for name, sign in signs.items()
        if getattr(limit, name, None) is not None
    ]
    return ", ".join(found)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return " [required]"
    value = field.default
    if value is PydanticUndefined or value in (None, (), ""):
        return ""
    return f" [{value}]" if not isinstance(value, (BaseModel, Mapping, tuple)) else ""


def _section(title: str, rows: list[Any]) -> str:
    if not rows:
        return ""
    widths = [max(len(str(row[place])) for row in rows) for place in range(len(rows[0]) - 1)]
    lines = [
        "  "
        + "  ".join([*(f"{cell!s:{width}}" for cell, width in zip(row, widths, strict=False)), str(row[-1])]).rstrip()
        for row in rows
    ]
    return "\n".join([title, *lines])


def _paragraph(text: str | None) -> str:
    return " ".join((text or "").split())


__all__ = ["company_of", "describe_text", "limits_of", "sample_reading", "unit_of"]
