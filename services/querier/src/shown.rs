//! Leaves out what a tenant is not shown: what is past its retention, and what was kept of profiles that sampling dropped.
//!
//! The bytes of what is past retention go with their whole block, later; a question to several tenants is one to each, and
//! each has a retention of its own.

use std::sync::Arc;

use async_trait::async_trait;
use flamestore_api::{Answer, Reader};
use flamestore_flamegraph::heatmap::ObservedSeries;
use flamestore_flamegraph::{ProfileMerge, Tree};
use flamestore_model::labels::names;
use flamestore_model::{Fault, Matcher, QueryCost, Select, SeriesInfo, SeriesPoints, TenantId, TimeRange, TreeQuery};

/// What the label `__sampled__` says of stripped profiles, which have totals but no stacks.
const STRIPPED: &str = "true";

/// What a tenant is shown at the moment.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Nothing older, in nanoseconds since the epoch.
    pub oldest_nanos: i64,
    /// Whether it wants to see profiles that were stripped of their stacks.
    pub stripped: bool,
}

/// What each tenant is shown.
pub type Views = Arc<dyn Fn(&TenantId) -> View + Send + Sync>;

/// A reader of what tenants are shown.
pub struct Shown {
    reader: Arc<dyn Reader>,
    views: Views,
}

impl Shown {
    pub fn new(reader: Arc<dyn Reader>, views: Views) -> Self {
        Shown { reader, views }
    }

    fn select(&self, tenant: &TenantId, select: &Select) -> Select {
        let (view, mut select) = ((self.views)(tenant), select.clone());
        select.range.from_nanos = select.range.from_nanos.max(view.oldest_nanos);
        if !view.stripped {
            select.selector.matchers.push(Matcher::not_equal(names::SAMPLED, STRIPPED));
        }
        select
    }

    fn query(&self, tenant: &TenantId, query: &TreeQuery) -> TreeQuery {
        TreeQuery { select: self.select(tenant, &query.select), stacks: query.stacks.clone() }
    }
}

#[async_trait]
impl Reader for Shown {
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
        let oldest_nanos = (self.views)(tenant).oldest_nanos;
        let bounds = self.reader.bounds(tenant).await?;
        Ok(bounds.map(|range| {
            let range = range.filter(|range| range.to_nanos >= oldest_nanos)?;
            Some(TimeRange { from_nanos: range.from_nanos.max(oldest_nanos), ..range })
        }))
    }
}
