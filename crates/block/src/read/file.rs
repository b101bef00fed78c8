//! One Parquet file of a block: its footer, and the parts of its columns that hold given rows.

use std::ops::Range;
use std::sync::Arc;

use flamestore_model::{Fault, Filter};
use flamestore_objstore::Account;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::ChunkReader;

use crate::layout::{Resolution, Table};
use crate::read::cache::{Entry, Key, What};
use crate::read::columns::Columns;
use crate::read::object::Sparse;
use crate::read::{Block, blocking};
use crate::refusal::{corrupt, unreadable};

/// Files up to this size are fetched whole with their footer, and kept with it.
pub const WHOLE_FILE_BYTES: u64 = 128 << 10;

/// What is at the end of a file.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) parquet: ParquetMetaData,
    /// The first row of each row group, and the end of the last.
    pub(crate) group_rows: Vec<u64>,
    /// The file, if it is small.
    whole: Option<Arc<Sparse>>,
    bytes: usize,
}

impl Footer {
    /// Reads what is at the end of `file`, called `key`.
    pub(crate) fn read(file: &impl ChunkReader, key: &str) -> Result<Self, Fault> {
        let parquet = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Required)
            .parse_and_finish(file)
            .map_err(unreadable(key))?;
        let mut group_rows = vec![0u64];
        for group in parquet.row_groups() {
            let last = group_rows.last().copied().unwrap_or(0);
            let rows = u64::try_from(group.num_rows()).ok().and_then(|n| last.checked_add(n));
            group_rows.push(rows.ok_or_else(|| corrupt(key, "a row group has an impossible size"))?);
        }
        let bytes = parquet.memory_size() + group_rows.capacity() * 8;
        Ok(Footer { parquet, group_rows, whole: None, bytes })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The position of a leaf column; `None` where the file has no such column.
    pub(crate) fn column(&self, path: &str) -> Option<usize> {
        let leaves = self.parquet.file_metadata().schema_descr().columns();
        leaves.iter().position(|c| c.path().string() == path)
    }

    /// The parts of a range of rows by row group, as (group, rows within it).
    pub(crate) fn by_group(&self, rows: &Range<u64>) -> impl Iterator<Item = (usize, Range<u64>)> + '_ {
        let rows = rows.clone();
        let first = self.group_rows.partition_point(|start| *start <= rows.start).saturating_sub(1);
        self.group_rows.windows(2).enumerate().skip(first).map_while(move |(g, bounds)| {
            let (start, end) = (rows.start.max(bounds[0]), rows.end.min(bounds[1]));
            (start < rows.end).then(|| (g, start - bounds[0]..end.max(start) - bounds[0]))
        })
    }

    /// The byte ranges of the pages that hold these rows of these columns, dictionaries included.
    fn pages(&self, columns: &[usize], rows: &[Range<u64>]) -> Option<Vec<Range<u64>>> {
        let mut out = Vec::new();
        for rows in rows {
            for (g, rows) in self.by_group(rows) {
                let index = self.parquet.page_index_for_row_group(g);
                for column in columns {
                    let pages = index.page_locations(*column)?;
                    let (start, _) = self.parquet.row_group(g).columns().get(*column)?.byte_range();
                    let first_page = u64::try_from(pages.first()?.offset).ok()?;
                    if start < first_page {
                        out.push(start..first_page);
                    }
                    let from = pages.partition_point(|p| p.first_row_index as u64 <= rows.start).saturating_sub(1);
                    for page in pages.get(from..)?.iter().take_while(|p| (p.first_row_index as u64) < rows.end) {
                        let at = u64::try_from(page.offset).ok()?;
                        out.push(at..at + u64::try_from(page.compressed_page_size).ok()?);
                    }
                }
            }
        }
        Some(out)
    }
}

impl Block {
    pub(crate) async fn footer(&self, table: Table) -> Result<Arc<Footer>, Fault> {
        self.footer_for(self.account(), table).await
    }

    /// Loads the footers that samples of a dataset, or their sums, are found by, side by side, so that nobody has to wait for
    /// one after the other. What goes wrong here goes wrong again for whoever needs it.
    pub(crate) async fn footers_ahead(&self, dataset: usize, filter: &Filter<'_>) {
        let Ok(known) = self.dataset(dataset) else { return };
        let whole = filter.takes_all(known.range()) && self.hidden.is_empty();
        let resolutions: Vec<Resolution> = Resolution::ALL
            .into_iter()
            .filter(|r| self.rolls_up(filter) && known.rows.of(Table::RollUp(*r)).1 > 0)
            .filter(|r| whole == (*r == Resolution::Block))
            .collect();
        let mut tables: Vec<Table> =
            resolutions.iter().flat_map(|r| [Table::RollUp(*r), Table::RollUpSamples(*r)]).collect();
        tables.extend((!whole).then_some(Table::Profiles));
        tables.extend((!whole || resolutions.is_empty()).then_some(Table::Samples));
        drop(futures::future::join_all(tables.into_iter().map(|table| self.footer_for(None, table))).await);
    }

    async fn footer_for(&self, account: Option<&Account>, table: Table) -> Result<Arc<Footer>, Fault> {
        let key = Key { tenant: self.tenant.clone(), block: self.meta.ulid, what: What::Footer(table) };
        let load = Box::pin(async { self.load_footer(table).await.map(|f| Entry::Footer(Arc::new(f))) });
        match self.cache.get(account, key, load).await? {
            Entry::Footer(footer) => Ok(footer),
            _ => Err(Fault::internal("block cache: a footer is something else")),
        }
    }

    async fn load_footer(&self, table: Table) -> Result<Footer, Fault> {
        let file = self.meta.file(table)?;
        let key = self.meta.key(&file.path);
        let small = file.size <= WHOLE_FILE_BYTES;
        let from = if small { 0 } else { file.size - file.tail_bytes.min(file.size) };
        let fetched = self.fetch(key.clone(), file, std::slice::from_ref(&(from..file.size))).await?;
        blocking(move || {
            let sparse = fetched.check()?;
            let mut footer = Footer::read(&sparse, &key)?;
            if small {
                footer.bytes += sparse.bytes();
                footer.whole = Some(Arc::new(sparse));
            }
            Ok(footer)
        })
        .await
    }

    /// Fetches what holds these rows of these columns. Columns that the file does not have are left out.
    pub(crate) async fn columns(&self, table: Table, paths: &[&str], rows: &[Range<u64>]) -> Result<Columns, Fault> {
        let footer = self.footer(table).await?;
        let file = self.meta.file(table)?;
        let key = self.meta.key(&file.path);
        let all = footer.group_rows.last().copied().unwrap_or(0);
        if rows.iter().any(|r| r.start > r.end || r.end > all) {
            return Err(corrupt(&key, format_args!("it has {all} rows, but others are pointed at")));
        }
        if let Some(whole) = &footer.whole {
            return Ok(Columns::at_hand(footer.clone(), whole.clone()));
        }
        let columns: Vec<usize> = paths.iter().filter_map(|p| footer.column(p)).collect();
        let pages = footer.pages(&columns, rows).ok_or_else(|| corrupt(&key, "its page index is incomplete"))?;
        Ok(Columns::fetched(footer, self.fetch(key, file, &pages).await?))
    }
}
