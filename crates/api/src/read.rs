//! From the querier to whoever holds profiles.

use async_trait::async_trait;
use flamestore_flamegraph::heatmap::ObservedSeries;
use flamestore_flamegraph::{ProfileMerge, Tree};
use flamestore_model::{Fault, QueryCost, Reads, Select, SeriesInfo, SeriesPoints, TenantId, TimeRange, TreeQuery};

/// An answer, and whether something that should have answered did not.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    pub value: T,
    pub partial: bool,
    /// What was read for it.
    pub reads: Reads,
}

impl<T> Answer<T> {
    /// The same answer in other words.
    pub fn map<U>(self, say: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { value: say(self.value), partial: self.partial, reads: self.reads }
    }
}

/// Answers from the profiles it holds, each counted exactly once. Never truncates: that happens once, at the root.
#[async_trait]
pub trait Reader: Send + Sync {
    /// The series with a profile in the range that match, in any order, each once.
    async fn series(&self, tenant: &TenantId, select: &Select) -> Result<Answer<Vec<SeriesInfo>>, Fault>;
    /// Times and totals of the matching profiles. With a call site, totals count only the stacks below it.
    async fn points(&self, tenant: &TenantId, query: &TreeQuery) -> Result<Answer<Vec<SeriesPoints>>, Fault>;
    /// What each span of the matching profiles sums up to: one observation for every profile, span and trace. A series may
    /// come more than once, with observations of other profiles; series without spans are left out.
    async fn spans(&self, tenant: &TenantId, select: &Select) -> Result<Answer<Vec<ObservedSeries>>, Fault>;
    /// The matching samples merged by function name.
    async fn tree(&self, tenant: &TenantId, query: &TreeQuery) -> Result<Answer<Tree>, Fault>;
    /// The matching samples merged by location.
    async fn profile(&self, tenant: &TenantId, query: &TreeQuery) -> Result<Answer<ProfileMerge>, Fault>;
    /// What answering would take. Without `exact`, nothing is read, and all of each service that can match counts.
    async fn cost(&self, tenant: &TenantId, select: &Select, exact: bool) -> Result<Answer<QueryCost>, Fault>;
    /// First and last profile time of the tenant.
    async fn bounds(&self, tenant: &TenantId) -> Result<Answer<Option<TimeRange>>, Fault>;
}
