//! A bucket that is only read, for commands that wait for it.

use std::sync::Arc;

use flamestore_block::{Block, BlockCache, Meta};
use flamestore_clock::SystemClock;
use flamestore_index::Index;
use flamestore_model::{Fault, Kind, TenantId};
use flamestore_objstore::Bucket;
use tokio::runtime::Runtime;

use crate::failure::{Exit, Failure};

/// What is kept of a block's footers, series and symbols while it is looked at, in bytes.
const CACHE_BYTES: u64 = 256 << 20;

/// The bucket, and whose blocks in it are meant.
pub(crate) struct Store {
    runtime: Runtime,
    bucket: Bucket,
    /// `None`: everybody's.
    tenants: Option<Vec<TenantId>>,
}

impl Store {
    pub(crate) fn new(bucket: Bucket, tenants: Option<Vec<TenantId>>) -> Result<Store, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Failure::new(Exit::File, format!("no thread can be started: {e}")))?;
        Ok(Store { runtime, bucket, tenants })
    }

    /// Waits for what the bucket has to say.
    pub(crate) fn wait<T>(&self, asked: impl Future<Output = Result<T, Fault>>) -> Result<T, Failure> {
        self.try_wait(asked).map_err(|e| of_fault(&e))
    }

    /// The same, with the bucket's own words.
    pub(crate) fn try_wait<T>(&self, asked: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        self.runtime.block_on(asked)
    }

    pub(crate) fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// The tenants that are meant; where none was named, every folder that has blocks.
    pub(crate) fn tenants(&self) -> Result<Vec<TenantId>, Failure> {
        if let Some(tenants) = &self.tenants {
            return Ok(tenants.clone());
        }
        self.wait(async {
            let mut found = Vec::new();
            for name in self.bucket.list_dirs("").await? {
                let Ok(tenant) = TenantId::parse(&name) else { continue };
                let folders = self.bucket.list_dirs(&name).await?;
                if folders.iter().any(|folder| folder == "blocks" || folder == "index") {
                    found.push(tenant);
                }
            }
            Ok(found)
        })
    }

    pub(crate) fn index(&self, tenant: &TenantId) -> Index {
        Index::new(self.bucket.clone(), tenant.clone(), Arc::new(SystemClock::default()))
    }

    pub(crate) fn open(&self, tenant: &TenantId, meta: Meta) -> Result<Block, Failure> {
        let cache = BlockCache::new(CACHE_BYTES);
        Block::open(self.bucket.clone(), tenant.clone(), Arc::new(meta), cache).map_err(|e| of_fault(&e))
    }
}

/// What a fault of the bucket means for a script.
pub(crate) fn of_fault(fault: &Fault) -> Failure {
    let exit = match fault.kind {
        Kind::Invalid | Kind::Unimplemented => Exit::Usage,
        Kind::Unauthenticated | Kind::Forbidden => Exit::Refused,
        Kind::NotFound => Exit::Nothing,
        Kind::Corrupt => Exit::Damaged,
        _ => Exit::Unreachable,
    };
    Failure::new(exit, told(fault))
}

/// A fault in one sentence, with what caused it.
pub(crate) fn told(fault: &Fault) -> String {
    let mut text = fault.to_string();
    let mut cause = std::error::Error::source(fault);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
