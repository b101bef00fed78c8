//! Encoding: a builder of pprof files, for converters from other formats and for query answers.

mod table;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use crate::profile::{Location, MISSING, Mapping, NO_MAPPING, Profile};
use crate::wire::{put_bytes, put_number, put_varint};
use table::Table;

/// Builds the bytes of one pprof file, plain.
///
/// Strings, mappings, functions and locations are interned: asking for an equal one gives the same id again. Ids of
/// strings start at 0, the empty string; ids of objects at 1, and 0 means none. The same calls always give the same
/// bytes. Ids given to a method must come from the same writer, else the file has dangling references.
///
/// ```
/// use flamestore_pprof::encode::Writer;
///
/// let mut w = Writer::new();
/// w.sample_type("cpu", "nanoseconds");
/// let (leaf, root) = (w.frame("leaf"), w.frame("root"));
/// w.sample(&[leaf, root], &[10_000_000], &[]);
/// let profile = flamestore_pprof::decode(&w.finish(), 0).unwrap();
/// assert_eq!(profile.samples.len(), 1);
/// ```
#[derive(Default)]
pub struct Writer {
    /// Whole fields, to be written one part after another.
    sample_types: Vec<u8>,
    samples: Vec<u8>,
    rest: Vec<u8>,
    strings: Strings,
    mappings: Table,
    functions: Table,
    locations: Table,
    /// The message under construction, kept for its memory.
    message: Vec<u8>,
    packed: Vec<u8>,
}

/// A label of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label<'a> {
    Text {
        key: &'a str,
        text: &'a str,
    },
    Number {
        key: &'a str,
        num: i64,
        unit: &'a str,
    },
    /// Text, as ids of this writer's strings.
    Interned {
        key: u32,
        text: u32,
    },
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of a string.
    pub fn string(&mut self, text: &str) -> u32 {
        self.strings.intern(text)
    }

    /// Adds a sample type; every sample needs a value for each.
    pub fn sample_type(&mut self, kind: &str, unit: &str) {
        self.value_type(kind, unit);
        put_bytes(&mut self.sample_types, 1, &self.message);
    }

    /// What the period counts, and the period. Call it once.
    pub fn period(&mut self, kind: &str, unit: &str, period: i64) {
        self.value_type(kind, unit);
        put_bytes(&mut self.rest, 11, &self.message);
        put_number(&mut self.rest, 12, period as u64);
    }

    /// Nanoseconds since the epoch.
    pub fn time_nanos(&mut self, nanos: i64) {
        put_number(&mut self.rest, 9, nanos as u64);
    }

    pub fn duration_nanos(&mut self, nanos: i64) {
        put_number(&mut self.rest, 10, nanos as u64);
    }

    pub fn default_sample_type(&mut self, kind: &str) {
        let kind = self.strings.intern(kind);
        put_number(&mut self.rest, 14, u64::from(kind));
    }

    /// The id of a mapping. Its strings are ids of this writer, given instead of the fields of `mapping`.
    pub fn mapping(&mut self, mapping: &Mapping, filename: u32, build_id: u32) -> u64 {
        let out = &mut self.message;
        out.clear();
        put_number(out, 2, mapping.memory_start);
        put_number(out, 3, mapping.memory_limit);
        put_number(out, 4, mapping.file_offset);
        put_number(out, 5, u64::from(filename));
        put_number(out, 6, u64::from(build_id));
        for bit in 0..4 {
            put_number(out, 7 + bit, u64::from(mapping.flags >> bit & 1));
        }
        self.mappings.intern(3, out)
    }

    /// The id of a function. Strings are ids of this writer.
    pub fn function(&mut self, name: u32, system_name: u32, filename: u32, start_line: i64) -> u64 {
        let out = &mut self.message;
        out.clear();
        put_number(out, 2, u64::from(name));
        put_number(out, 3, u64::from(system_name));
        put_number(out, 4, u64::from(filename));
        put_number(out, 5, start_line as u64);
        self.functions.intern(5, out)
    }

    /// The id of a location. `mapping` is an id or 0; `lines` are ids of functions with line numbers, innermost inlined
    /// call first.
    pub fn location(&mut self, mapping: u64, address: u64, lines: &[(u64, i64)], is_folded: bool) -> u64 {
        let out = &mut self.message;
        out.clear();
        put_number(out, 2, mapping);
        put_number(out, 3, address);
        for (function, line) in lines {
            self.packed.clear();
            put_number(&mut self.packed, 1, *function);
            put_number(&mut self.packed, 2, *line as u64);
            put_bytes(out, 4, &self.packed);
        }
        put_number(out, 5, u64::from(is_folded));
        self.locations.intern(4, out)
    }

    /// The id of a location that only has a function name: a frame of formats that know no more.
    pub fn frame(&mut self, name: &str) -> u64 {
        let name = self.strings.intern(name);
        let function = self.function(name, name, 0, 0);
        self.location(0, 0, &[(function, 0)], false)
    }

    /// Adds a sample: ids of locations, leaf first; one value for each sample type.
    pub fn sample(&mut self, locations: &[u64], values: &[i64], labels: &[Label<'_>]) {
        let (out, packed) = (&mut self.message, &mut self.packed);
        out.clear();
        packed.clear();
        locations.iter().for_each(|id| put_varint(packed, *id));
        put_bytes(out, 1, packed);
        packed.clear();
        values.iter().for_each(|v| put_varint(packed, *v as u64));
        put_bytes(out, 2, packed);
        for label in labels {
            packed.clear();
            match *label {
                Label::Text { key, text } => {
                    put_number(packed, 1, u64::from(self.strings.intern(key)));
                    put_number(packed, 2, u64::from(self.strings.intern(text)));
                }
                Label::Interned { key, text } => {
                    put_number(packed, 1, u64::from(key));
                    put_number(packed, 2, u64::from(text));
                }
                Label::Number { key, num, unit } => {
                    put_number(packed, 1, u64::from(self.strings.intern(key)));
                    put_number(packed, 3, num as u64);
                    put_number(packed, 4, u64::from(self.strings.intern(unit)));
                }
            }
            put_bytes(out, 3, packed);
        }
        put_bytes(&mut self.samples, 2, out);
    }

    /// The file, in the order of fields that the Go runtime writes: strings come last.
    pub fn finish(self) -> Vec<u8> {
        let tables = [self.mappings.bytes, self.locations.bytes, self.functions.bytes, self.strings.bytes, self.rest];
        let mut out = self.sample_types;
        out.reserve_exact(self.samples.len() + tables.iter().map(Vec::len).sum::<usize>());
        out.extend_from_slice(&self.samples);
        tables.iter().for_each(|table| out.extend_from_slice(table));
        out
    }

    fn value_type(&mut self, kind: &str, unit: &str) {
        let (kind, unit) = (self.strings.intern(kind), self.strings.intern(unit));
        self.message.clear();
        put_number(&mut self.message, 1, u64::from(kind));
        put_number(&mut self.message, 2, u64::from(unit));
    }
}

/// The string table, encoded as it grows.
struct Strings {
    bytes: Vec<u8>,
    /// Where each string stands in `bytes`.
    ranges: Vec<(usize, usize)>,
    ids: HashTable<u32>,
    hasher: RandomState,
}

impl Default for Strings {
    fn default() -> Self {
        let mut strings =
            Strings { bytes: Vec::new(), ranges: Vec::new(), ids: HashTable::new(), hasher: RandomState::default() };
        strings.intern("");
        strings
    }
}

impl Strings {
    fn intern(&mut self, text: &str) -> u32 {
        let of = |id: &u32| {
            let (start, end) = self.ranges[*id as usize];
            &self.bytes[start..end]
        };
        let hash = self.hasher.hash_one(text.as_bytes());
        if let Some(id) = self.ids.find(hash, |id| of(id) == text.as_bytes()) {
            return *id;
        }
        let id = self.ranges.len() as u32;
        self.ids.insert_unique(hash, id, |id| self.hasher.hash_one(of(id)));
        put_bytes(&mut self.bytes, 6, text.as_bytes());
        self.ranges.push((self.bytes.len() - text.len(), self.bytes.len()));
        id
    }
}

/// Encodes a profile. Decoding it gives a profile of the same meaning: equal objects may have become one and unused
/// ones are gone, references to missing objects stay dangling.
pub fn encode_profile(profile: &Profile) -> Vec<u8> {
    /// An id that no object gets.
    const DANGLING: u64 = u64::MAX >> 1;
    let mut w = Writer::new();
    for t in &profile.sample_types {
        w.sample_type(profile.str(t.kind), profile.str(t.unit));
    }
    let mappings: Vec<u64> = profile
        .mappings
        .iter()
        .map(|m| {
            let (filename, build_id) = (w.string(profile.str(m.filename)), w.string(profile.str(m.build_id)));
            w.mapping(m, filename, build_id)
        })
        .collect();
    let functions: Vec<u64> = profile
        .functions
        .iter()
        .map(|f| {
            let [name, system_name, filename] = [f.name, f.system_name, f.filename].map(|s| w.string(profile.str(s)));
            w.function(name, system_name, filename, f.start_line)
        })
        .collect();
    let id_of = |ids: &[u64], index: u32| match index {
        NO_MAPPING => 0,
        MISSING => DANGLING,
        index => ids.get(index as usize).copied().unwrap_or(DANGLING),
    };
    let mut lines = Vec::new();
    let mut location_id = |l: &Location| {
        lines.clear();
        let of_location = &profile.lines[l.first_line as usize..l.end_line as usize];
        lines.extend(of_location.iter().map(|line| (id_of(&functions, line.function), line.line)));
        w.location(id_of(&mappings, l.mapping), l.address, &lines, l.is_folded)
    };
    let locations: Vec<u64> = profile.locations.iter().map(&mut location_id).collect();
    let mut stack = Vec::new();
    let mut labels = Vec::new();
    for (row, sample) in profile.samples.iter().enumerate() {
        stack.clear();
        stack.extend(profile.locations_of(sample).iter().map(|l| id_of(&locations, *l)));
        labels.clear();
        labels.extend(profile.labels_of(sample).iter().map(|l| {
            let key = profile.str(l.key);
            match profile.str(l.text) {
                "" => Label::Number { key, num: l.num, unit: profile.str(l.num_unit) },
                text => Label::Text { key, text },
            }
        }));
        w.sample(&stack, profile.values_of(row), &labels);
    }
    w.time_nanos(profile.time_nanos);
    w.duration_nanos(profile.duration_nanos);
    w.period(profile.str(profile.period_type.kind), profile.str(profile.period_type.unit), profile.period);
    w.default_sample_type(profile.str(profile.default_sample_type));
    w.finish()
}
