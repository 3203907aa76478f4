"""Growth from hourly to quarter-hourly steps of one year: time of every stage and peak memory.

Run by hand: ``PYTHONPATH=. python tests/benchmarks/bench_growth.py [CASE] [--steps 60 15]``. Each step length runs in a
process of its own, so that its peak memory is its own. Goal: at most 2 GB for the hourly year.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import microgrid
from microgrid.dispatch.audit import audit
from microgrid.dispatch.build import build
from microgrid.dispatch.compile import compile_program
from microgrid.dispatch.highs import Highs
from microgrid.dispatch.solve import solve

KIB_PER_MIB = 1024.0
Result = TypeVar("Result")


class Stages:
    """CPU and wall seconds by stage, and the peak resident memory after it in MiB."""

    def __init__(self) -> None:
        """Open empty."""
        self.measured: dict[str, tuple[float, float, float]] = {}

    def run(self, name: str, work: Callable[[], Result]) -> Result:
        """Measure one stage."""
        began = time.process_time(), time.perf_counter()
        result = work()
        cpu, wall = time.process_time() - began[0], time.perf_counter() - began[1]
        self.measured[name] = (cpu, wall, peak_mib())
        return result


def peak_mib() -> float:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB


def measure(name: str, step_min: int) -> dict[str, tuple[float, float, float]]:
    """Run every stage of the dispatch at one step length."""
    stages = Stages()
    case = stages.run("load", lambda: microgrid.load_case(name, [f"time.step_min={step_min}"]))
    model = stages.run("build", lambda: build(case.parts, case.horizon, case.inputs))
    program = stages.run("compile", lambda: compile_program(model))
    stages.run("pass to HiGHS", lambda: Highs(program))
    solution = stages.run("solve", lambda: solve(program))
    values = solution.program.values(solution.point)
    checked = stages.run("audit", lambda: audit(case.parts, case.horizon, case.inputs, values, solution.objective))
    checked.require()
    for stage in solution.stages:
        stages.measured[f"  {stage.name}"] = (float("nan"), stage.seconds, float("nan"))
    return stages.measured


def main() -> None:
    """Print a table with one column a step length and the growth from the first to the last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="?", default="ercot_hybrid_campus")
    parser.add_argument("--steps", type=int, nargs="+", default=[60, 15])
    parser.add_argument("--json", action="store_true", help="measure the first step length in this process")
    wanted = parser.parse_args()
    if wanted.json:
        print(json.dumps(measure(wanted.case, wanted.steps[0])))
        return
    print(f"{wanted.case}; load average {os.getloadavg()[0]:.1f}; CPU s / wall s / peak MiB")
    columns = []
    for step_min in wanted.steps:
        told = subprocess.run(
            [sys.executable, __file__, wanted.case, "--json", "--steps", str(step_min)],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        columns.append(json.loads(told.splitlines()[-1]))
        print(f"{step_min} min")
        for stage, (cpu, wall, peak) in columns[-1].items():
            print(f"  {stage:18s} {cpu:8.2f} {wall:8.2f} {peak:8.0f}", flush=True)
    if len(columns) > 1:
        print("growth of wall time: ", end="")
        print(", ".join(f"{stage.strip()} {columns[-1][stage][1] / columns[0][stage][1]:.1f}" for stage in columns[0]))


if __name__ == "__main__":
    main()
