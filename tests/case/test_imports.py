"""Importers on files in the layouts that operators publish: time made explicit, faults told, notes written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microgrid.case.imports import CleanSeries, ImportOptions, formats_of, import_series
from microgrid.case.timeseries import read_series
from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.horizon import Horizon

CHICAGO = "America/Chicago"


def take(kind: str, path: Path, form: str, **options: object) -> CleanSeries:
    return import_series(kind, path, form, ImportOptions(**options))


def refused(kind: str, path: Path, form: str, **options: object) -> tuple[Problem, ...]:
    with pytest.raises(InvalidInput) as raised:
        take(kind, path, form, **options)
    return raised.value.problems


def local_hours(start: str, end: str, zone: str, freq: str = "h") -> pd.DatetimeIndex:
    return pd.date_range(pd.Timestamp(start, tz=zone), pd.Timestamp(end, tz=zone), freq=freq, inclusive="left")


def ercot_day_ahead(
    folder: Path, start: str, end: str, nodes: tuple[str, ...] = ("HB_WEST",), *, flags: bool = True
) -> Path:
    """Day-ahead export: hour-ending labels, the second pass of the doubled hour flagged."""
    times = local_hours(start, end, CHICAGO)
    lines = ["DeliveryDate,HourEnding,SettlementPoint,SettlementPointPrice,DSTFlag"]
    naive = times.tz_localize(None)
    for place, clock in enumerate(naive):
        again = "Y" if flags and place and naive[place - 1] == clock else "N"
        for offset, node in enumerate(nodes):
            price = place + 1000 * offset
            lines.append(f"{clock:%m/%d/%Y},{clock.hour + 1:02d}:00,{node}, {price}.50,{again}")
    path = folder / "dam.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("start", "end", "hours"), [
    ("2025-01-01", "2025-01-03", 48), ("2025-03-08", "2025-03-11", 71), ("2025-11-01", "2025-11-04", 73),
])  # fmt: skip
@pytest.mark.parametrize("flags", [True, False])
def test_ercot_day_ahead_through_clock_changes(tmp_path: Path, start: str, end: str, hours: int, flags: bool) -> None:
    series = take("prices", ercot_day_ahead(tmp_path, start, end, flags=flags), "ercot")
    assert series.times.equals(local_hours(start, end, CHICAGO).tz_convert("UTC"))
    assert series.columns["price_usd_per_mwh"].tolist() == [hour + 0.5 for hour in range(hours)]
    assert series.step_min == 60
    assert any("hour-ending labels moved" in note for note in series.notes)


def test_ercot_flag_decides_even_when_rows_are_not_in_order(tmp_path: Path) -> None:
    path = ercot_day_ahead(tmp_path, "2025-11-01", "2025-11-04")
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *reversed(rows)]) + "\n")
    series = take("prices", path, "ercot")
    assert series.columns["price_usd_per_mwh"].tolist() == [hour + 0.5 for hour in range(73)]
    assert any("have been sorted" in note for note in series.notes)


def test_ercot_real_time_quarter_hours_and_load_zone_types(tmp_path: Path) -> None:
    lines = [
        "DeliveryDate,DeliveryHour,DeliveryInterval,SettlementPointName,SettlementPointType,SettlementPointPrice,DSTFlag"
    ]
    for quarter in range(96):
        for kind, price in (("LZ", quarter), ("LZEW", quarter + 0.3)):
            lines.append(f"07/30/2025,{quarter // 4 + 1},{quarter % 4 + 1},LZ_WEST,{kind},{price},N")
    (tmp_path / "rtm.csv").write_text("\n".join(lines))
    series = take("prices", tmp_path / "rtm.csv", "ercot", node="LZ_WEST")
    assert series.step_min == 15
    assert series.times[0] == pd.Timestamp("2025-07-30T05:00Z")
    assert series.columns["price_usd_per_mwh"].tolist() == list(range(96))


def test_ercot_yearly_archive_headers_and_a_folder_of_files(tmp_path: Path) -> None:
    for day in (1, 2):
        rows = "\n".join(f"01/0{day}/2024,{hour:02d}:00,N,HB_NORTH,{hour}" for hour in range(1, 25))
        head = "Delivery Date,Hour Ending,Repeated Hour Flag,Settlement Point,Settlement Point Price"
        (tmp_path / f"day{day}.csv").write_text(f"{head}\n{rows}\n")
    series = take("prices", tmp_path, "ercot", node="HB_NORTH")
    assert len(series.times) == 48
    assert series.columns["price_usd_per_mwh"][:3].tolist() == [1, 2, 3]


def test_a_market_export_asks_for_the_node(tmp_path: Path) -> None:
    path = ercot_day_ahead(tmp_path, "2025-01-01", "2025-01-02", ("HB_WEST", "HB_NORTH"))
    assert "holds 2 nodes" in refused("prices", path, "ercot")[0].rule
    assert refused("prices", path, "ercot", node="HB_WST")[0].remedy == "did you mean HB_WEST?"
    north = take("prices", path, "ercot", node="HB_NORTH").columns["price_usd_per_mwh"]
    assert north[:2].tolist() == [1000.5, 1001.5]


def test_a_wrong_price_names_its_line_in_the_file(tmp_path: Path) -> None:
    path = ercot_day_ahead(tmp_path, "2025-01-01", "2025-01-02", ("HB_WEST", "HB_NORTH"))
    lines = path.read_text().splitlines()
    lines[7] = lines[7].replace("3.50", "three")  # the fourth hour of HB_WEST, line 8 of the file
    path.write_text("\n".join(lines))
    problem = refused("prices", path, "ercot", node="HB_WEST")[0]
    assert (problem.line, problem.value.strip()) == (8, "three")


def test_pjm_prices(tmp_path: Path) -> None:
    times = local_hours("2025-11-01", "2025-11-04", "America/New_York").tz_convert("UTC")
    lines = [
        "datetime_beginning_utc,datetime_beginning_ept,pnode_id,pnode_name,type,zone,total_lmp_rt,row_is_current,version_nbr"
    ]
    for place, time in enumerate(times):
        local = time.tz_convert("America/New_York")
        stamps = f"{time:%-m/%-d/%Y %-I:%M:%S %p},{local:%-m/%-d/%Y %-I:%M:%S %p}"
        lines.append(f"{stamps},34964545,DOM,ZONE,DOM,{place}.25,True,1")
        if place == 5:
            lines.append(f"{stamps},34964545,DOM,ZONE,DOM,999,False,0")
    (tmp_path / "pjm.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    series = take("prices", tmp_path / "pjm.csv", "pjm", node="DOM")
    assert series.times.equals(times)
    assert series.columns["price_usd_per_mwh"].tolist() == [place + 0.25 for place in range(73)]


@pytest.mark.parametrize("value", ["MW", "VALUE"])
def test_caiso_keeps_the_total_price_only(tmp_path: Path, value: str) -> None:
    lines = [f"INTERVALSTARTTIME_GMT,INTERVALENDTIME_GMT,OPR_DT,OPR_HR,NODE,LMP_TYPE,{value},GROUP"]
    for hour in range(24):
        start = pd.Timestamp("2025-01-01T08:00Z") + pd.Timedelta(hours=hour)
        for kind, price in (("MCE", 1), ("LMP", 30 + hour), ("MCC", 2)):
            stamp = f"{start:%Y-%m-%dT%H:%M:%S}-00:00,{start + pd.Timedelta('1h'):%Y-%m-%dT%H:%M:%S}-00:00"
            lines.append(f"{stamp},2025-01-01,{hour + 1},TH_NP15_GEN-APND,{kind},{price},1")
    (tmp_path / "oasis.csv").write_text("\n".join(lines))
    series = take("prices", tmp_path / "oasis.csv", "caiso", node="TH_NP15_GEN-APND")
    assert series.columns["price_usd_per_mwh"].tolist() == [30 + hour for hour in range(24)]
    assert series.times[0] == pd.Timestamp("2025-01-01T08:00Z")


def epw(folder: Path) -> Path:
    """Small EPW: temperature counts hours, radiation missing in one hour, wind missing throughout."""
    head = ["LOCATION,Town,TX,USA,SRC,722590,32.9,-97.0,-6.0,170.7", *["X"] * 7]
    hours = pd.date_range("2001-01-01", periods=8760, freq="h")
    rows = []
    for place, begin in enumerate(hours):
        row = ["2021", begin.month, begin.day, begin.hour + 1, 0, "flags", place / 1000, 1.0, 50, 100000, 0, 0, 0]
        row += [9999 if place == 100 else 500, 0, 0, 0, 0, 0, 0, 180, 999]
        rows.append(",".join(map(str, row)))
    path = folder / "town.epw"
    path.write_text("\n".join(head + rows) + "\n")
    return path


def test_epw_is_laid_onto_a_year_in_standard_time(tmp_path: Path) -> None:
    series = take("weather", epw(tmp_path), "epw", year=2025, fill="interpolate")
    assert len(series.times) == 8760
    assert series.times[0] == pd.Timestamp("2025-01-01T06:00Z")
    assert series.columns["temperature_c"][:3].tolist() == [0, 0.001, 0.002]
    assert series.columns["ghi_w_per_m2"][100] == 500
    assert "wind_speed_m_per_s" not in series.columns
    assert any("wind_speed_m_per_s is missing throughout" in note for note in series.notes)
    assert any("gap filled: 1 rows" in note for note in series.notes)


def test_epw_in_a_leap_year_repeats_a_day(tmp_path: Path) -> None:
    series = take("weather", epw(tmp_path), "epw", year=2024, fill="interpolate")
    temperature = pd.Series(series.columns["temperature_c"], index=series.times.tz_convert("Etc/GMT+6"))
    assert len(temperature) == 8784
    assert temperature["2024-02-29"].tolist() == temperature["2024-02-28"].tolist()
    assert temperature["2024-12-31"].iloc[-1] == pytest.approx(8.759)


def test_epw_faults(tmp_path: Path) -> None:
    assert "calendar year" in refused("weather", epw(tmp_path), "epw")[0].remedy
    (tmp_path / "no.epw").write_text("time,x\n1,2\n")
    assert "does not begin with LOCATION" in refused("weather", tmp_path / "no.epw", "epw", year=2025)[0].rule
    short = epw(tmp_path).read_text().splitlines()[:5000]
    (tmp_path / "short.epw").write_text("\n".join(short))
    assert "4992 hours" in refused("weather", tmp_path / "short.epw", "epw", year=2025)[0].rule


def test_energyplus_meter_in_kw_and_in_joules(tmp_path: Path) -> None:
    stamps = [f" 01/0{day}  {hour:02d}:00:00" for day in (1, 2) for hour in range(1, 25)]
    for unit, value in (("kW", 5000), ("J", 5000 * 3.6e6)):
        rows = "\n".join(f"{stamp},{value}" for stamp in stamps)
        (tmp_path / "meter.csv").write_text(f"Date/Time,Electricity:Facility [{unit}](Hourly)\n{rows}\n")
        series = take("load", tmp_path / "meter.csv", "energyplus", year=2025, zone=CHICAGO)
        assert series.columns["load_mw"] == pytest.approx(np.full(48, 5.0))
        assert series.times[0] == pd.Timestamp("2025-01-01T06:00Z")
    told = refused("load", tmp_path / "meter.csv", "energyplus")
    assert [problem.field for problem in told] == ["year", "zone"]


def test_request_trace_is_counted(tmp_path: Path) -> None:
    stamps = pd.date_range("2023-11-16 18:02:30", "2023-11-16 18:31:00", freq="10s")
    rows = "\n".join(f"{stamp},100,20" for stamp in stamps)
    (tmp_path / "trace.csv").write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}\n")
    series = take("load", tmp_path / "trace.csv", "azure", step_min=5)
    assert series.times[0] == pd.Timestamp("2023-11-16T18:05Z")
    assert series.times[-1] == pd.Timestamp("2023-11-16T18:25Z")
    assert series.columns["requests_per_min"].tolist() == [6] * 5
    assert series.columns["context_tokens_per_s"].tolist() == [10] * 5


def test_bitcoin_prices_become_hashprice(tmp_path: Path) -> None:
    rows = ["2026-01-11,90000,", "2026-01-12,91199.65,146472600000000", "2026-01-13,91199.65,146472600000000"]
    (tmp_path / "btc.csv").write_text("date,btc_close_usd,difficulty\n" + "\n".join(rows) + "\n")
    series = take("btc", tmp_path / "btc.csv", "csv")
    assert series.columns["hashprice_usd_per_ph_day"] == pytest.approx([39.142, 39.142], abs=0.002)
    assert any("1 blank rows" in note for note in series.notes)
    assert any("subsidy alone" in note for note in series.notes)


GENERIC = "interval_start_utc,price_usd_mwh\n2025-01-01T00:00Z,10\n2025-01-01T01:00Z,20\n2025-01-01T02:00Z,30\n"


def test_a_generic_file_that_tells_all(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(GENERIC)
    series = take("prices", tmp_path / "p.csv", "csv")
    assert series.columns["price_usd_per_mwh"].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("header", "options", "field"),
    [
        ("when,price_usd_mwh", {}, "time"),
        ("local_time,price_usd_mwh", {"stamp": "beginning"}, "zone"),
        ("local_time,price_usd_mwh", {"zone": CHICAGO}, "stamp"),
        ("time_utc,price_usd_mwh", {}, "stamp"),
        ("interval_start,price", {"zone": "UTC"}, "unit"),
        ("interval_start,price_a_usd_mwh,price_b_usd_mwh", {"zone": "UTC"}, "column"),
        ("interval_start,value", {"zone": "UTC"}, "column"),
        ("interval_start,price_usd_mwh", {"zone": "UTC", "column": "prise"}, "column"),
    ],
)
def test_a_generic_file_asks_for_what_it_does_not_tell(
    tmp_path: Path, header: str, options: dict[str, str], field: str
) -> None:
    width = header.count(",")
    rows = "\n".join(f"2025-01-01 0{hour}:00{',5' * width}" for hour in range(4))
    (tmp_path / "p.csv").write_text(f"{header}\n{rows}\n")
    problem = refused("prices", tmp_path / "p.csv", "csv", **options)[0]
    assert problem.field == field
    assert problem.remedy


def test_hour_ending_headers_units_and_patterns(tmp_path: Path) -> None:
    rows = "\n".join(f"1/1/2025 {hour}:00,0.0{hour}" for hour in range(1, 9))
    (tmp_path / "p.csv").write_text(f"Datetime (he),DA Price ($/kWh)\n{rows}\n")
    series = take("prices", tmp_path / "p.csv", "csv", zone="America/Los_Angeles", time_format="%m/%d/%Y %H:%M")
    assert series.times[0] == pd.Timestamp("2025-01-01T08:00Z")
    assert series.columns["price_usd_per_mwh"] == pytest.approx([10, 20, 30, 40, 50, 60, 70, 80])
    assert "ISO 8601" in refused("prices", tmp_path / "p.csv", "csv", zone="UTC")[0].rule


def test_weather_of_any_origin_is_converted(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text(
        "time_utc,temp_f,wind_kmh,rh_pct\n2025-01-01T00:00Z,212,36,50\n2025-01-01T01:00Z,32,18,60\n"
    )
    series = take("weather", tmp_path / "w.csv", "csv")
    assert series.columns["temperature_c"] == pytest.approx([100, 0])
    assert series.columns["wind_speed_m_per_s"] == pytest.approx([10, 5])
    assert series.columns["relative_humidity_percent"].tolist() == [50, 60]


def test_rows_without_stamps_are_counted_from_a_stated_start(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("row,cpu_load\n1,0.5\n2,0.75\n")
    series = take("load", tmp_path / "u.csv", "csv", unit="1", start="2025-01-01", zone=CHICAGO, step_min=30)
    assert series.times.tolist() == [pd.Timestamp("2025-01-01T06:00Z"), pd.Timestamp("2025-01-01T06:30Z")]
    assert series.columns["load_share"].tolist() == [0.5, 0.75]


def test_files_with_24_hours_every_day_must_be_said_to_be_so(tmp_path: Path) -> None:
    clock = pd.date_range("2025-03-09", periods=24, freq="h").append(pd.date_range("2025-03-10", periods=24, freq="h"))
    rows = "\n".join(f"{moment:%Y-%m-%d %H:%M},{place}" for place, moment in enumerate(clock))
    (tmp_path / "p.csv").write_text(f"interval_start,price_usd_mwh\n{rows}\n")
    told = refused("prices", tmp_path / "p.csv", "csv", zone=CHICAGO)
    assert "skips this time" in told[0].rule
    assert "--clock smoothed" in told[0].remedy
    smoothed = take("prices", tmp_path / "p.csv", "csv", zone=CHICAGO, clock="smoothed")
    assert smoothed.columns["price_usd_per_mwh"].tolist() == [0, 1, *range(3, 48)]
    assert smoothed.times[0] == pd.Timestamp("2025-03-09T06:00Z")
    standard = take("prices", tmp_path / "p.csv", "csv", zone=CHICAGO, clock="standard")
    assert standard.columns["price_usd_per_mwh"].tolist() == list(range(48))
    assert standard.times[-1] == pd.Timestamp("2025-03-11T05:00Z")


def test_the_doubled_hour_of_a_smoothed_file_counts_twice(tmp_path: Path) -> None:
    clock = pd.date_range("2025-11-02", periods=24, freq="h")
    rows = "\n".join(f"{moment:%Y-%m-%d %H:%M},{place}" for place, moment in enumerate(clock))
    (tmp_path / "p.csv").write_text(f"interval_start,price_usd_mwh\n{rows}\n")
    series = take("prices", tmp_path / "p.csv", "csv", zone=CHICAGO, clock="smoothed")
    assert series.columns["price_usd_per_mwh"].tolist() == [0, 1, 1, *range(2, 24)]


def gappy(folder: Path, missing: set[int], blank: set[int] = frozenset()) -> Path:  # type: ignore[assignment]
    rows = [f"2025-01-01T{hour:02d}:00Z,{'' if hour in blank else hour}" for hour in range(24) if hour not in missing]
    path = folder / "g.csv"
    path.write_text("interval_start_utc,price_usd_mwh\n" + "\n".join(rows) + "\n")
    return path


def test_gaps_are_refused_unless_filling_is_asked_for(tmp_path: Path) -> None:
    path = gappy(tmp_path, {5, 6}, {10})
    told = refused("prices", path, "csv")
    assert [problem.value for problem in told] == [
        "2 rows (2 h) from 2025-01-01T05:00Z",
        "1 rows (1 h) from 2025-01-01T10:00Z",
    ]
    filled = take("prices", path, "csv", fill="interpolate")
    assert filled.columns["price_usd_per_mwh"].tolist() == list(range(24))
    held = take("prices", path, "csv", fill="hold")
    assert held.columns["price_usd_per_mwh"][4:8].tolist() == [4, 4, 4, 7]
    assert sum("gap filled" in note for note in held.notes) == 2


def test_long_gaps_are_refused_all_the_same(tmp_path: Path) -> None:
    told = refused("prices", gappy(tmp_path, set(range(5, 13))), "csv", fill="hold")
    assert "longer than 6 h" in told[0].remedy
    assert take("prices", gappy(tmp_path, set(range(5, 13))), "csv", fill="hold", longest_gap_h=8).step_min == 60


def test_repeated_rows_pass_only_when_equal(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(GENERIC + "2025-01-01T02:00Z,30\n")
    assert any("repeated another" in note for note in take("prices", tmp_path / "p.csv", "csv").notes)
    (tmp_path / "p.csv").write_text(GENERIC + "2025-01-01T02:00Z,31\n")
    assert "different values for one interval" in refused("prices", tmp_path / "p.csv", "csv")[0].rule


def test_rows_off_the_step_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(GENERIC + "2025-01-01T02:20Z,31\n2025-01-01T03:00Z,31\n2025-01-01T04:00Z,31\n")
    assert "off the step of 60 min" in refused("prices", tmp_path / "p.csv", "csv")[0].rule


def test_what_is_written_is_read_back_by_a_case(tmp_path: Path) -> None:
    series = take("prices", ercot_day_ahead(tmp_path, "2025-11-01", "2025-11-04"), "ercot")
    path = series.write(tmp_path / "clean" / "prices.csv")
    first = path.read_text().splitlines()[0]
    assert first == "# imported from dam.csv as prices, format ercot"
    window = Horizon(pd.Timestamp("2025-11-01", tz=CHICAGO).tz_convert("UTC"), 60, 73, CHICAGO)
    reference = series.references("clean/prices.csv")["price_usd_per_mwh"]
    back = read_series(reference, base=tmp_path, horizon=window, unit="$/MWh")
    assert back.tolist() == series.columns["price_usd_per_mwh"].tolist()


def test_local_daily_series_survive_the_clock_change(tmp_path: Path) -> None:
    rows = "\n".join(f"2025-03-{day:02d},{day}" for day in range(1, 21) if day not in {8, 9})
    (tmp_path / "gas.csv").write_text(f"Date,Price\n{rows}\n")
    series = take("fuel", tmp_path / "gas.csv", "csv", unit="$/MMBtu", zone=CHICAGO, fill="hold", longest_gap_h=72)
    assert series.columns["fuel_price_usd_per_mmbtu"][6:10].tolist() == [7, 7, 7, 10]
    series.write(tmp_path / "gas_clean.csv")
    window = Horizon(pd.Timestamp("2025-03-07", tz=CHICAGO).tz_convert("UTC"), 60, 95, CHICAGO)
    reference = series.references("gas_clean.csv")["fuel_price_usd_per_mmbtu"]
    back = read_series(reference, base=tmp_path, horizon=window, unit="$/MMBtu")
    assert back.tolist() == [7.0] * 71 + [10.0] * 24


def test_unknown_kinds_and_formats_offer_the_close_ones(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(GENERIC)
    assert refused("prices", tmp_path / "p.csv", "ercott")[0].remedy == "did you mean ercot?"
    assert refused("price", tmp_path / "p.csv", "csv")[0].remedy == "did you mean prices?"
    assert formats_of("weather") == ("epw", "csv")


@pytest.mark.parametrize("form", ["ercot", "pjm", "caiso", "csv"])
def test_files_that_are_something_else(tmp_path: Path, form: str) -> None:
    assert "does not exist" in refused("prices", tmp_path / "no.csv", form)[0].rule
    (tmp_path / "empty.csv").write_bytes(b"")
    assert refused("prices", tmp_path / "empty.csv", form)
    (tmp_path / "binary.csv").write_bytes(np.random.default_rng(1).bytes(4000))
    assert refused("prices", tmp_path / "binary.csv", form)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert refused("prices", tmp_path / "other.csv", form)[0].remedy
