//! Writes a small pprof message: enough for profiles of ourselves, without a dependency on the store's crates.
//!
//! Source: `profile.proto` of google/pprof.

use std::collections::HashMap;
use std::io::Write;

use flamestore_model::Fault;
use flate2::Compression;
use flate2::write::GzEncoder;

/// One line of a stack. Frames with equal parts become one location.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Frame {
    pub function: String,
    pub file: String,
    pub line: u32,
    pub address: u64,
}

/// A name and a unit.
pub(super) type ValueType = (&'static str, &'static str);

/// Samples while they are collected.
#[derive(Debug, Default)]
pub(super) struct PprofBytes {
    strings: Vec<String>,
    string_ids: HashMap<String, u64>,
    functions: HashMap<(u64, u64), u64>,
    locations: HashMap<(u64, u32, u64), u64>,
    out: Vec<u8>,
}

impl PprofBytes {
    pub(super) fn new(types: &[ValueType], period: (ValueType, i64)) -> Self {
        let mut p = PprofBytes::default();
        p.string("");
        for value_type in types {
            let message = p.value_type(*value_type);
            bytes(&mut p.out, 1, &message);
        }
        let message = p.value_type(period.0);
        bytes(&mut p.out, 11, &message);
        number(&mut p.out, 12, period.1 as u64);
        p
    }

    /// Adds a sample; the leaf comes first.
    pub(super) fn sample(&mut self, stack: &[Frame], values: &[i64]) {
        let (mut ids, mut packed) = (Vec::new(), Vec::new());
        for frame in stack {
            let id = self.location(frame);
            varint(&mut ids, id);
        }
        values.iter().for_each(|v| varint(&mut packed, *v as u64));
        let mut sample = Vec::new();
        bytes(&mut sample, 1, &ids);
        bytes(&mut sample, 2, &packed);
        bytes(&mut self.out, 2, &sample);
    }

    /// The whole message, gzipped.
    pub(super) fn finish(mut self, time_nanos: i64, duration_nanos: i64) -> Result<Vec<u8>, Fault> {
        for text in std::mem::take(&mut self.strings) {
            bytes(&mut self.out, 6, text.as_bytes());
        }
        number(&mut self.out, 9, time_nanos as u64);
        number(&mut self.out, 10, duration_nanos as u64);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&self.out)
            .and_then(|()| gzip.finish())
            .map_err(|e| Fault::internal("a profile of this process could not be compressed").caused_by(e))
    }

    fn location(&mut self, frame: &Frame) -> u64 {
        let (name, file) = (self.string(&frame.function), self.string(&frame.file));
        let next = self.functions.len() as u64 + 1;
        let function = *self.functions.entry((name, file)).or_insert(next);
        if function == next {
            let mut message = Vec::new();
            [(1, function), (2, name), (3, name), (4, file)].iter().for_each(|(f, v)| number(&mut message, *f, *v));
            bytes(&mut self.out, 5, &message);
        }
        let next = self.locations.len() as u64 + 1;
        let location = *self.locations.entry((function, frame.line, frame.address)).or_insert(next);
        if location == next {
            let mut line = Vec::new();
            number(&mut line, 1, function);
            number(&mut line, 2, u64::from(frame.line));
            let mut message = Vec::new();
            number(&mut message, 1, location);
            number(&mut message, 3, frame.address);
            bytes(&mut message, 4, &line);
            bytes(&mut self.out, 4, &message);
        }
        location
    }

    fn value_type(&mut self, (name, unit): ValueType) -> Vec<u8> {
        let mut message = Vec::new();
        number(&mut message, 1, self.string(name));
        number(&mut message, 2, self.string(unit));
        message
    }

    fn string(&mut self, text: &str) -> u64 {
        if let Some(id) = self.string_ids.get(text) {
            return *id;
        }
        let id = self.strings.len() as u64;
        self.strings.push(text.to_owned());
        self.string_ids.insert(text.to_owned(), id);
        id
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    if value != 0 {
        varint(out, field << 3);
        varint(out, value);
    }
}

fn bytes(out: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(out, (field << 3) | 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}
