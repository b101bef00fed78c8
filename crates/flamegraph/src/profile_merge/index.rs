//! Finds rows of the merged tables by what they hold.

use std::hash::{BuildHasher, Hash, Hasher};

use flamestore_symbols::{Function, Line, Location, Mapping};
use foldhash::fast::RandomState;
use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};

use crate::profile_merge::tables::Tables;

/// Mapped sizes that differ by less are equal: the last page may be counted or not.
const PAGE: u64 = 0x1000;

/// What makes two mappings the same code: all but where it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MapKey {
    size: u64,
    file_offset: u64,
    filename: u32,
    build_id: u32,
    flags: u8,
}

impl MapKey {
    pub(crate) fn of(row: &Mapping) -> Self {
        let size = row.memory_limit.wrapping_sub(row.memory_start);
        MapKey {
            size: size.checked_next_multiple_of(PAGE).unwrap_or(size),
            file_offset: row.file_offset,
            filename: row.filename,
            build_id: row.build_id,
            flags: row.flags,
        }
    }
}

/// Row ids by content.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    strings: HashTable<u32>,
    functions: HashMap<Function, u32, RandomState>,
    mappings: HashMap<MapKey, u32, RandomState>,
    locations: HashTable<u32>,
    stacks: HashTable<u32>,
    hasher: RandomState,
}

impl Index {
    /// An index of what the tables hold. Rows that are equal but were copied from one source stay apart; the last is
    /// found.
    pub(crate) fn of(tables: &Tables) -> Self {
        let mut index = Index::default();
        let Index { strings, functions, mappings, locations, stacks, hasher } = &mut index;
        for id in 1..tables.strings.len() as u32 {
            let hash = |id: &u32| hasher.hash_one(tables.strings.get(*id));
            strings.insert_unique(hash(&id), id, hash);
        }
        functions.extend(tables.functions.iter().zip(0..).map(|(row, id)| (*row, id)));
        mappings.extend(tables.mappings.iter().zip(0..).map(|(row, id)| (MapKey::of(row), id)));
        for id in 0..tables.locations.len() as u32 {
            let hash = |id: &u32| location_hash(hasher, &tables.locations[*id as usize], tables.lines_of(*id));
            locations.insert_unique(hash(&id), id, hash);
        }
        for id in 1..tables.parent.len() as u32 {
            let hash = |id: &u32| hasher.hash_one(stack_key(tables, *id));
            stacks.insert_unique(hash(&id), id, hash);
        }
        index
    }

    pub(crate) fn string(&mut self, tables: &mut Tables, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let Index { strings, hasher, .. } = self;
        let known = |id: &u32| tables.strings.get(*id);
        match strings.entry(hasher.hash_one(text), |id| known(id) == text, |id| hasher.hash_one(known(id))) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                let id = tables.strings.push(text);
                place.insert(id);
                id
            }
        }
    }

    pub(crate) fn function(&mut self, tables: &mut Tables, row: Function) -> u32 {
        *self.functions.entry(row).or_insert_with(|| tables.push_function(row))
    }

    pub(crate) fn mapping(&mut self, tables: &mut Tables, row: Mapping) -> u32 {
        *self.mappings.entry(MapKey::of(&row)).or_insert_with(|| tables.push_mapping(row))
    }

    /// `row.first_line..` are the last lines of the tables; they are taken back when the location is known.
    pub(crate) fn location(&mut self, tables: &mut Tables, row: Location) -> u32 {
        let Index { locations, hasher, .. } = self;
        let first = row.first_line as usize;
        let hash = location_hash(hasher, &row, &tables.lines[first..]);
        let same = |id: &u32| {
            let known = &tables.locations[*id as usize];
            (known.mapping, known.address, known.is_folded) == (row.mapping, row.address, row.is_folded)
                && tables.lines_of(*id) == &tables.lines[first..]
        };
        if let Some(id) = locations.find(hash, same) {
            let id = *id;
            tables.lines.truncate(first);
            return id;
        }
        let id = tables.push_location(row);
        locations
            .insert_unique(hash, id, |id| location_hash(hasher, &tables.locations[*id as usize], tables.lines_of(*id)));
        id
    }

    pub(crate) fn stack(&mut self, tables: &mut Tables, parent: u32, location: u32) -> u32 {
        let Index { stacks, hasher, .. } = self;
        let wanted = pair(parent, location);
        match stacks.entry(
            hasher.hash_one(wanted),
            |id| stack_key(tables, *id) == wanted,
            |id| hasher.hash_one(stack_key(tables, *id)),
        ) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                let id = tables.parent.len() as u32;
                place.insert(id);
                tables.push_stack(parent, location)
            }
        }
    }
}

fn pair(parent: u32, location: u32) -> u64 {
    u64::from(parent) << 32 | u64::from(location)
}

fn stack_key(tables: &Tables, id: u32) -> u64 {
    pair(tables.parent[id as usize], tables.location[id as usize])
}

fn location_hash(hasher: &RandomState, row: &Location, lines: &[Line]) -> u64 {
    let mut h = hasher.build_hasher();
    (row.mapping, row.address, row.is_folded).hash(&mut h);
    lines.hash(&mut h);
    h.finish()
}
