//! JSON to wire bytes.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flamestore_model::Fault;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::schema::{Field, MessageIndex, Schema, Shape};
use super::timestamp;

/// What becomes of a field, or the name of an enum value, that the schema does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    Skip,
    Refuse,
}

impl Schema {
    /// Appends the wire form of a JSON object to `out`.
    ///
    /// # Errors
    /// `Invalid`, with what is wrong and where. `out` then holds a part of the message.
    pub fn read(&self, message: MessageIndex, json: &[u8], unknown: Unknown, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.read_first(&[message], json, unknown, out).map(drop)
    }

    /// Appends the wire form of a JSON object as the first of some messages that it fits, and says which.
    ///
    /// # Errors
    /// As of [`Schema::read`], from the message that fits the longest beginning of the text. `out` is then as it was, but
    /// for a part of a message at its end.
    pub fn read_first(
        &self,
        messages: &[MessageIndex],
        json: &[u8],
        unknown: Unknown,
        out: &mut Vec<u8>,
    ) -> Result<MessageIndex, Fault> {
        if json.is_empty() {
            return Err(Fault::invalid("an empty body is not a JSON object: send {} for an empty request"));
        }
        let start = out.len();
        let mut closest: Option<serde_json::Error> = None;
        for message in messages {
            out.truncate(start);
            let Err(why) = self.read_as(*message, json, unknown, out) else { return Ok(*message) };
            let place = |e: &serde_json::Error| (e.line(), e.column());
            if closest.as_ref().is_none_or(|closest| place(closest) < place(&why)) {
                closest = Some(why);
            }
        }
        let why = closest.map_or_else(|| "there is no message to read it as".to_owned(), |e| e.to_string());
        Err(Fault::invalid(format!("cannot read the request as JSON: {why}")))
    }

    fn read_as(
        &self,
        message: MessageIndex,
        json: &[u8],
        unknown: Unknown,
        out: &mut Vec<u8>,
    ) -> Result<(), serde_json::Error> {
        let mut text = serde_json::Deserializer::from_slice(json);
        let reader = Reader { schema: self, unknown };
        Body { reader, message: message.0, out }.deserialize(&mut text)?;
        text.end()
    }
}

#[derive(Clone, Copy)]
struct Reader<'s> {
    schema: &'s Schema,
    unknown: Unknown,
}

/// The fields of a message, without tag and length.
struct Body<'s, 'o> {
    reader: Reader<'s>,
    message: usize,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Body<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.reader.schema.messages[self.message].is_timestamp {
            deserializer.deserialize_str(self)
        } else {
            deserializer.deserialize_map(self)
        }
    }
}

impl<'de> Visitor<'de> for Body<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let message = &self.reader.schema.messages[self.message];
        let (mut seen, mut chosen) = (0u64, 0u64);
        while let Some(key) = map.next_key_seed(Key { reader: self.reader, message: self.message })? {
            let Some(at) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let field = &message.fields[at];
            if seen & (1 << at) != 0 {
                return Err(A::Error::custom(format!("the field {} is given twice", name(field))));
            }
            seen |= 1 << at;
            let set = map.next_value_seed(Value { reader: self.reader, field, place: Place::Field, out: self.out })?;
            if let (true, Some(oneof)) = (set, field.oneof) {
                if chosen & (1 << oneof) != 0 {
                    return Err(A::Error::custom(format!("{} excludes another field that is given", name(field))));
                }
                chosen |= 1 << oneof;
            }
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let (seconds, nanos) =
            timestamp::parse(text).ok_or_else(|| E::custom(format!("{text:?} is not an RFC 3339 time")))?;
        for (number, value) in [(1, seconds), (2, i64::from(nanos))] {
            put_tag(self.out, number, 0);
            put_varint(self.out, value as u64);
        }
        Ok(())
    }
}

/// The name of a field: its place in the message, or none if it is unknown.
struct Key<'s> {
    reader: Reader<'s>,
    message: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let found = self.reader.schema.messages[self.message].by_json.get(key).copied();
        if found.is_none() && self.reader.unknown == Unknown::Refuse {
            return Err(E::custom(format!("unknown field {key:?}")));
        }
        Ok(found.flatten())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The value of a field: `null` leaves it unset.
    Field,
    /// An element of a list, with a tag of its own.
    Element,
    /// An element of a packed list: only the value.
    Packed,
}

/// A value of any shape. Answers whether something was set.
struct Value<'s, 'o> {
    reader: Reader<'s>,
    field: &'s Field,
    place: Place,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Value<'_, '_> {
    fn is_list(&self) -> bool {
        self.field.repeated && self.place == Place::Field
    }

    fn unfit<E: Error>(&self, found: &str) -> E {
        let want = match (self.is_list(), self.field.shape) {
            (true, _) => "a list",
            (_, Shape::Message(_)) => "an object",
            (_, Shape::String) => "a string",
            (_, Shape::Bytes) => "a string in base64",
            (_, Shape::Bool) => "true or false",
            (_, Shape::Enum(_)) => "the name or number of an enum value",
            (_, Shape::Double | Shape::Float) => "a number",
            (_, Shape::Int32 | Shape::Sint32 | Shape::Sfixed32) => "a whole number of 32 bits",
            (_, Shape::Uint32 | Shape::Fixed32) => "a whole number from 0 of 32 bits",
            (_, Shape::Int64 | Shape::Sint64 | Shape::Sfixed64) => "a whole number of 64 bits",
            (_, Shape::Uint64 | Shape::Fixed64) => "a whole number from 0 of 64 bits",
        };
        E::custom(format!("{} wants {want}, not {found}", name(self.field)))
    }

    fn tag(&mut self) {
        if self.place != Place::Packed {
            put_tag(self.out, self.field.number, self.field.shape.wire_type());
        }
    }

    fn whole<E: Error>(mut self, number: i128) -> Result<bool, E> {
        if self.is_list() {
            return Err(self.unfit("a number"));
        }
        let out_of_range = |value: &Self| value.unfit(&format!("{number}"));
        let signed = |bits: u32| (-(1i128 << (bits - 1))..1i128 << (bits - 1)).contains(&number);
        let unsigned = |bits: u32| (0..1i128 << bits).contains(&number);
        match self.field.shape {
            Shape::Double | Shape::Float => return self.real(number as f64),
            Shape::Int32 | Shape::Enum(_) if signed(32) => {
                self.tag();
                put_varint(self.out, number as i64 as u64);
            }
            Shape::Int64 if signed(64) => {
                self.tag();
                put_varint(self.out, number as i64 as u64);
            }
            Shape::Uint32 if unsigned(32) => {
                self.tag();
                put_varint(self.out, number as u64);
            }
            Shape::Uint64 if unsigned(64) => {
                self.tag();
                put_varint(self.out, number as u64);
            }
            Shape::Sint32 if signed(32) => {
                self.tag();
                put_varint(self.out, zigzag(number as i64));
            }
            Shape::Sint64 if signed(64) => {
                self.tag();
                put_varint(self.out, zigzag(number as i64));
            }
            Shape::Fixed32 if unsigned(32) => {
                self.tag();
                self.out.extend_from_slice(&(number as u32).to_le_bytes());
            }
            Shape::Fixed64 if unsigned(64) => {
                self.tag();
                self.out.extend_from_slice(&(number as u64).to_le_bytes());
            }
            Shape::Sfixed32 if signed(32) => {
                self.tag();
                self.out.extend_from_slice(&(number as i32).to_le_bytes());
            }
            Shape::Sfixed64 if signed(64) => {
                self.tag();
                self.out.extend_from_slice(&(number as i64).to_le_bytes());
            }
            _ => return Err(out_of_range(&self)),
        }
        Ok(true)
    }

    fn real<E: Error>(mut self, number: f64) -> Result<bool, E> {
        if self.is_list() {
            return Err(self.unfit("a number"));
        }
        match self.field.shape {
            Shape::Double => {
                self.tag();
                self.out.extend_from_slice(&number.to_le_bytes());
                Ok(true)
            }
            Shape::Float if !number.is_finite() || number.abs() <= f64::from(f32::MAX) => {
                self.tag();
                self.out.extend_from_slice(&(number as f32).to_le_bytes());
                Ok(true)
            }
            Shape::Float | Shape::Bool | Shape::String | Shape::Bytes | Shape::Message(_) => {
                Err(self.unfit("the number given"))
            }
            // 2.0 is whole, 2.5 is not; beyond 2^70 no whole shape fits, and the cast below stays exact.
            _ if number.fract() == 0.0 && number.abs() < 2f64.powi(70) => self.whole(number as i128),
            _ => Err(self.unfit(&format!("{number}"))),
        }
    }

    fn text<E: Error>(mut self, text: &str) -> Result<bool, E> {
        match self.field.shape {
            Shape::String => {
                self.tag();
                put_varint(self.out, text.len() as u64);
                self.out.extend_from_slice(text.as_bytes());
                Ok(true)
            }
            Shape::Bytes => {
                self.tag();
                let start = self.out.len();
                if let Some(identifier) = identifier(text).filter(|_| self.field.hex) {
                    self.out.extend(identifier);
                    put_length_before(self.out, start);
                    return Ok(true);
                }
                let web = text.bytes().any(|c| c == b'-' || c == b'_');
                let base64 = if web { &WEB_BASE64 } else { &BASE64 };
                if let Err(e) = base64.decode_vec(text, self.out) {
                    return Err(self.unfit(&format!("bad base64 ({e})")));
                }
                put_length_before(self.out, start);
                Ok(true)
            }
            Shape::Enum(at) => match self.reader.schema.enums[at].by_name.get(text) {
                Some(&number) => self.whole(i128::from(number)),
                None if self.reader.unknown == Unknown::Skip => Ok(false),
                None => Err(self.unfit(&format!("{text:?}"))),
            },
            Shape::Message(message) if self.reader.schema.messages[message].is_timestamp => {
                self.tag();
                let start = self.out.len();
                Body { reader: self.reader, message, out: self.out }.visit_str(text)?;
                put_length_before(self.out, start);
                Ok(true)
            }
            Shape::Bool | Shape::Message(_) => Err(self.unfit("a string")),
            Shape::Double | Shape::Float => match text {
                "NaN" => self.real(f64::NAN),
                "Infinity" => self.real(f64::INFINITY),
                "-Infinity" => self.real(f64::NEG_INFINITY),
                _ => match decimal(text) {
                    Some(number) => self.real(number),
                    None => Err(self.unfit(&format!("{text:?}"))),
                },
            },
            _ => match text.parse::<i128>() {
                Ok(number) if !text.starts_with('+') => self.whole(number),
                _ => match decimal(text) {
                    Some(number) => self.real(number),
                    None => Err(self.unfit(&format!("{text:?}"))),
                },
            },
        }
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value for {}", name(self.field))
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        if self.place == Place::Field { Ok(false) } else { Err(self.unfit("null")) }
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<bool, E> {
        if self.is_list() || self.field.shape != Shape::Bool {
            return Err(self.unfit("true or false"));
        }
        self.tag();
        self.out.push(u8::from(value));
        Ok(true)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<bool, E> {
        self.whole(i128::from(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<bool, E> {
        self.whole(i128::from(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<bool, E> {
        self.real(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        if self.is_list() { Err(self.unfit("a string")) } else { self.text(text) }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<bool, A::Error> {
        if !self.is_list() {
            return Err(self.unfit("a list"));
        }
        let packed = self.field.shape.is_packable();
        self.place = if packed { Place::Packed } else { Place::Element };
        if packed {
            put_tag(self.out, self.field.number, 2);
        }
        let start = self.out.len();
        while list
            .next_element_seed(Value { reader: self.reader, field: self.field, place: self.place, out: self.out })?
            .is_some()
        {}
        if packed {
            put_length_before(self.out, start);
        }
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<bool, A::Error> {
        let Shape::Message(message) = self.field.shape else { return Err(self.unfit("an object")) };
        if self.is_list() || self.reader.schema.messages[message].is_timestamp {
            return Err(self.unfit("an object"));
        }
        self.tag();
        let start = self.out.len();
        Body { reader: self.reader, message, out: self.out }.visit_map(map)?;
        put_length_before(self.out, start);
        Ok(true)
    }
}

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const WEB_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// 8 or 16 bytes in hexadecimal. In base64 they have other lengths.
fn identifier(text: &str) -> Option<Vec<u8>> {
    if !matches!(text.len(), 16 | 32) {
        return None;
    }
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    Some(digits?.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

/// The JSON name, out of `"name":`.
fn name(field: &Field) -> &str {
    field.key.trim_end_matches(':')
}

/// A decimal number as JSON writes it; Rust's own parser also takes `inf`, `+1` and the like.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|c| c.is_ascii_digit() || b"-+.eE".contains(&c));
    let begins = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if plain && begins { text.parse().ok() } else { None }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire_type));
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Puts the length of what stands from `start` on before it.
fn put_length_before(out: &mut Vec<u8>, start: usize) {
    let end = out.len();
    put_varint(out, (end - start) as u64);
    let width = out.len() - end;
    out[start..].rotate_right(width);
}
