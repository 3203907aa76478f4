"""Rows of a foreign CSV as text, whole files or folders, with forgiving header names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from microgrid.case.series_file import read_header
from microgrid.errors import InvalidInput, Problem
from microgrid.schema.spelling import did_you_mean

CHUNK_ROWS = 200_000
Values = NDArray[np.float64]


def plain(name: str) -> str:
    """Header name without case, spaces and underscores, so that exports of different years agree."""
    return re.sub(r"[\s_]+", "", name).casefold()


def read_rows(path: Path, needed: Sequence[Sequence[str]], node_in: Sequence[str] = (), node: str = "") -> pd.DataFrame:
    """All rows of a CSV, or of every CSV in a folder in name order, as text under plain header names.

    `needed` lists, for each column that must be there, the names it goes by; the first name is used afterwards. With
    `node_in`, only rows whose node column equals `node` are kept, chunk by chunk, so a full market export fits in
    memory; an empty `node` is accepted where the file holds a single one.
    """
    frames = [chunk for file in files_of(path) for chunk in _chunks(file, needed)]
    name = next((option for option in node_in if frames and plain(option) in frames[0]), "")
    if not name:
        return pd.concat(frames)
    column = plain(name)
    known = list(dict.fromkeys(value for frame in frames for value in frame[column].unique()))
    wanted = node or (known[0] if len(known) == 1 else "")
    if wanted not in known:
        rule = f"{path.name} holds {len(known)} nodes" if not node else f"{path.name} has no node {node}"
        raise InvalidInput(Problem(rule, did_you_mean(node, known[:30]) or "name the node", "node", node))
    return pd.concat([frame[frame[column] == wanted] for frame in frames])


def headers(path: Path) -> dict[str, str]:
    """Plain name of every column and the name as written, in lower case, where units and conventions can be seen."""
    names, _ = read_header(files_of(path)[0])
    return {plain(name): name.casefold() for name in names}


def files_of(path: Path) -> list[Path]:
    """The file, or the CSV files of a folder in name order."""
    if path.is_dir():
        found = sorted(path.glob("*.csv"))
        if not found:
            raise InvalidInput(Problem(f"folder {path} holds no CSV files", "check the path", "file"))
        return found
    if not path.is_file():
        raise InvalidInput(Problem(f"file {path} does not exist", "check the path", "file", path.name))
    return [path]


def column_named(frame: pd.DataFrame, names: Sequence[str]) -> str:
    """Plain name of the first of `names` that the table has; empty where it has none."""
    return next((plain(name) for name in names if plain(name) in frame.columns), "")


def numbers(frame: pd.DataFrame, column: str, file: str) -> Values:
    """A column as float64; blanks become NaN, other text is an error that names its row."""
    text = frame[column].str.strip().str.replace(",", "", regex=False).str.lstrip("$")
    blank = text.isin(["", "NA", "N/A", "NaN", "nan", "null", "NULL", "-"]) | text.isna()
    values = pd.to_numeric(text.mask(blank), errors="coerce")
    wrong = np.flatnonzero((values.isna() & ~blank).to_numpy())
    if wrong.size:
        row = int(wrong[0])
        rule = f"{wrong.size} entries of column {column} are not numbers"
        raise InvalidInput(
            Problem(rule, "give plain numbers", column, str(frame[column].iloc[row]), file, line_of(frame[column], row))
        )
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def line_of(column: pd.Series, row: int) -> int:
    """File line of a row; the index keeps the place in the file when rows of other nodes are left out."""
    return int(column.index[row]) + 2


def _chunks(path: Path, needed: Sequence[Sequence[str]]) -> Iterator[pd.DataFrame]:
    read_header(path)
    try:
        with pd.read_csv(
            path, dtype=str, chunksize=CHUNK_ROWS, encoding="utf-8-sig", comment="#",
            keep_default_na=False, skipinitialspace=True,
        ) as reader:  # fmt: skip
            for chunk in reader:
                yield _renamed(chunk, needed, path)
    except pd.errors.EmptyDataError as empty:
        raise InvalidInput(Problem(f"{path.name} is empty", "download it again", "file", path.name)) from empty
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError) as broken:
        rule = f"{path.name} is not a readable CSV file ({broken})"
        raise InvalidInput(Problem(rule, "export it as CSV in UTF-8", "file", path.name)) from broken


def _renamed(chunk: pd.DataFrame, needed: Sequence[Sequence[str]], path: Path) -> pd.DataFrame:
    """Plain header names; each needed column under the first name it goes by."""
    frame = chunk.rename(columns={name: plain(str(name)) for name in chunk.columns})
    missing = []
    for names in needed:
        found = column_named(frame, names)
        if not found:
            columns = ", ".join(map(str, chunk.columns[:20]))
            missing.append(Problem(f"{path.name} has no column {names[0]}", f"columns: {columns}", "column", names[0]))
        elif found != plain(names[0]):
            frame = frame.rename(columns={found: plain(names[0])})
    if missing:
        raise InvalidInput(missing)
    return frame


__all__ = ["column_named", "files_of", "headers", "line_of", "numbers", "plain", "read_rows"]
