//! Sums by stack of one bucket, in bounded memory.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// The most stacks of a bucket: about 9 MiB. One that has more is not written, nor is any that it is part of.
const MAX_STACKS: usize = 1 << 18;

/// The values of a bucket by stack id, at most `i64::MAX`.
#[derive(Default)]
pub(crate) struct Sums {
    by_stack: HashMap<u32, i64, RandomState>,
    too_many: bool,
    sorted: Vec<(u32, i64)>,
}

impl Sums {
    pub(crate) fn add_one(&mut self, stack: u32, value: i64) {
        if self.too_many {
            return;
        }
        let sum = self.by_stack.entry(stack).or_insert(0);
        *sum = sum.saturating_add(value);
        if self.by_stack.len() > MAX_STACKS {
            self.too_many = true;
            self.by_stack = HashMap::default();
        }
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.by_stack.allocation_size() + self.sorted.capacity() * size_of::<(u32, i64)>()
    }

    /// Adds the sums of a part. `None`: it has too many stacks.
    pub(crate) fn add(&mut self, part: Option<&[(u32, i64)]>) {
        match part {
            Some(part) => part.iter().for_each(|(stack, value)| self.add_one(*stack, *value)),
            None => {
                self.too_many = true;
                self.by_stack = HashMap::default();
            }
        }
    }

    /// The sums by stack id, which start anew. `None`: there are too many stacks.
    pub(crate) fn take(&mut self) -> Option<&[(u32, i64)]> {
        if std::mem::take(&mut self.too_many) {
            return None;
        }
        self.sorted.clear();
        self.sorted.extend(self.by_stack.drain());
        self.sorted.sort_unstable_by_key(|(stack, _)| *stack);
        Some(&self.sorted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_stop_at_the_largest_number_and_start_anew() {
        let mut sums = Sums::default();
        sums.add(Some(&[(7, i64::MAX), (3, 1)]));
        sums.add_one(7, 1);
        assert_eq!(sums.take(), Some(&[(3, 1), (7, i64::MAX)][..]));
        assert_eq!(sums.take(), Some(&[][..]));
    }

    #[test]
    fn a_bucket_with_too_many_stacks_is_none_and_neither_is_what_it_is_part_of() {
        let (mut part, mut whole) = (Sums::default(), Sums::default());
        (0..=MAX_STACKS as u32).for_each(|stack| part.add_one(stack, 1));
        whole.add_one(1, 1);
        whole.add(part.take());
        whole.add(Some(&[(2, 2)]));
        assert_eq!(whole.take(), None);
        whole.add_one(5, 5);
        assert_eq!(whole.take(), Some(&[(5, 5)][..]), "the next one is not touched by it");
    }
}
