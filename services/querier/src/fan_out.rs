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
        let mut answers =
            self.ask(tenants, |reader, tenant| async move { reader.series(&tenant, select).await }).await?;
        let mut value = match answers.value.len() {
            1 => answers.value.swap_remove(0),
            _ => joined(answers.value.into_iter().flatten()),
        };
        value.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(Answer { value, partial: answers.partial, reads: answers.reads })
    }

    /// The same series may come more than once, with disjoint points.
    pub async fn points(&self, tenants: &[TenantId], query: &TreeQuery) -> Result<Answer<Vec<SeriesPoints>>, Fault> {
        let answers = self.ask(tenants, |reader, tenant| async move { reader.points(&tenant, query).await }).await?;
        Ok(answers.map(|all| all.into_iter().flatten().collect()))
    }

    /// The same series may come more than once, with observations of other profiles.
    pub async fn spans(&self, tenants: &[TenantId], select: &Select) -> Result<Answer<Vec<ObservedSeries>>, Fault> {
        let answers = self.ask(tenants, |reader, tenant| async move { reader.spans(&tenant, select).await }).await?;
        Ok(answers.map(|all| all.into_iter().flatten().collect()))
    }

    pub async fn tree(&self, tenants: &[TenantId], query: &TreeQuery) -> Result<Answer<Tree>, Fault> {
        let mut answers = self.ask(tenants, |reader, tenant| async move { reader.tree(&tenant, query).await }).await?;
        let value = match answers.value.len() {
            1 => answers.value.swap_remove(0),
            _ => {
                let mut merger = TreeMerger::default();
                for tree in &answers.value {
                    merger.add_tree(tree);
                    budget::within(merger.bytes(), self.max_merge_bytes)?;
                }
                merger.finish()
            }
        };
        Ok(Answer { value, partial: answers.partial, reads: answers.reads })
    }

    pub async fn profile(&self, tenants: &[TenantId], query: &TreeQuery) -> Result<Answer<ProfileMerge>, Fault> {
        let answers = self.ask(tenants, |reader, tenant| async move { reader.profile(&tenant, query).await }).await?;
        let mut value = ProfileMerge::default();
        for one in answers.value {
            value.merge(one);
            budget::within(value.bytes(), self.max_merge_bytes)?;
        }
        Ok(Answer { value, partial: answers.partial, reads: answers.reads })
    }

    /// What a query would take, over all tenants and readers.
    pub async fn cost(&self, tenants: &[TenantId], select: &Select, exact: bool) -> Result<Answer<QueryCost>, Fault> {
        let ask = |reader: Arc<dyn Reader>, tenant| async move { reader.cost(&tenant, select, exact).await };
        let answers = self.ask(tenants, ask).await?;
        let mut value = QueryCost::default();
        for cost in answers.value {
            value += cost;
        }
        Ok(Answer { value, partial: answers.partial, reads: answers.reads })
    }

    /// How many are asked each question.
    pub fn readers(&self) -> usize {
        self.readers.len()
    }

    /// First and last profile time of a tenant.
    pub async fn bounds(&self, tenant: &TenantId) -> Result<Option<TimeRange>, Fault> {
        let answers = self
            .ask(std::slice::from_ref(tenant), |reader, tenant| async move { reader.bounds(&tenant).await })
            .await?;
        Ok(answers.value.into_iter().flatten().reduce(|a, b| TimeRange {
            from_nanos: a.from_nanos.min(b.from_nanos),
            to_nanos: a.to_nanos.max(b.to_nanos),
        }))
    }

    /// Asks each reader about each tenant. One fault is the whole answer's: a sum with a hole would look exact. What a
    /// reader has lost for good comes as a partial answer, and is told.
    async fn ask<T, F>(
        &self,
        tenants: &[TenantId],
        question: impl Fn(Arc<dyn Reader>, TenantId) -> F,
    ) -> Result<Answer<Vec<T>>, Fault>
    where
        F: Future<Output = Result<Answer<T>, Fault>>,
    {
        let _turn = match (&self.gate, tenants.first()) {
            (Some(gate), Some(tenant)) => Some(gate.turn(tenant).await?),
            _ => None,
        };
        let pairs = self.readers.iter().flat_map(|r| tenants.iter().map(move |t| (r.clone(), t.clone())));
        let questions: Vec<F> = pairs.map(|(reader, tenant)| question(reader, tenant)).collect();
        let answers: Vec<Answer<T>> = stream::iter(questions).buffered(MAX_FAN_OUT).try_collect().await?;
        let partial = answers.iter().any(|a| a.partial);
        if partial {
            (self.on_partial)();
        }
        let mut reads = Reads::default();
        answers.iter().for_each(|answer| reads += answer.reads);
        (self.on_reads)(&reads);
        Ok(Answer { value: answers.into_iter().map(|a| a.value).collect(), partial, reads })
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
