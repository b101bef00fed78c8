//! Answers: a snapshot, then heads and blocks side by side, each profile once.

mod cost;
mod gather;
mod pieces;

use std::sync::Arc;

use flamestore_api::Answer;
use flamestore_block::Block;
use flamestore_flamegraph::heatmap::{Observed, ObservedSeries};
use flamestore_flamegraph::{ProfileMerge, Tree, TreeMerger};
use flamestore_head::DatasetHead;
use flamestore_model::{
    Fault, Labels, Note, Point, Reads, Select, SeriesInfo, SeriesPoints, TenantId, TimeRange, TreeQuery,
};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::heads::span;
use crate::push::blocking;
use crate::results::words;
use crate::store::Store;

/// What is gathered from heads and blocks.
trait Gather: Send + Sized + 'static {
    type Query: Clone + Send + Sync + 'static;
    /// What it is of some blocks, to be added to others, and kept.
    type Part: Send + Sync + 'static;

    fn select(query: &Self::Query) -> &Select;
    /// What is asked, without times, in words that mean one thing only. `None`: parts of this kind are not kept.
    fn words(_: &Self::Query) -> Option<String> {
        None
    }

    fn empty() -> Self;
    fn add_head(&mut self, query: &Self::Query, head: &DatasetHead);
    fn of_block(query: &Self::Query, block: &Block) -> impl Future<Output = Result<Self, Fault>> + Send;
    fn add(&mut self, part: Arc<Self::Part>);
    fn into_part(self) -> Self::Part;

    /// Heap bytes held, where parts are kept.
    fn part_bytes(_: &Self::Part) -> usize {
        0
    }

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
}

#[derive(Clone)]
struct SeriesTable(HashMap<Labels, SeriesInfo, RandomState>);

impl SeriesTable {
    fn insert(&mut self, found: impl IntoIterator<Item = SeriesInfo>) {
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
    type Part = Self;

    fn select(query: &Select) -> &Select {
        query
    }

    fn empty() -> Self {
        SeriesTable(HashMap::default())
    }

    fn add_head(&mut self, query: &Select, head: &DatasetHead) {
        self.insert(head.series(query));
    }

    async fn of_block(query: &Select, block: &Block) -> Result<Self, Fault> {
        let mut table = Self::empty();
        table.insert(block.series(query).await?);
        Ok(table)
    }

    fn add(&mut self, part: Arc<Self>) {
        self.insert(Arc::unwrap_or_clone(part).0.into_values());
    }

    fn into_part(self) -> Self {
        self
    }
}

/// What was found of each series.
#[derive(Clone)]
struct Rows<T> {
    by_labels: HashMap<Labels, Vec<T>, RandomState>,
    count: usize,
}

impl<T: Clone> Rows<T> {
    fn none() -> Self {
        Rows { by_labels: HashMap::default(), count: 0 }
    }

    fn add(&mut self, found: impl IntoIterator<Item = (Labels, Vec<T>)>) {
        for (labels, mut rows) in found {
            self.count += rows.len();
            self.by_labels.entry(labels).or_default().append(&mut rows);
        }
    }

    fn add_copy(&mut self, other: &Self) {
        self.count += other.count;
        for (labels, rows) in &other.by_labels {
            match self.by_labels.get_mut(labels) {
                Some(known) => known.extend_from_slice(rows),
                None => drop(self.by_labels.insert(labels.clone(), rows.clone())),
            }
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
    fn insert(&mut self, found: Vec<SeriesPoints>) {
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
    type Part = Self;

    fn select(query: &TreeQuery) -> &Select {
        &query.select
    }

    fn words(query: &TreeQuery) -> Option<String> {
        Some(words("points", query))
    }

    fn empty() -> Self {
        PointTable { points: Rows::none(), notes: Rows::none() }
    }

    fn add_head(&mut self, query: &TreeQuery, head: &DatasetHead) {
        self.insert(head.points(query));
    }

    async fn of_block(query: &TreeQuery, block: &Block) -> Result<Self, Fault> {
        let mut table = Self::empty();
        table.insert(block.points(query).await?);
        Ok(table)
    }

    fn add(&mut self, part: Arc<Self>) {
        match Arc::try_unwrap(part) {
            Ok(part) => {
                self.points.add(part.points.by_labels);
                self.notes.add(part.notes.by_labels);
            }
            Err(shared) => {
                self.points.add_copy(&shared.points);
                self.notes.add_copy(&shared.notes);
            }
        }
    }

    fn into_part(mut self) -> Self {
        self.points.by_labels.values_mut().for_each(Vec::shrink_to_fit);
        self.notes.by_labels.values_mut().for_each(Vec::shrink_to_fit);
        self
    }

    fn part_bytes(part: &Self) -> usize {
        let labels = part.points.by_labels.keys().map(Labels::text_bytes).sum::<usize>();
        let texts = part.notes.by_labels.values().flatten().map(|note| note.annotation.text_bytes()).sum::<usize>();
        part.bytes() + labels + texts
    }

    fn bytes(&self) -> usize {
        self.points.bytes() + self.notes.bytes()
    }
}

#[derive(Clone)]
struct SpanTable(Rows<Observed>);

impl SpanTable {
    fn insert(&mut self, found: Vec<ObservedSeries>) {
        self.0.add(found.into_iter().map(|s| (s.labels, s.observed)));
    }
}

impl Gather for SpanTable {
    type Query = Select;
    type Part = Self;

    fn select(query: &Select) -> &Select {
        query
    }

    fn empty() -> Self {
        SpanTable(Rows::none())
    }

    fn add_head(&mut self, query: &Select, head: &DatasetHead) {
        self.insert(head.spans(query));
    }

    async fn of_block(query: &Select, block: &Block) -> Result<Self, Fault> {
        let mut table = Self::empty();
        table.insert(block.spans(query).await?);
        Ok(table)
    }

    fn add(&mut self, part: Arc<Self>) {
        self.0.add(Arc::unwrap_or_clone(part).0.by_labels);
    }

    fn into_part(self) -> Self {
        self
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

impl Gather for TreeMerger {
    type Query = TreeQuery;
    type Part = Tree;

    fn select(query: &TreeQuery) -> &Select {
        &query.select
    }

    fn words(query: &TreeQuery) -> Option<String> {
        Some(words("tree", query))
    }

    fn empty() -> Self {
        TreeMerger::default()
    }

    fn add_head(&mut self, query: &TreeQuery, head: &DatasetHead) {
        head.add_tree(query, self);
    }

    async fn of_block(query: &TreeQuery, block: &Block) -> Result<Self, Fault> {
        let mut merger = Self::empty();
        block.add_tree(query, &mut merger).await?;
        Ok(merger)
    }

    fn add(&mut self, part: Arc<Tree>) {
        if self.is_empty() {
            *self = Arc::unwrap_or_clone(part).into();
        } else {
            self.add_tree(&part);
        }
    }

    fn into_part(self) -> Tree {
        let mut tree = self.finish();
        tree.shrink_to_fit();
        tree
    }

    fn part_bytes(part: &Tree) -> usize {
        part.bytes()
    }

    fn bytes(&self) -> usize {
        TreeMerger::bytes(self)
    }
}

impl Gather for ProfileMerge {
    type Query = TreeQuery;
    type Part = Self;

    fn select(query: &TreeQuery) -> &Select {
        &query.select
    }

    fn words(query: &TreeQuery) -> Option<String> {
        Some(words("profile", query))
    }

    fn empty() -> Self {
        ProfileMerge::default()
    }

    fn add_head(&mut self, query: &TreeQuery, head: &DatasetHead) {
        head.add_profile(query, self);
    }

    async fn of_block(query: &TreeQuery, block: &Block) -> Result<Self, Fault> {
        let mut merge = Self::empty();
        block.add_profile(query, &mut merge).await?;
        Ok(merge)
    }

    fn add(&mut self, part: Arc<Self>) {
        match Arc::try_unwrap(part) {
            Ok(part) => self.merge(part),
            Err(shared) => self.merge_copy(&shared),
        }
    }

    fn into_part(mut self) -> Self {
        self.shrink_to_fit();
        self
    }

    fn part_bytes(part: &Self) -> usize {
        ProfileMerge::bytes(part)
    }

    fn bytes(&self) -> usize {
        ProfileMerge::bytes(self)
    }
}
