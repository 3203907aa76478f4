"""Rules of the house: short files, short functions, a light start, and declarations that say what they are.

A function's length is its code: the lines of its body without docstring, blank lines and comments, nested functions
included. A dictionary or call that ends in ``# fmt: skip`` counts as it stands.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from microgrid.case.kinds import built_in, is_asset
from microgrid.testing import check_asset

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("microgrid", "networks", "cases") for path in (ROOT / folder).rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 400, 40
HEAVY = (
    "pandas",
    "numpy",
    "scipy",
    "xarray",
    "pandapower",
    "pyomo",
    "highspy",
    "numba",
    "matplotlib",
    "netCDF4",
    "pydantic",
    "ruamel",
)
VAGUE = ("utils", "util", "helpers", "helper", "common", "core", "misc", "base", "tools")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef, list[str]]]:
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{name_of(path)}:{node.lineno} {node.name}", node, text.splitlines()


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    """Lines of a body that hold code."""
    docstrings = set()
    for inner in ast.walk(node):
        if isinstance(inner, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(inner, clean=False) is not None:
            first = inner.body[0]
            docstrings.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    body = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
    kept = (lines[number - 1].strip() for number in body if number not in docstrings)
    return sum(bool(line) and not line.startswith("#") for line in kept)


def test_the_count_leaves_docstrings_blanks_and_comments_out() -> None:
    lines = [
        "def f(", "    a,", "):", '    """One.', "", "    Two.", '    """', "    # why", "    b = a", "",
        "    def g():", '        """G."""', "        return b", "", "    return g",
    ]  # fmt: skip
    text = "\n".join(lines)
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef)
    assert code_lines(node, text.splitlines()) == 4


def test_files_are_short() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_functions_are_short() -> None:
    lengths = {label: code_lines(node, lines) for path in SOURCES for label, node, lines in functions(path)}
    assert {label: length for label, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_files_are_named_for_what_they_hold() -> None:
    assert [name_of(path) for path in SOURCES if path.stem in VAGUE] == []


def test_public_functions_say_what_they_do() -> None:
    silent = [
        label
        for path in SOURCES
        for label, node, _ in functions(path)
        if not node.name.startswith("_") and ast.get_docstring(node) is None and _is_top_level(path, node)
    ]
    assert silent == []


def _is_top_level(path: Path, node: ast.AST) -> bool:
    return any(
        node_.lineno == node.lineno
        for node_ in ast.parse(path.read_text(encoding="utf-8")).body
        if hasattr(node, "lineno")
    )


def test_no_unfinished_work_is_announced() -> None:
    words = ("TODO", "FIXME", "XXX", "NotImplementedError(", "for now", "placeholder")
    found = [
        f"{name_of(path)}:{number} {word}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for word in words
        if word in line and not ("placeholder" in word and "placeholders" in line)
    ]
    assert found == []


def _imported(module: str) -> set[str]:
    code = f"import sys; import {module}; print(' '.join(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("module", ["microgrid", "microgrid.cli.main"])
def test_nothing_heavy_is_imported_at_start(module: str) -> None:
    assert sorted(_imported(module) & set(HEAVY)) == []


@pytest.mark.parametrize("kind", sorted(built_in()))
def test_every_kind_keeps_the_published_rules(kind: str) -> None:
    """Its example validates, round-trips and formulates; fields have units, rules their equations."""
    check_asset(built_in()[kind])


def test_every_kind_is_an_asset_or_a_program() -> None:
    assert {"battery", "engines", "poi", "solar", "wind", "facility_load"} <= {
        kind for kind, found in built_in().items() if is_asset(found)
    }
    assert "coincident_peak" in {kind for kind, found in built_in().items() if not is_asset(found)}
