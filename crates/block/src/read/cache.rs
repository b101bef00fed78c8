//! What all open blocks keep in memory, within one bound.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use flamestore_model::{Fault, TenantId};
use flamestore_objstore::{Account, DiskCache};
use flamestore_symbols::Symbols;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::layout::{Resolution, Table};
use crate::read::file::Footer;
use crate::read::rollup::Buckets;
use crate::read::series::SeriesRows;
use crate::ulid::Ulid;

/// Footers, series, roll-ups and symbols of recently read blocks, in at most so many bytes. One for the whole process.
pub struct BlockCache {
    entries: Cache<Key, Entry, Bytes>,
    /// Below it, what the files are made of.
    disk: Option<DiskCache>,
    asked: AtomicU64,
    loaded: AtomicU64,
}

/// What is cached, of which part of which block.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) tenant: TenantId,
    pub(crate) block: Ulid,
    pub(crate) what: What,
}

/// Datasets by their position in the meta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Footer(Table),
    Series(u32),
    /// Enough for flame graphs.
    Names(u32),
    Symbols(u32),
    RollUp(Resolution, u32),
}

#[derive(Clone)]
pub(crate) enum Entry {
    Footer(Arc<Footer>),
    Series(Arc<SeriesRows>),
    Symbols(Arc<Symbols>),
    RollUp(Arc<Buckets>),
}

/// Weighs entries in bytes of memory.
#[derive(Debug, Clone, Copy)]
struct Bytes;

/// What an entry costs beside its content.
const ENTRY_BYTES: u64 = 256;
/// The bytes of a usual entry, from which the cache sizes its table.
const USUAL_ENTRY_BYTES: u64 = 64 << 10;

impl Weighter<Key, Entry> for Bytes {
    fn weight(&self, _: &Key, entry: &Entry) -> u64 {
        let content = match entry {
            Entry::Footer(f) => f.bytes(),
            Entry::Series(s) => s.bytes(),
            Entry::Symbols(s) => s.bytes(),
            Entry::RollUp(b) => b.bytes(),
        };
        ENTRY_BYTES + content as u64
    }
}

impl BlockCache {
    /// The cache is split in parts, one for each few cores; an entry larger than a part is not kept.
    pub fn new(max_bytes: u64) -> Arc<Self> {
        Self::above(None, max_bytes)
    }

    /// What is not in memory is looked for on the disk, then in the bucket.
    pub fn above(disk: Option<DiskCache>, max_bytes: u64) -> Arc<Self> {
        let usual = usize::try_from(max_bytes / USUAL_ENTRY_BYTES).unwrap_or(usize::MAX).max(16);
        let entries = Cache::with_weighter(usual, max_bytes, Bytes);
        Arc::new(BlockCache { entries, disk, asked: AtomicU64::new(0), loaded: AtomicU64::new(0) })
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    /// Bytes of files on the local disk.
    pub fn disk_bytes(&self) -> u64 {
        self.disk.as_ref().map_or(0, DiskCache::bytes)
    }

    pub(crate) fn disk(&self) -> Option<&DiskCache> {
        self.disk.as_ref()
    }

    /// Lookups since the start.
    pub fn lookups(&self) -> u64 {
        self.asked.load(Relaxed)
    }

    /// How many of them had to read the bucket.
    pub fn misses(&self) -> u64 {
        self.loaded.load(Relaxed)
    }

    /// The entry, loaded once however many ask for it at the same time. The account is that of the query that asks. What
    /// loads should be on the heap: it lies in all that wait for it, several times over, and stacks are small.
    pub(crate) async fn get(
        &self,
        account: Option<&Account>,
        key: Key,
        load: impl Future<Output = Result<Entry, Fault>>,
    ) -> Result<Entry, Fault> {
        self.asked.fetch_add(1, Relaxed);
        let mut cached = true;
        let load = async {
            cached = false;
            self.loaded.fetch_add(1, Relaxed);
            load.await
        };
        let found = self.entries.get_or_insert_async(&key, load).await;
        if let Some(account) = account {
            account.table(cached);
        }
        found
    }
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockCache({} of {} bytes)", self.entries.weight(), self.entries.capacity())
    }
}
