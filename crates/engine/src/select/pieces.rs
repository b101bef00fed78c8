//! Which blocks a query takes together: those of a window of time that is over, where it wants all that they have.
//!
//! Windows lie on a grid, so that queries of other ranges, and later ones, take the same blocks together.

use std::ops::Range;

use flamestore_model::TimeRange;

const HOUR_NANOS: i64 = 3_600_000_000_000;
/// Lengths of windows, each four of the next, from 64 days to six hours.
const WINDOWS: [i64; 5] = [1536 * HOUR_NANOS, 384 * HOUR_NANOS, 96 * HOUR_NANOS, 24 * HOUR_NANOS, 6 * HOUR_NANOS];
/// How long after its end the blocks of a window still change: they come late, and compaction replaces them.
const SETTLE_NANOS: i64 = 2 * HOUR_NANOS;

/// Neighbouring blocks that are taken together, by their places in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) blocks: Range<usize>,
    /// What it is made of; nothing for a single block.
    pub(crate) parts: Vec<Piece>,
}

/// Splits a list of blocks, given by their ranges in order of their starts. Those that the query wants nothing of are to be
/// among them: a window that has such a block is none that is wanted wholly.
pub(crate) fn pieces(blocks: &[TimeRange], asked: TimeRange, now_nanos: i64) -> Vec<Piece> {
    split(blocks, 0, &WINDOWS, asked, now_nanos.saturating_sub(SETTLE_NANOS))
}

/// Each block for itself.
pub(crate) fn singles(blocks: Range<usize>) -> Vec<Piece> {
    blocks.map(|i| Piece { blocks: i..i + 1, parts: Vec::new() }).collect()
}

fn split(blocks: &[TimeRange], first: usize, windows: &[i64], asked: TimeRange, settled: i64) -> Vec<Piece> {
    let Some((length, shorter)) = windows.split_first().filter(|_| blocks.len() > 1) else {
        return singles(first..first + blocks.len());
    };
    let window = |block: &TimeRange| block.from_nanos.div_euclid(*length);
    let mut out = Vec::new();
    let mut first = first;
    for members in blocks.chunk_by(|a, b| window(a) == window(b)) {
        let parts = split(members, first, shorter, asked, settled);
        let end = members.first().map_or(i64::MAX, |block| (window(block) + 1).saturating_mul(*length));
        // One part alone is all there is in the window.
        if parts.len() > 1 && end <= settled && members.iter().all(|block| asked.covers(*block)) {
            out.push(Piece { blocks: first..first + members.len(), parts });
        } else {
            out.extend(parts);
        }
        first += members.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(from: i64, to: i64) -> TimeRange {
        TimeRange { from_nanos: from * HOUR_NANOS, to_nanos: to * HOUR_NANOS - 1 }
    }

    fn days(from: i64, to: i64) -> TimeRange {
        hours(24 * from, 24 * to)
    }

    fn ranges(found: &[Piece]) -> Vec<(usize, usize)> {
        found.iter().map(|piece| (piece.blocks.start, piece.blocks.end)).collect()
    }

    #[test]
    fn a_month_of_days_is_a_handful_of_pieces_and_the_days_at_its_ends() {
        let blocks: Vec<TimeRange> = (0..64).map(|day| days(day, day + 1)).collect();
        let found = |from, to| {
            let mut found = pieces(&blocks, days(from, to), 100 * 24 * HOUR_NANOS);
            found.retain(|piece| blocks[piece.blocks.start].overlaps(days(from, to)));
            ranges(&found)
        };
        assert_eq!(found(0, 64), [(0, 64)]);
        assert_eq!(found(2, 32), [(2, 3), (3, 4), (4, 8), (8, 12), (12, 16), (16, 32)]);
        let parts = &pieces(&blocks, days(0, 64), 100 * 24 * HOUR_NANOS)[0].parts;
        assert_eq!(ranges(parts), [(0, 16), (16, 32), (32, 48), (48, 64)]);
    }

    #[test]
    fn a_window_that_may_still_change_is_no_piece_and_neither_is_one_that_is_cut() {
        let blocks: Vec<TimeRange> = (0..12).map(|hour| hours(hour, hour + 1)).collect();
        let found = |asked, now: i64| ranges(&pieces(&blocks, asked, now * HOUR_NANOS)).len();
        assert_eq!(found(hours(0, 12), 26), 1);
        assert_eq!(found(hours(0, 12), 25), 2);
        assert_eq!(found(hours(0, 12), 13), 7);
        assert_eq!(found(hours(0, 12), 7), 12);
        let cut = TimeRange { from_nanos: 1, ..hours(0, 12) };
        assert_eq!(found(cut, 100), 7);
    }

    proptest! {
        #[test]
        fn every_block_is_in_one_piece_and_pieces_are_their_parts(
            starts in prop::collection::vec((0i64..4000, 1i64..40), 0..80),
            (from, to, now) in (0i64..4000, 0i64..4000, 0i64..6000),
        ) {
            let mut blocks: Vec<TimeRange> = starts.iter().map(|(at, long)| hours(*at, at + long)).collect();
            blocks.sort_unstable_by_key(|block| block.from_nanos);
            let asked = hours(from, to.max(from + 1));
            let found = pieces(&blocks, asked, now * HOUR_NANOS);
            let all = Piece { blocks: 0..blocks.len(), parts: found };
            check(&all, &blocks, asked)?;
        }
    }

    fn check(piece: &Piece, blocks: &[TimeRange], asked: TimeRange) -> Result<(), TestCaseError> {
        let mut next = piece.blocks.start;
        for part in &piece.parts {
            prop_assert_eq!(part.blocks.start, next);
            next = part.blocks.end;
            prop_assert!(part.parts.is_empty() == (part.blocks.len() == 1));
            if !part.parts.is_empty() {
                prop_assert!(blocks[part.blocks.clone()].iter().all(|block| asked.covers(*block)));
                check(part, blocks, asked)?;
            }
        }
        prop_assert_eq!(next, piece.blocks.end);
        Ok(())
    }
}
