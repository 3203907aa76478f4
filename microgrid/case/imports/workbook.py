"""Rows of an Excel workbook (.xlsx, or one inside a .zip) as text, with nothing but the standard library.

Only what operators' archives need is read: the first sheet whose header has the asked columns, shared and inline
strings, numbers, and instants stored as serial days, which are written back as ``MM/DD/YYYY HH:00``.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd

from microgrid.case.imports.table import plain
from microgrid.errors import InvalidInput, Problem

NAMESPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
SHEET = re.compile(r"xl/worksheets/sheet(\d+)\.xml")
STRINGS = "xl/sharedStrings.xml"
LARGEST_PART_BYTES = 200_000_000
"""A larger part is no load archive: refused, so that a small crafted file cannot fill the memory."""
SERIAL_ORIGIN = pd.Timestamp("1899-12-30")


def holds_workbook(path: Path) -> bool:
    """True for a file that begins like a zip archive, as every .xlsx does."""
    return path.is_file() and zipfile.is_zipfile(path)


def read_workbook(path: Path, needed: set[str]) -> pd.DataFrame:
    """Rows as text under plain header names; the index is the row of the sheet counted from the first below the header.

    Raises:
        InvalidInput: no workbook inside, or no sheet with the `needed` columns (plain names).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            inner = next((name for name in archive.namelist() if name.casefold().endswith(".xlsx")), "")
            if not inner:
                return _first_table(archive, path.name, needed)
            with zipfile.ZipFile(io.BytesIO(_part(archive, inner))) as book:
                return _first_table(book, path.name, needed)
    except (zipfile.BadZipFile, ET.ParseError, KeyError, ValueError, IndexError) as broken:
        rule = f"{path.name} is not a readable Excel workbook ({broken})"
        raise InvalidInput(Problem(rule, "save the sheet as CSV", "file", path.name)) from broken


def _first_table(book: zipfile.ZipFile, file: str, needed: set[str]) -> pd.DataFrame:
    strings = _shared_strings(book)
    sheets = sorted((int(found.group(1)), name) for name in book.namelist() if (found := SHEET.fullmatch(name)))
    for _, name in sheets:
        rows = list(_rows(ET.fromstring(_part(book, name)), strings))  # noqa: S314 - size bounded, expat limits entities
        header = [plain(text) for text in rows[0]] if rows else []
        if needed <= set(header):
            body = [[*row, *[""] * (len(header) - len(row))][: len(header)] for row in rows[1:]]
            table = pd.DataFrame(body, columns=header, dtype=str)
            table = table[(table != "").any(axis=1)]
            for column in needed:
                table[column] = table[column].map(_stamp)
            return table
    raise InvalidInput(Problem(f"{file} has no sheet with {', '.join(sorted(needed))}", "check the file", "file", file))


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > LARGEST_PART_BYTES:
        raise ValueError(f"{name} holds {size / 1e6:.0f} MB")
    return archive.read(name)


def _shared_strings(book: zipfile.ZipFile) -> list[str]:
    if STRINGS not in book.namelist():
        return []
    root = ET.fromstring(_part(book, STRINGS))  # noqa: S314 - size bounded, expat limits entities
    return ["".join(text.text or "" for text in item.iter(f"{NAMESPACE}t")) for item in root]


def _rows(sheet: ET.Element, strings: list[str]) -> Iterator[list[str]]:
    """Texts of every row, blanks where a cell is absent."""
    for row in sheet.iter(f"{NAMESPACE}row"):
        texts: list[str] = []
        for cell in row.iter(f"{NAMESPACE}c"):
            place = _column(cell.get("r", ""), len(texts))
            texts.extend([""] * (place - len(texts)))
            texts.append(_text(cell, strings))
        yield texts


def _column(reference: str, fallback: int) -> int:
    """Place of a cell such as ``C7``; cells without a reference follow one another."""
    place = 0
    for letter in re.match(r"[A-Z]*", reference).group():  # type: ignore[union-attr]
        place = 26 * place + ord(letter) - ord("A") + 1
    return place - 1 if place else fallback


def _text(cell: ET.Element, strings: list[str]) -> str:
    kind, value = cell.get("t", "n"), cell.find(f"{NAMESPACE}v")
    if kind == "inlineStr":
        return "".join(text.text or "" for text in cell.iter(f"{NAMESPACE}t"))
    raw = "" if value is None or value.text is None else value.text
    return strings[int(raw)] if kind == "s" else raw


def _stamp(text: str) -> str:
    """A serial day of Excel as the label that its neighbours bear; any other text as it is."""
    if not re.fullmatch(r"\d{5}(\.\d+)?", text):
        return text
    instant = (SERIAL_ORIGIN + pd.Timedelta(days=float(text))).round("h")
    return f"{instant:%m/%d/%Y %H}:00"


__all__ = ["holds_workbook", "read_workbook"]
