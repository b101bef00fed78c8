//! A head in the order of a block: series by profile type and labels, profiles by time and id.

use flamestore_model::{Annotation, Fingerprint, Labels, ProfileId, TimeRange};

use crate::annotations::AnnotationLists;
use crate::dataset::DatasetHead;
use crate::samples::{SampleStore, Samples};
use crate::series::{Row, Series};

impl DatasetHead {
    /// Everything in here, borrowed, sorted by (profile type, labels).
    pub fn sorted_series(&self) -> impl ExactSizeIterator<Item = SortedSeries<'_>> {
        let mut all: Vec<&Series> = self.series.iter().collect();
        all.sort_unstable_by(|a, b| (a.profile_type(), &a.labels).cmp(&(b.profile_type(), &b.labels)));
        all.into_iter().map(|series| SortedSeries { series, samples: &self.samples, annotations: &self.annotations })
    }
}

/// One series, with at least one profile.
#[derive(Debug, Clone, Copy)]
pub struct SortedSeries<'a> {
    series: &'a Series,
    samples: &'a SampleStore,
    annotations: &'a AnnotationLists,
}

impl<'a> SortedSeries<'a> {
    pub fn labels(&self) -> &'a Labels {
        &self.series.labels
    }

    pub fn fingerprint(&self) -> Fingerprint {
        self.series.fingerprint
    }

    /// The label `__profile_type__`; empty without one.
    pub fn profile_type(&self) -> &'a str {
        self.series.profile_type()
    }

    /// From the first to the last profile.
    pub fn range(&self) -> TimeRange {
        self.series.range
    }

    /// Sorted by (time, id); equal ones in order of arrival.
    pub fn profiles(&self) -> impl ExactSizeIterator<Item = StoredProfile<'a>> + use<'a> {
        let mut rows: Vec<&Row> = self.series.rows.iter().collect();
        rows.sort_by_key(|row| (row.time_nanos, row.profile_id));
        let (samples, annotations) = (self.samples, self.annotations);
        rows.into_iter().map(move |row| StoredProfile {
            time_nanos: row.time_nanos,
            duration_nanos: row.duration_nanos,
            profile_id: row.profile_id,
            total: row.total,
            samples: samples.get(&row.samples),
            annotations: annotations.get(row.annotations),
        })
    }
}

/// One profile, borrowed from the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredProfile<'a> {
    pub time_nanos: i64,
    pub duration_nanos: i64,
    pub profile_id: ProfileId,
    /// Sum of the sample values, at most `i64::MAX`.
    pub total: i64,
    pub samples: Samples<'a>,
    pub annotations: &'a [Annotation],
}
