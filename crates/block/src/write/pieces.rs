//! Checksums of a file, piece by piece.

use crate::meta::File;
use crate::write::table::Encoded;

/// The usual piece: what a reader must fetch at least.
pub(crate) const MIN_PIECE_BYTES: u64 = 64 << 10;
/// Pieces grow with the file, so that large files do not swell `meta.json`, but no further than this.
pub(crate) const MAX_PIECE_BYTES: u64 = 256 << 10;
/// From this size on a file has larger pieces.
const LARGE_FILE_BYTES: u64 = 64 << 20;

pub(crate) fn describe(path: &str, encoded: &Encoded) -> File {
    let size = encoded.bytes.len() as u64;
    let piece_bytes = if size < LARGE_FILE_BYTES { MIN_PIECE_BYTES } else { MAX_PIECE_BYTES };
    let piece_crc32c: Vec<u32> = encoded.bytes.chunks(piece_bytes as usize).map(crc32c::crc32c).collect();
    let crc32c = piece_crc32c
        .iter()
        .zip(encoded.bytes.chunks(piece_bytes as usize))
        .fold(0, |all, (crc, piece)| crc32c::crc32c_combine(all, *crc, piece.len()));
    File { path: path.to_owned(), size, crc32c, tail_bytes: encoded.tail_bytes, piece_bytes, piece_crc32c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_make_up_the_whole() {
        let bytes: Vec<u8> = (0..200_000u32).map(|i| (i * 7) as u8).collect();
        let encoded = Encoded { bytes: bytes.clone().into(), tail_bytes: 9 };
        let file = describe("x", &encoded);
        assert_eq!((file.size, file.tail_bytes, file.piece_crc32c.len()), (200_000, 9, 4));
        assert_eq!(file.crc32c, crc32c::crc32c(&bytes));
    }
}
