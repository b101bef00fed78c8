//! A decoded pprof as columns: no heap object per string, sample or location.
//!
//! Ids of the file are replaced by indexes, strings by ranges of [`Profile::text`]. Source of the format:
//! `profile.proto` of google/pprof.

use std::fmt;

/// A string: a range of [`Profile::text`] that is valid UTF-8. `len == 0` is the empty string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StrRef {
    pub offset: u32,
    pub len: u32,
}

/// A location without a mapping.
pub const NO_MAPPING: u32 = u32::MAX;

/// In place of an index: the file names an object that it does not hold. Normalising drops what points to one.
pub const MISSING: u32 = u32::MAX - 1;

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
    /// Index in [`Profile::mappings`], [`NO_MAPPING`] or [`MISSING`].
    pub mapping: u32,
    pub address: u64,
    pub is_folded: bool,
    /// Half-open range in [`Profile::lines`]; innermost inlined call first.
    pub first_line: u32,
    pub end_line: u32,
}

#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Index in [`Profile::functions`], or [`MISSING`].
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
    /// What the samples take of the inflated file, in bytes.
    pub sample_bytes: usize,
    /// Indexes in [`Profile::locations`] or [`MISSING`], of all samples one after another.
    pub sample_locations: Vec<u32>,
    /// Row-major.
    pub values: Vec<i64>,
    pub labels: Vec<SampleLabel>,
    /// The .NET profiler's slip: no function has an id, and lines name functions by the id of the location that stands
    /// at the function's place. Decoding follows it; `check` refuses it from any other client.
    pub functions_lack_ids: bool,
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

    /// What it holds of memory, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.text.capacity()
            + of(&self.sample_types)
            + of(&self.functions)
            + of(&self.mappings)
            + of(&self.locations)
            + of(&self.lines)
            + of(&self.samples)
            + of(&self.sample_locations)
            + of(&self.values)
            + of(&self.labels)
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
/// `rows` are indexes of [`Profile::samples`].
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// String sample labels promoted to series labels, sorted by name, each name once; without span and trace ids.
    pub labels: Vec<(StrRef, StrRef)>,
    pub rows: Vec<u32>,
    /// Parallel to `rows`, or empty when no sample of the group has one. 0: none. `{:016x}` gives the text of the file.
    pub span_ids: Vec<u64>,
    /// Parallel to `rows`, or empty when no sample of the group has one. 0: none. `{:032x}` gives the text of the file.
    pub trace_ids: Vec<u128>,
}

/// A pprof ready to be stored: only good samples, each stack once per label group, only used objects.
#[derive(Debug, Clone, Default)]
pub struct Normalized {
    /// Without sample labels: those worth keeping stand in `groups`.
    pub profile: Profile,
    /// In the order in which the file first shows them. Every sample is in exactly one.
    pub groups: Vec<Group>,
    pub dropped: Dropped,
}

impl Normalized {
    /// What it holds of memory, in bytes.
    pub fn held_bytes(&self) -> usize {
        let of_group = |g: &Group| of(&g.labels) + of(&g.rows) + of(&g.span_ids) + of(&g.trace_ids);
        self.profile.held_bytes() + of(&self.groups) + self.groups.iter().map(of_group).sum::<usize>()
    }
}

/// What a column holds of memory, in bytes.
fn of<T>(column: &Vec<T>) -> usize {
    column.capacity() * size_of::<T>()
}

/// Samples that normalising threw away, each counted under the first reason that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// All values are zero: nothing is lost.
    pub zero: u64,
    /// Some value is below zero.
    pub negative: u64,
    /// The stack names a location, function or mapping that the file does not hold, or a location that says nothing.
    pub dangling: u64,
    /// There is no stack.
    pub stackless: u64,
}

impl Dropped {
    /// Samples whose loss means that the client is broken.
    pub fn broken(&self) -> u64 {
        self.negative + self.dangling + self.stackless
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.zero, "with zeros only"),
            (self.negative, "with a negative value"),
            (self.dangling, "with a missing location, function or mapping"),
            (self.stackless, "without a stack"),
        ];
        let mut first = true;
        for (count, words) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{}{count} {words}", if first { "" } else { ", " })?;
            first = false;
        }
        if first { f.write_str("none") } else { Ok(()) }
    }
}

/// How a decoded pprof is normalised; by default without limits and repairs. Logged with the profile, so that a replay
/// decides nothing anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NormalizeOptions {
    /// Longest stack kept, in locations; longer ones lose their leaf side. Mending Go stacks may make them longer
    /// again, by at most 440 locations. 0: no limit.
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
