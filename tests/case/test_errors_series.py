"""What `microgrid validate` tells of a series that is wrong, from the row to the field that uses it."""

# ruff: noqa: E501, ISC004 - messages stand here as the user reads them

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from microgrid.cli.main import main

CASE = """\
name: t
time: {start: %s, end: %s, zone: America/Chicago}
assets:
  grid: {kind: poi, bus: POI, import_limit_mw: 60}
  office: {kind: facility_load, bus: CAMPUS, power_mw: {file: s.csv, column: mw%s}}
"""
Told = Callable[..., list[str]]


def hours(start: str, count: int) -> list[str]:
    return list(pd.date_range(start, periods=count, freq="h").strftime("%Y-%m-%dT%H:%M"))


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    """Validate a case whose load comes from the stamps and values given; return the problems told."""
    monkeypatch.chdir(tmp_path)

    def validate(
        stamps: Sequence[str] | bytes | None, values: Sequence[object] = (), more: str = "",
        window: tuple[str, str] = ("2025-07-15", "2025-07-16"),
    ) -> list[str]:  # fmt: skip
        Path("case.yaml").write_text(CASE % (*window, more))
        if isinstance(stamps, bytes):
            Path("s.csv").write_bytes(stamps)
        elif stamps is not None:
            filled = values or [3] * len(stamps)
            rows = [f"{stamp},{value}" for stamp, value in zip(stamps, filled, strict=True)]
            Path("s.csv").write_text("\n".join(["time,mw", *rows, ""]))
        with pytest.raises(SystemExit) as ended:
            main(["validate", "case.yaml"])
        printed = capsys.readouterr()
        assert ended.value.code == 2, printed
        assert "Traceback" not in printed.err
        return printed.err.splitlines()[:-1]

    return validate


DAY = hours("2025-07-15", 24)
AT = "case.yaml:5:46: assets.office.power_mw"


def test_too_short(told: Told) -> None:
    assert told(DAY[:20]) == [
        "case.yaml:5:57: assets.office.power_mw.file: s.csv is too short: it covers 2025-07-15 00:00 to 2025-07-15 20:00 "
        "(America/Chicago), the window is 2025-07-15 00:00 to 2025-07-16 00:00: extend the file, or shorten the window of the case"
    ]


def test_too_long_without_stamps(told: Told) -> None:
    (line,) = told(b"mw\n" + b"3\n" * 30, more=', time: ""')
    assert "s.csv is too long: 30 rows without stamps for 24 steps" in line


def test_gap(told: Told) -> None:
    assert told(DAY[:5] + DAY[6:] + ["2025-07-16T00:00"]) == [
        "s.csv:7: mw: 1 row from 2025-07-15 05:00 to 2025-07-15 06:00: rows are missing before this one: "
        "fill the gap, or import the file with a fill rule"
    ]


def test_duplicate_stamp_is_told_as_written(told: Told) -> None:
    assert told(DAY[:4] + DAY[3:]) == [
        "s.csv:6: time: 2025-07-15T03:00: time stamp appears twice: keep one row for each interval"
    ]


def test_unsorted(told: Told) -> None:
    lines = told([*DAY[:3], DAY[9], *DAY[4:9], DAY[3], *DAY[10:]])
    assert "s.csv:11: time: 2025-07-15T03:00: time stamp is earlier than the row above: sort the rows by time" in lines


def test_nan_and_text_name_their_rows(told: Told) -> None:
    values = [3, 3, "NaN", 3, "x", *[3] * 19]
    assert told(DAY, values) == [
        "s.csv:4: mw: no value (blank or NaN): fill it in, or import the file to see its gaps",
        "s.csv:6: mw: x: not a number: give a plain number with a decimal point",
    ]


def test_values_out_of_the_limits_of_the_field(told: Told) -> None:
    assert told(DAY, [3] * 7 + [-3] * 2 + [3] * 15) == [
        f"{AT}: -3: every value must be at least 0 MW; 2 are not: first at 2025-07-15 07:00"
    ]


def test_unknown_zone(told: Told) -> None:
    (line,) = told(DAY, more=", zone: Amerika/Chicago")
    assert (
        line
        == "case.yaml:5:82: assets.office.power_mw.zone: Amerika/Chicago: unknown time zone: did you mean America/Chicago?"
    )


def test_wrong_zone(told: Told) -> None:
    (line,) = told(DAY, more=", zone: UTC")
    assert "it is shifted by 5 h, the UTC offset of America/Chicago: check the zone of the stamps" in line


def test_unit_of_another_kind(told: Told) -> None:
    (line,) = told(DAY, more=", unit: $/MWh")
    assert (
        line
        == "case.yaml:5:82: assets.office.power_mw.unit: $/MWh: unit cannot be converted to MW: known: MW, GW, kW, W"
    )


def test_unknown_column(told: Told) -> None:
    (line,) = told(b"time,mww\n2025-07-15T00:00,3\n")
    assert line.startswith(
        "case.yaml:5:70: assets.office.power_mw.column: mw: s.csv has no column mw: did you mean mww?"
    )


def test_hour_skipped_in_spring(told: Told) -> None:
    (line,) = told(hours("2025-03-09", 24), window=("2025-03-09", "2025-03-10"))
    assert line.startswith("s.csv:4: time: 2025-03-09T02:00: the clock of America/Chicago skips this time")


def test_hour_doubled_in_autumn(told: Told) -> None:
    (line,) = told(hours("2025-11-02", 24), window=("2025-11-02", "2025-11-03"))
    assert line.startswith(
        "s.csv:3: time: 2025-11-02T01:00: the clock of America/Chicago shows this hour twice, the file once"
    )


def test_leap_day_left_out(told: Told) -> None:
    stamps = [stamp for stamp in hours("2024-02-28", 72) if "02-29" not in stamp]
    (line,) = told(stamps, window=("2024-02-28", "2024-03-02"))
    assert line.endswith("the file leaves out 29 February; add it")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "series file s.csv does not exist"),
        (b"", "series file s.csv is empty"),
        (bytes(range(256)), "series file s.csv is binary, not text"),
    ],
)
def test_files_that_are_no_series(told: Told, content: bytes | None, words: str) -> None:
    (line,) = told(content)
    assert line.startswith("case.yaml:5:57: assets.office.power_mw.file")
    assert words in line


@pytest.mark.parametrize("kind", ["binary", "text"])
def test_fifty_megabytes_of_garbage(told: Told, kind: str) -> None:
    garbage = os.urandom(50_000_000) if kind == "binary" else b"time,mw\n" + b"garbage,more garbage here!\n" * 1_900_000
    (line,) = told(garbage)
    assert line.startswith("case.yaml:5:")


def test_rows_of_two_files_and_fields_of_the_case_come_together(told: Told) -> None:
    extra = "}}\n  sun: {kind: solar, bus: CAMPUS, power_mw: -1, capacity_factor: {file: none.csv, column: x"
    lines = told(DAY, ["x", *[3] * 23], more=extra)
    assert [line.split(": ")[0] for line in lines] == ["case.yaml:6:35", "s.csv:2"]
