//! What the compactor tells, as metrics; and the store that follows it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flamestore_block::{Meta, Ulid};
use flamestore_compactor::{Cost, Counted, Flush, Follow, Observe};
use flamestore_engine::Engine;
use flamestore_index::{Snapshot, Why};
use flamestore_model::{Fault, TenantId};

use super::{NANOS_PER_SECOND, Observers};

fn gauge(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Observe for Observers {
    fn run_started(&self) {
        self.metrics.compactor.runs_started_total.inc();
    }

    fn run_ended(&self, tenants: usize, failed: usize) {
        let m = &self.metrics.compactor;
        m.tenants_discovered.set(gauge(tenants));
        m.tenants_processing_failed.set(gauge(failed));
        m.tenants_processing_succeeded.set(gauge(tenants.saturating_sub(failed)));
        if failed > 0 {
            m.runs_failed_total.inc();
        } else {
            m.runs_completed_total.inc();
            m.last_successful_run_timestamp_seconds.set(self.now_seconds());
        }
    }

    fn compaction_started(&self) {
        self.metrics.compactor.group_compaction_runs_started_total.inc();
    }

    fn compacted(&self, _: &TenantId, made: &Meta, took: Duration) {
        let m = &self.metrics.compactor;
        let level = made.level.to_string();
        let level = [level.as_str()];
        m.group_compaction_runs_completed_total.inc();
        m.compactor_compactions_total.inc();
        m.compactions_total.with(level).inc();
        m.compaction_duration_seconds.with(level).observe(took.as_secs_f64());
        m.compaction_size_bytes.with(level).observe(made.stats.bytes as f64);
        m.compaction_samples.with(level).observe(made.stats.samples as f64);
        let range = made.max_time_nanos.saturating_sub(made.min_time_nanos);
        m.compaction_range_seconds.with(level).observe(range as f64 / NANOS_PER_SECOND);
    }

    fn merged(&self, _: &TenantId, cost: &Cost) {
        let m = &self.metrics.compactor;
        m.compaction_cpu_seconds_total.inc_by(cost.cpu.as_secs_f64());
        m.compaction_source_bytes_total.inc_by(cost.source_bytes);
        m.compaction_spilled_bytes_total.inc_by(cost.spilled_bytes);
        m.compaction_peak_memory_bytes.set(i64::try_from(cost.peak_bytes).unwrap_or(i64::MAX));
    }

    fn compaction_failed(&self, _: &TenantId, _: &Fault) {
        self.metrics.compactor.group_compactions_failures_total.inc();
    }

    fn cleanup_started(&self) {
        self.metrics.compactor.block_cleanup_started_total.inc();
    }

    fn cleanup_ended(&self, failed: bool) {
        let m = &self.metrics.compactor;
        if failed {
            m.block_cleanup_failed_total.inc();
        } else {
            m.block_cleanup_completed_total.inc();
            m.block_cleanup_last_successful_run_timestamp_seconds.set(self.now_seconds());
        }
    }

    fn marked(&self, _: &TenantId, why: Why) {
        self.metrics.compactor.blocks_marked_for_deletion_total.with([why.as_str()]).inc();
    }

    fn deleted(&self, _: &TenantId) {
        self.metrics.compactor.blocks_cleaned_total.inc();
    }

    fn delete_failed(&self, _: &TenantId, _: &Fault) {
        self.metrics.compactor.block_cleanup_failures_total.inc();
    }

    fn counted(&self, tenant: &TenantId, counted: &Counted) {
        let m = &self.metrics.compactor;
        let tenant = tenant.as_str();
        for (level, blocks) in &counted.by_level {
            m.bucket_blocks_count.with([tenant, level.to_string().as_str()]).set(gauge(*blocks));
        }
        m.bucket_blocks_marked_for_deletion_count.with([tenant]).set(gauge(counted.marked));
        m.bucket_blocks_partials_count.with([tenant]).set(gauge(counted.partial));
        m.quarantined_blocks.with([tenant]).set(gauge(counted.quarantined));
        m.lost_blocks.with([tenant]).set(gauge(counted.lost));
        m.oldest_uncompacted_block_age_seconds.with([tenant]).set(counted.oldest_uncompacted.as_secs_f64());
        m.index_seq.with([tenant]).set(i64::try_from(counted.index_seq).unwrap_or(i64::MAX));
        m.index_bytes.with([tenant]).set(i64::try_from(counted.index_bytes).unwrap_or(i64::MAX));
    }

    fn planned(&self, tenant: &TenantId, due: usize, left: usize) {
        let m = &self.metrics.compactor;
        m.jobs_due.with([tenant.as_str()]).set(gauge(due));
        m.jobs_left_to_others.with([tenant.as_str()]).set(gauge(left));
    }

    fn lease_conflict(&self, tenant: &TenantId) {
        self.metrics.compactor.lease_conflicts_total.with([tenant.as_str()]).inc();
    }

    fn lease_failed(&self, tenant: &TenantId, _: &Fault) {
        self.metrics.compactor.lease_failures_total.with([tenant.as_str()]).inc();
    }

    fn corrupt(&self, tenant: &TenantId, _: &Fault) {
        self.metrics.compactor.corrupt_objects_total.with([tenant.as_str()]).inc();
    }
}

/// The store of this process reads what the compactor has made.
pub(crate) struct StoreFollows(pub(crate) Arc<Engine>);

impl Follow for StoreFollows {
    fn follow(&self, tenant: &TenantId, now: &Snapshot) {
        if let Err(fault) = self.0.follow(tenant, now) {
            tracing::error!(%tenant, %fault, "the store does not follow the compactor; it will after a restart");
        }
    }
}

#[async_trait]
impl Flush for StoreFollows {
    async fn flush(&self) -> Result<(), Fault> {
        self.0.flush().await
    }

    fn blocks(&self, tenant: &TenantId) -> Vec<Ulid> {
        self.0.block_ids(tenant)
    }

    fn blocks_to_come(&self, tenant: &TenantId) -> Vec<Ulid> {
        self.0.blocks_to_come(tenant)
    }

    fn missed(&self, tenant: &TenantId) -> Vec<Ulid> {
        self.0.missed_blocks(tenant)
    }

    fn name(&self) -> Option<String> {
        self.0.name().map(str::to_owned)
    }
}
