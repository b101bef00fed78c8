//! A dataset read as a whole, for whoever writes it again.

use std::ops::Range;
use std::sync::Arc;

use flamestore_model::{Annotation, Fault, Labels, ProfileId, TimeRange, Values};
use flamestore_symbols::Symbols;

use crate::layout::Table;
use crate::read::annotations;
use crate::read::columns::Checked;
use crate::read::series::SeriesRows;
use crate::read::{Block, blocking, hidden};
use crate::refusal::corrupt;
use crate::write::ProfileInput;

/// Everything that a block holds of one service. Profiles are numbered through all series; a series' profiles follow each
/// other, sorted by (time, id), and so do a profile's samples.
#[derive(Debug)]
pub struct Whole {
    symbols: Arc<Symbols>,
    series: Arc<SeriesRows>,
    /// By series: times that were deleted.
    deleted: Vec<Vec<TimeRange>>,
    times: Vec<i64>,
    durations: Vec<i64>,
    ids: Vec<ProfileId>,
    /// Where the samples of a profile end.
    ends: Vec<usize>,
    stacks: Vec<u32>,
    values: Vec<i64>,
    /// 0: none. Empty when no sample has one.
    spans: Vec<u64>,
    traces: Vec<u128>,
    /// By profile. Empty when none has one.
    annotations: Vec<Vec<Annotation>>,
}

impl Block {
    /// Reads a whole dataset, decoded: about 12 bytes a sample, 60 a profile, and its symbols.
    pub async fn whole(&self, dataset: usize) -> Result<Whole, Fault> {
        let rows = self.dataset(dataset)?.rows;
        let (profiles, samples) = (rows.profiles.range(), rows.samples.range());
        let one = std::slice::from_ref;
        let of_profiles = ["time", "duration_nanos", "profile_id", "sample_count"];
        let of_profiles: Vec<&str> = of_profiles.into_iter().chain(annotations::PATHS).collect();
        let (symbols, series, profile_columns, sample_columns) = futures::try_join!(
            self.symbols_of(dataset),
            self.series_of(dataset),
            self.columns(Table::Profiles, &of_profiles, one(&profiles)),
            self.columns(Table::Samples, &["stacktrace_id", "value", "span_id", "trace_id"], one(&samples)),
        )?;
        let hidden = self.hidden.clone();
        blocking(move || {
            let deleted = series.iter().map(|row| hidden::times(&hidden, row)).collect();
            let whole =
                decode(symbols, series, &profile_columns.check()?, profiles, &sample_columns.check()?, samples)?;
            Ok(Whole { deleted, ..whole })
        })
        .await
    }
}

fn decode(
    symbols: Arc<Symbols>,
    series: Arc<SeriesRows>,
    profile_columns: &Checked,
    profiles: Range<u64>,
    sample_columns: &Checked,
    samples: Range<u64>,
) -> Result<Whole, Fault> {
    let rows = std::slice::from_ref(&profiles);
    let times = profile_columns.i64s("time", rows)?;
    let durations = profile_columns.i64s("duration_nanos", rows)?;
    let counts = profile_columns.u32s("sample_count", rows)?;
    let mut ids = Vec::with_capacity(times.len());
    for id in profile_columns.fixed("profile_id", rows)? {
        let id = <[u8; 16]>::try_from(id.data());
        ids.push(ProfileId(id.map_err(|_| corrupt(profile_columns.name(), "a profile id is too short"))?));
    }
    let mut end = 0usize;
    let ends: Vec<usize> = counts
        .iter()
        .map(|n| {
            end += *n as u32 as usize;
            end
        })
        .collect();

    let rows = std::slice::from_ref(&samples);
    let stacks: Vec<u32> = sample_columns.u32s("stacktrace_id", rows)?.into_iter().map(|id| id as u32).collect();
    let values = sample_columns.i64s("value", rows)?;
    let known = symbols.stacks.parent.len();
    if stacks.iter().any(|id| *id as usize >= known) {
        return Err(corrupt(sample_columns.name(), "a stack id is too large"));
    }
    if end != stacks.len() {
        return Err(corrupt(profile_columns.name(), "its profiles have other samples than there are"));
    }
    let (mut next_profile, mut next_sample) = (profiles.start, samples.start);
    for row in series.iter() {
        if (row.first_profile, row.first_sample) != (next_profile, next_sample) {
            return Err(corrupt(profile_columns.name(), "its series do not follow each other"));
        }
        next_profile = next_profile.saturating_add(row.profiles);
        next_sample = next_sample.saturating_add(row.samples);
    }
    if next_profile != profiles.end {
        return Err(corrupt(profile_columns.name(), "its series have other profiles than there are"));
    }
    let spans = match sample_columns.has("span_id") {
        true => fixed_or_zero(sample_columns, "span_id", rows, u64::from_be_bytes)?,
        false => Vec::new(),
    };
    let traces = match sample_columns.has("trace_id") {
        true => fixed_or_zero(sample_columns, "trace_id", rows, u128::from_be_bytes)?,
        false => Vec::new(),
    };
    let annotations = annotations::of(profile_columns, std::slice::from_ref(&profiles))?;
    Ok(Whole {
        symbols,
        series,
        deleted: Vec::new(),
        times,
        durations,
        ids,
        ends,
        stacks,
        values,
        spans,
        traces,
        annotations,
    })
}

fn fixed_or_zero<const N: usize, T: Default>(
    columns: &Checked,
    path: &str,
    rows: &[Range<u64>],
    number: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, Fault> {
    let ids = columns.optional_fixed(path, rows)?;
    ids.into_iter()
        .map(|id| match id {
            None => Ok(T::default()),
            Some(id) => <[u8; N]>::try_from(id.data())
                .map(&number)
                .map_err(|_| corrupt(columns.name(), "an id has another length than its column")),
        })
        .collect()
}

impl Whole {
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// Labels, profile type and profile numbers of each series, sorted by (profile type, labels). Deleted profiles are
    /// left out.
    pub fn series(&self) -> impl Iterator<Item = (&Labels, &str, impl Iterator<Item = usize>)> {
        let mut next = 0;
        self.series.iter().zip(&self.deleted).map(move |(row, deleted)| {
            let first = next;
            next += row.profiles as usize;
            let shown = move |profile: &usize| !hidden::is_in(deleted, self.times[*profile]);
            (&row.labels, &*row.profile_type, (first..next).filter(shown))
        })
    }

    pub fn time_nanos(&self, profile: usize) -> i64 {
        self.times[profile]
    }

    pub fn profile_id(&self, profile: usize) -> ProfileId {
        self.ids[profile]
    }

    /// One profile; its stack ids are those of the last [`Whole::renumber`], or of [`Whole::symbols`].
    pub fn profile(&self, profile: usize) -> ProfileInput<'_> {
        let start = profile.checked_sub(1).map_or(0, |before| self.ends[before]);
        let samples = start..self.ends[profile];
        fn links<T>(ids: &[T], samples: Range<usize>) -> &[T] {
            if ids.is_empty() { &[] } else { &ids[samples] }
        }
        ProfileInput {
            time_nanos: self.times[profile],
            duration_nanos: self.durations[profile],
            profile_id: self.ids[profile],
            stacks: &self.stacks[samples.clone()],
            values: Values::Wide(&self.values[samples.clone()]),
            span_ids: links(&self.spans, samples.clone()),
            trace_ids: links(&self.traces, samples),
            annotations: self.annotations.get(profile).map_or(&[], Vec::as_slice),
        }
    }

    /// Gives every stack another id, and lets go of what the old ones meant.
    ///
    /// Fails when `to` is shorter than the table of stacks.
    pub fn renumber(&mut self, to: &[u32]) -> Result<(), Fault> {
        if to.len() < self.symbols.stacks.parent.len() {
            return Err(Fault::internal("a block's stacks are renumbered by too short a table"));
        }
        self.stacks.iter_mut().for_each(|stack| *stack = to[*stack as usize]);
        self.symbols = Arc::default();
        Ok(())
    }
}
