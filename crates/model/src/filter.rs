//! A selection made ready for going through profiles: lists sorted once, so that each profile and each sample costs a
//! search, not a scan.

use crate::ids::ProfileId;
use crate::labels::Labels;
use crate::select::Select;
use crate::time::TimeRange;

/// What of a [`Select`] is asked of series, profiles and samples, one after another.
#[derive(Debug)]
pub struct Filter<'a> {
    select: &'a Select,
    profile_type: Option<String>,
    profile_ids: Option<Vec<ProfileId>>,
    links: Links,
}

impl<'a> Filter<'a> {
    pub fn new(select: &'a Select) -> Self {
        Filter {
            select,
            profile_type: select.profile_type.as_ref().map(ToString::to_string),
            profile_ids: sorted(&select.profile_ids),
            links: Links { span_ids: sorted(&select.span_ids), trace_ids: sorted(&select.trace_ids) },
        }
    }

    pub fn select(&self) -> &'a Select {
        self.select
    }

    /// The wanted type as series are labelled with it; `None`: every type.
    pub fn profile_type(&self) -> Option<&str> {
        self.profile_type.as_deref()
    }

    /// Whether a series can have matching profiles; `range` is that of its profiles.
    pub fn admits(&self, range: TimeRange, profile_type: &str, labels: &Labels) -> bool {
        range.overlaps(self.select.range)
            && self.profile_type.as_ref().is_none_or(|wanted| wanted == profile_type)
            && self.select.selector.matches(labels)
    }

    /// Whether all profiles in `range` of an admitted series match, samples aside.
    pub fn takes_all(&self, range: TimeRange) -> bool {
        self.profile_ids.is_none() && self.select.range.covers(range)
    }

    /// Whether a profile of an admitted series matches, samples aside. The id may be missing where
    /// [`Filter::looks_at_ids`] says that it does not matter.
    pub fn takes(&self, time_nanos: i64, id: Option<&ProfileId>) -> bool {
        self.select.range.contains(time_nanos)
            && self.profile_ids.as_ref().is_none_or(|ids| id.is_some_and(|id| ids.binary_search(id).is_ok()))
    }

    pub fn looks_at_ids(&self) -> bool {
        self.profile_ids.is_some()
    }

    /// Whether samples have to be looked at one by one.
    pub fn looks_at_samples(&self) -> bool {
        self.select.filters_samples()
    }

    pub fn links(&self) -> &Links {
        &self.links
    }
}

/// Spans and traces that samples must carry.
#[derive(Debug, Clone)]
pub struct Links {
    span_ids: Option<Vec<u64>>,
    trace_ids: Option<Vec<u128>>,
}

impl Links {
    /// Whether every sample is wanted.
    pub fn is_empty(&self) -> bool {
        !self.looks_at_spans() && !self.looks_at_traces()
    }

    pub fn looks_at_spans(&self) -> bool {
        self.span_ids.is_some()
    }

    pub fn looks_at_traces(&self) -> bool {
        self.trace_ids.is_some()
    }

    /// Whether a sample with these ids is wanted. A sample without an id (0) is in no list.
    pub fn hold(&self, span: u64, trace: u128) -> bool {
        among(&self.span_ids, span) && among(&self.trace_ids, trace)
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

fn among<T: Ord + Default>(list: &Option<Vec<T>>, id: T) -> bool {
    list.as_ref().is_none_or(|list| id != T::default() && list.binary_search(&id).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_need_no_order_and_an_id_of_zero_is_none() {
        let mut select = Select::everything(TimeRange { from_nanos: 0, to_nanos: 10 });
        select.profile_ids = vec![ProfileId([9; 16]), ProfileId([1; 16])];
        select.span_ids = vec![7, 0, 3];
        let filter = Filter::new(&select);
        assert!(filter.takes(10, Some(&ProfileId([1; 16]))) && !filter.takes(10, Some(&ProfileId([2; 16]))));
        assert!(!filter.takes(11, Some(&ProfileId([1; 16]))) && !filter.takes(10, None));
        let links = filter.links();
        assert!(links.hold(3, 0) && links.hold(7, 5));
        assert!(!links.hold(0, 0) && !links.hold(4, 0));
    }
}
