//! Marks on the rows of a table.

#[derive(Debug, Default)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// None of `rows` is marked.
    pub(crate) fn none(rows: u64) -> Self {
        Bits(vec![0; usize::try_from(rows / 64 + 1).unwrap_or(0)])
    }

    /// Marks a row; rows that there are not are let go.
    pub(crate) fn set(&mut self, row: u32) {
        if let Some(word) = self.0.get_mut(row as usize / 64) {
            *word |= 1 << (row % 64);
        }
    }

    pub(crate) fn get(&self, row: u32) -> bool {
        self.0.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.capacity() * 8
    }
}
