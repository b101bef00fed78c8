//! Version 1 of the format: the files, their columns and how each is encoded.
//!
//! The encodings were chosen by measuring on profiles of five Go services (44,000 profiles, 6.0 million samples); the
//! figures stand in `docs/reference/block-format.md`. A reader must not rely on them: files say how they are encoded.

use parquet::schema::parser::parse_message_type;
use parquet::schema::types::TypePtr;

use flamestore_model::Fault;

use crate::refusal::unwritable;

/// The version that is written. Readers accept every version up to it.
pub const VERSION: u32 = 1;

/// Of the writer: raised when the same rows become other bytes, by another encoding or library. Two versions of the program
/// then never write the same compacted block, whose id contains it, while one replaces the other.
pub const REVISION: u32 = 2;

/// The Parquet files of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Table {
    Series,
    Profiles,
    Samples,
    Stacktraces,
    FnTree,
    Locations,
    Functions,
    /// Optional: buckets of time and what is in them.
    RollUp(Resolution),
    /// The sums of those buckets by stack.
    RollUpSamples(Resolution),
}

/// How long the buckets of a roll-up are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Resolution {
    /// As long as the block: a bucket for a whole series, or for all series of a profile type.
    Block,
    Hour,
    FiveMinutes,
}

impl Resolution {
    /// From long to short.
    pub(crate) const ALL: [Resolution; 3] = [Resolution::Block, Resolution::Hour, Resolution::FiveMinutes];

    /// The length of a bucket, which starts at a multiple of it. `None`: there is no such grid.
    pub(crate) const fn nanos(self) -> Option<i64> {
        match self {
            Resolution::Block => None,
            Resolution::Hour => Some(3_600_000_000_000),
            Resolution::FiveMinutes => Some(300_000_000_000),
        }
    }
}

/// How the values of a column are encoded before zstd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encode {
    /// For what repeats: names, constants.
    Dictionary,
    /// For what zstd does best itself.
    Plain,
    /// `DELTA_BINARY_PACKED`: for what climbs.
    Delta,
    /// `DELTA_BYTE_ARRAY`: for sorted text.
    FrontCoded,
}

/// One leaf column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Dotted path in the schema.
    pub(crate) path: &'static str,
    pub(crate) encode: Encode,
    /// zstd level in flushed blocks …
    level: i32,
    /// … and in compacted ones.
    dense_level: i32,
    /// Most rows of a page.
    pub(crate) page_rows: usize,
    /// Whether smallest and largest values are kept by page; they always are by row group.
    pub(crate) statistics: bool,
}

/// How much work goes into making a file small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// A flushed block: compaction replaces it within hours.
    Quick,
    /// A compacted block: it is kept, and fetched, for months.
    Dense,
}

impl Column {
    pub(crate) const fn zstd_level(&self, packing: Packing) -> i32 {
        match packing {
            Packing::Quick => self.level,
            Packing::Dense => self.dense_level,
        }
    }
}

/// Measured in docs/reference/block-format.md: a twelfth fewer bytes than level 3 for half as much CPU again.
const DENSE_LEVEL: i32 = 9;

const fn column(path: &'static str, encode: Encode) -> Column {
    Column { path, encode, level: 3, dense_level: 3, page_rows: 16 << 10, statistics: true }
}

/// Many rows, never searched.
const fn bulk(path: &'static str, encode: Encode, level: i32) -> Column {
    Column { path, encode, level, dense_level: DENSE_LEVEL, page_rows: 64 << 10, statistics: false }
}

/// Many random ids: what zstd finds in them it finds at once.
const fn ids(path: &'static str, level: i32) -> Column {
    Column { dense_level: level, ..bulk(path, Encode::Plain, level) }
}

/// Some of many rows.
const fn sums(path: &'static str, encode: Encode, level: i32) -> Column {
    Column { page_rows: 16 << 10, ..bulk(path, encode, level) }
}

const SERVICE: Column = column("service_name", Encode::Dictionary);
pub(crate) const SPAN_ID: Column = ids("span_id", 1);
pub(crate) const TRACE_ID: Column = ids("trace_id", 1);
pub(crate) const ANNOTATION_KEY: Column = column("annotations.key_value.key", Encode::Dictionary);
pub(crate) const ANNOTATION_VALUE: Column = column("annotations.key_value.value", Encode::Dictionary);

/// Which optional columns a table has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Optional {
    /// Of samples.
    pub(crate) spans: bool,
    pub(crate) traces: bool,
    /// Of profiles.
    pub(crate) annotations: bool,
}

impl Optional {
    /// After the columns that are always there, in schema order.
    pub(crate) fn columns(self) -> impl Iterator<Item = Column> {
        let annotations = self.annotations.then_some([ANNOTATION_KEY, ANNOTATION_VALUE]);
        let links = [self.spans.then_some(SPAN_ID), self.traces.then_some(TRACE_ID)];
        links.into_iter().flatten().chain(annotations.into_iter().flatten())
    }
}

impl Table {
    /// Those that every block has.
    pub(crate) const ALL: [Table; 7] = [
        Table::Series,
        Table::Profiles,
        Table::Samples,
        Table::Stacktraces,
        Table::FnTree,
        Table::Locations,
        Table::Functions,
    ];

    /// Those that a block may have.
    pub(crate) fn known() -> impl Iterator<Item = Table> {
        let optional = Resolution::ALL.into_iter().flat_map(|r| [Table::RollUp(r), Table::RollUpSamples(r)]);
        Table::ALL.into_iter().chain(optional)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Table::Series => "series",
            Table::Profiles => "profiles",
            Table::Samples => "samples",
            Table::Stacktraces => "stacktraces",
            Table::FnTree => "fn_tree",
            Table::Locations => "locations",
            Table::Functions => "functions",
            Table::RollUp(Resolution::Block) => "rollup_block",
            Table::RollUp(Resolution::Hour) => "rollup_1h",
            Table::RollUp(Resolution::FiveMinutes) => "rollup_5m",
            Table::RollUpSamples(Resolution::Block) => "rollup_block_samples",
            Table::RollUpSamples(Resolution::Hour) => "rollup_1h_samples",
            Table::RollUpSamples(Resolution::FiveMinutes) => "rollup_5m_samples",
        }
    }

    pub(crate) const fn file(self) -> &'static str {
        match self {
            Table::Series => "series.parquet",
            Table::Profiles => "profiles.parquet",
            Table::Samples => "samples.parquet",
            Table::Stacktraces => "stacktraces.parquet",
            Table::FnTree => "fn_tree.parquet",
            Table::Locations => "locations.parquet",
            Table::Functions => "functions.parquet",
            Table::RollUp(Resolution::Block) => "rollup_block.parquet",
            Table::RollUp(Resolution::Hour) => "rollup_1h.parquet",
            Table::RollUp(Resolution::FiveMinutes) => "rollup_5m.parquet",
            Table::RollUpSamples(Resolution::Block) => "rollup_block_samples.parquet",
            Table::RollUpSamples(Resolution::Hour) => "rollup_1h_samples.parquet",
            Table::RollUpSamples(Resolution::FiveMinutes) => "rollup_5m_samples.parquet",
        }
    }

    /// The columns without the optional ones, in schema order.
    pub(crate) fn columns(self) -> Vec<Column> {
        use Encode::{Delta, Dictionary, FrontCoded, Plain};
        let own = match self {
            Table::Series => vec![
                column("profile_type", Dictionary),
                column("series_id", Delta),
                column("fingerprint", Plain),
                column("labels.key_value.key", Dictionary),
                column("labels.key_value.value", Dictionary),
                column("min_time", Plain),
                column("max_time", Plain),
                column("profile_count", Delta),
                column("first_profile", Delta),
                column("sample_count", Delta),
                column("first_sample", Delta),
                column("total_value", Plain),
            ],
            Table::Profiles => vec![
                column("profile_type", Dictionary),
                column("series_id", Delta),
                column("profile_row", Delta),
                column("time", Delta),
                column("duration_nanos", Dictionary),
                // A page holds several types of a service: zstd finds the ids that the types of a pprof share.
                Column { page_rows: 16 << 10, ..ids("profile_id", 3) },
                column("total_value", Plain),
                column("sample_count", Plain),
            ],
            Table::Samples => vec![
                Column { statistics: true, ..bulk("profile_row", Delta, 1) },
                bulk("stacktrace_id", Plain, 3),
                // A dictionary where few values repeat; zstd 3 packs the rest no better than 1.
                bulk("value", Plain, 1),
            ],
            Table::Stacktraces => vec![
                column("stacktrace_id", Delta),
                bulk("parent_delta", Plain, 3),
                bulk("location_id", Plain, 3),
                bulk("fn_node_id", Plain, 3),
            ],
            Table::FnTree => {
                vec![column("fn_node_id", Delta), bulk("parent_delta", Plain, 3), bulk("function_id", Plain, 3)]
            }
            Table::Locations => vec![
                column("location_id", Delta),
                column("line_index", Dictionary),
                column("address", Delta),
                column("is_folded", Plain),
                bulk("function_id", Plain, 3),
                bulk("line", Plain, 3),
                column("binary", Dictionary),
                column("build_id", Dictionary),
                column("mapping_start", Dictionary),
                column("mapping_limit", Dictionary),
                column("mapping_offset", Dictionary),
                column("mapping_flags", Dictionary),
            ],
            Table::Functions => vec![
                column("function_id", Delta),
                column("name", FrontCoded),
                column("system_name", FrontCoded),
                column("filename", Dictionary),
                column("start_line", Plain),
            ],
            Table::RollUp(_) => vec![
                column("profile_type", Dictionary),
                column("series_id", Delta),
                column("rollup_row", Delta),
                column("time", Delta),
                column("profile_count", Delta),
                column("first_profile", Delta),
                column("sample_count", Delta),
                column("first_sample", Delta),
                column("rollup_sample_count", Delta),
                column("first_rollup_sample", Delta),
                column("total_value", Plain),
            ],
            // Queries read some buckets of each series: in smaller pages they find less that they do not want.
            Table::RollUpSamples(_) => vec![
                Column { statistics: true, ..sums("rollup_row", Delta, 1) },
                sums("stacktrace_id", Plain, 3),
                sums("value", Plain, 1),
            ],
        };
        std::iter::once(SERVICE).chain(own).collect()
    }

    /// The schema, in the text form of the Parquet format.
    pub(crate) fn schema(self, optional: Optional) -> Result<TypePtr, Fault> {
        let own = match self {
            Table::Series => {
                "required binary profile_type (STRING);
                 required int32 series_id (INTEGER(32,false));
                 required int64 fingerprint (INTEGER(64,false));
                 required group labels (MAP) { repeated group key_value {
                   required binary key (STRING);
                   required binary value (STRING); } }
                 required int64 min_time (TIMESTAMP(NANOS,true));
                 required int64 max_time (TIMESTAMP(NANOS,true));
                 required int32 profile_count (INTEGER(32,false));
                 required int32 first_profile (INTEGER(32,false));
                 required int64 sample_count (INTEGER(64,false));
                 required int64 first_sample (INTEGER(64,false));
                 required int64 total_value;"
            }
            Table::Profiles => {
                "required binary profile_type (STRING);
                 required int32 series_id (INTEGER(32,false));
                 required int32 profile_row (INTEGER(32,false));
                 required int64 time (TIMESTAMP(NANOS,true));
                 required int64 duration_nanos;
                 required fixed_len_byte_array(16) profile_id (UUID);
                 required int64 total_value;
                 required int32 sample_count (INTEGER(32,false));"
            }
            Table::Samples => {
                "required int32 profile_row (INTEGER(32,false));
                 required int32 stacktrace_id (INTEGER(32,false));
                 required int64 value;"
            }
            Table::Stacktraces => {
                "required int32 stacktrace_id (INTEGER(32,false));
                 required int32 parent_delta (INTEGER(32,false));
                 required int32 location_id (INTEGER(32,false));
                 required int32 fn_node_id (INTEGER(32,false));"
            }
            Table::FnTree => {
                "required int32 fn_node_id (INTEGER(32,false));
                 required int32 parent_delta (INTEGER(32,false));
                 required int32 function_id (INTEGER(32,false));"
            }
            Table::Locations => {
                "required int32 location_id (INTEGER(32,false));
                 required int32 line_index (INTEGER(32,false));
                 required int64 address (INTEGER(64,false));
                 required boolean is_folded;
                 optional int32 function_id (INTEGER(32,false));
                 optional int64 line;
                 optional binary binary (STRING);
                 optional binary build_id (STRING);
                 optional int64 mapping_start (INTEGER(64,false));
                 optional int64 mapping_limit (INTEGER(64,false));
                 optional int64 mapping_offset (INTEGER(64,false));
                 optional int32 mapping_flags (INTEGER(32,false));"
            }
            Table::Functions => {
                "required int32 function_id (INTEGER(32,false));
                 required binary name (STRING);
                 optional binary system_name (STRING);
                 optional binary filename (STRING);
                 required int64 start_line;"
            }
            Table::RollUp(_) => {
                "required binary profile_type (STRING);
                 optional int32 series_id (INTEGER(32,false));
                 required int32 rollup_row (INTEGER(32,false));
                 required int64 time (TIMESTAMP(NANOS,true));
                 required int32 profile_count (INTEGER(32,false));
                 required int32 first_profile (INTEGER(32,false));
                 required int64 sample_count (INTEGER(64,false));
                 required int64 first_sample (INTEGER(64,false));
                 required int32 rollup_sample_count (INTEGER(32,false));
                 required int64 first_rollup_sample (INTEGER(64,false));
                 required int64 total_value;"
            }
            Table::RollUpSamples(_) => {
                "required int32 rollup_row (INTEGER(32,false));
                 required int32 stacktrace_id (INTEGER(32,false));
                 required int64 value;"
            }
        };
        let span = if optional.spans { "optional fixed_len_byte_array(8) span_id;" } else { "" };
        let trace = if optional.traces { "optional fixed_len_byte_array(16) trace_id;" } else { "" };
        let annotations = match optional.annotations {
            true => {
                "required group annotations (MAP) { repeated group key_value {
                   required binary key (STRING);
                   required binary value (STRING); } }"
            }
            false => "",
        };
        let text = format!(
            "message {} {{ required binary service_name (STRING); {own} {span} {trace} {annotations} }}",
            self.name()
        );
        parse_message_type(&text).map(TypePtr::from).map_err(unwritable(self.file()))
    }

    /// The columns that rows are sorted by, as indexes of [`Table::columns`].
    pub(crate) const fn sorted_by(self) -> &'static [i32] {
        match self {
            Table::Series => &[0, 1, 2],
            Table::Profiles => &[0, 1, 2, 4, 6],
            Table::Samples => &[0, 1, 2],
            Table::Locations => &[0, 1, 2],
            // By profile type and series too, but for the sums of all series, which come after them.
            Table::RollUp(_) => &[0, 3],
            Table::RollUpSamples(_) => &[0, 1, 2],
            Table::Stacktraces | Table::FnTree | Table::Functions => &[0, 1],
        }
    }
}
