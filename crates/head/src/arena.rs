//! Growing columns that never move: chunks of rising size, each profile in one piece.

/// Entries of the first chunk; every further one is as large as all before it, up to [`MAX_CHUNK`].
const FIRST_CHUNK: usize = 256;
/// Entries of a chunk, unless one profile needs more.
pub(crate) const MAX_CHUNK: usize = 64 << 10;

/// Where a slice begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    chunk: u32,
    offset: u32,
}

/// An append-only column. A slice that was put in stays where it is.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    chunks: Vec<Vec<T>>,
    /// Entries of all chunks together, used or not.
    capacity: usize,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Arena { chunks: Vec::new(), capacity: 0 }
    }
}

impl<T: Copy> Arena<T> {
    /// The caller bounds `rows` by what a `u32` counts.
    pub(crate) fn put(&mut self, rows: impl ExactSizeIterator<Item = T>) -> At {
        let len = rows.len();
        if self.chunks.last().is_none_or(|chunk| chunk.capacity() - chunk.len() < len) {
            let chunk = Vec::with_capacity(self.capacity.clamp(FIRST_CHUNK, MAX_CHUNK).max(len));
            self.capacity += chunk.capacity();
            self.chunks.push(chunk);
        }
        let last = self.chunks.len() - 1;
        let chunk = &mut self.chunks[last];
        let offset = chunk.len() as u32;
        chunk.extend(rows);
        At { chunk: last as u32, offset }
    }

    pub(crate) fn get(&self, at: At, len: u32) -> &[T] {
        &self.chunks[at.chunk as usize][at.offset as usize..][..len as usize]
    }

    pub(crate) fn bytes(&self) -> usize {
        self.capacity * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_keep_their_place_and_capacity_is_counted() {
        let mut arena = Arena::default();
        let slices: Vec<Vec<u32>> = (0..500u32).map(|i| (0..i * 7 % 900).collect()).collect();
        let mut places: Vec<At> = slices.iter().map(|s| arena.put(s.iter().copied())).collect();
        let large: Vec<u32> = (0..MAX_CHUNK as u32 * 2).collect();
        places.push(arena.put(large.iter().copied()));
        for (slice, at) in slices.iter().chain([&large]).zip(places) {
            assert_eq!(arena.get(at, slice.len() as u32), slice);
        }
        let held: usize = arena.chunks.iter().map(|c| c.capacity() * 4).sum();
        assert_eq!(arena.bytes(), held + arena.chunks.capacity() * size_of::<Vec<u32>>());
        let used: usize = slices.iter().chain([&large]).map(|s| s.len() * 4).sum();
        assert!(held < used * 5 / 4, "{held} bytes held for {used}");
    }
}
