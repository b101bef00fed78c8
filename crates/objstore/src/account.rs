//! The account of one query: what it has read, and how many of its requests may be under way.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use flamestore_model::Reads;
use tokio::sync::Semaphore;

/// Opened by [`crate::Bucket::open_account`]; a bucket made by [`crate::Bucket::on`] writes into it.
#[derive(Debug)]
pub struct Account {
    /// The query's share of the turns at the bucket.
    pub(crate) turns: Semaphore,
    blocks: AtomicU64,
    cached_blocks: AtomicU64,
    tables: AtomicU64,
    cached_tables: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    pages: AtomicU64,
    cached_pages: AtomicU64,
    cached_page_bytes: AtomicU64,
    damaged_pages: AtomicU64,
}

impl Account {
    pub(crate) fn new(turns: usize) -> Self {
        Account {
            turns: Semaphore::new(turns),
            blocks: AtomicU64::new(0),
            cached_blocks: AtomicU64::new(0),
            tables: AtomicU64::new(0),
            cached_tables: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            pages: AtomicU64::new(0),
            cached_pages: AtomicU64::new(0),
            cached_page_bytes: AtomicU64::new(0),
            damaged_pages: AtomicU64::new(0),
        }
    }

    /// The sums up to now.
    pub fn reads(&self) -> Reads {
        Reads {
            blocks: self.blocks.load(Relaxed),
            cached_blocks: self.cached_blocks.load(Relaxed),
            tables: self.tables.load(Relaxed),
            cached_tables: self.cached_tables.load(Relaxed),
            requests: self.requests.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            pages: self.pages.load(Relaxed),
            cached_pages: self.cached_pages.load(Relaxed),
            cached_page_bytes: self.cached_page_bytes.load(Relaxed),
            damaged_pages: self.damaged_pages.load(Relaxed),
        }
    }

    /// Blocks were asked.
    pub fn blocks(&self, blocks: u64) {
        self.blocks.fetch_add(blocks, Relaxed);
    }

    /// Blocks that were asked need not be read: their part of the answer was at hand.
    pub fn blocks_at_hand(&self, blocks: u64) {
        self.cached_blocks.fetch_add(blocks, Relaxed);
    }

    /// A decoded part of a block was looked up in memory.
    pub fn table(&self, cached: bool) {
        self.tables.fetch_add(1, Relaxed);
        self.cached_tables.fetch_add(cached.into(), Relaxed);
    }

    pub(crate) fn requested(&self, requests: u64) {
        self.requests.fetch_add(requests, Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn pages(&self, asked: u64) {
        self.pages.fetch_add(asked, Relaxed);
    }

    pub(crate) fn page_on_disk(&self, bytes: u64) {
        self.cached_pages.fetch_add(1, Relaxed);
        self.cached_page_bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn page_damaged(&self) {
        self.damaged_pages.fetch_add(1, Relaxed);
    }
}
