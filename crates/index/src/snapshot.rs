//! What a snapshot says, and its bytes: JSON in a zstd frame. Version 1.

use std::collections::HashSet;

use flamestore_block::{Meta, Origin, Ulid};
use flamestore_model::{Fault, TimeRange};
use serde::{Deserialize, Serialize};

/// The version that is written. Readers accept every version up to it.
pub const VERSION: u32 = 1;
/// The largest snapshot that is read, inflated: some hundred thousand blocks.
pub const MAX_SNAPSHOT_BYTES: usize = 1 << 30;
const ZSTD_LEVEL: i32 = 3;

/// Every block of a tenant that counts, and every one that will be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub version: u32,
    /// 1 for the first. 0: there is none yet.
    pub seq: u64,
    pub tenant: String,
    pub written_ms: i64,
    /// Sorted by id.
    pub blocks: Vec<Meta>,
    /// Sorted by id.
    pub dead: Vec<Dead>,
    /// Blocks that compaction leaves alone, because they cannot be read. Sorted by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Quarantined>,
    /// Blocks that were taken off the list because the bucket has lost them. Sorted by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
    /// What was deleted on request, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletions: Vec<Deletion>,
}

/// A request to delete, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    pub id: Ulid,
    /// Number of the first snapshot with it. 0: nobody has written that down.
    #[serde(default)]
    pub listed_in: u64,
    /// As it was sent.
    pub selector: String,
    /// Closed.
    pub from_nanos: i64,
    pub until_nanos: i64,
    pub asked_ms: i64,
    /// Blocks in which the profiles still stand, hidden.
    pub blocks: Vec<Ulid>,
    /// Blocks in which they stood, written again without them; their bytes go with the deletion delay.
    pub replaced: Vec<Ulid>,
}

/// A block that no query sees any more. Its bytes go when the deletion delay is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dead {
    pub ulid: Ulid,
    pub marked_ms: i64,
    pub why: Why,
    pub bytes: u64,
    /// Of its profiles: a log that still has them must not bring them back.
    pub origins: Vec<Origin>,
}

/// Why a block goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its profiles stand in a larger block.
    Compaction,
    /// Older than the tenant keeps profiles.
    Retention,
    /// The tenant's blocks are larger than they may be.
    Size,
    /// The disk is full.
    Disk,
    /// All of its profiles were deleted on request.
    Deletion,
}

impl Why {
    /// The label of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Why::Compaction => "compaction",
            Why::Retention => "retention",
            Why::Size => "size",
            Why::Disk => "disk",
            Why::Deletion => "deletion",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    pub ulid: Ulid,
    pub since_ms: i64,
    /// What is wrong with it.
    pub fault: String,
    /// Cleanups in a row that found something of it gone from the bucket. 0: it is damaged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gone: u32,
    /// When the last of its files was written, by the store's clock. Absent: nobody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_ms: Option<i64>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A block that the bucket has lost: queries go on without it, and with it should it come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    pub ulid: Ulid,
    pub lost_ms: i64,
    /// What is gone of it.
    pub fault: String,
    pub level: u32,
    /// Of its first and last profile.
    pub min_time_nanos: i64,
    pub max_time_nanos: i64,
    pub profiles: u64,
    pub bytes: u64,
    /// Of its profiles: nothing else may bring them back while it may come back itself.
    pub origins: Vec<Origin>,
}

impl Lost {
    pub fn range(&self) -> TimeRange {
        TimeRange { from_nanos: self.min_time_nanos, to_nanos: self.max_time_nanos }
    }
}

impl Snapshot {
    pub fn empty(tenant: &str) -> Self {
        Snapshot {
            version: VERSION,
            seq: 0,
            tenant: tenant.to_owned(),
            written_ms: 0,
            blocks: Vec::new(),
            dead: Vec::new(),
            quarantined: Vec::new(),
            lost: Vec::new(),
            deletions: Vec::new(),
        }
    }

    pub fn block(&self, ulid: Ulid) -> Option<&Meta> {
        self.blocks.binary_search_by_key(&ulid, |b| b.ulid).ok().map(|at| &self.blocks[at])
    }

    pub fn is_dead(&self, ulid: Ulid) -> bool {
        self.dead.binary_search_by_key(&ulid, |d| d.ulid).is_ok()
    }

    pub fn is_quarantined(&self, ulid: Ulid) -> bool {
        self.quarantined.binary_search_by_key(&ulid, |q| q.ulid).is_ok()
    }

    pub fn is_lost(&self, ulid: Ulid) -> bool {
        self.lost.binary_search_by_key(&ulid, |l| l.ulid).is_ok()
    }

    /// Lists a block; one that is listed, dead or lost stays what it is.
    pub fn add(&mut self, meta: Meta) {
        if self.is_dead(meta.ulid) || self.is_lost(meta.ulid) {
            return;
        }
        if let Err(at) = self.blocks.binary_search_by_key(&meta.ulid, |b| b.ulid) {
            self.blocks.insert(at, meta);
        }
    }

    /// Takes a block off the list, to be deleted. False: it was not on it.
    pub fn kill(&mut self, ulid: Ulid, why: Why, now_ms: i64) -> bool {
        let Some(meta) = self.take_off(ulid) else { return false };
        let dead = Dead { ulid, marked_ms: now_ms, why, bytes: meta.stats.bytes, origins: meta.origins().to_vec() };
        if let Err(at) = self.dead.binary_search_by_key(&ulid, |d| d.ulid) {
            self.dead.insert(at, dead);
        }
        true
    }

    fn take_off(&mut self, ulid: Ulid) -> Option<Meta> {
        let at = self.blocks.binary_search_by_key(&ulid, |b| b.ulid).ok()?;
        self.quarantined.retain(|q| q.ulid != ulid);
        for deletion in &mut self.deletions {
            if let Some(at) = deletion.blocks.iter().position(|b| *b == ulid) {
                deletion.replaced.push(deletion.blocks.swap_remove(at));
            }
        }
        Some(self.blocks.remove(at))
    }

    /// Takes a block off the list that the bucket has lost. False: it was not on it.
    pub fn lose(&mut self, ulid: Ulid, fault: &str, now_ms: i64) -> bool {
        let Some(meta) = self.take_off(ulid) else { return false };
        let lost = Lost {
            ulid,
            lost_ms: now_ms,
            fault: fault.to_owned(),
            level: meta.level,
            min_time_nanos: meta.min_time_nanos,
            max_time_nanos: meta.max_time_nanos,
            profiles: meta.stats.profiles,
            bytes: meta.stats.bytes,
            origins: meta.origins().to_vec(),
        };
        if let Err(at) = self.lost.binary_search_by_key(&ulid, |l| l.ulid) {
            self.lost.insert(at, lost);
        }
        true
    }

    /// Lists a block again that was lost, with what was deleted of it on request hidden. False: it was not lost, or its
    /// profiles stand in another block.
    pub fn take_back(&mut self, meta: Meta) -> bool {
        let Ok(at) = self.lost.binary_search_by_key(&meta.ulid, |l| l.ulid) else { return false };
        // Of the dead, those that it was made of have its profiles, too.
        let known: HashSet<&Origin> = self.blocks.iter().flat_map(Meta::origins).collect();
        let elsewhere = meta.origins().iter().any(|origin| known.contains(origin));
        self.lost.remove(at);
        if elsewhere {
            return false;
        }
        for deletion in &mut self.deletions {
            if let Some(at) = deletion.replaced.iter().position(|b| *b == meta.ulid) {
                deletion.blocks.push(deletion.replaced.swap_remove(at));
            }
        }
        self.add(meta);
        true
    }

    /// The requests that hide profiles of a block.
    pub fn deletions_of(&self, ulid: Ulid) -> impl Iterator<Item = &Deletion> {
        self.deletions.iter().filter(move |d| d.blocks.contains(&ulid))
    }

    /// Compaction is to leave a block alone.
    pub fn quarantine(&mut self, ulid: Ulid, fault: &Fault, now_ms: i64, written_ms: Option<i64>) {
        if let Err(at) = self.quarantined.binary_search_by_key(&ulid, |q| q.ulid) {
            let fault = fault.to_string();
            self.quarantined.insert(at, Quarantined { ulid, since_ms: now_ms, fault, gone: 0, written_ms });
        }
    }

    /// Compaction is to leave a listed block alone, because something of it is gone; `gone` says how often that was found.
    pub fn miss(&mut self, ulid: Ulid, fault: &str, since_ms: i64, gone: u32) {
        if self.block(ulid).is_none() {
            return;
        }
        let missed = Quarantined { ulid, since_ms, fault: fault.to_owned(), gone, written_ms: None };
        match self.quarantined.binary_search_by_key(&ulid, |q| q.ulid) {
            Ok(at) => self.quarantined[at] = missed,
            Err(at) => self.quarantined.insert(at, missed),
        }
    }

    /// Compaction may try a block again. False: it was not left alone.
    pub fn release(&mut self, ulid: Ulid) -> bool {
        let before = self.quarantined.len();
        self.quarantined.retain(|q| q.ulid != ulid);
        self.quarantined.len() < before
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let refuse = |e: serde_json::Error| Fault::corrupt("an index snapshot cannot be read").caused_by(e);
        let json = zstd::bulk::Decompressor::new()
            .and_then(|mut zstd| zstd.decompress(bytes, inflated_bytes(bytes)))
            .map_err(|e| Fault::corrupt("an index snapshot cannot be inflated").caused_by(e))?;
        let Version { version } = serde_json::from_slice(&json).map_err(refuse)?;
        if version == 0 || version > VERSION {
            return Err(Fault::corrupt(format!(
                "an index snapshot has version {version}; this program reads versions 1 to {VERSION}"
            )));
        }
        let mut read: Snapshot = serde_json::from_slice(&json).map_err(refuse)?;
        read.blocks.sort_by_key(|b| b.ulid);
        read.dead.sort_by_key(|d| d.ulid);
        read.quarantined.sort_by_key(|q| q.ulid);
        read.lost.sort_by_key(|l| l.ulid);
        Ok(read)
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, Fault> {
        let unwritable = |e: Box<dyn std::error::Error + Send + Sync>| {
            Fault::internal("an index snapshot cannot be written").caused_by(e)
        };
        let json = serde_json::to_vec(self).map_err(|e| unwritable(e.into()))?;
        let mut zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(|e| unwritable(e.into()))?;
        // Damage is then noticed, and not read as another list.
        zstd.include_checksum(true).map_err(|e| unwritable(e.into()))?;
        zstd.compress(&json).map_err(|e| unwritable(e.into()))
    }
}

/// The size the frame speaks of, so that a small file cannot claim much memory.
fn inflated_bytes(bytes: &[u8]) -> usize {
    let claimed = zstd::bulk::Decompressor::upper_bound(bytes).unwrap_or(MAX_SNAPSHOT_BYTES);
    claimed.min(MAX_SNAPSHOT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::{compacted, meta};

    fn filled() -> Snapshot {
        let mut s = Snapshot::empty("t");
        (1..=5).for_each(|i| s.add(meta(i, 0)));
        s.kill(Ulid(2), Why::Retention, 7);
        s.quarantine(Ulid(3), &Fault::corrupt("bad"), 8, Some(3));
        s
    }

    #[test]
    fn bytes_say_the_same_and_damage_is_noticed() {
        let s = filled();
        let bytes = s.to_bytes().unwrap();
        assert_eq!(Snapshot::from_bytes(&bytes).unwrap(), s);
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x10;
            if let Ok(read) = Snapshot::from_bytes(&broken) {
                assert_eq!(read, s, "byte {at}");
            }
        }
        assert!(Snapshot::from_bytes(&[]).is_err());
    }

    #[test]
    fn what_is_dead_stays_dead() {
        let mut s = filled();
        assert!(s.is_dead(Ulid(2)) && s.block(Ulid(2)).is_none());
        s.add(meta(2, 0));
        assert!(s.block(Ulid(2)).is_none());
        assert!(!s.kill(Ulid(2), Why::Disk, 9));
        assert!(s.is_quarantined(Ulid(3)));
        assert!(s.kill(Ulid(3), Why::Disk, 9) && !s.is_quarantined(Ulid(3)));
        assert_eq!(s.blocks.iter().map(|b| b.ulid.0).collect::<Vec<_>>(), [1, 4, 5]);
    }

    #[test]
    fn what_is_lost_comes_back_with_what_was_deleted_of_it_unless_it_is_elsewhere() {
        let mut s = filled();
        s.deletions.push(crate::view::tests::deletion(9, 1, &[3]));
        assert!(s.lose(Ulid(3), "gone", 9) && !s.lose(Ulid(3), "gone", 9));
        assert!(!s.is_quarantined(Ulid(3)) && s.deletions_of(Ulid(3)).count() == 0);
        s.add(meta(3, 0));
        assert!(s.block(Ulid(3)).is_none(), "only whoever has looked at it takes it back");
        assert_eq!(Snapshot::from_bytes(&s.to_bytes().unwrap()).unwrap(), s);
        let mut replaced = s.clone();
        replaced.add(compacted(10, 1, &[&meta(3, 0), &meta(7, 0)]));
        assert!(!replaced.take_back(meta(3, 0)) && replaced.block(Ulid(3)).is_none() && replaced.lost.is_empty());
        assert!(s.take_back(meta(3, 0)) && !s.take_back(meta(3, 0)));
        s.add(compacted(11, 1, &[&meta(4, 0), &meta(5, 0)]));
        assert!(s.kill(Ulid(4), Why::Compaction, 10) && s.kill(Ulid(5), Why::Compaction, 10));
        assert!(s.lose(Ulid(11), "gone", 11) && s.take_back(compacted(11, 1, &[&meta(4, 0), &meta(5, 0)])));
        assert_eq!((s.block(Ulid(3)).is_some(), s.deletions_of(Ulid(3)).count(), s.lost.len()), (true, 1, 0));
    }

    #[test]
    fn a_version_of_the_future_is_refused() {
        let mut s = filled();
        s.version = VERSION + 1;
        assert!(Snapshot::from_bytes(&s.to_bytes().unwrap()).unwrap_err().message.contains("version"));
    }
}
