//! Series, profiles and samples of a dataset, side by side.

use std::ops::Range;
use std::sync::Arc;

use flamestore_model::{Annotation, Fault, Labels, ProfileId, TimeRange, Values};
use parquet::data_type::{FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type};

use super::DatasetSource;
use super::rows::{Column, Portions};
use crate::layout::Table;
use crate::read::columns::{Checked, Decoded};
use crate::read::series::{SeriesRows, decode};
use crate::read::{Hidden, annotations, hidden};
use crate::refusal::corrupt;
use crate::write::ProfileInput;

/// Series that are decoded together.
const SERIES: u64 = 1 << 8;
/// Profiles that are decoded together.
const PROFILES: u64 = 1 << 10;

/// What is known of a profile before its samples are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileHead {
    pub time_nanos: i64,
    pub profile_id: ProfileId,
}

/// Where reading stands: at a series, at one of its profiles, before that one's samples. Deleted profiles are passed over.
pub struct ProfileReader {
    hidden: Arc<[Hidden]>,
    /// Stacks of the dataset, the root too.
    stacks: u64,
    series: SeriesColumns,
    profiles: ProfileColumns,
    samples: SampleColumns,
    /// Of the open series: profiles and samples still to come, and times that were deleted.
    left: (u64, u64),
    deleted: Vec<TimeRange>,
    duration_nanos: i64,
    head: Option<ProfileHead>,
}

struct SeriesColumns {
    columns: Arc<Checked>,
    left: Range<u64>,
    portion: Option<SeriesRows>,
    at: usize,
}

struct ProfileColumns {
    columns: Arc<Checked>,
    portions: Portions,
    next: u64,
    times: (Column<Int64Type>, Decoded<i64>),
    durations: (Column<Int64Type>, Decoded<i64>),
    ids: (Column<FixedLenByteArrayType>, Decoded<FixedLenByteArray>),
    counts: (Column<Int32Type>, Decoded<i32>),
    /// Of each row of the open portion. Empty when the file has none.
    annotations: Vec<Vec<Annotation>>,
}

struct SampleColumns {
    columns: Arc<Checked>,
    next: u64,
    end: u64,
    /// Samples of the profile at hand that were not read.
    waiting: u64,
    stacks: (Column<Int32Type>, Decoded<i32>),
    values: (Column<Int64Type>, Decoded<i64>),
    spans: Option<(Column<FixedLenByteArrayType>, Decoded<FixedLenByteArray>)>,
    traces: Option<(Column<FixedLenByteArrayType>, Decoded<FixedLenByteArray>)>,
    stack_ids: Vec<u32>,
    span_ids: Vec<u64>,
    trace_ids: Vec<u128>,
}

impl ProfileReader {
    pub(super) fn new(of: &DatasetSource) -> Result<Self, Fault> {
        let (columns, rows) = (of.columns(Table::Profiles)?, of.range(Table::Profiles));
        let profiles = ProfileColumns {
            next: rows.start,
            times: (Column::from(&columns, "time", rows.start), Decoded::none()),
            durations: (Column::from(&columns, "duration_nanos", rows.start), Decoded::none()),
            ids: (Column::from(&columns, "profile_id", rows.start), Decoded::none()),
            counts: (Column::from(&columns, "sample_count", rows.start), Decoded::none()),
            annotations: Vec::new(),
            portions: Portions::of(rows, PROFILES),
            columns,
        };
        let (columns, rows) = (of.columns(Table::Samples)?, of.range(Table::Samples));
        let ids = |path| columns.has(path).then(|| (Column::from(&columns, path, rows.start), Decoded::none()));
        let samples = SampleColumns {
            next: rows.start,
            end: rows.end,
            waiting: 0,
            stacks: (Column::from(&columns, "stacktrace_id", rows.start), Decoded::none()),
            values: (Column::from(&columns, "value", rows.start), Decoded::none()),
            spans: ids("span_id"),
            traces: ids("trace_id"),
            stack_ids: Vec::new(),
            span_ids: Vec::new(),
            trace_ids: Vec::new(),
            columns,
        };
        let series =
            SeriesColumns { columns: of.columns(Table::Series)?, left: of.range(Table::Series), portion: None, at: 0 };
        Ok(ProfileReader {
            hidden: of.source.hidden.clone(),
            stacks: of.rows.stacktraces.1 + 1,
            series,
            profiles,
            samples,
            left: (0, 0),
            deleted: Vec::new(),
            duration_nanos: 0,
            head: None,
        })
    }

    /// Moves to the next series, past what is left of the one before. False: there is none.
    pub fn next_series(&mut self) -> Result<bool, Fault> {
        while self.next_profile()?.is_some() {}
        let series = &mut self.series;
        series.at += 1;
        if series.portion.as_ref().is_none_or(|portion| series.at >= portion.len()) {
            let n = SERIES.min(series.left.end - series.left.start);
            if n == 0 {
                series.portion = None;
                let unread = self.profiles.portions.more().0 || self.samples.next != self.samples.end;
                let what = "its series have other profiles than there are";
                return if unread { Err(corrupt(self.profiles.columns.name(), what)) } else { Ok(false) };
            }
            series.portion = Some(decode(&series.columns, series.left.start..series.left.start + n)?);
            series.left.start += n;
            series.at = 0;
        }
        let Some(row) = series.portion.as_ref().and_then(|portion| portion.get(series.at)) else { return Ok(false) };
        if (row.first_profile, row.first_sample) != (self.profiles.next, self.samples.next) {
            return Err(corrupt(self.profiles.columns.name(), "its series do not follow each other"));
        }
        self.left = (row.profiles, row.samples);
        self.deleted = hidden::times(&self.hidden, row);
        Ok(true)
    }

    /// Profile type and labels of the series that was moved to.
    pub fn series(&self) -> Option<(&str, &Labels)> {
        let row = self.series.portion.as_ref()?.get(self.series.at)?;
        Some((&row.profile_type, &row.labels))
    }

    /// Moves to the next profile of the series.
    pub fn next_profile(&mut self) -> Result<Option<ProfileHead>, Fault> {
        self.head = None;
        while self.left.0 > 0 {
            self.samples.skip();
            let Some((head, duration, samples)) = self.profiles.next()? else {
                return Err(corrupt(self.profiles.columns.name(), "its series have other profiles than there are"));
            };
            if samples > self.left.1 || samples > self.samples.end - self.samples.next {
                return Err(corrupt(self.profiles.columns.name(), "its profiles have other samples than there are"));
            }
            self.left = (self.left.0 - 1, self.left.1 - samples);
            self.samples.waiting = samples;
            if !hidden::is_in(&self.deleted, head.time_nanos) {
                (self.head, self.duration_nanos) = (Some(head), duration);
                return Ok(self.head);
            }
        }
        self.samples.skip();
        if self.left.1 > 0 {
            return Err(corrupt(self.profiles.columns.name(), "its profiles have other samples than there are"));
        }
        Ok(None)
    }

    /// Reads the profile that was moved to, once. Stacks have their ids here, all below those that there are, and climb.
    pub fn profile(&mut self) -> Result<ProfileInput<'_>, Fault> {
        let Some(head) = self.head.take() else {
            return Err(Fault::internal("a profile of a block is read twice"));
        };
        self.samples.read(self.stacks)?;
        Ok(ProfileInput {
            time_nanos: head.time_nanos,
            duration_nanos: self.duration_nanos,
            profile_id: head.profile_id,
            stacks: &self.samples.stack_ids,
            values: Values::Wide(&self.samples.values.1.values),
            span_ids: &self.samples.span_ids,
            trace_ids: &self.samples.trace_ids,
            annotations: self.profiles.annotations(),
        })
    }
}

impl ProfileColumns {
    /// Of the row that was taken last.
    fn annotations(&self) -> &[Annotation] {
        let at = self.portions.taken.checked_sub(1);
        at.and_then(|at| self.annotations.get(at)).map_or(&[], Vec::as_slice)
    }

    /// Head, duration and number of samples.
    fn next(&mut self) -> Result<Option<(ProfileHead, i64, u64)>, Fault> {
        let (more, fill) = self.portions.more();
        if let Some(rows) = fill {
            self.times.0.required(rows, &mut self.times.1)?;
            self.durations.0.required(rows, &mut self.durations.1)?;
            self.ids.0.required(rows, &mut self.ids.1)?;
            self.counts.0.required(rows, &mut self.counts.1)?;
            self.annotations = annotations::of(&self.columns, std::slice::from_ref(&(self.next..self.next + rows)))?;
        }
        if !more {
            return Ok(None);
        }
        let i = self.portions.take();
        let id = <[u8; 16]>::try_from(self.ids.1.values[i].data());
        let id = id.map_err(|_| corrupt(self.columns.name(), "a profile id is too short"))?;
        self.next += 1;
        let head = ProfileHead { time_nanos: self.times.1.values[i], profile_id: ProfileId(id) };
        Ok(Some((head, self.durations.1.values[i], u64::from(self.counts.1.values[i] as u32))))
    }
}

impl SampleColumns {
    fn skip(&mut self) {
        let n = std::mem::take(&mut self.waiting);
        self.next += n;
        self.stacks.0.skip(n);
        self.values.0.skip(n);
        for (column, _) in self.spans.iter_mut().chain(&mut self.traces) {
            column.skip(n);
        }
    }

    fn read(&mut self, known: u64) -> Result<(), Fault> {
        let n = std::mem::take(&mut self.waiting);
        self.next += n;
        self.stacks.0.required(n, &mut self.stacks.1)?;
        self.values.0.required(n, &mut self.values.1)?;
        self.stack_ids.clear();
        self.stack_ids.extend(self.stacks.1.values.iter().map(|id| *id as u32));
        if !self.stack_ids.is_sorted() {
            return Err(corrupt(self.columns.name(), "the samples of a profile are out of order"));
        }
        if self.stack_ids.last().is_some_and(|id| u64::from(*id) >= known) {
            return Err(corrupt(self.columns.name(), "a stack id is too large"));
        }
        self.span_ids.clear();
        if let Some((column, portion)) = &mut self.spans {
            column.read(n, portion)?;
            ids(&self.columns, portion, n, &mut self.span_ids, u64::from_be_bytes)?;
        }
        self.trace_ids.clear();
        if let Some((column, portion)) = &mut self.traces {
            column.read(n, portion)?;
            ids(&self.columns, portion, n, &mut self.trace_ids, u128::from_be_bytes)?;
        }
        Ok(())
    }
}

/// One number a row; 0 for null. Stays empty when all are null.
fn ids<const N: usize, T: Default>(
    columns: &Checked,
    portion: &Decoded<FixedLenByteArray>,
    rows: u64,
    out: &mut Vec<T>,
    number: impl Fn([u8; N]) -> T,
) -> Result<(), Fault> {
    if portion.values.is_empty() {
        return Ok(());
    }
    let mut next = 0;
    for i in 0..rows as usize {
        out.push(match portion.take(i, &mut next) {
            None => T::default(),
            Some(id) => <[u8; N]>::try_from(id.data())
                .map(&number)
                .map_err(|_| corrupt(columns.name(), "an id has another length than its column"))?,
        });
    }
    Ok(())
}
