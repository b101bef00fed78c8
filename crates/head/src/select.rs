//! Answers from a head.
//!
//! Hot; measured by `benches/merge.rs`.

use std::collections::BTreeMap;

use flamestore_flamegraph::heatmap::{Observed, ObservedSeries};
use flamestore_flamegraph::{ProfileMerge, TreeMerger, fold};
use flamestore_model::{Annotation, Filter, Note, Point, Select, SeriesInfo, SeriesPoints, TreeQuery, Values};
use flamestore_symbols::wanted::wanted;

use crate::dataset::DatasetHead;
use crate::samples::Samples;
use crate::series::Row;

impl DatasetHead {
    /// The series with a matching profile. `range` is that of all profiles of the series in this head, `profiles` counts
    /// the matching ones; with spans or traces, a profile matches when one of its samples does.
    pub fn series(&self, select: &Select) -> Vec<SeriesInfo> {
        let filter = Filter::new(select);
        let matches = |row: &&Row| {
            row.matches(&filter)
                && (!filter.looks_at_samples() || self.samples.get(&row.samples).with(filter.links()).next().is_some())
        };
        self.series
            .iter()
            .filter(|series| series.may_match(&filter))
            .filter_map(|series| {
                let profiles = series.rows.iter().filter(matches).count() as u64;
                (profiles > 0).then(|| SeriesInfo { labels: series.labels.clone(), range: series.range, profiles })
            })
            .collect()
    }

    /// Times and totals of the matching profiles, in order of arrival. Totals count only matching samples; a profile
    /// without one is left out.
    pub fn points(&self, query: &TreeQuery) -> Vec<SeriesPoints> {
        let filter = Filter::new(&query.select);
        let symbols = self.symbols();
        let nodes = (!query.stacks.wants_all()).then(|| wanted(&symbols.strings, &symbols.fn_tree, &query.stacks));
        let wanted =
            |stack: u32| nodes.as_ref().is_none_or(|nodes| nodes[symbols.stacks.fn_node[stack as usize] as usize]);
        let total = |row: &Row| {
            if nodes.is_none() && !filter.looks_at_samples() {
                return Some(row.total);
            }
            let samples = self.samples.get(&row.samples);
            samples
                .with(filter.links())
                .filter(|&i| wanted(samples.stacks[i]))
                .map(|i| samples.values.at(i))
                .reduce(i64::saturating_add)
        };
        self.series
            .iter()
            .filter(|series| series.may_match(&filter))
            .filter_map(|series| {
                let (mut points, mut notes) = (Vec::new(), Vec::new());
                for row in series.rows.iter().filter(|row| row.matches(&filter)) {
                    let Some(total) = total(row) else { continue };
                    points.push(Point { time_nanos: row.time_nanos, total, profile_id: row.profile_id });
                    let note =
                        |annotation: &Annotation| Note { time_nanos: row.time_nanos, annotation: annotation.clone() };
                    notes.extend(self.annotations.get(row.annotations).iter().map(note));
                }
                (!points.is_empty()).then(|| SeriesPoints { labels: series.labels.clone(), points, notes })
            })
            .collect()
    }

    /// The sum of each span of the matching profiles, by profile in order of arrival. Samples without a span are left out.
    pub fn spans(&self, select: &Select) -> Vec<ObservedSeries> {
        let filter = Filter::new(select);
        let of_row = |row: &Row| {
            let samples = self.samples.get(&row.samples);
            let mut sums: BTreeMap<(u64, u128), i64> = BTreeMap::new();
            for i in samples.with(filter.links()) {
                let span_id = samples.span_ids.get(i).copied().unwrap_or(0);
                if span_id != 0 {
                    let trace_id = samples.trace_ids.get(i).copied().unwrap_or(0);
                    let sum = sums.entry((span_id, trace_id)).or_default();
                    *sum = sum.saturating_add(samples.values.at(i));
                }
            }
            let (time_nanos, profile_id) = (row.time_nanos, row.profile_id);
            sums.into_iter().map(move |((span_id, trace_id), value)| Observed {
                time_nanos,
                value,
                profile_id,
                span_id,
                trace_id,
            })
        };
        self.series
            .iter()
            .filter(|series| series.may_match(&filter))
            .filter_map(|series| {
                let rows = series.rows.iter().filter(|row| row.matches(&filter));
                let observed: Vec<Observed> = rows.flat_map(of_row).collect();
                (!observed.is_empty()).then(|| ObservedSeries { labels: series.labels.clone(), observed })
            })
            .collect()
    }

    /// Adds the matching samples, merged by function name.
    pub fn add_tree(&self, query: &TreeQuery, into: &mut TreeMerger) {
        if let Some(sums) = self.sums(&query.select) {
            let symbols = self.symbols();
            let mut by_function = Vec::new();
            fold(&sums, &symbols.stacks.fn_node, &mut by_function);
            into.add(&symbols.strings, &symbols.fn_tree, &by_function, &query.stacks);
        }
    }

    /// Adds the matching samples, merged by location.
    pub fn add_profile(&self, query: &TreeQuery, into: &mut ProfileMerge) {
        if let Some(sums) = self.sums(&query.select) {
            into.add(self.symbols(), &sums, &query.stacks);
        }
    }

    /// The matching values by stack id, at most `i64::MAX`. `None`: no profile matches.
    pub fn sums(&self, select: &Select) -> Option<Vec<i64>> {
        let filter = Filter::new(select);
        let mut sums = Vec::new();
        for series in self.series.iter().filter(|series| series.may_match(&filter)) {
            for row in series.rows.iter().filter(|row| row.matches(&filter)) {
                if sums.is_empty() {
                    sums.resize(self.symbols().stacks.parent.len(), 0);
                }
                let samples = self.samples.get(&row.samples);
                if filter.looks_at_samples() {
                    for i in samples.with(filter.links()) {
                        add_one(&mut sums, samples.stacks[i], samples.values.at(i));
                    }
                } else {
                    add_all(&mut sums, samples);
                }
            }
        }
        (!sums.is_empty()).then_some(sums)
    }
}

/// The inner loop of every flame graph.
fn add_all(sums: &mut [i64], samples: Samples<'_>) {
    match samples.values {
        Values::Narrow(values) => {
            for (&stack, &value) in samples.stacks.iter().zip(values) {
                add_one(sums, stack, i64::from(value));
            }
        }
        Values::Wide(values) => {
            for (&stack, &value) in samples.stacks.iter().zip(values) {
                add_one(sums, stack, value);
            }
        }
    }
}

fn add_one(sums: &mut [i64], stack: u32, value: i64) {
    let sum = &mut sums[stack as usize];
    *sum = sum.saturating_add(value);
}
