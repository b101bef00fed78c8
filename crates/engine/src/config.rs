//! The bounds of a store.

use std::path::PathBuf;
use std::time::Duration;

use flamestore_wal::WalOptions;

/// Values that a file could hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Where the log and this store's name are kept. One process at a time.
    pub data_dir: PathBuf,
    pub wal: WalOptions,
    /// Profiles are flushed at the latest when the oldest of them has been in memory this long.
    pub max_block_duration: Duration,
    /// Heads are cut when they hold this many bytes together.
    pub max_head_bytes: usize,
    /// The most memory for heads (filling and being flushed) and pushes under way. Must be well over `max_head_bytes`.
    pub max_memory_bytes: usize,
    /// Heads are cut when they have this many bytes in the log: what a restart has to replay.
    pub max_replay_bytes: u64,
    /// No push is accepted while the log has this many bytes on disk, because nothing can be flushed.
    pub max_log_bytes: u64,
    /// How long a push waits for memory before it is refused as unavailable.
    pub max_push_wait: Duration,
    /// How long a failed flush rests before it is tried again.
    pub flush_retry: Duration,
    /// How long a shutdown tries to flush. What is left is in the log.
    pub shutdown_flush_timeout: Duration,
    /// Blocks that one query reads at the same time.
    pub max_parallel_blocks: usize,
    /// The most memory that the sum of one query may take, of each tenant.
    pub max_merge_bytes: usize,
    /// Memory for finished parts of answers, of blocks that are asked again. 0: none are kept.
    pub result_cache_bytes: u64,
    /// Descriptions of blocks that are fetched at the same time at the start.
    pub max_parallel_metas: usize,
}

impl EngineConfig {
    pub fn in_dir(data_dir: impl Into<PathBuf>) -> Self {
        EngineConfig {
            data_dir: data_dir.into(),
            wal: WalOptions::default(),
            max_block_duration: Duration::from_secs(15 * 60),
            max_head_bytes: 512 << 20,
            max_memory_bytes: 2 << 30,
            max_replay_bytes: 1 << 30,
            max_log_bytes: 8 << 30,
            max_push_wait: Duration::from_secs(5),
            flush_retry: Duration::from_secs(1),
            shutdown_flush_timeout: Duration::from_secs(60),
            max_parallel_blocks: 8,
            max_merge_bytes: flamestore_flamegraph::budget::MAX_MERGE_BYTES,
            result_cache_bytes: 32 << 20,
            max_parallel_metas: 64,
        }
    }
}
