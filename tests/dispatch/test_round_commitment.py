"""Threshold rounding keeps every commitment row, whatever the threshold, and averages to the relaxation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgrid.dispatch.compile import CountColumns
from microgrid.dispatch.repair import round_commitment


def fractional_schedule(seed: int, steps: int, units: int, up: int, down: int) -> np.ndarray:
    """A convex combination of feasible unit schedules: running, started and stopped stacked, shape (3, steps)."""
    rng = np.random.default_rng(seed)
    total = np.zeros((3, steps))
    for _ in range(units):
        mix = rng.dirichlet(np.ones(3))
        for weight in mix:
            on, t, state = np.zeros(steps), 0, rng.random() < 0.5
            while t < steps:
                span = int(rng.integers(up if state else down, 3 * max(up, down) + 1))
                on[t : t + span] = state
                t, state = t + span, not state
            before = np.concatenate([[on[0]], on[:-1]])
            total += weight * np.stack([on, np.clip(on - before, 0, None), np.clip(before - on, 0, None)])
    return total


def rounded(schedule: np.ndarray, threshold: float, *, wraps: bool = False) -> np.ndarray:
    steps = schedule.shape[1]
    columns = np.arange(3 * steps).reshape(3, steps)
    return round_commitment(CountColumns(*columns), schedule.ravel(), threshold, wraps=wraps)


@given(
    seed=st.integers(0, 10_000),
    threshold=st.floats(0.0, 0.99),
    units=st.integers(1, 4),
    up=st.integers(1, 4),
    down=st.integers(1, 4),
)
def test_minimum_times_hold_at_every_threshold(seed: int, threshold: float, units: int, up: int, down: int) -> None:
    count = rounded(fractional_schedule(seed, 40, units, up, down), threshold)
    change = np.diff(count, prepend=count[0])
    started, stopped = np.clip(change, 0, None), np.clip(-change, 0, None)
    assert (count >= 0).all()
    assert (count <= units).all()
    assert np.array_equal(count, np.round(count))
    for t in range(1, 40):
        assert started[max(1, t - up + 1) : t + 1].sum() <= count[t]
        assert stopped[max(1, t - down + 1) : t + 1].sum() <= units - count[t]


def test_the_counts_average_to_the_relaxation_over_the_thresholds() -> None:
    schedule = fractional_schedule(3, 60, 4, 3, 2)
    thresholds = (np.arange(400) + 0.5) / 400
    mean = np.mean([rounded(schedule, float(theta)) for theta in thresholds], axis=0)
    assert np.abs(mean - schedule[0]).max() < 0.01


@pytest.mark.parametrize(("running", "lowest", "highest"), [(0.5, 0, 1), (1.4, 1, 2), (2.0, 2, 2)])
def test_a_constant_fraction_on_a_wrap_reaches_both_neighbours(running: float, lowest: int, highest: int) -> None:
    schedule = np.stack([np.full(24, running), np.zeros(24), np.zeros(24)])
    found = {float(rounded(schedule, theta, wraps=True)[0]) for theta in (0.05, 0.35, 0.5, 0.65, 0.95)}
    assert found == {float(lowest), float(highest)}
