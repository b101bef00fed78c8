//! Reading all of a block to find everything that is wrong with it.

mod sums;

use std::collections::VecDeque;
use std::error::Error;
use std::ops::Range;
use std::sync::Arc;

use flamestore_model::{Fault, Kind};
use futures::{StreamExt, TryStreamExt};

use crate::layout::Table;
use crate::meta::{DatasetRows, File, META_FILE};
use crate::read::columns::Checked;
use crate::read::series::SeriesRows;
use crate::read::{Block, blocking};
use crate::refusal::corrupt;
use sums::{SUM_PATHS, Tally, Wanted};

/// Bytes of a file that are fetched at a time, rounded up to whole pieces.
pub const CHUNK_BYTES: u64 = 4 << 20;
/// Chunks that are fetched at the same time.
pub const MAX_PARALLEL_CHUNKS: usize = 4;
/// Profiles that are compared with their samples at a time.
const PROFILE_ROWS: u64 = 64 << 10;
/// Samples that are decoded at a time.
const SAMPLE_ROWS: u64 = 512 << 10;

/// Something that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Key of the object, or of the block's folder where it shows between files.
    pub object: String,
    /// Which of its bytes, as far as that is known.
    pub bytes: Option<Range<u64>>,
    pub what: String,
}

impl Block {
    /// Reads everything and notes each damage: every checksum, then the footers, and, where all bytes are right, whether
    /// the tables agree with each other and with the meta. `read` is told of the bytes of files that have been looked at.
    ///
    /// Fails only where the bucket does; what was found before is then in `damages`.
    pub async fn verify(&self, damages: &mut Vec<Damage>, read: &(dyn Fn(u64) + Sync)) -> Result<(), Fault> {
        let known = damages.len();
        for file in &self.meta.files {
            Box::pin(self.verify_bytes(file, damages, read)).await?;
        }
        let whole = damages.len() == known;
        for table in Table::known() {
            if !Table::ALL.contains(&table) && self.meta.file(table).is_err() {
                continue;
            }
            let key = self.meta.key(table.file());
            let found = Box::pin(self.verify_footer(table)).await;
            // Where its bytes are wrong this has been said.
            note(damages, key, found, |_| whole)?;
        }
        if damages.len() > known {
            return Ok(());
        }
        let folder = self.meta.key("");
        note(damages, self.meta.key(META_FILE), self.verify_stats(), |_| true)?;
        for dataset in 0..self.meta.datasets.len() {
            note(damages, folder.clone(), Box::pin(self.verify_rows(dataset)).await, |_| true)?;
        }
        Ok(())
    }

    async fn verify_bytes(
        &self,
        file: &File,
        damages: &mut Vec<Damage>,
        read: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Fault> {
        let key = self.meta.key(&file.path);
        let mut damage = |bytes: Option<Range<u64>>, what: String| {
            damages.push(Damage { object: key.clone(), bytes, what });
        };
        match self.bucket.head(&key).await? {
            None => {
                damage(None, "it is missing".into());
                read(file.size);
                return Ok(());
            }
            Some(object) if object.bytes != file.size => {
                damage(None, format!("it has {} bytes, and {} were written", object.bytes, file.size));
                read(file.size);
                return Ok(());
            }
            Some(_) => {}
        }
        let (mut whole, mut wrong) = (0u32, Vec::<Range<u64>>::new());
        self.pieces(file, |piece, bytes, right| {
            if !right {
                match wrong.last_mut() {
                    Some(last) if last.end == piece.start => last.end = piece.end,
                    _ => wrong.push(piece),
                }
            }
            whole = crc32c::crc32c_append(whole, bytes);
            read(bytes.len() as u64);
            Ok(())
        })
        .await?;
        if wrong.is_empty() && whole != file.crc32c {
            damage(None, "the checksum of all of it is wrong, while those of its pieces are right".into());
        }
        wrong.into_iter().for_each(|range| damage(Some(range), "the checksum is wrong".into()));
        Ok(())
    }

    /// Reads a file from its begin to its end. `each` gets every piece: where it stands, its bytes, and whether they are
    /// those that were written. Its error ends the reading.
    pub async fn pieces(
        &self,
        file: &File,
        mut each: impl FnMut(Range<u64>, &[u8], bool) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let key = self.meta.key(&file.path);
        let piece = file.piece_bytes.max(1);
        let step = CHUNK_BYTES.div_ceil(piece).saturating_mul(piece);
        let starts = (0..file.size.div_ceil(step)).map(|i| i.saturating_mul(step));
        let (bucket, name) = (&self.bucket, key.as_str());
        let mut chunks = futures::stream::iter(starts)
            .map(|at| async move {
                let bytes = bucket.get_range(name, at..file.size.min(at.saturating_add(step))).await?;
                Ok::<_, Fault>((at, bytes))
            })
            .buffered(MAX_PARALLEL_CHUNKS);
        let mut crcs = file.piece_crc32c.iter();
        while let Some((mut at, bytes)) = chunks.try_next().await? {
            for part in bytes.chunks(usize::try_from(piece).unwrap_or(usize::MAX)) {
                let end = at + part.len() as u64;
                each(at..end, part, crcs.next() == Some(&crc32c::crc32c(part)))?;
                at = end;
            }
        }
        Ok(())
    }

    /// The footer can be read, and its rows are those of the datasets, one after another.
    async fn verify_footer(&self, table: Table) -> Result<(), Fault> {
        let footer = self.footer(table).await?;
        let mut next = 0;
        for dataset in &self.meta.datasets {
            let rows = dataset.rows.of(table).range();
            if rows.is_empty() {
                continue;
            }
            if rows.start != next {
                let service = &dataset.service_name;
                let what = format_args!("the rows of {service} begin at {}, not at {next}", rows.start);
                return Err(corrupt(&self.meta.key(META_FILE), what));
            }
            next = rows.end;
        }
        match footer.group_rows.last().copied().unwrap_or(0) {
            all if all == next => Ok(()),
            all => Err(corrupt(
                &self.meta.key(table.file()),
                format_args!("it has {all} rows, and meta.json speaks of {next}"),
            )),
        }
    }

    fn verify_stats(&self) -> Result<(), Fault> {
        let stats = &self.meta.stats;
        let sum = |table: Table| self.meta.datasets.iter().map(|d| d.rows.of(table).1).sum::<u64>();
        let bytes = self.meta.files.iter().map(|f| f.size).sum::<u64>();
        for (name, said, counted) in [
            ("series", stats.series, sum(Table::Series)),
            ("profiles", stats.profiles, sum(Table::Profiles)),
            ("samples", stats.samples, sum(Table::Samples)),
            ("bytes", stats.bytes, bytes),
        ] {
            if said != counted {
                let what = format_args!("its stats say {said} {name}, and there are {counted}");
                return Err(corrupt(&self.meta.key(META_FILE), what));
            }
        }
        Ok(())
    }

    /// Series, profiles, samples and roll-ups of a dataset agree, and everything that they name is there.
    async fn verify_rows(&self, dataset: usize) -> Result<(), Fault> {
        let rows = self.dataset(dataset)?.rows;
        drop(Box::pin(self.symbols_of(dataset)).await?);
        let stacks = self.stack_count(dataset)?;
        let series = Box::pin(self.series_of(dataset)).await?;
        let series_rows = rows.series.range();
        let columns =
            self.columns(Table::Series, &["series_id", "total_value"], std::slice::from_ref(&series_rows)).await?;
        let totals = blocking(move || series_totals(&columns.check()?, &series_rows)).await?;
        let tallies = Box::pin(self.tallies(dataset)).await?;
        let mut account = Account::new(series, totals, rows, stacks, tallies);
        for lot in lots(rows.profiles.range(), PROFILE_ROWS) {
            let columns = self.columns(Table::Profiles, &PROFILE_PATHS, std::slice::from_ref(&lot)).await?;
            account = blocking(move || account.profiles(&columns.check()?, &lot)).await?;
            for lot in lots(account.open_samples(), SAMPLE_ROWS) {
                let columns = self.columns(Table::Samples, &SAMPLE_PATHS, std::slice::from_ref(&lot)).await?;
                let mut sums = Vec::new();
                for wanted in account.wanted(&lot) {
                    sums.push((self.columns(wanted.table, &SUM_PATHS, &wanted.rows).await?, wanted));
                }
                account = blocking(move || {
                    for (sums, wanted) in sums {
                        account.hold(&sums.check()?, &wanted)?;
                    }
                    account.samples(&columns.check()?, &lot)
                })
                .await?;
            }
        }
        account.finish(&self.meta.key(Table::Series.file()))
    }
}

/// A fault of the block is a damage; one of the bucket ends the search.
fn note<T>(
    damages: &mut Vec<Damage>,
    object: String,
    found: Result<T, Fault>,
    wanted: impl FnOnce(&Fault) -> bool,
) -> Result<(), Fault> {
    match found {
        Ok(_) => Ok(()),
        Err(fault) if matches!(fault.kind, Kind::Corrupt | Kind::NotFound) => {
            if wanted(&fault) {
                damages.push(Damage { object, bytes: None, what: told(&fault) });
            }
            Ok(())
        }
        Err(fault) => Err(fault),
    }
}

/// A fault in one sentence, with what caused it.
fn told(fault: &Fault) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

fn lots(rows: Range<u64>, most: u64) -> impl Iterator<Item = Range<u64>> {
    let end = rows.end;
    (0..(end.saturating_sub(rows.start)).div_ceil(most)).map(move |i| {
        let start = rows.start + i * most;
        start..end.min(start + most)
    })
}

fn series_totals(columns: &Checked, rows: &Range<u64>) -> Result<Vec<i64>, Fault> {
    for (id, row) in columns.u32s("series_id", std::slice::from_ref(rows))?.into_iter().zip(rows.clone()) {
        if u64::from(id as u32) != row {
            return Err(corrupt(columns.name(), format_args!("row {row} has the series_id {}", id as u32)));
        }
    }
    columns.i64s("total_value", std::slice::from_ref(rows))
}

const PROFILE_PATHS: [&str; 7] =
    ["series_id", "profile_row", "time", "duration_nanos", "profile_id", "total_value", "sample_count"];
const SAMPLE_PATHS: [&str; 5] = ["profile_row", "stacktrace_id", "value", "span_id", "trace_id"];

/// What one table says of the next, while both are gone through.
struct Account {
    series: Arc<SeriesRows>,
    series_totals: Vec<i64>,
    rows: DatasetRows,
    stacks: usize,
    /// Series whose profiles are being read, and what of it has been seen.
    at: usize,
    seen: Seen,
    /// Profiles whose samples have not all been seen.
    open: VecDeque<Open>,
    next_sample: u64,
    /// Of the next profile.
    first_sample: u64,
    tallies: Vec<Tally>,
}

struct Open {
    /// `profile_row`
    row: u64,
    /// Samples to come.
    left: u64,
    total: i64,
    /// What its samples have come to.
    seen: i64,
}

#[derive(Default)]
struct Seen {
    profiles: u64,
    samples: u64,
    total: i64,
    last: Option<(i64, Vec<u8>)>,
}

impl Account {
    fn new(
        series: Arc<SeriesRows>,
        series_totals: Vec<i64>,
        rows: DatasetRows,
        stacks: usize,
        tallies: Vec<Tally>,
    ) -> Self {
        let next_sample = rows.samples.0;
        Account {
            series,
            series_totals,
            rows,
            stacks,
            at: 0,
            seen: Seen::default(),
            open: Default::default(),
            next_sample,
            first_sample: next_sample,
            tallies,
        }
    }

    fn profiles(mut self, columns: &Checked, rows: &Range<u64>) -> Result<Self, Fault> {
        let one = std::slice::from_ref(rows);
        let wrong = |row: u64, what: &str| Err(corrupt(columns.name(), format_args!("row {row}: {what}")));
        let (ids, numbers) = (columns.u32s("series_id", one)?, columns.u32s("profile_row", one)?);
        let (times, totals) = (columns.i64s("time", one)?, columns.i64s("total_value", one)?);
        let (counts, profile_ids) = (columns.u32s("sample_count", one)?, columns.fixed("profile_id", one)?);
        columns.i64s("duration_nanos", one)?;
        for (i, row) in rows.clone().enumerate() {
            self.close_series(columns.name(), false)?;
            let Some(series) = self.series.get(self.at) else {
                return wrong(row, "it belongs to no series");
            };
            if u64::from(numbers[i] as u32) != row {
                return wrong(row, "its profile_row is another");
            }
            if u64::from(ids[i] as u32) != self.rows.series.0 + self.at as u64 {
                return wrong(row, "its series_id is not that of the series which it stands in");
            }
            if !series.range.contains(times[i]) {
                return wrong(row, "its time is outside of its series'");
            }
            let key = (times[i], profile_ids[i].data().to_vec());
            if self.seen.last.as_ref().is_some_and(|last| *last > key) {
                return wrong(row, "it stands behind a later one of its series");
            }
            self.seen.last = Some(key);
            let samples = u64::from(counts[i] as u32);
            let its = self.first_sample..self.first_sample.saturating_add(samples);
            for tally in &mut self.tallies {
                tally.profile(row, u64::from(ids[i] as u32), times[i], &its, totals[i])?;
            }
            self.first_sample = its.end;
            self.seen.profiles += 1;
            self.seen.samples += samples;
            self.seen.total = self.seen.total.saturating_add(totals[i]);
            if samples > 0 {
                self.open.push_back(Open { row, left: samples, total: totals[i], seen: 0 });
            } else if totals[i] != 0 {
                return wrong(row, "it has a value and no samples");
            }
        }
        Ok(self)
    }

    /// Goes on to the series of the next profile, if that of the last one is complete.
    fn close_series(&mut self, name: &str, last: bool) -> Result<(), Fault> {
        while let Some(series) = self.series.get(self.at) {
            if self.seen.profiles < series.profiles && !last {
                return Ok(());
            }
            let seen = std::mem::take(&mut self.seen);
            let said = (series.profiles, series.samples, self.series_totals.get(self.at).copied());
            if said != (seen.profiles, seen.samples, Some(seen.total)) {
                let id = self.rows.series.0 + self.at as u64;
                return Err(corrupt(name, format_args!("the profiles of series {id} are not those that it speaks of")));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// The samples of the profiles that are open.
    fn open_samples(&self) -> Range<u64> {
        let samples = self.open.iter().map(|open| open.left).fold(0, u64::saturating_add);
        self.next_sample..self.next_sample.saturating_add(samples).min(self.rows.samples.range().end)
    }

    fn wanted(&self, samples: &Range<u64>) -> Vec<Wanted> {
        self.tallies.iter().enumerate().filter_map(|(i, tally)| tally.wanted(i, samples)).collect()
    }

    fn hold(&mut self, sums: &Checked, wanted: &Wanted) -> Result<(), Fault> {
        self.tallies.get_mut(wanted.tally).map_or(Ok(()), |tally| tally.hold(sums, &wanted.rows))
    }

    fn samples(mut self, columns: &Checked, rows: &Range<u64>) -> Result<Self, Fault> {
        let one = std::slice::from_ref(rows);
        let wrong = |row: u64, what: &str| Err(corrupt(columns.name(), format_args!("row {row}: {what}")));
        let (profiles, stacks) = (columns.u32s("profile_row", one)?, columns.u32s("stacktrace_id", one)?);
        let values = columns.i64s("value", one)?;
        for optional in ["span_id", "trace_id"] {
            if columns.has(optional) {
                columns.optional_fixed(optional, one)?;
            }
        }
        for (i, row) in rows.clone().enumerate() {
            let Some(open) = self.open.front_mut() else {
                return wrong(row, "it belongs to no profile");
            };
            if u64::from(profiles[i] as u32) != open.row {
                return wrong(row, "its profile_row is not that of the profile which it stands in");
            }
            if stacks[i] as u32 as usize >= self.stacks {
                return wrong(row, "its stack is not there");
            }
            for tally in &mut self.tallies {
                tally.sample(row, stacks[i] as u32, values[i])?;
            }
            (open.left, open.seen) = (open.left - 1, open.seen.saturating_add(values[i]));
            if open.left == 0 {
                if open.seen != open.total {
                    return wrong(row, "the values of its profile add up to another total");
                }
                self.open.pop_front();
            }
        }
        self.next_sample = rows.end;
        Ok(self)
    }

    fn finish(mut self, name: &str) -> Result<(), Fault> {
        self.close_series(name, true)?;
        if !self.open.is_empty() || self.next_sample != self.rows.samples.range().end {
            return Err(corrupt(name, "its profiles have other samples than there are"));
        }
        self.tallies.iter().try_for_each(Tally::finish)
    }
}
