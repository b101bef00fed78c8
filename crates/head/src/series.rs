//! The series of a dataset and the profiles of each.

use flamestore_model::labels::names;
use flamestore_model::{Fault, Filter, Fingerprint, Label, Labels, ProfileId, TimeRange};
use hashbrown::HashTable;

use crate::annotations::ListId;
use crate::samples::Place;

/// One profile of one series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) time_nanos: i64,
    pub(crate) duration_nanos: i64,
    pub(crate) profile_id: ProfileId,
    /// Sum of the values, at most `i64::MAX`.
    pub(crate) total: i64,
    pub(crate) samples: Place,
    pub(crate) annotations: ListId,
}

impl Row {
    /// Whether the profile matches, its samples aside.
    pub(crate) fn matches(&self, filter: &Filter<'_>) -> bool {
        filter.takes(self.time_nanos, Some(&self.profile_id))
    }
}

#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) fingerprint: Fingerprint,
    /// From the first to the last profile.
    pub(crate) range: TimeRange,
    /// In order of arrival; never empty.
    pub(crate) rows: Vec<Row>,
}

impl Series {
    /// As the label says it; empty without one.
    pub(crate) fn profile_type(&self) -> &str {
        self.labels.get(names::PROFILE_TYPE).unwrap_or("")
    }

    /// Whether it can have matching profiles.
    pub(crate) fn may_match(&self, filter: &Filter<'_>) -> bool {
        filter.admits(self.range, self.profile_type(), &self.labels)
    }

    /// Of its labels and its list of profiles.
    pub(crate) fn bytes(&self) -> usize {
        heap_bytes(&self.labels) + self.rows.len() * size_of::<Row>()
    }
}

/// Labels → series, in order of first arrival.
#[derive(Debug, Default)]
pub(crate) struct SeriesTable {
    all: Vec<Series>,
    /// By fingerprint; labels are compared, so two label sets of one fingerprint stay two series.
    index: HashTable<u32>,
    /// Bytes of labels and rows.
    held: usize,
    range: Option<TimeRange>,
}

impl SeriesTable {
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Series> {
        self.all.iter()
    }

    /// From the first to the last profile of all series.
    pub(crate) fn range(&self) -> Option<TimeRange> {
        self.range
    }

    /// Whether `more` series can be named.
    pub(crate) fn check_room(&self, more: usize) -> Result<(), Fault> {
        if self.all.len() + more >= u32::MAX as usize {
            return Err(Fault::unavailable(
                "the head of this service holds 4294967295 series; it must be cut first, then push again",
            ));
        }
        Ok(())
    }

    /// Adds a profile to the series of these labels, which is made where there is none.
    pub(crate) fn push(&mut self, labels: &Labels, fingerprint: Fingerprint, row: Row) {
        let SeriesTable { all, index, held, range } = self;
        let at = row.time_nanos;
        let here = TimeRange { from_nanos: at, to_nanos: at };
        let grown = |r: TimeRange| TimeRange { from_nanos: r.from_nanos.min(at), to_nanos: r.to_nanos.max(at) };
        *range = Some(range.map_or(here, grown));

        let same = |&i: &u32| {
            let known: &Series = &all[i as usize];
            known.fingerprint == fingerprint && known.labels == *labels
        };
        if let Some(&i) = index.find(fingerprint.0, same) {
            let series = &mut all[i as usize];
            let before = series.rows.capacity();
            series.rows.push(row);
            series.range = grown(series.range);
            *held += (series.rows.capacity() - before) * size_of::<Row>();
            return;
        }
        let rows = vec![row];
        *held += heap_bytes(labels) + rows.capacity() * size_of::<Row>();
        all.push(Series { labels: labels.clone(), fingerprint, range: here, rows });
        index.insert_unique(fingerprint.0, (all.len() - 1) as u32, |&i| all[i as usize].fingerprint.0);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.held + self.all.capacity() * size_of::<Series>() + self.index.allocation_size()
    }
}

/// Heap bytes of a label set whose strings nobody shares: each `Arc` has two counters before its content.
fn heap_bytes(labels: &Labels) -> usize {
    const COUNTERS: usize = 2 * size_of::<usize>();
    // An allocation of `Arc<str>` ends at a multiple of its alignment.
    let text = |s: &str| (COUNTERS + s.len()).next_multiple_of(align_of::<usize>());
    COUNTERS + labels.len() * size_of::<Label>() + labels.iter().map(|l| text(&l.name) + text(&l.value)).sum::<usize>()
}
