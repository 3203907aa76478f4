"""A result folder: whole or absent.

Everything is written to a hidden neighbour and renamed at the end, so an interrupted run leaves no half result. The
manifest names versions, input hashes, solver facts and certificates, and the hash of every file beside it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import xarray as xr

from microgrid.errors import InvalidInput, Problem
from microgrid.schema.version import program_version

MANIFEST, SUMMARY, CASE, DISPATCH, POWERFLOW, INPUTS, BILL, NETWORK = (
    "manifest.json",
    "summary.json",
    "case.yaml",
    "dispatch.nc",
    "powerflow.nc",
    "inputs.nc",
    "bill.csv",
    "network.json",
)
CUTS = "cuts.jsonl"
BOUND = "bound.nc"
ALWAYS = (SUMMARY, CASE, DISPATCH, INPUTS, BILL)
READ = (*ALWAYS, POWERFLOW, NETWORK, CUTS, BOUND)
PACKAGES = ("pandapower", "pyomo", "highspy", "numpy", "scipy", "xarray", "numba", "holidays", "tzdata")


@dataclass(frozen=True)
class Results:
    """A result folder opened for reading; datasets load when asked for."""

    folder: Path

    @cached_property
    def dispatch(self) -> xr.Dataset:
        """Dispatch over time; see `microgrid.results.dataset`."""
        return self._dataset(DISPATCH)

    @cached_property
    def powerflow(self) -> xr.Dataset | None:
        """AC power flow over time; None when the case has no network."""
        return self._dataset(POWERFLOW) if (self.folder / POWERFLOW).is_file() else None

    @cached_property
    def bound(self) -> xr.Dataset | None:
        """Row prices that prove the bound; None when the solver gave none."""
        return self._dataset(BOUND) if (self.folder / BOUND).is_file() else None

    @cached_property
    def inputs(self) -> xr.Dataset:
        """Series as aligned to the steps."""
        return self._dataset(INPUTS)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The engineer's one-pager as data."""
        return self._json(SUMMARY)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Versions, hashes, solver facts and certificates."""
        return self._json(MANIFEST)

    def _dataset(self, name: str) -> xr.Dataset:
        try:
            with xr.open_dataset(self.folder / name, engine="netcdf4", decode_timedelta=False) as dataset:
                return dataset.load()
        except (OSError, ValueError) as broken:
            raise self.unreadable(name, broken) from broken

    def stated(self, file: str, *keys: str) -> Any:
        """An entry of the manifest or the summary by its keys; InvalidInput when the file lacks it."""
        entry: Any = self.manifest if file == MANIFEST else self.summary
        for key in keys:
            if not isinstance(entry, dict) or key not in entry:
                raise self.unreadable(file, f"no entry {'.'.join(keys)}")
            entry = entry[key]
        return entry

    def number(self, file: str, *keys: str) -> float:
        """A number of the manifest or the summary; InvalidInput when there is none."""
        entry = self.stated(file, *keys)
        if isinstance(entry, bool) or not isinstance(entry, (int, float)):
            raise self.unreadable(file, f"{'.'.join(keys)} is no number")
        return float(entry)

    def unreadable(self, name: str, why: object) -> InvalidInput:
        """The error of a file that is not what a solve wrote."""
        rule = f"file of the result cannot be read ({why})"
        return InvalidInput(Problem(rule, "solve the case again", name, file=str(self.folder)))

    def _json(self, name: str) -> dict[str, Any]:
        try:
            content: Any = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as broken:
            raise self.unreadable(name, broken) from broken
        if not isinstance(content, dict):
            raise self.unreadable(name, "not an object")
        return content


def open_results(folder: str | Path) -> Results:
    """Open a result folder; InvalidInput when it is none."""
    path = Path(folder)
    if not (path / MANIFEST).is_file():
        raise InvalidInput(
            Problem(
                f"not a result folder (no {MANIFEST})",
                "give a folder written by: microgrid solve CASE",
                "result",
                str(folder),
            )
        )
    return Results(path)


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of `folder` when the body succeeds, and vanishes otherwise.

    Raises:
        InvalidInput: the place is taken, takes no folder, or the disk refuses a file.
    """
    check_free(folder)
    draft = _neighbour(folder)
    try:
        draft.mkdir(parents=True)
    except OSError as refused:
        raise InvalidInput(_no_place(folder)) from refused
    try:
        yield draft
        check_free(folder)
        _exchange(folder, draft)
    except OSError as refused:
        raise InvalidInput(_not_written(folder, refused)) from refused
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def writing_file(path: Path) -> Iterator[Path]:
    """Yield a temporary file that takes the place of `path` when the body succeeds, and vanishes otherwise."""
    check_file(path)
    draft = _neighbour(path)
    try:
        yield draft
        draft.replace(path)
    except OSError as refused:
        raise InvalidInput(_not_written(path, refused)) from refused
    finally:
        draft.unlink(missing_ok=True)


def _neighbour(path: Path) -> Path:
    """A hidden name beside the path, on the same disk."""
    return path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.tmp"


def _exchange(folder: Path, draft: Path) -> None:
    """Put the draft in the place of the folder, which comes back when that fails."""
    if not folder.exists():
        draft.rename(folder)
        return
    old = draft.with_suffix(".old")
    folder.rename(old)
    try:
        draft.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old)


def check_free(folder: Path) -> None:
    """Raise InvalidInput unless `folder` can be made, or is an earlier result: nothing else is ever replaced."""
    if folder.exists():
        if folder.is_dir() and ((folder / MANIFEST).is_file() or not any(folder.iterdir())):
            return
        raise InvalidInput(Problem("exists and is not a result folder", "choose another --out", "--out", str(folder)))
    home = next(parent for parent in folder.absolute().parents if parent.exists())
    if not _takes_files(home):
        raise InvalidInput(_no_place(folder))


def check_file(path: Path) -> None:
    """Raise InvalidInput unless a file can be written at `path`, which may exist."""
    if path.is_dir() or not _takes_files(path.absolute().parent):
        raise InvalidInput(Problem("no file can be written there", "choose another --out", "--out", str(path)))


def _takes_files(folder: Path) -> bool:
    """True when something can be made in the folder; tried, because permissions alone do not tell (disks, root)."""
    try:
        with tempfile.TemporaryDirectory(prefix=".microgrid.", dir=folder):
            return True
    except OSError:
        return False


def _no_place(folder: Path) -> Problem:
    return Problem("no folder can be made there", "choose another --out", "--out", str(folder))


def _not_written(path: Path, refused: OSError) -> Problem:
    return Problem(f"cannot be written ({refused})", "mend it or choose another --out", "--out", str(path))


def write_dataset(dataset: xr.Dataset, path: Path) -> None:
    """Write NetCDF-4 with light compression; text coordinates stay text."""
    encoding = {
        str(name): {"zlib": True, "complevel": 1}
        for name, variable in dataset.variables.items()
        if variable.dtype.kind in "fiu" and variable.size > 64
    }
    dataset.to_netcdf(path, engine="netcdf4", encoding=encoding)


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write JSON with stable order and a final newline; NaN is refused."""
    path.write_text(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def write_manifest(draft: Path, facts: Mapping[str, Any]) -> None:
    """Complete the draft by its manifest: `facts`, versions, and the hash of every file present."""
    files = {file.name: _digest(file) for file in sorted(draft.iterdir())}
    write_json({**facts, "versions": versions(), "files": files}, draft / MANIFEST)


def changed_files(results: Results) -> list[str]:
    """Names of files that no longer have the hash the manifest states, or of a result's files that it does not state.

    Raises:
        InvalidInput: the manifest states no hashes.
    """
    stated = results.stated(MANIFEST, "files")
    if not isinstance(stated, dict):
        raise results.unreadable(MANIFEST, "files is no object")
    changed = [name for name, digest in stated.items() if _digest_of(results.folder / name) != digest]
    unstated = [file.name for file in sorted(results.folder.iterdir()) if file.name in READ and file.name not in stated]
    return [*changed, *unstated, *(name for name in ALWAYS if name not in {*stated, *unstated})]


def versions() -> dict[str, str]:
    """Versions of the program, its numerical libraries and Python."""
    found = {"microgrid": program_version(), "python": platform.python_version()}
    found["platform"] = f"{platform.system()} {platform.machine()}"
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _digest_of(file: Path) -> str | None:
    """Hash of a file; None when it cannot be read."""
    try:
        return _digest(file)
    except OSError:
        return None


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


__all__ = [
    "BILL",
    "BOUND",
    "CASE",
    "CUTS",
    "DISPATCH",
    "INPUTS",
    "MANIFEST",
    "NETWORK",
    "POWERFLOW",
    "SUMMARY",
    "Results",
    "changed_files",
    "check_file",
    "check_free",
    "open_results",
    "versions",
    "write_dataset",
    "write_json",
    "write_manifest",
    "writing",
    "writing_file",
]
