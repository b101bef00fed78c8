//! A merged profile as a file, `profile.pb.gz`, that is made while it is sent.

use std::io::{self, Write};

use axum::body::{Body, Bytes};
use flamestore_flamegraph::{Pieces, ProfileMerge};
use flamestore_model::Fault;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;

use crate::frontend::{Asker, Frontend};
use crate::stacktraces::MergeRequest;

/// A piece of the body has about this many bytes; the last may have fewer.
pub const PIECE_BYTES: usize = 64 << 10;

impl Frontend {
    /// The merged profile of a selection as a body in pieces. Beside the merge itself, no more than a piece or two is in
    /// memory at a time: each is made when the one before it has been sent, so a slow reader is waited for.
    pub async fn export(&self, asker: &Asker, request: MergeRequest) -> Result<Body, Fault> {
        let (profile, meta) = self.merged_profile(asker, &request).await?;
        let file = File::new(profile.into_pieces(meta));
        Ok(Body::from_stream(stream::unfold(file, |mut file| async move {
            let piece = file.next_piece().transpose()?;
            Some((piece, file))
        })))
    }
}

struct File {
    pieces: Pieces<ProfileMerge>,
    /// `None`: all has been handed out.
    gzip: Option<GzEncoder<Vec<u8>>>,
}

impl File {
    fn new(pieces: Pieces<ProfileMerge>) -> Self {
        // The fastest level: it is the server's time, and names repeat so much that it hardly matters for the size.
        File { pieces, gzip: Some(GzEncoder::new(Vec::new(), Compression::fast())) }
    }

    fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        let Some(gzip) = &mut self.gzip else { return Ok(None) };
        while gzip.get_ref().len() < PIECE_BYTES {
            match self.pieces.next() {
                Some(piece) => gzip.write_all(&piece)?,
                None => {
                    let last = self.gzip.take().map(GzEncoder::finish).transpose()?;
                    return Ok(last.map(Bytes::from));
                }
            }
        }
        Ok(Some(std::mem::take(gzip.get_mut()).into()))
    }
}

#[cfg(test)]
mod tests {
    use flamestore_flamegraph::PprofMeta;
    use flamestore_model::StackFilter;
    use flamestore_symbols::{Function, Line, Location, Symbols};

    use super::*;

    /// `n` functions with names that hardly repeat, each a stack of its own.
    fn merged(n: u32) -> ProfileMerge {
        let mut symbols = Symbols::default();
        let mut values = vec![0];
        for i in 0..n {
            let name =
                symbols.strings.push(&format!("{:016x}", (u64::from(i) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            symbols.functions.push(Function { name, system_name: name, filename: 0, start_line: 0 });
            symbols.lines.push(Line { function: i, line: 0 });
            symbols.locations.push(Location {
                mapping: flamestore_symbols::tables::NO_MAPPING,
                address: 0,
                is_folded: false,
                first_line: i,
                end_line: i + 1,
            });
            symbols.stacks.parent.push(0);
            symbols.stacks.location.push(i);
            values.push(1);
        }
        let mut merge = ProfileMerge::default();
        merge.add(&symbols, &values, &StackFilter::default());
        merge
    }

    #[test]
    fn pieces_are_small_however_large_the_file_is() {
        let mut file = File::new(merged(200_000).into_pieces(PprofMeta::default()));
        let (mut largest, mut sum) = (0, 0);
        while let Some(piece) = file.next_piece().unwrap() {
            (largest, sum) = (largest.max(piece.len()), sum + piece.len());
            let held = file.gzip.as_ref().map_or(0, |gzip| gzip.get_ref().capacity());
            assert!(held <= 4 * PIECE_BYTES, "{held} bytes are held back");
        }
        assert!(sum > 20 * largest, "{sum} bytes in all, {largest} in the largest piece");
        assert!(largest <= 3 * PIECE_BYTES, "{largest}");
    }
}
