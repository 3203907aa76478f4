"""Fixtures shared by all tests: where material outside the project is found."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
SHARED = Path(os.environ.get("SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Path below ../shared; the test is skipped, with the reason, where it is absent."""

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            pytest.skip(f"needs {relative} below {SHARED}, which is not on this machine")
        return path

    return find
