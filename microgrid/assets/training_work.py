"""The work that a training job owes: done in time, late or never, with what calls of reserves take away or add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from microgrid.assets.concave_curve import segments
from microgrid.assets.training_job import TrainingJob, Window
from microgrid.assets.training_run import Run
from microgrid.formulation.algebra import Linear, Relation, total
from microgrid.formulation.block import Block
from microgrid.formulation.horizon import Index


def share_calls(
    block: Block, giving: Mapping[str, Run], it_called: Sequence[Linear], share: float, *, up: bool
) -> dict[str, Sequence[Linear]]:
    """IT power that expected calls take from (`up`) or add to every job, by its positions.

    A decision where several could answer. A job backs no more than its room, of which at most `share` is called, the
    largest of the products sold.
    """
    if len(giving) == 1:
        ((name, run),) = giving.items()
        return {name: block.terms(lambda k: it_called[run.span.first + k], run.span.index)}
    shared = {name: _called_from(block, name, run, share, up=up) for name, run in giving.items()}
    spans = [(run.span, shared[name]) for name, run in giving.items()]

    @block.constraint(block.horizon.steps, of="" if up else "down")
    def calls_shared(t: int) -> Relation:
        r"""\sum_j x_{j,t} = \sum_s \delta_s r_{s,t} / PUE_t"""
        return total([*(terms[t - span.first] for span, terms in spans if span.holds(t)), 0.0]) == it_called[t]

    return shared


def _called_from(block: Block, name: str, run: Run, share: float, *, up: bool) -> Sequence[Linear]:
    what, does = ("called_mw", "take") if up else ("raised_mw", "add")
    called = block.variable(what, run.span.index, "MW", f"IT power that calls are expected to {does}", of=name)
    room = run.room_down_mw if up else run.room_up_mw

    @block.constraint(run.span.index, of=name if up else f"{name}.down")
    def called_from_room(k: int) -> Relation:
        r"""x_{j,k} \le \delta (p_{j,k} - \underline p_j) , or \le \delta (\bar p_j - p_{j,k}) downward"""
        return called[k] <= share * room[k]

    return called


def complete_job(
    block: Block,
    name: str,
    job: TrainingJob,
    windows: Sequence[Window],
    run: Run,
    called: tuple[Sequence[Linear] | None, Sequence[Linear] | None],
) -> None:
    """Owe the work of every window, and pay or charge for what is done, late and unfinished.

    `called` is the IT power that calls are expected to take and to add at every position. The work lost is that of the
    steepest part of the throughput curve, the work won that of the flattest, and only in time.
    """
    slopes = [piece.slope for piece in segments(job.hull())] or [1.0]
    steepest, flattest, (taken, added) = max(slopes), min(slopes), called
    hours, first = block.horizon.hours, run.span.first
    owed = [window.work_mwh for window in windows]
    index = Index(f"{block.name}.{name}.windows", len(windows))
    missing = None
    if job.unfinished_usd_per_mwh is not None:
        missing = block.variable("unfinished_mwh", index, "MWh", "work never done", upper=owed, of=name)

    def done(place: int) -> Linear:
        window = windows[place]
        span = range(window.first - first, window.last - first)
        terms, started = [block.total(span, lambda k: hours[first + k] * run.output[k])], run.started
        if started is not None and job.loss_mwh:
            terms.append(block.total(span, lambda k: -job.loss_mwh * started[k]))
        if taken is not None:
            terms.append(block.total(span, lambda k: (-steepest * hours[first + k]) * taken[k]))
        if added is not None:
            in_time = range(window.first - first, window.due - first)
            terms.append(block.total(in_time, lambda k: (flattest * hours[first + k]) * added[k]))
        return total(terms)

    @block.constraint(index, of=name)
    def complete(place: int) -> Relation:
        r"""\sum_k \Delta_k (y_k - \beta x_k + \beta' x'_k) - \tau \bar p \sum_k s_k + m \ge W , calls up x, down x'"""
        return (done(place) if missing is None else done(place) + missing[place]) >= owed[place]

    block.report(
        "work_owed_mwh", lambda place: owed[place], "MWh", "work owed within the horizon", index=index, of=name
    )
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


__all__ = ["complete_job", "share_calls"]
