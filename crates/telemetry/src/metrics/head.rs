//! Profiles in memory and the blocks they are written to.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::family::{CounterBy, GaugeBy};
use super::registrar::{Registrar, numbers, object_bytes, span_seconds, work_seconds};

/// Heads and flushes.
#[derive(Debug)]
pub struct HeadMetrics {
    /// By type: `profiles`, `stacktraces`, `locations`, `functions`, `mappings`, `strings`.
    pub size_bytes: GaugeBy<1>,
    pub profiles: Gauge,
    pub samples: Gauge,
    pub series: Gauge,
    pub profiles_created_total: CounterBy<1>,
    pub received_sample_values_total: CounterBy<1>,
    pub ingested_sample_values_total: CounterBy<1>,
    pub flushed_block_size_bytes: Histogram,
    pub flushed_block_duration_seconds: Histogram,
    pub flushed_block_series: Histogram,
    pub flushed_block_samples: Histogram,
    pub flushed_block_profiles: Histogram,
    /// Seconds that a block covers.
    pub block_duration_seconds: Histogram,
    /// By status: `success` or `failed`.
    pub flushed_blocks_total: CounterBy<1>,
    /// By reason: `max-bytes`, `max-duration`, `shutdown`.
    pub flushed_reason_total: CounterBy<1>,
    pub rows_written_total: Counter,
}

impl HeadMetrics {
    pub(super) fn register(r: &mut Registrar) -> Self {
        r.component("ingester");
        HeadMetrics {
            size_bytes: r.gauge_by("pyroscope_head_size_bytes", "Memory of all heads, by what it holds", ["type"]),
            profiles: r.gauge("pyroscope_head_profiles", "Profiles in memory"),
            samples: r.gauge("pyroscope_head_samples", "Samples in memory"),
            series: r.gauge("pyroscope_tsdb_head_series", "Series in memory"),
            profiles_created_total: r.counter_by(
                "pyroscope_head_profiles_created_total",
                "Profiles that came into memory",
                ["profile_name"],
            ),
            received_sample_values_total: r.counter_by(
                "pyroscope_head_received_sample_values_total",
                "Sample values that came to the heads",
                ["profile_name"],
            ),
            ingested_sample_values_total: r.counter_by(
                "pyroscope_head_ingested_sample_values_total",
                "Sample values that the heads kept",
                ["profile_name"],
            ),
            flushed_block_size_bytes: r.histogram(
                "pyroscope_head_flushed_block_size_bytes",
                "Size of a block written from a head",
                object_bytes,
            ),
            flushed_block_duration_seconds: r.histogram(
                "pyroscope_head_flushed_block_duration_seconds",
                "Time to write a block from a head",
                work_seconds,
            ),
            flushed_block_series: r.histogram(
                "pyroscope_head_flushed_block_series",
                "Series of a block written from a head",
                numbers,
            ),
            flushed_block_samples: r.histogram(
                "pyroscope_head_flushed_block_samples",
                "Samples of a block written from a head",
                numbers,
            ),
            flushed_block_profiles: r.histogram(
                "pyroscope_head_flushed_block_profiles",
                "Profiles of a block written from a head",
                numbers,
            ),
            block_duration_seconds: r.histogram(
                "pyroscope_head_block_duration_seconds",
                "Time that a block written from a head covers",
                span_seconds,
            ),
            flushed_blocks_total: r.counter_by(
                "pyroscope_head_flushed_blocks_total",
                "Blocks written from heads, or failed to be",
                ["status"],
            ),
            flushed_reason_total: r.counter_by("pyroscope_head_flushed_reason_total", "Why heads were cut", ["reason"]),
            rows_written_total: r.counter("pyroscope_rows_written_total", "Rows written to blocks"),
        }
    }
}
