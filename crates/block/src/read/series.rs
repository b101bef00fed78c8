//! The series of a dataset, decoded and cached.

use std::sync::Arc;

use flamestore_model::{Fault, Label, Labels, TimeRange};
use parquet::data_type::ByteArray;

use crate::layout::Table;
use crate::read::cache::{Entry, Key, What};
use crate::read::columns::{Checked, Decoded};
use crate::read::{Block, blocking};
use crate::refusal::corrupt;

#[derive(Debug)]
pub(crate) struct SeriesRow {
    pub(crate) labels: Labels,
    pub(crate) profile_type: Arc<str>,
    /// From the first to the last profile.
    pub(crate) range: TimeRange,
    pub(crate) first_profile: u64,
    pub(crate) profiles: u64,
    pub(crate) first_sample: u64,
    pub(crate) samples: u64,
}

#[derive(Debug)]
pub(crate) struct SeriesRows {
    rows: Vec<SeriesRow>,
    bytes: usize,
}

impl std::ops::Deref for SeriesRows {
    type Target = [SeriesRow];
    fn deref(&self) -> &[SeriesRow] {
        &self.rows
    }
}

impl SeriesRows {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

const PATHS: [&str; 9] = [
    "profile_type",
    "labels.key_value.key",
    "labels.key_value.value",
    "min_time",
    "max_time",
    "profile_count",
    "first_profile",
    "sample_count",
    "first_sample",
];

impl Block {
    pub(crate) async fn series_of(&self, dataset: usize) -> Result<Arc<SeriesRows>, Fault> {
        let key = Key { tenant: self.tenant.clone(), block: self.meta.ulid, what: What::Series(dataset as u32) };
        let load = Box::pin(async {
            let rows = self.dataset(dataset)?.rows.series.range();
            let columns = self.columns(Table::Series, &PATHS, std::slice::from_ref(&rows)).await?;
            blocking(move || decode(&columns.check()?, rows).map(|rows| Entry::Series(Arc::new(rows)))).await
        });
        match self.cache.get(self.account(), key, load).await? {
            Entry::Series(rows) => Ok(rows),
            _ => Err(Fault::internal("block cache: a list of series is something else")),
        }
    }

    pub(crate) fn dataset(&self, i: usize) -> Result<&crate::meta::Dataset, Fault> {
        self.meta.datasets.get(i).ok_or_else(|| Fault::internal(format!("block {}: no dataset {i}", self.meta.ulid)))
    }
}

/// Some rows of series.parquet.
pub(crate) fn decode(columns: &Checked, rows: std::ops::Range<u64>) -> Result<SeriesRows, Fault> {
    let rows = std::slice::from_ref(&rows);
    let types = columns.texts("profile_type", rows)?.values;
    let keys = columns.texts("labels.key_value.key", rows)?;
    let values = columns.texts("labels.key_value.value", rows)?;
    let min_time = columns.i64s("min_time", rows)?;
    let max_time = columns.i64s("max_time", rows)?;
    let profiles = columns.u32s("profile_count", rows)?;
    let first_profile = columns.u32s("first_profile", rows)?;
    let samples = columns.i64s("sample_count", rows)?;
    let first_sample = columns.i64s("first_sample", rows)?;
    let mut labels = label_sets(columns, keys, values)?.into_iter();

    let mut out = Vec::with_capacity(types.len());
    let mut bytes = 0;
    let mut last_type: Arc<str> = "".into();
    for i in 0..types.len() {
        let profile_type = columns.text(&types[i])?;
        if *last_type != *profile_type {
            last_type = profile_type.into();
        }
        let labels = labels.next().ok_or_else(|| corrupt(columns.name(), "series and labels do not fit"))?;
        bytes += size_of::<SeriesRow>() + labels.len() * (size_of::<Label>() + 32) + labels.text_bytes();
        out.push(SeriesRow {
            labels,
            profile_type: last_type.clone(),
            range: TimeRange { from_nanos: min_time[i], to_nanos: max_time[i] },
            first_profile: u64::from(first_profile[i] as u32),
            profiles: u64::from(profiles[i] as u32),
            first_sample: first_sample[i] as u64,
            samples: samples[i] as u64,
        });
    }
    Ok(SeriesRows { rows: out, bytes })
}

/// One label set a row, from the two columns of the map.
fn label_sets(columns: &Checked, keys: Decoded<ByteArray>, values: Decoded<ByteArray>) -> Result<Vec<Labels>, Fault> {
    if keys.there != values.there || keys.again != values.again || keys.values.len() != values.values.len() {
        return Err(corrupt(columns.name(), "label names and values do not fit"));
    }
    let mut pairs = keys.values.iter().zip(&values.values);
    let mut sets = Vec::new();
    let mut open: Vec<(&str, &str)> = Vec::new();
    for (i, (there, again)) in keys.there.iter().zip(&keys.again).enumerate() {
        if *again == 0 && i > 0 {
            sets.push(Labels::from_pairs(open.drain(..)));
        }
        if *there > 0 {
            let (k, v) = pairs.next().ok_or_else(|| corrupt(columns.name(), "a label is missing"))?;
            open.push((columns.text(k)?, columns.text(v)?));
        }
    }
    if !keys.there.is_empty() {
        sets.push(Labels::from_pairs(open));
    }
    Ok(sets)
}
