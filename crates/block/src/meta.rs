//! `meta.json`: what a block holds, and the checksums of its files. Version 1.

use std::collections::BTreeMap;

use flamestore_model::{Fault, TenantId, TimeRange};
use flamestore_objstore::sealed;
use serde::{Deserialize, Serialize};

use crate::layout::{Resolution, Table, VERSION};
use crate::refusal::corrupt;
use crate::ulid::Ulid;

/// The file whose create-only put commits a block.
pub const META_FILE: &str = "meta.json";

/// Requests to delete that a block names; the receipts of others are long forgotten.
pub const MAX_DELETIONS: usize = 1000;

/// What is known of a block without opening its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Of the whole format.
    pub version: u32,
    pub ulid: Ulid,
    pub tenant: String,
    /// Of the first profile.
    pub min_time_nanos: i64,
    /// Of the last profile.
    pub max_time_nanos: i64,
    /// 0: flushed by an ingester; each compaction adds one.
    pub level: u32,
    pub origin: Origin,
    /// Of a compacted block: the blocks that it replaces, sorted. Since the compactor was built; absent means none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Ulid>,
    /// Of a compacted block: every origin whose profiles it holds, sorted; see [`Meta::origins`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
    /// Of a compacted block: requests to delete that it was written without the profiles of, sorted; the newest
    /// [`MAX_DELETIONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletions: Vec<Ulid>,
    pub stats: Stats,
    /// By service name.
    pub datasets: Vec<Dataset>,
    pub files: Vec<File>,
}

/// Who made the block, of what. Empty for a compacted block, which has many.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Origin {
    pub ingester: String,
    pub epoch: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    pub series: u64,
    /// Sample types of one pprof count each.
    pub profiles: u64,
    pub samples: u64,
    /// All files without this one.
    pub bytes: u64,
}

/// The part of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dataset {
    pub service_name: String,
    pub min_time_nanos: i64,
    pub max_time_nanos: i64,
    /// Sorted.
    pub profile_types: Vec<String>,
    /// For each label name the number of its values.
    pub labels: BTreeMap<String, u64>,
    pub rows: DatasetRows,
}

/// The dataset's rows in each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DatasetRows {
    pub series: Rows,
    pub profiles: Rows,
    pub samples: Rows,
    pub stacktraces: Rows,
    pub fn_tree: Rows,
    pub locations: Rows,
    pub functions: Rows,
    /// Only compacted blocks have roll-ups; absent: none. Since they were built.
    #[serde(default, skip_serializing_if = "Rows::is_none")]
    pub rollup_block: Rows,
    #[serde(default, skip_serializing_if = "Rows::is_none")]
    pub rollup_block_samples: Rows,
    #[serde(default, skip_serializing_if = "Rows::is_none")]
    pub rollup_1h: Rows,
    #[serde(default, skip_serializing_if = "Rows::is_none")]
    pub rollup_1h_samples: Rows,
    #[serde(default, skip_serializing_if = "Rows::is_none")]
    pub rollup_5m: Rows,
    #[serde(default, skip_serializing_if = "Rows::is_none")]
    pub rollup_5m_samples: Rows,
}

impl DatasetRows {
    pub(crate) fn of(&self, table: Table) -> Rows {
        match table {
            Table::Series => self.series,
            Table::Profiles => self.profiles,
            Table::Samples => self.samples,
            Table::Stacktraces => self.stacktraces,
            Table::FnTree => self.fn_tree,
            Table::Locations => self.locations,
            Table::Functions => self.functions,
            Table::RollUp(Resolution::Block) => self.rollup_block,
            Table::RollUp(Resolution::Hour) => self.rollup_1h,
            Table::RollUp(Resolution::FiveMinutes) => self.rollup_5m,
            Table::RollUpSamples(Resolution::Block) => self.rollup_block_samples,
            Table::RollUpSamples(Resolution::Hour) => self.rollup_1h_samples,
            Table::RollUpSamples(Resolution::FiveMinutes) => self.rollup_5m_samples,
        }
    }
}

/// `[first, count]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rows(pub u64, pub u64);

impl Rows {
    pub(crate) fn range(self) -> std::ops::Range<u64> {
        self.0..self.0.saturating_add(self.1)
    }

    fn is_none(&self) -> bool {
        self.1 == 0
    }
}

/// One file of the block, with what it takes to notice damage in any part that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Relative to the block's folder.
    pub path: String,
    pub size: u64,
    /// CRC-32C of the whole file.
    pub crc32c: u32,
    /// Bytes from the end that hold page indexes and footer.
    pub tail_bytes: u64,
    /// The file in pieces of this many bytes, the last one shorter.
    pub piece_bytes: u64,
    /// CRC-32C of each piece, as eight hexadecimal digits one after another.
    #[serde(with = "hex")]
    pub piece_crc32c: Vec<u32>,
}

impl Meta {
    /// Reads `meta.json`; refuses versions newer than [`VERSION`], and what its checksum does not fit.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let refuse = |e| Fault::corrupt("a block's meta.json cannot be read").caused_by(e);
        let Version { version } = serde_json::from_slice(bytes).map_err(refuse)?;
        if version == 0 || version > VERSION {
            return Err(Fault::corrupt(format!(
                "a block's meta.json has version {version}; this program reads versions 1 to {VERSION}"
            )));
        }
        sealed::check(bytes).map_err(|e| Fault::corrupt("a block's meta.json is not what was written").caused_by(e))?;
        let meta: Meta = serde_json::from_slice(bytes).map_err(refuse)?;
        for file in &meta.files {
            let pieces =
                file.size.checked_div(file.piece_bytes).map(|n| n + u64::from(file.size % file.piece_bytes > 0));
            if pieces != Some(file.piece_crc32c.len() as u64) || file.tail_bytes > file.size {
                return Err(corrupt(&meta.key(&file.path), "its sizes in meta.json do not fit each other"));
            }
        }
        Ok(meta)
    }

    /// The bytes of `meta.json`, with their checksum.
    pub fn to_json(&self) -> Result<Vec<u8>, Fault> {
        let json = serde_json::to_vec(self);
        json.map(sealed::seal).map_err(|e| Fault::internal("a block's meta.json cannot be written").caused_by(e))
    }

    /// The flushes whose profiles are in this block. Two blocks that share one hold the same profiles twice.
    pub fn origins(&self) -> &[Origin] {
        if self.origins.is_empty() { std::slice::from_ref(&self.origin) } else { &self.origins }
    }

    pub fn range(&self) -> TimeRange {
        TimeRange { from_nanos: self.min_time_nanos, to_nanos: self.max_time_nanos }
    }

    /// The key of one of the block's files.
    pub fn key(&self, file: &str) -> String {
        format!("{}/blocks/{}/{file}", self.tenant, self.ulid)
    }

    /// Keys of the files without which the block cannot be read: all but sums that samples can take the place of.
    pub fn needed_keys(&self) -> impl Iterator<Item = String> {
        let needed = |file: &&File| Table::ALL.iter().any(|table| table.file() == file.path);
        self.files.iter().filter(needed).map(|file| self.key(&file.path))
    }

    /// Whether any query can be answered from roll-ups.
    pub(crate) fn has_roll_ups(&self) -> bool {
        let rolled = |rows: &DatasetRows| Resolution::ALL.iter().any(|r| !rows.of(Table::RollUp(*r)).is_none());
        self.datasets.iter().any(|dataset| rolled(&dataset.rows))
    }

    pub(crate) fn file(&self, table: Table) -> Result<&File, Fault> {
        let found = self.files.iter().find(|f| f.path == table.file());
        found.ok_or_else(|| corrupt(&self.key(META_FILE), format_args!("it does not list {}", table.file())))
    }
}

/// The key of a block's `meta.json`.
pub fn meta_key(tenant: &TenantId, ulid: Ulid) -> String {
    format!("{tenant}/blocks/{ulid}/{META_FILE}")
}

impl Dataset {
    pub fn range(&self) -> TimeRange {
        TimeRange { from_nanos: self.min_time_nanos, to_nanos: self.max_time_nanos }
    }
}

mod hex {
    use std::fmt::Write;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(crcs: &[u32], s: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(crcs.len() * 8);
        for crc in crcs {
            // Writing to a string does not fail.
            let _ = write!(text, "{crc:08x}");
        }
        s.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u32>, D::Error> {
        let text = String::deserialize(d)?;
        text.as_bytes()
            .chunks(8)
            .map(|c| {
                let digits = std::str::from_utf8(c).ok().filter(|c| c.len() == 8);
                digits.and_then(|c| u32::from_str_radix(c, 16).ok())
            })
            .collect::<Option<_>>()
            .ok_or_else(|| serde::de::Error::custom("checksums must be eight hexadecimal digits each"))
    }
}
