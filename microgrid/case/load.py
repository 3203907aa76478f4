"""Read a case file into a `Case`, or report every problem at once.

Order: find → parse with positions → overrides → header → plugins → parts → cross-checks (names, buses, meters) →
series. A stage that fails does not stop later ones that can still be checked, so one run of ``microgrid validate``
tells all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from microgrid.assets.asset import Asset
from microgrid.assets.poi import Poi
from microgrid.case.align import align_inputs
from microgrid.case.explain import problems_of
from microgrid.case.kinds import built_in, is_asset, plugin_classes, refuse_taken
from microgrid.case.library import find_case
from microgrid.case.model import Case, CaseHeader, build_network
from microgrid.case.overrides import apply_overrides
from microgrid.case.source import Source, read_source
from microgrid.case.tariff_use import check_tariffs, in_case, resolve_tariffs, tariff_part
from microgrid.errors import InvalidInput, Problem
from microgrid.schema.quantity import Declared
from microgrid.schema.spelling import did_you_mean

SECTIONS = ("assets", "programs", "tariffs")
RESERVED = frozenset({"campus", "cost", "injection"})
"""Names that results use themselves."""


def load_case(name: str | Path, overrides: Iterable[str] = ()) -> Case:
    """Load and validate a case by name, folder or path.

    Args:
        name: a shipped case's name, a folder with a case.yaml, or a file.
        overrides: ``path.to.field=value`` texts, applied in order.

    Raises:
        InvalidInput: every problem found, with file, line, column, field, value, rule and remedy.
    """
    path = find_case(name)
    source = apply_overrides(read_source(path), overrides)
    problems: list[Problem] = []
    header = _header(source, problems)
    classes = _classes(source, path.parent, problems)
    parts, places = _parts(source, classes, path.parent, problems)
    _check_meters(source, parts, problems)
    net = None
    if header is not None:
        net = _network(source, header, path.parent, problems)
        _check_buses(source, net, parts, problems)
        check_tariffs(source, parts, header.time.horizon(), problems)
    aligned = align_inputs(source, header, parts, places, path.parent, problems)
    if problems or header is None:
        raise InvalidInput(problems)
    files = {str(file): _digest(file) for file in [path, *aligned.files]}
    resolved = resolve_tariffs(source.data, parts)
    if header.plugins:
        resolved["plugins"] = [str((path.parent / plugin).resolve()) for plugin in header.plugins]
    return Case(header, parts, aligned.inputs, aligned.units, resolved, path.parent, files, net)


def load_resolved(file: Path, inputs: Mapping[str, np.ndarray]) -> Case:
    """Rebuild a case from a resolved file, with series that were aligned before (``part.field`` → array).

    Nothing outside the file is read but its plugins; the network is left to the caller.
    """
    source = read_source(file)
    problems: list[Problem] = []
    header = _header(source, problems)
    classes = _classes(source, file.parent, problems)
    parts, _ = _parts(source, classes, file.parent, problems)
    if problems or header is None:
        raise InvalidInput(problems)
    return Case(header, parts, inputs, {}, source.data, file.parent, {})


@contextmanager
def told_in_file(case: Case) -> Iterator[None]:
    """Place problems that show only when parts write their equations at the case's own line of the part they name."""
    try:
        yield
    except InvalidInput as broken:
        if not case.files:
            raise
        source = read_source(Path(next(iter(case.files))))
        raise InvalidInput([_in_file(source, problem) for problem in broken.problems]) from broken


def _in_file(source: Source, problem: Problem) -> Problem:
    name, *field = problem.field.split(".")
    section = next((section for section in SECTIONS if name in (source.data.get(section) or {})), None)
    if problem.file or section is None:
        return problem
    if section == "tariffs":
        return in_case(source, name, problem)
    return source.problem((section, name, *field), problem.rule, problem.remedy, problem.value)


def _header(source: Source, problems: list[Problem]) -> CaseHeader | None:
    known = {key: value for key, value in source.data.items() if key not in SECTIONS}
    try:
        return CaseHeader.model_validate(known)
    except ValidationError as wrong:
        found = problems_of(wrong, source, (), CaseHeader)
        sections = (*CaseHeader.model_fields, *SECTIONS)
        problems.extend(
            source.problem((problem.field,), problem.rule, did_you_mean(problem.field, sections))
            if problem.rule == "unknown field" and problem.field in source.data
            else problem
            for problem in found
        )
        return None


def _classes(source: Source, folder: Path, problems: list[Problem]) -> dict[str, type[Declared]]:
    """Part classes by kind: built in, and from the case's plugins."""
    classes = dict(built_in())
    plugins = source.data.get("plugins") or []
    for place, entry in enumerate(plugins if isinstance(plugins, list) else []):
        try:
            for kind, found in plugin_classes(folder / str(entry), source.file).items():
                refuse_taken(kind, classes, str(entry))
                classes[kind] = found
        except InvalidInput as broken:
            problems.extend(
                problem
                if problem.line
                else source.problem(("plugins", place), problem.rule, problem.remedy, problem.value)
                for problem in broken.problems
            )
    return classes


def _parts(
    source: Source, classes: Mapping[str, type[Declared]], folder: Path, problems: list[Problem]
) -> tuple[dict[str, Declared], dict[str, tuple[str, ...]]]:
    """Declared records by name, and where each stands in the file."""
    parts: dict[str, Declared] = {}
    places: dict[str, tuple[str, ...]] = {}
    for section in SECTIONS:
        entries = source.data.get(section) or {}
        if not isinstance(entries, dict):
            problems.append(
                source.problem((section,), "must be a mapping of names to records", "write `name: {kind: …}` lines")
            )
            continue
        for name, entry in entries.items():
            place = (section, name)
            if not _name_is_free(source, name, place, parts, problems):
                continue
            part = _part(source, section, name, entry, classes, folder, problems)
            if part is not None:
                parts[name], places[name] = part, place
    if not source.data.get("assets"):
        problems.append(source.problem(("assets",), "a case needs at least one asset", "see: microgrid list assets"))
    return parts, places


def _name_is_free(
    source: Source, name: str, place: tuple[str, str], parts: Mapping[str, Declared], problems: list[Problem]
) -> bool:
    if name in parts:
        problems.append(source.problem(place, "name is given twice, in two sections", "rename one of them", name))
        return False
    if name in RESERVED or not name.replace("_", "").replace("-", "").isalnum():
        problems.append(
            source.problem(
                place, "name must be letters, digits, - and _, and not campus, cost or injection", "rename it", name
            )
        )
        return False
    return True


def _part(
    source: Source,
    section: str,
    name: str,
    entry: Any,
    classes: Mapping[str, type[Declared]],
    folder: Path,
    problems: list[Problem],
) -> Declared | None:
    if section == "tariffs":
        return tariff_part(source, name, entry, folder, problems)
    wanted = {kind: found for kind, found in classes.items() if is_asset(found) == (section == "assets")}
    if not isinstance(entry, dict) or "kind" not in entry:
        problems.append(source.problem((section, name), "needs a kind", f"kinds: {', '.join(wanted)}"))
        return None
    found = wanted.get(str(entry["kind"]))
    if found is None:
        remedy = did_you_mean(str(entry["kind"]), wanted)
        problems.append(source.problem((section, name, "kind"), "unknown kind", remedy, entry["kind"]))
        return None
    try:
        return found.model_validate(entry)
    except ValidationError as wrong:
        problems.extend(problems_of(wrong, source, (section, name), found))
        return None


def _check_meters(source: Source, parts: Mapping[str, Declared], problems: list[Problem]) -> None:
    """A tariff or program must name a meter that exists."""
    assets = source.data.get("assets")
    written = assets.items() if isinstance(assets, dict) else ()
    meters = [name for name, entry in written if isinstance(entry, dict) and entry.get("kind") == "poi"]
    meters += [name for name, part in parts.items() if isinstance(part, Poi) and name not in meters]
    for section in ("programs", "tariffs"):
        entries = source.data.get(section) or {}
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            stated = entry.get("poi") if isinstance(entry, dict) else None
            poi = stated or getattr(parts.get(name), "poi", None)
            if isinstance(poi, str) and poi and poi not in meters:
                remedy = did_you_mean(poi, meters) or "add an asset of kind poi"
                problems.append(source.problem((section, name, "poi"), "no such point of interconnection", remedy, poi))


def _network(source: Source, header: CaseHeader, folder: Path, problems: list[Problem]) -> Any:
    """The network that the case names; None where it names none or it has problems."""
    if not header.network:
        return None
    try:
        return build_network(header.network, folder)
    except InvalidInput as broken:
        problems.extend(
            problem if problem.line else _in_network(source, header, problem) for problem in broken.problems
        )
        return None


def _check_buses(source: Source, net: Any, parts: Mapping[str, Declared], problems: list[Problem]) -> None:
    """Every bus that an asset names must be in the network."""
    if net is None:
        return
    buses = [str(bus) for bus in net.bus.name]
    for name, part in parts.items():
        for bus in part.shares if isinstance(part, Asset) else ():
            if bus not in buses:
                remedy = did_you_mean(bus, buses)
                problems.append(source.problem(("assets", name, "bus"), "no such bus in the network", remedy, bus))


def _in_network(source: Source, header: CaseHeader, problem: Problem) -> Problem:
    """A broken rule of the network, told at the line of the case that names it."""
    where = "" if problem.field == "network" else ": ".join(part for part in (problem.field, problem.value) if part)
    rule = ": ".join(part for part in (where, problem.rule) if part)
    return source.problem(("network",), rule, problem.remedy, header.network)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


__all__ = ["SECTIONS", "load_case", "load_resolved", "told_in_file"]
