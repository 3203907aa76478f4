"""`microgrid economics …` and `microgrid import …`: what a user types, reads and is told when it is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microgrid.assets.hashprice import hashprice_usd_per_ph_day
from microgrid.case.imports import ImportOptions
from microgrid.case.timeseries import read_series
from microgrid.cli import statements
from microgrid.cli.inputs import import_
from microgrid.cli.main import main
from microgrid.formulation.horizon import Horizon
from microgrid.schema.quantity import Series

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, " ".join(said.err.replace("│", " ").split())

    return call


def values(out: str) -> list[float]:
    return [row["value"] for row in json.loads(out)]


def test_hashprice_by_hand(run: Run) -> None:
    """86,400 s x 1e15 H / (difficulty x 2^32) blocks a day, times reward and price."""
    code, out, _ = run(
        "economics", "hashprice", "--btc-usd", 100_000, "--difficulty", 1e14, "--subsidy", 3.125, "--fee-share", 0,
        "--efficiency", 20, "--pool-fee", 0.02, "--pue", 1.1, "--json",
    )  # fmt: skip
    price = 86_400e15 / (1e14 * 2**32) * 3.125 * 100_000
    assert code == 0
    assert values(out) == pytest.approx(
        [price, price * 1e3, 1e14 * 2**32 / 600 / 1e18, 3.125, 1000 * price * 0.98 / (24 * 20 * 1.1)]
    )


def test_subsidy_follows_the_day(run: Run) -> None:
    for day, coins in (("2024-04-01", 6.25), ("2025-07-15", 3.125)):
        _, out, _ = run("economics", "hashprice", "--btc-usd", 1, "--difficulty", 1e14, "--date", day, "--json")
        assert values(out)[3] == coins


def test_break_even_both_ways_is_one_identity(run: Run) -> None:
    given = ("economics", "breakeven", "--hashprice", 48, "--pool-fee", 0.01)
    _, out, _ = run(*given, "--efficiency", 17.5, "--json")
    (price,) = values(out)
    _, out, _ = run(*given, "--power-price", price, "--json")
    assert values(out) == pytest.approx([17.5])


def test_power_that_costs_nothing_breaks_even_everywhere(run: Run) -> None:
    code, out, _ = run("economics", "breakeven", "--hashprice", 48, "--power-price", 0, "--json")
    assert (code, values(out)) == (0, [None])


def test_curtailing_is_worth_price_and_adders_less_revenue(run: Run) -> None:
    code, out, _ = run(
        "economics", "curtail", "--power-price", 500, "--power-price", 20, "--hashprice", 48, "--model", "Antminer S21",
        "--adders", 30, "--json",
    )  # fmt: skip
    revenue = 1000 * 48 / (24 * 17.5)
    assert code == 0
    assert values(out) == pytest.approx([530 - revenue, 50 - revenue])


def test_tables_print_units(run: Run) -> None:
    code, out, _ = run("economics", "breakeven", "--hashprice", 48, "--model", "Antminer S21")
    assert code == 0
    assert "114.286  USD/MWh" in out


def test_paths_are_seeded_series_that_a_case_can_read(run: Run, tmp_path: Path) -> None:
    given = (
        "economics",
        "paths",
        "--btc-usd",
        1e5,
        "--difficulty",
        1e14,
        "--from",
        "2026-01-01",
        "--days",
        40,
        "--paths",
        2,
    )
    files = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    for file, seed in zip(files, (7, 7, 8), strict=True):
        assert run(*given, "--seed", seed, "--out", file)[0] == 0
    assert 'column: difficulty_2, unit: "1"}' in run(*given, "--seed", 7, "--out", files[0])[1]
    tables = [pd.read_csv(file, comment="#") for file in files]
    assert tables[0].equals(tables[1])
    assert not tables[0].equals(tables[2])
    series = Series(file="a.csv", column="hashprice_usd_per_ph_day_2", unit="$/PH/day")
    horizon = Horizon(pd.Timestamp("2026-01-05T00:00Z"), 60, 48, "UTC")
    read = read_series(series, base=tmp_path, horizon=horizon, unit="$/PH/day")
    assert read[[0, 23, 24]] == pytest.approx(tables[0]["hashprice_usd_per_ph_day_2"].iloc[[4, 4, 5]].to_numpy())
    chain = tables[0][["btc_price_usd_2", "difficulty_2"]].to_numpy().T
    again = hashprice_usd_per_ph_day(*chain, 3.125, 0.01)  # what a case with fee_share 0.01 makes of the other two
    assert again == pytest.approx(tables[0]["hashprice_usd_per_ph_day_2"].to_numpy())
    assert 3 <= tables[0]["difficulty_2"].nunique() <= 4  # an epoch lasts about a fortnight of the forty days


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["hashprice", "--btc-usd", 1, "--difficulty", 1], "--subsidy or --date"),
        (["hashprice", "--btc-usd", 1, "--difficulty", 1, "--date", "2008-01-01"], "no subsidy before"),
        (["hashprice", "--btc-usd", 1, "--difficulty", 1, "--date", "soon"], "is not a date"),
        (["hashprice", "--btc-usd", 1, "--difficulty", 0, "--subsidy", 3], "--difficulty"),
        (["breakeven", "--hashprice", 48], "give --efficiency or --model"),
        (["breakeven", "--hashprice", 48, "--model", "Antminer S2x"], "did you mean"),
        (["curtail", "--hashprice", 48, "--power-price", 50], "give --efficiency or --model"),
        (["paths", "--btc-usd", 1, "--difficulty", 1, "--from", "x", "--out", "p.csv"], "is not a date"),
    ],
)
def test_mistakes_in_economics_end_with_code_2(run: Run, arguments: list[object], told: str) -> None:
    code, _, err = run("economics", *arguments)
    assert (code, told in err) == (2, True), err


ERCOT = "DeliveryDate,HourEnding,SettlementPoint,SettlementPointPrice,DSTFlag\n"


def ercot(path: Path, days: int, late_h: int = 0) -> Path:
    """Day-ahead prices of one hub, hour-ending; with `late_h` the same prices appear so many hours later."""
    hours = np.arange(days * 24)
    price = (
        30
        + 20 * np.sin((hours - late_h) * 2 * np.pi / 24)
        + np.random.default_rng(3).normal(0, 3, hours.size + 9)[9 - late_h :][: hours.size]
    )
    day = pd.Timestamp("2025-05-01") + pd.to_timedelta(hours // 24, unit="D")
    rows = [
        f"{date:%m/%d/%Y},{hour % 24 + 1:02d}:00,HB_WEST,{value:.4f},N"
        for date, hour, value in zip(day, hours, price, strict=True)
    ]
    path.write_text(ERCOT + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_import_makes_a_series_that_a_case_reads_back(run: Run, tmp_path: Path) -> None:
    file = ercot(tmp_path / "dam.csv", 3)
    code, out, _ = run("import", "prices", file, "--format", "ercot", "--node", "HB_WEST")
    assert code == 0
    assert "note: ERCOT day-ahead hourly settlement point prices, hour-ending labels moved to the beginning" in out
    assert "{file: dam.clean.csv, column: price_usd_per_mwh, unit: $/MWh}" in out
    series = Series(file="dam.clean.csv", column="price_usd_per_mwh", unit="$/MWh")
    horizon = Horizon(pd.Timestamp("2025-05-01T05:00Z"), 60, 72, "America/Chicago")
    read = read_series(series, base=tmp_path, horizon=horizon, unit="$/MWh")
    assert read == pytest.approx(pd.read_csv(file)["SettlementPointPrice"].to_numpy())


def test_a_reference_finds_out_a_shift_in_time(run: Run, tmp_path: Path) -> None:
    assert (
        run("import", "prices", ercot(tmp_path / "a.csv", 20), "--format", "ercot", "--out", tmp_path / "trusted.csv")[
            0
        ]
        == 0
    )
    given = (
        "import",
        "prices",
        "--format",
        "ercot",
        "--reference",
        tmp_path / "trusted.csv",
        "--out",
        tmp_path / "b.clean.csv",
    )
    code, out, _ = run(*given, ercot(tmp_path / "b.csv", 20))
    assert (code, "checked against the reference" in out) == (0, True)
    (tmp_path / "b.clean.csv").unlink()
    code, _, err = run(*given, ercot(tmp_path / "late.csv", 20, late_h=1))
    assert (code, "one step late" in err) == (2, True)
    assert not (tmp_path / "b.clean.csv").exists()


def test_gaps_are_refused_or_filled_with_a_note(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "load.csv"
    file.write_text(
        "interval_start_utc,load_mw\n2025-01-01T00:00,4\n2025-01-01T01:00,\n2025-01-01T02:00,8\n2025-01-01T03:00,9\n",
        encoding="utf-8",
    )
    code, _, err = run("import", "load", file)
    assert (code, "has a gap" in err, "--fill interpolate" in err) == (2, True, True)
    code, out, _ = run("import", "load", file, "--fill", "interpolate")
    assert (code, "note: gap filled: 1 rows" in out) == (0, True)
    assert pd.read_csv(tmp_path / "load.clean.csv", comment="#")["load_mw"].tolist() == [4.0, 6.0, 8.0, 9.0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["prices", "absent.csv"], "absent.csv"),
        (["prices", "absent.csv", "--format", "erkot"], "did you mean ercot?"),
        (["wind", "absent.csv"], "'wind' is not one of"),
        (["prices", "absent.csv", "--longest-gap-h", "0"], "--longest-gap-h"),
    ],
)
def test_mistakes_in_imports_end_with_code_2(run: Run, arguments: list[object], told: str) -> None:
    code, _, err = run("import", *arguments)
    assert (code, told in err) == (2, True), err


def test_every_statement_of_an_importer_is_an_option() -> None:
    offered = {parameter.name for parameter in import_.params}
    assert set(ImportOptions.model_fields) <= offered
    stated = import_.make_context("import", ["prices", "a.csv"]).params
    for name in statements._OPTIONS:
        assert (stated[name] or "") == ImportOptions.model_fields[name].default
