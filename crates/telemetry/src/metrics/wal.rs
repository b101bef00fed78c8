//! The write-ahead log. These names are ours.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::family::GaugeF64;
use super::registrar::{Registrar, numbers, quick_seconds};

/// Commits, size and replay of the log.
#[derive(Debug)]
pub struct WalMetrics {
    pub fsync_duration_seconds: Histogram,
    pub commit_records: Histogram,
    pub written_bytes_total: Counter,
    pub records_total: Counter,
    pub failures_total: Counter,
    pub size_bytes: Gauge,
    pub segments: Gauge,
    pub replayed_records_total: Counter,
    pub torn_bytes_total: Counter,
    pub replay_duration_seconds: GaugeF64,
}

impl WalMetrics {
    pub(super) fn register(r: &mut Registrar) -> Self {
        r.component("write-ahead log");
        WalMetrics {
            fsync_duration_seconds: r.histogram(
                "flamestore_wal_fsync_duration_seconds",
                "Time of one fdatasync",
                quick_seconds,
            ),
            commit_records: r.histogram("flamestore_wal_commit_records", "Pushes that shared one fdatasync", numbers),
            written_bytes_total: r.counter("flamestore_wal_written_bytes_total", "Bytes written to the log"),
            records_total: r.counter("flamestore_wal_records_total", "Records written to the log"),
            failures_total: r
                .counter("flamestore_wal_failures_total", "Commits that failed; the pushes in them were refused"),
            size_bytes: r.gauge("flamestore_wal_size_bytes", "Size of the log on disk"),
            segments: r.gauge("flamestore_wal_segments", "Files of the log"),
            replayed_records_total: r
                .counter("flamestore_wal_replayed_records_total", "Records read back at the start"),
            torn_bytes_total: r.counter(
                "flamestore_wal_torn_bytes_total",
                "Bytes at the end of the log that were never acknowledged and cut off at the start",
            ),
            replay_duration_seconds: r.gauge_f64("flamestore_wal_replay_duration_seconds", "Time the last replay took"),
        }
    }
}
