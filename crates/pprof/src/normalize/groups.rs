//! Sample labels: text labels make groups, span and trace ids columns, numbers nothing.
//!
//! A label without a text is numeric. `profile_id` is the old name of `span_id`. An id that is not 16 (span) or 32
//! (trace) hexadecimal digits counts as absent. Of labels with the same name the one whose text comes first in the file
//! stays.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};

use super::text::{self, Texts};
use crate::profile::{Profile, SampleLabel, StrRef};

/// Which group each row belongs to.
pub(super) struct Labelled {
    /// By row; empty when no row has labels, and all belong to group 0.
    pub(super) rows: Vec<RowLabels>,
    /// By group, sorted by name.
    pub(super) groups: Vec<Vec<(StrRef, StrRef)>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct RowLabels {
    pub(super) group: u32,
    pub(super) span_id: u64,
    pub(super) trace_id: u128,
}

pub(super) fn by_labels(profile: &Profile) -> Labelled {
    if profile.labels.is_empty() {
        return Labelled { rows: Vec::new(), groups: vec![Vec::new()] };
    }
    let words = Words::of(profile);
    let mut grouping = Grouping::default();
    let rows = profile.samples.iter().map(|s| grouping.place(profile, &words, profile.labels_of(s))).collect();
    Labelled { rows, groups: grouping.groups }
}

/// What a label's key means.
#[derive(Clone, Copy)]
enum Meaning {
    Span,
    Trace,
    /// A series label, with the place of its name among all names in sorted order.
    Name(u32),
}

/// The strings of labels, each text as one [`StrRef`], so that labels are compared without reading them.
struct Words {
    one_for_text: HashMap<StrRef, StrRef, RandomState>,
    keys: HashMap<StrRef, Meaning, RandomState>,
}

impl Words {
    fn of(profile: &Profile) -> Self {
        let mut texts = Texts::default();
        let mut one_for_text = HashMap::default();
        let mut names: Vec<StrRef> = Vec::new();
        let mut keys = HashMap::default();
        for label in profile.labels.iter().filter(|l| l.text.len > 0) {
            for s in [label.key, label.text] {
                one_for_text.entry(s).or_insert_with(|| texts.intern(&profile.text, s));
            }
            let key = one_for_text.get(&label.key).copied().unwrap_or(label.key);
            keys.entry(key).or_insert_with(|| match profile.bytes_of(key) {
                b"span_id" | b"profile_id" => Meaning::Span,
                b"trace_id" => Meaning::Trace,
                _ => {
                    names.push(key);
                    Meaning::Name(0)
                }
            });
        }
        names.sort_unstable_by_key(|name| text::bytes(&profile.text, *name));
        for (place, name) in (0..).zip(names) {
            keys.insert(name, Meaning::Name(place));
        }
        Words { one_for_text, keys }
    }

    fn one(&self, s: StrRef) -> StrRef {
        self.one_for_text.get(&s).copied().unwrap_or(s)
    }
}

#[derive(Default)]
struct Grouping {
    groups: Vec<Vec<(StrRef, StrRef)>>,
    known: HashTable<u32>,
    hasher: RandomState,
    /// Of the row at hand: place of the name, name, text. Kept for its memory.
    named: Vec<(u32, StrRef, StrRef)>,
}

impl Grouping {
    fn place(&mut self, profile: &Profile, words: &Words, labels: &[SampleLabel]) -> RowLabels {
        let mut row = RowLabels::default();
        self.named.clear();
        for label in labels.iter().filter(|l| l.text.len > 0) {
            let (key, value) = (words.one(label.key), words.one(label.text));
            match words.keys.get(&key) {
                Some(Meaning::Span) if row.span_id == 0 => {
                    row.span_id = hex::<16>(profile.bytes_of(value)).map_or(0, |id| id as u64);
                }
                Some(Meaning::Trace) if row.trace_id == 0 => {
                    row.trace_id = hex::<32>(profile.bytes_of(value)).unwrap_or(0);
                }
                Some(Meaning::Name(place)) => self.named.push((*place, key, value)),
                _ => {}
            }
        }
        self.named.sort_unstable_by_key(|(place, _, value)| (*place, value.offset));
        self.named.dedup_by_key(|(place, ..)| *place);
        row.group = self.group_of_named();
        row
    }

    fn group_of_named(&mut self) -> u32 {
        let (hasher, groups) = (&self.hasher, &self.groups);
        let hash =
            |labels: &mut dyn Iterator<Item = (StrRef, StrRef)>| labels.fold(0, |h, pair| hasher.hash_one((h, pair)));
        let wanted = || self.named.iter().map(|(_, name, value)| (*name, *value));
        let hashed: u64 = hash(&mut wanted());
        let same = |group: &u32| groups[*group as usize].iter().copied().eq(wanted());
        if let Some(group) = self.known.find(hashed, same) {
            return *group;
        }
        let group = groups.len() as u32;
        let labels = wanted().collect();
        self.known.insert_unique(hashed, group, |g| hash(&mut groups[*g as usize].iter().copied()));
        self.groups.push(labels);
        group
    }
}

/// The number that exactly `DIGITS` hexadecimal digits mean.
fn hex<const DIGITS: usize>(digits: &[u8]) -> Option<u128> {
    if digits.len() != DIGITS {
        return None;
    }
    digits.iter().try_fold(0, |id: u128, b| Some(id << 4 | u128::from(char::from(*b).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn ids_are_exactly_so_many_hexadecimal_digits() {
        assert_eq!(hex::<16>(b"00000000000000ff"), Some(255));
        assert_eq!(hex::<16>(b"FFFFFFFFFFFFFFFF"), Some(u128::from(u64::MAX)));
        assert_eq!(hex::<32>(b"ffffffffffffffffffffffffffffffff"), Some(u128::MAX));
        for bad in [&b""[..], b"ff", b"000000000000000g", b"+000000000000001", b"00000000000000000"] {
            assert_eq!(hex::<16>(bad), None);
        }
    }
}
