//! Merged profiles as a pprof: the bytes of one `Profile` message of `profile.proto`, made piece by piece.

use std::borrow::Borrow;

use flamestore_model::ProfileType;
use flamestore_symbols::tables::{NO_MAPPING, ROOT};

use crate::profile_merge::{GoPgo, NONE, ProfileMerge, Tables};
use crate::wire::{bytes, number, varint};

/// What the pprof says about itself, and how it is written.
#[derive(Debug, Clone, Default)]
pub struct PprofMeta {
    pub profile_type: ProfileType,
    /// End of the query's range, nanoseconds since the epoch: the time of the pprof.
    pub end_nanos: i64,
    pub go_pgo: Option<GoPgo>,
}

impl PprofMeta {
    /// The period, which merging has lost; by the name of the profile.
    fn period(&self) -> u64 {
        match self.profile_type.name.as_str() {
            "process_cpu" => 1_000_000_000,
            "memory" => 524_288,
            _ => 1,
        }
    }
}

/// Field numbers of `Profile`.
mod profile {
    pub(super) const SAMPLE_TYPE: u32 = 1;
    pub(super) const SAMPLE: u32 = 2;
    pub(super) const MAPPING: u32 = 3;
    pub(super) const LOCATION: u32 = 4;
    pub(super) const FUNCTION: u32 = 5;
    pub(super) const STRING_TABLE: u32 = 6;
    pub(super) const TIME_NANOS: u32 = 9;
    pub(super) const PERIOD_TYPE: u32 = 11;
    pub(super) const PERIOD: u32 = 12;
    pub(super) const DEFAULT_SAMPLE_TYPE: u32 = 14;
}

/// A piece is handed out when it has at least this many bytes; it is longer by one message of the pprof at most.
pub const PIECE_BYTES: usize = 64 << 10;

impl ProfileMerge {
    /// Writes a pprof of one sample type, not compressed. Without a sample: no bytes, which is an empty message.
    pub fn to_pprof(&self, meta: &PprofMeta) -> Vec<u8> {
        let whole = |pieces: &mut dyn Iterator<Item = Vec<u8>>| {
            let mut out = Vec::new();
            pieces.for_each(|piece| out.extend_from_slice(&piece));
            out
        };
        match meta.go_pgo {
            Some(options) => whole(&mut Pieces::new(self.for_go_pgo(options), meta.clone())),
            None => whole(&mut Pieces::new(self, meta.clone())),
        }
    }

    /// The same bytes piece by piece, each made when it is asked for.
    pub fn into_pieces(self, meta: PprofMeta) -> Pieces<ProfileMerge> {
        match meta.go_pgo {
            Some(options) => Pieces::new(self.for_go_pgo(options), meta),
            None => Pieces::new(self, meta),
        }
    }
}

/// Where writing has got to: the next row of a table. The messages stand in the order in which they refer to each other,
/// so that only what is used is written.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Head,
    Samples(usize),
    Locations(usize),
    Functions(usize),
    Mappings(usize),
    Strings(usize),
    Done,
}

/// A string of the file.
#[derive(Debug)]
enum Text {
    OfTables(u32),
    OfMeta(String),
}

/// The bytes of a pprof, in pieces of about [`PIECE_BYTES`]. Ids in the file are row numbers plus one; strings are
/// numbered anew. Holds, beside the merge, a few bytes for each of its rows and strings.
#[derive(Debug)]
pub struct Pieces<M> {
    merge: M,
    meta: PprofMeta,
    stage: Stage,
    out: Vec<u8>,
    /// The message, and the list within it, being written.
    message: Vec<u8>,
    inner: Vec<u8>,
    /// By row: whether it is used.
    locations: Vec<bool>,
    functions: Vec<bool>,
    mappings: Vec<bool>,
    /// The file's strings so far.
    strings: Vec<Text>,
    /// By string of the tables: its number in the file.
    numbers: Vec<u32>,
}

impl<M: Borrow<ProfileMerge>> Iterator for Pieces<M> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        while self.out.len() < PIECE_BYTES {
            match self.step() {
                Stage::Done => break,
                next => self.stage = next,
            }
        }
        (!self.out.is_empty()).then(|| std::mem::take(&mut self.out))
    }
}

impl<M: Borrow<ProfileMerge>> Pieces<M> {
    fn new(merge: M, meta: PprofMeta) -> Self {
        let tables = &merge.borrow().tables;
        let mut numbers = vec![NONE; tables.strings.len()];
        numbers[0] = 0;
        Pieces {
            stage: if merge.borrow().is_empty() { Stage::Done } else { Stage::Head },
            out: Vec::new(),
            message: Vec::new(),
            inner: Vec::new(),
            locations: vec![false; tables.locations.len()],
            functions: vec![false; tables.functions.len()],
            mappings: vec![false; tables.mappings.len()],
            strings: vec![Text::OfTables(0)],
            numbers,
            merge,
            meta,
        }
    }

    fn tables(&self) -> &Tables {
        &self.merge.borrow().tables
    }

    /// Writes the next message and says where to go on.
    fn step(&mut self) -> Stage {
        match self.stage {
            Stage::Head => {
                self.head();
                Stage::Samples(0)
            }
            Stage::Samples(from) => {
                let values = &self.merge.borrow().values;
                match (from..values.len()).find(|stack| values[*stack] != 0) {
                    Some(stack) => {
                        self.sample(stack as u32, values[stack]);
                        Stage::Samples(stack + 1)
                    }
                    None => Stage::Locations(0),
                }
            }
            Stage::Locations(from) => match next_used(&self.locations, from) {
                Some(row) => {
                    self.location(row as u32);
                    Stage::Locations(row + 1)
                }
                None => Stage::Functions(0),
            },
            Stage::Functions(from) => match next_used(&self.functions, from) {
                Some(row) => {
                    self.function(row);
                    Stage::Functions(row + 1)
                }
                None => Stage::Mappings(0),
            },
            Stage::Mappings(from) => match next_used(&self.mappings, from) {
                Some(row) => {
                    self.mapping(row);
                    Stage::Mappings(row + 1)
                }
                None => Stage::Strings(0),
            },
            Stage::Strings(from) => match self.strings.get(from) {
                Some(text) => {
                    let text = match text {
                        Text::OfTables(id) => self.merge.borrow().tables.strings.get(*id),
                        Text::OfMeta(text) => text,
                    };
                    bytes(&mut self.out, profile::STRING_TABLE, text.as_bytes());
                    Stage::Strings(from + 1)
                }
                None => Stage::Done,
            },
            Stage::Done => Stage::Done,
        }
    }

    fn head(&mut self) {
        let t = self.meta.profile_type.clone();
        self.value_type(profile::SAMPLE_TYPE, &t.sample_type, &t.sample_unit);
        if !(t.period_type.is_empty() && t.period_unit.is_empty()) {
            self.value_type(profile::PERIOD_TYPE, &t.period_type, &t.period_unit);
        }
        let default_sample_type = self.text(&t.sample_type);
        number(&mut self.out, profile::DEFAULT_SAMPLE_TYPE, default_sample_type);
        number(&mut self.out, profile::PERIOD, self.meta.period());
        number(&mut self.out, profile::TIME_NANOS, self.meta.end_nanos as u64);
    }

    /// The number of a text that is not in the tables. For the few that the profile type needs, before all others.
    fn text(&mut self, text: &str) -> u64 {
        let same = |known: &Text| match known {
            Text::OfTables(_) => text.is_empty(),
            Text::OfMeta(known) => known == text,
        };
        let known = self.strings.iter().position(same);
        let number = known.unwrap_or_else(|| {
            self.strings.push(Text::OfMeta(text.to_owned()));
            self.strings.len() - 1
        });
        number as u64
    }

    fn string(&mut self, id: u32) -> u64 {
        let number = &mut self.numbers[id as usize];
        if *number == NONE {
            *number = self.strings.len() as u32;
            self.strings.push(Text::OfTables(id));
        }
        u64::from(*number)
    }

    fn value_type(&mut self, field: u32, kind: &str, unit: &str) {
        let (kind, unit) = (self.text(kind), self.text(unit));
        number(&mut self.message, 1, kind);
        number(&mut self.message, 2, unit);
        self.end(field);
    }

    fn sample(&mut self, stack: u32, value: i64) {
        let tables = &self.merge.borrow().tables;
        let mut node = stack;
        while node != ROOT {
            let location = tables.location[node as usize];
            self.locations[location as usize] = true;
            varint(&mut self.inner, u64::from(location) + 1);
            node = tables.parent[node as usize];
        }
        bytes(&mut self.message, 1, &self.inner);
        self.inner.clear();
        varint(&mut self.inner, value as u64);
        bytes(&mut self.message, 2, &self.inner);
        self.inner.clear();
        self.end(profile::SAMPLE);
    }

    fn location(&mut self, id: u32) {
        let tables = &self.merge.borrow().tables;
        let row = tables.locations[id as usize];
        number(&mut self.message, 1, u64::from(id) + 1);
        if row.mapping != NO_MAPPING {
            self.mappings[row.mapping as usize] = true;
            number(&mut self.message, 2, u64::from(row.mapping) + 1);
        }
        number(&mut self.message, 3, row.address);
        for line in tables.lines_of(id) {
            self.functions[line.function as usize] = true;
            number(&mut self.inner, 1, u64::from(line.function) + 1);
            number(&mut self.inner, 2, line.line as u64);
            bytes(&mut self.message, 4, &self.inner);
            self.inner.clear();
        }
        number(&mut self.message, 5, row.is_folded.into());
        self.end(profile::LOCATION);
    }

    fn function(&mut self, id: usize) {
        let row = self.tables().functions[id];
        number(&mut self.message, 1, id as u64 + 1);
        for (field, text) in [(2, row.name), (3, row.system_name), (4, row.filename)] {
            let text = self.string(text);
            number(&mut self.message, field, text);
        }
        number(&mut self.message, 5, row.start_line as u64);
        self.end(profile::FUNCTION);
    }

    fn mapping(&mut self, id: usize) {
        let row = self.tables().mappings[id];
        number(&mut self.message, 1, id as u64 + 1);
        number(&mut self.message, 2, row.memory_start);
        number(&mut self.message, 3, row.memory_limit);
        number(&mut self.message, 4, row.file_offset);
        for (field, text) in [(5, row.filename), (6, row.build_id)] {
            let text = self.string(text);
            number(&mut self.message, field, text);
        }
        for bit in 0..4 {
            number(&mut self.message, 7 + bit, u64::from(row.flags >> bit & 1));
        }
        self.end(profile::MAPPING);
    }

    fn end(&mut self, field: u32) {
        bytes(&mut self.out, field, &self.message);
        self.message.clear();
    }
}

fn next_used(rows: &[bool], from: usize) -> Option<usize> {
    (from..rows.len()).find(|row| rows[*row])
}
