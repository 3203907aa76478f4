"""Columns of a CSV, Parquet or NetCDF file, as written: nothing is aligned, converted or guessed here.

A file that is no table (empty, binary, one endless line, garbage below a good header) is refused from its first
kilobytes, so a wrong file of any size fails at once. A parsed file is kept, so ten columns cost one reading.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.io.parsers import TextFileReader

from microgrid.errors import InvalidInput, Problem
from microgrid.schema.spelling import did_you_mean

SNIFFED_BYTES = 65_536
PROBED_ROWS = 2_000
CHUNK_ROWS = 100_000
LARGEST_BYTES = 1_000_000_000
LARGE_FILE_BYTES = 20_000_000
SHOWN_NAMES, SHOWN_CHARACTERS = 30, 60

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
    """An opened file: its header, and the reader of its columns."""

    path: Path
    names: tuple[str, ...]
    first_line: int
    read: Callable[[], Mapping[str, pd.Series]]

    def column(self, name: str) -> Column:
        """Column by name; the body of the file is read when its header promises the column."""
        if name not in self.names:
            rule = f"{self.path.name} has no column {name}"
            known = [known[:SHOWN_CHARACTERS] for known in self.names[:SHOWN_NAMES]]
            raise InvalidInput(Problem(rule, did_you_mean(name, known), "column", name))
        if self.names.count(name) > 1:
            rule = f"{self.path.name} has {self.names.count(name)} columns named {name}"
            raise InvalidInput(Problem(rule, "rename them", "column", name))
        columns = self.read()
        if name not in columns:
            rule = f"column {name} of {self.path.name} holds text that is neither numbers nor time stamps"
            raise InvalidInput(Problem(rule, "give a clean table", "column", name))
        return Column(columns[name], self.first_line)


@lru_cache(maxsize=8)
def _open(path: Path, modified_ns: int, size: int) -> _Table:
    """Open a file once for all its columns; the time of change and size make a rewritten file a new one."""
    del modified_ns
    suffix = path.suffix.lower()
    if suffix in {".parquet", ".pq"}:
        return _open_parquet(path)
    if suffix in {".nc", ".nc4"}:
        return _open_netcdf(path)
    names, header_line = read_header(path)
    return _Table(path, names, header_line + 1, cache(lambda: _read_csv(path, names, header_line + 1, size)))


def read_header(path: Path) -> tuple[tuple[str, ...], int]:
    """Column names of a CSV file and the line they stand on; comment lines (``#``) may precede them.

    Raises:
        InvalidInput: the beginning of the file is empty, binary, not UTF-8, or no comma-separated header.
    """
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


def _read_csv(path: Path, names: Sequence[str], first_line: int, size: int) -> dict[str, pd.Series]:
    """All rows below the header; text stays text, numbers become float64, blanks become NaN.

    Columns of a large file that hold mostly neither numbers nor stamps are left out, so garbage costs no memory.
    """
    chunks: list[pd.DataFrame] = []
    dropped: set[int] = set()
    try:
        with _reader(path, len(names) + 1, first_line) as reader:
            for chunk in reader:
                _check_fields(path, chunk, len(names), first_line)
                if size > LARGE_FILE_BYTES:
                    dropped |= {int(place) for place in chunk.columns if _is_garbage(chunk[place])}
                chunks.append(chunk.drop(columns=[len(names), *dropped]))
    except pd.errors.EmptyDataError as empty:
        raise InvalidInput(_not_a_table(path, "has a header but no rows", "write the series again")) from empty
    except (pd.errors.ParserError, UnicodeDecodeError, OverflowError) as broken:
        raise InvalidInput(_not_a_table(path, f"is not a regular table ({broken})", "mend the row")) from broken
    frame = pd.concat([chunk.drop(columns=list(dropped & set(chunk.columns))) for chunk in chunks])
    blank = frame.isna().all(axis=1).to_numpy()
    if blank.all() and not dropped:
        raise InvalidInput(_not_a_table(path, "has a header but no rows", "write the series again"))
    kept = len(blank) - int(np.argmin(blank[::-1]))
    rows = frame.iloc[:kept].reset_index(drop=True)
    return {names[int(place)]: rows[place] for place in rows.columns}


def _reader(path: Path, fields: int, first_line: int) -> TextFileReader:
    """Chunks of rows; one column past the last catches fields that would otherwise be shifted or dropped unseen."""
    return pd.read_csv(
        path,
        header=None,
        names=range(fields),
        skiprows=first_line - 1,
        chunksize=CHUNK_ROWS,
        skip_blank_lines=False,
        skipinitialspace=True,
        keep_default_na=False,
        na_values=list(NO_VALUE),
        encoding="utf-8-sig",
        low_memory=False,
    )


def _check_fields(path: Path, chunk: pd.DataFrame, fields: int, first_line: int) -> None:
    surplus = chunk.index[chunk[fields].notna()]
    if len(surplus):
        rule, remedy = f"row has more fields than the header ({fields})", "write decimals with a point, not a comma"
        raise InvalidInput(Problem(rule, remedy, file=str(path), line=first_line + int(surplus[0])))


def _is_garbage(values: pd.Series) -> bool:
    """True when most entries do not even begin like a number or a time stamp."""
    if values.dtype != object:
        return False
    first = values.dropna().iloc[:PROBED_ROWS].astype(str)
    return bool((~first.str.match(r"[-+]?\.?\d[\d.:eETZ/ +\-]*(AM|PM)?\s*$")).mean() > 0.5)


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
    return _Table(path, tuple(columns), 0, lambda: columns)


def _open_netcdf(path: Path) -> _Table:
    import xarray  # noqa: PLC0415 - heavy, needed only for NetCDF files

    try:
        with xarray.open_dataset(path) as dataset:
            flat = {str(name): _flat(dataset[name].values) for name in dataset.variables if dataset[name].ndim == 1}
    except (OSError, ValueError) as broken:
        raise InvalidInput(
            _not_a_table(path, f"is not a readable NetCDF file ({broken})", "write it again")
        ) from broken
    return _Table(path, tuple(flat), 0, lambda: flat)


def _flat(values: np.ndarray) -> pd.Series:
    """Values of a variable; times become UTC, the meaning of a time without zone in CF 4.4."""
    column = pd.Series(values)
    return column.dt.tz_localize("UTC") if pd.api.types.is_datetime64_dtype(column) else column


def _not_a_table(path: Path, rule: str, remedy: str) -> Problem:
    return Problem(f"series file {path.name} {rule}", remedy, "file")


__all__ = ["Column", "read_column", "read_header"]
