//! The types of a chunk, and reading values by them.
//!
//! The metadata event holds a table of strings and a tree of elements, each a name, attributes and children, all as
//! indexes of strings. `class` elements have an `id` and a `name`; their `field` children a `name`, the id of a `class`,
//! and may say `constantPool="true"` or `dimension="1"`.

use std::borrow::Cow;

use hashbrown::HashMap;

use crate::jfr::chunk::{Broken, Chunk};
use crate::jfr::cursor::{Cursor, Text};

/// Deepest nesting of metadata elements, and of values inside values.
pub(super) const MAX_DEPTH: u32 = 32;
/// Most strings, classes and fields of a chunk's metadata; the JDK has a few thousand of each.
const MAX_STRINGS: usize = 1 << 17;
const MAX_CLASSES: usize = 1 << 15;
const MAX_FIELDS: usize = 1 << 17;
/// Deepest stack. Profilers stop at 2048 frames.
const MAX_FRAMES: usize = 1 << 16;
/// A class with a longer name is none that anything is made of.
const MAX_NAME_BYTES: usize = 256;
const METADATA_EVENT: i64 = 0;

/// The fields that anything is made of; all others are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Slot {
    StackTrace,
    State,
    Duration,
    TlabSize,
    AllocationSize,
    Weight,
    Size,
    Samples,
    SamplingPeriod,
    Failed,
    LostSamples,
    ContextId,
    SpanId,
    SpanName,
    TraceIdHi,
    TraceIdLo,
    Method,
    LineNumber,
    Type,
    Name,
    Value,
    Text,
    Frames,
}

const SLOTS: usize = Slot::Frames as usize + 1;

fn slot(name: &str) -> Option<Slot> {
    Some(match name {
        "stackTrace" => Slot::StackTrace,
        "state" => Slot::State,
        "duration" => Slot::Duration,
        "tlabSize" => Slot::TlabSize,
        "allocationSize" => Slot::AllocationSize,
        "weight" => Slot::Weight,
        "size" => Slot::Size,
        "samples" => Slot::Samples,
        "samplingPeriod" => Slot::SamplingPeriod,
        "failed" => Slot::Failed,
        "lostSamples" => Slot::LostSamples,
        "contextId" => Slot::ContextId,
        "spanId" => Slot::SpanId,
        "spanName" => Slot::SpanName,
        "traceIdHi" => Slot::TraceIdHi,
        "traceIdLo" => Slot::TraceIdLo,
        "method" => Slot::Method,
        "lineNumber" => Slot::LineNumber,
        "type" => Slot::Type,
        "name" => Slot::Name,
        "value" => Slot::Value,
        "string" => Slot::Text,
        "frames" => Slot::Frames,
        _ => return None,
    })
}

/// The slots of one event or pool entry.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    numbers: [i64; SLOTS],
    /// Of `name`, `value` and `string`, where they are texts.
    texts: [Text<'a>; 3],
    /// Method key and line of each frame, leaf first.
    pub(super) frames: Vec<(i64, i64)>,
}

impl<'a> Record<'a> {
    pub(super) fn number(&self, slot: Slot) -> i64 {
        self.numbers.get(slot as usize).copied().unwrap_or_default()
    }

    pub(super) fn text(&mut self, slot: Slot) -> Text<'a> {
        self.texts.get_mut(text_index(slot)).map(std::mem::take).unwrap_or_default()
    }

    fn clear(&mut self) {
        self.numbers = [0; SLOTS];
        self.texts = Default::default();
        self.frames.clear();
    }
}

/// Slots without a text share an index that nothing is kept at.
fn text_index(slot: Slot) -> usize {
    match slot {
        Slot::Name => 0,
        Slot::Value => 1,
        Slot::Text => 2,
        _ => usize::MAX,
    }
}

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// boolean, byte.
    Byte,
    /// short, char, int, long, and keys of pools.
    Number,
    Float,
    Double,
    Text,
    /// The fields of a class, by its index.
    Class(usize),
}

#[derive(Debug, Clone, Copy)]
struct Field {
    slot: Option<Slot>,
    kind: Kind,
    is_array: bool,
}

#[derive(Debug)]
struct Class {
    name: Box<str>,
    kind: Option<Kind>,
    fields: Vec<Field>,
}

/// The types of a chunk.
pub(super) struct Types {
    classes: Vec<Class>,
    by_id: HashMap<i64, usize, foldhash::fast::RandomState>,
    /// Values that may still be read. Types may promise more values than bytes; this ends that.
    fuel: u64,
}

impl Types {
    pub(super) fn read(chunk: &Chunk<'_>) -> Result<Self, Broken> {
        let (event, mut cursor) = chunk.event_at(chunk.metadata_at)?;
        if event != METADATA_EVENT {
            return Err(Broken::Because("its metadata is missing"));
        }
        // Start, duration and id.
        (0..3).try_for_each(|_| cursor.number().map(drop))?;
        let count = cursor.count()?;
        if count > MAX_STRINGS {
            return Err(Broken::Because("its metadata has too many strings"));
        }
        let strings = (0..count)
            .map(|_| {
                Ok(match cursor.text()? {
                    Text::Here(text) => text,
                    Text::Null | Text::Pooled(_) => Cow::Borrowed(""),
                })
            })
            .collect::<Result<Vec<_>, Broken>>()?;
        let mut elements = Elements { strings: &strings, classes: Vec::new(), fields: 0 };
        elements.read(&mut cursor, None, 0)?;
        Ok(Types::of(elements.classes, chunk.len() as u64))
    }

    fn of(raw: Vec<RawClass>, bytes: u64) -> Self {
        let by_id: HashMap<i64, usize, foldhash::fast::RandomState> =
            raw.iter().enumerate().map(|(at, class)| (class.id, at)).collect();
        let kinds: Vec<Option<Kind>> = raw.iter().map(|class| primitive(&class.name)).collect();
        let classes = raw
            .into_iter()
            .zip(&kinds)
            .map(|(class, kind)| Class {
                fields: class
                    .fields
                    .iter()
                    .filter_map(|field| {
                        let at = by_id.get(&field.class).copied();
                        let kind = match at {
                            _ if field.is_pooled => Kind::Number,
                            Some(at) => kinds.get(at).copied().flatten().unwrap_or(Kind::Class(at)),
                            None => return None,
                        };
                        Some(Field { slot: field.slot, kind, is_array: field.is_array })
                    })
                    .collect(),
                name: class.name,
                kind: *kind,
            })
            .collect();
        Types { classes, by_id, fuel: 4 * bytes + (1 << 16) }
    }

    /// The name of a type, if there is one of that id; empty when it is none that anything is made of.
    pub(super) fn name(&self, id: i64) -> Option<&str> {
        self.by_id.get(&id).and_then(|at| self.classes.get(*at)).map(|class| &*class.name)
    }

    /// Whether there is a type of this name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.classes.iter().any(|class| &*class.name == name)
    }

    /// Reads a value of a type into `record`.
    pub(super) fn value<'a>(
        &mut self,
        id: i64,
        cursor: &mut Cursor<'a>,
        record: &mut Record<'a>,
    ) -> Result<(), Broken> {
        record.clear();
        let at = *self.by_id.get(&id).ok_or(Broken::Because("it uses a type that its metadata does not have"))?;
        match self.classes.get(at).and_then(|class| class.kind) {
            Some(kind) => self.field(Field { slot: Some(Slot::Text), kind, is_array: false }, cursor, Some(record), 0),
            None => self.fields(at, cursor, Some(record), 0),
        }
    }

    fn fields<'a>(
        &mut self,
        class: usize,
        cursor: &mut Cursor<'a>,
        mut record: Option<&mut Record<'a>>,
        depth: u32,
    ) -> Result<(), Broken> {
        if depth > MAX_DEPTH {
            return Err(Broken::Because("its values are nested too deep"));
        }
        let count = self.classes.get(class).map_or(0, |c| c.fields.len());
        for at in 0..count {
            let Some(field) = self.classes.get(class).and_then(|c| c.fields.get(at)).copied() else { break };
            self.field(field, cursor, record.as_deref_mut(), depth)?;
        }
        Ok(())
    }

    fn field<'a>(
        &mut self,
        field: Field,
        cursor: &mut Cursor<'a>,
        mut record: Option<&mut Record<'a>>,
        depth: u32,
    ) -> Result<(), Broken> {
        self.fuel = self.fuel.checked_sub(1).ok_or(Broken::Because("it has more values than its size allows"))?;
        if field.is_array {
            return self.array(field, cursor, record, depth);
        }
        match field.kind {
            Kind::Byte => set(record, field.slot, i64::from(cursor.byte()?)),
            Kind::Number => set(record, field.slot, cursor.number()?),
            Kind::Float => drop(cursor.take(4)?),
            Kind::Double => drop(cursor.take(8)?),
            Kind::Text => {
                let text = cursor.text()?;
                let index = field.slot.map_or(usize::MAX, text_index);
                if let Some(kept) = record.as_mut().and_then(|r| r.texts.get_mut(index)) {
                    *kept = text;
                }
            }
            // What is inside of other values has no slots of its own, but for frames.
            Kind::Class(class) => self.fields(class, cursor, None, depth + 1)?,
        }
        Ok(())
    }

    fn array<'a>(
        &mut self,
        field: Field,
        cursor: &mut Cursor<'a>,
        mut record: Option<&mut Record<'a>>,
        depth: u32,
    ) -> Result<(), Broken> {
        let count = cursor.count()?;
        let element = Field { is_array: false, slot: None, ..field };
        let mut frame = Record::default();
        for _ in 0..count {
            let left = cursor.left();
            match (field.slot, field.kind, record.as_deref_mut()) {
                (Some(Slot::Frames), Kind::Class(class), Some(record)) => {
                    if record.frames.len() == MAX_FRAMES {
                        return Err(Broken::Because("a stack is deeper than any that profilers record"));
                    }
                    self.fields(class, cursor, Some(&mut frame), depth + 1)?;
                    record.frames.push((frame.number(Slot::Method), frame.number(Slot::LineNumber)));
                }
                _ => self.field(element, cursor, None, depth)?,
            }
            if cursor.left() == left {
                break;
            }
        }
        Ok(())
    }
}

fn set(record: Option<&mut Record<'_>>, slot: Option<Slot>, number: i64) {
    if let Some((record, slot)) = record.zip(slot)
        && let Some(kept) = record.numbers.get_mut(slot as usize)
    {
        *kept = number;
    }
}

fn primitive(name: &str) -> Option<Kind> {
    Some(match name {
        "boolean" | "byte" => Kind::Byte,
        "short" | "char" | "int" | "long" => Kind::Number,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "java.lang.String" => Kind::Text,
        _ => return None,
    })
}

struct RawClass {
    id: i64,
    name: Box<str>,
    fields: Vec<RawField>,
}

struct RawField {
    slot: Option<Slot>,
    class: i64,
    is_pooled: bool,
    is_array: bool,
}

struct Elements<'s, 'a> {
    strings: &'s [Cow<'a, str>],
    classes: Vec<RawClass>,
    /// How many fields the classes have.
    fields: usize,
}

impl<'s> Elements<'s, '_> {
    /// Reads an element and its children; `class` is the index of the one it stands in.
    fn read(&mut self, cursor: &mut Cursor<'_>, class: Option<usize>, depth: u32) -> Result<(), Broken> {
        if depth > MAX_DEPTH {
            return Err(Broken::Because("its metadata is nested too deep"));
        }
        let name = self.string(cursor)?;
        let mut attributes = [""; 5];
        let [id, own_name, class_id, pooled, dimension] = &mut attributes;
        for _ in 0..cursor.count()? {
            let (key, value) = (self.string(cursor)?, self.string(cursor)?);
            match key {
                "id" => *id = value,
                "name" => *own_name = value,
                "class" => *class_id = value,
                "constantPool" => *pooled = value,
                "dimension" => *dimension = value,
                _ => {}
            }
        }
        let number = |text: &str| text.parse().map_err(|_| Broken::Because("an id in its metadata is no number"));
        let mut inside = class;
        match name {
            "class" if self.classes.len() == MAX_CLASSES => {
                return Err(Broken::Because("its metadata has too many classes"));
            }
            "field" if self.fields == MAX_FIELDS => {
                return Err(Broken::Because("its metadata has too many fields"));
            }
            "class" => {
                inside = Some(self.classes.len());
                let name = if own_name.len() > MAX_NAME_BYTES { "" } else { own_name };
                self.classes.push(RawClass { id: number(id)?, name: name.into(), fields: Vec::new() });
            }
            "field" => {
                if let Some(class) = class.and_then(|at| self.classes.get_mut(at)) {
                    self.fields += 1;
                    class.fields.push(RawField {
                        slot: slot(own_name),
                        class: number(class_id)?,
                        is_pooled: *pooled == "true",
                        is_array: !matches!(*dimension, "" | "0"),
                    });
                }
            }
            _ => {}
        }
        for _ in 0..cursor.count()? {
            self.read(cursor, inside, depth + 1)?;
        }
        Ok(())
    }

    fn string(&self, cursor: &mut Cursor<'_>) -> Result<&'s str, Broken> {
        let index = usize::try_from(cursor.number()?).unwrap_or(usize::MAX);
        self.strings.get(index).map(|text| &**text).ok_or(Broken::Because("its metadata points outside of its strings"))
    }
}
