//! What a merge holds, counted as it grows, so that large tables know when to go to disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use flamestore_block::meta::DatasetRows;
use flamestore_model::Fault;

/// Rows of the largest page of a column: what reading holds, compressed and not.
const PAGE_ROWS: u64 = 64 << 10;
/// Rows of series, profiles and names that are decoded together.
const PORTION_ROWS: u64 = 16 << 10;

/// The counter of one merge. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    budget: usize,
    now: AtomicUsize,
    peak: AtomicUsize,
    stop: AtomicBool,
}

impl Memory {
    pub(crate) fn of(budget: u64) -> Self {
        let budget = usize::try_from(budget).unwrap_or(usize::MAX);
        Memory { counts: Arc::new(Counts { budget, ..Counts::default() }) }
    }

    /// Counts `bytes` for as long as the result lives.
    pub(crate) fn hold(&self, bytes: usize) -> Held {
        let mut held = Held { memory: self.clone(), bytes: 0 };
        held.set(bytes);
        held
    }

    /// Whether tables should go to disk from here on: the other half is for what cannot.
    pub(crate) fn is_short(&self) -> bool {
        self.counts.now.load(Relaxed) > self.counts.budget / 2
    }

    pub(crate) fn peak(&self) -> u64 {
        self.counts.peak.load(Relaxed) as u64
    }

    /// Nobody waits for this merge any more.
    pub(crate) fn stop(&self) {
        self.counts.stop.store(true, Relaxed);
    }

    /// Fails once nobody waits.
    pub(crate) fn go_on(&self) -> Result<(), Fault> {
        if self.counts.stop.load(Relaxed) {
            return Err(Fault::unavailable("a compaction was broken off: it is done again"));
        }
        Ok(())
    }
}

/// Bytes that are counted.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Memory,
    bytes: usize,
}

impl Held {
    /// Counts this many from now on.
    pub(crate) fn set(&mut self, bytes: usize) {
        let counts = &self.memory.counts;
        if bytes >= self.bytes {
            let now = counts.now.fetch_add(bytes - self.bytes, Relaxed) + (bytes - self.bytes);
            counts.peak.fetch_max(now, Relaxed);
        } else {
            counts.now.fetch_sub(self.bytes - bytes, Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What reading one table of a dataset holds at a time, at most: a page of each column, twice.
pub(crate) fn reader_bytes(rows: &DatasetRows) -> u64 {
    let pages = |rows: u64, most: u64, width: u64| rows.min(most) * width * 2;
    let trees = pages(rows.stacktraces.1, PAGE_ROWS, 12).max(pages(rows.fn_tree.1, PAGE_ROWS, 8));
    let functions = pages(rows.functions.1, PORTION_ROWS, 100);
    let locations = pages(rows.locations.1, PAGE_ROWS, 24);
    let profiles = pages(rows.samples.1, PAGE_ROWS, 16) + pages(rows.profiles.1, PORTION_ROWS, 40);
    trees.max(functions).max(locations).max(profiles + pages(rows.series.1, 1 << 8, 600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_the_most_that_was_held_at_a_time() {
        let memory = Memory::of(100);
        let mut a = memory.hold(40);
        assert!(!memory.is_short());
        let b = memory.hold(20);
        assert!(memory.is_short());
        a.set(10);
        drop(b);
        a.set(30);
        drop(a);
        assert_eq!((memory.peak(), memory.is_short()), (60, false));
    }
}
