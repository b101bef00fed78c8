//! What a crash or a restart left in the log, back into heads.
//!
//! One thread reads the segments in order; the others decode and append. A record keeps its epoch, and is skipped when
//! that epoch's block of its tenant is committed, so each profile is in a block or in a head, never in both.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flamestore_model::{Fault, Kind, TenantId};
use flamestore_wal::Recovered;
use parking_lot::Mutex;

use crate::budget::Budget;
use crate::epoch::Epoch;
use crate::observe::Replayed;
use crate::push::decode_logged;
use crate::record::{Logged, Unreadable};

/// Records that were read and wait for a thread.
const QUEUE_RECORDS: usize = 16;

/// The epochs of the log, oldest first.
pub(crate) struct Epochs {
    pub(crate) epochs: Vec<Arc<Epoch>>,
    /// The highest number seen, also of epochs whose blocks are committed. 0: none.
    pub(crate) last: u64,
    pub(crate) found: Replayed,
}

/// Which records stand in blocks, or stood in some that were deleted since.
pub(crate) struct Flushed {
    /// Epochs and tenants that a block or the index names.
    pub(crate) committed: HashSet<(u64, TenantId)>,
    /// Every epoch below this one; see [`crate::flushed`].
    pub(crate) below: u64,
}

impl Flushed {
    fn has(&self, logged: &Logged) -> bool {
        logged.epoch < self.below || self.committed.contains(&(logged.epoch, logged.tenant.clone()))
    }
}

/// Blocks for as long as it takes.
pub(crate) fn replay(
    log: &Recovered,
    flushed: &Flushed,
    budget: &Arc<Budget>,
    threads: usize,
) -> Result<Epochs, Fault> {
    let found = Counts::default();
    let (sender, receiver) = sync_channel(QUEUE_RECORDS);
    let receiver = Arc::new(Mutex::new(receiver));
    let (epochs, last) = std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            // Only the threads hold it: if a bug ends them all, the reader is told.
            let receiver = receiver.clone();
            let found = &found;
            scope.spawn(move || apply(&receiver, found));
        }
        drop(receiver);
        let read = read(log, flushed, budget, &found, &sender);
        // The threads end when they have worked off what was sent.
        drop(sender);
        read
    })?;
    let found = Replayed {
        profiles: found.profiles.into_inner(),
        skipped: found.skipped.into_inner(),
        damaged: found.damaged.into_inner(),
        torn_bytes: log.torn_bytes,
        ..Replayed::default()
    };
    Ok(Epochs { epochs: epochs.into_values().collect(), last, found })
}

#[derive(Default)]
struct Counts {
    profiles: AtomicU64,
    skipped: AtomicU64,
    damaged: AtomicU64,
}

impl Counts {
    /// What is damaged is lost, and passed over. What cannot be read now may be read well at the next start: it ends this one,
    /// since the first flush would take away the log.
    fn pass_over(&self, fault: Fault) -> Result<(), Fault> {
        if fault.kind != Kind::Corrupt {
            return Err(fault);
        }
        self.damage(None, &fault);
        Ok(())
    }

    /// Loud, but no reason to keep everything else from being served.
    fn damage(&self, lsn: Option<u64>, fault: &Fault) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        tracing::error!(lsn, %fault, "acknowledged profiles in the log cannot be read back");
    }
}

struct Work {
    lsn: u64,
    epoch: Arc<Epoch>,
    logged: Logged,
}

fn read(
    log: &Recovered,
    flushed: &Flushed,
    budget: &Arc<Budget>,
    found: &Counts,
    sender: &SyncSender<Work>,
) -> Result<(BTreeMap<u64, Arc<Epoch>>, u64), Fault> {
    let mut epochs = BTreeMap::new();
    let mut last = 0;
    for segment in &log.segments {
        let records = match segment.records() {
            Ok(records) => records,
            Err(fault) => {
                found.pass_over(fault)?;
                continue;
            }
        };
        for record in records {
            let record = match record {
                Ok(record) => record,
                Err(fault) => {
                    found.pass_over(fault)?;
                    continue;
                }
            };
            let logged = match Logged::decode(record.payload) {
                Ok(logged) => logged,
                Err(why @ Unreadable::Version(_)) => return Err(why.into()),
                Err(why @ Unreadable::Malformed) => {
                    found.damage(Some(record.lsn), &why.into());
                    continue;
                }
            };
            last = last.max(logged.epoch);
            if flushed.has(&logged) {
                found.skipped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            // Read in order, so the first record of an epoch has its smallest LSN.
            let new = || Epoch::new(logged.epoch, record.lsn, budget.clone());
            let epoch = epochs.entry(logged.epoch).or_insert_with(new).clone();
            if sender.send(Work { lsn: record.lsn, epoch, logged }).is_err() {
                return Err(Fault::internal("the threads that replay the log are gone: this is a bug, see the log"));
            }
        }
    }
    Ok((epochs, last))
}

fn apply(receiver: &Mutex<Receiver<Work>>, found: &Counts) {
    loop {
        let work = receiver.lock().recv();
        let Ok(Work { lsn, epoch, logged }) = work else { return };
        let tenant = logged.tenant.clone();
        let applied = logged.into_profile().map_err(Fault::from).and_then(|profile| {
            let normalized = decode_logged(&profile)?;
            // It was accepted once: no bound refuses it now.
            epoch.admit(&tenant, &profile.series, None)?;
            epoch.append(&tenant, &profile, &normalized)
        });
        match applied {
            Ok(()) => drop(found.profiles.fetch_add(1, Ordering::Relaxed)),
            Err(fault) => found.damage(Some(lsn), &fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamestore_clock::{SeededChance, SystemClock};
    use flamestore_wal::{Silent, Wal, WalOptions};

    #[tokio::test]
    async fn a_log_that_cannot_be_read_now_is_not_taken_for_a_damaged_one() {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let (clock, chance) = (Arc::new(SystemClock::default()), Arc::new(SeededChance::new(1)));
            let options = WalOptions { segment_bytes: 1, ..WalOptions::default() };
            Wal::open(dir.path(), options, clock, chance, Arc::new(Silent)).unwrap()
        };
        let (wal, _) = open();
        for _ in 0..3 {
            wal.append(vec![vec![vec![2; 10].into()]]).await.unwrap();
        }
        drop(wal);
        let (_wal, log) = open();
        let replay = || replay(&log, &Flushed { committed: HashSet::new(), below: 0 }, &Budget::new(1 << 20), 1);
        assert_eq!(replay().unwrap().found.damaged, 3, "these are no records of ours");
        std::fs::remove_file(&log.segments[1].path).unwrap();
        assert_eq!(replay().map(|_| ()).unwrap_err().kind, Kind::Unavailable);
    }
}
