"""AI training: jobs that must complete their work in time, shifted to cheap hours as far as they allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from microgrid.assets.asset import Asset
from microgrid.assets.expected_calls import expected_calls_mw, largest_share_called
from microgrid.assets.room import Room
from microgrid.assets.training_job import TrainingJob, Window
from microgrid.assets.training_run import Run, write_job
from microgrid.assets.training_work import complete_job, share_calls
from microgrid.errors import InvalidInput, Problem
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block, Headroom
from microgrid.formulation.horizon import Index
from microgrid.formulation.ramping import speed_left
from microgrid.schema.quantity import quantity


class AiTraining(Asset):
    """Training jobs in one room; each completes its work by its deadline, or pays for lateness.

    Reserves are sold from jobs that may be late or unfinished. Work that expected calls take away must be made up like
    any other; it is reckoned at the steepest part of the job's throughput curve. Calls to draw more do work; it is
    reckoned at the flattest part, and only until the deadline.
    """

    example: ClassVar[Mapping[str, object]] = {
        "kind": "ai_training", "bus": "TRAIN",
        "jobs": {
            "pretraining": {
                "power_mw": 20.0, "min_power_mw": 10.0, "work_mwh": 400.0, "repeat": "day",
                "power_cap_curve": "compute_bound",
            },
        },
    }  # fmt: skip

    kind: Literal["ai_training"] = "ai_training"
    jobs: dict[str, TrainingJob] = Field(description="jobs by name", min_length=1)
    room: Room = Field(Room(), description="cooling, power chain and redundant supply")
    swing_share: float = quantity(
        "1", "sub-second swing of synchronous compute relative to its power, reported for the dynamic check",
        default=0.0, ge=0, le=1,
    )  # fmt: skip
    power_factor: float = quantity(
        "1", "displacement power factor at the bus, lagging", symbol=r"\cos\varphi", default=0.99, gt=0, le=1
    )

    @field_validator("jobs")
    @classmethod
    def _names_are_plain(cls, jobs: dict[str, TrainingJob]) -> dict[str, TrainingJob]:
        bad = [name for name in jobs if "." in name or not name.strip()]
        if bad:
            raise ValueError(f"job names must not be empty or hold a dot: {', '.join(map(repr, bad))}")
        return jobs

    def rating_mva(self) -> float:
        """Largest facility power of all jobs, or of the supply, over the power factor."""
        it_power = min(self.room.it_limit_mw, sum(job.power_mw for job in self.jobs.values()))
        return it_power * self.room.largest_facility_per_it() / self.power_factor

    def formulate(self, block: Block) -> None:
        """Write every job, the room they share, and the power at the bus."""
        plans = {name: windows for name, job in self.jobs.items() if (windows := _plan(block, name, job))}
        runs = {name: write_job(block, name, self.jobs[name], windows) for name, windows in plans.items()}
        ratio = self.room.facility_per_it(block)
        it_power = _gather(block, runs, "power")
        facility = block.terms(lambda t: ratio[t] * it_power[t])
        self._limit_room(block, it_power)
        block.injects(lambda t: -facility[t])
        block.publish("facility_per_it", lambda t: ratio[t], "1", "power at the bus per power of the accelerators")
        block.publish("facility_power_mw", lambda t: facility[t], "MW", "power of the room with cooling")
        block.publish("it_power_mw", lambda t: it_power[t], "MW", "power of the accelerators")
        block.report("it_power_mw", lambda t: it_power[t], "MW", "power of the accelerators")
        block.report("facility_power_mw", lambda t: facility[t], "MW", "power of the room with cooling")
        if self.swing_share:
            block.report("swing_mw", lambda t: self.swing_share * facility[t], "MW", "sub-second power swing")
        self._offer(block, runs, ratio, it_power)
        block.after_all(lambda: self._complete(block, plans, runs, ratio))

    def _complete(
        self, block: Block, plans: Mapping[str, Sequence[Window]], runs: Mapping[str, Run], ratio: Sequence[float]
    ) -> None:
        """Owe the work of every job, less what calls are expected to take from it, and with what they add."""
        giving = {name: run for name, run in runs.items() if self.jobs[name].may_yield}
        lost, won = (_answers(block, able, ratio, up=up) for able, up in ((giving, True), (runs, False)))
        for name, run in runs.items():
            complete_job(block, name, self.jobs[name], plans[name], run, (lost.get(name), won.get(name)))

    def _offer(self, block: Block, runs: Mapping[str, Run], ratio: Sequence[float], it_power: Sequence[Linear]) -> None:
        """Offer what jobs can give up that may be left unfinished or late, and what they can take up in the room."""
        limit = self.room.it_limit_mw
        giving = {name: run for name, run in runs.items() if self.jobs[name].may_yield}
        up = _gather(block, giving, "room_down_mw")
        down = _gather(block, runs, "room_up_mw")
        shared: tuple[Sequence[Linear], ...] = ()
        if sum(job.power_mw for job in self.jobs.values()) > limit:
            shared = (block.terms(lambda t: ratio[t] * (limit - it_power[t])),)
        # All that is sold may come from one job, so the ramp of each, less what its schedule takes of it, is a bound.
        block.headroom(
            Headroom(
                up=block.terms(lambda t: ratio[t] * up[t]),
                down=block.terms(lambda t: ratio[t] * down[t]),
                caps_down=shared,
                speeds_up=self._speeds(block, giving, ratio, rising=False),
                speeds_down=self._speeds(block, runs, ratio, rising=True),
            )
        )

    def _speeds(
        self, block: Block, runs: Mapping[str, Run], ratio: Sequence[float], *, rising: bool
    ) -> tuple[Sequence[Linear], ...]:
        """Speed at the bus that the schedule of every job with a ramp leaves, MW/min."""
        speeds = []
        for name, run in runs.items():
            ramp = self.jobs[name].ramp_mw_per_min
            if ramp is not None:
                power = block.terms(run.power_at)
                left = speed_left(block, ramp, power, rising=rising, previous=run.span.step_before)
                speeds.append(_scaled(block, ratio, left))
        return tuple(speeds)

    def _limit_room(self, block: Block, it_power: Sequence[Linear]) -> None:
        limit = self.room.it_limit_mw
        if sum(job.power_mw for job in self.jobs.values()) <= limit:
            return

        @block.constraint(block.horizon.steps)
        def redundant_supply(t: int) -> Relation:
            r"""\sum_j p_{j,t} \le \bar p^{IT}"""
            return it_power[t] <= limit


def _plan(block: Block, name: str, job: TrainingJob) -> Sequence[Window]:
    """Windows of a job; none, which the result says, where its time lies outside the horizon."""
    windows = job.windows(block.horizon, block.carried(f"{name}.work_done_mwh", nan))
    if not windows:
        block.report(
            "work_owed_mwh", lambda _: 0.0, "MWh", "work owed within the horizon: the job lies outside it",
            index=Index(f"{block.name}.{name}.windows", 1), of=name,
        )  # fmt: skip
    elif windows[0].first >= windows[-1].last:
        raise InvalidInput(
            Problem(
                f"no whole step of {block.horizon.step_min} min of the case lies between arrival and deadline",
                "leave more time, give grace_h, or use shorter steps",
                f"{block.name}.jobs.{name}.deadline",
                str(job.deadline),
            )
        )
    return windows


def _scaled(block: Block, factor: Sequence[float], terms: Sequence[Linear]) -> Sequence[Linear]:
    return block.terms(lambda t: factor[t] * terms[t])


def _answers(block: Block, runs: Mapping[str, Run], ratio: Sequence[float], *, up: bool) -> dict[str, Sequence[Linear]]:
    """IT power that expected calls of one direction take from every job or add to it; nothing where none is sold."""
    called = expected_calls_mw(block, up=up)
    if called is None:
        return {}
    it_called = block.terms(lambda t: (1.0 / ratio[t]) * called[t])
    return share_calls(block, runs, it_called, largest_share_called(block, up=up), up=up)


def _gather(block: Block, runs: Mapping[str, Run], what: str) -> Sequence[Linear]:
    """Sum one quantity of all jobs over the horizon; zero where none is present."""
    spans = [(run.span, getattr(run, what)) for run in runs.values()]
    return block.terms(lambda t: total([*(terms[t - span.first] for span, terms in spans if span.holds(t)), 0.0]))


__all__ = ["AiTraining"]
