//! Ranges of one file of a block, with their checksums tried.

use std::ops::Range;

use bytes::{Buf, Bytes};
use flamestore_model::Fault;
use flamestore_objstore::Bucket;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::meta::File;
use crate::refusal::corrupt;

/// Fetches the pieces that cover `wanted`. Their checksums are still to be tried: see [`Fetched::check`].
pub(crate) async fn fetch(bucket: &Bucket, key: String, file: &File, wanted: &[Range<u64>]) -> Result<Fetched, Fault> {
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
        return Err(corrupt(&key, "its footer points behind its end"));
    }
    let ranges: Vec<Range<u64>> = merged.iter().map(|r| r.start * piece..(r.end * piece).min(file.size)).collect();
    let bytes = bucket.get_ranges(&key, &ranges).await?;
    let crcs = merged.iter().map(|r| file.piece_crc32c[r.start as usize..r.end as usize].to_vec()).collect();
    let parts = ranges.into_iter().map(|r| r.start).zip(bytes).collect();
    Ok(Fetched { sparse: Sparse { key, size: file.size, parts }, piece, crcs })
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
