//! Random blocks with duplicates and hidden profiles.

use flamestore_block::{BlockMeta, DatasetInput, Hidden, Spill, Written, write_block};
use flamestore_model::{Selector, TimeRange};
use flamestore_objstore::Bucket;
use proptest::prelude::*;

use crate::held::Dataset;
use crate::made::{self, Chance, START_NANOS, STEP_NANOS, Size};
use crate::{block_meta, files, merged, open, runtime, shuffled, stored};

const SMALL: Size = Size { functions: 30, stacks: 90, pods: 3, profiles: 12, samples: 9, links: true };

fn write(datasets: &[Dataset], meta: &BlockMeta) -> Option<Written> {
    let some = |d: &&Dataset| d.series.iter().any(|s| !s.profiles.is_empty());
    let inputs: Vec<&dyn DatasetInput> = datasets.iter().filter(some).map(|d| d as _).collect();
    (!inputs.is_empty()).then(|| write_block(&inputs, meta).unwrap())
}

/// One part of the profiles, interned in an order of its own. Profiles of one time and id stay together, and some of them
/// stand in the next part too.
fn part(all: &[Dataset], parts: u64, number: u64, seed: u64, twice: bool) -> Vec<Dataset> {
    let mut part = all.to_vec();
    for series in part.iter_mut().flat_map(|d| &mut d.series) {
        let name = series.labels.fingerprint().0;
        series.profiles.retain(|p| {
            let id = u128::from_be_bytes(p.profile_id.0) as u64 ^ p.time_nanos as u64 ^ name;
            let mut chance = Chance(seed ^ id);
            let home = chance.below(parts);
            home == number || (twice && chance.once_in(4) && (home + 1) % parts == number)
        });
    }
    part.iter().map(|d| shuffled::interned_otherwise(d, seed ^ number)).collect()
}

fn check(seed: u64, parts: u64, twice: bool, hide: bool, max_bytes: u64) {
    let all: Vec<Dataset> =
        ["a", "b"].iter().map(|s| made::dataset(s, seed ^ u64::from(s.as_bytes()[0]), SMALL)).collect();
    let hidden = || match hide {
        true => vec![
            Hidden {
                selector: Selector::parse("{zone=\"eu\"}").unwrap(),
                range: TimeRange { from_nanos: START_NANOS, to_nanos: START_NANOS + 7 * STEP_NANOS },
            },
            Hidden {
                selector: Selector::parse("{service_name=\"b\", pod=\"b-0\"}").unwrap(),
                range: TimeRange { from_nanos: 0, to_nanos: i64::MAX },
            },
        ],
        false => vec![],
    };
    let mut shown = all.clone();
    for (d, series) in shown.iter_mut().flat_map(|d| d.series.iter_mut().map(|s| (d.service.clone(), s))) {
        let (pod, zone) = (series.labels.get("pod").unwrap_or(""), series.labels.get("zone").unwrap_or(""));
        let gone = |time: i64| {
            hidden()
                .iter()
                .enumerate()
                .any(|(i, h)| h.range.contains(time) && if i == 0 { zone == "eu" } else { d == "b" && pod == "b-0" })
        };
        series.profiles.retain(|p| !gone(p.time_nanos));
    }
    let dir = tempfile::tempdir().unwrap();
    let spill = Spill::new(dir.path());
    runtime().block_on(async {
        let bucket = Bucket::in_memory();
        let mut blocks = Vec::new();
        for number in 0..parts {
            if let Some(written) = write(&part(&all, parts, number, seed, twice), &block_meta(number)) {
                blocks.push(open(&bucket, stored(&bucket, &written).await, hidden()));
            }
        }
        if blocks.is_empty() {
            return;
        }
        let found = merged(&blocks, &spill, max_bytes).await.unwrap().written;
        blocks.reverse();
        let again = merged(&blocks, &spill, max_bytes).await.unwrap().written;
        let Some(found) = found else {
            assert!(shown.iter().flat_map(|d| &d.series).all(|s| s.profiles.is_empty()));
            return;
        };
        let meta = &found.meta;
        let expected = write(
            &shown,
            &BlockMeta {
                ulid: meta.ulid,
                level: 1,
                sources: meta.sources.clone(),
                origins: meta.origins.clone(),
                origin: meta.origin.clone(),
                ..block_meta(0)
            },
        )
        .unwrap();
        assert_eq!(found.meta, expected.meta);
        for ((name, found), (_, expected)) in files(&found).iter().zip(&files(&expected)) {
            assert!(found == expected, "{name} differs");
        }
        let again = again.unwrap();
        assert_eq!(again.meta, found.meta, "in another order");
        assert!(files(&again) == files(&found));
    });
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left in the folder");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn blocks_become_what_their_profiles_would_have_made_at_once(
        seed: u64, parts in 1u64..6, twice: bool, hide: bool, short: bool,
    ) {
        check(seed, parts, twice, hide, if short { 0 } else { 64 << 20 });
    }
}
