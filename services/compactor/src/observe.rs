//! What the compactor tells: to whoever reads blocks, and to whoever counts.

use std::time::Duration;

use async_trait::async_trait;
use flamestore_block::{Meta, Ulid};
use flamestore_compaction::Cost;
use flamestore_index::{Snapshot, Why};
use flamestore_model::{Fault, TenantId};

/// Reads blocks, and is told which ones count.
pub trait Follow: Send + Sync {
    /// From now on the blocks that this lists count, without what it says was deleted from them, and what was flushed since.
    /// Told after it has become so in the bucket, in the order of the snapshots. Listed blocks may be gone.
    fn follow(&self, tenant: &TenantId, now: &Snapshot);
}

/// The store beside the compactor: it holds profiles that are not in blocks yet, and knows the blocks that it has made.
#[async_trait]
pub trait Flush: Send + Sync {
    /// Answers when everything acknowledged before is in blocks.
    async fn flush(&self) -> Result<(), Fault>;

    /// Blocks of a tenant that it answers from. They are looked for by name, in case a listing does not show them yet.
    fn blocks(&self, _tenant: &TenantId) -> Vec<Ulid> {
        Vec::new()
    }

    /// Blocks of a tenant that it may be writing, now or when it tries again.
    fn blocks_to_come(&self, _tenant: &TenantId) -> Vec<Ulid> {
        Vec::new()
    }

    /// Blocks of a tenant of which queries have found something gone, since this was last asked.
    fn missed(&self, _tenant: &TenantId) -> Vec<Ulid> {
        Vec::new()
    }

    /// What it is called, in this process and the ones after it on the same disk, and nowhere else.
    fn name(&self) -> Option<String> {
        None
    }
}

/// What a tenant has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Blocks that count, by level; of levels without blocks, too.
    pub by_level: Vec<(u32, usize)>,
    /// Blocks that wait for the deletion delay.
    pub marked: usize,
    /// Folders without a `meta.json`.
    pub partial: usize,
    /// Blocks that cannot be read.
    pub quarantined: usize,
    /// Blocks that the bucket has lost.
    pub lost: usize,
    /// Since the last profile of the oldest block that was never compacted. Zero: there is none.
    pub oldest_uncompacted: Duration,
    /// Number and size of the latest snapshot of the index.
    pub index_seq: u64,
    pub index_bytes: u64,
}

/// Counts.
pub trait Observe: Send + Sync {
    fn run_started(&self) {}
    /// `failed`: of the tenants that were looked at.
    fn run_ended(&self, _tenants: usize, _failed: usize) {}
    fn compaction_started(&self) {}
    fn compacted(&self, _tenant: &TenantId, _made: &Meta, _took: Duration) {}
    /// Sources were merged; the block may still fail to be stored.
    fn merged(&self, _tenant: &TenantId, _cost: &Cost) {}
    fn compaction_failed(&self, _tenant: &TenantId, _fault: &Fault) {}
    fn cleanup_started(&self) {}
    fn cleanup_ended(&self, _failed: bool) {}
    fn marked(&self, _tenant: &TenantId, _why: Why) {}
    fn deleted(&self, _tenant: &TenantId) {}
    /// A block could not be deleted; it is tried again.
    fn delete_failed(&self, _tenant: &TenantId, _fault: &Fault) {}
    fn counted(&self, _tenant: &TenantId, _counted: &Counted) {}
    /// Jobs that are due; of them, those that are left to another compactor.
    fn planned(&self, _tenant: &TenantId, _due: usize, _left: usize) {}
    /// A job was somebody else's.
    fn lease_conflict(&self, _tenant: &TenantId) {}
    /// A lease could not be read or written; the work is done without.
    fn lease_failed(&self, _tenant: &TenantId, _fault: &Fault) {}
    /// An object whose bytes are not what was written.
    fn corrupt(&self, _tenant: &TenantId, _fault: &Fault) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observe for Silent {}
impl Follow for Silent {
    fn follow(&self, _: &TenantId, _: &Snapshot) {}
}
