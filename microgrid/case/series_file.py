"""Columns of a CSV, Parquet or NetCDF file, as written: nothing is aligned, converted or guessed here.

A file that is no table (empty, binary, one endless line, garbage below a good header) is refused from its first
kilobytes, so a wrong file of any size fails at once. A parsed file is kept, so ten columns cost one reading.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from microgrid.case.explain import did_you_mean
from microgrid.errors import InvalidInput, Problem

SNIFFED_BYTES = 65_536
PROBED_ROWS = 2_000
LARGEST_BYTES = 2_000_000_000
WIDE_FILE_BYTES = 20_000_000
"""Above this size only the columns asked for are read."""

NO_VALUE = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "#N/A", "-nan", "n/a")
SIGNATURES = {
    b"PK\x03\x04": "an Excel workbook or zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1": "a Parquet file",
    b"\x89HDF": "a NetCDF (HDF5) file",
    b"CDF": "a NetCDF file",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


@dataclass(frozen=True)
class Column:
    """A column as written, with what is needed to name its rows.

    `first_line` is the file line of row 0 in a text file, and 0 in a binary file, where rows are counted instead.
    """

    entries: pd.Series
    first_line: int

    def line(self, row: int) -> int:
        """Line of a text file, or row counted from one in a binary file."""
        return row + (self.first_line or 1)


def read_column(path: Path, name: str) -> Column:
    """Column `name` of a file; `InvalidInput` when the file or the column cannot be read.

    Raises:
        InvalidInput: the file is absent, empty, no table, or has no such column (with close names).
    """
    if not path.is_file():
        raise InvalidInput(Problem(f"series file {path} does not exist", "check the path", "file", path.name))
    stat = path.stat()
    if stat.st_size == 0:
        raise InvalidInput(Problem(f"series file {path.name} is empty", "write the series again", "file", path.name))
    if stat.st_size > LARGEST_BYTES:
        limit = f"more than {LARGEST_BYTES / 1e9:g} GB"
        raise InvalidInput(Problem(f"series file {path.name} has {limit}", "cut it to the window", "file", path.name))
    opened = _open(path, stat.st_mtime_ns, stat.st_size)
    return opened.column(name)


@dataclass(frozen=True)
class _Table:
    """An opened file: its header, and its parsed columns where the file is small enough to keep them all."""

    path: Path
    names: tuple[str, ...]
    first_line: int
    frame: Mapping[str, pd.Series] | None

    def column(self, name: str) -> Column:
        """Column by name, read from disk unless it is kept."""
        if name not in self.names:
            rule = f"{self.path.name} has no column {name}"
            raise InvalidInput(Problem(rule, did_you_mean(name, self.names), "column", name))
        if self.names.count(name) > 1:
            rule = f"{self.path.name} has {self.names.count(name)} columns named {name}"
            raise InvalidInput(Problem(rule, "rename them", "column", name))
        if self.frame is not None:
            return Column(self.frame[name], self.first_line)
        return Column(_read_csv(self.path, self.names, self.first_line, only=name)[name], self.first_line)


@lru_cache(maxsize=16)
def _open(path: Path, modified_ns: int, size: int) -> _Table:
    """Open a file once for all its columns; the time of change and size make a rewritten file a new one."""
    del modified_ns
    suffix = path.suffix.lower()
    if suffix in {".parquet", ".pq"}:
        return _open_parquet(path)
    if suffix in {".nc", ".nc4"}:
        return _open_netcdf(path)
    names, header_line = _header(path)
    if size > WIDE_FILE_BYTES:
        return _Table(path, names, header_line + 1, None)
    frame = _read_csv(path, names, header_line + 1)
    return _Table(path, names, header_line + 1, {name: frame[name] for name in names if names.count(name) == 1})


def _header(path: Path) -> tuple[tuple[str, ...], int]:
    """Column names of a CSV file and the line they stand on; comment lines (``#``) may precede them."""
    with path.open("rb") as stream:
        start = stream.read(SNIFFED_BYTES)
    found = next((what for mark, what in SIGNATURES.items() if start.startswith(mark)), "")
    if found or b"\0" in start:
        raise InvalidInput(_not_a_table(path, f"is {found or 'binary'}, not text", "export it as CSV in UTF-8"))
    try:
        text = start.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        if broken.start < len(start) - 4:
            raise InvalidInput(_not_a_table(path, "is not UTF-8 text", "save it as CSV in UTF-8")) from broken
        text = start[: broken.start].decode("utf-8-sig")
    lines = text.splitlines()
    skipped = next((place for place, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    if skipped == len(lines):
        raise InvalidInput(_not_a_table(path, "has no header line", "start it with the column names"))
    if skipped == len(lines) - 1 and len(start) == SNIFFED_BYTES:
        rule = f"has a first line longer than {SNIFFED_BYTES} characters, so it is no table"
        raise InvalidInput(_not_a_table(path, rule, "give a CSV file with a header"))
    names = tuple(name.strip() for name in next(csv.reader([lines[skipped]]), []))
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        rule = "separates columns with semicolons or tabs"
        raise InvalidInput(_not_a_table(path, rule, "separate them with commas and write decimals with a point"))
    return names, skipped + 1


def _read_csv(path: Path, names: Sequence[str], first_line: int, only: str = "") -> pd.DataFrame:
    """All rows below the header; text stays text, numbers become float64, blanks become NaN."""
    probe = _parse_csv(path, names, first_line, only, PROBED_ROWS)
    if only and len(probe) == PROBED_ROWS and probe[only].dtype == object and _share_of_garbage(probe[only]) > 0.5:
        rule = f"column {only} of {path.name} holds text that is neither numbers nor stamps in most rows"
        raise InvalidInput(Problem(rule, "give a clean CSV file", "column", only))
    frame = probe if len(probe) < PROBED_ROWS else _parse_csv(path, names, first_line, only, None)
    blank = frame.isna().all(axis=1).to_numpy()
    kept = len(blank) - int(np.argmin(blank[::-1])) if not blank.all() else 0
    if kept == 0:
        raise InvalidInput(_not_a_table(path, "has a header but no rows", "write the series again"))
    return frame.iloc[:kept]


def _share_of_garbage(values: pd.Series) -> float:
    """Share of entries that do not even begin like a number or a date."""
    return float((~values.dropna().astype(str).str.match(r"\s*[-+]?\.?\d[\d.:eETZ/ +\-]*(AM|PM)?\s*$")).mean())


def _parse_csv(path: Path, names: Sequence[str], first_line: int, only: str, rows: int | None) -> pd.DataFrame:
    try:
        frame = pd.read_csv(
            path,
            header=None,
            names=range(len(names) + 1),
            usecols=[names.index(only), len(names)] if only else None,
            skiprows=first_line - 1,
            nrows=rows,
            skip_blank_lines=False,
            skipinitialspace=True,
            keep_default_na=False,
            na_values=list(NO_VALUE),
            encoding="utf-8-sig",
            low_memory=False,
        )
    except pd.errors.EmptyDataError as empty:
        raise InvalidInput(_not_a_table(path, "has a header but no rows", "write the series again")) from empty
    except (pd.errors.ParserError, UnicodeDecodeError, OverflowError) as broken:
        raise InvalidInput(_not_a_table(path, f"is not a regular table ({broken})", "mend the row")) from broken
    # The column past the last catches what one field too many would otherwise shift or drop unseen.
    surplus = np.flatnonzero(frame[len(names)].notna())
    if surplus.size:
        rule, line = f"row has more fields than the header ({len(names)})", first_line + int(surplus[0])
        remedy = "write decimals with a point and quote text that holds commas"
        raise InvalidInput(Problem(rule, remedy, file=str(path), line=line))
    frame = frame.drop(columns=[len(names)])
    return frame.set_axis([names[int(place)] for place in frame.columns], axis=1)


def _open_parquet(path: Path) -> _Table:
    try:
        import pyarrow.parquet  # noqa: PLC0415 - an optional extra, needed only for Parquet files
    except ImportError as missing:
        rule, remedy = "a Parquet file needs pyarrow", 'install the extra: pip install "microgrid[parquet]"'
        raise InvalidInput(Problem(rule, remedy, "file", path.name)) from missing
    try:
        frame = pyarrow.parquet.read_table(path).to_pandas(ignore_metadata=True)
        columns = {str(name): frame[name] for name in frame.columns}
    except (OSError, ValueError) as broken:
        raise InvalidInput(
            _not_a_table(path, f"is not a readable Parquet file ({broken})", "write it again")
        ) from broken
    return _Table(path, tuple(columns), 0, columns)


def _open_netcdf(path: Path) -> _Table:
    import xarray  # noqa: PLC0415 - heavy, needed only for NetCDF files

    try:
        with xarray.open_dataset(path) as dataset:
            flat = {str(name): _flat(dataset[name].values) for name in dataset.variables if dataset[name].ndim == 1}
    except (OSError, ValueError) as broken:
        raise InvalidInput(
            _not_a_table(path, f"is not a readable NetCDF file ({broken})", "write it again")
        ) from broken
    return _Table(path, tuple(flat), 0, flat)


def _flat(values: np.ndarray) -> pd.Series:
    """Values of a variable; times become UTC, the meaning of a time without zone in CF 4.4."""
    column = pd.Series(values)
    return column.dt.tz_localize("UTC") if pd.api.types.is_datetime64_dtype(column) else column


def _not_a_table(path: Path, rule: str, remedy: str) -> Problem:
    return Problem(f"series file {path.name} {rule}", remedy, "file")


__all__ = ["Column", "read_column"]
