//! What a query would take, over heads and blocks.

use std::sync::Arc;

use flamestore_api::Answer;
use flamestore_block::Block;
use flamestore_head::DatasetHead;
use flamestore_model::{Fault, QueryCost, Select, TenantId};

use crate::select::Gather;
use crate::store::Store;

/// What is asked, and whether blocks may read to answer it exactly.
#[derive(Clone)]
pub(crate) struct CostQuery {
    select: Select,
    exact: bool,
}

impl Store {
    pub(crate) async fn cost(
        &self,
        tenant: &TenantId,
        select: &Select,
        exact: bool,
    ) -> Result<Answer<QueryCost>, Fault> {
        self.gather(tenant, &CostQuery { select: select.clone(), exact }).await
    }
}

impl Gather for QueryCost {
    type Query = CostQuery;
    type Part = Self;

    fn select(query: &CostQuery) -> &Select {
        &query.select
    }

    fn empty() -> Self {
        QueryCost::default()
    }

    fn add_head(&mut self, query: &CostQuery, head: &DatasetHead) {
        self.heads += head.cost(&query.select);
    }

    async fn of_block(query: &CostQuery, block: &Block) -> Result<Self, Fault> {
        Ok(QueryCost { blocks: block.cost(&query.select, query.exact).await?, ..QueryCost::default() })
    }

    fn add(&mut self, part: Arc<Self>) {
        *self += *part;
    }

    fn into_part(self) -> Self {
        self
    }
}
