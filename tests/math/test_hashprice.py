"""Mining economics against published values, hand-solved cases and the chain's own history."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgrid.assets import catalogue
from microgrid.assets.hashprice import (
    HashpriceScenario,
    break_even_efficiency_j_per_th,
    break_even_table,
    fees_from_share,
    hashprice_btc_per_ph_day,
    hashprice_paths,
    hashprice_usd_per_ph_day,
    network_hashrate_eh_per_s,
    retarget,
    revenue_usd_per_mwh,
    subsidy_btc,
    subsidy_on,
    value_of_curtailed_mwh,
)
from microgrid.errors import InvalidInput

positive = st.floats(1e-3, 1e6)


def test_published_hashprice_in_btc() -> None:
    # Hashrate Index, 2026-01-12: difficulty 146.4726 T, fees 0.55 % of rewards, 0.00043143 BTC/PH/day.
    reward = 3.125 + fees_from_share(3.125, 0.0055)
    assert hashprice_btc_per_ph_day(146.4726e12, reward) == pytest.approx(0.00043143, rel=1e-3)


def test_published_hashprice_in_usd_of_that_day() -> None:
    # Hashrate Index, 2026-01-12: 39.53 $/PH/day, at an intraday price between the day's low and high.
    low, high = (hashprice_usd_per_ph_day(price, 146.4726e12, 3.125, 0.0055) for price in (90_002.0, 92_417.0))
    assert low < 39.53 < high


@pytest.mark.parametrize(("efficiency", "published"), [(17, 97), (22, 75), (32, 51)])
def test_published_revenue_per_mwh(efficiency: float, published: float) -> None:
    # Hashrate Index, 2026-01-12, at 39.53 $/PH/day, rounded to whole dollars; the efficiencies are class centres.
    assert revenue_usd_per_mwh(39.53, efficiency) == pytest.approx(published, abs=0.51)


def test_break_even_table_of_the_facts() -> None:
    expected = [
        [121.5, 108.0, 97.2, 83.3, 67.8, 63.4, 49.4],
        [138.9, 123.5, 111.1, 95.2, 77.5, 72.5, 56.5],
        [156.2, 138.9, 125.0, 107.1, 87.2, 81.5, 63.6],
        [173.6, 154.3, 138.9, 119.0, 96.9, 90.6, 70.6],
        [208.3, 185.2, 166.7, 142.9, 116.3, 108.7, 84.7],
    ]
    table = break_even_table([35, 40, 45, 50, 60], [12, 13.5, 15, 17.5, 21.5, 23, 29.5])
    assert table.to_numpy() == pytest.approx(np.array(expected), abs=0.051)
    assert table.index.name == "hashprice_usd_per_ph_day"


def test_one_mwh_by_hand() -> None:
    # 1 MWh runs 1 MW for an hour: at 20 J/TH that is 50,000 TH/s = 50 PH/s for 1/24 day: 2.0833 PH-days at 48 $.
    assert revenue_usd_per_mwh(48.0, 20.0) == pytest.approx(100.0)
    assert revenue_usd_per_mwh(48.0, 20.0, pool_fee=0.02, pue=1.05) == pytest.approx(98.0 / 1.05)
    assert value_of_curtailed_mwh(130.0, 48.0, 20.0, pool_fee=0.02, adders_usd_per_mwh=8.0) == pytest.approx(40.0)
    assert break_even_efficiency_j_per_th(48.0, 100.0) == pytest.approx(20.0)


def test_network_hashrate_of_published_difficulty() -> None:
    # 2026-01: 147.2 T is 1,054 EH/s; 2024-01: 72.0 T is 515 EH/s (three digits published).
    assert network_hashrate_eh_per_s([147.2e12, 72.0e12]) == pytest.approx([1054, 515], rel=1e-3)


@pytest.mark.parametrize(
    ("month", "price", "difficulty_t", "published"),
    [("2024-01", 42919, 72.0, 74.95), ("2024-05", 65270, 84.8, 48.45), ("2025-07", 115379, 123.2, 58.87),
     ("2025-11", 96275, 153.4, 39.44), ("2025-12", 88930, 148.6, 37.63), ("2026-01", 92503, 147.2, 39.51)],
)  # fmt: skip
def test_monthly_history(month: str, price: float, difficulty_t: float, published: float) -> None:
    # Means of products differ from products of means by the covariance within the month: below 1 %.
    subsidy = subsidy_on(pd.DatetimeIndex([f"{month}-15T00:00Z"]))
    assert hashprice_usd_per_ph_day(price, difficulty_t * 1e12, subsidy) == pytest.approx(published, rel=0.01)


def test_daily_history_is_reproduced(shared: Callable[[str], Path]) -> None:
    daily = pd.read_csv(shared("data/inputs/btc_daily_price_difficulty_2021_2026.csv"), parse_dates=["date"]).dropna()
    subsidy = subsidy_on(pd.DatetimeIndex(daily["date"]).tz_localize("UTC"))
    ours = hashprice_usd_per_ph_day(daily["btc_close_usd"], daily["difficulty"], subsidy)
    assert np.abs(ours / daily["subsidy_hashprice_usd_ph_day"] - 1.0).max() < 1e-3
    assert (subsidy == daily["subsidy_btc"]).all()


def test_epochs_obey_the_retarget_rule(shared: Callable[[str], Path]) -> None:
    epochs = pd.read_csv(shared("data/inputs/btc_difficulty_epochs_2021_2026.csv"))
    starts = pd.to_datetime(epochs["start_utc_est"])
    # From the first to the last block of an epoch there are 2,015 intervals, between two starts 2,016.
    elapsed = starts.diff().dt.total_seconds().iloc[1:] * 2015 / 2016
    ours = retarget(epochs["difficulty"].iloc[:-1], elapsed)
    assert ours == pytest.approx(epochs["difficulty"].iloc[1:].to_numpy(), rel=2e-4)


def test_retarget_by_hand_and_its_clip() -> None:
    two_weeks = 14 * 86400
    assert retarget(100.0, two_weeks) == 100.0
    assert retarget(100.0, two_weeks / 2) == 200.0
    assert retarget(100.0, [two_weeks / 100, two_weeks * 100]).tolist() == [400.0, 25.0]


@pytest.mark.parametrize(
    ("height", "subsidy"),
    [(0, 50), (209_999, 50), (210_000, 25), (839_999, 6.25), (840_000, 3.125), (1_050_000, 1.5625), (6_929_999, 1e-8),
     (6_930_000, 0)],
)  # fmt: skip
def test_subsidy_by_height(height: int, subsidy: float) -> None:
    assert subsidy_btc(height) == subsidy


def test_total_supply_is_that_of_the_protocol() -> None:
    # 20,999,999.9769 BTC, the well-known sum with whole-satoshi subsidies.
    assert sum(subsidy_btc(era * 210_000) * 210_000 for era in range(70)) == pytest.approx(20_999_999.9769, abs=1e-4)


def test_subsidy_by_date_agrees_with_the_heights() -> None:
    for era in catalogue.subsidy_schedule():
        assert era.subsidy_btc == subsidy_btc(era.height)
    moments = pd.DatetimeIndex(["2024-04-19T23:00Z", "2024-04-20T01:00Z", "2028-04-14T00:00Z", "2028-04-16T00:00Z"])
    assert subsidy_on(moments).tolist() == [6.25, 3.125, 3.125, 1.5625]
    with pytest.raises(ValueError, match="no subsidy before"):
        subsidy_on(pd.DatetimeIndex(["2008-01-01T00:00Z"]))


@given(hashprice=positive, efficiency=st.floats(5, 100), fee=st.floats(0, 0.1), pue=st.floats(1, 2))
def test_break_even_price_and_efficiency_invert_each_other(
    hashprice: float, efficiency: float, fee: float, pue: float
) -> None:
    price = revenue_usd_per_mwh(hashprice, efficiency, fee, pue)
    assert break_even_efficiency_j_per_th(hashprice, price, fee, pue) == pytest.approx(efficiency)
    assert value_of_curtailed_mwh(price, hashprice, efficiency, pool_fee=fee, pue=pue) == pytest.approx(0, abs=1e-6)


@given(hashprice=positive, better=st.floats(5, 50), worse=st.floats(1, 2))
def test_a_more_efficient_machine_never_earns_less(hashprice: float, better: float, worse: float) -> None:
    assert revenue_usd_per_mwh(hashprice, better) >= revenue_usd_per_mwh(hashprice, better * worse)


def test_free_power_never_breaks_even_badly() -> None:
    assert break_even_efficiency_j_per_th(40.0, [0.0, -5.0]).tolist() == [math.inf, math.inf]


@pytest.mark.parametrize(
    "call",
    [
        lambda: hashprice_btc_per_ph_day(0.0, 3.125),
        lambda: revenue_usd_per_mwh(40.0, 0.0),
        lambda: revenue_usd_per_mwh(40.0, 20.0, pue=0.0),
        lambda: fees_from_share(3.125, 1.0),
        lambda: subsidy_btc(-1),
        lambda: hashprice_paths(HashpriceScenario(btc_usd=1, difficulty=1), pd.DatetimeIndex(["2026-01-01"])),
    ],
)
def test_impossible_inputs_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        call()


def scenario(**changes: float) -> HashpriceScenario:
    return HashpriceScenario(**{"btc_usd": 90_000.0, "difficulty": 147e12, "paths": 400, "seed": 7, **changes})


def test_paths_repeat_with_the_seed_and_start_at_today() -> None:
    times = pd.date_range("2026-01-01", periods=200, freq="D", tz="UTC")
    one, two = hashprice_paths(scenario(), times), hashprice_paths(scenario(), times)
    assert (one.hashprice_usd_per_ph_day == two.hashprice_usd_per_ph_day).all()
    assert one.hashprice_usd_per_ph_day.shape == (400, 200)
    assert (one.btc_usd[:, 0] == 90_000).all()
    assert (one.difficulty[:, 0] == 147e12).all()
    other = hashprice_paths(scenario(seed=8), times)
    assert not np.allclose(one.btc_usd[:, 1:], other.btc_usd[:, 1:])


def test_paths_have_the_stated_drift_and_spread() -> None:
    times = pd.date_range("2026-01-01", periods=366, freq="D", tz="UTC")
    paths = hashprice_paths(scenario(paths=3000, price_drift=0.1, price_volatility=0.5), times)
    growth = np.log(paths.btc_usd[:, -1] / 90_000)
    years = 365 / 365.25
    assert growth.std() == pytest.approx(0.5 * years**0.5, rel=0.05)
    assert growth.mean() == pytest.approx((0.1 - 0.125) * years, abs=3 * 0.5 / 3000**0.5)
    # 26.07 epochs of two weeks at +2 % each; growth shortens them, so a little more than 26.
    assert np.log(paths.difficulty[:, -1] / 147e12).mean() == pytest.approx(26.3 * math.log(1.02), rel=0.05)


def test_no_spread_means_closed_forms() -> None:
    times = pd.date_range("2026-01-01", periods=60, freq="D", tz="UTC")
    flat = hashprice_paths(
        scenario(paths=1, price_volatility=0, difficulty_drift=0, difficulty_spread=0, fee_share=0), times
    )
    assert flat.hashprice_usd_per_ph_day == pytest.approx(hashprice_usd_per_ph_day(90_000, 147e12, 3.125))


def test_the_halving_halves_hashprice() -> None:
    times = pd.date_range("2028-04-14", periods=4, freq="D", tz="UTC")
    path = hashprice_paths(scenario(paths=1, price_volatility=0, difficulty_drift=0, difficulty_spread=0), times)
    before, after = path.hashprice_usd_per_ph_day[0, 0], path.hashprice_usd_per_ph_day[0, -1]
    assert after == pytest.approx(before / 2)


def test_difficulty_never_jumps_by_more_than_four() -> None:
    times = pd.date_range("2026-01-01", periods=400, freq="D", tz="UTC")
    wild = hashprice_paths(scenario(difficulty_spread=3.0, paths=20), times).difficulty
    ratio = wild[:, 1:] / wild[:, :-1]
    assert ratio.max() > 2
    # Several epochs may end within a day when hashrate explodes, each by at most four.
    assert np.log(ratio.min()) >= -math.log(4) - 1e-9


def test_tables_have_sources_and_thirty_machines() -> None:
    machines = catalogue.asic_models()
    assert len(machines) >= 30
    assert {machine.cooling for machine in machines.values()} == {"air", "hydro", "immersion"}
    for row in [*machines.values(), *catalogue.gpu_platforms().values(), *catalogue.power_modes()]:
        assert row.source
        assert row.retrieved.year >= 2026


@pytest.mark.parametrize(
    ("name", "model"),
    [("S21 Pro", "Antminer S21 Pro"), ("antminer s21 pro", "Antminer S21 Pro"),
     ("Bitmain Antminer S19", "Antminer S19"), ("M60S++", "Whatsminer M60S++")],
)  # fmt: skip
def test_machines_are_found_by_any_of_their_names(name: str, model: str) -> None:
    assert catalogue.asic_model(name).model == model


def test_an_unknown_machine_offers_the_close_ones() -> None:
    with pytest.raises(InvalidInput) as raised:
        catalogue.asic_model("S21 Prro")
    assert "Antminer S21 Pro" in raised.value.problems[0].remedy
    with pytest.raises(InvalidInput) as raised:
        catalogue.gpu_platform("GB200 NVL7")
    assert "GB200 NVL72" in raised.value.problems[0].remedy
    assert catalogue.gpu_platform("gb200 nvl72").gpus == 72


def test_a_machine_that_contradicts_itself_is_refused() -> None:
    good = catalogue.asic_model("S21").model_dump()
    with pytest.raises(ValueError, match="J/TH from W and TH/s"):
        catalogue.AsicModel(**{**good, "power_w": 4000.0})


def test_power_modes_follow_their_formula_and_save_energy_down_the_ladder() -> None:
    # P = 100 W + k f V^2 through 3,068 W at 545 MHz and 13.4 V; hashrate proportional to clock.
    k = (3068 - 100) / (545 * 13.4**2)
    for mode in catalogue.power_modes():
        assert mode.power_w == pytest.approx(100 + k * mode.frequency_mhz * mode.voltage_v**2, abs=0.06)
        assert mode.hash_th_per_s == pytest.approx(104 * mode.frequency_mhz / 545, abs=0.006)
    curve = np.array(catalogue.relative_power_curve())
    slopes = np.diff(curve[:, 1]) / np.diff(curve[:, 0])
    assert (np.diff(slopes) < 0).all()
    assert [1.0, 1.0] in curve.tolist()
