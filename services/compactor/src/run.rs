//! The story of the compactor: what it does, and how often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flamestore_block::{BlockCache, Spill};
use flamestore_clock::{Chance, Clock};
use flamestore_index::store::KEEP_SNAPSHOTS_FOR;
use flamestore_index::{Index, Snapshot, View};
use flamestore_limits::Overrides;
use flamestore_model::{Fault, TenantId};
use flamestore_objstore::Bucket;
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::CompactorConfig;
use crate::delete;
use crate::disk::Disk;
use crate::lease::Leases;
use crate::observe::{Counted, Flush, Follow, Observe};

/// Footers and series of blocks that are being merged; their samples are held by the merge itself.
const CACHE_BYTES: u64 = 8 << 20;

/// The things a compactor works with.
pub struct Parts {
    pub bucket: Bucket,
    pub overrides: Arc<Overrides>,
    pub clock: Arc<dyn Clock>,
    pub chance: Arc<dyn Chance>,
    pub disk: Arc<dyn Disk>,
    pub flusher: Arc<dyn Flush>,
    pub follower: Arc<dyn Follow>,
    pub observer: Arc<dyn Observe>,
}

/// A tenant, and what a listing shows of it.
pub(crate) struct Found {
    pub(crate) tenant: TenantId,
    folders: BTreeSet<String>,
}

/// Merges and removes blocks of all tenants. Holds nothing that the bucket does not: it can be stopped and started anywhere.
pub struct Compactor {
    pub(crate) config: CompactorConfig,
    pub(crate) parts: Parts,
    pub(crate) cache: Arc<BlockCache>,
    pub(crate) spill: Spill,
    pub(crate) leases: Leases,
    /// Held from a change of an index until whoever follows has been told: in the order of the changes.
    pub(crate) telling: Mutex<()>,
}

impl Compactor {
    /// Does no IO.
    pub fn new(config: CompactorConfig, parts: Parts) -> Self {
        let spill = Spill::new(&config.data_dir);
        let leases = Leases::new(parts.chance.next_u128());
        Compactor { config, parts, cache: BlockCache::new(CACHE_BYTES), spill, leases, telling: Mutex::default() }
    }

    /// Until `stop`; a compaction under way is left as it is, and done again by the next one.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) {
        self.clear_folder().await;
        let every = |period: Duration| {
            let mut ticks = interval(period.max(Duration::from_millis(10)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut compact, mut clean, mut room) = (
            every(self.config.compaction_interval),
            every(self.config.cleanup_interval),
            every(self.config.enforcement_interval),
        );
        // What failed has been told; there is another round.
        let rounds = async {
            loop {
                let _ = tokio::select! {
                    _ = clean.tick() => self.clean_all().await,
                    _ = compact.tick() => self.compact_all().await,
                };
            }
        };
        // By itself: a disk fills while blocks are merged, and by that.
        let room = async {
            loop {
                room.tick().await;
                let _ = self.make_room().await;
            }
        };
        tokio::select! {
            () = stop => {}
            () = rounds => {}
            () = room => {}
        }
    }

    /// Removes what merges of a process that died have left in the folder.
    async fn clear_folder(&self) {
        let spill = self.spill.clone();
        let cleared = tokio::task::spawn_blocking(move || spill.clear()).await;
        if let Ok(Err(fault)) = cleared {
            tracing::warn!(target: "compactor", %fault, "compactor: the folder cannot be cleared; large blocks may not be compacted");
        }
    }

    /// One round over all tenants. The last fault, if one failed.
    pub async fn compact_all(&self) -> Result<(), Fault> {
        self.parts.observer.run_started();
        let tenants = self.tenants().await.inspect_err(|fault| {
            tracing::warn!(target: "compactor", %fault, "compactor: the tenants cannot be listed");
            self.parts.observer.run_ended(0, 1);
        })?;
        let (mut looked, mut failed, mut last) = (0, 0, Ok(()));
        for tenant in tenants.iter().map(|found| &found.tenant).filter(|t| self.config.compacts(t)) {
            looked += 1;
            if let Err(fault) = Box::pin(self.compact(tenant)).await {
                failed += 1;
                last = Err(fault);
            }
        }
        self.parts.observer.run_ended(looked, failed);
        last
    }

    /// Retention and deletion of all tenants. The last fault, if one failed.
    pub async fn clean_all(&self) -> Result<(), Fault> {
        if !self.config.cleanup_enabled {
            return Ok(());
        }
        self.parts.observer.cleanup_started();
        let mut last = Ok(());
        match self.tenants().await {
            Err(fault) => last = Err(fault),
            Ok(tenants) => {
                for found in tenants {
                    if let Err(fault) = Box::pin(self.clean(&found)).await {
                        tracing::warn!(target: "compactor", tenant = %found.tenant, %fault, "compactor: cleanup failed; it is tried again");
                        last = Err(fault);
                    }
                }
            }
        }
        self.parts.observer.cleanup_ended(last.is_err());
        last
    }

    /// A tenant in which nothing happens costs four listings and four reads, two of them of what is not there.
    async fn clean(&self, Found { tenant, folders }: &Found) -> Result<(), Fault> {
        let index = self.index(tenant);
        let mut view = self.view(&index).await?;
        let published = Box::pin(self.publish(&index, &view)).await?;
        let marked = self.retain(&index, &view).await?;
        let watched = Box::pin(self.watch(&index, &view)).await;
        let sound = view.missing.is_empty() && view.snapshot.quarantined.is_empty() && view.snapshot.lost.is_empty();
        if published.seq != view.snapshot.seq || marked || !sound {
            view = self.view(&index).await?;
        }
        // What one of these cannot do keeps no other from its work.
        let requests = if folders.contains("deletions") || !view.snapshot.deletions.is_empty() {
            Box::pin(self.keep_requests(&index, &view)).await
        } else {
            Ok(())
        };
        let (_, swept) = self.sweep(&index, &view, false).await;
        let delay = self.parts.overrides.of(tenant).compactor_partial_block_deletion_delay;
        let orphans = match delay.enabled() {
            Some(delay) => Box::pin(self.sweep_orphans(&index, &view, delay)).await,
            None => Ok(()),
        };
        let leases = if folders.contains("leases") { Box::pin(self.sweep_leases(tenant)).await } else { Ok(0) };
        // Of an index that has not changed for a while, that is done.
        let resting =
            Duration::from_millis(u64::try_from(self.parts.clock.now_millis() - view.snapshot.written_ms).unwrap_or(0));
        let trimmed = if resting < 2 * KEEP_SNAPSHOTS_FOR + 2 * self.config.cleanup_interval {
            index.trim().await
        } else {
            Ok(0)
        };
        self.count(tenant, &view);
        watched.and(requests).and(swept).and(orphans).and(leases.map(drop)).and(trimmed.map(drop))
    }

    /// Lists what was flushed since the last snapshot, so that a start finds it whatever a listing shows; writes a sound
    /// snapshot in place of a damaged one; forgets old receipts. Whoever follows learns what others have changed.
    async fn publish(&self, index: &Index, view: &View) -> Result<Snapshot, Fault> {
        let old = delete::old(&view.snapshot, self.parts.clock.now_millis());
        for (_, listed_in) in &old {
            index.forget(*listed_in).await?;
        }
        let edit = |snapshot: &mut Snapshot| {
            view.list_in(snapshot);
            snapshot.deletions.retain(|d| !old.iter().any(|(id, _)| *id == d.id));
            Ok(())
        };
        self.edit(index, view, edit).await
    }

    /// Lists what was flushed since the last snapshot. Returns the list.
    pub(crate) async fn list(&self, index: &Index, view: &View) -> Result<Snapshot, Fault> {
        let edit = |snapshot: &mut Snapshot| {
            view.list_in(snapshot);
            Ok(())
        };
        self.edit(index, view, edit).await
    }

    /// Changes the index, and tells whoever follows what it says now.
    pub(crate) async fn edit(
        &self,
        index: &Index,
        view: &View,
        change: impl FnMut(&mut Snapshot) -> Result<(), Fault>,
    ) -> Result<Snapshot, Fault> {
        let _in_order = self.telling.lock().await;
        let edited = Box::pin(index.edit(&view.snapshot, change)).await?;
        self.parts.follower.follow(index.tenant(), &edited);
        Ok(edited)
    }

    fn count(&self, tenant: &TenantId, view: &View) {
        let levels = 0..=u32::try_from(self.config.plan.ranges.len()).unwrap_or(0);
        let mut by_level: BTreeMap<u32, usize> = levels.map(|level| (level, 0)).collect();
        view.live.iter().for_each(|b| *by_level.entry(b.level).or_default() += 1);
        let now = self.parts.clock.now_nanos();
        let oldest = view.live.iter().filter(|b| b.level == 0).map(|b| b.max_time_nanos).min().unwrap_or(now);
        let counted = Counted {
            by_level: by_level.into_iter().collect(),
            marked: view.snapshot.dead.len(),
            partial: view.partial.len(),
            quarantined: view.snapshot.quarantined.len(),
            lost: view.snapshot.lost.len(),
            oldest_uncompacted: Duration::from_nanos(u64::try_from(now.saturating_sub(oldest)).unwrap_or(0)),
            index_seq: view.snapshot.seq,
            index_bytes: view.bytes,
        };
        self.parts.observer.counted(tenant, &counted);
    }

    pub(crate) fn index(&self, tenant: &TenantId) -> Index {
        Index::new(self.parts.bucket.clone(), tenant.clone(), self.parts.clock.clone())
    }

    /// What a tenant has, with what is damaged told.
    pub(crate) async fn view(&self, index: &Index) -> Result<View, Fault> {
        let known = self.parts.flusher.blocks(index.tenant());
        let view = Box::pin(index.view_knowing(known, self.config.max_parallel_metas)).await?;
        let unreadable = view.unreadable.iter().map(|(_, fault)| fault);
        for fault in view.damaged.iter().chain(unreadable) {
            tracing::error!(target: "compactor", tenant = %index.tenant(), %fault, "compactor: something is damaged");
            self.parts.observer.corrupt(index.tenant(), fault);
        }
        Ok(view)
    }

    pub(crate) async fn tenants(&self) -> Result<Vec<Found>, Fault> {
        let names = self.parts.bucket.list_dirs("").await?;
        let mut tenants = Vec::new();
        for tenant in names.iter().filter_map(|name| TenantId::parse(name).ok()) {
            // Other things of ours have folders beside the tenants'. Where all blocks are gone, the index may not know yet.
            let folders: BTreeSet<String> = self.parts.bucket.list_dirs(tenant.as_str()).await?.into_iter().collect();
            if folders.contains("blocks") || folders.contains("index") {
                tenants.push(Found { tenant, folders });
            }
        }
        Ok(tenants)
    }
}
