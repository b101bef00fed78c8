//! Dropping samples that mean nothing, summing equal ones, packing the columns.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::groups::{Labelled, RowLabels};
use crate::profile::{Dropped, Group, Profile, Sample};

/// Packs the rows to keep in place, in order, and sorts them into their groups. Sample labels are gone afterwards.
pub(super) fn merge(profile: &mut Profile, dangling: &[bool], labelled: Labelled) -> (Vec<Group>, Dropped) {
    let mut dropped = Dropped::default();
    let mut kept = Kept::new(profile.samples.len());
    for row in 0..profile.samples.len() {
        match fault_of(profile, dangling, row, &mut dropped) {
            Some(count) => *count += 1,
            None => kept.add(profile, row, labelled.rows.get(row).copied().unwrap_or_default()),
        }
    }
    let n = profile.sample_types.len();
    profile.samples.truncate(kept.labels.len());
    profile.values.truncate(kept.labels.len() * n);
    profile.sample_locations.truncate(kept.locations);
    profile.labels = Vec::new();
    (into_groups(labelled.groups, &kept.labels), dropped)
}

/// The counter of the reason to drop a row.
fn fault_of<'a>(profile: &Profile, dangling: &[bool], row: usize, dropped: &'a mut Dropped) -> Option<&'a mut u64> {
    let values = profile.values_of(row);
    if values.iter().any(|v| *v < 0) {
        Some(&mut dropped.negative)
    } else if values.iter().all(|v| *v == 0) {
        Some(&mut dropped.zero)
    } else if profile.locations_of(&profile.samples[row]).is_empty() {
        Some(&mut dropped.stackless)
    } else if dangling.get(row) == Some(&true) {
        Some(&mut dropped.dangling)
    } else {
        None
    }
}

/// The rows kept so far, packed at the start of the profile's columns.
struct Kept {
    hasher: RandomState,
    rows: HashTable<u32>,
    /// By kept row.
    labels: Vec<RowLabels>,
    /// Length of the packed stacks.
    locations: usize,
}

impl Kept {
    fn new(rows: usize) -> Self {
        Kept {
            hasher: RandomState::default(),
            rows: HashTable::with_capacity(rows),
            labels: Vec::with_capacity(rows),
            locations: 0,
        }
    }

    /// Keeps a row, or adds its values to the equal one kept before. Packed columns end before this row starts, since
    /// stacks stand in the order of their rows.
    fn add(&mut self, profile: &mut Profile, row: usize, labels: RowLabels) {
        let n = profile.sample_types.len();
        let sample = profile.samples[row];
        let stack = profile.locations_of(&sample);
        let hash = hash_of(&self.hasher, stack, labels);
        let same = |other: &u32| {
            let other = *other as usize;
            self.labels[other] == labels && profile.locations_of(&profile.samples[other]) == stack
        };
        if let Some(&first) = self.rows.find(hash, same) {
            for at in 0..n {
                let sum = profile.values[first as usize * n + at].saturating_add(profile.values[row * n + at]);
                profile.values[first as usize * n + at] = sum;
            }
            return;
        }
        let new = self.labels.len();
        let range = sample.first_location as usize..sample.end_location as usize;
        let (first_location, end_location) = (self.locations, self.locations + range.len());
        if range.start != first_location {
            profile.sample_locations.copy_within(range, first_location);
        }
        if new != row {
            profile.values.copy_within(row * n..(row + 1) * n, new * n);
        }
        profile.samples[new] = Sample {
            first_location: first_location as u32,
            end_location: end_location as u32,
            first_label: 0,
            end_label: 0,
        };
        self.locations = end_location;
        self.labels.push(labels);
        let rehash = |other: &u32| {
            let sample = &profile.samples[*other as usize];
            hash_of(&self.hasher, profile.locations_of(sample), self.labels[*other as usize])
        };
        self.rows.insert_unique(hash, new as u32, rehash);
    }
}

fn hash_of(hasher: &RandomState, stack: &[u32], labels: RowLabels) -> u64 {
    let mut hasher = hasher.build_hasher();
    stack.hash(&mut hasher);
    if labels != RowLabels::default() {
        labels.hash(&mut hasher);
    }
    hasher.finish()
}

/// Groups in the order in which rows name them; those that lost all rows are absent.
fn into_groups(labels: Vec<Vec<(crate::StrRef, crate::StrRef)>>, rows: &[RowLabels]) -> Vec<Group> {
    let mut groups: Vec<Group> = labels.into_iter().map(|labels| Group { labels, ..Group::default() }).collect();
    for (row, labels) in (0..).zip(rows) {
        if let Some(group) = groups.get_mut(labels.group as usize) {
            group.rows.push(row);
            group.span_ids.push(labels.span_id);
            group.trace_ids.push(labels.trace_id);
        }
    }
    for group in &mut groups {
        if group.span_ids.iter().all(|id| *id == 0) {
            group.span_ids = Vec::new();
        }
        if group.trace_ids.iter().all(|id| *id == 0) {
            group.trace_ids = Vec::new();
        }
    }
    groups.retain(|g| !g.rows.is_empty());
    groups
}
