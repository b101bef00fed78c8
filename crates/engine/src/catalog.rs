//! Which blocks the bucket holds.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use flamestore_block::{Block, BlockCache, Meta};
use flamestore_clock::Clock;
use flamestore_index::{Index, hidden};
use flamestore_model::{Fault, TenantId};
use flamestore_objstore::Bucket;

use crate::lately::{Blocks, Lately};
use crate::observe::Observe;
use crate::store::TenantBlocks;

/// What stands in the bucket.
#[derive(Default)]
pub(crate) struct Catalog {
    pub(crate) blocks: HashMap<TenantId, TenantBlocks>,
    /// (epoch, tenant) of this store that need not be replayed.
    pub(crate) committed: HashSet<(u64, TenantId)>,
    /// The highest epoch of this store in any block. 0: none.
    pub(crate) last_epoch: u64,
    pub(crate) lately: Lately,
}

/// Reads which blocks of every tenant count, `parallel` descriptions at a time. Those of `lately` are looked for also where no
/// listing shows them.
pub(crate) async fn load(
    bucket: &Bucket,
    cache: &Arc<BlockCache>,
    clock: &Arc<dyn Clock>,
    ingester: &str,
    mut lately: Blocks,
    observer: &dyn Observe,
    parallel: usize,
) -> Result<Catalog, Fault> {
    let mut catalog = Catalog::default();
    // What is no tenant's folder is not ours.
    let listed = bucket.list_dirs("").await?;
    let tenants: BTreeSet<TenantId> =
        listed.iter().filter_map(|name| TenantId::parse(name).ok()).chain(lately.keys().cloned()).collect();
    for tenant in tenants {
        let index = Index::new(bucket.clone(), tenant.clone(), clock.clone());
        let known = lately.get(&tenant).cloned().unwrap_or_default();
        let view = Box::pin(index.view_knowing(known, parallel)).await?;
        if let Some(known) = lately.get_mut(&tenant) {
            known.retain(|block| view.live.binary_search_by_key(block, |meta| meta.ulid).is_ok());
        }
        if let Some(fault) = &view.damaged {
            tracing::error!(%tenant, %fault, "the bucket index cannot be read: it is made again from the blocks");
            observer.unreadable(&tenant, fault);
        }
        for origin in view.origins().filter(|origin| origin.ingester == ingester) {
            catalog.committed.insert((origin.epoch, tenant.clone()));
            catalog.last_epoch = catalog.last_epoch.max(origin.epoch);
        }
        let mut blocks = TenantBlocks::default();
        for (block, fault) in &view.unreadable {
            tracing::error!(%tenant, %block, %fault, "a block cannot be read: answers are partial");
            observer.unreadable(&tenant, fault);
            blocks.partial = true;
        }
        let hidden = hidden(&view.snapshot);
        let open = |meta: Meta| {
            let hidden = hidden.get(&meta.ulid).cloned().unwrap_or_default();
            let block = Block::open(bucket.clone(), tenant.clone(), Arc::new(meta), cache.clone())?;
            Ok::<_, Fault>(Arc::new(block.hiding(hidden)))
        };
        // What the bucket does not have is read in vain, so that answers say what they lack.
        blocks.blocks = Arc::new(view.live.into_iter().chain(view.missing).map(open).collect::<Result<_, _>>()?);
        if !blocks.blocks.is_empty() || blocks.partial {
            catalog.blocks.insert(tenant, blocks);
        }
    }
    catalog.lately = Lately::of(lately);
    Ok(catalog)
}
