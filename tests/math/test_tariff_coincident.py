"""Coincident peaks by hand: groups, caps, candidate hours, monthly billing; and the pinned cost equal to the bill."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tariffs"))
from pinning import page_of, residual

from microgrid.errors import InvalidInput
from microgrid.tariffs.bill import Bill, bill
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.reading import MeterData

TIMES = pd.date_range("2025-06-01", "2025-07-31 23:00", freq="60min")
KW = 1000.0 + np.arange(TIMES.size)


def at(stamp: str) -> int:
    return int(TIMES.get_indexer([pd.Timestamp(stamp)])[0])


def tariff(**stated: Any) -> Tariff:
    node = {"kind": "coincident", "window_min": 60, **stated}
    return Tariff.model_validate(
        {
            "id": "t",
            "contract": {"k": 700.0, "f": 1.5},
            "series": {"w": {"unit": "probability", "optional": True}},
            "determinants": {"cp": node},
            "charges": [{"id": "cp", "kind": "per_unit", "of": "cp", "price": 1.0}],
        }
    )


def made(weights: dict[str, float], **stated: Any) -> Bill:
    """Bill of weighted peaks; the optimiser must agree."""
    series = np.zeros(TIMES.size)
    for stamp, weight in weights.items():
        series[at(stamp)] = weight
    load = MeterData(TIMES, 60, KW, np.zeros(TIMES.size), series={"w": series})
    priced = tariff(**{"mode": "probability", "series": "w", **stated})
    cost, billed = residual(priced, load)
    assert cost == pytest.approx(billed)
    return bill(priced, load)


def test_each_month_counts_alike_whatever_its_weights_sum_to() -> None:
    weights = {"2025-06-10 16:00": 0.9, "2025-07-10 16:00": 0.1}
    both = (KW[at("2025-06-10 16:00")] + KW[at("2025-07-10 16:00")]) / 2
    assert made(weights, n=1, per="month").by_cycle == pytest.approx([both, both])


def test_an_interval_counts_as_one_peak_at_most() -> None:
    stamps = ["2025-06-10 16:00", "2025-06-11 16:00", "2025-06-12 16:00"]
    first, second, third = (KW[at(stamp)] for stamp in stamps)
    weights = dict(zip(stamps, (8.0, 1.0, 1.0), strict=True))
    assert made(weights, n=2).by_cycle[0] == pytest.approx((first + 0.5 * second + 0.5 * third) / 2)
    assert made(weights, n=1).by_cycle[0] == pytest.approx(0.8 * first + 0.1 * second + 0.1 * third)
    assert made(weights, n=5).by_cycle[0] == pytest.approx((first + second + third) / 3)


def test_the_blend_is_over_candidate_hours_of_the_group() -> None:
    chosen = (TIMES.month == 6) & np.isin(TIMES.hour, [16, 17])
    expected = 0.75 * KW[at("2025-06-10 16:00")] + 0.25 * KW[chosen].mean()
    weights = {"2025-06-10 16:00": 1.0}
    stated = {"months": [6], "n": 1, "blend_uniform": 0.25, "candidate_hours": [16, 17]}
    assert made(weights, **stated).by_cycle == pytest.approx([expected, expected])


def test_monthly_peaks_bill_their_own_month() -> None:
    june, july = KW[at("2025-06-10 16:00")], KW[at("2025-07-10 16:00")]
    weights = {"2025-06-10 16:00": 0.3, "2025-07-10 16:00": 0.6}
    assert made(weights, n=1, per="month", billed="same_month").by_cycle == pytest.approx([june, july])
    assert made(weights, n=1, per="month", months=[7], billed="same_month").by_cycle == pytest.approx([0.0, july])
    load = MeterData(TIMES, 60, KW, np.zeros(TIMES.size), series={"w": KW})
    for stat in ("mean", "max"):
        known = tariff(intervals=["2025-06-10 16:00", "2025-07-10 16:00"], billed="same_month", stat=stat)
        assert bill(known, load).by_cycle == pytest.approx([june, july])
        cost, billed = residual(known, load)
        assert cost == pytest.approx(billed)


def test_a_group_without_weight_is_left_out_with_a_note() -> None:
    left = made({"2025-06-10 16:00": 1.0}, n=1, per="month")
    assert left.by_cycle[0] == pytest.approx(KW[at("2025-06-10 16:00")])
    assert any("2025-07; it is left out" in note for note in left.notes)
    with pytest.raises(InvalidInput, match="all zero"):
        made({}, n=1)


def test_without_a_forecast_every_candidate_hour_is_as_likely() -> None:
    stated = {"mode": "candidates", "series": "w", "n": 1, "per": "month", "candidate_hours": [16, 17]}
    tariff_ = tariff(**stated, candidate_days="weekday")
    load = MeterData(TIMES, 60, KW, np.zeros(TIMES.size))
    cost, billed = residual(tariff_, load)
    chosen = np.isin(TIMES.hour, [16, 17]) & (TIMES.weekday < 5)
    mean = np.mean([KW[chosen & (TIMES.month == month)].mean() for month in (6, 7)])
    assert billed == pytest.approx(2 * mean)
    assert cost == pytest.approx(billed)
    one = "2025-06-10 16:00"
    assert made({one: 1.0}, **{**stated, "months": [6]}).by_cycle == pytest.approx([KW[at(one)]] * 2)


@pytest.mark.parametrize(("months", "held"), [([6, 7, 8, 9], 2 / 4), ([6, 7], 1.0), ([1, 2], 0.0)])
def test_next_year_is_weighed_by_the_groups_that_the_horizon_holds(months: list[int], held: float) -> None:
    """Twelve bills of next year at the mean of its groups, of which the horizon decides some."""
    tariff_ = tariff(mode="candidates", n=1, per="month", months=months, billed="next_year", prior_kw="k", scale="f")
    load = MeterData(TIMES, 60, KW, np.zeros(TIMES.size))
    assert bill(tariff_, load).by_cycle == pytest.approx([700.0, 700.0])
    block = page_of(tariff_, load)
    cost, _ = block.program.solve()
    mean = np.mean([KW[TIMES.month == month].mean() for month in (6, 7)])
    assert cost - 1400.0 == pytest.approx(12 * 1.5 * held * mean, abs=1e-6)
    without, _ = page_of(tariff_, load, weigh_next_year=False).program.solve()
    assert without == pytest.approx(1400.0)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="per: month"):
        tariff(mode="probability", series="w", n=1, billed="same_month")
    with pytest.raises(ValueError, match="0 to 23"):
        tariff(mode="probability", series="w", n=1, candidate_hours=[24])


def test_a_demand_window_of_several_intervals_is_one_peak() -> None:
    times = pd.date_range("2025-06-01", periods=24 * 4, freq="15min")
    kw = 100.0 + np.arange(times.size)
    series = np.zeros(times.size)
    series[8:12], series[40], series[80] = 2.0, 1.0, 1.0
    load = MeterData(times, 15, kw, np.zeros(times.size), series={"w": series})
    priced = tariff(mode="probability", series="w", n=2)
    hours = [kw[8:12].mean(), kw[40:44].mean(), kw[80:84].mean()]
    cost, billed = residual(priced, load)
    assert billed == pytest.approx((hours[0] + 0.5 * hours[1] + 0.5 * hours[2]) / 2)
    assert cost == pytest.approx(billed)


def _next_year(
    load: MeterData, charges: list[dict[str, Any]] | None = None, more: dict[str, Any] | None = None, **node: Any
) -> float:
    """What the optimiser adds for next year at 5 $ a kW and month; the rest must be the bill."""
    stated = {"intervals": ["2025-06-10 16:00", "2025-07-10 16:00"], "billed": "next_year", "prior_kw": 500}
    plain = tariff(**{**stated, **node}).model_dump(exclude_unset=True)
    listed = charges or [{"id": "c", "kind": "per_unit", "of": "cp", "price": 5.0}]
    priced = Tariff.model_validate(
        {**plain, "determinants": {**plain["determinants"], **(more or {})}, "charges": listed}
    )
    block = page_of(priced, load)
    cost, point = block.program.solve()
    weighed = sum(float(paid.sum()) for name, paid in block.program.paid(point).items() if ".next_year." in name)
    assert cost - weighed == pytest.approx(bill(priced, load).total)
    return weighed


def _flat(start: str, end: str, kw: float = 1000.0) -> MeterData:
    times = pd.date_range(start, end, freq="60min", inclusive="left")
    return MeterData(times, 60, np.full(times.size, kw), np.zeros(times.size))


@pytest.mark.parametrize(
    ("start", "end", "bills"),
    [
        ("2025-01-08", "2025-01-15", 0.0),  # neither peak lies inside
        ("2025-06-08", "2025-06-15", 0.5),  # one of two
        ("2025-06-01", "2025-08-01", 1.0),
        ("2025-01-01", "2027-01-01", 1.0),  # no peak is known of the second year
    ],
)
@pytest.mark.parametrize("stat", ["mean", "max"])
def test_known_peaks_outside_the_horizon_are_left_out(start: str, end: str, bills: float, stat: str) -> None:
    """A year of bills at 1,000 kW is 12 x 5 x 1,000 $."""
    assert _next_year(_flat(start, end), stat=stat) == pytest.approx(bills * 60_000.0)


def test_peaks_of_two_years_make_two_years_of_bills() -> None:
    stamps = ["2025-07-03 16:00", "2026-07-03 16:00"]
    assert _next_year(_flat("2025-01-01", "2027-01-01"), intervals=stamps) == pytest.approx(120_000.0)


def test_next_year_is_billed_whole_whatever_this_horizon_prorates_or_skips() -> None:
    week, stamps = _flat("2025-07-01", "2025-07-08"), ["2025-07-03 16:00"]
    node = tariff(intervals=stamps, billed="next_year", prior_kw=0)
    cost, _ = page_of(node, week, partial="prorate").program.solve()
    assert cost == pytest.approx(12_000.0)
    winter = [{"id": "c", "kind": "per_unit", "of": "cp", "price": 5.0, "months": [1, 2, 3]}]
    assert _next_year(week, winter, intervals=stamps) == pytest.approx(3 * 5.0 * 1000.0)


@pytest.mark.parametrize(("per", "share"), [("season", 7 / 61), ("month", 7 / 31 / 2)])
def test_a_group_held_in_part_counts_by_its_days(per: str, share: float) -> None:
    """A week of July, of the 61 days of June and July."""
    stated = {"mode": "candidates", "n": 1, "per": per, "months": [6, 7], "intervals": None}
    assert _next_year(_flat("2025-07-01", "2025-07-08"), **stated) == pytest.approx(share * 60_000.0)


def test_next_year_is_weighed_through_sums_and_riders_and_refused_through_others() -> None:
    year = _flat("2025-01-01", "2026-01-01")
    scaled_up = {"bd": {"kind": "sum", "of": {"cp": 1.1}}}
    through = {"id": "c", "kind": "per_unit", "of": "bd", "price": 5.0}
    assert _next_year(year, [through], scaled_up) == pytest.approx(66_000.0)
    rider = {"id": "tax", "kind": "percent", "pct": 0.2, "of": ["c"]}
    assert _next_year(year, [through, rider], scaled_up) == pytest.approx(66_000.0 * 1.2)
    floored = {"bd": {"kind": "max_of", "of": [{"ref": "cp"}, {"const": 100}]}}
    with pytest.raises(InvalidInput, match="`cp` bills next year cannot be weighed through `bd`"):
        _next_year(year, [through], floored)
