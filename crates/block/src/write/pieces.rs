//! Checksums of a file, piece by piece, as it is written.

/// The usual piece: what a reader must fetch at least.
pub(crate) const MIN_PIECE_BYTES: u64 = 64 << 10;
/// Pieces grow with the file, so that large files do not swell `meta.json`, but no further than this.
pub(crate) const MAX_PIECE_BYTES: u64 = 256 << 10;
/// From this size on a file has larger pieces.
const LARGE_FILE_BYTES: u64 = 64 << 20;
/// Small pieces that make a large one.
const JOINED: usize = (MAX_PIECE_BYTES / MIN_PIECE_BYTES) as usize;

/// The checksums of what went by.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// Of each whole small piece.
    done: Vec<u32>,
    /// Of the piece that is not whole yet, and its bytes.
    open: (u32, usize),
}

/// What `meta.json` says of a file's bytes.
#[derive(Debug)]
pub(crate) struct Checksums {
    pub(crate) size: u64,
    pub(crate) crc32c: u32,
    pub(crate) piece_bytes: u64,
    pub(crate) piece_crc32c: Vec<u32>,
}

impl Pieces {
    pub(crate) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (crc, have) = self.open;
            let n = bytes.len().min(MIN_PIECE_BYTES as usize - have);
            let (now, rest) = bytes.split_at(n);
            self.open = (crc32c::crc32c_append(crc, now), have + n);
            if self.open.1 as u64 == MIN_PIECE_BYTES {
                self.done.push(self.open.0);
                self.open = (0, 0);
            }
            bytes = rest;
        }
    }

    pub(crate) fn finish(self) -> Checksums {
        let Pieces { done: mut small, open } = self;
        let size = small.len() as u64 * MIN_PIECE_BYTES + open.1 as u64;
        if open.1 > 0 {
            small.push(open.0);
        }
        let len_of = |i: usize| (size - i as u64 * MIN_PIECE_BYTES).min(MIN_PIECE_BYTES) as usize;
        let join =
            |pieces: std::ops::Range<usize>| pieces.fold(0, |all, i| crc32c::crc32c_combine(all, small[i], len_of(i)));
        let crc32c = join(0..small.len());
        if size < LARGE_FILE_BYTES {
            return Checksums { size, crc32c, piece_bytes: MIN_PIECE_BYTES, piece_crc32c: small };
        }
        let starts = (0..small.len()).step_by(JOINED);
        let piece_crc32c = starts.map(|i| join(i..(i + JOINED).min(small.len()))).collect();
        Checksums { size, crc32c, piece_bytes: MAX_PIECE_BYTES, piece_crc32c }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_make_up_the_whole() {
        for size in [0, 1, MIN_PIECE_BYTES, 200_000, LARGE_FILE_BYTES - 1, LARGE_FILE_BYTES, LARGE_FILE_BYTES + 70_000]
        {
            let bytes: Vec<u8> = (0..size as u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 9) as u8).collect();
            let mut pieces = Pieces::default();
            let mut left = &bytes[..];
            for n in [5, 70_000, 1, 300_000].into_iter().cycle() {
                let (now, rest) = left.split_at(n.min(left.len()));
                pieces.add(now);
                left = rest;
                if left.is_empty() {
                    break;
                }
            }
            let sums = pieces.finish();
            assert_eq!((sums.size, sums.crc32c), (size, crc32c::crc32c(&bytes)));
            let piece = if size < LARGE_FILE_BYTES { MIN_PIECE_BYTES } else { MAX_PIECE_BYTES };
            assert_eq!(sums.piece_bytes, piece);
            let expected: Vec<u32> = bytes.chunks(piece as usize).map(crc32c::crc32c).collect();
            assert_eq!(sums.piece_crc32c, expected, "{size} bytes");
        }
    }
}
