"""Bring every series of a case onto its time steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from microgrid.assets.asset import Asset
from microgrid.case.model import CaseHeader
from microgrid.case.source import Source
from microgrid.case.timeseries import read_series
from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Declared, Series


@dataclass(frozen=True)
class Reference:
    """A series that a field of a part refers to."""

    path: tuple[str, ...]
    series: Series
    unit: str
    info: FieldInfo | None = None


@dataclass
class Aligned:
    """Arrays by ``part.field``, their units, and the files they came from."""

    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)


def align_inputs(
    source: Source,
    header: CaseHeader | None,
    parts: Mapping[str, Declared],
    places: Mapping[str, tuple[str, ...]],
    folder: Path,
    problems: list[Problem],
) -> Aligned:
    """Read all series; problems are appended, and what could be read is returned."""
    aligned = Aligned()
    if header is None:
        return aligned
    horizon = header.time.horizon()
    for name, part in parts.items():
        for reference in references(part):
            _read(aligned, source, horizon, name, reference, places[name], folder, problems)
        if isinstance(part, Asset):
            _prepare(aligned, source, horizon, name, part, folder, problems)
    aligned.files = list(dict.fromkeys(aligned.files))
    return aligned


def references(part: Declared) -> Iterator[Reference]:
    """Series of a part: those it lists itself (`series_references`), else every `Series` among its fields."""
    listed = getattr(part, "series_references", None)
    if listed is not None:
        for path, (series, unit) in listed().items():
            yield Reference(tuple(path.split(".")), series, unit)
        return
    yield from _walk(part, (), "", None)


def _walk(value: Any, path: tuple[str, ...], unit: str, info: FieldInfo | None) -> Iterator[Reference]:
    if isinstance(value, Series):
        yield Reference(path, value, unit, info)
    elif isinstance(value, BaseModel):
        for name, declared in type(value).model_fields.items():
            extra = declared.json_schema_extra
            here = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
            yield from _walk(getattr(value, name), (*path, name), here, declared)
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _walk(entry, (*path, str(key)), unit, info)
    elif isinstance(value, (list, tuple)):
        for place, entry in enumerate(value):
            yield from _walk(entry, (*path, str(place)), unit, info)


def _read(  # noqa: PLR0917 - one series, its place and where problems go
    aligned: Aligned,
    source: Source,
    horizon: Horizon,
    name: str,
    reference: Reference,
    place: tuple[str, ...],
    folder: Path,
    problems: list[Problem],
) -> None:
    key = ".".join((name, *reference.path))
    location = (*place, *(int(part) if part.isdigit() else part for part in reference.path))
    try:
        values = read_series(reference.series, base=folder, horizon=horizon, unit=reference.unit)
    except InvalidInput as broken:
        problems.extend(_placed(source, location, reference.series, problem) for problem in broken.problems)
        return
    problems.extend(_out_of_limits(source, location, reference, values, horizon))
    aligned.inputs[key], aligned.units[key] = values, reference.unit
    aligned.files.append(folder / reference.series.file)


def _placed(source: Source, location: tuple[str | int, ...], series: Series, problem: Problem) -> Problem:
    """A problem of a row keeps its file and line; one of the declaration is placed at the field that makes it."""
    if problem.line:
        return problem
    written = problem.field in series.model_fields_set
    place = (*location, problem.field) if written else location
    return source.problem(place, problem.rule, problem.remedy, problem.value)


def _out_of_limits(
    source: Source, location: tuple[str | int, ...], reference: Reference, values: np.ndarray, horizon: Horizon
) -> Iterator[Problem]:
    """A series must keep the limits of its field at every step."""
    for limit in reference.info.metadata if reference.info else ():
        for word, breaks in (("ge", np.less), ("gt", np.less_equal), ("le", np.greater), ("lt", np.greater_equal)):
            bound = getattr(limit, word, None)
            if bound is None:
                continue
            hit = np.flatnonzero(breaks(values, bound))
            if hit.size:
                text = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}[word]
                step = int(hit[0])
                unit = "" if reference.unit in {"", "1"} else f" {reference.unit}"
                yield source.problem(
                    location, f"every value must be {text} {bound:g}{unit}; {hit.size} are not",
                    f"first at {horizon.label(step)}", f"{values[step]:g}",
                )  # fmt: skip


def _prepare(
    aligned: Aligned,
    source: Source,
    horizon: Horizon,
    name: str,
    asset: Asset,
    folder: Path,
    problems: list[Problem],
) -> None:
    try:
        for field_name, values in asset.prepare(horizon, folder).items():
            aligned.inputs[f"{name}.{field_name}"] = values
            extra = type(asset).model_fields[field_name].json_schema_extra
            aligned.units[f"{name}.{field_name}"] = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
    except InvalidInput as broken:
        problems.extend(
            source.problem(("assets", name), problem.rule, problem.remedy, problem.value) for problem in broken.problems
        )


__all__ = ["Aligned", "Reference", "align_inputs", "references"]
