//! Answers: a snapshot, then heads and blocks side by side, each profile once.

mod cost;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flamestore_api::Answer;
use flamestore_block::Block;
use flamestore_flamegraph::heatmap::{Observed, ObservedSeries};
use flamestore_flamegraph::{ProfileMerge, Tree, TreeMerger, budget};
use flamestore_head::DatasetHead;
use flamestore_model::labels::names;
use flamestore_model::{
    Fault, Kind, Labels, Note, Point, Reads, Select, SeriesInfo, SeriesPoints, TenantId, TimeRange, TreeQuery,
};
use foldhash::fast::RandomState;
use futures::StreamExt;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::heads::{TenantHeads, span};
use crate::push::blocking;
use crate::results::Results;
use crate::store::Store;

/// What is gathered from heads and blocks.
trait Gather: Send + Sized + 'static {
    type Query: Clone + Send + Sync + 'static;

    fn select(query: &Self::Query) -> &Select;
    fn empty() -> Self;
    fn add_head(&mut self, query: &Self::Query, head: &DatasetHead);
    /// Finished parts of some kinds are kept in `results`.
    fn of_block(
        query: &Self::Query,
        block: &Block,
        results: &Results,
    ) -> impl Future<Output = Result<Self, Fault>> + Send;
    fn merge(&mut self, other: Self);

    /// Heap bytes held, where they can be many.
    fn bytes(&self) -> usize {
        0
    }
}

impl Store {
    pub(crate) async fn series(&self, tenant: &TenantId, select: &Select) -> Result<Answer<Vec<SeriesInfo>>, Fault> {
        let found: Answer<SeriesTable> = self.gather(tenant, select).await?;
        Ok(found.map(|table| table.0.into_values().collect()))
    }

    pub(crate) async fn points(
        &self,
        tenant: &TenantId,
        query: &TreeQuery,
    ) -> Result<Answer<Vec<SeriesPoints>>, Fault> {
        let found: Answer<PointTable> = self.gather(tenant, query).await?;
        Ok(found.map(PointTable::into_series))
    }

    pub(crate) async fn spans(&self, tenant: &TenantId, select: &Select) -> Result<Answer<Vec<ObservedSeries>>, Fault> {
        let found: Answer<SpanTable> = self.gather(tenant, select).await?;
        let series = |(labels, observed)| ObservedSeries { labels, observed };
        Ok(found.map(|table| table.0.by_labels.into_iter().map(series).collect()))
    }

    pub(crate) async fn tree(&self, tenant: &TenantId, query: &TreeQuery) -> Result<Answer<Tree>, Fault> {
        let found: Answer<TreeMerger> = self.gather(tenant, query).await?;
        Ok(found.map(TreeMerger::finish))
    }

    pub(crate) async fn profile(&self, tenant: &TenantId, query: &TreeQuery) -> Result<Answer<ProfileMerge>, Fault> {
        self.gather(tenant, query).await
    }

    pub(crate) async fn bounds(&self, tenant: &TenantId) -> Result<Answer<Option<TimeRange>>, Fault> {
        let snapshot = self.snapshot(tenant);
        let of_blocks = snapshot.blocks.blocks.iter().map(|block| block.meta().range()).reduce(span);
        let of_heads = blocking(move || snapshot.heads.iter().filter_map(|heads| heads.range()).reduce(span)).await?;
        let value = of_blocks.into_iter().chain(of_heads).reduce(span);
        Ok(Answer { value, partial: snapshot.blocks.partial, reads: Reads::default() })
    }

    async fn gather<G: Gather>(&self, tenant: &TenantId, query: &G::Query) -> Result<Answer<G>, Fault> {
        let snapshot = self.snapshot(tenant);
        let select = G::select(query);
        let profile_type = select.profile_type.as_ref().map(ToString::to_string);
        let may_match = |block: &&Arc<Block>| may_match(block, select, profile_type.as_ref());
        let blocks: Vec<Arc<Block>> = snapshot.blocks.blocks.iter().filter(may_match).cloned().collect();
        let max_bytes = self.config.max_merge_bytes;
        let heads = gather_heads::<G>(snapshot.heads, query.clone(), max_bytes);
        let account = self.bucket.open_account();
        let blocks = async {
            // A task each, so that they use more than one core; dropping the query ends them.
            let mut parts = futures::stream::iter(blocks)
                .map(|block| {
                    let (query, results) = (query.clone(), self.results.clone());
                    let block = block.on(account.clone());
                    account.block();
                    let (tenant, observer) = (tenant.clone(), self.observer.clone());
                    OwnTask(tokio::spawn(async move {
                        // Boxed: both are large, and a task is moved about before it runs.
                        let part = match Box::pin(G::of_block(&query, &block, &results)).await {
                            // Sums are there to save time: without them the samples answer.
                            Err(fault) if costs_only_its_block(&fault) && block.has_roll_ups() => {
                                let samples = block.without_roll_ups();
                                let part = Box::pin(G::of_block(&query, &samples, &results)).await?;
                                tracing::error!(%tenant, %fault, "a roll-up cannot be read: its samples are read instead");
                                observer.unreadable(&tenant, &fault);
                                part
                            }
                            read => read?,
                        };
                        bounded(part, max_bytes)
                    }))
                })
                .map(OwnTask::finished)
                .buffer_unordered(self.config.max_parallel_blocks.max(1));
            let (mut sum, mut partial): (Option<G>, bool) = (None, false);
            while let Some(part) = parts.next().await {
                let part = match part {
                    Ok(part) => part,
                    Err(fault) if costs_only_its_block(&fault) => {
                        tracing::error!(%tenant, %fault, "a block cannot be read: the answer is partial");
                        self.observer.unreadable(tenant, &fault);
                        partial = true;
                        continue;
                    }
                    Err(fault) => return Err(fault),
                };
                sum = Some(match sum {
                    None => part,
                    Some(sum) => blocking(move || merged(sum, part, max_bytes)).await??,
                });
            }
            Ok::<_, Fault>((sum, partial))
        };
        let gathered = futures::try_join!(heads, blocks);
        let reads = account.reads();
        self.observer.read(tenant, &reads);
        let (mut value, (of_blocks, partial)) = gathered?;
        if let Some(of_blocks) = of_blocks {
            value = blocking(move || merged(value, of_blocks, max_bytes)).await??;
        }
        Ok(Answer { value, partial: partial || snapshot.blocks.partial, reads })
    }
}

/// Damaged bytes, and files that somebody has taken away: the rest can be answered, marked as partial.
fn costs_only_its_block(fault: &Fault) -> bool {
    matches!(fault.kind, Kind::Corrupt | Kind::NotFound)
}

fn merged<G: Gather>(mut a: G, b: G, max_bytes: usize) -> Result<G, Fault> {
    a.merge(b);
    bounded(a, max_bytes)
}

fn bounded<G: Gather>(sum: G, max_bytes: usize) -> Result<G, Fault> {
    budget::within(sum.bytes(), max_bytes)?;
    Ok(sum)
}

/// Whether a block has the time, a service and the profile type that are asked for.
fn may_match(block: &Block, select: &Select, profile_type: Option<&String>) -> bool {
    let meta = block.meta();
    meta.range().overlaps(select.range)
        && meta.datasets.iter().any(|dataset| {
            dataset.range().overlaps(select.range)
                && select.selector.admits(names::SERVICE_NAME, &dataset.service_name)
                && profile_type.is_none_or(|wanted| dataset.profile_types.contains(wanted))
        })
}

async fn gather_heads<G: Gather>(heads: Vec<Arc<TenantHeads>>, query: G::Query, max_bytes: usize) -> Result<G, Fault> {
    let cancelled = CancelOnDrop::default();
    let flag = cancelled.0.clone();
    let gathered = blocking(move || {
        let mut sum = G::empty();
        for dataset in heads.iter().flat_map(|heads| heads.matching(G::select(&query))) {
            if flag.load(Ordering::Relaxed) {
                break;
            }
            sum.add_head(&query, &dataset.read());
            budget::within(sum.bytes(), max_bytes)?;
        }
        Ok(sum)
    });
    gathered.await?
}

/// Tells work that cannot be aborted that nobody waits any more.
#[derive(Default)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A task that ends with whoever waits for it.
struct OwnTask<T>(tokio::task::JoinHandle<Result<T, Fault>>);

impl<T> OwnTask<T> {
    async fn finished(mut self) -> Result<T, Fault> {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(e) => Err(Fault::internal("reading a block broke off: this is a bug, see the log").caused_by(e)),
        }
    }
}

impl<T> Drop for OwnTask<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct SeriesTable(HashMap<Labels, SeriesInfo, RandomState>);

impl SeriesTable {
    fn add(&mut self, found: Vec<SeriesInfo>) {
        for info in found {
            match self.0.entry(info.labels.clone()) {
                Entry::Vacant(free) => drop(free.insert(info)),
                Entry::Occupied(mut known) => {
                    let known = known.get_mut();
                    known.range = span(known.range, info.range);
                    known.profiles += info.profiles;
                }
            }
        }
    }
}

impl Gather for SeriesTable {
    type Query = Select;

    fn select(query: &Select) -> &Select {
        query
    }

    fn empty() -> Self {
        SeriesTable(HashMap::default())
    }

    fn add_head(&mut self, query: &Select, head: &DatasetHead) {
        self.add(head.series(query));
    }

    async fn of_block(query: &Select, block: &Block, _: &Results) -> Result<Self, Fault> {
        let mut table = Self::empty();
        table.add(block.series(query).await?);
        Ok(table)
    }

    fn merge(&mut self, other: Self) {
        self.add(other.0.into_values().collect());
    }
}

/// What was found of each series.
struct Rows<T> {
    by_labels: HashMap<Labels, Vec<T>, RandomState>,
    count: usize,
}

impl<T> Rows<T> {
    fn none() -> Self {
        Rows { by_labels: HashMap::default(), count: 0 }
    }

    fn add(&mut self, found: impl IntoIterator<Item = (Labels, Vec<T>)>) {
        for (labels, mut rows) in found {
            self.count += rows.len();
            self.by_labels.entry(labels).or_default().append(&mut rows);
        }
    }

    /// Heap bytes, without the labels: heads and the cache of blocks hold them anyway.
    fn bytes(&self) -> usize {
        self.count * size_of::<T>() + self.by_labels.len() * size_of::<(Labels, Vec<T>)>()
    }
}

struct PointTable {
    points: Rows<Point>,
    notes: Rows<Note>,
}

impl PointTable {
    fn add(&mut self, found: Vec<SeriesPoints>) {
        for SeriesPoints { labels, points, notes } in found {
            if !notes.is_empty() {
                self.notes.add([(labels.clone(), notes)]);
            }
            self.points.add([(labels, points)]);
        }
    }

    fn into_series(self) -> Vec<SeriesPoints> {
        let mut notes = self.notes.by_labels;
        let series = |(labels, points)| {
            let notes = notes.remove(&labels).unwrap_or_default();
            SeriesPoints { labels, points, notes }
        };
        self.points.by_labels.into_iter().map(series).collect()
    }
}

impl Gather for PointTable {
    type Query = TreeQuery;

    fn select(query: &TreeQuery) -> &Select {
        &query.select
    }

    fn empty() -> Self {
        PointTable { points: Rows::none(), notes: Rows::none() }
    }

    fn add_head(&mut self, query: &TreeQuery, head: &DatasetHead) {
        self.add(head.points(query));
    }

    async fn of_block(query: &TreeQuery, block: &Block, _: &Results) -> Result<Self, Fault> {
        let mut table = Self::empty();
        table.add(block.points(query).await?);
        Ok(table)
    }

    fn merge(&mut self, other: Self) {
        self.points.add(other.points.by_labels);
        self.notes.add(other.notes.by_labels);
    }

    fn bytes(&self) -> usize {
        self.points.bytes() + self.notes.bytes()
    }
}

struct SpanTable(Rows<Observed>);

impl SpanTable {
    fn add(&mut self, found: Vec<ObservedSeries>) {
        self.0.add(found.into_iter().map(|s| (s.labels, s.observed)));
    }
}

impl Gather for SpanTable {
    type Query = Select;

    fn select(query: &Select) -> &Select {
        query
    }

    fn empty() -> Self {
        SpanTable(Rows::none())
    }

    fn add_head(&mut self, query: &Select, head: &DatasetHead) {
        self.add(head.spans(query));
    }

    async fn of_block(query: &Select, block: &Block, _: &Results) -> Result<Self, Fault> {
        let mut table = Self::empty();
        table.add(block.spans(query).await?);
        Ok(table)
    }

    fn merge(&mut self, other: Self) {
        self.0.add(other.0.by_labels);
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

impl Gather for TreeMerger {
    type Query = TreeQuery;

    fn select(query: &TreeQuery) -> &Select {
        &query.select
    }

    fn empty() -> Self {
        TreeMerger::default()
    }

    fn add_head(&mut self, query: &TreeQuery, head: &DatasetHead) {
        head.add_tree(query, self);
    }

    async fn of_block(query: &TreeQuery, block: &Block, results: &Results) -> Result<Self, Fault> {
        // On the heap, as what waits lies in what waits for it, and stacks are small.
        let read = Box::pin(async {
            let mut merger = Self::empty();
            block.add_tree(query, &mut merger).await?;
            Ok(merger)
        });
        results.tree(query, block, read).await
    }

    fn merge(&mut self, other: Self) {
        self.add_tree(&other.finish());
    }

    fn bytes(&self) -> usize {
        TreeMerger::bytes(self)
    }
}

impl Gather for ProfileMerge {
    type Query = TreeQuery;

    fn select(query: &TreeQuery) -> &Select {
        &query.select
    }

    fn empty() -> Self {
        ProfileMerge::default()
    }

    fn add_head(&mut self, query: &TreeQuery, head: &DatasetHead) {
        head.add_profile(query, self);
    }

    async fn of_block(query: &TreeQuery, block: &Block, _: &Results) -> Result<Self, Fault> {
        let mut merge = Self::empty();
        block.add_profile(query, &mut merge).await?;
        Ok(merge)
    }

    fn merge(&mut self, other: Self) {
        ProfileMerge::merge(self, other);
    }

    fn bytes(&self) -> usize {
        ProfileMerge::bytes(self)
    }
}
