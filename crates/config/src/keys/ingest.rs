//! Keys of the way in: distributor, log, heads.

use crate::key::{Key, Kind::*};

/// Blocks that mean something by being there: the key that is then set, and to what, unless the block sets it.
pub(super) const MEANT: &[(&str, &str, &str)] = &[
    ("distributor.receivers.otlp.protocols.grpc", "distributor.receivers.otlp.protocols.grpc.endpoint", "0.0.0.0:4317"),
    ("distributor.receivers.otlp.protocols.http", "distributor.receivers.otlp.protocols.http.endpoint", "0.0.0.0:4318"),
];

pub(super) const KEYS: &[Key] = &[
    Key::active(
        "distributor.pushtimeout",
        "distributor.push.timeout",
        Duration,
        "5s",
        "How long the ingesters may take for one push.",
    ),
    Key::ours(
        "distributor.max_inflight_bytes",
        "distributor.max-inflight-bytes",
        Int,
        "67108864",
        "Bytes of pushes worked on at a time, as received; further ones wait, then get 503.",
    ),
    Key::ours(
        "distributor.max_decoding_bytes",
        "distributor.max-decoding-bytes",
        Int,
        "268435456",
        "Memory for inflating and decoding what requests send, over all of them; further ones wait, then get 503. One that needs more than all of it is read alone.",
    ),
    Key::ours(
        "distributor.max_concurrent_decodes",
        "distributor.max-concurrent-decodes",
        Int,
        "0",
        "Large uploads that are decoded at a time; 0 = as many as there are cores.",
    ),
    Key::ours(
        "distributor.receivers.otlp.protocols.grpc.endpoint",
        "distributor.otlp-grpc-endpoint",
        Text,
        "",
        "A port of its own for OTLP, as `host:port`; `grpc:` alone means 0.0.0.0:4317, empty = only the public port.",
    ),
    Key::ours(
        "distributor.receivers.otlp.protocols.http.endpoint",
        "distributor.otlp-http-endpoint",
        Text,
        "",
        "Another one, for exporters that expect a second; `http:` alone means 0.0.0.0:4318. Both take gRPC and HTTP.",
    ),
    Key::ours(
        "ingester.max_head_bytes",
        "ingester.max-head-bytes",
        Int,
        "67108864",
        "Bytes of all heads together at which they are cut and written as blocks. The process needs about three times as much.",
    ),
    Key::ours(
        "ingester.max_head_age",
        "ingester.max-head-age",
        Duration,
        "15m",
        "Age at which heads are cut; `pyroscopedb.max_block_duration` holds too.",
    ),
    Key::ours(
        "ingester.wal_dir",
        "ingester.wal-dir",
        Text,
        "",
        "Directory of the write-ahead log; empty = `wal` in `pyroscopedb.data_path`.",
    ),
    Key::ours(
        "ingester.wal_segment_bytes",
        "ingester.wal-segment-bytes",
        Int,
        "134217728",
        "Size of a file of the log.",
    ),
    Key::ours(
        "ingester.wal_commit_delay",
        "ingester.wal-commit-delay",
        Duration,
        "2ms",
        "How long a commit waits for more pushes to share its fsync.",
    ),
    Key::ours(
        "ingester.wal_commit_bytes",
        "ingester.wal-commit-bytes",
        Int,
        "1048576",
        "Bytes at which a commit waits no longer.",
    ),
    Key::ours(
        "ingester.wal_queue_bytes",
        "ingester.wal-queue-bytes",
        Int,
        "33554432",
        "Bytes that may wait for a commit; further pushes wait, then get 503.",
    ),
    Key::ours("ingester.flush_concurrency", "ingester.flush-concurrency", Int, "1", "Blocks written at a time."),
];
