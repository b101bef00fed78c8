//! What comes out of a block is what went in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use flamestore_block::{Block, write_block};
use flamestore_clock::ManualClock;
use flamestore_flamegraph::{ProfileMerge, TreeMerger};
use flamestore_model::{
    FrameFilter, FramePatterns, Kind, Labels, ProfileId, ProfileType, Selector, StackFilter, TimeRange, TreeQuery,
};
use flamestore_objstore::observe::{Call, Observe};
use proptest::prelude::*;

use crate::held::{Dataset, Profile};
use crate::made::{self, START_NANOS, STEP_NANOS, Size, TYPES};
use crate::{block_meta, everything, naive, open, shuffled, stored, written};

const SMALL: Size = Size { functions: 12, stacks: 40, pods: 3, profiles: 6, samples: 9, links: true };
/// Files too large to be fetched whole, and more than one row group of samples.
const LARGE: Size = Size { functions: 3000, stacks: 20_000, pods: 3, profiles: 200, samples: 300, links: false };

pub(crate) async fn same_answers(block: &Block, datasets: &[Dataset], query: &TreeQuery) {
    let mut tree = TreeMerger::default();
    block.add_tree(query, &mut tree).await.unwrap();
    assert_eq!(naive::stacks_of(&tree.finish()), naive::tree(datasets, query), "tree of {query:?}");

    let mut merge = ProfileMerge::default();
    block.add_profile(query, &mut merge).await.unwrap();
    let expected = naive::frames_of(&naive::profile(datasets, query));
    assert_eq!(naive::frames_of(&merge), expected, "profile of {query:?}");

    let points = block.points(query).await.unwrap();
    let points: BTreeMap<Labels, _> = points.into_iter().map(|s| (s.labels, s.points)).collect();
    assert_eq!(points, naive::points(datasets, query), "points of {query:?}");

    let spans = block.spans(&query.select).await.unwrap();
    let spans: BTreeMap<Labels, _> = spans.into_iter().map(|s| (s.labels, s.observed)).collect();
    assert_eq!(spans, naive::spans(datasets, &query.select), "spans of {query:?}");

    let exact = block.cost(&query.select, true).await.unwrap();
    let expected = naive::cost(datasets, &query.select);
    assert_eq!((exact.series, exact.profiles, exact.samples), expected, "cost of {query:?}");
    assert_eq!(exact.parts, u64::from(exact.profiles > 0));
    let at_most = block.cost(&query.select, false).await.unwrap();
    assert!(exact.profiles <= at_most.profiles && exact.bytes() <= at_most.bytes(), "{exact:?} of {at_most:?}");
    assert!(at_most.bytes() <= block.meta().stats.bytes, "{at_most:?} of {:?}", block.meta().stats);

    let series = block.series(&query.select).await.unwrap();
    let series: BTreeMap<Labels, _> = series.into_iter().map(|s| (s.labels.clone(), s)).collect();
    assert_eq!(series, naive::series(datasets, &query.select), "series of {query:?}");
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

fn query() -> impl Strategy<Value = TreeQuery> {
    let selectors =
        ["{}", "{service_name=\"b\"}", "{service_name!~\"a|c\",zone=\"\"}", "{pod=~\".*-[01]\"}", "{no=\"t\"}"];
    (
        prop::option::weighted(0.7, 0..4usize),
        prop::sample::select(selectors.to_vec()),
        prop::option::of((-1i64..8, -1i64..8)),
        prop::collection::vec((0u64..3, 0u64..3), 0..3),
        prop::collection::vec(0u64..4, 0..2),
        prop::collection::vec(0u64..3, 0..2),
        prop::collection::vec(0u64..12, 0..3),
        prop::option::weighted(0.3, (0u64..12, 0u64..12, prop::bool::ANY)),
    )
        .prop_map(|(kind, selector, range, ids, spans, traces, site, frames)| {
            let mut q = everything();
            q.select.profile_type =
                kind.map(|k| ProfileType::parse(TYPES.get(k).unwrap_or(&"no:such:type:at:all")).unwrap());
            q.select.selector = Selector::parse(selector).unwrap();
            if let Some((from, to)) = range {
                let at = |tick: i64| START_NANOS + tick * STEP_NANOS;
                q.select.range = TimeRange { from_nanos: at(from), to_nanos: at(to) };
            }
            q.select.profile_ids =
                ids.iter().map(|(pod, n)| ProfileId((u128::from(*pod) << 64 | u128::from(*n)).to_be_bytes())).collect();
            q.select.span_ids = spans;
            q.select.trace_ids = traces.iter().map(|t| u128::from(*t) << 70).collect();
            let name = |f: &u64| format!("pkg{}.f{f}", f % 7);
            q.stacks.call_site = site.iter().map(name).collect();
            if let Some((include, exclude, as_regex)) = frames {
                let (include, exclude) = (vec![name(&include)], vec![name(&exclude)]);
                let patterns = if as_regex {
                    FramePatterns { include_regex: include, exclude_regex: exclude, ..FramePatterns::default() }
                } else {
                    FramePatterns { include, exclude, ..FramePatterns::default() }
                };
                q.stacks.frames = FrameFilter::new(patterns).unwrap();
            }
            q
        })
}

fn datasets(seed: u64, links: bool) -> Vec<Dataset> {
    ["a", "b", "c"]
        .iter()
        .map(|s| made::dataset(s, seed ^ s.len() as u64 ^ u64::from(s.as_bytes()[0]), Size { links, ..SMALL }))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_block_answers_as_its_profiles_would(seed: u64, links: bool, queries in prop::collection::vec(query(), 1..6)) {
        let datasets = datasets(seed, links);
        prop_assume!(datasets.iter().flat_map(|d| &d.series).any(|s| !s.profiles.is_empty()));
        runtime().block_on(async {
            let (_, block) = stored(&datasets).await;
            same_answers(&block, &datasets, &everything()).await;
            for query in &queries {
                same_answers(&block, &datasets, query).await;
            }
        });
    }

    #[test]
    fn the_same_profiles_give_the_same_bytes_however_they_were_interned(seed: u64, other: u64) {
        let datasets = datasets(seed, true);
        prop_assume!(datasets.iter().flat_map(|d| &d.series).any(|s| !s.profiles.is_empty()));
        let otherwise: Vec<_> = datasets.iter().map(|d| shuffled::interned_otherwise(d, other)).collect();
        let (a, b) = (written(&datasets), written(&otherwise));
        prop_assert_eq!(a.meta, b.meta);
        for ((name, a), (_, b)) in a.files.iter().zip(&b.files) {
            prop_assert!(a.bytes().unwrap() == b.bytes().unwrap(), "{} differs", name);
        }
    }
}

#[test]
fn large_files_are_read_in_parts() {
    let datasets = vec![made::dataset("a", 1, LARGE), made::dataset("b", 2, LARGE)];
    runtime().block_on(async {
        let (_, block) = stored(&datasets).await;
        assert!(block.meta().stats.samples > 150_000, "{:?}", block.meta().stats);
        let mut q = everything();
        for (kind, selector) in [(0, "{}"), (1, "{service_name=\"b\"}"), (2, "{pod=\"a-1\"}")] {
            q.select.profile_type = Some(ProfileType::parse(TYPES[kind]).unwrap());
            q.select.selector = Selector::parse(selector).unwrap();
            same_answers(&block, &datasets, &q).await;
        }
        q.select.range =
            TimeRange { from_nanos: START_NANOS + 20 * STEP_NANOS, to_nanos: START_NANOS + 40 * STEP_NANOS };
        same_answers(&block, &datasets, &q).await;
    });
}

#[test]
fn a_query_reads_little_more_than_what_it_needs() {
    #[derive(Debug, Default)]
    struct Read(Mutex<u64>);
    impl Observe for Read {
        fn observe(&self, call: Call) {
            *self.0.lock().unwrap() += call.bytes;
        }
    }
    let datasets = vec![made::dataset("a", 1, LARGE), made::dataset("b", 2, LARGE)];
    runtime().block_on(async {
        let (bucket, block) = stored(&datasets).await;
        let read = Arc::new(Read::default());
        let bucket = bucket.observed(read.clone(), ManualClock::at_nanos(0));
        let block = open(&bucket, (**block.meta()).clone());
        let all = block.meta().stats.bytes;
        let mut q = everything();
        q.select.profile_type = Some(ProfileType::parse(TYPES[1]).unwrap());
        q.select.selector = Selector::parse("{service_name=\"a\"}").unwrap();
        block.points(&q).await.unwrap();
        let points = *read.0.lock().unwrap();
        assert!(points < all / 8, "points read {points} of {all} bytes");
        block.add_tree(&q, &mut TreeMerger::default()).await.unwrap();
        let tree = *read.0.lock().unwrap() - points;
        assert!(tree < all / 2, "a tree read {tree} of {all} bytes");
        block.add_tree(&q, &mut TreeMerger::default()).await.unwrap();
        let again = *read.0.lock().unwrap() - points - tree;
        assert!(again < tree, "with a warm cache {again} instead of {tree} bytes");
    });
}

#[test]
fn a_profile_type_too_large_for_one_row_group_is_cut() {
    let size = Size { functions: 20, stacks: 60, pods: 1, profiles: 1, samples: 1, links: false };
    let mut dataset = made::dataset("a", 3, size);
    let series = &mut dataset.series[0];
    series.profiles = (0..4)
        .map(|tick| Profile {
            time_nanos: START_NANOS + tick * STEP_NANOS,
            stacks: (0..350_000u32).map(|i| 1 + (i * 7 + tick as u32) % 50).collect(),
            values: (0..350_000i64).map(|i| 1 + (i & 3)).collect(),
            ..Profile::default()
        })
        .collect();
    runtime().block_on(async {
        let datasets = [dataset];
        let (_, block) = stored(&datasets).await;
        let mut tree = TreeMerger::default();
        block.add_tree(&everything(), &mut tree).await.unwrap();
        assert_eq!(naive::stacks_of(&tree.finish()), naive::tree(&datasets, &everything()));
        let deepest = naive::tree(&datasets, &everything()).into_keys().last().unwrap();
        let below = TreeQuery { stacks: StackFilter::at(deepest), ..everything() };
        let points = block.points(&below).await.unwrap();
        let points: BTreeMap<Labels, _> = points.into_iter().map(|s| (s.labels, s.points)).collect();
        assert_eq!(points, naive::points(&datasets, &below));
    });
}

#[test]
fn totals_stop_at_the_largest_number() {
    let mut dataset = made::dataset("a", 4, SMALL);
    dataset.series.truncate(1);
    dataset.series[0].profiles = vec![
        Profile { stacks: vec![1, 2], values: vec![5, 2], ..Profile::default() },
        Profile { time_nanos: 1, stacks: vec![1, 1], values: vec![i64::MAX, 1], ..Profile::default() },
        Profile { time_nanos: 2, stacks: vec![1], values: vec![i64::MAX], ..Profile::default() },
        // A profile without samples is a profile.
        Profile { time_nanos: 3, ..Profile::default() },
    ];
    runtime().block_on(async {
        let (_, block) = stored(&[dataset]).await;
        let points = block.points(&everything()).await.unwrap();
        let totals: Vec<_> = points[0].points.iter().map(|p| p.total).collect();
        assert_eq!(totals, [7, i64::MAX, i64::MAX, 0]);
    });
}

#[test]
fn answers_can_be_awaited_on_any_thread() {
    runtime().block_on(async {
        let datasets = datasets(5, false);
        let (_, block) = stored(&datasets).await;
        let task = tokio::spawn(async move {
            let (mut tree, mut profile) = (TreeMerger::default(), ProfileMerge::default());
            block.add_tree(&everything(), &mut tree).await.unwrap();
            block.add_profile(&everything(), &mut profile).await.unwrap();
            block.points(&everything()).await.unwrap();
            block.series(&everything().select).await.unwrap().len()
        });
        assert!(task.await.unwrap() > 0);
    });
}

#[test]
fn input_that_breaks_its_promises_is_refused() {
    let good = datasets(6, false);
    let refuse = |datasets: &[Dataset]| {
        let inputs: Vec<_> = datasets.iter().map(|d| d as _).collect();
        write_block(&inputs, &block_meta()).unwrap_err()
    };
    let swapped = [good[1].clone(), good[0].clone()];
    assert!(refuse(&swapped).message.contains("out of order"));
    let mut series = good[0].clone();
    series.series.reverse();
    assert!(refuse(&[series]).message.contains("series are out of order"));
    let mut profiles = made::dataset("a", 1, Size { profiles: 40, ..SMALL });
    profiles.series.iter_mut().for_each(|s| s.profiles.reverse());
    assert!(refuse(&[profiles]).message.contains("profiles are out of order"));
    let mut stacks = good[0].clone();
    stacks.series.iter_mut().flat_map(|s| &mut s.profiles).for_each(|p| p.stacks[0] = 1 << 30);
    assert!(refuse(&[stacks]).message.contains("do not fit"));
    let mut symbols = good[0].clone();
    symbols.symbols.functions.clear();
    assert!(refuse(&[symbols]).message.contains("symbols"));
    assert_eq!(refuse(&[]).kind, Kind::Invalid);
}
