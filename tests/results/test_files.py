"""A result folder is whole or absent, says what it was made from, and shows when it was touched."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from microgrid.errors import InvalidInput
from microgrid.results.files import (
    changed_files,
    check_file,
    check_free,
    open_results,
    write_json,
    write_manifest,
    writing,
    writing_file,
)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_folder_appears_whole(tmp_path: Path) -> None:
    with writing(tmp_path / "deep" / "out") as draft:
        (draft / "a.txt").write_text("a")
        assert not (tmp_path / "deep" / "out").exists()
    assert names(tmp_path / "deep") == {"out"}
    assert names(tmp_path / "deep" / "out") == {"a.txt"}


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), writing(tmp_path / "out") as draft:  # noqa: PT012 - an interruption happens inside
        (draft / "a.txt").write_text("a")
        raise failure
    assert names(tmp_path) == set()


def test_an_interrupted_run_keeps_the_result_before(tmp_path: Path) -> None:
    make_result(tmp_path / "out", "first")
    with pytest.raises(KeyboardInterrupt), writing(tmp_path / "out") as draft:  # noqa: PT012 - as above
        (draft / "manifest.json").write_text("{}")
        raise KeyboardInterrupt
    assert (tmp_path / "out" / "note.txt").read_text() == "first"
    assert names(tmp_path) == {"out"}


def test_a_failed_exchange_keeps_the_result_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_result(tmp_path / "out", "first")
    honest = Path.rename

    def fails(self: Path, target: Any) -> Path:
        if self.name.endswith(".tmp"):
            raise OSError("disk gone")
        return honest(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(InvalidInput, match=r"out: cannot be written \(disk gone\)"):
        make_result(tmp_path / "out", "second")
    assert (tmp_path / "out" / "note.txt").read_text() == "first"
    assert names(tmp_path) == {"out"}


def test_a_result_is_replaced_and_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    make_result(tmp_path / "out", "first")
    make_result(tmp_path / "out", "second")
    assert (tmp_path / "out" / "note.txt").read_text() == "second"
    assert names(tmp_path) == {"out"}


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_result_is_refused(tmp_path: Path, kind: str) -> None:
    if kind == "folder":
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.docx").write_text("mine")
    else:
        (tmp_path / "out").write_text("mine")
    with pytest.raises(InvalidInput, match="exists and is not a result folder"):
        make_result(tmp_path / "out", "second")
    assert names(tmp_path) == {"out"}
    assert (tmp_path / "out" / "thesis.docx" if kind == "folder" else tmp_path / "out").read_text() == "mine"


def test_a_disk_that_refuses_is_told_as_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(InvalidInput, match="no folder can be made there"):
        make_result(tmp_path / "out", "first")


def test_a_full_disk_is_told_with_its_place_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"out: cannot be written \(.*No space"), writing(tmp_path / "out") as draft:  # noqa: PT012
        (draft / "a.txt").write_text("a")
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == set()


def test_a_file_is_whole_or_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "out.nc"
    with writing_file(path) as draft:
        draft.write_text("first")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), writing_file(path) as draft:  # noqa: PT012 - an interruption happens inside
        draft.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "first"
    assert names(tmp_path) == {"out.nc"}


@pytest.mark.parametrize("place", ["/dev/null/x", "/proc/x/y", "/proc/x"])
def test_a_place_that_takes_nothing_is_refused_up_front(place: str) -> None:
    with pytest.raises(InvalidInput, match=f"{place}: no folder can be made there"):
        check_free(Path(place))
    with pytest.raises(InvalidInput, match=f"{place}: no file can be written there"):
        check_file(Path(place))


def test_json_refuses_what_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json({"value": float("nan")}, tmp_path / "x.json")


def test_manifest_states_versions_hashes_solver_and_certificates(quickstart: Any) -> None:
    results = open_results(quickstart.folder / "results" / "quickstart")
    manifest = results.manifest
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((results.folder / name).read_bytes()).hexdigest() == digest
    assert set(manifest["files"]) == names(results.folder) - {"manifest.json"}
    assert {"python", "pyomo", "highspy", "pandapower"} <= set(manifest["versions"])
    assert {Path(file).name for file in manifest["inputs"]} == {"case.yaml", "series.csv"}
    for file, digest in manifest["inputs"].items():
        assert hashlib.sha256(Path(file).read_bytes()).hexdigest() == digest
    solver = manifest["solver"]
    assert solver["bound_usd"] <= solver["objective_usd"] + 1e-6
    assert {"balance", "rows", "objective", "power flow"} <= {entry["check"] for entry in manifest["certificates"]}


def test_a_changed_file_shows(quickstart: Any, tmp_path: Path) -> None:
    copied = shutil.copytree(quickstart.folder / "results" / "quickstart", tmp_path / "copy")
    assert changed_files(open_results(copied)) == []
    with (copied / "bill.csv").open("a") as file:
        file.write("extra\n")
    (copied / "inputs.nc").unlink()
    assert set(changed_files(open_results(copied))) == {"bill.csv", "inputs.nc"}


@pytest.mark.parametrize(
    ("file", "kind"), [("summary.json", "summary"), ("dispatch.nc", "dispatch"), ("inputs.nc", "inputs")]
)
def test_broken_files_are_input_errors(quickstart: Any, tmp_path: Path, file: str, kind: str) -> None:
    copied = shutil.copytree(quickstart.folder / "results" / "quickstart", tmp_path / "copy")
    (copied / file).write_text("not what it should be")
    with pytest.raises(InvalidInput, match="cannot be read"):
        getattr(open_results(copied), kind)


def test_a_folder_without_manifest_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"not a result folder \(no manifest.json\)"):
        open_results(tmp_path)


def make_result(folder: Path, note: str) -> None:
    with writing(folder) as draft:
        (draft / "note.txt").write_text(note)
        write_manifest(draft, {"case": "x"})


def test_the_manifest_is_plain_json(tmp_path: Path) -> None:
    make_result(tmp_path / "out", "first")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["files"] == {"note.txt": hashlib.sha256(b"first").hexdigest()}
