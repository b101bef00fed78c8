//! Blocks of a window of time that is over are answered for together, and the answer is what they say one by one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flamestore_api::Reader;
use flamestore_block::{Meta, Ulid};
use flamestore_clock::{Chance, SeededChance};
use flamestore_engine::Engine;
use flamestore_index::{Dead, Deletion, Snapshot, Why};
use flamestore_model::{ProfileId, Reads, TimeRange};

use crate::support::{Disk, Model, Spec, everything, paths, push, query, runtime, tenant, together};

const HOUR: i64 = 3600;
/// A block for each three hours.
const STEP: i64 = 3 * HOUR;

/// The profiles of a step, which become a block.
fn specs(step: i64) -> Vec<Spec> {
    let spec = |service: u8, pod: u8, second: i64| {
        let n = step as u8;
        let samples = vec![(vec![1, 2], step + 1, 2), (vec![1, 3 + n % 5, n % 7], 10 * i64::from(pod) + 1, step + 1)];
        Spec { tenant: 0, service, pod, second: step * STEP + second, samples }
    };
    vec![spec(0, 0, 0), spec(0, 1, 60), spec(1, 0, HOUR), spec((step % 2) as u8, 2, 2 * HOUR)]
}

struct Stored {
    disk: Disk,
    engine: Arc<Engine>,
    model: Model,
    steps: i64,
    now: Snapshot,
    /// The bucket has these, by the time of their first profile.
    blocks: Vec<Meta>,
    /// Which a compaction has written.
    others: u32,
}

impl Stored {
    async fn new(result_cache_bytes: u64) -> Self {
        let disk = Disk::in_memory();
        let engine = disk.engine_with(|config| config.result_cache_bytes = result_cache_bytes);
        engine.start().await.unwrap();
        let now = Snapshot::empty("tenant-0");
        Stored { disk, engine, model: Model::default(), steps: 0, now, blocks: Vec::new(), others: 0 }
    }

    async fn steps(&mut self, steps: i64) {
        for _ in 0..steps {
            for spec in specs(self.steps) {
                self.model.push(&self.engine, spec).await.unwrap();
            }
            self.engine.flush().await.unwrap();
            self.steps += 1;
            self.disk.clock.advance(Duration::from_secs(STEP as u64));
            self.look().await;
        }
    }

    /// Reads which blocks there are.
    async fn look(&mut self) {
        let dead: Vec<Ulid> = self.now.dead.iter().map(|dead| dead.ulid).collect();
        self.blocks.clear();
        for name in self.disk.bucket.list_dirs("tenant-0/blocks").await.unwrap() {
            let bytes = self.disk.bucket.get(&format!("tenant-0/blocks/{name}/meta.json")).await.unwrap();
            let meta = Meta::from_json(&bytes).unwrap();
            self.blocks.extend(Some(meta).filter(|meta| !dead.contains(&meta.ulid)));
        }
        self.blocks.sort_by_key(|meta| meta.min_time_nanos);
    }

    fn follow(&self) {
        self.engine.follow(&tenant(0), &self.now).unwrap();
    }

    /// Hides what lies in the range.
    fn delete(&mut self, range: TimeRange) {
        self.model.pushed.retain(|(spec, _)| !range.contains(spec.time_nanos()));
        self.now.deletions.push(Deletion {
            id: Ulid(self.now.deletions.len() as u128 + 1),
            listed_in: 1,
            selector: "{}".into(),
            from_nanos: range.from_nanos,
            until_nanos: range.to_nanos,
            asked_ms: 0,
            blocks: self.blocks.iter().map(|meta| meta.ulid).collect(),
            replaced: Vec::new(),
        });
        self.follow();
    }

    /// Puts a block with what counts of them in the place of some blocks.
    async fn compact(&mut self, first: usize, blocks: usize) {
        let sources: Vec<Meta> = self.blocks.drain(first..first + blocks).collect();
        let (from, to) = (sources[0].min_time_nanos, sources.iter().map(|meta| meta.max_time_nanos).max().unwrap());
        let of_sources = |at: i64| (from..=to).contains(&at);
        self.others += 1;
        let name = format!("other-{}", self.others);
        let other = self.disk.engine_with(|config| config.data_dir.set_file_name(name));
        other.start().await.unwrap();
        for (spec, id) in self.model.pushed.iter().filter(|(spec, _)| of_sources(spec.time_nanos())) {
            push(&other, spec, *id).await.unwrap();
        }
        other.flush().await.unwrap();
        for meta in sources {
            let origins = meta.origins().to_vec();
            self.now.dead.push(Dead { ulid: meta.ulid, marked_ms: 0, why: Why::Compaction, bytes: 0, origins });
        }
        self.now.dead.sort_by_key(|dead| dead.ulid);
        let before: Vec<Ulid> = self.blocks.iter().map(|meta| meta.ulid).collect();
        self.look().await;
        self.now.blocks.extend(self.blocks.iter().filter(|meta| !before.contains(&meta.ulid)).cloned());
        let now = &mut self.now;
        now.blocks.retain(|meta| now.dead.binary_search_by_key(&meta.ulid, |dead| dead.ulid).is_err());
        self.now.blocks.sort_by_key(|meta| meta.ulid);
        self.follow();
    }

    /// Asks in three ways, and compares with what was pushed.
    async fn check(&self, service: Option<u8>, of_type: usize, range: TimeRange) -> [Reads; 3] {
        let (id, asked) = (tenant(0), query(service, of_type, range));
        let what = format!("service {service:?}, type {of_type}, {range:?}");
        let tree = self.engine.tree(&id, &asked).await.unwrap();
        assert!(!tree.partial, "{what}");
        assert_eq!(paths(&tree.value), self.model.tree(0, service, of_type, range), "{what}");
        let found = self.engine.points(&id, &asked).await.unwrap();
        let mut points: BTreeMap<String, Vec<(i64, i64, ProfileId)>> = BTreeMap::new();
        for series in found.value {
            let of_series = points.entry(format!("{:?}", series.labels)).or_default();
            of_series.extend(series.points.iter().map(|p| (p.time_nanos, p.total, p.profile_id)));
            of_series.sort();
        }
        assert_eq!(points, self.model.points(0, service, of_type, range), "{what}");
        let profile = self.engine.profile(&id, &asked).await.unwrap();
        assert_eq!(profile.value.total(), tree.value.total(), "{what}");
        [tree.reads, found.reads, profile.reads]
    }
}

fn steps(from: i64, to: i64) -> TimeRange {
    let at = |step: i64| Spec { second: step * STEP, ..Spec::simple(1) }.time_nanos();
    TimeRange { from_nanos: at(from), to_nanos: at(to) - 1 }
}

#[test]
fn what_is_over_is_asked_of_the_bucket_once_and_kept_in_a_few_parts() {
    let _together = together();
    runtime().block_on(async {
        let mut stored = Stored::new(32 << 20).await;
        stored.steps(48).await;
        let ranges = [everything(), steps(3, 40), steps(0, 48)];
        for range in ranges {
            for (again, first) in [false, true].into_iter().zip([true, false]) {
                for reads in stored.check(Some(0), 0, range).await {
                    assert!(first || reads.requests == 0, "{reads:?}");
                    assert!(!again || reads.cached_blocks == reads.blocks, "{reads:?}");
                }
            }
        }
        // One after another, each block has a part of its own.
        let in_groups = stored.engine.stats().result_cache_bytes;
        let singly = Stored { engine: stored.disk.engine_with(|c| c.data_dir.set_file_name("late")), ..stored };
        singly.engine.start().await.unwrap();
        for step in 0..48 {
            singly.check(Some(0), 0, steps(step, step + 1)).await;
        }
        let one_by_one = singly.engine.stats().result_cache_bytes;
        assert!(in_groups < one_by_one / 2, "{in_groups} of {one_by_one} bytes");
    });
}

#[test]
fn a_part_that_is_too_large_is_left_out_and_what_it_is_made_of_is_kept() {
    let _together = together();
    runtime().block_on(async {
        // Too little for what a day has together, and enough for each block.
        for bound in [4_000, 12_000, 60_000] {
            let mut stored = Stored::new(bound).await;
            stored.steps(16).await;
            for _ in 0..4 {
                for (service, of_type) in [(None, 0), (Some(0), 0), (None, 1)] {
                    stored.check(service, of_type, everything()).await;
                    stored.check(service, of_type, steps(2, 11)).await;
                    assert!(stored.engine.stats().result_cache_bytes <= bound);
                }
            }
            assert!(stored.engine.stats().result_cache_bytes > 0);
        }
    });
}

#[test]
fn whatever_is_deleted_or_compacted_between_two_questions_answers_are_those_of_what_counts() {
    let _together = together();
    runtime().block_on(async {
        for seed in 0..3 {
            let chance = SeededChance::new(seed);
            let below = |bound: i64| (chance.next_u64() % bound as u64) as i64;
            let bound = [1 << 20, 30_000][below(2) as usize];
            let mut stored = Stored::new(bound).await;
            stored.steps(20).await;
            for _ in 0..60 {
                match below(10) {
                    0 => stored.steps(1).await,
                    1 => {
                        let from = below(stored.steps);
                        stored.delete(TimeRange {
                            to_nanos: steps(from, from).from_nanos + below(STEP) * 1_000_000_000,
                            ..steps(from, from + 1)
                        });
                    }
                    2 | 3 if stored.blocks.len() > 4 => {
                        let first = below(stored.blocks.len() as i64 - 3) as usize;
                        stored.compact(first, 2 + below(2) as usize).await;
                    }
                    _ => {
                        let from = below(stored.steps);
                        let range = if below(3) == 0 { everything() } else { steps(from, from + 1 + below(20)) };
                        let service = [None, Some(0), Some(1)][below(3) as usize];
                        stored.check(service, below(2) as usize, range).await;
                        assert!(stored.engine.stats().result_cache_bytes <= bound, "seed {seed}");
                    }
                }
            }
        }
    });
}
