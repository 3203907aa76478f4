"""`microgrid bill` and `microgrid tariff …`: what a user types, reads and is told when it is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from microgrid.case.metered_load import MeterStatement, read_metered_load
from microgrid.cli.main import main
from microgrid.errors import InvalidInput
from microgrid.tariffs.read import parse_tariff

Run = Callable[..., tuple[int, str, str]]
TARIFF = """\
id: probe
timezone: America/Chicago
source: {doc: test, effective: 2025, quality: primary}
holidays: {calendar: US}
calendars: {tou: {rules: [{days: weekday, hours: [[16, 21]], period: peak}], default: rest}}
determinants:
  pk: {kind: demand, window_min: 60}
charges:
  - {id: energy, kind: energy, calendar: tou, price: {peak: 0.10, rest: 0.05}}
  - {id: demand, kind: demand, of: pk, price: 2.0}
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


@pytest.fixture
def tariff(tmp_path: Path) -> Path:
    path = tmp_path / "tariff.yaml"
    path.write_text(TARIFF, encoding="utf-8")
    return path


@pytest.fixture
def load(tmp_path: Path) -> Path:
    """A week in March across the clock change: 100 kW, and 300 kW in one hour of a weekday peak."""
    times = pd.date_range("2025-03-08", "2025-03-15", freq="h", tz="America/Chicago", inclusive="left")
    power = np.where(times == pd.Timestamp("2025-03-12T18:00", tz="America/Chicago"), 300.0, 100.0)
    table = {
        "interval_start": [moment.isoformat() for moment in times],
        "load_kw": power,
        "made_kw": 40.0,
        "q_kvar": 75.0,
    }
    path = tmp_path / "load.csv"
    pd.DataFrame(table).to_csv(path, index=False)
    return path


HOURS = 7 * 24 - 1
ENERGY = 0.05 * 100.0 * (HOURS - 25) + 0.10 * 100.0 * 24 + 0.10 * 300.0
DEMAND = 600.0


def test_bill_prints_the_hand_computed_amounts(run: Run, tariff: Path, load: Path) -> None:
    code, out, _ = run("bill", "--partial", "bill", tariff, load, "--column", "load_kw")
    assert code == 0
    rows = {
        line.split()[0]: line.split()[1] for line in out.splitlines() if line.startswith(("energy", "demand", "total"))
    }
    assert rows == {"energy": f"{ENERGY:,.2f}", "demand": "600.00", "total": f"{ENERGY + DEMAND:,.2f}"}
    assert "2025-03" in out
    assert "note: cycle 2025-03 is covered only in part" in out


def test_bill_as_json_holds_every_amount_and_determinant(run: Run, tariff: Path, load: Path) -> None:
    code, out, _ = run("bill", "--partial", "bill", tariff, load, "--column", "load_kw", "--json")
    record = json.loads(out)
    assert code == 0
    assert record["by_charge"] == pytest.approx({"energy": ENERGY, "demand": DEMAND})
    assert record["total"] == pytest.approx(ENERGY + DEMAND)
    assert record["determinants"] == {"pk": [300.0]}
    assert record["cycles"] == ["2025-03"]


def test_bill_writes_lines_and_a_picture(run: Run, tariff: Path, load: Path, tmp_path: Path) -> None:
    lines, picture = tmp_path / "lines.csv", tmp_path / "bill.png"
    code, out, _ = run(
        "bill", "--partial", "bill", tariff, load, "--column", "load_kw", "--csv", lines, "--picture", picture
    )
    table = pd.read_csv(lines)
    assert code == 0
    assert table["amount"].sum() == pytest.approx(ENERGY + DEMAND)
    assert set(table.loc[table.charge == "energy", "period"]) == {"peak", "rest"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert out.count("wrote ") == 2


def test_lines_go_to_the_screen_alone(run: Run, tariff: Path, load: Path) -> None:
    code, out, _ = run("bill", "--partial", "bill", tariff, load, "--column", "load_kw", "--csv", "-")
    assert code == 0
    assert out.startswith("cycle,charge,")


def test_generation_and_export_are_two_ways_to_state_the_same_meter(
    run: Run, tariff: Path, load: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(load)
    table["import_kw"], table["export_kw"] = table["load_kw"] - table["made_kw"], 0.0
    table.to_csv(tmp_path / "both.csv", index=False)
    _, behind, _ = run(
        "bill", "--partial", "bill", tariff, load, "--column", "load_kw", "--generation-column", "made_kw", "--json"
    )
    _, metered, _ = run(
        "bill",
        "--partial",
        "bill",
        tariff,
        tmp_path / "both.csv",
        "--column",
        "import_kw",
        "--export-column",
        "export_kw",
        "--json",
    )
    assert json.loads(behind)["by_charge"] == pytest.approx(json.loads(metered)["by_charge"])
    code, _, err = run(
        "bill",
        "--partial",
        "bill",
        tariff,
        load,
        "--column",
        "load_kw",
        "--generation-column",
        "made_kw",
        "--export-column",
        "made_kw",
    )
    assert (code, "name the one that the file holds" in err) == (2, True)


def test_reactive_power_gives_apparent_power(load: Path) -> None:
    made = parse_tariff(TARIFF)
    metered = read_metered_load(load, made, MeterStatement(column="load_kw", reactive_column="q_kvar"))
    assert metered.data.kva is not None
    assert metered.data.kva[0] == pytest.approx(125.0)
    constant = read_metered_load(load, made, MeterStatement(column="load_kw", power_factor=0.8))
    assert constant.data.kva == pytest.approx(metered.data.import_kw / 0.8)


def test_stamps_without_offset_are_on_the_tariffs_clock(tmp_path: Path) -> None:
    path = tmp_path / "local.csv"
    path.write_text("time,load_kw\n2025-07-01 00:00,1\n2025-07-01 01:00,2\n", encoding="utf-8")
    statement = MeterStatement.model_validate({"reading": {"stamp": "beginning"}})
    metered = read_metered_load(path, parse_tariff(TARIFF), statement)
    assert metered.data.times[0] == pd.Timestamp("2025-07-01T05:00Z")
    assert metered.data.import_kw.tolist() == [1.0, 2.0]
    naive = read_metered_load(path, parse_tariff(TARIFF.replace("America/Chicago", "naive")), statement)
    assert naive.data.times[0] == pd.Timestamp("2025-07-01T00:00")


def test_what_the_file_does_not_say_is_asked_for(run: Run, tariff: Path, tmp_path: Path) -> None:
    path = tmp_path / "bare.csv"
    path.write_text("time,load\n2025-07-01T00:00Z,1\n2025-07-01T01:00Z,2\n", encoding="utf-8")
    code, _, err = run("bill", "--partial", "bill", tariff, path)
    assert (code, "--stamp beginning or --stamp ending" in err) == (2, True)
    code, _, err = run("bill", "--partial", "bill", tariff, path, "--stamp", "beginning")
    assert (code, "does not tell its unit" in err) == (2, True)
    code, out, _ = run("bill", "--partial", "bill", tariff, path, "--stamp", "ending", "--unit", "MW", "--json")
    assert (code, json.loads(out)["determinants"]["pk"]) == (0, [2000.0])


INDEXED = """\
id: indexed
timezone: America/Chicago
source: {doc: test, effective: 2025, quality: primary}
series: {rt: {unit: $/MWh}}
contract: {firm_kw: 50}
determinants:
  pk: {kind: demand, window_min: 60}
  ratchet: {kind: max_of, of: [{ref: pk}, {ref: pk, pct: 0.8, lookback: 11}]}
  firm: {kind: const, of: firm_kw}
charges:
  - {id: energy, kind: energy, series: rt}
  - {id: demand, kind: demand, of: ratchet, price: 1.0}
  - {id: firm, kind: demand, of: firm, price: 1.0}
"""


def test_series_contract_and_history_are_stated_by_the_user(run: Run, load: Path, tmp_path: Path) -> None:
    path = tmp_path / "indexed.yaml"
    path.write_text(INDEXED, encoding="utf-8")
    table = pd.read_csv(load)[["interval_start"]].rename(columns={"interval_start": "time"})
    table.assign(price=50.0).to_csv(tmp_path / "rt.csv", index=False)
    given = ("bill", "--partial", "bill", path, load, "--column", "load_kw", "--json")
    code, _, err = run(*given, "--history", "first_year")
    assert (code, "--series rt=FILE:COLUMN" in err) == (2, True)
    series = ("--series", f"rt={tmp_path / 'rt.csv'}:price")
    code, _, err = run(*given, *series)
    assert (code, "past" in err or "history" in err) == (2, True)
    code, out, _ = run(*given, *series, "--past", f"pk={','.join(['500'] * 11)}", "--contract", "firm_kw=70")
    amounts = json.loads(out)["by_charge"]
    assert code == 0
    assert amounts == pytest.approx({"energy": 0.05 * (100.0 * HOURS + 200.0), "demand": 400.0, "firm": 70.0})


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--contract", "firm", "not of the form KEY=VALUE"),
        ("--contract", "firm_kw=many", "is not a number"),
        ("--contract", "film_kw=3", "film_kw"),
        ("--series", "rt=prices.csv", "not of the form FILE:COLUMN"),
        ("--series", "rtm=prices.csv:price", "did you mean rt?"),
        ("--past", "pk=1,x", "is not a number"),
    ],
)
def test_mistakes_in_statements_end_with_code_2(  # one mistake each
    run: Run, load: Path, tmp_path: Path, option: str, value: str, told: str
) -> None:
    path = tmp_path / "indexed.yaml"
    path.write_text(INDEXED, encoding="utf-8")
    pd.read_csv(load)[["interval_start"]].rename(columns={"interval_start": "time"}).assign(price=50.0).to_csv(
        tmp_path / "rt.csv", index=False
    )
    series = () if option == "--series" else ("--series", f"rt={tmp_path / 'rt.csv'}:price")
    code, _, err = run("bill", "--partial", "bill", path, load, "--column", "load_kw", *series, option, value)
    assert code == 2
    assert told in " ".join(err.replace("│", " ").split())


def test_doubtful_shipped_prices_need_the_users_word(run: Run, load: Path) -> None:
    given = ("bill", "--partial", "bill", "oncor-transmission-2026", load, "--column", "load_kw", "--allow-other-year")
    code, _, err = run(*given)
    assert (code, "--allow-secondary" in err) == (2, True)
    code, out, _ = run(*given, "--allow-secondary", "--json")
    record = json.loads(out)
    assert code == 0
    assert record["by_charge"]["tcrf"] == pytest.approx(54000 * 6.260839)
    assert any("not all read at the source" in note for note in record["notes"])


def test_check_tells_draws_and_warns(run: Run, tariff: Path, tmp_path: Path) -> None:
    code, out, _ = run("tariff", "check", tariff, "--picture", tmp_path / "tou.png")
    assert code == 0
    assert "- energy: peak $0.1, rest $0.05 a kWh" in out
    assert "calendar tou (weekday above weekend)" in out
    assert "no warnings" in out
    assert (tmp_path / "tou.png").is_file()
    gap = tmp_path / "unused.yaml"
    gap.write_text(
        TARIFF.replace("{id: demand, kind: demand, of: pk, price: 2.0}", "{id: fixed, kind: fixed, amount: 5}"),
        encoding="utf-8",
    )
    code, out, _ = run("tariff", "check", gap)
    assert (code, "determinants.pk: the determinant bills nothing" in out) == (0, True)


def test_check_reports_every_problem_with_its_place(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(TARIFF.replace("of: pk,", "of: pq,").replace("peak: 0.10", "pique: 0.10"), encoding="utf-8")
    code, _, err = run("tariff", "check", broken)
    assert code == 2
    assert f"{broken}:9:" in err
    assert f"{broken}:10:" in err


def test_list_names_every_shipped_tariff_with_its_doubts(run: Run) -> None:
    code, out, _ = run("tariff", "list")
    assert code == 0
    assert len(out.splitlines()) >= 20
    assert any(line.startswith("oncor-transmission-2026") and "[secondary]" in line for line in out.splitlines())


def test_urdb_goes_out_and_comes_back_with_its_losses_named(run: Run, load: Path, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    code, _, err = run("tariff", "export", "urdb", "smud-ci-tod4-2025", "--out", record)
    assert code == 0
    assert "warning: not held: time zone America/Los_Angeles" in err
    back = tmp_path / "back.yaml"
    code, _, err = run("tariff", "import", "urdb", record, "--zone", "America/Chicago", "--out", back)
    assert code == 0
    assert "URDB holds no holidays" in err
    assert YAML(typ="safe").load(back.read_text())["timezone"] == "America/Chicago"
    code, out, _ = run(
        "bill",
        "--partial",
        "bill",
        back,
        load,
        "--column",
        "load_kw",
        "--history",
        "first_year",
        "--allow-other-year",
        "--json",
    )
    assert code == 0
    assert json.loads(out)["total"] > 0


def test_a_file_that_is_no_urdb_record_is_refused(run: Run, load: Path) -> None:
    code, _, err = run("tariff", "import", "urdb", load)
    assert (code, "not a JSON file" in err) == (2, True)


def test_columns_of_unlike_length_cannot_be_billed_together(tmp_path: Path) -> None:
    path = tmp_path / "blank.csv"
    path.write_text(
        "begin_time_utc,load_kw,made_kw\n2025-07-01T00:00Z,1,\n2025-07-01T01:00Z,2,1\n2025-07-01T02:00Z,2,1\n",
        encoding="utf-8",
    )
    with pytest.raises(InvalidInput, match="do not cover the same intervals"):
        read_metered_load(path, parse_tariff(TARIFF), MeterStatement(column="load_kw", generation_column="made_kw"))


def test_a_sliver_of_a_cycle_asks_how_to_be_billed(run: Run, tariff: Path, load: Path) -> None:
    code, _, err = run("bill", tariff, load, "--column", "load_kw")
    assert code != 0
    assert "--partial bill" in err
    code, _, err = run("bill", tariff, load, "--column", "load_kw", "--partial", "drop")
    assert code != 0
    assert "leaves nothing" in err
    assert run("bill", tariff, load, "--column", "load_kw", "--partial", "prorate")[0] == 0


def test_bills_of_several_years(run: Run, tariff: Path, load: Path, tmp_path: Path) -> None:
    stated = ("bill", "--partial", "bill", tariff, load, "--column", "load_kw", "--years", 3)
    lines, picture = tmp_path / "lines.csv", tmp_path / "years.png"
    code, out, _ = run(*stated, "--escalation", "inflation=0.1", "--csv", lines, "--picture", picture)
    table = pd.read_csv(lines)
    assert code == 0
    assert "+10.00%" in out
    assert table.groupby("year")["amount"].sum().tolist() == pytest.approx(
        [(ENERGY + DEMAND) * 1.1**year for year in range(3)]
    )
    assert picture.read_bytes().startswith(b"\x89PNG")
    _, out, _ = run(*stated, "--escalation", "all=0.1", "--load-growth", "0.05", "--json")
    record = json.loads(out)
    assert [year["total"] for year in record["years"]] == pytest.approx(
        [(ENERGY + DEMAND) * (1.1 * 1.05) ** year for year in range(3)]
    )
    assert record["years"][2]["price_factor"]["demand"] == pytest.approx(1.21)


def test_years_need_to_be_asked_for(run: Run, tariff: Path, load: Path) -> None:
    code, _, err = run("bill", tariff, load, "--column", "load_kw", "--escalation", "all=0.1")
    assert code == 2
    assert "--years" in err
    code, _, err = run("bill", tariff, load, "--column", "load_kw", "--escalation", "wires=0.1", "--years", 2)
    assert code == 2
    assert "no charge has this component" in err


WORDS = """\
id: words
timezone: America/Chicago
billing: {norm_days: 30}
holidays: {calendar: US, include: [Labor Day], observed: sunday_to_monday}
contract: {contract_kw: 60000}
calendars: {E: {rules: [{days: weekday, hours: [[16, 21]], period: on}], default: off}}
series: {da: {unit: $/MWh}}
determinants:
  pk: {kind: demand}
  bd:
    kind: max_of
    of: [{ref: pk}, {ref: pk, lookback: 11, pct: {6: 0.95, 7: 0.6}}, {contract: contract_kw, pct: 0.6}]
charges:
  - id: use
    kind: energy
    kw: bd
    tiers: [{upto: {kwh: 1000, kwh_per_kw: 200}, price: 0.14}, {upto: {}, price: 0.01}]
  - {id: index, kind: energy, series: da, mult: 1.03, adder: -0.004, cap: 0.2, loss_factor: 1.05}
  - {id: over, kind: energy, price: 0.17, band: {above: contract_kw}}
  - {id: least, kind: min_bill, per: {bd: 7.5}, plus: 500, of: [use]}
  - {id: rider, kind: percent, pct: 0.134, of: [use]}
supply: [{id: ppa, mw: 20, calendar: E, periods: [off], price: 0.04, settle: sell_back_at_index, index: da}]
export: {scheme: net_billing_dollar_carry, true_up_month: 3}
escalation: {inflation: 0.022}
"""


def test_check_tells_every_number(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text(WORDS, encoding="utf-8")
    code, out, _ = run("tariff", "check", path)
    assert code == 0
    for words in (
        "monthly prices by 30 days",
        "Labor Day of US, those on a Sunday move to Monday",
        "60% (Jul) or 95% (Jun) of pk in the last 11 cycles; 60% of contract_kw (60,000)",
        "$0.14 a kWh up to the lesser of 1,000 kWh and 200 kWh a kW of bd; $0.01 beyond",
        "1.03 x index `da` - $0.004 (at most $0.2) a kWh, metered energy times 1.05 for losses",
        "for power above contract_kw (60,000) kW",
        "up to $7.5 a unit of bd plus $500.00 a cycle",
        "13.4% of use",
        "20 MW in off at $0.04 a kWh, paid whole; what is not used is sold back at 1 x `da`",
        "the bank closes after the cycle that begins in Mar, for nothing",
        "Prices rise by inflation 2.20% a year.",
    ):
        assert words in out, words


PLACED = {
    "a gap": (
        TARIFF.replace("default: rest", "default: ~").replace(", rest: 0.05", ""),
        "tariff.yaml:5:",
        "calendars.tou",
        "add a rule",
    ),
    "missing history": (
        TARIFF.replace("charges:", "  bd: {kind: max_of, of: [{ref: pk}, {ref: pk, lookback: 3}]}\ncharges:"),
        "tariff.yaml:7:",
        "determinants.pk",
        "first_year",
    ),
    "another year": (
        TARIFF.replace("2025, quality", "2027, quality"),
        "tariff.yaml:3:",
        "source.effective",
        "tariff of",
    ),
}


@pytest.mark.parametrize("name", PLACED)
def test_what_shows_only_with_the_load_has_a_place_too(run: Run, tmp_path: Path, load: Path, name: str) -> None:
    text, place, field, remedy = PLACED[name]
    path = tmp_path / "tariff.yaml"
    path.write_text(text, encoding="utf-8")
    code, _, err = run("bill", "--partial", "bill", path, load, "--column", "load_kw")
    assert code == 2
    assert all(words in err for words in (place, field, remedy)), err


def test_past_peaks_belong_to_a_determinant(run: Run, tariff: Path, load: Path) -> None:
    code, _, err = run("bill", "--partial", "bill", tariff, load, "--column", "load_kw", "--past", "pkk=1,2")
    assert code == 2
    assert "no determinant pkk" in err
    assert "did you mean pk" in err


def test_what_is_no_part_of_the_tariff_is_not_placed_in_it(run: Run, tariff: Path, load: Path) -> None:
    code, _, err = run("bill", tariff, load, "--column", "load_kw")
    assert code == 2
    assert err.startswith("partial: ")


def test_warnings_have_a_place(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "tariff.yaml"
    rules = "[{hours: [[12, 18]], period: peak}, {hours: [[16, 21]], period: rest}]"
    path.write_text(f"id: t\ncalendars:\n  tou:\n    rules: {rules}\n    default: rest\n", encoding="utf-8")
    code, out, _ = run("tariff", "check", path)
    assert code == 0
    assert "tariff.yaml:4:48: calendars.tou.rules.1: rules 1 (peak) and 2 (rest) overlap" in out
    assert "tariff.yaml:4:5: calendars.tou: the calendar is used by nothing" in out
