//! What the commit thread tells whoever counts.

/// One write and sync that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    pub records: usize,
    pub bytes: u64,
    pub write_nanos: u64,
    pub sync_nanos: u64,
}

/// Called on the commit thread: must be quick and must not block.
pub trait Observer: Send + Sync {
    fn committed(&self, _batch: Batch) {}
    /// A write or sync failed; nothing is acknowledged until [`Observer::revived`].
    fn failed(&self) {}
    fn revived(&self) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
