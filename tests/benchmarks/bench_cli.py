"""Start and quickstart of the command line in fresh processes, and what they spend their time on.

Run by hand: ``PYTHONPATH=. python tests/benchmarks/bench_cli.py``. Goals: ``--help`` 0.3 s, quickstart 6 s end to end.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count, repeat
from pathlib import Path

REPEATS = 3
TOLD = 10
MICROGRID = [sys.executable, "-m", "microgrid.cli.main"]
IMPORT_LINE = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)


def run(command: list[str]) -> tuple[float, float]:
    """CPU and wall seconds of a fresh process."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def imports(command: list[str]) -> list[tuple[float, str]]:
    """Packages by the seconds that their modules take to import, the largest first."""
    told = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]], check=True, capture_output=True, text=True
    ).stderr
    packages: dict[str, float] = {}
    for own_us, module in IMPORT_LINE.findall(told):
        package = module.partition(".")[0]
        packages[package] = packages.get(package, 0.0) + int(own_us) / 1e6
    return sorted(((seconds, package) for package, seconds in packages.items()), reverse=True)[:TOLD]


def report(name: str, commands: Iterator[list[str]], goal_s: float) -> None:
    """Time a command and tell its imports by package."""
    runs = [run(next(commands)) for _ in range(REPEATS)]
    cpu, wall = min(cpu for cpu, _ in runs), min(wall for _, wall in runs)
    print(f"{name:12s} CPU {cpu:.2f} s  wall {wall:.2f} s  (goal {goal_s:g} s)")
    told = ", ".join(f"{package} {seconds:.2f}" for seconds, package in imports(next(commands)))
    print(f"    imports: {told}", flush=True)


def main() -> None:
    """Time the two commands, every solve into a fresh folder."""
    print(f"load average {os.getloadavg()[0]:.1f}; best of {REPEATS} fresh processes")
    report("--help", repeat([*MICROGRID, "--help"]), 0.3)
    with tempfile.TemporaryDirectory() as folder:
        results = (str(Path(folder) / str(number)) for number in count())
        report("quickstart", ([*MICROGRID, "solve", "quickstart", "--out", result] for result in results), 6.0)


if __name__ == "__main__":
    main()
