//! Marking what is past retention.

use flamestore_block::{Meta, Ulid};
use flamestore_compaction::{Going, Rules, going};
use flamestore_index::{Index, View};
use flamestore_limits::Limits;
use flamestore_model::{Fault, TenantId};

use crate::disk;
use crate::run::Compactor;

impl Compactor {
    /// What a tenant may keep by age and size.
    pub(crate) fn rules(&self, limits: &Limits) -> Rules {
        let now = self.parts.clock.now_nanos();
        let older_than =
            limits.retention().map(|d| now.saturating_sub(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)));
        Rules { older_than_nanos: older_than, max_bytes: self.config.max_tenant_bytes, free_bytes: 0 }
    }

    /// Marks what is too old or too much: hidden from queries now, deleted after the delay.
    pub(crate) async fn retain(&self, index: &Index, view: &View) -> Result<(), Fault> {
        let rules = self.rules(&self.parts.overrides.of(index.tenant()));
        let going = going(&view.live, &rules);
        if !going.is_empty() {
            self.mark(index, view, &going).await?;
        }
        Ok(())
    }

    async fn mark(&self, index: &Index, view: &View, going: &[Going]) -> Result<(), Fault> {
        let now_ms = self.parts.clock.now_millis();
        let mut marked = Vec::new();
        self.edit(index, view, |snapshot| {
            marked.clear();
            view.live.iter().for_each(|meta| snapshot.add(meta.clone()));
            for gone in going {
                if snapshot.kill(gone.ulid, gone.why, now_ms) {
                    marked.push(*gone);
                }
            }
            Ok(())
        })
        .await?;
        self.told(index.tenant(), &marked);
        Ok(())
    }

    fn told(&self, tenant: &TenantId, marked: &[Going]) {
        for gone in marked {
            tracing::info!(
                target: "compactor", %tenant, block = %gone.ulid, why = gone.why.as_str(), bytes = gone.bytes,
                "compactor: retention: block marked for deletion"
            );
            self.parts.observer.marked(tenant, gone.why);
        }
    }

    /// Makes room on a full disk: bytes that are marked already go first, then the oldest blocks of all tenants. They go at
    /// once, before the index says so, because a full disk takes no new index.
    pub async fn make_room(&self) -> Result<(), Fault> {
        let Some(rules) = self.config.disk.as_ref().filter(|_| self.config.cleanup_enabled) else { return Ok(()) };
        let mut missing = disk::missing(self.parts.disk.space(&rules.dir)?, rules);
        if missing == 0 {
            return Ok(());
        }
        tracing::warn!(
            target: "compactor", missing_bytes = missing, dir = %rules.dir.display(),
            "compactor: retention: the disk is nearly full, deleting the oldest blocks \
             (pyroscopedb.retention_policy_min_free_disk_gb, pyroscopedb.retention_policy_min_disk_available_percentage)"
        );
        let mut all: Vec<(Index, View)> = Vec::new();
        for tenant in self.tenants().await? {
            let index = self.index(&tenant);
            let view = self.view(&index).await?;
            missing = missing.saturating_sub(self.sweep(&index, &view, true).await?);
            all.push((index, view));
        }
        let blocks: Vec<Meta> = all.iter().flat_map(|(_, view)| view.live.iter().cloned()).collect();
        let going = going(&blocks, &Rules { free_bytes: missing, ..Rules::default() });
        for (index, view) in &all {
            let mine: Vec<Going> =
                going.iter().filter(|g| view.live.iter().any(|b| b.ulid == g.ulid)).copied().collect();
            if mine.is_empty() {
                continue;
            }
            self.told(index.tenant(), &mine);
            self.leave_out(index, view, &mine).await?;
            for gone in &mine {
                self.delete_block(index.tenant(), gone.ulid).await?;
            }
            self.mark_deleted(index, view, &mine).await?;
        }
        Ok(())
    }

    /// Whoever reads blocks leaves these out, though the index still has them.
    async fn leave_out(&self, index: &Index, view: &View, going: &[Going]) -> Result<(), Fault> {
        let _in_order = self.telling.lock().await;
        let latest = index.latest().await?;
        let mut now = latest.snapshot.ok().filter(|s| s.seq > 0).unwrap_or_else(|| view.snapshot.clone());
        view.live.iter().for_each(|meta| now.add(meta.clone()));
        for gone in going {
            now.kill(gone.ulid, gone.why, 0);
        }
        self.tell(index, view, now);
        Ok(())
    }

    /// The index forgets blocks whose bytes are gone.
    async fn mark_deleted(&self, index: &Index, view: &View, gone: &[Going]) -> Result<(), Fault> {
        let gone: Vec<Ulid> = gone.iter().map(|g| g.ulid).collect();
        let edit = |snapshot: &mut flamestore_index::Snapshot| {
            for ulid in &gone {
                snapshot.kill(*ulid, flamestore_index::Why::Disk, 0);
            }
            snapshot.dead.retain(|d| !gone.contains(&d.ulid));
            Ok(())
        };
        self.edit(index, view, edit).await.map(drop)
    }
}
