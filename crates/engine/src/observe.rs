//! What a store tells whoever counts.

use std::time::Duration;

use flamestore_model::{Fault, Reads, TenantId};

/// Why heads were cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CutReason {
    /// `max_block_duration` is over.
    Age,
    /// `max_head_bytes` are in memory, or `max_replay_bytes` in the log.
    Size,
    /// `max_memory_bytes` are in use and a push waits.
    Memory,
    /// A table of a head is full.
    Full,
    /// Somebody asked.
    Request,
    Shutdown,
}

impl CutReason {
    /// The word as it stands in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            CutReason::Age => "max-duration",
            CutReason::Size => "max-head-bytes",
            CutReason::Memory => "max-memory-bytes",
            CutReason::Full => "head-full",
            CutReason::Request => "request",
            CutReason::Shutdown => "shutdown",
        }
    }
}

/// One block that is now in the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flushed {
    pub series: u64,
    pub profiles: u64,
    pub samples: u64,
    /// Of the block's files.
    pub bytes: u64,
    pub took: Duration,
    /// From its first to its last profile.
    pub covers: Duration,
}

/// What a start has found in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// pprofs that are in heads again.
    pub profiles: u64,
    /// pprofs whose block was committed before the crash.
    pub skipped: u64,
    /// Stretches and records that cannot be read; each has been logged.
    pub damaged: u64,
    /// Bytes of a write that a crash cut short.
    pub torn_bytes: u64,
    pub took: Duration,
}

/// Called from within the store: must be quick and must not block.
pub trait Observe: Send + Sync {
    fn cut(&self, _reason: CutReason) {}
    fn flushed(&self, _tenant: &TenantId, _block: &Flushed) {}
    /// It is tried again.
    fn flush_failed(&self, _tenant: &TenantId, _fault: &Fault) {}
    fn replayed(&self, _replayed: &Replayed) {}
    /// A query, or the start, met an object that is damaged or gone.
    fn unreadable(&self, _tenant: &TenantId, _fault: &Fault) {}
    /// What one query has read of blocks, whether it was answered or failed.
    fn read(&self, _tenant: &TenantId, _reads: &Reads) {}
    /// pprofs logged and applied by one push, and refused.
    fn pushed(&self, _tenant: &TenantId, _accepted: usize, _refused: usize) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observe for Silent {}

/// What a store holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Heads (filling and being flushed) and pushes under way.
    pub memory_bytes: usize,
    /// Of the heads that are filling.
    pub head_bytes: usize,
    /// Of all tenants, in the heads that are filling.
    pub series: usize,
    /// Cut and not all in the bucket yet.
    pub epochs_flushing: usize,
    pub log_bytes: u64,
    pub log_segments: usize,
    pub blocks: usize,
    /// That have blocks.
    pub tenants: usize,
    /// Footers, series and symbols of blocks, in memory.
    pub table_cache_bytes: u64,
    /// Finished parts of answers, in memory.
    pub result_cache_bytes: u64,
    /// Parts of files, on the local disk.
    pub disk_cache_bytes: u64,
}
