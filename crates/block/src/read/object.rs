//! Ranges of one file of a block, with their checksums tried.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use flamestore_model::Fault;
use flamestore_objstore::{Account, Immutable};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::meta::File;
use crate::read::Block;
use crate::refusal::corrupt;

impl Block {
    /// The same block for the reads of one query.
    #[must_use]
    pub fn on(&self, account: Arc<Account>) -> Self {
        Block { bucket: self.bucket.on(account), ..self.clone() }
    }

    /// Of the query that this block is read for.
    pub fn account(&self) -> Option<&Account> {
        self.bucket.account()
    }

    /// Fetches the pieces of a file that cover `wanted`. Their checksums are still to be tried: see [`Fetched::check`].
    pub(crate) async fn fetch(&self, key: String, file: &File, wanted: &[Range<u64>]) -> Result<Fetched, Fault> {
        let pieces = pieces(&key, file, wanted)?;
        let piece = file.piece_bytes.max(1);
        let ranges: Vec<Range<u64>> = pieces.iter().map(|r| r.start * piece..(r.end * piece).min(file.size)).collect();
        // On the heap, as in the cache.
        let bytes = match self.cache.disk() {
            Some(disk) => Box::pin(disk.get_ranges(&self.bucket, &immutable(&key, file), &ranges)).await?,
            None => Box::pin(self.bucket.get_ranges(&key, &ranges)).await?,
        };
        let crcs = pieces.iter().map(|r| file.piece_crc32c[r.start as usize..r.end as usize].to_vec()).collect();
        let parts = ranges.into_iter().map(|r| r.start).zip(bytes).collect();
        Ok(Fetched { sparse: Sparse { key, size: file.size, parts }, piece, crcs })
    }
}

/// The numbers of the pieces that cover `wanted`, as ranges that climb and do not touch.
fn pieces(key: &str, file: &File, wanted: &[Range<u64>]) -> Result<Vec<Range<u64>>, Fault> {
    let piece = file.piece_bytes.max(1);
    let mut pieces: Vec<Range<u64>> =
        wanted.iter().filter(|r| r.start < r.end).map(|r| r.start / piece..r.end.div_ceil(piece)).collect();
    pieces.sort_unstable_by_key(|r| r.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for r in pieces {
        match merged.last_mut() {
            Some(last) if r.start <= last.end => last.end = last.end.max(r.end),
            _ => merged.push(r),
        }
    }
    if merged.last().is_some_and(|last| last.end > file.piece_crc32c.len() as u64) {
        return Err(corrupt(key, "its footer points behind its end"));
    }
    Ok(merged)
}

/// The file as a cache of what never changes knows it.
fn immutable(key: &str, file: &File) -> Immutable {
    let (piece, crcs) = (file.piece_bytes.max(1), file.piece_crc32c.clone());
    let sound = move |at: u64, bytes: &[u8]| {
        let first = usize::try_from(at / piece).unwrap_or(usize::MAX);
        let mut known = crcs.iter().skip(first);
        let size = usize::try_from(piece).unwrap_or(usize::MAX);
        bytes.chunks(size).all(|bytes| known.next().is_some_and(|crc| crc32c::crc32c(bytes) == *crc))
    };
    Immutable { key: key.to_owned(), size: file.size, piece_bytes: piece, sound: Arc::new(sound) }
}

/// Bytes as the bucket gave them.
pub(crate) struct Fetched {
    sparse: Sparse,
    piece: u64,
    crcs: Vec<Vec<u32>>,
}

impl Fetched {
    /// Tries every checksum (about 0.1 ms for each MiB).
    pub(crate) fn check(self) -> Result<Sparse, Fault> {
        for ((start, bytes), crcs) in self.sparse.parts.iter().zip(&self.crcs) {
            for (i, (piece, crc)) in bytes.chunks(self.piece as usize).zip(crcs).enumerate() {
                if crc32c::crc32c(piece) != *crc {
                    let at = start + i as u64 * self.piece;
                    let end = at + piece.len() as u64;
                    return Err(corrupt(
                        &self.sparse.key,
                        format_args!("the checksum of bytes {at} to {end} is wrong"),
                    ));
                }
            }
        }
        Ok(self.sparse)
    }
}

/// Parts of a file that are at hand; the Parquet library reads from it as if it were the file.
#[derive(Debug, Clone)]
pub(crate) struct Sparse {
    pub(crate) key: String,
    size: u64,
    /// Sorted, disjoint: (start, bytes).
    parts: Vec<(u64, Bytes)>,
}

impl Sparse {
    fn from(&self, start: u64) -> parquet::errors::Result<Bytes> {
        let at = self.parts.partition_point(|(s, _)| *s <= start).checked_sub(1);
        let found = at.and_then(|at| self.parts.get(at)).and_then(|(s, bytes)| {
            let skip = usize::try_from(start - s).ok()?;
            (skip <= bytes.len()).then(|| bytes.slice(skip..))
        });
        found.ok_or_else(|| ParquetError::General(format!("byte {start} was not fetched")))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

impl Length for Sparse {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Sparse {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::General(format!("bytes {start} to {} were not fetched", start + length as u64)));
        }
        Ok(bytes.slice(..length))
    }
}
