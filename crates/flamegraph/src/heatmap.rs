//! Heatmaps: how many profiles, or spans, have a value of which size, and when.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use flamestore_model::{Labels, ProfileId, SeriesPoints};

use crate::group::{LabelList, Wholes, key_of};
use crate::series::Grid;

/// Value buckets of a heatmap.
pub const BUCKETS: usize = 20;

/// One thing that is counted: a profile, or one span of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    pub time_nanos: i64,
    pub value: i64,
    pub profile_id: ProfileId,
    /// 0: the profile itself.
    pub span_id: u64,
    /// 0: none.
    pub trace_id: u128,
}

/// The observations of one series, in any order.
#[derive(Debug, Clone)]
pub struct ObservedSeries {
    pub labels: Labels,
    pub observed: Vec<Observed>,
}

impl From<&SeriesPoints> for ObservedSeries {
    /// Observes whole profiles.
    fn from(series: &SeriesPoints) -> Self {
        let profile = |p: &flamestore_model::Point| Observed {
            time_nanos: p.time_nanos,
            value: p.total,
            profile_id: p.profile_id,
            span_id: 0,
            trace_id: 0,
        };
        ObservedSeries { labels: series.labels.clone(), observed: series.points.iter().map(profile).collect() }
    }
}

/// How observations become a heatmap.
#[derive(Debug, Clone, Default)]
pub struct HeatmapOptions {
    /// Labels that tell series apart; empty: one series.
    pub group_by: Vec<String>,
    /// Most series answered, those with most observations first; 0: all.
    pub limit: usize,
    /// Whether each cell names its heaviest observation.
    pub exemplars: bool,
}

/// All series share the buckets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heatmap {
    /// The lower edges of [`BUCKETS`] buckets of equal width; empty without data. The last bucket holds the maximum.
    pub y_min: Vec<i64>,
    /// Most observations first, then by labels.
    pub series: Vec<HeatmapSeries>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeatmapSeries {
    pub labels: LabelList,
    /// By time; steps without an observation have no slot.
    pub slots: Vec<Slot>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The end of the step.
    pub time_ms: i64,
    /// By bucket.
    pub counts: [u32; BUCKETS],
    /// By bucket, for those that are not empty.
    pub exemplars: Vec<CellExemplar>,
}

/// The heaviest observation of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellExemplar {
    pub time_ms: i64,
    pub value: i64,
    pub profile_id: ProfileId,
    /// 0: none.
    pub span_id: u64,
    /// 0: none.
    pub trace_id: u128,
    pub labels: LabelList,
}

/// Where an observation belongs: step, span, trace.
type Place = (i64, u64, u128);

/// Counts observations by step and value. The parts of a profile (or of a span of a profile) that lie in several series
/// of a group are one observation. Times are rounded up to the grid, also behind its end: nothing is left out.
pub fn heatmap(series: &[ObservedSeries], grid: Grid, options: &HeatmapOptions) -> Heatmap {
    let mut groups: BTreeMap<LabelList, Wholes<Place>> = BTreeMap::new();
    for s in series.iter().filter(|s| !s.observed.is_empty()) {
        let group = groups.entry(key_of(&s.labels, &options.group_by)).or_default();
        for o in &s.observed {
            let place = (grid.point_of(o.time_nanos), o.span_id, o.trace_id);
            group.add(place, o.profile_id, o.time_nanos, o.value, &s.labels);
        }
    }
    let values = || groups.values().flat_map(|g| g.0.values().map(|w| w.value));
    let (Some(min), Some(max)) = (values().min(), values().max()) else {
        return Heatmap::default();
    };
    let y_min = edges(min, max);
    let mut answer: Vec<(usize, HeatmapSeries)> = groups
        .into_iter()
        .map(|(labels, group)| (group.0.len(), HeatmapSeries { labels, slots: slots(group, &y_min, options) }))
        .collect();
    // Groups come in the order of their labels, and the sort is stable.
    answer.sort_by_key(|(size, _)| Reverse(*size));
    if options.limit > 0 {
        answer.truncate(options.limit);
    }
    Heatmap { y_min, series: answer.into_iter().map(|(_, s)| s).collect() }
}

/// Lower edges, cut to integers.
fn edges(min: i64, max: i64) -> Vec<i64> {
    let (min, max) = (i128::from(min), i128::from(max));
    let width = (max - min).max(1);
    (0..BUCKETS as i128).map(|i| (min + width * i / BUCKETS as i128) as i64).collect()
}

fn slots(group: Wholes<Place>, y_min: &[i64], options: &HeatmapOptions) -> Vec<Slot> {
    let mut slots: BTreeMap<i64, ([u32; BUCKETS], BTreeMap<usize, CellExemplar>)> = BTreeMap::new();
    for (((time_ms, span_id, trace_id), profile_id), whole) in group.0 {
        let bucket = y_min.partition_point(|edge| *edge <= whole.value).saturating_sub(1);
        let (counts, heaviest) = slots.entry(time_ms).or_default();
        counts[bucket] += 1;
        if options.exemplars && heaviest.get(&bucket).is_none_or(|known| known.value < whole.value) {
            let exemplar = CellExemplar {
                time_ms: whole.time_nanos.div_euclid(1_000_000),
                value: whole.value,
                profile_id,
                span_id,
                trace_id,
                labels: whole.labels(&options.group_by),
            };
            heaviest.insert(bucket, exemplar);
        }
    }
    let slot = |(time_ms, (counts, exemplars)): (i64, ([u32; BUCKETS], BTreeMap<usize, CellExemplar>))| Slot {
        time_ms,
        counts,
        exemplars: exemplars.into_values().collect(),
    };
    slots.into_iter().map(slot).collect()
}
