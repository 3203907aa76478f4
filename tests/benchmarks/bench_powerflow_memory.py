"""Peak memory of the AC power flow of a 1,888-bus network as the number of steps grows.

Run by hand: ``OPENBLAS_NUM_THREADS=1 PYTHONPATH=. python tests/benchmarks/bench_powerflow_memory.py``. Every count of
steps runs in a fresh process. What is kept grows with the steps, and so do the profiles given; the rest, "work", must
not. The last line carries both to 35,040 steps.
"""

from __future__ import annotations

import logging
import resource
import subprocess
import sys
import time
import warnings

import numpy as np
import pandapower.networks as shipped

from microgrid.network.profiles import Profiles
from microgrid.powerflow.controls import Controls
from microgrid.powerflow.run import run_power_flow

COUNTS = (256, 1024, 2048, 4096)
KEEP = ("vm_pu", "loading_percent")
YEAR = 35_040


def once(steps: int) -> None:
    """Print MiB before the run, at the peak, given and kept, and processor seconds."""
    net = shipped.case1888rte()
    factor = np.random.default_rng(0).uniform(0.95, 1.0, (len(net.load), steps))
    p, q = net.load.p_mw.to_numpy()[:, None] * factor, net.load.q_mvar.to_numpy()[:, None] * factor
    profiles, controls = Profiles(steps, {"load": p}, {"load": q}), Controls(reactive_limits=False)
    few = Profiles(24, {"load": p[:, :24]}, {"load": q[:, :24]})
    run_power_flow(net, few, controls, keep=KEEP, dtype="float32")  # imports and compiles
    before, used = peak(), time.process_time()
    result = run_power_flow(net, profiles, controls, keep=KEEP, dtype="float32")
    seconds = time.process_time() - used
    assert (result["status"] == 0).all()
    kept = sum(variable.nbytes for variable in result.data_vars.values()) / 2**20
    print(f"{before:.1f} {peak():.1f} {(p.nbytes + q.nbytes) / 2**20:.1f} {kept:.1f} {seconds:.2f}")


def peak() -> float:
    """Largest resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run every count in a process of its own."""
    grown = []
    for steps in COUNTS:
        out = subprocess.run([sys.executable, __file__, str(steps)], check=True, capture_output=True, text=True)
        before, most, given, kept, seconds = (float(word) for word in out.stdout.split())
        work = most - before - kept
        grown.append((steps, kept, work))
        print(
            f"{steps} steps: peak {most:.0f} MiB, profiles {given:.0f}, kept {kept:.0f}, work {work:.0f};"
            f" {1e6 * seconds / steps:.0f} us/step cpu"
        )
    steps, kept, work = grown[-1]
    print(f"{YEAR} steps: kept {kept * YEAR / steps:.0f} MiB and work {work:.0f} MiB, beside the profiles")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    if len(sys.argv) > 1:
        once(int(sys.argv[1]))
    else:
        main()
