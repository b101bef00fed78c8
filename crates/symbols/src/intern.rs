//! Growing the tables: each string, function, mapping, location and stack of the profiles that come in, once.
//!
//! Hot; measured by `benches/append.rs` of `flamestore-head`.

mod index;
mod prints;
mod scratch;
mod stack_cache;

use flamestore_model::Fault;
use flamestore_pprof::{Normalized, Profile};

use crate::tables::{Line, NO_MAPPING, ROOT, Symbols};
pub use index::Bounds;
use index::Index;
use prints::Prints;
use scratch::{Scratch, UNSEEN};
pub use stack_cache::MAX_CACHED_STACKS;
use stack_cache::{StackCache, hash_of};

/// What [`Interner::intern`] writes for a row that was not asked for.
pub const NOT_INTERNED: u32 = u32::MAX;

/// Scratch space above this many bytes is given back after the profile that needed it.
pub const MAX_IDLE_SCRATCH_BYTES: usize = 256 << 10;

/// Owns the growing [`Symbols`] of one dataset. Ids are given in the order of first sight and never change.
#[derive(Debug, Default)]
pub struct Interner {
    index: Index,
    prints: Prints,
    stacks: StackCache,
    scratch: Scratch,
}

impl Interner {
    pub fn new() -> Self {
        Self::default()
    }

    /// With tables bounded below what ids could name.
    pub fn with_bounds(bounds: Bounds) -> Self {
        Interner { index: Index::with_bounds(bounds), ..Self::default() }
    }

    pub fn symbols(&self) -> &Symbols {
        &self.index.symbols
    }

    /// Heap bytes held, tables and indexes; costs a few additions.
    pub fn bytes(&self) -> usize {
        self.index.bytes() + self.prints.bytes() + self.stacks.bytes() + self.scratch.bytes()
    }

    /// Interns the stacks of all rows of all groups. `out[row]` becomes the stack id of `profile.samples[row]`, or
    /// [`NOT_INTERNED`] for a row of no group.
    ///
    /// Fails as `Unavailable` when a table is full. What was interned until then stays; it is unused, but not wrong.
    pub fn intern(&mut self, normalized: &Normalized, out: &mut Vec<u32>) -> Result<(), Fault> {
        let rows = normalized.groups.iter().flat_map(|g| g.rows.iter().copied());
        self.intern_rows(&normalized.profile, rows, out)
    }

    /// As [`Interner::intern`], for chosen rows, so that what is not stored leaves no symbols behind.
    pub fn intern_rows(
        &mut self,
        profile: &Profile,
        rows: impl IntoIterator<Item = u32>,
        out: &mut Vec<u32>,
    ) -> Result<(), Fault> {
        out.clear();
        out.resize(profile.samples.len(), NOT_INTERNED);
        self.scratch.start(profile);
        self.prints.start(profile);
        let mut done = Ok(());
        for row in rows {
            let Some(id) = out.get_mut(row as usize) else {
                done = Err(broken("a row"));
                break;
            };
            match self.stack(profile, row as usize) {
                Ok(stack) => *id = stack,
                Err(fault) => {
                    done = Err(fault);
                    break;
                }
            }
        }
        if self.scratch.bytes() + self.prints.scratch_bytes() > MAX_IDLE_SCRATCH_BYTES {
            self.scratch = Scratch::default();
            self.prints.forget_scratch();
        }
        done
    }

    /// The stack id of one row.
    fn stack(&mut self, profile: &Profile, row: usize) -> Result<u32, Fault> {
        let Interner { index, prints, stacks, scratch } = self;
        let sample = profile.samples.get(row).ok_or_else(|| broken("a row"))?;
        scratch.stack.clear();
        for &local in profile.locations_of(sample) {
            let id = match scratch.locations.get(local as usize) {
                Some(&id) if id != UNSEEN => id,
                _ => {
                    let id = location(index, prints, scratch, profile, local)?;
                    scratch.locations[local as usize] = id;
                    id
                }
            };
            scratch.stack.push(id);
        }
        if scratch.stack.is_empty() {
            return Ok(ROOT);
        }
        let hash = hash_of(&scratch.stack);
        if let Some(known) = stacks.get(hash, &scratch.stack, &index.symbols.stacks) {
            return Ok(known);
        }
        let mut node = ROOT;
        for &location in scratch.stack.iter().rev() {
            node = index.stack_child(node, location)?;
        }
        stacks.put(hash, node);
        Ok(node)
    }
}

/// The id of a location of the profile. Only a new one is taken apart.
fn location(
    index: &mut Index,
    prints: &mut Prints,
    scratch: &mut Scratch,
    profile: &Profile,
    local: u32,
) -> Result<u32, Fault> {
    let l = profile.locations.get(local as usize).ok_or_else(|| broken("a location"))?;
    let lines = profile.lines.get(l.first_line as usize..l.end_line as usize).ok_or_else(|| broken("a line"))?;
    let print = prints.of(profile, l, lines).ok_or_else(|| broken("a function or mapping"))?;
    if let Some(known) = prints.get(print) {
        return Ok(known);
    }
    let mapping = if l.mapping == NO_MAPPING { NO_MAPPING } else { mapping(index, scratch, profile, l.mapping)? };
    scratch.lines.clear();
    for line in lines {
        let function = match scratch.functions.get(line.function as usize) {
            Some(&id) if id != UNSEEN => id,
            _ => {
                let id = function(index, scratch, profile, line.function)?;
                scratch.functions[line.function as usize] = id;
                id
            }
        };
        scratch.lines.push(Line { function, line: line.line });
    }
    let id = index.location(mapping, l.address, l.is_folded, &scratch.lines)?;
    prints.put(print, id);
    Ok(id)
}

fn mapping(index: &mut Index, scratch: &mut Scratch, profile: &Profile, local: u32) -> Result<u32, Fault> {
    let m = profile.mappings.get(local as usize).ok_or_else(|| broken("a mapping"))?;
    let known = scratch.mappings[local as usize];
    if known != UNSEEN {
        return Ok(known);
    }
    let mapping = crate::Mapping {
        memory_start: m.memory_start,
        memory_limit: m.memory_limit,
        file_offset: m.file_offset,
        filename: scratch.strings.id(index, profile, m.filename)?,
        build_id: scratch.strings.id(index, profile, m.build_id)?,
        flags: m.flags,
    };
    let id = index.mapping(mapping)?;
    scratch.mappings[local as usize] = id;
    Ok(id)
}

fn function(index: &mut Index, scratch: &mut Scratch, profile: &Profile, local: u32) -> Result<u32, Fault> {
    let f = profile.functions.get(local as usize).ok_or_else(|| broken("a function"))?;
    let name = scratch.strings.id(index, profile, f.name)?;
    let function = crate::Function {
        name,
        // Most runtimes write the same string twice.
        system_name: if f.system_name == f.name { name } else { scratch.strings.id(index, profile, f.system_name)? },
        filename: scratch.strings.id(index, profile, f.filename)?,
        start_line: f.start_line,
    };
    index.function(function)
}

/// Decoding checks every reference, so this is a bug of whoever made the profile.
#[cold]
fn broken(what: &str) -> Fault {
    Fault::internal(format!("a decoded profile refers to {what} that it does not have"))
}

#[cfg(test)]
mod tests;
