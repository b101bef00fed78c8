//! A decoded pprof as columns: no heap object per string, sample or location.
//!
//! Ids of the file are replaced by indexes, strings by ranges of [`Profile::text`]. Source of the format:
//! `profile.proto` of google/pprof.

/// A string: a range of [`Profile::text`] that is valid UTF-8. `len == 0` is the empty string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StrRef {
    pub offset: u32,
    pub len: u32,
}

/// A location without a mapping.
pub const NO_MAPPING: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, Default)]
pub struct ValueType {
    pub kind: StrRef,
    pub unit: StrRef,
}

#[derive(Debug, Clone, Copy)]
pub struct Function {
    pub name: StrRef,
    pub system_name: StrRef,
    pub filename: StrRef,
    pub start_line: i64,
}

#[derive(Debug, Clone, Copy)]
pub struct Mapping {
    pub memory_start: u64,
    pub memory_limit: u64,
    pub file_offset: u64,
    pub filename: StrRef,
    pub build_id: StrRef,
    /// Bit 0 has_functions, 1 has_filenames, 2 has_line_numbers, 3 has_inline_frames.
    pub flags: u8,
}

#[derive(Debug, Clone, Copy)]
pub struct Location {
    /// Index in [`Profile::mappings`], or [`NO_MAPPING`].
    pub mapping: u32,
    pub address: u64,
    pub is_folded: bool,
    /// Half-open range in [`Profile::lines`]; innermost inlined call first.
    pub first_line: u32,
    pub end_line: u32,
}

#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Index in [`Profile::functions`].
    pub function: u32,
    pub line: i64,
}

/// One row. Its values are `values[row * sample_types.len()..][..sample_types.len()]`.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Half-open range in [`Profile::sample_locations`]; leaf first.
    pub first_location: u32,
    pub end_location: u32,
    /// Half-open range in [`Profile::labels`].
    pub first_label: u32,
    pub end_label: u32,
}

#[derive(Debug, Clone, Copy)]
pub struct SampleLabel {
    pub key: StrRef,
    /// Text value; empty for a numeric label.
    pub text: StrRef,
    pub num: i64,
    pub num_unit: StrRef,
}

/// One pprof file, decoded. May hold several sample types.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// The inflated file, and behind it strings that normalising had to rewrite.
    pub text: Vec<u8>,
    pub sample_types: Vec<ValueType>,
    pub period_type: ValueType,
    pub period: i64,
    pub time_nanos: i64,
    pub duration_nanos: i64,
    pub default_sample_type: StrRef,
    pub functions: Vec<Function>,
    pub mappings: Vec<Mapping>,
    pub locations: Vec<Location>,
    pub lines: Vec<Line>,
    pub samples: Vec<Sample>,
    /// Indexes in [`Profile::locations`], of all samples one after another.
    pub sample_locations: Vec<u32>,
    /// Row-major.
    pub values: Vec<i64>,
    pub labels: Vec<SampleLabel>,
}

impl Profile {
    pub fn bytes_of(&self, s: StrRef) -> &[u8] {
        &self.text[s.offset as usize..(s.offset + s.len) as usize]
    }

    /// The text of a string. Decoding has checked the UTF-8.
    pub fn str(&self, s: StrRef) -> &str {
        // Decoding has checked it, so the fallback is never seen; checking again costs less than `unsafe` would need arguing.
        std::str::from_utf8(self.bytes_of(s)).unwrap_or("")
    }

    pub fn values_of(&self, row: usize) -> &[i64] {
        let n = self.sample_types.len();
        &self.values[row * n..(row + 1) * n]
    }

    pub fn locations_of(&self, sample: &Sample) -> &[u32] {
        &self.sample_locations[sample.first_location as usize..sample.end_location as usize]
    }

    pub fn labels_of(&self, sample: &Sample) -> &[SampleLabel] {
        &self.labels[sample.first_label as usize..sample.end_label as usize]
    }
}

/// The normalised samples of one pprof that go to one label group, in columns of the group's rows.
/// Made by `split`; `rows` are indexes of [`Profile::samples`].
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// String sample labels promoted to series labels, sorted by name; without span and trace ids.
    pub labels: Vec<(StrRef, StrRef)>,
    pub rows: Vec<u32>,
    /// Parallel to `rows`, or empty when no sample of the group has one. 0: none.
    pub span_ids: Vec<u64>,
    /// Parallel to `rows`, or empty when no sample of the group has one. 0: none.
    pub trace_ids: Vec<u128>,
}

/// A pprof ready to be stored: only good samples, each stack once per label group, only used objects.
#[derive(Debug, Clone, Default)]
pub struct Normalized {
    pub profile: Profile,
    pub groups: Vec<Group>,
}

/// How a decoded pprof is normalised. Logged with the profile, so that a replay decides nothing anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NormalizeOptions {
    /// Longest stack kept, in locations; longer ones lose their leaf side. 0: no limit.
    pub max_depth: u32,
    /// Longest string kept, in bytes; longer ones keep their tail. 0: no limit.
    pub max_symbol_bytes: u32,
    /// Largest inflated file, in bytes. 0: no limit of its own.
    pub max_inflated_bytes: u32,
    /// Strip Go's shape type arguments and mend stacks that the Go runtime cut.
    pub go: bool,
    /// What the client's spy is known to get wrong.
    pub spy: Spy,
}

/// Repairs by client, from `spyName` of `/ingest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Spy {
    #[default]
    Other = 0,
    Pyspy = 1,
    Rbspy = 2,
    /// Other interpreters whose function names need their file to be told apart.
    Scripting = 3,
    Dotnet = 4,
}
