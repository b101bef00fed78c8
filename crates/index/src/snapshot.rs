//! What a snapshot says, and its bytes: JSON in a zstd frame. Version 1.

use flamestore_block::{Meta, Origin, Ulid};
use flamestore_model::Fault;
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

    /// Lists a block; one that is listed or dead stays what it is.
    pub fn add(&mut self, meta: Meta) {
        if self.is_dead(meta.ulid) {
            return;
        }
        if let Err(at) = self.blocks.binary_search_by_key(&meta.ulid, |b| b.ulid) {
            self.blocks.insert(at, meta);
        }
    }

    /// Takes a block off the list, to be deleted. False: it was not on it.
    pub fn kill(&mut self, ulid: Ulid, why: Why, now_ms: i64) -> bool {
        let Ok(at) = self.blocks.binary_search_by_key(&ulid, |b| b.ulid) else { return false };
        let meta = self.blocks.remove(at);
        let dead = Dead { ulid, marked_ms: now_ms, why, bytes: meta.stats.bytes, origins: meta.origins().to_vec() };
        if let Err(at) = self.dead.binary_search_by_key(&ulid, |d| d.ulid) {
            self.dead.insert(at, dead);
        }
        self.quarantined.retain(|q| q.ulid != ulid);
        for deletion in &mut self.deletions {
            if let Some(at) = deletion.blocks.iter().position(|b| *b == ulid) {
                deletion.replaced.push(deletion.blocks.swap_remove(at));
            }
        }
        true
    }

    /// The requests that hide profiles of a block.
    pub fn deletions_of(&self, ulid: Ulid) -> impl Iterator<Item = &Deletion> {
        self.deletions.iter().filter(move |d| d.blocks.contains(&ulid))
    }

    /// Compaction is to leave a block alone.
    pub fn quarantine(&mut self, ulid: Ulid, fault: &Fault, now_ms: i64) {
        if let Err(at) = self.quarantined.binary_search_by_key(&ulid, |q| q.ulid) {
            self.quarantined.insert(at, Quarantined { ulid, since_ms: now_ms, fault: fault.to_string() });
        }
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
    use crate::view::tests::meta;

    fn filled() -> Snapshot {
        let mut s = Snapshot::empty("t");
        (1..=5).for_each(|i| s.add(meta(i, 0)));
        s.kill(Ulid(2), Why::Retention, 7);
        s.quarantine(Ulid(3), &Fault::corrupt("bad"), 8);
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
    fn a_version_of_the_future_is_refused() {
        let mut s = filled();
        s.version = VERSION + 1;
        assert!(Snapshot::from_bytes(&s.to_bytes().unwrap()).unwrap_err().message.contains("version"));
    }
}
