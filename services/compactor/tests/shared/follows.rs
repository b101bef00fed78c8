//! A store and its compactor in one process, as the server wires them; where it cannot follow, the test fails.

use std::sync::Arc;

use async_trait::async_trait;
use flamestore_block::Ulid;
use flamestore_compactor::{Flush, Follow};
use flamestore_engine::Engine;
use flamestore_index::Snapshot;
use flamestore_model::{Fault, TenantId};

pub(crate) struct StoreFollows {
    pub(crate) engine: Arc<Engine>,
    /// In place of the store's own name.
    pub(crate) name: Option<String>,
}

impl Follow for StoreFollows {
    fn follow(&self, tenant: &TenantId, now: &Snapshot) {
        self.engine.follow(tenant, now).unwrap();
    }
}

#[async_trait]
impl Flush for StoreFollows {
    async fn flush(&self) -> Result<(), Fault> {
        self.engine.flush().await
    }

    fn blocks(&self, tenant: &TenantId) -> Vec<Ulid> {
        self.engine.block_ids(tenant)
    }

    fn blocks_to_come(&self, tenant: &TenantId) -> Vec<Ulid> {
        self.engine.blocks_to_come(tenant)
    }

    fn missed(&self, tenant: &TenantId) -> Vec<Ulid> {
        self.engine.missed_blocks(tenant)
    }

    fn name(&self) -> Option<String> {
        self.name.clone().or_else(|| self.engine.name().map(str::to_owned))
    }
}
