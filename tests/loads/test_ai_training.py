"""AI training, solved by hand: cheapest hours, windows, throughput curves, synchronous runs, lateness, the room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from microgrid.assets.ai_training import AiTraining
from microgrid.assets.programs.ancillary_services import AncillaryServices
from microgrid.assets.room import Room, Supply
from microgrid.assets.training_job import TrainingJob, Window, checkpoint_interval_h, power_cap_curves
from microgrid.errors import InvalidInput
from microgrid.formulation.algebra import number

Bench = Callable[..., Any]

PLAIN = {"pue": 1.0}


def hall(room: dict[str, object] | None = None, **job: object) -> AiTraining:
    """One job of 10 MW in a room without losses."""
    return AiTraining(bus="HALL", room=room or PLAIN, jobs={"job": {"power_mw": 10.0, **job}})


def test_work_goes_to_the_cheapest_hours_of_its_window(campus: Bench) -> None:
    train = hall(work_mwh=15.0, arrival="2025-07-01T01:00", deadline="2025-07-01T04:00")
    outcome = campus({"train": train}, [1.0, 30.0, 20.0, 40.0, 1.0])  # hour 0 and hour 4 lie outside
    assert outcome["train.job.power_mw"] == pytest.approx([0.0, 5.0, 10.0, 0.0, 0.0])
    assert outcome["train.job.work_done_mwh"] == pytest.approx([15.0])


def test_facility_power_is_it_power_times_pue_over_chain_efficiency(campus: Bench) -> None:
    train = hall({"pue": 1.2, "chain_efficiency": 0.96}, work_mwh=10.0)
    outcome = campus({"train": train}, [10.0])
    assert outcome["poi.import_mw"] == pytest.approx([10.0 * 1.2 / 0.96])


def test_pue_follows_ambient_temperature(campus: Bench) -> None:
    train = hall({"cooling": "warm_water", "ambient_c": 0.0}, work_mwh=20.0)
    outcome = campus({"train": train}, [10.0, 10.0], series={"train.room.ambient_c": [20.0, 35.0]})
    assert outcome["poi.import_mw"] == pytest.approx([11.0, 11.2])


def test_a_capped_job_saves_the_dear_segments_of_its_curve(campus: Bench) -> None:
    # Segments above 5 MW: throughput 0.6 -> 0.9 over 3 MW (slope 1.0), then 0.9 -> 1.0 over 2 MW (slope 0.5).
    curve = [
        {"power_share": 0.5, "throughput_share": 0.6}, {"power_share": 0.8, "throughput_share": 0.9},
        {"power_share": 1.0, "throughput_share": 1.0},
    ]  # fmt: skip
    train = hall(work_mwh=10.0, min_power_mw=5.0, power_cap_curve=curve, unfinished_usd_per_mwh=100.0)
    assert campus({"train": train}, [40.0])["train.job.power_mw"] == pytest.approx([10.0])
    assert campus({"train": train}, [60.0])["train.job.power_mw"] == pytest.approx([8.0])
    outcome = campus({"train": train}, [110.0])
    assert outcome["train.job.power_mw"] == pytest.approx([5.0])
    assert outcome["train.job.unfinished_mwh"] == pytest.approx([4.0])


def test_an_elastic_job_without_a_floor_may_switch_off_parts_instead_of_capping_below_its_hull() -> None:
    job = TrainingJob(power_mw=10.0, work_mwh=1.0, power_cap_curve="compute_bound")
    hull = job.hull()
    assert hull[0] == (0.0, 0.0)
    assert hull[1] == pytest.approx((6.0, 6.8))  # 0.68 / 0.6 is the best throughput per power of the curve
    assert power_cap_curves()["compute_bound"][-1] == (1.0, 1.0)


def test_a_synchronous_job_runs_as_one_block_and_pays_for_every_restart(campus: Bench) -> None:
    train = hall(work_mwh=20.0, synchronous=True, restart_loss_h=0.5)
    # Two runs of one hour lose 2 * 5 MWh and would need a third hour; three hours in one run lose 5 and are enough.
    outcome = campus({"train": train}, [10.0, 50.0, 10.0, 60.0])
    assert outcome["train.job.running"] == pytest.approx([1.0, 1.0, 1.0, 0.0])
    assert outcome["train.job.work_done_mwh"] == pytest.approx([25.0])


def test_a_minimum_run_keeps_a_synchronous_job_on(campus: Bench) -> None:
    train = hall(work_mwh=10.0, synchronous=True, restart_loss_h=0.0, min_run_h=3.0)
    outcome = campus({"train": train}, [20.0, 10.0, 25.0, 60.0, 60.0])
    assert outcome["train.job.running"] == pytest.approx([1.0, 1.0, 1.0, 0.0, 0.0])


def test_a_synchronous_job_throttles_only_while_it_runs(campus: Bench) -> None:
    curve = [{"power_share": 0.6, "throughput_share": 0.7}, {"power_share": 1.0, "throughput_share": 1.0}]
    train = hall(work_mwh=14.0, synchronous=True, restart_loss_h=0.0, min_power_mw=6.0, power_cap_curve=curve)
    outcome = campus({"train": train}, [10.0, 10.0, 10.0])  # 7 of throughput for 6 MW: two capped hours are enough
    assert outcome["train.it_power_mw"].sum() == pytest.approx(12.0)
    assert outcome["train.job.running"].sum() == pytest.approx(2.0)


def test_stops_without_notice_lose_half_a_checkpoint_interval_more() -> None:
    job = TrainingJob(
        power_mw=8.0, work_mwh=1.0, restart_loss_h=0.25, checkpoint_interval_h=0.5, stops_without_notice=True
    )
    assert job.loss_mwh == pytest.approx(8.0 * 0.5)
    assert checkpoint_interval_h(0.05, 3.0) == pytest.approx((2 * 0.05 * 3.0) ** 0.5)


def test_gpu_hours_become_energy_at_full_power_and_goodput_adds_to_them() -> None:
    job = TrainingJob(power_mw=12.0, gpu_hours=80000.0, gpus=8000, goodput=0.8)
    assert job.work_owed_mwh == pytest.approx(10.0 * 12.0 / 0.8)


def test_late_work_pays_its_penalty_only_after_the_deadline(campus: Bench) -> None:
    train = hall(work_mwh=10.0, deadline="2025-07-01T02:00", grace_h=1.0, late_usd_per_mwh=30.0)
    early = campus({"train": train}, [70.0, 60.0, 31.0, 0.0])
    late = campus({"train": train}, [70.0, 60.0, 29.0, 0.0])
    assert early["train.job.power_mw"] == pytest.approx([0.0, 10.0, 0.0, 0.0])
    assert late["train.job.power_mw"] == pytest.approx([0.0, 0.0, 10.0, 0.0])
    assert late.money["train.job.late_penalty"] == pytest.approx(300.0)


def test_work_repeats_by_local_day_and_is_owed_in_proportion_to_what_the_horizon_covers(campus: Bench) -> None:
    train = hall(work_mwh=48.0, repeat="day")
    outcome = campus({"train": train}, [10.0] * 30, start="2025-07-01T05:00Z")  # one local day and six hours
    assert outcome["train.job.work_done_mwh"] == pytest.approx([48.0, 12.0])


def test_a_day_of_twenty_three_hours_owes_its_whole_work(campus: Bench) -> None:
    train = hall(work_mwh=46.0, repeat="day")
    outcome = campus({"train": train}, [10.0] * 23, start="2025-03-09T06:00Z")  # clocks go forward in Chicago
    assert outcome["train.job.work_done_mwh"] == pytest.approx([46.0])


def test_a_window_half_inside_the_horizon_owes_half_its_work_and_one_outside_none(campus: Bench, axis: Bench) -> None:
    job = TrainingJob(power_mw=10.0, work_mwh=20.0, arrival="2025-06-30T22:00", deadline="2025-07-01T02:00")
    assert [window.work_mwh for window in job.windows(axis(4))] == pytest.approx([10.0])
    outside = TrainingJob(power_mw=10.0, work_mwh=20.0, arrival="2025-06-29", deadline="2025-06-30")
    assert outside.windows(axis(4)) == []
    train = AiTraining(bus="H", room=PLAIN, jobs={"gone": outside})
    assert campus({"train": train}, [10.0] * 4)["poi.import_mw"] == pytest.approx([0.0] * 4)


def test_late_work_is_owed_as_long_as_it_counts_though_no_step_lies_before_the_deadline(
    campus: Bench, axis: Bench
) -> None:
    # All steps end after 00:20, so all work is late; the grace ends at 02:20, so it ends with the second.
    short = hall(work_mwh=12.0, deadline="2025-07-01T00:20", grace_h=2.0, late_usd_per_mwh=30.0)
    outcome = campus({"train": short}, [20.0, 50.0, 10.0, 10.0])
    assert outcome["train.job.power_mw"] == pytest.approx([10.0, 2.0, 0.0, 0.0])
    assert outcome.money["train.job.late_penalty"] == pytest.approx(360.0)
    past = TrainingJob(power_mw=10.0, work_mwh=12.0, deadline="2025-07-01T00:00", grace_h=3.0)
    assert past.windows(axis(4)) == [Window(0, 0, 3, 12.0)]
    begun = TrainingJob(**{**past.model_dump(), "arrival": "2025-06-30T20:00"})
    assert begun.windows(axis(4)) == []  # its time was before, and its work as well
    assert begun.windows(axis(4), done_mwh=9.0) == [Window(0, 0, 3, 3.0)]


def test_a_job_is_never_dropped_without_a_word(campus: Bench) -> None:
    with pytest.raises(InvalidInput, match=r"train\.jobs\.job\.deadline: 2025-07-01 01:50:00: no whole step of 60 min"):
        campus({"train": hall(work_mwh=1.0, arrival="2025-07-01T01:10", deadline="2025-07-01T01:50")}, [10.0] * 4)
    outside = hall(work_mwh=20.0, arrival="2025-06-29", deadline="2025-06-30", grace_h=1.0)
    assert campus({"train": outside}, [10.0] * 4)["train.job.work_owed_mwh"] == pytest.approx([0.0])


def test_windows_one_after_the_other_owe_the_work_of_the_whole(axis: Bench) -> None:
    job = TrainingJob(power_mw=10.0, work_mwh=20.0, arrival="2025-07-01T00:00", deadline="2025-07-01T04:00")
    day = TrainingJob(power_mw=10.0, work_mwh=48.0, repeat="day")
    for one, last in ((job, 2), (day, 22)):
        first, then = axis(last), axis(2, start=str(axis(last + 1).times[-1]))
        whole = one.work_owed_mwh
        for done in (0.0, one.windows(first)[0].work_mwh, whole):
            assert one.windows(then, done)[0].work_mwh == pytest.approx(whole - done)
        assert one.windows(first)[0].work_mwh + one.windows(then)[0].work_mwh == pytest.approx(whole)
    half = axis(1, start="2025-07-01T06:00Z")  # the second of four hours owes a third of what is left
    assert job.windows(half, 8.0)[0].work_mwh == pytest.approx(4.0)


def test_a_job_with_an_end_starts_no_run_that_it_cannot_complete(campus: Bench) -> None:
    job = {"work_mwh": 10.0, "synchronous": True, "restart_loss_h": 0.0, "min_run_h": 3.0}
    price = [60.0, 60.0, 60.0, 10.0, 60.0, 60.0]
    ends = campus({"train": hall(**job, deadline="2025-07-01T04:00")}, price)
    assert ends["train.job.running"] == pytest.approx([0.0, 1.0, 1.0, 1.0])
    lasts = campus({"train": hall(**job)}, price[:4])  # it may run on beyond the horizon
    assert lasts["train.job.running"] == pytest.approx([0.0, 0.0, 0.0, 1.0])


def test_income_is_paid_on_completed_work(campus: Bench) -> None:
    train = hall(work_mwh=10.0, value_usd_per_mwh=200.0, unfinished_usd_per_mwh=0.0)
    assert campus({"train": train}, [199.0]).earned == pytest.approx(10.0)
    assert campus({"train": train}, [201.0]).earned == pytest.approx(0.0)


def test_a_worse_goodput_never_earns_more(campus: Bench) -> None:
    job = {"work_mwh": 10.0, "value_usd_per_mwh": 200.0, "unfinished_usd_per_mwh": 50.0}
    full, worse = (campus({"train": hall(**job, goodput=share)}, [60.0] * 3) for share in (1.0, 0.5))
    assert full.money["train.job.training_income"] == pytest.approx(-2000.0)
    assert worse.money["train.job.training_income"] == pytest.approx(-2000.0)  # 20 MWh drawn, 10 of them useful
    earned = [campus({"train": hall(**job, goodput=share)}, [60.0] * 2).earned for share in (1.0, 0.8, 0.5, 0.3, 0.2)]
    assert earned == sorted(earned, reverse=True)
    late = {"work_mwh": 5.0, "goodput": 0.5, "deadline": "2025-07-01T01:00", "grace_h": 1.0, "late_usd_per_mwh": 30.0}
    outcome = campus({"train": hall(**late)}, [70.0, 1.0])
    assert outcome.money["train.job.late_penalty"] == pytest.approx(150.0)  # 10 MWh late, 5 of them useful
    undone = campus({"train": hall(work_mwh=10.0, goodput=0.5, unfinished_usd_per_mwh=50.0)}, [60.0])
    assert undone.money["train.job.unfinished_penalty"] == pytest.approx(500.0)


def test_job_ramps_hold(campus: Bench) -> None:
    train = hall(work_mwh=15.0, ramp_mw_per_min=0.1)
    outcome = campus({"train": train}, [50.0, 10.0, 50.0])
    assert np.abs(np.diff(outcome["train.job.power_mw"])).max() <= 6.0 + 1e-6
    assert outcome["train.job.power_mw"][1] == pytest.approx(9.0)  # 3 + 9 + 3 carry the peak highest


def test_redundant_supply_bounds_the_room() -> None:
    assert Supply(modules=5, module_mw=2.0, redundancy="N").usable_mw == 10.0
    assert Supply(modules=5, module_mw=2.0, redundancy="N+1").usable_mw == 8.0
    assert Supply(modules=6, module_mw=2.0, redundancy="2N").usable_mw == 6.0
    assert Supply(modules=6, module_mw=2.0, redundancy="2N").installed_per_usable == 2.0
    with pytest.raises(ValidationError, match="even number"):
        Supply(modules=5, module_mw=2.0, redundancy="2N")
    assert Room().it_limit_mw == float("inf")


def test_jobs_share_the_redundant_supply(campus: Bench) -> None:
    train = AiTraining(
        bus="H",
        room={**PLAIN, "supply": {"modules": 4, "module_mw": 5.0, "redundancy": "N+1"}},
        jobs={"a": {"power_mw": 10.0, "work_mwh": 10.0}, "b": {"power_mw": 10.0, "work_mwh": 10.0}},
    )
    outcome = campus({"train": train}, [10.0, 20.0])
    assert outcome["train.it_power_mw"] == pytest.approx([15.0, 5.0])


def test_a_job_that_must_finish_in_time_gives_nothing_up(page: Bench, axis: Bench) -> None:
    outcome = page({"train": hall(work_mwh=1.0)}, axis(1), {}, {"train.job.segment0_mw": np.array([3.0])})
    room = outcome.campus.headrooms["train"]
    assert (number(room.up[0]), number(room.down[0])) == pytest.approx((0.0, 7.0))
    quick = hall(work_mwh=1.0, unfinished_usd_per_mwh=9.0, ramp_mw_per_min=0.2)
    outcome = page({"train": quick}, axis(1), {}, {"train.job.segment0_mw": np.array([3.0])})
    room = outcome.campus.headrooms["train"]
    assert [number(speed[0]) for speed in (*room.speeds_up, *room.speeds_down)] == pytest.approx([0.2, 0.2])


def test_a_call_to_draw_more_stays_within_the_redundant_supply(campus: Bench) -> None:
    job = {"power_mw": 10.0, "work_mwh": 5.0}
    supply = {"modules": 3, "module_mw": 6.0, "redundancy": "N+1"}
    train = AiTraining(bus="H", room={**PLAIN, "supply": supply}, jobs={"a": job, "b": job})
    product = {"up": False, "duration_h": 1.0, "response_min": 10.0, "deployed_share": 0.0}
    services = {"down": {"product": product, "price_usd_per_mwh": 1.0}}
    market = AncillaryServices(poi="poi", services=services, import_right_mw=100.0)
    outcome = campus({"train": train, "as": market}, [50.0])
    assert outcome["as.down.train.sold_mw"] == pytest.approx([2.0])  # 12 MW of supply carry 10 already


def test_headroom_is_what_running_jobs_can_give_up(page: Bench, axis: Bench) -> None:
    job = {"power_mw": 10.0, "min_power_mw": 4.0, "work_mwh": 1.0, "unfinished_usd_per_mwh": 1.0}
    train = AiTraining(bus="H", room={"pue": 1.1}, jobs={"a": job})
    outcome = page({"train": train}, axis(1), {}, {"train.a.segment0_mw": np.array([3.0])})
    room = outcome.campus.headrooms["train"]
    assert room.up[0].number == pytest.approx(3.3)
    assert room.down[0].number == pytest.approx(3.3)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({}, "either work_mwh or gpu_hours"),
        ({"gpu_hours": 5.0}, "needs gpus"),
        ({"work_mwh": 1.0, "repeat": "day", "deadline": "2025-07-02"}, "drop arrival"),
        ({"work_mwh": 1.0, "arrival": "2025-07-03", "deadline": "2025-07-02"}, "before deadline"),
        ({"work_mwh": 1.0, "min_power_mw": 11.0}, "exceeds power_mw"),
        ({"work_mwh": 1.0, "power_cap_curve": "v100"}, "compute_bound"),
        ({"work_mwh": 1.0, "power_cap_curve": [{"power_share": 0.5, "throughput_share": 0.6}]}, "must end"),
    ],
)
def test_contradictory_jobs_are_refused(job: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        hall(**job)
