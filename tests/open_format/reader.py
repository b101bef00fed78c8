"""A reader of blocks that knows nothing but docs/reference/block-format.md. Needs pyarrow alone.

    reader.py TENANT SERVICE PROFILE_TYPE FROM UNTIL      (a folder; nanoseconds since the epoch, both included)

Prints one line of JSON: the total, and for each function its own value and its total.
"""

import json
import os
import re
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

VERSION = 1


def crc32c_table():
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


CRC32C = tuple(crc32c_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC32C[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def readable(document):
    assert 1 <= document["version"] <= VERSION, f"version {document['version']}"
    return document


def latest_list(tenant):
    lists = sorted((tenant / "index").glob("*.json.zst"))
    if not lists:
        return {"blocks": [], "dead": []}
    with pa.input_stream(lists[-1], compression="zstd") as stream:
        return readable(json.load(stream))


def counting(tenant, index):
    """The metas of the blocks that count."""
    metas = {meta["ulid"]: meta for meta in index["blocks"]}
    dead = {block["ulid"] for block in index["dead"]}
    for path in (tenant / "blocks").glob("*/meta.json"):
        if path.parent.name not in dead and path.parent.name not in metas:
            meta = json.loads(path.read_bytes())
            if meta["level"] == 0:
                metas[meta["ulid"]] = meta
    return [readable(meta) for meta in metas.values()]


class Block:
    def __init__(self, tenant, meta, service):
        self.folder, self.meta = tenant / "blocks" / meta["ulid"], meta
        self.dataset = next((d for d in meta["datasets"] if d["service_name"] == service), None)

    def rows(self, table, columns):
        """The dataset's rows of some columns, after trying the checksums of the whole file."""
        file = next(f for f in self.meta["files"] if f["path"] == f"{table}.parquet")
        data = (self.folder / file["path"]).read_bytes()
        assert len(data) == file["size"] and crc32c(data) == file["crc32c"], file["path"]
        size, digits = file["piece_bytes"], file["piece_crc32c"]
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert [f"{crc32c(piece):08x}" for piece in pieces] == re.findall(".{8}", digits), file["path"]
        first, count = self.dataset["rows"][table]
        part = pq.read_table(pa.BufferReader(data), columns=columns, use_threads=False).slice(first, count)
        return list(zip(*(integers(part.column(name)).to_pylist() for name in columns)))


def integers(column):
    """Times as nanoseconds since the epoch."""
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column


MATCHER = re.compile(r'\s*("?)([^"=!~,{}\s]+)\1\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')


def selects(selector, labels):
    for _, name, operator, value in MATCHER.findall(selector):
        value, there = re.sub(r"\\(.)", r"\1", value), labels.get(name, "")
        matches = there == value if operator in ("=", "!=") else re.fullmatch(value, there) is not None
        if matches == operator.startswith("!"):
            return False
    return True


def hidden(index, ulid, labels):
    """The ranges of time of a series that somebody has deleted and that still stand in a block."""
    asked = [d for d in index.get("deletions", []) if ulid in d["blocks"] and selects(d["selector"], labels)]
    return [(d["from_nanos"], d["until_nanos"]) for d in asked]


def add(block, index, profile_type, first, last, functions):
    """Adds what the block has to the functions; returns the sum of its samples."""
    parts = block.rows("series", ["series_id", "profile_type", "labels"])
    gone = {id: hidden(index, block.meta["ulid"], dict(labels)) for id, kind, labels in parts if kind == profile_type}
    profiles = {
        row
        for series, row, time in block.rows("profiles", ["series_id", "profile_row", "time"])
        if series in gone and first <= time <= last and not any(a <= time <= b for a, b in gone[series])
    }
    leaves = dict(block.rows("stacktraces", ["stacktrace_id", "fn_node_id"]))
    names = dict(block.rows("functions", ["function_id", "name"]))
    tree = {id: (id - delta, names[f]) for id, delta, f in block.rows("fn_tree", ["fn_node_id", "parent_delta", "function_id"])}
    total = 0
    for row, stack, value in block.rows("samples", ["profile_row", "stacktrace_id", "value"]):
        if row not in profiles:
            continue
        total += value
        node, met = leaves.get(stack, 0), set()
        while node:
            node, name = tree[node]
            functions[name][0] += 0 if met else value
            # Once for each stack, however often the function calls itself.
            functions[name][1] += 0 if name in met else value
            met.add(name)
    return total


def main():
    tenant, service, profile_type, first, last = sys.argv[1:]
    tenant, functions, total = Path(tenant), defaultdict(lambda: [0, 0]), 0
    index = latest_list(tenant)
    for meta in counting(tenant, index):
        block = Block(tenant, meta, service)
        if block.dataset:
            total += add(block, index, profile_type, int(first), int(last), functions)
    print(json.dumps({"total": total, "functions": functions}), flush=True)
    # Threads of the library have been seen to abort a process that ends while they do.
    os._exit(0)


main()
