//! Roll-ups answer as the samples that they sum up.

use flamestore_block::{Block, BlockMeta, DatasetInput, Hidden, Written, upload, write_block};
use flamestore_flamegraph::{ProfileMerge, TreeMerger};
use flamestore_model::{Kind, ProfileId, ProfileType, Selector, TenantId, TimeRange, TreeQuery};
use flamestore_objstore::Bucket;
use proptest::prelude::*;

use crate::held::{Dataset, Profile};
use crate::made::{self, Chance, Size, TYPES};
use crate::round_trip::{runtime, same_answers};
use crate::{block_meta, everything, naive, open};

const SIZE: Size = Size { functions: 12, stacks: 30, pods: 3, profiles: 0, samples: 1, links: false };
const MINUTE: i64 = 60_000_000_000;
pub(crate) const FILES: [&str; 6] = [
    "rollup_block.parquet",
    "rollup_block_samples.parquet",
    "rollup_1h.parquet",
    "rollup_1h_samples.parquet",
    "rollup_5m.parquet",
    "rollup_5m_samples.parquet",
];

/// Many profiles of few stacks within some hours around zero, with values of any size where `wild`.
pub(crate) fn dataset(service: &str, seed: u64, wild: bool) -> Dataset {
    let mut chance = Chance(seed);
    let mut dataset = made::dataset(service, seed, SIZE);
    let stacks = dataset.symbols.stacks.parent.len() as u64;
    for series in &mut dataset.series {
        let (from, minutes) = (chance.below(150) as i64 - 90, 1 + chance.below(150));
        for _ in 0..chance.below(2 * minutes + 60) {
            let mut time_nanos = (from + chance.below(minutes) as i64) * MINUTE;
            if chance.once_in(2) {
                time_nanos += [-1, 1, 30_000_000_000][chance.below(3) as usize];
            }
            let mut profile = Profile {
                time_nanos,
                profile_id: ProfileId(u128::from(chance.below(1 << 40)).to_be_bytes()),
                ..Profile::default()
            };
            let samples = if chance.once_in(20) { 0 } else { chance.below(160) };
            for _ in 0..samples {
                let (stack, value) = (chance.below(stacks.min(6)), chance.below(1 << 63) as i64);
                profile.stacks.push(stack as u32);
                profile.values.push(if wild { value } else { value % 1000 });
            }
            series.profiles.push(profile);
        }
    }
    dataset.sort();
    dataset
}

pub(crate) fn written(datasets: &[Dataset]) -> Written {
    let inputs: Vec<&dyn DatasetInput> = datasets.iter().map(|d| d as _).collect();
    write_block(&inputs, &BlockMeta { level: 1, ..block_meta() }).unwrap()
}

pub(crate) async fn stored(datasets: &[Dataset]) -> (Bucket, Block) {
    let bucket = Bucket::in_memory();
    let meta = upload(&bucket, &TenantId::anonymous(), &written(datasets)).await.unwrap().meta;
    let block = open(&bucket, meta);
    (bucket, block)
}

async fn tree(block: &Block, query: &TreeQuery) -> naive::Stacks {
    let mut tree = TreeMerger::default();
    block.add_tree(query, &mut tree).await.unwrap();
    naive::stacks_of(&tree.finish())
}

async fn profile(block: &Block, query: &TreeQuery) -> naive::Stacks {
    let mut merge = ProfileMerge::default();
    block.add_profile(query, &mut merge).await.unwrap();
    naive::frames_of(&merge)
}

/// A border of buckets or a minute of no meaning, and sometimes a nanosecond more or less.
fn time() -> impl Strategy<Value = i64> {
    let at = prop_oneof![
        (-3i64..4).prop_map(|hour| hour * 60 * MINUTE),
        (-30i64..40).prop_map(|five| five * 5 * MINUTE),
        (-120i64..160).prop_map(|minute| minute * MINUTE),
    ];
    let at = (at, -1i64..2).prop_map(|(at, more)| at + more);
    prop_oneof![8 => at, 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

fn range() -> impl Strategy<Value = TimeRange> {
    (time(), time()).prop_map(|(a, b)| TimeRange { from_nanos: a.min(b), to_nanos: a.max(b) })
}

fn query() -> impl Strategy<Value = TreeQuery> {
    let selectors = ["{}", "{service_name=\"a\"}", "{pod=~\".*-[01]\"}", "{pod=\"b-2\"}"];
    (0..3usize, prop::sample::select(selectors.to_vec()), range(), prop::option::weighted(0.2, 0u64..12)).prop_map(
        |(kind, selector, range, site)| {
            let mut query = everything();
            query.select.profile_type = Some(ProfileType::parse(TYPES[kind]).unwrap());
            query.select.selector = Selector::parse(selector).unwrap();
            query.select.range = range;
            query.stacks.call_site = site.iter().map(|f| format!("pkg{}.f{f}", f % 7)).collect();
            query
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_rolled_up_block_answers_as_its_profiles_would(seed: u64, queries in prop::collection::vec(query(), 3..9)) {
        let datasets = [dataset("a", seed, false), dataset("b", seed ^ 5, false)];
        prop_assume!(datasets.iter().flat_map(|d| &d.series).any(|s| !s.profiles.is_empty()));
        runtime().block_on(async {
            let (_, block) = stored(&datasets).await;
            for query in queries.iter().chain([&everything()]) {
                same_answers(&block, &datasets, query).await;
            }
        });
    }

    #[test]
    fn sums_that_wrap_are_the_same_with_and_without_roll_ups(seed: u64, queries in prop::collection::vec(query(), 3..9)) {
        let datasets = [dataset("a", seed, true), dataset("b", seed ^ 5, true)];
        prop_assume!(datasets.iter().flat_map(|d| &d.series).any(|s| !s.profiles.is_empty()));
        runtime().block_on(async {
            let (_, block) = stored(&datasets).await;
            let raw = block.without_roll_ups();
            for query in queries.iter().chain([&everything()]) {
                assert_eq!(tree(&block, query).await, tree(&raw, query).await, "{query:?}");
                assert!(profile(&block, query).await == profile(&raw, query).await, "{query:?}");
            }
        });
    }

    #[test]
    fn what_was_deleted_is_in_no_sum(
        seed: u64,
        deleted in prop::collection::vec((query(), range()), 1..3),
        queries in prop::collection::vec(query(), 2..8),
    ) {
        let datasets = [dataset("a", seed, false), dataset("b", seed ^ 5, false)];
        prop_assume!(datasets.iter().flat_map(|d| &d.series).any(|s| !s.profiles.is_empty()));
        let hidden: Vec<Hidden> = deleted
            .into_iter()
            .map(|(query, range)| Hidden { selector: query.select.selector, range })
            .collect();
        let mut left = datasets.to_vec();
        for series in left.iter_mut().flat_map(|d| &mut d.series) {
            let labels = &series.labels;
            series.profiles.retain(|p| {
                !hidden.iter().any(|h| h.selector.matches(labels) && h.range.contains(p.time_nanos))
            });
        }
        runtime().block_on(async {
            let (_, block) = stored(&datasets).await;
            let block = block.hiding(hidden.into());
            for query in queries.iter().chain([&everything()]) {
                assert_eq!(tree(&block, query).await, naive::tree(&left, query), "{query:?}");
                let expected = naive::frames_of(&naive::profile(&left, query));
                assert_eq!(profile(&block, query).await, expected, "{query:?}");
            }
        });
    }
}

/// Three series of a type over four hours, and more samples than are fetched with a footer.
fn long() -> Dataset {
    let size = Size { functions: 300, stacks: 700, pods: 3, profiles: 0, samples: 1, links: false };
    let mut dataset = made::dataset("a", 7, size);
    let mut chance = Chance(3);
    for series in dataset.series.iter_mut().filter(|s| s.profile_type == TYPES[1]) {
        series.profiles = (0..4 * 60 * 6)
            .map(|i| {
                let mut profile = Profile { time_nanos: i * MINUTE / 6, ..Profile::default() };
                for _ in 0..60 {
                    profile.stacks.push(1 + chance.below(40) as u32);
                    profile.values.push(1 + chance.below(1 << 30) as i64);
                }
                profile
            })
            .collect();
    }
    dataset.sort();
    dataset
}

#[test]
fn a_long_range_reads_sums_and_few_samples() {
    let dataset = long();
    let datasets = std::slice::from_ref(&dataset);
    let at = |minute: i64, more: i64| minute * MINUTE + more;
    runtime().block_on(async {
        let (bucket, block) = stored(datasets).await;
        let paths: Vec<&str> = block.meta().files.iter().map(|f| f.path.as_str()).collect();
        assert!(FILES.iter().all(|file| paths.contains(file)), "{paths:?}");
        // Files that must be gone for an answer, and those that may be.
        for (from, to, selector, unread) in [
            (
                i64::MIN,
                i64::MAX,
                "{}",
                &["samples.parquet", "rollup_1h_samples.parquet", "rollup_5m_samples.parquet", "profiles.parquet"][..],
            ),
            (
                i64::MIN,
                i64::MAX,
                "{pod=\"a-1\"}",
                &["samples.parquet", "rollup_1h.parquet", "rollup_5m.parquet", "profiles.parquet"],
            ),
            (at(0, 0), at(120, -1), "{}", &["samples.parquet", "rollup_block.parquet", "rollup_5m_samples.parquet"]),
            (at(60, 0), i64::MAX, "{}", &["samples.parquet", "rollup_block.parquet", "rollup_5m_samples.parquet"]),
            (at(5, 0), at(125, -1), "{}", &["samples.parquet", "rollup_block.parquet"]),
            (at(5, 0), at(55, -1), "{}", &["samples.parquet", "rollup_block.parquet", "rollup_1h_samples.parquet"]),
            (
                at(6, 0),
                at(9, 0),
                "{}",
                &["rollup_block.parquet", "rollup_1h_samples.parquet", "rollup_5m_samples.parquet"],
            ),
        ] {
            let mut query = everything();
            query.select.profile_type = Some(ProfileType::parse(TYPES[1]).unwrap());
            query.select.selector = Selector::parse(selector).unwrap();
            query.select.range = TimeRange { from_nanos: from, to_nanos: to };
            for file in unread {
                bucket.delete(&block.meta().key(file)).await.unwrap();
            }
            let fresh = open(&bucket, (**block.meta()).clone());
            assert_eq!(tree(&fresh, &query).await, naive::tree(datasets, &query), "{query:?}");
            let cost = fresh.cost(&query.select, true).await.unwrap();
            for file in &written(datasets).files {
                bucket.put(&block.meta().key(file.0), file.1.bytes().unwrap()).await.unwrap();
            }
            let raw = open(&bucket, (**block.meta()).clone()).without_roll_ups();
            let raw = raw.cost(&query.select, true).await.unwrap();
            assert_eq!((raw.samples, raw.profiles), (cost.samples, cost.profiles));
            assert_eq!(raw.bytes() > cost.bytes(), unread.contains(&"samples.parquet"), "{raw:?} {cost:?}");
        }
    });
}

#[test]
fn profile_ids_spans_and_damage() {
    let dataset = long();
    let datasets = std::slice::from_ref(&dataset);
    runtime().block_on(async {
        let (bucket, block) = stored(datasets).await;
        let mut query = everything();
        query.select.profile_type = Some(ProfileType::parse(TYPES[1]).unwrap());
        bucket.delete(&block.meta().key("rollup_block_samples.parquet")).await.unwrap();
        let e = block.add_tree(&query, &mut TreeMerger::default()).await.unwrap_err();
        assert!(e.kind == Kind::NotFound && e.message.contains("rollup_block_samples.parquet"), "{e}");
        assert!(block.has_roll_ups() && !block.without_roll_ups().has_roll_ups());
        assert_eq!(tree(&block.without_roll_ups(), &query).await, naive::tree(datasets, &query));
        // What asks for single profiles or samples has no use for sums.
        query.select.profile_ids = vec![ProfileId::default()];
        assert_eq!(tree(&block, &query).await, naive::tree(datasets, &query));
        query.select.profile_ids.clear();
        query.select.span_ids = vec![5];
        assert_eq!(tree(&block, &query).await, naive::Stacks::new());
    });
}
