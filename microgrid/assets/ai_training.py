"""AI training: jobs that must complete their work in time, shifted to cheap hours as far as they allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from microgrid.assets.asset import Asset
from microgrid.assets.concave_curve import Segment, segments
from microgrid.assets.room import Room, room_below
from microgrid.assets.training_job import TrainingJob, Window
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block, Headroom
from microgrid.formulation.horizon import Index
from microgrid.schema.quantity import quantity


@dataclass(frozen=True)
class Span:
    """The steps of a job, counted from its own first: position k is step ``first + k`` of the horizon."""

    index: Index
    first: int
    wraps: bool

    def before(self, position: int) -> int | None:
        """Position before, None at the first unless the job covers a horizon that wraps."""
        if position > 0:
            return position - 1
        return self.index.size - 1 if self.wraps else None

    def recent(self, position: int, count: int) -> list[int]:
        """Last `count` positions up to and including `position`."""
        if self.wraps:
            return sorted({(position - back) % self.index.size for back in range(count)})
        return list(range(max(0, position - count + 1), position + 1))


@dataclass(frozen=True)
class Run:
    """IT power and throughput (full-power MW) of a job at its positions, its adjustable room, and its starts."""

    span: Span
    power: Sequence[Linear]
    output: Sequence[Linear]
    room_down_mw: Sequence[Linear]
    room_up_mw: Sequence[Linear]
    started: Sequence[Linear] | None


class AiTraining(Asset):
    """Training jobs in one room; each completes its work by its deadline, or pays for lateness."""

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
        steps = block.horizon.steps
        runs = {name: run for name, job in self.jobs.items() if (run := write_job(block, name, job)) is not None}
        ratio = self.room.facility_per_it(block)
        it_power = _gather(block, runs, "power")
        facility = [ratio[t] * it_power[t] for t in steps]
        self._limit_room(block, it_power)
        block.injects(lambda t: -facility[t])
        block.publish("facility_power_mw", lambda t: facility[t], "MW", "power of the room with cooling")
        block.publish("it_power_mw", lambda t: it_power[t], "MW", "power of the accelerators")
        block.report("it_power_mw", lambda t: it_power[t], "MW", "power of the accelerators")
        block.report("facility_power_mw", lambda t: facility[t], "MW", "power of the room with cooling")
        if self.swing_share:
            block.report("swing_mw", lambda t: self.swing_share * facility[t], "MW", "sub-second power swing")
        self._offer(block, runs, ratio, it_power)

    def _offer(self, block: Block, runs: Mapping[str, Run], ratio: Sequence[float], it_power: Sequence[Linear]) -> None:
        """Offer what jobs can give up that may be left unfinished or late, and what they can take up in the room."""
        steps, limit = block.horizon.steps, self.room.it_limit_mw
        giving = {name: run for name, run in runs.items() if self.jobs[name].may_yield}
        up = _gather(block, giving, "room_down_mw")
        down: Sequence[Linear] = _gather(block, runs, "room_up_mw")
        if sum(job.power_mw for job in self.jobs.values()) > limit:
            down = room_below(block, down, [limit - it_power[t] for t in steps])
        ramps = [job.ramp_mw_per_min for job in self.jobs.values() if job.ramp_mw_per_min is not None]
        # All that is sold may come from the slowest job, so its ramp bounds the room.
        slowest = min(ramps, default=float("inf")) * min(ratio)
        block.headroom(
            Headroom(
                up=[ratio[t] * up[t] for t in steps],
                down=[ratio[t] * down[t] for t in steps],
                ramp_mw_per_min=slowest,
            )
        )

    def _limit_room(self, block: Block, it_power: Sequence[Linear]) -> None:
        limit = self.room.it_limit_mw
        if sum(job.power_mw for job in self.jobs.values()) <= limit:
            return

        @block.constraint(block.horizon.steps)
        def redundant_supply(t: int) -> Relation:
            r"""\sum_j p_{j,t} \le \bar p^{IT}"""
            return it_power[t] <= limit


def _gather(block: Block, runs: Mapping[str, Run], what: str) -> list[Linear]:
    """Sum one quantity of all jobs over the horizon; zero where none is present."""
    terms: list[list[Linear]] = [[] for _ in block.horizon.steps]
    for run in runs.values():
        for position, term in enumerate(getattr(run, what)):
            terms[run.span.first + position].append(term)
    return [total([*found, 0.0]) for found in terms]


def write_job(block: Block, name: str, job: TrainingJob) -> Run | None:
    """Write one job on its own steps; None when its window lies outside the horizon."""
    windows = job.windows(block.horizon)
    if not windows:
        return None
    first, last = windows[0].first, windows[-1].last
    count = last - first
    whole = count == block.horizon.count
    index = block.horizon.steps if whole else Index(f"{block.name}.{name}.time", count)
    span = Span(index, first, whole and block.horizon.wraps)
    run = write_synchronous(block, name, job, span) if job.synchronous else write_elastic(block, name, job, span)
    _complete(block, name, job, windows, run)
    _limit_ramp(block, name, job, run)
    on_time = dict(enumerate(run.power, start=first))
    block.report("power_mw", lambda t: on_time.get(t, 0.0), "MW", "IT power of the job", of=name)
    return run


def write_elastic(block: Block, name: str, job: TrainingJob, span: Span) -> Run:
    """Write a job of any power in its range: one bounded variable a segment of its throughput curve, no rows."""
    hull = job.hull()
    low, low_output = hull[0]
    parts = _segment_variables(block, name, segments(hull), span, bounded=True)
    power = [total([*(part[k] for part in parts), low]) for k in span.index]
    output = [
        total([*(piece.slope * part[k] for piece, part in zip(segments(hull), parts, strict=True)), low_output])
        for k in span.index
    ]
    top = hull[-1][0]
    return Run(span, power, output, [power[k] - low for k in span.index], [top - power[k] for k in span.index], None)


def write_synchronous(block: Block, name: str, job: TrainingJob, span: Span) -> Run:
    """Write a job that runs as one block: a binary a step, starts, minimum run, segments above its lowest power."""
    index, hull, idle = span.index, job.hull(), job.idle_power_mw
    running = block.variable("running", index, "1", "job is running", upper=1.0, integer=True, of=name)
    started = block.variable("started", index, "1", "job starts", upper=1.0, of=name)
    before_first = block.carried(f"{name}.running", 0.0)

    @block.constraint(index, of=name)
    def starts(k: int) -> Relation:
        r"""s_k \ge u_k - u_{k-1}"""
        before = span.before(k)
        return started[k] >= running[k] - (before_first if before is None else running[before])

    needed = block.horizon.steps_in(job.min_run_h)
    if needed > 1:

        @block.constraint(index, of=name)
        def min_run(k: int) -> Relation:
            r"""\sum_{i = k-U+1}^{k} s_i \le u_k"""
            return total(started[i] for i in span.recent(k, needed)) <= running[k]

    pieces = segments(hull)
    parts = _segment_variables(block, name, pieces, span, bounded=False)
    for place, (piece, part) in enumerate(zip(pieces, parts, strict=True)):
        _only_when_running(block, f"{name}.segment{place}", piece.width, part, running)
    low, low_output = hull[0]
    power = [total([(low - idle) * running[k], *(part[k] for part in parts), idle]) for k in index]
    output = [
        total([low_output * running[k], *(piece.slope * part[k] for piece, part in zip(pieces, parts, strict=True))])
        for k in index
    ]
    above = [total([*(part[k] for part in parts), 0.0]) for k in index]
    width = hull[-1][0] - low
    return Run(span, power, output, above, [width * running[k] - above[k] for k in index], started)


def _segment_variables(
    block: Block, name: str, pieces: Sequence[Segment], span: Span, *, bounded: bool
) -> list[Sequence[Linear]]:
    return [
        block.variable(
            f"segment{place}_mw", span.index, "MW", "IT power along one piece of the throughput curve",
            upper=piece.width if bounded else None, of=name,
        )
        for place, piece in enumerate(pieces)
    ]  # fmt: skip


def _only_when_running(
    block: Block, of: str, width_mw: float, part: Sequence[Linear], running: Sequence[Linear]
) -> None:
    @block.constraint(range(len(part)), of=of)
    def above_when_running(k: int) -> Relation:
        r"""q_{i,k} \le w_i u_k"""
        return part[k] <= width_mw * running[k]


def _complete(block: Block, name: str, job: TrainingJob, windows: Sequence[Window], run: Run) -> None:
    """Owe the work of every window, and pay or charge for what is done, late and unfinished."""
    hours, first = block.horizon.hours, run.span.first
    owed = [window.work_mwh for window in windows]
    owed[0] = max(0.0, owed[0] - block.carried(f"{name}.work_done_mwh", 0.0))
    index = Index(f"{block.name}.{name}.windows", len(windows))
    missing = None
    if job.unfinished_usd_per_mwh is not None:
        missing = block.variable("unfinished_mwh", index, "MWh", "work never done", upper=owed, of=name)

    def done(place: int) -> Linear:
        window = windows[place]
        span = range(window.first - first, window.last - first)
        terms = [hours[first + k] * run.output[k] for k in span]
        if run.started is not None and job.loss_mwh:
            terms += [-job.loss_mwh * run.started[k] for k in span]
        return total(terms)

    @block.constraint(index, of=name)
    def complete(place: int) -> Relation:
        r"""\sum_k \Delta_k y_k - \tau \bar p \sum_k s_k + m \ge W"""
        return (done(place) if missing is None else done(place) + missing[place]) >= owed[place]

    block.report(
        "work_done_mwh", done, "MWh", "work done at full-power equivalent, restarts deducted", index=index, of=name
    )
    _pay(block, name, job, owed, missing, index)
    _charge_steps(block, name, job, windows, run)


def _pay(
    block: Block, name: str, job: TrainingJob, owed: Sequence[float], missing: Sequence[Linear] | None, index: Index
) -> None:
    if job.value_usd_per_mwh:

        @block.revenue(index, of=name)
        def training_income(place: int) -> Linear:
            r"""v \gamma (W - m) with \gamma the goodput: only useful work earns"""
            left: list[Linear | float] = [owed[place]] if missing is None else [owed[place], -missing[place]]
            return (job.value_usd_per_mwh * job.goodput) * total(left)

    if missing is not None and job.unfinished_usd_per_mwh:
        rate = job.unfinished_usd_per_mwh * job.goodput

        @block.cost(index, of=name)
        def unfinished_penalty(place: int) -> Linear:
            r"""c^{m} \gamma m"""
            return rate * missing[place]


def _charge_steps(block: Block, name: str, job: TrainingJob, windows: Sequence[Window], run: Run) -> None:
    hours, first = block.horizon.hours, run.span.first
    if job.late_usd_per_mwh and windows[-1].last > windows[-1].due:
        late = Index(f"{block.name}.{name}.late", windows[-1].last - windows[-1].due)
        offset = windows[-1].due - first

        @block.cost(late, of=name)
        def late_penalty(place: int) -> Linear:
            r"""\ell \gamma \Delta_k y_k for steps after the deadline"""
            return (job.late_usd_per_mwh * job.goodput * hours[first + offset + place]) * run.output[offset + place]

    started = run.started
    if started is not None and job.start_cost_usd:

        @block.cost(run.span.index, of=name)
        def start_cost(k: int) -> Linear:
            r"""c^{start} s_k"""
            return job.start_cost_usd * started[k]


def _limit_ramp(block: Block, name: str, job: TrainingJob, run: Run) -> None:
    if job.ramp_mw_per_min is None:
        return
    reach = [60.0 * job.ramp_mw_per_min * span for span in block.horizon.hours]

    @block.constraint(run.span.index, of=name)
    def ramp_up(k: int) -> Relation | None:
        r"""p_k - p_{k-1} \le 60 R \Delta_k"""
        before = run.span.before(k)
        return None if before is None else run.power[k] - run.power[before] <= reach[run.span.first + k]

    @block.constraint(run.span.index, of=name)
    def ramp_down(k: int) -> Relation | None:
        r"""p_{k-1} - p_k \le 60 R \Delta_k"""
        before = run.span.before(k)
        return None if before is None else run.power[before] - run.power[k] <= reach[run.span.first + k]


__all__ = ["AiTraining"]
