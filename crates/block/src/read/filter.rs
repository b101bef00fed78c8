//! A selection made ready for blocks: lists sorted once.

use flamestore_model::labels::names;
use flamestore_model::{ProfileId, Select};

use crate::meta::Dataset;
use crate::read::series::SeriesRow;

#[derive(Debug)]
pub(crate) struct Filter<'a> {
    pub(crate) select: &'a Select,
    profile_type: Option<String>,
    profile_ids: Option<Vec<ProfileId>>,
    pub(crate) links: Links,
}

/// Spans and traces that samples must carry.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    pub(crate) span_ids: Option<Vec<u64>>,
    pub(crate) trace_ids: Option<Vec<u128>>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(select: &'a Select) -> Self {
        Filter {
            select,
            profile_type: select.profile_type.as_ref().map(ToString::to_string),
            profile_ids: sorted(&select.profile_ids),
            links: Links { span_ids: sorted(&select.span_ids), trace_ids: sorted(&select.trace_ids) },
        }
    }

    /// Whether a dataset can have matching profiles. All its series have its name as `service_name`.
    pub(crate) fn admits_dataset(&self, dataset: &Dataset) -> bool {
        let of_service = |m: &&flamestore_model::Matcher| m.name == names::SERVICE_NAME;
        self.select.range.overlaps(dataset.range())
            && self.profile_type.as_ref().is_none_or(|t| dataset.profile_types.binary_search(t).is_ok())
            && self.select.selector.matchers.iter().filter(of_service).all(|m| m.matches_value(&dataset.service_name))
    }

    /// Whether a series can have matching profiles.
    pub(crate) fn admits(&self, series: &SeriesRow) -> bool {
        series.range.overlaps(self.select.range)
            && self.profile_type.as_ref().is_none_or(|t| **t == *series.profile_type)
            && self.select.selector.matches(&series.labels)
    }

    /// Whether all profiles of an admitted series match, samples aside.
    pub(crate) fn takes_all(&self, series: &SeriesRow) -> bool {
        self.profile_ids.is_none() && self.select.range.covers(series.range)
    }

    pub(crate) fn looks_at_ids(&self) -> bool {
        self.profile_ids.is_some()
    }

    pub(crate) fn takes(&self, time_nanos: i64, id: Option<&ProfileId>) -> bool {
        self.select.range.contains(time_nanos)
            && self.profile_ids.as_ref().is_none_or(|ids| id.is_some_and(|id| ids.binary_search(id).is_ok()))
    }

    pub(crate) fn looks_at_samples(&self) -> bool {
        self.select.filters_samples()
    }
}

impl Links {
    pub(crate) fn is_empty(&self) -> bool {
        self.span_ids.is_none() && self.trace_ids.is_none()
    }

    /// Whether a sample with these ids (0: none) is wanted.
    pub(crate) fn hold(&self, span: u64, trace: u128) -> bool {
        let among = |list: &Option<Vec<u64>>| list.as_ref().is_none_or(|l| span != 0 && l.binary_search(&span).is_ok());
        among(&self.span_ids) && self.trace_ids.as_ref().is_none_or(|l| trace != 0 && l.binary_search(&trace).is_ok())
    }
}

fn sorted<T: Ord + Copy>(list: &[T]) -> Option<Vec<T>> {
    if list.is_empty() {
        return None;
    }
    let mut list = list.to_vec();
    list.sort_unstable();
    Some(list)
}
