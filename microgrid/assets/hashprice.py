"""What a hash is worth: hashprice, revenue per MWh, break-even curves, retarget rule and seeded scenarios.

Identities (consensus rules of the Bitcoin protocol; checked against published values in `tests/math`):

* hashes expected per block = difficulty · 2³²,
* hashprice [$/PH/day] = 86 400·10¹⁵ / (difficulty · 2³²) · (subsidy + fees) · price,
* revenue per MWh of miner energy = 1000 · hashprice · (1 - pool fee) / (24 · J/TH), divided by PUE at the meter.

Every function accepts scalars or arrays that broadcast together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from microgrid.assets.catalogue import subsidy_schedule
from microgrid.schema.quantity import Declared, quantity

HASHES_PER_DIFFICULTY = 2.0**32
BLOCKS_PER_EPOCH = 2016
BLOCKS_PER_HALVING = 210_000
SECONDS_PER_BLOCK = 600.0
SECONDS_PER_EPOCH = BLOCKS_PER_EPOCH * SECONDS_PER_BLOCK
SECONDS_PER_DAY = 86_400.0
LARGEST_RETARGET = 4.0
SATOSHI_PER_BTC = 100_000_000

Values = NDArray[np.float64]
"""Result of a broadcast: shape of the inputs, float64."""


def network_hashrate_eh_per_s(difficulty: ArrayLike) -> Values:
    """Hashrate in EH/s at which blocks arrive every ten minutes on average."""
    return _values(difficulty) * HASHES_PER_DIFFICULTY / SECONDS_PER_BLOCK / 1e18


def subsidy_btc(height: int) -> float:
    """Block subsidy in BTC at a block height; halved every 210,000 blocks, in whole satoshi."""
    if height < 0:
        raise ValueError(f"block height {height} is negative")
    halvings = height // BLOCKS_PER_HALVING
    return ((50 * SATOSHI_PER_BTC) >> halvings) / SATOSHI_PER_BTC if halvings < 64 else 0.0


def subsidy_on(times: pd.DatetimeIndex) -> Values:
    """Subsidy in BTC at each UTC instant, shape (times,), from the dated schedule (future halvings are estimates).

    Raises `ValueError` for an instant before the first block.
    """
    schedule = subsidy_schedule()
    starts = pd.DatetimeIndex([era.start for era in schedule]).tz_localize("UTC")
    era = starts.searchsorted(times, side="right") - 1
    if (era < 0).any():
        raise ValueError(f"no subsidy before {starts[0]}")
    return np.array([era.subsidy_btc for era in schedule])[era]


def fees_from_share(subsidy: ArrayLike, fee_share: ArrayLike) -> Values:
    """Mean fees per block in BTC when they are `fee_share` (0 to <1) of the whole reward."""
    share = _values(fee_share)
    if (share < 0).any() or (share >= 1).any():
        raise ValueError("fee share of the reward must be at least 0 and below 1")
    return _values(subsidy) * share / (1.0 - share)


def hashprice_btc_per_ph_day(difficulty: ArrayLike, reward_btc: ArrayLike) -> Values:
    """Expected BTC a day from 1 PH/s, for a mean reward (subsidy + fees) per block."""
    return SECONDS_PER_DAY * 1e15 / (_positive(difficulty, "difficulty") * HASHES_PER_DIFFICULTY) * _values(reward_btc)


def hashprice_usd_per_ph_day(
    btc_usd: ArrayLike, difficulty: ArrayLike, subsidy: ArrayLike, fee_share: ArrayLike = 0.0
) -> Values:
    """Hashprice in $/PH/day before pool fee, from BTC price, difficulty, subsidy and the fee share of the reward."""
    reward = _values(subsidy) + fees_from_share(subsidy, fee_share)
    return hashprice_btc_per_ph_day(difficulty, reward) * _values(btc_usd)


def revenue_usd_per_mwh(
    hashprice: ArrayLike, efficiency_j_per_th: ArrayLike, pool_fee: ArrayLike = 0.0, pue: ArrayLike = 1.0
) -> Values:
    """Mining revenue of one MWh at the meter; also the price at which mining breaks even on energy alone.

    With `pue` 1 it is revenue per MWh of miner energy. `hashprice` in $/PH/day.
    """
    efficiency = _positive(efficiency_j_per_th, "efficiency") * _positive(pue, "PUE")
    return 1000.0 * _values(hashprice) * (1.0 - _values(pool_fee)) / (24.0 * efficiency)


def break_even_efficiency_j_per_th(
    hashprice: ArrayLike, power_price_usd_per_mwh: ArrayLike, pool_fee: ArrayLike = 0.0, pue: ArrayLike = 1.0
) -> Values:
    """Worst efficiency that still earns its energy; infinite where power costs nothing or less."""
    price = _values(power_price_usd_per_mwh)
    earned = 1000.0 * _values(hashprice) * (1.0 - _values(pool_fee)) / (24.0 * _positive(pue, "PUE"))
    earned, price = np.broadcast_arrays(earned, price)
    worst: Values = np.divide(earned, price, out=np.full(price.shape, np.inf), where=price > 0)
    return worst


def value_of_curtailed_mwh(
    power_price_usd_per_mwh: ArrayLike,
    hashprice: ArrayLike,
    efficiency_j_per_th: ArrayLike,
    *,
    pool_fee: ArrayLike = 0.0,
    pue: ArrayLike = 1.0,
    adders_usd_per_mwh: ArrayLike = 0.0,
) -> Values:
    """What one MWh not mined is worth at the meter: power price plus adders, less the revenue forgone.

    Adders are volumetric charges and the MWh value of programs (coincident peak, reserves). Curtail where positive.
    """
    forgone = revenue_usd_per_mwh(hashprice, efficiency_j_per_th, pool_fee, pue)
    return _values(power_price_usd_per_mwh) + _values(adders_usd_per_mwh) - forgone


def break_even_table(hashprices: ArrayLike, efficiencies_j_per_th: ArrayLike, pool_fee: float = 0.0) -> pd.DataFrame:
    """Break-even $/MWh at the miner: one row per hashprice, one column per J/TH."""
    rows, columns = np.atleast_1d(_values(hashprices)), np.atleast_1d(_values(efficiencies_j_per_th))
    values = revenue_usd_per_mwh(rows[:, None], columns[None, :], pool_fee)
    return pd.DataFrame(
        values,
        index=pd.Index(rows, name="hashprice_usd_per_ph_day"),
        columns=pd.Index(columns, name="efficiency_j_per_th"),
    )


def retarget(difficulty: ArrayLike, elapsed_s: ArrayLike) -> Values:
    """Difficulty of the next epoch after `elapsed_s` between the first and last block of this one.

    The protocol clips the elapsed time to [1/4, 4] of two weeks, so the change stays within a factor of four. It
    spans 2,015 intervals but is compared with 2,016, a known off-by-one of 0.05 % that belongs to the rule.
    """
    shortest, longest = SECONDS_PER_EPOCH / LARGEST_RETARGET, SECONDS_PER_EPOCH * LARGEST_RETARGET
    return _values(difficulty) * SECONDS_PER_EPOCH / np.clip(_values(elapsed_s), shortest, longest)


class HashpriceScenario(Declared):
    """Seeded random future of BTC price and difficulty; a stress set, not a forecast."""

    btc_usd: float = quantity("$/BTC", "price at the start", gt=0)
    difficulty: float = quantity("1", "difficulty at the start", gt=0)
    price_drift: float = quantity("1/yr", "growth rate of the expected price", default=0.0)
    price_volatility: float = quantity("1/yr^0.5", "volatility of the price", default=0.55, ge=0)
    difficulty_drift: float = quantity("1", "mean growth of difficulty an epoch", default=0.02, gt=-1)
    difficulty_spread: float = quantity("1", "standard deviation of the log-change an epoch", default=0.06, ge=0)
    fee_share: float = quantity("1", "fees as a share of the whole reward", default=0.01, ge=0, lt=1)
    paths: int = quantity("1", "number of paths", default=1, ge=1)
    seed: int = quantity("1", "seed of the random numbers", default=1, ge=0)


@dataclass(frozen=True)
class HashpricePaths:
    """Random paths over the same instants; every array has the shape (paths, times)."""

    times: pd.DatetimeIndex
    btc_usd: Values
    difficulty: Values
    hashprice_usd_per_ph_day: Values


def hashprice_paths(scenario: HashpriceScenario, times: pd.DatetimeIndex) -> HashpricePaths:
    """Draw the scenario's paths at UTC instants in increasing order; the same seed gives the same numbers.

    The price is a geometric Brownian motion. Difficulty steps once an epoch: when hashrate grows by a factor, the
    epoch shortens by it and the retarget rule (clip included) lifts difficulty. Subsidy follows the schedule.
    """
    if not times.is_monotonic_increasing or times.tz is None:
        raise ValueError("times must be increasing and carry a zone")
    # The legacy stream is frozen by NEP 19, so a seed means the same numbers under every numpy.
    random = np.random.RandomState(scenario.seed)
    elapsed_s = (times - times[0]).total_seconds().to_numpy()
    price = np.stack([_brownian_price(scenario, elapsed_s, random) for _ in range(scenario.paths)])
    difficulty = np.stack([_difficulty_steps(scenario, elapsed_s, random) for _ in range(scenario.paths)])
    hashprice = hashprice_usd_per_ph_day(price, difficulty, subsidy_on(times)[None, :], scenario.fee_share)
    return HashpricePaths(times, price, difficulty, hashprice)


def _brownian_price(scenario: HashpriceScenario, elapsed_s: Values, random: np.random.RandomState) -> Values:
    years = np.diff(elapsed_s, prepend=0.0) / (365.25 * SECONDS_PER_DAY)
    drift = (scenario.price_drift - 0.5 * scenario.price_volatility**2) * years
    steps = drift + scenario.price_volatility * np.sqrt(years) * random.standard_normal(len(years))
    path: Values = scenario.btc_usd * np.exp(np.cumsum(steps))
    return path


def _difficulty_steps(scenario: HashpriceScenario, elapsed_s: Values, random: np.random.RandomState) -> Values:
    starts, levels = [0.0], [scenario.difficulty]
    while starts[-1] <= elapsed_s[-1]:
        growth = np.log1p(scenario.difficulty_drift) + scenario.difficulty_spread * random.standard_normal()
        duration = SECONDS_PER_EPOCH / float(np.exp(growth))
        starts.append(starts[-1] + duration)
        levels.append(float(retarget(levels[-1], duration)))
    return np.array(levels)[np.searchsorted(starts, elapsed_s, side="right") - 1]


def _values(given: ArrayLike) -> Values:
    return np.asarray(given, dtype=np.float64)


def _positive(given: ArrayLike, name: str) -> Values:
    values = _values(given)
    if not (values > 0).all():
        raise ValueError(f"{name} must be above 0")
    return values


__all__ = [
    "HashpricePaths",
    "HashpriceScenario",
    "break_even_efficiency_j_per_th",
    "break_even_table",
    "fees_from_share",
    "hashprice_btc_per_ph_day",
    "hashprice_paths",
    "hashprice_usd_per_ph_day",
    "network_hashrate_eh_per_s",
    "retarget",
    "revenue_usd_per_mwh",
    "subsidy_btc",
    "subsidy_on",
    "value_of_curtailed_mwh",
]
