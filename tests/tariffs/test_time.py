"""Clock, calendar and cycles: DST, leap days, holidays, read dates, windows, escalation, rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from microgrid.tariffs.bill import bill
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.reading import MeterData
from microgrid.tariffs.reprice import escalated


def _tariff(**parts: Any) -> Tariff:
    return Tariff.model_validate({"id": "t", **parts})


def _flat(start: str, periods: int, kw: float = 100.0, step_min: int = 60, tz: str | None = None) -> MeterData:
    times = pd.date_range(start, periods=periods, freq=f"{step_min}min", tz=tz)
    return MeterData(times, step_min, np.full(periods, kw), np.zeros(periods))


def test_autumn_hour_counts_twice_and_months_follow_the_local_clock() -> None:
    tariff = _tariff(timezone="America/Chicago", charges=[{"id": "e", "kind": "energy", "price": 1.0}])
    load = _flat("2025-11-01 05:00", 24 * 30 + 1, tz="UTC")
    made = bill(tariff, load)
    assert made.cycles == ("2025-11",)
    assert made.total == pytest.approx(100.0 * 721)
    assert not [note for note in made.notes if "part" in note]


def test_standard_clock_ignores_daylight_saving() -> None:
    calendars = {"E": {"rules": [{"hours": [[16, 21]], "period": "on"}], "default": "off"}}
    nodes = {"on": {"kind": "energy", "calendar": "E", "periods": ["on"]}}
    shapes = {}
    for clock in ("prevailing", "standard"):
        tariff = _tariff(timezone="America/Denver", clock=clock, calendars=calendars, determinants=nodes)
        times = pd.date_range("2025-07-01 06:00", periods=24, freq="60min", tz="UTC")
        load = MeterData(times, 60, np.where(np.arange(24) == 15, 10.0, 0.0), np.zeros(24))
        shapes[clock] = bill(tariff, load).determinants["on"][0]
    assert shapes == {"prevailing": 0.0, "standard": 0.0}
    times = pd.date_range("2025-07-01 22:00", periods=1, freq="60min", tz="UTC")
    peak = MeterData(times, 60, np.array([10.0]), np.zeros(1))
    on = {
        clock: bill(
            _tariff(timezone="America/Denver", clock=clock, calendars=calendars, determinants=nodes), peak
        ).determinants["on"][0]
        for clock in ("prevailing", "standard")
    }
    assert on == {"prevailing": 10.0, "standard": 0.0}


def test_leap_february_has_29_days() -> None:
    tariff = _tariff(charges=[{"id": "f", "kind": "fixed", "amount": 1.0, "per": "day"}])
    assert bill(tariff, _flat("2024-02-01", 29 * 24)).total == pytest.approx(29.0)


def test_norm_days_scale_with_the_cycle() -> None:
    tariff = _tariff(
        determinants={"pk": {"kind": "demand"}},
        charges=[{"id": "d", "kind": "demand", "of": "pk", "price": 3.0, "norm_days": 30}],
    )
    assert bill(tariff, _flat("2025-01-01", 31 * 24)).total == pytest.approx(100 * 3.0 * 31 / 30)


def test_read_dates_make_the_cycles() -> None:
    tariff = _tariff(
        billing={"cycle": "read_dates", "reads": ["2025-01-15", "2025-02-14", "2025-03-17"]},
        charges=[
            {"id": "e", "kind": "energy", "price": {"by_month": [1.0, 2.0, 3.0, *[0.0] * 9]}},
            {"id": "f", "kind": "fixed", "amount": 1.0, "per": "day"},
        ],
    )
    load = _flat("2025-01-15", 61 * 24, kw=1.0)
    made = bill(tariff, load)
    assert made.cycles == ("2025-01-15", "2025-02-14")
    assert made.amounts["f"] == pytest.approx([30.0, 31.0])
    assert made.amounts["e"] == pytest.approx([24 * (17 * 1 + 13 * 2), 24 * (15 * 2 + 16 * 3)])
    whole = tariff.model_copy(update={"billing": tariff.billing.model_copy(update={"season_split": "by_read_date"})})
    assert bill(whole, load).amounts["e"] == pytest.approx([24 * 30 * 1, 24 * 31 * 2])


@pytest.mark.parametrize(
    ("rule", "monday", "friday"), [("none", 5.0, 5.0), ("sunday_to_monday", 0.0, 5.0), ("nearest_weekday", 0.0, 0.0)]
)
def test_each_observance_rule_moves_its_own_holidays(rule: str, monday: float, friday: float) -> None:
    holidays = {"calendar": "US", "include": ["Independence Day"], "observed": rule}
    calendars = {"E": {"rules": [{"days": "weekday", "hours": [[12, 17]], "period": "on"}], "default": "off"}}
    tariff = _tariff(
        holidays=holidays,
        calendars=calendars,
        determinants={"on": {"kind": "energy", "calendar": "E", "periods": ["on"]}},
    )
    for start, expected in (("2027-07-05", monday), ("2026-07-03", friday)):
        assert bill(tariff, _flat(start, 24, kw=1.0)).determinants["on"][0] == expected


def test_own_holidays_are_neither_weekday_nor_weekend() -> None:
    rules = [{"days": kind, "period": kind} for kind in ("weekday", "weekend", "holiday")]
    for treat, expected in (
        ("own", {"weekday": 0.0, "weekend": 0.0, "holiday": 24.0}),
        ("weekend", {"weekday": 0.0, "weekend": 24.0}),
    ):
        tariff = _tariff(
            holidays={"dates": ["2025-07-04"], "treat_as": treat},
            calendars={"E": {"rules": rules}},
            determinants={
                name: {"kind": "energy", "calendar": "E", "periods": [name]}
                for name in ("weekday", "weekend", "holiday")
            },
        )
        found = bill(tariff, _flat("2025-07-04", 24, kw=1.0)).determinants
        assert all(found[name][0] == value for name, value in expected.items())


def test_half_hour_edges_and_date_seasons() -> None:
    calendars = {
        "E": {"rules": [{"dates": [["12-15", "01-15"]], "hours": [[8.5, 21.5]], "period": "on"}], "default": "off"}
    }
    tariff = _tariff(calendars=calendars, determinants={"on": {"kind": "energy", "calendar": "E", "periods": ["on"]}})
    load = _flat("2025-12-01", 62 * 96, kw=1.0, step_min=15)
    assert bill(tariff, load).determinants["on"] == pytest.approx([17 * 13.0, 15 * 13.0])


def test_demand_windows_of_one_pulse() -> None:
    kw = np.array([0.0, 100.0, 100.0, 0.0])
    times = pd.date_range("2025-01-01", periods=4, freq="15min")
    found = {}
    for name, spec in {
        "15": {"window_min": 15},
        "30 block": {"window_min": 30},
        "30 rolling": {"window_min": 30, "window": "rolling"},
        "60": {"window_min": 60},
    }.items():
        tariff = _tariff(determinants={"pk": {"kind": "demand", **spec}})
        found[name] = bill(tariff, MeterData(times, 15, kw, np.zeros(4))).determinants["pk"][0]
    assert found == {"15": 100.0, "30 block": 50.0, "30 rolling": 100.0, "60": 50.0}


def test_windows_follow_the_clock_not_the_first_row() -> None:
    times = pd.date_range("2025-01-01 00:15", periods=4, freq="15min")
    tariff = _tariff(meter_window_min=30, determinants={"pk": {"kind": "demand"}})
    load = MeterData(times, 15, np.array([0.0, 100.0, 100.0, 0.0]), np.zeros(4))
    assert bill(tariff, load).determinants["pk"][0] == pytest.approx(100.0)


def test_hourly_data_of_a_quarter_hour_meter_is_noted_and_may_be_lifted() -> None:
    tariff = _tariff(determinants={"pk": {"kind": "demand", "window_min": 15, "peak_uplift": 1.07}})
    made = bill(tariff, _flat("2025-01-01", 48))
    assert made.determinants["pk"][0] == pytest.approx(107.0)
    assert any("peaks inside an interval are not seen" in note for note in made.notes)


def test_a_partial_cycle_is_billed_in_full_and_said_so() -> None:
    tariff = _tariff(
        determinants={"pk": {"kind": "demand"}},
        charges=[{"id": "d", "kind": "demand", "of": "pk", "price": 3.0}, {"id": "f", "kind": "fixed", "amount": 50.0}],
    )
    made = bill(tariff, _flat("2025-01-10", 24 * 7))
    assert made.total == pytest.approx(350.0)
    assert any("2025-01 is covered only in part" in note for note in made.notes)


@pytest.mark.parametrize(
    ("rounding", "total"), [("none", 3 * 0.1249 * 100.0), ("cent_per_line", 3 * 12.49), ("cent_per_bill", 37.47)]
)
def test_rounding(rounding: str, total: float) -> None:
    charges = [{"id": f"e{k}", "kind": "energy", "price": 0.1249} for k in range(3)]
    tariff = _tariff(billing={"rounding": rounding}, charges=charges)
    assert bill(tariff, _flat("2025-01-01", 1)).total == pytest.approx(total, abs=1e-9)


def test_lines_are_rounded_half_up() -> None:
    tariff = _tariff(billing={"rounding": "cent_per_line"}, charges=[{"id": "f", "kind": "fixed", "amount": 2.675}])
    assert bill(tariff, _flat("2025-01-01", 1)).total == 2.68


def test_escalation_compounds_by_component() -> None:
    tariff = _tariff(
        charges=[
            {"id": "a", "kind": "fixed", "amount": 100.0, "tags": ["supply"]},
            {"id": "b", "kind": "fixed", "amount": 100.0, "tags": ["delivery"]},
            {"id": "c", "kind": "fixed", "amount": 100.0, "escalation": "phase_in"},
        ],
        escalation={"inflation": 0.02, "real": {"supply": 0.01}, "path": {"phase_in": [0.37, 0.61, 1.0]}},
    )
    years = [bill(escalated(tariff, year), _flat("2025-01-01", 1)).by_charge for year in range(4)]
    assert [year["a"] for year in years] == pytest.approx([100 * (1.02 * 1.01) ** n for n in range(4)])
    assert [year["b"] for year in years] == pytest.approx([100 * 1.02**n for n in range(4)])
    assert [year["c"] for year in years] == pytest.approx([37.0, 61.0, 100.0, 100.0])
    added = tariff.model_copy(update={"escalation": tariff.rule().model_copy(update={"compounding": "additive"})})
    assert bill(escalated(added, 2), _flat("2025-01-01", 1)).by_charge["a"] == pytest.approx(100 * 1.03**2)


def test_quarter_hour_copies_of_hours_bill_the_same() -> None:
    charges = [{"id": "e", "kind": "energy", "price": 0.1}, {"id": "d", "kind": "demand", "of": "pk", "price": 9.0}]
    tariff = _tariff(determinants={"pk": {"kind": "demand", "window_min": 60}}, charges=charges)
    rng = np.random.default_rng(0)
    kw = rng.uniform(0, 100, 24 * 31)
    hourly = MeterData(pd.date_range("2025-01-01", periods=kw.size, freq="60min"), 60, kw, np.zeros(kw.size))
    fine = np.repeat(kw, 4)
    quarter = MeterData(pd.date_range("2025-01-01", periods=fine.size, freq="15min"), 15, fine, np.zeros(fine.size))
    assert bill(tariff, quarter).total == pytest.approx(bill(tariff, hourly).total)


def test_norm_days_of_the_tariff_hold_where_a_charge_states_none() -> None:
    tariff = _tariff(
        billing={"norm_days": 30},
        eligibility={"min_kw": 500},
        determinants={"pk": {"kind": "demand"}},
        charges=[
            {"id": "d", "kind": "demand", "of": "pk", "price": 3.0},
            {"id": "own", "kind": "demand", "of": "pk", "price": 3.0, "norm_days": 31},
            {"id": "f", "kind": "fixed", "amount": 60.0},
            {"id": "daily", "kind": "fixed", "amount": 1.0, "per": "day"},
        ],
    )
    made = bill(tariff, _flat("2025-01-01", 31 * 24))
    assert made.by_charge == pytest.approx({"d": 310.0, "own": 300.0, "f": 62.0, "daily": 31.0})
    assert any("500 kW and more" in note for note in made.notes)
