"""Load exports of ERCOT, PJM and CAISO in their published layouts: clock changes, workbooks, market runs, faults."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd
import pytest

from microgrid.case.imports import CleanSeries, ImportOptions, import_series
from microgrid.errors import InvalidInput, Problem

HEADER = ["Hour Ending", "COAST", "EAST", "FWEST", "NORTH", "NCENT", "SOUTH", "SCENT", "WEST", "ERCOT"]
AUTUMN = [
    "11/01/2025 24:00", "11/02/2025 01:00", "11/02/2025 02:00", "11/02/2025 02:00 DST", "11/02/2025 03:00",
]  # fmt: skip
SPRING = ["03/09/2025 01:00", "03/09/2025 02:00", "03/09/2025 04:00", "03/09/2025 05:00"]


def take(path: Path, form: str, **options: object) -> CleanSeries:
    return import_series("load", path, form, ImportOptions(**options))


def refused(path: Path, form: str, **options: object) -> Problem:
    with pytest.raises(InvalidInput) as raised:
        take(path, form, **options)
    return raised.value.problems[0]


def archive_rows(labels: list[str]) -> list[list[str]]:
    """Rows of the yearly archive; zone number z of row r holds 100 r + z."""
    return [[label, *(f"{100 * row + zone}" for zone in range(9))] for row, label in enumerate(labels)]


def workbook(path: Path, rows: list[list[str]]) -> Path:
    """A minimal .xlsx: labels as shared strings, numbers as numbers, as the archive has them."""
    strings = [*HEADER, *(row[0] for row in rows)]
    shared = "".join(f"<si><t>{text}</t></si>" for text in strings)
    name = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    lines = ["".join(f'<c r="{chr(65 + place)}1" t="s"><v>{place}</v></c>' for place in range(len(HEADER)))]
    for place, row in enumerate(rows):
        number = row[0].isdigit() or row[0].replace(".", "").isdigit()
        first = f"<c r='A{place + 2}'><v>{row[0]}</v></c>" if number else (
            f"<c r='A{place + 2}' t='s'><v>{len(HEADER) + place}</v></c>"
        )  # fmt: skip
        lines.append(first + "".join(f"<c><v>{value}</v></c>" for value in row[1:]))
    sheet = "".join(f"<row>{line}</row>" for line in lines)
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/sharedStrings.xml", f'<sst xmlns="{name}">{shared}</sst>')
        text = f'<worksheet xmlns="{name}"><sheetData>{sheet}</sheetData></worksheet>'
        book.writestr("xl/worksheets/sheet1.xml", text)
    return path


def csv_archive(path: Path, rows: list[list[str]]) -> Path:
    path.write_text("\n".join(",".join(row) for row in [HEADER, *rows]) + "\n")
    return path


@pytest.mark.parametrize("write", [workbook, csv_archive])
def test_ercot_archive_through_the_autumn_change(tmp_path: Path, write: object) -> None:
    series = take(write(tmp_path / "Native_Load_2025.xlsx", archive_rows(AUTUMN)), "ercot")  # type: ignore[operator]
    # 24:00 ends at local midnight; 02:00 is daylight time (06Z), 02:00 DST the second pass (07Z), 03:00 follows.
    assert series.times.equals(pd.date_range("2025-11-02T04:00Z", periods=5, freq="h"))
    assert series.columns["load_mw"].tolist() == [8, 108, 208, 308, 408]
    assert any("flag told the doubled hour apart" in note for note in series.notes)
    assert series.units == {"load_mw": "MW"}


def test_ercot_archive_zone_zip_and_spring(tmp_path: Path) -> None:
    book = workbook(tmp_path / "inner.xlsx", archive_rows(SPRING))
    with zipfile.ZipFile(tmp_path / "Native_Load_2025.zip", "w") as outer:
        outer.write(book, "Native_Load_2025.xlsx")
    series = take(tmp_path / "Native_Load_2025.zip", "ercot", node="FWEST")
    assert series.times.equals(pd.date_range("2025-03-09T06:00Z", periods=4, freq="h"))
    assert series.columns["load_mw"].tolist() == [2, 102, 202, 302]


def test_ercot_archive_reads_an_instant_kept_as_a_serial_day(tmp_path: Path) -> None:
    # The archive of 2022 holds one label as an Excel instant; 45658.0416667 is 2025-01-01 01:00.
    rows = archive_rows(["45658.0416666667", "01/01/2025 02:00"])
    series = take(workbook(tmp_path / "a.xlsx", rows), "ercot")
    assert series.times.equals(pd.date_range("2025-01-01T06:00Z", periods=2, freq="h"))


def test_ercot_daily_report_has_its_own_zone_names_and_flag(tmp_path: Path) -> None:
    lines = ["OperDay,HourEnding,COAST,EAST,FAR_WEST,NORTH,NORTH_C,SOUTHERN,SOUTH_C,WEST,TOTAL,DSTFlag"]
    for row, (hour, flag) in enumerate([("01:00", "N"), ("02:00", "N"), ("02:00", "Y"), ("03:00", "N")]):
        lines.append(f"11/02/2025,{hour},{','.join(str(10 * row + zone) for zone in range(9))},{flag}")
    path = tmp_path / "cdr.csv"
    path.write_text("\n".join(lines))
    series = take(path, "ercot", node="NORTH_C")
    assert series.times.equals(pd.date_range("2025-11-02T05:00Z", periods=4, freq="h"))
    assert series.columns["load_mw"].tolist() == [4, 14, 24, 34]
    assert take(path, "ercot").columns["load_mw"].tolist() == [8, 18, 28, 38]


def test_ercot_load_tells_wrong_zones_labels_and_workbooks(tmp_path: Path) -> None:
    path = csv_archive(tmp_path / "a.csv", [*archive_rows(AUTUMN[:2]), ["2025-11-02", *"123456789"]])
    assert refused(path, "ercot", node="COST").remedy == "did you mean coast?"
    wrong = refused(path, "ercot")
    assert (wrong.line, wrong.value) == (4, "2025-11-02")
    book = workbook(tmp_path / "b.xlsx", archive_rows(["tomorrow"]))
    assert refused(book, "ercot").line == 2
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as other:
        other.writestr("readme.txt", "nothing")
    assert "no sheet" in refused(tmp_path / "c.zip", "ercot").rule


def test_pjm_load(tmp_path: Path) -> None:
    rows = "\n".join(
        f"1/1/2025 {hour}:00:00 AM,x,DOM,{1000 + hour},True\n1/1/2025 {hour}:00:00 AM,x,PEP,5,True"
        for hour in range(1, 12)
    )
    path = tmp_path / "hrl_load_metered.csv"
    path.write_text(f"datetime_beginning_utc,datetime_beginning_ept,load_area,mw,is_verified\n{rows}\n")
    series = take(path, "pjm", node="DOM")
    assert series.units == {"load_mw": "MW"}
    assert series.columns["load_mw"].tolist() == [1000 + hour for hour in range(1, 12)]
    assert series.times[0] == pd.Timestamp("2025-01-01T01:00Z")
    assert "holds 2 nodes" in refused(path, "pjm").rule


CAISO_HEADER = (
    "INTERVALSTARTTIME_GMT,INTERVALENDTIME_GMT,LOAD_TYPE,OPR_DT,OPR_HR,OPR_INTERVAL,MARKET_RUN_ID,TAC_AREA_NAME,"
    "LABEL,XML_DATA_ITEM,POS,MW,EXECUTION_TYPE,GROUP"
)


def test_caiso_keeps_the_area_and_the_actual_load(tmp_path: Path) -> None:
    lines = [CAISO_HEADER]
    for hour in range(3):
        start = pd.Timestamp("2025-07-01T07:00Z") + pd.Timedelta(hours=hour)
        stamp = f"{start:%Y-%m-%dT%H:%M:%S}-00:00,{start + pd.Timedelta('1h'):%Y-%m-%dT%H:%M:%S}-00:00"
        for area, mw in (("CA ISO-TAC", 25000), ("PGE-TAC", 11000)):
            for run, item, off in (("ACTUAL", "SYS_FCST_ACT_MW", 0), ("DAM", "SYS_FCST_DA_MW", 500)):
                place = f"0,2025-07-01,{hour + 1},0,{run},{area}"
                lines.append(f"{stamp},{place},text,{item},3.8,{mw + off + hour},{run},1")
    path = tmp_path / "oasis.csv"
    path.write_text("\n".join(lines))
    series = take(path, "caiso", node="PGE-TAC")
    assert series.times.equals(pd.date_range("2025-07-01T07:00Z", periods=3, freq="h"))
    assert series.columns["load_mw"].tolist() == [11000, 11001, 11002]
    ahead = take(path, "caiso", node="CA ISO-TAC", column="SYS_FCST_DA_MW")
    assert ahead.columns["load_mw"].tolist() == [25500, 25501, 25502]
    assert "SYS_FCST_ACT_MW, SYS_FCST_DA_MW" in refused(path, "caiso", node="PGE-TAC", column="SYS_FCST_7DA_MW").remedy
