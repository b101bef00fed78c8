//! Sources by what they have next.

/// The source whose next row comes first. Who compares is told with each call, since rows change behind our back.
pub(crate) struct Heap(Vec<u32>);

impl Heap {
    /// `before(a, b)`: whether the row of source `a` comes before that of `b`. The same for all calls until rows change.
    pub(crate) fn of(sources: impl Iterator<Item = u32>, before: impl Fn(u32, u32) -> bool) -> Self {
        let mut heap = Heap(sources.collect());
        (0..heap.0.len() / 2).rev().for_each(|i| heap.sink(i, &before));
        heap
    }

    pub(crate) fn first(&self) -> Option<u32> {
        self.0.first().copied()
    }

    /// The first source has another row now; `there`: false when it has none any more.
    pub(crate) fn moved(&mut self, there: bool, before: impl Fn(u32, u32) -> bool) {
        if !there && !self.0.is_empty() {
            self.0.swap_remove(0);
        }
        self.sink(0, &before);
    }

    /// Takes the first source out.
    pub(crate) fn pop(&mut self, before: impl Fn(u32, u32) -> bool) {
        self.moved(false, before);
    }

    /// Puts a source in.
    pub(crate) fn push(&mut self, source: u32, before: impl Fn(u32, u32) -> bool) {
        let mut at = self.0.len();
        self.0.push(source);
        while at > 0 && before(source, self.0[(at - 1) / 2]) {
            self.0.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn sink(&mut self, mut at: usize, before: &impl Fn(u32, u32) -> bool) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let mut least = at;
            for child in [left, right] {
                if child < self.0.len() && before(self.0[child], self.0[least]) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.0.swap(at, least);
            at = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sorted_lists_come_out_sorted(mut lists: Vec<Vec<u8>>) {
            lists.iter_mut().for_each(|list| list.sort_unstable());
            let mut expected = lists.concat();
            expected.sort_unstable();
            let mut at = vec![0; lists.len()];
            let some = (0..lists.len() as u32).filter(|i| !lists[*i as usize].is_empty());
            let key = |at: &[usize], i: u32| lists[i as usize][at[i as usize]];
            let mut heap = Heap::of(some, |a, b| key(&at, a) < key(&at, b));
            let mut found = Vec::new();
            while let Some(i) = heap.first() {
                found.push(key(&at, i));
                at[i as usize] += 1;
                let there = at[i as usize] < lists[i as usize].len();
                if there && at[i as usize] % 2 == 0 {
                    // As `moved`, in two steps: out while it has its old row.
                    at[i as usize] -= 1;
                    heap.pop(|a, b| key(&at, a) < key(&at, b));
                    at[i as usize] += 1;
                    heap.push(i, |a, b| key(&at, a) < key(&at, b));
                } else {
                    heap.moved(there, |a, b| key(&at, a) < key(&at, b));
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
