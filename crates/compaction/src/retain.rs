//! What goes, and why: a pure function of the list of blocks.

use flamestore_block::{Meta, Ulid};
use flamestore_index::Why;

/// What a tenant may keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Profiles older than this go. `None`: they stay.
    pub older_than_nanos: Option<i64>,
    /// Blocks beyond this many bytes go, the oldest first. `None`: no bound.
    pub max_bytes: Option<u64>,
    /// This many bytes must go because the disk is full, the oldest first.
    pub free_bytes: u64,
}

/// A block that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Going {
    pub ulid: Ulid,
    pub why: Why,
    pub bytes: u64,
    /// Of its last profile.
    pub max_time_nanos: i64,
}

/// The blocks that go now, the oldest first. A block is as old as its last profile: nothing young goes for its old
/// neighbours. Of equals, the smaller id goes first.
pub fn going(blocks: &[Meta], rules: &Rules) -> Vec<Going> {
    let mut by_age: Vec<&Meta> = blocks.iter().collect();
    by_age.sort_by_key(|b| (b.max_time_nanos, b.ulid));
    let mut left: u64 = by_age.iter().map(|b| b.stats.bytes).sum();
    let mut to_free = rules.free_bytes;
    let mut out = Vec::new();
    for block in by_age {
        let bytes = block.stats.bytes;
        let why = if rules.older_than_nanos.is_some_and(|oldest| block.max_time_nanos < oldest) {
            Why::Retention
        } else if rules.max_bytes.is_some_and(|max| left > max) {
            Why::Size
        } else if to_free > 0 {
            Why::Disk
        } else {
            break;
        };
        left -= bytes;
        to_free = to_free.saturating_sub(bytes);
        out.push(Going { ulid: block.ulid, why, bytes, max_time_nanos: block.max_time_nanos });
    }
    out
}

#[cfg(test)]
mod tests {
    use flamestore_block::Origin;
    use flamestore_block::meta::Stats;

    use super::*;

    fn block(id: u128, last: i64, bytes: u64) -> Meta {
        Meta {
            version: 1,
            ulid: Ulid(id),
            tenant: "t".into(),
            min_time_nanos: 0,
            max_time_nanos: last,
            level: 0,
            origin: Origin::default(),
            sources: vec![],
            origins: vec![],
            deletions: vec![],
            stats: Stats { bytes, ..Stats::default() },
            datasets: vec![],
            files: vec![],
        }
    }

    fn ids(blocks: &[Meta], rules: Rules) -> Vec<(u128, Why)> {
        going(blocks, &rules).iter().map(|g| (g.ulid.0, g.why)).collect()
    }

    #[test]
    fn a_block_goes_by_age_only_when_its_last_profile_is_too_old() {
        let blocks = [block(1, 99, 1), block(2, 100, 1), block(3, 500, 1)];
        assert_eq!(ids(&blocks, Rules::default()), []);
        assert_eq!(ids(&blocks, Rules { older_than_nanos: Some(100), ..Rules::default() }), [(1, Why::Retention)]);
    }

    #[test]
    fn the_oldest_go_until_the_rest_fits() {
        let blocks = [block(3, 30, 10), block(1, 10, 10), block(2, 20, 10)];
        let max = |n| Rules { max_bytes: Some(n), ..Rules::default() };
        assert_eq!(ids(&blocks, max(30)), []);
        assert_eq!(ids(&blocks, max(29)), [(1, Why::Size)]);
        assert_eq!(ids(&blocks, max(10)), [(1, Why::Size), (2, Why::Size)]);
        assert_eq!(ids(&blocks, max(0)).len(), 3);
    }

    #[test]
    fn a_full_disk_takes_the_oldest_and_counts_what_goes_anyway() {
        let blocks = [block(1, 10, 10), block(2, 20, 10), block(3, 30, 10)];
        let rules = Rules { older_than_nanos: Some(15), free_bytes: 11, ..Rules::default() };
        assert_eq!(ids(&blocks, rules), [(1, Why::Retention), (2, Why::Disk)]);
    }
}
