//! The bounds of a log.

use std::time::Duration;

/// How large, how full and how patient a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalOptions {
    /// A segment is closed at the first batch that finds it this long.
    pub segment_bytes: u64,
    /// The most that one write and sync carry, in bytes; one larger record is a batch of its own.
    pub max_batch_bytes: usize,
    /// The most bytes that wait for the commit thread. Appends beyond it wait for room.
    pub max_queue_bytes: usize,
    /// How long an append waits for room before it is refused as unavailable.
    pub max_queue_wait: Duration,
    /// The longest record, in bytes.
    pub max_record_bytes: usize,
    /// After a failed write or sync: how long until a fresh segment is tried.
    pub revive_after: Duration,
}

impl Default for WalOptions {
    fn default() -> Self {
        WalOptions {
            segment_bytes: 128 << 20,
            max_batch_bytes: 4 << 20,
            max_queue_bytes: 64 << 20,
            max_queue_wait: Duration::from_secs(5),
            max_record_bytes: 256 << 20,
            revive_after: Duration::from_secs(1),
        }
    }
}
