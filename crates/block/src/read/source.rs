//! A block at hand as a whole, read row by row and in order: for whoever merges it.
//!
//! All files are fetched and their checksums tried once, small ones to memory and others to a folder. Reading then waits
//! for no network, and holds a page of each column.

mod local;
mod profiles;
mod rows;
mod symbols;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use flamestore_model::Fault;
use flamestore_objstore::PART_BYTES;

pub use profiles::{ProfileHead, ProfileReader};
pub use symbols::{FnNodeReader, FunctionReader, LocationReader, StackReader};

use crate::layout::Table;
use crate::meta::{DatasetRows, Meta};
use crate::read::columns::Checked;
use crate::read::{Block, Hidden, blocking};
use crate::refusal::corrupt;
use crate::spill::Spill;
use crate::write::Content;
pub(crate) use local::Local;

/// Files up to this size are held.
const MAX_HELD_FILE_BYTES: u64 = 64 << 10;

/// A block whose files are all here.
pub struct Source {
    meta: Arc<Meta>,
    hidden: Arc<[Hidden]>,
    tables: BTreeMap<Table, Arc<Checked>>,
    held: usize,
}

impl Block {
    /// Fetches all files of the block, one after another.
    ///
    /// Fails as `Corrupt` when the bytes of one are not what was written, and as `Unavailable` when the folder is full.
    pub async fn source(&self, spill: &Spill) -> Result<Source, Fault> {
        let (mut tables, mut held) = (BTreeMap::new(), 0);
        for table in Table::ALL {
            let content = self.local(table, spill).await?;
            held += if let Content::Held(bytes) = &content { bytes.len() } else { 0 };
            let key = self.meta.key(table.file());
            let checked = blocking(move || Checked::local(Local { key, content })).await?;
            held += checked.footer().bytes();
            tables.insert(table, Arc::new(checked));
        }
        Ok(Source { meta: self.meta.clone(), hidden: self.hidden.clone(), tables, held })
    }

    async fn local(&self, table: Table, spill: &Spill) -> Result<Content, Fault> {
        let file = self.meta.file(table)?.clone();
        let (key, piece) = (self.meta.key(&file.path), file.piece_bytes.max(1));
        let portion = if file.size <= MAX_HELD_FILE_BYTES { file.size } else { PART_BYTES as u64 };
        let mut content = None;
        for start in (0..file.size).step_by(portion.max(1) as usize) {
            let end = (start + portion).min(file.size);
            let bytes = self.bucket.get_range(&key, start..end).await?;
            if portion == file.size {
                check(&key, start, &bytes, piece, &file.piece_crc32c)?;
                return Ok(Content::Held(bytes));
            }
            let (key, crcs, spill) = (key.clone(), file.piece_crc32c.clone(), spill.clone());
            content = blocking(move || {
                check(&key, start, &bytes, piece, &crcs)?;
                let mut file = content.map_or_else(|| spill.file(), Ok)?;
                file.append(&bytes)?;
                Ok(Some(file))
            })
            .await?;
        }
        match content {
            Some(file) => Ok(Content::Spilled(file.into())),
            None => Err(corrupt(&key, "it is empty")),
        }
    }
}

/// Tries the checksums of pieces; `start` is where one begins.
fn check(key: &str, start: u64, bytes: &[u8], piece: u64, crcs: &[u32]) -> Result<(), Fault> {
    let first = usize::try_from(start / piece).unwrap_or(usize::MAX);
    let mut known = crcs.iter().skip(first);
    for (i, bytes) in bytes.chunks(piece as usize).enumerate() {
        if known.next().is_none_or(|crc| crc32c::crc32c(bytes) != *crc) {
            let at = start + i as u64 * piece;
            let end = at + bytes.len() as u64;
            return Err(corrupt(key, format_args!("the checksum of bytes {at} to {end} is wrong")));
        }
    }
    Ok(())
}

impl Source {
    pub fn meta(&self) -> &Arc<Meta> {
        &self.meta
    }

    /// Heap bytes of what is not on disk.
    pub fn held_bytes(&self) -> usize {
        self.held
    }

    /// The part of one service, if there is one.
    pub fn dataset(self: &Arc<Self>, service: &str) -> Result<Option<DatasetSource>, Fault> {
        let Some(dataset) = self.meta.datasets.iter().find(|d| d.service_name == service) else { return Ok(None) };
        let found = DatasetSource { source: self.clone(), rows: dataset.rows };
        for table in Table::ALL {
            let (columns, rows) = (found.columns(table)?, found.range(table));
            let all = columns.footer().group_rows.last().copied().unwrap_or(0);
            if rows.end > all {
                return Err(corrupt(columns.name(), format_args!("it has {all} rows, but others are pointed at")));
            }
        }
        Ok(Some(found))
    }
}

/// The part of one service of a [`Source`].
#[derive(Clone)]
pub struct DatasetSource {
    source: Arc<Source>,
    rows: DatasetRows,
}

impl DatasetSource {
    /// Of the block that it is of.
    pub fn meta(&self) -> &Arc<Meta> {
        &self.source.meta
    }

    pub fn rows(&self) -> &DatasetRows {
        &self.rows
    }

    pub fn profiles(&self) -> Result<ProfileReader, Fault> {
        ProfileReader::new(self)
    }

    pub fn functions(&self) -> Result<FunctionReader, Fault> {
        FunctionReader::new(self)
    }

    pub fn locations(&self) -> Result<LocationReader, Fault> {
        LocationReader::new(self)
    }

    pub fn fn_nodes(&self) -> Result<FnNodeReader, Fault> {
        FnNodeReader::new(self)
    }

    pub fn stacks(&self) -> Result<StackReader, Fault> {
        StackReader::new(self)
    }

    /// A fault that names the file of `what` ("stacks", "function nodes", "locations", "functions", "series" or
    /// "profiles"): they are not in the order that they must be in.
    pub fn out_of_order(&self, what: &str) -> Fault {
        let file = match what {
            "stacks" => Table::Stacktraces,
            "function nodes" => Table::FnTree,
            "locations" => Table::Locations,
            "functions" => Table::Functions,
            "series" => Table::Series,
            _ => Table::Profiles,
        };
        corrupt(&self.source.meta.key(file.file()), format_args!("its {what} are out of order"))
    }

    fn columns(&self, table: Table) -> Result<Arc<Checked>, Fault> {
        let columns = self.source.tables.get(&table);
        columns.cloned().ok_or_else(|| Fault::internal(format!("a source has no {}", table.file())))
    }

    fn range(&self, table: Table) -> Range<u64> {
        match table {
            Table::Series => self.rows.series,
            Table::Profiles => self.rows.profiles,
            Table::Samples => self.rows.samples,
            Table::Stacktraces => self.rows.stacktraces,
            Table::FnTree => self.rows.fn_tree,
            Table::Locations => self.rows.locations,
            _ => self.rows.functions,
        }
        .range()
    }
}
