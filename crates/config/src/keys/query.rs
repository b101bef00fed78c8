//! Keys of the way out.

use crate::key::{Key, Kind::*};

pub(super) const KEYS: &[Key] = &[
    Key::active(
        "frontend_worker.max_concurrent",
        "querier.max-concurrent",
        Int,
        "4",
        "Queries worked on at a time; further ones wait, and tenants take turns.",
    )
    .also(&["querier.max_concurrent"]),
    Key::ours(
        "querier.max_queued",
        "querier.max-queued",
        Int,
        "128",
        "Queries that may wait; of further ones, those of the tenant with the most get 503.",
    ),
    Key::ours("querier.timeout", "querier.timeout", Duration, "1m", "Longest time a query may take."),
    Key::ours(
        "querier.block_cache_bytes",
        "querier.block-cache-bytes",
        Int,
        "33554432",
        "Bytes of block footers and indexes kept in memory.",
    ),
    Key::ours(
        "querier.result_cache_bytes",
        "querier.result-cache-bytes",
        Int,
        "33554432",
        "Bytes of finished parts of flame graphs, time series and pprofs kept in memory. 0 = none.",
    ),
    Key::ours(
        "querier.disk_cache_bytes",
        "querier.disk-cache-bytes",
        Int,
        "0",
        "Bytes on the local disk for parts of blocks that came from s3, gcs or azure, at least 67108864. 0 = none.",
    ),
    Key::ours(
        "querier.disk_cache_dir",
        "querier.disk-cache-dir",
        Text,
        "",
        "Directory of that cache, of one process at a time; empty = disk-cache in pyroscopedb.data_path.",
    ),
    Key::ours(
        "querier.max_query_bytes",
        "querier.max-query-bytes",
        Int,
        "268435456",
        "Most memory that what one query merges may take, in bytes, of each tenant it asks; more is refused with 400. 0 = no bound.",
    ),
];
