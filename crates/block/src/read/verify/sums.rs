//! Whether roll-ups sum up what stands in samples.parquet, while that is gone through.

use std::collections::VecDeque;
use std::ops::Range;

use flamestore_model::Fault;

use crate::layout::{Resolution, Table};
use crate::meta::DatasetRows;
use crate::read::columns::Checked;
use crate::read::rollup::{self, Bucket, joined};
use crate::read::{Block, blocking};
use crate::refusal::corrupt;

/// The most sums of a bucket; no writer makes more.
const MAX_SUMS: u64 = 1 << 18;

pub(super) const SUM_PATHS: [&str; 3] = ["rollup_row", "stacktrace_id", "value"];

/// The buckets of one resolution of a dataset, of its series or of all series of its types: they follow each other.
pub(super) struct Tally {
    table: Table,
    /// Key of the file of buckets.
    name: String,
    nanos: Option<i64>,
    buckets: Vec<Told>,
    /// The bucket of the next profile, and that of the next sample.
    at_profile: usize,
    at_sample: usize,
    /// Sums of buckets that begin in the samples at hand: bucket, stack, sum.
    held: VecDeque<(u64, u32, i64)>,
    /// Of the bucket of the next sample: stack, its sum, and what its samples have come to, once there is one.
    open: Vec<(u32, i64, Option<i64>)>,
}

/// A bucket, and what it says of itself.
struct Told {
    bucket: Bucket,
    row: u64,
    series: Option<u32>,
    total: i64,
    /// What the profiles that have been gone through come to.
    seen: i64,
}

/// Sums that are needed to go through some samples.
pub(super) struct Wanted {
    pub(super) tally: usize,
    pub(super) table: Table,
    pub(super) rows: Vec<Range<u64>>,
}

impl Block {
    /// What the roll-ups of a dataset say; nothing where it has none.
    pub(super) async fn tallies(&self, dataset: usize) -> Result<Vec<Tally>, Fault> {
        let known = self.dataset(dataset)?.rows;
        let mut tallies = Vec::new();
        for resolution in Resolution::ALL {
            let rows = known.of(Table::RollUp(resolution)).range();
            if !rows.is_empty() {
                let one = std::slice::from_ref(&rows);
                let columns = self.columns(Table::RollUp(resolution), &rollup::PATHS_AND_TOTAL, one).await?;
                tallies.extend(blocking(move || Tally::of(&columns.check()?, rows, &known, resolution)).await?);
            }
        }
        Ok(tallies)
    }
}

impl Tally {
    fn of(
        columns: &Checked,
        rows: Range<u64>,
        known: &DatasetRows,
        resolution: Resolution,
    ) -> Result<Vec<Self>, Fault> {
        let one = std::slice::from_ref(&rows);
        let wrong = |row: u64, what: &str| Err(corrupt(columns.name(), format_args!("row {row}: {what}")));
        let series = columns.optional_u32s("series_id", one)?;
        let (numbers, totals) = (columns.u32s("rollup_row", one)?, columns.i64s("total_value", one)?);
        let buckets = rollup::decode(columns, rows.clone(), known, resolution)?;
        let (mut of_series, mut of_types) = (buckets.of_series.into_iter(), buckets.of_types.into_iter());
        let sums = known.of(Table::RollUpSamples(resolution)).range();
        let (mut tallies, mut next_sum) = ([Vec::new(), Vec::new()], sums.start);
        for (i, row) in rows.enumerate() {
            let (next, list) = match series[i] {
                Some(_) => (of_series.next(), 0),
                None => (of_types.next(), 1),
            };
            let Some(bucket) = next else { return wrong(row, "its bucket is not there") };
            if u64::from(numbers[i] as u32) != row {
                return wrong(row, "its rollup_row is another");
            }
            if bucket.sums.start != next_sum {
                return wrong(row, "its sums do not follow those of the row before");
            }
            next_sum = bucket.sums.end;
            let sums = bucket.sums.end - bucket.sums.start;
            if bucket.profiles.is_empty() || sums > MAX_SUMS || sums > bucket.samples.end - bucket.samples.start {
                return wrong(row, "it has no profiles, or more sums than there can be");
            }
            tallies[list].push(Told { bucket, row, series: series[i].map(|id| id as u32), total: totals[i], seen: 0 });
        }
        if next_sum != sums.end {
            return Err(corrupt(columns.name(), "its buckets have other sums than there are"));
        }
        let name = columns.name().to_owned();
        let tally = |buckets| Tally {
            table: Table::RollUpSamples(resolution),
            name: name.clone(),
            nanos: resolution.nanos(),
            buckets,
            at_profile: 0,
            at_sample: 0,
            held: VecDeque::new(),
            open: Vec::new(),
        };
        Ok(tallies.into_iter().filter(|buckets| !buckets.is_empty()).map(tally).collect())
    }

    fn wrong(&self, row: u64, what: &str) -> Fault {
        corrupt(&self.name, format_args!("row {row}: {what}"))
    }

    /// The next profile, with its rows of samples.parquet.
    pub(super) fn profile(
        &mut self,
        row: u64,
        series: u64,
        time: i64,
        samples: &Range<u64>,
        total: i64,
    ) -> Result<(), Fault> {
        let Some(told) = self.buckets.get_mut(self.at_profile).filter(|told| told.bucket.profiles.start <= row) else {
            return Ok(());
        };
        let (bucket, of) = (&told.bucket, told.row);
        told.seen = told.seen.saturating_add(total);
        let (first, last) = (row == bucket.profiles.start, row + 1 == bucket.profiles.end);
        let adds_up = told.seen == told.total;
        let in_time = self.nanos.is_none_or(|nanos| (bucket.time..bucket.time.saturating_add(nanos)).contains(&time));
        let what = if (first && samples.start != bucket.samples.start) || (last && samples.end != bucket.samples.end) {
            "its samples are not those of its profiles"
        } else if told.series.is_some_and(|id| u64::from(id) != series) {
            "it has a profile of another series"
        } else if !in_time {
            "it has a profile of another time"
        } else if last && !adds_up {
            "its total_value is not that of its profiles"
        } else {
            self.at_profile += usize::from(last);
            return Ok(());
        };
        Err(self.wrong(of, what))
    }

    /// The rows of sums of the buckets that begin in these samples.
    pub(super) fn wanted(&self, tally: usize, samples: &Range<u64>) -> Option<Wanted> {
        let begin = |told: &&Told| !told.bucket.samples.is_empty() && samples.contains(&told.bucket.samples.start);
        let rest = self.buckets.get(self.at_sample..).unwrap_or_default();
        let near = rest.iter().take_while(|told| told.bucket.samples.start < samples.end);
        let rows = joined(near.filter(begin).map(|told| told.bucket.sums.clone()));
        (!rows.is_empty()).then_some(Wanted { tally, table: self.table, rows })
    }

    /// Takes the sums that were wanted.
    pub(super) fn hold(&mut self, columns: &Checked, rows: &[Range<u64>]) -> Result<(), Fault> {
        let (of, stacks) = (columns.u32s("rollup_row", rows)?, columns.u32s("stacktrace_id", rows)?);
        let values = columns.i64s("value", rows)?;
        let sums = of.into_iter().zip(stacks).zip(values);
        self.held.extend(sums.map(|((row, stack), value)| (u64::from(row as u32), stack as u32, value)));
        Ok(())
    }

    /// The next sample.
    pub(super) fn sample(&mut self, row: u64, stack: u32, value: i64) -> Result<(), Fault> {
        while self.buckets.get(self.at_sample).is_some_and(|told| told.bucket.samples.is_empty()) {
            self.at_sample += 1;
        }
        let Some(told) = self.buckets.get(self.at_sample).filter(|told| told.bucket.samples.start <= row) else {
            return Ok(());
        };
        let (of, first, end) = (told.row, told.bucket.samples.start == row, told.bucket.samples.end);
        if first {
            self.open(of)?;
        }
        let found = self.open.binary_search_by_key(&stack, |(stack, _, _)| *stack).ok();
        let Some((_, _, seen)) = found.and_then(|at| self.open.get_mut(at)) else {
            return Err(self.wrong(of, "a stack of its samples has no sum"));
        };
        *seen = Some(seen.unwrap_or(0).saturating_add(value));
        if row + 1 == end {
            if self.open.iter().any(|(_, sum, seen)| *seen != Some(*sum)) {
                return Err(self.wrong(of, "its sums are not those of its samples"));
            }
            self.at_sample += 1;
        }
        Ok(())
    }

    /// Moves the sums of a bucket from what is held to what is open.
    fn open(&mut self, row: u64) -> Result<(), Fault> {
        self.open.clear();
        while let Some((_, stack, value)) = self.held.front().copied().filter(|(of, _, _)| *of == row) {
            self.held.pop_front();
            if self.open.last().is_some_and(|(last, _, _)| *last >= stack) {
                return Err(self.wrong(row, "its sums are not in order"));
            }
            self.open.push((stack, value, None));
        }
        Ok(())
    }

    /// All profiles and samples have been seen.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        let empty = |told: &Told| told.bucket.samples.is_empty();
        let rest = self.buckets.get(self.at_sample..).unwrap_or_default();
        if self.at_profile < self.buckets.len() || !self.held.is_empty() || !rest.iter().all(empty) {
            return Err(corrupt(&self.name, "its buckets have profiles or samples that are not there"));
        }
        Ok(())
    }
}
