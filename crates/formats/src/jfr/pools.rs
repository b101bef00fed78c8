//! The constant pools of a chunk, as far as stacks and states need them.
//!
//! Pools come in events, each pointing back to the one before: start, duration, distance to the previous one (0: there
//! is none), whether it was a flush, and a number of pools, which are a type, a number of entries, and for each its key
//! and value.

use std::borrow::Cow;

use hashbrown::HashMap;

use crate::jfr::chunk::{Broken, Chunk};
use crate::jfr::cursor::Text;
use crate::jfr::metadata::{Record, Slot, Types};

type Pool<T> = HashMap<i64, T, foldhash::fast::RandomState>;

const POOL_EVENT: i64 = 1;

/// What an entry takes, about, and what a frame does.
const ENTRY_BYTES: usize = 48;
const FRAME_BYTES: usize = 16;
/// What the pools of a chunk may take for each of its bytes; recordings need about three.
const MAX_BYTES_PER_BYTE: usize = 8;
/// And what small ones may take.
const MIN_BYTES: usize = 1 << 20;

/// Entries by key.
#[derive(Default)]
pub(super) struct Pools<'a> {
    /// Half-open ranges of `frames`.
    stacks: Pool<(usize, usize)>,
    /// Method key and line, leaf first.
    frames: Vec<(i64, i64)>,
    /// Keys of class and name.
    methods: Pool<(i64, i64)>,
    /// Key of the name.
    classes: Pool<i64>,
    symbols: Pool<Text<'a>>,
    strings: Pool<Text<'a>>,
    states: Pool<Text<'a>>,
    /// What all that takes, about.
    bytes: usize,
}

impl<'a> Pools<'a> {
    pub(super) fn read(chunk: &Chunk<'a>, types: &mut Types) -> Result<Self, Broken> {
        let max_bytes = MIN_BYTES.max(chunk.len().saturating_mul(MAX_BYTES_PER_BYTE));
        let mut pools = Pools::default();
        let mut at = chunk.pools_at;
        let mut record = Record::default();
        loop {
            let (event, mut cursor) = chunk.event_at(at)?;
            if event != POOL_EVENT {
                return Err(Broken::Because("its constant pools are not where it says"));
            }
            let (_start, _duration) = (cursor.number()?, cursor.number()?);
            let distance = cursor.number()?;
            cursor.byte()?;
            for _ in 0..cursor.count()? {
                let id = cursor.number()?;
                let kind = PoolKind::of(types.name(id).unwrap_or_default());
                for _ in 0..cursor.count()? {
                    let key = cursor.number()?;
                    types.value(id, &mut cursor, &mut record)?;
                    pools.keep(kind, key, &mut record);
                    if pools.bytes > max_bytes {
                        return Err(Broken::Because("its constant pools are out of proportion"));
                    }
                }
            }
            if distance == 0 {
                return Ok(pools);
            }
            let before = i64::try_from(at).ok().and_then(|at| at.checked_add(distance));
            // Only ever backwards, so that there is an end.
            at = before
                .and_then(|before| usize::try_from(before).ok())
                .filter(|before| *before < at)
                .ok_or(Broken::Because("its constant pools point to each other in a circle"))?;
        }
    }

    fn keep(&mut self, kind: PoolKind, key: i64, record: &mut Record<'a>) {
        if !matches!(kind, PoolKind::Other) {
            self.bytes += ENTRY_BYTES;
        }
        match kind {
            PoolKind::Stack => {
                self.bytes += FRAME_BYTES * record.frames.len();
                let start = self.frames.len();
                self.frames.append(&mut record.frames);
                self.stacks.insert(key, (start, self.frames.len()));
            }
            PoolKind::Method => {
                self.methods.insert(key, (record.number(Slot::Type), record.number(Slot::Name)));
            }
            PoolKind::Class => {
                self.classes.insert(key, record.number(Slot::Name));
            }
            PoolKind::Symbol => {
                self.symbols.insert(key, record.text(Slot::Text));
            }
            PoolKind::String => {
                self.strings.insert(key, record.text(Slot::Text));
            }
            PoolKind::State => {
                self.states.insert(key, record.text(Slot::Name));
            }
            PoolKind::Other => {}
        }
    }

    /// Method key and line of each frame, leaf first.
    pub(super) fn stack(&self, key: i64) -> &[(i64, i64)] {
        let range = self.stacks.get(&key).copied();
        range.and_then(|(start, end)| self.frames.get(start..end)).unwrap_or_default()
    }

    /// Names of a method's class and of the method; `None` when one of them is not known.
    pub(super) fn method(&self, key: i64) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
        let (class, name) = self.methods.get(&key)?;
        Some((self.symbol(*self.classes.get(class)?)?, self.symbol(*name)?))
    }

    /// The name of a thread state.
    pub(super) fn state(&self, key: i64) -> Cow<'a, str> {
        self.states.get(&key).and_then(|text| self.resolve(text.clone())).unwrap_or_default()
    }

    /// A text of an event.
    pub(super) fn resolve(&self, text: Text<'a>) -> Option<Cow<'a, str>> {
        match text {
            Text::Null => None,
            Text::Here(text) => Some(text),
            Text::Pooled(key) => match self.strings.get(&key)? {
                Text::Here(text) => Some(text.clone()),
                _ => None,
            },
        }
    }

    fn symbol(&self, key: i64) -> Option<Cow<'a, str>> {
        self.resolve(self.symbols.get(&key)?.clone())
    }
}

#[derive(Clone, Copy)]
enum PoolKind {
    Stack,
    Method,
    Class,
    Symbol,
    String,
    State,
    Other,
}

impl PoolKind {
    fn of(name: &str) -> Self {
        match name {
            "jdk.types.StackTrace" => PoolKind::Stack,
            "jdk.types.Method" => PoolKind::Method,
            "java.lang.Class" => PoolKind::Class,
            "jdk.types.Symbol" => PoolKind::Symbol,
            "java.lang.String" => PoolKind::String,
            "jdk.types.ThreadState" => PoolKind::State,
            _ => PoolKind::Other,
        }
    }
}
