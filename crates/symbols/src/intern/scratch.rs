//! What is remembered while one profile is interned: ids of the profile → ids of the tables, each looked up once.

use flamestore_model::Fault;
use flamestore_pprof::Profile;
use flamestore_pprof::profile::StrRef;

use super::index::Index;
use crate::tables::Line;

/// Not looked up yet.
pub(super) const UNSEEN: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) functions: Vec<u32>,
    pub(super) mappings: Vec<u32>,
    pub(super) locations: Vec<u32>,
    pub(super) strings: SeenStrings,
    /// The lines of the location at hand.
    pub(super) lines: Vec<Line>,
    /// The location ids of the stack at hand, leaf first.
    pub(super) stack: Vec<u32>,
}

impl Scratch {
    /// Forgets the last profile.
    pub(super) fn start(&mut self, profile: &Profile) {
        for (column, len) in [
            (&mut self.functions, profile.functions.len()),
            (&mut self.mappings, profile.mappings.len()),
            (&mut self.locations, profile.locations.len()),
        ] {
            column.clear();
            column.resize(len, UNSEEN);
        }
        self.strings.start(profile.functions.len());
    }

    pub(super) fn bytes(&self) -> usize {
        (self.functions.capacity() + self.mappings.capacity() + self.locations.capacity() + self.stack.capacity()) * 4
            + self.lines.capacity() * size_of::<Line>()
            + self.strings.slots.capacity() * size_of::<(StrRef, u32)>()
    }
}

/// A direct-mapped cache by place in the file: a profile names the same file in many functions.
#[derive(Debug, Default)]
pub(super) struct SeenStrings {
    /// A power of two. The empty string is never kept, so `len == 0` is a free slot.
    slots: Vec<(StrRef, u32)>,
}

impl SeenStrings {
    fn start(&mut self, functions: usize) {
        self.slots.clear();
        self.slots.resize((functions * 2).next_power_of_two(), (StrRef::default(), 0));
    }

    pub(super) fn id(&mut self, index: &mut Index, profile: &Profile, text: StrRef) -> Result<u32, Fault> {
        if text.len == 0 {
            return Ok(0);
        }
        // Fibonacci hashing; neighbours in the file come out far apart.
        let hash = text.offset.wrapping_mul(0x9e37_79b1) >> 7;
        let at = hash as usize & (self.slots.len() - 1);
        let slot = &mut self.slots[at];
        if slot.0 == text {
            return Ok(slot.1);
        }
        let id = index.string(profile.bytes_of(text))?;
        *slot = (text, id);
        Ok(id)
    }
}
