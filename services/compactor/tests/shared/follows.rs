//! A store and its compactor in one process, as the server wires them; where it cannot follow, the test fails.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use flamestore_block::{Hidden, Meta, Ulid};
use flamestore_compactor::{Flush, Follow};
use flamestore_engine::Engine;
use flamestore_model::{Fault, TenantId};

pub(crate) struct StoreFollows {
    pub(crate) engine: Arc<Engine>,
    /// In place of the store's own name.
    pub(crate) name: Option<String>,
}

impl Follow for StoreFollows {
    fn replaced(&self, tenant: &TenantId, added: Vec<Meta>, removed: &[Ulid]) {
        self.engine.replace_blocks(tenant, added, removed).unwrap();
    }

    fn hidden(&self, tenant: &TenantId, by_block: HashMap<Ulid, Arc<[Hidden]>>) {
        self.engine.hide(tenant, &by_block).unwrap();
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

    fn name(&self) -> Option<String> {
        self.name.clone().or_else(|| self.engine.name().map(str::to_owned))
    }
}
