"""Series that are sound: units, conventions, daylight saving, holding and averaging, file kinds, speed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgrid.case import series_file
from microgrid.case.timeseries import find_problems, read_series
from microgrid.case.units import TO_BASE, conversion
from microgrid.errors import InvalidInput
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Series

CHICAGO = "America/Chicago"


def horizon(start: str, count: int, step_min: int = 60, zone: str = "UTC") -> Horizon:
    return Horizon(pd.Timestamp(start, tz=zone).tz_convert("UTC"), step_min, count, zone)


def write(folder: Path, stamps: list[str], values: list[object], name: str = "s.csv") -> None:
    rows = "\n".join(f"{stamp},{value}" for stamp, value in zip(stamps, values, strict=True))
    (folder / name).write_text(f"time,price\n{rows}\n")


def read(folder: Path, window: Horizon, field_unit: str = "$/MWh", **fields: object) -> np.ndarray:
    return read_series(
        Series(**{"file": "s.csv", "column": "price", **fields}), base=folder, horizon=window, unit=field_unit
    )


def wall_clock(start: str, periods: int, freq: str, zone: str = CHICAGO) -> list[str]:
    return list(pd.date_range(start, periods=periods, freq=freq, tz=zone).strftime("%Y-%m-%d %H:%M"))


def test_equal_steps_are_taken_as_written_and_the_window_is_cut(tmp_path: Path) -> None:
    stamps = list(pd.date_range("2025-01-01", periods=10, freq="h").strftime("%Y-%m-%dT%H:%MZ"))
    write(tmp_path, stamps, list(range(10)))
    assert read(tmp_path, horizon("2025-01-01 03:00", 4)).tolist() == [3, 4, 5, 6]


def test_a_coarser_series_is_held(tmp_path: Path) -> None:
    write(tmp_path, ["2025-01-01T00:00Z", "2025-01-01T01:00Z"], [10, 20])
    assert read(tmp_path, horizon("2025-01-01 00:30", 6, 15)).tolist() == [10, 10, 20, 20, 20, 20]


def test_a_finer_series_is_averaged(tmp_path: Path) -> None:
    stamps = list(pd.date_range("2025-01-01", periods=12, freq="15min").strftime("%Y-%m-%dT%H:%MZ"))
    write(tmp_path, stamps, [1, 2, 3, 4, 10, 20, 30, 40, 0, 0, 0, 8])
    assert read(tmp_path, horizon("2025-01-01 01:00", 2)).tolist() == [25, 2]


def test_ending_stamps_move_to_the_beginning(tmp_path: Path) -> None:
    write(tmp_path, ["2025-01-01T01:00Z", "2025-01-01T02:00Z"], [10, 20])
    assert read(tmp_path, horizon("2025-01-01", 2), stamp="ending").tolist() == [10, 20]


def test_hour_24_is_midnight(tmp_path: Path) -> None:
    write(tmp_path, ["2025-01-01 22:00", "2025-01-01 23:00", "2025-01-01 24:00"], [1, 2, 3])
    assert read(tmp_path, horizon("2025-01-01 21:00", 3), stamp="ending").tolist() == [1, 2, 3]


@pytest.mark.parametrize("freq", ["h", "15min"])
@pytest.mark.parametrize("day", ["2025-03-09", "2025-11-02"])
@pytest.mark.parametrize("stamp", ["beginning", "ending"])
def test_local_files_in_natural_order_pass_both_clock_changes(tmp_path: Path, freq: str, day: str, stamp: str) -> None:
    step_min = 60 if freq == "h" else 15
    begins = pd.date_range(
        f"{day} 00:00", pd.Timestamp(day) + pd.Timedelta("1D"), freq=freq, tz=CHICAGO, inclusive="left"
    )
    assert len(begins) * step_min / 60 in (23, 25)
    naive = begins.tz_localize(None) + pd.Timedelta(minutes=step_min if stamp == "ending" else 0)
    write(tmp_path, list(naive.strftime("%Y-%m-%d %H:%M")), list(range(len(begins))))
    window = horizon(day, len(begins), step_min, CHICAGO)
    assert read(tmp_path, window, stamp=stamp).tolist() == list(range(len(begins)))


@pytest.mark.parametrize("day", ["2025-03-09", "2025-11-02"])
def test_hour_ending_stamps_may_also_be_the_instants_of_the_end(tmp_path: Path, day: str) -> None:
    begins = pd.date_range(
        f"{day} 00:00", pd.Timestamp(day) + pd.Timedelta("1D"), freq="h", tz=CHICAGO, inclusive="left"
    )
    ends = (begins + pd.Timedelta("1h")).tz_localize(None)
    write(tmp_path, list(ends.strftime("%Y-%m-%d %H:%M")), list(range(len(begins))))
    window = horizon(day, len(begins), 60, CHICAGO)
    assert read(tmp_path, window, stamp="ending").tolist() == list(range(len(begins)))


def test_zone_of_the_series_may_differ_from_that_of_the_case(tmp_path: Path) -> None:
    write(tmp_path, wall_clock("2025-07-01 00:00", 4, "h", "America/New_York"), [1, 2, 3, 4])
    window = horizon("2025-07-01 00:00", 3, 60, CHICAGO)  # 01:00 in New York
    assert read(tmp_path, window, zone="America/New_York").tolist() == [2, 3, 4]


def test_offsets_win_over_the_zone_of_the_case(tmp_path: Path) -> None:
    write(tmp_path, ["2025-07-01T00:00-05:00", "2025-07-01T01:00-05:00"], [1, 2])
    assert read(tmp_path, horizon("2025-07-01 00:00", 2, 60, CHICAGO)).tolist() == [1, 2]


@pytest.mark.parametrize("suffix", ["", "Z"])
def test_daily_rows_are_local_days_of_23_24_or_25_hours(tmp_path: Path, suffix: str) -> None:
    zone = CHICAGO if not suffix else "UTC"
    days = pd.date_range("2025-03-01", "2025-04-01", freq="D")
    write(tmp_path, [f"{day:%Y-%m-%d}T00:00{suffix}" for day in days], [day.day for day in days])
    window = horizon("2025-03-08", 4 * 24, 60, zone)
    expected = [moment.day for moment in window.local]
    assert read(tmp_path, window).tolist() == expected


def test_daily_rows_with_local_offsets(tmp_path: Path) -> None:
    days = pd.date_range("2025-03-01", "2025-04-01", freq="D", tz=CHICAGO)
    write(tmp_path, [day.isoformat() for day in days], [day.day for day in days])
    window = horizon("2025-03-08", 4 * 24, 60, CHICAGO)
    assert read(tmp_path, window).tolist() == [moment.day for moment in window.local]


def test_monthly_rows_follow_the_calendar(tmp_path: Path) -> None:
    write(tmp_path, [f"2024-{month:02d}-01" for month in range(1, 13)], list(range(1, 13)))
    window = horizon("2024-01-01", 8784, 60, CHICAGO)
    assert read(tmp_path, window).tolist() == [moment.month for moment in window.local]


def test_leap_year_of_hours(tmp_path: Path) -> None:
    stamps = list(pd.date_range("2024-01-01", periods=8784, freq="h").strftime("%Y-%m-%dT%H:%MZ"))
    write(tmp_path, stamps, list(range(8784)))
    assert read(tmp_path, horizon("2024-01-01", 8784)).tolist() == list(range(8784))


def test_rows_in_step_order_need_no_stamps(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("price\n1\n2\n3\n")
    assert read(tmp_path, horizon("2025-01-01", 3), time="").tolist() == [1, 2, 3]


def test_faults_outside_the_window_do_not_matter(tmp_path: Path) -> None:
    stamps = list(pd.date_range("2025-01-01", periods=6, freq="h").strftime("%Y-%m-%dT%H:%MZ"))
    del stamps[1]
    write(tmp_path, stamps, ["x", 1, 2, 3, ""])
    assert read(tmp_path, horizon("2025-01-01 02:00", 3)).tolist() == [1, 2, 3]


def test_comment_lines_blank_tail_byte_order_mark_and_spaces(tmp_path: Path) -> None:
    text = "﻿# hourly prices\n# zone: UTC\ntime, price\n2025-01-01T00:00Z, 1.5\n2025-01-01T01:00Z, 2\n\n\n"
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    assert read(tmp_path, horizon("2025-01-01", 2)).tolist() == [1.5, 2]


@pytest.mark.parametrize(
    ("given_unit", "field_unit", "written", "expected"),
    [
        ("$/kWh", "$/MWh", 0.05, 50),
        ("c/kWh", "$/MWh", 5, 50),
        ("USD/MWh", "$/MWh", 50, 50),
        ("kW", "MW", 1500, 1.5),
        ("W", "MW", 2e6, 2),
        ("%", "1", 35, 0.35),
        ("degF", "degC", 212, 100),
        ("degF", "degC", -40, -40),
        ("K", "degC", 273.15, 0),
        ("degC", "degF", 37, 98.6),
        ("$/TH/day", "$/PH/day", 0.05, 50),
        ("", "$/MWh", 7, 7),
        ("widgets", "widgets", 7, 7),
    ],
)
def test_units_are_converted(tmp_path: Path, given_unit: str, field_unit: str, written: float, expected: float) -> None:
    write(tmp_path, ["2025-01-01T00:00Z", "2025-01-01T01:00Z"], [written, written])
    values = read(tmp_path, horizon("2025-01-01", 2), field_unit, unit=given_unit)
    assert values == pytest.approx(expected, abs=1e-9)


@given(st.floats(-1e4, 1e4), st.data())
def test_conversions_go_there_and_back(value: float, data: st.DataObject) -> None:
    units = data.draw(st.sampled_from([list(kind) for kind in TO_BASE.values()]))
    one, other = data.draw(st.sampled_from(units)), data.draw(st.sampled_from(units))
    there, back = conversion(one, other), conversion(other, one)
    middle = value * there.factor + there.offset
    assert middle * back.factor + back.offset == pytest.approx(value, rel=1e-9, abs=1e-6)


def test_scale_applies_after_the_unit(tmp_path: Path) -> None:
    write(tmp_path, ["2025-01-01T00:00Z", "2025-01-01T01:00Z"], [10, 20])
    assert read(tmp_path, horizon("2025-01-01", 2), "MW", unit="kW", scale=3) == pytest.approx([0.03, 0.06])


@settings(max_examples=25, deadline=None)
@given(
    file_step=st.sampled_from([5, 15, 30, 60, 120]),
    step=st.sampled_from([5, 15, 30, 60]),
    zone=st.sampled_from([CHICAGO, "UTC", "Europe/London", "Australia/Adelaide", "Asia/Kolkata"]),
    start=st.datetimes(pd.Timestamp("2024-01-02"), pd.Timestamp("2025-12-20")),
)
def test_the_mean_of_the_window_is_kept_for_any_steps(
    tmp_path_factory: pytest.TempPathFactory, file_step: int, step: int, zone: str, start: object
) -> None:
    folder = tmp_path_factory.mktemp("series")
    day = pd.Timestamp(start).normalize().tz_localize("UTC")  # type: ignore[arg-type]
    times = pd.date_range(day, periods=4 * 1440 // file_step, freq=f"{file_step}min")
    values = np.random.default_rng(1).normal(size=len(times)).round(6)
    write(folder, [stamp.isoformat() for stamp in times.tz_convert(zone)], list(values))
    window = Horizon(day + pd.Timedelta("1D"), step, 2 * 1440 // step, zone)
    inside = (times >= window.start) & (times < window.start + pd.Timedelta("2D"))
    result = read(folder, window)
    assert result.mean() == pytest.approx(values[inside].mean(), abs=1e-12)
    assert len(result) == window.count


def test_parquet_and_netcdf_hold_the_same_column(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    times = pd.date_range("2025-01-01", periods=48, freq="h", tz="UTC")
    frame = pd.DataFrame({"time": times, "price": np.arange(48.0)})
    frame.to_parquet(tmp_path / "s.parquet")
    frame.assign(time=times.tz_localize(None)).set_index("time").to_xarray().to_netcdf(tmp_path / "s.nc")
    window = horizon("2025-01-01", 24)
    for file in ("s.parquet", "s.nc"):
        assert read(tmp_path, window, file=file).tolist() == list(range(24))


def test_a_file_rewritten_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, ["2025-01-01T00:00Z", "2025-01-01T01:00Z"], [1, 2])
    assert read(tmp_path, horizon("2025-01-01", 2)).tolist() == [1, 2]
    write(tmp_path, ["2025-01-01T00:00Z", "2025-01-01T01:00Z"], [1, 33])
    assert read(tmp_path, horizon("2025-01-01", 2)).tolist() == [1, 33]


def test_a_year_of_quarter_hours_reads_every_column(tmp_path: Path) -> None:
    times = pd.date_range("2025-01-01", periods=35_040, freq="15min", tz=CHICAGO).strftime("%Y-%m-%d %H:%M")
    frame = pd.DataFrame({"time": times, **{name: np.arange(35_040) / 7 for name in "abcdefgh"}})
    frame.to_csv(tmp_path / "s.csv", index=False)
    window = horizon("2025-01-01", 35_040, 15, CHICAGO)
    for name in "ah":
        np.testing.assert_allclose(read(tmp_path, window, column=name), np.arange(35_040) / 7, rtol=1e-15)


def test_a_file_above_the_large_limit_reads_like_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_file, "LARGE_FILE_BYTES", 10)
    monkeypatch.setattr(series_file, "CHUNK_ROWS", 7)
    stamps = list(pd.date_range("2025-01-01", periods=30, freq="h").strftime("%Y-%m-%dT%H:%MZ"))
    rows = "\n".join(f"{stamp},HB_WEST,{value}" for value, stamp in enumerate(stamps))
    (tmp_path / "s.csv").write_text(f"time,hub,price\n{rows}\n")
    assert read(tmp_path, horizon("2025-01-01", 30)).tolist() == list(range(30))
    told = find_problems(
        Series(file="s.csv", column="hub"), base=tmp_path, horizon=horizon("2025-01-01", 30), unit="$/MWh"
    )
    assert "holds text" in told[0].rule


def test_find_problems_is_empty_for_a_sound_series_and_equal_to_what_is_raised(tmp_path: Path) -> None:
    write(tmp_path, ["2025-01-01T00:00Z", "2025-01-01T01:00Z"], [1, "x"])
    series = Series(file="s.csv", column="price")
    sound, broken = horizon("2025-01-01", 1), horizon("2025-01-01", 2)
    assert find_problems(series, base=tmp_path, horizon=sound, unit="") == ()
    with pytest.raises(InvalidInput) as raised:
        read_series(series, base=tmp_path, horizon=broken, unit="")
    assert find_problems(series, base=tmp_path, horizon=broken, unit="") == raised.value.problems


@pytest.mark.parametrize(
    "zone", [CHICAGO, "Europe/London", "Australia/Adelaide", "America/Havana", "Asia/Beirut", "Asia/Kolkata"]
)
@pytest.mark.parametrize("step_min", [15, 30, 60])
@pytest.mark.parametrize("stamp", ["beginning", "ending"])
def test_a_local_year_of_any_zone_is_read_as_pandas_wrote_it(
    tmp_path: Path, zone: str, step_min: int, stamp: str
) -> None:
    begin, end = (pd.Timestamp(f"{year}-02-15", tz=zone) for year in (2025, 2026))
    times = pd.date_range(begin, end, freq=f"{step_min}min", inclusive="left")
    labels = times.tz_localize(None) + pd.Timedelta(minutes=step_min if stamp == "ending" else 0)
    write(tmp_path, list(labels.strftime("%Y-%m-%dT%H:%M")), list(range(len(times))))
    window = Horizon(begin.tz_convert("UTC"), step_min, len(times), zone)
    assert read(tmp_path, window, stamp=stamp).tolist() == list(range(len(times)))


@pytest.mark.parametrize("zone", [CHICAGO, "America/Havana", "Asia/Beirut", "Australia/Adelaide"])
def test_local_days_hold_from_midnight_to_midnight_in_any_zone(tmp_path: Path, zone: str) -> None:
    days = pd.date_range("2025-01-01", "2026-01-02", freq="D")
    write(tmp_path, list(days.strftime("%Y-%m-%d")), list(range(len(days))))
    window = Horizon(pd.Timestamp("2025-01-01", tz=zone).tz_convert("UTC"), 60, 8760, zone)
    assert read(tmp_path, window).tolist() == [moment.dayofyear - 1 for moment in window.local]
