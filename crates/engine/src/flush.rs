//! From heads that have been cut to blocks in the bucket.
//!
//! For each tenant of an epoch: wait for its pushes, write the block, put its files, commit it by its `meta.json`, then
//! swap heads for block under the store's lock, and last give the log's space back. A crash anywhere leaves the log, and
//! the same (epoch, tenant) aims at the same keys again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fail::fail_point;
use flamestore_block::{
    Block, BlockMeta, DatasetInput, Origin, ProfileInput, SeriesInput, Written, upload, write_block,
};
use flamestore_head::DatasetHead;
use flamestore_model::{Fault, TenantId};
use flamestore_symbols::Symbols;
use parking_lot::RwLockReadGuard;

use crate::epoch::Epoch;
use crate::heads::TenantHeads;
use crate::observe::{CutReason, Flushed};
use crate::push::blocking;
use crate::store::Store;

impl Store {
    pub(crate) fn cut_if_old(&self) {
        let current = self.state.read().current.clone();
        let age = current.age_nanos(self.clock.monotonic_nanos());
        if u128::from(age) >= self.config.max_block_duration.as_nanos() {
            self.cut(&current, CutReason::Age);
        }
    }

    pub(crate) async fn flush_now(&self) -> Result<(), Fault> {
        self.cut_current(CutReason::Request);
        self.flush_all().await
    }

    /// Takes no pushes any more and flushes everything.
    pub(crate) async fn close(&self) -> Result<(), Fault> {
        self.closing.store(true, Ordering::Release);
        self.cut_current(CutReason::Shutdown);
        let limit = self.config.shutdown_flush_timeout;
        let flushing = async {
            while self.flush_all().await.is_err() {
                tokio::time::sleep(self.config.flush_retry).await;
            }
        };
        tokio::time::timeout(limit, flushing).await.map_err(|_| {
            Fault::unavailable(format!(
                "not everything could be flushed in {limit:?} (server.graceful_shutdown_timeout): the rest is in the log in {}, \
                 start again with this folder",
                self.config.data_dir.display()
            ))
        })?;
        // Everything is in the bucket: what a push that came too late may have logged stays.
        let needed = self.state.read().current.first_lsn;
        self.wal.close(needed).map(drop)
    }

    /// Tries every tenant of every epoch that has been cut, oldest first; returns the last fault.
    pub(crate) async fn flush_all(&self) -> Result<(), Fault> {
        let _one_at_a_time = self.flush_lock.lock().await;
        let epochs = self.state.read().flushing.clone();
        let mut result = Ok(());
        for epoch in epochs {
            epoch.until_idle().await;
            // One tenant that cannot be flushed keeps no other from it.
            for tenant in epoch.tenants() {
                if let Err(fault) = self.flush_tenant(&epoch, &tenant).await {
                    tracing::warn!(%tenant, epoch = epoch.number, %fault, "a flush failed; it is tried again");
                    self.observer.flush_failed(&tenant, &fault);
                    result = Err(fault);
                }
            }
            if epoch.is_empty() {
                self.forget(&epoch);
                if let Err(fault) = self.trim() {
                    tracing::warn!(%fault, "the log could not be trimmed; it is tried again after the next flush");
                    result = Err(fault);
                }
            }
        }
        result
    }

    async fn flush_tenant(&self, epoch: &Arc<Epoch>, tenant: &TenantId) -> Result<(), Fault> {
        let started = self.clock.monotonic_nanos();
        let Some(heads) = epoch.get(tenant) else { return Ok(()) };
        fail_point!("engine-before-block", |_| Err(Fault::unavailable("injected")));
        let block = BlockMeta {
            ulid: self.block_of(epoch, tenant),
            tenant: tenant.clone(),
            level: 0,
            origin: Origin { ingester: self.ingester.clone(), epoch: epoch.number },
            sources: vec![],
            origins: vec![],
        };
        let Some(written) = blocking(move || write(&heads, &block)).await?? else {
            // Every sample of it was zero.
            self.swap(epoch, tenant, None);
            return Ok(());
        };
        fail_point!("engine-before-upload", |_| Err(Fault::unavailable("injected")));
        let committed = upload(&self.bucket, tenant, &written).await?;
        fail_point!("engine-after-commit", |_| Err(Fault::unavailable("injected")));
        let meta = committed.meta;
        let took = Duration::from_nanos(self.clock.monotonic_nanos().saturating_sub(started));
        let covers = meta.max_time_nanos.saturating_sub(meta.min_time_nanos);
        let flushed = Flushed {
            series: meta.stats.series,
            profiles: meta.stats.profiles,
            samples: meta.stats.samples,
            bytes: meta.stats.bytes,
            took,
            covers: Duration::from_nanos(u64::try_from(covers).unwrap_or(0)),
        };
        let block = Block::open(self.bucket.clone(), tenant.clone(), Arc::new(meta), self.cache.clone())?;
        self.swap(epoch, tenant, Some(Arc::new(block)));
        self.observer.flushed(tenant, &flushed);
        fail_point!("engine-after-swap", |_| Err(Fault::unavailable("injected")));
        Ok(())
    }
}

/// `None`: there is no profile in the heads.
fn write(heads: &TenantHeads, block: &BlockMeta) -> Result<Option<Written>, Fault> {
    let datasets = heads.all();
    let inputs: Vec<Input<'_>> =
        datasets.iter().map(|dataset| Input(dataset.read())).filter(|input| input.0.profiles() > 0).collect();
    if inputs.is_empty() {
        return Ok(None);
    }
    let inputs: Vec<&dyn DatasetInput> = inputs.iter().map(|input| input as &dyn DatasetInput).collect();
    write_block(&inputs, block).map(Some)
}

/// A head as the block writer wants it.
struct Input<'a>(RwLockReadGuard<'a, DatasetHead>);

impl DatasetInput for Input<'_> {
    fn service_name(&self) -> &str {
        self.0.service()
    }

    fn symbols(&self) -> &Symbols {
        self.0.symbols()
    }

    fn series<'a>(&'a self) -> Box<dyn Iterator<Item = SeriesInput<'a>> + 'a> {
        Box::new(self.0.sorted_series().map(|series| SeriesInput {
            labels: series.labels(),
            profile_type: series.profile_type(),
            profiles: Box::new(series.profiles().map(|profile| ProfileInput {
                time_nanos: profile.time_nanos,
                duration_nanos: profile.duration_nanos,
                profile_id: profile.profile_id,
                stacks: profile.samples.stacks,
                values: profile.samples.values,
                span_ids: profile.samples.span_ids,
                trace_ids: profile.samples.trace_ids,
                annotations: profile.annotations,
            })),
        }))
    }
}
