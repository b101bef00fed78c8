//! Roll-ups: what buckets of time sum up to by stack, made while samples are written.
//!
//! Hours are summed up from five minutes, a series from its hours, a profile type from its series; so each sample is
//! added once. Holds the four open buckets and, for each resolution, some rows that wait for their row group.

mod sink;
mod sums;

use flamestore_model::Fault;
use parquet::data_type::ByteArray;

use crate::layout::{Resolution, Table};
use crate::meta::DatasetRows;
use crate::write::input::ProfileInput;
use crate::write::series::changed;
use crate::write::table::{Encoded, Manner};
use sink::{Row, Sink};
use sums::Sums;

/// A roll-up is written where it has at most one row for so many samples: a reader then saves most of its work, and the block
/// grows by little. The shorter the buckets, the fewer of them a query reads, so the more each must save. Decided for each
/// profile type of a service.
const fn min_fold(resolution: Resolution) -> u64 {
    match resolution {
        Resolution::Block => 8,
        Resolution::Hour => 16,
        Resolution::FiveMinutes => 32,
    }
}

/// All series of a profile type are summed up where that has at most one row for this many of theirs.
const MIN_JOIN: u64 = 2;

/// Buckets, from short to long.
const FIVE_MINUTES: usize = 0;
const HOUR: usize = 1;
const SERIES: usize = 2;
const TYPE: usize = 3;

/// Some time of one series, or of all series of a type: rows that follow each other in profiles.parquet and
/// samples.parquet.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Its start, where it is one of a grid; otherwise of the first profile.
    time: i64,
    first_time: i64,
    first_profile: u32,
    profiles: u32,
    first_sample: u64,
    samples: u64,
    total: i64,
}

impl Bucket {
    /// With what comes next.
    fn and(self, next: Bucket) -> Bucket {
        Bucket {
            first_time: self.first_time.min(next.first_time),
            profiles: self.profiles + next.profiles,
            samples: self.samples + next.samples,
            total: self.total.saturating_add(next.total),
            ..self
        }
    }
}

/// A bucket that still grows.
struct Open {
    /// The length of buckets that start at multiples of it.
    grid: Option<i64>,
    bucket: Option<Bucket>,
    sums: Sums,
}

impl Open {
    fn new(grid: Option<i64>) -> Self {
        Open { grid, bucket: None, sums: Sums::default() }
    }

    fn holds(&self, time: i64) -> bool {
        match (self.grid, self.bucket) {
            (Some(grid), Some(bucket)) => bucket.first_time.div_euclid(grid) == time.div_euclid(grid),
            _ => true,
        }
    }

    fn add(&mut self, next: Bucket, sums: Option<&[(u32, i64)]>) {
        self.bucket = Some(match self.bucket {
            Some(bucket) => bucket.and(next),
            None => Bucket { time: self.start(next.first_time), ..next },
        });
        self.sums.add(sums);
    }

    fn start(&self, time: i64) -> i64 {
        self.grid.map_or(time, |grid| time.div_euclid(grid).checked_mul(grid).unwrap_or(i64::MIN))
    }
}

/// The roll-ups of a block in the making. Told of datasets, series and profiles in the order in which they are written.
pub(crate) struct RollUps {
    open: [Open; 4],
    /// As [`Resolution::ALL`].
    sinks: [Sink; 3],
    service: ByteArray,
    profile_type: ByteArray,
    series: u32,
    /// Series of the open profile type, and rows of their sums.
    series_of_type: u64,
    rows_of_series: u64,
    next_profile: u32,
    next_sample: u64,
}

impl RollUps {
    pub(crate) fn new(manner: &Manner) -> Result<Self, Fault> {
        let sink = |resolution| Sink::new(resolution, manner);
        let grid = Resolution::nanos;
        Ok(RollUps {
            open: [
                Open::new(grid(Resolution::FiveMinutes)),
                Open::new(grid(Resolution::Hour)),
                Open::new(None),
                Open::new(None),
            ],
            sinks: [sink(Resolution::Block)?, sink(Resolution::Hour)?, sink(Resolution::FiveMinutes)?],
            service: ByteArray::from(""),
            profile_type: ByteArray::from(""),
            series: 0,
            series_of_type: 0,
            rows_of_series: 0,
            next_profile: 0,
            next_sample: 0,
        })
    }

    /// Heap bytes of what is not on disk.
    pub(crate) fn held_bytes(&self) -> usize {
        let open: usize = self.open.iter().map(|open| open.sums.held_bytes()).sum();
        open + self.sinks.iter().map(Sink::held_bytes).sum::<usize>()
    }

    /// What follows is of this series. Only series with profiles are told.
    pub(crate) fn series(&mut self, service: &ByteArray, profile_type: &ByteArray, id: u32) -> Result<(), Fault> {
        self.end_series()?;
        if (&self.service, &self.profile_type) != (service, profile_type) {
            self.end_type()?;
            (self.service, self.profile_type) = (service.clone(), profile_type.clone());
        }
        self.series = id;
        self.series_of_type += 1;
        Ok(())
    }

    /// The next profile, as it is written.
    pub(crate) fn profile(&mut self, profile: &ProfileInput<'_>) -> Result<(), Fault> {
        let time = profile.time_nanos;
        for level in [FIVE_MINUTES, HOUR] {
            if !self.open[level].holds(time) {
                self.close(level, false)?;
            }
        }
        let n = profile.stacks.len() as u64;
        let sums = &mut self.open[FIVE_MINUTES].sums;
        profile.values.each(|i, value| {
            if let Some(stack) = profile.stacks.get(i) {
                sums.add_one(*stack, value);
            }
        });
        let bucket = Bucket {
            time,
            first_time: time,
            first_profile: self.next_profile,
            profiles: 1,
            first_sample: self.next_sample,
            samples: n,
            total: profile.values.total(),
        };
        self.open[FIVE_MINUTES].add(bucket, Some(&[]));
        self.next_profile = self.next_profile.checked_add(1).ok_or_else(changed)?;
        self.next_sample += n;
        Ok(())
    }

    /// The dataset is complete. Returns its rows, those of roll-ups only.
    pub(crate) fn end_dataset(&mut self) -> Result<DatasetRows, Fault> {
        self.end_series()?;
        self.end_type()?;
        let mut rows = DatasetRows::default();
        let [block, hour, five_minutes] = &mut self.sinks;
        (rows.rollup_block, rows.rollup_block_samples) = block.end_dataset();
        (rows.rollup_1h, rows.rollup_1h_samples) = hour.end_dataset();
        (rows.rollup_5m, rows.rollup_5m_samples) = five_minutes.end_dataset();
        Ok(rows)
    }

    /// The files of the resolutions that were worth it.
    pub(crate) fn finish(self) -> Result<Vec<(Table, Encoded)>, Fault> {
        let mut files = Vec::new();
        for sink in self.sinks {
            files.extend(sink.finish()?);
        }
        Ok(files)
    }

    fn end_series(&mut self) -> Result<(), Fault> {
        [FIVE_MINUTES, HOUR, SERIES].into_iter().try_for_each(|level| self.close(level, true))
    }

    fn end_type(&mut self) -> Result<(), Fault> {
        self.close(TYPE, true)?;
        (self.series_of_type, self.rows_of_series) = (0, 0);
        self.sinks.iter_mut().try_for_each(Sink::end_run)
    }

    /// Writes the open bucket of a level and adds it to the next one. `last`: its series ends.
    fn close(&mut self, level: usize, last: bool) -> Result<(), Fault> {
        let (below, above) = self.open.split_at_mut(level + 1);
        let Some(open) = below.last_mut() else { return Ok(()) };
        let Some(bucket) = open.bucket.take() else { return Ok(()) };
        // What would be the same as the sums of the series is not written twice.
        let is_whole_series = last && level < SERIES && above[..SERIES - level].iter().all(|o| o.bucket.is_none());
        let sums = open.sums.take();
        if let Some(next) = above.first_mut() {
            next.add(bucket, sums);
        }
        let Some(sums) = sums.filter(|_| !is_whole_series) else { return Ok(()) };
        let [block, hour, five_minutes] = &mut self.sinks;
        let sink = match level {
            FIVE_MINUTES => five_minutes,
            HOUR => hour,
            _ => block,
        };
        let rows = sums.len() as u64;
        if level == SERIES {
            self.rows_of_series += rows;
        }
        if level == TYPE && (self.series_of_type < 2 || rows * MIN_JOIN > self.rows_of_series) {
            return Ok(());
        }
        let row = Row {
            service: self.service.clone(),
            profile_type: self.profile_type.clone(),
            series: (level < TYPE).then_some(self.series),
            bucket,
            first: 0,
            count: sums.len() as u32,
        };
        sink.push(row, sums)
    }
}
