//! Message shapes, taken from the descriptors once and only looked up afterwards.

use std::collections::HashMap;

use flamestore_model::Fault;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

/// Which message of a [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageIndex(pub(super) usize);

/// Every message of a descriptor set, ready for transcoding.
#[derive(Debug, Default)]
pub struct Schema {
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<Enum>,
    by_name: HashMap<String, usize>,
}

/// Fields that were seen are kept as bits of a word, so a message can have at most this many.
const MAX_FIELDS: usize = 64;

#[derive(Debug)]
pub(super) struct Message {
    /// By field number.
    pub(super) fields: Vec<Field>,
    /// Both spellings, and what [`Schema::also`] adds. `None`: known, and left out.
    pub(super) by_json: HashMap<Box<str>, Option<usize>>,
    pub(super) is_timestamp: bool,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// `"name":`
    pub(super) key: Box<str>,
    pub(super) shape: Shape,
    pub(super) repeated: bool,
    /// Set and zero differ from unset.
    pub(super) presence: bool,
    /// Which of the message's choices it belongs to.
    pub(super) oneof: Option<u32>,
    /// Bytes that may be given in hexadecimal: see [`Schema::hex`].
    pub(super) hex: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(usize),
    Message(usize),
}

#[derive(Debug)]
pub(super) struct Enum {
    pub(super) by_number: Vec<(i32, Box<str>)>,
    pub(super) by_name: HashMap<Box<str>, i32>,
}

impl Schema {
    /// Reads encoded `FileDescriptorSet`s.
    ///
    /// # Errors
    /// `Internal` when a set cannot be read or holds something that this transcoder does not speak.
    pub fn from_descriptor_sets(sets: &[&[u8]]) -> Result<(Self, DescriptorPool), Fault> {
        let mut pool = DescriptorPool::new();
        for set in sets {
            pool.decode_file_descriptor_set(*set)
                .map_err(|e| Fault::internal("cannot read the message descriptors").caused_by(e))?;
        }
        let mut schema = Schema::default();
        let mut enums = HashMap::new();
        for (at, e) in pool.all_enums().enumerate() {
            enums.insert(e.full_name().to_owned(), at);
            schema.enums.push(Enum {
                by_number: e.values().map(|v| (v.number(), v.name().into())).collect(),
                by_name: e.values().map(|v| (v.name().into(), v.number())).collect(),
            });
        }
        let messages: Vec<MessageDescriptor> = pool.all_messages().filter(speaks).collect();
        schema.by_name = messages.iter().enumerate().map(|(at, m)| (m.full_name().to_owned(), at)).collect();
        for message in &messages {
            let built = schema.message(message, &enums)?;
            schema.messages.push(built);
        }
        Ok((schema, pool))
    }

    /// The message of this full name, such as `querier.v1.DiffRequest`.
    pub fn find(&self, full_name: &str) -> Option<MessageIndex> {
        self.by_name.get(full_name).copied().map(MessageIndex)
    }

    /// Lets JSON give a field of a message by another name too, as an earlier revision of the message had it. Without a
    /// field, what stands under the name is left out.
    ///
    /// # Errors
    /// `Internal` when there is no such message or field.
    pub fn also(&mut self, message: &str, name: &str, field: Option<&str>) -> Result<(), Fault> {
        let missing = || Fault::internal(format!("{message} has nothing for the name {name}"));
        let at = *self.by_name.get(message).ok_or_else(missing)?;
        let message = self.messages.get_mut(at).ok_or_else(missing)?;
        let field = match field {
            Some(field) => *message.by_json.get(field).ok_or_else(missing)?,
            None => None,
        };
        message.by_json.insert(name.into(), field);
        Ok(())
    }

    /// Lets JSON give the identifier in a field, of 8 or 16 bytes, in hexadecimal too, as OTLP has it.
    ///
    /// # Errors
    /// `Internal` when there is no such message or field.
    pub fn hex(&mut self, message: &str, field: &str) -> Result<(), Fault> {
        let missing = || Fault::internal(format!("{message} has no field {field}"));
        let at = *self.by_name.get(message).ok_or_else(missing)?;
        let message = self.messages.get_mut(at).ok_or_else(missing)?;
        let at = message.by_json.get(field).copied().flatten().ok_or_else(missing)?;
        message.fields.get_mut(at).ok_or_else(missing)?.hex = true;
        Ok(())
    }

    fn message(&self, message: &MessageDescriptor, enums: &HashMap<String, usize>) -> Result<Message, Fault> {
        let mut descriptors: Vec<FieldDescriptor> = message.fields().collect();
        descriptors.sort_by_key(FieldDescriptor::number);
        if descriptors.len() > MAX_FIELDS {
            return Err(Fault::internal(format!("{} has over {MAX_FIELDS} fields", message.full_name())));
        }
        let choices: Vec<String> = message.oneofs().map(|o| o.full_name().to_owned()).collect();
        let mut fields = Vec::with_capacity(descriptors.len());
        let mut by_json = HashMap::new();
        for (at, field) in descriptors.iter().enumerate() {
            let unspoken = || Fault::internal(format!("{} is of a kind that has no JSON here", field.full_name()));
            if field.is_map() || field.is_group() {
                return Err(unspoken());
            }
            let shape = match field.kind() {
                Kind::Double => Shape::Double,
                Kind::Float => Shape::Float,
                Kind::Int32 => Shape::Int32,
                Kind::Int64 => Shape::Int64,
                Kind::Uint32 => Shape::Uint32,
                Kind::Uint64 => Shape::Uint64,
                Kind::Sint32 => Shape::Sint32,
                Kind::Sint64 => Shape::Sint64,
                Kind::Fixed32 => Shape::Fixed32,
                Kind::Fixed64 => Shape::Fixed64,
                Kind::Sfixed32 => Shape::Sfixed32,
                Kind::Sfixed64 => Shape::Sfixed64,
                Kind::Bool => Shape::Bool,
                Kind::String => Shape::String,
                Kind::Bytes => Shape::Bytes,
                Kind::Enum(e) => Shape::Enum(*enums.get(e.full_name()).ok_or_else(unspoken)?),
                Kind::Message(m) => Shape::Message(*self.by_name.get(m.full_name()).ok_or_else(unspoken)?),
            };
            let oneof = field.containing_oneof().and_then(|o| choices.iter().position(|c| c == o.full_name()));
            by_json.insert(field.json_name().into(), Some(at));
            by_json.insert(field.name().into(), Some(at));
            fields.push(Field {
                number: field.number(),
                key: format!("\"{}\":", field.json_name()).into(),
                shape,
                repeated: field.is_list(),
                presence: field.supports_presence(),
                oneof: oneof.and_then(|o| u32::try_from(o).ok()),
                hex: false,
            });
        }
        Ok(Message { fields, by_json, is_timestamp: message.full_name() == TIMESTAMP })
    }
}

const TIMESTAMP: &str = "google.protobuf.Timestamp";

fn speaks(message: &MessageDescriptor) -> bool {
    !message.full_name().starts_with("google.protobuf.") || message.full_name() == TIMESTAMP
}

impl Message {
    pub(super) fn field(&self, number: u32) -> Option<(usize, &Field)> {
        // Numbers are dense from 1 in nearly every message.
        let guess = (number as usize).wrapping_sub(1);
        if let Some(field) = self.fields.get(guess).filter(|f| f.number == number) {
            return Some((guess, field));
        }
        self.fields.iter().enumerate().find(|(_, f)| f.number == number)
    }
}

impl Shape {
    /// Numbers and enums: what may be packed.
    pub(super) fn is_packable(self) -> bool {
        !matches!(self, Shape::String | Shape::Bytes | Shape::Message(_))
    }

    /// The wire type of one value.
    pub(super) fn wire_type(self) -> u8 {
        match self {
            Shape::Double | Shape::Fixed64 | Shape::Sfixed64 => 1,
            Shape::Float | Shape::Fixed32 | Shape::Sfixed32 => 5,
            Shape::String | Shape::Bytes | Shape::Message(_) => 2,
            _ => 0,
        }
    }
}
