//! Locations known by a print of their content, so that one seen before costs one look-up and touches no string.
//!
//! A print is 128 bits of a hash that is seeded anew in each process. Two different locations with one print would be
//! taken for one; with 10⁸ locations the chance of that is below 10⁻²². Nobody outside knows the seed.

use std::hash::{BuildHasher, Hasher};

use flamestore_pprof::profile::{Function, Line, Location, Mapping, StrRef};
use flamestore_pprof::{NO_MAPPING, Profile};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// An odd constant with well-mixed bits, for multiplying (the golden ratio, 128 bits of it).
const MIX: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
/// Not computed yet.
const UNSEEN: u128 = 0;

/// Print → location id, and the prints of parts of the profile at hand.
#[derive(Debug)]
pub(super) struct Prints {
    seed: u64,
    known: HashTable<Known>,
    functions: Vec<u128>,
    mappings: Vec<u128>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// As two halves, to stand closer in the table.
    print: [u64; 2],
    location: u32,
}

impl Default for Prints {
    fn default() -> Self {
        let seed = foldhash::fast::RandomState::default().build_hasher().finish();
        Prints { seed, known: HashTable::new(), functions: Vec::new(), mappings: Vec::new() }
    }
}

impl Prints {
    /// Forgets the last profile.
    pub(super) fn start(&mut self, profile: &Profile) {
        for (column, len) in
            [(&mut self.functions, profile.functions.len()), (&mut self.mappings, profile.mappings.len())]
        {
            column.clear();
            column.resize(len, UNSEEN);
        }
    }

    pub(super) fn get(&self, print: u128) -> Option<u32> {
        let print = halves(print);
        self.known.find(print[0], |k| k.print == print).map(|k| k.location)
    }

    /// Remembers what [`Prints::get`] did not know.
    pub(super) fn put(&mut self, print: u128, location: u32) {
        let print = halves(print);
        self.known.insert_unique(print[0], Known { print, location }, |k| k.print[0]);
    }

    pub(super) fn bytes(&self) -> usize {
        self.known.allocation_size() + self.scratch_bytes()
    }

    pub(super) fn scratch_bytes(&self) -> usize {
        (self.functions.capacity() + self.mappings.capacity()) * size_of::<u128>()
    }

    pub(super) fn forget_scratch(&mut self) {
        (self.functions, self.mappings) = Default::default();
    }

    /// The print of a location; `None` where it refers to something that the profile does not have.
    pub(super) fn of(&mut self, profile: &Profile, location: &Location, lines: &[Line]) -> Option<u128> {
        let mapping = match location.mapping {
            NO_MAPPING => u128::from(NO_MAPPING),
            local => self.mapping(profile, local)?,
        };
        let mut print = mixed(mapping, u128::from(location.address) << 1 | u128::from(location.is_folded));
        for line in lines {
            print = mixed(print, self.function(profile, line.function)?);
            print = mixed(print, u128::from(line.line as u64));
        }
        Some(mixed(print, lines.len() as u128))
    }

    fn function(&mut self, profile: &Profile, local: u32) -> Option<u128> {
        let known = self.functions.get_mut(local as usize)?;
        if *known == UNSEEN {
            let f: &Function = profile.functions.get(local as usize)?;
            let name = text(profile, f.name, self.seed);
            let system_name = if f.system_name == f.name { name } else { text(profile, f.system_name, self.seed) };
            let parts = mixed(mixed(name, system_name), text(profile, f.filename, self.seed));
            *known = mixed(parts, u128::from(f.start_line as u64)).max(UNSEEN + 1);
        }
        Some(*known)
    }

    fn mapping(&mut self, profile: &Profile, local: u32) -> Option<u128> {
        let known = self.mappings.get_mut(local as usize)?;
        if *known == UNSEEN {
            let m: &Mapping = profile.mappings.get(local as usize)?;
            let ends = u128::from(m.memory_start) << 64 | u128::from(m.memory_limit);
            let place = u128::from(m.file_offset) << 8 | u128::from(m.flags);
            let names = mixed(text(profile, m.filename, self.seed), text(profile, m.build_id, self.seed));
            *known = mixed(mixed(names, ends), place).max(UNSEEN + 1);
        }
        Some(*known)
    }
}

fn text(profile: &Profile, text: StrRef, seed: u64) -> u128 {
    xxh3_128_with_seed(profile.bytes_of(text), seed)
}

/// Order counts: `mixed(a, b)` is not `mixed(b, a)`.
fn mixed(state: u128, part: u128) -> u128 {
    let product = (state.rotate_left(61) ^ part).wrapping_mul(MIX);
    product ^ (product >> 67)
}

fn halves(print: u128) -> [u64; 2] {
    [print as u64, (print >> 64) as u64]
}
