//! Writing a block: from heads (or merged blocks) to bytes, without IO.
//!
//! Everything is put in one canonical order, so that the same profiles give the same bytes however they arrived.
//! Hot; measured by `benches/block.rs`.

mod input;
mod pieces;
mod renumber;
mod runs;
mod samples;
mod series;
mod symbols;
mod table;

use bytes::Bytes;
use flamestore_model::{Fault, TenantId};

pub use input::{DatasetInput, ProfileInput, SeriesInput};
pub use runs::MAX_GROUP_ROWS;

use crate::layout::{Table, VERSION};
use crate::meta::{Dataset, DatasetRows, Meta, Origin, Rows, Stats};
use crate::ulid::Ulid;
use renumber::Renumbered;
use runs::Survey;

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

/// A block as bytes, not yet stored.
#[derive(Debug, Clone)]
pub struct Written {
    /// File names within the block's folder, and contents; without `meta.json`.
    pub files: Vec<(&'static str, Bytes)>,
    pub meta: Meta,
}

/// Encodes a block. Services come sorted, each once; what else must hold is said at [`DatasetInput`].
///
/// Pure computing: about 18 µs for a profile of 140 samples. Besides the input and the result it holds a few words for
/// each stack and one row group (at most about [`MAX_GROUP_ROWS`] samples, a few MiB) being encoded.
///
/// Fails with `Internal` when the input breaks its promises, and with `Invalid` when there is no profile at all.
pub fn write_block(datasets: &[&dyn DatasetInput], block: &BlockMeta) -> Result<Written, Fault> {
    if let Some(pair) = datasets.windows(2).find(|pair| pair[0].service_name() >= pair[1].service_name()) {
        return Err(Fault::internal(format!("block input: service {:?} is out of order", pair[1].service_name())));
    }
    let mut parts = Vec::with_capacity(datasets.len());
    for dataset in datasets {
        let survey = Survey::of(*dataset)?;
        if survey.profiles > 0 {
            let symbols = Renumbered::of(dataset.symbols(), &survey.used_stacks)?;
            parts.push(Part { input: *dataset, survey, symbols });
        }
    }
    if parts.is_empty() {
        return Err(Fault::invalid("a block needs at least one profile"));
    }
    runs::check_sizes(&parts)?;

    let mut files = Vec::with_capacity(Table::ALL.len());
    let mut described = Vec::with_capacity(Table::ALL.len());
    for table in Table::ALL {
        let encoded = match table {
            Table::Series => series::series(&parts)?,
            Table::Profiles => series::profiles(&parts)?,
            Table::Samples => samples::samples(&parts)?,
            Table::Stacktraces => symbols::stacktraces(&parts)?,
            Table::FnTree => symbols::fn_tree(&parts)?,
            Table::Locations => symbols::locations(&parts)?,
            Table::Functions => symbols::functions(&parts)?,
        };
        described.push(pieces::describe(table.file(), &encoded));
        files.push((table.file(), encoded.bytes));
    }
    let datasets = describe_datasets(&parts);
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
        stats: Stats {
            series: datasets.iter().map(|d| d.rows.series.1).sum(),
            profiles: datasets.iter().map(|d| d.rows.profiles.1).sum(),
            samples: datasets.iter().map(|d| d.rows.samples.1).sum(),
            bytes: described.iter().map(|f| f.size).sum(),
        },
        datasets,
        files: described,
    };
    Ok(Written { files, meta })
}

/// One dataset on its way into the block.
pub(crate) struct Part<'a> {
    input: &'a dyn DatasetInput,
    survey: Survey,
    symbols: Renumbered<'a>,
}

fn describe_datasets(parts: &[Part<'_>]) -> Vec<Dataset> {
    let mut next = DatasetRows::default();
    let mut take = |rows: fn(&mut DatasetRows) -> &mut Rows, count: u64| {
        let at = rows(&mut next);
        let taken = Rows(at.0, count);
        at.0 += count;
        taken
    };
    parts
        .iter()
        .map(|part| {
            let (survey, symbols) = (&part.survey, &part.symbols);
            Dataset {
                service_name: part.input.service_name().to_owned(),
                min_time_nanos: survey.series.iter().map(|s| s.min_time).min().unwrap_or(0),
                max_time_nanos: survey.series.iter().map(|s| s.max_time).max().unwrap_or(0),
                profile_types: survey.runs.iter().map(|run| run.profile_type.clone()).collect(),
                labels: survey.labels.clone(),
                rows: DatasetRows {
                    series: take(|r| &mut r.series, survey.series.len() as u64),
                    profiles: take(|r| &mut r.profiles, survey.profiles),
                    samples: take(|r| &mut r.samples, survey.samples),
                    stacktraces: take(|r| &mut r.stacktraces, symbols.stack_rows()),
                    fn_tree: take(|r| &mut r.fn_tree, symbols.fn_rows()),
                    locations: take(|r| &mut r.locations, symbols.line_rows()),
                    functions: take(|r| &mut r.functions, symbols.functions.len() as u64),
                },
            }
        })
        .collect()
}
