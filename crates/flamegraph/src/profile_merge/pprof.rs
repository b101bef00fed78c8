//! Merged profiles as a pprof: the bytes of one `Profile` message of `profile.proto`.

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

impl ProfileMerge {
    /// Writes a pprof of one sample type, not compressed. Without a sample: no bytes, which is an empty message.
    pub fn to_pprof(&self, meta: &PprofMeta) -> Vec<u8> {
        if self.is_empty() {
            return Vec::new();
        }
        match meta.go_pgo {
            Some(options) => self.for_go_pgo(options).write(meta),
            None => self.write(meta),
        }
    }

    fn write(&self, meta: &PprofMeta) -> Vec<u8> {
        let mut w = Writer::new(&self.tables);
        let t = &meta.profile_type;
        w.value_type(profile::SAMPLE_TYPE, &t.sample_type, &t.sample_unit);
        if !(t.period_type.is_empty() && t.period_unit.is_empty()) {
            w.value_type(profile::PERIOD_TYPE, &t.period_type, &t.period_unit);
        }
        let default_sample_type = w.text(&t.sample_type);
        number(&mut w.out, profile::DEFAULT_SAMPLE_TYPE, default_sample_type);
        number(&mut w.out, profile::PERIOD, meta.period());
        number(&mut w.out, profile::TIME_NANOS, meta.end_nanos as u64);
        for (stack, value) in self.values.iter().enumerate().filter(|(_, value)| **value != 0) {
            w.sample(stack as u32, *value);
        }
        w.locations();
        w.functions();
        w.mappings();
        w.strings();
        w.out
    }
}

/// Writes messages in the order in which they refer to each other, so that only what is used is written. Ids in the
/// file are row numbers plus one; strings are numbered anew.
struct Writer<'a> {
    tables: &'a Tables,
    out: Vec<u8>,
    /// The message, and the list within it, being written.
    message: Vec<u8>,
    inner: Vec<u8>,
    /// By row: whether it is used.
    locations: Vec<bool>,
    functions: Vec<bool>,
    mappings: Vec<bool>,
    /// The file's strings so far.
    strings: Vec<&'a str>,
    /// By string of the tables: its number in the file.
    numbers: Vec<u32>,
}

impl<'a> Writer<'a> {
    fn new(tables: &'a Tables) -> Self {
        let mut numbers = vec![NONE; tables.strings.len()];
        numbers[0] = 0;
        Writer {
            tables,
            out: Vec::new(),
            message: Vec::new(),
            inner: Vec::new(),
            locations: vec![false; tables.locations.len()],
            functions: vec![false; tables.functions.len()],
            mappings: vec![false; tables.mappings.len()],
            strings: vec![""],
            numbers,
        }
    }

    /// The number of a text that is not in the tables. For the few that the profile type needs, before all others.
    fn text(&mut self, text: &'a str) -> u64 {
        let known = self.strings.iter().position(|s| *s == text);
        let number = known.unwrap_or_else(|| {
            self.strings.push(text);
            self.strings.len() - 1
        });
        number as u64
    }

    fn string(&mut self, id: u32) -> u64 {
        let number = &mut self.numbers[id as usize];
        if *number == NONE {
            *number = self.strings.len() as u32;
            self.strings.push(self.tables.strings.get(id));
        }
        u64::from(*number)
    }

    fn value_type(&mut self, field: u32, kind: &'a str, unit: &'a str) {
        let (kind, unit) = (self.text(kind), self.text(unit));
        number(&mut self.message, 1, kind);
        number(&mut self.message, 2, unit);
        self.end(field);
    }

    fn sample(&mut self, stack: u32, value: i64) {
        let mut node = stack;
        while node != ROOT {
            let location = self.tables.location[node as usize];
            self.locations[location as usize] = true;
            varint(&mut self.inner, u64::from(location) + 1);
            node = self.tables.parent[node as usize];
        }
        bytes(&mut self.message, 1, &self.inner);
        self.inner.clear();
        varint(&mut self.inner, value as u64);
        bytes(&mut self.message, 2, &self.inner);
        self.inner.clear();
        self.end(profile::SAMPLE);
    }

    fn locations(&mut self) {
        for id in used(&self.locations) {
            let row = self.tables.locations[id as usize];
            number(&mut self.message, 1, u64::from(id) + 1);
            if row.mapping != NO_MAPPING {
                self.mappings[row.mapping as usize] = true;
                number(&mut self.message, 2, u64::from(row.mapping) + 1);
            }
            number(&mut self.message, 3, row.address);
            for line in self.tables.lines_of(id) {
                self.functions[line.function as usize] = true;
                number(&mut self.inner, 1, u64::from(line.function) + 1);
                number(&mut self.inner, 2, line.line as u64);
                bytes(&mut self.message, 4, &self.inner);
                self.inner.clear();
            }
            number(&mut self.message, 5, row.is_folded.into());
            self.end(profile::LOCATION);
        }
    }

    fn functions(&mut self) {
        for id in used(&self.functions) {
            let row = self.tables.functions[id as usize];
            number(&mut self.message, 1, u64::from(id) + 1);
            for (field, text) in [(2, row.name), (3, row.system_name), (4, row.filename)] {
                let text = self.string(text);
                number(&mut self.message, field, text);
            }
            number(&mut self.message, 5, row.start_line as u64);
            self.end(profile::FUNCTION);
        }
    }

    fn mappings(&mut self) {
        for id in used(&self.mappings) {
            let row = self.tables.mappings[id as usize];
            number(&mut self.message, 1, u64::from(id) + 1);
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
    }

    fn strings(&mut self) {
        for text in &self.strings {
            bytes(&mut self.out, profile::STRING_TABLE, text.as_bytes());
        }
    }

    fn end(&mut self, field: u32) {
        bytes(&mut self.out, field, &self.message);
        self.message.clear();
    }
}

fn used(rows: &[bool]) -> Vec<u32> {
    (0..rows.len() as u32).filter(|id| rows[*id as usize]).collect()
}
