//! Time series of profile totals on a grid.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use flamestore_model::{Annotation, ProfileId, SeriesPoints, TimeRange};

use crate::group::{LabelList, Wholes, key_of};

/// The most annotations of one point; of more, the first in their order stay.
pub const MAX_POINT_ANNOTATIONS: usize = 32;

/// The points of an answer: `start_ms + k * step_ms` up to `end_ms`. A profile counts at the first point that is not
/// before it, so a point holds what lies in the step that ends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub start_ms: i64,
    pub end_ms: i64,
    /// At least 1.
    pub step_ms: i64,
}

impl Grid {
    /// What has to be read for all points: the first one reaches back one step.
    pub fn read_range(&self) -> TimeRange {
        TimeRange::from_millis(self.start_ms.saturating_sub(self.step_ms), self.end_ms)
    }

    /// The point that a time counts at. May lie behind `end_ms`, when the range is not a multiple of the step.
    pub fn point_of(&self, time_nanos: i64) -> i64 {
        let step = i128::from(self.step_ms.max(1));
        let after_start = i128::from(time_nanos.div_euclid(1_000_000)) - i128::from(self.start_ms);
        let steps = if after_start <= 0 { 0 } else { (after_start + step - 1) / step };
        i64::try_from(i128::from(self.start_ms) + steps * step).unwrap_or(i64::MAX)
    }
}

/// What the value of a point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aggregation {
    #[default]
    Sum,
    /// The mean over the points of the series, not over time.
    Average,
}

/// How profiles become series.
#[derive(Debug, Clone, Default)]
pub struct SeriesOptions {
    /// Labels that tell series apart; empty: one series.
    pub group_by: Vec<String>,
    pub aggregation: Aggregation,
    /// Most series answered, the largest first; 0: all.
    pub limit: usize,
    /// Whether each point names its heaviest profile.
    pub exemplars: bool,
}

/// The heaviest profile of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemplar {
    pub time_ms: i64,
    pub profile_id: ProfileId,
    pub value: i64,
    /// What all series with a part of the profile share, without the labels of the group.
    pub labels: LabelList,
}

/// The value of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesPoint {
    pub time_ms: i64,
    pub value: f64,
    pub exemplar: Option<Exemplar>,
    /// Those of all its profiles, each once, in their order.
    pub annotations: Vec<Annotation>,
}

/// One group. Steps without a profile have no point.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// In the order of `group_by`; labels that the series lack are left out.
    pub labels: LabelList,
    /// By time.
    pub points: Vec<SeriesPoint>,
}

/// Groups profiles and sums them up on the grid. Largest total first, then by labels.
///
/// Profiles outside [`Grid::read_range`] are left out, and so are those behind the last point of the grid.
pub fn select_series(series: &[SeriesPoints], grid: Grid, options: &SeriesOptions) -> Vec<Series> {
    let range = grid.read_range();
    let mut groups: BTreeMap<LabelList, Group> = BTreeMap::new();
    for s in series {
        let group = groups.entry(key_of(&s.labels, &options.group_by)).or_default();
        for point in s.points.iter().filter(|p| range.contains(p.time_nanos)) {
            let time_ms = grid.point_of(point.time_nanos);
            if time_ms > grid.end_ms {
                continue;
            }
            let slot = group.slots.entry(time_ms).or_default();
            slot.sum += i128::from(point.total);
            slot.count += 1;
            if options.exemplars {
                group.profiles.add(time_ms, point.profile_id, point.time_nanos, point.total, &s.labels);
            }
        }
        for note in s.notes.iter().filter(|n| range.contains(n.time_nanos)) {
            if let Some(slot) = group.slots.get_mut(&grid.point_of(note.time_nanos)) {
                slot.annotate(&note.annotation);
            }
        }
    }
    let mut answer: Vec<(i128, Series)> = groups
        .into_iter()
        .filter(|(_, group)| !group.slots.is_empty())
        .map(|(labels, group)| {
            (group.slots.values().map(|s| s.sum).sum(), Series { labels, points: group.points(options) })
        })
        .collect();
    // Groups come in the order of their labels, and the sort is stable.
    answer.sort_by_key(|(total, _)| Reverse(*total));
    if options.limit > 0 {
        answer.truncate(options.limit);
    }
    answer.into_iter().map(|(_, s)| s).collect()
}

#[derive(Default)]
struct Group {
    slots: BTreeMap<i64, Slot>,
    profiles: Wholes<i64>,
}

#[derive(Default)]
struct Slot {
    sum: i128,
    count: u64,
    annotations: BTreeSet<Annotation>,
}

impl Slot {
    /// Profiles that come in another order leave the same annotations.
    fn annotate(&mut self, annotation: &Annotation) {
        if !self.annotations.contains(annotation) {
            self.annotations.insert(annotation.clone());
            if self.annotations.len() > MAX_POINT_ANNOTATIONS {
                self.annotations.pop_last();
            }
        }
    }
}

impl Group {
    fn points(self, options: &SeriesOptions) -> Vec<SeriesPoint> {
        let mut exemplars: BTreeMap<i64, Exemplar> = BTreeMap::new();
        for ((place, profile_id), whole) in self.profiles.0 {
            let heaviest = exemplars.get(&place).is_none_or(|known| known.value < whole.value);
            if heaviest {
                let time_ms = whole.time_nanos.div_euclid(1_000_000);
                let labels = whole.labels(&options.group_by);
                exemplars.insert(place, Exemplar { time_ms, profile_id, value: whole.value, labels });
            }
        }
        let value = |slot: &Slot| match options.aggregation {
            Aggregation::Sum => slot.sum as f64,
            Aggregation::Average => slot.sum as f64 / slot.count as f64,
        };
        let point = |(time_ms, slot): (i64, Slot)| SeriesPoint {
            time_ms,
            value: value(&slot),
            exemplar: exemplars.remove(&time_ms),
            annotations: slot.annotations.into_iter().collect(),
        };
        self.slots.into_iter().map(point).collect()
    }
}
