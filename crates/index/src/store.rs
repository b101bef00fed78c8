//! Snapshots in the bucket: the latest, and the next.

use std::sync::Arc;
use std::time::Duration;

use flamestore_clock::Clock;
use flamestore_model::{Fault, Kind, TenantId};
use flamestore_objstore::{Bucket, Put};
use futures::TryStreamExt;

use crate::snapshot::Snapshot;

/// Snapshots that are kept for readers who have just listed them.
pub const KEEP_SNAPSHOTS: usize = 8;
/// Younger ones are kept too, so that a writer who was held up cannot take a number again that was in use.
pub const KEEP_SNAPSHOTS_FOR: Duration = Duration::from_secs(3600);
/// A writer held up for longer gives up.
const MAX_EDIT: Duration = Duration::from_secs(600);
/// Others who may write first before an edit gives up.
const MAX_TRIES: usize = 32;

const SUFFIX: &str = ".json.zst";

/// The index of one tenant.
#[derive(Debug, Clone)]
pub struct Index {
    bucket: Bucket,
    tenant: TenantId,
    clock: Arc<dyn Clock>,
}

/// The latest snapshot, or why it cannot be read.
#[derive(Debug)]
pub struct Latest {
    /// Its number. 0: there is none.
    pub seq: u64,
    pub snapshot: Result<Snapshot, Fault>,
}

impl Index {
    pub fn new(bucket: Bucket, tenant: TenantId, clock: Arc<dyn Clock>) -> Self {
        Index { bucket, tenant, clock }
    }

    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn folder(&self) -> String {
        format!("{}/index", self.tenant)
    }

    fn key(&self, seq: u64) -> String {
        format!("{}/{seq:020}{SUFFIX}", self.folder())
    }

    /// Numbers in the bucket with the time they were written at, sorted.
    async fn numbers(&self) -> Result<Vec<(u64, i64)>, Fault> {
        let mut found = Vec::new();
        let mut listed = self.bucket.list(&self.folder());
        while let Some(object) = listed.try_next().await? {
            let name = object.key.rsplit('/').next().unwrap_or("");
            let number = name.strip_suffix(SUFFIX).filter(|n| n.len() == 20).and_then(|n| n.parse().ok());
            found.extend(number.map(|n| (n, object.modified_ms)));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The latest snapshot; an empty one with number 0 when there is none. A damaged one is no error of the call.
    pub async fn latest(&self) -> Result<Latest, Fault> {
        let mut seq = self.numbers().await?.last().map_or(0, |(n, _)| *n);
        let mut found = None;
        // A listing may be behind: go on from where it ends.
        loop {
            let next = if found.is_none() && seq > 0 { seq } else { seq + 1 };
            match self.bucket.get(&self.key(next)).await {
                Ok(bytes) => {
                    seq = next;
                    found = Some(Snapshot::from_bytes(&bytes).map_err(|f| f.at(self.key(next))));
                }
                Err(fault) if fault.kind == Kind::NotFound && next == seq => {
                    // Trimmed since it was listed: there are newer ones.
                    found = Some(Err(fault.as_kind(Kind::Unavailable)));
                }
                Err(fault) if fault.kind == Kind::NotFound => break,
                Err(fault) => return Err(fault),
            }
        }
        let snapshot = match found {
            None => Ok(Snapshot::empty(self.tenant.as_str())),
            Some(Err(fault)) if fault.kind == Kind::Unavailable => return Err(fault),
            Some(found) => found.and_then(|s| self.checked(s, seq)),
        };
        Ok(Latest { seq, snapshot })
    }

    /// The newest snapshot before a damaged one that can be read: what it says of blocks is out of date, but what was
    /// deleted stays deleted.
    pub(crate) async fn older(&self, than: u64) -> Result<Option<Snapshot>, Fault> {
        for (seq, _) in self.numbers().await?.into_iter().rev().filter(|(seq, _)| *seq < than) {
            let read = match self.bucket.get(&self.key(seq)).await {
                Ok(bytes) => Snapshot::from_bytes(&bytes).and_then(|s| self.checked(s, seq)),
                Err(fault) if fault.kind == Kind::NotFound => continue,
                Err(fault) => return Err(fault),
            };
            if let Ok(snapshot) = read {
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }

    fn checked(&self, snapshot: Snapshot, seq: u64) -> Result<Snapshot, Fault> {
        if snapshot.tenant != self.tenant.as_str() || snapshot.seq != seq {
            return Err(Fault::corrupt(format!("{} is a snapshot of another place", self.key(seq))));
        }
        Ok(snapshot)
    }

    /// Changes the list: the next snapshot is what `change` makes of the latest. `change` is asked again when somebody
    /// else was faster, and must leave a list alone that it has changed before: after an error of this call nobody knows
    /// whether it was written. Without a change nothing is written.
    ///
    /// A damaged latest snapshot is replaced by `base`, which whoever calls has made from the blocks.
    pub async fn edit(
        &self,
        base: &Snapshot,
        mut change: impl FnMut(&mut Snapshot) -> Result<(), Fault>,
    ) -> Result<Snapshot, Fault> {
        let started = self.clock.monotonic_nanos();
        for _ in 0..MAX_TRIES {
            let Latest { seq, snapshot } = self.latest().await?;
            let (before, damaged) = match snapshot {
                Ok(found) => (found, false),
                Err(_) => (Snapshot { seq, ..base.clone() }, true),
            };
            let mut next = before.clone();
            change(&mut next)?;
            if next == before && !damaged {
                return Ok(before);
            }
            next.seq = seq + 1;
            next.written_ms = self.clock.now_millis();
            let bytes = next.to_bytes()?;
            if u128::from(self.clock.monotonic_nanos().saturating_sub(started)) > MAX_EDIT.as_nanos() {
                break;
            }
            match self.bucket.put_create(&self.key(next.seq), bytes.into()).await? {
                Put::Created => return Ok(next),
                Put::AlreadyExists => {}
            }
        }
        Err(Fault::unavailable(format!(
            "the index of tenant {} could not be written: others write it all the time, or the bucket is slow; it is \
             tried again with the next run",
            self.tenant
        )))
    }

    /// Deletes snapshots that nobody needs; returns how many.
    pub async fn trim(&self) -> Result<usize, Fault> {
        let numbers = self.numbers().await?;
        let oldest_kept = self.clock.now_millis() - KEEP_SNAPSHOTS_FOR.as_millis() as i64;
        let old = numbers.len().saturating_sub(KEEP_SNAPSHOTS);
        let mut gone = 0;
        for (seq, _) in numbers.iter().take(old).filter(|(_, written)| *written < oldest_kept) {
            self.bucket.delete(&self.key(*seq)).await?;
            gone += 1;
        }
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use flamestore_block::Ulid;
    use flamestore_clock::ManualClock;

    use super::*;
    use crate::snapshot::Why;
    use crate::view::tests::meta;

    fn index(bucket: &Bucket) -> Index {
        let clock = ManualClock::at_nanos(1_763_697_600_000_000_000);
        Index::new(bucket.clone(), TenantId::parse("t").unwrap(), clock)
    }

    fn adding(meta: flamestore_block::Meta) -> impl FnMut(&mut Snapshot) -> Result<(), Fault> {
        move |snapshot| {
            snapshot.add(meta.clone());
            Ok(())
        }
    }

    #[tokio::test]
    async fn each_edit_is_the_next_snapshot_and_no_change_writes_nothing() {
        let bucket = Bucket::in_memory();
        let index = index(&bucket);
        let empty = Snapshot::empty("t");
        assert_eq!(index.latest().await.unwrap().snapshot.unwrap(), empty);
        for i in 1..=3 {
            let now = index.edit(&empty, adding(meta(i, 0))).await.unwrap();
            assert_eq!((now.seq, now.blocks.len()), (i as u64, i as usize));
        }
        assert_eq!(index.edit(&empty, adding(meta(3, 0))).await.unwrap().seq, 3);
        let latest = index.latest().await.unwrap();
        assert_eq!((latest.seq, latest.snapshot.unwrap().blocks.len()), (3, 3));
    }

    #[tokio::test]
    async fn of_two_who_write_at_once_the_second_sees_what_the_first_wrote() {
        let bucket = Bucket::in_memory();
        let (a, b) = (index(&bucket), index(&bucket));
        let empty = Snapshot::empty("t");
        let edits = (0..16u128).map(|i| {
            let (who, empty) = (if i % 2 == 0 { &a } else { &b }, &empty);
            async move { who.edit(empty, adding(meta(i + 1, 0))).await.unwrap().seq }
        });
        let mut seqs = futures::future::join_all(edits).await;
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=16).collect::<Vec<_>>());
        assert_eq!(a.latest().await.unwrap().snapshot.unwrap().blocks.len(), 16);
    }

    #[tokio::test]
    async fn a_refused_change_writes_nothing() {
        let bucket = Bucket::in_memory();
        let index = index(&bucket);
        let edited = index.edit(&Snapshot::empty("t"), |_| Err(Fault::invalid("no"))).await;
        assert_eq!(edited.unwrap_err().kind, Kind::Invalid);
        assert_eq!(index.latest().await.unwrap().seq, 0);
    }

    #[tokio::test]
    async fn a_damaged_snapshot_is_replaced_by_what_the_blocks_say() {
        let bucket = Bucket::in_memory();
        let index = index(&bucket);
        index.edit(&Snapshot::empty("t"), adding(meta(1, 0))).await.unwrap();
        bucket.put(&index.key(1), b"nonsense".as_slice().into()).await.unwrap();
        assert!(index.latest().await.unwrap().snapshot.is_err());
        let mut base = Snapshot::empty("t");
        base.add(meta(7, 0));
        let now = index.edit(&base, |_| Ok(())).await.unwrap();
        assert_eq!((now.seq, now.block(Ulid(7)).is_some()), (2, true));
        assert!(index.latest().await.unwrap().snapshot.is_ok());
    }

    #[tokio::test]
    async fn only_old_snapshots_are_trimmed() {
        let bucket = Bucket::in_memory();
        let clock = ManualClock::at_nanos(1);
        let index = Index::new(bucket, TenantId::parse("t").unwrap(), clock.clone());
        let empty = Snapshot::empty("t");
        for i in 1..=20 {
            index.edit(&empty, adding(meta(i, 0))).await.unwrap();
        }
        assert_eq!(index.trim().await.unwrap(), 0);
        // The store's clock is the machine's, not ours: be ahead of it.
        clock.advance(Duration::from_secs(1 << 33));
        assert_eq!(index.trim().await.unwrap(), 20 - KEEP_SNAPSHOTS);
        assert_eq!(index.latest().await.unwrap().snapshot.unwrap().blocks.len(), 20);
        index
            .edit(&empty, |s| s.kill(Ulid(1), Why::Disk, 0).then_some(()).ok_or_else(|| Fault::invalid("")))
            .await
            .unwrap();
    }
}
