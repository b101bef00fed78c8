//! A Parquet file in the making: row groups whose columns grow side by side.

use std::sync::Arc;

use bytes::Bytes;
use flamestore_model::Fault;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::{ColumnWriter, ColumnWriterImpl, get_column_writer};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnPath, TypePtr};

use crate::layout::{Column, Encode, SPAN_ID, TRACE_ID, Table, VERSION};
use crate::refusal::unwritable;

/// Rows that are gathered before they go to the encoders.
pub(crate) const BATCH_ROWS: usize = 8 << 10;
/// The usual page in bytes, before compression; [`Column::page_rows`] bounds it too.
const PAGE_BYTES: usize = 1 << 20;
/// Dictionaries end up in one page; a larger one is given up for plain values.
const DICTIONARY_BYTES: usize = 256 << 10;

/// A finished file.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Bytes,
    /// Page indexes and footer.
    pub(crate) tail_bytes: u64,
}

pub(crate) struct TableWriter {
    table: Table,
    columns: Vec<Column>,
    file: SerializedFileWriter<Vec<u8>>,
}

impl TableWriter {
    pub(crate) fn new(table: Table) -> Result<Self, Fault> {
        Self::with_links(table, false, false)
    }

    /// With the optional columns of samples.
    pub(crate) fn with_links(table: Table, spans: bool, traces: bool) -> Result<Self, Fault> {
        let mut columns = table.columns();
        columns.extend(spans.then_some(SPAN_ID));
        columns.extend(traces.then_some(TRACE_ID));
        let schema: TypePtr = table.schema(spans, traces)?;
        let properties = properties(table, &columns, &[]).map_err(unwritable(table.file()))?;
        let file = SerializedFileWriter::new(Vec::new(), schema, properties).map_err(unwritable(table.file()))?;
        Ok(TableWriter { table, columns, file })
    }

    /// Writes one row group: whatever `fill` puts in. The columns named in `dictionaries` get one here.
    pub(crate) fn group(
        &mut self,
        dictionaries: &[usize],
        fill: impl FnOnce(&mut Group<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let fault = unwritable(self.table.file());
        let properties = properties(self.table, &self.columns, dictionaries).map_err(&fault)?;
        let schema = self.file.schema_descr();
        let mut sinks: Vec<TrackedWrite<Vec<u8>>> =
            self.columns.iter().map(|_| TrackedWrite::new(Vec::new())).collect();
        let closed = {
            let columns = sinks.iter_mut().enumerate().map(|(i, sink)| {
                let pages = Box::new(SerializedPageWriter::new(sink));
                Pending::new(get_column_writer(schema.column(i), properties.clone(), pages))
            });
            let mut group = Group { file: self.table.file(), columns: columns.collect(), rows: 0 };
            fill(&mut group)?;
            group.flush()?;
            let closed = group.columns.into_iter().map(|pending| pending.writer.close());
            closed.collect::<Result<Vec<_>, _>>().map_err(&fault)?
        };
        let mut row_group = self.file.next_row_group().map_err(&fault)?;
        for (sink, closed) in sinks.into_iter().zip(closed) {
            let bytes = Bytes::from(sink.into_inner().map_err(&fault)?);
            row_group.append_column(&bytes, closed).map_err(&fault)?;
        }
        row_group.close().map_err(&fault)?;
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Encoded, Fault> {
        let before = self.file.bytes_written();
        let bytes = self.file.into_inner().map_err(unwritable(self.table.file()))?;
        Ok(Encoded { tail_bytes: (bytes.len() - before) as u64, bytes: bytes.into() })
    }
}

fn properties(
    table: Table,
    columns: &[Column],
    dictionaries: &[usize],
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
            .set_column_compression(path(), Compression::ZSTD(ZstdLevel::try_new(column.level)?))
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
pub(crate) struct Group<'g> {
    file: &'static str,
    columns: Vec<Pending<'g>>,
    rows: usize,
}

/// Values on their way to an encoder.
struct Pending<'g> {
    writer: ColumnWriter<'g>,
    values: Values,
    /// 1: there, 0: null or an empty map. Empty for required columns.
    there: Vec<i16>,
    /// 1: goes on in the row before. Empty unless repeated.
    again: Vec<i16>,
}

enum Values {
    U32(Vec<i32>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
    Text(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

impl<'g> Pending<'g> {
    fn new(writer: ColumnWriter<'g>) -> Self {
        let values = match &writer {
            ColumnWriter::BoolColumnWriter(_) => Values::Bool(Vec::new()),
            ColumnWriter::Int32ColumnWriter(_) => Values::U32(Vec::new()),
            ColumnWriter::ByteArrayColumnWriter(_) => Values::Text(Vec::new()),
            ColumnWriter::FixedLenByteArrayColumnWriter(_) => Values::Fixed(Vec::new()),
            _ => Values::I64(Vec::new()),
        };
        Pending { writer, values, there: Vec::new(), again: Vec::new() }
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

impl Group<'_> {
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

    /// `n` rows are complete.
    pub(crate) fn rows(&mut self, n: usize) -> Result<(), Fault> {
        self.rows += n;
        if self.rows >= BATCH_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Fault> {
        self.rows = 0;
        self.columns.iter_mut().try_for_each(Pending::flush).map_err(unwritable(self.file))
    }
}
