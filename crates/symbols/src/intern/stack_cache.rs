//! A bounded cache from a whole stack to its id: one look instead of one hash probe a frame.

use crate::tables::{ROOT, StackTree};

/// The most stacks kept. A kept stack takes 8 bytes.
pub const MAX_CACHED_STACKS: usize = 64 << 10;
const FIRST_SLOTS: usize = 64;

/// Two-way: a stack lies in the slot of its hash or in the neighbour. Exact, since every hit is compared frame by frame.
#[derive(Debug, Default)]
pub(super) struct StackCache {
    /// (hash, stack id); a power of two, or empty. [`ROOT`] is a free slot: the empty stack needs no cache.
    slots: Vec<(u32, u32)>,
    used: usize,
}

/// Depends on the order of the locations. Who forces collisions gets slow appends, not wrong ones.
pub(super) fn hash_of(locations: &[u32]) -> u32 {
    let mut h = locations.len() as u64;
    for &location in locations {
        h = (h.rotate_left(23) ^ u64::from(location)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    (h >> 32) as u32
}

impl StackCache {
    /// The id of the stack with these locations, leaf first.
    pub(super) fn get(&self, hash: u32, locations: &[u32], tree: &StackTree) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let at = self.place(hash);
        [at, at ^ 1].into_iter().map(|i| self.slots[i]).find_map(|(kept, stack)| {
            (kept == hash && stack != ROOT && is_stack(tree, stack, locations)).then_some(stack)
        })
    }

    pub(super) fn put(&mut self, hash: u32, stack: u32) {
        if self.used * 2 >= self.slots.len() && self.slots.len() < MAX_CACHED_STACKS {
            let larger = vec![(0, ROOT); (self.slots.len() * 2).max(FIRST_SLOTS)];
            self.used = 0;
            for (hash, stack) in std::mem::replace(&mut self.slots, larger) {
                if stack != ROOT {
                    self.keep(hash, stack);
                }
            }
        }
        self.keep(hash, stack);
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<(u32, u32)>()
    }

    fn place(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    /// The older of the two neighbours goes.
    fn keep(&mut self, hash: u32, stack: u32) {
        let at = self.place(hash);
        let older = self.slots[at];
        if older.1 != ROOT {
            let aside = &mut self.slots[at ^ 1];
            self.used += usize::from(aside.1 == ROOT);
            *aside = older;
        } else {
            self.used += 1;
        }
        self.slots[at] = (hash, stack);
    }
}

fn is_stack(tree: &StackTree, stack: u32, locations: &[u32]) -> bool {
    let mut node = stack as usize;
    for &location in locations {
        // No location has the root's id, so a stack that is too short ends here.
        if tree.location[node] != location {
            return false;
        }
        node = tree.parent[node] as usize;
    }
    node == ROOT as usize
}
