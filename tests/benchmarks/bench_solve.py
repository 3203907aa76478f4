"""Proven solve of a year against its LP relaxation alone and against plain HiGHS branch and bound, in one run.

Run by hand: ``PYTHONPATH=. python tests/benchmarks/bench_solve.py [CASE] [--set path=value] [--plain-limit S]``, e.g.
``--set assets.engines.run_hours_per_year=6000``, or what HiGHS alone does not end, ``ercot_all_programs --repeats 1
--lp-limit 600 --plain-limit 1800``. Goals: ours at most 3 times the LP relaxation alone, and at least 4 times faster
than plain branch and bound at the same gap. Ours runs first, so that the peak memory is its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable
from typing import TypeVar

import microgrid
from microgrid.dispatch.build import build
from microgrid.dispatch.compile import Program, compile_program
from microgrid.dispatch.highs import Highs, Outcome, Status
from microgrid.dispatch.solve import Solution, relative_gap, solve

GAP = 1e-3
Result = TypeVar("Result")


def timed(run: Callable[[], Result], repeats: int) -> tuple[float, float, Result]:
    """Least CPU and wall seconds of some runs, and the last result."""
    cpu, wall = [], []
    for _ in range(repeats):
        began = time.process_time(), time.perf_counter()
        result = run()
        cpu.append(time.process_time() - began[0])
        wall.append(time.perf_counter() - began[1])
    return min(cpu), min(wall), result


def relaxation(program: Program, **options: object) -> Outcome:
    """Plain HiGHS on the relaxed program."""
    return Highs(program, relax=True, options=options).run()


def plain(program: Program, limit_s: float) -> Outcome:
    """Plain HiGHS branch and bound, default options but the gap and the limit."""
    return Highs(program, options={"mip_rel_gap": GAP, "time_limit": limit_s}).run()


def show(name: str, cpu: float, wall: float, text: str) -> None:
    """Print one line."""
    print(f"{name:34s} CPU {cpu:7.2f} s  wall {wall:7.2f} s  {text}", flush=True)


def main() -> None:
    """Time all of them on one program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="?", default="ercot_hybrid_campus")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--plain-limit", type=float, default=300.0)
    parser.add_argument("--lp-limit", type=float, default=300.0)
    parser.add_argument("--repeats", type=int, default=2)
    wanted = parser.parse_args()
    case = microgrid.load_case(wanted.case, wanted.overrides)
    program = compile_program(build(case.parts, case.horizon, case.inputs))
    rows, columns = program.matrix.shape
    integers = int(program.integer.sum())
    print(f"{case.name} {' '.join(wanted.overrides)}: {rows} rows, {columns} columns, {integers} integer; ", end="")
    print(f"load average {os.getloadavg()[0]:.1f}")

    *ours, solution = timed(lambda: solve(program, gap=GAP), wanted.repeats)
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    show("ours to the proven gap", *ours, f"{told(solution)}, {peak_gb:.2f} GB at the peak (goal <= 2)")
    for stage in solution.stages:
        print(f"    {stage.name:20s} {stage.seconds:6.2f} s")
    lp = []
    for name, options in (("LP, HiGHS defaults", {}), ("LP, presolve off", {"presolve": "off"})):
        limited = {**options, "time_limit": wanted.lp_limit}
        *seconds, outcome = timed(lambda limited=limited: relaxation(program, **limited), wanted.repeats)
        ended = outcome.status is Status.OPTIMAL
        show(name, *seconds, f"optimum {outcome.objective:,.0f}" if ended else "did not end")
        lp.append((seconds, "" if ended else "< "))
    *plain_seconds, outcome = timed(lambda: plain(program, wanted.plain_limit), 1)
    gap = relative_gap(outcome.objective, outcome.bound)
    found = f"gap {gap:.4%}" if outcome.point is not None else "no point found"
    show("plain branch and bound", *plain_seconds, f"{outcome.status.value}, {found}")

    for name, (seconds, less) in (("HiGHS defaults", lp[0]), ("faster of both", min(lp))):
        ratios = f"{less}{ours[0] / seconds[0]:.2f} CPU, {less}{ours[1] / seconds[1]:.2f} wall"
        print(f"ours / LP alone ({name})   {ratios} (goal <= 3)")
    more = "> " if outcome.status is Status.LIMIT else ""
    ratios = f"{more}{plain_seconds[0] / ours[0]:.1f} CPU, {more}{plain_seconds[1] / ours[1]:.1f} wall"
    print(f"plain / ours                       {ratios} (goal >= 4)")


def told(solution: Solution) -> str:
    """Gap and way of a solution."""
    return f"objective {solution.objective:,.0f}, gap {solution.gap:.4%} after {solution.stages[-1].name}"


if __name__ == "__main__":
    main()
