//! Profiles as they arrive.
//!
//! Hot: `benches/metrics.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::family::{CounterBy, HistogramBy};
use super::registrar::{Registrar, numbers, profile_bytes, quick_seconds};
use super::{MAX_PROFILE_NAME_LABELS, MAX_TENANT_LABELS};

type ByTenant<T> = HashMap<Box<str>, T>;
type ByProfileName = HashMap<Box<str>, Arc<Received>>;

/// Sizes and numbers of what is pushed.
#[derive(Debug)]
pub struct DistributorMetrics {
    pub received_compressed_bytes: HistogramBy<2>,
    pub received_decompressed_bytes: HistogramBy<2>,
    pub received_samples: HistogramBy<2>,
    pub received_samples_bytes: HistogramBy<2>,
    pub received_symbols_bytes: HistogramBy<2>,
    /// Bytes at each stage: `received`, `sampled`, `normalized`. A histogram, whatever its name says.
    pub received_decompressed_bytes_total: HistogramBy<2>,
    pub profiles_received_total: CounterBy<3>,
    pub parse_duration_seconds: Histogram,
    pub push_batch_series: HistogramBy<1>,
    /// Only for tenants with usage groups; a profile counts in each of its groups.
    pub usage_group_received_decompressed_total: CounterBy<3>,
    pub usage_group_discarded_bytes_total: CounterBy<3>,
    /// By the way a profile came and what was wrong with its time.
    pub repaired_times_total: CounterBy<3>,
    pub replication_factor: Gauge,
    pub ingester_clients: Gauge,
    pub profile_samples_received_total: Counter,
    cache: RwLock<ByTenant<ByProfileName>>,
}

/// The handles a push of one tenant and one profile name needs.
#[derive(Debug)]
pub struct Received {
    compressed: Histogram,
    decompressed: Histogram,
    samples: Histogram,
    samples_bytes: Histogram,
    symbols_bytes: Histogram,
    stage_received: Histogram,
    stage_normalized: Histogram,
    profiles: Counter,
    all_samples: Counter,
}

/// One profile as it came, for [`Received::observe`].
#[derive(Debug, Clone, Copy, Default)]
pub struct ReceivedProfile {
    pub compressed_bytes: usize,
    pub decompressed_bytes: usize,
    /// What is left after normalising.
    pub normalized_bytes: usize,
    pub samples: usize,
    pub samples_bytes: usize,
    pub symbols_bytes: usize,
}

impl DistributorMetrics {
    pub(super) fn register(r: &mut Registrar) -> Self {
        r.component("distributor");
        let labels = ["type", "tenant"];
        DistributorMetrics {
            received_compressed_bytes: r.histogram_by(
                "pyroscope_distributor_received_compressed_bytes",
                "Size of a profile as it came",
                labels,
                profile_bytes,
            ),
            received_decompressed_bytes: r.histogram_by(
                "pyroscope_distributor_received_decompressed_bytes",
                "Size of a profile after decompression",
                labels,
                profile_bytes,
            ),
            received_samples: r.histogram_by(
                "pyroscope_distributor_received_samples",
                "Samples of a profile",
                labels,
                numbers,
            ),
            received_samples_bytes: r.histogram_by(
                "pyroscope_distributor_received_samples_bytes",
                "Size of the samples of a profile",
                labels,
                profile_bytes,
            ),
            received_symbols_bytes: r.histogram_by(
                "pyroscope_distributor_received_symbols_bytes",
                "Size of the strings, functions, locations and mappings of a profile",
                labels,
                profile_bytes,
            ),
            received_decompressed_bytes_total: r.histogram_by(
                "pyroscope_distributor_received_decompressed_bytes_total",
                "Size of a profile at the stages received, sampled and normalized",
                ["stage", "tenant"],
                profile_bytes,
            ),
            profiles_received_total: r.counter_by(
                "pyroscope_distributor_profiles_received_total",
                "Profiles received, by OpenTelemetry scope where there is one",
                ["tenant", "scope_name", "scope_version"],
            ),
            parse_duration_seconds: r.histogram(
                "pyroscope_distributor_parse_duration_seconds",
                "Time to read a profile",
                quick_seconds,
            ),
            push_batch_series: r.histogram_by(
                "pyroscope_distributor_push_batch_series",
                "Series in one push",
                ["tenant"],
                numbers,
            ),
            usage_group_received_decompressed_total: r.counter_by(
                "pyroscope_usage_group_received_decompressed_total",
                "Bytes of profiles after decompression, by usage group",
                ["type", "tenant", "usage_group"],
            ),
            usage_group_discarded_bytes_total: r.counter_by(
                "pyroscope_usage_group_discarded_bytes_total",
                "Bytes of profiles that were thrown away, by usage group",
                ["reason", "tenant", "usage_group"],
            ),
            repaired_times_total: r.counter_by(
                "flamestore_distributor_repaired_times_total",
                "Profiles without a time, or with one that cannot be right, which got that of their request",
                ["tenant", "format", "reason"],
            ),
            replication_factor: r.gauge(
                "pyroscope_distributor_replication_factor",
                "Ingesters that hold each profile before a push is answered",
            ),
            ingester_clients: r
                .gauge("pyroscope_distributor_ingester_clients", "Ingesters this distributor is connected to"),
            profile_samples_received_total: r
                .counter("pyroscope_ingester_profile_samples_received_total", "Samples of all profiles received"),
            cache: RwLock::default(),
        }
    }

    /// The handles for a tenant and a profile name, from a bounded cache.
    pub fn received(&self, tenant: &str, profile_name: &str) -> Arc<Received> {
        let cached = self.cache.read().get(tenant).and_then(|names| names.get(profile_name).cloned());
        cached.unwrap_or_else(|| {
            let made = Arc::new(self.handles(tenant, profile_name));
            let mut cache = self.cache.write();
            let room = cache.len() < MAX_TENANT_LABELS || cache.contains_key(tenant);
            if room {
                let names = cache.entry(tenant.into()).or_default();
                if names.len() < MAX_PROFILE_NAME_LABELS {
                    names.insert(profile_name.into(), Arc::clone(&made));
                }
            }
            made
        })
    }

    fn handles(&self, tenant: &str, profile_name: &str) -> Received {
        let labels = [profile_name, tenant];
        Received {
            compressed: self.received_compressed_bytes.with(labels),
            decompressed: self.received_decompressed_bytes.with(labels),
            samples: self.received_samples.with(labels),
            samples_bytes: self.received_samples_bytes.with(labels),
            symbols_bytes: self.received_symbols_bytes.with(labels),
            stage_received: self.received_decompressed_bytes_total.with(["received", tenant]),
            stage_normalized: self.received_decompressed_bytes_total.with(["normalized", tenant]),
            profiles: self.profiles_received_total.with([tenant, "", ""]),
            all_samples: self.profile_samples_received_total.clone(),
        }
    }
}

impl Received {
    /// Counts one profile.
    pub fn observe(&self, profile: &ReceivedProfile) {
        self.compressed.observe(profile.compressed_bytes as f64);
        self.decompressed.observe(profile.decompressed_bytes as f64);
        self.samples.observe(profile.samples as f64);
        self.samples_bytes.observe(profile.samples_bytes as f64);
        self.symbols_bytes.observe(profile.symbols_bytes as f64);
        self.stage_received.observe(profile.decompressed_bytes as f64);
        self.stage_normalized.observe(profile.normalized_bytes as f64);
        self.profiles.inc();
        self.all_samples.inc_by(profile.samples as u64);
    }
}
