//! A selection made ready: lists sorted once, so that each profile and sample costs a search, not a scan.

use flamestore_model::{ProfileId, Select};

use crate::samples::Samples;
use crate::series::{Row, Series};

pub(crate) struct Filter<'a> {
    select: &'a Select,
    profile_type: Option<String>,
    profile_ids: Option<Vec<ProfileId>>,
    span_ids: Option<Vec<u64>>,
    trace_ids: Option<Vec<u128>>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(select: &'a Select) -> Self {
        Filter {
            select,
            profile_type: select.profile_type.as_ref().map(ToString::to_string),
            profile_ids: sorted(&select.profile_ids),
            span_ids: sorted(&select.span_ids),
            trace_ids: sorted(&select.trace_ids),
        }
    }

    /// Whether the series can have matching profiles.
    pub(crate) fn admits(&self, series: &Series) -> bool {
        series.range.overlaps(self.select.range)
            && self.profile_type.as_ref().is_none_or(|wanted| series.profile_type() == wanted)
            && self.select.selector.matches(&series.labels)
    }

    /// Whether the profile matches, its samples aside.
    pub(crate) fn takes(&self, row: &Row) -> bool {
        self.select.range.contains(row.time_nanos)
            && self.profile_ids.as_ref().is_none_or(|ids| ids.binary_search(&row.profile_id).is_ok())
    }

    /// Whether samples have to be looked at one by one.
    pub(crate) fn looks_at_samples(&self) -> bool {
        self.select.filters_samples()
    }

    /// The positions of the matching samples.
    pub(crate) fn matching<'s>(&'s self, samples: Samples<'s>) -> impl Iterator<Item = usize> + 's {
        (0..samples.stacks.len()).filter(move |&i| {
            holds(&self.span_ids, samples.span_ids.get(i)) && holds(&self.trace_ids, samples.trace_ids.get(i))
        })
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

/// Without a list, everything holds. A sample without an id (0) is in no list.
fn holds<T: Ord + Default>(wanted: &Option<Vec<T>>, id: Option<&T>) -> bool {
    wanted.as_ref().is_none_or(|list| id.is_some_and(|id| *id != T::default() && list.binary_search(id).is_ok()))
}
