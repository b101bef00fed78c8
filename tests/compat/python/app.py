"""Profiles a small workload with the Python SDK: the test looks for spin_for_flamestore in what arrives."""

import sys
import time

import pyroscope


def spin_for_flamestore(until):
    n = 0
    while time.monotonic() < until:
        for i in range(10_000):
            n += i % 7
    return n


pyroscope.configure(
    application_name="compat.python",
    server_address=sys.argv[1],
    sample_rate=100,
    tags={"region": "eu"},
)
with pyroscope.tag_wrapper({"phase": "spin"}):
    # The SDK uploads every 10 s and drops what is younger than that when it is shut down.
    print(spin_for_flamestore(time.monotonic() + 13))
pyroscope.shutdown()
