//! Annotations of profiles.

use std::collections::BTreeMap;
use std::sync::Arc;

use flamestore_block::Spill;
use flamestore_model::{Annotation, Labels, Note, Point, TimeRange};

use crate::held::Dataset;
use crate::made::{self, START_NANOS, STEP_NANOS, Size};
use crate::round_trip::runtime;
use crate::{everything, stored, written};

const SMALL: Size = Size { functions: 12, stacks: 40, pods: 3, profiles: 6, samples: 9, links: true };

/// Every third profile has one, every sixth has two.
fn datasets() -> Vec<Dataset> {
    let mut all: Vec<Dataset> = ["a", "b"].iter().map(|s| made::dataset(s, 7, SMALL)).collect();
    let profiles = all.iter_mut().flat_map(|d| &mut d.series).flat_map(|s| &mut s.profiles);
    for (n, profile) in profiles.enumerate() {
        if n % 3 == 0 {
            profile.annotations.push(Annotation::new("sampled", format!("{{\"body\":{}}}", n % 2)));
        }
        if n % 6 == 0 {
            profile.annotations.push(Annotation::new("throttled", "{}"));
        }
    }
    all
}

fn notes_in(datasets: &[Dataset], range: TimeRange) -> BTreeMap<Labels, Vec<Note>> {
    let mut out = BTreeMap::new();
    for series in datasets.iter().flat_map(|d| &d.series) {
        let profiles = series.profiles.iter().filter(|p| range.contains(p.time_nanos));
        let notes: Vec<Note> = profiles
            .flat_map(|p| p.annotations.iter().map(|a| Note { time_nanos: p.time_nanos, annotation: a.clone() }))
            .collect();
        if !notes.is_empty() {
            out.insert(series.labels.clone(), notes);
        }
    }
    out
}

#[test]
fn points_tell_the_annotations_of_their_profiles() {
    let datasets = datasets();
    runtime().block_on(async {
        let (_bucket, block) = stored(&datasets).await;
        let some = TimeRange { from_nanos: START_NANOS + STEP_NANOS, to_nanos: START_NANOS + 3 * STEP_NANOS };
        for range in [everything().select.range, some] {
            let mut query = everything();
            query.select.range = range;
            let points = Box::pin(block.points(&query)).await.unwrap();
            let notes: BTreeMap<_, _> =
                points.into_iter().map(|s| (s.labels, s.notes)).filter(|(_, notes)| !notes.is_empty()).collect();
            let expected = notes_in(&datasets, range);
            assert!(!expected.is_empty());
            assert_eq!(notes, expected, "{range:?}");
        }

        // A profile without a sample of the span has no point, and no note.
        let mut query = everything();
        query.select.span_ids = vec![1];
        for series in Box::pin(block.points(&query)).await.unwrap() {
            let times: Vec<i64> = series.points.iter().map(|p: &Point| p.time_nanos).collect();
            assert!(series.notes.iter().all(|note| times.contains(&note.time_nanos)));
        }
    });
}

#[test]
fn who_reads_the_whole_dataset_gets_them_too() {
    let datasets = datasets();
    runtime().block_on(async {
        let (_bucket, block) = stored(&datasets).await;
        let dir = tempfile::tempdir().unwrap();
        let source = Arc::new(block.source(&Spill::new(dir.path())).await.unwrap());
        for dataset in &datasets {
            let mut profiles = source.dataset(&dataset.service).unwrap().unwrap().profiles().unwrap();
            let mut read = Vec::new();
            while profiles.next_series().unwrap() {
                let labels = profiles.series().unwrap().1.clone();
                while profiles.next_profile().unwrap().is_some() {
                    read.push((labels.clone(), profiles.profile().unwrap().annotations.to_vec()));
                }
            }
            let put: Vec<_> = dataset
                .series
                .iter()
                .flat_map(|s| s.profiles.iter().map(|p| (s.labels.clone(), p.annotations.clone())))
                .collect();
            assert_eq!(read, put);
        }
    });
}

#[test]
fn a_block_without_any_has_no_column_for_them() {
    let column = |datasets: &[Dataset]| {
        let written = written(datasets);
        let (_, content) = written.files.iter().find(|(name, _)| *name == "profiles.parquet").unwrap();
        let flamestore_block::Content::Held(bytes) = content else { panic!("a small file is held") };
        bytes.windows(11).any(|w| w == b"annotations")
    };
    assert!(column(&datasets()));
    assert!(!column(&[made::dataset("a", 7, SMALL)]));
}
