//! Queries, and the blocks they read.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::family::{CounterBy, GaugeBy, HistogramBy};
use super::registrar::{Registrar, numbers, object_bytes, quick_seconds, request_seconds};

/// Queries and open blocks.
#[derive(Debug)]
pub struct QueryMetrics {
    /// By the method of the query, such as `SelectMergeStacktraces`.
    pub duration_seconds: HistogramBy<1>,
    pub in_progress: Gauge,
    pub queue_length: Gauge,
    pub queue_duration_seconds: Histogram,
    pub blocks_loaded: Gauge,
    pub block_load_failures_total: Counter,
    pub bucket_requests: Histogram,
    pub bucket_bytes: Histogram,
    /// By cache.
    pub cache_lookups_total: CounterBy<1>,
    pub cache_hits_total: CounterBy<1>,
    pub cache_bytes: GaugeBy<1>,
    pub damaged_pages_total: Counter,
}

impl QueryMetrics {
    pub(super) fn register(r: &mut Registrar) -> Self {
        r.component("querier");
        QueryMetrics {
            duration_seconds: r.histogram_by(
                "pyroscope_query_frontend_duration_seconds",
                "Time to answer a query",
                ["method"],
                request_seconds,
            ),
            in_progress: r.gauge("pyroscope_query_frontend_queries_in_progress", "Queries being answered now"),
            queue_length: r.gauge("pyroscope_query_scheduler_queue_length", "Queries that wait for their turn"),
            queue_duration_seconds: r.histogram(
                "pyroscope_query_scheduler_queue_duration_seconds",
                "Time a query waited for its turn",
                quick_seconds,
            ),
            blocks_loaded: r.gauge("pyroscope_bucket_store_blocks_loaded", "Blocks known from the bucket"),
            block_load_failures_total: r
                .counter("pyroscope_bucket_store_block_load_failures_total", "Blocks that could not be read"),
            bucket_requests: r.histogram(
                "flamestore_query_bucket_requests",
                "Requests for content that one query sent to the bucket",
                numbers,
            ),
            bucket_bytes: r.histogram(
                "flamestore_query_bucket_bytes",
                "Bytes that one query fetched from the bucket",
                object_bytes,
            ),
            cache_lookups_total: r.counter_by(
                "flamestore_query_cache_lookups_total",
                "What queries looked for in a cache: tables of blocks, results (blocks asked), pages on the disk",
                ["cache"],
            ),
            cache_hits_total: r.counter_by(
                "flamestore_query_cache_hits_total",
                "What queries looked for in a cache, and found",
                ["cache"],
            ),
            cache_bytes: r.gauge_by("flamestore_query_cache_bytes", "Bytes that a cache holds", ["cache"]),
            damaged_pages_total: r.counter(
                "flamestore_disk_cache_damaged_pages_total",
                "Pages of the disk cache that were damaged and came from the bucket again",
            ),
        }
    }
}
