"""JSON Schema of a case file, composed of the header's and every kind's own schema."""

from __future__ import annotations

from typing import Any

from microgrid.case.kinds import built_in, is_asset
from microgrid.case.model import CaseHeader
from microgrid.errors import InvalidInput, Problem
from microgrid.schema.spelling import did_you_mean
from microgrid.tariffs.part import TariffUse

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def case_schema(kind: str | None = None) -> dict[str, Any]:
    """Schema of a case file, or of one kind.

    Raises:
        InvalidInput: unknown kind.
    """
    classes = built_in()
    if kind is not None:
        if kind not in classes:
            raise InvalidInput(Problem("no such asset or program", did_you_mean(kind, classes), "--kind", kind))
        return {"$schema": DIALECT, **classes[kind].model_json_schema()}
    definitions: dict[str, Any] = {}
    header = _hoist(CaseHeader.model_json_schema(), definitions)
    sections: dict[str, list[dict[str, str]]] = {"assets": [], "programs": []}
    for name, found in classes.items():
        definitions[name] = _hoist(found.model_json_schema(), definitions)
        definitions[name]["required"] = sorted({"kind", *definitions[name].get("required", [])})
        sections["assets" if is_asset(found) else "programs"].append({"$ref": f"#/$defs/{name}"})
    definitions["tariff_use"] = _hoist(TariffUse.model_json_schema(), definitions)
    header["properties"] |= {name: _named(_by_kind(members)) for name, members in sections.items()}
    header["properties"]["tariffs"] = _named({"$ref": "#/$defs/tariff_use"})
    return {"$schema": DIALECT, **header, "$defs": definitions}


def _by_kind(members: list[dict[str, str]]) -> dict[str, Any]:
    """Choose the record by its `kind`, so that an editor completes the right fields."""
    rules = [
        {
            "if": {"properties": {"kind": {"const": member["$ref"].rsplit("/", 1)[1]}}, "required": ["kind"]},
            "then": member,
        }
        for member in members
    ]
    kinds = [member["$ref"].rsplit("/", 1)[1] for member in members]
    return {"type": "object", "properties": {"kind": {"enum": kinds}}, "required": ["kind"], "allOf": rules}


def _named(record: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "propertyNames": {"pattern": "^[A-Za-z0-9_-]+$"}, "additionalProperties": record}


def _hoist(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Move a schema's own definitions to the common ones (names are class names, unique in the project)."""
    definitions.update(schema.pop("$defs", {}))
    return schema


__all__ = ["case_schema"]
