//! From the operator's words to the bounds of the store.

use std::time::Duration;

use flamestore_config::Config;
use flamestore_engine::EngineConfig;
use flamestore_wal::WalOptions;

/// Memory of the store as a multiple of `ingester.max_head_bytes`: heads that fill and heads that are being written.
const MEMORY_PER_HEAD_BYTES: usize = 2;

pub fn engine(config: &Config) -> EngineConfig {
    let ingester = &config.ingester;
    let defaults = EngineConfig::in_dir(&config.pyroscopedb.data_path);
    EngineConfig {
        wal: WalOptions {
            segment_bytes: ingester.wal_segment_bytes,
            max_batch_bytes: ingester.wal_commit_bytes,
            max_queue_bytes: ingester.wal_queue_bytes,
            max_queue_wait: config.distributor.push_timeout,
            ..WalOptions::default()
        },
        max_block_duration: config.pyroscopedb.max_block_duration.min(ingester.max_head_age),
        max_head_bytes: ingester.max_head_bytes,
        max_memory_bytes: ingester
            .max_head_bytes
            .saturating_mul(MEMORY_PER_HEAD_BYTES)
            .saturating_add(config.distributor.max_inflight_bytes),
        max_push_wait: config.distributor.push_timeout.max(Duration::from_secs(1)),
        shutdown_flush_timeout: config.server.graceful_shutdown_timeout,
        max_merge_bytes: config.querier.max_query_bytes,
        result_cache_bytes: config.querier.result_cache_bytes,
        ..defaults
    }
}
