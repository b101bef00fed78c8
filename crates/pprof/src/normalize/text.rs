//! Strings of a profile under repair: reading them and adding new ones.

use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use crate::profile::StrRef;

pub(super) fn range(s: StrRef) -> Range<usize> {
    s.offset as usize..s.offset as usize + s.len as usize
}

pub(super) fn bytes(text: &[u8], s: StrRef) -> &[u8] {
    text.get(range(s)).unwrap_or_default()
}

/// Makes a string of what was appended to `text` since it had `start` bytes. `None`, and off again, when offsets would
/// not fit into 32 bits.
pub(super) fn appended(text: &mut Vec<u8>, start: usize) -> Option<StrRef> {
    if text.len() > u32::MAX as usize {
        text.truncate(start);
        return None;
    }
    Some(StrRef { offset: start as u32, len: (text.len() - start) as u32 })
}

/// A set of strings by their text. Hashes whole strings: ask it once for each [`StrRef`], not for each use of one, or
/// a file with one long string and many uses costs its square.
#[derive(Default)]
pub(super) struct Texts {
    hasher: RandomState,
    set: HashTable<StrRef>,
}

impl Texts {
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// The member with the text of `s`.
    pub(super) fn find(&self, text: &[u8], s: StrRef) -> Option<StrRef> {
        let wanted = bytes(text, s);
        self.set.find(self.hasher.hash_one(wanted), |member| bytes(text, *member) == wanted).copied()
    }

    /// The member with the text of `s`, which is `s` itself when there was none.
    pub(super) fn intern(&mut self, text: &[u8], s: StrRef) -> StrRef {
        let (hasher, wanted) = (&self.hasher, bytes(text, s));
        let same = |member: &StrRef| bytes(text, *member) == wanted;
        let rehash = |member: &StrRef| hasher.hash_one(bytes(text, *member));
        *self.set.entry(hasher.hash_one(wanted), same, rehash).or_insert(s).get()
    }
}
