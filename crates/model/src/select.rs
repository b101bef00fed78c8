//! What is asked of a head or a block: which profiles, and which samples of them.

use crate::annotation::Note;
use crate::ids::ProfileId;
use crate::labels::Labels;
use crate::profile_type::ProfileType;
use crate::selector::Selector;
use crate::stacks::StackFilter;
use crate::time::TimeRange;

/// The profiles (and samples) that a query speaks of. Every condition must hold; an empty list is no condition.
#[derive(Debug, Clone)]
pub struct Select {
    /// `None`: every profile type (label calls only; values of different types never add up).
    pub profile_type: Option<ProfileType>,
    pub selector: Selector,
    /// Closed, on the profile's own time.
    pub range: TimeRange,
    pub profile_ids: Vec<ProfileId>,
    /// Only samples that carry one of these spans.
    pub span_ids: Vec<u64>,
    /// Only samples that carry one of these traces.
    pub trace_ids: Vec<u128>,
}

impl Select {
    pub fn everything(range: TimeRange) -> Self {
        Select {
            profile_type: None,
            selector: Selector::default(),
            range,
            profile_ids: Vec::new(),
            span_ids: Vec::new(),
            trace_ids: Vec::new(),
        }
    }

    /// Whether samples must be looked at one by one, so that stored profile totals cannot be used.
    pub fn filters_samples(&self) -> bool {
        !self.span_ids.is_empty() || !self.trace_ids.is_empty()
    }
}

/// A merge of stacks, and which of them are wanted.
#[derive(Debug, Clone)]
pub struct TreeQuery {
    pub select: Select,
    pub stacks: StackFilter,
}

impl TreeQuery {
    /// All stacks of what is selected.
    pub fn whole(select: Select) -> Self {
        TreeQuery { select, stacks: StackFilter::default() }
    }
}

/// One profile as time series see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    pub time_nanos: i64,
    /// Sum of the sample values.
    pub total: i64,
    pub profile_id: ProfileId,
}

/// The matching profiles of one series, in any order.
#[derive(Debug, Clone)]
pub struct SeriesPoints {
    pub labels: Labels,
    pub points: Vec<Point>,
    /// The annotations of those profiles, in any order. Mostly there are none.
    pub notes: Vec<Note>,
}

/// One series, as the label calls see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesInfo {
    pub labels: Labels,
    /// From the first to the last profile.
    pub range: TimeRange,
    pub profiles: u64,
}

/// One label group and one sample type of a pprof: one profile of one series.
#[derive(Debug, Clone)]
pub struct StoredSeries {
    /// All labels, the private ones too.
    pub labels: Labels,
    /// Index in `pprof::Normalized::groups`.
    pub group: u32,
    /// Index in `pprof::Profile::sample_types`.
    pub column: u32,
}
