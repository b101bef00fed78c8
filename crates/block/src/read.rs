//! Reading a block: which rows a query needs, and what they add up to.
//!
//! Answers mean the same as those of a head. Only the needed ranges of the files are fetched; footers, series and
//! symbols stay in a [`BlockCache`]. Decoding runs on tokio's blocking threads.

mod annotations;
mod cache;
mod columns;
mod cost;
mod file;
mod hidden;
mod inside;
mod object;
mod pick;
mod rollup;
mod samples;
mod series;
pub mod source;
mod symbols;
mod verify;

use std::collections::BTreeMap;
use std::sync::Arc;

use flamestore_flamegraph::heatmap::{Observed, ObservedSeries};
use flamestore_flamegraph::{ProfileMerge, TreeMerger, fold};
use flamestore_model::labels::names;
use flamestore_model::{
    Fault, Filter, Note, Point, Select, SeriesInfo, SeriesPoints, StackFilter, TenantId, TreeQuery,
};
use flamestore_objstore::Bucket;
use flamestore_symbols::Symbols;
use flamestore_symbols::wanted::wanted;
use futures::{StreamExt, TryStreamExt};

pub use cache::BlockCache;
pub use file::WHOLE_FILE_BYTES;
pub use hidden::Hidden;
pub use inside::{ColumnChunk, Inside, RowGroup};
pub use samples::FETCH_ROWS;
pub use verify::{CHUNK_BYTES, Damage, MAX_PARALLEL_CHUNKS};

use crate::layout::Table;
use crate::meta::{Dataset, Meta};
use crate::refusal::corrupt;
use pick::PickedProfile;
use rollup::{Rolled, joined};
use samples::{Ids, Wanted};

/// Datasets of one block that are read at the same time.
pub const MAX_PARALLEL_DATASETS: usize = 4;

/// A committed block, open for queries. Cheap to clone; opening reads nothing.
#[derive(Debug, Clone)]
pub struct Block {
    bucket: Bucket,
    tenant: TenantId,
    meta: Arc<Meta>,
    cache: Arc<BlockCache>,
    hidden: Arc<[Hidden]>,
    /// Roll-ups are left aside.
    raw_only: bool,
}

impl Block {
    /// Fails when the meta is another tenant's.
    pub fn open(bucket: Bucket, tenant: TenantId, meta: Arc<Meta>, cache: Arc<BlockCache>) -> Result<Self, Fault> {
        if meta.tenant != tenant.as_str() {
            return Err(Fault::internal(format!("block {} is not one of tenant {tenant}", meta.ulid)));
        }
        Ok(Block { bucket, tenant, meta, cache, hidden: Arc::default(), raw_only: false })
    }

    /// The same block without some of its profiles.
    #[must_use]
    pub fn hiding(&self, hidden: Arc<[Hidden]>) -> Self {
        Block { hidden, ..self.clone() }
    }

    pub fn meta(&self) -> &Arc<Meta> {
        &self.meta
    }

    /// The series with a matching profile. `range` is that of all profiles of the series in this block, `profiles`
    /// counts the matching ones; with spans or traces, a profile matches when one of its samples does.
    pub async fn series(&self, select: &Select) -> Result<Vec<SeriesInfo>, Fault> {
        let filter = &Filter::new(select);
        let found = self.each_dataset(filter, |dataset| async move {
            let rows = self.series_of(dataset).await?;
            let picked = self.pick(dataset, &rows, filter, filter.looks_at_samples()).await?;
            let matching = if filter.looks_at_samples() {
                let totals = self.totals(&picked, filter, None).await?;
                picked.group(totals.iter().map(Option::is_some)).map(|g| g.filter(|there| *there).count()).collect()
            } else {
                picked.counts()
            };
            let infos = picked.series.iter().zip(matching).filter(|(_, n): &(_, usize)| *n > 0);
            Ok(infos
                .map(|(s, n)| {
                    let row = &rows[s.row];
                    SeriesInfo { labels: row.labels.clone(), range: row.range, profiles: n as u64 }
                })
                .collect::<Vec<_>>())
        });
        Ok(found.await?.into_iter().flatten().collect())
    }

    /// Times and totals of the matching profiles, by time. Totals count only matching samples; a profile without one is
    /// left out.
    pub async fn points(&self, query: &TreeQuery) -> Result<Vec<SeriesPoints>, Fault> {
        let filter = &Filter::new(&query.select);
        let found = self.each_dataset(filter, |dataset| async move {
            let rows = self.series_of(dataset).await?;
            let picked = self.pick(dataset, &rows, filter, true).await?;
            let stacks = self.wanted_stacks(dataset, &query.stacks).await?;
            let totals = if stacks.is_some() || filter.looks_at_samples() {
                self.totals(&picked, filter, stacks).await?
            } else {
                picked.profiles.iter().map(|p| Some(p.total)).collect()
            };
            let points = picked.profiles.iter().zip(totals).map(|(p, total)| {
                total.map(|total| (p, Point { time_nanos: p.time_nanos, total, profile_id: p.profile_id }))
            });
            Ok(picked
                .series
                .iter()
                .zip(picked.group(points))
                .map(|(s, points)| {
                    let (profiles, points): (Vec<_>, Vec<_>) = points.flatten().unzip();
                    let notes = |p: &PickedProfile| {
                        let time_nanos = p.time_nanos;
                        p.annotations.clone().into_iter().map(move |annotation| Note { time_nanos, annotation })
                    };
                    let notes = profiles.into_iter().flat_map(notes).collect();
                    SeriesPoints { labels: rows[s.row].labels.clone(), points, notes }
                })
                .filter(|series| !series.points.is_empty())
                .collect::<Vec<_>>())
        });
        Ok(found.await?.into_iter().flatten().collect())
    }

    /// The sum of each span of the matching profiles, by profile. Samples without a span are left out.
    pub async fn spans(&self, select: &Select) -> Result<Vec<ObservedSeries>, Fault> {
        let filter = &Filter::new(select);
        let found = self.each_dataset(filter, |dataset| async move {
            let rows = self.series_of(dataset).await?;
            let picked = self.pick(dataset, &rows, filter, true).await?;
            let sums = self.span_sums(&picked, filter).await?;
            let observed = picked.profiles.iter().zip(sums).map(|(p, sums)| {
                let (time_nanos, profile_id) = (p.time_nanos, p.profile_id);
                sums.into_iter().map(move |((span_id, trace_id), value)| Observed {
                    time_nanos,
                    value,
                    profile_id,
                    span_id,
                    trace_id,
                })
            });
            Ok(picked
                .series
                .iter()
                .zip(picked.group(observed))
                .map(|(s, profiles)| ObservedSeries {
                    labels: rows[s.row].labels.clone(),
                    observed: profiles.flatten().collect(),
                })
                .filter(|series| !series.observed.is_empty())
                .collect::<Vec<_>>())
        });
        Ok(found.await?.into_iter().flatten().collect())
    }

    /// Adds the matching samples, merged by function name.
    pub async fn add_tree(&self, query: &TreeQuery, into: &mut TreeMerger) -> Result<(), Fault> {
        let filter = &Filter::new(&query.select);
        let found = self.each_dataset(filter, |dataset| async move {
            let (sums, symbols) = futures::try_join!(self.sums(dataset, filter), self.names_of(dataset))?;
            Ok(sums.map(|sums| (sums, symbols)))
        });
        for (sums, symbols) in found.await?.into_iter().flatten() {
            let (mut merger, stacks) = (std::mem::take(into), query.stacks.clone());
            *into = blocking(move || {
                let mut by_function = Vec::new();
                fold(&sums, &symbols.stacks.fn_node, &mut by_function);
                merger.add(&symbols.strings, &symbols.fn_tree, &by_function, &stacks);
                Ok(merger)
            })
            .await?;
        }
        Ok(())
    }

    /// Adds the matching samples, merged by location.
    pub async fn add_profile(&self, query: &TreeQuery, into: &mut ProfileMerge) -> Result<(), Fault> {
        let filter = &Filter::new(&query.select);
        let found = self.each_dataset(filter, |dataset| async move {
            let (sums, symbols) = futures::try_join!(self.sums(dataset, filter), self.symbols_of(dataset))?;
            Ok(sums.map(|sums| (sums, symbols)))
        });
        for (sums, symbols) in found.await?.into_iter().flatten() {
            let (mut merge, stacks) = (std::mem::take(into), query.stacks.clone());
            *into = blocking(move || {
                merge.add(&symbols, &sums, &stacks);
                Ok(merge)
            })
            .await?;
        }
        Ok(())
    }

    /// Asks the datasets that can have matching profiles, some at a time; answers in dataset order.
    async fn each_dataset<T, F: Future<Output = Result<T, Fault>> + Send>(
        &self,
        filter: &Filter<'_>,
        ask: impl Fn(usize) -> F,
    ) -> Result<Vec<T>, Fault> {
        let candidates = self.meta.datasets.iter().enumerate().filter(|(_, d)| admits(filter, d));
        // Made before anything is awaited: the compiler then sees that the whole can be sent to another thread.
        let asked: Vec<F> = candidates.map(|(i, _)| ask(i)).collect();
        futures::stream::iter(asked).buffered(MAX_PARALLEL_DATASETS).try_collect().await
    }

    /// The matching values of a dataset by stack id, at most `i64::MAX`. `None`: no profile matches.
    async fn sums(&self, dataset: usize, filter: &Filter<'_>) -> Result<Option<Vec<i64>>, Fault> {
        let (rows, ()) = futures::join!(self.series_of(dataset), self.footers_ahead(dataset, filter));
        let rows = rows?;
        let matching = self.matching(dataset, &rows, filter)?;
        let Rolled { taken, left } = self.roll_up(dataset, &rows, filter, matching).await?;
        let picked = self.pick_from(&rows, filter, left, false).await?;
        if picked.samples.is_empty() && taken.is_empty() {
            return Ok(None);
        }
        let mut reads = vec![(Table::Samples, joined(picked.samples))];
        reads.extend(taken.into_iter().map(|(resolution, rows)| (Table::RollUpSamples(resolution), rows)));
        let mut sums = vec![0i64; self.stack_count(dataset)?];
        for (table, rows) in reads {
            let object = self.meta.key(table.file());
            let add = move |sums: &mut Vec<i64>, _: usize, wanted: Wanted<'_>| {
                wanted.each(|stack, value| {
                    let sum =
                        sums.get_mut(stack as usize).ok_or_else(|| corrupt(&object, "a stack id is too large"))?;
                    *sum = sum.saturating_add(value);
                    Ok(())
                })
            };
            sums = self.scan(table, &rows, filter, Ids::AsFiltered, sums, add).await?;
        }
        Ok(Some(sums))
    }

    /// For each picked profile the sum of its matching samples; `None` without one.
    async fn totals(
        &self,
        picked: &pick::Picked,
        filter: &Filter<'_>,
        stacks: Option<WantedStacks>,
    ) -> Result<Vec<Option<i64>>, Fault> {
        let object = self.meta.key("samples.parquet");
        self.scan(
            Table::Samples,
            &picked.samples,
            filter,
            Ids::AsFiltered,
            vec![None; picked.samples.len()],
            move |totals, profile, wanted: Wanted<'_>| {
                let Some(total) = totals.get_mut(profile) else { return Ok(()) };
                wanted.each(|stack, value| {
                    let wanted = match &stacks {
                        Some(stacks) => {
                            stacks.hold(stack).ok_or_else(|| corrupt(&object, "a stack id is too large"))?
                        }
                        None => true,
                    };
                    if wanted {
                        *total = Some(total.unwrap_or(0i64).saturating_add(value));
                    }
                    Ok(())
                })
            },
        )
        .await
    }

    /// For each picked profile the sums of its matching samples by span and trace.
    async fn span_sums(
        &self,
        picked: &pick::Picked,
        filter: &Filter<'_>,
    ) -> Result<Vec<BTreeMap<(u64, u128), i64>>, Fault> {
        let sums = vec![BTreeMap::new(); picked.samples.len()];
        let visit = |sums: &mut Vec<BTreeMap<(u64, u128), i64>>, profile: usize, wanted: Wanted<'_>| {
            if let Some(sums) = sums.get_mut(profile) {
                wanted.each_span(|span, trace, value| {
                    let sum = sums.entry((span, trace)).or_insert(0i64);
                    *sum = sum.saturating_add(value);
                });
            }
            Ok(())
        };
        self.scan(Table::Samples, &picked.samples, filter, Ids::All, sums, visit).await
    }

    async fn wanted_stacks(&self, dataset: usize, filter: &StackFilter) -> Result<Option<WantedStacks>, Fault> {
        if filter.wants_all() {
            return Ok(None);
        }
        let symbols = self.names_of(dataset).await?;
        let filter = filter.clone();
        let found = blocking(move || {
            let nodes = wanted(&symbols.strings, &symbols.fn_tree, &filter);
            Ok(WantedStacks { symbols, nodes })
        });
        found.await.map(Some)
    }
}

/// Whether a dataset can have matching profiles. All its series have its name as `service_name`.
fn admits(filter: &Filter<'_>, dataset: &Dataset) -> bool {
    let select = filter.select();
    select.range.overlaps(dataset.range())
        && filter.profile_type().is_none_or(|t| dataset.profile_types.binary_search_by(|of| (**of).cmp(t)).is_ok())
        && select.selector.admits(names::SERVICE_NAME, &dataset.service_name)
}

/// Which stacks a filter wants.
struct WantedStacks {
    symbols: Arc<Symbols>,
    nodes: Vec<bool>,
}

impl WantedStacks {
    fn hold(&self, stack: u32) -> Option<bool> {
        let node = *self.symbols.stacks.fn_node.get(stack as usize)?;
        self.nodes.get(node as usize).copied()
    }
}

/// Runs what computes for long away from the threads that wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Fault::internal("reading a block was broken off").caused_by(e)),
    }
}
