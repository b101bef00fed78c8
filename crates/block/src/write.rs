//! Writing a block: from rows in canonical order to Parquet files, in memory or in a folder.
//!
//! Everything is put in one canonical order, so that the same profiles give the same bytes however they arrived. Heads are
//! put in that order here; whoever merges blocks gives it ([`stream`]). Hot; measured by `benches/block.rs`.

mod held;
mod input;
mod pieces;
mod renumber;
mod rollup;
mod runs;
mod samples;
mod series;
mod sink;
pub mod stream;
mod symbols;
mod table;

use flamestore_model::{Fault, Labels, TenantId};
use parquet::data_type::ByteArray;

pub use input::{DatasetInput, ProfileInput, SeriesInput};
pub use runs::MAX_GROUP_ROWS;
pub use sink::{Content, MAX_HELD_BYTES};

use crate::layout::{Packing, Table, VERSION};
use crate::meta::{Dataset, DatasetRows, Meta, Origin, Rows, Stats};
use crate::spill::Spill;
use crate::ulid::Ulid;
use held::Held;
use rollup::RollUps;
use runs::Survey;
use samples::Samples;
use series::{ProfileRows, Series, changed};
use stream::{DatasetStream, Pass, Profiles};
use symbols::{SymbolRows, SymbolTables};
use table::{Encoded, Manner};

/// What the writer cannot know from the profiles.
#[derive(Debug, Clone)]
pub struct BlockMeta {
    pub ulid: Ulid,
    pub tenant: TenantId,
    pub level: u32,
    pub origin: Origin,
    /// Of a compacted block, sorted; otherwise empty, as `origins`.
    pub sources: Vec<Ulid>,
    pub origins: Vec<Origin>,
}

/// A block that is encoded and not yet stored.
#[derive(Debug, Clone)]
pub struct Written {
    /// File names within the block's folder, and contents; without `meta.json`.
    pub files: Vec<(&'static str, Content)>,
    pub meta: Meta,
}

/// Encodes a block that is held in memory. Services come sorted, each once; what else must hold is said at
/// [`DatasetInput`].
///
/// Pure computing: about 18 µs for a profile of 140 samples. Besides the input and the result it holds a few words for
/// each stack and one row group of each file (at most about [`MAX_GROUP_ROWS`] rows, a few MiB) being encoded.
///
/// Fails with `Internal` when the input breaks its promises, and with `Invalid` when there is no profile at all.
pub fn write_block(datasets: &[&dyn DatasetInput], block: &BlockMeta) -> Result<Written, Fault> {
    let mut held: Vec<Held<'_>> = datasets.iter().map(|dataset| Held::of(*dataset)).collect();
    let mut streams: Vec<&mut dyn DatasetStream> = held.iter_mut().map(|dataset| dataset as _).collect();
    write_streams(&mut streams, block, None, &mut |_| Ok(()))?
        .ok_or_else(|| Fault::invalid("a block needs at least one profile"))
}

/// Encodes a block from rows in canonical order. Services come sorted, each once. `None`: there is no profile.
///
/// Files larger than [`MAX_HELD_BYTES`] go to `spill`; without it everything is held. `told` hears now and then how many
/// bytes the writer holds, and can stop it.
///
/// Fails with `Internal` when the streams break their promises, with what they fail with, and with `Unavailable` when the
/// folder takes no more.
pub fn write_streams(
    datasets: &mut [&mut dyn DatasetStream],
    block: &BlockMeta,
    spill: Option<&Spill>,
    told: &mut dyn FnMut(usize) -> Result<(), Fault>,
) -> Result<Option<Written>, Fault> {
    if let Some(pair) = datasets.windows(2).find(|pair| pair[0].service_name() >= pair[1].service_name()) {
        return Err(Fault::internal(format!("block input: service {:?} is out of order", pair[1].service_name())));
    }
    let surveys = datasets.iter_mut().map(|d| Survey::of(&mut **d)).collect::<Result<Vec<_>, _>>()?;
    if surveys.iter().all(|survey| survey.profiles == 0) {
        return Ok(None);
    }
    runs::check_sizes(&surveys)?;
    let packing = if block.level > 0 { Packing::Dense } else { Packing::Quick };
    let manner = Manner { packing, spill: spill.cloned() };
    let mut writer = Writer {
        series: Series::new(&manner)?,
        profiles: ProfileRows::new(&manner, surveys.iter().any(|s| s.annotations))?,
        samples: Samples::new(&surveys, &manner)?,
        symbols: SymbolTables::new(&manner)?,
        // A flushed block is soon merged with others, and its series are short.
        roll_ups: if block.level > 0 { Some(RollUps::new(&manner)?) } else { None },
        told,
    };
    let mut described = Described::default();
    for (dataset, survey) in datasets.iter_mut().zip(surveys).filter(|(_, survey)| survey.profiles > 0) {
        let rows = writer.dataset(&mut **dataset, &survey)?;
        let rolled = writer.roll_ups.as_mut().map_or(Ok(DatasetRows::default()), RollUps::end_dataset)?;
        described.add(dataset.service_name(), survey, &rows, rolled);
    }
    writer.finish(block, described.datasets).map(Some)
}

/// The tables in the making.
struct Writer<'t> {
    series: Series,
    profiles: ProfileRows,
    samples: Samples,
    symbols: SymbolTables,
    roll_ups: Option<RollUps>,
    told: &'t mut dyn FnMut(usize) -> Result<(), Fault>,
}

impl Writer<'_> {
    fn dataset(&mut self, dataset: &mut dyn DatasetStream, survey: &Survey) -> Result<SymbolRows, Fault> {
        let service = ByteArray::from(dataset.service_name());
        let rows = self.symbols.dataset(&service, dataset)?;
        self.tell()?;
        self.series.dataset()?;
        self.profiles.dataset()?;
        let mut writing = Writing { writer: self, service, surveys: survey.series.iter(), series: None, open: None };
        dataset.profiles(Pass::Write, &mut writing)?;
        if writing.surveys.next().is_some() {
            return Err(changed());
        }
        self.tell()?;
        Ok(rows)
    }

    fn tell(&mut self) -> Result<(), Fault> {
        let held = self.series.held_bytes() + self.profiles.held_bytes();
        let rolled = self.roll_ups.as_ref().map_or(0, RollUps::held_bytes);
        (self.told)(held + self.samples.held_bytes() + self.symbols.held_bytes() + rolled)
    }

    fn finish(self, block: &BlockMeta, datasets: Vec<Dataset>) -> Result<Written, Fault> {
        let symbols = self.symbols.finish()?;
        let mut encoded: Vec<(Table, Encoded)> = vec![
            (Table::Series, self.series.finish()?),
            (Table::Profiles, self.profiles.finish()?),
            (Table::Samples, self.samples.finish()?),
            (Table::Stacktraces, symbols.stacktraces),
            (Table::FnTree, symbols.fn_tree),
            (Table::Locations, symbols.locations),
            (Table::Functions, symbols.functions),
        ];
        if let Some(roll_ups) = self.roll_ups {
            encoded.extend(roll_ups.finish()?);
        }
        let described: Vec<_> = encoded.iter().map(|(table, encoded)| encoded.describe(table.file())).collect();
        let meta = Meta {
            version: VERSION,
            ulid: block.ulid,
            tenant: block.tenant.as_str().to_owned(),
            min_time_nanos: datasets.iter().map(|d| d.min_time_nanos).min().unwrap_or(0),
            max_time_nanos: datasets.iter().map(|d| d.max_time_nanos).max().unwrap_or(0),
            level: block.level,
            origin: block.origin.clone(),
            sources: block.sources.clone(),
            origins: block.origins.clone(),
            deletions: Vec::new(),
            stats: Stats {
                series: datasets.iter().map(|d| d.rows.series.1).sum(),
                profiles: datasets.iter().map(|d| d.rows.profiles.1).sum(),
                samples: datasets.iter().map(|d| d.rows.samples.1).sum(),
                bytes: described.iter().map(|f| f.size).sum(),
            },
            datasets,
            files: described,
        };
        let files = encoded.into_iter().map(|(table, encoded)| (table.file(), encoded.content)).collect();
        Ok(Written { files, meta })
    }
}

/// Writes the profiles of one dataset.
struct Writing<'w, 't> {
    writer: &'w mut Writer<'t>,
    service: ByteArray,
    surveys: std::slice::Iter<'w, runs::SeriesSurvey>,
    /// Has no profile yet.
    series: Option<(Labels, ByteArray)>,
    /// Profile type and id of the series that has.
    open: Option<(ByteArray, u32)>,
}

/// Profiles after which the writer says how much it holds.
const PROFILES_UNTOLD: u32 = 1 << 8;

impl Profiles for Writing<'_, '_> {
    fn series(&mut self, labels: &Labels, profile_type: &str) -> Result<(), Fault> {
        self.series = Some((labels.clone(), ByteArray::from(profile_type)));
        self.open = None;
        Ok(())
    }

    fn profile(&mut self, profile: &ProfileInput<'_>) -> Result<(), Fault> {
        let writer = &mut *self.writer;
        if let Some((labels, profile_type)) = self.series.take() {
            let survey = self.surveys.next().ok_or_else(changed)?;
            let id = writer.series.series(&self.service, &profile_type, &labels, survey)?;
            if let Some(roll_ups) = &mut writer.roll_ups {
                roll_ups.series(&self.service, &profile_type, id)?;
            }
            self.open = Some((profile_type, id));
        }
        let (profile_type, series) = self.open.as_ref().ok_or_else(changed)?;
        let row = writer.profiles.profile(&self.service, profile_type, *series, profile)?;
        writer.samples.profile(&self.service, row, profile)?;
        if let Some(roll_ups) = &mut writer.roll_ups {
            roll_ups.profile(profile)?;
        }
        if row.is_multiple_of(PROFILES_UNTOLD) { writer.tell() } else { Ok(()) }
    }
}

/// Datasets as `meta.json` has them.
#[derive(Default)]
struct Described {
    next: DatasetRows,
    datasets: Vec<Dataset>,
}

impl Described {
    /// `rolled` has only rows of roll-ups.
    fn add(&mut self, service_name: &str, survey: Survey, symbols: &SymbolRows, rolled: DatasetRows) {
        let mut take = |rows: fn(&mut DatasetRows) -> &mut Rows, count: u64| {
            let at = rows(&mut self.next);
            let taken = Rows(at.0, count);
            at.0 += count;
            taken
        };
        let rows = DatasetRows {
            series: take(|r| &mut r.series, survey.series.len() as u64),
            profiles: take(|r| &mut r.profiles, survey.profiles),
            samples: take(|r| &mut r.samples, survey.samples),
            stacktraces: take(|r| &mut r.stacktraces, symbols.stacktraces),
            fn_tree: take(|r| &mut r.fn_tree, symbols.fn_tree),
            locations: take(|r| &mut r.locations, symbols.locations),
            functions: take(|r| &mut r.functions, symbols.functions),
            ..rolled
        };
        self.datasets.push(Dataset {
            service_name: service_name.to_owned(),
            min_time_nanos: survey.series.iter().map(|s| s.min_time).min().unwrap_or(0),
            max_time_nanos: survey.series.iter().map(|s| s.max_time).max().unwrap_or(0),
            profile_types: survey.runs.into_iter().map(|run| run.profile_type).collect(),
            labels: survey.labels,
            rows,
        });
    }
}
