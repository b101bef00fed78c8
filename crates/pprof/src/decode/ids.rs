//! From the ids of a file, any 64-bit numbers, to indexes.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Slots from here on stand for ids that are too large to be slots themselves.
const FIRST_WIDE: u32 = 1 << 31;
/// A table by slot may have this many entries for each object.
const MAX_SPARSENESS: usize = 4;

/// The ids of one kind of object. A reference is a 32-bit slot until all objects are known: the id itself when it is
/// small, as it nearly always is, else a number given to it here.
#[derive(Default)]
pub(super) struct Ids {
    wide: HashMap<u64, u32, RandomState>,
    defined: u32,
    /// Slots of the defined objects; empty as long as their ids are 1, 2, 3, …
    slots: Vec<u32>,
}

impl Ids {
    /// The slot for a reference. At most 2^31 different ids fit into a file, since each takes two bytes.
    #[inline]
    pub(super) fn slot(&mut self, id: u64) -> u32 {
        match u32::try_from(id) {
            Ok(id) if id < FIRST_WIDE => id,
            _ => {
                let next = FIRST_WIDE + self.wide.len() as u32;
                *self.wide.entry(id).or_insert(next)
            }
        }
    }

    /// The next object has this id.
    #[inline]
    pub(super) fn define(&mut self, id: u64) {
        let slot = self.slot(id);
        if self.slots.is_empty() {
            if slot == self.defined + 1 {
                self.defined += 1;
                return;
            }
            self.slots.extend(1..=self.defined);
        }
        self.defined += 1;
        self.slots.push(slot);
    }

    /// Forgets what was defined and defines objects with the ids of `other`'s objects, in their order.
    pub(super) fn define_as(&mut self, other: &Ids) {
        (self.defined, self.slots) = (0, Vec::new());
        let ids_of_wide: HashMap<u32, u64, RandomState> = other.wide.iter().map(|(id, slot)| (*slot, *id)).collect();
        for index in 0..other.defined {
            let slot = other.slots.get(index as usize).copied().unwrap_or(index + 1);
            self.define(ids_of_wide.get(&slot).copied().unwrap_or(u64::from(slot)));
        }
    }

    pub(super) fn lookup(&self) -> Lookup {
        if self.slots.is_empty() {
            return Lookup::Dense(self.defined);
        }
        let highest = self.slots.iter().copied().max().unwrap_or(0) as usize;
        let by_order = self.slots.iter().copied().zip(0u32..);
        if highest / MAX_SPARSENESS <= self.slots.len() {
            let mut table = vec![u32::MAX; highest + 1];
            by_order.for_each(|(slot, index)| table[slot as usize] = index);
            Lookup::Table(table)
        } else {
            Lookup::Map(by_order.collect())
        }
    }
}

/// Which object a slot stands for.
pub(super) enum Lookup {
    /// Slots 1 to n are the objects 0 to n − 1.
    Dense(u32),
    /// By slot; `u32::MAX`: no such object.
    Table(Vec<u32>),
    Map(HashMap<u32, u32, RandomState>),
}

impl Lookup {
    #[inline]
    pub(super) fn index_of(&self, slot: u32) -> Option<u32> {
        match self {
            Lookup::Dense(n) => slot.checked_sub(1).filter(|index| index < n),
            Lookup::Table(table) => table.get(slot as usize).copied().filter(|index| *index != u32::MAX),
            Lookup::Map(map) => map.get(&slot).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indexes(defined: &[u64], wanted: &[u64]) -> Vec<Option<u32>> {
        let mut ids = Ids::default();
        // Half of the references come before the definitions, as in most files.
        let early: Vec<u32> = wanted.iter().map(|id| ids.slot(*id)).collect();
        defined.iter().for_each(|id| ids.define(*id));
        let late: Vec<u32> = wanted.iter().map(|id| ids.slot(*id)).collect();
        assert_eq!(early, late);
        let lookup = ids.lookup();
        early.iter().map(|slot| lookup.index_of(*slot)).collect()
    }

    #[test]
    fn ids_from_one_on_need_no_table() {
        let mut ids = Ids::default();
        (1..=3).for_each(|id| ids.define(id));
        assert!(matches!(ids.lookup(), Lookup::Dense(3)));
        assert_eq!(indexes(&[1, 2, 3], &[0, 1, 3, 4]), [None, Some(0), Some(2), None]);
    }

    #[test]
    fn ids_in_any_order_with_holes_are_found() {
        assert_eq!(indexes(&[3, 1, 7], &[1, 2, 3, 7, 8]), [Some(1), None, Some(0), Some(2), None]);
        assert_eq!(indexes(&[1, 2, 9], &[2, 9]), [Some(1), Some(2)]);
    }

    #[test]
    fn ids_that_are_addresses_are_found() {
        let far = [u64::MAX, 1 << 31, (1 << 31) + 1, 5_000_000, 1 << 40];
        assert_eq!(indexes(&far, &far), (0..5).map(Some).collect::<Vec<_>>());
        assert_eq!(indexes(&far, &[1, 1 << 41, (1 << 31) - 1]), [None, None, None]);
    }

    #[test]
    fn of_two_objects_with_one_id_the_later_is_found() {
        assert_eq!(indexes(&[1, 2, 1], &[1, 2]), [Some(2), Some(1)]);
        assert_eq!(indexes(&[1 << 50, 1 << 50], &[1 << 50]), [Some(1)]);
    }

    #[test]
    fn ids_can_be_taken_from_other_objects() {
        let mut other = Ids::default();
        [4u64, 1 << 60, 2].iter().for_each(|id| other.define(*id));
        let mut ids = Ids::default();
        let slot = ids.slot(1 << 60);
        (0..3).for_each(|_| ids.define(0));
        ids.define_as(&other);
        assert_eq!(ids.lookup().index_of(slot), Some(1));
        assert_eq!(ids.lookup().index_of(2), Some(2));
        assert_eq!(ids.lookup().index_of(0), None);
    }
}
