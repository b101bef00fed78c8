//! What the parts tell of themselves, as metrics. Each part has a trait of its own; this is the one listener to all of them.

pub(crate) mod compaction;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use flamestore_clock::Clock;
use flamestore_distributor::observe::Received;
use flamestore_engine::{CutReason, Flushed, Replayed, Stats};
use flamestore_formats::{Arrival, Notes, TimeRepair};
use flamestore_model::{Discard, Fault, Reads, TenantId};
use flamestore_objstore::{Call, Op};
use flamestore_rpc::{Observed, RequestObserver};
use flamestore_service::OpenConnections;
use flamestore_telemetry::Metrics;
use flamestore_telemetry::metrics::distributor::ReceivedProfile;
use flamestore_telemetry::metrics::objstore::{BucketMetrics, Operation};
use flamestore_wal::Batch;

/// The `bucket` label: there is one bucket in a process.
const BUCKET: &str = "primary";
const NANOS_PER_SECOND: f64 = 1e9;
/// The caches, as the label `cache` names them: footers, series and symbols; finished parts of answers; pages of files.
const TABLES: &str = "tables";
const RESULTS: &str = "results";
const DISK: &str = "disk";

pub(crate) struct Observers {
    metrics: Arc<Metrics>,
    bucket: BucketMetrics,
    clock: Arc<dyn Clock>,
}

impl Observers {
    pub(crate) fn new(metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> Arc<Self> {
        // One process holds each profile once, and is every ring's only member.
        metrics.distributor.replication_factor.set(1);
        metrics.distributor.ingester_clients.set(1);
        metrics.ring.alone();
        let bucket = metrics.objstore.of(BUCKET);
        Arc::new(Observers { metrics, bucket, clock })
    }

    /// The connections that are open now.
    pub(crate) fn connections(&self, open: &OpenConnections) {
        for (protocol, connections) in [("http", open.http()), ("grpc", open.grpc())] {
            self.metrics.http.tcp_connections.with([protocol]).set(i64::try_from(connections).unwrap_or(i64::MAX));
        }
    }

    fn now_seconds(&self) -> i64 {
        self.clock.now_millis() / 1000
    }

    /// What the store holds now.
    pub(crate) fn store(&self, stats: &Stats) {
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.head.size_bytes.with(["profiles"]).set(gauge(stats.head_bytes));
        self.metrics.head.series.set(gauge(stats.series));
        self.metrics.wal.size_bytes.set(i64::try_from(stats.log_bytes).unwrap_or(i64::MAX));
        self.metrics.wal.segments.set(gauge(stats.log_segments));
        self.metrics.query.blocks_loaded.set(gauge(stats.blocks));
        for (cache, bytes) in
            [(TABLES, stats.table_cache_bytes), (RESULTS, stats.result_cache_bytes), (DISK, stats.disk_cache_bytes)]
        {
            self.metrics.query.cache_bytes.with([cache]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers").finish_non_exhaustive()
    }
}

impl flamestore_querier::gate::Observe for Observers {
    fn busy(&self, running: usize, waiting: usize) {
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.query.in_progress.set(gauge(running));
        self.metrics.query.queue_length.set(gauge(waiting));
    }

    fn waited(&self, seconds: f64) {
        self.metrics.query.queue_duration_seconds.observe(seconds);
    }
}

impl flamestore_distributor::observe::Observe for Observers {
    fn received(&self, tenant: &TenantId, profile_name: &str, received: Received) {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let (inflated, samples) = (received.inflated_bytes, received.samples_bytes);
        self.metrics.distributor.received(tenant.as_str(), profile_name).observe(&ReceivedProfile {
            compressed_bytes: size(received.compressed_bytes),
            decompressed_bytes: size(inflated),
            normalized_bytes: size(inflated),
            samples: size(received.samples),
            samples_bytes: size(samples),
            symbols_bytes: size(inflated.saturating_sub(samples)),
        });
        if let Some(nanos) = received.parse_nanos {
            self.metrics.distributor.parse_duration_seconds.observe(nanos as f64 / NANOS_PER_SECOND);
        }
        self.metrics.head.received_sample_values_total.with([profile_name]).inc_by(received.samples);
    }

    fn kept(&self, tenant: &TenantId, profile_name: &str, samples: u64, series: u64) {
        self.metrics.head.ingested_sample_values_total.with([profile_name]).inc_by(samples);
        self.metrics.head.profiles_created_total.with([profile_name]).inc_by(series);
        self.metrics.distributor.push_batch_series.with([tenant.as_str()]).observe(series as f64);
    }

    fn discarded(&self, tenant: &TenantId, reason: Discard, samples: u64, bytes: u64) {
        self.metrics.limits.discarded(reason, tenant.as_str(), samples, bytes);
    }

    fn received_of_group(&self, tenant: &TenantId, profile_name: &str, group: &str, bytes: u64) {
        let received = &self.metrics.distributor.usage_group_received_decompressed_total;
        received.with([profile_name, tenant.as_str(), group]).inc_by(bytes);
    }

    fn discarded_of_group(&self, tenant: &TenantId, reason: Discard, group: &str, bytes: u64) {
        let discarded = &self.metrics.distributor.usage_group_discarded_bytes_total;
        discarded.with([reason.as_str(), tenant.as_str(), group]).inc_by(bytes);
    }

    fn time_repaired(&self, tenant: &TenantId, arrival: Arrival, why: TimeRepair) {
        let repaired = &self.metrics.distributor.repaired_times_total;
        repaired.with([tenant.as_str(), arrival.as_str(), why.as_str()]).inc();
    }

    fn passed_over(&self, tenant: &TenantId, notes: &Notes) {
        self.metrics.limits.discarded(
            Discard::Unknown,
            tenant.as_str(),
            notes.samples_dropped + notes.samples_lost + notes.lines_without_count,
            0,
        );
        tracing::debug!(%tenant, ?notes, "parts of an upload were passed over");
    }
}

impl flamestore_engine::Observe for Observers {
    fn cut(&self, reason: CutReason) {
        self.metrics.head.flushed_reason_total.with([reason.as_str()]).inc();
    }

    fn flushed(&self, tenant: &TenantId, block: &Flushed) {
        let head = &self.metrics.head;
        head.flushed_blocks_total.with(["success"]).inc();
        head.flushed_block_size_bytes.observe(block.bytes as f64);
        head.flushed_block_duration_seconds.observe(block.took.as_secs_f64());
        head.flushed_block_series.observe(block.series as f64);
        head.flushed_block_samples.observe(block.samples as f64);
        head.flushed_block_profiles.observe(block.profiles as f64);
        head.block_duration_seconds.observe(block.covers.as_secs_f64());
        head.rows_written_total.inc_by(block.profiles);
        tracing::info!(
            %tenant,
            profiles = block.profiles,
            bytes = block.bytes,
            seconds = block.took.as_secs_f64(),
            "block written"
        );
    }

    fn flush_failed(&self, tenant: &TenantId, fault: &Fault) {
        self.metrics.head.flushed_blocks_total.with(["failed"]).inc();
        tracing::error!(%tenant, err = %fault, "block not written; it is tried again");
    }

    fn read(&self, _: &TenantId, reads: &Reads) {
        let query = &self.metrics.query;
        query.bucket_requests.observe(reads.requests as f64);
        query.bucket_bytes.observe(reads.bytes as f64);
        for (cache, lookups, hits) in [
            (TABLES, reads.tables, reads.cached_tables),
            (RESULTS, reads.blocks, reads.cached_blocks),
            (DISK, reads.pages, reads.cached_pages),
        ] {
            query.cache_lookups_total.with([cache]).inc_by(lookups);
            query.cache_hits_total.with([cache]).inc_by(hits);
        }
        query.damaged_pages_total.inc_by(reads.damaged_pages);
    }

    fn unreadable(&self, tenant: &TenantId, _: &Fault) {
        self.metrics.compactor.corrupt_objects_total.with([tenant.as_str()]).inc();
        self.metrics.query.block_load_failures_total.inc();
    }

    fn replayed(&self, replayed: &Replayed) {
        self.metrics.wal.replayed_records_total.inc_by(replayed.profiles + replayed.skipped);
        self.metrics.wal.torn_bytes_total.inc_by(replayed.torn_bytes);
        self.metrics.wal.replay_duration_seconds.set(replayed.took.as_secs_f64());
    }
}

impl flamestore_wal::Observer for Observers {
    fn committed(&self, batch: Batch) {
        let wal = &self.metrics.wal;
        wal.fsync_duration_seconds.observe(batch.sync_nanos as f64 / NANOS_PER_SECOND);
        wal.commit_records.observe(batch.records as f64);
        wal.written_bytes_total.inc_by(batch.bytes);
        wal.records_total.inc_by(batch.records as u64);
    }

    fn failed(&self) {
        self.metrics.wal.failures_total.inc();
        tracing::error!("the log cannot be written: pushes are refused until it can");
    }

    fn revived(&self) {
        tracing::info!("the log can be written again");
    }
}

impl flamestore_objstore::Observe for Observers {
    fn observe(&self, call: Call) {
        let operation = match call.op {
            Op::Put | Op::PutCreate => Operation::Upload,
            Op::Get => Operation::Get,
            Op::GetRange => Operation::GetRange,
            Op::Head => Operation::Attributes,
            Op::List => Operation::Iter,
            Op::Delete => Operation::Delete,
        };
        self.bucket.record(operation, call.seconds, call.bytes, call.failed);
        if matches!(operation, Operation::Upload) && !call.failed {
            self.metrics.objstore.last_successful_upload_time.with([BUCKET]).set(self.now_seconds() as f64);
        }
    }

    fn damaged(&self, key: &str, fault: &Fault) {
        let tenant = key.split('/').next().unwrap_or_default();
        self.metrics.compactor.corrupt_objects_total.with([tenant]).inc();
        tracing::error!(tenant, object = key, %fault, "an object is damaged: its bytes are not what was written");
    }
}

/// Methods are few; what is none of them has no label of its own.
fn method_label(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "POST" => "POST",
        "gRPC" => "gRPC",
        _ => "other",
    }
}

impl RequestObserver for Observers {
    fn started(&self, method: &str, route: &str) -> Box<dyn Any + Send + Sync> {
        Box::new(self.metrics.http.route(method_label(method), route).begin())
    }

    fn finished(&self, request: &Observed<'_>) {
        let route = self.metrics.http.route(method_label(request.method), request.route);
        route.finished(request.status_code, request.seconds, request.bytes_in, request.bytes_out);
        if request.route.contains("querier") || request.route.contains("render") {
            self.metrics.query.duration_seconds.with([request.route]).observe(request.seconds);
        }
    }

    fn panicked(&self) {
        self.metrics.http.panic_total.inc();
    }
}
