//! One question, many readers and tenants, one answer.

use std::future::Future;
use std::sync::Arc;

use flamestore_api::{Answer, Reader};
use flamestore_flamegraph::budget::{self, MAX_MERGE_BYTES};
use flamestore_flamegraph::heatmap::ObservedSeries;
use flamestore_flamegraph::{ProfileMerge, Tree, TreeMerger};
use flamestore_model::{
    Fault, Labels, QueryCost, Reads, Select, SeriesInfo, SeriesPoints, TenantId, TimeRange, TreeQuery,
};
use foldhash::fast::RandomState;
use futures::stream::{self, StreamExt, TryStreamExt};
use hashbrown::HashMap;

use crate::gate::Gate;

/// Questions that one query has under way at once, over all readers and tenants.
pub const MAX_FAN_OUT: usize = 16;

/// As [`MAX_FAN_OUT`], where each answer may take as much memory as one query may have.
pub const MAX_MERGES: usize = 4;

/// Reads over several tenants and readers. Readers hold disjoint sets of profiles, so answers only add up.
#[derive(Clone)]
pub struct Querier {
    readers: Arc<[Arc<dyn Reader>]>,
    on_partial: fn(),
    on_reads: fn(&Reads),
    gate: Option<Arc<Gate>>,
    max_merge_bytes: usize,
}

impl Querier {
    pub fn new(readers: Vec<Arc<dyn Reader>>) -> Self {
        Querier {
            readers: readers.into(),
            on_partial: || {},
            on_reads: |_| {},
            gate: None,
            max_merge_bytes: MAX_MERGE_BYTES,
        }
    }

    /// Calls `told` in the task of the question whenever an answer lacks something.
    #[must_use]
    pub fn on_partial(self, told: fn()) -> Self {
        Querier { on_partial: told, ..self }
    }

    /// Tells in the task of the question what was read for it.
    #[must_use]
    pub fn on_reads(self, told: fn(&Reads)) -> Self {
        Querier { on_reads: told, ..self }
    }

    /// Lets questions wait where the gate says so.
    #[must_use]
    pub fn behind(self, gate: Arc<Gate>) -> Self {
        Querier { gate: Some(gate), ..self }
    }

    /// Bounds what the answers of several readers or tenants may take together, in bytes.
    #[must_use]
    pub fn holding_at_most(self, max_merge_bytes: usize) -> Self {
        Querier { max_merge_bytes, ..self }
    }

    pub async fn series(&self, tenants: &[TenantId], select: &Select) -> Result<Answer<Vec<SeriesInfo>>, Fault> {
        let ask = |reader: Arc<dyn Reader>, tenant| async move { reader.series(&tenant, select).await };
        let Answer { value, partial, reads } = self.ask_all(tenants, ask).await?;
        let mut value = match <[Vec<SeriesInfo>; 1]>::try_from(value) {
            Ok([only]) => only,
            Err(several) => joined(several.into_iter().flatten()),
        };
        value.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(Answer { value, partial, reads })
    }

    /// The same series may come more than once, with disjoint points.
    pub async fn points(&self, tenants: &[TenantId], query: &TreeQuery) -> Result<Answer<Vec<SeriesPoints>>, Fault> {
        let ask = |reader: Arc<dyn Reader>, tenant| async move { reader.points(&tenant, query).await };
        let bytes = |one: &SeriesPoints| size_of_val(one) + size_of_val(&*one.points) + size_of_val(&*one.notes);
        self.ask(tenants, MAX_MERGES, ask, Vec::new(), self.joining(bytes)).await
    }

    /// The same series may come more than once, with observations of other profiles.
    pub async fn spans(&self, tenants: &[TenantId], select: &Select) -> Result<Answer<Vec<ObservedSeries>>, Fault> {
        let ask = |reader: Arc<dyn Reader>, tenant| async move { reader.spans(&tenant, select).await };
        let bytes = |one: &ObservedSeries| size_of_val(one) + size_of_val(&*one.observed);
        self.ask(tenants, MAX_MERGES, ask, Vec::new(), self.joining(bytes)).await
    }

    /// Puts lists behind each other, as long as all of it takes no more than it may.
    fn joining<T>(&self, bytes_of: impl Fn(&T) -> usize) -> impl FnMut(&mut Vec<T>, Vec<T>) -> Result<(), Fault> {
        let (mut bytes, max_bytes) = (0usize, self.max_merge_bytes);
        move |all: &mut Vec<T>, more: Vec<T>| {
            bytes = more.iter().fold(bytes, |sum, one| sum.saturating_add(bytes_of(one)));
            match all.is_empty() {
                // It has been within bounds when it was made.
                true => *all = more,
                false => {
                    budget::within(bytes, max_bytes)?;
                    all.extend(more);
                }
            }
            Ok(())
        }
    }

    pub async fn tree(&self, tenants: &[TenantId], query: &TreeQuery) -> Result<Answer<Tree>, Fault> {
        let ask = |reader: Arc<dyn Reader>, tenant| async move { reader.tree(&tenant, query).await };
        let add = |(first, others): &mut (Option<Tree>, TreeMerger), tree: Tree| {
            if first.is_none() && others.is_empty() {
                *first = Some(tree);
                return Ok(());
            }
            for tree in first.take().iter().chain([&tree]) {
                others.add_tree(tree);
            }
            budget::within(others.bytes(), self.max_merge_bytes)
        };
        let answer = self.ask(tenants, MAX_MERGES, ask, Default::default(), add).await?;
        Ok(answer.map(|(first, others)| first.unwrap_or_else(|| others.finish())))
    }

    pub async fn profile(&self, tenants: &[TenantId], query: &TreeQuery) -> Result<Answer<ProfileMerge>, Fault> {
        let ask = |reader: Arc<dyn Reader>, tenant| async move { reader.profile(&tenant, query).await };
        let add = |sum: &mut ProfileMerge, one| {
            sum.merge(one);
            budget::within(sum.bytes(), self.max_merge_bytes)
        };
        self.ask(tenants, MAX_MERGES, ask, ProfileMerge::default(), add).await
    }

    /// What a query would take, over all tenants and readers.
    pub async fn cost(&self, tenants: &[TenantId], select: &Select, exact: bool) -> Result<Answer<QueryCost>, Fault> {
        let ask = |reader: Arc<dyn Reader>, tenant| async move { reader.cost(&tenant, select, exact).await };
        let add = |sum: &mut QueryCost, cost| {
            *sum += cost;
            Ok(())
        };
        self.ask(tenants, MAX_FAN_OUT, ask, QueryCost::default(), add).await
    }

    /// How many are asked each question.
    pub fn readers(&self) -> usize {
        self.readers.len()
    }

    /// First and last profile time of a tenant.
    pub async fn bounds(&self, tenant: &TenantId) -> Result<Option<TimeRange>, Fault> {
        let ask = |reader: Arc<dyn Reader>, tenant| async move { reader.bounds(&tenant).await };
        let answers = self.ask_all(std::slice::from_ref(tenant), ask).await?;
        Ok(answers.value.into_iter().flatten().reduce(|a, b| TimeRange {
            from_nanos: a.from_nanos.min(b.from_nanos),
            to_nanos: a.to_nanos.max(b.to_nanos),
        }))
    }

    /// As [`Querier::ask`], with the answers one by one.
    async fn ask_all<T, F>(
        &self,
        tenants: &[TenantId],
        question: impl Fn(Arc<dyn Reader>, TenantId) -> F,
    ) -> Result<Answer<Vec<T>>, Fault>
    where
        F: Future<Output = Result<Answer<T>, Fault>>,
    {
        let add = |all: &mut Vec<T>, one| {
            all.push(one);
            Ok(())
        };
        self.ask(tenants, MAX_FAN_OUT, question, Vec::new(), add).await
    }

    /// Asks each reader about each tenant, `at_once` of them at a time, and adds up what they say. One fault is the whole
    /// answer's: a sum with a hole would look exact. What a reader has lost for good comes as a partial answer, and is told.
    async fn ask<T, S, F>(
        &self,
        tenants: &[TenantId],
        at_once: usize,
        question: impl Fn(Arc<dyn Reader>, TenantId) -> F,
        sum: S,
        mut add: impl FnMut(&mut S, T) -> Result<(), Fault>,
    ) -> Result<Answer<S>, Fault>
    where
        F: Future<Output = Result<Answer<T>, Fault>>,
    {
        let _turn = match &self.gate {
            Some(gate) if !tenants.is_empty() => Some(gate.turn(tenants).await?),
            _ => None,
        };
        let pairs = self.readers.iter().flat_map(|r| tenants.iter().map(move |t| (r.clone(), t.clone())));
        let questions: Vec<F> = pairs.map(|(reader, tenant)| question(reader, tenant)).collect();
        let mut answers = stream::iter(questions).buffered(at_once);
        let mut whole = Answer { value: sum, partial: false, reads: Reads::default() };
        while let Some(one) = answers.try_next().await? {
            add(&mut whole.value, one.value)?;
            whole.partial |= one.partial;
            whole.reads += one.reads;
        }
        if whole.partial {
            (self.on_partial)();
        }
        (self.on_reads)(&whole.reads);
        Ok(whole)
    }
}

/// Each series once.
fn joined(all: impl Iterator<Item = SeriesInfo>) -> Vec<SeriesInfo> {
    let mut by_labels: HashMap<Labels, SeriesInfo, RandomState> = HashMap::default();
    for info in all {
        match by_labels.get_mut(&info.labels) {
            Some(known) => {
                known.range.from_nanos = known.range.from_nanos.min(info.range.from_nanos);
                known.range.to_nanos = known.range.to_nanos.max(info.range.to_nanos);
                known.profiles += info.profiles;
            }
            None => {
                by_labels.insert(info.labels.clone(), info);
            }
        }
    }
    by_labels.into_values().collect()
}
