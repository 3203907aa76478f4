"""Series that are wrong: each fault is refused, says its row or its reason, and names a remedy."""

from __future__ import annotations

import base64
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microgrid.case.timeseries import find_problems
from microgrid.errors import Problem
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Series

CHICAGO = "America/Chicago"


def horizon(start: str = "2025-01-01", count: int = 24, step_min: int = 60, zone: str = "UTC") -> Horizon:
    return Horizon(pd.Timestamp(start, tz=zone).tz_convert("UTC"), step_min, count, zone)


def hours(start: str, count: int, zone: str = "UTC", form: str = "%Y-%m-%d %H:%M") -> list[str]:
    return list(pd.date_range(start, periods=count, freq="h", tz=zone).strftime(form))


def problems(
    folder: Path, stamps: list[str], values: list[object] | None = None, window: Horizon | None = None, **fields: object
) -> tuple[Problem, ...]:
    filled = values if values is not None else list(range(len(stamps)))
    rows = "\n".join(f"{stamp},{value}" for stamp, value in zip(stamps, filled, strict=True))
    (folder / "s.csv").write_text(f"time,price\n{rows}\n")
    return found(folder, window or horizon(), **fields)


def found(folder: Path, window: Horizon, field_unit: str = "$/MWh", **fields: object) -> tuple[Problem, ...]:
    series = Series(**{"file": "s.csv", "column": "price", **fields})
    return find_problems(series, base=folder, horizon=window, unit=field_unit)


def only(told: tuple[Problem, ...]) -> Problem:
    assert len(told) == 1, "\n".join(map(str, told))
    return told[0]


def test_missing_file_names_the_path(tmp_path: Path) -> None:
    problem = only(found(tmp_path, horizon()))
    assert "does not exist" in problem.rule
    assert problem.field == "file"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n  \n", "no header line"),
        (b"time,price\n", "no rows"),
        (b"time,price\n\n\n", "no rows"),
        (b"PK\x03\x04 rest", "Excel workbook"),
        (b"\x89HDF\r\n", "NetCDF"),
        (b"PAR1abc", "Parquet"),
        (b"\xff\xfet\x00i\x00", "UTF-16"),
        (b"time,price\n\x00\x01\x02", "binary"),
        (b"time,pr\xe9ce\n2025-01-01,1\n2025-01-01T01:00,1\n", "not UTF-8"),
        (b"time;price\n2025-01-01;1\n", "semicolons"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    problem = only(found(tmp_path, horizon()))
    assert words in problem.rule
    assert "s.csv" in problem.rule
    assert problem.remedy


@pytest.mark.parametrize("name", ["s.parquet", "s.nc"])
def test_garbage_named_parquet_or_netcdf(tmp_path: Path, name: str) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(os.urandom(5000))
    assert "is not a readable" in only(found(tmp_path, horizon(), file=name)).rule


def garbage(kind: str) -> tuple[bytes, bytes]:
    """Beginning of a file, and a megabyte to repeat fifty times."""
    noise = np.random.default_rng(1).bytes(1_000_000)
    text = base64.b64encode(noise)[:1_000_000]
    lines = b"\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    good = "".join(f"{stamp},1\n" for stamp in hours("2025-01-01", 3000)).encode()
    return {
        "bytes": (b"", noise),
        "one_line": (b"", text),
        "lines": (b"", lines),
        "good_header": (b"time,price\n", lines),
        "good_start": (b"time,price\n" + good, lines),
        "quote": (b'time,price\n2025-01-01T00:00Z,"', lines),
    }[kind]


@pytest.mark.parametrize("kind", ["bytes", "one_line", "lines", "good_header", "good_start", "quote"])
def test_fifty_megabytes_of_garbage_fail_within_memory(tmp_path: Path, kind: str) -> None:
    start, body = garbage(kind)
    with (tmp_path / "s.csv").open("wb") as stream:
        stream.write(start)
        for _ in range(50):
            stream.write(body)
    tracemalloc.start()
    told = found(tmp_path, horizon())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told
    assert len(told) < 50
    assert peak < 400e6, f"{peak / 1e6:.0f} MB"


def test_unknown_column_offers_the_close_one(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, hours("2025-01-01", 24), column="prise"))
    assert problem.rule == "s.csv has no column prise"
    assert problem.remedy == "did you mean price?"


def test_unknown_time_column_is_told_the_same_way(tmp_path: Path) -> None:
    assert "no column tme" in only(problems(tmp_path, hours("2025-01-01", 24), time="tme")).rule


def test_column_given_twice(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("time,price,price\n2025-01-01T00:00Z,1,2\n2025-01-01T01:00Z,1,2\n")
    assert "2 columns named price" in only(found(tmp_path, horizon())).rule


def test_decimal_comma_shows_as_a_surplus_field(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("time,price\n2025-01-01T00:00Z,1\n2025-01-01T01:00Z,12,5\n")
    problem = only(found(tmp_path, horizon()))
    assert (problem.line, problem.rule) == (3, "row has more fields than the header (2)")


def test_blank_and_wrong_values_name_their_lines(tmp_path: Path) -> None:
    values: list[object] = list(range(24))
    values[3], values[7], values[9], values[11], values[13] = "", "n/a", "12.x", "inf", "nan"
    told = problems(tmp_path, hours("2025-01-01", 24), values)
    by_line = {problem.line: problem for problem in told}
    assert set(by_line) == {5, 9, 11, 13, 15}
    assert "no value" in by_line[5].rule
    assert "no value" in by_line[9].rule
    assert "no value" in by_line[15].rule
    assert (by_line[11].rule, by_line[11].value) == ("not a number", "12.x")
    assert "finite" in by_line[13].rule or "not a number" in by_line[13].rule
    assert str(by_line[5]).startswith(f"{tmp_path / 's.csv'}:5: price: no value")


def test_lines_are_counted_with_comments_above_the_header(tmp_path: Path) -> None:
    rows = "\n".join(f"{stamp},{'x' if hour == 2 else hour}" for hour, stamp in enumerate(hours("2025-01-01", 24)))
    (tmp_path / "s.csv").write_text(f"# one\n# two\ntime,price\n{rows}\n")
    assert only(found(tmp_path, horizon())).line == 6


def test_many_faults_of_one_kind_are_counted(tmp_path: Path) -> None:
    told = problems(tmp_path, hours("2025-01-01", 1000), ["x"] * 1000, horizon(count=1000))
    assert len(told) == 11
    assert told[-1].rule.startswith("and 990 more rows like this, the last at line 1001")


def test_a_gap_is_told_with_its_length(tmp_path: Path) -> None:
    stamps = hours("2025-01-01", 24)
    problem = only(problems(tmp_path, stamps[:5] + stamps[8:]))
    assert problem.rule == "rows are missing before this one"
    assert problem.value == "3 rows from 2025-01-01 05:00 to 2025-01-01 08:00"
    assert problem.line == 7


def test_duplicate_unsorted_and_off_grid_stamps(tmp_path: Path) -> None:
    stamps = hours("2025-01-01", 24)
    duplicate = only(problems(tmp_path, [*stamps[:6], stamps[5], *stamps[6:]]))
    assert (duplicate.rule, duplicate.value, duplicate.line) == ("time stamp appears twice", "2025-01-01 05:00", 8)
    swapped = only(problems(tmp_path, [*stamps[:5], stamps[6], stamps[5], *stamps[7:]]))
    assert (swapped.rule, swapped.line) == ("time stamp is earlier than the row above", 8)
    off = problems(tmp_path, [*stamps[:5], "2025-01-01 05:20", *stamps[6:]])
    assert [problem.line for problem in off] == [8]
    assert "less than one step (60 min)" in off[0].rule


def test_value_and_gap_faults_of_one_file_come_together(tmp_path: Path) -> None:
    stamps = hours("2025-01-01", 24)
    values: list[object] = list(range(23))
    values[2] = ""
    told = problems(tmp_path, stamps[:5] + stamps[6:], values)
    assert sorted(problem.line for problem in told) == [4, 7]


@pytest.mark.parametrize(("count", "size"), [(23, "short"), (25, "long")])
def test_rows_without_stamps_must_match_the_steps(tmp_path: Path, count: int, size: str) -> None:
    problem = only(problems(tmp_path, hours("2025-01-01", count), time=""))
    assert f"too {size}: {count} rows without stamps for 24 steps" in problem.rule


def test_rows_without_stamps_in_a_leap_year(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, hours("2025-01-01", 8760), window=horizon("2024-01-01", 8784), time=""))
    assert "29 February" in problem.remedy


def test_leap_day_left_out_of_a_stamped_file(tmp_path: Path) -> None:
    stamps = [stamp for stamp in hours("2024-01-01", 8784) if "-02-29" not in stamp]
    problem = only(problems(tmp_path, stamps, window=horizon("2024-01-01", 8784)))
    assert problem.value == "24 rows from 2024-02-29 00:00 to 2024-03-01 00:00"
    assert problem.remedy == "the file leaves out 29 February; add it"


def test_too_short_series_tells_both_spans(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, hours("2025-01-01", 20)))
    assert "too short" in problem.rule
    assert "2025-01-01 00:00 to 2025-01-01 20:00" in problem.rule
    assert "2025-01-01 00:00 to 2025-01-02 00:00" in problem.rule
    assert problem.line == 0  # the caller points at the case file


def test_wrong_year_does_not_overlap(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, hours("2024-01-01", 24)))
    assert "does not overlap" in problem.rule
    assert "check the year" in problem.remedy


def test_interval_ending_stamps_read_as_beginning_are_suspected(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, hours("2025-01-01 01:00", 24)))
    assert "stamp: ending" in problem.remedy


def test_interval_beginning_stamps_read_as_ending_are_suspected(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, hours("2025-01-01 00:00", 24), stamp="ending"))
    assert "stamp: beginning" in problem.remedy


def test_utc_stamps_read_as_local_are_suspected(tmp_path: Path) -> None:
    window = horizon("2025-01-01", 24, 60, CHICAGO)
    problem = only(problems(tmp_path, hours("2025-01-01 06:00", 24), window=window))
    assert "shifted by 6 h, the UTC offset of America/Chicago" in problem.remedy


def test_unknown_zone_offers_the_close_one(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, hours("2025-01-01", 24), zone="America/Chigaco"))
    assert (problem.field, problem.remedy) == ("zone", "did you mean America/Chicago?")
    assert "IANA" in only(problems(tmp_path, hours("2025-01-01", 24), zone="CST")).remedy


def test_zone_that_contradicts_the_offsets(tmp_path: Path) -> None:
    stamps = hours("2025-01-01", 48, form="%Y-%m-%dT%H:%M-06:00")
    told = only(problems(tmp_path, stamps, zone="America/New_York"))
    assert "not that of zone America/New_York" in told.rule
    assert problems(tmp_path, stamps, window=horizon("2025-01-01 06:00"), zone=CHICAGO) == ()


def test_skipped_hour_in_a_file_of_standard_time(tmp_path: Path) -> None:
    stamps = hours("2025-03-09", 24)  # 24 wall-clock hours on a day that has 23
    problem = only(problems(tmp_path, stamps, window=horizon("2025-03-09", 23, 60, CHICAGO)))
    assert problem.rule == "the clock of America/Chicago skips this time"
    assert (problem.value, problem.line) == ("2025-03-09 02:00", 4)
    assert "standard time" in problem.remedy
    window = horizon("2025-03-09", 23, 60, CHICAGO)
    assert problems(tmp_path, stamps, window=window, zone="Etc/GMT+6") == ()


def test_doubled_hour_given_once(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, hours("2025-11-02", 24), window=horizon("2025-11-02", 25, 60, CHICAGO)))
    assert problem.rule == "the clock of America/Chicago shows this hour twice, the file once"
    assert (problem.value, problem.line) == ("2025-11-02 01:00", 3)


def test_doubled_hour_sorted_by_clock_is_refused(tmp_path: Path) -> None:
    stamps = pd.date_range("2025-11-02", periods=100, freq="15min", tz=CHICAGO).strftime("%Y-%m-%d %H:%M")
    told = problems(tmp_path, sorted(stamps), window=horizon("2025-11-02", 100, 15, CHICAGO))
    assert any("not as two runs in time order" in problem.rule for problem in told)


def test_a_tripled_hour_is_refused(tmp_path: Path) -> None:
    stamps = hours("2025-11-02", 25, CHICAGO)
    told = problems(tmp_path, [*stamps[:3], stamps[2], *stamps[3:]], window=horizon("2025-11-02", 25, 60, CHICAGO))
    assert any("shows this hour twice" in problem.rule for problem in told)


@pytest.mark.parametrize(
    ("stamp", "rule"),
    [("01/02/2025 05:00", "not an ISO 8601 time stamp"), ("", "time stamp is blank"), ("soon", "not an ISO 8601")],
)
def test_unreadable_stamps_name_the_row(tmp_path: Path, stamp: str, rule: str) -> None:
    stamps = hours("2025-01-01", 24)
    stamps[5] = stamp
    problem = only(problems(tmp_path, stamps))
    assert rule in problem.rule
    assert problem.line == 7


def test_numbers_are_no_stamps(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, [str(hour) for hour in range(24)]))
    assert "numbers, not dates" in problem.rule
    assert 'time: ""' in problem.remedy


def test_offsets_in_some_rows_only(tmp_path: Path) -> None:
    stamps = hours("2025-01-01", 24)
    stamps[4] += "Z"
    assert "some stamps carry an offset" in only(problems(tmp_path, stamps)).rule


def test_one_row_shows_no_step(tmp_path: Path) -> None:
    assert "one row" in only(problems(tmp_path, hours("2025-01-01", 1))).rule


def test_half_past_rows_do_not_line_up(tmp_path: Path) -> None:
    problem = only(problems(tmp_path, hours("2024-12-31 23:30", 26)))
    assert problem.rule == "rows of 60 min do not line up with steps of 60 min"
    assert "2025-01-01 00:30" in problem.remedy


@pytest.mark.parametrize(
    ("given", "wanted", "remedy"),
    [
        ("kWh", "MW", "did you mean kW?"),
        ("furlong", "MW", "known: MW, GW, kW, W"),
        ("mw", "MW", "did you mean MW?"),
        ("$/MW", "$/MWh", "did you mean $/MWh?"),
        ("USD", "$/BTC", "did you mean USD/BTC?"),
        ("furlong", "parsec", ""),
    ],
)
def test_units_that_do_not_convert(tmp_path: Path, given: str, wanted: str, remedy: str) -> None:
    (tmp_path / "s.csv").write_text("time,price\n2025-01-01T00:00Z,1\n2025-01-01T01:00Z,2\n")
    problem = only(found(tmp_path, horizon(count=2), wanted, unit=given))
    assert problem.value == given
    assert wanted in problem.rule
    assert problem.remedy.startswith(remedy)


def test_parquet_rows_are_counted_from_one(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    values = np.arange(24.0)
    values[4] = np.nan
    frame = pd.DataFrame({"time": pd.date_range("2025-01-01", periods=24, freq="h", tz="UTC"), "price": values})
    frame.to_parquet(tmp_path / "s.parquet")
    assert only(found(tmp_path, horizon(), file="s.parquet")).line == 5
