//! Which blocks the bucket holds.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use flamestore_block::meta::meta_key;
use flamestore_block::{Block, BlockCache, Meta, Ulid};
use flamestore_model::{Fault, Kind, TenantId};
use flamestore_objstore::Bucket;
use futures::{StreamExt, TryStreamExt};

use crate::store::TenantBlocks;

/// What a listing of the bucket has found.
#[derive(Default)]
pub(crate) struct Catalog {
    pub(crate) blocks: HashMap<TenantId, TenantBlocks>,
    /// (epoch, tenant) of this store that need not be replayed.
    pub(crate) committed: HashSet<(u64, TenantId)>,
    /// The highest epoch of this store in any block. 0: none.
    pub(crate) last_epoch: u64,
}

/// Reads the description of every committed block, `parallel` at a time.
pub(crate) async fn load(
    bucket: &Bucket,
    cache: &Arc<BlockCache>,
    ingester: &str,
    parallel: usize,
) -> Result<Catalog, Fault> {
    let parallel = parallel.max(1);
    let tenants = bucket.list_dirs("").await?;
    // What is no tenant's folder is not ours.
    let tenants = tenants.into_iter().filter_map(|name| TenantId::parse(&name).ok());
    let folders = futures::stream::iter(tenants)
        .map(|tenant| async move {
            let names = bucket.list_dirs(&format!("{tenant}/blocks")).await?;
            let ids: Vec<_> =
                names.iter().filter_map(|name| Ulid::parse(name)).map(|id| (tenant.clone(), id)).collect();
            Ok::<_, Fault>(futures::stream::iter(ids.into_iter().map(Ok::<_, Fault>)))
        })
        .buffer_unordered(parallel)
        .try_flatten();
    let mut metas = folders
        .map(|found| async {
            let (tenant, ulid) = found?;
            let meta = read_meta(bucket, &tenant, ulid).await;
            Ok::<_, Fault>((tenant, meta))
        })
        .buffer_unordered(parallel);

    let mut catalog = Catalog::default();
    while let Some(found) = metas.next().await {
        let (tenant, meta) = found?;
        match meta {
            Ok(None) => {}
            Ok(Some(meta)) => catalog.add(bucket, cache, ingester, tenant, meta)?,
            Err(fault) if fault.kind == Kind::Corrupt => {
                tracing::error!(%tenant, %fault, "a block cannot be read: answers are partial");
                catalog.blocks.entry(tenant).or_default().partial = true;
            }
            Err(fault) => return Err(fault),
        }
    }
    drop(metas);
    for of_tenant in catalog.blocks.values_mut() {
        Arc::make_mut(&mut of_tenant.blocks).sort_by_key(|block| block.meta().ulid);
    }
    Ok(catalog)
}

/// `None`: the block was never committed.
async fn read_meta(bucket: &Bucket, tenant: &TenantId, ulid: Ulid) -> Result<Option<Meta>, Fault> {
    let key = meta_key(tenant, ulid);
    match bucket.get(&key).await {
        Err(fault) if fault.kind == Kind::NotFound => Ok(None),
        Err(fault) => Err(fault),
        Ok(bytes) => {
            let meta = Meta::from_json(&bytes).map_err(|fault| fault.at(&key))?;
            if meta.tenant != tenant.as_str() || meta.ulid != ulid {
                return Err(Fault::corrupt(format!("{key} describes a block of another place: somebody has moved it")));
            }
            Ok(Some(meta))
        }
    }
}

impl Catalog {
    fn add(
        &mut self,
        bucket: &Bucket,
        cache: &Arc<BlockCache>,
        ingester: &str,
        tenant: TenantId,
        meta: Meta,
    ) -> Result<(), Fault> {
        if meta.origin.ingester == ingester {
            self.committed.insert((meta.origin.epoch, tenant.clone()));
            self.last_epoch = self.last_epoch.max(meta.origin.epoch);
        }
        let block = Block::open(bucket.clone(), tenant.clone(), Arc::new(meta), cache.clone())?;
        Arc::make_mut(&mut self.blocks.entry(tenant).or_default().blocks).push(Arc::new(block));
        Ok(())
    }
}
