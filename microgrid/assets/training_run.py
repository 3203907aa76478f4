"""What a training job does on its steps: power and throughput, elastic or as one block, with starts and ramps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from microgrid.assets.concave_curve import Segment, segments
from microgrid.assets.training_job import TrainingJob, Window
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block
from microgrid.formulation.horizon import Index


@dataclass(frozen=True)
class Span:
    """The steps of a job, counted from its own first: position k is step ``first + k`` of the horizon."""

    index: Index
    first: int
    wraps: bool

    def holds(self, t: int) -> bool:
        """Whether step `t` of the horizon is one of them."""
        return self.first <= t and t < self.first + self.index.size  # noqa: PLR1716 - asked one by one of many t

    def before(self, position: int) -> int | None:
        """Position before, None at the first unless the job covers a horizon that wraps."""
        if position > 0:
            return position - 1
        return self.index.size - 1 if self.wraps else None

    def step_before(self, t: int) -> int | None:
        """Step of the horizon before step `t`, None at the job's first and outside."""
        before = self.before(t - self.first) if self.holds(t) else None
        return None if before is None else self.first + before

    def recent(self, position: int, count: int) -> list[int]:
        """Last `count` positions up to and including `position`."""
        if self.wraps:
            return [(position - back) % self.index.size for back in range(min(count, self.index.size))]
        return [position - back for back in range(count) if position >= back]


@dataclass(frozen=True)
class Run:
    """IT power and throughput (full-power MW) of a job at its positions, its adjustable room, and its starts."""

    span: Span
    power: Sequence[Linear]
    output: Sequence[Linear]
    room_down_mw: Sequence[Linear]
    room_up_mw: Sequence[Linear]
    started: Sequence[Linear] | None

    def power_at(self, t: int) -> Linear:
        """IT power at step `t` of the horizon, nothing outside the job's own steps."""
        return self.power[t - self.span.first] if self.span.holds(t) else total([0.0])


def write_job(block: Block, name: str, job: TrainingJob, windows: Sequence[Window]) -> Run:
    """Write one job on the steps of its windows."""
    first, last = windows[0].first, windows[-1].last
    count = last - first
    whole = count == block.horizon.count
    index = block.horizon.steps if whole else Index(f"{block.name}.{name}.time", count)
    span = Span(index, first, whole and block.horizon.wraps)
    run = write_synchronous(block, name, job, span) if job.synchronous else write_elastic(block, name, job, span)
    _limit_ramp(block, name, job, run)
    block.report("power_mw", run.power_at, "MW", "IT power of the job", of=name)
    return run


def write_elastic(block: Block, name: str, job: TrainingJob, span: Span) -> Run:
    """Write a job of any power in its range: one bounded variable a segment of its throughput curve, no rows."""
    hull = job.hull()
    low, low_output = hull[0]
    parts = _segment_variables(block, name, segments(hull), span, bounded=True)
    sloped, index = [(piece.slope, part) for piece, part in zip(segments(hull), parts, strict=True)], span.index
    power = block.terms(lambda k: total([*(part[k] for part in parts), low]), index)
    output = block.terms(lambda k: total([*(slope * part[k] for slope, part in sloped), low_output]), index)
    top = hull[-1][0]
    down, up = block.terms(lambda k: power[k] - low, index), block.terms(lambda k: top - power[k], index)
    return Run(span, power, output, down, up, None)


def write_synchronous(block: Block, name: str, job: TrainingJob, span: Span) -> Run:
    """Write a job that runs as one block: a binary a step, starts, minimum run, segments above its lowest power."""
    index, hull, idle = span.index, job.hull(), job.idle_power_mw
    running = block.variable("running", index, "1", "job is running", upper=1.0, integer=True, of=name)
    needed = block.horizon.steps_in(job.min_run_h)
    # A job that ends before the horizon does starts no run that it could not complete.
    last_start = index.size - (needed if span.first + index.size < block.horizon.count else 0)
    may_start = [1.0 if k <= last_start else 0.0 for k in index]
    started = block.variable("started", index, "1", "job starts", upper=may_start, of=name)
    before_first = block.carried(f"{name}.running", 0.0)

    @block.constraint(index, of=name)
    def starts(k: int) -> Relation:
        r"""s_k \ge u_k - u_{k-1}"""
        before = span.before(k)
        return started[k] >= running[k] - (before_first if before is None else running[before])

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
    sloped = [(piece.slope, part) for piece, part in zip(pieces, parts, strict=True)]
    power = block.terms(lambda k: total([(low - idle) * running[k], *(part[k] for part in parts), idle]), index)
    output = block.terms(
        lambda k: total([low_output * running[k], *(slope * part[k] for slope, part in sloped)]), index
    )
    above = block.terms(lambda k: total([*(part[k] for part in parts), 0.0]), index)
    width = hull[-1][0] - low
    return Run(span, power, output, above, block.terms(lambda k: width * running[k] - above[k], index), started)


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


def _limit_ramp(block: Block, name: str, job: TrainingJob, run: Run) -> None:
    if job.ramp_mw_per_min is None:
        return
    rate = 60.0 * job.ramp_mw_per_min
    reach = block.numbers(rate * span for span in block.horizon.hours)

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


__all__ = ["Run", "Span", "write_job"]
