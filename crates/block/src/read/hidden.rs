//! Profiles that somebody has deleted and that still stand in a block: no answer shows them.

use flamestore_model::{Labels, Selector, TimeRange};

use crate::read::Block;
use crate::read::series::SeriesRow;

/// What one request has deleted.
#[derive(Debug)]
pub struct Hidden {
    pub selector: Selector,
    pub range: TimeRange,
}

impl Hidden {
    fn touches(&self, labels: &Labels, range: TimeRange) -> bool {
        self.range.overlaps(range) && self.selector.matches(labels)
    }
}

impl Block {
    /// What this block does not show of what stands in it.
    pub fn hidden(&self) -> &[Hidden] {
        &self.hidden
    }
}

/// The times of a series that are hidden.
pub(crate) fn times(hidden: &[Hidden], series: &SeriesRow) -> Vec<TimeRange> {
    hidden.iter().filter(|h| h.touches(&series.labels, series.range)).map(|h| h.range).collect()
}

pub(crate) fn is_in(times: &[TimeRange], time_nanos: i64) -> bool {
    times.iter().any(|range| range.contains(time_nanos))
}
