//! Any bytes as a segment of the log: opening and reading it ends, and what is read is no more than was there.
#![no_main]

use std::sync::Arc;

use flamestore_clock::{SeededChance, SystemClock};
use flamestore_wal::{Silent, Wal, WalOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // In memory, where there is such a place: opening a log syncs.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    std::fs::write(dir.path().join(format!("{:020}.wal", 1)), bytes).expect("a segment");
    let (clock, chance) = (Arc::new(SystemClock::default()), Arc::new(SeededChance::new(1)));
    let Ok((_, found)) = Wal::open(dir.path(), WalOptions::default(), clock, chance, Arc::new(Silent)) else { return };
    for segment in &found.segments {
        let Ok(records) = segment.records() else { continue };
        let read: usize = records.filter_map(Result::ok).map(|record| record.payload.len()).sum();
        assert!(read <= bytes.len());
    }
});
