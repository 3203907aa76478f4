"""Which microgrid this is: an installed package, a checkout, or an installed checkout at some commit."""

from __future__ import annotations

import subprocess
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def program_version() -> str:
    """Version, followed by the commit where the program runs from a checkout: ``0.1.0 (checkout 1a2b3c4, changed)``."""
    file = ROOT / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {}) if file.is_file() else {}
    if project.get("name") == "microgrid":
        return f"{project['version']} (checkout{_commit()})"
    try:
        return version("microgrid")
    except PackageNotFoundError:
        return "unknown"


def _commit() -> str:
    """Abbreviated commit of the checkout, and whether files differ from it; empty where git cannot say."""
    asked = ["git", "describe", "--always", "--exclude=*", "--dirty=, changed"]
    try:
        told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True, timeout=5)  # noqa: S603 - fixed words
    except (OSError, subprocess.SubprocessError):
        return ""
    return f" {told.stdout.strip()}"


__all__ = ["program_version"]
