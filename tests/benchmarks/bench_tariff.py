"""Speed of the bill: a year of 15-minute data under eight charges, against a naive month-by-month pandas loop.

Run by hand: ``PYTHONPATH=. python tests/benchmarks/bench_tariff.py``. Prints the best of several runs of both, their
ratio, and that both agree to the cent. Goal: 20 ms for the whole bill, calendars included.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from microgrid.tariffs.bill import bill
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.reading import MeterData

PRICES = {"s_on": 0.151, "s_mid": 0.141, "s_off": 0.112, "w_mid": 0.123, "w_off": 0.089}
TARIFF = Tariff.model_validate(
    {
        "id": "bench",
        "timezone": "America/Los_Angeles",
        "holidays": {"calendar": "US", "include": ["New Year's Day", "Labor Day"], "observed": "sunday_to_monday"},
        "calendars": {
            "E": {
                "rules": [
                    {"months": [6, 7, 8, 9], "days": "weekday", "hours": [[16, 21]], "period": "s_on"},
                    {"months": [6, 7, 8, 9], "hours": [[16, 21]], "period": "s_mid"},
                    {"months": [6, 7, 8, 9], "period": "s_off"},
                    {"hours": [[16, 21]], "period": "w_mid"},
                ],
                "default": "w_off",
            }
        },
        "determinants": {
            "pk": {"kind": "demand", "window_min": 30},
            "pk_on": {"kind": "demand", "calendar": "E", "periods": ["s_on"], "window_min": 15},
            "bd": {"kind": "max_of", "of": [{"ref": "pk"}, {"ref": "pk", "lookback": 11, "pct": 0.8}, {"const": 5000}]},
        },
        "charges": [
            {"id": "customer", "kind": "fixed", "amount": 447.44},
            {"id": "energy", "kind": "energy", "calendar": "E", "price": PRICES},
            {"id": "adder", "kind": "energy", "price": 0.00114},
            {"id": "demand", "kind": "demand", "of": "bd", "price": 25.36},
            {"id": "on_peak", "kind": "demand", "of": "pk_on", "price": 29.54},
            {
                "id": "blocks",
                "kind": "energy",
                "kw": "bd",
                "tiers": [{"upto": {"kwh_per_kw": 300}, "price": 0.02}, {"upto": {}, "price": 0.01}],
            },
            {"id": "rider", "kind": "percent", "pct": 0.05, "of": ["energy", "demand"]},
            {"id": "minimum", "kind": "min_bill", "of": ["energy", "demand"], "amount": 1e6},
        ],
    }
)


def load() -> MeterData:
    """A year of 15-minute load."""
    times = pd.date_range("2025-01-01 08:00", periods=35_040, freq="15min", tz="UTC")
    rng = np.random.default_rng(1)
    kw = 20_000.0 + 8_000.0 * np.sin(np.arange(times.size) / 96 * 6.283) + rng.uniform(0, 3_000, times.size)
    return MeterData(times, 15, kw, np.zeros(times.size))


def naive(data: MeterData) -> float:
    """Month-by-month loop with pandas masks, as one would write it first."""
    frame = pd.DataFrame({"kw": data.import_kw}, index=data.times.tz_convert("America/Los_Angeles"))
    peaks: list[float] = []
    total = 0.0
    for _, month in frame.groupby([frame.index.year, frame.index.month]):
        holiday = pd.Series(month.index.strftime("%Y-%m-%d")).isin(["2025-01-01", "2025-09-01"]).to_numpy()
        summer = month.index.month.isin([6, 7, 8, 9])
        late = (month.index.hour >= 16) & (month.index.hour < 21)
        weekday = (month.index.dayofweek < 5) & ~holiday
        energy = 0.0
        for name, mask in {
            "s_on": summer & weekday & late,
            "s_mid": summer & ~weekday & late,
            "s_off": summer & ~late,
            "w_mid": ~summer & late,
            "w_off": ~summer & ~late,
        }.items():
            energy += month["kw"][mask].sum() * 0.25 * PRICES[name]
        kwh = month["kw"].sum() * 0.25
        half_hours = month["kw"].resample("30min").mean()
        peaks.append(half_hours.max())
        billed = max(peaks[-1], 5_000.0, *(0.8 * peak for peak in peaks[:-1][-11:]), 0.0)
        on = month["kw"][summer & weekday & late]
        demand = billed * 25.36
        first = min(kwh, 300 * billed)
        total += 447.44 + energy + 0.00114 * kwh + demand + 29.54 * (on.max() if len(on) else 0.0)
        total += 0.02 * first + 0.01 * (kwh - first) + 0.05 * (energy + demand) + max(1e6 - energy - demand, 0.0)
    return total


def best(run: Callable[[], object], repeats: int) -> float:
    """Shortest of several runs, ms."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return 1000.0 * min(times)


def main() -> None:
    """Print both times, their ratio and the difference in money."""
    data = load()
    axis = TARIFF.axis(data.times, 15)
    made = bill(TARIFF, data, history="first_year")
    print(f"bill {made.total:.2f}, naive {naive(data):.2f}, difference {made.total - naive(data):.6f}")
    whole = best(lambda: bill(TARIFF, data, history="first_year"), 15)
    lines = best(lambda: bill(TARIFF, data, history="first_year").lines, 15)
    again = best(lambda: bill(TARIFF, data, history="first_year", axis=axis), 15)
    slow = best(lambda: naive(data), 5)
    print(f"bill, 35,040 x 8 charges: {whole:.1f} ms (with line table {lines:.1f}, on a prepared axis {again:.1f})")
    print(f"naive pandas loop: {slow:.1f} ms, {slow / whole:.1f} x slower")


if __name__ == "__main__":
    main()
