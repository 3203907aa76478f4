"""What is shipped: wheel and sdist hold every data file, and an installed wheel solves outside the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

pytest.importorskip("build")

ROOT = Path(__file__).parents[2]
HOMES = {"microgrid/": "microgrid/", "networks/": "microgrid/networks/", "cases/": "microgrid/cases/"}
NOT_SHIPPED = {".gitignore", "microgrid/cases/case.schema.json"}


def tracked() -> list[str]:
    """Files of the checkout under version control (those that exist), or a skip outside one."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what should be shipped is read from git")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with wheel and sdist, built from a copy of the tracked files."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    alone = [] if int(version("setuptools").partition(".")[0]) < 77 else ["--no-isolation"]
    made = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--sdist", *alone, "--outdir", str(target), str(source)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if (
        made.returncode
        and not alone
        and re.search("No matching distribution|Connection|Temporary failure", made.stdout + made.stderr)
    ):
        pytest.skip("an isolated build needs setuptools from a package index, which cannot be reached")
    assert made.returncode == 0, made.stdout + made.stderr
    return target


def installed_names() -> set[str]:
    """Where every tracked file of the package should stand in the wheel."""
    names = set()
    for name in tracked():
        home = next((home for home in HOMES if name.startswith(home)), None)
        if home is not None:
            names.add(HOMES[home] + name.removeprefix(home))
    return names - NOT_SHIPPED


def test_wheel_holds_every_file(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        held = set(wheel.namelist())
    assert sorted(installed_names() - held) == []
    for name in (
        "cases/quickstart/case.yaml",
        "cases/quickstart/series.csv",
        "networks/single_bus.py",
        "assets/data/asic_models.csv",
        "py.typed",
    ):
        assert f"microgrid/{name}" in held
    assert any(name.startswith("microgrid/tariffs/library/") for name in held)
    assert any(name.startswith("microgrid/networks/data/") for name in held)
    strangers = [name for name in held if not name.startswith(("microgrid/", "microgrid-"))]
    assert strangers == [], "the wheel may install nothing beside the package"


def test_sdist_holds_what_the_wheel_is_built_from(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {name for name in tracked() if name.startswith(tuple(HOMES))} - {"cases/case.schema.json"}
    assert sorted(wanted - held) == []
    assert {"pyproject.toml", "README.md", "LICENSE"} <= held


@pytest.mark.skipif(
    not (os.environ.get("CI") or os.environ.get("MICROGRID_PACKAGING")),
    reason="makes a venv: set MICROGRID_PACKAGING=1",
)
def test_installed_wheel_solves_outside_the_checkout(built: Path, tmp_path: Path) -> None:
    """Libraries come from the environment of the tests; the package itself only from the wheel."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "MICROGRID_NUMBA"}}
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", next(built.glob("*.whl"))],
        check=True, env=environment,
    )  # fmt: skip
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    Path(site, "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "microgrid", "solve", "quickstart", "--json"],
        cwd=tmp_path / "elsewhere", capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["network"]["violations"] == 0
    manifest = json.loads((tmp_path / "elsewhere/results/quickstart/manifest.json").read_text())
    assert all(file.startswith(site) for file in manifest["inputs"])
    listed = subprocess.run(
        [tmp_path / "venv" / "bin" / "microgrid", "list", "cases"],
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert {"quickstart", "ercot_hybrid_campus"} <= {line.split()[0] for line in listed.stdout.splitlines()}
