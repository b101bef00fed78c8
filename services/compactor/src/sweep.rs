//! Deleting bytes: of marked blocks, of compactions that did not come to their end, of uploads that died.

use std::collections::BTreeSet;
use std::time::Duration;

use flamestore_block::meta::meta_key;
use flamestore_block::{Meta, Ulid};
use flamestore_index::{Dead, Index, Snapshot, View};
use flamestore_model::{Fault, TenantId};
use futures::TryStreamExt;

use crate::run::Compactor;

/// Objects of a block: its tables and its meta, and room for versions to come.
const MAX_OBJECTS: usize = 64;

impl Compactor {
    /// Deletes the bytes of marked blocks whose delay is over, or of all that have some with `at_once`. Returns how many bytes,
    /// and the last fault, if there was one.
    pub(crate) async fn sweep(&self, index: &Index, view: &View, at_once: bool) -> (u64, Result<(), Fault>) {
        let now_ms = self.parts.clock.now_millis();
        let delay = i64::try_from(self.config.deletion_delay.as_millis()).unwrap_or(i64::MAX);
        let due = |dead: &&Dead| (at_once && dead.bytes > 0) || dead.marked_ms.saturating_add(delay) <= now_ms;
        let mut gone = BTreeSet::new();
        let mut bytes = 0;
        let mut last = Ok(());
        for dead in view.snapshot.dead.iter().filter(due) {
            tracing::info!(
                target: "compactor", tenant = %index.tenant(), block = %dead.ulid, why = dead.why.as_str(),
                bytes = dead.bytes, "compactor: cleanup: deleting block"
            );
            match self.delete_block(index.tenant(), dead.ulid).await {
                Ok(()) => {
                    gone.insert(dead.ulid);
                    bytes += dead.bytes;
                }
                // One that cannot be deleted keeps no other.
                Err(fault) => last = Err(fault),
            }
        }
        if !gone.is_empty() {
            // Last: while the index says that a block is dead, a half deleted one cannot come back.
            let forget = |snapshot: &mut Snapshot| {
                snapshot.dead.retain(|d| !gone.contains(&d.ulid));
                Ok(())
            };
            last = last.and(self.edit(index, view, forget).await.map(drop));
        }
        (bytes, last)
    }

    /// Deletes what no index lists and nobody can still be writing, or about to list.
    pub(crate) async fn sweep_orphans(&self, index: &Index, view: &View, older_than: Duration) -> Result<(), Fault> {
        // While all its sources count, whoever merges them makes the same block, and may list it at any moment.
        let counts = |source: &Ulid| view.snapshot.block(*source).is_some();
        let is_needed = |meta: &&Meta| !meta.sources.is_empty() && meta.sources.iter().all(counts);
        let orphans = view.orphans.iter().filter(|meta| !is_needed(meta)).map(|meta| meta.ulid);
        for ulid in orphans.chain(view.partial.iter().copied()) {
            let Some(written_ms) = self.last_written(index.tenant(), ulid).await? else { continue };
            let age = self.parts.clock.now_millis().saturating_sub(written_ms);
            if u128::try_from(age).is_ok_and(|age| age > older_than.as_millis()) {
                self.sweep_orphan(index, view, ulid).await?;
            }
        }
        Ok(())
    }

    async fn sweep_orphan(&self, index: &Index, view: &View, ulid: Ulid) -> Result<(), Fault> {
        let tenant = index.tenant();
        // In this order: what is not to come any more is there by now, or never will be.
        let is_to_come = self.parts.flusher.blocks_to_come(tenant).contains(&ulid);
        let was_partial = view.partial.contains(&ulid);
        if is_to_come || (was_partial && self.parts.bucket.head(&meta_key(tenant, ulid)).await?.is_some()) {
            return Ok(());
        }
        // An index that was made again from the blocks may have taken it up.
        let _in_order = self.telling.lock().await;
        if index.latest().await?.snapshot.is_ok_and(|latest| latest.block(ulid).is_none()) {
            tracing::info!(
                target: "compactor", %tenant, block = %ulid,
                "compactor: cleanup: deleting what an upload or a compaction has left behind"
            );
            self.delete_block(tenant, ulid).await?;
        }
        Ok(())
    }

    /// `None`: there is nothing.
    pub(crate) async fn last_written(&self, tenant: &TenantId, ulid: Ulid) -> Result<Option<i64>, Fault> {
        let objects: Vec<_> = self.parts.bucket.list(&folder(tenant, ulid)).try_collect().await?;
        Ok(objects.iter().map(|o| o.modified_ms).max())
    }

    /// The `meta.json` first: without it the rest is no block.
    pub(crate) async fn delete_block(&self, tenant: &TenantId, ulid: Ulid) -> Result<(), Fault> {
        let delete = async {
            self.parts.bucket.delete(&meta_key(tenant, ulid)).await?;
            let mut listed = self.parts.bucket.list(&folder(tenant, ulid));
            let mut keys = Vec::new();
            while let Some(object) = listed.try_next().await? {
                keys.push(object.key);
                if keys.len() > MAX_OBJECTS {
                    return Err(Fault::internal(format!(
                        "{} holds more objects than a block has: look at what is there",
                        folder(tenant, ulid)
                    )));
                }
            }
            for key in keys {
                self.parts.bucket.delete(&key).await?;
            }
            Ok(())
        };
        let deleted = delete.await;
        match &deleted {
            Ok(()) => self.parts.observer.deleted(tenant),
            Err(fault) => {
                tracing::warn!(target: "compactor", %tenant, block = %ulid, %fault, "compactor: cleanup failed; it is tried again");
                self.parts.observer.delete_failed(tenant, fault);
            }
        }
        deleted
    }
}

fn folder(tenant: &TenantId, ulid: Ulid) -> String {
    format!("{tenant}/blocks/{ulid}")
}
