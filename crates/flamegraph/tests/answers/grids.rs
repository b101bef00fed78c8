//! Series, timelines and heatmaps against recorded answers.

use flamestore_flamegraph::heatmap::{HeatmapOptions, Observed, ObservedSeries, heatmap};
use flamestore_flamegraph::series::{
    Aggregation, Grid, MAX_POINT_ANNOTATIONS, Series, SeriesOptions, SeriesPoint, select_series,
};
use flamestore_flamegraph::timeline::{Timeline, render_step_seconds};
use flamestore_model::{Annotation, Labels, Note, Point, ProfileId, SeriesPoints};

use crate::build::strings;

const T0: i64 = 1_763_697_600_000;

fn series(labels: &[(&str, &str)], points: &[(i64, i64)]) -> SeriesPoints {
    let point = |(ms, total): &(i64, i64)| Point {
        time_nanos: (T0 + ms) * 1_000_000,
        total: *total,
        profile_id: ProfileId::v7((T0 + ms) as u64, 1),
    };
    SeriesPoints {
        labels: Labels::from_pairs(labels.iter().copied()),
        points: points.iter().map(point).collect(),
        notes: Vec::new(),
    }
}

fn recorded() -> Vec<SeriesPoints> {
    vec![series(&[("host", "h1")], &[(30_000, 110), (61_000, 10)]), series(&[("host", "h2")], &[(60_000, 64)])]
}

fn grid(from: i64, to: i64, step_ms: i64) -> Grid {
    Grid { start_ms: T0 + from, end_ms: T0 + to, step_ms }
}

fn points(series: &Series) -> Vec<(i64, f64)> {
    series.points.iter().map(|p| (p.time_ms - T0, p.value)).collect()
}

fn by(names: &[&str]) -> SeriesOptions {
    SeriesOptions { group_by: strings(names), ..SeriesOptions::default() }
}

fn pairs(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn a_profile_counts_at_the_first_point_that_is_not_before_it() {
    let answer = |step| select_series(&recorded(), grid(0, 120_000, step), &by(&[]));
    assert_eq!(points(&answer(30_000)[0]), [(30_000, 110.0), (60_000, 64.0), (90_000, 10.0)]);
    assert_eq!(points(&answer(50_000)[0]), [(50_000, 110.0), (100_000, 74.0)]);
    assert!(answer(30_000)[0].labels.is_empty());
    assert!(select_series(&[], grid(0, 120_000, 30_000), &by(&[])).is_empty());
}

#[test]
fn series_are_ordered_by_total_and_labels_as_asked() {
    let answer = select_series(&recorded(), grid(0, 120_000, 30_000), &by(&["host", "nope"]));
    let labels: Vec<_> = answer.iter().map(|s| s.labels.clone()).collect();
    assert_eq!(labels, [pairs(&[("host", "h1")]), pairs(&[("host", "h2")])]);
    let top = SeriesOptions { limit: 1, ..by(&["host"]) };
    assert_eq!(select_series(&recorded(), grid(0, 120_000, 30_000), &top).len(), 1);

    let two = [series(&[("a", "1"), ("b", "2")], &[(0, 5)]), series(&[("b", "1"), ("a", "1")], &[(0, 5)])];
    let answer = select_series(&two, grid(0, 0, 1000), &by(&["b", "a"]));
    let labels: Vec<_> = answer.iter().map(|s| s.labels.clone()).collect();
    assert_eq!(labels, [pairs(&[("b", "1"), ("a", "1")]), pairs(&[("b", "2"), ("a", "1")])]);
}

#[test]
fn the_first_point_reaches_back_one_step() {
    // One profile every 5 s from 0 on; values go round.
    let values = [30, 60, 100, 150];
    let many: Vec<(i64, i64)> = (0..12).map(|i| (i * 5_000, values[i as usize % 4])).collect();
    let all = [series(&[], &many)];
    let answer = |from, to, step| points(&select_series(&all, grid(from, to, step), &by(&[]))[0]);
    assert_eq!(answer(0, 120_000, 60_000), [(0, 30.0), (60_000, 990.0)]);
    // What lies behind the last whole step is lost, and a point at the start holds the step before it.
    assert_eq!(answer(0, 120_000, 300_000), [(0, 30.0)]);
    assert_eq!(answer(20_000, 34_000, 10_000), [(20_000, 280.0), (30_000, 160.0)]);
    let grid = grid(20_000, 34_000, 10_000);
    assert_eq!(grid.read_range().from_nanos, (T0 + 10_000) * 1_000_000);
    assert_eq!(grid.read_range().to_nanos, (T0 + 34_000) * 1_000_000);
}

#[test]
fn an_average_is_over_profiles() {
    let options = SeriesOptions { aggregation: Aggregation::Average, ..by(&[]) };
    assert_eq!(points(&select_series(&recorded(), grid(0, 120_000, 100_000), &options)[0]), [(100_000, 184.0 / 3.0)]);
}

#[test]
fn an_exemplar_is_the_heaviest_whole_profile() {
    // One profile in two series by a sample label, and one that is heavier than each part but not than both.
    let id = [("__profile_type__", "t"), ("__name__", "n"), ("__service_name__", "s"), ("service_name", "s")];
    let with = |extra: &[(&'static str, &'static str)]| [&id[..], extra].concat();
    let mut parts = [
        series(&with(&[("step", "a")]), &[(10_000, 6)]),
        series(&with(&[("step", "b"), ("pod", "p")]), &[(10_000, 5), (20_000, 9)]),
    ];
    parts[1].points[0].profile_id = parts[0].points[0].profile_id;
    let options = SeriesOptions { exemplars: true, ..by(&["service_name"]) };
    let answer = select_series(&parts, grid(0, 60_000, 60_000), &options);
    let exemplar = answer[0].points[0].exemplar.as_ref().unwrap();
    assert_eq!((exemplar.value, exemplar.time_ms), (11, T0 + 10_000));
    assert_eq!(exemplar.profile_id, parts[0].points[0].profile_id);
    assert_eq!(exemplar.labels, pairs(&[("__profile_type__", "t"), ("__service_name__", "s"), ("__name__", "n")]));
    // By the sample label, the parts are on their own.
    let options = SeriesOptions { exemplars: true, ..by(&["step"]) };
    let values: Vec<i64> = select_series(&parts, grid(0, 60_000, 60_000), &options)
        .iter()
        .map(|s| s.points[0].exemplar.as_ref().unwrap().value)
        .collect();
    assert_eq!(values, [9, 6]);
}

fn profiles(series: &[SeriesPoints]) -> Vec<ObservedSeries> {
    series.iter().map(ObservedSeries::from).collect()
}

#[test]
fn heatmaps_count_as_recorded() {
    let map = heatmap(&profiles(&recorded()), grid(0, 120_000, 60_000), &HeatmapOptions::default());
    assert_eq!(map.y_min, (0..20).map(|i| 10 + 5 * i).collect::<Vec<i64>>());
    let cells: Vec<(i64, Vec<usize>)> =
        map.series[0].slots.iter().map(|s| (s.time_ms - T0, (0..20).filter(|i| s.counts[*i] > 0).collect())).collect();
    assert_eq!(cells, [(60_000, vec![10, 19]), (120_000, vec![0])]);
    assert!(heatmap(&[], grid(0, 1, 1), &HeatmapOptions::default()).series.is_empty());
}

#[test]
fn heatmaps_of_spans_count_each_span() {
    let span = |span_id, value| Observed {
        time_nanos: T0 * 1_000_000,
        value,
        profile_id: ProfileId::default(),
        span_id,
        trace_id: 0,
    };
    let labels = Labels::from_pairs([("service_name", "s")]);
    let all = [ObservedSeries { labels, observed: vec![span(1, 7), span(2, 1), span(2, 2)] }];
    let options = HeatmapOptions { exemplars: true, ..HeatmapOptions::default() };
    let map = heatmap(&all, grid(0, 60_000, 30_000), &options);
    assert_eq!(map.y_min, [3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6]);
    let slot = &map.series[0].slots[0];
    assert_eq!((slot.counts[4], slot.counts[19]), (1, 1));
    let spans: Vec<_> = slot.exemplars.iter().map(|e| (e.span_id, e.value)).collect();
    assert_eq!(spans, [(2, 3), (1, 7)]);
}

#[test]
fn equal_values_fall_in_the_last_of_equal_buckets() {
    let map = heatmap(&profiles(&[series(&[], &[(0, 5)])]), grid(0, 60_000, 60_000), &HeatmapOptions::default());
    assert_eq!(map.y_min, [5; 20]);
    assert_eq!(map.series[0].slots[0].counts[19], 1);
}

#[test]
fn steps_are_round() {
    let step = |seconds: i64| render_step_seconds(T0, T0 + seconds * 1000);
    for (range, rounded) in [
        (60, 15),
        (1500 * 15, 15),
        (1500 * 20, 20),
        (1500 * 40, 30),
        (1500 * 60, 60),
        (1500 * 300, 300),
        (1500 * 3600, 3600),
        (1500 * 86_400, 43_200),
        (1500 * 86_400 * 30, 30 * 86_400),
        (1500 * 86_400 * 400, 365 * 86_400),
    ] {
        assert_eq!(step(range), rounded, "a range of {range} s");
    }
    assert_eq!(render_step_seconds(5, 0), 15);
}

#[test]
fn timelines_have_zeros_where_there_is_nothing() {
    let points = [(105_000, 10.0), (120_000, 20.0), (240_000, 1.0)].map(|(ms, v)| (T0 + ms, v));
    let line = Timeline::of(points, T0, T0 + 240_000, 15);
    assert_eq!((line.start_seconds, line.step_seconds, line.samples.len()), (T0 / 1000, 15, 16));
    assert_eq!((line.samples[7], line.samples[8]), (10, 20));
    assert_eq!(line.samples.iter().sum::<u64>(), 30);
    // Both ends are floored.
    let line = Timeline::of([], T0 + 14_000, T0 + 44_000, 15);
    assert_eq!((line.start_seconds, line.samples.len()), (T0 / 1000, 2));
    assert!(Timeline::of([], i64::MIN, i64::MAX, 1).samples.len() <= 50_000);
}

#[test]
fn a_point_has_the_annotations_of_its_profiles_each_once_and_not_without_end() {
    let note = |ms: i64, key: &str, n: usize| Note {
        time_nanos: (T0 + ms) * 1_000_000,
        annotation: Annotation::new(key, format!("{n:03}")),
    };
    let mut one = series(&[("host", "h1")], &[(30_000, 1), (31_000, 1), (90_000, 1)]);
    one.notes = vec![note(30_000, "sampled", 1), note(31_000, "sampled", 1), note(31_000, "throttled", 2)];
    let mut two = series(&[("host", "h2")], &[(45_000, 1)]);
    two.notes = vec![note(45_000, "sampled", 0)];
    let told = |found: &Series| -> Vec<Vec<String>> {
        let texts = |p: &SeriesPoint| p.annotations.iter().map(|a| format!("{} {}", a.key, a.value)).collect();
        found.points.iter().map(texts).collect()
    };
    let all = [one.clone(), two];
    let together = select_series(&all, grid(0, 120_000, 60_000), &by(&[]));
    assert_eq!(told(&together[0]), [vec!["sampled 000", "sampled 001", "throttled 002"], vec![]]);
    let apart = select_series(&all, grid(0, 120_000, 60_000), &by(&["host"]));
    assert_eq!(told(&apart[0]), [vec!["sampled 001", "throttled 002"], vec![]]);
    assert_eq!(told(&apart[1]), [["sampled 000"]]);

    // Of too many, the same ones stay whatever order they come in.
    one.notes = (0..2 * MAX_POINT_ANNOTATIONS).map(|n| note(30_000, "sampled", n)).collect();
    let first = select_series(std::slice::from_ref(&one), grid(0, 60_000, 60_000), &by(&[]));
    one.notes.reverse();
    assert_eq!(select_series(&[one], grid(0, 60_000, 60_000), &by(&[])), first);
    let kept = &first[0].points[0].annotations;
    assert_eq!((kept.len(), &*kept[MAX_POINT_ANNOTATIONS - 1].value), (MAX_POINT_ANNOTATIONS, "031"));
}
