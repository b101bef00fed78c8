//! One tenant's jobs: merge, store, commit.

use std::collections::BTreeSet;
use std::time::Duration;

use flamestore_block::{Block, Meta, Ulid, Written, upload};
use flamestore_compaction::{Job, Merged, Room, merge, plan};
use flamestore_index::{Index, Snapshot, View, Why, hidden};
use flamestore_model::{Fault, Kind, TenantId};
use futures::StreamExt;

use crate::lease::Held;
use crate::run::Compactor;

impl Compactor {
    /// Compacts until nothing is left to do or the tenant's time is over. Returns how many blocks were made.
    pub(crate) async fn compact(&self, tenant: &TenantId) -> Result<usize, Fault> {
        let index = self.index(tenant);
        let started = self.parts.clock.monotonic_nanos();
        let mut made = 0;
        loop {
            let mut view = self.view(&index).await?;
            let planned = self.jobs(&view);
            if planned.is_empty() {
                self.parts.observer.planned(tenant, 0, 0);
                return Ok(made);
            }
            if view.unlisted > 0 {
                // What is listed now tells the commit whether it still counts then.
                view.snapshot = Box::pin(self.list(&index, &view)).await?;
            }
            let held = Box::pin(self.held(tenant)).await;
            let (free, taken): (Vec<Job>, Vec<Job>) = planned.into_iter().partition(|job| held.is_free(job));
            self.parts.observer.planned(tenant, free.len() + taken.len(), taken.len());
            taken.iter().for_each(|job| self.left(tenant, job));
            let (mut failed, mut done) = (None, 0);
            // Made before anything is awaited: the compiler then sees that the whole can be sent to another thread.
            let running: Vec<_> =
                free.into_iter().map(|job| Box::pin(self.leased(&index, &view, job, &held))).collect();
            let mut running = futures::stream::iter(running).buffer_unordered(self.config.concurrency.max(1));
            while let Some(ended) = running.next().await {
                match ended {
                    Ok(n) => done += n,
                    Err(fault) => failed = Some(fault),
                }
                let spent = Duration::from_nanos(self.parts.clock.monotonic_nanos().saturating_sub(started));
                if self.config.max_time_on_tenant.is_some_and(|most| spent > most) {
                    return failed.map_or(Ok(made + done), Err);
                }
            }
            made += done;
            // What failed, or is somebody else's, is tried again with the next run, not at once.
            if let Some(fault) = failed {
                return Err(fault);
            }
            if done == 0 {
                return Ok(made);
            }
        }
    }

    /// Jobs on blocks that can be read.
    fn jobs(&self, view: &View) -> Vec<Job> {
        let sound: Vec<Meta> = view.live.iter().filter(|b| !view.snapshot.is_quarantined(b.ulid)).cloned().collect();
        let rewrite = view.snapshot.deletions.iter().flat_map(|d| d.blocks.iter().copied()).collect();
        plan(&sound, &rewrite, self.parts.clock.now_millis(), &self.config.plan)
    }

    /// Does a job that nobody else does. Returns how many were done.
    async fn leased(&self, index: &Index, view: &View, job: Job, held: &Held) -> Result<usize, Fault> {
        let Some(lease) = Box::pin(self.lease(index.tenant(), &job, held)).await else {
            self.left(index.tenant(), &job);
            return Ok(0);
        };
        let renewing = async {
            Box::pin(self.renew(&lease)).await;
            std::future::pending().await
        };
        let ended = tokio::select! {
            biased;
            ended = Box::pin(self.attempt(index, view, job)) => ended,
            () = renewing => Ok(()),
        };
        if ended.is_err() {
            self.release(&lease).await;
        }
        ended.map(|()| 1)
    }

    fn left(&self, tenant: &TenantId, job: &Job) {
        tracing::debug!(target: "compactor", %tenant, job = %job.id(), "compactor: another compactor is doing a job that is due");
        self.parts.observer.lease_conflict(tenant);
    }

    async fn attempt(&self, index: &Index, view: &View, job: Job) -> Result<(), Fault> {
        self.parts.observer.compaction_started();
        let started = self.parts.clock.monotonic_nanos();
        match Box::pin(self.run_job(index, view, &job)).await {
            Ok(None) => Ok(()),
            Ok(Some(made)) => {
                let took = Duration::from_nanos(self.parts.clock.monotonic_nanos().saturating_sub(started));
                let tenant = index.tenant();
                tracing::info!(
                    target: "compactor", %tenant, block = %made.ulid, level = made.level, sources = job.sources.len(),
                    profiles = made.stats.profiles, bytes = made.stats.bytes, seconds = took.as_secs_f64(),
                    "compactor: blocks compacted"
                );
                self.parts.observer.compacted(tenant, &made, took);
                Ok(())
            }
            Err(fault) => {
                self.parts.observer.compaction_failed(index.tenant(), &fault);
                if fault.kind == Kind::Corrupt {
                    return Box::pin(self.quarantine(index, view, &job, fault)).await;
                }
                if fault.kind == Kind::NotFound {
                    return Box::pin(self.leave_missing(index, view, &job.sources, fault)).await;
                }
                tracing::warn!(
                    target: "compactor", tenant = %index.tenant(), %fault,
                    "compactor: a compaction failed; it is tried again with the next run"
                );
                Err(fault)
            }
        }
    }

    /// `None`: every profile of the sources was deleted.
    async fn run_job(&self, index: &Index, view: &View, job: &Job) -> Result<Option<Meta>, Fault> {
        let (tenant, base) = (index.tenant(), &view.snapshot);
        let hidden = hidden(base);
        let mut sources = Vec::with_capacity(job.sources.len());
        for meta in &job.sources {
            let block = self.open(tenant, meta)?;
            sources.push(hidden.get(&meta.ulid).map_or_else(|| block.clone(), |hidden| block.hiding(hidden.clone())));
        }
        let deletions: BTreeSet<Ulid> =
            job.sources.iter().flat_map(|s| base.deletions_of(s.ulid)).map(|d| d.id).collect();
        let made = match self.merge(&sources, tenant, job.level, &deletions).await? {
            Some(written) => Some(upload(&self.parts.bucket, tenant, &written).await?.meta),
            None => None,
        };
        self.commit(index, view, &job.sources, &deletions, made).await
    }

    /// `None`: nothing is left.
    async fn merge(
        &self,
        sources: &[Block],
        tenant: &TenantId,
        level: u32,
        deletions: &BTreeSet<Ulid>,
    ) -> Result<Option<Written>, Fault> {
        let room = Room { max_bytes: self.config.plan.max_memory_bytes, spill: self.spill.clone() };
        // Boxed: its state is large, and it waits inside that of everything above it.
        let Merged { written, cost } = Box::pin(merge(sources, tenant, level, deletions, &room)).await?;
        self.parts.observer.merged(tenant, &cost);
        Ok(written)
    }

    pub(crate) fn open(&self, tenant: &TenantId, meta: &Meta) -> Result<Block, Fault> {
        Block::open(self.parts.bucket.clone(), tenant.clone(), meta.clone().into(), self.cache.clone())
    }

    /// The next snapshot lists the new block instead of its sources: from that put on it counts. Refused when a source is
    /// no longer there, because somebody else has replaced or removed it, or when more of it was deleted meanwhile.
    async fn commit(
        &self,
        index: &Index,
        view: &View,
        sources: &[Meta],
        deletions: &BTreeSet<Ulid>,
        made: Option<Meta>,
    ) -> Result<Option<Meta>, Fault> {
        let why = if made.is_some() { Why::Compaction } else { Why::Deletion };
        let now_ms = self.parts.clock.now_millis();
        self.edit(index, view, |snapshot| {
            if made.as_ref().is_some_and(|made| snapshot.block(made.ulid).is_some()) {
                return Ok(());
            }
            if let Some(gone) = sources.iter().find(|s| snapshot.block(s.ulid).is_none()) {
                return Err(Fault::new(
                    Kind::Conflict,
                    format!("block {} was replaced or removed meanwhile", gone.ulid),
                ));
            }
            let asked = sources.iter().flat_map(|s| snapshot.deletions_of(s.ulid));
            if let Some(late) = asked.map(|d| d.id).find(|id| !deletions.contains(id)) {
                return Err(Fault::new(
                    Kind::Conflict,
                    format!("deletion {late} was asked for meanwhile: the compaction is done again"),
                ));
            }
            for source in sources {
                snapshot.kill(source.ulid, why, now_ms);
            }
            made.iter().for_each(|made| snapshot.add(made.clone()));
            Ok(())
        })
        .await?;
        sources.iter().for_each(|_| self.parts.observer.marked(index.tenant(), why));
        Ok(made)
    }

    /// Finds the sources that cannot be read and leaves them out from now on: they block no other.
    async fn quarantine(&self, index: &Index, view: &View, job: &Job, fault: Fault) -> Result<(), Fault> {
        let mut bad = Vec::new();
        for meta in &job.sources {
            // Twice: the damage may be on the way.
            if self.damage(index.tenant(), meta, job.level).await?.is_some()
                && let Some(found) = self.damage(index.tenant(), meta, job.level).await?
            {
                bad.push((meta.ulid, found, self.last_written(index.tenant(), meta.ulid).await?));
            }
        }
        if bad.is_empty() {
            return Err(fault);
        }
        let now_ms = self.parts.clock.now_millis();
        for (block, fault, _) in &bad {
            tracing::error!(
                target: "compactor", tenant = %index.tenant(), %block, %fault,
                "compactor: a block cannot be read and is left as it is; restore its files from a copy, or delete its folder"
            );
            self.parts.observer.corrupt(index.tenant(), fault);
        }
        let edit = |snapshot: &mut Snapshot| {
            bad.iter().for_each(|(ulid, fault, written_ms)| snapshot.quarantine(*ulid, fault, now_ms, *written_ms));
            Ok(())
        };
        self.edit(index, view, edit).await.map(drop)
    }

    /// Why a block cannot be read, if it cannot: damaged or gone.
    async fn damage(&self, tenant: &TenantId, meta: &Meta, level: u32) -> Result<Option<Fault>, Fault> {
        let block = self.open(tenant, meta)?;
        match self.merge(&[block], tenant, level, &BTreeSet::new()).await {
            Err(found) if matches!(found.kind, Kind::Corrupt | Kind::NotFound) => Ok(Some(found)),
            Err(other) => Err(other),
            Ok(_) => Ok(None),
        }
    }
}
