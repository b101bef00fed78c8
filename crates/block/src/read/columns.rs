//! Decoding columns of fetched rows.

use std::ops::Range;
use std::sync::Arc;

use flamestore_model::Fault;
use parquet::column::page::PageReader;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
};
use parquet::file::reader::SerializedPageReader;

use crate::read::file::Footer;
use crate::read::object::{Fetched, Sparse};
use crate::read::source::Local;
use crate::refusal::{corrupt, unreadable};

/// Parts of columns, not yet decoded. Can be sent to another thread.
pub(crate) struct Columns {
    footer: Arc<Footer>,
    source: Source,
}

enum Source {
    Fetched(Fetched),
    Checked(Arc<Sparse>),
}

impl Columns {
    pub(crate) fn fetched(footer: Arc<Footer>, fetched: Fetched) -> Self {
        Columns { footer, source: Source::Fetched(fetched) }
    }

    pub(crate) fn at_hand(footer: Arc<Footer>, whole: Arc<Sparse>) -> Self {
        Columns { footer, source: Source::Checked(whole) }
    }

    /// Tries the checksums. Computes: not for the threads that wait.
    pub(crate) fn check(self) -> Result<Checked, Fault> {
        let sparse = match self.source {
            Source::Fetched(fetched) => Arc::new(fetched.check()?),
            Source::Checked(sparse) => sparse,
        };
        Ok(Checked { footer: self.footer, bytes: At::Some(sparse) })
    }
}

/// Parts of columns whose bytes are those that were written.
pub(crate) struct Checked {
    footer: Arc<Footer>,
    bytes: At,
}

/// Where the bytes are.
enum At {
    Some(Arc<Sparse>),
    Whole(Arc<Local>),
}

/// Values of some rows. `there` says for each level whether a value stands there, `again` whether it goes on in the row
/// before; both are empty where the schema leaves no doubt.
pub(crate) struct Decoded<V> {
    pub(crate) values: Vec<V>,
    pub(crate) there: Vec<i16>,
    pub(crate) again: Vec<i16>,
}

impl<V: Clone> Decoded<V> {
    /// One entry a row, for columns that are not repeated.
    pub(crate) fn optional(self) -> Vec<Option<V>> {
        if self.there.is_empty() {
            return self.values.into_iter().map(Some).collect();
        }
        let mut values = self.values.into_iter();
        self.there.iter().map(|there| if *there > 0 { values.next() } else { None }).collect()
    }
}

impl Checked {
    /// All columns of a file that is here. Reads its footer.
    pub(crate) fn local(file: Local) -> Result<Self, Fault> {
        let footer = Arc::new(Footer::read(&file, &file.key)?);
        Ok(Checked { footer, bytes: At::Whole(Arc::new(file)) })
    }

    pub(crate) fn name(&self) -> &str {
        match &self.bytes {
            At::Some(sparse) => &sparse.key,
            At::Whole(local) => &local.key,
        }
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.footer.column(path).is_some()
    }

    pub(crate) fn footer(&self) -> &Arc<Footer> {
        &self.footer
    }

    pub(crate) fn u32s(&self, path: &str, rows: &[Range<u64>]) -> Result<Vec<i32>, Fault> {
        self.required::<Int32Type>(path, rows)
    }

    pub(crate) fn i64s(&self, path: &str, rows: &[Range<u64>]) -> Result<Vec<i64>, Fault> {
        self.required::<Int64Type>(path, rows)
    }

    pub(crate) fn bools(&self, path: &str, rows: &[Range<u64>]) -> Result<Vec<bool>, Fault> {
        self.required::<BoolType>(path, rows)
    }

    pub(crate) fn optional_u32s(&self, path: &str, rows: &[Range<u64>]) -> Result<Vec<Option<i32>>, Fault> {
        Ok(self.decode::<Int32Type>(path, rows)?.optional())
    }

    pub(crate) fn optional_i64s(&self, path: &str, rows: &[Range<u64>]) -> Result<Vec<Option<i64>>, Fault> {
        Ok(self.decode::<Int64Type>(path, rows)?.optional())
    }

    pub(crate) fn texts(&self, path: &str, rows: &[Range<u64>]) -> Result<Decoded<ByteArray>, Fault> {
        self.decode::<ByteArrayType>(path, rows)
    }

    pub(crate) fn fixed(&self, path: &str, rows: &[Range<u64>]) -> Result<Vec<FixedLenByteArray>, Fault> {
        self.required::<FixedLenByteArrayType>(path, rows)
    }

    pub(crate) fn optional_fixed(
        &self,
        path: &str,
        rows: &[Range<u64>],
    ) -> Result<Vec<Option<FixedLenByteArray>>, Fault> {
        Ok(self.decode::<FixedLenByteArrayType>(path, rows)?.optional())
    }

    /// The text of a value.
    pub(crate) fn text<'b>(&self, bytes: &'b ByteArray) -> Result<&'b str, Fault> {
        bytes.as_utf8().map_err(unreadable(self.name()))
    }

    /// Exactly one value a row.
    fn required<T: DataType>(&self, path: &str, rows: &[Range<u64>]) -> Result<Vec<T::T>, Fault> {
        let values = self.decode::<T>(path, rows)?.values;
        if values.len() as u64 != rows.iter().map(|r| r.end - r.start).sum::<u64>() {
            return Err(corrupt(self.name(), format_args!("column {path} has not one value a row")));
        }
        Ok(values)
    }

    fn decode<T: DataType>(&self, path: &str, rows: &[Range<u64>]) -> Result<Decoded<T::T>, Fault> {
        let mut out = Decoded { values: Vec::new(), there: Vec::new(), again: Vec::new() };
        let mut cursor = None;
        for range in rows {
            for (group, rows) in self.footer.by_group(range) {
                let cursor = Cursor::<T>::at(&mut cursor, self, path, group, rows.start)?;
                cursor.read(rows.end - rows.start, &mut out)?;
            }
        }
        Ok(out)
    }
}

fn boxed<R: PageReader + 'static>(pages: R) -> Box<dyn PageReader> {
    Box::new(pages)
}

/// A place in one column of one row group, which only moves forward.
pub(crate) struct Cursor<T: DataType> {
    reader: ColumnReaderImpl<T>,
    name: String,
    group: usize,
    row: u64,
}

impl<T: DataType> Cursor<T> {
    /// Moves the cursor to a row, in another row group by opening that.
    pub(crate) fn at<'c>(
        slot: &'c mut Option<Self>,
        columns: &Checked,
        path: &str,
        group: usize,
        row: u64,
    ) -> Result<&'c mut Self, Fault> {
        let here = slot.take().filter(|c| c.group == group && c.row <= row);
        let mut cursor = match here {
            Some(cursor) => cursor,
            None => Self::open(columns, path, group)?,
        };
        let skip = row - cursor.row;
        if skip > 0 {
            let skipped = cursor.reader.skip_records(skip as usize).map_err(unreadable(&cursor.name))?;
            if skipped as u64 != skip {
                return Err(corrupt(&cursor.name, "a column is shorter than its row group"));
            }
            cursor.row = row;
        }
        Ok(slot.insert(cursor))
    }

    fn open(columns: &Checked, path: &str, group: usize) -> Result<Self, Fault> {
        let name = columns.name().to_owned();
        let parquet = &columns.footer.parquet;
        let column =
            columns.footer.column(path).ok_or_else(|| corrupt(&name, format_args!("it has no column {path}")))?;
        let chunk = parquet
            .row_groups()
            .get(group)
            .and_then(|g| g.columns().get(column))
            .ok_or_else(|| corrupt(&name, "it has too few row groups"))?;
        if chunk.column_type() != T::get_physical_type() {
            return Err(corrupt(&name, format_args!("column {path} has another type")));
        }
        let rows = columns.footer.group_rows[group + 1] - columns.footer.group_rows[group];
        let pages = parquet.page_index_for_row_group(group).page_locations(column).cloned();
        let pages: Result<Box<dyn PageReader>, _> = match &columns.bytes {
            At::Some(sparse) => SerializedPageReader::new(sparse.clone(), chunk, rows as usize, pages).map(boxed),
            At::Whole(local) => SerializedPageReader::new(local.clone(), chunk, rows as usize, pages).map(boxed),
        };
        let reader = ColumnReaderImpl::<T>::new(chunk.column_descr_ptr(), pages.map_err(unreadable(&name))?);
        Ok(Cursor { reader, name, group, row: 0 })
    }

    /// Appends the next rows to `out`.
    pub(crate) fn read(&mut self, rows: u64, out: &mut Decoded<T::T>) -> Result<(), Fault> {
        let (read, _, _) = self
            .reader
            .read_records(rows as usize, Some(&mut out.there), Some(&mut out.again), &mut out.values)
            .map_err(unreadable(&self.name))?;
        if read as u64 != rows {
            return Err(corrupt(&self.name, "a column is shorter than its row group"));
        }
        self.row += rows;
        Ok(())
    }
}
