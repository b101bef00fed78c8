//! Which byte ranges to read together.

use std::ops::Range;

use bytes::Bytes;

/// Sorted, disjoint ranges that cover all of `wanted`; neighbours at most `gap` bytes apart become one.
pub(crate) fn coalesce(wanted: &[Range<u64>], gap: u64) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = wanted.iter().filter(|r| r.start < r.end).cloned().collect();
    sorted.sort_unstable_by_key(|r| (r.start, r.end));
    let mut out: Vec<Range<u64>> = Vec::new();
    for r in sorted {
        match out.last_mut() {
            Some(last) if r.start <= last.end.saturating_add(gap) => last.end = last.end.max(r.end),
            _ => out.push(r),
        }
    }
    out
}

/// Cuts one wanted range out of what was read for it; `None` when the object was shorter.
pub(crate) fn cut(wanted: &Range<u64>, fetched: &[(u64, Bytes)]) -> Option<Bytes> {
    if wanted.start >= wanted.end {
        return Some(Bytes::new());
    }
    let at = fetched.partition_point(|(start, _)| *start <= wanted.start).checked_sub(1)?;
    let (start, bytes) = fetched.get(at)?;
    let from = usize::try_from(wanted.start - start).ok()?;
    let to = usize::try_from(wanted.end - start).ok()?;
    (to <= bytes.len()).then(|| bytes.slice(from..to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_within_the_gap_become_one_read() {
        assert_eq!(coalesce(&[10..20, 0..5, 21..30, 100..100], 1), [0..5, 10..30]);
        assert_eq!(coalesce(&[0..10, 2..4], 0), vec![0..10]);
    }

    proptest! {
        #[test]
        fn every_wanted_byte_is_cut_from_the_right_place(
            wanted in prop::collection::vec((0u64..200, 0u64..40).prop_map(|(a, n)| a..a + n), 0..10),
            gap in 0u64..30,
        ) {
            let object: Vec<u8> = (0..=255u8).collect();
            let reads = coalesce(&wanted, gap);
            prop_assert!(reads.windows(2).all(|w| w[0].end + gap < w[1].start));
            let fetched: Vec<_> = reads.iter()
                .map(|r| (r.start, Bytes::copy_from_slice(&object[r.start as usize..r.end as usize]))).collect();
            for w in &wanted {
                prop_assert_eq!(cut(w, &fetched).unwrap(), &object[w.start as usize..w.end as usize]);
            }
        }
    }
}
