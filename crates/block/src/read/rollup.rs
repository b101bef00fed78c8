//! Roll-ups in place of samples: which buckets a query takes, and which rows are left.
//!
//! A bucket says which rows of profiles.parquet and samples.parquet it sums up. So whatever buckets there are, what they do
//! not cover is read as it is.

use std::ops::Range;
use std::sync::Arc;

use flamestore_model::{Fault, Filter, TimeRange};

use crate::layout::{Resolution, Table};
use crate::meta::DatasetRows;
use crate::read::cache::{Entry, Key, What};
use crate::read::columns::Checked;
use crate::read::pick::Piece;
use crate::read::series::SeriesRow;
use crate::read::{Block, blocking, hidden};
use crate::refusal::corrupt;

/// A bucket, by the rows that it sums up and those that hold its sums.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) time: i64,
    pub(crate) profiles: Range<u64>,
    pub(crate) samples: Range<u64>,
    pub(crate) sums: Range<u64>,
}

/// The buckets of one resolution of a dataset; they climb.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    pub(crate) of_series: Vec<Bucket>,
    /// Of all series of a profile type.
    pub(crate) of_types: Vec<Bucket>,
}

impl Buckets {
    pub(crate) fn bytes(&self) -> usize {
        (self.of_series.len() + self.of_types.len()) * size_of::<Bucket>()
    }
}

/// What is read for a query.
#[derive(Debug, Default)]
pub(crate) struct Rolled {
    /// Rows of sums, which climb, by resolution.
    pub(crate) taken: Vec<(Resolution, Vec<Range<u64>>)>,
    /// What no bucket has.
    pub(crate) left: Vec<Piece>,
}

impl Block {
    /// The same block, answering from samples alone.
    #[must_use]
    pub fn without_roll_ups(&self) -> Self {
        Block { raw_only: true, ..self.clone() }
    }

    /// Whether answers may come from roll-ups.
    pub fn has_roll_ups(&self) -> bool {
        !self.raw_only && self.meta.has_roll_ups()
    }

    /// Whether a query can do with sums: samples have profiles, spans and traces, sums have none.
    pub(crate) fn rolls_up(&self, filter: &Filter<'_>) -> bool {
        !self.raw_only && !filter.looks_at_ids() && !filter.looks_at_samples()
    }

    /// Takes the longest buckets that lie in the range of the query. `pieces` are whole series; those with deleted profiles
    /// stay.
    pub(crate) async fn roll_up(
        &self,
        dataset: usize,
        rows: &[SeriesRow],
        filter: &Filter<'_>,
        pieces: Vec<Piece>,
    ) -> Result<Rolled, Fault> {
        if !self.rolls_up(filter) {
            return Ok(Rolled { left: pieces, ..Rolled::default() });
        }
        let known = self.dataset(dataset)?.rows;
        let (mut left, hidden): (Vec<Piece>, Vec<Piece>) =
            pieces.into_iter().partition(|piece| hidden::times(&self.hidden, &rows[piece.row]).is_empty());
        let mut taken = Vec::new();
        for resolution in Resolution::ALL {
            let may_help = |piece: &Piece| resolution != Resolution::Block || filter.takes_all(rows[piece.row].range);
            if known.of(Table::RollUp(resolution)).1 == 0 || !left.iter().any(may_help) {
                continue;
            }
            let buckets = self.buckets_of(dataset, resolution).await?;
            let mut sums = Vec::new();
            left = match resolution.nanos() {
                None => whole(&buckets, rows, filter, left, &mut sums),
                Some(nanos) => {
                    let mut rest = Vec::new();
                    for piece in left {
                        let range = reach(filter.select().range, rows[piece.row].range);
                        split(&buckets.of_series, nanos, range, piece, &mut sums, &mut rest);
                    }
                    rest
                }
            };
            if !sums.is_empty() {
                sums.sort_unstable_by_key(|rows| rows.start);
                taken.push((resolution, joined(sums)));
            }
        }
        left.extend(hidden);
        left.sort_unstable_by_key(|piece| piece.profiles.start);
        Ok(Rolled { taken, left })
    }

    async fn buckets_of(&self, dataset: usize, resolution: Resolution) -> Result<Arc<Buckets>, Fault> {
        let what = What::RollUp(resolution, dataset as u32);
        let key = Key { tenant: self.tenant.clone(), block: self.meta.ulid, what };
        let load = Box::pin(async {
            let known = self.dataset(dataset)?.rows;
            let rows = known.of(Table::RollUp(resolution)).range();
            let columns = self.columns(Table::RollUp(resolution), &PATHS, std::slice::from_ref(&rows)).await?;
            blocking(move || {
                let buckets = decode(&columns.check()?, rows, &known, resolution)?;
                Ok(Entry::RollUp(Arc::new(buckets)))
            })
            .await
        });
        match self.cache.get(self.account(), key, load).await? {
            Entry::RollUp(buckets) => Ok(buckets),
            _ => Err(Fault::internal("block cache: a roll-up is something else")),
        }
    }
}

/// Profile types and series that lie in the range from end to end. Returns what is left.
fn whole(
    buckets: &Buckets,
    rows: &[SeriesRow],
    filter: &Filter<'_>,
    pieces: Vec<Piece>,
    sums: &mut Vec<Range<u64>>,
) -> Vec<Piece> {
    let inside = |piece: &Piece| filter.takes_all(rows[piece.row].range);
    let mut left = Vec::new();
    let mut pieces = pieces.as_slice();
    let mut types = buckets.of_types.iter();
    let mut next = types.next();
    while let Some((piece, rest)) = pieces.split_first() {
        while next.is_some_and(|bucket| bucket.profiles.end <= piece.profiles.start) {
            next = types.next();
        }
        if let Some(bucket) = next.filter(|bucket| bucket.profiles.start == piece.profiles.start) {
            let before = |end: u64| rows.partition_point(|row| row.first_profile < end);
            let series = before(bucket.profiles.end) - before(bucket.profiles.start);
            let of_type = pieces.partition_point(|piece| piece.profiles.start < bucket.profiles.end);
            if of_type == series && pieces[..of_type].iter().all(inside) {
                sums.push(bucket.sums.clone());
                pieces = &pieces[of_type..];
                continue;
            }
        }
        pieces = rest;
        let at = buckets.of_series.binary_search_by_key(&piece.profiles.start, |bucket| bucket.profiles.start);
        match at.ok().and_then(|at| buckets.of_series.get(at)).filter(|bucket| bucket.profiles == piece.profiles) {
            Some(bucket) if inside(piece) => sums.push(bucket.sums.clone()),
            _ => left.push(piece.clone()),
        }
    }
    left
}

/// The times of a series that a query wants. Where it wants the first profile, it also wants all time before.
fn reach(wanted: TimeRange, series: TimeRange) -> TimeRange {
    TimeRange {
        from_nanos: if wanted.from_nanos <= series.from_nanos { i64::MIN } else { wanted.from_nanos },
        to_nanos: if wanted.to_nanos >= series.to_nanos { i64::MAX } else { wanted.to_nanos },
    }
}

/// Takes the buckets of a piece that lie in the range, drops those that lie outside, and leaves the rest.
fn split(
    buckets: &[Bucket],
    nanos: i64,
    range: TimeRange,
    piece: Piece,
    sums: &mut Vec<Range<u64>>,
    left: &mut Vec<Piece>,
) {
    let mut rest = piece;
    let from = buckets.partition_point(|bucket| bucket.profiles.start < rest.profiles.start);
    for bucket in &buckets[from..] {
        let fits = bucket.profiles.end <= rest.profiles.end
            && rest.samples.start <= bucket.samples.start
            && bucket.samples.end <= rest.samples.end;
        if !fits {
            break;
        }
        let time = TimeRange { from_nanos: bucket.time, to_nanos: bucket.time.saturating_add(nanos - 1) };
        let inside = range.covers(time);
        if !inside && range.overlaps(time) {
            continue;
        }
        if inside {
            sums.push(bucket.sums.clone());
        }
        let before = Piece {
            row: rest.row,
            profiles: rest.profiles.start..bucket.profiles.start,
            samples: rest.samples.start..bucket.samples.start,
        };
        left.extend(Some(before).filter(|piece| !piece.profiles.is_empty()));
        rest.profiles.start = bucket.profiles.end;
        rest.samples.start = bucket.samples.end;
    }
    left.extend(Some(rest).filter(|piece| !piece.profiles.is_empty()));
}

/// Neighbouring ranges joined; they climb.
pub(crate) fn joined(ranges: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut out: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match out.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => out.push(range),
        }
    }
    out
}

const PATHS: [&str; 8] = [
    "series_id",
    "time",
    "profile_count",
    "first_profile",
    "sample_count",
    "first_sample",
    "rollup_sample_count",
    "first_rollup_sample",
];

/// What there is of a bucket beside its names.
pub(crate) const PATHS_AND_TOTAL: [&str; 10] = {
    let [a, b, c, d, e, f, g, h] = PATHS;
    [a, b, c, d, e, f, g, h, "rollup_row", "total_value"]
};

pub(crate) fn decode(
    columns: &Checked,
    rows: Range<u64>,
    known: &DatasetRows,
    resolution: Resolution,
) -> Result<Buckets, Fault> {
    let rows = std::slice::from_ref(&rows);
    let series = columns.optional_u32s("series_id", rows)?;
    let times = columns.i64s("time", rows)?;
    let profiles = columns.u32s("profile_count", rows)?;
    let first_profile = columns.u32s("first_profile", rows)?;
    let samples = columns.i64s("sample_count", rows)?;
    let first_sample = columns.i64s("first_sample", rows)?;
    let sums = columns.u32s("rollup_sample_count", rows)?;
    let first_sum = columns.i64s("first_rollup_sample", rows)?;
    let range = |first: u64, count: u64| first..first.saturating_add(count);
    let inside = |part: &Range<u64>, all: Range<u64>| all.start <= part.start && part.end <= all.end;
    let mut out = Buckets::default();
    for (i, series) in series.iter().enumerate() {
        let bucket = Bucket {
            time: times[i],
            profiles: range(u64::from(first_profile[i] as u32), u64::from(profiles[i] as u32)),
            samples: range(first_sample[i] as u64, samples[i] as u64),
            sums: range(first_sum[i] as u64, u64::from(sums[i] as u32)),
        };
        if !inside(&bucket.profiles, known.profiles.range())
            || !inside(&bucket.samples, known.samples.range())
            || !inside(&bucket.sums, known.of(Table::RollUpSamples(resolution)).range())
        {
            return Err(corrupt(columns.name(), "a bucket points outside its dataset"));
        }
        let others = if series.is_some() { &mut out.of_series } else { &mut out.of_types };
        if others.last().is_some_and(|last| last.profiles.end > bucket.profiles.start) {
            return Err(corrupt(columns.name(), "buckets overlap"));
        }
        others.push(bucket);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(time: i64, profiles: Range<u64>) -> Bucket {
        let samples = profiles.start * 10..profiles.end * 10;
        Bucket { time, samples, sums: profiles.clone(), profiles }
    }

    fn cut(range: (i64, i64)) -> (Vec<Range<u64>>, Vec<Range<u64>>) {
        // Buckets of 100; the one of 200 is missing.
        let buckets = [bucket(0, 0..5), bucket(100, 5..10), bucket(300, 12..20), bucket(300, 20..25)];
        let piece = Piece { row: 0, profiles: 0..20, samples: 0..200 };
        let range = TimeRange { from_nanos: range.0, to_nanos: range.1 };
        let (mut sums, mut left) = (Vec::new(), Vec::new());
        split(&buckets, 100, range, piece, &mut sums, &mut left);
        assert!(left.iter().all(|p| p.samples == (p.profiles.start * 10..p.profiles.end * 10)));
        (sums, left.into_iter().map(|p| p.profiles).collect())
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init)]
    fn a_bucket_is_taken_when_all_of_it_is_wanted_and_dropped_when_nothing_is() {
        assert_eq!(cut((i64::MIN, i64::MAX)), (vec![0..5, 5..10, 12..20], vec![10..12]));
        assert_eq!(cut((0, 199)), (vec![0..5, 5..10], vec![10..12]));
        assert_eq!(cut((0, 198)), (vec![0..5], vec![5..12]));
        assert_eq!(cut((1, 199)), (vec![5..10], vec![0..5, 10..12]));
        assert_eq!(cut((100, i64::MAX)), (vec![5..10, 12..20], vec![10..12]));
        assert_eq!(cut((150, 350)), (vec![], vec![5..20]));
    }

    #[test]
    fn beyond_its_last_profile_a_series_has_none() {
        let series = TimeRange { from_nanos: 10, to_nanos: 20 };
        let reach = |from_nanos, to_nanos| {
            let range = reach(TimeRange { from_nanos, to_nanos }, series);
            (range.from_nanos, range.to_nanos)
        };
        assert_eq!(reach(10, 20), (i64::MIN, i64::MAX));
        assert_eq!(reach(11, 19), (11, 19));
        assert_eq!(reach(5, 19), (i64::MIN, 19));
    }
}
