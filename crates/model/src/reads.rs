//! What answering a query has read.

use std::ops::AddAssign;

/// What one query has read of blocks, and how much of it was at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// Blocks that were asked.
    pub blocks: u64,
    /// Of these, blocks whose finished part of the answer was at hand.
    pub cached_blocks: u64,
    /// Footers, lists of series and tables of symbols that were looked up in memory.
    pub tables: u64,
    /// Of these, those that were there.
    pub cached_tables: u64,
    /// Requests for content that went to the bucket.
    pub requests: u64,
    /// What they brought, in bytes.
    pub bytes: u64,
    /// Pages that were looked up on the local disk.
    pub pages: u64,
    /// Of these, those that were there and sound.
    pub cached_pages: u64,
    /// The bytes of those.
    pub cached_page_bytes: u64,
    /// Pages on the local disk that were damaged, and came from the bucket again.
    pub damaged_pages: u64,
}

impl AddAssign for Reads {
    fn add_assign(&mut self, other: Reads) {
        for (mine, more) in [
            (&mut self.blocks, other.blocks),
            (&mut self.cached_blocks, other.cached_blocks),
            (&mut self.tables, other.tables),
            (&mut self.cached_tables, other.cached_tables),
            (&mut self.requests, other.requests),
            (&mut self.bytes, other.bytes),
            (&mut self.pages, other.pages),
            (&mut self.cached_pages, other.cached_pages),
            (&mut self.cached_page_bytes, other.cached_page_bytes),
            (&mut self.damaged_pages, other.damaged_pages),
        ] {
            *mine = mine.saturating_add(more);
        }
    }
}
