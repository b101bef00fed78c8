"""A small workload under the Python SDK. Prints what it did as JSON: the test looks for the functions named
..._for_flamestore in what arrives."""

import json
import sys
import time

import pyroscope

UPLOAD_SECONDS = 2
CHUNKS = 64
CHUNK_BYTES = 1 << 20


def spin_for_flamestore(until):
    n = 0
    while time.monotonic() < until:
        for i in range(10_000):
            n += i % 7
    return n


def allocate_for_flamestore():
    return [bytearray(CHUNK_BYTES) for _ in range(CHUNKS)]


pyroscope.configure(
    application_name="compat.python",
    server_address=sys.argv[1],
    sample_rate=100,
    tags={"region": "eu"},
    upload_interval=UPLOAD_SECONDS,
    mem_enabled=True,
    mem_heap_sample_size=4096,
)
kept = allocate_for_flamestore()
with pyroscope.tag_wrapper({"phase": "spin"}):
    wall, before = time.monotonic_ns(), time.process_time_ns()
    print(spin_for_flamestore(time.monotonic() + 4), file=sys.stderr)
    spun, spent = time.process_time_ns() - before, time.monotonic_ns() - wall
# What is younger than an upload is dropped at the end.
time.sleep(UPLOAD_SECONDS + 1)
pyroscope.shutdown()
did = {"cpu_ns": spun, "wall_ns": spent, "alloc_bytes": len(kept) * CHUNK_BYTES, "alloc_count": len(kept)}
print(json.dumps(did))
