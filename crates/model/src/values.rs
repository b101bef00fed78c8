//! The values of a profile's samples, borrowed from whoever holds them.

/// Values in the width they are held in: most fit into 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values<'a> {
    Narrow(&'a [u32]),
    Wide(&'a [i64]),
}

impl<'a> Values<'a> {
    pub fn len(&self) -> usize {
        match self {
            Values::Narrow(v) => v.len(),
            Values::Wide(v) => v.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at a place below `len`.
    pub fn at(&self, i: usize) -> i64 {
        match self {
            Values::Narrow(v) => i64::from(v[i]),
            Values::Wide(v) => v[i],
        }
    }

    pub fn iter(self) -> impl ExactSizeIterator<Item = i64> + 'a {
        (0..self.len()).map(move |i| self.at(i))
    }

    /// Calls `f` with the place and value of each, in order. Asks for the width once, where `iter` does so each time.
    pub fn each(&self, mut f: impl FnMut(usize, i64)) {
        match self {
            Values::Narrow(v) => v.iter().enumerate().for_each(|(i, v)| f(i, i64::from(*v))),
            Values::Wide(v) => v.iter().enumerate().for_each(|(i, v)| f(i, *v)),
        }
    }

    /// The sum; what is more than `i64::MAX` is that. Values are never negative, so this holds in any order, and for sums
    /// of sums: it is how values are added up everywhere.
    pub fn total(&self) -> i64 {
        match self {
            // 2^31 of them cannot be too much, and so need no look at each.
            Values::Narrow(v) if v.len() as u64 <= 1 << 31 => v.iter().map(|v| i64::from(*v)).sum(),
            _ => self.iter().fold(0, i64::saturating_add),
        }
    }
}
