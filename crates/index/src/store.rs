//! Snapshots in the bucket: the latest, and the next.

use std::sync::Arc;
use std::time::Duration;

use flamestore_clock::Clock;
use flamestore_model::{Fault, Kind, TenantId};
use flamestore_objstore::{Bucket, Put, sealed};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

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
    /// As it stands in the bucket.
    pub bytes: u64,
    pub snapshot: Result<Snapshot, Fault>,
}

struct Found {
    bytes: u64,
    snapshot: Result<Snapshot, Fault>,
}

/// Every snapshot from this number on is there.
#[derive(Serialize, Deserialize)]
struct KeptFrom {
    kept_from: u64,
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

    fn kept_from_key(&self) -> String {
        format!("{}/kept-from.json", self.folder())
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
    ///
    /// A listing only says where to begin: it may be of long ago. Snapshots are written in order and trimmed from the oldest
    /// on, so behind any that is there stand all newer ones.
    pub async fn latest(&self) -> Result<Latest, Fault> {
        let listed = self.numbers().await?.last().map_or(0, |(n, _)| *n);
        let (mut seq, mut found) = (listed, None);
        if seq > 0 {
            found = self.read(seq).await?;
        }
        if found.is_none() {
            seq = self.kept_from().await?;
            if seq > 0 {
                found = self.read(seq).await?;
            }
            if found.is_none() && (seq > 0 || listed > 0) {
                return Err(Fault::unavailable(format!(
                    "{} was listed and is gone: others have trimmed the index; the call can be repeated",
                    self.key(seq.max(listed))
                )));
            }
        }
        while let Some(next) = self.read(seq + 1).await? {
            seq += 1;
            found = Some(next);
        }
        let Found { bytes, snapshot } =
            found.unwrap_or_else(|| Found { bytes: 0, snapshot: Ok(Snapshot::empty(self.tenant.as_str())) });
        Ok(Latest { seq, bytes, snapshot })
    }

    /// `None`: there is no snapshot of this number.
    async fn read(&self, seq: u64) -> Result<Option<Found>, Fault> {
        let (key, mut bytes) = (self.key(seq), 0);
        let read = |zipped: &[u8]| {
            bytes = zipped.len() as u64;
            Snapshot::from_bytes(zipped).map_err(|fault| fault.at(&key)).and_then(|s| self.checked(s, seq))
        };
        let found = self.bucket.understand(&key, read).await?;
        Ok(found.map(|snapshot| Found { bytes, snapshot }))
    }

    /// Where snapshots began when they were last trimmed. 0: they never were, or nobody knows.
    async fn kept_from(&self) -> Result<u64, Fault> {
        let key = self.kept_from_key();
        let json = match self.bucket.get(&key).await {
            Ok(json) => json,
            Err(fault) if fault.kind == Kind::NotFound => return Ok(0),
            Err(fault) => return Err(fault),
        };
        match sealed::open(&json) {
            Ok(KeptFrom { kept_from }) => Ok(kept_from),
            // Of use only where a listing is wrong, and written again with the next trim.
            Err(fault) => {
                self.bucket.damaged(&key, &fault.at(&key));
                Ok(0)
            }
        }
    }

    /// The newest snapshot before a damaged one that can be read: what it says of blocks is out of date, but what was
    /// deleted stays deleted. Asked for by name, since no listing is believed.
    pub(crate) async fn older(&self, than: u64) -> Result<Option<Snapshot>, Fault> {
        for seq in (1..than).rev() {
            match self.read(seq).await? {
                Some(Found { snapshot: Ok(snapshot), .. }) => return Ok(Some(snapshot)),
                Some(_) => {}
                None => break,
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
    /// A latest snapshot that is damaged, or of which there is none, is replaced by `base`, which whoever calls has made from the
    /// blocks: it must be of the same number, since what others have changed after it would be lost.
    pub async fn edit(
        &self,
        base: &Snapshot,
        mut change: impl FnMut(&mut Snapshot) -> Result<(), Fault>,
    ) -> Result<Snapshot, Fault> {
        let started = self.clock.monotonic_nanos();
        for _ in 0..MAX_TRIES {
            let Latest { seq, snapshot, .. } = self.latest().await?;
            let (before, made) = match snapshot {
                Ok(found) if seq > 0 => (found, false),
                Err(fault) if base.seq != seq => {
                    let told =
                        "the index was damaged meanwhile: it is made again from the blocks; the call can be repeated";
                    return Err(Fault::unavailable(told).caused_by(fault));
                }
                _ => (Snapshot { seq, ..base.clone() }, seq > 0 || !base.blocks.is_empty()),
            };
            let mut next = before.clone();
            change(&mut next)?;
            if next == before && !made {
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
        let gone: Vec<u64> =
            numbers.iter().take(old).take_while(|(_, written)| *written < oldest_kept).map(|(seq, _)| *seq).collect();
        let Some(last) = gone.last() else { return Ok(0) };
        // Said before: whoever is shown a listing of before this finds its way by it.
        if *last >= self.kept_from().await? {
            let unwritable = |e| Fault::internal("the start of the index cannot be written").caused_by(e);
            let json = serde_json::to_vec(&KeptFrom { kept_from: last + 1 }).map_err(unwritable)?;
            self.bucket.put(&self.kept_from_key(), sealed::seal(json).into()).await?;
        }
        // The oldest first, and no further than an error: what is left has no gap.
        for seq in &gone {
            self.bucket.delete(&self.key(*seq)).await?;
        }
        Ok(gone.len())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

    use flamestore_block::Ulid;
    use flamestore_clock::ManualClock;
    use flamestore_objstore::{Faulty, Op, Verdict};

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
        let of_before = index.edit(&base, |_| Ok(())).await;
        assert_eq!(of_before.unwrap_err().kind, Kind::Unavailable, "it may lack what the damaged one had");
        base.seq = 1;
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

    /// The same bucket, whose listings from now on are those of when they were last asked for.
    pub(crate) fn stale(bucket: &Bucket) -> (Bucket, Arc<AtomicBool>) {
        let stale = Arc::new(AtomicBool::new(false));
        let rule = {
            let stale = stale.clone();
            move |op: Op, _: &_| match op {
                Op::List if stale.load(SeqCst) => Verdict::StaleList,
                _ => Verdict::Pass,
            }
        };
        (bucket.clone().through(|store| Arc::new(Faulty::by_rule(store, rule))), stale)
    }

    #[tokio::test]
    async fn a_listing_of_long_ago_does_not_hide_the_latest_snapshot() {
        let (bucket, stale) = stale(&Bucket::in_memory());
        let clock = ManualClock::at_nanos(1);
        let index = Index::new(bucket, TenantId::parse("t").unwrap(), clock.clone());
        let empty = Snapshot::empty("t");
        for listed in [0, 2] {
            assert_eq!(index.latest().await.unwrap().seq, listed);
            stale.store(true, SeqCst);
            for i in 1..=20 {
                index.edit(&empty, adding(meta(u128::from(100 * listed) + i, 0))).await.unwrap();
            }
            let written = listed + 20;
            assert_eq!(index.latest().await.unwrap().seq, written);
            // Somebody with a fresh listing trims what the old one begins with.
            clock.advance(Duration::from_secs(1 << 32));
            stale.store(false, SeqCst);
            let other = Index::new(index.bucket.clone(), index.tenant.clone(), clock.clone());
            let listing = other.numbers().await.unwrap().len();
            assert_eq!(other.trim().await.unwrap(), listing - KEEP_SNAPSHOTS);
            for keep in 0..KEEP_SNAPSHOTS as u64 {
                index.bucket.get(&index.key(written - keep)).await.unwrap();
            }
            if listed == 0 {
                // For the second turn: a listing that shows two snapshots, both trimmed since.
                for key in (1..=written).map(|seq| index.key(seq)) {
                    index.bucket.delete(&key).await.unwrap();
                }
                index.bucket.delete(&index.kept_from_key()).await.unwrap();
                index.edit(&empty, adding(meta(1, 0))).await.unwrap();
                index.edit(&empty, adding(meta(2, 0))).await.unwrap();
            }
        }
        let (empty_listing, stale) = self::stale(&index.bucket);
        stale.store(true, SeqCst);
        let blind = Index::new(empty_listing, index.tenant.clone(), clock);
        assert_eq!(blind.latest().await.unwrap().seq, 22, "by what was said when it was trimmed");
    }

    #[tokio::test]
    async fn a_bit_that_flips_on_the_way_is_no_damage() {
        let bucket = Bucket::in_memory();
        let plain = index(&bucket);
        plain.edit(&Snapshot::empty("t"), adding(meta(1, 0))).await.unwrap();
        let flips = AtomicU64::new(1);
        let rule = move |op: Op, _: &_| match op {
            Op::Get if flips.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok() => Verdict::FlipBit,
            _ => Verdict::Pass,
        };
        let bucket = bucket.through(|store| Arc::new(Faulty::by_rule(store, rule)));
        assert_eq!(index(&bucket).latest().await.unwrap().snapshot.unwrap().blocks.len(), 1);
    }
}
