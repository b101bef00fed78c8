//! Marking what is past retention.

use flamestore_block::{Meta, Ulid};
use flamestore_compaction::{Going, Rules, going};
use flamestore_index::{Index, Snapshot, View};
use flamestore_limits::Limits;
use flamestore_model::{Fault, TenantId};

use crate::disk;
use crate::run::{Compactor, Found};

impl Compactor {
    /// What a tenant may keep by age and size.
    pub(crate) fn rules(&self, limits: &Limits) -> Rules {
        let now = self.parts.clock.now_nanos();
        let older_than =
            limits.retention().map(|d| now.saturating_sub(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)));
        Rules { older_than_nanos: older_than, max_bytes: self.config.max_tenant_bytes, free_bytes: 0 }
    }

    /// Marks what is too old or too much: hidden from queries now, deleted after the delay.
    /// Returns whether there was anything.
    pub(crate) async fn retain(&self, index: &Index, view: &View) -> Result<bool, Fault> {
        let rules = self.rules(&self.parts.overrides.of(index.tenant()));
        let going = going(&view.snapshot.blocks, &rules);
        if !going.is_empty() {
            self.mark(index, view, &going).await?;
        }
        Ok(!going.is_empty())
    }

    async fn mark(&self, index: &Index, view: &View, going: &[Going]) -> Result<(), Fault> {
        let now_ms = self.parts.clock.now_millis();
        let mut marked = Vec::new();
        self.edit(index, view, |snapshot| {
            marked.clear();
            view.list_in(snapshot);
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
    /// once, before the index says so, because a full disk takes no new index. What one tenant or one block cannot do keeps no
    /// other from it; a fault is returned if there was one.
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
        let mut last = Ok(());
        let mut all: Vec<(Index, View)> = Vec::new();
        for Found { tenant, .. } in self.tenants().await? {
            let index = self.index(&tenant);
            match self.view(&index).await {
                Ok(view) => {
                    let (freed, swept) = self.sweep(&index, &view, true).await;
                    missing = missing.saturating_sub(freed);
                    last = last.and(swept);
                    all.push((index, view));
                }
                Err(fault) => last = Err(fault),
            }
        }
        let blocks: Vec<Meta> = all.iter().flat_map(|(_, view)| view.live.iter().cloned()).collect();
        let going = going(&blocks, &Rules { free_bytes: missing, ..Rules::default() });
        for (index, view) in &all {
            let mine: Vec<Going> =
                going.iter().filter(|g| view.live.binary_search_by_key(&g.ulid, |b| b.ulid).is_ok()).copied().collect();
            if mine.is_empty() {
                continue;
            }
            self.told(index.tenant(), &mine);
            last = last.and(self.delete_at_once(index, view, &mine).await);
        }
        last
    }

    async fn delete_at_once(&self, index: &Index, view: &View, going: &[Going]) -> Result<(), Fault> {
        self.leave_out(index, view, going).await?;
        let mut last = Ok(());
        let mut deleted = Vec::new();
        for gone in going {
            match self.delete_block(index.tenant(), gone.ulid).await {
                Ok(()) => deleted.push(gone.ulid),
                Err(fault) => last = Err(fault),
            }
        }
        last.and(self.mark_gone(index, view, going, &deleted).await)
    }

    /// Whoever reads blocks leaves these out, though the index still has them.
    async fn leave_out(&self, index: &Index, view: &View, going: &[Going]) -> Result<(), Fault> {
        let _in_order = self.telling.lock().await;
        let latest = index.latest().await?;
        let mut now = latest.snapshot.ok().filter(|s| s.seq > 0).unwrap_or_else(|| view.snapshot.clone());
        view.list_in(&mut now);
        for gone in going {
            now.kill(gone.ulid, gone.why, 0);
        }
        self.parts.follower.follow(index.tenant(), &now);
        Ok(())
    }

    /// Marks what went to make room. What is deleted stays on the list of the dead for the deletion delay, without bytes: whoever
    /// has seen it a while ago must not list it again.
    async fn mark_gone(&self, index: &Index, view: &View, going: &[Going], deleted: &[Ulid]) -> Result<(), Fault> {
        let now_ms = self.parts.clock.now_millis();
        let edit = |snapshot: &mut Snapshot| {
            view.list_in(snapshot);
            for gone in going {
                snapshot.kill(gone.ulid, gone.why, now_ms);
            }
            snapshot.dead.iter_mut().filter(|d| deleted.contains(&d.ulid)).for_each(|d| d.bytes = 0);
            Ok(())
        };
        self.edit(index, view, edit).await.map(drop)
    }
}
