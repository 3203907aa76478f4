"""Find cases by name or path: installed plugins, the package, a sibling folder of a checkout, a path."""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from microgrid.errors import InvalidInput, Problem
from microgrid.schema.spelling import did_you_mean

GROUP = "microgrid.cases"


def case_folders() -> list[Path]:
    """Folders that hold cases, first match wins."""
    folders = [Path(str(point.load())) for point in entry_points(group=GROUP)]
    packaged = find_spec("microgrid.cases")
    if packaged is not None and packaged.submodule_search_locations:
        folders.extend(Path(place) for place in packaged.submodule_search_locations)
    folders.append(Path(__file__).resolve().parents[2] / "cases")
    return [folder for folder in folders if folder.is_dir()]


def list_cases() -> dict[str, Path]:
    """Case files by name."""
    found: dict[str, Path] = {}
    for folder in case_folders():
        for file in sorted(folder.glob("*/case.yaml")):
            found.setdefault(file.parent.name, file)
    return found


def find_case(name: str | Path) -> Path:
    """Path of the case file that a name, a folder or a path means; InvalidInput suggests near names."""
    path = Path(name)
    if path.is_dir() and (path / "case.yaml").is_file():
        return path / "case.yaml"
    if path.is_file():
        return path
    known = list_cases()
    if str(name) in known:
        return known[str(name)]
    if path.suffix or len(path.parts) > 1:
        raise InvalidInput(Problem("case file does not exist", "check the path", "case", str(name)))
    remedy = did_you_mean(str(name), known, f"cases: {', '.join(known)}; or give a path to a case.yaml")
    raise InvalidInput(Problem("no such case", remedy, "case", str(name)))


__all__ = ["case_folders", "find_case", "list_cases"]
