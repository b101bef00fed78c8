//! The samples of all profiles of a dataset, as columns.

use flamestore_model::{Fault, Links, Values};

use crate::arena::{Arena, At};

/// The samples of one profile: columns of equal length. A stack may come more than once, with other spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Samples<'a> {
    /// Ids in the dataset's [`flamestore_symbols::StackTree`].
    pub stacks: &'a [u32],
    /// Never 0.
    pub values: Values<'a>,
    /// 0: none. Empty when no sample of the profile has a span.
    pub span_ids: &'a [u64],
    /// 0: none. Empty when no sample of the profile has a trace.
    pub trace_ids: &'a [u128],
}

impl<'a> Samples<'a> {
    /// The positions of the samples with one of the spans and traces.
    pub(crate) fn with(self, links: &Links) -> impl Iterator<Item = usize> {
        (0..self.stacks.len()).filter(move |&i| {
            let span = self.span_ids.get(i).copied().unwrap_or(0);
            links.hold(span, self.trace_ids.get(i).copied().unwrap_or(0))
        })
    }
}

/// Where the samples of one profile are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    stacks: At,
    values: ValuesAt,
    len: u32,
    /// In [`SampleStore::links`], or [`NO_LINKS`].
    links: u32,
}

#[derive(Debug, Clone, Copy)]
enum ValuesAt {
    Narrow(At),
    Wide(At),
}

const NO_LINKS: u32 = u32::MAX;

/// Columns being gathered for one profile, reused from profile to profile.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) stacks: Vec<u32>,
    pub(crate) values: Vec<i64>,
    /// As long as `stacks`, or empty.
    pub(crate) span_ids: Vec<u64>,
    /// As long as `stacks`, or empty.
    pub(crate) trace_ids: Vec<u128>,
}

impl Gathered {
    pub(crate) fn clear(&mut self) {
        self.stacks.clear();
        self.values.clear();
        self.span_ids.clear();
        self.trace_ids.clear();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.stacks.capacity() * 4
            + (self.values.capacity() + self.span_ids.capacity()) * 8
            + self.trace_ids.capacity() * 16
    }
}

#[derive(Debug, Default)]
pub(crate) struct SampleStore {
    /// Stack ids and narrow values.
    words: Arena<u32>,
    wide: Arena<i64>,
    span_ids: Arena<u64>,
    trace_ids: Arena<u128>,
    /// Spans and traces of the few profiles that have them.
    links: Vec<(Option<At>, Option<At>)>,
}

impl SampleStore {
    /// Stores what was gathered. `same_stacks` is where equal stacks lie already: the sample types of one pprof mostly
    /// share them.
    pub(crate) fn put(&mut self, g: &Gathered, same_stacks: Option<&Place>) -> Place {
        let stacks = match same_stacks {
            Some(place) => place.stacks,
            None => self.words.put(g.stacks.iter().copied()),
        };
        // Every value's high half is 0 exactly when that of their union is.
        let narrow = g.values.iter().fold(0, |all, v| all | v) as u64 <= u64::from(u32::MAX);
        let values = if narrow {
            ValuesAt::Narrow(self.words.put(g.values.iter().map(|v| *v as u32)))
        } else {
            ValuesAt::Wide(self.wide.put(g.values.iter().copied()))
        };
        let spans = g.span_ids.iter().any(|id| *id != 0).then(|| self.span_ids.put(g.span_ids.iter().copied()));
        let traces = g.trace_ids.iter().any(|id| *id != 0).then(|| self.trace_ids.put(g.trace_ids.iter().copied()));
        let links = if spans.is_none() && traces.is_none() {
            NO_LINKS
        } else {
            self.links.push((spans, traces));
            (self.links.len() - 1) as u32
        };
        Place { stacks, values, len: g.stacks.len() as u32, links }
    }

    pub(crate) fn get(&self, place: &Place) -> Samples<'_> {
        let (spans, traces) = self.links.get(place.links as usize).copied().unwrap_or_default();
        Samples {
            stacks: self.words.get(place.stacks, place.len),
            values: match place.values {
                ValuesAt::Narrow(at) => Values::Narrow(self.words.get(at, place.len)),
                ValuesAt::Wide(at) => Values::Wide(self.wide.get(at, place.len)),
            },
            span_ids: spans.map_or(&[], |at| self.span_ids.get(at, place.len)),
            trace_ids: traces.map_or(&[], |at| self.trace_ids.get(at, place.len)),
        }
    }

    /// Samples of a profile, and the bytes that they take. Stacks that profiles share count for each.
    pub(crate) fn size_of(&self, place: &Place) -> (u64, u64) {
        let (spans, traces) = self.links.get(place.links as usize).copied().unwrap_or_default();
        let value = match place.values {
            ValuesAt::Narrow(_) => 4,
            ValuesAt::Wide(_) => 8,
        };
        let each = 4 + value + if spans.is_some() { 8 } else { 0 } + if traces.is_some() { 16 } else { 0 };
        (u64::from(place.len), u64::from(place.len) * each)
    }

    /// Whether `more` profiles can be named.
    pub(crate) fn check_room(&self, more: usize) -> Result<(), Fault> {
        if self.links.len() + more >= NO_LINKS as usize {
            return Err(Fault::unavailable(
                "the head of this service holds 4294967295 profiles with spans; it must be cut first, then push again",
            ));
        }
        Ok(())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.words.bytes()
            + self.wide.bytes()
            + self.span_ids.bytes()
            + self.trace_ids.bytes()
            + self.links.capacity() * size_of::<(Option<At>, Option<At>)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_narrow_only_while_all_fit() {
        for (values, narrow) in [
            (vec![1, i64::from(u32::MAX)], true),
            (vec![1, i64::from(u32::MAX) + 1], false),
            (vec![-1, 1], false),
            (vec![i64::MIN], false),
        ] {
            let mut store = SampleStore::default();
            let g = Gathered { stacks: vec![7; values.len()], values: values.clone(), ..Gathered::default() };
            let place = store.put(&g, None);
            let got = store.get(&place);
            assert_eq!(matches!(got.values, Values::Narrow(_)), narrow, "{values:?}");
            assert_eq!(got.values.iter().collect::<Vec<_>>(), values);
        }
    }

    #[test]
    fn ids_that_are_all_zero_are_not_kept() {
        let mut store = SampleStore::default();
        let g = Gathered { stacks: vec![1, 2], values: vec![1, 2], span_ids: vec![0, 9], trace_ids: vec![0, 0] };
        let place = store.put(&g, None);
        let got = store.get(&place);
        assert_eq!((got.span_ids, got.trace_ids), ([0, 9].as_slice(), [].as_slice()));
    }
}
