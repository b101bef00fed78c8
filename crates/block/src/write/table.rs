//! A Parquet file in the making: row groups whose columns grow side by side.

use std::sync::Arc;

use bytes::Bytes;
use flamestore_model::Fault;
use parking_lot::Mutex;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, ColumnWriterImpl, get_column_writer};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, ColumnPath, TypePtr};

use crate::layout::{Column, Encode, Optional, Packing, Table, VERSION};
use crate::meta::File;
use crate::refusal::unwritable;
use crate::spill::Spill;
use crate::write::pieces::Checksums;
use crate::write::runs::{MAX_DISTINCT, MAX_GROUP_ROWS, MIN_GROUP_ROWS};
use crate::write::sink::{Content, Sink};

/// Rows that are gathered before they go to the encoders.
pub(crate) const BATCH_ROWS: usize = 8 << 10;
/// The usual page in bytes, before compression; [`Column::page_rows`] bounds it too.
const PAGE_BYTES: usize = 1 << 20;
/// Dictionaries end up in one page; a larger one is given up for plain values. Those of [`MAX_DISTINCT`] values are not.
const DICTIONARY_BYTES: usize = MAX_DISTINCT * size_of::<i64>();

/// What the files of a block have in common while they are made.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    pub(crate) packing: Packing,
    /// Where large files go; `None`: they are held.
    pub(crate) spill: Option<Spill>,
}

/// A finished file.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) content: Content,
    pub(crate) sums: Checksums,
    /// Page indexes and footer.
    pub(crate) tail_bytes: u64,
}

impl Encoded {
    /// What `meta.json` says of it.
    pub(crate) fn describe(&self, path: &str) -> File {
        File {
            path: path.to_owned(),
            size: self.sums.size,
            crc32c: self.sums.crc32c,
            tail_bytes: self.tail_bytes,
            piece_bytes: self.sums.piece_bytes,
            piece_crc32c: self.sums.piece_crc32c.clone(),
        }
    }
}

pub(crate) struct TableWriter {
    table: Table,
    packing: Packing,
    columns: Vec<Column>,
    file: SerializedFileWriter<Sink>,
    open: Option<Group>,
}

impl TableWriter {
    pub(crate) fn new(table: Table, manner: &Manner) -> Result<Self, Fault> {
        Self::with(table, manner, Optional::default())
    }

    /// With optional columns.
    pub(crate) fn with(table: Table, manner: &Manner, optional: Optional) -> Result<Self, Fault> {
        let mut columns = table.columns();
        columns.extend(optional.columns());
        let schema: TypePtr = table.schema(optional)?;
        let properties = properties(table, &columns, &[], manner.packing).map_err(unwritable(table.file()))?;
        let sink = Sink::new(manner.spill.clone());
        let file = SerializedFileWriter::new(sink, schema, properties).map_err(unwritable(table.file()))?;
        Ok(TableWriter { table, packing: manner.packing, columns, file, open: None })
    }

    /// Heap bytes of what is not on disk: the row group in the making, and a small file.
    pub(crate) fn held_bytes(&self) -> usize {
        self.file.inner().held_bytes() + self.open.as_ref().map_or(0, Group::held_bytes)
    }

    /// Closes the open row group and opens another. The columns named in `dictionaries` get one here.
    pub(crate) fn open(&mut self, dictionaries: &[usize]) -> Result<(), Fault> {
        self.close()?;
        let fault = unwritable(self.table.file());
        let properties = properties(self.table, &self.columns, dictionaries, self.packing).map_err(&fault)?;
        let schema = self.file.schema_descr();
        let columns = (0..self.columns.len()).map(|i| Pending::new(schema.column(i), properties.clone())).collect();
        self.open = Some(Group { file: self.table.file(), columns, waiting: 0, rows: 0 });
        Ok(())
    }

    /// The open row group.
    pub(crate) fn group(&mut self) -> Result<&mut Group, Fault> {
        if self.open.is_none() {
            self.open(&[])?;
        }
        self.open.as_mut().ok_or_else(|| Fault::internal("block writer: no row group is open"))
    }

    /// Where a dataset begins: it shares the row group of those before it while that is small.
    pub(crate) fn dataset(&mut self) -> Result<(), Fault> {
        match &self.open {
            Some(group) if group.rows < MIN_GROUP_ROWS => Ok(()),
            _ => self.open(&[]),
        }
    }

    /// The open row group, or another one where that is full.
    pub(crate) fn next_row(&mut self) -> Result<&mut Group, Fault> {
        if self.open.as_ref().is_some_and(|group| group.rows >= MAX_GROUP_ROWS) {
            self.open(&[])?;
        }
        self.group()
    }

    fn close(&mut self) -> Result<(), Fault> {
        let Some(mut group) = self.open.take() else { return Ok(()) };
        group.flush()?;
        let fault = unwritable(self.table.file());
        let closed = group.columns.into_iter().map(Pending::close);
        let closed: Vec<_> = closed.collect::<Result<_, _>>().map_err(&fault)?;
        let mut row_group = self.file.next_row_group().map_err(&fault)?;
        for (bytes, closed) in closed {
            row_group.append_column(&bytes, closed).map_err(&fault)?;
        }
        row_group.close().map_err(&fault)?;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Encoded, Fault> {
        self.close()?;
        let before = self.file.bytes_written() as u64;
        let sink = self.file.into_inner().map_err(unwritable(self.table.file()))?;
        let (content, sums) = sink.finish();
        Ok(Encoded { tail_bytes: sums.size - before, content, sums })
    }
}

fn properties(
    table: Table,
    columns: &[Column],
    dictionaries: &[usize],
    packing: Packing,
) -> parquet::errors::Result<WriterPropertiesPtr> {
    let sorted = table.sorted_by().iter();
    let sorted = sorted.map(|i| SortingColumn { column_idx: *i, descending: false, nulls_first: false }).collect();
    let mut b = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by("flamestore".into())
        .set_key_value_metadata(Some(vec![KeyValue::new("flamestore.version".into(), VERSION.to_string())]))
        .set_sorting_columns(Some(sorted))
        .set_max_row_group_row_count(None)
        .set_dictionary_enabled(false)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_data_page_size_limit(PAGE_BYTES);
    for (i, column) in columns.iter().enumerate() {
        let path = || ColumnPath::new(column.path.split('.').map(str::to_owned).collect());
        let encode = if dictionaries.contains(&i) { Encode::Dictionary } else { column.encode };
        let statistics = if column.statistics { EnabledStatistics::Page } else { EnabledStatistics::Chunk };
        b = b
            .set_column_compression(path(), Compression::ZSTD(ZstdLevel::try_new(column.zstd_level(packing))?))
            .set_column_data_page_row_count_limit(path(), column.page_rows)
            .set_column_statistics_enabled(path(), statistics)
            .set_column_dictionary_enabled(path(), encode == Encode::Dictionary)
            .set_column_encoding(
                path(),
                match encode {
                    // What is used once a dictionary is given up.
                    Encode::Dictionary | Encode::Plain => Encoding::PLAIN,
                    Encode::Delta => Encoding::DELTA_BINARY_PACKED,
                    Encode::FrontCoded => Encoding::DELTA_BYTE_ARRAY,
                },
            );
    }
    Ok(Arc::new(b.build()))
}

/// One row group. Columns are named by their position; a row is complete when every column has its value.
pub(crate) struct Group {
    file: &'static str,
    columns: Vec<Pending>,
    /// Rows that are not with the encoders yet.
    waiting: usize,
    rows: u64,
}

/// Values on their way to an encoder.
struct Pending {
    writer: ColumnWriter<'static>,
    pages: Pages,
    values: Values,
    /// 1: there, 0: null or an empty map. Empty for required columns.
    there: Vec<i16>,
    /// 1: goes on in the row before. Empty unless repeated.
    again: Vec<i16>,
}

/// The pages of one column of a row group, one after another, in memory. Its encoder and we have it in turns.
#[derive(Clone)]
struct Pages(Arc<Mutex<TrackedWrite<Vec<u8>>>>);

impl PageWriter for Pages {
    fn write_page(&mut self, page: CompressedPage) -> parquet::errors::Result<PageWriteSpec> {
        SerializedPageWriter::new(&mut self.0.lock()).write_page(page)
    }

    fn close(&mut self) -> parquet::errors::Result<()> {
        Ok(())
    }
}

enum Values {
    U32(Vec<i32>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
    Text(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

impl Pending {
    fn new(column: ColumnDescPtr, properties: WriterPropertiesPtr) -> Self {
        let pages = Pages(Arc::new(Mutex::new(TrackedWrite::new(Vec::new()))));
        let writer = get_column_writer(column, properties, Box::new(pages.clone()));
        let values = match &writer {
            ColumnWriter::BoolColumnWriter(_) => Values::Bool(Vec::new()),
            ColumnWriter::Int32ColumnWriter(_) => Values::U32(Vec::new()),
            ColumnWriter::ByteArrayColumnWriter(_) => Values::Text(Vec::new()),
            ColumnWriter::FixedLenByteArrayColumnWriter(_) => Values::Fixed(Vec::new()),
            _ => Values::I64(Vec::new()),
        };
        Pending { writer, pages, values, there: Vec::new(), again: Vec::new() }
    }

    /// The finished column.
    fn close(self) -> parquet::errors::Result<(Bytes, ColumnCloseResult)> {
        let closed = self.writer.close()?;
        let pages = Arc::into_inner(self.pages.0)
            .ok_or_else(|| ParquetError::General("the pages of a column are still in use".into()))?;
        Ok((pages.into_inner().into_inner()?.into(), closed))
    }

    fn held_bytes(&self) -> usize {
        let values = match &self.values {
            Values::U32(v) => v.capacity() * 4,
            Values::I64(v) => v.capacity() * 8,
            Values::Bool(v) => v.capacity(),
            Values::Text(v) => v.capacity() * size_of::<ByteArray>(),
            Values::Fixed(v) => v.capacity() * (size_of::<FixedLenByteArray>() + 16),
        };
        values + (self.there.capacity() + self.again.capacity()) * 2 + self.pages.0.lock().inner().capacity()
    }

    fn flush(&mut self) -> parquet::errors::Result<()> {
        let there = (!self.there.is_empty()).then_some(self.there.as_slice());
        let again = (!self.again.is_empty()).then_some(self.again.as_slice());
        match (&mut self.writer, &mut self.values) {
            (ColumnWriter::BoolColumnWriter(w), Values::Bool(v)) => move_all(w, v, there, again)?,
            (ColumnWriter::Int32ColumnWriter(w), Values::U32(v)) => move_all(w, v, there, again)?,
            (ColumnWriter::Int64ColumnWriter(w), Values::I64(v)) => move_all(w, v, there, again)?,
            (ColumnWriter::ByteArrayColumnWriter(w), Values::Text(v)) => move_all(w, v, there, again)?,
            (ColumnWriter::FixedLenByteArrayColumnWriter(w), Values::Fixed(v)) => move_all(w, v, there, again)?,
            _ => return Err(ParquetError::General("a column got values of another type".into())),
        }
        self.there.clear();
        self.again.clear();
        Ok(())
    }
}

fn move_all<T: DataType>(
    writer: &mut ColumnWriterImpl<'_, T>,
    values: &mut Vec<T::T>,
    there: Option<&[i16]>,
    again: Option<&[i16]>,
) -> parquet::errors::Result<()> {
    writer.write_batch(values, there, again)?;
    values.clear();
    Ok(())
}

impl Group {
    pub(crate) fn u32(&mut self, column: usize, value: u32) {
        if let Values::U32(v) = &mut self.columns[column].values {
            v.push(value as i32);
        }
    }

    pub(crate) fn u64(&mut self, column: usize, value: u64) {
        self.i64(column, value as i64);
    }

    pub(crate) fn i64(&mut self, column: usize, value: i64) {
        if let Values::I64(v) = &mut self.columns[column].values {
            v.push(value);
        }
    }

    pub(crate) fn bool(&mut self, column: usize, value: bool) {
        if let Values::Bool(v) = &mut self.columns[column].values {
            v.push(value);
        }
    }

    pub(crate) fn text(&mut self, column: usize, value: &ByteArray) {
        if let Values::Text(v) = &mut self.columns[column].values {
            v.push(value.clone());
        }
    }

    pub(crate) fn fixed(&mut self, column: usize, value: &[u8]) {
        if let Values::Fixed(v) = &mut self.columns[column].values {
            v.push(ByteArray::from(value).into());
        }
    }

    /// The next value of an optional column is there (and comes next), or is null.
    pub(crate) fn there(&mut self, column: usize, there: bool) {
        self.columns[column].there.push(i16::from(there));
    }

    /// One map of text to text, in two columns.
    pub(crate) fn map<'l>(
        &mut self,
        keys: usize,
        values: usize,
        pairs: impl ExactSizeIterator<Item = (&'l str, &'l str)>,
    ) {
        if pairs.len() == 0 {
            for column in [keys, values] {
                self.columns[column].there.push(0);
                self.columns[column].again.push(0);
            }
        }
        for (i, (key, value)) in pairs.enumerate() {
            for (column, text) in [(keys, key), (values, value)] {
                self.text(column, &ByteArray::from(text));
                self.columns[column].there.push(1);
                self.columns[column].again.push(i16::from(i > 0));
            }
        }
    }

    /// The same text in each of `n` rows.
    pub(crate) fn same_text(&mut self, column: usize, value: &ByteArray, n: usize) {
        if let Values::Text(v) = &mut self.columns[column].values {
            v.extend(std::iter::repeat_n(value, n).cloned());
        }
    }

    pub(crate) fn same_u32(&mut self, column: usize, value: u32, n: usize) {
        if let Values::U32(v) = &mut self.columns[column].values {
            v.extend(std::iter::repeat_n(value as i32, n));
        }
    }

    pub(crate) fn u32s(&mut self, column: usize, values: &[u32]) {
        if let Values::U32(v) = &mut self.columns[column].values {
            v.extend(values.iter().map(|value| *value as i32));
        }
    }

    pub(crate) fn i64s(&mut self, column: usize, values: flamestore_model::Values<'_>) {
        if let Values::I64(v) = &mut self.columns[column].values {
            match values {
                flamestore_model::Values::Narrow(values) => v.extend(values.iter().map(|value| i64::from(*value))),
                flamestore_model::Values::Wide(values) => v.extend_from_slice(values),
            }
        }
    }

    /// `n` rows are complete.
    pub(crate) fn rows(&mut self, n: usize) -> Result<(), Fault> {
        self.rows += n as u64;
        self.waiting += n;
        if self.waiting >= BATCH_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        self.columns.iter().map(Pending::held_bytes).sum()
    }

    fn flush(&mut self) -> Result<(), Fault> {
        self.waiting = 0;
        self.columns.iter_mut().try_for_each(Pending::flush).map_err(unwritable(self.file))
    }
}
