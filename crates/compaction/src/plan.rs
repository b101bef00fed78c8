//! Which blocks become one: a pure function of the list.
//!
//! Time is cut into windows of each range, shortest range first. A block belongs to the window of its first profile. When a
//! window is over, its blocks of lower levels become one block of the range's level; so a profile is rewritten once for each
//! range. A window that is not over is compacted when it has very many blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flamestore_block::ulid::block_id;
use flamestore_block::{Meta, Ulid};

use crate::merge::memory::reader_bytes;

/// Flushed blocks in a window that is not over before they are compacted all the same.
pub const MAX_OPEN_BLOCKS: usize = 12;
/// The most blocks of one job: each is a few open ranges and a table of stacks.
pub const MAX_SOURCES: usize = 128;

/// What an open source holds beside pages: the footers of its files, and small files.
const SOURCE_BYTES: u64 = 256 << 10;

#[derive(Debug, Clone)]
pub struct PlanConfig {
    /// Each a multiple of the one before.
    pub ranges: Vec<Duration>,
    /// How long after a window's end its blocks are expected to have come.
    pub settle: Duration,
    /// What a job may hold in memory: reading its sources takes half of it at most, by [`memory`]; so it decides how many
    /// blocks are merged at a time, and never whether.
    pub max_memory_bytes: u64,
}

/// Blocks that become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Of the block that is made.
    pub level: u32,
    /// By time of the first profile. A single one is written again without what was deleted from it.
    pub sources: Vec<Meta>,
}

impl Job {
    /// The same for everybody who would make the same block of the same blocks.
    pub fn id(&self) -> Ulid {
        let sources: BTreeSet<Ulid> = self.sources.iter().map(|s| s.ulid).collect();
        let start = sources.first().map_or(0, |id| id.unix_ms());
        let sources: Vec<u8> = sources.iter().flat_map(|id| id.0.to_be_bytes()).collect();
        block_id(start, &[b"job", &self.level.to_le_bytes(), &sources])
    }
}

/// Jobs that can run now, each block in one at most; the most urgent first. Blocks that must be left alone are not among
/// `blocks`. Those in `rewrite` hold deleted profiles: they are written again by themselves where nothing else is due.
pub fn plan(blocks: &[Meta], rewrite: &BTreeSet<Ulid>, now_ms: i64, config: &PlanConfig) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut taken = vec![false; blocks.len()];
    for (level, range) in (1u32..).zip(&config.ranges) {
        let range = i64::try_from(range.as_nanos()).unwrap_or(i64::MAX).max(1);
        let mut windows: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (i, block) in blocks.iter().enumerate().filter(|(_, block)| block.level < level) {
            windows.entry(block.min_time_nanos.div_euclid(range)).or_default().push(i);
        }
        for (window, mut members) in windows {
            // What a shorter range is about to make belongs to it: without, there would be a second block later.
            if members.iter().any(|i| taken[*i]) {
                continue;
            }
            let end = window.saturating_add(1).saturating_mul(range);
            let over_at = end.saturating_add(i64::try_from(config.settle.as_nanos()).unwrap_or(i64::MAX));
            let over = over_at <= now_ms.saturating_mul(1_000_000);
            if !over && (level > 1 || members.len() < MAX_OPEN_BLOCKS) {
                continue;
            }
            members.sort_by_key(|i| (blocks[*i].min_time_nanos, blocks[*i].ulid));
            for lot in lots(blocks, &members, config.max_memory_bytes / 2) {
                lot.iter().for_each(|i| taken[*i] = true);
                jobs.push(Job { level, sources: lot.into_iter().map(|i| blocks[i].clone()).collect() });
            }
        }
    }
    for (block, _) in blocks.iter().zip(taken).filter(|(block, taken)| !taken && rewrite.contains(&block.ulid)) {
        // Only a block of level 1 and up can replace another.
        jobs.push(Job { level: block.level.max(1), sources: vec![block.clone()] });
    }
    jobs
}

/// Cuts the blocks of a window into lots that fit the budget, of two blocks at least; a lot of one is no job.
fn lots(blocks: &[Meta], members: &[usize], budget: u64) -> Vec<Vec<usize>> {
    let mut lots: Vec<Vec<usize>> = Vec::new();
    let (mut open, mut used) = (Vec::new(), 0u64);
    for &i in members {
        let needs = memory(&blocks[i]);
        if open.len() > 1 && (used.saturating_add(needs) > budget || open.len() == MAX_SOURCES) {
            lots.push(std::mem::take(&mut open));
            used = 0;
        }
        open.push(i);
        used = used.saturating_add(needs);
    }
    lots.push(open);
    lots.retain(|lot| lot.len() > 1);
    lots
}

/// Bytes that reading a source takes at a time: pages of its largest dataset, and the ends of its files.
pub fn memory(block: &Meta) -> u64 {
    let pages = block.datasets.iter().map(|dataset| reader_bytes(&dataset.rows)).max().unwrap_or(0);
    pages + SOURCE_BYTES
}

#[cfg(test)]
mod tests {
    use flamestore_block::Origin;
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn block(id: u128, level: u32, minute: i64) -> Meta {
        Meta {
            version: 1,
            ulid: Ulid(id),
            tenant: "t".into(),
            min_time_nanos: minute * 60_000_000_000,
            max_time_nanos: (minute + 14) * 60_000_000_000,
            level,
            origin: Origin { ingester: "i".into(), epoch: id as u64 },
            sources: vec![],
            origins: vec![],
            deletions: vec![],
            stats: flamestore_block::meta::Stats { series: 1, profiles: 10, samples: 1000, bytes: 5000 },
            datasets: vec![],
            files: vec![],
        }
    }

    fn config() -> PlanConfig {
        PlanConfig {
            ranges: [1, 2, 8].map(|h| Duration::from_secs(3600 * h)).to_vec(),
            settle: Duration::from_secs(600),
            max_memory_bytes: 1 << 30,
        }
    }

    fn plan(blocks: &[Meta], now_ms: i64, config: &PlanConfig) -> Vec<Job> {
        super::plan(blocks, &BTreeSet::new(), now_ms, config)
    }

    fn ids(jobs: &[Job]) -> Vec<(u32, Vec<u128>)> {
        jobs.iter().map(|j| (j.level, j.sources.iter().map(|s| s.ulid.0).collect())).collect()
    }

    #[test]
    fn a_job_is_named_by_its_blocks_and_its_level() {
        let job = |level, ids: &[u128]| Job { level, sources: ids.iter().map(|id| block(*id, 0, 1)).collect() };
        assert_eq!(job(1, &[1, 2]).id(), job(1, &[2, 1]).id());
        assert_ne!(job(1, &[1, 2]).id(), job(2, &[1, 2]).id());
        assert_ne!(job(1, &[1, 2]).id(), job(1, &[1, 2, 3]).id());
    }

    #[test]
    fn a_window_is_compacted_when_it_is_over() {
        let blocks: Vec<Meta> = (0..8).map(|i| block(i + 1, 0, i as i64 * 15)).collect();
        assert_eq!(plan(&blocks, HOUR, &config()), []);
        let settled = HOUR + 600_000;
        assert_eq!(ids(&plan(&blocks, settled, &config())), [(1, vec![1, 2, 3, 4])]);
        assert_eq!(ids(&plan(&blocks, 3 * HOUR, &config())), [(1, vec![1, 2, 3, 4]), (1, vec![5, 6, 7, 8])]);
    }

    #[test]
    fn each_range_takes_what_the_one_before_has_made() {
        let blocks = [block(1, 1, 0), block(2, 1, 60), block(3, 0, 65), block(4, 2, 120)];
        assert_eq!(ids(&plan(&blocks, 10 * HOUR, &config())), [(2, vec![1, 2, 3])], "one alone is no job of level 1");
        let blocks = [block(1, 2, 0), block(2, 2, 120), block(3, 1, 240), block(4, 3, 480)];
        assert_eq!(ids(&plan(&blocks, 10 * HOUR, &config())), [(3, vec![1, 2, 3])]);
    }

    #[test]
    fn a_month_of_quarters_of_an_hour_becomes_a_block_a_day_and_each_is_written_once_for_each_range() {
        const DAYS: i64 = 30;
        let config = PlanConfig { ranges: [1, 6, 24].map(|h| Duration::from_secs(3600 * h)).to_vec(), ..config() };
        let (mut blocks, mut next, mut written) = (Vec::new(), 0, BTreeMap::new());
        for quarter in 0..DAYS * 96 + 4 {
            for job in plan(&blocks, quarter * 900_000 + 600_000, &config) {
                let of = |block: &Meta| job.sources.iter().any(|s| s.ulid == block.ulid);
                let profiles: u64 = job.sources.iter().map(|s| s.stats.profiles).sum();
                *written.entry(job.level).or_insert(0) += profiles;
                next += 1;
                let mut made = Meta { level: job.level, ulid: Ulid(next), ..job.sources[0].clone() };
                made.stats.profiles = profiles;
                blocks.retain(|block| !of(block));
                blocks.push(made);
            }
            if quarter < DAYS * 96 {
                next += 1;
                blocks.push(block(next, 0, quarter * 15));
            }
        }
        assert_eq!((blocks.len() as i64, blocks.iter().all(|b| b.level == 3)), (DAYS, true));
        let all = 10 * 96 * DAYS as u64;
        assert_eq!(written, BTreeMap::from([(1, all), (2, all), (3, all)]));
    }

    #[test]
    fn very_many_blocks_do_not_wait_for_the_end_of_their_window() {
        let blocks: Vec<Meta> = (0..MAX_OPEN_BLOCKS as u128).map(|i| block(i + 1, 0, 1)).collect();
        assert_eq!(plan(&blocks[1..], 60_000, &config()), []);
        assert_eq!(plan(&blocks, 60_000, &config()).len(), 1);
    }

    #[test]
    fn a_job_is_as_wide_as_the_budget_allows_and_never_left_out() {
        let blocks: Vec<Meta> = (0..10).map(|i| block(i + 1, 0, i as i64)).collect();
        let config = PlanConfig { max_memory_bytes: 6 * memory(&blocks[0]), ..config() };
        let jobs = plan(&blocks, 9 * HOUR, &config);
        assert!(jobs.iter().all(|j| j.sources.len() == 3), "{:?}", ids(&jobs));
        assert_eq!(jobs.len(), 3);
        let config = PlanConfig { max_memory_bytes: 1, ..config };
        let jobs = plan(&blocks, 9 * HOUR, &config);
        assert!(jobs.iter().all(|j| j.sources.len() == 2), "no block is too large: {:?}", ids(&jobs));
        assert_eq!(jobs.len(), 5);
    }

    #[test]
    fn a_block_with_deleted_profiles_is_written_again_alone_or_with_the_others() {
        let blocks = [block(1, 0, 0), block(2, 0, 15), block(3, 2, 300)];
        let rewrite = BTreeSet::from([Ulid(2), Ulid(3), Ulid(9)]);
        let jobs = |now| ids(&super::plan(&blocks, &rewrite, now, &config()));
        assert_eq!(jobs(0), [(1, vec![2]), (2, vec![3])]);
        assert_eq!(jobs(3 * HOUR), [(1, vec![1, 2]), (2, vec![3])]);
    }

    proptest! {
        #[test]
        fn no_block_is_in_two_jobs_and_running_them_comes_to_an_end(
            starts in prop::collection::vec((0u32..3, 0i64..3000), 0..60),
        ) {
            let mut blocks: Vec<Meta> =
                starts.iter().enumerate().map(|(i, (level, minute))| block(i as u128 + 1, *level, *minute)).collect();
            let mut next = 1000;
            for _ in 0..20 {
                let jobs = plan(&blocks, 1000 * HOUR, &config());
                let mut seen = std::collections::BTreeSet::new();
                for job in &jobs {
                    prop_assert!(job.sources.len() > 1);
                    for s in &job.sources {
                        prop_assert!(seen.insert(s.ulid) && s.level < job.level);
                    }
                    next += 1;
                    let mut made = block(next, job.level, 0);
                    made.min_time_nanos = job.sources.iter().map(|s| s.min_time_nanos).min().unwrap();
                    blocks.push(made);
                }
                blocks.retain(|b| !seen.contains(&b.ulid));
                if jobs.is_empty() {
                    return Ok(());
                }
            }
            prop_assert!(false, "never done");
        }
    }
}
