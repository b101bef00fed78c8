//! Compaction, retention and cleaning.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::family::{CounterBy, CounterF64, GaugeBy, GaugeF64By, HistogramBy};
use super::registrar::{Registrar, numbers, object_bytes, span_seconds, work_seconds};

/// Runs of the compactor and what they found.
#[derive(Debug)]
pub struct CompactorMetrics {
    pub runs_started_total: Counter,
    pub runs_completed_total: Counter,
    pub runs_failed_total: Counter,
    /// Unix seconds.
    pub last_successful_run_timestamp_seconds: Gauge,
    pub tenants_discovered: Gauge,
    pub tenants_skipped: Gauge,
    pub tenants_processing_succeeded: Gauge,
    pub tenants_processing_failed: Gauge,
    pub group_compaction_runs_started_total: Counter,
    pub group_compaction_runs_completed_total: Counter,
    pub group_compactions_failures_total: Counter,
    pub compactor_compactions_total: Counter,
    /// By level of the block made.
    pub compactions_total: CounterBy<1>,
    pub compaction_duration_seconds: HistogramBy<1>,
    pub compaction_size_bytes: HistogramBy<1>,
    pub compaction_cpu_seconds_total: CounterF64,
    pub compaction_source_bytes_total: Counter,
    pub compaction_spilled_bytes_total: Counter,
    /// Of the last merge.
    pub compaction_peak_memory_bytes: Gauge,
    pub compaction_samples: HistogramBy<1>,
    pub compaction_range_seconds: HistogramBy<1>,
    /// By reason: `retention`, `compaction`, `size`, `disk`.
    pub blocks_marked_for_deletion_total: CounterBy<1>,
    pub blocks_cleaned_total: Counter,
    pub block_cleanup_started_total: Counter,
    pub block_cleanup_completed_total: Counter,
    pub block_cleanup_failed_total: Counter,
    pub block_cleanup_failures_total: Counter,
    /// Unix seconds.
    pub block_cleanup_last_successful_run_timestamp_seconds: Gauge,
    pub bucket_blocks_count: GaugeBy<2>,
    pub bucket_blocks_marked_for_deletion_count: GaugeBy<1>,
    pub bucket_blocks_partials_count: GaugeBy<1>,
    /// By tenant.
    pub corrupt_objects_total: CounterBy<1>,
    pub quarantined_blocks: GaugeBy<1>,
    pub lost_blocks: GaugeBy<1>,
    pub oldest_uncompacted_block_age_seconds: GaugeF64By<1>,
    pub index_seq: GaugeBy<1>,
    pub index_bytes: GaugeBy<1>,
    pub jobs_due: GaugeBy<1>,
    pub jobs_left_to_others: GaugeBy<1>,
    pub lease_conflicts_total: CounterBy<1>,
    pub lease_failures_total: CounterBy<1>,
}

impl CompactorMetrics {
    pub(super) fn register(r: &mut Registrar) -> Self {
        r.component("compactor");
        CompactorMetrics {
            runs_started_total: r.counter("pyroscope_compactor_runs_started_total", "Runs begun"),
            runs_completed_total: r.counter("pyroscope_compactor_runs_completed_total", "Runs that ended well"),
            runs_failed_total: r.counter("pyroscope_compactor_runs_failed_total", "Runs that failed"),
            last_successful_run_timestamp_seconds: r.gauge(
                "pyroscope_compactor_last_successful_run_timestamp_seconds",
                "When the last run ended well, in Unix seconds",
            ),
            tenants_discovered: r.gauge("pyroscope_compactor_tenants_discovered", "Tenants the current run found"),
            tenants_skipped: r.gauge("pyroscope_compactor_tenants_skipped", "Tenants the current run left to others"),
            tenants_processing_succeeded: r
                .gauge("pyroscope_compactor_tenants_processing_succeeded", "Tenants the current run is done with"),
            tenants_processing_failed: r
                .gauge("pyroscope_compactor_tenants_processing_failed", "Tenants the current run failed at"),
            group_compaction_runs_started_total: r
                .counter("pyroscope_compactor_group_compaction_runs_started_total", "Compactions begun"),
            group_compaction_runs_completed_total: r
                .counter("pyroscope_compactor_group_compaction_runs_completed_total", "Compactions that ended well"),
            group_compactions_failures_total: r
                .counter("pyroscope_compactor_group_compactions_failures_total", "Compactions that failed"),
            compactor_compactions_total: r
                .counter("pyroscope_compactor_compactions_total", "Blocks made by compaction"),
            compactions_total: r.counter_by(
                "pyroscope_compactions_total",
                "Blocks made by compaction, by level",
                ["level"],
            ),
            compaction_duration_seconds: r.histogram_by(
                "pyroscope_compaction_duration_seconds",
                "Time of a compaction",
                ["level"],
                work_seconds,
            ),
            compaction_size_bytes: r.histogram_by(
                "pyroscope_compaction_size_bytes",
                "Size of a block made by compaction",
                ["level"],
                object_bytes,
            ),
            compaction_cpu_seconds_total: r
                .counter_f64("flamestore_compactor_merge_cpu_seconds_total", "Time that merging blocks has computed"),
            compaction_source_bytes_total: r
                .counter("flamestore_compactor_merge_source_bytes_total", "Bytes of the blocks that were merged"),
            compaction_spilled_bytes_total: r.counter(
                "flamestore_compactor_merge_spilled_bytes_total",
                "Bytes that merges have written to compactor.data_dir",
            ),
            compaction_peak_memory_bytes: r.gauge(
                "flamestore_compactor_merge_peak_memory_bytes",
                "The most memory that the last merge has held, as it counts itself",
            ),
            compaction_samples: r.histogram_by(
                "pyroscope_compaction_samples",
                "Samples of a block made by compaction",
                ["level"],
                numbers,
            ),
            compaction_range_seconds: r.histogram_by(
                "pyroscope_compaction_range_seconds",
                "Time that a block made by compaction covers",
                ["level"],
                span_seconds,
            ),
            blocks_marked_for_deletion_total: r.counter_by(
                "pyroscope_compactor_blocks_marked_for_deletion_total",
                "Blocks marked to be deleted",
                ["reason"],
            ),
            blocks_cleaned_total: r.counter("pyroscope_compactor_blocks_cleaned_total", "Blocks deleted"),
            block_cleanup_started_total: r
                .counter("pyroscope_compactor_block_cleanup_started_total", "Cleanings begun"),
            block_cleanup_completed_total: r
                .counter("pyroscope_compactor_block_cleanup_completed_total", "Cleanings that ended well"),
            block_cleanup_failed_total: r
                .counter("pyroscope_compactor_block_cleanup_failed_total", "Cleanings that failed"),
            block_cleanup_failures_total: r
                .counter("pyroscope_compactor_block_cleanup_failures_total", "Blocks that could not be deleted"),
            block_cleanup_last_successful_run_timestamp_seconds: r.gauge(
                "pyroscope_compactor_block_cleanup_last_successful_run_timestamp_seconds",
                "When the last cleaning ended well, in Unix seconds",
            ),
            bucket_blocks_count: r.gauge_by(
                "pyroscope_bucket_blocks_count",
                "Blocks in the bucket",
                ["user", "compaction_level"],
            ),
            bucket_blocks_marked_for_deletion_count: r.gauge_by(
                "pyroscope_bucket_blocks_marked_for_deletion_count",
                "Blocks that are marked to be deleted",
                ["user"],
            ),
            bucket_blocks_partials_count: r.gauge_by(
                "pyroscope_bucket_blocks_partials_count",
                "Blocks that were never committed",
                ["user"],
            ),
            corrupt_objects_total: r.counter_by(
                "flamestore_corrupt_objects_total",
                "Times that an object was found whose bytes are not what was written",
                ["tenant"],
            ),
            quarantined_blocks: r.gauge_by(
                "flamestore_compactor_quarantined_blocks",
                "Blocks that cannot be read and are left alone",
                ["tenant"],
            ),
            lost_blocks: r.gauge_by(
                "flamestore_compactor_lost_blocks",
                "Blocks of the last 30 days that the bucket has lost: answers go on without them",
                ["tenant"],
            ),
            oldest_uncompacted_block_age_seconds: r.gauge_f64_by(
                "flamestore_compactor_oldest_uncompacted_block_age_seconds",
                "Time since the last profile of the oldest block that was never compacted",
                ["tenant"],
            ),
            index_seq: r.gauge_by(
                "flamestore_index_snapshot_number",
                "Number of the latest snapshot of the bucket index",
                ["tenant"],
            ),
            index_bytes: r.gauge_by(
                "flamestore_index_snapshot_bytes",
                "Size of the latest snapshot of the bucket index",
                ["tenant"],
            ),
            jobs_due: r.gauge_by(
                "flamestore_compactor_jobs_due",
                "Compactions that the last run found due",
                ["tenant"],
            ),
            jobs_left_to_others: r.gauge_by(
                "flamestore_compactor_jobs_left_to_others",
                "Compactions that the last run left to another compactor, which has a lease on them",
                ["tenant"],
            ),
            lease_conflicts_total: r.counter_by(
                "flamestore_compactor_lease_conflicts_total",
                "Compactions that another compactor was found to have a lease on",
                ["tenant"],
            ),
            lease_failures_total: r.counter_by(
                "flamestore_compactor_lease_failures_total",
                "Leases that could not be read or written; the work was done without",
                ["tenant"],
            ),
        }
    }
}
