"""A small workload for py-spy: the test looks for spin_for_flamestore in what it records. Prints its times as JSON."""

import json
import sys
import time


def spin_for_flamestore(until):
    n = 0
    while time.monotonic() < until:
        for i in range(10_000):
            n += i % 7
    return n


wall, before = time.monotonic_ns(), time.process_time_ns()
print(spin_for_flamestore(time.monotonic() + 3), file=sys.stderr)
print(json.dumps({"cpu_ns": time.process_time_ns() - before, "wall_ns": time.monotonic_ns() - wall}))
