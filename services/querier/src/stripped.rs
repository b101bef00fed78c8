//! Hides what was kept of profiles that sampling dropped: they have totals, but no stacks.

use std::sync::Arc;

use async_trait::async_trait;
use flamestore_api::{Answer, Reader};
use flamestore_flamegraph::heatmap::ObservedSeries;
use flamestore_flamegraph::{ProfileMerge, Tree};
use flamestore_model::labels::names;
use flamestore_model::{Fault, Matcher, QueryCost, Select, SeriesInfo, SeriesPoints, TenantId, TimeRange, TreeQuery};

/// What the label `__sampled__` says of stripped profiles.
const STRIPPED: &str = "true";

/// Whether a tenant wants to see its stripped profiles.
pub type ShowsStripped = Arc<dyn Fn(&TenantId) -> bool + Send + Sync>;

/// A reader without the profiles that were kept stripped of their stacks, but for tenants that want to see them.
pub struct WithoutStripped {
    reader: Arc<dyn Reader>,
    shows: ShowsStripped,
}

impl WithoutStripped {
    pub fn new(reader: Arc<dyn Reader>, shows: ShowsStripped) -> Self {
        WithoutStripped { reader, shows }
    }

    fn select(&self, tenant: &TenantId, select: &Select) -> Select {
        let mut select = select.clone();
        if !(self.shows)(tenant) {
            select.selector.matchers.push(Matcher::not_equal(names::SAMPLED, STRIPPED));
        }
        select
    }

    fn query(&self, tenant: &TenantId, query: &TreeQuery) -> TreeQuery {
        TreeQuery { select: self.select(tenant, &query.select), stacks: query.stacks.clone() }
    }
}

#[async_trait]
impl Reader for WithoutStripped {
    async fn series(&self, tenant: &TenantId, select: &Select) -> Result<Answer<Vec<SeriesInfo>>, Fault> {
        self.reader.series(tenant, &self.select(tenant, select)).await
    }

    async fn points(&self, tenant: &TenantId, query: &TreeQuery) -> Result<Answer<Vec<SeriesPoints>>, Fault> {
        self.reader.points(tenant, &self.query(tenant, query)).await
    }

    async fn spans(&self, tenant: &TenantId, select: &Select) -> Result<Answer<Vec<ObservedSeries>>, Fault> {
        self.reader.spans(tenant, &self.select(tenant, select)).await
    }

    async fn tree(&self, tenant: &TenantId, query: &TreeQuery) -> Result<Answer<Tree>, Fault> {
        self.reader.tree(tenant, &self.query(tenant, query)).await
    }

    async fn profile(&self, tenant: &TenantId, query: &TreeQuery) -> Result<Answer<ProfileMerge>, Fault> {
        self.reader.profile(tenant, &self.query(tenant, query)).await
    }

    async fn cost(&self, tenant: &TenantId, select: &Select, exact: bool) -> Result<Answer<QueryCost>, Fault> {
        self.reader.cost(tenant, &self.select(tenant, select), exact).await
    }

    async fn bounds(&self, tenant: &TenantId) -> Result<Answer<Option<TimeRange>>, Fault> {
        self.reader.bounds(tenant).await
    }
}
