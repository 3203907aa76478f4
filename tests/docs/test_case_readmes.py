"""Every shipped case says where it is from and what it must give; each, or the window it states, is solved here.

Cases that are solved over a whole year are marked `slow`, so the default run leaves them to CI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import microgrid
from microgrid.study.solve import solve_case

CASES = Path(__file__).parents[2] / "cases"
FOLDERS = sorted(path.parent for path in CASES.glob("*/case.yaml"))
YEARS = {"ercot_flexible_campus", "ercot_hybrid_campus", "pjm_ai_campus"}
SOLVED = [pytest.param(path, id=path.name, marks=pytest.mark.slow if path.name in YEARS else ()) for path in FOLDERS]
ROW = re.compile(r"^\| ([a-z_]+(?:\.[\w]+)+) \| (-?[\d.]+) \| (exact|[\d.]+(?: %)?) \|$", re.MULTILINE)
OVERRIDE = re.compile(r"--set (\S+=[^\s`]+)")


class Expected(NamedTuple):
    """A quantity of the summary by its path, its value, and how far it may be off."""

    path: str
    value: float
    tolerance: float


def expected(folder: Path) -> list[Expected]:
    """Rows of the README's table."""
    rows = []
    for path, value, tolerance in ROW.findall((folder / "README.md").read_text(encoding="utf-8")):
        number = float(value)
        allowed = 0.0 if tolerance == "exact" else float(tolerance.removesuffix(" %"))
        rows.append(Expected(path, number, abs(number) * allowed / 100 if tolerance.endswith("%") else allowed))
    return rows


def found(summary: Mapping[str, Any], path: str) -> float:
    """Value at a path; a list of records is searched for the one that bears the name."""
    node: Any = summary
    for name in path.split("."):
        if isinstance(node, list):
            (node,) = (row for row in node if name in {row.get("part"), row.get("charge")})
        else:
            node = node[name]
    return float(node)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_readme_states_sources_licence_and_expectations(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {folder.name}\n")
    assert "## Sources" in text
    assert "Licence: Apache-2.0" in text
    stated = {row.path for row in expected(folder)}
    assert {"proof.objective_usd", "network.violations"} <= stated
    assert (
        len(stated)
        == text.count("\n| ")
        - text.split("## Expected")[0].count("\n| ")
        - text.split("## Sources")[1].count("\n| ")
        - 1
    )


@pytest.mark.parametrize("folder", SOLVED)
def test_the_case_holds_its_certificates_and_gives_what_its_readme_says(folder: Path) -> None:
    stated = (folder / "README.md").read_text(encoding="utf-8").split("## Expected")[1].split("## Sources")[0]
    solved = solve_case(microgrid.load_case(folder.name, OVERRIDE.findall(stated)))
    assert [row["check"] for row in solved.summary["certificates"] if not row["holds"]] == []
    assert solved.summary["proof"]["gap"] <= 1e-3
    assert not solved.violated
    missed = [
        f"{row.path}: {found(solved.summary, row.path)} instead of {row.value} ± {row.tolerance}"
        for row in expected(folder)
        if abs(found(solved.summary, row.path) - row.value) > row.tolerance
    ]
    assert missed == []
