//! The two files of one resolution: buckets, and their sums by stack.

use flamestore_model::{Fault, Values};
use parquet::data_type::ByteArray;

use crate::layout::{Resolution, Table};
use crate::meta::Rows;
use crate::write::rollup::{Bucket, min_fold};
use crate::write::runs::{Distinct, MIN_GROUP_ROWS};
use crate::write::series::changed;
use crate::write::table::{Encoded, Manner, TableWriter};

/// Rows of sums that wait, after which they are written: 3 MiB.
const MAX_WAITING_SUMS: usize = 256 << 10;
/// Buckets that wait.
const MAX_WAITING_BUCKETS: usize = 64 << 10;
/// What a bucket costs beside its sums, in rows of sums.
const BUCKET_COST: u64 = 8;
const VALUE: usize = 3;

/// A row of the file of buckets.
pub(crate) struct Row {
    pub(crate) service: ByteArray,
    pub(crate) profile_type: ByteArray,
    /// `None`: all series of the type.
    pub(crate) series: Option<u32>,
    pub(crate) bucket: Bucket,
    /// Its rows in the file of sums, once they are written.
    pub(crate) first: u64,
    pub(crate) count: u32,
}

/// What is known of the profile type at hand.
#[derive(Default)]
struct Run {
    /// Where it starts among what waits, until it is decided on.
    first_bucket: usize,
    first_sum: usize,
    samples: u64,
    cost: u64,
    keep: Option<bool>,
}

pub(crate) struct Sink {
    resolution: Resolution,
    buckets: TableWriter,
    sums: TableWriter,
    waiting: Vec<Row>,
    /// How many of those that wait have their sums written.
    summed: usize,
    stacks: Vec<u32>,
    values: Vec<i64>,
    run: Run,
    rows_written: u32,
    sums_written: u64,
    /// Where the dataset at hand starts in both files.
    dataset: (u64, u64),
}

impl Sink {
    pub(crate) fn new(resolution: Resolution, manner: &Manner) -> Result<Self, Fault> {
        Ok(Sink {
            resolution,
            buckets: TableWriter::new(Table::RollUp(resolution), manner)?,
            sums: TableWriter::new(Table::RollUpSamples(resolution), manner)?,
            waiting: Vec::new(),
            summed: 0,
            stacks: Vec::new(),
            values: Vec::new(),
            run: Run::default(),
            rows_written: 0,
            sums_written: 0,
            dataset: (0, 0),
        })
    }

    /// Heap bytes of what is not on disk.
    pub(crate) fn held_bytes(&self) -> usize {
        let sums = self.stacks.capacity() * size_of::<u32>() + self.values.capacity() * size_of::<i64>();
        let waiting = self.waiting.capacity() * size_of::<Row>() + sums;
        waiting + self.buckets.held_bytes() + self.sums.held_bytes()
    }

    /// Takes a bucket; its sums are sorted by stack, each once.
    pub(crate) fn push(&mut self, row: Row, sums: &[(u32, i64)]) -> Result<(), Fault> {
        if self.run.keep == Some(false) {
            return Ok(());
        }
        // The samples of a type are counted with its series.
        self.run.samples += if row.series.is_some() { row.bucket.samples } else { 0 };
        self.run.cost += BUCKET_COST + sums.len() as u64;
        self.waiting.push(row);
        self.stacks.extend(sums.iter().map(|(stack, _)| *stack));
        self.values.extend(sums.iter().map(|(_, value)| *value));
        if self.stacks.len() >= MAX_WAITING_SUMS || self.waiting.len() >= MAX_WAITING_BUCKETS {
            self.decide();
            self.write_sums()?;
            self.write_buckets_from(MAX_WAITING_BUCKETS)?;
        }
        Ok(())
    }

    /// The profile type is complete.
    pub(crate) fn end_run(&mut self) -> Result<(), Fault> {
        self.decide();
        if self.stacks.len() as u64 >= MIN_GROUP_ROWS {
            self.write_sums()?;
        }
        self.write_buckets_from(MAX_WAITING_BUCKETS)?;
        self.run = Run { first_bucket: self.waiting.len(), first_sum: self.stacks.len(), ..Run::default() };
        Ok(())
    }

    /// The rows of a dataset that is complete, in both files.
    pub(crate) fn end_dataset(&mut self) -> (Rows, Rows) {
        let end =
            (u64::from(self.rows_written) + self.waiting.len() as u64, self.sums_written + self.stacks.len() as u64);
        let start = std::mem::replace(&mut self.dataset, end);
        if start.0 == end.0 {
            return Default::default();
        }
        (Rows(start.0, end.0 - start.0), Rows(start.1, end.1 - start.1))
    }

    /// Nothing where no profile type was worth it.
    pub(crate) fn finish(mut self) -> Result<Vec<(Table, Encoded)>, Fault> {
        self.write_sums()?;
        self.write_buckets_from(1)?;
        if self.rows_written == 0 {
            return Ok(Vec::new());
        }
        Ok(vec![
            (Table::RollUp(self.resolution), self.buckets.finish()?),
            (Table::RollUpSamples(self.resolution), self.sums.finish()?),
        ])
    }

    /// Drops the profile type at hand, now and from now on, where it has too many rows for its samples.
    fn decide(&mut self) {
        if self.run.keep.is_none() {
            let keep = self.run.cost.saturating_mul(min_fold(self.resolution)) <= self.run.samples;
            self.run.keep = Some(keep);
            if !keep {
                self.waiting.truncate(self.run.first_bucket);
                self.stacks.truncate(self.run.first_sum);
                self.values.truncate(self.run.first_sum);
            }
        }
    }

    /// A row group of all sums that wait.
    fn write_sums(&mut self) -> Result<(), Fault> {
        let mut distinct = Distinct::default();
        self.values.iter().for_each(|value| distinct.add(*value));
        let few = !self.values.is_empty() && distinct.few(self.values.len() as u64);
        let dictionary = if few { &[VALUE][..] } else { &[] };
        let mut first = self.sums_written;
        for row in self.waiting.iter_mut().skip(self.summed) {
            row.first = first;
            first += u64::from(row.count);
        }
        // Buckets of profiles without samples make no row group.
        if !self.stacks.is_empty() {
            self.sums.open(dictionary)?;
            let mut at = 0;
            for (id, row) in (self.rows_written..).zip(&self.waiting).skip(self.summed) {
                let sums = at..at + row.count as usize;
                at = sums.end;
                let g = self.sums.group()?;
                g.same_text(0, &row.service, sums.len());
                g.same_u32(1, id, sums.len());
                g.u32s(2, &self.stacks[sums.clone()]);
                g.i64s(VALUE, Values::Wide(&self.values[sums.clone()]));
                g.rows(sums.len())?;
            }
        }
        self.sums_written += self.stacks.len() as u64;
        self.summed = self.waiting.len();
        self.stacks.clear();
        self.values.clear();
        Ok(())
    }

    /// A row group of the buckets that wait, where they are this many.
    fn write_buckets_from(&mut self, least: usize) -> Result<(), Fault> {
        if self.waiting.len() < least {
            return Ok(());
        }
        self.write_sums()?;
        let mut next = self.rows_written;
        self.buckets.open(&[])?;
        for row in &self.waiting {
            let (g, bucket) = (self.buckets.group()?, &row.bucket);
            g.text(0, &row.service);
            g.text(1, &row.profile_type);
            g.there(2, row.series.is_some());
            if let Some(series) = row.series {
                g.u32(2, series);
            }
            g.u32(3, next);
            g.i64(4, bucket.time);
            g.u32(5, bucket.profiles);
            g.u32(6, bucket.first_profile);
            g.u64(7, bucket.samples);
            g.u64(8, bucket.first_sample);
            g.u32(9, row.count);
            g.u64(10, row.first);
            g.i64(11, bucket.total);
            g.rows(1)?;
            next = next.checked_add(1).ok_or_else(changed)?;
        }
        self.rows_written = next;
        self.waiting.clear();
        self.summed = 0;
        Ok(())
    }
}
