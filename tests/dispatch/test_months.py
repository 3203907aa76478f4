"""The start from months: prices of what months share, on hand-solved years of three months, and the same optimum."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).parent))
from small_years import HOURS, MONTHS, STEPS, billed_peaks, optimum, run_hours, year

from microgrid.dispatch import crash
from microgrid.dispatch.bound import dual_bound
from microgrid.dispatch.compile import Program
from microgrid.dispatch.highs import Highs, Status
from microgrid.dispatch.months import take_apart
from microgrid.dispatch.shared_prices import find_prices


def ratchet() -> Program:
    """Load 5, 9 and 6 MW, bought at 1 $/MWh; each month bills the larger of its peak and 80 % of the others', at 7 $.

    A store of nothing: shedding costs 100 $/MWh, so the second month's 9 MW are the peak, billed 9, 7.2 and 7.2.
    """
    load = np.array([5.0, 9.0, 6.0])[MONTHS]
    groups = {"import": STEPS, "shed": STEPS, "peak": 3, "billed": 3}
    place, width = dict(zip(groups, (0, STEPS, 2 * STEPS, 2 * STEPS + 3), strict=True)), 2 * STEPS + 6
    balance = sp.hstack([sp.eye_array(STEPS), sp.eye_array(STEPS), sp.csr_array((STEPS, 6))])
    covers = sp.lil_array((STEPS, width))
    covers[np.arange(STEPS), np.arange(STEPS)] = 1.0
    covers[np.arange(STEPS), place["peak"] + MONTHS] = -1.0
    ratchets = sp.lil_array((9, width))
    for row in range(9):
        billed, peak = divmod(row, 3)
        ratchets[row, place["peak"] + peak] = 1.0 if billed == peak else 0.8
        ratchets[row, place["billed"] + billed] = -1.0
    cost = np.concatenate([np.ones(STEPS), np.full(STEPS, 100.0), np.zeros(3), np.full(3, 7.0)])
    lower = np.concatenate([load, np.full(STEPS + 9, -np.inf)])
    upper = np.concatenate([load, np.zeros(STEPS + 9)])
    return year(groups, cost, sp.vstack([balance, covers, ratchets]), lower, upper, np.full(width, np.inf))


@pytest.mark.parametrize(("limit", "price"), [(STEPS + 1.0, 0.0), (1.5 * HOURS, -20.0), (0.5 * HOURS, -30.0)])
def test_a_run_hour_is_priced_by_the_hour_it_would_be_used_for(limit: float, price: float) -> None:
    program = run_hours(limit)
    months = take_apart(program, {})
    assert months.meeting.tolist() == [0]
    assert months.shared.all()
    found = find_prices(months, threads=1, close=crash.CLOSE)
    assert found is not None
    assert found.answer.duals[0] == pytest.approx(price, abs=1e-6)


def test_a_ratchet_charges_the_month_that_sets_it() -> None:
    program = ratchet()
    assert optimum(program) == pytest.approx(HOURS * 20.0 + 7.0 * (9.0 + 7.2 + 7.2))
    months = take_apart(program, {})
    assert program.columns[3].span == slice(months.loose[0], months.loose[-1] + 1)
    found = find_prices(months, threads=1, close=crash.CLOSE)
    assert found is not None
    reduced = months.reduced_cost(found.answer.duals[months.meeting])[program.columns[2].span]
    assert reduced == pytest.approx(
        [0.0, 7.0 * 2.6, 0.0]
    )  # the second month pays 1 + 0.8 + 0.8 billed MW for a peak MW


@pytest.mark.parametrize("program", [run_hours(400.0), ratchet()])
def test_the_start_changes_the_way_and_not_the_optimum(monkeypatch: pytest.MonkeyPatch, program: Program) -> None:
    monkeypatch.setattr(crash, "FEWEST_STEPS", 100)
    monkeypatch.setattr(crash, "FEW_ROWS", 0)
    solver = Highs(program, relax=True, options={"presolve": "off"})
    crash.start(program, solver, threads=1)
    outcome = solver.run()
    assert outcome.status is Status.OPTIMAL
    assert outcome.objective == pytest.approx(optimum(program), rel=1e-9)
    assert solver.pivots == 0, "the start is the optimum itself"


@pytest.mark.parametrize("load_mw", [[50.0], [30.0, 70.0], [70.0, 30.0]], ids=["alike", "too low to hold", "too high"])
def test_peaks_held_near_those_of_the_month_before_change_the_way_and_not_the_answer(
    monkeypatch: pytest.MonkeyPatch, load_mw: list[float]
) -> None:
    rng, months = np.random.default_rng(5), np.arange(STEPS) * 12 // STEPS
    load = np.resize(load_mw, 12)[months] + rng.uniform(-9, 9, STEPS)
    program = billed_peaks(rng.uniform(20, 60, STEPS), load, 300.0)
    apart, held = take_apart(program, {}), []
    assert [month.columns[month.peaks].tolist() for month in apart.parts] == [[4 * STEPS + 1 + k] for k in range(12)]
    plain = Highs.bounds
    monkeypatch.setattr(Highs, "bounds", lambda self, *given: (held.append(given), plain(self, *given)))
    prices = np.zeros(apart.meeting.size)
    free = take_apart(program, {}).solve(prices, threads=12)
    assert not held, "no month follows another in its thread"
    answer = apart.solve(prices, threads=1)
    assert len(held) == 2 * 11
    assert free is not None
    assert answer is not None
    assert program.cost @ answer.point == pytest.approx(program.cost @ free.point, rel=1e-9)
    assert dual_bound(program, answer.duals) == pytest.approx(dual_bound(program, free.duals), rel=1e-9)
    apart.solve(prices, threads=1)
    assert len(held) == 2 * 11, "peaks are held the first time only"
