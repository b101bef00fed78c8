//! The tables that profiles point into: cut into entries once, read where they are used.

use std::borrow::Cow;

use flamestore_model::{Fault, FaultId};

use crate::otlp::revision::Revision;
use crate::protobuf::{Broken, Fields, Value};

/// Most entries of one table. A recorded whole host has some ten thousand.
pub const MAX_TABLE_ENTRIES: usize = 1 << 21;

/// Most entries of the table of attributes, which are read ahead.
const MAX_ATTRIBUTES: usize = 1 << 18;

/// Encoded entries by index.
#[derive(Default)]
pub(super) struct Dictionary<'a> {
    pub(super) mappings: Vec<&'a [u8]>,
    pub(super) locations: Vec<&'a [u8]>,
    pub(super) functions: Vec<&'a [u8]>,
    pub(super) links: Vec<&'a [u8]>,
    pub(super) stacks: Vec<&'a [u8]>,
    strings: Vec<&'a [u8]>,
    attributes: Vec<Attribute<'a>>,
    /// By mapping: a location of it has no lines, so that it still has to be symbolised.
    lacks_functions: Vec<bool>,
}

/// An attribute, ready to become a label.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attribute<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: Scalar<'a>,
}

/// A value that can be a label's, or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    Text(&'a [u8]),
    Int(i64),
    /// A bool, float, map, list of several or nothing.
    #[default]
    Other,
}

impl<'a> Scalar<'a> {
    /// The text of the label; `None` for what cannot be one, or is empty.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Scalar::Text([]) | Scalar::Other => None,
            Scalar::Text(text) => Some(String::from_utf8_lossy(text)),
            Scalar::Int(number) => Some(number.to_string().into()),
        }
    }
}

/// An entry of the location table.
#[derive(Debug, Default)]
pub(super) struct Location {
    pub(super) mapping: u64,
    pub(super) address: u64,
    /// Function index and line, innermost inlined call first.
    pub(super) lines: Vec<(u64, i64)>,
    pub(super) is_folded: bool,
}

impl<'a> Dictionary<'a> {
    /// Takes apart the messages that hold the tables, in the revision's fields.
    pub(super) fn read(messages: &[&'a [u8]], revision: Revision) -> Result<Self, Fault> {
        let mut dictionary = Dictionary::default();
        let mut attributes = Vec::new();
        for message in messages {
            for field in Fields::of(message) {
                let (number, Value::Bytes(entry)) = field.map_err(super::broken)? else { continue };
                let table = match table(number, revision) {
                    Some(Table::Mappings) => &mut dictionary.mappings,
                    Some(Table::Locations) => &mut dictionary.locations,
                    Some(Table::Functions) => &mut dictionary.functions,
                    Some(Table::Links) => &mut dictionary.links,
                    Some(Table::Strings) => &mut dictionary.strings,
                    Some(Table::Attributes) => &mut attributes,
                    Some(Table::Stacks) => &mut dictionary.stacks,
                    None => continue,
                };
                table.push(entry);
                if table.len() > MAX_TABLE_ENTRIES {
                    return Err(too_long("a table of the dictionary", MAX_TABLE_ENTRIES));
                }
                if attributes.len() > MAX_ATTRIBUTES {
                    return Err(too_long("attribute_table", MAX_ATTRIBUTES));
                }
            }
        }
        dictionary.attributes = attributes
            .into_iter()
            .map(|entry| dictionary.attribute_entry(entry, revision))
            .collect::<Result<_, _>>()
            .map_err(super::broken)?;
        dictionary.lacks_functions = dictionary.find_lacking().map_err(super::broken)?;
        Ok(dictionary)
    }

    pub(super) fn string(&self, index: u64) -> Result<&'a [u8], Fault> {
        at(&self.strings, index, "string_table")
    }

    pub(super) fn text(&self, index: u64) -> Result<Cow<'a, str>, Fault> {
        self.string(index).map(String::from_utf8_lossy)
    }

    pub(super) fn attribute(&self, index: u64) -> Result<Attribute<'a>, Fault> {
        at(&self.attributes, index, "attribute_table")
    }

    pub(super) fn lacks_functions(&self, mapping: u64) -> bool {
        at(&self.lacks_functions, mapping, "").unwrap_or(false)
    }

    pub(super) fn location(&self, index: u64) -> Result<Location, Fault> {
        let entry = at(&self.locations, index, "location_table")?;
        location(entry).map_err(super::broken)
    }

    fn attribute_entry(&self, entry: &'a [u8], revision: Revision) -> Result<Attribute<'a>, Broken> {
        if !revision.has_stack_table() {
            return self.key_value(entry);
        }
        let mut attribute = Attribute::default();
        for field in Fields::of(entry) {
            match field? {
                (1, key) => attribute.key = self.string(key.number()).unwrap_or_default(),
                (2, Value::Bytes(value)) => attribute.value = self.scalar(value)?,
                _ => {}
            }
        }
        Ok(attribute)
    }

    /// A `KeyValue`, of resources and scopes. Text may stand in the string table.
    pub(super) fn key_value(&self, message: &'a [u8]) -> Result<Attribute<'a>, Broken> {
        let mut attribute = Attribute::default();
        for field in Fields::of(message) {
            match field? {
                (1, Value::Bytes(key)) => attribute.key = key,
                (3, key) if attribute.key.is_empty() => attribute.key = self.string(key.number()).unwrap_or_default(),
                (2, Value::Bytes(value)) => attribute.value = self.scalar(value)?,
                _ => {}
            }
        }
        Ok(attribute)
    }

    /// An `AnyValue`; a list of one element stands for the element.
    fn scalar(&self, message: &'a [u8]) -> Result<Scalar<'a>, Broken> {
        let mut scalar = Scalar::Other;
        for field in Fields::of(message) {
            scalar = match field? {
                (1, Value::Bytes(text)) => Scalar::Text(text),
                (3, Value::Varint(number)) => Scalar::Int(number as i64),
                (5, Value::Bytes(list)) => self.only_element(list)?,
                (8, index) => self.string(index.number()).map_or(Scalar::Other, Scalar::Text),
                (2 | 4 | 6 | 7, _) => Scalar::Other,
                _ => scalar,
            };
        }
        Ok(scalar)
    }

    fn only_element(&self, list: &'a [u8]) -> Result<Scalar<'a>, Broken> {
        let mut elements = Fields::of(list).filter(|f| !matches!(f, Ok((2.., _))));
        let (first, second) = (elements.next().transpose()?, elements.next());
        let (Some((1, Value::Bytes(element))), None) = (first, second) else { return Ok(Scalar::Other) };
        let mut scalar = Scalar::Other;
        for field in Fields::of(element) {
            scalar = match field? {
                (1, Value::Bytes(text)) => Scalar::Text(text),
                (3, Value::Varint(number)) => Scalar::Int(number as i64),
                (8, index) => self.string(index.number()).map_or(Scalar::Other, Scalar::Text),
                _ => Scalar::Other,
            };
        }
        Ok(scalar)
    }

    fn find_lacking(&self) -> Result<Vec<bool>, Broken> {
        let mut lacking = vec![false; self.mappings.len()];
        for entry in &self.locations {
            let (mut mapping, mut has_lines) = (0, false);
            for field in Fields::of(entry) {
                match field? {
                    (1, index) => mapping = index.number(),
                    (3, _) => has_lines = true,
                    _ => {}
                }
            }
            if let (false, Some(lacks)) = (has_lines, usize::try_from(mapping).ok().and_then(|m| lacking.get_mut(m))) {
                *lacks = true;
            }
        }
        Ok(lacking)
    }
}

/// The fault of a list with more entries than are believed.
pub(super) fn too_long(what: &str, max: usize) -> Fault {
    Fault::of(FaultId::OtlpMalformed, format!("OTLP: {what} has more than {max} entries: send less at a time"))
}

enum Table {
    Mappings,
    Locations,
    Functions,
    Links,
    Strings,
    Attributes,
    Stacks,
}

fn table(field: u32, revision: Revision) -> Option<Table> {
    // The order has never changed, only where it starts and what stands between.
    let position = match (revision, field) {
        (Revision::V1_5, 3 | 4) => field - 2,
        (Revision::V1_5, 6) => 3,
        (Revision::V1_5, 9 | 10) => field - 5,
        (Revision::V1_5, 7) => 6,
        (Revision::V1_5, _) => return None,
        (Revision::V1_6, _) => field.checked_sub(1)?,
        _ => field,
    };
    Some(match position {
        1 => Table::Mappings,
        2 => Table::Locations,
        3 => Table::Functions,
        4 => Table::Links,
        5 => Table::Strings,
        6 => Table::Attributes,
        7 if revision.has_stack_table() => Table::Stacks,
        _ => return None,
    })
}

fn location(entry: &[u8]) -> Result<Location, Broken> {
    let mut location = Location::default();
    for field in Fields::of(entry) {
        match field? {
            (1, index) => location.mapping = index.number(),
            (2, address) => location.address = address.number(),
            (3, Value::Bytes(line)) => {
                let (mut function, mut number) = (0, 0);
                for field in Fields::of(line) {
                    match field? {
                        (1, index) => function = index.number(),
                        (2, line) => number = line.number() as i64,
                        _ => {}
                    }
                }
                location.lines.push((function, number));
            }
            (4, Value::Varint(is_folded)) => location.is_folded = is_folded != 0,
            _ => {}
        }
    }
    Ok(location)
}

/// The entry of a table.
pub(super) fn at<T: Copy>(table: &[T], index: u64, name: &str) -> Result<T, Fault> {
    usize::try_from(index).ok().and_then(|at| table.get(at)).copied().ok_or_else(|| {
        Fault::of(
            FaultId::OtlpMalformed,
            format!("OTLP: index {index} is used, but {name} of the dictionary has {} entries", table.len()),
        )
    })
}
