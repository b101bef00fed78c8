//! Wire bytes to JSON.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flamestore_model::Fault;

use super::schema::{Field, Message, MessageIndex, Schema, Shape};
use super::timestamp;

/// Messages nested deeper than this are refused.
const MAX_DEPTH: usize = 100;

impl Schema {
    /// Appends the JSON form of an encoded message to `out`: compact, 64-bit integers as strings, unset fields left out.
    ///
    /// # Errors
    /// `Internal` when the bytes are not such a message.
    pub fn write(&self, message: MessageIndex, wire: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut writer = Writer { schema: self, wire, spans: Vec::new(), out };
        writer
            .message(message.0, 0, wire.len(), 0)
            .ok_or_else(|| Fault::internal("a message of this server cannot be written as JSON: bad wire bytes"))
    }
}

struct Writer<'a> {
    schema: &'a Schema,
    wire: &'a [u8],
    /// The values of the messages being written, outermost first.
    spans: Vec<Span>,
    out: &'a mut Vec<u8>,
}

/// Where the value of a field stands in the wire bytes.
#[derive(Clone, Copy)]
struct Span {
    field: usize,
    wire_type: u8,
    start: usize,
    end: usize,
}

impl Writer<'_> {
    fn message(&mut self, message: usize, start: usize, end: usize, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let schema = self.schema;
        let message = &schema.messages[message];
        let base = self.spans.len();
        self.scan(message, start, end)?;
        if message.is_timestamp {
            self.timestamp(base)?;
            self.spans.truncate(base);
            return Some(());
        }
        if !self.spans[base..].is_sorted_by_key(|s| s.field) {
            self.spans[base..].sort_by_key(|s| s.field);
        }
        self.out.push(b'{');
        let empty = self.out.len();
        let (mut at, end) = (base, self.spans.len());
        while at < end {
            let place = self.spans[at].field;
            let mut next = at + 1;
            while next < end && self.spans[next].field == place {
                next += 1;
            }
            let field = &message.fields[place];
            let before = self.out.len();
            if before > empty {
                self.out.push(b',');
            }
            self.out.extend_from_slice(field.key.as_bytes());
            let written = if field.repeated {
                self.list(field, at, next, depth)?
            } else {
                self.single(field, self.spans[next - 1], depth)?
            };
            if !written {
                self.out.truncate(before);
            }
            at = next;
        }
        self.out.push(b'}');
        self.spans.truncate(base);
        Some(())
    }

    /// Notes where the known fields of a message stand.
    fn scan(&mut self, message: &Message, mut at: usize, end: usize) -> Option<()> {
        while at < end {
            let tag = varint(self.wire, &mut at, end)?;
            let wire_type = (tag & 7) as u8;
            let number = u32::try_from(tag >> 3).ok()?;
            let start = match wire_type {
                2 => {
                    let length = usize::try_from(varint(self.wire, &mut at, end)?).ok()?;
                    let start = at;
                    at = at.checked_add(length)?;
                    start
                }
                0 => {
                    let start = at;
                    varint(self.wire, &mut at, end)?;
                    start
                }
                1 | 5 => {
                    let start = at;
                    at += if wire_type == 1 { 8 } else { 4 };
                    start
                }
                _ => return None,
            };
            if at > end {
                return None;
            }
            if let Some((place, field)) = message.field(number) {
                let fits = wire_type == field.shape.wire_type() || (wire_type == 2 && field.repeated);
                if !fits {
                    return None;
                }
                self.spans.push(Span { field: place, wire_type, start, end: at });
            }
        }
        Some(())
    }

    /// Writes a list, unless it is empty.
    fn list(&mut self, field: &Field, from: usize, to: usize, depth: usize) -> Option<bool> {
        let open = self.out.len();
        for at in from..to {
            let span = self.spans[at];
            if span.wire_type == 2 && field.shape.is_packable() {
                let mut place = span.start;
                while place < span.end {
                    self.out.push(b',');
                    self.number(field.shape, &mut place, span.end)?;
                }
            } else {
                self.out.push(b',');
                self.value(field, span, depth)?;
            }
        }
        match self.out.get_mut(open) {
            Some(comma) => *comma = b'[',
            None => return Some(false),
        }
        self.out.push(b']');
        Some(true)
    }

    /// Writes a value, unless it is the zero of a field that does not tell zero from unset.
    fn single(&mut self, field: &Field, span: Span, depth: usize) -> Option<bool> {
        if !field.presence && self.wire.get(span.start..span.end)?.iter().all(|b| *b == 0) {
            let zero = field.shape.is_packable() || span.start == span.end;
            if zero {
                return Some(false);
            }
        }
        self.value(field, span, depth)?;
        Some(true)
    }

    fn value(&mut self, field: &Field, span: Span, depth: usize) -> Option<()> {
        match field.shape {
            Shape::Message(message) => self.message(message, span.start, span.end, depth + 1),
            Shape::String => {
                self.out.push(b'"');
                escape(self.wire.get(span.start..span.end)?, self.out);
                self.out.push(b'"');
                Some(())
            }
            Shape::Bytes => {
                let bytes = self.wire.get(span.start..span.end)?;
                self.out.push(b'"');
                let start = self.out.len();
                self.out.resize(start + bytes.len().div_ceil(3) * 4, 0);
                let written = STANDARD.encode_slice(bytes, &mut self.out[start..]).ok()?;
                self.out.truncate(start + written);
                self.out.push(b'"');
                Some(())
            }
            shape => {
                let mut at = span.start;
                self.number(shape, &mut at, span.end)
            }
        }
    }

    fn number(&mut self, shape: Shape, at: &mut usize, end: usize) -> Option<()> {
        let wire = self.wire;
        match shape {
            Shape::Int64 => self.quoted(varint(wire, at, end)? as i64),
            Shape::Uint64 => self.quoted_unsigned(varint(wire, at, end)?),
            Shape::Int32 => put_signed(self.out, i64::from(varint(wire, at, end)? as i32)),
            Shape::Uint32 => put_unsigned(self.out, u64::from(varint(wire, at, end)? as u32)),
            Shape::Sint32 | Shape::Sint64 => {
                let zigzag = varint(wire, at, end)?;
                let number = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
                if shape == Shape::Sint64 { self.quoted(number) } else { put_signed(self.out, number) }
            }
            Shape::Fixed32 => put_unsigned(self.out, u64::from(u32::from_le_bytes(fixed(wire, at, end)?))),
            Shape::Sfixed32 => put_signed(self.out, i64::from(i32::from_le_bytes(fixed(wire, at, end)?))),
            Shape::Fixed64 => self.quoted_unsigned(u64::from_le_bytes(fixed(wire, at, end)?)),
            Shape::Sfixed64 => self.quoted(i64::from_le_bytes(fixed(wire, at, end)?)),
            Shape::Double => put_real(self.out, f64::from_le_bytes(fixed(wire, at, end)?)),
            Shape::Float => put_float(self.out, f32::from_le_bytes(fixed(wire, at, end)?)),
            Shape::Bool => {
                let value = varint(wire, at, end)? != 0;
                self.out.extend_from_slice(if value { b"true" } else { b"false" });
            }
            Shape::Enum(place) => {
                let number = varint(wire, at, end)? as i32;
                match self.schema.enums[place].by_number.iter().find(|(n, _)| *n == number) {
                    Some((_, name)) => {
                        self.out.push(b'"');
                        self.out.extend_from_slice(name.as_bytes());
                        self.out.push(b'"');
                    }
                    None => put_signed(self.out, i64::from(number)),
                }
            }
            Shape::String | Shape::Bytes | Shape::Message(_) => return None,
        }
        Some(())
    }

    fn quoted(&mut self, number: i64) {
        self.out.push(b'"');
        put_signed(self.out, number);
        self.out.push(b'"');
    }

    fn quoted_unsigned(&mut self, number: u64) {
        self.out.push(b'"');
        put_unsigned(self.out, number);
        self.out.push(b'"');
    }

    fn timestamp(&mut self, base: usize) -> Option<()> {
        let (mut seconds, mut nanos) = (0, 0);
        for span in &self.spans[base..] {
            let value = varint(self.wire, &mut { span.start }, span.end)?;
            if span.field == 0 { seconds = value as i64 } else { nanos = value as i32 }
        }
        self.out.push(b'"');
        timestamp::print(seconds, u32::try_from(nanos).ok()?, self.out);
        self.out.push(b'"');
        Some(())
    }
}

#[inline]
fn varint(wire: &[u8], at: &mut usize, end: usize) -> Option<u64> {
    let bytes = wire.get(*at..end)?;
    let mut value = 0u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            *at += i + 1;
            return Some(value);
        }
    }
    None
}

fn fixed<const N: usize>(wire: &[u8], at: &mut usize, end: usize) -> Option<[u8; N]> {
    let bytes = wire.get(*at..end)?.first_chunk::<N>()?;
    *at += N;
    Some(*bytes)
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    put_unsigned(out, number.unsigned_abs());
}

#[inline]
fn put_unsigned(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn put_real(out: &mut Vec<u8>, number: f64) {
    let size = number.abs();
    // Writing to a vector cannot fail.
    let _ = match number {
        n if n.is_nan() => out.write_all(b"\"NaN\""),
        f64::INFINITY => out.write_all(b"\"Infinity\""),
        f64::NEG_INFINITY => out.write_all(b"\"-Infinity\""),
        n if size == 0.0 || (1e-6..1e21).contains(&size) => write!(out, "{n}"),
        n => write!(out, "{n:e}"),
    };
}

fn put_float(out: &mut Vec<u8>, number: f32) {
    let size = number.abs();
    if number.is_finite() {
        let _ = match size == 0.0 || (1e-6..1e21).contains(&size) {
            true => write!(out, "{number}"),
            false => write!(out, "{number:e}"),
        };
    } else {
        put_real(out, f64::from(number));
    }
}

/// Which bytes cannot stand for themselves. `<`, `>` and `&` could, but then an answer is safe inside HTML too.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special[b'<' as usize] = true;
    special[b'>' as usize] = true;
    special[b'&' as usize] = true;
    special
};

/// Appends text for the inside of a JSON string. What is not UTF-8 becomes U+FFFD.
pub(crate) fn escape(text: &[u8], out: &mut Vec<u8>) {
    if let Ok(text) = std::str::from_utf8(text) {
        escape_valid(text.as_bytes(), out);
    } else {
        escape_valid(String::from_utf8_lossy(text).as_bytes(), out);
    }
}

fn escape_valid(mut text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    while let Some(at) = text.iter().position(|b| SPECIAL[usize::from(*b)]) {
        let (plain, rest) = text.split_at(at);
        out.extend_from_slice(plain);
        let byte = rest[0];
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let hex = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&hex);
            }
        }
        text = &rest[1..];
    }
    out.extend_from_slice(text);
}
