//! Objects of a file under construction, encoded as they are interned.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::wire::{put_number, put_varint};

/// One kind of object. The id of each is its number, from 1.
#[derive(Default)]
pub(super) struct Table {
    /// Whole fields of the file.
    pub(super) bytes: Vec<u8>,
    /// Where the body of each object, without its id, stands in `bytes`.
    bodies: Vec<(usize, usize)>,
    ids: HashTable<u32>,
    hasher: RandomState,
}

impl Table {
    /// The id of the object with this body. A new one is appended as field `field` of the file, its id behind the body.
    pub(super) fn intern(&mut self, field: u32, body: &[u8]) -> u64 {
        let of = |index: &u32| {
            let (start, end) = self.bodies[*index as usize];
            &self.bytes[start..end]
        };
        let hash = self.hasher.hash_one(body);
        if let Some(index) = self.ids.find(hash, |index| of(index) == body) {
            return u64::from(*index) + 1;
        }
        let index = self.bodies.len() as u32;
        let id = u64::from(index) + 1;
        self.ids.insert_unique(hash, index, |index| self.hasher.hash_one(of(index)));
        put_varint(&mut self.bytes, u64::from(field) << 3 | 2);
        put_varint(&mut self.bytes, (body.len() + 1 + varint_len(id)) as u64);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(body);
        self.bodies.push((start, self.bytes.len()));
        put_number(&mut self.bytes, 1, id);
        id
    }
}

fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}
