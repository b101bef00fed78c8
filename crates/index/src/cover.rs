//! Which blocks count when no index says so.
//!
//! Every flush is one origin, and each block names the origins whose profiles it holds. Blocks that share one hold the
//! same profiles, because a compaction changes none. So any choice of blocks that has every origin once adds up to the
//! same; the largest first gives the fewest blocks.

use std::cmp::Reverse;
use std::collections::HashSet;

use flamestore_block::{Meta, Origin, Ulid};

/// Splits committed blocks into those that count and those whose profiles stand in one of them. The same blocks in any
/// order give the same answer.
pub fn cover(mut metas: Vec<Meta>) -> (Vec<Meta>, Vec<Meta>) {
    // Written again without what was deleted, a block has the origins of the one that it replaces, and must win over it.
    let replaced: HashSet<Ulid> = metas.iter().flat_map(|m| m.sources.iter().copied()).collect();
    metas.sort_by_key(|m| (Reverse(m.origins().len()), replaced.contains(&m.ulid), Reverse(m.ulid)));
    let mut covered: HashSet<Origin> = HashSet::new();
    let (mut live, mut redundant) = (Vec::new(), Vec::new());
    for meta in metas {
        if meta.origins().iter().any(|origin| covered.contains(origin)) {
            redundant.push(meta);
        } else {
            covered.extend(meta.origins().iter().cloned());
            live.push(meta);
        }
    }
    live.sort_by_key(|m| m.ulid);
    (live, redundant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::{compacted, meta};

    fn ids(metas: &[Meta]) -> Vec<u128> {
        metas.iter().map(|m| m.ulid.0).collect()
    }

    #[test]
    fn a_compacted_block_replaces_its_sources_and_only_them() {
        let (a, b, c) = (meta(1, 0), meta(2, 0), meta(3, 0));
        let ab = compacted(10, 1, &[&a, &b]);
        let (live, redundant) = cover(vec![a, ab, c, b]);
        assert_eq!((ids(&live), redundant.len()), (vec![3, 10], 2));
    }

    #[test]
    fn a_block_that_was_written_again_wins_over_itself() {
        let a = meta(5, 0);
        let again = compacted(2, 1, &[&a]);
        assert_eq!(ids(&cover(vec![a.clone(), again.clone()]).0), [2]);
        assert_eq!(ids(&cover(vec![again, a]).0), [2]);
    }

    #[test]
    fn of_two_compactions_of_the_same_source_one_counts_and_nothing_is_missing() {
        let (a, b, c) = (meta(1, 0), meta(2, 0), meta(3, 0));
        let ab = compacted(10, 1, &[&a, &b]);
        let abc = compacted(11, 1, &[&a, &b, &c]);
        let bc = compacted(12, 1, &[&b, &c]);
        // The sources of the larger one may be gone.
        assert_eq!(ids(&cover(vec![ab.clone(), abc]).0), [11]);
        assert_eq!(ids(&cover(vec![a, b, c, ab, bc]).0), [1, 12]);
    }
}
